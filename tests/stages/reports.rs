//! What inspectors say by their terminals, through crashes and a store that fails: each report is
//! one case.

use std::{
    future::Future,
    path::Path,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use gateway::{
    case_desk::CaseDesk,
    catalog::Catalog,
    config::{CatalogFiles, Config, Raw},
    ingest::record::FRAME,
    metrics::Metrics,
    outlets::{
        follower::{Follower, Step, Workplace},
        live_map::LiveMap,
        reports::ReportsConsumer,
    },
};
use geofence::{case::Source, units::Timestamp};
use storage::{
    commands::{CommandLimits, Commands},
    file_system::{RealFileSystem, faulty::Random},
    log::{Log, LogConfig, LogWriter},
    store::{
        CaseQuery, Store as _,
        faulty::{FaultyStore, StoreFaults},
        memory::MemoryStore,
    },
};
use tools::wire::{Phone, Report, Revision, frame, message_id};

use crate::{Repeat, number};

const PHONE: &str = "13800000001";
const EVENT_REPORT: u16 = 0x0301;
const START_S: i64 = 1_767_600_000;
const SEEDS: u64 = 100;

fn now<T>(answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = answer.as_mut().poll(&mut context) {
            return done;
        }
    }
}

struct Desk {
    config: Config,
    catalog: Arc<Catalog>,
    cases: Arc<CaseDesk>,
    commands: Arc<Commands>,
}

impl Desk {
    fn new(folder: &Path) -> Self {
        let vehicles = folder.join("vehicles.csv");
        let text = format!("vehicle,phone,work_kind\nI1,{PHONE},inspector\nV1,13800000002,other\n");
        std::fs::write(&vehicles, text).unwrap();
        let files = CatalogFiles {
            vehicles: Some(vehicles),
            ..CatalogFiles::default()
        };
        let mut raw = Raw::default();
        let events = Some("1:0102:暴露垃圾".to_owned());
        raw.add_flag("test", "inspectors.events", events);
        let config = Config::from_raw(raw).unwrap();
        let commands = Commands::open(&folder.join("commands.sqlite"), CommandLimits::default());
        Self {
            cases: Arc::new(CaseDesk::load(&config.cases).unwrap()),
            catalog: Arc::new(Catalog::load(&files).unwrap()),
            commands: Arc::new(commands.unwrap()),
            config,
        }
    }

    fn follower(&self, log: &Log, store: &FaultyStore) -> Follower<ReportsConsumer> {
        let metrics = Arc::new(Metrics::new().unwrap());
        let place = Workplace {
            log: log.clone(),
            store: Arc::new(store.clone()),
            catalog: Arc::clone(&self.catalog),
            metrics: Arc::clone(&metrics),
            batch_bytes_max: 2 << 20,
            live: Arc::new(LiveMap::new(Arc::clone(&self.catalog), metrics)),
            ingest: self.config.ingest.clone(),
            cases: Arc::clone(&self.cases),
        };
        let consumer = ReportsConsumer::new(
            self.config.inspectors.clone(),
            Arc::clone(&self.commands),
            // Never by itself: only what was said makes one due.
            Duration::from_secs(3_600),
        );
        Follower::new(place, consumer)
    }
}

/// A frame as a record holds it: behind the prefix of its revision, without delimiters.
fn payload(phone: &str, id: u16, serial: u16, body: &[u8]) -> Vec<u8> {
    let phone = Phone::from_digits(phone, Revision::V2013).unwrap();
    let frame = frame(id, &phone, serial, body).unwrap();
    [&[1, 13], &frame[1..frame.len() - 1]].concat()
}

/// Two events, one of them sent twice, and two calls for help, each reported more than once; and the
/// same of a vehicle that is no inspector's.
fn said() -> Vec<(u64, Vec<u8>)> {
    let position = |phone, after_s: i64, alarms| {
        let report = Report {
            alarms,
            status: Report::status_of(true),
            latitude: 37_865_000,
            longitude: 112_605_000,
            fixed_at: START_S + after_s,
            ..Report::default()
        };
        let serial = u16::try_from(after_s).unwrap();
        payload(phone, message_id::LOCATION_REPORT, serial, &report.body())
    };
    let event = |phone, serial, id| payload(phone, EVENT_REPORT, serial, &[id]);
    let other = "13800000002";
    let records = [
        position(PHONE, 1, 0),
        event(PHONE, 2, 1),
        event(PHONE, 2, 1),
        position(other, 3, 1),
        position(PHONE, 10, 1),
        position(PHONE, 20, 1),
        event(other, 5, 1),
        position(PHONE, 30, 0),
        event(PHONE, 6, 9),
        position(PHONE, 40, 1),
        event(PHONE, 7, 1),
        position(PHONE, 50, 0),
    ];
    let at = |index: usize| u64::try_from(START_S).unwrap() * 1_000 + index as u64 * 5_000;
    let numbered = records.into_iter().enumerate();
    numbered.map(|(i, record)| (at(i), record)).collect()
}

fn open(directory: &Path) -> (Log, LogWriter) {
    let files = Arc::new(RealFileSystem);
    let (log, writer, _) = Log::open(files, directory, LogConfig::default()).unwrap();
    (log, writer)
}

#[test]
fn each_report_is_one_case_whatever_crashes() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::new(folder.path());
    let only = number("GRIDTRACE_FAULT_SEED");
    let seeds = only.map_or(0..SEEDS, |seed| seed..seed + 1);
    let (mut crashes, mut failures) = (0_u64, 0_u64);
    for seed in seeds {
        let _repeat = Repeat {
            seed,
            test: "reports",
        };
        let (log, mut writer) = open(&folder.path().join(format!("log{seed}")));
        let store = FaultyStore::over(Arc::new(MemoryStore::default()), seed);
        store.set_faults(StoreFaults {
            unavailable: 60,
            lost_answer: 120,
            ..StoreFaults::default()
        });
        let mut random = Random(seed);
        let mut follower = desk.follower(&log, &store);
        for (at, payload) in said() {
            let at = i64::try_from(at).unwrap();
            log.append_parts(FRAME, at, &[&payload]).unwrap();
            while !matches!(writer.step(), storage::log::Step::Idle) {}
            for _ in 0..random.below(4) {
                failures += u64::from(now(follower.step()).is_err());
                if random.below(4) == 0 {
                    crashes += 1;
                    follower = desk.follower(&log, &store);
                }
            }
        }
        store.set_faults(StoreFaults::default());
        while now(follower.step()).unwrap() != Step::CaughtUp {}
        now(follower.settle()).unwrap();
        let query = CaseQuery {
            limit: 100,
            ..CaseQuery::default()
        };
        let cases = now(store.cases(&query)).unwrap();
        let mut found: Vec<_> = cases
            .iter()
            .map(|case| {
                assert_eq!(case.source, Source::Inspector);
                assert!(case.place.is_some(), "{case:?}");
                let lines = now(store.case_history(case.id)).unwrap();
                assert_eq!(lines.len(), 1, "{lines:?}");
                (case.occurred_at, case.description.as_str())
            })
            .collect();
        found.sort_unstable();
        let at = |s: i64| Timestamp((START_S + s) * 1_000);
        let expected = [
            (at(5), "暴露垃圾"),
            (at(10), "紧急报警"),
            (at(40), "紧急报警"),
            (at(50), "暴露垃圾"),
        ];
        assert_eq!(found, expected);
        assert_eq!(log.lag("inspectors"), Some(0));
    }
    if only.is_none() {
        assert!(crashes > SEEDS && failures > SEEDS, "{crashes} {failures}");
    }
}
