//! A fix on a route: the cursor beside the plain scan of all legs and beside `geo`, in the same run.
//!
//! 2,000 routes of 200 vertices, a vehicle on each, a fix a second, all vehicles in turn, so that
//! caches are as cold as in service. Then the same with everything that is judged of a route.

use std::{hint::black_box, time::Instant};

use benchmarks::city::{load, position, show};
use geo::{Distance, Euclidean};
use geofence::{
    catalog::CatalogSources,
    geometry::{Point, RouteCursor, RouteFix, RouteLine, Whereabouts},
    position::Position,
    track::{Evaluator, EvaluatorOptions},
    units::Timestamp,
};
use tools::random::Random;

const ROUTES: usize = 2_000;
const VERTICES: usize = 200;
const SECONDS: usize = 500;
const REPETITIONS: usize = 5;
/// Millimetres between vertices, and in a second.
const LEG_MM: f64 = 50_000.0;
const STEP_MM: f64 = 8_000.0;
const SIGMA_MM: f64 = 4_000.0;

fn main() {
    let mut random = Random::new(7);
    let paths: Vec<Vec<(f64, f64)>> = (0..ROUTES).map(|_| path(&mut random)).collect();
    let whole = |v: f64| format!("{v:.0}").parse::<i32>().unwrap_or(0);
    let point = |(x, y): (f64, f64)| Point {
        x: whole(x),
        y: whole(y),
    };
    let lines: Vec<RouteLine> = paths
        .iter()
        .filter_map(|path| RouteLine::new(&[path.iter().copied().map(point).collect()]))
        .collect();
    let fixes: Vec<Vec<Point>> = (0..SECONDS)
        .map(|second| {
            paths
                .iter()
                .map(|path| {
                    let (x, y) = place(path, second as f64 * STEP_MM);
                    let noise = |random: &mut Random| random.normal() * SIGMA_MM;
                    point((x + noise(&mut random), y + noise(&mut random)))
                })
                .collect()
        })
        .collect();
    let count = ROUTES * SECONDS;

    let cursor_ns = nanoseconds(count, || {
        let mut cursors = vec![RouteCursor::default(); ROUTES];
        let mut sum = 0.0;
        for second in &fixes {
            for ((line, cursor), point) in lines.iter().zip(&mut cursors).zip(second) {
                let fix = RouteFix {
                    point: *point,
                    sigma_mm: SIGMA_MM,
                    width_mm: 25_000.0,
                    hysteresis_mm: SIGMA_MM,
                    reach_mm: 35_000.0 + 3.0 * SIGMA_MM,
                    direction: None,
                };
                if let Whereabouts::On(spot) = cursor.follow(line, &fix) {
                    sum += spot.distance_mm;
                }
            }
        }
        sum
    });
    let nearest_ns = nanoseconds(count, || {
        let on = |second: &Vec<Point>| {
            let pairs = lines.iter().zip(second);
            pairs
                .map(|(line, point)| line.nearest(*point).distance_mm)
                .sum::<f64>()
        };
        fixes.iter().map(on).sum()
    });
    let naive_ns = nanoseconds(count, || {
        let on = |second: &Vec<Point>| {
            let pairs = paths.iter().zip(second);
            pairs.map(|(path, point)| naive(path, *point)).sum::<f64>()
        };
        fixes.iter().map(on).sum()
    });
    let strings: Vec<geo::LineString<f64>> = paths
        .iter()
        .map(|path| path.iter().copied().collect())
        .collect();
    // A tenth of the fixes is enough for the slow ones.
    let geo_ns = nanoseconds(count / 10, || {
        let on = |second: &Vec<Point>| {
            let pairs = strings.iter().zip(second);
            pairs
                .map(|(string, p)| {
                    let at = geo::Point::new(f64::from(p.x), f64::from(p.y));
                    Euclidean.distance(&at, string)
                })
                .sum::<f64>()
        };
        fixes.iter().step_by(10).map(on).sum()
    });
    show(&format!(
        "a fix on its route of {VERTICES} vertices: cursor {cursor_ns:.1} ns; all legs, by boxes \
         {nearest_ns:.0} ns; all legs, plainly {naive_ns:.0} ns ({:.0} times); geo {geo_ns:.0} ns",
        naive_ns / cursor_ns
    ));
    whole_evaluation(&paths, &fixes);
}

/// All checks with and without the routes, the same fixes.
fn whole_evaluation(paths: &[Vec<(f64, f64)>], fixes: &[Vec<Point>]) {
    let degrees = |x: f64, y: f64| (37.87 + y / 111_195_080.0, 112.55 + x / 87_776_900.0);
    let features: Vec<String> = (0..)
        .zip(paths)
        .map(|(index, path)| {
            let vertices: Vec<String> = path
                .iter()
                .map(|(x, y)| {
                    let (lat, lon) = degrees(*x, *y);
                    format!("[{lon:.6},{lat:.6}]")
                })
                .collect();
            format!(
                r#"{{"type":"Feature","properties":{{"id":"R{index}",
                    "applies_to":{{"vehicles":["V{index}"]}}}},
                    "geometry":{{"type":"LineString","coordinates":[{}]}}}}"#,
                vertices.join(",")
            )
        })
        .collect();
    let phone = |index: usize| 13_800_000_000 + index;
    let vehicles: Vec<String> = (0..ROUTES)
        .map(|index| format!("V{index},{}", phone(index)))
        .collect();
    let vehicles = format!("vehicle,phone\n{}\n", vehicles.join("\n"));
    let routes = format!(
        r#"{{"type":"FeatureCollection","features":[{}]}}"#,
        features.join(",")
    );
    let positions: Vec<Position> = fixes
        .iter()
        .enumerate()
        .flat_map(|(second, points)| {
            points.iter().enumerate().filter_map(move |(index, point)| {
                let (lat, lon) = degrees(f64::from(point.x), f64::from(point.y));
                let at = Timestamp(1_767_574_800_000 + second as i64 * 1_000);
                let terminal = phone(index).to_string().parse().ok()?;
                Some(Position {
                    digest: u32::try_from(second).ok()?,
                    ..position(terminal, at, lat, lon)
                })
            })
        })
        .collect();
    let run = |routes: Option<String>| {
        let catalog = load(&CatalogSources {
            routes: routes.map(|text| ("routes".to_owned(), text)),
            vehicles: Some(("vehicles".to_owned(), vehicles.clone())),
            ..CatalogSources::default()
        });
        nanoseconds(positions.len(), || {
            let mut evaluator = Evaluator::new(EvaluatorOptions::default());
            let batches = positions.chunks(4_096);
            let count: usize = batches
                .map(|batch| evaluator.observe_batch(&catalog, batch).len())
                .sum();
            count as f64
        })
    };
    let (without, with) = (run(None), run(Some(routes)));
    show(&format!(
        "all checks, in order: {without:.0} ns a fix without routes, {with:.0} ns with one"
    ));
}

/// A way with bends.
fn path(random: &mut Random) -> Vec<(f64, f64)> {
    let mut at = (random.between(-8e6, 8e6), random.between(-6e6, 6e6));
    let mut angle = random.between(0.0, std::f64::consts::TAU);
    (0..VERTICES)
        .map(|_| {
            angle += random.normal() * 0.4;
            let length = LEG_MM * random.between(0.5, 1.5);
            at = (at.0 + length * angle.cos(), at.1 + length * angle.sin());
            (at.0.round(), at.1.round())
        })
        .collect()
}

fn place(path: &[(f64, f64)], mut along: f64) -> (f64, f64) {
    for (a, b) in path.iter().zip(path.iter().skip(1)) {
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let length = dx.hypot(dy);
        if along <= length {
            return (a.0 + dx * along / length, a.1 + dy * along / length);
        }
        along -= length;
    }
    path.last().copied().unwrap_or_default()
}

/// The distance to every leg, one after the other.
fn naive(path: &[(f64, f64)], point: Point) -> f64 {
    let (x, y) = (f64::from(point.x), f64::from(point.y));
    path.iter()
        .zip(path.iter().skip(1))
        .map(|(a, b)| {
            let (ux, uy) = (b.0 - a.0, b.1 - a.1);
            let (px, py) = (x - a.0, y - a.1);
            let share = ((px * ux + py * uy) / (ux * ux + uy * uy)).clamp(0.0, 1.0);
            let (dx, dy) = (px - share * ux, py - share * uy);
            dx * dx + dy * dy
        })
        .fold(f64::INFINITY, f64::min)
        .sqrt()
}

/// The least time of several repetitions, a fix.
fn nanoseconds(count: usize, mut run: impl FnMut() -> f64) -> f64 {
    (0..REPETITIONS)
        .map(|_| {
            let started = Instant::now();
            black_box(run());
            started.elapsed().as_secs_f64() * 1e9 / count as f64
        })
        .fold(f64::INFINITY, f64::min)
}
