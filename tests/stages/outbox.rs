//! The outbox, stepped: cases that open and change in a store that fails → plan → couriers of the
//! gateway that crash → two receivers that fail, lose answers, answer nonsense and dawdle. No
//! threads, sockets or real time: one seed, one story.
//!
//! At the end of each story every receiver has exactly one case for each that it is to know, has
//! done each event at most once and those of a case in order, and knows what the store knows.
//!
//! `GRIDTRACE_OUTBOX_SEEDS=1000` tells more stories than usual, `GRIDTRACE_OUTBOX_SEED=7` only one.

mod receiver;

use std::{
    collections::BTreeSet,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use gateway::{
    catalog::Catalog,
    config::{Config, Raw, Receiver},
    metrics::Metrics,
    outlets::delivery::{
        self,
        breaker::Breaker,
        courier::{Carrier, Courier, Step, Workplace},
    },
};
use geofence::{
    identity::ViolationId,
    units::{Latitude, Longitude, Timestamp},
    violation::{Evidence, Finding, Rule, Violation, ViolationKind},
};
use storage::{
    file_system::faulty::Random,
    outbox::{DeliveryQuery, DeliveryState, Outbox as _},
    store::{
        Cursor, FindingBatch, Store, StoreError,
        faulty::{FaultyStore, StoreFaults},
        memory::MemoryStore,
    },
};
use uuid::Uuid;

use self::receiver::Desk;
use crate::{judge::now, number};

const ACTIONS: usize = 600;
const CASES: u64 = 5;
const START: i64 = 1_764_028_800_000;

const RECEIVERS: &str = r#"[
    {name = "city", url = "http://city/", secret = "a-key-of-enough-characters", concurrency = 3,
     number_field = "number", max_age = "MAX_AGE"},
    {name = "district", url = "http://district/", secret = "a-key-of-enough-characters",
     jurisdictions = "140106", events = "opened, moved, withdrawn", max_age = "MAX_AGE"},
]"#;

/// What happened in all stories together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Totals {
    cases: u64,
    done: u64,
    repeated: u64,
    lost_answers: u64,
    nonsense: u64,
    refused: u64,
    crashes: u64,
    superseded: u64,
    left_alone: u64,
    given_up: u64,
}

struct World {
    time: AtomicI64,
    random: Mutex<Random>,
    totals: Mutex<Totals>,
    /// How often a receiver misbehaves, in 1,024 requests.
    faults: AtomicI64,
    /// Dead letters may be sent again behind later ones.
    in_order: bool,
}

impl World {
    fn below(&self, end: u64) -> u64 {
        self.random.lock().unwrap().below(end)
    }

    fn count(&self, add: impl FnOnce(&mut Totals)) {
        add(&mut self.totals.lock().unwrap());
    }
}

type Running<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>>>>;

/// One poll of what is under way, or of what begins; its outcome once it has one.
fn poll<T>(running: &mut Option<Running<T>>, begin: impl FnOnce() -> Running<T>) -> Option<T> {
    let mut work = running.take().unwrap_or_else(begin);
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(done)) => Some(done),
        Poll::Ready(Err(StoreError::Unavailable { .. })) => None,
        Poll::Ready(Err(error)) => panic!("{error}"),
        Poll::Pending => {
            *running = Some(work);
            None
        }
    }
}

struct Story {
    world: Arc<World>,
    memory: Arc<MemoryStore>,
    store: FaultyStore,
    receivers: Vec<Receiver>,
    desks: Vec<Arc<Desk>>,
    catalog: Arc<Catalog>,
    couriers: Vec<Arc<Courier>>,
    steps: Vec<Option<Running<Step>>>,
    planning: Option<Running<(usize, bool)>>,
    /// The batch that is written until the store has taken it.
    batch: Option<FindingBatch>,
    writing: Option<Running<()>>,
    judged: u64,
    open: BTreeSet<u64>,
}

impl Story {
    fn new(seed: u64, max_age: &str, in_order: bool) -> Self {
        let mut raw = Raw::default();
        let receivers = RECEIVERS.replace("MAX_AGE", max_age).replace('\n', " ");
        let receivers = receivers.replace("}, ]", "}]");
        raw.add_flag("test", "delivery.receivers", Some(receivers));
        let receivers = Config::from_raw(raw).unwrap().delivery.receivers;
        let world = Arc::new(World {
            time: AtomicI64::new(START),
            random: Mutex::new(Random(seed)),
            totals: Mutex::default(),
            faults: AtomicI64::new(0),
            in_order,
        });
        let desks = receivers.iter().map(|receiver| {
            Arc::new(Desk {
                world: Arc::clone(&world),
                has_number: receiver.number_field.is_some(),
                ledger: Mutex::default(),
            })
        });
        let memory = Arc::new(MemoryStore::default());
        let mut story = Self {
            desks: desks.collect(),
            store: FaultyStore::over(Arc::clone(&memory) as Arc<dyn Store>, seed),
            memory,
            catalog: Arc::new(Catalog::load(&Default::default()).unwrap()),
            couriers: Vec::new(),
            steps: Vec::new(),
            planning: None,
            batch: None,
            writing: None,
            judged: 0,
            open: BTreeSet::new(),
            receivers,
            world,
        };
        story.start_process();
        story
    }

    /// What was under way is no more.
    fn start_process(&mut self) {
        let world = Arc::clone(&self.world);
        let place = Workplace {
            store: Arc::new(self.store.clone()),
            catalog: Arc::clone(&self.catalog),
            metrics: Arc::new(Metrics::new().unwrap()),
            clock: Arc::new(move || Timestamp(world.time.load(Ordering::Relaxed))),
            said_bytes_max: 100,
        };
        self.couriers = (self.receivers.iter().zip(&self.desks))
            .map(|(receiver, desk)| {
                Arc::new(Courier::new(
                    receiver.clone(),
                    place.clone(),
                    Arc::clone(desk) as Arc<dyn Carrier>,
                    Arc::new(parking_lot::Mutex::new(Breaker::new(receiver))),
                    self.world.below(u64::MAX),
                ))
            })
            .collect();
        self.steps = self.receivers.iter().map(|_| None).collect();
        self.planning = None;
        self.writing = None;
    }

    fn act(&mut self) {
        match self.world.below(100) {
            0..15 => self.write(),
            15..35 => self.plan(),
            35..85 => {
                let index = usize::try_from(self.world.below(2)).unwrap();
                self.step(index);
            }
            85..95 => {
                let millis = match self.world.below(10) {
                    0 => 3_600_000,
                    1..4 => 30_000,
                    _ => 700,
                };
                self.world.time.fetch_add(millis, Ordering::Relaxed);
            }
            95..98 => {
                let often = [0, 100, 400, 1_000][usize::try_from(self.world.below(4)).unwrap()];
                self.world.faults.store(often, Ordering::Relaxed);
                self.store.set_faults(StoreFaults {
                    unavailable: u32::try_from(self.world.below(3) * 20).unwrap(),
                    lost_answer: u32::try_from(self.world.below(3) * 60).unwrap(),
                    slow: u32::try_from(self.world.below(3) * 300).unwrap(),
                    ..StoreFaults::default()
                });
            }
            _ => {
                self.world.count(|totals| totals.crashes += 1);
                self.start_process();
            }
        }
    }

    fn time(&self) -> Timestamp {
        Timestamp(self.world.time.load(Ordering::Relaxed))
    }

    /// Something is found out about a case, as the evaluator would.
    fn write(&mut self) {
        if self.batch.is_none() {
            let which = self.world.below(CASES);
            let mut violation = violation(which);
            violation.worst = f64::from(u32::try_from(self.judged).unwrap());
            let finding = if self.open.insert(which) {
                Finding::Opened(violation)
            } else if self.world.below(5) == 0 {
                self.open.remove(&which);
                Finding::Withdrawn(violation.id, self.time())
            } else {
                Finding::Updated(violation)
            };
            self.judged += 1;
            self.batch = Some(FindingBatch {
                judged: Cursor {
                    offset: self.judged,
                    ..Cursor::default()
                },
                findings: vec![finding],
                at: self.time(),
                ..FindingBatch::default()
            });
        }
        let (store, batch) = (self.store.clone(), self.batch.clone().unwrap());
        let begin = || -> Running<()> {
            Box::pin(async move { store.write_findings(&batch).await.map(|_| ()) })
        };
        if poll(&mut self.writing, begin).is_some() {
            self.batch = None;
        }
    }

    fn plan(&mut self) {
        let (store, receivers) = (self.store.clone(), self.receivers.clone());
        let at = self.time();
        let begin = || -> Running<(usize, bool)> {
            Box::pin(async move { delivery::plan(&store, &receivers, at).await })
        };
        poll(&mut self.planning, begin);
    }

    fn step(&mut self, index: usize) -> Option<Step> {
        let courier = Arc::clone(&self.couriers[index]);
        let begin = || -> Running<Step> { Box::pin(async move { courier.step().await }) };
        let step = poll(&mut self.steps[index], begin);
        if step == Some(Step::Waiting) {
            self.world.count(|totals| totals.left_alone += 1);
        }
        step
    }

    /// All faults end; everything is heard of in the end.
    fn finish(mut self) -> Totals {
        self.world.faults.store(0, Ordering::Relaxed);
        self.store.set_faults(StoreFaults::default());
        while self.batch.is_some() {
            self.write();
        }
        for round in 0.. {
            assert!(round < 10_000, "it does not come to its end");
            self.plan();
            let steps = [self.step(0), self.step(1)];
            self.world.time.fetch_add(10_000, Ordering::Relaxed);
            for dead in self.deliveries(Some(DeliveryState::Dead)) {
                self.world.count(|totals| totals.given_up += 1);
                assert!(now(self.memory.resend(dead.id, self.time())));
            }
            let is_planned = now(self.memory.unplanned(1)).is_empty();
            let is_idle = steps.iter().all(|step| *step == Some(Step::Idle));
            if is_idle && is_planned && now(self.memory.backlog()).is_empty() {
                break;
            }
        }
        self.judge();
        self.world.totals.lock().unwrap().clone()
    }

    fn deliveries(&self, state: Option<DeliveryState>) -> Vec<storage::outbox::Delivery> {
        now(self.memory.deliveries(&DeliveryQuery {
            state,
            limit: u32::MAX,
            ..DeliveryQuery::default()
        }))
    }

    fn judge(&self) {
        let records = now(self.memory.outbox_records(None, u32::MAX));
        let deliveries = self.deliveries(None);
        for (receiver, desk) in self.receivers.iter().zip(&self.desks) {
            let ledger = desk.ledger.lock().unwrap();
            let mut known = 0;
            for record in &records {
                let case = now(self.memory.case(record.case)).unwrap();
                let is_mine = receiver.jurisdictions.is_empty()
                    || case.unit_grid.as_deref() == Some("14010600100101");
                let told = ledger.cases.get(&record.case.to_string());
                assert_eq!(told.is_some(), is_mine, "{}: {}", receiver.name, case.id);
                let Some((done, newest)) = told else { continue };
                known += 1;
                let of = |state| -> BTreeSet<u64> {
                    let all = deliveries.iter().filter(|one| {
                        one.case == case.id && one.receiver == receiver.name && one.state == state
                    });
                    all.map(|one| one.sequence).collect()
                };
                let once: BTreeSet<u64> = done.iter().copied().collect();
                assert_eq!(once.len(), done.len(), "an event was done twice");
                let delivered = of(DeliveryState::Delivered);
                assert!(delivered.is_subset(&once), "{delivered:?} {once:?}");
                let superseded = of(DeliveryState::Superseded);
                self.world
                    .count(|totals| totals.superseded += superseded.len() as u64);
                let all: BTreeSet<u64> = delivered.union(&superseded).copied().collect();
                if receiver.events.is_empty() {
                    assert_eq!(all, (1..=record.sequence).collect());
                    assert_eq!(newest["case"]["worst"], case.violation().unwrap().worst);
                    let numbers = now(self.memory.receiver_numbers(case.id));
                    assert_eq!(numbers.len(), 1);
                    assert_eq!(numbers[0].number, format!("TY-{}", case.id));
                } else {
                    assert_eq!(superseded.len(), 0);
                }
                // Every change of stage is told, to whom only those matter as well.
                assert_eq!(newest["case"]["stage"], case.stage.as_str());
            }
            assert_eq!(known, ledger.cases.len(), "there are other cases");
        }
        self.world
            .count(|totals| totals.cases += records.len() as u64);
    }
}

fn violation(which: u64) -> Violation {
    let grid = if which.is_multiple_of(2) {
        "14010600100101"
    } else {
        "14010500100101"
    };
    Violation {
        id: ViolationId(Uuid::from_u64_pair(1, which)),
        kind: ViolationKind::Speeding,
        rule: Rule {
            id: "r".into(),
            version: 1,
            name: "rule".into(),
        },
        terminal: "13800000001".parse().unwrap(),
        vehicle: None,
        unit_grid: Some(grid.into()),
        latitude: Latitude::from_micro_degrees(37_870_000).unwrap(),
        longitude: Longitude::from_micro_degrees(112_550_000).unwrap(),
        started_at: Timestamp(START),
        confirmed_at: Timestamp(START),
        ended_at: None,
        worst: 0.0,
        evidence: Evidence::default(),
    }
}

struct Repeat(u64, &'static str);

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(seed, test) = self;
            eprintln!(
                "repeat with: GRIDTRACE_OUTBOX_SEED={seed} cargo test -p suites --test stages {test}"
            );
        }
    }
}

fn story(seed: u64, max_age: &str, in_order: bool) -> Totals {
    let mut story = Story::new(seed, max_age, in_order);
    for _ in 0..ACTIONS {
        story.act();
    }
    story.finish()
}

/// Tells stories; what happened in all of them, unless only one is asked for.
fn tell(test: &'static str, usual: u64, max_age: &str, in_order: bool) -> Option<Totals> {
    let only = number("GRIDTRACE_OUTBOX_SEED");
    let seeds = match only {
        Some(seed) => seed..seed + 1,
        None => 0..number("GRIDTRACE_OUTBOX_SEEDS").unwrap_or(usual),
    };
    let mut all = Totals::default();
    for seed in seeds {
        let _repeat = Repeat(seed, test);
        let one = story(seed, max_age, in_order);
        all.cases += one.cases;
        all.done += one.done;
        all.repeated += one.repeated;
        all.lost_answers += one.lost_answers;
        all.nonsense += one.nonsense;
        all.refused += one.refused;
        all.crashes += one.crashes;
        all.superseded += one.superseded;
        all.left_alone += one.left_alone;
        all.given_up += one.given_up;
    }
    eprintln!("{test}: {all:?}");
    only.is_none().then_some(all)
}

#[test]
fn each_receiver_has_each_case_once_and_its_events_in_order_whatever_fails() {
    let test = "each_receiver_has_each_case_once_and_its_events_in_order_whatever_fails";
    if let Some(totals) = tell(test, 50, "365days", true) {
        let happened = [
            totals.cases,
            totals.done,
            totals.repeated,
            totals.lost_answers,
            totals.nonsense,
            totals.refused,
            totals.crashes,
            totals.superseded,
            totals.left_alone,
        ];
        assert!(happened.iter().all(|count| *count > 0), "{totals:?}");
        assert_eq!(totals.given_up, 0);
    }
}

#[test]
fn deliveries_that_end_together_are_noted_together() {
    let (mut attempts, mut notes) = (0, 0);
    for seed in 0..20 {
        let mut story = Story::new(seed, "365days", true);
        let batch = FindingBatch {
            findings: (0..CASES)
                .map(|which| Finding::Opened(violation(which)))
                .collect(),
            ..FindingBatch::default()
        };
        now(story.memory.write_findings(&batch));
        now(delivery::plan(
            &*story.memory,
            &story.receivers,
            story.time(),
        ));
        story.store.set_faults(StoreFaults {
            slow: 1_024,
            ..StoreFaults::default()
        });
        let step = std::iter::repeat_with(|| story.step(0)).flatten().next();
        assert_eq!(step, Some(Step::Tried(usize::try_from(CASES).unwrap())));
        attempts += CASES;
        // All but the question what is due.
        notes += story.store.calls() - 1;
        assert!(
            now(story.memory.backlog())
                .iter()
                .all(|one| one.receiver != "city")
        );
    }
    assert!(notes <= attempts * 2 / 3, "{notes} for {attempts}");
}

#[test]
fn dead_letters_that_are_sent_again_do_no_harm() {
    let test = "dead_letters_that_are_sent_again_do_no_harm";
    if let Some(totals) = tell(test, 50, "1m", false) {
        assert!(totals.given_up > 0 && totals.repeated > 0, "{totals:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_story_of_the_outbox() {
    for seed in 0..5 {
        assert_eq!(
            story(seed, "1m", false),
            story(seed, "1m", false),
            "seed {seed}"
        );
    }
}
