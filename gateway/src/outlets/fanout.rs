//! What is published over MQTT: live positions, online and offline, violations, cases. Fed where the
//! live map is, after the log and beside everything that must not wait.
//!
//! ```text
//! live map ─▶ Fanout ──queue──▶ thread ─▶ rumqttd's router ─▶ link of a subscriber ─▶ mailbox ─▶ connection
//!             (newest of each     (numbers      (in memory, in        (its filters,         (newest of
//!              topic, kept)        them)         this process)         its scope)            each topic)
//! ```
//!
//! The router has no listener: only links made here reach it, with client ids and filters made here. It
//! knows few topics, one for each kind and county, since its memory for topics and filters never shrinks;
//! the topic that a subscriber sees is in the message (`envelope`). What a newcomer needs is kept here
//! and not by the router: a vehicle that goes to another street leaves its old topic.
//!
//! Lossy on purpose, and counted: a queue that is full, a link that is behind (seen by the gap in the
//! numbers, and mended by what is kept), a mailbox with too many topics.

mod envelope;
pub mod mailbox;
mod subscriber;
pub mod topic;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread,
};

use bytes::Bytes;
use geofence::{
    case::{Case, Interval},
    identity::CaseId,
};
use parking_lot::Mutex;
use rumqttd::{
    Router, RouterConfig,
    local::{LinkBuilder, LinkError, LinkRx, LinkTx},
    protocol::{Packet, Publish},
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;

use self::{
    envelope::Envelope,
    topic::{Kind, live_topic},
};
pub use self::{mailbox::Item, subscriber::Subscriber};
use crate::{
    catalog::Catalog,
    config::{Mqtt, Scope},
    http::view::{CaseView, PositionView, ViolationView},
    metrics::Metrics,
    session::control::Control,
};

/// Batches that wait for the router.
const QUEUE_BATCHES: usize = 256;
/// Handed to the router at once: it serves its readers in between, or they would be left behind.
const ROUND_BYTES: usize = 128 * 1024;
/// Of the router's memory for a filter.
const SEGMENTS: u64 = 8;
/// Messages that the router gives a link before the link asks for more.
const LINK_MESSAGES: u64 = 200;
/// Counties with a filter of their own in the router, whose memory for filters never shrinks.
const COUNTIES_MAX: usize = 512;

type Connect = Box<dyn Fn(&str) -> Result<(LinkTx, LinkRx), Box<LinkError>> + Send + Sync>;

/// See the module.
pub struct Fanout {
    /// None without users: nothing is published then.
    inner: Option<Inner>,
    metrics: Arc<Metrics>,
}

struct Inner {
    queue: SyncSender<Vec<Envelope>>,
    connect: Connect,
    kept: Mutex<Kept>,
    /// Counties that have a filter of their own.
    counties: Mutex<HashSet<String>>,
    subscribers: AtomicU32,
    subscribers_max: u32,
    waiting_topics_max: usize,
    retained_cases_max: usize,
    numbers: Mutex<u64>,
    /// The newest number of each of the router's topics.
    topic_numbers: Arc<Mutex<HashMap<String, u64>>>,
    /// Violations did not reach the router.
    lost: watch::Sender<()>,
    /// Who is connected: user and client id.
    seats: Mutex<HashMap<Seat, Arc<Control>>>,
}

/// User and client id: one connection each.
type Seat = (String, String);

/// What newcomers get, by topic.
#[derive(Default)]
struct Kept {
    last: HashMap<Arc<str>, Bytes>,
    vehicles: HashMap<String, Place>,
    /// Topic by case id, with the ids in the order of their coming.
    cases: HashMap<String, Arc<str>>,
    cases_in_order: VecDeque<String>,
    /// Ids of cases that were told of while those of before are read.
    told_meanwhile: Option<HashSet<CaseId>>,
}

struct Place {
    area: String,
    is_online: bool,
}

/// A violation as it is published.
#[derive(Serialize)]
struct ViolationNews<'a> {
    state: &'static str,
    #[serde(flatten)]
    violation: &'a ViolationView,
}

impl std::fmt::Debug for Fanout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fanout").finish_non_exhaustive()
    }
}

impl Fanout {
    /// Starts the router and the thread that feeds it, where there are users.
    ///
    /// # Errors
    /// When there is no thread or link.
    pub fn start(config: &Mqtt, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        if config.users.is_empty() {
            return Ok(Self {
                inner: None,
                metrics,
            });
        }
        let segment = config.fanout_bytes_max / SEGMENTS;
        let segments = usize::try_from(SEGMENTS).unwrap_or(1);
        let router = RouterConfig {
            // Ours, and places of links that end while others come.
            max_connections: (config.subscribers_max as usize).saturating_mul(2) + 1,
            max_outgoing_packet_count: LINK_MESSAGES,
            max_segment_size: usize::try_from(segment).unwrap_or(usize::MAX),
            max_segment_count: segments,
            ..RouterConfig::default()
        };
        let router = Router::new(0, router).spawn();
        let connect: Connect = Box::new(move |id| {
            let (sender, receiver, _) = LinkBuilder::new(id, router.clone()).build()?;
            Ok((sender, receiver))
        });
        let (link, _) = connect("fan-out").map_err(std::io::Error::other)?;
        let topic_numbers = Arc::default();
        let (queue, batches) = mpsc::sync_channel(QUEUE_BATCHES);
        thread::Builder::new().name("fan-out".to_owned()).spawn({
            let numbers = Arc::clone(&topic_numbers);
            move || feed(link, &batches, &numbers)
        })?;
        Ok(Self {
            inner: Some(Inner {
                queue,
                connect,
                kept: Mutex::default(),
                counties: Mutex::default(),
                subscribers: AtomicU32::new(0),
                subscribers_max: config.subscribers_max,
                waiting_topics_max: config.waiting_topics_max as usize,
                retained_cases_max: config.retained_cases_max as usize,
                numbers: Mutex::new(0),
                topic_numbers,
                lost: watch::Sender::default(),
                seats: Mutex::default(),
            }),
            metrics,
        })
    }

    /// Vehicles that moved, came or went.
    pub fn positions(&self, views: &[PositionView]) {
        let Some(inner) = &self.inner else { return };
        let mut batch = Vec::with_capacity(views.len());
        let mut kept = inner.kept.lock();
        for view in views {
            let phone = &view.subject.phone;
            let area = topic::area(view.reading.unit_grid.as_deref());
            let before = kept.vehicles.get(phone);
            let has_moved = before.is_some_and(|place| place.area != area);
            let has_turned = before.is_none_or(|place| place.is_online != view.online);
            if has_moved && let Some(before) = kept.vehicles.remove(phone) {
                // An empty message: nothing is known of it here any more.
                for leaf in topic::LEAVES {
                    let left = live_topic(&before.area, phone, leaf);
                    kept.publish(&mut batch, Kind::Live, left, Bytes::new());
                }
            }
            if has_moved || has_turned {
                let text = json!({
                    "phone": phone,
                    "online": view.online,
                    "state": view.state,
                });
                let text = Bytes::from(text.to_string());
                let online = live_topic(&area, phone, topic::ONLINE);
                kept.publish(&mut batch, Kind::Live, online, text);
                let place = Place {
                    area: area.clone(),
                    is_online: view.online,
                };
                kept.vehicles.insert(phone.clone(), place);
            }
            if let Ok(text) = serde_json::to_vec(view) {
                let position = live_topic(&area, phone, topic::POSITION);
                kept.publish(&mut batch, Kind::Live, position, text.into());
            }
        }
        drop(kept);
        self.send(inner, batch);
    }

    /// Cases that were opened or changed, and the violations behind them.
    pub fn cases(&self, cases: &[Case], catalog: &Catalog) {
        let Some(inner) = &self.inner else { return };
        let news = CaseNews::of(cases, catalog);
        let mut kept = inner.kept.lock();
        if let Some(told) = &mut kept.told_meanwhile {
            told.extend(cases.iter().map(|case| case.id));
        }
        let batch = inner.publish(&mut kept, news);
        drop(kept);
        self.send(inner, batch);
    }

    /// From now on it is remembered which cases are told of, until those of before are told.
    pub fn expect_cases_of_before(&self) {
        if let Some(inner) = &self.inner {
            inner.kept.lock().told_meanwhile = Some(HashSet::new());
        }
    }

    /// Cases as the store had them; those that were told of since are known better.
    pub fn cases_of_before(&self, cases: &[Case], catalog: &Catalog) {
        let Some(inner) = &self.inner else { return };
        let mut news = CaseNews::of(cases, catalog);
        let mut kept = inner.kept.lock();
        let told = kept.told_meanwhile.take().unwrap_or_default();
        news.retain(|news| !told.contains(&news.case));
        let batch = inner.publish(&mut kept, news);
        drop(kept);
        self.send(inner, batch);
    }

    fn send(&self, inner: &Inner, batch: Vec<Envelope>) {
        let count = batch.len() as u64;
        if count == 0 || inner.subscribers.load(Ordering::Acquire) == 0 {
            return;
        }
        // The lock keeps the numbers in the order of the queue.
        let mut number = inner.numbers.lock();
        let mut batch = batch;
        for envelope in &mut batch {
            envelope.batch = *number;
        }
        *number += 1;
        let counted = ["live", "violations", "cases"].map(|kind| {
            let of_kind = batch.iter().filter(|e| e.kind.as_str() == kind).count();
            (kind, of_kind as u64)
        });
        match inner.queue.try_send(batch) {
            Ok(()) => {
                for (kind, count) in counted.into_iter().filter(|(_, count)| *count > 0) {
                    self.metrics
                        .count("mqtt_published_total", "kind", kind, count);
                }
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.metrics
                    .count("mqtt_dropped_total", "reason", "queue", count);
                let [_, (_, violations), _] = counted;
                if violations > 0 {
                    self.count_lost("queue", violations);
                    inner.lost.send_replace(());
                }
            }
        }
    }

    /// A place for a user's connection. An older one of the same user and client id is told to end.
    /// None where there is no place left, or no router.
    pub async fn join(
        self: &Arc<Self>,
        user: &str,
        client: &str,
        scope: &Scope,
        control: &Arc<Control>,
        connection: u64,
    ) -> Option<Subscriber> {
        let inner = self.inner.as_ref()?;
        let taken = inner
            .subscribers
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                (count < inner.subscribers_max).then_some(count + 1)
            });
        let count = taken.ok()? + 1;
        self.metrics
            .gauge("mqtt_subscribers", &[], f64::from(count));
        // The router's links wait for it.
        let fanout = Arc::clone(self);
        let linked = tokio::task::spawn_blocking(move || {
            let inner = fanout.inner.as_ref()?;
            let linked = (inner.connect)(&format!("subscriber-{connection}"));
            linked
                .inspect_err(|error| tracing::error!(%error, "no link to the fan-out"))
                .ok()
        });
        let Ok(Some((sender, receiver))) = linked.await else {
            self.leave(None);
            return None;
        };
        let seat = (user.to_owned(), client.to_owned());
        let before = inner.seats.lock().insert(seat.clone(), Arc::clone(control));
        if let Some(before) = before {
            before.tell(crate::session::control::Order::Replaced);
        }
        Some(Subscriber::start(
            Arc::clone(self),
            seat,
            scope.clone(),
            Arc::clone(control),
            (sender, receiver),
        ))
    }

    /// Violations that somebody who follows them did not get.
    fn count_lost(&self, reason: &'static str, count: u64) {
        let name = "mqtt_violations_lost_total";
        self.metrics.count(name, "reason", reason, count);
    }

    /// The newest numbers of the router's topics that one of its filters covers.
    fn numbers_of(&self, router_filter: &str) -> Vec<(Bytes, u64)> {
        let Some(inner) = &self.inner else {
            return Vec::new();
        };
        let numbers = inner.topic_numbers.lock();
        let covered = numbers
            .iter()
            .filter(|(topic, _)| covers(router_filter, topic.as_bytes()));
        covered
            .map(|(topic, number)| (Bytes::from(topic.clone()), *number))
            .collect()
    }

    /// Hears of violations that did not reach the router.
    fn lost(&self) -> Option<watch::Receiver<()>> {
        self.inner.as_ref().map(|inner| inner.lost.subscribe())
    }

    fn leave(&self, seat: Option<(&Seat, &Arc<Control>)>) {
        let Some(inner) = &self.inner else { return };
        let count = inner.subscribers.fetch_sub(1, Ordering::AcqRel) - 1;
        self.metrics
            .gauge("mqtt_subscribers", &[], f64::from(count));
        if let Some((seat, control)) = seat {
            let mut seats = inner.seats.lock();
            if seats.get(seat).is_some_and(|own| Arc::ptr_eq(own, control)) {
                seats.remove(seat);
            }
        }
    }

    /// What is kept of the topics that are wanted.
    fn kept(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<(Arc<str>, Bytes)> {
        let Some(inner) = &self.inner else {
            return Vec::new();
        };
        let kept = inner.kept.lock();
        let wanted = kept.last.iter().filter(|(topic, _)| is_wanted(topic));
        wanted
            .map(|(t, text)| (Arc::clone(t), text.clone()))
            .collect()
    }

    /// The router's filter for a county, or for all where it has enough of them.
    fn router_filter(&self, kind: Kind, county: Option<&str>) -> String {
        let own = county.filter(|county| {
            self.inner.as_ref().is_some_and(|inner| {
                let mut counties = inner.counties.lock();
                let has_room = counties.len() < COUNTIES_MAX;
                counties.contains(*county) || has_room && counties.insert((*county).to_owned())
            })
        });
        format!("{}/{}", kind.as_str(), own.unwrap_or("+"))
    }

    fn waiting_topics_max(&self) -> usize {
        self.inner
            .as_ref()
            .map_or(0, |inner| inner.waiting_topics_max)
    }
}

/// A case as it is published.
struct CaseNews {
    case: CaseId,
    id: String,
    topic: String,
    text: Bytes,
    violations: Vec<Envelope>,
    is_final: bool,
}

impl CaseNews {
    /// Written before the lock is taken: who tells of cases runs when others do not, and would keep
    /// it from those who tell of positions.
    fn of(cases: &[Case], catalog: &Catalog) -> Vec<Self> {
        let news = cases.iter().filter_map(|case| {
            let view = CaseView::new(case, catalog);
            let area = topic::area(case.unit_grid.as_deref());
            let text = serde_json::to_vec(&view).ok()?;
            let violations = case.intervals.iter().filter_map(|interval| {
                let violation = &ViolationView::from(&interval.violation);
                let state = violation_state(interval);
                let area = topic::area(violation.unit_grid.as_deref());
                let topic = topic::of(Kind::Violations, &area, &violation.violation);
                let text = serde_json::to_vec(&ViolationNews { state, violation }).ok()?;
                Some(Envelope::new(Kind::Violations, topic, text.into(), false))
            });
            Some(Self {
                case: case.id,
                topic: topic::of(Kind::Cases, &area, &view.id),
                id: view.id,
                text: text.into(),
                violations: violations.collect(),
                is_final: case.stage.is_final(),
            })
        });
        news.collect()
    }
}

impl Inner {
    fn publish(&self, kept: &mut Kept, news: Vec<CaseNews>) -> Vec<Envelope> {
        let mut batch = Vec::with_capacity(news.len() * 2);
        for CaseNews {
            id,
            topic,
            text,
            violations,
            is_final,
            ..
        } in news
        {
            let before = kept.cases.get(&id).cloned();
            if let Some(before) = before.filter(|before| **before != *topic) {
                let before = String::from(&*before);
                kept.publish(&mut batch, Kind::Cases, before, Bytes::new());
            }
            batch.extend(violations);
            let max = self.retained_cases_max;
            kept.case(&id, &topic, text.clone(), is_final, max);
            batch.push(Envelope::new(Kind::Cases, topic, text, !is_final));
        }
        batch
    }
}

impl Kept {
    /// Keeps a message, or forgets the topic where it is empty, and publishes it.
    fn publish(&mut self, batch: &mut Vec<Envelope>, kind: Kind, topic: String, text: Bytes) {
        if text.is_empty() {
            self.last.remove(&*topic);
        } else if let Some(last) = self.last.get_mut(&*topic) {
            *last = text.clone();
        } else {
            self.last.insert(Arc::from(&*topic), text.clone());
        }
        batch.push(Envelope::new(kind, topic, text, true));
    }

    fn case(&mut self, id: &str, topic: &str, text: Bytes, is_final: bool, max: usize) {
        if let Some(before) = self.cases.remove(id) {
            self.last.remove(&before);
        } else {
            self.cases_in_order.push_back(id.to_owned());
        }
        if !is_final {
            let topic: Arc<str> = Arc::from(topic);
            self.last.insert(Arc::clone(&topic), text);
            self.cases.insert(id.to_owned(), topic);
        }
        while self.cases.len() > max {
            let Some(eldest) = self.cases_in_order.pop_front() else {
                return;
            };
            if let Some(topic) = self.cases.remove(&eldest) {
                self.last.remove(&topic);
            }
        }
        // Ids of cases that are closed go with the others, and now and then by themselves.
        if self.cases_in_order.len() > 2 * max.max(self.cases.len()) + 64 {
            let cases = &self.cases;
            self.cases_in_order.retain(|id| cases.contains_key(id));
        }
    }
}

/// The word for how far a violation is.
pub(crate) const fn violation_state(interval: &Interval) -> &'static str {
    if !interval.stands {
        "withdrawn"
    } else if interval.violation.ended_at.is_some() {
        "ended"
    } else {
        "ongoing"
    }
}

/// One of the router's topics is of violations.
fn is_of_violations(router_topic: &[u8]) -> bool {
    router_topic.starts_with(b"violations/")
}

/// Whether one of the router's filters, which have a `+` in place of the county or none, covers one of
/// its topics.
fn covers(router_filter: &str, router_topic: &[u8]) -> bool {
    match router_filter.strip_suffix('+') {
        Some(kind) => router_topic.starts_with(kind.as_bytes()),
        None => router_topic == router_filter.as_bytes(),
    }
}

/// Numbers the messages of each of the router's topics and hands them over, until nobody publishes.
fn feed(
    mut link: LinkTx,
    batches: &Receiver<Vec<Envelope>>,
    numbers: &Mutex<HashMap<String, u64>>,
) {
    let mut lost = None;
    while let Ok(batch) = batches.recv() {
        let mut round = 0;
        let mut messages = batch.into_iter().peekable();
        while let Some(envelope) = messages.next() {
            let mut numbers = numbers.lock();
            // A batch that was dropped leaves a gap: in the number of every topic, since what was in
            // it is not known. Of violations it was, and is told at once.
            if lost.is_some_and(|last| envelope.batch > last + 1) {
                for (topic, number) in numbers.iter_mut() {
                    *number += u64::from(!is_of_violations(topic.as_bytes()));
                }
            }
            lost = Some(envelope.batch);
            let topic = envelope.router_topic();
            let number = numbers.entry(topic.clone()).or_insert(0);
            *number += 1;
            let bytes = envelope.encode(*number);
            drop(numbers);
            round += bytes.len();
            let publish = Publish::new(Bytes::from(topic), bytes, false);
            link.buffer().push_back(Packet::Publish(publish, None));
            if round >= ROUND_BYTES || messages.peek().is_none() {
                round = 0;
                // Nobody reads it: it tells the router that there is something in the buffer.
                if link.publish("round", Bytes::new()).is_err() {
                    return tracing::error!("the fan-out has ended");
                }
            }
        }
    }
}
