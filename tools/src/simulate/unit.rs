//! One simulated terminal: takes fixes whatever its link does, and sends them when it can.
//!
//! ```text
//!            fix ──▶ in flight ──response──▶ acknowledged
//!             │       ▲     │ no response: the same frame again, then a new connection
//!    link down│       │     ▼
//!             └────▶ stored ──0x0704 type 1 (2011: 0x0200 one by one)──▶ in flight
//! ```

mod link;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use super::{
    FleetConfig, MqttFleet,
    actor::Motion,
    clock::SimClock,
    counters::Counters,
    noise::Receiver,
    truth::{Judge, TrueViolation},
};
use crate::{
    line::{Heard, Line, MqttTarget},
    mqtt::{self, PayloadKind},
    output::rfc3339_of,
    plane::Plane,
    random::Random,
    terminal::{Identity, TerminalError},
    wire::Report,
};

/// What all terminals of a fleet share.
#[derive(Debug)]
pub(super) struct Shared {
    pub config: FleetConfig,
    pub plane: Plane,
    pub clock: SimClock,
    pub counters: Counters,
    pub violations: std::sync::Mutex<Vec<TrueViolation>>,
}

/// A position that nobody has acknowledged yet.
#[derive(Clone, Debug)]
struct Position {
    fixed_at: i64,
    latitude: i32,
    longitude: i32,
    /// As [`Line::compose`] takes it.
    body: Vec<u8>,
}

/// A message that awaits its response.
#[derive(Debug)]
struct InFlight {
    id: u16,
    serial: u16,
    frame: Vec<u8>,
    positions: Vec<Position>,
    is_backlog: bool,
    resends: u32,
    due: Instant,
}

#[derive(Debug)]
enum Link {
    Down { retry_at: Instant },
    Up(Box<Line>),
}

/// One terminal with its vehicle.
#[derive(Debug)]
pub(super) struct Unit {
    shared: Arc<Shared>,
    motion: Motion,
    judge: Judge,
    receiver: Receiver,
    /// For what is in the fixes; apart from `random`, which the link's accidents use up as they
    /// come, so that the fixes of a seed are the same whatever the link does.
    fix_random: Random,
    random: Random,
    identity: Identity,
    /// `None`: over TCP.
    mqtt: Option<MqttTarget>,
    code: Option<Vec<u8>>,
    link: Link,
    failures: u32,
    in_flight: Vec<InFlight>,
    stored: VecDeque<Position>,
    interval_s: u32,
    /// Simulated seconds of the driver, and of the next fix.
    driven_s: u32,
    next_fix_s: u32,
    /// How long after the fix the terminal is ready to send.
    delay: Duration,
    odometer_m: f64,
    last_report: Report,
    next_heartbeat: Instant,
    next_outage_s: f64,
    next_log_out_s: f64,
    silent_until: Option<Instant>,
}

impl Unit {
    pub(super) fn new(
        shared: Arc<Shared>,
        motion: Motion,
        judge: Judge,
        identity: Identity,
        mut random: Random,
    ) -> Self {
        let config = &shared.config;
        let (low, high) = (config.interval_s.0.max(1), config.interval_s.1.max(1));
        let spread = usize::try_from(high.saturating_sub(low)).unwrap_or(0) + 1;
        let interval_s = low + u32::try_from(random.index(spread)).unwrap_or(0);
        let phase = random.index(usize::try_from(interval_s).unwrap_or(1));
        let now = Instant::now();
        let start = now + config.connect_spread.mul_f64(random.unit());
        let receiver = Receiver::new(config.noise, Random::new(random.next_u64()));
        let fix_random = Random::new(random.next_u64());
        let mut unit = Self {
            motion,
            judge,
            receiver,
            fix_random,
            identity,
            mqtt: None,
            code: None,
            link: Link::Down { retry_at: start },
            failures: 0,
            in_flight: Vec::new(),
            stored: VecDeque::new(),
            interval_s,
            driven_s: 0,
            next_fix_s: u32::try_from(phase).unwrap_or(0) + 1,
            delay: Duration::from_millis(u64::try_from(random.index(800)).unwrap_or(0)),
            odometer_m: random.between(1e6, 1e8),
            last_report: Report::default(),
            next_heartbeat: now + config.heartbeat,
            next_outage_s: f64::INFINITY,
            next_log_out_s: f64::INFINITY,
            silent_until: None,
            random,
            shared,
        };
        let from_s = unit.shared.config.outages_after_s;
        unit.next_outage_s = unit.after(from_s, unit.shared.config.outages_per_hour);
        unit.next_log_out_s = unit.after(from_s, unit.shared.config.log_outs_per_hour);
        unit
    }

    /// From now on; must be called before it runs.
    pub(super) fn report_over_mqtt(&mut self, mqtt: &MqttFleet, payload: PayloadKind) {
        let address = mqtt.address.clone();
        self.mqtt = Some(MqttTarget { address, payload });
    }

    /// Runs until told to stop, then until everything is acknowledged or `drain` is over. Gives
    /// how many positions are left.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> usize {
        let mut deadline: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if *stop.borrow() {
                if deadline.is_none() {
                    self.leave_dead_zone(now);
                }
                let deadline = *deadline.get_or_insert(now + self.shared.config.drain);
                if now >= deadline || self.unacknowledged() == 0 {
                    break;
                }
            } else {
                self.take_due_fixes(now);
                self.lose_link_when_due(now).await;
            }
            if let Link::Down { retry_at } = self.link
                && retry_at <= now
            {
                let is_stopping = *stop.borrow();
                tokio::select! {
                    () = self.open_link() => {}
                    _ = stop.changed(), if !is_stopping => {}
                    () = at_or_never(deadline) => {}
                }
            }
            if let Err(error) = self.send_due().await {
                self.drop_link(&error);
            }
            let wake = deadline.map_or_else(|| self.wake(), |end| self.wake().min(end));
            let is_stopping = *stop.borrow();
            tokio::select! {
                incoming = receive(&mut self.link) => match incoming {
                    Ok(heard) => self.on_message(heard).await,
                    Err(error) => self.drop_link(&error),
                },
                () = tokio::time::sleep_until(wake) => {}
                _ = stop.changed(), if !is_stopping => {}
            }
        }
        for violation in self.judge.open() {
            self.tell_violation(violation);
        }
        self.unacknowledged()
    }

    fn unacknowledged(&self) -> usize {
        self.stored.len()
            + self
                .in_flight
                .iter()
                .map(|m| m.positions.len())
                .sum::<usize>()
    }

    /// When something is to be done next, if nothing arrives before.
    fn wake(&self) -> Instant {
        let fix = self.shared.clock.moment(f64::from(self.next_fix_s)) + self.delay;
        match &self.link {
            Link::Down { retry_at } => fix.min(*retry_at),
            Link::Up(_) => match self.silent_until {
                Some(until) => fix.min(until),
                None => self
                    .in_flight
                    .iter()
                    .map(|message| message.due)
                    .fold(fix.min(self.next_heartbeat), Instant::min),
            },
        }
    }

    /// A moment after `from_s`, at random, `per_hour` times an hour on average.
    fn after(&mut self, from_s: f64, per_hour: f64) -> f64 {
        if per_hour <= 0.0 {
            return f64::INFINITY;
        }
        from_s - (1.0 - self.random.unit()).ln() * 3_600.0 / per_hour
    }
}

/// Fixes and what is done with them.
impl Unit {
    fn take_due_fixes(&mut self, now: Instant) {
        while self.shared.clock.moment(f64::from(self.next_fix_s)) + self.delay <= now {
            while self.driven_s < self.next_fix_s {
                self.driven_s += 1;
                self.drive_a_second();
            }
            if !self.motion.truth().is_dark {
                let position = self.take_fix();
                Counters::one(&self.shared.counters.fixes);
                self.store(position);
            }
            self.next_fix_s = self.next_fix_s.saturating_add(self.interval_s);
        }
    }

    fn unix_s(&self, sim_s: u32) -> i64 {
        self.shared
            .clock
            .start_unix_s
            .saturating_add(i64::from(sim_s))
    }

    fn drive_a_second(&mut self) {
        self.motion.advance(1.0);
        let truth = self.motion.truth();
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit an f64")]
        let at_s = self.unix_s(self.driven_s) as f64;
        for violation in self.judge.observe(at_s, truth.point, truth.speed_mps) {
            self.tell_violation(violation);
        }
        if let Some(output) = self.shared.config.truth.as_ref()
            && self.shared.config.truth_path
        {
            let (lat, lon) = self.shared.plane.degrees(truth.point);
            let line = serde_json::json!({
                "type": "position",
                "phone": self.identity.phone.digits(),
                "at": rfc3339_of(at_s),
                "lat": (lat * 1e7).round() / 1e7,
                "lon": (lon * 1e7).round() / 1e7,
                "speed_kmh": (truth.speed_mps * 36.0).round() / 10.0,
            });
            self.count_output(output.line(&line.to_string()));
        }
    }

    fn tell_violation(&self, violation: TrueViolation) {
        if let Some(output) = &self.shared.config.truth {
            let line = serde_json::json!({
                "type": "violation",
                "vehicle": violation.vehicle,
                "phone": violation.phone,
                "kind": violation.kind,
                "rule": violation.rule,
                "start": rfc3339_of(violation.start_s),
                "end": violation.end_s.map(rfc3339_of),
            });
            self.count_output(output.line(&line.to_string()));
        }
        let mut violations = self
            .shared
            .violations
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if violations.len() >= 100_000 {
            violations.remove(0);
        }
        violations.push(violation);
    }

    fn count_output(&self, written: std::io::Result<()>) {
        if written.is_err() {
            Counters::one(&self.shared.counters.output_failures);
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float to integer cast saturates, and all of these are small and positive"
    )]
    fn take_fix(&mut self) -> Position {
        let truth = self.motion.truth();
        let fix = self
            .receiver
            .fix(truth.point, truth.speed_mps, f64::from(self.interval_s));
        let (latitude, longitude) = self.shared.plane.micro_degrees(fix.point);
        let speed_dkmh = (fix.speed_mps * 36.0).round() as u16;
        let odometer_dkm = ((self.odometer_m + truth.driven_m) / 100.0) as u32;
        let fixed_at = self.unix_s(self.next_fix_s);
        let signal = 18 + u8::try_from(self.fix_random.index(13)).unwrap_or(0);
        let mut items = vec![
            (0x01, odometer_dkm.to_be_bytes().to_vec()),
            (0x03, speed_dkmh.to_be_bytes().to_vec()),
            (0x30, vec![signal]),
            (0x31, vec![fix.satellites]),
        ];
        if let Some(signals) = truth.signals {
            items.push((0x25, signals.to_be_bytes().to_vec()));
        }
        let report = Report {
            alarms: truth.alarms,
            status: Report::status_of(truth.is_acc_on),
            latitude,
            longitude,
            altitude_m: 790,
            speed_dkmh,
            heading_deg: (truth.heading_deg.round() as u16) % 360,
            fixed_at,
            items,
        };
        let is_json = self
            .mqtt
            .as_ref()
            .is_some_and(|mqtt| mqtt.payload == PayloadKind::Json);
        let body = if is_json {
            mqtt::fields(&report).into_bytes()
        } else {
            report.body()
        };
        self.last_report = report;
        Position {
            fixed_at,
            latitude,
            longitude,
            body,
        }
    }

    /// Keeps a position until it can be sent; the store is bounded.
    fn store(&mut self, position: Position) {
        if self.stored.len() >= self.shared.config.stored_positions_max.max(1) {
            self.stored.pop_front();
            Counters::one(&self.shared.counters.dropped);
        }
        self.stored.push_back(position);
    }
}

/// The next message of the platform, or never.
async fn receive(link: &mut Link) -> Result<Heard, TerminalError> {
    match link {
        Link::Up(line) => line.receive().await,
        Link::Down { .. } => std::future::pending().await,
    }
}

async fn at_or_never(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
