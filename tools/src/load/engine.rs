//! The event loop: logs all terminals in, lets them report, and counts what comes back.

use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token};

use super::{
    Acknowledged, LoadConfig, LoadError, LoadReport, Pace,
    connection::{Connection, Reply, State},
    course::Course,
    latency::Histogram,
    publisher::Publisher,
    report_frame::ReportFrame,
};
use crate::mqtt::is_refusal;

/// Terminals that are about to log in at a time: fewer than any backlog of a listening socket.
const OPENING_MAX: usize = 128;
/// Waiting for events is interrupted after this, to look at the time.
const PATIENCE: Duration = Duration::from_millis(100);
/// In an open loop reports are due all the time.
const OPEN_LOOP_PATIENCE: Duration = Duration::from_millis(1);

/// All terminals of a load and what they wait for.
#[derive(Debug)]
pub(super) struct Engine {
    config: LoadConfig,
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    log_in_s: f64,
    alive: usize,
}

impl Engine {
    pub(super) fn new(config: &LoadConfig) -> Result<Self, LoadError> {
        if config.connections == 0 || config.connections > 1_000_000 {
            return Err(LoadError::Config("the number of connections"));
        }
        Ok(Self {
            config: config.clone(),
            poll: Poll::new()?,
            events: Events::with_capacity(1_024),
            connections: Vec::with_capacity(config.connections),
            scratch: vec![0; 64 * 1024],
            log_in_s: 0.0,
            alive: 0,
        })
    }

    /// What the next load is like; who the terminals are does not change.
    pub(super) fn set_pace(&mut self, pace: &Pace) {
        let config = &mut self.config;
        (config.rate, config.warm_up, config.duration) = (pace.rate, pace.warm_up, pace.duration);
    }

    pub(super) const fn alive(&self) -> usize {
        self.alive
    }

    /// Waits for events; gives the indices of their connections.
    fn wait(&mut self, patience: Duration) -> io::Result<Vec<usize>> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Vec::new()),
            polled => polled?,
        }
        Ok(self.events.iter().map(|event| event.token().0).collect())
    }

    /// Connects all terminals; registers and authenticates them, if asked to.
    pub(super) fn connect(&mut self, authenticates: bool) -> Result<(), LoadError> {
        let began = Instant::now();
        let wanted = self.config.connections;
        while self.alive < wanted {
            while self.connections.len() < wanted
                && self.connections.len() - self.alive < OPENING_MAX
            {
                self.open()
                    .map_err(|error| self.log_in_failed(&error.to_string()))?;
            }
            if began.elapsed() > self.config.log_in_limit {
                return Err(self.log_in_failed("the time is over"));
            }
            for index in self.wait(PATIENCE)? {
                self.log_in_step(index, authenticates)
                    .map_err(|error| self.log_in_failed(&error.to_string()))?;
            }
        }
        self.log_in_s = began.elapsed().as_secs_f64();
        Ok(())
    }

    fn log_in_failed(&self, failure: &str) -> LoadError {
        LoadError::LogIn {
            done: self.alive,
            wanted: self.config.connections,
            failure: failure.to_owned(),
        }
    }

    const fn phone_of(&self, index: usize) -> u64 {
        self.config.first_phone.saturating_add(index as u64)
    }

    fn open(&mut self) -> io::Result<()> {
        let index = self.connections.len();
        let phone = self.phone_of(index);
        let connection = Connection::open(
            self.config.target,
            phone,
            self.config.first_position,
            self.poll.registry(),
            Token(index),
        )?;
        self.connections.push(connection);
        Ok(())
    }

    fn log_in_step(&mut self, index: usize, authenticates: bool) -> io::Result<()> {
        let (phone, mqtt) = (self.phone_of(index), self.config.mqtt);
        let Some(connection) = self.connections.get_mut(index) else {
            return Ok(());
        };
        if connection.state == State::Connecting {
            if !connection.has_connected()? {
                return Ok(());
            }
            if authenticates {
                connection.queue_registration();
                connection.state = State::Registering;
            } else {
                connection.state = State::Ready;
                self.alive += 1;
            }
        }
        if connection.state == State::Moving {
            if !connection.has_connected()? {
                return Ok(());
            }
            connection.queue_connect(phone);
            connection.state = State::Authenticating;
        }
        let mut refusal = None;
        connection.read(&mut self.scratch, |connection, reply| match reply {
            Reply::Registered { result: 0, code } if mqtt.is_some() => connection.keep_code(code),
            Reply::Registered { result: 0, code } => {
                connection.queue_authentication(&code);
                connection.state = State::Authenticating;
            }
            Reply::Answer(answer) if answer.result == 0 => {
                if connection.state == State::Authenticating {
                    connection.state = State::Ready;
                    self.alive += 1;
                }
            }
            Reply::LetIn { reason } if !is_refusal(reason) => {
                connection.state = State::Ready;
                self.alive += 1;
            }
            Reply::LetIn { reason } => refusal = Some(("MQTT session", reason)),
            Reply::Registered { result, .. } => refusal = Some(("registration", result)),
            Reply::Answer(answer) => refusal = Some(("authentication", answer.result)),
        })?;
        if let (State::Registered, Some(mqtt)) = (connection.state, mqtt) {
            let publisher = Publisher::new(mqtt.payload, phone);
            let registry = self.poll.registry();
            return connection.open_mqtt(mqtt.target, publisher, registry, Token(index));
        }
        if let Some((what, result)) = refusal {
            return Err(io::Error::other(format!(
                "{what} refused with result {result}"
            )));
        }
        connection.flush()
    }

    /// Lets the terminals report until the time is over.
    pub(super) fn load(&mut self) -> Result<LoadReport, LoadError> {
        let mut load = Load::new(&self.config);
        load.start(self);
        while load.is_going_on(self) {
            let patience = load.patience();
            for index in self.wait(patience)? {
                load.on_event(self, index);
            }
            load.look_at_the_clock();
            load.send_due(self);
        }
        Ok(load.report(self))
    }

    fn close(&mut self, index: usize) {
        if let Some(connection) = self.connections.get_mut(index)
            && connection.state != State::Closed
        {
            connection.close(self.poll.registry());
            self.alive -= 1;
        }
    }

    /// Looks, without waiting, which connections have ended.
    pub(super) fn notice_closed(&mut self) -> Result<(), LoadError> {
        loop {
            let indices = self.wait(Duration::ZERO)?;
            if indices.is_empty() {
                return Ok(());
            }
            for index in indices {
                let ended = self.connections.get_mut(index).is_some_and(|connection| {
                    connection.state != State::Closed
                        && connection.read(&mut self.scratch, |_, _| ()).is_err()
                });
                if ended {
                    self.close(index);
                }
            }
        }
    }
}

fn terminal_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The counts of a load that goes on.
struct Load {
    began: Instant,
    /// Microseconds since then.
    now_us: u64,
    course: Course,
    measure_from_us: u64,
    measure_to_us: u64,
    ends_us: u64,
    in_flight_max: usize,
    /// Reports in a message.
    batch: u32,
    rate: Option<f64>,
    /// Messages that the open loop has let go.
    issued: u64,
    /// Open loop: indices of the connections that may have more in flight, each once.
    free: VecDeque<usize>,
    template: ReportFrame,
    histogram: Histogram,
    lateness: Histogram,
    sent: u64,
    acknowledged: u64,
    acknowledged_measured: u64,
    refused: u64,
    keeps: bool,
    list: Vec<Acknowledged>,
}

impl Load {
    fn new(config: &LoadConfig) -> Self {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let measure_from_us = micros(config.warm_up);
        let measure_to_us = measure_from_us.saturating_add(micros(config.duration));
        Self {
            began: Instant::now(),
            now_us: 0,
            course: Course::new(config),
            measure_from_us,
            measure_to_us,
            ends_us: measure_to_us.saturating_add(micros(config.drain)),
            in_flight_max: config.in_flight,
            batch: config.batch,
            rate: config.rate,
            issued: 0,
            free: VecDeque::new(),
            template: ReportFrame::new(),
            histogram: Histogram::new(),
            lateness: Histogram::new(),
            sent: 0,
            acknowledged: 0,
            acknowledged_measured: 0,
            refused: 0,
            keeps: config.keeps_acknowledged,
            list: Vec::new(),
        }
    }

    fn start(&mut self, engine: &mut Engine) {
        // What an earlier load left unanswered is of no interest any more.
        for connection in &mut engine.connections {
            connection.in_flight.clear();
        }
        self.began = Instant::now();
        self.look_at_the_clock();
        let all = 0..engine.connections.len();
        if self.rate.is_some() {
            self.free = all.collect();
        } else {
            all.for_each(|index| self.fill(engine, index));
        }
    }

    fn look_at_the_clock(&mut self) {
        self.now_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
    }

    const fn is_sending(&self) -> bool {
        self.now_us < self.measure_to_us
    }

    fn is_going_on(&self, engine: &Engine) -> bool {
        let is_all_answered = self.acknowledged + self.refused >= self.sent;
        let is_done = is_all_answered && self.issued >= self.due();
        engine.alive > 0 && (self.is_sending() || (self.now_us < self.ends_us && !is_done))
    }

    /// Open loop: messages that should have been sent until now.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "microseconds and counts of a bounded run; a float to integer cast saturates"
    )]
    fn due(&self) -> u64 {
        let until_us = self.now_us.min(self.measure_to_us);
        self.rate
            .map_or(0, |rate| (until_us as f64 * rate / 1e6) as u64)
    }

    /// Open loop: when the message behind so many is due. The first is due when its share of a
    /// second is over, not before.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "microseconds and counts of a bounded run; a float to integer cast saturates"
    )]
    fn due_us(&self, before: u64) -> u64 {
        self.rate
            .map_or(0, |rate| ((before + 1) as f64 / rate * 1e6) as u64)
    }

    const fn is_measured(&self, due_us: u64) -> bool {
        self.measure_from_us <= due_us && due_us < self.measure_to_us
    }

    const fn patience(&self) -> Duration {
        if self.rate.is_some() && self.is_sending() {
            OPEN_LOOP_PATIENCE
        } else {
            PATIENCE
        }
    }

    fn on_event(&mut self, engine: &mut Engine, index: usize) {
        let Some(connection) = engine.connections.get_mut(index) else {
            return;
        };
        if connection.state == State::Closed {
            return;
        }
        self.now_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let read = connection.read(&mut engine.scratch, |connection, reply| {
            let Reply::Answer(answer) = reply else { return };
            let Some(report) = connection.settle(answer) else {
                return;
            };
            if self.rate.is_some() && connection.in_flight.len() + 1 == self.in_flight_max {
                self.free.push_back(index);
            }
            if answer.result != 0 {
                self.refused += u64::from(self.batch);
                return;
            }
            self.acknowledged += u64::from(self.batch);
            if self.is_measured(self.now_us) {
                self.acknowledged_measured += u64::from(self.batch);
            }
            if self.is_measured(report.due_us) {
                self.histogram
                    .record(self.now_us.saturating_sub(report.due_us));
            }
            if self.keeps {
                let numbers = report.number..report.number.saturating_add(self.batch);
                let (course, terminal) = (self.course, terminal_of(index));
                self.list.extend(numbers.map(|number| Acknowledged {
                    terminal,
                    number,
                    fixed_at: course.fix(terminal, number, report.due_us).at,
                    due_ms: u32::try_from(report.due_us / 1_000).unwrap_or(u32::MAX),
                }));
            }
        });
        if read.is_err() {
            engine.close(index);
        } else if self.rate.is_none() && self.is_sending() {
            self.fill(engine, index);
        } else if connection.flush().is_err() {
            engine.close(index);
        }
    }

    /// Closed loop: as many reports as may be in flight.
    fn fill(&mut self, engine: &mut Engine, index: usize) {
        let Some(connection) = engine.connections.get_mut(index) else {
            return;
        };
        while connection.in_flight.len() < self.in_flight_max {
            let (course, terminal, due_us) = (self.course, terminal_of(index), self.now_us);
            let fix = |number| course.fix(terminal, number, due_us);
            connection.queue_reports(&mut self.template, self.batch, fix, due_us);
            self.sent += u64::from(self.batch);
        }
        if connection.flush().is_err() {
            engine.close(index);
        }
    }

    /// Open loop: what is due, as far as terminals are free. A terminal sends what is due as far as
    /// it may, in one write, before the next one has its turn: as in the closed loop. A message to
    /// each terminal instead would be a write, a read, an answer and an event for each, at many
    /// times the cost for both sides, and the load would be late at half of the closed loop's rate.
    /// What could not be sent in time is still sent when the time is over: it was due.
    fn send_due(&mut self, engine: &mut Engine) {
        let due = self.due();
        while self.issued < due {
            let Some(index) = self.free.pop_front() else {
                return;
            };
            let Some(connection) = engine.connections.get_mut(index) else {
                continue;
            };
            if connection.state != State::Ready {
                continue;
            }
            while self.issued < due && connection.in_flight.len() < self.in_flight_max {
                let due_us = self.due_us(self.issued);
                if self.is_measured(due_us) {
                    self.lateness.record(self.now_us.saturating_sub(due_us));
                }
                let (course, terminal) = (self.course, terminal_of(index));
                let fix = |number| course.fix(terminal, number, due_us);
                connection.queue_reports(&mut self.template, self.batch, fix, due_us);
                self.issued += 1;
                self.sent += u64::from(self.batch);
            }
            if connection.in_flight.len() < self.in_flight_max {
                self.free.push_back(index);
            }
            if connection.flush().is_err() {
                engine.close(index);
            }
        }
    }

    /// What was due and has no answer counts with the time that it has waited so far: a server that
    /// stops answering must not look like one that answers soon. Gives the messages never sent.
    fn count_what_waits(&mut self, engine: &Engine) -> u64 {
        for report in engine.connections.iter().flat_map(|c| &c.in_flight) {
            if self.is_measured(report.due_us) {
                self.histogram
                    .record(self.now_us.saturating_sub(report.due_us));
            }
        }
        let due = self.due();
        for before in self.issued..due {
            let due_us = self.due_us(before);
            if self.is_measured(due_us) {
                let waited_us = self.now_us.saturating_sub(due_us);
                self.histogram.record(waited_us);
                self.lateness.record(waited_us);
            }
        }
        due.saturating_sub(self.issued)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds and counts of a bounded run"
    )]
    fn report(mut self, engine: &Engine) -> LoadReport {
        let unsent = self.count_what_waits(engine);
        let measured_us = self
            .now_us
            .min(self.measure_to_us)
            .saturating_sub(self.measure_from_us);
        let measured_s = measured_us as f64 / 1e6;
        let per_s = |count: u64| {
            if measured_us > 0 {
                count as f64 / measured_s
            } else {
                0.0
            }
        };
        LoadReport {
            connections: engine.connections.len(),
            log_in_s: engine.log_in_s,
            sent: self.sent,
            acknowledged: self.acknowledged,
            refused: self.refused,
            unanswered: self.sent.saturating_sub(self.acknowledged + self.refused),
            unsent: unsent.saturating_mul(self.batch.into()),
            closed: engine.connections.len() - engine.alive,
            measured_s,
            acknowledged_per_s: per_s(self.acknowledged_measured),
            latency: self.histogram.latency(),
            lateness: self.lateness.latency(),
            acknowledged_list: self.list,
            course: self.course,
            first_phone: engine.config.first_phone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::{TestServer, Whims};

    /// Five terminals with up to three messages in flight, of which one is due each millisecond.
    fn engine(server: &TestServer) -> Engine {
        let mut engine = Engine::new(&LoadConfig {
            connections: 5,
            in_flight: 3,
            rate: Some(1_000.0),
            warm_up: Duration::ZERO,
            duration: Duration::from_millis(400),
            drain: Duration::ZERO,
            ..LoadConfig::new(server.address)
        })
        .unwrap();
        engine.connect(true).unwrap();
        engine
    }

    #[test]
    fn what_is_due_at_a_time_leaves_by_as_few_terminals_as_may_send_it() {
        let server = TestServer::start(Whims::default());
        let mut engine = engine(&server);
        let mut load = Load::new(&engine.config);
        load.start(&mut engine);
        for (now_us, expected) in [
            (7_000, [3, 3, 1, 0, 0]),
            // Who had no turn is before who may send more.
            (9_000, [3, 3, 1, 2, 0]),
            (10_000, [3, 3, 1, 2, 1]),
            (100_000, [3, 3, 3, 3, 3]),
        ] {
            load.now_us = now_us;
            load.send_due(&mut engine);
            let in_flight = engine.connections.iter().map(|c| c.in_flight.len());
            assert_eq!(in_flight.collect::<Vec<_>>(), expected, "at {now_us} µs");
        }
        assert_eq!((load.issued, load.due()), (15, 100));
    }

    #[test]
    fn what_a_silent_server_keeps_waiting_is_not_left_out() {
        let server = TestServer::start(Whims {
            forgets_answer_every: 1,
            ..Whims::default()
        });
        let report = engine(&server).load().unwrap();
        assert_eq!(
            (report.sent, report.unanswered, report.unsent),
            (15, 15, 385)
        );
        // The half that was due in the first half of 400 ms has waited for the second at least.
        assert!(report.latency.p50_ms >= 199.0, "{:?}", report.latency);
        assert!(report.lateness.p50_ms >= 180.0, "{:?}", report.lateness);
    }
}
