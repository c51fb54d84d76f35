//! Stores to test, and what to put into them.

use std::sync::{Arc, OnceLock};

use geofence::{
    catalog::Kerb,
    identity::{TerminalId, ViolationId},
    position::{Inputs, Position},
    units::{Latitude, Longitude, Timestamp},
    violation::{
        Evidence, EvidenceFix, Finding, Rule, Stretch, StretchState, Violation, ViolationKind,
    },
};
use harness::postgres::Postgres;
use storage::{
    embedded::EmbeddedStore,
    store::{Cursor, FindingBatch, PositionBatch, PositionRow, Store, memory::MemoryStore},
    timescale::{Options, TimescaleStore},
};
use uuid::Uuid;

/// A store on data of its own.
pub(crate) struct Subject {
    pub(crate) store: Arc<dyn Store>,
    place: Place,
}

enum Place {
    Memory,
    Directory(tempfile::TempDir),
    Database(String),
}

impl Subject {
    /// The same data by another store, as after a restart.
    pub(crate) async fn reopened(&self) -> Arc<dyn Store> {
        match &self.place {
            Place::Memory => Arc::clone(&self.store),
            Place::Directory(directory) => Arc::new(EmbeddedStore::open(directory.path()).unwrap()),
            Place::Database(url) => Arc::new(at(url).await),
        }
    }

    /// Runs statements in the database, or in the file of all that is not of a day.
    pub(crate) async fn execute(&self, sql: &str) {
        let url = match &self.place {
            Place::Memory => panic!("there is no database"),
            Place::Directory(directory) => {
                let main = rusqlite::Connection::open(directory.path().join("main.sqlite"));
                main.unwrap().execute_batch(sql).unwrap();
                return;
            }
            Place::Database(url) => url,
        };
        let connected = tokio_postgres::connect(url, tokio_postgres::NoTls).await;
        let (client, connection) = connected.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
    }
}

/// Whatever is tested in front of this one relies on its being like the others.
pub(crate) async fn memory() -> Option<Subject> {
    Some(Subject {
        store: Arc::new(MemoryStore::default()),
        place: Place::Memory,
    })
}

pub(crate) async fn embedded() -> Option<Subject> {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(EmbeddedStore::open(directory.path()).unwrap());
    Some(Subject {
        store,
        place: Place::Directory(directory),
    })
}

pub(crate) async fn postgres() -> Option<Subject> {
    on(plain()?).await
}

pub(crate) async fn timescale() -> Option<Subject> {
    on(with_timescale()?).await
}

/// A test that compresses chunks or refreshes sums would meet the server's own workers at it, and
/// one of them fails then.
pub(crate) const NO_WORKERS: &str = "timescaledb.max_background_workers=0";

/// The server with TimescaleDB that tests share, each with a database of its own.
pub(crate) fn with_timescale() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    SERVER
        .get_or_init(|| Postgres::start_with_timescale(&[NO_WORKERS]))
        .as_ref()
}

/// The plain server that tests share, each with a database of its own.
pub(crate) fn plain() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    SERVER.get_or_init(Postgres::start).as_ref()
}

async fn on(server: &Postgres) -> Option<Subject> {
    let url = server.database();
    Some(Subject {
        store: Arc::new(at(&url).await),
        place: Place::Database(url),
    })
}

/// Batches of 50 rows and more are copied, so that the tests go both ways.
async fn at(url: &str) -> TimescaleStore {
    let options = Options {
        copied_rows_min: 50,
        ..Options::default()
    };
    TimescaleStore::connect(url, options).await.unwrap()
}

/// 2025-11-25T00:00:00Z.
pub(crate) const MIDNIGHT: Timestamp = Timestamp(1_764_028_800_000);
pub(crate) const LOG: Uuid = Uuid::from_u128(0x106);

pub(crate) fn terminal(number: u32) -> TerminalId {
    (13_800_000_000_u64 + u64::from(number))
        .to_string()
        .parse()
        .unwrap()
}

/// A position at so many seconds after [`MIDNIGHT`].
pub(crate) fn row(terminal: TerminalId, seconds: i64, digest: u32) -> PositionRow {
    let fixed_at = MIDNIGHT.plus_millis(seconds * 1_000);
    PositionRow {
        position: Position {
            terminal,
            fixed_at,
            received_at: fixed_at.plus_millis(1_234),
            log_offset: u64::from(digest),
            digest,
            latitude: Latitude::from_micro_degrees(37_870_000).unwrap(),
            longitude: Longitude::from_micro_degrees(112_550_000).unwrap(),
            altitude_m: Some(-5),
            speed_dkmh: 365,
            heading_deg: 359,
            alarm_flags: u32::MAX,
            status_flags: 3,
            odometer_dkm: Some(u32::MAX),
            satellites: Some(255),
            inputs: Inputs {
                vehicle_signals: Some(u32::MAX),
                io: Some(u16::MAX),
                vendor: Some(0),
            },
            is_positioned: true,
            is_backlog: false,
        },
        unit_grid: Some("14010500100101".into()),
    }
}

pub(crate) fn batch(offset: u64, positions: Vec<PositionRow>) -> PositionBatch {
    PositionBatch {
        cursor: Cursor {
            log: LOG,
            consumer: "store".into(),
            offset,
        },
        positions,
        quarantined: Vec::new(),
    }
}

pub(crate) fn violation(number: u128) -> Violation {
    Violation {
        id: ViolationId(Uuid::from_u128(number)),
        kind: ViolationKind::Speeding,
        rule: Rule {
            id: "F1".into(),
            version: 3,
            name: "迎泽大街".into(),
        },
        terminal: terminal(1),
        vehicle: Some("V1".into()),
        unit_grid: Some("14010600100101".into()),
        latitude: Latitude::from_micro_degrees(37_870_001).unwrap(),
        longitude: Longitude::from_micro_degrees(112_550_001).unwrap(),
        started_at: MIDNIGHT,
        confirmed_at: MIDNIGHT.plus_millis(10_000),
        ended_at: None,
        worst: 61.3,
        evidence: Evidence {
            fixes: vec![EvidenceFix {
                fixed_at: MIDNIGHT,
                latitude: Latitude::from_micro_degrees(37_870_001).unwrap(),
                longitude: Longitude::from_micro_degrees(112_550_001).unwrap(),
                speed_dkmh: 613,
                heading_deg: 90,
                distance_m: Some(0.1 + 0.2),
                log_offset: 17,
            }],
            thresholds: [("limit_kmh".to_owned(), 40.0)].into(),
            measured: [("swept_m".to_owned(), 812.5)].into(),
            stretches: vec![Stretch {
                segment: 1,
                side: Some(Kerb::Left),
                from_m: 5.0,
                to_m: 12.5,
                passes: 1,
                state: StretchState::TooFast,
                from: Default::default(),
                to: Default::default(),
            }],
            unit_grids: vec!["14010600100101".into()],
        },
    }
}

/// Findings made when the log was judged up to `offset`; its clock shows as many seconds.
pub(crate) fn findings(offset: u64, findings: Vec<Finding>) -> FindingBatch {
    FindingBatch {
        judged: Cursor {
            log: LOG,
            consumer: "evaluator".into(),
            offset,
        },
        at: MIDNIGHT.plus_millis(i64::try_from(offset).unwrap() * 1_000),
        findings,
        ..FindingBatch::default()
    }
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        u32::try_from((high * u64::from(limit)) >> 32).unwrap()
    }
}
