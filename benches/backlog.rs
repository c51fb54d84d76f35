//! A day that comes late: a vehicle that has its live fixes gets those of the past day, in batches as
//! a terminal sends them, beside the same fixes judged once in order, in the same run. And what a
//! vehicle costs in memory.
//!
//! A fix in 10 s for a day, 8,640 of them, and ten minutes of live fixes behind them; the batches are of
//! 50 fixes (0x0704), five of them a second, while live fixes go on. The whole catalog of the city is in
//! force.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use allocation_counter::measure;
use benchmarks::city::{catalog_of, position, show};
use geofence::{
    catalog::Catalog,
    identity::TerminalId,
    position::Position,
    track::{Evaluator, EvaluatorOptions},
    units::Timestamp,
};
use tools::{
    city::{CityOptions, demo_city},
    random::Random,
};

const DAY_FIXES: usize = 8_640;
const EVERY_MS: i64 = 10_000;
const LIVE_FIXES: usize = 60;
const BATCH: usize = 50;
const BATCH_EVERY_MS: i64 = 200;
const START: i64 = 1_767_574_800_000;
const REPETITIONS: usize = 5;

fn main() {
    let city = demo_city(1, &CityOptions::FULL);
    let catalog = catalog_of(&city);
    late_day(&catalog);
    memory(&catalog);
}

fn late_day(catalog: &Catalog) {
    let positions = wander(catalog, DAY_FIXES + LIVE_FIXES + 10);
    let (day, rest) = positions.split_at(DAY_FIXES);
    let (live, later) = rest.split_at(LIVE_FIXES);
    let in_order = least(|| {
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        let started = Instant::now();
        for batch in positions.chunks(BATCH) {
            black_box(evaluator.observe_batch(catalog, batch));
        }
        black_box(evaluator.tick(catalog, end(&positions)));
        (started.elapsed(), 0)
    });
    let count = positions.len();
    show(&format!(
        "{count} fixes judged in order: {:.1} ms",
        in_order.0.as_secs_f64() * 1e3
    ));
    let batches = || day.chunks(BATCH).map(<[Position]>::to_vec);
    let shuffled = |seed: u64| {
        let mut batches: Vec<_> = batches().collect();
        let mut random = Random::new(seed);
        for last in (1..batches.len()).rev() {
            batches.swap(last, random.index(last + 1));
        }
        batches
    };
    for (order, late) in [
        ("oldest first", batches().collect::<Vec<_>>()),
        ("newest first", batches().rev().collect()),
        ("batches in any order", shuffled(5)),
    ] {
        let merged = least(|| merge(catalog, live, &late, later));
        show(&format!(
            "the same, the day late, {order}: {:.1} ms, judged again {} times; {:.1} times",
            merged.0.as_secs_f64() * 1e3,
            merged.1,
            merged.0.as_secs_f64() / in_order.0.as_secs_f64()
        ));
    }
}

/// How long it takes to merge the day, without the live fixes before it, and how often the track is
/// judged again.
fn merge(
    catalog: &Catalog,
    live: &[Position],
    late: &[Vec<Position>],
    later: &[Position],
) -> (Duration, u64) {
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    black_box(evaluator.observe_batch(catalog, live));
    let mut clock = end(live);
    let mut later = later.iter().peekable();
    let batches: Vec<Vec<Position>> = late
        .iter()
        .map(|batch| {
            clock = clock.plus_millis(BATCH_EVERY_MS);
            let mut batch = batch.clone();
            for position in &mut batch {
                position.received_at = clock;
                position.is_backlog = true;
            }
            batch.extend(later.next_if(|live| live.fixed_at <= clock).cloned());
            batch
        })
        .collect();
    let started = Instant::now();
    for batch in &batches {
        black_box(evaluator.observe_batch(catalog, batch));
    }
    black_box(evaluator.tick(catalog, clock.plus_millis(60_000)));
    (started.elapsed(), evaluator.take_counts().rerun)
}

fn memory(catalog: &Catalog) {
    for (what, fixes) in [
        ("its first fix", 1),
        ("a day of fixes, one in 10 s", DAY_FIXES),
        ("more fixes than are kept (65,536)", 70_000),
    ] {
        // One in 10 s would be beyond the horizon before so many are there.
        let every_ms = if fixes > DAY_FIXES { 3_000 } else { EVERY_MS };
        let mut positions = wander(catalog, fixes);
        for (index, position) in (0..).zip(&mut positions) {
            position.fixed_at = Timestamp(START + index * every_ms);
            position.received_at = position.fixed_at;
        }
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        // What all vehicles share is there before.
        let mut other = positions.first().cloned().into_iter().collect::<Vec<_>>();
        for position in &mut other {
            position.terminal = terminal("13800009999");
        }
        black_box(evaluator.observe_batch(catalog, &other));
        let allocated = measure(|| {
            for batch in positions.chunks(4_096) {
                black_box(evaluator.observe_batch(catalog, batch).len());
            }
        });
        show(&format!(
            "memory of a vehicle with {what}: {} KiB",
            allocated.bytes_current / 1_024
        ));
        black_box(&evaluator);
    }
}

/// A vehicle of the catalog that wanders, stands for a while, and wanders on.
fn wander(catalog: &Catalog, count: usize) -> Vec<Position> {
    let [west, south, east, north] = catalog.bounds_degrees().unwrap_or_default();
    let mut random = Random::new(3);
    let (mut lat, mut lon) = (random.between(south, north), random.between(west, east));
    let (mut angle, mut mps) = (0.5, 8.0);
    let terminal = catalog.vehicles().first().map(|vehicle| vehicle.terminal);
    let terminal = terminal.unwrap_or_else(|| self::terminal("13800000000"));
    (0..count)
        .map(|index| {
            if random.chance(0.05) {
                angle = random.between(0.0, std::f64::consts::TAU);
                mps = if random.chance(0.3) {
                    0.0
                } else {
                    random.between(2.0, 14.0)
                };
            }
            lat = (lat + f64::sin(angle) * mps * 10.0 / 111_195.0).clamp(south, north);
            lon = (lon + f64::cos(angle) * mps * 10.0 / 87_800.0).clamp(west, east);
            let at = Timestamp(START + index as i64 * EVERY_MS);
            let noise = |random: &mut Random| random.normal() * 3.0 / 100_000.0;
            let latitude = lat + noise(&mut random);
            let longitude = lon + noise(&mut random);
            Position {
                log_offset: index as u64,
                digest: u32::try_from(index).unwrap_or(u32::MAX),
                speed_dkmh: format!("{:.0}", mps * 36.0).parse().unwrap_or(0),
                ..position(terminal, at, latitude, longitude)
            }
        })
        .collect()
}

fn terminal(phone: &str) -> TerminalId {
    phone
        .parse()
        .unwrap_or_else(|_| panic!("{phone} is a phone number"))
}

fn end(positions: &[Position]) -> Timestamp {
    let last = positions.last().map(|position| position.received_at);
    last.unwrap_or(Timestamp(START))
}

/// The quickest of several repetitions.
fn least(mut run: impl FnMut() -> (Duration, u64)) -> (Duration, u64) {
    (0..REPETITIONS)
        .map(|_| run())
        .min()
        .unwrap_or((Duration::ZERO, 0))
}
