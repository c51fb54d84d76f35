//! A day that comes late: a vehicle that has its live fixes gets those of the past day, in batches as
//! a terminal sends them, beside the same fixes judged once in order, in the same run.
//!
//! A fix in 10 s for a day, 8,640 of them, and ten minutes of live fixes behind them; the batches are of
//! 50 fixes (0x0704), five of them a second, while live fixes go on. The whole catalog of the city is in
//! force.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use benchmarks::city::{WANDER_START, catalog_of, show, wander};
use geofence::{
    catalog::Catalog,
    position::Position,
    track::{Evaluator, EvaluatorOptions},
    units::Timestamp,
};
use tools::{
    city::{CityOptions, demo_city},
    random::Random,
};

const DAY_FIXES: usize = 8_640;
const LIVE_FIXES: usize = 60;
const BATCH: usize = 50;
const BATCH_EVERY_MS: i64 = 200;
const REPETITIONS: usize = 5;

fn main() {
    let city = demo_city(1, &CityOptions::FULL);
    let catalog = catalog_of(&city);
    late_day(&catalog);
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

fn end(positions: &[Position]) -> Timestamp {
    let last = positions.last().map(|position| position.received_at);
    last.unwrap_or(Timestamp(WANDER_START))
}

/// The quickest of several repetitions.
fn least(mut run: impl FnMut() -> (Duration, u64)) -> (Duration, u64) {
    (0..REPETITIONS)
        .map(|_| run())
        .min()
        .unwrap_or((Duration::ZERO, 0))
}
