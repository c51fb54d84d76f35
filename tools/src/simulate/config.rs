//! What a simulated fleet is like.

use std::time::Duration;

use super::noise::NoiseConfig;
use crate::{mqtt::PayloadKind, output::Output, random::Random, wire::Revision};

/// Those of a fleet that report over MQTT. They register over TCP, which gives them their passwords.
#[derive(Clone, Debug)]
pub struct MqttFleet {
    /// Address of the gateway's MQTT port, `host:port`.
    pub address: String,
    /// Their share, 0 to 1, of all that may.
    pub share: f64,
    /// Only inspectors may.
    pub is_for_inspectors: bool,
    /// What they publish; `None`: every second one JSON, the others frames.
    pub payload: Option<PayloadKind>,
}

impl MqttFleet {
    /// All terminals of a fleet, with either payload.
    #[must_use]
    pub fn all(address: impl ToString) -> Self {
        Self {
            address: address.to_string(),
            share: 1.0,
            is_for_inspectors: false,
            payload: None,
        }
    }

    /// What the terminal publishes that is the `nth` of those that may, from 0; `None`: it speaks
    /// over TCP. Chosen without a generator: the drives of a seed stay what they are.
    #[expect(
        clippy::cast_precision_loss,
        clippy::float_cmp,
        reason = "whole numbers below 2^53 compare as they are"
    )]
    pub(super) fn payload_of(&self, nth: usize) -> Option<PayloadKind> {
        let share = self.share.clamp(0.0, 1.0);
        let before = (nth as f64 * share).floor();
        if ((nth + 1) as f64 * share).floor() == before {
            return None;
        }
        let is_even = before.rem_euclid(2.0) == 0.0;
        Some(self.payload.unwrap_or(if is_even {
            PayloadKind::Json
        } else {
            PayloadKind::Jt808
        }))
    }
}

/// A fleet and its links.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// Address of the gateway's JT/T 808 port, `host:port`.
    pub target: String,
    /// Who reports over MQTT; `None`: nobody.
    pub mqtt: Option<MqttFleet>,
    /// Vehicles, at most as many as the city has; `None`: all of them.
    pub vehicles: Option<usize>,
    /// Least and greatest interval between two fixes, seconds, 1 at least; each vehicle keeps its
    /// own.
    pub interval_s: (u32, u32),
    /// Weights of the revisions 2011, 2013 and 2019.
    pub revisions: [u32; 3],
    /// The same seed gives the same drives and the same errors of the receivers.
    pub seed: u64,
    /// Share of the vehicles that break rules, 0 to 1.
    pub violators: f64,
    /// Errors of the receivers.
    pub noise: NoiseConfig,
    /// Dead zones a vehicle and hour (of simulated time).
    pub outages_per_hour: f64,
    /// Least and greatest length of a dead zone, seconds of simulated time.
    pub outage_s: (f64, f64),
    /// No dead zone and no planned disconnect before, seconds of simulated time.
    pub outages_after_s: f64,
    /// Planned disconnects (0x0003) a vehicle and hour.
    pub log_outs_per_hour: f64,
    /// Share of the responses that get lost on the way to the terminal.
    pub lost_responses: f64,
    /// How many times faster than the clock simulated time runs, until it has caught up with the
    /// clock: no fix is ever ahead of it.
    pub time_scale: f64,
    /// Start of simulated time, seconds since 1970. `None`: now; with a time scale, as far back
    /// as the duration (else a day) can catch up.
    pub start_unix_s: Option<i64>,
    /// When to end by itself; `None`: when told.
    pub duration: Option<Duration>,
    /// How long a terminal awaits a response before it sends the same frame again; the wait grows
    /// with each resend (×2, ×3).
    pub response_timeout: Duration,
    /// Resends before a terminal gives the connection up.
    pub resends_max: u32,
    /// Pause between heartbeats.
    pub heartbeat: Duration,
    /// Connections are opened over this span, at random.
    pub connect_spread: Duration,
    /// Longest pause before the next attempt to connect.
    pub reconnect_max: Duration,
    /// Positions a terminal keeps while nobody acknowledges them; beyond, the oldest is dropped.
    pub stored_positions_max: usize,
    /// How long the fleet goes on sending what it has, at the end.
    pub drain: Duration,
    /// True violations, JSON lines.
    pub truth: Option<Output>,
    /// Add the true path to them, second by second.
    pub truth_path: bool,
    /// Acknowledged positions, CSV with header `phone,event_time,lat,lon`.
    pub acknowledged: Option<Output>,
}

impl FleetConfig {
    /// A fleet with all that can happen to one.
    #[must_use]
    pub fn new(target: impl ToString, seed: u64) -> Self {
        Self {
            target: target.to_string(),
            mqtt: None,
            vehicles: None,
            interval_s: (1, 10),
            revisions: [1, 6, 3],
            seed,
            violators: 0.05,
            noise: NoiseConfig::default(),
            outages_per_hour: 1.0,
            outage_s: (30.0, 240.0),
            outages_after_s: 0.0,
            log_outs_per_hour: 0.2,
            lost_responses: 0.001,
            time_scale: 1.0,
            start_unix_s: None,
            duration: None,
            response_timeout: Duration::from_secs(10),
            resends_max: 3,
            heartbeat: Duration::from_secs(60),
            connect_spread: Duration::from_secs(5),
            reconnect_max: Duration::from_secs(60),
            stored_positions_max: 10_000,
            drain: Duration::from_secs(5),
            truth: None,
            truth_path: false,
            acknowledged: None,
        }
    }

    /// The fleet of the demonstration: a fix every two seconds, vehicles on the map within
    /// seconds, the first broken rules within the first minute and no dead zone that would hide
    /// them; stops at once.
    #[must_use]
    pub fn demo(target: impl ToString, seed: u64) -> Self {
        Self {
            interval_s: (2, 2),
            outages_after_s: 180.0,
            connect_spread: Duration::from_secs(2),
            reconnect_max: Duration::from_secs(5),
            drain: Duration::ZERO,
            ..Self::new(target, seed)
        }
    }

    /// A fleet whose links never fail, for tests that count.
    #[must_use]
    pub fn steady(target: impl ToString, seed: u64) -> Self {
        Self {
            interval_s: (1, 1),
            outages_per_hour: 0.0,
            log_outs_per_hour: 0.0,
            lost_responses: 0.0,
            connect_spread: Duration::ZERO,
            ..Self::new(target, seed)
        }
    }

    /// Settles when simulated time begins, where that is not told: seconds since 1970 in UTC.
    pub fn start_now(&mut self) -> i64 {
        let start_unix_s = super::clock::SimClock::new(self).start_unix_s;
        *self.start_unix_s.insert(start_unix_s)
    }

    /// The revision of a vehicle's terminal.
    pub(super) fn revision(&self, random: &mut Random) -> Revision {
        let [first, second, third] = self.revisions.map(f64::from);
        let pick = random.unit() * (first + second + third);
        match pick {
            pick if pick < first => Revision::V2011,
            pick if pick < first + second => Revision::V2013,
            _ if third > 0.0 => Revision::V2019,
            _ => Revision::V2013,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads(
        share: f64,
        payload: Option<PayloadKind>,
        count: usize,
    ) -> Vec<Option<PayloadKind>> {
        let fleet = MqttFleet {
            share,
            payload,
            ..MqttFleet::all("localhost:1")
        };
        (0..count).map(|nth| fleet.payload_of(nth)).collect()
    }

    #[test]
    fn a_share_of_the_fleet_publishes_either_payload_in_turn() {
        use PayloadKind::{Json, Jt808};
        assert_eq!(payloads(0.0, None, 50), vec![None; 50]);
        assert_eq!(payloads(1.0, Some(Jt808), 3), vec![Some(Jt808); 3]);
        let half = [None, Some(Json), None, Some(Jt808), None, Some(Json)];
        assert_eq!(payloads(0.5, None, 6), half);
        let three_quarters = payloads(0.75, None, 400);
        let of = |kind| three_quarters.iter().filter(|one| **one == kind).count();
        assert_eq!((of(None), of(Some(Json)), of(Some(Jt808))), (100, 150, 150));
    }
}
