//! Simulated time beside the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::FleetConfig;

/// Maps seconds since the start of the simulation to moments of the clock.
///
/// ```text
/// simulated
///     │        .·'   the clock
///     │     .·'/
///     │  .·'  / time scale: faster, until it has caught up
///     │.'    /
///     └─────────▶ elapsed
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct SimClock {
    started: Instant,
    /// Start of simulated time, seconds since 1970.
    pub start_unix_s: i64,
    scale: f64,
    lag_s: f64,
}

impl SimClock {
    pub(super) fn new(config: &FleetConfig) -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now_unix_s = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
        // Whole seconds of simulated time are whole seconds of the clock.
        let started = Instant::now()
            .checked_sub(Duration::from_nanos(u64::from(since_epoch.subsec_nanos())))
            .unwrap_or_else(Instant::now);
        let scale = config.time_scale.max(1.0);
        let span_s = config
            .duration
            .map_or(86_400.0 / scale, |span| span.as_secs_f64());
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float to integer cast saturates"
        )]
        let back_s = (span_s * (scale - 1.0)) as i64;
        let start_unix_s = config
            .start_unix_s
            .unwrap_or_else(|| now_unix_s.saturating_sub(back_s))
            .min(now_unix_s);
        let lag_s = i32::try_from(now_unix_s.saturating_sub(start_unix_s)).unwrap_or(i32::MAX);
        Self {
            started,
            start_unix_s,
            scale,
            lag_s: f64::from(lag_s),
        }
    }

    /// The moment when simulated time is `sim_s` seconds after its start.
    pub(super) fn moment(&self, sim_s: f64) -> Instant {
        let elapsed_s = (sim_s / self.scale).max(sim_s - self.lag_s).clamp(0.0, 3e9);
        self.started + Duration::from_secs_f64(elapsed_s)
    }

    /// Seconds of simulated time at a moment.
    pub(super) fn seconds(&self, at: Instant) -> f64 {
        let elapsed_s = at.saturating_duration_since(self.started).as_secs_f64();
        (elapsed_s * self.scale).min(elapsed_s + self.lag_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_time_catches_up_with_the_clock_and_never_passes_it() {
        let mut config = FleetConfig::steady("localhost:1", 1);
        config.time_scale = 60.0;
        config.duration = Some(Duration::from_secs(10));
        let clock = SimClock::new(&config);
        let at = |elapsed| clock.seconds(clock.started + Duration::from_secs(elapsed));
        assert!((at(1) - 60.0).abs() < 1e-6);
        assert!((at(10) - 600.0).abs() < 1e-6);
        assert!((at(100) - 690.0).abs() < 1e-6);
        for sim_s in [0.0, 59.0, 600.0, 1_000.0] {
            assert!((clock.seconds(clock.moment(sim_s)) - sim_s).abs() < 1e-6);
        }
    }
}
