//! The metrics of MQTT.

/// As [`super::METRICS`].
pub(super) const METRICS: &[(&str, &str)] = &[
    ("mqtt_connects_total", "MQTT CONNECTs, by result."),
    (
        "mqtt_websocket_handshakes_total",
        "WebSocket handshakes of MQTT clients ended, by result: ok, or why not.",
    ),
    (
        "mqtt_websocket_refused_total",
        "WebSocket connections ended for what came in their frames, by reason.",
    ),
    ("mqtt_packets_total", "MQTT packets that came, by type."),
    (
        "mqtt_publishes_total",
        "MQTT publishes that came, by result.",
    ),
    (
        "mqtt_subscriptions_total",
        "MQTT filters that were asked for, by result.",
    ),
    (
        "mqtt_throttled_total",
        "Times that an MQTT client was read later, since it sent too fast.",
    ),
    (
        "mqtt_sent_total",
        "MQTT messages handed to a connection, by topic.",
    ),
    (
        "mqtt_dropped_total",
        "MQTT messages that were not sent, by reason.",
    ),
    (
        "mqtt_violations_lost_total",
        "Violations that did not reach a subscriber, whose connection ended for it, by reason.",
    ),
    (
        "mqtt_published_total",
        "MQTT messages published to subscribers, by kind.",
    ),
    ("mqtt_subscribers", "Subscribers that are connected."),
];
