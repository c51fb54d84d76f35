//! What moves a terminal: a driver on the streets, or the script of a play.

use super::driver::{Driver, Truth};
use crate::city::{City, Way};

/// Where a terminal's truth comes from.
#[derive(Clone, Debug)]
pub(super) enum Motion {
    /// It drives.
    Drives(Box<Driver>),
    /// It acts.
    Acts(Actor),
}

impl Motion {
    /// Moves on by a second.
    pub(super) fn advance(&mut self, dt_s: f64) {
        match self {
            Self::Drives(driver) => driver.advance(dt_s),
            Self::Acts(actor) => actor.advance(dt_s),
        }
    }

    pub(super) fn truth(&self) -> Truth {
        match self {
            Self::Drives(driver) => driver.truth(),
            Self::Acts(actor) => actor.truth(),
        }
    }
}

/// Somebody in a play.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    way: Way,
    /// Seconds since the beginning of the play, negative before it.
    clock_s: f64,
    driven_m: f64,
}

impl Actor {
    /// The actor of this index; `None` when the vehicle has no part.
    pub(super) fn new(city: &City, vehicle: usize, start_unix_s: i64) -> Option<Self> {
        let work = city.work.as_ref()?;
        let act = work.acts.get(&vehicle)?;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit an f64")]
        let clock_s = start_unix_s.saturating_sub(work.start_unix_s) as f64;
        Some(Self {
            way: act.way.clone(),
            clock_s,
            driven_m: 0.0,
        })
    }

    fn advance(&mut self, dt_s: f64) {
        self.clock_s += dt_s;
        self.driven_m += self.truth().speed_mps * dt_s;
    }

    fn truth(&self) -> Truth {
        // Second 0 of the way is the first one behind the beginning.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float to integer cast saturates: before the beginning is at it"
        )]
        let second = self.way.at((self.clock_s - 1.0) as usize);
        Truth {
            point: second.point,
            speed_mps: second.speed_mps,
            heading_deg: second.heading_deg,
            is_acc_on: second.is_acc_on,
            driven_m: self.driven_m,
            signals: second.signals,
            alarms: second.alarms,
            is_dark: second.is_dark,
        }
    }
}
