//! Everything behind the socket, stepped: records as ingest makes them → the log on a disk that
//! fails → the store writer and the evaluator of the gateway → a store that fails. Kills and power
//! cuts at any step, resends, retention. No threads, no time: one seed, one story.
//!
//! At the end of each story: what was acknowledged is stored once, or in quarantine once; nothing
//! else is there; the books balance; and the cases are those of an evaluation that nothing
//! disturbed.
//!
//! `followers.rs` has what is too rare for stories; `outbox.rs` the stories of cases that go out.
//!
//! `GRIDTRACE_FAULT_SEEDS=20000` runs more stories than usual, `GRIDTRACE_FAULT_SEED=7` only that
//! one.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that finds something unexpected has failed"
)]

mod followers;
mod judge;
mod outbox;
mod process;
mod reports;
mod story;
mod terminals;

use std::sync::Arc;

use storage::{
    embedded::EmbeddedStore,
    store::{Store, memory::MemoryStore},
};

use crate::{
    process::City,
    story::{Story, Totals},
};

const ACTIONS: usize = 300;

/// Says how to repeat the story in which the test fails.
struct Repeat {
    seed: u64,
    test: &'static str,
}

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, test } = self;
            eprintln!(
                "repeat with: GRIDTRACE_FAULT_SEED={seed} cargo test -p suites --test stages {test}"
            );
        }
    }
}

fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap())
}

/// Tells the stories of some seeds, a `share` of them where another number is asked for, and what
/// happened in all of them together.
fn tell(
    test: &'static str,
    usual: u64,
    share: u64,
    store: impl Fn() -> Arc<dyn Store>,
) -> Option<Totals> {
    let asked = number("GRIDTRACE_FAULT_SEEDS").map(|seeds| seeds.div_ceil(share));
    let only = number("GRIDTRACE_FAULT_SEED");
    let seeds = match only {
        Some(seed) => seed..seed + 1,
        None => 0..asked.unwrap_or(usual),
    };
    let city = City::new();
    let mut totals = Totals::default();
    for seed in seeds {
        let _repeat = Repeat { seed, test };
        let mut story = Story::new(seed, &city, store());
        for _ in 0..ACTIONS {
            story.act();
        }
        story.finish();
        totals.add(story.totals());
    }
    eprintln!("{test}: {totals:?}");
    only.is_none().then_some(totals)
}

#[test]
fn what_was_acknowledged_is_stored_once_whatever_fails() {
    let test = "what_was_acknowledged_is_stored_once_whatever_fails";
    let totals = tell(test, 2_000, 1, || Arc::new(MemoryStore::default()));
    if let Some(totals) = totals {
        totals.assert_all_happened();
    }
}

#[test]
fn and_so_in_sqlite() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let numbers = std::cell::Cell::new(0);
    let totals = tell("and_so_in_sqlite", 60, 30, || {
        numbers.set(numbers.get() + 1);
        let path = folder.path().join(numbers.get().to_string());
        Arc::new(EmbeddedStore::open(&path).unwrap())
    });
    assert!(totals.is_none_or(|totals| totals.stored > 0 && totals.ended_at_the_store > 0));
}

#[test]
fn the_same_seed_is_the_same_story() {
    let city = City::new();
    let end = |seed| {
        let mut story = Story::new(seed, &city, Arc::new(MemoryStore::default()));
        for _ in 0..ACTIONS {
            story.act();
        }
        story.finish();
        story.totals()
    };
    for seed in 0..20 {
        assert_eq!(end(seed), end(seed), "seed {seed} cannot be repeated");
    }
}
