//! The scenes of `fixtures/geofence`: fences, a track, and what must be found.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds and speeds of a scene are small"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a scene that cannot be read must stop the test"
)]

use std::{fs, path::Path};

use geofence::{
    catalog::{Catalog, CatalogSources},
    position::{Inputs, Position},
    track::{Evaluator, EvaluatorOptions},
    units::{Latitude, Longitude, Timestamp},
};

/// Monday 2026-01-05 00:00 at local time.
const MONDAY_MS: i64 = 1_767_542_400_000;
const DAY_MS: i64 = 86_400_000;
const PHONE: &str = "13800000001";

#[derive(Default)]
struct Scene {
    start_ms: i64,
    fences: Vec<String>,
    routes: Vec<Route>,
    limit: String,
    rules: Vec<String>,
    signals: Option<u32>,
    status: u32,
    at: (f64, f64),
    second: i64,
    every: i64,
    fixes: Vec<Fix>,
    late: Option<(i64, i64)>,
    expected: Vec<Expected>,
}

#[derive(Default)]
struct Route {
    properties: String,
    line: String,
    points: Vec<String>,
}

struct Fix {
    second: i64,
    at: (f64, f64),
    kmh: f64,
    heading: u16,
    is_acc_on: bool,
    signals: Option<u32>,
    status: u32,
}

struct Expected {
    kind: String,
    rule: String,
    start_s: f64,
    end_s: Option<f64>,
    worst: f64,
}

fn degrees(east: f64, north: f64) -> (f64, f64) {
    (37.87 + north / 111_195.08, 112.55 + east / 87_776.9)
}

fn lon_lat(east: f64, north: f64) -> String {
    let (lat, lon) = degrees(east, north);
    format!("[{lon:.6},{lat:.6}]")
}

fn box_ring(west: f64, south: f64, east: f64, north: f64) -> String {
    let corners = [
        (west, south),
        (east, south),
        (east, north),
        (west, north),
        (west, south),
    ];
    format!("[{}]", corners.map(|(x, y)| lon_lat(x, y)).join(","))
}

impl Scene {
    fn read(text: &str) -> Self {
        let mut scene = Self {
            start_ms: MONDAY_MS + 9 * 3_600_000,
            every: 1,
            ..Self::default()
        };
        for line in text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
        {
            scene.line(line);
        }
        scene
    }

    fn line(&mut self, line: &str) {
        let (head, properties) = line.split_once('{').unwrap_or((line, "}"));
        let properties = properties.trim_end().strip_suffix('}').unwrap().to_owned();
        let words: Vec<&str> = head.split_whitespace().collect();
        let number = |index: usize| words.get(index).unwrap().parse::<f64>().unwrap();
        let numbers = |from: usize| (from..words.len()).map(number).collect::<Vec<f64>>();
        let word = |index: usize| (*words.get(index).unwrap()).to_owned();
        match word(0).as_str() {
            "clock" => {
                let (date, time) = words.get(1).unwrap().split_once('T').unwrap();
                let day = date.rsplit_once('-').unwrap().1.parse::<i64>().unwrap();
                let (hours, minutes) = time.split_once(':').unwrap();
                let minutes = hours.parse::<i64>().unwrap() * 60 + minutes.parse::<i64>().unwrap();
                assert!(date.starts_with("2026-01-"), "scenes play in January 2026");
                self.start_ms = MONDAY_MS + (day - 5) * DAY_MS + minutes * 60_000;
            }
            "circle" => {
                let center = format!(
                    r#""type":"Point","coordinates":{}"#,
                    lon_lat(number(3), number(4))
                );
                self.fence(
                    &words,
                    &format!(r#""radius_m":{}"#, number(5)),
                    &properties,
                    &center,
                );
            }
            "rectangle" | "ring" => {
                let mut rings = vec![box_ring(number(3), number(4), number(5), number(6))];
                if let Some(inset) = words.get(7) {
                    let inset: f64 = inset.parse().unwrap();
                    let (w, s, e, n) = (number(3), number(4), number(5), number(6));
                    rings.push(box_ring(w + inset, s + inset, e - inset, n - inset));
                }
                let shape = format!(r#""type":"Polygon","coordinates":[{}]"#, rings.join(","));
                self.fence(&words, "", &properties, &shape);
            }
            "corridor" => {
                let line: Vec<String> = numbers(4)
                    .chunks_exact(2)
                    .map(|pair| lon_lat(*pair.first().unwrap(), *pair.last().unwrap()))
                    .collect();
                let shape = format!(r#""type":"LineString","coordinates":[{}]"#, line.join(","));
                self.fence(
                    &words,
                    &format!(r#""width_m":{}"#, number(3)),
                    &properties,
                    &shape,
                );
            }
            "route" => {
                let line: Vec<String> = numbers(2)
                    .chunks_exact(2)
                    .map(|pair| lon_lat(*pair.first().unwrap(), *pair.last().unwrap()))
                    .collect();
                self.routes.push(Route {
                    properties: format!(
                        r#""id":"{}","applies_to":{{"vehicles":["V1"]}},{properties}"#,
                        word(1)
                    ),
                    line: line.join(","),
                    points: Vec::new(),
                });
            }
            "point" => {
                let at = lon_lat(number(2), number(3));
                let comma = if properties.is_empty() { "" } else { "," };
                let point = format!(r#"{{"id":"{}","at":{at}{comma}{properties}}}"#, word(1));
                self.routes.last_mut().unwrap().points.push(point);
            }
            "every" => self.every = number(1) as i64,
            "park" => {
                let until = self.second + number(1) as i64;
                while self.second < until {
                    self.fix(self.at, 0.0);
                    self.fixes.last_mut().unwrap().is_acc_on = false;
                }
            }
            "limit" => self.limit = word(1),
            "work" => self.rules.push(format!("{{{properties}}}")),
            "signals" => self.signals = words.get(1).and_then(|bits| bits.parse().ok()),
            "status" => self.status = number(1) as u32,
            "late" => self.late = Some((number(1) as i64, number(2) as i64)),
            "at" => self.at = (number(1), number(2)),
            "go" => self.go((number(1), number(2)), number(3)),
            "stand" => {
                (0..number(1) as i64 / self.every).for_each(|_| self.fix(self.at, 0.0));
            }
            "wobble" => (0..number(1) as i64).for_each(|second| {
                let angle = std::f64::consts::TAU * second as f64 / 90.0;
                let (x, y) = (number(2) * angle.cos(), number(2) * angle.sin());
                self.fix((self.at.0 + x, self.at.1 + y), 0.3);
            }),
            "silence" => self.second += number(1) as i64,
            "jump" => self.fix((number(1), number(2)), 0.0),
            "expect" => self.expected.push(Expected {
                kind: word(1),
                rule: word(2),
                start_s: number(3),
                end_s: words
                    .get(4)
                    .filter(|end| **end != "-")
                    .map(|end| end.parse().unwrap()),
                worst: number(5),
            }),
            other => panic!("a scene has no line that begins with {other}"),
        }
    }

    fn fence(&mut self, words: &[&str], size: &str, properties: &str, shape: &str) {
        let (id, kind) = (words.get(1).unwrap(), words.get(2).unwrap());
        let parts = [
            format!(r#""id":"{id}","kind":"{kind}""#),
            size.to_owned(),
            properties.to_owned(),
        ];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        self.fences.push(format!(
            r#"{{"type":"Feature","properties":{{{}}},"geometry":{{{shape}}}}}"#,
            parts.join(",")
        ));
    }

    fn fix(&mut self, at: (f64, f64), kmh: f64) {
        self.fixes.push(Fix {
            second: self.second,
            at,
            kmh,
            heading: 0,
            is_acc_on: true,
            signals: self.signals,
            status: self.status,
        });
        self.second += self.every;
    }

    fn go(&mut self, to: (f64, f64), kmh: f64) {
        let from = self.at;
        let (east, north) = (to.0 - from.0, to.1 - from.1);
        let steps = (east.hypot(north) / (kmh / 3.6) / self.every as f64).round();
        for step in 0..steps as i64 {
            let share = step as f64 / steps;
            self.fix((from.0 + east * share, from.1 + north * share), kmh);
            let heading = east.atan2(north).to_degrees().rem_euclid(360.0).round();
            self.fixes.last_mut().unwrap().heading = heading as u16 % 360;
        }
        self.at = to;
    }

    fn routes(&self) -> String {
        let feature = |route: &Route| {
            let mut properties = route.properties.trim_end_matches(',').to_owned();
            if !route.points.is_empty() {
                properties += &format!(r#","points":[{}]"#, route.points.join(","));
            }
            format!(
                r#"{{"type":"Feature","properties":{{{properties}}},
                    "geometry":{{"type":"LineString","coordinates":[{}]}}}}"#,
                route.line
            )
        };
        let features: Vec<String> = self.routes.iter().map(feature).collect();
        features.join(",")
    }

    fn catalog(&self) -> Catalog {
        let fences = self.fences.join(",");
        let vehicles = format!("vehicle,phone,speed_limit_kmh\nV1,{PHONE},{}\n", self.limit);
        let sources = CatalogSources {
            fences: Some((
                "fences".to_owned(),
                format!(r#"{{"type":"FeatureCollection","features":[{fences}]}}"#),
            )),
            routes: Some((
                "routes".to_owned(),
                format!(
                    r#"{{"type":"FeatureCollection","features":[{}]}}"#,
                    self.routes()
                ),
            )),
            vehicles: Some(("vehicles".to_owned(), vehicles)),
            work_rules: Some((
                "rules".to_owned(),
                format!(r#"{{"rules":[{}]}}"#, self.rules.join(",")),
            )),
            ..CatalogSources::default()
        };
        Catalog::load(&sources).unwrap()
    }

    /// In the order of arrival.
    fn positions(&self) -> Vec<Position> {
        let mut positions: Vec<Position> = self
            .fixes
            .iter()
            .map(|fix| {
                let (lat, lon) = degrees(fix.at.0, fix.at.1);
                let second = fix.second;
                let at = Timestamp(self.start_ms + second * 1_000);
                let is_late = self
                    .late
                    .is_some_and(|(from, to)| (from..=to).contains(&second));
                let delay = if is_late {
                    (self.second - second + 600) * 1_000
                } else {
                    0
                };
                Position {
                    terminal: PHONE.parse().unwrap(),
                    fixed_at: at,
                    received_at: at.plus_millis(delay),
                    log_offset: 0,
                    digest: 0,
                    latitude: Latitude::from_degrees(lat).unwrap(),
                    longitude: Longitude::from_degrees(lon).unwrap(),
                    altitude_m: None,
                    speed_dkmh: (fix.kmh * 10.0).round() as u16,
                    heading_deg: fix.heading,
                    alarm_flags: 0,
                    status_flags: fix.status | if fix.is_acc_on { 3 } else { 2 },
                    odometer_dkm: None,
                    satellites: Some(9),
                    inputs: Inputs {
                        vehicle_signals: fix.signals,
                        ..Inputs::default()
                    },
                    is_positioned: true,
                    is_backlog: is_late,
                }
            })
            .collect();
        positions.sort_by_key(|position| position.received_at);
        positions
    }

    fn check(&self, name: &str) {
        let catalog = self.catalog();
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        evaluator.observe_batch(&catalog, &self.positions());
        evaluator.tick(&catalog, Timestamp(self.start_ms + 2 * DAY_MS));
        let found = evaluator.violations(&PHONE.parse().unwrap());
        assert_eq!(found.len(), self.expected.len(), "{name}: {found:#?}");
        let seconds = |at: Timestamp| (at.0 - self.start_ms) as f64 / 1e3;
        for (violation, expected) in found.iter().zip(&self.expected) {
            let is = (violation.kind.as_str(), violation.rule.id.as_str());
            assert_eq!(
                is,
                (expected.kind.as_str(), expected.rule.as_str()),
                "{name}"
            );
            let near = |what: &str, is: f64, expected: f64, tolerance: f64| {
                assert!(
                    (is - expected).abs() <= tolerance,
                    "{name}: {what} {is}, not {expected}"
                );
            };
            near(
                "start",
                seconds(violation.started_at),
                expected.start_s,
                2.0,
            );
            near("worst", violation.worst, expected.worst, 2.0);
            assert_eq!(
                violation.ended_at.is_some(),
                expected.end_s.is_some(),
                "{name}"
            );
            if let Some((is, expected)) = violation.ended_at.zip(expected.end_s) {
                near("end", seconds(is), expected, 2.0);
            }
        }
    }
}

#[test]
fn every_scene_ends_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/geofence");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "scene")
    });
    files.sort();
    assert!(files.len() >= 28, "{} scenes", files.len());
    // Every scene that fails is named, not only the first.
    files.retain(|path| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).unwrap();
        std::panic::catch_unwind(|| Scene::read(&text).check(&name)).is_err()
    });
    assert!(files.is_empty(), "{files:#?}");
}
