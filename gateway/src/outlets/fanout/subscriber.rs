//! One subscriber's link to the router, and the task that empties it at once, whatever the connection
//! does: the router forgets what a link does not take.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use rumqttd::{
    Notification,
    local::{LinkError, LinkRx, LinkTx},
    protocol::{Disconnect, DisconnectReasonCode, Packet},
};
use tokio::sync::{mpsc, watch};

use super::{
    Fanout, Item, Seat, covers,
    envelope::Opened,
    is_of_violations,
    mailbox::{Letter, Mailbox, Put},
    topic::{self, Filter, Kind},
};
use crate::{
    config::Scope,
    session::control::{Control, Order},
};

/// Changes of filters that wait for the task.
const CHANGES_MAX: usize = 256;

/// The end of a connection. Dropping it ends the link.
#[derive(Debug)]
pub struct Subscriber {
    mailbox: Arc<Mailbox>,
    changes: mpsc::Sender<Change>,
    scope: Scope,
}

#[derive(Debug)]
enum Change {
    /// With whether what is kept is wanted.
    Add(Filter, bool),
    Remove(String),
}

impl Subscriber {
    pub(super) fn start(
        fanout: Arc<Fanout>,
        seat: Seat,
        scope: Scope,
        control: Arc<Control>,
        (sender, receiver): (LinkTx, LinkRx),
    ) -> Self {
        let mailbox = Arc::new(Mailbox::new(fanout.waiting_topics_max()));
        let (changes, changed) = mpsc::channel(CHANGES_MAX);
        let mut link = Link {
            fanout: Arc::clone(&fanout),
            scope: scope.clone(),
            control: Arc::clone(&control),
            mailbox: Arc::clone(&mailbox),
            sender,
            filters: Vec::new(),
            router_filters: HashMap::new(),
            numbers: HashMap::new(),
            bases: HashMap::new(),
            asked_filters: VecDeque::new(),
            lost: fanout.lost(),
            asked: 0,
            answered: 0,
            newcomers: VecDeque::new(),
        };
        tokio::spawn(async move {
            if let Err(error) = link.run(receiver, changed).await {
                tracing::error!(%error, "a link of the fan-out ended");
                // The connection would stay silent for ever.
                control.tell(Order::Stop);
            }
            let reason_code = DisconnectReasonCode::NormalDisconnection;
            let goodbye = Packet::Disconnect(Disconnect { reason_code }, None);
            if let Err(error) = link.sender.send(goodbye).await {
                tracing::error!(%error, "the fan-out is gone");
            }
            fanout.leave(Some((&seat, &control)));
        });
        Self {
            mailbox,
            changes,
            scope,
        }
    }

    /// Follows a filter; what is kept of its topics comes first, where that is wanted. False where it is
    /// not granted, or too much changes at once.
    #[must_use]
    pub fn add(&self, text: &str, wants_kept: bool) -> bool {
        Filter::granted(text, &self.scope).is_some_and(|filter| {
            let change = Change::Add(filter, wants_kept);
            self.changes.try_send(change).is_ok()
        })
    }

    /// Follows it no longer. False where too much changes at once.
    #[must_use]
    pub fn remove(&self, text: &str) -> bool {
        self.changes
            .try_send(Change::Remove(text.to_owned()))
            .is_ok()
    }

    /// The next message.
    #[must_use]
    pub fn take(&self) -> Option<Item> {
        self.mailbox.take()
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mailbox.is_empty()
    }
}

struct Link {
    fanout: Arc<Fanout>,
    scope: Scope,
    control: Arc<Control>,
    mailbox: Arc<Mailbox>,
    sender: LinkTx,
    filters: Vec<Filter>,
    /// The router's filters, with the number of filters that need them.
    router_filters: HashMap<String, usize>,
    /// The newest number of each of the router's topics.
    numbers: HashMap<Bytes, u64>,
    /// The number of each of the router's topics when the router had the filter: all later ones are to
    /// come. By filter, since topics may come later.
    bases: HashMap<String, HashMap<Bytes, u64>>,
    /// Filters that the router has once it has answered so many requests.
    asked_filters: VecDeque<(u64, String)>,
    /// Violations did not reach the router.
    lost: Option<watch::Receiver<()>>,
    /// Requests to the router, and its answers.
    asked: u64,
    answered: u64,
    /// Filters whose kept messages are due once the router has answered so many requests.
    newcomers: VecDeque<(u64, Filter)>,
}

impl Link {
    async fn run(
        &mut self,
        mut receiver: LinkRx,
        mut changes: mpsc::Receiver<Change>,
    ) -> Result<(), Box<LinkError>> {
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    None => return Ok(()),
                    Some(Change::Add(filter, wants_kept)) => self.add(filter, wants_kept)?,
                    Some(Change::Remove(text)) => self.remove(&text)?,
                },
                () = changed(&mut self.lost) => {
                    if self.filters.iter().any(|filter| filter.kind == Kind::Violations) {
                        self.control.tell(Order::Behind);
                    }
                }
                notification = receiver.next() => match notification? {
                    Some(Notification::Forward(forward)) => {
                        self.deliver(forward.publish.topic, forward.publish.payload);
                    }
                    Some(Notification::DeviceAck(_)) => {
                        self.answered += 1;
                        self.begin_count();
                        self.welcome();
                    }
                    Some(Notification::Unschedule) => receiver.wake().await?,
                    Some(Notification::Disconnect(..)) => {
                        return Err(Box::new(LinkError::NotConnectionAck));
                    }
                    Some(_) | None => {}
                },
            }
        }
    }

    fn router_filters_of(&self, filter: &Filter) -> Vec<String> {
        match &filter.counties {
            None => vec![self.fanout.router_filter(filter.kind, None)],
            Some(counties) => counties
                .iter()
                .map(|county| self.fanout.router_filter(filter.kind, Some(county)))
                .collect(),
        }
    }

    fn add(&mut self, filter: Filter, wants_kept: bool) -> Result<(), Box<LinkError>> {
        if !self.filters.iter().any(|known| known.text == filter.text) {
            for name in self.router_filters_of(&filter) {
                let users = self.router_filters.entry(name.clone()).or_insert(0);
                *users += 1;
                if *users == 1 {
                    self.asked += 1;
                    self.asked_filters.push_back((self.asked, name.clone()));
                    self.sender.subscribe(name)?;
                }
            }
            self.filters.push(filter.clone());
        }
        // Not before the router has the filter: between the two nothing would come.
        if wants_kept {
            self.newcomers.push_back((self.asked, filter));
            self.welcome();
        }
        Ok(())
    }

    fn remove(&mut self, text: &str) -> Result<(), Box<LinkError>> {
        let Some(place) = self.filters.iter().position(|known| known.text == text) else {
            return Ok(());
        };
        let filter = self.filters.remove(place);
        for name in self.router_filters_of(&filter) {
            let Some(users) = self.router_filters.get_mut(&name) else {
                continue;
            };
            *users -= 1;
            if *users == 0 {
                self.router_filters.remove(&name);
                self.bases.remove(&name);
                self.asked_filters.retain(|(_, asked)| *asked != name);
                // What comes under it until it is there again was not lost.
                let left = &self.router_filters;
                self.numbers
                    .retain(|topic, _| left.keys().any(|filter| covers(filter, topic)));
                self.asked += 1;
                self.sender.unsubscribe(name)?;
            }
        }
        Ok(())
    }

    fn deliver(&mut self, router_topic: Bytes, bytes: Bytes) {
        let Some(message) = Opened::read(bytes) else {
            return;
        };
        let newest = self.numbers.get(&router_topic).copied();
        // Two of the router's filters may give the same.
        if newest.is_some_and(|newest| message.number <= newest) {
            return;
        }
        let is_violation = is_of_violations(&router_topic);
        let newest = newest.or_else(|| self.base(&router_topic));
        let lost = newest.map_or(0, |newest| message.number.saturating_sub(newest + 1));
        self.numbers.insert(router_topic, message.number);
        if lost > 0 {
            self.count_dropped("link", lost);
        }
        if lost > 0 && is_violation {
            // Nothing is kept of them, so whoever follows them has to ask elsewhere.
            self.fanout.count_lost("link", lost);
            self.control.tell(Order::Behind);
        } else if lost > 0 {
            for filter in &self.filters {
                self.put_kept(filter, false);
            }
        }
        let is_wanted = topic::is_allowed(&self.scope, &message.topic)
            && self
                .filters
                .iter()
                .any(|filter| filter.matches(&message.topic));
        if is_wanted {
            let letter = Letter::news(message.payload, message.is_kept, is_violation);
            if self.put(&message.topic, letter) == Put::Full && is_violation {
                self.fanout.count_lost("mailbox", 1);
                self.control.tell(Order::Behind);
            }
            self.control.tell(Order::Send);
        }
    }

    /// Notes from which numbers on nothing may be missing, for filters that the router has now.
    fn begin_count(&mut self) {
        while let Some((_, name)) = self
            .asked_filters
            .pop_front_if(|(due, _)| *due <= self.answered)
        {
            let numbers = self.fanout.numbers_of(&name);
            self.bases.insert(name, numbers.into_iter().collect());
        }
    }

    /// The number of a topic when the first filter for it was there; 0 of one that was not there yet.
    fn base(&self, router_topic: &Bytes) -> Option<u64> {
        let covering = self
            .bases
            .iter()
            .filter(|(filter, _)| covers(filter, router_topic));
        covering
            .map(|(_, numbers)| numbers.get(router_topic).copied().unwrap_or_default())
            .min()
    }

    /// Gives newcomers what is kept.
    fn welcome(&mut self) {
        while let Some((_, filter)) = self
            .newcomers
            .pop_front_if(|(due, _)| *due <= self.answered)
        {
            self.put_kept(&filter, true);
            self.control.tell(Order::Send);
        }
    }

    fn put_kept(&self, filter: &Filter, is_retained: bool) {
        // Violations are events; nothing of them is kept.
        if filter.kind == Kind::Violations {
            return;
        }
        let scope = &self.scope;
        let kept = self
            .fanout
            .kept(|topic| filter.matches(topic) && topic::is_allowed(scope, topic));
        for (topic, payload) in kept {
            self.put(&topic, Letter::kept(payload, is_retained));
        }
    }

    fn put(&self, topic: &str, letter: Letter) -> Put {
        let put = self.mailbox.put(topic, letter);
        match put {
            Put::Waits => {}
            Put::Replaced => self.count_dropped("coalesced", 1),
            Put::Full => self.count_dropped("mailbox", 1),
        }
        put
    }

    fn count_dropped(&self, reason: &'static str, count: u64) {
        let metrics = &self.fanout.metrics;
        metrics.count("mqtt_dropped_total", "reason", reason, count);
    }
}

/// Waits for news; for ever where there can be none.
async fn changed(receiver: &mut Option<watch::Receiver<()>>) {
    if let Some(receiver) = receiver
        && receiver.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
