//! A terminal's link: how it comes and goes, and what is sent and answered on it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{InFlight, Link, Position, Unit};
use crate::{
    line::{self, Heard, Line},
    output::acknowledged_line,
    simulate::counters::Counters,
    stream,
    terminal::TerminalError,
    wire::{Incoming, Revision, message_id},
};

/// Live reports that await their responses at a time.
const IN_FLIGHT_MAX: usize = 8;
/// Stored positions in one batch: about 50 bytes each, in a body of 1,023.
const BATCH_POSITIONS: usize = 15;

/// What happens on the connection.
impl Unit {
    /// Connects, registers if there is no code, authenticates.
    pub(super) async fn open_link(&mut self) {
        let shared = Arc::clone(&self.shared);
        let opened = async {
            let limit = shared.config.response_timeout;
            let target = shared.config.target.as_str();
            if let Some(mqtt) = &self.mqtt {
                let code = match self.code.clone() {
                    Some(code) => code,
                    None => {
                        let code = line::register(target, self.identity.clone(), limit).await?;
                        Counters::one(&shared.counters.registrations);
                        self.code.insert(code).clone()
                    }
                };
                let opened = Line::over_mqtt(mqtt, self.identity.clone(), &code, limit).await?;
                Counters::one(&shared.counters.mqtt_connects);
                return Ok(opened);
            }
            let mut terminal = stream::over_tcp(target, self.identity.clone(), limit).await?;
            let code = match self.code.clone() {
                Some(code) => code,
                None => {
                    let code = terminal.register().await?;
                    Counters::one(&shared.counters.registrations);
                    self.code.insert(code).clone()
                }
            };
            terminal.authenticate(&code).await?;
            Ok::<_, TerminalError>(Line::Frames(terminal))
        }
        .await;
        match opened {
            Ok(line) => {
                Counters::one(&shared.counters.connects);
                self.failures = 0;
                self.next_heartbeat = Instant::now() + shared.config.heartbeat;
                self.link = Link::Up(Box::new(line));
            }
            Err(error) => {
                tracing::debug!(reason = error.reason(), "a terminal could not connect");
                Counters::one(&shared.counters.connect_failures);
                if matches!(
                    error,
                    TerminalError::Refused { .. } | TerminalError::NotLetIn { .. }
                ) {
                    Counters::one(&shared.counters.refused);
                    // The code may have been lost there: the next attempt registers again.
                    self.code = None;
                }
                self.retry_later();
            }
        }
    }

    /// The pause before the next attempt: doubling from one second, at random by a half.
    fn retry_later(&mut self) {
        let doubled = Duration::from_secs(1 << self.failures.min(10));
        let longest = doubled.min(self.shared.config.reconnect_max);
        self.failures = self.failures.saturating_add(1);
        let pause = longest.mul_f64(self.random.between(0.5, 1.0));
        self.close_link(Instant::now() + pause);
    }

    pub(super) fn drop_link(&mut self, error: &TerminalError) {
        tracing::debug!(reason = error.reason(), "a terminal lost its connection");
        if matches!(self.link, Link::Up(_)) {
            Counters::one(&self.shared.counters.disconnects);
        }
        self.retry_later();
    }

    /// Closes the connection; what awaits a response goes back to the store, in order.
    fn close_link(&mut self, retry_at: Instant) {
        self.link = Link::Down { retry_at };
        self.silent_until = None;
        let unanswered: Vec<Position> = self
            .in_flight
            .drain(..)
            .flat_map(|message| message.positions)
            .collect();
        Counters::add(&self.shared.counters.stored_again, unanswered.len());
        self.put_back(unanswered);
    }

    fn put_back(&mut self, positions: Vec<Position>) {
        if positions.is_empty() {
            return;
        }
        for position in positions {
            self.store(position);
        }
        self.stored
            .make_contiguous()
            .sort_by_key(|position| position.fixed_at);
    }

    /// Dead zones and planned disconnects, when it is time for one.
    pub(super) async fn lose_link_when_due(&mut self, now: Instant) {
        let now_s = self.shared.clock.seconds(now);
        if self.silent_until.is_some_and(|until| until <= now) {
            self.silent_until = None;
        }
        let config = &self.shared.config;
        if now_s >= self.next_outage_s {
            let (low, high) = config.outage_s;
            let per_hour = config.outages_per_hour;
            let until_s = now_s + self.random.between(low, high);
            let until = self.shared.clock.moment(until_s);
            Counters::one(&self.shared.counters.outages);
            // Half of the links break; the others are up, and nothing gets through.
            if self.random.chance(0.5) {
                self.close_link(until);
            } else {
                self.silent_until = Some(until);
            }
            self.next_outage_s = self.after(until_s, per_hour);
        } else if now_s >= self.next_log_out_s {
            let per_hour = config.log_outs_per_hour;
            self.next_log_out_s = self.after(now_s, per_hour);
            if self.silent_until.is_none()
                && let Link::Up(line) = &mut self.link
            {
                match line.log_out().await {
                    Ok(()) => Counters::one(&self.shared.counters.log_outs),
                    Err(error) => return self.drop_link(&error),
                }
                // Answers that came before it are lost with the connection: a resend more.
                let pause = self.random.between(5.0, 20.0);
                self.close_link(Instant::now() + Duration::from_secs_f64(pause));
            }
        }
    }

    /// The end of the simulation ends a dead zone: what was stored in it can still be sent.
    pub(super) fn leave_dead_zone(&mut self, now: Instant) {
        self.silent_until = None;
        if let Link::Down { retry_at } = &mut self.link {
            *retry_at = now.min(*retry_at);
        }
    }

    /// Sends what is due: resends, stored positions, heartbeats.
    pub(super) async fn send_due(&mut self) -> Result<(), TerminalError> {
        let Link::Up(line) = &mut self.link else {
            return Ok(());
        };
        if self.silent_until.is_some() {
            return Ok(());
        }
        let (config, counters) = (&self.shared.config, &self.shared.counters);
        let now = Instant::now();
        for message in self
            .in_flight
            .iter_mut()
            .filter(|message| message.due <= now)
        {
            if message.resends >= config.resends_max || !line.may_resend() {
                let limit = config.response_timeout;
                return Err(TerminalError::Timeout {
                    awaited: "response",
                    limit,
                });
            }
            message.resends += 1;
            // T(N+1) = T(N) × (N+1).
            message.due = now + config.response_timeout * (message.resends + 1);
            line.send_raw(&message.frame).await?;
            Counters::one(&counters.resent);
        }
        // Batches came with 2013; over MQTT as JSON they always were.
        let has_batches = self.identity.revision != Revision::V2011 || !line.may_resend();
        while let Some(newest) = self.stored.back() {
            // The newest goes first, if it is fresh: a backlog never delays what is live.
            let is_live = newest.fixed_at + i64::from(self.interval_s)
                >= self.shared.clock.start_unix_s + i64::from(self.next_fix_s);
            let is_old_busy = self.in_flight.iter().any(|message| message.is_backlog);
            let (positions, is_backlog): (Vec<Position>, _) =
                if is_live && self.in_flight.len() < IN_FLIGHT_MAX {
                    (self.stored.pop_back().into_iter().collect(), false)
                } else if is_old_busy || is_live {
                    break;
                } else if has_batches {
                    let count = self.stored.len().min(BATCH_POSITIONS);
                    Counters::one(&counters.backlog_batches);
                    (self.stored.drain(..count).collect(), true)
                } else {
                    (self.stored.pop_front().into_iter().collect(), true)
                };
            let bodies: Vec<Vec<u8>> = positions.iter().map(|p| p.body.clone()).collect();
            let (id, serial, frame) = match line.compose(is_backlog && has_batches, &bodies) {
                Ok(composed) => composed,
                Err(error) => {
                    self.put_back(positions);
                    return Err(error);
                }
            };
            let count = if is_backlog {
                &counters.backlog_positions
            } else {
                &counters.sent
            };
            Counters::add(count, positions.len());
            let due = now + config.response_timeout;
            let sent = line.send_raw(&frame).await;
            // Kept even if it failed: nobody knows how much of it arrived.
            self.in_flight.push(InFlight {
                id,
                serial,
                frame,
                positions,
                is_backlog,
                resends: 0,
                due,
            });
            sent?;
        }
        if self.next_heartbeat <= now && !self.motion.truth().is_dark {
            self.next_heartbeat = now + config.heartbeat;
            line.heartbeat().await?;
            Counters::one(&counters.heartbeats);
        }
        Ok(())
    }

    pub(super) async fn on_message(&mut self, heard: Heard) {
        let answered = match heard {
            Heard::Answer { serial, id, result } => {
                self.on_response(serial, id, result);
                Ok(())
            }
            Heard::Command(command) => self.answer_command(&command).await,
            Heard::JsonCommand(command) => self.answer_json(&command).await,
            Heard::Other => Ok(()),
        };
        if let Err(error) = answered {
            self.drop_link(&error);
        }
    }

    /// `id`: of the message that is answered, where the answer says so.
    fn on_response(&mut self, serial: u16, id: Option<u16>, result: u8) {
        let counters = &self.shared.counters;
        if id.is_some_and(|id| {
            !matches!(id, message_id::LOCATION_REPORT | message_id::LOCATION_BATCH)
        }) {
            return;
        }
        if self.random.chance(self.shared.config.lost_responses) {
            Counters::one(&counters.responses_lost);
            return;
        }
        let waiting = self
            .in_flight
            .iter()
            .position(|message| message.serial == serial && id.is_none_or(|id| id == message.id));
        let Some(index) = waiting else {
            Counters::one(&counters.responses_unexpected);
            return;
        };
        let message = self.in_flight.swap_remove(index);
        self.on_answer(message, result);
    }

    fn on_answer(&mut self, message: InFlight, result: u8) {
        let counters = &self.shared.counters;
        match result {
            0 | 4 => {
                Counters::add(&counters.acknowledged, message.positions.len());
                if let Some(output) = &self.shared.config.acknowledged {
                    let phone = self.identity.phone.digits();
                    for p in &message.positions {
                        let line = acknowledged_line(&phone, p.fixed_at, p.latitude, p.longitude);
                        self.count_output(output.line(&line));
                    }
                }
            }
            // Not now: perhaps not authenticated any more, perhaps its disk is full.
            1 => {
                self.put_back(message.positions);
                self.code = None;
                let refusal = TerminalError::Refused {
                    id: message.id,
                    result,
                };
                self.drop_link(&refusal);
            }
            _ => Counters::add(&counters.rejected, message.positions.len()),
        }
    }

    /// Does what a simple terminal does with a command: says where it is, else that it has
    /// understood.
    async fn answer_command(&mut self, command: &Incoming) -> Result<(), TerminalError> {
        let Link::Up(line) = &mut self.link else {
            return Ok(());
        };
        let Line::Frames(terminal) = line.as_mut() else {
            return Ok(());
        };
        if command.id == message_id::LOCATION_QUERY {
            let mut body = command.serial.to_be_bytes().to_vec();
            body.extend(self.last_report.body());
            terminal
                .send(message_id::LOCATION_QUERY_RESPONSE, &body)
                .await?;
        } else {
            let mut body = command.serial.to_be_bytes().to_vec();
            body.extend(command.id.to_be_bytes());
            body.push(0);
            terminal.send(message_id::TERMINAL_RESPONSE, &body).await?;
        }
        Counters::one(&self.shared.counters.commands);
        Ok(())
    }

    async fn answer_json(&mut self, command: &[u8]) -> Result<(), TerminalError> {
        if let Link::Up(line) = &mut self.link
            && line.answer_json(command).await?
        {
            Counters::one(&self.shared.counters.commands);
        }
        Ok(())
    }
}
