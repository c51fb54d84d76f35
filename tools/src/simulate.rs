//! A fleet of virtual terminals that speak JT/T 808 over real sockets, drive through the
//! synthetic city, and know what truly happened.

mod actor;
mod clock;
mod config;
mod counters;
pub mod driver;
pub mod noise;
pub mod truth;
mod unit;

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet};

use self::{
    actor::{Actor, Motion},
    clock::SimClock,
    driver::{Driver, Script},
    truth::{FenceRule, Judge},
    unit::{Shared, Unit},
};
use crate::{
    city::{City, Work, WorkKind},
    random::Random,
    terminal::Identity,
};

pub use self::{
    config::{FleetConfig, MqttFleet},
    counters::{Counters, Report},
    noise::NoiseConfig,
    truth::TrueViolation,
};

/// A fleet that drives.
#[derive(Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    units: JoinSet<usize>,
}

impl Fleet {
    /// Lets the fleet start; must be called on a tokio runtime.
    #[must_use]
    pub fn start(config: FleetConfig, city: Arc<City>) -> Self {
        let clock = SimClock::new(&config);
        let shared = Arc::new(Shared {
            plane: city.plane,
            clock,
            counters: Counters::default(),
            violations: Mutex::new(Vec::new()),
            config,
        });
        let (stop, stopped) = watch::channel(false);
        let mut units = JoinSet::new();
        for unit in units_of(&shared, &city) {
            units.spawn(unit.run(stopped.clone()));
        }
        Self {
            shared,
            stop,
            units,
        }
    }

    /// The counts while the fleet drives.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// The counts and the violations so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let violations = self
            .shared
            .violations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Report {
            violations,
            ..self.shared.counters.report()
        }
    }

    /// Stops: no more fixes, no more dead zones; what is there is sent until all is acknowledged
    /// or the drain time of the configuration is over.
    pub async fn stop(mut self) -> Report {
        self.stop.send_replace(true);
        // A terminal ends by itself; a second beyond the drain time is for a slow machine.
        let limit = self.shared.config.drain + Duration::from_secs(5);
        let mut unacknowledged = 0_u64;
        let all = async {
            while let Some(left) = self.units.join_next().await {
                unacknowledged += left
                    .ok()
                    .and_then(|left| u64::try_from(left).ok())
                    .unwrap_or(0);
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!("some terminals did not stop in time");
        }
        for output in [&self.shared.config.truth, &self.shared.config.acknowledged] {
            if output
                .as_ref()
                .is_some_and(|output| output.flush().is_err())
            {
                Counters::one(&self.shared.counters.output_failures);
            }
        }
        Report {
            unacknowledged,
            ..self.report()
        }
    }
}

/// Drives a fleet until `stop` is ready or the configured duration is over.
pub async fn run(config: FleetConfig, city: Arc<City>, stop: impl Future<Output = ()>) -> Report {
    let duration = config.duration;
    let fleet = Fleet::start(config, city);
    let ended = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stop => {}
        () = ended => {}
    }
    fleet.stop().await
}

/// The terminals of a fleet, each with its own generator: one more vehicle changes no other.
fn units_of(shared: &Arc<Shared>, city: &Arc<City>) -> Vec<Unit> {
    let config = &shared.config;
    let count = config
        .vehicles
        .unwrap_or(usize::MAX)
        .min(city.vehicle_list.len());
    let violators = violators(city, count, config.violators);
    let mut units = Vec::with_capacity(count);
    let mut may_publish = 0;
    for (index, vehicle) in city.vehicle_list.iter().enumerate().take(count) {
        let subject = u64::try_from(index).unwrap_or(0);
        let mut random = Random::for_subject(config.seed ^ 0x7E7E_0808, subject);
        let script = violators
            .iter()
            .position(|violator| *violator == index)
            .map(script_of);
        let actor = Actor::new(city, index, shared.clock.start_unix_s).map(Motion::Acts);
        let drives = || Driver::new(Arc::clone(city), index, script, config.seed);
        let Some(motion) = actor.or_else(|| drives().map(|d| Motion::Drives(Box::new(d)))) else {
            tracing::warn!(vehicle = vehicle.vehicle, "no street for this vehicle");
            continue;
        };
        let revision = config.revision(&mut random);
        let Some(identity) = Identity::new(&vehicle.phone, revision) else {
            continue;
        };
        let identity = Identity {
            plate: vehicle.plate.clone(),
            ..identity
        };
        let judge = Judge::new(city, index);
        let mut unit = Unit::new(Arc::clone(shared), motion, judge, identity, random);
        if let Some(mqtt) = &config.mqtt
            && (!mqtt.is_for_inspectors || vehicle.work_kind == WorkKind::Inspector)
        {
            if let Some(payload) = mqtt.payload_of(may_publish) {
                unit.report_over_mqtt(mqtt, payload);
            }
            may_publish += 1;
        }
        units.push(unit);
    }
    units
}

/// Which vehicles break rules of fences: fast ones without a round of their own, spread over the
/// fleet; at least one when the share is not 0.
fn violators(city: &City, count: usize, share: f64) -> Vec<usize> {
    let fast: Vec<usize> = city
        .vehicle_list
        .iter()
        .take(count)
        .enumerate()
        .filter(|(_, v)| matches!(v.work_kind, WorkKind::RefuseTruck | WorkKind::Sprinkler))
        .filter(|(index, _)| {
            let is_busy =
                |work: &Work| work.rounds.contains_key(index) || work.acts.contains_key(index);
            !city.work.as_ref().is_some_and(is_busy)
        })
        .map(|(index, _)| index)
        .collect();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of a fleet; the cast saturates"
    )]
    let wanted = (count as f64 * share.clamp(0.0, 1.0)).ceil() as usize;
    let step = fast.len().checked_div(wanted).unwrap_or(0).max(1);
    fast.into_iter().step_by(step).take(wanted).collect()
}

/// The first three violators begin at once, each with another rule; the others follow.
fn script_of(order: usize) -> Script {
    let first = match order % 3 {
        0 => FenceRule::KeepOut,
        1 => FenceRule::Speeding,
        _ => FenceRule::StayIn,
    };
    let order = u32::try_from(order).unwrap_or(u32::MAX);
    let begins_s = if order < 3 {
        3.0 + 4.0 * f64::from(order)
    } else {
        45.0 * f64::from(order)
    };
    Script { first, begins_s }
}

#[cfg(test)]
mod tests;
