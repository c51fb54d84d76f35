//! One connection: bytes in, responses out.
//!
//! A frame is read, judged by the session, and appended to the log; its response is queued behind
//! the number of its record and leaves once the log says that the record is durable. Responses
//! keep the order of their requests, and all that are ready leave in one write.
//!
//! An idle connection holds no buffers: they are given back when they are empty.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use geofence::units::Timestamp;
use protocols::jt808::frame::{Frame, Split, looks_like_http};
use storage::log::{AppendError, WaitDurable};
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep},
};
use tokio_util::{codec::Decoder as _, io::poll_read_buf};

use crate::{
    Gateway, clock,
    ingest::{self, Rejected},
    listen::codec::FrameCodec,
    session::{
        Content, Link, Outcome, Response, Session,
        control::{Control, Order},
    },
};

/// Read at once at first; a connection that fills it gets [`READ_BYTES_MAX`].
const READ_BYTES: usize = 1_000;
const READ_BYTES_MAX: usize = 64 * 1024;
/// Responses that the peer has not taken; more, and its requests are not read.
const UNSENT_BYTES_MAX: usize = 64 * 1024;
/// An idle connection keeps so much of its own.
const UNSENT_BYTES_KEPT: usize = 256;
const PENDING_KEPT: usize = 8;
/// A log without room is asked again after this pause.
const LOG_PAUSE: Duration = Duration::from_millis(100);

/// Why a connection ended; the words are a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
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
}

impl Closed {
    /// The label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
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
        }
    }
}

/// A response that waits for its record.
#[derive(Debug)]
struct Pending {
    /// Durable once this many records are.
    durable: u64,
    /// Length in `Connection::unsent`.
    bytes: usize,
    result: u8,
    /// When its request was read; none for messages that are no reports.
    read_at: Option<Instant>,
}

/// Why a connection woke up.
enum Wake {
    Told(Order),
    /// The record of the oldest response is durable.
    Durable,
    LogEnded,
    Writable,
    Read(usize),
    Closed(Closed),
    Timer,
}

struct Connection {
    gateway: Arc<Gateway>,
    stream: TcpStream,
    codec: FrameCodec,
    buffer: BytesMut,
    read_bytes: usize,
    session: Session,
    control: Arc<Control>,
    /// Responses in order; the first `ready` bytes may leave.
    unsent: Vec<u8>,
    ready: usize,
    pending: VecDeque<Pending>,
    has_begun: bool,
    bad_candidates: u32,
    garbage_bytes: u64,
    last_valid: Instant,
    write_blocked_since: Option<Instant>,
}

/// Serves one connection until it ends.
pub async fn serve(gateway: Arc<Gateway>, stream: TcpStream) -> Closed {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let (number, control) = gateway.directory.open_connection();
    // The stop tells all that are open; one that opens meanwhile asks.
    if gateway.stop.is_cancelled() {
        control.tell(Order::Stop);
    }
    // A peer that has gone already says nothing more, whatever its address.
    let address = stream
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let session = Session::new(Link {
        connection: number,
        control: Arc::clone(&control),
        address,
        transport: "tcp",
        is_shared: gateway.directory.is_forwarding(address),
    });
    let mut connection = Connection {
        codec: FrameCodec::new(gateway.config.tcp.join_cut_frames),
        stream,
        buffer: BytesMut::new(),
        read_bytes: READ_BYTES,
        session,
        control,
        unsent: Vec::new(),
        ready: 0,
        pending: VecDeque::new(),
        has_begun: false,
        bad_candidates: 0,
        garbage_bytes: 0,
        last_valid: Instant::now(),
        write_blocked_since: None,
        gateway,
    };
    let closed = connection.run().await;
    connection.end_session(closed);
    connection.gateway.directory.close_connection(number);
    tracing::debug!(reason = closed.as_str(), "connection ended");
    closed
}

impl Connection {
    async fn run(&mut self) -> Closed {
        let log = self.gateway.log.clone();
        let mut durable = None;
        let timer = tokio::time::sleep_until(self.deadline());
        tokio::pin!(timer);
        let mut is_stopping = false;
        loop {
            if let Err(closed) = self.send_ready() {
                return closed;
            }
            if is_stopping && self.unsent.is_empty() {
                return Closed::Shutdown;
            }
            if self.write_blocked_since.is_some() && self.deadline() < timer.deadline() {
                timer.as_mut().reset(self.deadline());
            }
            self.give_buffers_back();
            if let (None, Some(first)) = (&durable, self.pending.front()) {
                durable = Some(log.wait_durable(first.durable));
            }
            let event = std::future::poll_fn(|context| {
                self.poll_event(context, &mut durable, timer.as_mut(), is_stopping)
            });
            match event.await {
                Wake::Told(Order::Replaced) => return Closed::Replaced,
                Wake::Told(Order::Stop) => is_stopping = true,
                Wake::LogEnded => return Closed::LogFailed,
                Wake::Durable => {
                    durable = None;
                    self.release(log.durable());
                }
                Wake::Writable => {}
                Wake::Read(count) => {
                    if let Err(closed) = self.take(count).await {
                        return closed;
                    }
                    self.release(log.durable());
                }
                Wake::Closed(closed) => return closed,
                Wake::Timer => {
                    if let Some(closed) = self.overdue() {
                        return closed;
                    }
                    timer.as_mut().reset(self.deadline());
                }
            }
        }
    }

    /// The next thing that happens. One hand-written poll instead of a `select!`: at a hundred
    /// thousand messages a second its futures, made anew each turn, cost more than the messages.
    fn poll_event(
        &mut self,
        context: &mut Context<'_>,
        durable: &mut Option<WaitDurable>,
        timer: Pin<&mut Sleep>,
        is_stopping: bool,
    ) -> Poll<Wake> {
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
        if self.ready > 0 && self.stream.poll_write_ready(context).is_ready() {
            return Poll::Ready(Wake::Writable);
        }
        let may_read = !is_stopping
            && self.pending.len() < self.gateway.config.tcp.unanswered_max as usize
            && self.unsent.len() < UNSENT_BYTES_MAX;
        if may_read && self.stream.poll_read_ready(context).is_ready() {
            self.buffer.reserve(self.read_bytes);
            match poll_read_buf(Pin::new(&mut self.stream), context, &mut self.buffer) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Wake::Closed(Closed::Peer)),
                Poll::Ready(Ok(count)) => return Poll::Ready(Wake::Read(count)),
                Poll::Ready(Err(_)) => return Poll::Ready(Wake::Closed(Closed::Broken)),
                Poll::Pending => self.give_buffers_back(),
            }
        }
        timer.poll(context).map(|()| Wake::Timer)
    }

    /// The moment at which something is overdue if nothing happens until then.
    fn deadline(&self) -> Instant {
        let limits = &self.gateway.config.tcp;
        let patience = if self.session.is_authenticated() {
            limits.idle_timeout
        } else {
            limits.authentication_timeout
        };
        let idle = self.last_valid + patience;
        let write = self
            .write_blocked_since
            .map(|since| since + limits.write_timeout);
        write
            .map_or(idle, |write| write.min(idle))
            .max(Instant::now() + Duration::from_millis(10))
    }

    fn overdue(&self) -> Option<Closed> {
        let limits = &self.gateway.config.tcp;
        let now = Instant::now();
        if self
            .write_blocked_since
            .is_some_and(|since| now - since >= limits.write_timeout)
        {
            return Some(Closed::WriteTimeout);
        }
        if !self.pending.is_empty() {
            // It is the log that is slow, not the terminal.
            return None;
        }
        let silence = now - self.last_valid;
        match self.session.is_authenticated() {
            true if silence >= limits.idle_timeout => Some(Closed::Idle),
            false if silence >= limits.authentication_timeout => Some(Closed::NotAuthenticated),
            _ => None,
        }
    }

    /// The small ones are kept: asking for them again would cost more than they take.
    fn give_buffers_back(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > 0 {
            self.buffer = BytesMut::new();
        }
        if self.unsent.is_empty() && self.unsent.capacity() > UNSENT_BYTES_KEPT {
            self.unsent = Vec::new();
        }
        if self.pending.is_empty() && self.pending.capacity() > PENDING_KEPT {
            self.pending = VecDeque::new();
        }
    }

    /// Takes what was read.
    async fn take(&mut self, count: usize) -> Result<(), Closed> {
        self.gateway.metrics.received_bytes.increment(count as u64);
        self.read_bytes = if count >= self.read_bytes {
            READ_BYTES_MAX
        } else {
            READ_BYTES
        };
        if !self.has_begun {
            self.has_begun = true;
            if looks_like_http(&self.buffer) {
                self.gateway.metrics.frames_received.increment(1);
                self.gateway.metrics.reject("http");
                return Err(Closed::Garbage);
            }
        }
        let now = clock::now();
        let read_at = Instant::now();
        while let Ok(Some(split)) = self.codec.decode(&mut self.buffer) {
            self.gateway.metrics.frames_received.increment(1);
            match split {
                Split::Candidate(raw) => match Frame::open(raw.clone()) {
                    Ok(frame) => {
                        self.on_frame(&frame, &raw, now, read_at).await?;
                    }
                    Err(rejection) => self.on_garbage(rejection.reason(), &raw, now)?,
                },
                Split::Dropped { reason, bytes, .. } => {
                    self.garbage_bytes += bytes as u64;
                    self.on_garbage(reason.reason(), &Bytes::new(), now)?;
                }
            }
        }
        Ok(())
    }

    fn on_garbage(
        &mut self,
        reason: &'static str,
        raw: &Bytes,
        now: Timestamp,
    ) -> Result<(), Closed> {
        self.reject(reason, raw, now);
        self.bad_candidates += 1;
        self.garbage_bytes += raw.len() as u64;
        let limits = &self.gateway.config.tcp;
        let is_enough = self.bad_candidates >= limits.bad_candidates_max
            || self.garbage_bytes >= limits.garbage_bytes_max;
        if is_enough {
            Err(Closed::Garbage)
        } else {
            Ok(())
        }
    }

    fn reject(&self, reason: &'static str, raw: &Bytes, now: Timestamp) {
        self.gateway.metrics.reject(reason);
        let terminal = self.session.terminal();
        self.gateway.rejected.push(Rejected {
            reason,
            received_at: now,
            terminal,
            frame: raw.clone(),
        });
    }

    async fn on_frame(
        &mut self,
        frame: &Frame,
        raw: &Bytes,
        now: Timestamp,
        read_at: Instant,
    ) -> Result<(), Closed> {
        self.bad_candidates = 0;
        self.garbage_bytes = 0;
        self.last_valid = read_at;
        let gateway = Arc::clone(&self.gateway);
        let metrics = &gateway.metrics;
        metrics.decoded(frame.header.message_id);
        if frame.deviates {
            metrics.frames_deviating.increment(1);
        }
        let (outcome, presented) = self.session.on_frame(frame, &gateway.directory, now);
        if let Some(presented) = presented {
            gateway
                .live
                .set_online(presented.terminal, presented.is_online);
        }
        match outcome {
            Outcome::Handled { response } => {
                metrics.frames_handled.increment(1);
                self.queue(response, None, None);
            }
            Outcome::Registered { response, saved } => {
                metrics.frames_handled.increment(1);
                if saved.wait().await {
                    self.queue(Some(response), None, None);
                } else {
                    metrics.registrations_unanswered.increment(1);
                }
            }
            Outcome::Rejected {
                reason,
                response,
                is_kept,
            } => {
                self.reject(reason, raw, now);
                if is_kept {
                    let payload = ingest::record::undecoded(raw);
                    self.append(ingest::record::UNDECODED, now, &payload)
                        .await?;
                }
                self.queue(response, None, None);
            }
            Outcome::Record {
                terminal,
                revision,
                content,
                response,
            } => {
                let prefix = ingest::record::prefix(revision);
                let parts = [&prefix[..], raw];
                let kind = ingest::record::FRAME;
                let offset = self.append(kind, now, &parts).await?;
                metrics.frames_recorded.increment(1);
                ingest::feed_live(&gateway, terminal, &content, frame, now, offset);
                let read_at = (!matches!(content, Content::Other)).then_some(read_at);
                self.queue(Some(response), Some(offset), read_at);
            }
        }
        Ok(())
    }

    /// Appends, and waits where the log has no room: meanwhile this connection is not read.
    async fn append(
        &self,
        kind: storage::log::RecordKind,
        now: Timestamp,
        parts: &[&[u8]],
    ) -> Result<u64, Closed> {
        loop {
            let reason = match self.gateway.log.append_parts(kind, now.millis(), parts) {
                Ok(offset) => {
                    self.gateway.metrics.log_appended.increment(1);
                    return Ok(offset);
                }
                Err(AppendError::Poisoned | AppendError::TooLarge { .. }) => {
                    return Err(Closed::LogFailed);
                }
                Err(AppendError::Closed) => return Err(Closed::Shutdown),
                Err(error) => error.reason(),
            };
            self.gateway
                .metrics
                .count("log_waits_total", "reason", reason, 1);
            tokio::time::sleep(LOG_PAUSE).await;
            if self.control.is_told(Order::Replaced) {
                return Err(Closed::Replaced);
            }
            if self.control.is_told(Order::Stop) {
                return Err(Closed::Shutdown);
            }
        }
    }

    fn queue(&mut self, response: Option<Response>, offset: Option<u64>, read_at: Option<Instant>) {
        let Some(response) = response else { return };
        self.unsent.extend_from_slice(&response.frame);
        // A response that waits for nothing still waits for those before it.
        let durable = offset
            .map(|offset| offset + 1)
            .or_else(|| self.pending.back().map(|pending| pending.durable))
            .unwrap_or_default();
        let (bytes, result) = (response.frame.len(), response.result);
        self.pending.push_back(Pending {
            durable,
            bytes,
            result,
            read_at,
        });
    }

    /// Responses whose records are durable become ready.
    fn release(&mut self, durable: u64) {
        while let Some(pending) = self.pending.pop_front_if(|first| first.durable <= durable) {
            self.ready += pending.bytes;
            self.gateway.metrics.responded(pending.result);
            if let Some(read_at) = pending.read_at {
                self.gateway
                    .metrics
                    .response_duration
                    .record(read_at.elapsed().as_secs_f64());
            }
        }
    }

    fn send_ready(&mut self) -> Result<(), Closed> {
        if self.ready == 0 {
            return Ok(());
        }
        match self
            .stream
            .try_write(self.unsent.get(..self.ready).unwrap_or_default())
        {
            Ok(count) => {
                self.unsent.drain(..count);
                self.ready = self.ready.saturating_sub(count);
                self.write_blocked_since = None;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.write_blocked_since.get_or_insert_with(Instant::now);
                Ok(())
            }
            Err(_) => Err(Closed::Broken),
        }
    }

    fn end_session(&mut self, closed: Closed) {
        let directory = &self.gateway.directory;
        let now = clock::now();
        for terminal in self.session.close(directory, closed.as_str(), now) {
            self.gateway.live.set_online(terminal, false);
        }
    }
}
