//! What was found about one vehicle, as others know it, and what changes when late fixes make the
//! track be judged again.

use super::fix::Key;
use crate::{
    checks::draft::Draft,
    identity::ViolationId,
    units::Timestamp,
    violation::{Finding, Violation},
};

/// An open violation is told again at most so often, in event time.
const UPDATE_MS: i64 = 60_000;
/// Violations that are remembered of one vehicle; beyond it the oldest ended ones are forgotten.
const RECORDS_MAX: usize = 1_000;

/// A violation as it was last told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) violation: Violation,
    pub(crate) fingerprint: u64,
    /// The fix that ended it.
    pub(crate) closed: Option<Key>,
    /// The event time of the fix at which it was last told.
    pub(crate) told_at: i64,
    /// The newest snapshot does not have it like this.
    pub(crate) is_changed: bool,
}

/// All violations of one vehicle within the horizon.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) records: Vec<Record>,
    /// Records that the newest snapshot has and that are no more.
    pub(crate) removed: Vec<ViolationId>,
    /// There are records that were ended without a fix.
    pub(crate) has_unproved: bool,
}

/// Stands for the fix that will come next: what ends without a fix is ended again by that one, when
/// the track is judged again.
pub(crate) const NEXT_FIX: Key = Key {
    at: i64::MAX,
    digest: u32::MAX,
};

impl Verdict {
    /// Puts a fix in the place of [`NEXT_FIX`].
    pub(crate) fn prove(&mut self, key: Key) {
        if !std::mem::take(&mut self.has_unproved) {
            return;
        }
        for record in &mut self.records {
            if record.closed == Some(NEXT_FIX) {
                record.closed = Some(key);
                record.is_changed = true;
            }
        }
    }

    /// Withdraws violations that have become others.
    pub(crate) fn drop_all(
        &mut self,
        dropped: &[Draft],
        now: Timestamp,
        findings: &mut Vec<Finding>,
    ) {
        for draft in dropped.iter().filter(|draft| draft.is_published) {
            let id = draft.violation.id;
            let count = self.records.len();
            self.records.retain(|record| record.violation.id != id);
            if self.records.len() < count {
                findings.push(Finding::Withdrawn(id, now));
                self.removed.push(id);
            }
        }
    }

    /// Takes over what one more fix changed: the one at `key`, which is also `ended_by`. Where
    /// none did, `key` is the newest one and `ended_by` is [`NEXT_FIX`].
    pub(crate) fn follow<'d>(
        &mut self,
        key: Key,
        ended_by: Key,
        closed: Vec<Draft>,
        open: impl Iterator<Item = &'d mut Draft>,
        findings: &mut Vec<Finding>,
    ) {
        for draft in open {
            self.tell(draft, key, findings);
        }
        for mut draft in closed {
            // It may have opened and ended between two fixes that were told.
            self.tell(&mut draft, key, findings);
            let id = draft.violation.id;
            if let Some(record) = self.records.iter_mut().find(|r| r.violation.id == id) {
                record.closed = Some(ended_by);
                record.is_changed = true;
                self.has_unproved |= ended_by == NEXT_FIX;
                if record.violation != draft.violation {
                    record.violation = draft.violation;
                    findings.push(Finding::Updated(record.violation.clone()));
                }
            }
        }
    }

    fn tell(&mut self, draft: &mut Draft, key: Key, findings: &mut Vec<Finding>) {
        if !draft.is_published {
            draft.violation.id = self.free(draft.violation.id);
            draft.is_published = true;
            findings.push(Finding::Opened(draft.violation.clone()));
            self.records.push(Record {
                violation: draft.violation.clone(),
                fingerprint: draft.fingerprint,
                closed: None,
                told_at: key.at,
                is_changed: true,
            });
            return;
        }
        let id = draft.violation.id;
        let Some(record) = self.records.iter_mut().find(|r| r.violation.id == id) else {
            return;
        };
        if key.at - record.told_at >= UPDATE_MS && record.violation != draft.violation {
            record.violation = draft.violation.clone();
            record.told_at = key.at;
            record.is_changed = true;
            findings.push(Finding::Updated(draft.violation.clone()));
        }
    }

    /// Compares what was told with what is true now that the track was judged again from a fix on.
    ///
    /// Violations are the same when they are of the same rule and overlap; then the id stays,
    /// whatever happened to the onset. `is_judged` says of a rule and a time whether it was judged at
    /// all: what an edited fence has found whose catalog is gone stays as it was.
    pub(crate) fn compare(
        &mut self,
        from: Key,
        now: Timestamp,
        mut fresh: Vec<Fresh<'_>>,
        is_judged: impl Fn(u64, (i64, i64)) -> bool,
        findings: &mut Vec<Finding>,
    ) {
        fresh.retain(|f| is_judged(f.fingerprint(), span(f.violation())));
        fresh.sort_by_key(|f| {
            (
                f.violation().started_at,
                f.violation().kind,
                f.fingerprint(),
            )
        });
        let is_affected = |record: &Record| {
            is_judged(record.fingerprint, span(&record.violation))
                && record.closed.is_none_or(|closed| closed >= from)
        };
        let (mut old, kept): (Vec<Record>, Vec<Record>) = std::mem::take(&mut self.records)
            .into_iter()
            .partition(is_affected);
        self.records = kept;
        let mut matched: Vec<Option<Record>> = Vec::with_capacity(fresh.len());
        // Those whose onset did not change first: nobody else may take their id.
        for f in &fresh {
            let derived = f.derived_id();
            matched.push(take(&mut old, |r| {
                r.violation.id == derived && f.is_same_rule(r)
            }));
        }
        for (f, matched) in fresh.iter().zip(&mut matched) {
            if matched.is_none() {
                let best = old
                    .iter()
                    .filter(|record| f.is_same_rule(record))
                    .map(|record| (f.overlap_ms(record), record.violation.id))
                    .filter(|(overlap_ms, _)| *overlap_ms >= 0)
                    .max();
                *matched = best.and_then(|(_, id)| take(&mut old, |r| r.violation.id == id));
            }
        }
        // After a restart records come in another order; what is told does not.
        old.sort_by_key(|record| (record.violation.started_at, record.violation.id));
        for record in old {
            findings.push(Finding::Withdrawn(record.violation.id, now));
            self.removed.push(record.violation.id);
        }
        // Ids that stay are taken before new ones are given out.
        let ids: Vec<_> = matched
            .iter()
            .map(|m| m.as_ref().map(|r| r.violation.id))
            .collect();
        for (f, record) in fresh.iter_mut().zip(matched) {
            let is_new = record.is_none();
            let id = record.as_ref().map_or_else(
                || {
                    let mut id = self.free(f.derived_id());
                    while ids.contains(&Some(id)) {
                        id = self.free(id.next());
                    }
                    id
                },
                |record| record.violation.id,
            );
            let closed = f.take(id);
            self.has_unproved |= closed == Some(NEXT_FIX);
            let violation = f.violation().clone();
            let is_changed = record
                .as_ref()
                .is_none_or(|record| record.violation != violation);
            if is_new {
                findings.push(Finding::Opened(violation.clone()));
            } else if is_changed {
                findings.push(Finding::Updated(violation.clone()));
            }
            self.records.push(Record {
                violation,
                fingerprint: f.fingerprint(),
                closed,
                told_at: from.at,
                is_changed: true,
            });
        }
    }

    /// The id, or the next one that no violation has.
    fn free(&self, mut id: ViolationId) -> ViolationId {
        while self.records.iter().any(|record| record.violation.id == id) {
            id = id.next();
        }
        id
    }

    /// Forgets violations that ended before a moment, and the oldest of too many.
    pub(crate) fn prune(&mut self, before: Key) {
        let surplus = self.records.len().saturating_sub(RECORDS_MAX);
        let mut dropped = 0;
        let removed = &mut self.removed;
        self.records.retain(|record| {
            let is_old = record
                .closed
                .is_some_and(|closed| closed <= before || dropped < surplus);
            if is_old {
                dropped += 1;
                removed.push(record.violation.id);
            }
            !is_old
        });
    }
}

/// A violation of the new judgement.
pub(crate) enum Fresh<'d> {
    /// It goes on.
    Open(&'d mut Draft),
    /// It was ended by a fix.
    Closed(Box<Draft>, Key),
}

impl Fresh<'_> {
    fn draft(&self) -> &Draft {
        match self {
            Self::Open(draft) => draft,
            Self::Closed(draft, _) => draft,
        }
    }

    fn violation(&self) -> &Violation {
        &self.draft().violation
    }

    fn fingerprint(&self) -> u64 {
        self.draft().fingerprint
    }

    /// The id that its onset gives it, whatever it is called in a checkpoint.
    fn derived_id(&self) -> ViolationId {
        let v = self.violation();
        ViolationId::derive(v.kind, &v.rule.id, &v.terminal, v.started_at)
    }

    fn is_same_rule(&self, record: &Record) -> bool {
        let v = self.violation();
        (v.kind, &v.rule.id) == (record.violation.kind, &record.violation.rule.id)
    }

    /// How long both go on; negative when they are apart.
    fn overlap_ms(&self, record: &Record) -> i64 {
        let end = |v: &Violation| v.ended_at.map_or(i64::MAX, |end| end.0);
        let (a, b) = (self.violation(), &record.violation);
        end(a)
            .min(end(b))
            .saturating_sub(a.started_at.0.max(b.started_at.0))
    }

    /// Gives it its id; says which fix ended it.
    fn take(&mut self, id: ViolationId) -> Option<Key> {
        let (draft, closed): (&mut Draft, _) = match self {
            Self::Open(draft) => (draft, None),
            Self::Closed(draft, key) => (draft, Some(*key)),
        };
        draft.violation.id = id;
        draft.is_published = true;
        closed
    }
}

/// From when to when it goes on.
fn span(violation: &Violation) -> (i64, i64) {
    let to = violation.ended_at.map_or(i64::MAX, |to| to.0);
    (violation.started_at.0, to)
}

fn take(records: &mut Vec<Record>, is_it: impl Fn(&Record) -> bool) -> Option<Record> {
    let index = records.iter().position(is_it)?;
    Some(records.swap_remove(index))
}
