//! One connection: bytes in, responses out.
//!
//! A frame is read, judged by the session, and appended to the log; its response is queued behind
//! the number of its record and leaves once the log says that the record is durable. Responses
//! keep the order of their requests, and all that are ready leave in one write.
//!
//! An idle connection holds no buffers: they are given back when they are empty.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use geofence::units::Timestamp;
use protocols::jt808::frame::{Frame, Split, looks_like_http};
use storage::log::AppendError;
use tokio::{net::TcpStream, sync::Notify, time::Instant};
use tokio_util::{codec::Decoder as _, sync::CancellationToken};

use crate::{
    Gateway, clock,
    ingest::{self, Rejected},
    listen::codec::FrameCodec,
    session::{Content, Event, Outcome, Response, Session},
};

/// Read at once at first; a connection that fills it gets [`READ_BYTES_MAX`].
const READ_BYTES: usize = 2 * 1024;
const READ_BYTES_MAX: usize = 64 * 1024;
/// Responses that the peer has not taken; more, and its requests are not read.
const UNSENT_BYTES_MAX: usize = 64 * 1024;
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

struct Connection {
    gateway: Arc<Gateway>,
    stream: TcpStream,
    codec: FrameCodec,
    buffer: BytesMut,
    read_bytes: usize,
    session: Session,
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
pub async fn serve(gateway: Arc<Gateway>, stream: TcpStream, stop: CancellationToken) -> Closed {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let replaced = Arc::new(Notify::new());
    let session = Session::new(gateway.directory.connection_number(), Arc::clone(&replaced));
    let mut connection = Connection {
        codec: FrameCodec::new(gateway.config.tcp.join_cut_frames),
        stream,
        buffer: BytesMut::new(),
        read_bytes: READ_BYTES,
        session,
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
    let closed = connection.run(&replaced, &stop).await;
    connection.end_session();
    tracing::debug!(reason = closed.as_str(), "connection ended");
    closed
}

impl Connection {
    async fn run(&mut self, replaced: &Notify, stop: &CancellationToken) -> Closed {
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
            self.give_buffers_back();
            if let (None, Some(first)) = (&durable, self.pending.front()) {
                durable = Some(log.wait_durable(first.durable));
            }
            let may_read = !is_stopping
                && self.pending.len() < self.gateway.config.tcp.unanswered_max as usize
                && self.unsent.len() < UNSENT_BYTES_MAX;
            tokio::select! {
                biased;
                () = replaced.notified() => return Closed::Replaced,
                () = stop.cancelled(), if !is_stopping => is_stopping = true,
                done = async { match &mut durable { Some(wait) => wait.await, None => std::future::pending().await } } => {
                    durable = None;
                    if done.is_err() {
                        return Closed::LogFailed;
                    }
                    self.release(log.durable());
                }
                _ = self.stream.writable(), if self.ready > 0 => {}
                readable = self.stream.readable(), if may_read => {
                    if readable.is_err() {
                        return Closed::Broken;
                    }
                    if let Err(closed) = self.read(replaced, stop).await {
                        return closed;
                    }
                    self.release(log.durable());
                }
                () = &mut timer => {
                    if let Some(closed) = self.overdue() {
                        return closed;
                    }
                    timer.as_mut().reset(self.deadline());
                }
            }
        }
    }

    /// The moment at which something is overdue if nothing happens until then.
    fn deadline(&self) -> Instant {
        let limits = &self.gateway.config.tcp;
        let patience = if self.session.terminal().is_some() {
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
        match self.session.terminal() {
            Some(_) if silence >= limits.idle_timeout => Some(Closed::Idle),
            None if silence >= limits.authentication_timeout => Some(Closed::NotAuthenticated),
            _ => None,
        }
    }

    fn give_buffers_back(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > 0 {
            self.buffer = BytesMut::new();
        }
        if self.unsent.is_empty() && self.unsent.capacity() > 0 {
            self.unsent = Vec::new();
            self.pending = VecDeque::new();
        }
    }

    async fn read(&mut self, replaced: &Notify, stop: &CancellationToken) -> Result<(), Closed> {
        self.buffer.reserve(self.read_bytes);
        let count = match self.stream.try_read_buf(&mut self.buffer) {
            Ok(0) => return Err(Closed::Peer),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(Closed::Broken),
        };
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
                        self.on_frame(&frame, &raw, now, read_at, replaced, stop)
                            .await?;
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
        replaced: &Notify,
        stop: &CancellationToken,
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
        let before = self.session.terminal();
        let outcome = self.session.on_frame(frame, &gateway.directory, now);
        if before.is_none()
            && let Some(terminal) = self.session.terminal()
        {
            metrics.sessions_opened.increment(1);
            gateway.live.set_online(terminal, true);
        }
        match outcome {
            Outcome::Handled { response, event } => {
                metrics.frames_handled.increment(1);
                self.on_event(event, before);
                self.queue(response, None, None);
            }
            Outcome::Rejected {
                reason,
                response,
                is_kept,
            } => {
                self.reject(reason, raw, now);
                if is_kept {
                    let payload = ingest::record::undecoded(raw);
                    self.append(ingest::record::UNDECODED, now, &payload, replaced, stop)
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
                let offset = self.append(kind, now, &parts, replaced, stop).await?;
                metrics.frames_recorded.increment(1);
                ingest::feed_live(&gateway, terminal, &content, frame, now, offset);
                let read_at = (!matches!(content, Content::Other)).then_some(read_at);
                self.queue(Some(response), Some(offset), read_at);
            }
        }
        Ok(())
    }

    fn on_event(&self, event: Option<Event>, before: Option<geofence::identity::TerminalId>) {
        let metrics = &self.gateway.metrics;
        let word = |is_ok: bool| if is_ok { "ok" } else { "refused" };
        match event {
            Some(Event::Registered(ok)) => {
                metrics.count("registrations_total", "result", word(ok), 1)
            }
            Some(Event::Authenticated(ok)) => {
                metrics.count("authentications_total", "result", word(ok), 1);
            }
            Some(Event::LoggedOut) => {
                metrics.sessions_closed.increment(1);
                if let Some(terminal) = before {
                    self.gateway.live.set_online(terminal, false);
                }
            }
            None => {}
        }
    }

    /// Appends, and waits where the log has no room: meanwhile this connection is not read.
    async fn append(
        &self,
        kind: storage::log::RecordKind,
        now: Timestamp,
        parts: &[&[u8]],
        replaced: &Notify,
        stop: &CancellationToken,
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
            tokio::select! {
                () = replaced.notified() => return Err(Closed::Replaced),
                () = stop.cancelled() => return Err(Closed::Shutdown),
                () = tokio::time::sleep(LOG_PAUSE) => {}
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

    fn end_session(&mut self) {
        let Some(terminal) = self.session.terminal() else {
            return;
        };
        self.gateway.metrics.sessions_closed.increment(1);
        if self.session.close(&self.gateway.directory) {
            self.gateway.live.set_online(terminal, false);
        }
    }
}
