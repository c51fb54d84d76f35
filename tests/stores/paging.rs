//! Pages against a model in memory: complete, in order, nothing twice.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::TryStreamExt as _;
use geofence::{
    case::{Case, Stage},
    units::{Latitude, Longitude, Timestamp},
    violation::{Finding, ViolationKind},
};
use storage::store::{CaseQuery, MapBox, PositionQuery, PositionRow};

use crate::setup::{Dice, MIDNIGHT, Subject, batch, findings, row, terminal, violation};

pub(crate) async fn pages_of_positions_have_no_gaps_and_no_repeats(subject: &Subject) {
    let mut dice = Dice(42);
    let mut model: BTreeMap<_, PositionRow> = BTreeMap::new();
    for offset in 0..12 {
        let rows: Vec<_> = (0..dice.below(120))
            .map(|_| {
                // Few moments, so that many rows share one; across two midnights.
                let seconds = i64::from(dice.below(60)) * 4_000 - 100_000;
                row(
                    terminal(dice.below(6)),
                    seconds,
                    dice.below(4) * 0x4000_0001,
                )
            })
            .collect();
        for row in &rows {
            let p = &row.position;
            model
                .entry((p.fixed_at, p.terminal, p.digest))
                .or_insert_with(|| row.clone());
        }
        subject
            .store
            .write_positions(&batch(offset, rows))
            .await
            .unwrap();
    }
    for terminal in [None, Some(terminal(2)), Some(terminal(77))] {
        for limit in [1, 7, 1_000] {
            let (from, to) = (
                MIDNIGHT.plus_millis(-80_000_000),
                MIDNIGHT.plus_millis(90_000_000),
            );
            let mut query = PositionQuery {
                terminal,
                from,
                to,
                within: None,
                after: None,
                limit,
            };
            let mut found = Vec::new();
            loop {
                let page = subject.store.positions(&query).await.unwrap();
                assert!(page.len() <= limit as usize);
                let Some(last) = page.last() else { break };
                let p = &last.position;
                query.after = Some((p.fixed_at, p.terminal, p.digest));
                found.extend(page);
            }
            let expected: Vec<_> = model
                .values()
                .filter(|row| (from..to).contains(&row.position.fixed_at))
                .filter(|row| terminal.is_none_or(|terminal| row.position.terminal == terminal))
                .cloned()
                .collect();
            assert_eq!(found, expected, "{terminal:?}, pages of {limit}");
            query.after = None;
            assert_eq!(whole(subject, &query).await, expected, "{terminal:?}");
            if let Some(row) = expected.get(expected.len() / 2) {
                query.after = Some(row.key());
                let rest = &expected[expected.len() / 2 + 1..];
                assert_eq!(whole(subject, &query).await, rest, "{terminal:?}");
            }
        }
    }
}

pub(crate) async fn a_box_has_what_lies_in_it_and_on_its_edge(subject: &Subject) {
    let mut dice = Dice(44);
    let mut model: BTreeMap<_, PositionRow> = BTreeMap::new();
    let (south, west) = (37_870_000, 112_550_000);
    for offset in 0..4 {
        let rows: Vec<_> = (0..90)
            .map(|_| {
                let seconds = i64::from(dice.below(60)) * 4_000 - 100_000;
                // Few places: on the edges of the box, a millionth beside them, and within. A
                // digest stands for one body, so for one place.
                let steps = [-1, 0, 1, 49, 50, 51];
                let [i, j] = [(); 2].map(|()| dice.below(6));
                let (north, east) = (steps[i as usize], steps[j as usize]);
                let mut row = row(terminal(dice.below(4)), seconds, i * 6 + j);
                row.position.latitude = Latitude::from_micro_degrees(south + north).unwrap();
                row.position.longitude = Longitude::from_micro_degrees(west + east).unwrap();
                row
            })
            .collect();
        for row in &rows {
            let p = &row.position;
            model
                .entry((p.fixed_at, p.terminal, p.digest))
                .or_insert_with(|| row.clone());
        }
        subject
            .store
            .write_positions(&batch(offset, rows))
            .await
            .unwrap();
    }
    let within = MapBox {
        west: Longitude::from_micro_degrees(west).unwrap(),
        south: Latitude::from_micro_degrees(south).unwrap(),
        east: Longitude::from_micro_degrees(west + 50).unwrap(),
        north: Latitude::from_micro_degrees(south + 50).unwrap(),
    };
    for terminal in [None, Some(terminal(2))] {
        let mut query = PositionQuery {
            terminal,
            from: MIDNIGHT.plus_millis(-80_000_000),
            to: MIDNIGHT.plus_millis(90_000_000),
            within: Some(within),
            after: None,
            limit: 7,
        };
        let expected: Vec<_> = model
            .values()
            .filter(|row| (query.from..query.to).contains(&row.position.fixed_at))
            .filter(|row| terminal.is_none_or(|terminal| row.position.terminal == terminal))
            .filter(|row| {
                let p = &row.position;
                let north = p.latitude.micro_degrees() - south;
                let east = p.longitude.micro_degrees() - west;
                (0..=50).contains(&north) && (0..=50).contains(&east)
            })
            .cloned()
            .collect();
        assert!(expected.len() > 20, "{}", expected.len());
        let mut found = Vec::new();
        loop {
            let page = subject.store.positions(&query).await.unwrap();
            let Some(last) = page.last() else { break };
            let p = &last.position;
            query.after = Some((p.fixed_at, p.terminal, p.digest));
            found.extend(page);
        }
        assert_eq!(found, expected, "{terminal:?}");
        query.after = None;
        assert_eq!(whole(subject, &query).await, expected, "{terminal:?}");
    }
}

/// Read in one go; no piece is larger than the limit.
async fn whole(subject: &Subject, query: &PositionQuery) -> Vec<PositionRow> {
    let reading = Arc::clone(&subject.store).all_positions(query.clone());
    let pieces: Vec<_> = reading.try_collect().await.unwrap();
    assert!(
        pieces
            .iter()
            .all(|piece| piece.len() <= query.limit as usize)
    );
    pieces.concat()
}

pub(crate) async fn pages_of_cases_have_no_gaps_and_no_repeats(subject: &Subject) {
    let mut dice = Dice(43);
    let mut model: Vec<Case> = Vec::new();
    for step in 0..30 {
        let mut opened = Vec::new();
        for number in 0..dice.below(6) {
            let mut violation = violation(u128::from(step * 100 + number));
            violation.kind = ViolationKind::ALL[dice.below(3) as usize];
            violation.terminal = terminal(dice.below(3));
            let grids = ["140105001001", "140106001001", "140106002001"];
            violation.unit_grid = grids.get(dice.below(4) as usize).map(|grid| (*grid).into());
            opened.push(Finding::Opened(violation));
        }
        // Several batches share a clock.
        let mut written = findings(u64::from(step), opened);
        written.at = Timestamp(MIDNIGHT.0 + i64::from(step / 4));
        model.extend(subject.store.write_findings(&written).await.unwrap().opened);
    }
    let withdrawn: Vec<_> = (0..8)
        .map(|n| model[n * 3].violation().unwrap().id)
        .collect();
    let withdrawals = withdrawn
        .iter()
        .map(|id| Finding::Withdrawn(*id, MIDNIGHT))
        .collect();
    let changed = subject
        .store
        .write_findings(&findings(99, withdrawals))
        .await
        .unwrap()
        .changed;
    assert_eq!(changed.len(), 8);
    for case in changed {
        let place = model.iter().position(|other| other.id == case.id).unwrap();
        model[place] = case;
    }
    model.sort_by_key(|case| std::cmp::Reverse((case.opened_at, case.id)));
    let filters = [
        CaseQuery::default(),
        CaseQuery {
            stage: Some(Stage::Withdrawn),
            ..CaseQuery::default()
        },
        CaseQuery {
            kind: Some(ViolationKind::StayIn),
            ..CaseQuery::default()
        },
        CaseQuery {
            terminal: Some(terminal(1)),
            ..CaseQuery::default()
        },
        CaseQuery {
            jurisdictions: vec!["140106".into()],
            ..CaseQuery::default()
        },
        CaseQuery {
            stage: Some(Stage::Collected),
            terminal: Some(terminal(0)),
            jurisdictions: vec!["140105".into(), "140106002".into()],
            ..CaseQuery::default()
        },
    ];
    for mut query in filters {
        let expected: Vec<_> = model
            .iter()
            .filter(|case| matches(&query, case))
            .cloned()
            .collect();
        assert!(!expected.is_empty(), "{query:?}");
        query.limit = 3;
        let mut found: Vec<Case> = Vec::new();
        loop {
            let page = subject.store.cases(&query).await.unwrap();
            let Some(last) = page.last() else { break };
            query.after = Some((last.opened_at, last.id));
            found.extend(page);
        }
        assert_eq!(found, expected, "{query:?}");
    }
}

fn matches(query: &CaseQuery, case: &Case) -> bool {
    let violation = case.violation().unwrap();
    let grid = violation.unit_grid.as_deref().unwrap_or("none");
    query.stage.is_none_or(|stage| case.stage == stage)
        && query.kind.is_none_or(|kind| violation.kind == kind)
        && query
            .terminal
            .is_none_or(|terminal| violation.terminal == terminal)
        && (query.jurisdictions.is_empty()
            || query
                .jurisdictions
                .iter()
                .any(|prefix| grid.starts_with(prefix)))
}
