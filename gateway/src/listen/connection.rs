//! One connection: bytes in, responses out.
//!
//! A frame is read, judged by the session, and appended to the log; its response is queued behind
//! the number of its record and leaves once the log says that the record is durable. Responses
//! keep the order of their requests, and all that are ready leave in one write.
//!
//! An idle connection holds no buffers: they are given back when they are empty.

pub(super) mod frames;

use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use storage::log::WaitDurable;
use tokio::time::{Instant, Sleep};

use super::{
    codec::FrameCodec,
    responses::Responses,
    sending::Sending,
    transport::{Kind, Transport},
};
use crate::{
    Gateway, clock, media,
    session::{
        Link, Session,
        control::{Control, Order},
    },
};

/// Read at once at first; a connection that fills it gets [`READ_BYTES_MAX`].
const READ_BYTES: usize = 1_000;
const READ_BYTES_MAX: usize = 64 * 1024;
/// Responses that the peer has not taken; more, and its requests are not read.
const UNSENT_BYTES_MAX: usize = 64 * 1024;

/// Why a connection ended; the words are a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// The peer closed it.
    Peer,
    /// The link broke.
    Broken,
    /// Nothing valid came for too long.
    Idle,
    /// No authentication in time.
    NotAuthenticated,
    /// The peer did not take its responses.
    WriteTimeout,
    /// Too much that is no JT/T 808.
    Garbage,
    /// The same terminal came on a newer connection.
    Replaced,
    /// The process stops.
    Shutdown,
    /// The log failed.
    LogFailed,
    /// TLS was not agreed upon.
    Handshake,
    /// MQTT: the CONNECT was refused.
    Refused,
    /// MQTT: what came is not as the standard says.
    Protocol,
    /// MQTT: a packet is too long.
    Oversize,
    /// MQTT: the client may not do that.
    NotAllowed,
    /// MQTT: violations did not reach the subscriber.
    Behind,
}

impl Closed {
    /// The label.
    #[must_use]
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Broken => "broken",
            Self::Idle => "idle",
            Self::NotAuthenticated => "not_authenticated",
            Self::WriteTimeout => "write_timeout",
            Self::Garbage => "garbage",
            Self::Replaced => "replaced",
            Self::Shutdown => "shutdown",
            Self::LogFailed => "log_failed",
            Self::Handshake => "handshake",
            Self::Refused => "refused",
            Self::Protocol => "protocol",
            Self::Oversize => "oversize",
            Self::NotAllowed => "not_allowed",
            Self::Behind => "behind",
        }
    }
}

/// Why a connection woke up. Each is polled in `poll_event` and dealt with in `run`; moments are
/// not polled one by one, the earliest of them is the `deadline`.
enum Wake {
    Told(Order),
    /// The record of the oldest response is durable.
    Durable,
    LogEnded,
    Read(usize),
    Closed(Closed),
    Timer,
}

struct Connection<T> {
    gateway: Arc<Gateway>,
    transport: T,
    codec: FrameCodec,
    buffer: BytesMut,
    read_bytes: usize,
    session: Session,
    control: Arc<Control>,
    responses: Responses,
    sending: Sending,
    has_begun: bool,
    bad_candidates: u32,
    garbage_bytes: u64,
    last_valid: Instant,
    /// Since when no terminal has shown its code here, or the last one has logged out.
    unauthenticated_since: Instant,
}

/// The number of a new connection, what tells it, and its session.
pub(super) fn open_session(
    gateway: &Arc<Gateway>,
    peer: IpAddr,
    kind: Kind,
    is_shared: bool,
) -> (u64, Arc<Control>, Session) {
    let (number, control) = gateway.directory.open_connection();
    // The stop tells all that are open; one that opens meanwhile asks.
    if gateway.stop.is_cancelled() {
        control.tell(Order::Stop);
    }
    let link = Link {
        connection: number,
        control: Arc::clone(&control),
        address: peer,
        transport: kind.as_str(),
        is_shared,
    };
    let session = Session::new(link, Arc::clone(&gateway.packets));
    (number, control, session)
}

/// Gives up what is not whole, and tells of the terminals that are gone.
pub(super) fn end_session(gateway: &Arc<Gateway>, session: &mut Session, closed: Closed) {
    media::give_up(gateway, session.give_up());
    for terminal in session.close(&gateway.directory, closed.as_str(), clock::now()) {
        gateway.live.set_online(terminal, false);
    }
}

/// Serves one connection until it ends.
pub(super) async fn serve<T: Transport>(
    gateway: Arc<Gateway>,
    transport: T,
    peer: IpAddr,
) -> Closed {
    let is_shared = gateway.directory.is_forwarding(peer);
    let (number, control, session) = open_session(&gateway, peer, T::KIND, is_shared);
    let now = Instant::now();
    let mut connection = Connection {
        codec: FrameCodec::new(gateway.config.tcp.join_cut_frames),
        transport,
        buffer: BytesMut::new(),
        read_bytes: READ_BYTES,
        session,
        control,
        responses: Responses::default(),
        sending: Sending::new(),
        has_begun: false,
        bad_candidates: 0,
        garbage_bytes: 0,
        last_valid: now,
        unauthenticated_since: now,
        gateway,
    };
    let closed = connection.run().await;
    end_session(&connection.gateway, &mut connection.session, closed);
    std::future::poll_fn(|context| {
        connection.transport.say_goodbye(context);
        Poll::Ready(())
    })
    .await;
    connection.gateway.directory.close_connection(number);
    tracing::debug!(
        reason = closed.as_str(),
        transport = T::KIND.as_str(),
        "connection ended"
    );
    closed
}

impl<T: Transport> Connection<T> {
    async fn run(&mut self) -> Closed {
        let log = self.gateway.log.clone();
        let mut durable = None;
        let timer = tokio::time::sleep_until(self.deadline());
        tokio::pin!(timer);
        let mut is_stopping = false;
        loop {
            if let (None, Some(first)) = (&durable, self.responses.awaited()) {
                durable = Some(log.wait_durable(first));
            }
            let event = std::future::poll_fn(|context| {
                self.poll_event(context, &mut durable, timer.as_mut(), is_stopping)
            });
            match event.await {
                Wake::Told(Order::Replaced) => return Closed::Replaced,
                // Subscribers alone are told so.
                Wake::Told(Order::Behind) => return Closed::Behind,
                Wake::Told(Order::Stop) => is_stopping = true,
                Wake::Told(Order::Send) => {
                    let frames = self.session.take_downlinks();
                    self.send_unasked(frames);
                }
                Wake::LogEnded => return Closed::LogFailed,
                Wake::Durable => {
                    durable = None;
                    self.release(log.durable());
                }
                Wake::Read(count) => {
                    let was_authenticated = self.session.is_authenticated();
                    if let Err(closed) = self.take(count).await {
                        return closed;
                    }
                    self.release(log.durable());
                    let is_earlier = !was_authenticated
                        || !self.session.is_authenticated()
                        || self.session.next_deadline().is_some();
                    if is_earlier && self.deadline() < timer.deadline() {
                        timer.as_mut().reset(self.deadline());
                    }
                }
                Wake::Closed(closed) => return closed,
                Wake::Timer => {
                    if let Some(closed) = self.overdue() {
                        return closed;
                    }
                    self.on_time();
                    timer.as_mut().reset(self.deadline());
                }
            }
        }
    }

    /// The next thing that happens, after all that is ready has been sent. One hand-written poll
    /// instead of a `select!`: at a hundred thousand messages a second its futures, made anew each
    /// turn, cost more than the messages.
    fn poll_event(
        &mut self,
        context: &mut Context<'_>,
        durable: &mut Option<WaitDurable>,
        mut timer: Pin<&mut Sleep>,
        is_stopping: bool,
    ) -> Poll<Wake> {
        let sent = self
            .sending
            .poll(&mut self.transport, &mut self.responses, context);
        match sent {
            Poll::Ready(Ok(())) if is_stopping && self.responses.unsent_bytes() == 0 => {
                return Poll::Ready(Wake::Closed(Closed::Shutdown));
            }
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Wake::Closed(Closed::Broken)),
            Poll::Pending => {
                if self.deadline() < timer.deadline() {
                    timer.as_mut().reset(self.deadline());
                }
            }
        }
        if let Poll::Ready(order) = self.control.poll_told(context, is_stopping) {
            return Poll::Ready(Wake::Told(order));
        }
        if let Some(wait) = durable
            && let Poll::Ready(done) = Pin::new(wait).poll(context)
        {
            return Poll::Ready(if done.is_ok() {
                Wake::Durable
            } else {
                Wake::LogEnded
            });
        }
        let may_read = !is_stopping
            && self.responses.pending() < self.gateway.config.tcp.unanswered_max as usize
            && self.responses.unsent_bytes() < UNSENT_BYTES_MAX;
        if may_read && self.transport.poll_read_ready(context).is_ready() {
            let read = self
                .transport
                .poll_read(context, &mut self.buffer, self.read_bytes);
            match read {
                Poll::Ready(Ok(0)) => return Poll::Ready(Wake::Closed(Closed::Peer)),
                Poll::Ready(Ok(count)) => return Poll::Ready(Wake::Read(count)),
                Poll::Ready(Err(_)) => return Poll::Ready(Wake::Closed(Closed::Broken)),
                Poll::Pending => {}
            }
        }
        self.give_buffers_back();
        timer.poll(context).map(|()| Wake::Timer)
    }

    /// The moment at which something is overdue if nothing happens until then.
    fn deadline(&self) -> Instant {
        let timeouts = T::timeouts(&self.gateway.config);
        let idle = if self.session.is_authenticated() {
            self.last_valid + timeouts.idle
        } else {
            self.unauthenticated_since + timeouts.authentication
        };
        let write = self.sending.overdue_at(timeouts.write);
        let packets = self.session.next_deadline();
        let packets = packets.map(|elapsed| self.gateway.started + elapsed);
        write
            .into_iter()
            .chain(packets)
            .fold(idle, Instant::min)
            .max(Instant::now() + Duration::from_millis(10))
    }

    fn overdue(&self) -> Option<Closed> {
        let timeouts = T::timeouts(&self.gateway.config);
        let now = Instant::now();
        let write = self.sending.overdue_at(timeouts.write);
        if write.is_some_and(|at| at <= now) {
            return Some(Closed::WriteTimeout);
        }
        if self.responses.pending() > 0 {
            // It is the log that is slow, not the terminal.
            return None;
        }
        let is_known = self.session.is_authenticated();
        if is_known && now - self.last_valid >= timeouts.idle {
            Some(Closed::Idle)
        } else if !is_known && now - self.unauthenticated_since >= timeouts.authentication {
            Some(Closed::NotAuthenticated)
        } else {
            None
        }
    }

    fn give_buffers_back(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > 0 {
            self.buffer = BytesMut::new();
        }
        self.responses.give_buffers_back();
    }

    fn release(&mut self, durable: u64) {
        self.responses.release(durable, &self.gateway.metrics);
    }

    /// Asks for missing packets, and gives up messages that will not be whole.
    fn on_time(&mut self) {
        let due = self.session.on_time(self.gateway.started.elapsed());
        let asked = due.frames.len() as u64;
        self.gateway.metrics.packet_requests.increment(asked);
        self.send_unasked(due.frames);
        media::give_up(&self.gateway, due.given_up);
    }

    /// Frames that are no responses; they leave after the responses before them.
    fn send_unasked(&mut self, frames: impl IntoIterator<Item = Bytes>) {
        for frame in frames {
            self.responses.push_unasked(&frame);
        }
        self.release(self.gateway.log.durable());
    }
}
