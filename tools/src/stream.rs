//! What a terminal of the tools speaks over: TCP, or frames in MQTT payloads.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{
    mqtt::{Client, Tunnel},
    terminal::{Identity, Terminal, TerminalError},
};

/// The stream under a terminal.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// Frames in MQTT payloads.
    Mqtt(Box<Tunnel>),
}

/// Connects over plain TCP.
///
/// # Errors
/// As [`Terminal::connect`].
pub async fn over_tcp(
    target: &str,
    identity: Identity,
    limit: Duration,
) -> Result<Terminal<Stream>, TerminalError> {
    let terminal = Terminal::connect(target, identity, limit).await?;
    Ok(terminal.map(Stream::Tcp))
}

/// Connects over MQTT with the code of a registration, which authenticates.
///
/// # Errors
/// As [`Client::open`].
pub async fn over_mqtt(
    mqtt: &str,
    identity: Identity,
    code: &[u8],
    limit: Duration,
) -> Result<Terminal<Stream>, TerminalError> {
    let phone = identity.phone.digits();
    let client = Client::open(mqtt, &phone, code, &["down/jt808"], limit).await?;
    let stream = Stream::Mqtt(Box::new(Tunnel::over(client)));
    Ok(Terminal::over(stream, identity, limit))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, out),
            Self::Mqtt(tunnel) => Pin::new(tunnel).poll_read(context, out),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Mqtt(tunnel) => Pin::new(tunnel).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Mqtt(tunnel) => Pin::new(tunnel).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Mqtt(tunnel) => Pin::new(tunnel).poll_shutdown(context),
        }
    }
}
