//! Every metric, declared once. `docs/metrics.md` lists them, and a test compares the two.
//!
//! The books (P7), once drained:
//! * `frames_received = frames_recorded + frames_handled + frames_rejected{reason}`
//! * `positions_recorded = positions_stored{result} = positions_evaluated + positions_skipped`
//!
//! Labels come from closed lists; never a terminal, a vehicle or an address.

mod mqtt;
#[cfg(test)]
mod tests;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use protocols::jt808::{frame::RejectReason, message::MessageId, reassembly::Refusal};

use crate::listen::Kind;

/// Seconds; the thresholds of the objectives are edges.
const DURATION_BUCKETS: &[f64] = &[
    0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Records.
const BATCH_BUCKETS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16_384.0];

/// Name and help text of every metric; the name is without the prefix `gridtrace_`.
pub const METRICS: &[(&str, &str)] = &[
    ("build_info", "Always 1; the version is a label."),
    (
        "connections_opened_total",
        "Connections accepted, by transport.",
    ),
    ("connections_closed_total", "Connections ended, by reason."),
    (
        "connections_refused_total",
        "Connections closed at once, by reason.",
    ),
    (
        "connections_open",
        "Connections that are open, by transport.",
    ),
    (
        "tls_handshakes_total",
        "TLS handshakes ended, by result: ok, or why not.",
    ),
    (
        "tls_reloads_total",
        "Times that the files of TLS were read again, by result.",
    ),
    ("datagrams_received_total", "Datagrams that came over UDP."),
    (
        "datagrams_dropped_total",
        "Datagrams that no connection took, by reason.",
    ),
    (
        "responses_dropped_total",
        "Responses that could not be sent as a datagram, by reason.",
    ),
    (
        "sessions_opened_total",
        "Sessions of authenticated terminals begun.",
    ),
    (
        "sessions_closed_total",
        "Sessions of authenticated terminals ended.",
    ),
    (
        "authentications_total",
        "Authentications (0x0102), by result.",
    ),
    ("registrations_total", "Registrations (0x0100), by result."),
    (
        "registrations_unanswered_total",
        "Registrations that were not on the disk in time, and got no response.",
    ),
    (
        "take_overs_total",
        "Sessions that a newer connection asked for, by result.",
    ),
    ("terminal_events_total", "Events of terminals, by kind."),
    (
        "terminal_events_dropped_total",
        "Events of terminals that were not written, by reason.",
    ),
    ("registry_batches_total", "Transactions of the registry."),
    (
        "registry_errors_total",
        "Transactions of the registry that failed, by reason.",
    ),
    (
        "commands_requested_total",
        "Commands that were asked for, by result.",
    ),
    (
        "commands_sent_total",
        "Commands handed to a connection, repetitions included.",
    ),
    ("commands_closed_total", "Commands that ended, by state."),
    ("commands_open", "Commands that are queued or sent."),
    (
        "command_answers_unmatched_total",
        "Answers of terminals that belong to no command that is open.",
    ),
    (
        "command_errors_total",
        "What the command desk could not do, by reason.",
    ),
    (
        "media_stored_total",
        "Media uploads that were stored, by result.",
    ),
    (
        "media_refused_total",
        "Media uploads that were not stored, by reason.",
    ),
    (
        "media_removed_total",
        "Media files that were removed, by reason.",
    ),
    ("media_files", "Media files in the store."),
    ("media_bytes", "What media files hold, in whole blocks."),
    (
        "backtests_total",
        "Backtests that ended, by result: done, failed.",
    ),
    (
        "catalog_versions_total",
        "Versions of the catalog whose time came, by result: in_force, failed.",
    ),
    (
        "attachment_requests_total",
        "Alarms with files that were noticed, by result: asked, known, or why not.",
    ),
    (
        "attachment_connections_opened_total",
        "Connections of the server of attachments accepted.",
    ),
    (
        "attachment_connections_refused_total",
        "Connections of the server of attachments closed at once, by reason.",
    ),
    (
        "attachment_connections_closed_total",
        "Connections of the server of attachments ended, by reason.",
    ),
    (
        "attachment_frames_received_total",
        "Frames that came over these connections.",
    ),
    (
        "attachment_frames_rejected_total",
        "Frames of these that were not taken, by reason.",
    ),
    (
        "attachment_files_total",
        "Files of alarms that ended, by result.",
    ),
    (
        "attachment_resends_total",
        "Times that missing parts of a file were asked for.",
    ),
    (
        "attachment_bytes_total",
        "Data of files that were taken; repeated ones count again.",
    ),
    (
        "attachment_bytes_dropped_total",
        "Bytes of these connections that were not taken, by reason.",
    ),
    ("packets_total", "Packets of longer messages, by result."),
    (
        "packet_requests_total",
        "Requests for missing packets sent.",
    ),
    (
        "messages_given_up_total",
        "Messages of several packets that will not be whole, by cause.",
    ),
    (
        "joined_too_long_total",
        "Joined messages too long for a record; their packets are recorded.",
    ),
    (
        "packet_sets",
        "Messages of several packets that are not whole.",
    ),
    ("packet_bytes", "Memory of packets that wait for others."),
    ("received_bytes_total", "Bytes read from terminals."),
    (
        "frames_received_total",
        "Candidates between two delimiters, and dropped runs.",
    ),
    (
        "frames_recorded_total",
        "Frames that are durable in the log.",
    ),
    (
        "frames_handled_total",
        "Frames that concern the session alone and are not recorded.",
    ),
    (
        "frames_rejected_total",
        "Frames that were not taken, by reason.",
    ),
    (
        "frames_deviating_total",
        "Accepted frames whose length field is wrong, other than the terminal's profile tolerates.",
    ),
    ("messages_decoded_total", "Messages decoded, by message."),
    ("responses_total", "Responses written, by result code."),
    (
        "response_duration_seconds",
        "From reading a report to its response being ready to write.",
    ),
    (
        "positions_recorded_total",
        "Positions and quarantined reports in durable records.",
    ),
    (
        "positions_rejected_total",
        "Reports inside a taken frame that could not be decoded.",
    ),
    (
        "positions_stored_total",
        "What the store did with positions: inserted, duplicate, quarantined, refused (left in the log).",
    ),
    (
        "positions_evaluated_total",
        "Positions that the checks judged.",
    ),
    (
        "positions_skipped_total",
        "Positions whose place the checks did not judge, by reason.",
    ),
    (
        "positions_suspect_dropped_total",
        "Evaluated positions that were impossibly far from those around them and never counted.",
    ),
    ("log_appended_records_total", "Records handed to the log."),
    ("log_durable_records_total", "Records that are durable."),
    (
        "log_write_duration_seconds",
        "Writing one batch to the segment.",
    ),
    ("log_sync_duration_seconds", "Syncing one batch."),
    ("log_batch_records", "Records that shared a sync."),
    ("log_bytes", "Bytes of all segments."),
    ("log_segments", "Segment files."),
    ("log_staged_bytes", "Bytes that wait for the next sync."),
    ("log_is_writable", "1 while the log takes records."),
    (
        "log_lag_records",
        "Durable records that a consumer has not finished, by consumer.",
    ),
    (
        "log_waits_total",
        "Times that a connection had to wait for the log, by reason.",
    ),
    (
        "records_unreadable_total",
        "Durable records that a consumer could not read again, by consumer; it lacks their positions.",
    ),
    ("store_rows_written_total", "Rows written, by table."),
    (
        "store_removed_total",
        "What was too old and removed: days of positions (chunks, with TimescaleDB), reports in quarantine, deliveries.",
    ),
    (
        "store_batch_duration_seconds",
        "Writing one batch to the store, by consumer.",
    ),
    (
        "store_errors_total",
        "Failed calls of the store, by reason.",
    ),
    (
        "evaluate_batch_duration_seconds",
        "Evaluating one batch of records.",
    ),
    ("violations_total", "Violations opened, by kind."),
    (
        "violations_withdrawn_total",
        "Violations that late data disproved.",
    ),
    ("violations_unopened_total", "Violations that open no case."),
    ("cases_opened_total", "Cases opened, by kind or source."),
    ("cases_open", "Cases in the store, by stage."),
    ("cases_overdue", "Cases with a clock that is overdue."),
    ("case_moves_total", "Moves of cases, by move."),
    ("case_moves_refused_total", "Refused moves, by reason."),
    (
        "case_clock_notices_total",
        "Clocks that warned or ran out, by notice.",
    ),
    (
        "delivery_attempts_total",
        "Attempts to tell a receiver of a case, by receiver and outcome.",
    ),
    (
        "delivery_duration_seconds",
        "From the planning of a delivery to the receiver's acknowledgement, by receiver.",
    ),
    (
        "deliveries_given_up_total",
        "Deliveries that became dead letters, by receiver.",
    ),
    (
        "deliveries_pending",
        "Deliveries that a receiver has not acknowledged, by receiver.",
    ),
    (
        "deliveries_dead",
        "Dead letters that are kept, by receiver.",
    ),
    (
        "delivery_oldest_age",
        "Seconds since the oldest pending delivery was planned, by receiver.",
    ),
    (
        "delivery_breaker_open",
        "1 while a receiver is left alone after failures, by receiver.",
    ),
    (
        "callbacks_total",
        "Moves that receivers asked for, by result: moved, repeated, or why not.",
    ),
    ("live_clients", "Live streams that are open."),
    (
        "live_updates_total",
        "Updates of vehicles sent into the live stream.",
    ),
    (
        "live_map_updates_dropped_total",
        "Live messages that a slow client lost.",
    ),
    (
        "live_latency_seconds",
        "From receiving a position to sending it to the pages.",
    ),
    (
        "http_requests_total",
        "HTTP requests, by route and status class.",
    ),
    (
        "process_resident_memory_bytes",
        "Resident memory of the process.",
    ),
    ("process_open_fds", "Open file descriptors."),
    ("process_max_fds", "Limit of open file descriptors."),
];

/// All of them, wherever they are declared.
pub fn declared() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    METRICS.iter().chain(mqtt::METRICS)
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

    /// A counter with several labels.
    pub fn count_with(&self, name: &'static str, labels: &[(&'static str, &str)], by: u64) {
        debug_assert!(
            METRICS.iter().any(|(known, _)| *known == name),
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
        let [tcp, tls, udp, mqtt, mqtts] = &self.connections_opened;
        let counter = match kind {
            Kind::Tcp => tcp,
            Kind::Tls => tls,
            Kind::Udp => udp,
            Kind::Mqtt => mqtt,
            Kind::Mqtts => mqtts,
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
