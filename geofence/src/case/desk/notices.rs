//! What clocks say of a case, and when.

use super::{CaseChange, Edit, MoveRequest, SYSTEM, request::Actor};
use crate::{
    case::{
        Case,
        clock::ClockKind,
        moves::{Move, Rule},
        policy::Desk,
    },
    units::Timestamp,
};

/// The word before the kind of a clock in what a notice says.
const CLOCK: &str = "clock: ";

impl Edit {
    /// What the clocks have to say by now, and the end of a deferral. Each thing is said once.
    pub fn tick(&mut self, at: Timestamp, desk: &Desk) {
        let by = || Actor::system(SYSTEM);
        if self.case.deferred_until.is_some_and(|until| until <= at) {
            let request = MoveRequest::new(Move::Resume, by(), "the time has come");
            // Only filed and dispatched cases are put off, so that it is in the table.
            drop(self.make(&request, at, desk));
        }
        for index in 0..self.case.clocks.len() {
            let Some(clock) = self.case.clocks.get_mut(index) else {
                continue;
            };
            if !clock.is_open() || self.case.stage.is_final() {
                continue;
            }
            let is_over = !clock.is_overdue && clock.due_at.is_some_and(|due| due <= at);
            let warns = clock.warn_at.is_some_and(|warn| warn <= at);
            let name = match (is_over, warns) {
                (true, _) => Move::Overdue,
                (false, true) => Move::Warn,
                (false, false) => continue,
            };
            clock.warn_at = None;
            clock.is_overdue |= is_over;
            let detail = format!(
                "{CLOCK}{}, limit: {}",
                clock.kind.as_str(),
                clock
                    .limit
                    .map(|limit| limit.to_string())
                    .unwrap_or_default()
            );
            if let Some(rule) = Rule::of(name, self.case.stage) {
                let request = MoveRequest::new(name, by(), "");
                self.tell(rule, &request, at, detail);
            }
        }
    }
}

impl CaseChange {
    /// Which clock warned or ran out, of a notice.
    #[must_use]
    pub fn clock(&self) -> Option<ClockKind> {
        let is_notice = matches!(self.name, Move::Warn | Move::Overdue);
        let said = self.detail.strip_prefix(CLOCK).filter(|_| is_notice)?;
        ClockKind::from_word(said.split(',').next()?)
    }
}

impl Case {
    /// When its clocks or its deferral have something to say next.
    #[must_use]
    pub fn notice_at(&self) -> Option<Timestamp> {
        let clocks = self.clocks.iter().filter(|clock| clock.is_open());
        let notices = clocks.filter_map(|clock| {
            let due = clock.due_at.filter(|_| !clock.is_overdue);
            clock.warn_at.into_iter().chain(due).min()
        });
        notices.chain(self.deferred_until).min()
    }

    /// When the first of its running clocks is due.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        let clocks = self.clocks.iter().filter(|clock| clock.is_open());
        clocks.filter_map(|clock| clock.due_at).min()
    }
}
