//! What readiness and the gauges say.

use serde::Serialize;
use storage::log::LogState;

use crate::{Gateway, listen::ListenerStatus};

/// Whether terminals get their positions acknowledged, and why not.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Readiness {
    /// The answer.
    pub ready: bool,
    /// What is wrong, in words.
    pub reasons: Vec<String>,
    /// What is wrong and hurts no terminal: a store that is away, or what is not loaded from it yet.
    pub degraded: Vec<String>,
    /// Number of the next record, and of the next one that is not durable.
    pub log_next: u64,
    /// See `log_next`.
    pub log_durable: u64,
    /// What the store is.
    pub store: String,
    /// Where terminals come to.
    pub listeners: Vec<ListenerStatus>,
}

impl Gateway {
    /// The state at this moment.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let log = self.log.status();
        let mut reasons = Vec::new();
        if self.stop.is_cancelled() {
            reasons.push("the gateway is stopping".to_owned());
        }
        match log.state {
            LogState::Ok => {}
            LogState::NoRoom(reason) => reasons.push(format!("the log has no room: {reason}")),
            LogState::Poisoned => reasons.push("the log failed to sync".to_owned()),
        }
        reasons.extend(self.failure().map(str::to_owned));
        let degraded = self
            .store_is_away
            .iter()
            .map(|entry| format!("{}: {}", entry.key(), entry.value()))
            .collect();
        Readiness {
            ready: reasons.is_empty(),
            reasons,
            degraded,
            log_next: log.next,
            log_durable: log.durable,
            store: self.store.description(),
            listeners: self.listeners.status().collect(),
        }
    }

    /// Brings the gauges up to date, before a scrape.
    pub fn refresh_gauges(&self) {
        let log = self.log.status();
        let metrics = &self.metrics;
        metrics.log_bytes.set(approximate(log.bytes));
        metrics.log_segments.set(approximate(log.segments as u64));
        metrics
            .log_staged_bytes
            .set(approximate(log.staged_bytes as u64));
        metrics
            .log_is_writable
            .set(if matches!(log.state, LogState::Ok) {
                1.0
            } else {
                0.0
            });
        for (consumer, lag) in self.log.lags() {
            let labels = [("consumer", consumer.as_str())];
            metrics.gauge("log_lag_records", &labels, approximate(lag));
        }
        for listener in self.listeners.status() {
            metrics.gauge(
                "connections_open",
                &[("transport", listener.transport)],
                f64::from(listener.connections),
            );
        }
        let media = self.media.totals();
        for (name, value) in [
            ("commands_open", self.commands.open()),
            ("media_files", media.files),
            ("media_bytes", media.bytes),
            ("packet_sets", self.packets.sets_pending() as u64),
            ("packet_bytes", self.packets.bytes_used() as u64),
        ] {
            metrics.gauge(name, &[], approximate(value));
        }
        if let Some(bytes) = resident_bytes() {
            metrics.gauge("process_resident_memory_bytes", &[], approximate(bytes));
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            metrics.gauge("process_open_fds", &[], approximate(files.count() as u64));
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        if let Some(max) = limit.current {
            metrics.gauge("process_max_fds", &[], approximate(max));
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are floats; 2^53 is far off"
)]
fn approximate(value: u64) -> f64 {
    value as f64
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}
