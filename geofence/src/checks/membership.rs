//! Membership of a vehicle in a fence: the base of all that fences ask for.
//!
//! ```text
//!            sure inside                       3 s and two fixes
//!  unknown ───────────────▶ in ◀──────────────────────────────── pending in
//!     │                     │ ▲                                     ▲ │
//!     │ sure outside   sure │ │ not sure             sure inside    │ │ not sure
//!     ▼             outside ▼ │ any more                            │ ▼ any more
//!    out ◀──────────── pending out            out ──────────────────┘
//! ```
//!
//! Sure means farther from the boundary than the hysteresis. A change is dated back to where the
//! way between two fixes crossed the boundary.

use super::Parameters;

/// Which side a vehicle is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Not sure yet.
    Unknown,
    /// Surely outside.
    Out,
    /// Outside, but perhaps inside since `first`.
    PendingIn(Pending),
    /// Surely inside.
    In,
    /// Inside, but perhaps outside since `first`.
    PendingOut(Pending),
}

/// A change that is not sure yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// The first fix on the other side.
    pub(crate) first: i64,
    /// When the boundary was crossed.
    pub(crate) crossed: i64,
    /// The fixes on the other side so far.
    pub(crate) fixes: u8,
}

/// What a fix changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing, or only a suspicion.
    None,
    /// The side is known for the first time: presence, no entry and no exit.
    Found,
    /// Entered at this time.
    Entered(i64),
    /// Left at this time.
    Left(i64),
}

/// One fix against one boundary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) at: i64,
    /// Signed distance, positive inside.
    pub(crate) distance_mm: f64,
    pub(crate) sigma_mm: f64,
    /// The fix before, with its signed distance; `None` where nothing connects the two: a gap.
    pub(crate) before: Option<(i64, f64)>,
}

impl Side {
    /// Counts as inside until the contrary is sure.
    pub(crate) const fn is_in(self) -> bool {
        matches!(self, Self::In | Self::PendingOut(_))
    }

    pub(crate) const fn is_pending(self) -> bool {
        matches!(self, Self::PendingIn(_) | Self::PendingOut(_))
    }

    pub(crate) fn step(&mut self, fix: &Measured, parameters: &Parameters) -> Change {
        let sure = parameters.hysteresis_mm(fix.sigma_mm);
        let (is_in, is_out) = (fix.distance_mm >= sure, fix.distance_mm <= -sure);
        match *self {
            Self::Unknown => {
                if !is_in && !is_out {
                    return Change::None;
                }
                *self = if is_in { Self::In } else { Self::Out };
                Change::Found
            }
            Self::Out if is_in => self.suspect(fix, Self::PendingIn),
            Self::In if is_out => self.suspect(fix, Self::PendingOut),
            Self::Out | Self::In => Change::None,
            Self::PendingIn(pending) if is_in => {
                let pending = pending.again(fix);
                if pending.is_sure(fix.at, parameters) {
                    *self = Self::In;
                    return Change::Entered(pending.crossed);
                }
                *self = Self::PendingIn(pending);
                Change::None
            }
            Self::PendingOut(pending) if is_out => {
                let pending = pending.again(fix);
                if pending.is_sure(fix.at, parameters) {
                    *self = Self::Out;
                    return Change::Left(pending.crossed);
                }
                *self = Self::PendingOut(pending);
                Change::None
            }
            Self::PendingIn(_) => {
                *self = Self::Out;
                Change::None
            }
            Self::PendingOut(_) => {
                *self = Self::In;
                Change::None
            }
        }
    }

    fn suspect(&mut self, fix: &Measured, side: fn(Pending) -> Self) -> Change {
        // Behind a gap nobody knows when the boundary was crossed: not before this fix, to the
        // advantage of the driver.
        let crossed = fix
            .before
            .map_or(fix.at, |before| crossing(before, (fix.at, fix.distance_mm)));
        *self = side(Pending {
            first: fix.at,
            crossed,
            fixes: 1,
        });
        Change::None
    }
}

impl Pending {
    fn again(self, fix: &Measured) -> Self {
        if fix.before.is_none() {
            // Clocks stand still in a gap: the time begins anew.
            return Self {
                first: fix.at,
                crossed: fix.at,
                fixes: 1,
            };
        }
        Self {
            fixes: self.fixes.saturating_add(1),
            ..self
        }
    }

    fn is_sure(self, at: i64, parameters: &Parameters) -> bool {
        self.fixes >= 2 && at - self.first >= parameters.confirm_ms
    }
}

/// When the way between two fixes crossed the boundary, by their distances to it.
#[expect(clippy::cast_possible_truncation, reason = "a share of a few minutes")]
#[expect(clippy::cast_precision_loss, reason = "a few minutes in milliseconds")]
fn crossing(before: (i64, f64), after: (i64, f64)) -> i64 {
    let span = after.1 - before.1;
    if before.1.signum() * after.1.signum() > 0.0 || span.abs() < f64::EPSILON {
        // Both lie on the new side: the one before was not deep enough to be sure.
        return before.0;
    }
    before.0 + ((after.0 - before.0) as f64 * (-before.1 / span)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETERS: fn() -> Parameters = Parameters::default;

    /// Fixes at 1 Hz with these distances in metres, sigma 4 m; gives every change with its time.
    fn run(side: &mut Side, distances: &[f64]) -> Vec<(i64, Change)> {
        let mut changes = Vec::new();
        let mut before = None;
        for (at, distance) in (0..).step_by(1_000).zip(distances) {
            let distance_mm = distance * 1e3;
            let fix = Measured {
                at,
                distance_mm,
                sigma_mm: 4_000.0,
                before,
            };
            let change = side.step(&fix, &PARAMETERS());
            if change != Change::None {
                changes.push((at, change));
            }
            before = Some((at, distance_mm));
        }
        changes
    }

    #[test]
    fn an_entry_is_confirmed_after_three_seconds_and_dated_back_to_the_crossing() {
        let mut side = Side::Out;
        let changes = run(&mut side, &[-15.0, -5.0, 5.0, 15.0, 25.0, 35.0]);
        assert_eq!(changes, [(5_000, Change::Entered(1_500))]);
        assert_eq!(side, Side::In);
    }

    #[test]
    fn noise_within_one_deviation_of_the_boundary_changes_nothing() {
        let mut side = Side::Out;
        assert_eq!(
            run(&mut side, &[-3.0, 3.5, -2.0, 3.9, 1.0, -3.9, 3.0, 2.0]),
            []
        );
        assert_eq!(side, Side::Out);
    }

    #[test]
    fn a_single_spike_is_forgotten() {
        let mut side = Side::Out;
        assert_eq!(run(&mut side, &[-50.0, 80.0, -50.0, -50.0, -50.0]), []);
        assert_eq!(side, Side::Out);
    }

    #[test]
    fn the_first_sure_fix_is_presence_and_no_entry() {
        let mut side = Side::Unknown;
        assert_eq!(run(&mut side, &[2.0, 10.0, 20.0]), [(1_000, Change::Found)]);
        assert_eq!(side, Side::In);
    }

    #[test]
    fn behind_a_gap_the_change_is_dated_to_the_first_fix_and_needs_its_own_confirmation() {
        let mut side = Side::In;
        let fix = |at, before| Measured {
            at,
            distance_mm: -50e3,
            sigma_mm: 4e3,
            before,
        };
        assert_eq!(side.step(&fix(900_000, None), &PARAMETERS()), Change::None);
        let next = fix(903_000, Some((900_000, -50e3)));
        assert_eq!(side.step(&next, &PARAMETERS()), Change::Left(900_000));
    }
}
