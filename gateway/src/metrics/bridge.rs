//! The metrics of the bridge to an outer broker. Its lag is that of a consumer of the log.

/// As [`super::METRICS`].
pub(super) const METRICS: &[(&str, &str)] = &[
    (
        "bridge_records_total",
        "Records that the bridge has behind it: done, or passed over since it was too far behind.",
    ),
    (
        "bridge_messages_total",
        "Messages to the outer broker, by kind and result.",
    ),
    (
        "bridge_connects_total",
        "Attempts to connect to the outer broker, by result: ok, or why not.",
    ),
    (
        "bridge_is_connected",
        "1 while the outer broker takes messages, by kind.",
    ),
];
