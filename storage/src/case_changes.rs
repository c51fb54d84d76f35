//! What findings do to cases. Both stores load the cases concerned, ask [`change`], and write what
//! it says in one transaction.

use geofence::{
    case::{Case, Stage},
    identity::{CaseId, ViolationId},
    violation::{Finding, Violation},
};
use uuid::Uuid;

use crate::store::{CaseChange, FindingBatch, StoreError};

/// The actor of what the checks did.
const ACTOR: &str = "telemetry";

/// A case as the store has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredCase {
    pub(crate) case: Case,
    /// The log whose findings changed it last, and how far that log was judged then.
    pub(crate) log: Uuid,
    pub(crate) judged: u64,
}

/// What the findings of one batch say about one violation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) case: CaseId,
    /// The newest state of the violation, if a finding of the batch carried it.
    violation: Option<Violation>,
    /// The last word was not a withdrawal.
    stands: bool,
    /// The last word began with [`Finding::Opened`].
    is_opened: bool,
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) stored: StoredCase,
    pub(crate) is_new: bool,
    pub(crate) history: Vec<CaseChange>,
}

/// One verdict for each violation, in the order of their first mention.
pub(crate) fn verdicts(findings: &[Finding]) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = Vec::new();
    let mut places = std::collections::HashMap::new();
    let mut place = |id: ViolationId, verdicts: &mut Vec<Verdict>| {
        *places.entry(id).or_insert_with(|| {
            let case = Case::id_of(id);
            verdicts.push(Verdict {
                case,
                violation: None,
                stands: false,
                is_opened: false,
            });
            verdicts.len() - 1
        })
    };
    for finding in findings {
        let id = match finding {
            Finding::Opened(violation) | Finding::Updated(violation) => violation.id,
            Finding::Withdrawn(id, _) => *id,
        };
        let index = place(id, &mut verdicts);
        let Some(verdict) = verdicts.get_mut(index) else {
            continue;
        };
        match finding {
            Finding::Opened(violation) => {
                verdict.violation = Some(storable(violation));
                verdict.stands = true;
                verdict.is_opened = true;
            }
            Finding::Updated(violation) => {
                verdict.violation = Some(storable(violation));
                verdict.stands = true;
            }
            Finding::Withdrawn(..) => {
                verdict.stands = false;
                verdict.is_opened = false;
            }
        }
    }
    verdicts
}

/// What a verdict changes; `None` when nothing, as in every replay.
pub(crate) fn change(
    verdict: &Verdict,
    stored: Option<StoredCase>,
    batch: &FindingBatch,
) -> Option<Change> {
    let Some(mut stored) = stored else {
        return opened(verdict, batch);
    };
    let is_replay = stored.log == batch.judged.log && batch.judged.offset <= stored.judged;
    if is_replay {
        return None;
    }
    let before = stored.case.clone();
    if let Some(violation) = &verdict.violation {
        stored.case.violation = violation.clone();
    }
    let (to, remark) = match (verdict.stands, before.stage) {
        (true, Stage::Withdrawn) if verdict.is_opened => (Stage::Collected, "found again"),
        (false, Stage::Withdrawn) | (true, _) => (before.stage, ""),
        (false, stage) if stage.is_final() => (stage, "disproved by later data"),
        (false, _) => (Stage::Withdrawn, "disproved by later data"),
    };
    stored.case.stage = to;
    if remark.is_empty() && stored.case == before {
        return None;
    }
    stored.case.changed_at = batch.at;
    stored.log = batch.judged.log;
    stored.judged = batch.judged.offset;
    let history = if remark.is_empty() {
        vec![]
    } else {
        vec![line(batch, Some(before.stage), to, remark)]
    };
    Some(Change {
        stored,
        is_new: false,
        history,
    })
}

/// A violation that has no case yet gets one, also when the batch itself disproves it: what was
/// found is told. A withdrawal of what was never known has nothing to tell.
fn opened(verdict: &Verdict, batch: &FindingBatch) -> Option<Change> {
    let mut case = Case::open(verdict.violation.clone()?, batch.at);
    let mut history = vec![line(batch, None, case.stage, "found")];
    if !verdict.stands {
        history.push(line(
            batch,
            Some(case.stage),
            Stage::Withdrawn,
            "disproved by later data",
        ));
        case.stage = Stage::Withdrawn;
    }
    let stored = StoredCase {
        case,
        log: batch.judged.log,
        judged: batch.judged.offset,
    };
    Some(Change {
        stored,
        is_new: true,
        history,
    })
}

fn line(batch: &FindingBatch, from: Option<Stage>, to: Stage, remark: &str) -> CaseChange {
    CaseChange {
        at: batch.at,
        from,
        to,
        actor: ACTOR.into(),
        remark: remark.into(),
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

/// The violation as JSON.
pub(crate) fn to_json(violation: &Violation) -> Result<String, StoreError> {
    serde_json::to_string(violation).map_err(|error| damaged("write cases", &error))
}

/// The violation of a row.
pub(crate) fn from_json(text: &str) -> Result<Violation, StoreError> {
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
        units::{Latitude, Longitude, Timestamp},
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
        let verdicts = verdicts(&batch.findings);
        let change = change(&verdicts[0], stored.clone(), batch);
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
        assert_eq!(from_json(&to_json(&kept).unwrap()).unwrap(), kept);
        assert_eq!(kept.rule.name, "a\u{FFFD}b");
    }
}
