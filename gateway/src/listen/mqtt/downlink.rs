//! What goes to the client: commands, responses to its frames, errors; and what it subscribes to.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use protocols::jt808::{frame::Frame, message::Message};
use serde_json::json;

use super::{
    client::{Client, UNSENT_BYTES_MAX},
    packet::{self, Granted, Wish},
    topics::{Down, levels},
};
use crate::listen::transport::Transport;

const SHARED: &str = "$share/";

/// Frames of commands that wait for the client, and those that it has not acknowledged.
#[derive(Debug)]
pub(super) struct Outbox {
    /// The session's downlink has more. It stays there while nobody reads it: the command desk sends
    /// again what is not answered.
    has_more: bool,
    waiting: VecDeque<Bytes>,
    pub(super) unacknowledged: HashSet<u16>,
    next_pid: u16,
    unacknowledged_max: usize,
    pub(super) packet_bytes_max: usize,
}

impl Outbox {
    pub(super) fn new(unacknowledged_max: usize, packet_bytes_max: usize) -> Self {
        Self {
            has_more: false,
            waiting: VecDeque::new(),
            unacknowledged: HashSet::new(),
            next_pid: 0,
            unacknowledged_max,
            packet_bytes_max,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.unacknowledged.len() < self.unacknowledged_max
    }

    /// A packet id that is free; there is one, since those in use are bounded.
    pub(super) fn pid(&mut self) -> u16 {
        loop {
            self.next_pid = self.next_pid.checked_add(1).unwrap_or(1);
            if self.unacknowledged.insert(self.next_pid) {
                return self.next_pid;
            }
        }
    }
}

impl<T: Transport> Client<T> {
    /// The session's downlink has something.
    pub(super) fn expect_downlinks(&mut self) {
        if let Some(client) = &mut self.established {
            client.outbox.has_more = true;
        }
    }

    /// Something waits for the client, and may leave now.
    pub(super) fn can_pump(&self) -> bool {
        self.established.as_ref().is_some_and(|client| {
            let outbox = &client.outbox;
            if let Some(reader) = &client.reader {
                return !reader.is_empty()
                    && outbox.has_room()
                    && self.responses.unsent_bytes() < UNSENT_BYTES_MAX;
            }
            (outbox.has_more || !outbox.waiting.is_empty())
                && outbox.has_room()
                && client.subscriptions.commands().is_some()
                && self.responses.unsent_bytes() < UNSENT_BYTES_MAX
        })
    }

    /// Sends what waits, as much as may be on its way.
    pub(super) fn pump(&mut self) {
        while self.can_pump() {
            let Some(client) = &mut self.established else {
                return;
            };
            if client.reader.is_some() {
                self.send_published();
                continue;
            }
            let Some((topic, is_acknowledged)) = client.subscriptions.commands() else {
                return;
            };
            let Some(frame) = client.outbox.waiting.pop_front() else {
                client.outbox.has_more = false;
                client.outbox.waiting = self.session.take_downlinks().into();
                continue;
            };
            let payload = match topic {
                Down::Json => match as_json(&frame) {
                    Some(text) => text,
                    None => {
                        self.count_dropped("no_json");
                        continue;
                    }
                },
                Down::Jt808 | Down::Errors => frame,
            };
            let pid = is_acknowledged.then(|| client.outbox.pid());
            let text = client.topics.down(topic);
            let packet = packet::publish(client.version, &text, payload, pid, false);
            if packet.len() > client.outbox.packet_bytes_max {
                if let Some(pid) = pid {
                    client.outbox.unacknowledged.remove(&pid);
                }
                self.count_dropped("oversize");
                continue;
            }
            self.responses.push_packet(&packet, None, None);
            self.count_sent(topic);
        }
    }

    /// Whether it was owed.
    pub(super) fn on_puback(&mut self, pid: u16) -> bool {
        let client = self.established.as_mut();
        client.is_some_and(|client| client.outbox.unacknowledged.remove(&pid))
    }

    /// A frame that is no command.
    pub(super) fn send_frame(&mut self, frame: Bytes, offset: Option<u64>) {
        self.send(Down::Jt808, frame, offset);
    }

    /// A message that nobody acknowledges, behind the record with this number. False when the client
    /// does not read it.
    pub(super) fn send(&mut self, topic: Down, payload: Bytes, offset: Option<u64>) -> bool {
        let Some(client) = &self.established else {
            return false;
        };
        if client.subscriptions.quality(topic).is_none() {
            self.count_dropped("not_subscribed");
            return false;
        }
        let text = client.topics.down(topic);
        let packet = packet::publish(client.version, &text, payload, None, false);
        if packet.len() > client.outbox.packet_bytes_max {
            self.count_dropped("oversize");
            return false;
        }
        self.responses.push_packet(&packet, offset, None);
        self.count_sent(topic);
        true
    }

    fn count_sent(&self, topic: Down) {
        self.gateway
            .metrics
            .count("mqtt_sent_total", "topic", topic.as_str(), 1);
    }

    pub(super) fn count_dropped(&self, reason: &'static str) {
        self.gateway
            .metrics
            .count("mqtt_dropped_total", "reason", reason, 1);
    }

    pub(super) fn on_subscribe(&mut self, pid: u16, filters: &[(String, Wish)]) {
        let limits = &self.gateway.config.mqtt;
        let Some(client) = &mut self.established else {
            return;
        };
        let mut grant = |text: &str, wish: Wish| {
            if text.starts_with(SHARED) {
                return Granted::Shared;
            }
            if levels(text) > limits.topic_levels_max as usize {
                return Granted::NotAllowed;
            }
            if let Some(reader) = &mut client.reader {
                return reader.add(text, wish, limits.filters_max);
            }
            let Some(filter) = client.topics.filter(text) else {
                return Granted::NotAllowed;
            };
            let max = limits.filters_max;
            let is_acknowledged = wish.is_acknowledged;
            if !client.subscriptions.add(text, filter, is_acknowledged, max) {
                Granted::TooMany
            } else if is_acknowledged {
                Granted::Acknowledged
            } else {
                Granted::Plain
            }
        };
        let granted: Vec<_> = filters
            .iter()
            .map(|(text, wish)| grant(text, *wish))
            .collect();
        for granted in &granted {
            let name = "mqtt_subscriptions_total";
            self.gateway
                .metrics
                .count(name, "result", granted.as_str(), 1);
        }
        let packet = packet::suback(client.version, pid, &granted);
        self.responses.push_packet(&packet, None, None);
    }

    pub(super) fn on_unsubscribe(&mut self, pid: u16, filters: &[String]) {
        let Some(client) = &mut self.established else {
            return;
        };
        let were_there: Vec<_> = filters
            .iter()
            .map(|text| match &mut client.reader {
                Some(reader) => reader.remove(text),
                None => client.subscriptions.remove(text),
            })
            .collect();
        let packet = packet::unsuback(client.version, pid, &were_there);
        self.responses.push_packet(&packet, None, None);
    }
}

/// A command for those who do not speak JT/T 808. `None` of one packet of several: such a command is
/// too long for them.
fn as_json(frame: &Bytes) -> Option<Bytes> {
    let inside = frame.len().checked_sub(1)?;
    let frame = Frame::open(frame.get(1..inside).map(Bytes::copy_from_slice)?).ok()?;
    if frame.header.packet.is_some_and(|packet| packet.total > 1) {
        return None;
    }
    let header = frame.header;
    let message = Message::decode(header.message_id, frame.body, header.revision()).ok()?;
    let text = json!({
        "type": "command",
        "serial": header.serial,
        "message_id": header.message_id.0,
        "message": header.message_id.name(),
        "body": message.to_json(),
    });
    Some(Bytes::from(text.to_string()))
}
