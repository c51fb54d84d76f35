//! Users: they read what is published of their jurisdictions, and write nothing.

use std::time::Duration;

use super::{
    client::{Client, Established},
    connect::keep_alive,
    downlink::Outbox,
    packet::{self, Connect, ConnectRefusal, Granted, Kept, Limits, Wish},
    topics::{Subscriptions, Topics},
};
use crate::{
    clock,
    listen::transport::Transport,
    outlets::fanout::{Subscriber, topic},
};

/// Of a client id.
const CLIENT_ID_MAX: usize = 128;

/// What a user has subscribed to.
pub(super) struct Reader {
    subscriber: Subscriber,
    filters: Vec<(topic::Filter, Wish)>,
    scope: crate::config::Scope,
}

impl Reader {
    pub(super) fn is_empty(&self) -> bool {
        self.subscriber.is_empty()
    }

    pub(super) fn add(&mut self, text: &str, wish: Wish, max: u32) -> Granted {
        let Some(filter) = topic::Filter::granted(text, &self.scope) else {
            return Granted::NotAllowed;
        };
        let known = self.filters.iter().position(|(own, _)| *own == filter);
        if known.is_none() && self.filters.len() >= max as usize {
            return Granted::TooMany;
        }
        let wants_kept = match wish.kept {
            Kept::Always => true,
            Kept::IfNew => known.is_none(),
            Kept::Never => false,
        };
        if !self.subscriber.add(text, wants_kept) {
            return Granted::TooMany;
        }
        if let Some(place) = known {
            self.filters.swap_remove(place);
        }
        self.filters.push((filter, wish));
        if wish.is_acknowledged {
            Granted::Acknowledged
        } else {
            Granted::Plain
        }
    }

    /// False when it was not there.
    pub(super) fn remove(&mut self, text: &str) -> bool {
        let Some(place) = self.filters.iter().position(|(own, _)| own.text == text) else {
            return false;
        };
        // Where the link does not hear of it, its messages are still matched here.
        let _is_told = self.subscriber.remove(text);
        self.filters.swap_remove(place);
        true
    }

    /// What all filters together want of a topic, of which each message is sent once: whether it is
    /// acknowledged, and whether it says that it is kept. `None` where it is not followed any more.
    fn wish(&self, topic: &str) -> Option<(bool, bool)> {
        let matching = self.filters.iter().filter(|(own, _)| own.matches(topic));
        matching
            .map(|(_, wish)| (wish.is_acknowledged, wish.is_as_published))
            .reduce(|one, other| (one.0 | other.0, one.1 | other.1))
    }
}

impl<T: Transport> Client<T> {
    /// The number of the user that a CONNECT names; none of a terminal, or of nobody.
    pub(super) fn user_of(&self, connect: &Connect) -> Option<usize> {
        self.gateway.users.number(connect.user_name.as_deref()?)
    }

    pub(super) async fn judge_user(
        &self,
        connect: Connect,
        number: usize,
    ) -> Result<(Established, Limits), ConnectRefusal> {
        let gateway = &self.gateway;
        if connect.wants_exchange {
            return Err(ConnectRefusal::Exchange);
        }
        let now = clock::now();
        let password = connect.password.as_deref().unwrap_or_default();
        match gateway.users.opens(number, password, self.peer, now) {
            None => return Err(ConnectRefusal::TooMany),
            Some(false) => return Err(ConnectRefusal::Credential),
            Some(true) => {}
        }
        if connect.will.is_some() {
            return Err(ConnectRefusal::Will);
        }
        if !(1..=CLIENT_ID_MAX).contains(&connect.client_id.len()) {
            return Err(ConnectRefusal::Identifier);
        }
        let user = gateway
            .users
            .user(number)
            .filter(|_| gateway.users.may_come(number, &connect.client_id, now))
            .ok_or(ConnectRefusal::TooMany)?;
        let subscriber = gateway
            .fanout
            .join(
                &user.name,
                &connect.client_id,
                &user.scope,
                &self.control,
                self.connection,
            )
            .await
            .ok_or(ConnectRefusal::TooMany)?;
        let config = &gateway.config.mqtt;
        let keep_alive_s = keep_alive(connect.keep_alive_s, config);
        let limits = Limits {
            receive_max: u16::try_from(config.inflight_max).unwrap_or(u16::MAX),
            packet_bytes_max: u32::try_from(config.packet_bytes_max).unwrap_or(u32::MAX),
            keep_alive_s: (keep_alive_s != connect.keep_alive_s).then_some(keep_alive_s),
            has_retained: true,
        };
        let established = Established {
            version: connect.version,
            reader: Some(Reader {
                subscriber,
                filters: Vec::new(),
                scope: user.scope.clone(),
            }),
            topics: Topics::of_nobody(),
            silence_max: Duration::from_secs(u64::from(keep_alive_s)) * 3 / 2,
            will: None,
            subscriptions: Subscriptions::default(),
            outbox: Outbox::new(
                usize::from(connect.receive_max.min(limits.receive_max)),
                connect.packet_bytes_max,
            ),
        };
        Ok((established, limits))
    }

    /// One message to a user, if one waits.
    pub(super) fn send_published(&mut self) {
        let Some(client) = &mut self.established else {
            return;
        };
        let Some(reader) = &client.reader else { return };
        let Some(item) = reader.subscriber.take() else {
            return;
        };
        // It may have been waiting since before an UNSUBSCRIBE.
        let Some((is_acknowledged, is_as_published)) = reader.wish(&item.topic) else {
            return;
        };
        let pid = is_acknowledged.then(|| client.outbox.pid());
        let packet = packet::publish(
            client.version,
            &item.topic,
            item.payload,
            pid,
            item.is_retained || item.is_kept && is_as_published,
        );
        if packet.len() > client.outbox.packet_bytes_max {
            if let Some(pid) = pid {
                client.outbox.unacknowledged.remove(&pid);
            }
            return self.count_dropped("oversize");
        }
        self.responses.push_packet(&packet, None, None);
        self.gateway
            .metrics
            .count("mqtt_sent_total", "topic", "published", 1);
    }
}
