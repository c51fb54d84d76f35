//! A month of a city's cases with their histories: lists with filters, and the monthly evaluation by
//! the default formulas, each beside the plain `count(*)` over the rows that it reads.
//!
//! `cargo bench -p benchmarks --bench evaluation [cases]`. PostgreSQL is measured where it is
//! installed, with `fsync` on, and the embedded store beside it.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark prints, or panics"
)]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use benchmarks::servers::is_measuring;
use geofence::{
    case::{
        Case, Severity, Source, Stage,
        clock::ClockKind,
        desk::{Actor, Edit, MoveRequest},
        moves::{Move, Role},
        policy::{DepartmentText, Desk, Policy, PolicyText},
    },
    catalog::{Calendar, local_day},
    identity::ViolationId,
    units::{Latitude, Longitude, Timestamp},
    violation::{Evidence, EvidenceFix, Rule, Violation, ViolationKind},
};
use harness::postgres::Postgres;
use serde::Deserialize;
use storage::{
    embedded::EmbeddedStore,
    evaluation::{
        By, CaseEvent, EvaluationQuery, EventKind, Figure, FigureCases, Filter, Measure, Span,
        events_of,
    },
    store::{CaseOrder, CaseQuery, CaseRecord, Import, Store},
    timescale::{Options, TimescaleStore},
};
use uuid::Uuid;

/// 2026-10-31T16:00:00Z: November begins at local time.
const START: Timestamp = Timestamp(1_793_462_400_000);
const HOUR: i64 = 3_600_000;
const DAYS: i64 = 30;
const TERMINALS: u64 = 2_000;
const PASSES: usize = 5;

#[derive(Deserialize)]
struct Formulas {
    figure: Vec<Formula>,
}

#[derive(Deserialize)]
struct Formula {
    of: Option<Filter>,
    #[serde(default)]
    measure: Measure,
}

/// The figures of cases of the default formulas.
fn figures() -> Vec<Figure> {
    let formulas: Formulas = toml::from_str(include_str!("../gateway/evaluation.toml")).unwrap();
    let figures = formulas.figure.into_iter().filter_map(|formula| {
        Some(Figure {
            filter: formula.of?,
            measure: formula.measure,
        })
    });
    figures.collect()
}

#[tokio::main]
async fn main() {
    let cases = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or_else(|| if is_measuring() { 100_000 } else { 300 });
    if let Some(server) = Postgres::start_with(&[]) {
        let url = server.database();
        let store = TimescaleStore::connect(&url, Options::default())
            .await
            .unwrap();
        fill(&store, cases).await;
        let execute = |sql: &str| server.execute(&url, sql);
        execute("VACUUM ANALYZE");
        let size = execute(
            "SELECT count(*), pg_size_pretty(pg_total_relation_size('gridtrace.case_events')), \
             pg_size_pretty(pg_total_relation_size('gridtrace.cases')), \
             pg_size_pretty(pg_total_relation_size('gridtrace.case_history')) \
             FROM gridtrace.case_events",
        );
        println!("PostgreSQL: {size} (events of cases; sizes of events, cases, histories)");
        let baselines = postgres_baselines(&url).await;
        measure(&store, &baselines).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    fill(&store, cases).await;
    println!("embedded");
    let main = rusqlite::Connection::open(folder.path().join("main.sqlite")).unwrap();
    let baselines = TABLES.map(|table| {
        let sql = format!("SELECT count(*) FROM {table}");
        median(|| {
            let count: i64 = main.query_row(&sql, [], |row| row.get(0)).unwrap();
            assert!(count > 0);
        })
    });
    measure(&store, &baselines).await;
}

const TABLES: [&str; 3] = ["cases", "case_events", "case_history"];

async fn postgres_baselines(url: &str) -> [Duration; 3] {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut baselines = [Duration::ZERO; 3];
    for (baseline, table) in baselines.iter_mut().zip(TABLES) {
        let sql = format!("SELECT count(*) FROM gridtrace.{table}");
        let mut times = Vec::new();
        for _ in 0..PASSES {
            let started = Instant::now();
            let count: i64 = client.query_one(&sql, &[]).await.unwrap().get(0);
            times.push(started.elapsed());
            assert!(count > 0);
        }
        *baseline = middle(times);
    }
    drop(client);
    connection.await.unwrap().unwrap();
    baselines
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn median(mut work: impl FnMut()) -> Duration {
    let times = (0..PASSES).map(|_| {
        let started = Instant::now();
        work();
        started.elapsed()
    });
    middle(times.collect())
}

async fn measure(store: &dyn Store, [cases, events, history]: &[Duration; 3]) {
    println!("  count(*): cases {cases:.1?}, their events {events:.1?}, histories {history:.1?}");
    let from = START;
    let week = Some((from, from.plus_millis(7 * 24 * HOUR)));
    let place = |code: &str| vec![code.to_owned()];
    let plain = CaseQuery {
        limit: 100,
        ..CaseQuery::default()
    };
    let lists = [
        ("newest", plain.clone()),
        (
            "stage",
            CaseQuery {
                stage: Some(Stage::Dispatched),
                ..plain.clone()
            },
        ),
        (
            "district, kind",
            CaseQuery {
                jurisdictions: place("140106"),
                kind: Some(ViolationKind::OffPost),
                ..plain.clone()
            },
        ),
        (
            "community, a week",
            CaseQuery {
                jurisdictions: place("140106002003"),
                happened: week,
                ..plain.clone()
            },
        ),
        (
            "terminal",
            CaseQuery {
                terminal: Some("13800000007".parse().unwrap()),
                ..plain.clone()
            },
        ),
        (
            "department, stage",
            CaseQuery {
                department: Some("department 3".into()),
                stage: Some(Stage::Closed),
                ..plain.clone()
            },
        ),
        (
            "overdue, due first",
            CaseQuery {
                overdue_at: Some(from.plus_millis(40 * 24 * HOUR)),
                order: CaseOrder::Due,
                ..plain.clone()
            },
        ),
        (
            "nothing of the kind there",
            CaseQuery {
                jurisdictions: place("999999"),
                ..plain.clone()
            },
        ),
    ];
    for (name, query) in lists {
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..PASSES {
            let started = Instant::now();
            found = store.cases(&query).await.unwrap().len();
            times.push(started.elapsed());
        }
        println!("  list: {name:26} {:9.1?} ({found} cases)", middle(times));
    }
    let first = i32::try_from(local_day(START)).unwrap();
    let vehicles = By::Carrier {
        subjects: (0..TERMINALS)
            .map(|n| (format!("V{n}"), format!("crew {}", n % 60)))
            .collect(),
        others: false,
    };
    let levels = [
        ("city", By::City),
        ("district", By::Place(6)),
        ("street", By::Place(9)),
        ("community", By::Place(12)),
        ("department", By::Department),
        ("crew", vehicles),
        (
            "vehicle",
            By::Carrier {
                subjects: BTreeMap::new(),
                others: true,
            },
        ),
    ];
    let query = |span, by: &By| EvaluationQuery {
        days: (first, first + 30),
        span,
        by: by.clone(),
        jurisdictions: vec![],
        figures: figures(),
        rows_max: 100_000,
    };
    for (name, by) in &levels {
        for (word, span) in [("month", Span::Month), ("day", Span::Day)] {
            let query = query(span, by);
            let mut times = Vec::new();
            let mut found = 0;
            for _ in 0..PASSES {
                let started = Instant::now();
                found = store.evaluate(&query).await.unwrap().len();
                times.push(started.elapsed());
            }
            let time = middle(times);
            let ratio = time.as_secs_f64() / events.as_secs_f64();
            println!(
                "  {word:5} by {name:10} {time:9.1?} ({found} rows, {ratio:.1} times the count of \
                 events)"
            );
        }
    }
    let mut behind = FigureCases {
        query: EvaluationQuery {
            figures: vec![Figure {
                filter: Filter {
                    events: vec![EventKind::Closed],
                    ..Filter::default()
                },
                measure: Measure::Cases,
            }],
            ..query(Span::Month, &By::Place(6))
        },
        period: 2026 * 12 + 10,
        subject: "140106".into(),
        after: None,
        limit: 100,
    };
    let started = Instant::now();
    let page = store.evaluated_cases(&behind).await.unwrap();
    println!(
        "  cases behind a figure      {:9.1?} ({})",
        started.elapsed(),
        page.len()
    );
    behind.after = page.last().map(|case| case.id);
    let started = Instant::now();
    let page = store.evaluated_cases(&behind).await.unwrap();
    println!(
        "  the next page              {:9.1?} ({})",
        started.elapsed(),
        page.len()
    );
}

async fn fill(store: &dyn Store, cases: u64) {
    let started = Instant::now();
    let desk = desk();
    let (mut lines, mut events) = (0, 0);
    let numbers: Vec<u64> = (0..cases).collect();
    for chunk in numbers.chunks(2_000) {
        let records: Vec<CaseRecord> = chunk.iter().map(|number| record(*number, &desk)).collect();
        lines += records.iter().map(|r| r.history.len()).sum::<usize>();
        events += records.iter().map(|r| r.events.len()).sum::<usize>();
        let import = Import {
            cases: records,
            ..Import::default()
        };
        store.import(&import).await.unwrap();
    }
    println!(
        "\n{cases} cases, {lines} lines of histories, {events} events, written in {:.1?}",
        started.elapsed()
    );
}

fn desk() -> Desk {
    let mut text = PolicyText {
        levels: Some(vec![6, 3, 3]),
        ..PolicyText::default()
    };
    for (clock, limit) in [
        (ClockKind::Filing, "4 hours"),
        (ClockKind::Handling, "1 day"),
        (ClockKind::Total, "5 days"),
    ] {
        text.defaults.limits.insert(clock, limit.parse().unwrap());
    }
    text.defaults.level = Some(1);
    for number in 0..25 {
        text.departments.push(DepartmentText {
            kind: "*".into(),
            jurisdiction: format!("14010{}00{}", 5 + number / 5, 1 + number % 5),
            department: format!("department {number}"),
        });
    }
    Desk::new(Policy::read(&[text]).unwrap(), Calendar::default())
}

/// The same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn millis(&mut self, hours: u64) -> i64 {
        i64::try_from(self.below(hours * 3_600_000)).unwrap()
    }
}

/// A case with the history that a real one would have: its moves are made by the table of moves.
fn record(number: u64, desk: &Desk) -> CaseRecord {
    let mut dice = Dice(number);
    let mut now = START.plus_millis(dice.millis(u64::try_from(DAYS).unwrap() * 24));
    let by = |role| Actor {
        name: "li".into(),
        role,
        scope: String::new(),
        department: None,
    };
    let mut case = Case::open(violation(number, now, &mut dice), now);
    if dice.below(8) == 0 {
        case.source = Source::Inspector;
    }
    if dice.below(20) == 0 {
        case.source = Source::Citizen;
        case.severity = Severity::Urgent;
    }
    let edit = Edit::begin(case, &Actor::system("telemetry"), "found", now, desk);
    let mut history = edit.lines.clone();
    let mut events: BTreeMap<(EventKind, i32), CaseEvent> = BTreeMap::new();
    let mut count = |edit: &Edit| {
        events.retain(|(kind, _), _| *kind != EventKind::Happened);
        for event in events_of(&edit.case, &edit.lines) {
            events.entry((event.event, event.day)).or_insert(event);
        }
    };
    count(&edit);
    let mut case = edit.case;
    let mut moves = match dice.below(20) {
        0 => vec![(Move::Decline, Role::Operator)],
        1 => vec![(Move::Withdraw, Role::Leader)],
        _ => vec![
            (Move::Accept, Role::Operator),
            (Move::File, Role::Operator),
            (Move::Dispatch, Role::Dispatcher),
        ],
    };
    if moves.len() > 1 {
        if dice.below(12) == 0 {
            moves.push((Move::Extend, Role::Dispatcher));
        }
        moves.push((Move::Handle, Role::Department));
        while dice.below(7) == 0 {
            moves.extend([
                (Move::VerifyFail, Role::Inspector),
                (Move::Handle, Role::Department),
            ]);
        }
        moves.extend([
            (Move::VerifyPass, Role::Inspector),
            (Move::Close, Role::Operator),
        ]);
        // Some are not done yet.
        if dice.below(8) == 0 {
            moves.truncate(usize::try_from(1 + dice.below(5)).unwrap());
        }
    }
    for (name, role) in moves {
        now = now.plus_millis(dice.millis(20));
        let mut ticked = Edit::of(case);
        ticked.tick(now, desk);
        history.extend(ticked.lines.iter().cloned());
        count(&ticked);
        let mut edit = Edit::of(ticked.case);
        let request = MoveRequest {
            department: Some(format!("department {}", number % 25)),
            minutes: Some(600),
            ..MoveRequest::new(name, by(role), "because it is so")
        };
        edit.make(&request, now, desk).unwrap();
        history.extend(edit.lines.iter().cloned());
        count(&edit);
        case = edit.case;
    }
    CaseRecord {
        case,
        log: Uuid::nil(),
        judged: 0,
        history,
        events: events.into_values().collect(),
    }
}

fn violation(number: u64, at: Timestamp, dice: &mut Dice) -> Violation {
    let kinds = ViolationKind::ALL;
    let kind = kinds[usize::try_from(dice.below(18)).unwrap()];
    let terminal = dice.below(TERMINALS);
    let place = i32::try_from(dice.below(100_000)).unwrap();
    let (latitude, longitude) = (
        Latitude::from_micro_degrees(37_800_000 + place).unwrap(),
        Longitude::from_micro_degrees(112_500_000 + place).unwrap(),
    );
    let fixes = (0..6).map(|fix| EvidenceFix {
        fixed_at: at.plus_millis(fix * 10_000),
        latitude,
        longitude,
        speed_dkmh: 123,
        heading_deg: 90,
        distance_m: Some(12.5),
        log_offset: number,
    });
    Violation {
        id: ViolationId(Uuid::from_u64_pair(
            number.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            number,
        )),
        kind,
        rule: Rule {
            id: format!("rule {}", dice.below(500)),
            version: 1,
            name: "迎泽大街".into(),
        },
        terminal: (13_800_000_000 + terminal).to_string().parse().unwrap(),
        vehicle: Some(format!("V{terminal}")),
        unit_grid: Some(format!(
            "14010{}00{}00{}{:02}",
            5 + dice.below(5),
            1 + dice.below(5),
            1 + dice.below(5),
            1 + dice.below(20)
        )),
        latitude,
        longitude,
        started_at: at,
        confirmed_at: at.plus_millis(30_000),
        ended_at: Some(at.plus_millis(90_000)),
        worst: 61.3,
        evidence: Evidence {
            fixes: fixes.collect(),
            thresholds: [("limit_kmh".to_owned(), 40.0)].into(),
            ..Evidence::default()
        },
    }
}
