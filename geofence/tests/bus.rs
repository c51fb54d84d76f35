//! A real bus line: the route is made from six of its trips, and all sixteen are judged by it.
//! The fixes are of `fixtures/tracks`, see the licence there.
//!
//! A bus does not sweep, and its fixes come about every 24 s: the route allows its speed, and takes
//! 45 s between fixes as seen. What is compared is what anyone can read from the track: from where
//! to where a trip goes, and where it is far from where all others are.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "speeds and headings of a bus are small"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a track that cannot be read must stop the test"
)]

use std::collections::BTreeMap;

use geofence::{
    catalog::{Catalog, CatalogSources},
    checks::RouteParameters,
    geometry::{Point, RouteLine},
    position::Position,
    track::{Evaluator, EvaluatorOptions},
    units::{Latitude, Longitude, Timestamp},
    violation::{Violation, ViolationKind},
};

const PHONE: &str = "13800000001";
/// The trips that the route is made from; all of them but the last go from end to end.
const MODELS: [&str; 6] = ["1097", "1099", "1101", "1105", "1095", "1107"];
/// About the middle of the line.
const MIDDLE: (f64, f64) = (53.435, -2.94);
const NORTH_M: f64 = 111_195.08;
const EAST_M: f64 = 66_230.0;
/// The route has a vertex for each of these, the mean of all fixes there.
const PIECE_MM: f64 = 40_000.0;

/// 2026-01-26T00:00 UTC.
const MIDNIGHT_MS: i64 = 1_769_385_600_000;

#[derive(Clone, Copy)]
struct Fix {
    at_ms: i64,
    lat: f64,
    lon: f64,
}

impl Fix {
    fn point(&self) -> Point {
        Point {
            x: ((self.lon - MIDDLE.1) * EAST_M * 1e3).round() as i32,
            y: ((self.lat - MIDDLE.0) * NORTH_M * 1e3).round() as i32,
        }
    }
}

fn trips() -> BTreeMap<String, Vec<Fix>> {
    let text = include_str!("../../fixtures/tracks/bus_route14_outbound.csv");
    let mut trips: BTreeMap<String, Vec<Fix>> = BTreeMap::new();
    for record in csv::Reader::from_reader(text.as_bytes()).records() {
        let record = record.unwrap();
        let field = |index: usize| record.get(index).unwrap();
        let (date, time) = field(3).split_once(' ').unwrap();
        assert_eq!(date, "2026-01-26");
        let seconds = time
            .split(':')
            .fold(0, |sum, part| sum * 60 + part.parse::<i64>().unwrap());
        trips.entry(field(2).to_owned()).or_default().push(Fix {
            at_ms: MIDNIGHT_MS + seconds * 1_000,
            lat: field(4).parse().unwrap(),
            lon: field(5).parse().unwrap(),
        });
    }
    for trip in trips.values_mut() {
        trip.sort_by_key(|fix| fix.at_ms);
        trip.dedup_by_key(|fix| fix.at_ms);
    }
    trips
}

/// The line that the model trips drive: begun with one of them, then the mean of all.
fn line(trips: &BTreeMap<String, Vec<Fix>>) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for fix in trips.get("1105").unwrap() {
        let point = fix.point();
        if points
            .last()
            .is_none_or(|last| last.distance_mm(point) > 30e3)
        {
            points.push(point);
        }
    }
    for _ in 0..3 {
        let line = RouteLine::new(&[points]).unwrap();
        let mut pieces: BTreeMap<i64, Vec<Point>> = BTreeMap::new();
        for fix in MODELS.iter().flat_map(|trip| trips.get(*trip).unwrap()) {
            let spot = line.nearest(fix.point());
            if spot.distance_mm < 60e3 {
                let piece = (spot.along_mm / PIECE_MM).floor() as i64;
                pieces.entry(piece).or_default().push(fix.point());
            }
        }
        points = pieces.values().map(|points| mean(points)).collect();
    }
    points
}

fn mean(points: &[Point]) -> Point {
    let count = points.len() as i64;
    let mean = |sum: i64| (sum / count) as i32;
    Point {
        x: mean(points.iter().map(|p| i64::from(p.x)).sum()),
        y: mean(points.iter().map(|p| i64::from(p.y)).sum()),
    }
}

fn lon_lat(point: Point) -> String {
    let lon = MIDDLE.1 + f64::from(point.x) / 1e3 / EAST_M;
    let lat = MIDDLE.0 + f64::from(point.y) / 1e3 / NORTH_M;
    format!("[{lon:.6},{lat:.6}]")
}

/// Where the collection points are, as shares of the route. Passing by is a visit.
const SHARES: [f64; 6] = [0.1, 0.3, 0.5, 0.7, 0.85, 0.95];

fn catalog(points: &[Point], are_reversed: bool) -> Catalog {
    let mut stops: Vec<String> = stops(points)
        .into_iter()
        .map(|(stop, at)| {
            let (id, at) = (stop.trim_start_matches("14/"), lon_lat(at));
            format!(r#"{{"id":"{id}","at":{at},"stay_s":0,"radius_m":60}}"#)
        })
        .collect();
    if are_reversed {
        stops.reverse();
    }
    let vertices: Vec<String> = points.iter().map(|point| lon_lat(*point)).collect();
    let routes = format!(
        r#"{{"type":"FeatureCollection","features":[{{"type":"Feature","properties":{{
            "id":"14","applies_to":{{"vehicles":["bus"]}},"direction":"forward",
            "windows":[{{"from":"23:30","to":"03:00"}}],"sight_s":45,"speed_min_kmh":0,
            "speed_max_kmh":70,"sweep_reach_m":25,"points":[{}]}},
            "geometry":{{"type":"LineString","coordinates":[{}]}}}}]}}"#,
        stops.join(","),
        vertices.join(",")
    );
    let sources = CatalogSources {
        routes: Some(("routes".to_owned(), routes)),
        vehicles: Some((
            "vehicles".to_owned(),
            format!("vehicle,phone\nbus,{PHONE}\n"),
        )),
        ..CatalogSources::default()
    };
    Catalog::load(&sources).unwrap()
}

/// The trip as a terminal would report it: parked before and behind it, with speed and heading from
/// the way between fixes.
fn positions(trip: &[Fix]) -> Vec<Position> {
    let position = |fix: &Fix, mps: f64, heading: f64, is_on: bool| Position {
        terminal: PHONE.parse().unwrap(),
        fixed_at: Timestamp(fix.at_ms),
        received_at: Timestamp(fix.at_ms),
        log_offset: 0,
        digest: 0,
        latitude: Latitude::from_degrees(fix.lat).unwrap(),
        longitude: Longitude::from_degrees(fix.lon).unwrap(),
        altitude_m: None,
        speed_dkmh: (mps * 36.0).round() as u16,
        heading_deg: heading.rem_euclid(360.0) as u16,
        alarm_flags: 0,
        status_flags: if is_on { 3 } else { 2 },
        odometer_dkm: None,
        satellites: None,
        inputs: Default::default(),
        is_positioned: true,
        is_backlog: false,
    };
    let (first, last) = (trip.first().unwrap(), trip.last().unwrap());
    let parked = |fix: &Fix, at_ms: i64| position(&Fix { at_ms, ..*fix }, 0.0, 0.0, false);
    let mut positions = vec![parked(first, MIDNIGHT_MS + 15 * 3_600_000)];
    positions.push(position(first, 0.0, 0.0, true));
    for pair in trip.windows(2) {
        let [before, fix] = pair else { continue };
        let (a, b) = (before.point(), fix.point());
        let (east, north) = (
            f64::from(b.x) - f64::from(a.x),
            f64::from(b.y) - f64::from(a.y),
        );
        // Metres a second are millimetres a millisecond.
        let mps = east.hypot(north) / (fix.at_ms - before.at_ms) as f64;
        positions.push(position(fix, mps, east.atan2(north).to_degrees(), true));
    }
    positions.push(parked(last, last.at_ms + 20_000));
    positions.push(parked(last, last.at_ms + 40_000));
    positions
}

fn judge(catalog: &Catalog, trip: &[Fix]) -> Vec<Violation> {
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    evaluator.observe_batch(catalog, &positions(trip));
    evaluator.tick(catalog, Timestamp(MIDNIGHT_MS + 24 * 3_600_000));
    evaluator.violations(&PHONE.parse().unwrap())
}

fn of_kind(violations: &[Violation], kind: ViolationKind) -> Vec<&Violation> {
    violations.iter().filter(|v| v.kind == kind).collect()
}

/// The share of the route from the first to the last fix of a trip.
fn share(line: &RouteLine, trip: &[Fix]) -> f64 {
    let along = |fix: &Fix| line.nearest(fix.point()).along_mm / line.length_mm();
    along(trip.last().unwrap()) - along(trip.first().unwrap())
}

/// The places of the collection points, by their names.
fn stops(points: &[Point]) -> Vec<(String, Point)> {
    let line = RouteLine::new(&[points.to_vec()]).unwrap();
    let at = |share: f64| {
        *points
            .get(line.leg_at(share * line.length_mm(), false).0)
            .unwrap()
    };
    (1..)
        .zip(SHARES)
        .map(|(number, share)| (format!("14/p{number}"), at(share)))
        .collect()
}

/// This one comes to the line at 1.6 km only, by other streets of the centre, up to 326 m away.
const DIVERTED: &str = "1103";

#[test]
fn each_trip_covers_what_it_drives_and_misses_what_it_does_not_reach() {
    let trips = trips();
    assert_eq!(trips.len(), 16);
    let points = line(&trips);
    let line = RouteLine::new(std::slice::from_ref(&points)).unwrap();
    assert!((9_500.0..10_500.0).contains(&(line.length_mm() / 1e3)));
    let catalog = catalog(&points, false);
    let (mut whole, mut parts) = (0, 0);
    for (name, trip) in &trips {
        let violations = judge(&catalog, trip);
        let share = share(&line, trip);
        let coverage = of_kind(&violations, ViolationKind::Coverage);
        if share > 0.95 && name != DIVERTED {
            whole += 1;
            assert_eq!(violations, [], "{name} drives all of it");
            continue;
        }
        parts += 1;
        assert_eq!(coverage.len(), 1, "{name}: {violations:#?}");
        let found = coverage.first().unwrap();
        let driven = 100.0 * share;
        if name == DIVERTED {
            assert!((80.0..85.0).contains(&found.worst), "{}", found.worst);
        } else {
            // What was not seen for longer than 45 s counts as unobserved.
            let unseen = found.evidence.measured.get("unobserved_m").unwrap() / 100.0;
            let range = driven - 3.0 - unseen..=driven + 3.0;
            assert!(
                range.contains(&found.worst),
                "{name}: {driven}, {}",
                found.worst
            );
        }
        let swept = found.evidence.measured.get("swept_m").unwrap();
        let lacking: f64 = found
            .evidence
            .stretches
            .iter()
            .map(|s| s.to_m - s.from_m)
            .sum();
        assert!(
            (swept + lacking - line.length_mm() / 1e3).abs() < 25.0,
            "{swept} {lacking}"
        );
        // A point is missed when the way between the fixes stays farther away than its radius.
        let way = RouteLine::new(&[trip.iter().map(Fix::point).collect()]).unwrap();
        let far: Vec<String> = stops(&points)
            .into_iter()
            .filter(|(_, at)| way.nearest(*at).distance_mm > 60e3 && !is_unseen(trip, *at))
            .map(|(stop, _)| stop)
            .collect();
        let missed = of_kind(&violations, ViolationKind::MissedPoint);
        let mut missed: Vec<String> = missed.iter().map(|v| v.rule.id.clone()).collect();
        missed.sort();
        assert_eq!(missed, far, "{name}");
        assert_eq!(
            of_kind(&violations, ViolationKind::WrongOrder).len(),
            0,
            "{name}"
        );
    }
    assert_eq!((whole, parts), (6, 10));
}

/// Whether the bus can have been at a place, as fast as it ever drives on this trip, while it was not
/// seen for more than 45 s.
fn is_unseen(trip: &[Fix], at: Point) -> bool {
    let speeds = positions(trip).into_iter().map(|fix| fix.speed_dkmh);
    let mps = RouteParameters::unseen_mps(speeds.max().unwrap());
    trip.windows(2).any(|pair| {
        let [a, b] = pair else { return false };
        let elapsed_ms = b.at_ms - a.at_ms;
        let way_mm = a.point().distance_mm(at) + b.point().distance_mm(at) - 120e3;
        elapsed_ms > 45_000 && way_mm <= mps * elapsed_ms as f64
    })
}

#[test]
fn nobody_leaves_the_route_that_he_was_on() {
    let trips = trips();
    let catalog = catalog(&line(&trips), false);
    for (name, trip) in &trips {
        let violations = judge(&catalog, trip);
        let left = of_kind(&violations, ViolationKind::RouteDeviation);
        // The diverted one was never on it before, so it has not left it either.
        assert_eq!(left.len(), 0, "{name}: {left:#?}");
    }
}

#[test]
fn driven_backwards_the_diverted_trip_leaves_the_route_and_so_does_one_at_the_station() {
    let trips = trips();
    let catalog = catalog(&line(&trips), false);
    let mut left = BTreeMap::new();
    for (name, trip) in &trips {
        let ends = trip.first().unwrap().at_ms + trip.last().unwrap().at_ms;
        let back = |fix: &Fix| Fix {
            at_ms: ends - fix.at_ms,
            ..*fix
        };
        let back: Vec<Fix> = trip.iter().rev().map(back).collect();
        for v in of_kind(&judge(&catalog, &back), ViolationKind::RouteDeviation) {
            left.insert(name.clone(), v.clone());
        }
    }
    let names: Vec<&String> = left.keys().collect();
    // The other one stands 122 m beside the line at the bus station, where the line begins.
    assert_eq!(names, [DIVERTED, "1111"], "{left:#?}");
    let station = left.get("1111").unwrap();
    assert!((120.0..125.0).contains(&station.worst), "{}", station.worst);
    assert!(*station.evidence.measured.get("left_at_m").unwrap() < 150.0);
    let v = left.get(DIVERTED).unwrap();
    assert!((320.0..330.0).contains(&v.worst), "{}", v.worst);
    let left_at_m = v.evidence.measured.get("left_at_m").unwrap();
    assert!((1_590.0..1_620.0).contains(left_at_m), "{left_at_m}");
}

#[test]
fn points_in_the_opposite_order_are_each_passed_over_until_they_are_reached() {
    let trips = trips();
    let points = line(&trips);
    let catalog = catalog(&points, true);
    let violations = judge(&catalog, trips.get("1101").unwrap());
    let orders = of_kind(&violations, ViolationKind::WrongOrder);
    let mut rules: Vec<&str> = orders.iter().map(|v| v.rule.id.as_str()).collect();
    rules.sort_unstable();
    // The last of the list is the first on the way, so nothing is before it.
    assert_eq!(rules, ["14/p2", "14/p3", "14/p4", "14/p5", "14/p6"]);
    assert!(orders.iter().all(|v| v.ended_at.is_some()), "{orders:#?}");
    assert_eq!(violations.len(), orders.len());
}
