//! What happens without a fix: windows and shifts end, pending violations open, another catalog comes
//! into force.

use super::{EvaluatorOptions, Track, court::Court};
use crate::checks::{Parameters, motion::Rules};

/// The catalog that the state of a track is bound to.
pub(super) struct Home<'a> {
    pub(super) rules: Rules<'a>,
    /// When another one came into force; `i64::MAX` of the newest.
    pub(super) until: i64,
}

impl Track {
    /// Opens what is due by now without another fix. Time behind the newest fix passes as fast as
    /// the clock of the log since its receipt, less the time that fixes may be on their way.
    pub(super) fn fire_timers(
        &mut self,
        clock: i64,
        court: &mut Court<'_>,
        options: &EvaluatorOptions,
    ) {
        let Some(last_at) = self.known_until() else {
            return;
        };
        // One that comes from a snapshot does not know its fences yet.
        self.state.enter(court, last_at);
        let passed_ms = clock
            .saturating_sub(self.received_at)
            .saturating_sub(options.lateness_ms);
        let until = last_at.saturating_add(passed_ms);
        // Windows and shifts end by the clock, whether or not the vehicle is still heard; but while a
        // backlog comes in order no faster than its fixes, or each would end what the next is in.
        let ended = until.min(clock.saturating_sub(options.lateness_ms));
        if ended >= court.until() {
            self.state.enter(court, ended);
            // A fix from before that moment is a late one now.
            self.advanced_to = self.advanced_to.max(court.from());
            self.is_changed = true;
        }
        let own = court.until().saturating_sub(1);
        let (until, ended) = (until.min(own), ended.min(own));
        if self.state.duty_due().is_some_and(|due| due <= ended)
            && let Some(happened) = self.state.advance_duty(ended, court)
        {
            self.advanced_to = self.advanced_to.max(happened);
            self.is_changed = true;
        }
        // Beyond what the newest fix speaks for, nothing opens that needs a vehicle to be there.
        let until = until.min(last_at.saturating_add(Parameters::HOLD_MS));
        let catalog = court.catalog();
        let due = self.state.due(court.rules());
        if due.is_some_and(|due| due <= until) {
            self.state.advance(until, court);
            self.advanced_to = self.advanced_to.max(until);
            self.is_changed = true;
        }
        if self
            .state
            .route_due(catalog)
            .is_some_and(|due| due <= ended)
            && let Some(happened) = self.state.advance_routes(ended, court)
        {
            self.advanced_to = self.advanced_to.max(happened);
            self.is_changed = true;
        }
    }

    /// When the track has something to do next.
    pub(super) fn next_wake(&self, home: &Home<'_>, options: &EvaluatorOptions) -> Option<i64> {
        let rules = home.rules;
        let settle_at = self.late_from.map(|_| self.settle_at);
        let known_until = self.known_until();
        let timer_at = self.state.due(rules).zip(known_until);
        let timer_at = timer_at.map(|(due, last_at)| {
            self.received_at
                .saturating_add(due - last_at)
                .saturating_add(options.lateness_ms)
        });
        let until = Some(home.until).filter(|until| *until < i64::MAX);
        let ends = [
            self.state.route_due(rules.catalog),
            self.state.duty_due(),
            until,
        ];
        let end_at = ends.into_iter().flatten().min();
        let end_at = end_at.and_then(|due| self.passes_at(due, options));
        let moments = [settle_at, timer_at, end_at];
        moments.into_iter().flatten().min()
    }

    /// When a moment has passed for the track, by the clock of the log, if no fix comes behind it.
    pub(super) fn passes_at(&self, due: i64, options: &EvaluatorOptions) -> Option<i64> {
        let ahead_ms = due.saturating_sub(self.known_until()?);
        let passed_at = self.received_at.saturating_add(ahead_ms);
        Some(passed_at.max(due).saturating_add(options.lateness_ms))
    }
}
