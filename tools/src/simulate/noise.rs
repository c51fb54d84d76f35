//! What a receiver makes of the true place.

use crate::{plane::Point, random::Random};

/// How a receiver errs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseConfig {
    /// Deviation of the slow error on each axis, metres. It wanders: what looks like drift of a
    /// parked vehicle.
    pub sigma_m: f64,
    /// How much of the slow error is left after one second, 0 to 1.
    pub persistence: f64,
    /// Deviation of the fast error on each axis, metres.
    pub white_m: f64,
    /// Share of fixes that jump away by 30 to 150 m.
    pub spike_share: f64,
    /// Deviation of the reported speed, m/s.
    pub speed_sigma_mps: f64,
}

impl Default for NoiseConfig {
    fn default() -> Self {
        Self {
            sigma_m: 3.0,
            persistence: 0.97,
            white_m: 0.3,
            spike_share: 0.001,
            speed_sigma_mps: 0.2,
        }
    }
}

/// What the receiver says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fix {
    /// Where it believes to be.
    pub point: Point,
    /// How fast it believes to be, m/s, never negative.
    pub speed_mps: f64,
    /// Satellites used.
    pub satellites: u8,
}

/// A receiver with its slow error.
#[derive(Clone, Debug)]
pub struct Receiver {
    config: NoiseConfig,
    random: Random,
    slow: Point,
}

impl Receiver {
    /// A receiver whose slow error has long settled.
    #[must_use]
    pub fn new(config: NoiseConfig, mut random: Random) -> Self {
        let slow = Point::new(
            random.normal() * config.sigma_m,
            random.normal() * config.sigma_m,
        );
        Self {
            config,
            random,
            slow,
        }
    }

    /// The next fix, `dt_s` seconds after the one before.
    pub fn fix(&mut self, truth: Point, speed_mps: f64, dt_s: f64) -> Fix {
        let (config, random) = (self.config, &mut self.random);
        // A first-order process whose deviation stays at sigma whatever the interval.
        let keep = config.persistence.clamp(0.0, 1.0).powf(dt_s);
        let fresh = config.sigma_m * (1.0 - keep * keep).sqrt();
        self.slow = Point::new(
            self.slow.x * keep + random.normal() * fresh,
            self.slow.y * keep + random.normal() * fresh,
        );
        let mut point = Point::new(
            truth.x + self.slow.x + random.normal() * config.white_m,
            truth.y + self.slow.y + random.normal() * config.white_m,
        );
        let mut satellites = 9 + u8::try_from(random.index(6)).unwrap_or(0);
        if random.chance(config.spike_share) {
            let (angle, away) = (
                random.between(0.0, std::f64::consts::TAU),
                random.between(30.0, 150.0),
            );
            point = Point::new(point.x + away * angle.cos(), point.y + away * angle.sin());
            satellites = 4 + u8::try_from(random.index(3)).unwrap_or(0);
        }
        let speed_mps = (speed_mps + random.normal() * config.speed_sigma_mps).max(0.0);
        Fix {
            point,
            speed_mps,
            satellites,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_parked_receiver_has_the_deviation_that_was_asked_for() {
        for dt_s in [1.0, 5.0] {
            let config = NoiseConfig {
                spike_share: 0.0,
                ..NoiseConfig::default()
            };
            let mut receiver = Receiver::new(config, Random::new(1));
            let n = 200_000;
            let xs: Vec<f64> = (0..n)
                .map(|_| receiver.fix(Point::default(), 0.0, dt_s).point.x)
                .collect();
            let mean = xs.iter().sum::<f64>() / f64::from(n);
            let sigma = (xs.iter().map(|x| x * x).sum::<f64>() / f64::from(n)).sqrt();
            assert!(mean.abs() < 0.3, "mean {mean} at {dt_s} s");
            assert!(
                (2.8..3.25).contains(&sigma),
                "deviation {sigma} at {dt_s} s"
            );
            // The error of the next second is almost that of this one.
            let product = xs.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / f64::from(n);
            let correlation = product / (sigma * sigma);
            let expected = 0.97_f64.powf(dt_s) * 9.0 / 9.09;
            assert!(
                (correlation - expected).abs() < 0.03,
                "{correlation} for {expected}"
            );
        }
    }

    #[test]
    fn jumps_are_as_frequent_as_asked_for_and_admit_few_satellites() {
        let config = NoiseConfig {
            sigma_m: 1.0,
            white_m: 0.0,
            spike_share: 0.01,
            ..NoiseConfig::default()
        };
        let mut receiver = Receiver::new(config, Random::new(2));
        let fixes: Vec<Fix> = (0..100_000)
            .map(|_| receiver.fix(Point::default(), 0.0, 1.0))
            .collect();
        let spikes: Vec<&Fix> = fixes
            .iter()
            .filter(|fix| fix.point.distance(Point::default()) > 20.0)
            .collect();
        assert!(
            (800..1_200).contains(&spikes.len()),
            "{} jumps",
            spikes.len()
        );
        assert!(spikes.iter().all(|fix| fix.satellites < 9));
    }
}
