//! PUBLISH: into the log, and only then acknowledged.

use bytes::{Bytes, BytesMut};
use geofence::units::Timestamp;
use protocols::{
    jt808::{
        frame::{Frame, Split},
        message::MessageId,
    },
    mqtt::{Answer, PayloadError},
};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::codec::Decoder as _;

use super::{
    client::Client,
    packet::{self, DisconnectReasonCode, Publish, PublishResult, Version, Will},
    topics::{Down, Up, levels},
};
use crate::{
    clock,
    commands::TerminalAnswer,
    ingest::{Rejected, json, normalise::Window, record},
    listen::{
        codec::FrameCodec,
        connection::{
            Closed,
            frames::{Frames, Replies, append},
        },
        transport::Transport,
    },
    session::Response,
};

/// Characters of an explanation.
const DETAIL_MAX: usize = 200;

/// Responses to the frames of one payload.
#[derive(Default)]
struct Gathered(Vec<(Bytes, u8, Option<u64>)>);

impl Replies for Gathered {
    fn reply(&mut self, response: &Response, offset: Option<u64>, _read_at: Option<Instant>) {
        self.0
            .push((response.frame.clone(), response.result, offset));
    }
}

impl<T: Transport> Client<T> {
    pub(super) async fn on_publish(
        &mut self,
        publish: Publish,
        read_at: Instant,
    ) -> Result<(), Closed> {
        let Some(client) = &self.established else {
            return Err(Closed::Protocol);
        };
        let (version, up) = (client.version, client.topics.up(&publish.topic));
        let levels_max = self.gateway.config.mqtt.topic_levels_max as usize;
        let refused = if publish.is_exactly_once {
            Some(("qos2", DisconnectReasonCode::QoSNotSupported))
        } else if publish.is_retained {
            Some(("retained", DisconnectReasonCode::RetainNotSupported))
        } else if publish.has_alias {
            Some(("alias", DisconnectReasonCode::TopicAliasInvalid))
        } else if levels(&publish.topic) > levels_max {
            Some(("levels", DisconnectReasonCode::TopicNameInvalid))
        } else {
            None
        };
        if let Some((word, reason)) = refused {
            self.count_publish(word);
            return Err(self.break_off(reason));
        }
        let Some(up) = up else {
            self.count_publish("not_allowed");
            if version == Version::V3 {
                // It has no other word for it.
                return Err(self.break_off(DisconnectReasonCode::NotAuthorized));
            }
            self.acknowledge(publish.pid, PublishResult::NotAllowed, None, read_at);
            return Ok(());
        };
        let now = clock::now();
        let (result, offset) = match up {
            Up::Json => self.on_json(&publish.payload, now).await?,
            Up::Jt808 => self.on_frames(&publish.payload, now, read_at).await?,
        };
        self.acknowledge(publish.pid, result, offset, read_at);
        if self.session.is_authenticated() {
            Ok(())
        } else {
            // 0x0003: the terminal has logged out.
            Err(Closed::Peer)
        }
    }

    /// What the client left for the case that it is lost.
    pub(super) async fn on_will(&mut self, will: Will) -> Result<(), Closed> {
        self.on_json(&will.payload, clock::now()).await.map(drop)
    }

    fn count_publish(&self, result: &'static str) {
        self.gateway
            .metrics
            .count("mqtt_publishes_total", "result", result, 1);
    }

    fn acknowledge(
        &mut self,
        pid: Option<u16>,
        result: PublishResult,
        offset: Option<u64>,
        read_at: Instant,
    ) {
        if let (Some(pid), Some(client)) = (pid, &self.established) {
            let packet = packet::puback(client.version, pid, result);
            let read_at = offset.map(|_| read_at);
            self.responses.push_packet(&packet, offset, read_at);
        }
    }

    async fn on_json(
        &mut self,
        payload: &[u8],
        now: Timestamp,
    ) -> Result<(PublishResult, Option<u64>), Closed> {
        let Some(terminal) = self.session.terminal() else {
            return Err(Closed::Protocol);
        };
        let head = json::head(&terminal);
        let parts = [&head[..], payload];
        let uplink = match json::Uplink::read(payload, now) {
            Ok(uplink) => uplink,
            Err(error) => {
                let kind = record::UNREAD_JSON;
                let offset = append(&self.gateway, &self.control, kind, now, &parts).await?;
                self.refuse_payload(payload, &error, now);
                return Ok((PublishResult::BadPayload, Some(offset)));
            }
        };
        let offset = append(&self.gateway, &self.control, record::JSON, now, &parts).await?;
        self.count_publish("json");
        self.session.heard(uplink.live_fix(), now);
        let gateway = &self.gateway;
        let window = Window::from(&gateway.config.ingest);
        let mut newest = None;
        for normalised in uplink.positions(terminal, now, offset, &window) {
            gateway.metrics.positions_recorded.increment(1);
            let Ok(position) = normalised else { continue };
            if newest
                .as_ref()
                .is_none_or(|best: &geofence::position::Position| best.fixed_at < position.fixed_at)
            {
                newest = Some(position);
            }
        }
        if let Some(position) = newest {
            gateway.live.update(&position);
        }
        if let Some(answer) = uplink.answer
            && self.session.is_expecting()
        {
            gateway.commands.answered(terminal, heard(&answer)).await;
        }
        Ok((PublishResult::Taken, Some(offset)))
    }

    fn refuse_payload(&mut self, payload: &[u8], error: &PayloadError, now: Timestamp) {
        let reason = error.reason();
        self.count_publish(reason);
        self.gateway.rejected.push(Rejected {
            reason,
            received_at: now,
            terminal: self.session.terminal(),
            frame: Bytes::copy_from_slice(payload),
        });
        self.send_error("up/json", reason, &error.to_string(), now);
    }

    fn send_error(&mut self, topic: &str, reason: &str, detail: &str, now: Timestamp) {
        let detail: String = detail.chars().take(DETAIL_MAX).collect();
        let text = json!({
            "topic": topic,
            "reason": reason,
            "detail": detail,
            "received_at": clock::rfc3339(now),
        });
        self.send(Down::Errors, Bytes::from(text.to_string()), None);
    }

    /// Frames go the way of those over TCP. One payload is a unit: nothing of it is joined with the
    /// next.
    async fn on_frames(
        &mut self,
        payload: &[u8],
        now: Timestamp,
        read_at: Instant,
    ) -> Result<(PublishResult, Option<u64>), Closed> {
        let mut codec = FrameCodec::new(self.gateway.config.tcp.join_cut_frames);
        let mut buffer = BytesMut::from(payload);
        let mut gathered = Gathered::default();
        let mut frames = Frames {
            gateway: &self.gateway,
            session: &mut self.session,
            control: &self.control,
            replies: &mut gathered,
        };
        let (mut taken, mut bad) = (0_u32, None);
        loop {
            let split = codec.decode(&mut buffer).unwrap_or_default();
            let Some(split) = split.or_else(|| codec.finish(&mut buffer)) else {
                break;
            };
            frames.gateway.metrics.frames_received.increment(1);
            let (reason, raw) = match split {
                Split::Candidate(raw) => match Frame::open(raw.clone()) {
                    Ok(frame) => {
                        let frame = frames.session.read_again(frame, &raw);
                        frames.on_frame(&frame, &raw, now, read_at).await?;
                        taken += 1;
                        continue;
                    }
                    Err(rejection) => (rejection.reason(), raw),
                },
                Split::Dropped { reason, .. } => (reason.reason(), Bytes::new()),
            };
            frames.reject(reason, &raw, now);
            bad = Some(reason);
        }
        let offset = gathered.0.iter().filter_map(|(.., offset)| *offset).max();
        for (frame, result, offset) in gathered.0 {
            if self.send(Down::Jt808, frame, offset) {
                self.gateway.metrics.responded(result);
            }
        }
        if bad.is_none() && taken > 0 {
            self.count_publish("jt808");
            return Ok((PublishResult::Taken, offset));
        }
        let reason = bad.unwrap_or("empty");
        self.count_publish("bad_frames");
        self.send_error("up/jt808", reason, "not every frame could be read", now);
        Ok((PublishResult::BadPayload, offset))
    }
}

fn heard(answer: &Answer) -> TerminalAnswer {
    TerminalAnswer {
        message_id: MessageId::TERMINAL_RESPONSE,
        serial: Some(answer.serial),
        answered_id: Some(MessageId(answer.message_id)),
        result: Some(answer.result),
        content: None,
    }
}
