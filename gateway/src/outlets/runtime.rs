//! Runtimes of their own for what follows the log, at a lower priority than terminals: a machine
//! at its limit acknowledges first and catches up afterwards. Lag is visible, and bounded by the
//! size of the log: at the limit nothing is acknowledged any more, which gives the machine back to
//! what follows.
//!
//! - The bulk, positions into the store and their judging, runs when nothing else wants to
//!   (`SCHED_IDLE`). It computes for long stretches. A mere niceness keeps the processor to the end of
//!   its slice: up to 3 ms for a terminal's response. With the evaluator at a niceness of 5 a full
//!   machine took in 1.04 million positions a second in batches of 20, not 1.20, and at half load the
//!   99th percentile of a response was 27 ms, not 17 (`benches/ingest.rs`).
//! - Cases, from their desk to delivery, are somebody's second: a person or a receiver waits for them.
//!   They are a small part of the work and compute for short stretches, so that a niceness suffices.
//!   It also is a share of a full machine, which `SCHED_IDLE` is not.
//!
//! Beside a program that computes all the time the bulk gets next to nothing, and where that is not a
//! terminal's work nothing gives the machine back. On such a machine it can be given the priority of
//! cases (`bulk_priority`).
//!
//! Both pause every now and then ([`storage::background`]): a processor that is never idle fetches
//! nothing from the queue of another.
//!
//! A transaction of the bulk in the embedded store is waited for by cases, at the pace of the bulk:
//! therefore it is a short one (`commit_rows_max`).

use std::io;

use thread_priority::{
    NormalThreadSchedulePolicy::{self, Idle, Other},
    ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use tokio::runtime::{Builder, Handle, Runtime};

/// Of 99, where terminals have 48: a niceness of 5, a third of a terminal's share.
const CASES_PRIORITY: u8 = 35;

/// The runtimes. Dropping them ends what runs on them.
#[derive(Debug)]
pub struct OutletsRuntime {
    bulk: Lane,
    cases: Lane,
}

impl OutletsRuntime {
    /// Starts its threads; those of the bulk run when nothing else wants to, or as those of cases.
    ///
    /// # Errors
    /// When they cannot be started.
    pub fn start(is_bulk_idle: bool) -> io::Result<Self> {
        let idle = || {
            storage::background::enter();
            step_back(ThreadPriority::Min, Idle);
        };
        let low = || {
            storage::background::enter();
            if let Ok(priority) = CASES_PRIORITY.try_into() {
                step_back(ThreadPriority::Crossplatform(priority), Other);
            }
        };
        Ok(Self {
            bulk: Lane::start("outlet", if is_bulk_idle { idle } else { low })?,
            cases: Lane::start("cases", low)?,
        })
    }

    /// For what goes over every position.
    #[must_use]
    pub const fn bulk(&self) -> &Handle {
        &self.bulk.handle
    }

    /// For what moves cases and brings them to their receivers.
    #[must_use]
    pub const fn cases(&self) -> &Handle {
        &self.cases.handle
    }
}

/// One runtime, with threads for work that blocks of its own.
#[derive(Debug)]
struct Lane {
    handle: Handle,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl Lane {
    fn start(name: &'static str, on_start: fn()) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name(name)
            .on_thread_start(on_start)
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // A runtime may not wait for its threads inside another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Sets the priority of the calling thread.
fn step_back(priority: ThreadPriority, policy: NormalThreadSchedulePolicy) {
    let policy = ThreadSchedulePolicy::Normal(policy);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), priority, policy) {
        // All goes on, at the priority of the rest.
        tracing::debug!(?error, "cannot lower the priority of a thread");
    }
}

#[cfg(test)]
mod tests {
    use thread_priority::thread_schedule_policy;

    use super::*;

    #[test]
    fn the_bulk_is_idle_or_has_a_share_as_cases_have() {
        for (is_bulk_idle, policy) in [(true, Idle), (false, Other)] {
            let runtime = OutletsRuntime::start(is_bulk_idle).unwrap();
            let of = |lane: &Handle| {
                let asked = lane.spawn(async { thread_schedule_policy().unwrap() });
                lane.block_on(asked).unwrap()
            };
            assert_eq!(of(runtime.bulk()), ThreadSchedulePolicy::Normal(policy));
            assert_eq!(of(runtime.cases()), ThreadSchedulePolicy::Normal(Other));
        }
    }
}
