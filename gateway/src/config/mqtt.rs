//! The MQTT listeners.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::{KIB, MIB, MqttUser, Raw, Tls, WebSocket, seconds, users};

/// `[mqtt]`: MQTT 3.1.1 and 5. Connections count in the limits of `[tcp]`, and `tcp.write_timeout`
/// holds for them; TLS has the files and limits of `[tls]`.
#[derive(Clone, Debug)]
pub struct Mqtt {
    /// Default `0.0.0.0:1883`.
    pub listen: Option<SocketAddr>,
    /// Over TLS; off by default.
    pub tls_listen: Option<SocketAddr>,
    /// The same in frames of WebSocket; off by default.
    pub websocket: WebSocket,
    /// From accept to a CONNECT with a valid password. Default 10 s.
    pub connect_timeout: Duration,
    /// The longest CONNECT, which anybody may send. Default 4 KiB.
    pub connect_bytes_max: u64,
    /// The longest packet after it. Default 32 KiB.
    pub packet_bytes_max: u64,
    /// Publishes of one client that wait for the log, and ours that wait for it. Default 32.
    pub inflight_max: u32,
    /// Packets of one client in a second; more are read later. Default 50.
    pub packets_per_second_max: u32,
    /// Packets that a client may send at once after a pause. Default 100.
    pub packets_burst_max: u32,
    /// Filters that a client has subscribed to. Default 8.
    pub filters_max: u32,
    /// Levels of a topic or a filter. Default 7.
    pub topic_levels_max: u32,
    /// The longest keep-alive, also for clients that want none. Default 1 h.
    pub keep_alive_max: Duration,
    /// Who reads what is published; nobody by default, and then nothing is published.
    pub users: Vec<MqttUser>,
    /// Users that are connected at one time. Default 1,000.
    pub subscribers_max: u32,
    /// Topics with a message that a slow subscriber has not taken. Default 20,000.
    pub waiting_topics_max: u32,
    /// Open cases kept for newcomers; of more, the newest. Default 10,000.
    pub retained_cases_max: u32,
    /// What the fan-out keeps for subscribers that are behind, for each county and kind of topic.
    /// Default 4 MiB.
    pub fanout_bytes_max: u64,
}

impl Mqtt {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self {
            listen: raw.address_or_off("mqtt.listen", SocketAddr::new(any, 1883)),
            tls_listen: raw.optional_address("mqtt.tls_listen"),
            websocket: WebSocket::from_raw(raw),
            connect_timeout: raw.duration(
                "mqtt.connect_timeout",
                seconds(10),
                seconds(1)..=seconds(600),
            ),
            connect_bytes_max: raw.bytes("mqtt.connect_bytes_max", 4 * KIB, 128..=MIB),
            packet_bytes_max: raw.bytes("mqtt.packet_bytes_max", 32 * KIB, KIB..=MIB),
            inflight_max: raw.count("mqtt.inflight_max", 32, 1..=65_535),
            packets_per_second_max: raw.count("mqtt.packets_per_second_max", 50, 1..=1_000_000),
            packets_burst_max: raw.count("mqtt.packets_burst_max", 100, 1..=1_000_000),
            filters_max: raw.count("mqtt.filters_max", 8, 1..=1_000),
            topic_levels_max: raw.count("mqtt.topic_levels_max", 7, 5..=128),
            keep_alive_max: raw.duration(
                "mqtt.keep_alive_max",
                seconds(3_600),
                seconds(1)..=seconds(43_200),
            ),
            users: users::from_raw(raw),
            subscribers_max: raw.count("mqtt.subscribers_max", 1_000, 1..=100_000),
            waiting_topics_max: raw.count("mqtt.waiting_topics_max", 20_000, 1..=10_000_000),
            retained_cases_max: raw.count("mqtt.retained_cases_max", 10_000, 0..=1_000_000),
            fanout_bytes_max: raw.bytes("mqtt.fanout_bytes_max", 4 * MIB, 64 * KIB..=1024 * MIB),
        }
    }

    pub(super) fn check(&self, tls: &Tls, raw: &mut Raw) {
        self.websocket.check(self, raw);
        let of_tls = [
            ("mqtt.tls_listen", self.tls_listen),
            ("mqtt.websocket.tls_listen", self.websocket.tls_listen),
        ];
        let listener = of_tls.into_iter().find(|(_, address)| address.is_some());
        if let (Some((listener, _)), None) = (listener, tls.listen) {
            for (key, path) in [("tls.certificate", &tls.certificate), ("tls.key", &tls.key)] {
                if path.as_os_str().is_empty() {
                    let what = format!("{listener} is set, so a PEM file is needed here");
                    raw.mistake(key, what);
                }
            }
        }
    }
}
