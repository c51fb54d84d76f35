//! The thread around the log's writer: it syncs what was staged, and syncs again.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use storage::log::{LogWriter, Step};

use crate::Gateway;

/// A log without room is tried again after this pause.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(200);

/// Runs the writer until the log is closed and everything staged is durable.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn start(gateway: Arc<Gateway>, writer: LogWriter) -> io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || run(&gateway, writer))
}

fn run(gateway: &Gateway, mut writer: LogWriter) {
    let metrics = &gateway.metrics;
    let mut had_room = true;
    while writer.wait() {
        match writer.step() {
            Step::Idle => {}
            Step::Synced {
                records,
                write,
                sync,
                ..
            } => {
                metrics.log_durable.increment(records);
                metrics.log_write_duration.record(write.as_secs_f64());
                metrics.log_sync_duration.record(sync.as_secs_f64());
                metrics
                    .log_batch
                    .record(f64::from(u32::try_from(records).unwrap_or(u32::MAX)));
                if !had_room {
                    had_room = true;
                    tracing::info!("the log has room again");
                }
            }
            Step::NoRoom { reason } => {
                if had_room {
                    had_room = false;
                    tracing::error!(%reason, "the log has no room: nothing is acknowledged until there is");
                }
                thread::sleep(NO_ROOM_PAUSE);
            }
            Step::Poisoned { cause } => return gateway.fail(&format!("the log failed: {cause}")),
        }
    }
}
