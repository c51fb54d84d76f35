//! Cases that a batch of findings joins.

use std::collections::HashMap;

use geofence::{
    case::{
        desk::{are_joined, join},
        policy::Desk,
    },
    identity::{CaseId, ViolationId},
    units::Timestamp,
};

use super::Desktop;

impl Desktop {
    /// Another case has taken it over.
    pub(super) fn is_merged(&self) -> bool {
        self.edit.case.merged_into.is_some()
    }
}

/// Merges what is one by now, into the eldest. `disproved` are violations that do not stand any more,
/// with their cases; what is left of these is told so.
pub(super) fn join_cases(
    desktops: &mut HashMap<CaseId, Desktop>,
    disproved: &[(ViolationId, CaseId)],
    at: Timestamp,
    desk: &Desk,
) {
    let fell: Vec<_> = disproved
        .iter()
        .filter(|one| set_standing(desktops, **one, false))
        .collect();
    let mut ids: Vec<_> = desktops
        .iter()
        .filter(|(_, desktop)| desktop.edit.case.group.is_some() && !desktop.is_replay)
        .map(|(id, desktop)| (desktop.edit.case.opened_at, *id))
        .collect();
    ids.sort_unstable();
    for (_, younger) in &ids {
        let Some(mut from) = desktops.remove(younger) else {
            continue;
        };
        for (_, elder) in &ids {
            let Some(into) = desktops.get_mut(elder) else {
                continue;
            };
            // Only what this batch concerned has news.
            let turn = into.turn.into_iter().chain(from.turn).min();
            let (Some(turn), false) = (turn, into.is_merged()) else {
                continue;
            };
            if are_joined(&into.edit.case, &from.edit.case, desk) {
                into.turn.get_or_insert(turn);
                from.turn.get_or_insert(turn);
                if join(&mut into.edit, &mut from.edit, at, desk) {
                    break;
                }
            }
        }
        desktops.insert(*younger, from);
    }
    // What is left hears of it in its own words.
    for one in fell {
        set_standing(desktops, *one, true);
    }
    for (id, case) in disproved {
        let desktop = desktops.get_mut(case).filter(|one| !one.is_merged());
        if let Some(desktop) = desktop {
            desktop.edit.disproved(*id, at, desk);
        }
    }
}

/// True when it was otherwise; what another case has taken over stays as it is.
fn set_standing(
    desktops: &mut HashMap<CaseId, Desktop>,
    (id, case): (ViolationId, CaseId),
    stands: bool,
) -> bool {
    let desktop = desktops.get_mut(&case).filter(|one| !one.is_merged());
    let intervals = desktop.map(|one| &mut one.edit.case.intervals);
    let mut intervals = intervals.into_iter().flatten();
    let interval = intervals.find(|interval| interval.violation.id == id);
    let interval = interval.filter(|interval| interval.stands != stands);
    interval.map(|interval| interval.stands = stands).is_some()
}
