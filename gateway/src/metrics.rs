//! Every metric, declared once. `docs/metrics.md` lists them, and a test compares the two.
//!
//! The books (P7), once drained:
//! * `frames_received = frames_recorded + frames_handled + frames_rejected{reason}`
//! * `positions_recorded = positions_stored{result} = positions_evaluated + positions_skipped`
//!
//! Labels come from closed lists; never a terminal, a vehicle or an address.

mod bridge;
mod inspectors;
mod list;
mod mqtt;
#[cfg(test)]
mod tests;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use protocols::jt808::{frame::RejectReason, message::MessageId, reassembly::Refusal};
use storage::store::StoreError;

pub use self::list::METRICS;
use crate::listen::Kind;

/// Seconds; the thresholds of the objectives are edges.
const DURATION_BUCKETS: &[f64] = &[
    0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Records.
const BATCH_BUCKETS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16_384.0];

/// All of them, wherever they are declared.
pub fn declared() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    [METRICS, mqtt::METRICS, bridge::METRICS, inspectors::METRICS]
        .into_iter()
        .flatten()
}

static METADATA: Metadata<'static> =
    Metadata::new("gridtrace", metrics::Level::INFO, Some(module_path!()));

/// Handles that are made once, so that counting costs an atomic addition.
#[expect(missing_docs, reason = "METRICS has the text of each")]
pub struct Metrics {
    recorder: metrics_exporter_prometheus::PrometheusRecorder,
    handle: PrometheusHandle,
    pub datagrams_received: Counter,
    pub mqtt_throttled: Counter,
    pub sessions_opened: Counter,
    pub sessions_closed: Counter,
    pub registrations_unanswered: Counter,
    pub registry_batches: Counter,
    pub commands_sent: Counter,
    pub packet_requests: Counter,
    pub joined_too_long: Counter,
    pub command_answers_unmatched: Counter,
    pub received_bytes: Counter,
    pub attachment_connections: Counter,
    pub attachment_frames: Counter,
    pub attachment_resends: Counter,
    pub attachment_bytes: Counter,
    pub frames_received: Counter,
    pub frames_recorded: Counter,
    pub frames_handled: Counter,
    pub frames_deviating: Counter,
    pub response_duration: Histogram,
    pub positions_recorded: Counter,
    pub positions_rejected: Counter,
    pub positions_evaluated: Counter,
    pub positions_suspect_dropped: Counter,
    pub log_appended: Counter,
    pub log_durable: Counter,
    pub log_write_duration: Histogram,
    pub log_sync_duration: Histogram,
    pub log_batch: Histogram,
    pub log_bytes: Gauge,
    pub log_segments: Gauge,
    pub log_staged_bytes: Gauge,
    pub log_is_writable: Gauge,
    pub evaluate_duration: Histogram,
    pub violations_withdrawn: Counter,
    pub violations_unopened: Counter,
    pub live_clients: Gauge,
    pub live_updates: Counter,
    pub live_dropped: Counter,
    pub live_latency: Histogram,
    connections_opened: [Counter; Kind::ALL.len()],
    responses: [Counter; 4],
    decoded: Vec<(MessageId, Counter)>,
    decoded_other: Counter,
    rejected: Vec<(&'static str, Counter)>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Reasons of rejection that are not the frame's own.
pub const SESSION_REJECTIONS: &[&str] = &[
    "body",
    "encrypted",
    "not_authenticated",
    "other_terminal",
    "no_phone",
    "link_full",
    "direction",
    "http",
];

impl Metrics {
    /// A set of metrics of its own, so that several gateways can live in one process.
    ///
    /// # Errors
    /// When the exporter cannot be built.
    pub fn new() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), DURATION_BUCKETS)?
            .set_buckets_for_metric(Matcher::Suffix("_records".to_owned()), BATCH_BUCKETS)?
            .build_recorder();
        let handle = recorder.handle();
        for (name, help) in declared() {
            let name: KeyName = format!("gridtrace_{name}").into();
            if name.as_str().ends_with("_total") {
                recorder.describe_counter(name, None, (*help).into());
            } else if name.as_str().ends_with("_seconds")
                || name.as_str() == "gridtrace_log_batch_records"
            {
                recorder.describe_histogram(name, None, (*help).into());
            } else {
                recorder.describe_gauge(name, None, (*help).into());
            }
        }
        let r = &recorder;
        let counter = |name: &str| r.register_counter(&key(name, &[]), &METADATA);
        let labelled = |name: &str, label: &'static str, value: &str| {
            r.register_counter(&key(name, &[(label, value)]), &METADATA)
        };
        let histogram = |name: &str| r.register_histogram(&key(name, &[]), &METADATA);
        let gauge = |name: &str| r.register_gauge(&key(name, &[]), &METADATA);
        gauge_of(r, "build_info", &[("version", env!("CARGO_PKG_VERSION"))]).set(1.0);
        let reasons = RejectReason::ALL
            .iter()
            .map(|reason| reason.reason())
            .chain(SESSION_REJECTIONS.iter().chain(Refusal::REASONS).copied());
        let metrics = Self {
            connections_opened: Kind::ALL
                .map(|kind| labelled("connections_opened_total", "transport", kind.as_str())),
            datagrams_received: counter("datagrams_received_total"),
            mqtt_throttled: counter("mqtt_throttled_total"),
            sessions_opened: counter("sessions_opened_total"),
            sessions_closed: counter("sessions_closed_total"),
            registrations_unanswered: counter("registrations_unanswered_total"),
            registry_batches: counter("registry_batches_total"),
            commands_sent: counter("commands_sent_total"),
            packet_requests: counter("packet_requests_total"),
            joined_too_long: counter("joined_too_long_total"),
            command_answers_unmatched: counter("command_answers_unmatched_total"),
            received_bytes: counter("received_bytes_total"),
            attachment_connections: counter("attachment_connections_opened_total"),
            attachment_frames: counter("attachment_frames_received_total"),
            attachment_resends: counter("attachment_resends_total"),
            attachment_bytes: counter("attachment_bytes_total"),
            frames_received: counter("frames_received_total"),
            frames_recorded: counter("frames_recorded_total"),
            frames_handled: counter("frames_handled_total"),
            frames_deviating: counter("frames_deviating_total"),
            response_duration: histogram("response_duration_seconds"),
            positions_recorded: counter("positions_recorded_total"),
            positions_rejected: counter("positions_rejected_total"),
            positions_evaluated: counter("positions_evaluated_total"),
            positions_suspect_dropped: counter("positions_suspect_dropped_total"),
            log_appended: counter("log_appended_records_total"),
            log_durable: counter("log_durable_records_total"),
            log_write_duration: histogram("log_write_duration_seconds"),
            log_sync_duration: histogram("log_sync_duration_seconds"),
            log_batch: histogram("log_batch_records"),
            log_bytes: gauge("log_bytes"),
            log_segments: gauge("log_segments"),
            log_staged_bytes: gauge("log_staged_bytes"),
            log_is_writable: gauge("log_is_writable"),
            evaluate_duration: histogram("evaluate_batch_duration_seconds"),
            violations_withdrawn: counter("violations_withdrawn_total"),
            violations_unopened: counter("violations_unopened_total"),
            live_clients: gauge("live_clients"),
            live_updates: counter("live_updates_total"),
            live_dropped: counter("live_map_updates_dropped_total"),
            live_latency: histogram("live_latency_seconds"),
            responses: ["0", "1", "2", "3"].map(|code| labelled("responses_total", "result", code)),
            decoded: MessageId::ALL
                .iter()
                .map(|id| {
                    (
                        *id,
                        labelled("messages_decoded_total", "message", id.name()),
                    )
                })
                .collect(),
            decoded_other: labelled("messages_decoded_total", "message", "other"),
            rejected: reasons
                .map(|reason| (reason, labelled("frames_rejected_total", "reason", reason)))
                .collect(),
            handle,
            recorder,
        };
        Ok(metrics)
    }

    /// The text that Prometheus scrapes.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Histograms are summed up here; to be called now and then.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// A counter with one label, for what is rare enough to be looked up.
    pub fn count(&self, name: &'static str, label: &'static str, value: &str, by: u64) {
        debug_assert!(
            declared().any(|(known, _)| *known == name),
            "{name} is not declared"
        );
        self.recorder
            .register_counter(&key(name, &[(label, value)]), &METADATA)
            .increment(by);
    }

    /// The store did not do what it was asked for.
    pub fn store_failed(&self, error: &StoreError) {
        self.count("store_errors_total", "reason", error.reason(), 1);
    }

    /// A counter with several labels.
    pub fn count_with(&self, name: &'static str, labels: &[(&'static str, &str)], by: u64) {
        debug_assert!(
            declared().any(|(known, _)| *known == name),
            "{name} is not declared"
        );
        self.recorder
            .register_counter(&key(name, labels), &METADATA)
            .increment(by);
    }

    /// A gauge with labels.
    pub fn gauge(&self, name: &'static str, labels: &[(&'static str, &str)], value: f64) {
        debug_assert!(
            declared().any(|(known, _)| *known == name),
            "{name} is not declared"
        );
        gauge_of(&self.recorder, name, labels).set(value);
    }

    /// A histogram with one label.
    pub fn observe(&self, name: &'static str, label: &'static str, value: &str, seconds: f64) {
        debug_assert!(
            declared().any(|(known, _)| *known == name),
            "{name} is not declared"
        );
        self.recorder
            .register_histogram(&key(name, &[(label, value)]), &METADATA)
            .record(seconds);
    }

    /// An HTTP request was answered.
    pub fn count_request(&self, route: &str, class: &str) {
        let labels = [("route", route), ("status", class)];
        self.recorder
            .register_counter(&key("http_requests_total", &labels), &METADATA)
            .increment(1);
    }

    /// A frame was not taken.
    pub fn reject(&self, reason: &'static str) {
        match self.rejected.iter().find(|(known, _)| *known == reason) {
            Some((_, counter)) => counter.increment(1),
            None => self.count("frames_rejected_total", "reason", "other", 1),
        }
    }

    /// A message was decoded.
    pub fn decoded(&self, id: MessageId) {
        self.decoded
            .binary_search_by_key(&id, |(known, _)| *known)
            .ok()
            .and_then(|index| self.decoded.get(index))
            .map_or(&self.decoded_other, |(_, c)| c)
            .increment(1);
    }

    /// A connection was accepted.
    pub fn opened(&self, kind: Kind) {
        let [tcp, tls, udp, mqtt, mqtts, mqtt_ws, mqtt_wss] = &self.connections_opened;
        let counter = match kind {
            Kind::Tcp => tcp,
            Kind::Tls => tls,
            Kind::Udp => udp,
            Kind::Mqtt => mqtt,
            Kind::Mqtts => mqtts,
            Kind::MqttWs => mqtt_ws,
            Kind::MqttWss => mqtt_wss,
        };
        counter.increment(1);
    }

    /// A response with a result code was made.
    pub fn responded(&self, result: u8) {
        if let Some(counter) = self.responses.get(usize::from(result)) {
            counter.increment(1);
        }
    }
}

fn key(name: &str, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<Label> = labels
        .iter()
        .map(|(k, v)| Label::new(*k, (*v).to_owned()))
        .collect();
    Key::from_parts(format!("gridtrace_{name}"), labels)
}

fn gauge_of(
    recorder: &metrics_exporter_prometheus::PrometheusRecorder,
    name: &str,
    labels: &[(&'static str, &str)],
) -> Gauge {
    recorder.register_gauge(&key(name, labels), &METADATA)
}
