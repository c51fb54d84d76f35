//! MQTT 3.1.1 and 5 for terminals: not a broker, but a front of the log. What a terminal publishes
//! becomes a record, and its PUBACK leaves after the record's sync; what it reads are its commands and
//! what was wrong with its payloads. `docs/mqtt.md` is the manual, decision 12 says why it is ours.
//!
//! ```text
//! bytes ─▶ packet ─▶ connect ─▶ session ─▶ uplink ─▶ log ──synced──▶ PUBACK
//!          (length  (password)            (JSON, or frames
//!           first)                         as over TCP)
//!          packet ◀─ downlink ◀─ session's downlink ◀─ command desk
//! ```
//!
//! Bounded for each client: the CONNECT and the time for it, a packet's length (before it is kept),
//! publishes that wait for the log, packets a second, filters, levels, silence, unsent bytes. Sessions
//! end with their connection: commands wait in the desk, which sends them again, and nothing else is
//! owed to a client that is away.

mod client;
mod connect;
mod downlink;
mod packet;
mod rate;
mod subscriber;
mod topics;
mod uplink;
mod users;
pub(super) mod websocket;

use std::{net::IpAddr, sync::Arc};

use tokio::net::TcpStream;

pub use self::users::Users;
use super::{
    connection::Closed,
    tcp,
    tls::{self, Tls},
    transport::Kind,
};
use crate::Gateway;

/// Serves one connection until it ends.
pub(super) async fn serve(gateway: Arc<Gateway>, stream: TcpStream, peer: IpAddr) -> Closed {
    tcp::send_at_once(&stream);
    client::serve(gateway, stream, Kind::Mqtt, peer).await
}

/// The same within TLS.
pub(super) async fn serve_tls(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    peer: IpAddr,
    tls: Arc<Tls>,
) -> Closed {
    match tls::agree(&gateway, stream, tls).await {
        Ok(link) => client::serve(gateway, link, Kind::Mqtts, peer).await,
        Err(closed) => closed,
    }
}
