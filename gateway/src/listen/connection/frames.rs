//! What a connection does with what it read: frame by frame, judged by the session, recorded,
//! counted.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use geofence::units::Timestamp;
use protocols::jt808::{
    frame::{Frame, Split, looks_like_http},
    reassembly::Joined,
};
use storage::log::AppendError;
use tokio::time::Instant;
use tokio_util::codec::Decoder as _;

use super::{
    super::responses::Responses, Closed, Connection, READ_BYTES, READ_BYTES_MAX, Transport,
};
use crate::{
    Gateway, clock,
    ingest::{
        self, Rejected,
        record::{PREFIX_BYTES_MAX, Prefix, Received},
    },
    media,
    session::{
        Content, Moment, Outcome, Response, Session, Verdict,
        control::{Control, Order},
    },
};

/// A log without room is asked again after this pause.
const LOG_PAUSE: Duration = Duration::from_millis(100);

/// Where the responses to frames go.
pub(in crate::listen) trait Replies: Send {
    /// A response behind the record with this number, or behind those before it. `read_at` is when
    /// its report was read.
    fn reply(&mut self, response: &Response, offset: Option<u64>, read_at: Option<Instant>);
}

impl Replies for Responses {
    fn reply(&mut self, response: &Response, offset: Option<u64>, read_at: Option<Instant>) {
        self.push(response, offset, read_at);
    }
}

/// What becomes of frames, whatever brought them.
pub(in crate::listen) struct Frames<'a, R> {
    pub(in crate::listen) gateway: &'a Arc<Gateway>,
    pub(in crate::listen) session: &'a mut Session,
    pub(in crate::listen) control: &'a Control,
    pub(in crate::listen) replies: &'a mut R,
}

impl<T: Transport> Connection<T> {
    /// Takes what was read.
    pub(super) async fn take(&mut self, count: usize) -> Result<(), Closed> {
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
            self.on_split(split, now, read_at).await?;
        }
        if T::IS_DATAGRAM
            && let Some(split) = self.codec.finish(&mut self.buffer)
        {
            self.on_split(split, now, read_at).await?;
        }
        Ok(())
    }

    async fn on_split(
        &mut self,
        split: Split,
        now: Timestamp,
        read_at: Instant,
    ) -> Result<(), Closed> {
        self.gateway.metrics.frames_received.increment(1);
        match split {
            Split::Candidate(raw) => match Frame::open(raw.clone()) {
                Ok(frame) => {
                    let frame = self.session.read_again(frame, &raw);
                    self.on_whole(&frame, &raw, now, read_at).await
                }
                Err(rejection) => self.on_garbage(rejection.reason(), &raw, now),
            },
            Split::Dropped { reason, bytes, .. } => {
                self.garbage_bytes += bytes as u64;
                self.on_garbage(reason.reason(), &Bytes::new(), now)
            }
        }
    }

    fn on_garbage(
        &mut self,
        reason: &'static str,
        raw: &Bytes,
        now: Timestamp,
    ) -> Result<(), Closed> {
        self.frames().reject(reason, raw, now);
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

    async fn on_whole(
        &mut self,
        frame: &Frame,
        raw: &Bytes,
        now: Timestamp,
        read_at: Instant,
    ) -> Result<(), Closed> {
        self.bad_candidates = 0;
        self.garbage_bytes = 0;
        self.last_valid = read_at;
        let was_authenticated = self.session.is_authenticated();
        let judged = self.frames().on_frame(frame, raw, now, read_at).await;
        match (was_authenticated, self.session.is_authenticated()) {
            (false, true) => self.transport.on_authenticated(),
            (true, false) => self.unauthenticated_since = read_at,
            _ => {}
        }
        judged
    }

    fn frames(&mut self) -> Frames<'_, Responses> {
        Frames {
            gateway: &self.gateway,
            session: &mut self.session,
            control: &self.control,
            replies: &mut self.responses,
        }
    }
}

impl<R: Replies> Frames<'_, R> {
    /// A frame is not taken: counted, and kept for people to look at.
    pub(in crate::listen) fn reject(&self, reason: &'static str, raw: &Bytes, now: Timestamp) {
        self.gateway.metrics.reject(reason);
        let terminal = self.session.terminal();
        self.gateway.rejected.push(Rejected {
            reason,
            received_at: now,
            terminal,
            frame: raw.clone(),
        });
    }

    /// Judges a frame, records it and answers.
    ///
    /// # Errors
    /// Why the connection must end.
    pub(in crate::listen) async fn on_frame(
        &mut self,
        frame: &Frame,
        raw: &Bytes,
        now: Timestamp,
        read_at: Instant,
    ) -> Result<(), Closed> {
        let gateway = Arc::clone(self.gateway);
        let metrics = &gateway.metrics;
        metrics.decoded(frame.header.message_id);
        let moment = Moment {
            now,
            elapsed: read_at - gateway.started,
        };
        let Verdict {
            outcome,
            presented,
            answer,
        } = self.session.on_frame(frame, &gateway.directory, moment);
        if frame.deviates && !self.session.tolerates(frame) {
            metrics.frames_deviating.increment(1);
        }
        if let Some(presented) = presented {
            gateway
                .live
                .set_online(presented.terminal, presented.is_online);
        }
        match outcome {
            Outcome::Handled { response } => {
                metrics.frames_handled.increment(1);
                self.queue(response.as_ref(), None, None);
            }
            Outcome::Registered { response, saved } => {
                metrics.frames_handled.increment(1);
                if saved.wait().await {
                    self.queue(Some(&response), None, None);
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
                self.queue(response.as_ref(), None, None);
            }
            Outcome::Record {
                terminal,
                revision,
                profile,
                content,
                joined,
                response,
            } => {
                let prefix = Prefix::new(revision, profile.as_deref(), frame);
                let mut buffer = [0; PREFIX_BYTES_MAX];
                let parts = [prefix.encode(&mut buffer), raw];
                let kind = ingest::record::FRAME;
                let mut offset = self.append(kind, now, &parts).await?;
                metrics.frames_recorded.increment(1);
                let mut content = content;
                let mut body = &frame.body;
                if let Some(joined) = &joined {
                    body = &joined.body;
                    match self.append_joined(prefix, joined, now).await? {
                        Some(whole) => offset = whole,
                        None => content = Content::Other,
                    }
                }
                let received = Received {
                    terminal,
                    received_at: now,
                    log_offset: offset,
                    headers: prefix.headers,
                };
                ingest::feed_live(&gateway, &received, profile.as_ref(), &content, body);
                let read_at = (!matches!(content, Content::Other)).then_some(read_at);
                self.queue(Some(&response), Some(offset), read_at);
            }
            Outcome::Media {
                medium,
                data,
                taken: [response, whole],
                refused,
            } => {
                metrics.frames_handled.increment(1);
                if media::store(&gateway, *medium, data).await {
                    self.queue(Some(&response), None, None);
                    self.queue(Some(&whole), None, None);
                } else {
                    self.queue(Some(&refused), None, None);
                }
            }
        }
        if let Some((terminal, answer)) = answer {
            gateway.commands.answered(terminal, *answer).await;
        }
        Ok(())
    }

    /// The whole message after its last packet, for those who follow the log. One that is too long
    /// for a record is there in its packets alone.
    async fn append_joined(
        &self,
        prefix: Prefix,
        joined: &Joined,
        now: Timestamp,
    ) -> Result<Option<u64>, Closed> {
        let head = ingest::record::joined(prefix, joined);
        if head.len() + joined.body.len() > self.gateway.log.record_bytes_max() {
            self.gateway.metrics.joined_too_long.increment(1);
            return Ok(None);
        }
        let parts = [&head[..], &joined.body];
        let kind = ingest::record::JOINED;
        self.append(kind, now, &parts).await.map(Some)
    }

    async fn append(
        &self,
        kind: storage::log::RecordKind,
        now: Timestamp,
        parts: &[&[u8]],
    ) -> Result<u64, Closed> {
        append(self.gateway, self.control, kind, now, parts).await
    }

    fn queue(
        &mut self,
        response: Option<&Response>,
        offset: Option<u64>,
        read_at: Option<Instant>,
    ) {
        if let Some(response) = response {
            self.replies.reply(response, offset, read_at);
        }
    }
}

/// Appends, and waits where the log has no room: meanwhile this connection is not read.
///
/// # Errors
/// Why the connection must end.
pub(in crate::listen) async fn append(
    gateway: &Gateway,
    control: &Control,
    kind: storage::log::RecordKind,
    now: Timestamp,
    parts: &[&[u8]],
) -> Result<u64, Closed> {
    loop {
        let reason = match gateway.log.append_parts(kind, now.millis(), parts) {
            Ok(offset) => {
                gateway.metrics.log_appended.increment(1);
                return Ok(offset);
            }
            Err(AppendError::Poisoned | AppendError::TooLarge { .. }) => {
                return Err(Closed::LogFailed);
            }
            Err(AppendError::Closed) => return Err(Closed::Shutdown),
            Err(error) => error.reason(),
        };
        gateway
            .metrics
            .count("log_waits_total", "reason", reason, 1);
        tokio::time::sleep(LOG_PAUSE).await;
        if control.is_told(Order::Replaced) {
            return Err(Closed::Replaced);
        }
        if control.is_told(Order::Stop) {
            return Err(Closed::Shutdown);
        }
    }
}
