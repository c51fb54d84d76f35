//! What a tracked vehicle takes of the memory: its fixes within the horizon and the checkpoints between
//! them, its live state, and what was found of it.
//!
//! Without routes it wanders through the city at full size. With routes it sweeps streets of 3.5 km, both
//! kerbs, that have 20 collection points each and are to be driven twice: to and fro at 14 km/h for some
//! twelve hours, standing at the points, now and then too fast, out of sight or beside the line; then it
//! parks. The windows of all its routes last all day, so that all of them are judged at once.

use std::hint::black_box;

use allocation_counter::measure;
use benchmarks::city::{WANDER_START, catalog_of, load, position, show, wander};
use geofence::{
    catalog::{Catalog, CatalogSources},
    identity::TerminalId,
    position::Position,
    track::{Evaluator, EvaluatorOptions},
    units::Timestamp,
};
use tools::{
    city::{CityOptions, demo_city},
    random::Random,
};

const DAY_S: usize = 86_400;
const PHONE: &str = "13800000001";
/// Monday 2026-01-05 00:00 at local time.
const MONDAY_MS: i64 = 1_767_542_400_000;
const STREET_M: f64 = 3_500.0;
const APART_M: f64 = 400.0;
const POINTS: usize = 20;
const STAY_S: usize = 25;

fn main() {
    let city = demo_city(1, &CityOptions::FULL);
    let catalog = catalog_of(&city);
    for (what, every_ms, fixes) in [
        ("its first fix", 10_000, 1),
        ("a day of fixes, one in 10 s", 10_000, DAY_S / 10),
        ("a day of fixes, one a second", 1_000, DAY_S),
        // One in 10 s would be beyond the horizon before so many are there.
        ("more fixes than are kept (65,536)", 3_000, 70_000),
    ] {
        let mut positions = wander(&catalog, fixes);
        for (index, position) in (0..).zip(&mut positions) {
            position.fixed_at = Timestamp(WANDER_START + index * every_ms);
            position.received_at = position.fixed_at;
        }
        measured(&catalog, what, &positions);
    }
    for routes in [1, 20] {
        let catalog = with_routes(routes);
        let day = swept(routes);
        for (every_s, rate) in [(10, "one in 10 s"), (1, "one a second")] {
            let positions: Vec<Position> = day.iter().step_by(every_s).cloned().collect();
            let what = format!("{routes} routes and a day of fixes, {rate}");
            measured(&catalog, &what, &positions);
        }
    }
}

fn measured(catalog: &Catalog, what: &str, positions: &[Position]) {
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    // What all vehicles share is there before.
    let mut other = positions.first().cloned().into_iter().collect::<Vec<_>>();
    for position in &mut other {
        position.terminal = terminal("13800009999");
    }
    black_box(evaluator.observe_batch(catalog, &other));
    evaluator.take_counts();
    let allocated = measure(|| {
        for batch in positions.chunks(4_096) {
            black_box(evaluator.observe_batch(catalog, batch).len());
        }
    });
    let shed = evaluator.take_counts();
    let of = positions.first().map(|position| position.terminal);
    let found = of.map_or(0, |terminal| evaluator.violations(&terminal).len());
    show(&format!(
        "memory of a vehicle with {what}: {} KiB; {} fixes in all, {} shed for their number and {} \
         for their bytes; {found} violations",
        allocated.bytes_current / 1_024,
        positions.len(),
        shed.shed_by_count,
        shed.shed_by_bytes
    ));
}

/// Streets from west to east, one north of the other.
fn with_routes(count: usize) -> Catalog {
    let lon_lat = |x: f64, y: f64| {
        let (latitude, longitude) = degrees(x, y);
        format!("[{longitude:.7},{latitude:.7}]")
    };
    let route = |index: usize| {
        let y = index as f64 * APART_M;
        let point = |number: usize| {
            let x = point_at(number);
            format!(r#"{{"id":"p{number}","at":{}}}"#, lon_lat(x, y - 8.0))
        };
        let points: Vec<String> = (0..POINTS).map(point).collect();
        let vertex = |number: usize| lon_lat(STREET_M * number as f64 / 200.0, y);
        let line: Vec<String> = (0..=200).map(vertex).collect();
        format!(
            r#"{{"type":"Feature","properties":{{"id":"R{index}","side":"both","passes":2,
                "applies_to":{{"vehicles":["V1"]}},"points":[{}],
                "windows":[{{"days":["mon","tue"],"from":"00:00","to":"23:59"}}]}},
                "geometry":{{"type":"LineString","coordinates":[{}]}}}}"#,
            points.join(","),
            line.join(",")
        )
    };
    let routes: Vec<String> = (0..count).map(route).collect();
    let named = |name: &str, text: String| Some((name.to_owned(), text));
    load(&CatalogSources {
        routes: named(
            "routes",
            format!(
                r#"{{"type":"FeatureCollection","features":[{}]}}"#,
                routes.join(",")
            ),
        ),
        vehicles: named("vehicles", format!("vehicle,phone\nV1,{PHONE}\n")),
        ..CatalogSources::default()
    })
}

fn point_at(number: usize) -> f64 {
    STREET_M * (number as f64 + 0.5) / POINTS as f64
}

/// A day of the vehicle, a fix a second, less what nobody saw.
fn swept(routes: usize) -> Vec<Position> {
    let mut random = Random::new(11);
    let mut day: Vec<Position> = Vec::with_capacity(DAY_S);
    let mut second = 0;
    let (mut dark_until, mut aside_m) = (0, 0.0);
    let mut fix = |random: &mut Random, at: (f64, f64), mps: f64| {
        second += 1;
        if second > DAY_S {
            return;
        }
        if random.chance(1.0 / 1_800.0) {
            dark_until = second + 60;
        }
        if second < dark_until {
            return;
        }
        if random.chance(1.0 / 60.0) {
            aside_m = if random.chance(0.2) {
                random.between(-25.0, 25.0)
            } else {
                random.normal() * 3.0
            };
        }
        let (latitude, longitude) = degrees(at.0, at.1 + aside_m + random.normal() * 0.5);
        let at = Timestamp(MONDAY_MS + second as i64 * 1_000);
        day.push(Position {
            log_offset: second as u64,
            digest: u32::try_from(second).unwrap_or(u32::MAX),
            speed_dkmh: format!("{:.0}", mps * 36.0).parse().unwrap_or(0),
            ..position(terminal(PHONE), at, latitude, longitude)
        });
    };
    // Both kerbs twice: there and back, and once more.
    for round in 0..routes * 4 {
        let y = (round / 4) as f64 * APART_M;
        let is_back = round % 2 == 1;
        let (mut along, mut mps, mut next) = (0.0, 3.9, 0);
        while along < STREET_M {
            if random.chance(0.02) {
                mps = if random.chance(0.2) { 6.0 } else { 3.9 };
            }
            along += mps;
            let x = if is_back { STREET_M - along } else { along };
            let kerb = if is_back { 4.0 } else { -4.0 };
            fix(&mut random, (x, y + kerb), mps);
            if round % 4 == 0 && next < POINTS && along >= point_at(next) {
                next += 1;
                for _ in 0..STAY_S {
                    fix(&mut random, (x, y + kerb), 0.0);
                }
            }
        }
    }
    let home = (0.0, (routes - 1) as f64 * APART_M);
    for _ in 0..DAY_S {
        fix(&mut random, home, 0.0);
    }
    day
}

/// Metres east and north of the city's centre.
fn degrees(x: f64, y: f64) -> (f64, f64) {
    (37.87 + y / 111_195.08, 112.55 + x / 87_776.9)
}

fn terminal(phone: &str) -> TerminalId {
    phone
        .parse()
        .unwrap_or_else(|_| panic!("{phone} is a phone number"))
}
