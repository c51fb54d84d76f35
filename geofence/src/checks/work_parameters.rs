//! Every threshold of the checks of work, stops and alarms.

use super::Parameters;

/// The thresholds of rules of work.
///
/// | property | of rules | meaning | default |
/// |---|---|---|---|
/// | `stop_s` | `long_stop`, `idling` | observed at a stop for so long | 600; inspectors 1,800 |
/// | `dwell_s` | `no_stop` fences | observed at a stop for so long | 600 |
/// | `speed_kmh` | `work_speed` | faster is too fast to clean | sweeper 8, sprinkler 15 |
/// | `dwell_s` | `work_speed` | too fast for so long | 20 |
/// | `close_s` | `work_speed` | the band kept for so long ends it | 30 |
/// | `margin_kmh`, `margin_percent` | `work_speed` | tolerated above the band, the larger of both | 1, 0 |
/// | `dwell_s` | `unloading` | observed for so long, outside every site | 10 |
/// | `alarms` | `terminal_alarms` | bit → seconds, or "off" | 0 → 0, 8 → 60, others off |
///
/// A rule `speed_limit` has the thresholds of fences with a speed limit.
#[derive(Clone, Copy, Debug)]
pub struct WorkParameters;

impl WorkParameters {
    /// A stop of a vehicle.
    pub const STOP_MS: i64 = 600_000;
    /// A stop of an inspector.
    pub const STOP_INSPECTOR_MS: i64 = 1_800_000;
    /// Two stops that are less apart, and also nearer than [`Self::MERGE_M`], are one.
    pub const MERGE_MS: i64 = 60_000;
    /// Faster than 1.5 m/s, by the receiver, is motion; tenths of km/h.
    pub const MOVING_DKMH: u16 = 54;
    /// Metres.
    pub const MERGE_M: f64 = 50.0;
    /// Whoever stands so near to a site, or within one deviation if that is more, may be in it.
    pub const NEAR_SITE_MM: f64 = 20_000.0;
    /// A bit that is not sent is as it was for so long.
    pub const SIGNAL_HOLD_MS: i64 = 60_000;
    /// Too fast to clean for so long.
    pub const TOO_FAST_MS: i64 = 20_000;
    /// The thresholds of a job's band.
    pub const WORK_SPEED: Parameters = Parameters {
        close_ms: 30_000,
        margin_kmh: 1.0,
        margin_share: 0.0,
        ..Parameters::DEFAULT
    };
    /// Sweeping, km/h.
    pub const SWEEPING_KMH: f64 = 8.0;
    /// Flushing and sprinkling, km/h.
    pub const FLUSHING_KMH: f64 = 15.0;
    /// Between two fixes a vehicle may have been as far away as this lets it, metres a second.
    pub const DROP_MPS: f64 = 20.0;
    /// Unloading for so long.
    pub const UNLOADING_MS: i64 = 10_000;
    /// Between reports that are farther apart nobody knows whether an alarm was set.
    pub const ALARM_GAP_MS: i64 = 1_200_000;
    /// The emergency button.
    pub const EMERGENCY_MS: i64 = 0;
    /// Main power lost.
    pub const POWER_LOST_MS: i64 = 60_000;
}
