//! What lives as long as a process: the log, its writer, and what follows it.

use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use gateway::{
    case_desk::CaseDesk,
    catalog::Catalog,
    config::{CatalogFiles, Config, Evaluate, Ingest, Raw},
    metrics::Metrics,
    outlets::{
        Consumer,
        evaluator::EvaluatorConsumer,
        follower::{Follower, Step, StepError, Workplace},
        live_map::LiveMap,
        store_writer::StoreWriter,
    },
};
use harness::Books;
use storage::{
    file_system::faulty::FaultyDisk,
    log::{Log, LogConfig, LogError, LogWriter, Recovered},
    store::{StoreError, faulty::FaultyStore},
};

const DIRECTORY: &str = "/data/log";

/// A square of about 450 m around 37.87 N, 112.55 E that nobody may enter.
const FENCES: &str = r#"{"type":"FeatureCollection","features":[{"type":"Feature",
    "properties":{"id":"K1","name":"school","kind":"keep_out"},
    "geometry":{"type":"Polygon","coordinates":[[[112.5475,37.868],[112.5525,37.868],
    [112.5525,37.872],[112.5475,37.872],[112.5475,37.868]]]}}]}"#;

const VEHICLES: &str = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
    V0,13800000000,晋AR0000,refuse_truck,F1,zero,60\n\
    V1,13800000001,晋AR0001,refuse_truck,F1,one,60\n\
    V2,13800000002,晋AR0002,refuse_truck,F1,two,60\n";

/// What all stories share.
pub(crate) struct City {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) ingest: Ingest,
    pub(crate) evaluate: Evaluate,
    pub(crate) cases: Arc<CaseDesk>,
}

impl City {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let files = CatalogFiles {
            fences: file("fences.geojson", FENCES),
            vehicles: file("vehicles.csv", VEHICLES),
            ..CatalogFiles::default()
        };
        let config = Config::from_raw(Raw::default()).unwrap();
        Self {
            cases: Arc::new(CaseDesk::load(&config.cases).unwrap()),
            catalog: Arc::new(Catalog::load(&files).unwrap()),
            ingest: Ingest {
                // So that a store meets days that it refuses.
                past_max: Duration::from_secs(200 * 365 * 86_400),
                ..config.ingest
            },
            evaluate: config.evaluate,
        }
    }
}

pub(crate) fn open(disk: &FaultyDisk) -> Result<(Log, LogWriter, Recovered), LogError> {
    let config = LogConfig {
        segment_bytes_max: 4 << 10,
        size_bytes_max: 12 << 10,
        free_bytes_min: 0,
        staged_bytes_max: 3 << 9,
        record_bytes_max: 700,
        block_bytes: 512,
        zero_ahead_bytes: 700,
        commit_interval: Duration::ZERO,
    };
    Log::open(Arc::new(disk.clone()), Path::new(DIRECTORY), config)
}

/// The process.
pub(crate) struct Process {
    pub(crate) log: Log,
    pub(crate) writer: LogWriter,
    pub(crate) store_writer: Place<StoreWriter>,
    pub(crate) evaluator: Place<EvaluatorConsumer>,
    pub(crate) metrics: Arc<Metrics>,
    /// Where the store writer began, once it has.
    pub(crate) began_at: Option<u64>,
}

impl Process {
    /// As the gateway starts one. Snapshots are due at every batch, or only when it settles.
    pub(crate) fn start(
        (log, writer): (Log, LogWriter),
        store: &FaultyStore,
        city: &City,
        snapshots_always: bool,
    ) -> Self {
        for consumer in [StoreWriter::NAME, EvaluatorConsumer::NAME] {
            log.register_consumer(consumer, log.status().first);
        }
        let metrics = Arc::new(Metrics::new().unwrap());
        let place = Workplace {
            log: log.clone(),
            store: Arc::new(store.clone()),
            catalog: Arc::clone(&city.catalog),
            metrics: Arc::clone(&metrics),
            batch_bytes_max: 2 << 20,
            live: Arc::new(LiveMap::new(
                Arc::clone(&city.catalog),
                Arc::clone(&metrics),
            )),
            ingest: city.ingest.clone(),
            cases: Arc::clone(&city.cases),
        };
        let hours = if snapshots_always { 0 } else { 1 };
        let evaluator = EvaluatorConsumer::new(&Evaluate {
            snapshot_interval: Duration::from_secs(hours * 3_600),
            ..city.evaluate.clone()
        });
        Self {
            log,
            writer,
            store_writer: Place::new(Follower::new(place.clone(), StoreWriter)),
            evaluator: Place::new(Follower::new(place, evaluator)),
            metrics,
            began_at: None,
        }
    }

    /// The counters.
    pub(crate) fn books(&self) -> Books {
        Books::parse(&self.metrics.render())
    }
}

/// What a follower is asked to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    Step,
    Settle,
}

type Outcome = Result<Step, StepError>;
type Running<C> = Pin<Box<dyn Future<Output = (Box<Follower<C>>, Outcome)>>>;

/// A follower, and what it is at.
pub(crate) enum Place<C> {
    Free(Box<Follower<C>>),
    Busy(Running<C>),
    /// While it is polled.
    Away,
}

impl<C: Consumer + 'static> Place<C> {
    fn new(follower: Follower<C>) -> Self {
        Self::Free(Box::new(follower))
    }

    /// Goes on with what it is at, else begins this work; `None` while the store is slow.
    pub(crate) fn go_on(&mut self, store: &FaultyStore, work: Work) -> Option<Outcome> {
        let mut running = match std::mem::replace(self, Self::Away) {
            Self::Busy(running) => running,
            Self::Free(mut follower) => Box::pin(async move {
                let outcome = match work {
                    Work::Step => follower.step().await,
                    Work::Settle => follower.settle().await.map(|()| Step::CaughtUp),
                };
                (follower, outcome)
            }),
            Self::Away => panic!("a follower was lost"),
        };
        let mut context = Context::from_waker(Waker::noop());
        _ = store.take_pause();
        loop {
            match running.as_mut().poll(&mut context) {
                Poll::Ready((follower, outcome)) => {
                    *self = Self::Free(follower);
                    if let Err(StepError::Store(error @ StoreError::Unusable { .. })) = &outcome {
                        panic!("{error}");
                    }
                    return Some(outcome);
                }
                Poll::Pending if store.take_pause() => {
                    *self = Self::Busy(running);
                    return None;
                }
                // A real store is at work, on a thread of its own.
                Poll::Pending => std::thread::yield_now(),
            }
        }
    }
}
