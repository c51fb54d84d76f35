//! What evaluations count, the cases behind each figure, and the days of terminals.

use std::{collections::BTreeMap, sync::Arc};

use geofence::{
    case::{
        Case,
        clock::ClockKind,
        desk::{Actor, MoveRequest},
        moves::{Move, RULES, Role},
        policy::{DepartmentText, Desk, Policy, PolicyText},
    },
    catalog::{Calendar, day_of, local_day, local_moment},
    units::Timestamp,
    violation::{Finding, ViolationKind},
};
use storage::{
    evaluation::{
        By, EvaluationQuery, EventKind, Figure, FigureCases, FigureRow, Filter, Measure, Span,
        TerminalDay,
    },
    store::{FindingBatch, MoveOrder, Moved, Store, memory::MemoryStore},
};

use crate::setup::{Dice, MIDNIGHT, Subject, batch, findings, row, terminal, violation};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn desk() -> Arc<Desk> {
    let mut text = PolicyText {
        levels: Some(vec![6, 3, 3]),
        ..PolicyText::default()
    };
    for (clock, limit) in [(ClockKind::Total, "3 days"), (ClockKind::Handling, "1 day")] {
        text.defaults.limits.insert(clock, limit.parse().unwrap());
    }
    text.defaults.level = Some(1);
    for (jurisdiction, department) in [("140105", "east"), ("140106", "o'west")] {
        text.departments.push(DepartmentText {
            kind: "*".into(),
            jurisdiction: jurisdiction.into(),
            department: department.into(),
        });
    }
    let policy = Policy::read(&[text]).unwrap();
    Arc::new(Desk::new(policy, Calendar::default()))
}

fn day(text: &str) -> i32 {
    i32::try_from(day_of(text).unwrap()).unwrap()
}

/// A moment of a day at local time.
fn at(text: &str, hour: i64) -> Timestamp {
    local_moment(i64::from(day(text)) * 1_440 + hour * 60)
}

/// Cases and what is done to them, in one store after the other alike.
struct Story<'a> {
    store: &'a dyn Store,
    desk: Arc<Desk>,
    told: u64,
}

impl<'a> Story<'a> {
    fn new(store: &'a dyn Store) -> Self {
        Self {
            store,
            desk: desk(),
            told: 0,
        }
    }

    async fn find(&mut self, finding: Finding, at: Timestamp) {
        self.told += 1;
        let found = FindingBatch {
            at,
            desk: Arc::clone(&self.desk),
            ..findings(self.told, vec![finding])
        };
        self.store.write_findings(&found).await.unwrap();
    }

    /// A case of a violation that began at that moment.
    async fn open(&mut self, number: u128, grid: &str, at: Timestamp) -> Case {
        let mut found = violation(number);
        found.rule.id = format!("rule {number}");
        found.unit_grid = Some(grid.into());
        found.started_at = at;
        found.confirmed_at = at.plus_millis(1_000);
        found.vehicle = Some(format!("V{}", number % 3));
        if number.is_multiple_of(4) {
            found.kind = ViolationKind::MissedPoint;
        }
        let id = Case::id_of(found.id);
        self.find(Finding::Opened(found), at).await;
        self.store.case(id).await.unwrap().unwrap()
    }

    /// A move by whoever may make it; whether it was made.
    async fn make(&self, case: &Case, name: Move, at: Timestamp) -> bool {
        let rule = RULES.iter().find(|rule| rule.name == name).unwrap();
        let by = Actor {
            name: "li".into(),
            role: *rule.by.iter().find(|role| **role != Role::System).unwrap(),
            scope: String::new(),
            department: None,
        };
        let order = MoveOrder {
            case: case.id,
            request: MoveRequest {
                minutes: Some(60),
                until: Some(at.plus_millis(DAY)),
                ..MoveRequest::new(name, by, "because")
            },
            at,
            desk: Arc::clone(&self.desk),
        };
        let moved = self.store.move_case(&order).await.unwrap();
        matches!(moved, Moved::Done(_))
    }

    async fn make_all(&self, case: &Case, moves: &[(Move, Timestamp)]) {
        for (name, at) in moves {
            assert!(self.make(case, *name, *at).await, "{name:?}");
        }
    }

    async fn tick(&self, at: Timestamp) {
        self.store.tick_cases(at, &self.desk, 1_000).await.unwrap();
    }
}

fn figure(filter: Filter) -> Figure {
    Figure {
        filter,
        measure: Measure::Cases,
    }
}

fn of(events: &[EventKind]) -> Filter {
    Filter {
        events: events.to_vec(),
        ..Filter::default()
    }
}

fn query(span: Span, by: By, days: (&str, &str), figures: Vec<Figure>) -> EvaluationQuery {
    EvaluationQuery {
        days: (day(days.0), day(days.1)),
        span,
        by,
        jurisdictions: vec![],
        figures,
        rows_max: 100_000,
    }
}

fn values(rows: &[FigureRow]) -> Vec<(&str, Vec<f64>)> {
    rows.iter()
        .map(|row| (row.subject.as_str(), row.values.clone()))
        .collect()
}

const STEPS: [Move; 4] = [Move::Accept, Move::File, Move::Dispatch, Move::Handle];

/// Three cases of November: closed on time after a rework, closed late in December, and declined.
async fn three_cases(story: &mut Story<'_>) -> [Case; 3] {
    let first = story.open(1, "14010500100101", at("2025-11-10", 8)).await;
    let steps = STEPS.map(|name| (name, at("2025-11-10", 9)));
    story.make_all(&first, &steps).await;
    let again = [
        (Move::VerifyFail, at("2025-11-10", 10)),
        (Move::Extend, at("2025-11-10", 11)),
        (Move::Handle, at("2025-11-10", 12)),
        (Move::VerifyFail, at("2025-11-11", 10)),
        (Move::Handle, at("2025-11-11", 12)),
        (Move::VerifyPass, at("2025-11-11", 13)),
        (Move::Close, at("2025-11-11", 14)),
    ];
    story.make_all(&first, &again).await;
    let second = story.open(4, "14010600200101", at("2025-11-28", 23)).await;
    let steps = [Move::Accept, Move::File, Move::Dispatch];
    let steps = steps.map(|name| (name, at("2025-11-28", 23)));
    story.make_all(&second, &steps).await;
    // Handling ran out on the 29th, the whole on the 1st at 23:00: told an hour later.
    story.tick(at("2025-11-30", 0)).await;
    story.tick(at("2025-12-02", 0)).await;
    let rest = [
        (Move::Handle, at("2025-12-05", 9)),
        (Move::VerifyPass, at("2025-12-05", 10)),
        (Move::Close, at("2025-12-05", 11)),
    ];
    story.make_all(&second, &rest).await;
    let third = story.open(3, "14010500100102", at("2025-11-30", 22)).await;
    story
        .make_all(&third, &[(Move::Decline, at("2025-12-01", 0))])
        .await;
    [first, second, third]
}

fn usual_figures() -> Vec<Figure> {
    use EventKind::{Closed, Declined, Due, Extended, Filed, Happened, Overdue, Rework};
    let late = |late| Filter {
        late: Some(late),
        ..of(&[Closed])
    };
    let due = Filter {
        due_in_period: true,
        ..of(&[Closed])
    };
    vec![
        figure(of(&[Filed])),
        figure(of(&[Closed])),
        figure(late(false)),
        figure(late(true)),
        figure(of(&[Due])),
        figure(due),
        figure(of(&[Rework])),
        figure(of(&[Extended])),
        figure(of(&[Declined])),
        figure(of(&[Overdue])),
        figure(of(&[Happened])),
    ]
}

pub(crate) async fn figures_say_what_happened_in_each_period(subject: &Subject) {
    let mut story = Story::new(&*subject.store);
    three_cases(&mut story).await;
    let store = subject.reopened().await;
    let days = ("2025-11-01", "2026-01-01");
    let wanted = query(Span::Month, By::Place(6), days, usual_figures());
    let rows = store.evaluate(&wanted).await.unwrap();
    let periods: Vec<i32> = rows.iter().map(|row| row.period).collect();
    let november = 2025 * 12 + 10;
    assert_eq!(periods, [november, november, november + 1, november + 1]);
    assert_eq!(
        values(&rows),
        [
            // Filed, closed, on time, late, due, closed of due, rework, extended, declined,
            // overdue, happened (the declined one did not).
            ("140105", vec![1., 1., 1., 0., 1., 1., 1., 1., 0., 0., 1.]),
            ("140106", vec![1., 0., 0., 0., 0., 0., 0., 0., 0., 1., 1.]),
            ("140105", vec![0., 0., 0., 0., 0., 0., 0., 0., 1., 0., 0.]),
            ("140106", vec![0., 1., 0., 1., 1., 1., 0., 0., 0., 1., 0.]),
        ]
    );
    // In weeks the late one is closed in the week in which it fell due; by days it is not.
    let week = query(
        Span::Week,
        By::City,
        ("2025-12-01", "2025-12-08"),
        usual_figures(),
    );
    let rows = store.evaluate(&week).await.unwrap();
    assert_eq!(rows[0].values[4..6], [1., 1.]);
    let day_by_day = EvaluationQuery {
        span: Span::Day,
        ..week
    };
    let rows = store.evaluate(&day_by_day).await.unwrap();
    let fifth = rows.iter().find(|row| row.period == day("2025-12-05"));
    assert_eq!(fifth.unwrap().values[1..6], [1., 0., 1., 0., 0.]);
    // Sent back on two days, and one case of the month.
    let rework = query(
        Span::Day,
        By::City,
        days,
        vec![figure(of(&[EventKind::Rework]))],
    );
    let rows = store.evaluate(&rework).await.unwrap();
    assert_eq!(rows.len(), 2);
    // Neither is a case counted twice by a figure of several events, in a month or on a day.
    let several = figure(of(&[
        EventKind::Rework,
        EventKind::Handled,
        EventKind::Opened,
    ]));
    for (span, most) in [(Span::Month, 3.), (Span::Day, 1.)] {
        let wanted = query(
            span,
            By::City,
            days,
            vec![several.clone(), figure(of(&[EventKind::Rework]))],
        );
        let rows = store.evaluate(&wanted).await.unwrap();
        let counts = rows.iter().map(|row| row.values[0]);
        let found = counts.fold(0., f64::max);
        assert!((found - most).abs() < 1e-9, "{span:?}: {found}");
    }
}

pub(crate) async fn a_month_that_is_over_stays_as_it_was(subject: &Subject) {
    let mut story = Story::new(&*subject.store);
    let [first, ..] = three_cases(&mut story).await;
    let closed = vec![
        figure(of(&[EventKind::Closed])),
        figure(of(&[EventKind::Happened])),
    ];
    let days = ("2025-11-01", "2025-12-01");
    let wanted = query(Span::Month, By::Department, days, closed);
    let rows = subject.store.evaluate(&wanted).await.unwrap();
    let expected = [("east", vec![1., 1.]), ("o'west", vec![0., 1.])];
    assert_eq!(values(&rows), expected);
    // Reopened, and withdrawn at last: it was closed then all the same, and did not happen.
    let later = [
        (Move::Reopen, at("2025-12-20", 8)),
        (Move::Withdraw, at("2025-12-20", 9)),
    ];
    story.make_all(&first, &later).await;
    let rows = subject.store.evaluate(&wanted).await.unwrap();
    let expected = [("east", vec![1., 0.]), ("o'west", vec![0., 1.])];
    assert_eq!(values(&rows), expected);
    story
        .make_all(&first, &[(Move::Reopen, at("2025-12-21", 8))])
        .await;
    let rows = subject.store.evaluate(&wanted).await.unwrap();
    assert_eq!(values(&rows)[0], ("east", vec![1., 1.]));
}

pub(crate) async fn subjects_are_told_apart_and_jurisdictions_kept(subject: &Subject) {
    let mut story = Story::new(&*subject.store);
    three_cases(&mut story).await;
    let days = ("2025-11-01", "2026-01-01");
    let opened = vec![figure(of(&[EventKind::Opened]))];
    let rows = async |by: By, place: &str| {
        let wanted = EvaluationQuery {
            jurisdictions: vec![place.to_owned()],
            ..query(Span::Month, by, days, opened.clone())
        };
        let rows = subject.store.evaluate(&wanted).await.unwrap();
        let texts = rows
            .iter()
            .map(|row| format!("{} {}", row.subject, row.values[0]));
        texts.collect::<Vec<_>>()
    };
    assert_eq!(rows(By::City, "").await, [" 3"]);
    assert_eq!(rows(By::City, "140106").await, [" 1"]);
    assert_eq!(rows(By::Place(9), "140105").await, ["140105001 2"]);
    assert_eq!(rows(By::Place(40), "").await, [" 3"], "codes are shorter");
    assert_eq!(rows(By::City, "1401%").await, [] as [&str; 0]);
    let subjects: BTreeMap<String, String> = [
        ("V0".to_owned(), "crew 'a'".to_owned()),
        ("V9".to_owned(), "b".to_owned()),
    ]
    .into();
    let by = |others| By::Carrier {
        subjects: subjects.clone(),
        others,
    };
    assert_eq!(rows(by(false), "").await, ["crew 'a' 1"]);
    assert_eq!(rows(by(true), "").await, ["V1 2", "crew 'a' 1"]);
    let left_out = By::Carrier {
        subjects: [("V1".to_owned(), String::new())].into(),
        others: true,
    };
    assert_eq!(rows(left_out, "").await, ["V0 1"]);
}

/// Cases at random, the same in both stores.
async fn at_random(store: &dyn Store, cases: u128, seed: u64) {
    let mut dice = Dice(seed);
    let mut story = Story::new(store);
    let start = at("2025-10-20", 0);
    let grids = ["14010500100101", "14010500200101", "14010600100101"];
    for number in 0..cases {
        let mut now = start.plus_millis(i64::from(dice.below(40)) * DAY);
        let grid = grids[dice.below(3) as usize];
        let case = story.open(number, grid, now).await;
        for _ in 0..dice.below(12) {
            now = now.plus_millis(i64::from(dice.below(30)) * HOUR);
            let moves = [
                Move::Accept,
                Move::File,
                Move::Dispatch,
                Move::Handle,
                Move::VerifyPass,
                Move::VerifyFail,
                Move::Close,
                Move::Return,
                Move::Extend,
                Move::Defer,
                Move::Resume,
                Move::ForceClose,
                Move::Withdraw,
                Move::Reopen,
            ];
            // Most of the time the next of the usual way.
            let count = u32::try_from(moves.len()).unwrap();
            for _ in 0..6 {
                let name = moves[dice.below(count) as usize];
                if story.make(&case, name, now).await {
                    break;
                }
            }
            if dice.below(3) == 0 {
                story.tick(now.plus_millis(HOUR)).await;
            }
        }
        if dice.below(10) == 0 {
            let id = case.violation().unwrap().id;
            story.find(Finding::Withdrawn(id, now), now).await;
        }
    }
}

fn all_figures() -> Vec<Figure> {
    let mut figures = usual_figures();
    for (event, ..) in EventKind::ALL {
        figures.push(figure(of(&[*event])));
    }
    figures.push(figure(Filter {
        kinds: vec![ViolationKind::MissedPoint],
        categories: vec![String::new()],
        deferred: Some(false),
        ..of(&[EventKind::Happened, EventKind::Overdue])
    }));
    figures.push(figure(Filter {
        value_min: Some(2.0),
        forced: Some(false),
        ..of(&[EventKind::Rework])
    }));
    figures
}

pub(crate) async fn every_figure_opens_into_as_many_cases_as_it_says(subject: &Subject) {
    let plain = MemoryStore::default();
    at_random(&plain, 60, 7).await;
    at_random(&*subject.store, 60, 7).await;
    let store = subject.reopened().await;
    let vehicles = By::Carrier {
        subjects: [("V1".into(), "one".into())].into(),
        others: true,
    };
    // Twice: more than a mask of bits has.
    let mut figures = all_figures();
    figures.extend(all_figures());
    assert!(figures.len() > 63);
    figures.push(Figure {
        measure: Measure::Value,
        ..figure(of(&[EventKind::Handled, EventKind::Closed]))
    });
    let mut opened = 0;
    for (span, by) in [
        (Span::Month, By::City),
        (Span::Week, By::Place(6)),
        (Span::Month, By::Place(9)),
        (Span::Month, By::Department),
        (Span::Day, vehicles),
    ] {
        let days = ("2025-10-01", "2026-02-01");
        let wanted = query(span, by.clone(), days, figures.clone());
        let rows = store.evaluate(&wanted).await.unwrap();
        assert_eq!(
            rows,
            plain.evaluate(&wanted).await.unwrap(),
            "{span:?} {by:?}"
        );
        assert!(rows.len() > 2 || by == By::City);
        // Every third of the many, so that it does not take long.
        for row in rows.iter().step_by(3) {
            for (figure, value) in wanted.figures.iter().zip(&row.values) {
                if figure.measure == Measure::Value {
                    continue;
                }
                let mut cases = FigureCases {
                    query: EvaluationQuery {
                        figures: vec![figure.clone()],
                        ..wanted.clone()
                    },
                    period: row.period,
                    subject: row.subject.clone(),
                    after: None,
                    limit: 7,
                };
                let mut found: Vec<Case> = Vec::new();
                loop {
                    let page = store.evaluated_cases(&cases).await.unwrap();
                    cases.after = page.last().map(|case| case.id);
                    let is_last = page.len() < 7;
                    found.extend(page);
                    if is_last {
                        break;
                    }
                }
                assert!(found.is_sorted_by(|a, b| a.id < b.id));
                let count = u32::try_from(found.len()).unwrap();
                assert!((f64::from(count) - value).abs() < 0.1, "{figure:?} {row:?}");
                opened += count;
            }
        }
    }
    assert!(opened > 500, "{opened} cases behind all figures");
}

pub(crate) async fn what_terminals_did_is_told_by_day(subject: &Subject) {
    let driven = |number: u32, seconds: i64, odometer: Option<u32>| {
        let digest = u32::try_from(seconds.rem_euclid(1_000_000)).unwrap();
        let mut row = row(terminal(number), seconds, digest);
        row.position.odometer_dkm = odometer;
        row
    };
    // MIDNIGHT is 08:00 at local time: 16 hours later begins the next day.
    let rows = vec![
        driven(1, 0, Some(1_000)),
        driven(1, 60, Some(0)),
        driven(1, 3_600, Some(1_010)),
        driven(1, 16 * 3_600 - 1, Some(1_025)),
        driven(1, 16 * 3_600, Some(1_030)),
        driven(1, 20 * 3_600, None),
        driven(1, 30 * 3_600, Some(1_031)),
        driven(2, 10, Some(500)),
        driven(2, 20, Some(7)),
        driven(3, -9 * 3_600, None),
    ];
    subject
        .store
        .write_positions(&batch(1, rows))
        .await
        .unwrap();
    let store = subject.reopened().await;
    let today = i32::try_from(local_day(MIDNIGHT)).unwrap();
    let day = |number, day, hours, driven_m| TerminalDay {
        terminal: terminal(number),
        day,
        hours,
        driven_m,
    };
    assert_eq!(
        store.terminal_days(today, today + 2).await.unwrap(),
        [
            day(1, today, 1 << 8 | 1 << 9 | 1 << 23, Some(2_500)),
            day(1, today + 1, 1 | 1 << 4 | 1 << 14, Some(100)),
            // Exchanged.
            day(2, today, 1 << 8, None),
        ]
    );
    assert_eq!(
        store.terminal_days(today - 1, today).await.unwrap(),
        [day(3, today - 1, 1 << 23, None)]
    );
    assert_eq!(
        store.terminal_days(today + 9, today + 12).await.unwrap(),
        []
    );
}
