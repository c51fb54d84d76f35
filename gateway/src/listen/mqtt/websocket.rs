//! MQTT over WebSocket (RFC 6455; MQTT 5 §6, MQTT 3.1.1 §6): a link like plain TCP and TLS, under
//! the same loop. Binary frames alone carry packets; where frames end says nothing about packets.
//!
//! ```text
//! TCP ─┬───────▶ handshake ─▶ frames ─▶ bytes of packets ─▶ client
//!      └─ TLS ─▶ (deadline)   (bounded
//!                              by their header)
//! ```
//!
//! The library is given the socket for each call, so that a connection has one waker and no copy of
//! it, and the bound of a message can grow once the client has shown its password.

mod handshake;

use std::{
    io::{self, Read, Write},
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::server::TlsStream;
use tungstenite::{
    Error, Message,
    protocol::{
        CloseFrame, Role, WebSocketConfig, WebSocketContext,
        frame::{Utf8Bytes, coding::CloseCode},
    },
};

use super::{client, rate::Rate};
use crate::{
    Gateway,
    listen::{
        connection::Closed,
        tcp,
        tls::{self, Tls},
        transport::{Kind, NotOfTheLink, Transport},
    },
    metrics::Metrics,
};

/// The library reads so much at once, and keeps it for as long as the connection lasts.
const READ_BYTES: usize = 4_096;
/// Of one frame of ours: the library keeps the room of the longest.
const FRAME_BYTES: usize = 16 * 1024;
/// Beside the frame on its way, for the answer to a ping or a close.
const CONTROL_BYTES: usize = 256;

/// A stream under the frames.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// What it is with frames in it.
    const KIND: Kind;

    /// Ready when the socket may have something.
    fn poll_socket(&self, context: &mut Context<'_>) -> Poll<()>;
}

impl Stream for TcpStream {
    const KIND: Kind = Kind::MqttWs;

    fn poll_socket(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(context).map(drop)
    }
}

impl Stream for Box<TlsStream<TcpStream>> {
    const KIND: Kind = Kind::MqttWss;

    fn poll_socket(&self, context: &mut Context<'_>) -> Poll<()> {
        self.get_ref().0.poll_read_ready(context).map(drop)
    }
}

/// Serves one connection until it ends.
pub(in crate::listen) async fn serve(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    peer: IpAddr,
) -> Closed {
    tcp::send_at_once(&stream);
    serve_over(gateway, stream, peer).await
}

/// The same within TLS.
pub(in crate::listen) async fn serve_tls(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    peer: IpAddr,
    tls: Arc<Tls>,
) -> Closed {
    match tls::agree(&gateway, stream, tls).await {
        Ok(link) => serve_over(gateway, link.into_stream(), peer).await,
        Err(closed) => closed,
    }
}

async fn serve_over<S: Stream>(gateway: Arc<Gateway>, stream: S, peer: IpAddr) -> Closed {
    match handshake::agree(&gateway, stream).await {
        Ok((stream, read)) => {
            let link = WebSocketLink::new(&gateway, stream, read);
            client::serve(gateway, link, S::KIND, peer).await
        }
        Err(closed) => closed,
    }
}

/// What came that is no MQTT; the words are a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// A text frame.
    Text,
    /// A message that is too long: by the header of its frame, or with the frames before it.
    Oversize,
    /// Not as RFC 6455 says.
    Malformed,
    /// Pings, or empty frames, faster than packets may come.
    Flood,
}

impl Wrong {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Oversize => "oversize",
            Self::Malformed => "malformed",
            Self::Flood => "flood",
        }
    }

    /// None where it is no fault of what came.
    const fn of(error: &Error) -> Option<Self> {
        match error {
            // Only texts, and the words of a goodbye, have to be UTF-8.
            Error::Utf8(_) => Some(Self::Text),
            Error::Capacity(_) => Some(Self::Oversize),
            Error::Protocol(_) => Some(Self::Malformed),
            _ => None,
        }
    }

    const fn closed(self) -> Closed {
        match self {
            Self::Text | Self::Malformed => Closed::Protocol,
            Self::Oversize => Closed::Oversize,
            Self::Flood => Closed::NotAllowed,
        }
    }

    /// What the client is told.
    fn goodbye(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::Text => (CloseCode::Unsupported, "MQTT is in binary frames"),
            Self::Oversize => (CloseCode::Size, "the message is too long"),
            Self::Malformed => (CloseCode::Protocol, "no WebSocket frame"),
            Self::Flood => (CloseCode::Policy, "too many frames without a packet"),
        };
        CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        }
    }
}

/// A link of frames.
struct WebSocketLink<S> {
    stream: S,
    frames: WebSocketContext,
    metrics: Arc<Metrics>,
    /// The last read may have left whole frames, of which the socket knows nothing.
    has_more: bool,
    /// A ping may not be answered yet.
    owes_answer: bool,
    /// The last frame of ours has not left as a whole.
    is_blocked: bool,
    /// Of frames that carry nothing.
    rate: Rate,
    wrong: Option<Wrong>,
    /// For a client that has shown its password.
    message_bytes_max: usize,
}

impl<S: Stream> WebSocketLink<S> {
    /// `read` is what came behind the request.
    fn new(gateway: &Gateway, stream: S, read: Vec<u8>) -> Self {
        let limits = &gateway.config.mqtt;
        let bytes = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        let first = bytes(limits.connect_bytes_max);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(FRAME_BYTES + CONTROL_BYTES)
            .max_message_size(Some(first))
            .max_frame_size(Some(first));
        Self {
            stream,
            frames: WebSocketContext::from_partially_read(read, Role::Server, Some(config)),
            metrics: Arc::clone(&gateway.metrics),
            has_more: true,
            owes_answer: false,
            is_blocked: false,
            rate: Rate::new(
                limits.packets_per_second_max,
                limits.packets_burst_max,
                Instant::now(),
            ),
            wrong: None,
            message_bytes_max: bytes(limits.websocket.message_bytes_max),
        }
    }

    /// The next message that carries something; 0 is the end.
    fn poll_message(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut socket = Socket(&mut self.stream, context);
            match ready!(polled(self.frames.read(&mut socket))) {
                Ok(Message::Binary(bytes)) if !bytes.is_empty() => {
                    buffer.extend_from_slice(&bytes);
                    return Poll::Ready(Ok(bytes.len()));
                }
                Ok(Message::Text(_)) => return Poll::Ready(Err(self.refuse(Wrong::Text))),
                // Its answer leaves with the next write, at the latest with the goodbye.
                Ok(Message::Close(_)) => return Poll::Ready(Ok(0)),
                Ok(message) => {
                    self.owes_answer |= matches!(message, Message::Ping(_));
                    if self.rate.charge(Instant::now()).is_some() {
                        return Poll::Ready(Err(self.refuse(Wrong::Flood)));
                    }
                }
                Err(error) => return Poll::Ready(self.end(error)),
            }
        }
    }

    fn end(&mut self, error: Error) -> io::Result<usize> {
        use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
        match error {
            // Many clients cut the line without the word that WebSocket, or TLS, has for it.
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(ResetWithoutClosingHandshake) => Ok(0),
            Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Error::Io(error) => Err(error),
            error => match Wrong::of(&error) {
                Some(wrong) => Err(self.refuse(wrong)),
                None => Err(io::Error::other(error)),
            },
        }
    }

    fn refuse(&mut self, wrong: Wrong) -> io::Error {
        self.wrong = Some(wrong);
        let reason = wrong.as_str();
        self.metrics
            .count("mqtt_websocket_refused_total", "reason", reason, 1);
        io::Error::other(NotOfTheLink(wrong.closed()))
    }

    fn poll_frames_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut socket = Socket(&mut self.stream, context);
        let flushed = ready!(polled(self.frames.flush(&mut socket)));
        self.is_blocked = false;
        self.owes_answer = false;
        Poll::Ready(match flushed {
            // The last of it was the answer to the client's goodbye.
            Ok(()) | Err(Error::ConnectionClosed) => Ok(()),
            Err(error) => Err(broken(error)),
        })
    }
}

impl<S: Stream> Transport for WebSocketLink<S> {
    const KIND: Kind = S::KIND;

    fn poll_read_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_more {
            return Poll::Ready(());
        }
        if self.owes_answer && self.poll_frames_out(context).is_ready() {
            // Whatever became of it, the next read says.
            self.owes_answer = false;
        }
        self.stream.poll_socket(context)
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        _room: usize,
    ) -> Poll<io::Result<usize>> {
        let read = self.poll_message(context, buffer);
        self.has_more = read.is_ready();
        read
    }

    fn poll_write(&mut self, context: &mut Context<'_>, frames: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_blocked {
            ready!(self.poll_frames_out(context))?;
        }
        let bytes = frames.get(..FRAME_BYTES).unwrap_or(frames);
        let message = Message::Binary(Bytes::copy_from_slice(bytes));
        let mut socket = Socket(&mut self.stream, context);
        match polled(self.frames.write(&mut socket, message)) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(error))),
            // The library has it, and the socket takes no more now.
            Poll::Pending => self.is_blocked = true,
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_frames_out(context)
    }

    fn say_goodbye(&mut self, context: &mut Context<'_>) {
        let frame = self.wrong.map_or(
            CloseFrame {
                code: CloseCode::Normal,
                reason: Utf8Bytes::default(),
            },
            Wrong::goodbye,
        );
        let mut socket = Socket(&mut self.stream, context);
        if let Poll::Ready(Err(error)) = polled(self.frames.close(&mut socket, Some(frame))) {
            tracing::debug!(%error, "no goodbye");
        }
        if let Poll::Ready(Err(error)) = Pin::new(&mut self.stream).poll_shutdown(context) {
            tracing::debug!(%error, "no goodbye");
        }
    }

    fn on_authenticated(&mut self) {
        let bytes_max = Some(self.message_bytes_max);
        self.frames.set_config(|config| {
            config.max_message_size = bytes_max;
            config.max_frame_size = bytes_max;
        });
    }
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::new(io::ErrorKind::BrokenPipe, error),
    }
}

/// The library says "would block" where a poll is pending.
fn polled<T>(result: Result<T, Error>) -> Poll<Result<T, Error>> {
    match result {
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

/// A stream for the time of one poll, as the library wants it.
struct Socket<'a, 'b, S>(&'a mut S, &'a mut Context<'b>);

impl<S> Socket<'_, '_, S> {
    fn now<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
        match poll {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: AsyncRead + Unpin> Read for Socket<'_, '_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        Self::now(Pin::new(&mut *self.0).poll_read(self.1, &mut buffer))?;
        Ok(buffer.filled().len())
    }
}

impl<S: AsyncWrite + Unpin> Write for Socket<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::now(Pin::new(&mut *self.0).poll_write(self.1, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::now(Pin::new(&mut *self.0).poll_flush(self.1))
    }
}
