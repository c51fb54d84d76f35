//! A runtime of their own for what follows the log, at a lower priority than terminals: a machine
//! at its limit acknowledges first and catches up with storing and judging afterwards. Lag is
//! visible, and bounded by the size of the log: at the limit nothing is acknowledged any more, which
//! gives the machine back to what follows.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// The runtime. Dropping it ends what runs on it.
#[derive(Debug)]
pub struct OutletsRuntime {
    handle: Handle,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl OutletsRuntime {
    /// Starts its threads.
    ///
    /// # Errors
    /// When they cannot be started.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("outlet")
            .on_thread_start(step_back)
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Where consumers are spawned.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for OutletsRuntime {
    fn drop(&mut self) {
        // A runtime may not wait for its threads inside another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The calling thread runs when no other wants to, and makes way at once (`SCHED_IDLE`). A mere
/// niceness keeps the processor to the end of its slice: up to 3 ms for a terminal's response.
fn step_back() {
    use thread_priority::{
        NormalThreadSchedulePolicy::Idle, ThreadPriority, ThreadSchedulePolicy::Normal,
        set_thread_priority_and_policy, thread_native_id,
    };
    let idle = Normal(Idle);
    if let Err(error) =
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle)
    {
        // All goes on, at the priority of the rest.
        tracing::debug!(?error, "cannot lower the priority of a thread");
    }
}
