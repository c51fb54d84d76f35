//! The list of all metrics.

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
    (
        "fixes_shed_total",
        "Fixes within the horizon that a vehicle's past had no room for any more, by limit.",
    ),
    (
        "elder_catalogs_lost_total",
        "Elder versions of the catalog that judge nothing any more although fixes of their time may come, by reason: too_many, too_large, missing.",
    ),
    (
        "elder_catalog_bytes",
        "About what the elder versions of the catalog take of the memory beside the one in force.",
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
    (
        "cases_overdue",
        "Cases with a clock that is overdue, by stage.",
    ),
    ("case_moves_total", "Moves of cases, by move."),
    ("case_moves_refused_total", "Refused moves, by reason."),
    (
        "case_clock_notices_total",
        "Clocks that warned or ran out, by notice, clock and stage.",
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
