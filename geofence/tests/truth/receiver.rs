//! What a terminal makes of a true way: the reports that arrive.

use geofence::{
    position::{Inputs, Position},
    units::{Latitude, Longitude, Timestamp},
};

use crate::{town, way::Way};

/// A generator of numbers (splitmix64): one seed, one town.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// From 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / 9_007_199_254_740_992.0
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.unit() * (high - low)
    }

    pub(crate) fn seconds(&mut self, low: i64, high: i64) -> i64 {
        self.between(low as f64, high as f64).round() as i64
    }

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    pub(crate) fn normal(&mut self) -> f64 {
        let (u, v) = (self.unit().max(1e-12), self.unit());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// So far away, in some direction.
    pub(crate) fn away(&mut self, meters: f64) -> (f64, f64) {
        let (sin, cos) = (self.unit() * std::f64::consts::TAU).sin_cos();
        (meters * cos, meters * sin)
    }
}

/// A terminal and its surroundings.
///
/// | what | how much |
/// |---|---|
/// | an error that wanders, AR(1) by the second with rho 0.97 | `sigma_m` each way |
/// | white noise | 0.3 m each way |
/// | single jumps | one fix in 1,000; 30 to 150 m |
/// | multipath: a fixed error for 3 to 8 s | once an hour; 20 to 60 m |
/// | speed | 0.3 m/s |
/// | heading | 5°, and anywhere while it stands |
/// | tunnels: nothing is made | every 90 minutes; 20 to 60 s |
/// | dead zones: kept, and sent newest first | every two hours; 2 to 10 minutes |
/// | sent twice | one report in 200; the second 1 to 30 s later |
/// | the clock of the terminal | up to 2 s off |
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiver {
    pub(crate) sigma_m: f64,
    pub(crate) every_s: i64,
}

impl Receiver {
    /// As good as the targets ask for.
    pub(crate) fn is_good(self) -> bool {
        self.sigma_m <= 6.0
    }

    /// By which the terminal tells how far it may be trusted.
    fn satellites(self) -> u8 {
        match self.sigma_m {
            ..4.5 => 10,
            ..6.5 => 6,
            _ => 5,
        }
    }

    /// The reports of a way that begins at this moment, as they arrive.
    pub(crate) fn reports(self, random: &mut Random, way: &Way, start_ms: i64) -> Vec<Position> {
        let mut slow = (
            random.normal() * self.sigma_m,
            random.normal() * self.sigma_m,
        );
        let fresh = self.sigma_m * (1.0 - 0.97_f64 * 0.97).sqrt();
        let clock_ms = random.between(-2_000.0, 2_000.0).round() as i64;
        let phase = random.seconds(0, self.every_s - 1);
        let (mut tunnel_until, mut dead_until, mut echo_until) = (-1, -1, -1);
        let mut echo = (0.0, 0.0);
        let mut reports = Vec::new();
        for (second, truth) in (0_i64..).zip(&way.seconds) {
            slow.0 = slow.0 * 0.97 + random.normal() * fresh;
            slow.1 = slow.1 * 0.97 + random.normal() * fresh;
            if second > tunnel_until && random.chance(1.0 / 5_400.0) {
                tunnel_until = second + random.seconds(20, 60);
            }
            if second > dead_until && random.chance(1.0 / 7_200.0) {
                dead_until = second + random.seconds(120, 600);
            }
            if second > echo_until && random.chance(1.0 / 3_600.0) {
                echo_until = second + random.seconds(3, 8);
                let meters = random.between(20.0, 60.0);
                echo = random.away(meters);
            }
            let is_due = second % self.every_s == phase;
            if !is_due || second <= tunnel_until || truth.is_dark {
                continue;
            }
            let mut at = (
                truth.at.0 + slow.0 + random.normal() * 0.3,
                truth.at.1 + slow.1 + random.normal() * 0.3,
            );
            if second <= echo_until {
                at = (at.0 + echo.0, at.1 + echo.1);
            }
            if random.chance(0.001) {
                let meters = random.between(30.0, 150.0);
                let jump = random.away(meters);
                at = (at.0 + jump.0, at.1 + jump.1);
            }
            let kmh = (truth.mps + random.normal() * 0.3).abs() * 3.6;
            let (error, anywhere) = (random.normal() * 5.0, random.between(0.0, 360.0));
            let heading = truth.direction.map_or(anywhere, |(east, north)| {
                east.atan2(north).to_degrees() + error
            });
            let (latitude, longitude) = town::degrees(at);
            let fixed_at = Timestamp(start_ms + second * 1_000 + clock_ms);
            let is_backlog = second <= dead_until;
            let made_at = start_ms + second * 1_000 + 1_000;
            let received_at = if is_backlog {
                // Newest first, five a second.
                start_ms + dead_until * 1_000 + 2_000 + (dead_until - second) * 200
            } else {
                made_at
            };
            let report = Position {
                terminal: town::PHONE.parse().unwrap(),
                fixed_at,
                received_at: Timestamp(received_at),
                log_offset: second as u64,
                digest: second as u32,
                latitude: Latitude::from_degrees(latitude).unwrap(),
                longitude: Longitude::from_degrees(longitude).unwrap(),
                altitude_m: Some(800),
                speed_dkmh: (kmh * 10.0).round() as u16,
                heading_deg: heading.rem_euclid(360.0).floor() as u16,
                alarm_flags: 0,
                status_flags: if truth.is_acc_on { 3 } else { 2 },
                odometer_dkm: None,
                satellites: Some(self.satellites()),
                inputs: Inputs {
                    vehicle_signals: Some(u32::from(truth.is_working) << town::BRUSH_BIT),
                    ..Inputs::default()
                },
                is_positioned: true,
                is_backlog,
            };
            if random.chance(0.005) {
                let later_ms = random.seconds(1, 30) * 1_000;
                reports.push(Position {
                    received_at: Timestamp(received_at + later_ms),
                    ..report.clone()
                });
            }
            reports.push(report);
        }
        reports.sort_by_key(|report| report.received_at);
        reports
    }
}
