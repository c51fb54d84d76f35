//! What findings, people and clocks do to cases. Every store loads the cases concerned, asks here,
//! and writes what this says in one transaction.

use std::collections::{BTreeSet, HashMap, HashSet};

use geofence::{
    case::{
        Case,
        desk::{Actor, CaseChange, Edit, MoveRequest, Refusal, TELEMETRY, may_join, merge, split},
        moves::Move,
        policy::Desk,
    },
    identity::{CaseId, ViolationId},
    units::Timestamp,
    violation::{Finding, Violation},
};
use uuid::Uuid;

mod joining;

use self::joining::join_cases;
use crate::store::{CaseWritten, FindingBatch, FindingsWritten, MoveOrder, Moved, StoreError};

/// A case as the store has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredCase {
    pub(crate) case: Case,
    /// The log whose findings changed it last, and how far that log was judged then. Nobody's for
    /// a case that no finding has changed.
    pub(crate) log: Uuid,
    pub(crate) judged: u64,
}

/// What is to be written: the case in place of what is there of it, and lines of its history
/// behind those that are there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) stored: StoredCase,
    pub(crate) is_new: bool,
    pub(crate) history: Vec<CaseChange>,
}

impl Change {
    pub(crate) fn into_written(self) -> CaseWritten {
        CaseWritten {
            case: self.stored.case,
            lines: self.history,
        }
    }

    /// The violations that belong to this case from now on.
    pub(crate) fn members(&self) -> impl Iterator<Item = ViolationId> {
        let case = &self.stored.case;
        // A merged case keeps copies for those who look at it.
        let is_owner = case.merged_into.is_none();
        let intervals = case.intervals.iter().filter(move |_| is_owner);
        intervals.map(|interval| interval.violation.id)
    }
}

/// Which stored cases a batch of findings may concern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    /// The cases of these violations.
    pub(crate) violations: Vec<ViolationId>,
    /// The cases of these groups,
    pub(crate) groups: Vec<String>,
    /// that happened in this time, both ends included.
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Wanted {
    pub(crate) fn of(batch: &FindingBatch) -> Self {
        let mut violations = BTreeSet::new();
        let mut groups = BTreeSet::new();
        let (mut from, mut to) = (Timestamp(i64::MAX), Timestamp(i64::MIN));
        for finding in &batch.findings {
            let violation = match finding {
                Finding::Opened(violation) | Finding::Updated(violation) => violation,
                Finding::Withdrawn(id, _) => {
                    violations.insert(*id);
                    continue;
                }
            };
            violations.insert(violation.id);
            if let Some(group) = group(batch, violation) {
                groups.insert(group);
                let within = batch.desk.policy.of(Some(violation.kind)).group_within_ms;
                let end = violation.ended_at.unwrap_or(violation.confirmed_at);
                from = from.min(violation.started_at.plus_millis(-within));
                to = to.max(end.plus_millis(within));
            }
        }
        Self {
            violations: violations.into_iter().collect(),
            groups: groups.into_iter().collect(),
            from,
            to,
        }
    }
}

/// The stored cases that a batch may concern.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    /// By violation.
    pub(crate) members: HashMap<ViolationId, CaseId>,
    /// Those of members, and of the groups.
    pub(crate) cases: HashMap<CaseId, StoredCase>,
}

/// What a batch changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// In the order in which cases were first concerned.
    pub(crate) changes: Vec<Change>,
    pub(crate) unopened: u64,
}

impl Outcome {
    pub(crate) fn into_written(self) -> FindingsWritten {
        let mut written = FindingsWritten {
            unopened: self.unopened,
            ..FindingsWritten::default()
        };
        for change in self.changes {
            let list = if change.is_new {
                &mut written.opened
            } else {
                &mut written.changed
            };
            list.push(change.stored.case);
        }
        written
    }
}

/// A case at work.
struct Desktop {
    edit: Edit,
    /// As it was stored; `None` for a new one.
    before: Option<(Uuid, u64)>,
    /// What this batch says of it was said before.
    is_replay: bool,
    /// When it was first concerned, counted.
    turn: Option<usize>,
}

/// What a batch says in all about a violation that is stored.
#[derive(Default)]
struct Word {
    /// The newest state, if a finding of the batch carried it.
    violation: Option<Violation>,
    /// The last word was not a withdrawal.
    stands: bool,
    /// The last word began with [`Finding::Opened`].
    is_opened: bool,
}

/// The last word counts about what is stored: a batch of a replay may hold again what was written
/// in several steps, and must not take these steps again.
fn words(
    batch: &FindingBatch,
    stored: &HashMap<ViolationId, CaseId>,
) -> HashMap<ViolationId, Word> {
    let mut words: HashMap<ViolationId, Word> = HashMap::new();
    for finding in &batch.findings {
        let (id, violation, is_opened) = match finding {
            Finding::Opened(violation) => (violation.id, Some(violation), true),
            Finding::Updated(violation) => (violation.id, Some(violation), false),
            Finding::Withdrawn(id, _) => (*id, None, false),
        };
        if !stored.contains_key(&id) {
            continue;
        }
        let word = words.entry(id).or_default();
        word.stands = violation.is_some();
        word.is_opened = word.stands && (word.is_opened || is_opened);
        if let Some(violation) = violation {
            word.violation = Some(storable(violation));
        }
    }
    words
}

/// What the findings of a batch change; nothing in a replay.
pub(crate) fn findings(batch: &FindingBatch, loaded: Loaded) -> Outcome {
    let Loaded { mut members, cases } = loaded;
    let (judged, at, desk) = (&batch.judged, batch.at, &*batch.desk);
    let mut desktops: HashMap<CaseId, Desktop> = cases
        .into_iter()
        .map(|(id, stored)| {
            let is_replay = stored.log == judged.log && judged.offset <= stored.judged;
            let desktop = Desktop {
                edit: Edit::of(stored.case),
                before: Some((stored.log, stored.judged)),
                is_replay,
                turn: None,
            };
            (id, desktop)
        })
        .collect();
    let mut words = words(batch, &members);
    let mut told = HashSet::new();
    let mut disproved = Vec::new();
    let mut unopened = 0;
    for (turn, finding) in batch.findings.iter().enumerate() {
        let (id, violation, is_opened) = match finding {
            Finding::Opened(violation) => (violation.id, Some(storable(violation)), true),
            Finding::Updated(violation) => (violation.id, Some(storable(violation)), false),
            Finding::Withdrawn(id, _) => (*id, None, false),
        };
        let known = members.get(&id).copied();
        if let Some(desktop) = known.and_then(|case| desktops.get_mut(&case)) {
            if desktop.is_replay {
                continue;
            }
            desktop.turn.get_or_insert(turn);
            let word = match words.remove(&id) {
                Some(mut word) => {
                    told.insert(id);
                    // A case that another one takes over is not withdrawn for it.
                    if !word.stands {
                        disproved.push((id, desktop.edit.case.id));
                        word.stands = true;
                    }
                    word
                }
                // All has been said with the first mention.
                None if told.contains(&id) => continue,
                None => Word {
                    stands: violation.is_some(),
                    is_opened,
                    violation,
                },
            };
            if let Some(violation) = word.violation {
                desktop.edit.found(violation, word.is_opened, at, desk);
            }
            if !word.stands {
                desktop.edit.disproved(id, at, desk);
            }
            continue;
        }
        // A withdrawal of what was never known has nothing to tell.
        let Some(violation) = violation else { continue };
        if !desk.policy.of(Some(violation.kind)).opens {
            unopened += 1;
            continue;
        }
        let group = group(batch, &violation);
        let candidates = desktops.iter().filter(|(_, desktop)| {
            let case = &desktop.edit.case;
            group.is_some() && case.group == group && may_join(case, &violation, desk)
        });
        let first = candidates.min_by_key(|(id, desktop)| (desktop.edit.case.opened_at, **id));
        let Some(case) = first.map(|(case, _)| *case) else {
            let mut case = Case::open(violation, at);
            case.group = group;
            let by = Actor::system(TELEMETRY);
            let edit = Edit::begin(case, &by, "found", at, desk);
            let case = edit.case.id;
            let desktop = Desktop {
                edit,
                before: None,
                is_replay: false,
                turn: Some(turn),
            };
            desktops.insert(case, desktop);
            members.insert(id, case);
            continue;
        };
        if let Some(desktop) = desktops.get_mut(&case) {
            desktop.turn.get_or_insert(turn);
            desktop.edit.found(violation, true, at, desk);
            members.insert(id, case);
        }
    }
    join_cases(&mut desktops, &disproved, at, desk);
    let mut concerned: Vec<_> = desktops
        .into_values()
        .filter(|desktop| desktop.edit.is_changed())
        .collect();
    concerned.sort_by_key(|desktop| desktop.turn);
    let changes = concerned.into_iter().map(|desktop| {
        let before = desktop.before.filter(|(log, _)| *log == judged.log);
        let before = before.map_or(0, |(_, before)| before);
        Change {
            stored: StoredCase {
                case: desktop.edit.case,
                log: judged.log,
                judged: judged.offset.max(before),
            },
            is_new: desktop.before.is_none(),
            history: desktop.edit.lines,
        }
    });
    Outcome {
        changes: changes.collect(),
        unopened,
    }
}

fn group(batch: &FindingBatch, violation: &Violation) -> Option<String> {
    let shift = batch.shifts.get(&violation.id);
    let group = batch
        .desk
        .group(violation, shift.map_or("", String::as_str))?;
    Some(without_nul(&group))
}

/// A case that no finding opens.
pub(crate) fn opening(opening: &crate::store::Opening) -> Change {
    let mut case = opening.case.clone();
    let remark = without_nul(&opening.remark);
    clean(&mut case);
    let at = case.opened_at;
    let edit = Edit::begin(case, &clean_actor(&opening.by), &remark, at, &opening.desk);
    Change {
        stored: StoredCase {
            case: edit.case,
            log: Uuid::nil(),
            judged: 0,
        },
        is_new: true,
        history: edit.lines,
    }
}

/// What a move changes: the case that was asked for first. `other` is the one that a merge goes
/// into.
pub(crate) fn moved(
    order: &MoveOrder,
    stored: StoredCase,
    other: Option<StoredCase>,
) -> Result<Vec<Change>, (Refusal, Box<Case>)> {
    let request = clean_request(&order.request);
    let (at, desk) = (order.at, &*order.desk);
    let StoredCase { case, log, judged } = stored;
    let refused = |case: Case| move |refusal| (refusal, Box::new(case));
    let write = |edit: Edit, (log, judged): (Uuid, u64), is_new| Change {
        stored: StoredCase {
            case: edit.case,
            log,
            judged,
        },
        is_new,
        history: edit.lines,
    };
    let seen = case.clone();
    match request.name {
        Move::Merge => {
            let (into, of_other) = match other {
                Some(other) => (other.case, (other.log, other.judged)),
                // Refused for what it is: not the case that was asked for.
                None => (Case::blank(case.id, case.source, at), (log, judged)),
            };
            let [from, into] = merge(case, into, &request, at, desk).map_err(refused(seen))?;
            Ok(vec![
                write(from, (log, judged), false),
                write(into, of_other, false),
            ])
        }
        Move::Split => {
            let [kept, new] = split(case, &request, at, desk).map_err(refused(seen))?;
            Ok(vec![
                write(kept, (log, judged), false),
                write(new, (log, judged), true),
            ])
        }
        // The other half of a merge comes with the merge.
        Move::Absorb => Err(refused(seen)(Refusal::NotFrom(Move::Absorb, case.stage))),
        _ => {
            let mut edit = Edit::of(case);
            edit.make(&request, at, desk).map_err(refused(seen))?;
            Ok(vec![write(edit, (log, judged), false)])
        }
    }
}

/// What became of a move, once it is written.
pub(crate) fn done(changes: Vec<Change>) -> Moved {
    Moved::Done(changes.into_iter().map(Change::into_written).collect())
}

/// What the clocks of a case have to say; `None` for nothing.
pub(crate) fn tick(stored: StoredCase, at: Timestamp, desk: &Desk) -> Option<Change> {
    let StoredCase { case, log, judged } = stored;
    let mut edit = Edit::of(case);
    edit.tick(at, desk);
    edit.is_changed().then_some(Change {
        stored: StoredCase {
            case: edit.case,
            log,
            judged,
        },
        is_new: false,
        history: edit.lines,
    })
}

/// Texts of people, without what PostgreSQL refuses.
fn clean_request(request: &MoveRequest) -> MoveRequest {
    let clean = |text: &Option<String>| text.as_deref().map(without_nul);
    MoveRequest {
        by: clean_actor(&request.by),
        remark: without_nul(&request.remark),
        key: clean(&request.key),
        department: clean(&request.department),
        jurisdiction: clean(&request.jurisdiction),
        category: clean(&request.category),
        ..request.clone()
    }
}

fn clean_actor(actor: &Actor) -> Actor {
    Actor {
        name: without_nul(&actor.name),
        scope: without_nul(&actor.scope),
        department: actor.department.as_deref().map(without_nul),
        ..actor.clone()
    }
}

fn clean(case: &mut Case) {
    let texts = [&mut case.category, &mut case.description, &mut case.handler];
    let options = case.unit_grid.iter_mut().chain(&mut case.department);
    for text in texts.into_iter().chain(options).chain(&mut case.media) {
        *text = without_nul(text);
    }
    for interval in &mut case.intervals {
        interval.violation = storable(&interval.violation);
    }
}

/// The violation as every store can keep it and give it back: JSON has no infinity, and PostgreSQL
/// refuses U+0000 in texts.
fn storable(violation: &Violation) -> Violation {
    let mut violation = violation.clone();
    let texts = [&mut violation.rule.id, &mut violation.rule.name];
    for text in texts
        .into_iter()
        .chain(&mut violation.vehicle)
        .chain(&mut violation.unit_grid)
    {
        *text = without_nul(text);
    }
    if !violation.worst.is_finite() {
        violation.worst = 0.0;
    }
    violation
        .evidence
        .thresholds
        .retain(|name, value| value.is_finite() && !name.contains('\0'));
    for fix in &mut violation.evidence.fixes {
        fix.distance_m = fix.distance_m.filter(|distance| distance.is_finite());
    }
    violation
}

/// The text with U+0000 replaced by U+FFFD.
pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// The case as JSON.
pub(crate) fn to_json(case: &Case) -> Result<String, StoreError> {
    serde_json::to_string(case).map_err(|error| damaged("write cases", &error))
}

/// The case of a row.
pub(crate) fn from_json(text: &str) -> Result<Case, StoreError> {
    serde_json::from_str(text).map_err(|error| damaged("read cases", &error))
}

/// A row holds what this version does not understand.
pub(crate) fn damaged(action: &'static str, what: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unusable {
        action,
        reason: format!("a row is not what this version wrote: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use geofence::{
        case::Stage,
        units::{Latitude, Longitude},
        violation::{Evidence, Rule, ViolationKind},
    };

    use super::*;
    use crate::store::Cursor;

    fn violation(worst: f64) -> Violation {
        Violation {
            id: ViolationId(Uuid::from_u128(7)),
            kind: ViolationKind::Speeding,
            rule: Rule {
                id: "r".into(),
                version: 1,
                name: "a\0b".into(),
            },
            terminal: "13800138000".parse().unwrap(),
            vehicle: None,
            unit_grid: None,
            latitude: Latitude::from_micro_degrees(0).unwrap(),
            longitude: Longitude::from_micro_degrees(0).unwrap(),
            started_at: Timestamp(1),
            confirmed_at: Timestamp(2),
            ended_at: None,
            worst,
            evidence: Evidence::default(),
        }
    }

    fn batch(offset: u64, findings: Vec<Finding>) -> FindingBatch {
        FindingBatch {
            judged: Cursor {
                offset,
                ..Cursor::default()
            },
            findings,
            at: Timestamp(100 + offset.cast_signed()),
            ..FindingBatch::default()
        }
    }

    fn apply(stored: &mut Option<StoredCase>, batch: &FindingBatch) -> Option<Change> {
        let mut loaded = Loaded::default();
        if let Some(stored) = stored.clone() {
            let case = stored.case.id;
            loaded.members.insert(violation(0.0).id, case);
            loaded.cases.insert(case, stored);
        }
        let change = findings(batch, loaded).changes.pop();
        if let Some(change) = &change {
            *stored = Some(change.stored.clone());
        }
        change
    }

    #[test]
    fn a_replay_that_cuts_the_log_elsewhere_changes_nothing() {
        let id = violation(0.0).id;
        let mut stored = None;
        let opened = Finding::Opened(violation(1.0));
        let withdrawn = Finding::Withdrawn(id, Timestamp(0));
        assert!(
            apply(&mut stored, &batch(10, vec![opened.clone()]))
                .unwrap()
                .is_new
        );
        assert!(apply(&mut stored, &batch(20, vec![withdrawn.clone()])).is_some());
        assert!(apply(&mut stored, &batch(30, vec![opened.clone()])).is_some());
        let last = stored.clone();
        for replay in [
            batch(15, vec![opened.clone()]),
            batch(25, vec![withdrawn.clone()]),
            batch(40, vec![opened.clone(), withdrawn, opened]),
        ] {
            assert_eq!(apply(&mut stored, &replay), None);
        }
        assert_eq!(stored, last);
    }

    #[test]
    fn an_update_does_not_take_up_a_withdrawn_case() {
        let mut stored = None;
        apply(
            &mut stored,
            &batch(1, vec![Finding::Updated(violation(1.0))]),
        );
        apply(
            &mut stored,
            &batch(2, vec![Finding::Withdrawn(violation(0.0).id, Timestamp(0))]),
        );
        let change = apply(
            &mut stored,
            &batch(3, vec![Finding::Updated(violation(2.0))]),
        )
        .unwrap();
        assert_eq!(change.stored.case.stage, Stage::Withdrawn);
        assert!(change.history.is_empty());
    }

    #[test]
    fn what_no_store_can_keep_is_replaced() {
        let kept = storable(&violation(f64::NAN));
        let case = Case::open(kept, Timestamp(3));
        assert_eq!(from_json(&to_json(&case).unwrap()).unwrap(), case);
        assert_eq!(case.violation().unwrap().rule.name, "a\u{FFFD}b");
    }
}
