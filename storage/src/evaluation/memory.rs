//! The figures of the store in memory: what the statements of [`super::sql`] say, in plain words.

use std::collections::{BTreeMap, BTreeSet};

use geofence::{
    identity::{CaseId, TerminalId},
    position::Position,
};

use super::{
    CaseEvent, EvaluationQuery, FigureCases, FigureRow, Measure, TerminalDay, driven_m, hour_of,
};

/// Figures of rows, for the store in memory.
pub(crate) fn figures<'a>(
    query: &EvaluationQuery,
    events: impl Iterator<Item = &'a CaseEvent>,
) -> Vec<FigureRow> {
    let mut cases: BTreeMap<(i32, String), Vec<BTreeMap<CaseId, f64>>> = BTreeMap::new();
    for event in events.filter(|event| query.concerns(event)) {
        let Some(subject) = query.by.subject(event) else {
            continue;
        };
        let new = || vec![BTreeMap::new(); query.figures.len()];
        for (index, figure) in query.figures.iter().enumerate() {
            if !figure.filter.selects(event, query.span) {
                continue;
            }
            let key = (query.span.period(event.day), subject.clone());
            let of_subject = cases.entry(key).or_insert_with(new);
            if let Some(of_figure) = of_subject.get_mut(index) {
                let value = of_figure.entry(event.case_id).or_default();
                match figure.measure {
                    Measure::Cases => *value = 1.0,
                    Measure::Value => *value += event.value,
                }
            }
        }
    }
    let rows = cases.into_iter().map(|((period, subject), figures)| {
        let values = figures.iter().map(|cases| cases.values().sum());
        FigureRow {
            period,
            subject,
            values: values.collect(),
        }
    });
    rows.filter(|row: &FigureRow| row.values.iter().any(|value| value.abs() > 0.0))
        .take(query.rows_max as usize)
        .collect()
}

/// The cases behind a figure, for the store in memory.
pub(crate) fn figure_cases<'a>(
    wanted: &FigureCases,
    events: impl Iterator<Item = &'a CaseEvent>,
) -> BTreeSet<CaseId> {
    let query = &wanted.query;
    let counted = events.filter(|event| {
        query.concerns(event)
            && query.span.period(event.day) == wanted.period
            && query.by.subject(event).as_ref() == Some(&wanted.subject)
            && query
                .figures
                .iter()
                .any(|figure| figure.filter.selects(event, query.span))
            && wanted.after.is_none_or(|after| event.case_id > after)
    });
    counted.map(|event| event.case_id).collect()
}

/// Days of terminals, for the store in memory: positions in the order of time.
pub(crate) fn terminal_days<'a>(
    from: i32,
    to: i32,
    positions: impl Iterator<Item = &'a Position>,
) -> Vec<TerminalDay> {
    type Readings = (u32, Option<(u32, u32)>);
    let mut days: BTreeMap<(TerminalId, i32), Readings> = BTreeMap::new();
    for position in positions {
        let (day, hour) = hour_of(position.fixed_at);
        if !(from..to).contains(&day) {
            continue;
        }
        let (hours, readings) = days.entry((position.terminal, day)).or_default();
        *hours |= 1 << hour;
        if let Some(reading) = position.odometer_dkm.filter(|reading| *reading > 0) {
            let first = readings.map_or(reading, |(first, _)| first);
            *readings = Some((first, reading));
        }
    }
    let days = days
        .into_iter()
        .map(|((terminal, day), (hours, readings))| {
            let readings = readings.map(|(first, last)| (first.into(), last.into()));
            TerminalDay {
                terminal,
                day,
                hours,
                driven_m: driven_m(readings),
            }
        });
    days.collect()
}
