//! The listeners beside plain TCP: TLS and UDP. Both are off unless they have an address.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{KIB, MIB, Raw, seconds};

/// `[tls]`: JT/T 808 over TLS on a port of its own; limits and timeouts are those of `[tcp]`.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Off by default.
    pub listen: Option<SocketAddr>,
    /// PEM: our certificate, then those between it and the root.
    pub certificate: PathBuf,
    /// PEM: the private key of the certificate.
    pub key: PathBuf,
    /// PEM: who signs certificates of terminals. When set, a terminal without one is refused.
    pub client_ca: Option<PathBuf>,
    /// From accept to the end of the handshake. Default 10 s.
    pub handshake_timeout: Duration,
    /// Handshakes at one time; further ones wait. Default 256.
    pub handshakes_max: u32,
}

/// `[udp]`: JT/T 808 in datagrams; the other limits are those of `[tcp]`.
#[derive(Clone, Debug)]
pub struct Udp {
    /// Off by default.
    pub listen: Option<SocketAddr>,
    /// Addresses that are talked with at one time. Default 20,000.
    pub peers_max: u32,
    /// Of these, addresses that have not shown a code yet: anybody can write any address on a
    /// datagram. Default 2,000.
    pub unauthenticated_max: u32,
    /// From the first datagram to a valid authentication. Default 10 s.
    pub authentication_timeout: Duration,
    /// Without any valid frame, afterwards. Default 10 min.
    pub idle_timeout: Duration,
    /// Datagrams of one address that wait to be read. Default 16.
    pub queue_datagrams_max: u32,
    /// Longer datagrams are dropped. Default 8 KiB.
    pub datagram_bytes_max: u64,
    /// Asked of the system for the socket; it may give less. Default 4 MiB.
    pub receive_buffer_bytes: u64,
}

impl Tls {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let tls = Self {
            listen: raw.optional_address("tls.listen"),
            certificate: raw.path("tls.certificate", "").unwrap_or_default(),
            key: raw.path("tls.key", "").unwrap_or_default(),
            client_ca: raw.path("tls.client_ca", ""),
            handshake_timeout: raw.duration(
                "tls.handshake_timeout",
                seconds(10),
                seconds(1)..=seconds(600),
            ),
            handshakes_max: raw.count("tls.handshakes_max", 256, 1..=100_000),
        };
        if tls.listen.is_some() {
            for (key, path) in [("tls.certificate", &tls.certificate), ("tls.key", &tls.key)] {
                if path.as_os_str().is_empty() {
                    raw.mistake(key, "tls.listen is set, so a PEM file is needed here");
                }
            }
        }
        tls
    }
}

impl Udp {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let hour = seconds(3600);
        Self {
            listen: raw.optional_address("udp.listen"),
            peers_max: raw.count("udp.peers_max", 20_000, 1..=1_000_000),
            unauthenticated_max: raw.count("udp.unauthenticated_max", 2_000, 1..=1_000_000),
            authentication_timeout: raw.duration(
                "udp.authentication_timeout",
                seconds(10),
                seconds(1)..=hour,
            ),
            idle_timeout: raw.duration("udp.idle_timeout", seconds(600), seconds(1)..=24 * hour),
            queue_datagrams_max: raw.count("udp.queue_datagrams_max", 16, 1..=65_535),
            datagram_bytes_max: raw.bytes("udp.datagram_bytes_max", 8 * KIB, KIB..=64 * KIB),
            receive_buffer_bytes: raw.bytes(
                "udp.receive_buffer_bytes",
                4 * MIB,
                64 * KIB..=1024 * MIB,
            ),
        }
    }
}
