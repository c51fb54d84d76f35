//! HTTP, page and live stream.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::{Raw, seconds};

/// `[http]`
#[derive(Clone, Debug)]
pub struct Http {
    /// Default `127.0.0.1:8080`: loopback until users and scopes exist.
    pub listen: SocketAddr,
    /// Updates of the live map are gathered for so long. Default 250 ms.
    pub live_interval: Duration,
    /// Live streams in all. Default 256.
    pub live_clients_max: u32,
}

impl Http {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listen = raw.address("http.listen", SocketAddr::new(loopback, 8080));
        if !listen.ip().is_loopback() {
            raw.mistake(
                "http.listen",
                format!(
                    "`{listen}` is not a loopback address; there are no users and scopes yet, so \
                     HTTP stays on this machine: put an authenticating proxy in front of it"
                ),
            );
        }
        Self {
            listen,
            live_interval: raw.duration(
                "http.live_interval",
                Duration::from_millis(250),
                Duration::from_millis(20)..=seconds(10),
            ),
            live_clients_max: raw.count("http.live_clients_max", 256, 0..=100_000),
        }
    }
}
