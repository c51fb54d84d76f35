//! What a connection needs of the link under it.

use std::{
    io,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;

use super::connection::Closed;
use crate::config::Config;

/// The kinds of links; the words are a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A plain stream.
    Tcp,
    /// A stream within TLS.
    Tls,
    /// Datagrams.
    Udp,
    /// MQTT in a plain stream.
    Mqtt,
    /// MQTT within TLS.
    Mqtts,
    /// MQTT in frames of WebSocket.
    MqttWs,
    /// The same within TLS.
    MqttWss,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Tcp,
        Self::Tls,
        Self::Udp,
        Self::Mqtt,
        Self::Mqtts,
        Self::MqttWs,
        Self::MqttWss,
    ];

    /// The label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Udp => "udp",
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::MqttWs => "mqtt_ws",
            Self::MqttWss => "mqtt_wss",
        }
    }
}

/// How long a connection waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// For a valid authentication, from the first moment.
    pub authentication: Duration,
    /// For a valid frame, afterwards.
    pub idle: Duration,
    /// For the peer to take a response.
    pub write: Duration,
}

impl Timeouts {
    /// Those of `[tcp]`, which every stream has.
    #[must_use]
    pub(super) const fn of_streams(config: &Config) -> Self {
        Self {
            authentication: config.tcp.authentication_timeout,
            idle: config.tcp.idle_timeout,
            write: config.tcp.write_timeout,
        }
    }
}

/// What came over a link is not what the link carries; such an error is inside that of the read.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.as_str())]
pub(super) struct NotOfTheLink(pub(super) Closed);

/// How a connection whose link gave this error has ended.
pub(super) fn closed_by(error: &io::Error) -> Closed {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner.map_or(Closed::Broken, |NotOfTheLink(closed)| *closed)
}

/// A link to one terminal. A connection is compiled for each kind, so that a call costs nothing.
///
/// Each method follows the rules of a poll: where it is pending, the task is woken when it is worth
/// asking again.
pub(super) trait Transport: Send + Unpin {
    /// Which it is.
    const KIND: Kind;
    /// What a read gives is a unit: nothing of it is joined with the next.
    const IS_DATAGRAM: bool = false;

    /// How long a connection over it waits.
    fn timeouts(config: &Config) -> Timeouts {
        Timeouts::of_streams(config)
    }

    /// Ready when a read is worth a buffer.
    fn poll_read_ready(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Reads behind what is in `buffer`, about `room` bytes; 0 is the end.
    ///
    /// # Errors
    /// When the link broke.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        room: usize,
    ) -> Poll<io::Result<usize>>;

    /// Takes some of `frames`, which are whole unless some of the first was taken before.
    ///
    /// # Errors
    /// When the link broke.
    fn poll_write(&mut self, context: &mut Context<'_>, frames: &[u8]) -> Poll<io::Result<usize>>;

    /// Ready when all that was taken has left the process.
    ///
    /// # Errors
    /// When the link broke.
    fn poll_flush(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Says goodbye where the link has a word for it. Nobody waits for it.
    fn say_goodbye(&mut self, _context: &mut Context<'_>) {}

    /// A terminal has shown its code over this link.
    fn on_authenticated(&mut self) {}
}
