//! A runtime of their own for what follows the log, at a lower priority than terminals: a machine
//! at its limit acknowledges first and catches up with storing and judging afterwards. Lag is
//! visible, and bounded by the size of the log.

use std::{future::Future, io};

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

/// Steps of `nice` below the rest of the process.
const NICENESS: i32 = 10;

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
            .on_thread_start(|| {
                // On Linux this is the calling thread's own priority. Without it all goes on, at
                // the priority of the rest.
                if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
                    tracing::debug!(%error, "cannot lower the priority of a thread");
                }
            })
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
