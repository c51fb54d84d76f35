//! Threads that work in the background give the processor back every now and then.
//!
//! A low priority alone is not enough. A thread of `SCHED_IDLE` yields at once to whoever wakes on
//! its processor, but that processor never counts as idle: what waits behind another thread on
//! another processor is not fetched, up to the next tick. A pause, however short, lets the kernel
//! look. Who is not let back in at once knows that the processors are wanted, and pauses longer.
//!
//! Beside a store writer and an evaluator that only have a low priority, two processors
//! acknowledged 0.97 million positions a second in batches of 20, and 1.49 without the two
//! (`benches/ingest.rs`).

use std::{
    cell::Cell,
    thread,
    time::{Duration, Instant},
};

/// Work between two pauses: what waits elsewhere waits so long at most.
const WORK: Duration = Duration::from_micros(200);
/// The kernel makes some 55 µs of it.
const PAUSE_MIN: Duration = Duration::from_micros(1);
const PAUSE_MAX: Duration = Duration::from_millis(10);
/// A pause that took so much longer than asked for was made longer by others.
const PROMPT: Duration = Duration::from_micros(250);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pace {
    /// Since the last pause.
    since: Instant,
    /// The next one.
    pause: Duration,
}

thread_local! {
    /// None on threads that are not in the background.
    static PACE: Cell<Option<Pace>> = const { Cell::new(None) };
}

/// From now on the calling thread works in the background.
pub fn enter() {
    PACE.set(Some(Pace {
        since: Instant::now(),
        pause: PAUSE_MIN,
    }));
}

/// A good moment for a pause, between two short pieces of work. On other threads than those of the
/// background it does nothing.
pub fn give_way() {
    let Some(pace) = PACE.get() else {
        return;
    };
    let asleep = Instant::now();
    if asleep - pace.since >= WORK {
        thread::sleep(pace.pause);
        PACE.set(Some(pace.after(asleep.elapsed())));
    }
}

impl Pace {
    fn after(self, slept: Duration) -> Self {
        let is_prompt = slept <= self.pause + PROMPT;
        let pause = if is_prompt {
            self.pause / 2
        } else {
            self.pause * 2
        };
        Self {
            since: Instant::now(),
            pause: pause.clamp(PAUSE_MIN, PAUSE_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(pause: Duration, slept: u64) -> Duration {
        let since = Instant::now();
        let pace = Pace { since, pause }.after(Duration::from_micros(slept));
        pace.pause
    }

    #[test]
    fn who_is_not_let_back_in_at_once_pauses_longer_up_to_a_limit() {
        let mut pause = PAUSE_MIN;
        for _ in 0..20 {
            pause = micros(pause, 30_000);
        }
        assert_eq!(pause, PAUSE_MAX);
        for _ in 0..20 {
            pause = micros(pause, 55);
        }
        assert_eq!(pause, PAUSE_MIN);
    }

    #[test]
    fn only_threads_of_the_background_pause() {
        let paused = |works_in_background: bool| {
            thread::spawn(move || {
                if works_in_background {
                    enter();
                }
                let before = PACE.get();
                thread::sleep(WORK);
                give_way();
                PACE.get() != before
            })
            .join()
            .unwrap()
        };
        assert!(paused(true));
        assert!(!paused(false));
    }
}
