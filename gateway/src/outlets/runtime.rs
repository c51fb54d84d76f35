//! A runtime of their own for what follows the log, at a lower priority than terminals: a machine
//! at its limit acknowledges first and catches up with storing and judging afterwards. Lag is
//! visible, and bounded by the size of the log: at the limit nothing is acknowledged any more, which
//! gives the machine back to what follows.

use std::{future::Future, io};

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

/// The runtime. Dropping it ends what runs on it.
#[derive(Debug)]
pub struct OutletsRuntime(Option<Runtime>);

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
        Ok(Self(Some(runtime)))
    }

    /// Runs a consumer. `None` once it was dropped.
    pub fn spawn<F>(&self, work: F) -> Option<JoinHandle<F::Output>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.0.as_ref().map(|runtime| runtime.spawn(work))
    }
}

impl Drop for OutletsRuntime {
    fn drop(&mut self) {
        // A runtime may not wait for its threads inside another one.
        if let Some(runtime) = self.0.take() {
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
