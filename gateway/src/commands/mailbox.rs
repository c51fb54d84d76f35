//! The open commands of one terminal: which is sent next, which answer belongs to which, what is
//! sent again and what is given up. Neither sockets nor disk: the [desk](super) around it does what
//! this decides, and writes it down.

#[cfg(test)]
mod tests;

use geofence::units::Timestamp;
use protocols::jt808::{
    message::{Answer, MessageId},
    series::SentSeries,
};
use storage::commands::{Change, Command, CommandId, CommandState, Sending};

use crate::{config::CommandRules, session::result};

/// What a terminal says to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalAnswer {
    /// The message that it is.
    pub message_id: MessageId,
    /// The serial number of the command, where the message has one.
    pub serial: Option<u16>,
    /// Of a general response (0x0001): the message that it answers.
    pub answered_id: Option<MessageId>,
    /// Its result, where it has one.
    pub result: Option<u8>,
    /// What it says, as JSON text; none of a general response.
    pub content: Option<String>,
}

/// What ends a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    /// The message that is its answer; `None` where the general response is.
    content: Option<MessageId>,
    /// Without that message it is not done, whatever the general response says.
    needs_content: bool,
    /// To do it twice is not the same as to do it once.
    is_once: bool,
}

impl Rule {
    fn of(id: MessageId) -> Self {
        let (content, needs_content) = match id.info().map(|info| info.answer) {
            Some(Answer::Message(content)) => (Some(content), true),
            // The upload is media, and answers itself.
            Some(Answer::GeneralThen(MessageId::MULTIMEDIA_DATA)) => (None, false),
            Some(Answer::GeneralThen(content) | Answer::Either(content)) => (Some(content), false),
            Some(Answer::None | Answer::General) | None => (None, false),
        };
        Self {
            content,
            needs_content,
            is_once: matches!(id, MessageId::TERMINAL_CONTROL | MessageId::VEHICLE_CONTROL),
        }
    }
}

/// How far a command has come.
#[derive(Clone, Debug)]
enum Stage {
    Waiting,
    /// It is on a link.
    InFlight {
        epoch: u64,
        series: SentSeries,
        overdue_at: Timestamp,
    },
    /// The general response came, on whichever link; its content may still come.
    Acknowledged {
        until: Timestamp,
        first_serial: u16,
        packets: u16,
    },
    /// It failed without an answer, which may be late: that a terminal has done it after all is not
    /// to be lost.
    GivenUp {
        epoch: u64,
        until: Timestamp,
        first_serial: u16,
        packets: u16,
    },
}

#[derive(Clone, Debug)]
struct Entry {
    command: Command,
    rule: Rule,
    attempts: u32,
    stage: Stage,
}

impl Entry {
    fn has_serial(&self, serial: u16) -> bool {
        match &self.stage {
            Stage::Waiting => false,
            Stage::InFlight { series, .. } => series.has_serial(serial),
            Stage::Acknowledged {
                first_serial,
                packets,
                ..
            }
            | Stage::GivenUp {
                first_serial,
                packets,
                ..
            } => serial.wrapping_sub(*first_serial) < *packets,
        }
    }

    /// It was sent, and is not over.
    const fn is_under_way(&self) -> bool {
        matches!(
            self.stage,
            Stage::InFlight { .. } | Stage::Acknowledged { .. }
        )
    }

    fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting)
    }
}

/// A command, and what happens to it.
pub type Move = (CommandId, Change);

/// The open commands of one terminal, in the order of delivery.
#[derive(Clone, Debug, Default)]
pub struct Mailbox {
    entries: Vec<Entry>,
}

impl Mailbox {
    /// Nothing is open.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Something was sent, and an answer to it may come.
    #[must_use]
    pub fn is_expecting(&self) -> bool {
        self.entries.iter().any(|entry| !entry.is_waiting())
    }

    /// One more: urgent ones before others, then as they were queued.
    pub fn push(&mut self, command: Command) {
        let key = |command: &Command| (!command.is_urgent, command.number);
        let at = self
            .entries
            .partition_point(|entry| key(&entry.command) < key(&command));
        let entry = Entry {
            rule: Rule::of(MessageId(command.message_id)),
            attempts: command.attempts,
            stage: Stage::Waiting,
            command,
        };
        self.entries.insert(at, entry);
    }

    /// One that an earlier run left. What may have reached its terminal then is sent again where
    /// that does no harm.
    pub fn restore(
        &mut self,
        command: Command,
        now: Timestamp,
        rules: &CommandRules,
    ) -> Option<Move> {
        let id = command.id;
        let (state, acknowledged, sending) =
            (command.state, command.acknowledged_at, command.sending);
        self.push(command);
        if state == CommandState::Queued {
            return None;
        }
        if let (Some(_), Some(sending)) = (acknowledged, sending) {
            let entry = self.entry(id)?;
            entry.stage = Stage::Acknowledged {
                until: now.after(rules.content_timeout),
                first_serial: sending.first_serial,
                packets: sending.packets,
            };
            return None;
        }
        self.take_back(id, "restarted", rules)
    }

    /// It is open no more, whoever said so.
    pub fn remove(&mut self, id: CommandId) {
        self.entries.retain(|entry| entry.command.id != id);
    }

    fn entry(&mut self, id: CommandId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.command.id == id)
    }

    /// The command to be sent next; `None` when enough are on their way. One whose answer has no
    /// serial number waits for others of the same answer.
    #[must_use]
    pub fn next(&self, now: Timestamp, rules: &CommandRules) -> Option<&Command> {
        let in_flight = self
            .entries
            .iter()
            .filter(|entry| matches!(entry.stage, Stage::InFlight { .. }));
        if in_flight.count() >= rules.in_flight_max as usize {
            return None;
        }
        let is_ambiguous = |waiting: &Entry| {
            waiting.rule.content.is_some()
                && self
                    .entries
                    .iter()
                    .any(|entry| entry.is_under_way() && entry.rule.content == waiting.rule.content)
        };
        self.entries
            .iter()
            .find(|entry| entry.is_waiting())
            .filter(|entry| entry.command.expires_at > now && !is_ambiguous(entry))
            .map(|entry| &entry.command)
    }

    /// It goes out on the link with this epoch.
    pub fn sent(
        &mut self,
        id: CommandId,
        epoch: u64,
        series: SentSeries,
        now: Timestamp,
        rules: &CommandRules,
    ) -> Option<Move> {
        let entry = self.entry(id)?;
        let sending = sending(&series);
        entry.attempts += 1;
        entry.stage = Stage::InFlight {
            epoch,
            series,
            overdue_at: now.after(rules.answer_timeout),
        };
        Some((id, Change::Sent(sending)))
    }

    /// It cannot be sent, or nobody knows what became of it.
    pub fn fail(&mut self, id: CommandId, reason: String) -> Move {
        self.remove(id);
        (id, failed(reason))
    }

    /// The terminal said something. `None` when it belongs to no command: repeated answers, and
    /// reports that nobody asked for.
    pub fn answer(
        &mut self,
        answer: &TerminalAnswer,
        now: Timestamp,
        rules: &CommandRules,
    ) -> Option<Move> {
        if answer.message_id == MessageId::TERMINAL_RESPONSE {
            self.general_response(answer, now, rules)
        } else {
            self.content(answer)
        }
    }

    fn general_response(
        &mut self,
        answer: &TerminalAnswer,
        now: Timestamp,
        rules: &CommandRules,
    ) -> Option<Move> {
        let serial = answer.serial?;
        let result = answer.result?;
        let entry = self.entries.iter_mut().find(|entry| {
            !matches!(entry.stage, Stage::Waiting | Stage::Acknowledged { .. })
                && answer.answered_id == Some(MessageId(entry.command.message_id))
                && entry.has_serial(serial)
        })?;
        if matches!(entry.stage, Stage::GivenUp { .. }) {
            // A late no changes nothing, and a late yes is not yet the content that was asked for.
            if result != result::SUCCESS || entry.rule.needs_content {
                return None;
            }
            let id = entry.command.id;
            self.remove(id);
            let (result, answer) = (Some(result), None);
            return Some((id, Change::Answered { result, answer }));
        }
        let id = entry.command.id;
        if result != result::SUCCESS {
            self.remove(id);
            let reason = refusal(result).to_owned();
            let (result, answer) = (Some(result), None);
            return Some((
                id,
                Change::Failed {
                    reason,
                    result,
                    answer,
                },
            ));
        }
        if entry.rule.content.is_some()
            && let Stage::InFlight { series, .. } = &entry.stage
        {
            entry.stage = Stage::Acknowledged {
                until: now.after(rules.content_timeout),
                first_serial: series.first_serial(),
                packets: series.packets(),
            };
            return Some((id, Change::Acknowledged));
        }
        self.remove(id);
        let (result, answer) = (Some(result), None);
        Some((id, Change::Answered { result, answer }))
    }

    fn content(&mut self, answer: &TerminalAnswer) -> Option<Move> {
        let is_answered = |entry: &&Entry| {
            entry.rule.content == Some(answer.message_id)
                && answer.serial.is_none_or(|serial| entry.has_serial(serial))
        };
        // Where no serial number tells, it belongs to what is under way.
        let under_way = self.entries.iter().filter(|entry| entry.is_under_way());
        let given_up = self
            .entries
            .iter()
            .filter(|entry| matches!(entry.stage, Stage::GivenUp { .. }));
        let entry = under_way.chain(given_up).find(is_answered)?;
        let id = entry.command.id;
        self.remove(id);
        let (result, content) = (answer.result, answer.content.clone());
        Some(match result {
            Some(code) if code != result::SUCCESS => {
                let (reason, answer) = ("refused".to_owned(), content);
                (
                    id,
                    Change::Failed {
                        reason,
                        result,
                        answer,
                    },
                )
            }
            _ => (
                id,
                Change::Answered {
                    result,
                    answer: content,
                },
            ),
        })
    }

    /// The terminal is on the link with this epoch, or on none: what is on an elder one comes back.
    pub fn on_link(&mut self, current: Option<u64>, rules: &CommandRules) -> Vec<Move> {
        // Serial numbers begin anew: a late answer could be one to something else.
        let is_elder = |entry: &mut Entry| matches!(entry.stage, Stage::GivenUp { epoch, .. } if Some(epoch) != current);
        self.entries.retain_mut(|entry| !is_elder(entry));
        let lost: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| {
                matches!(entry.stage, Stage::InFlight { epoch, .. } if Some(epoch) != current)
            })
            .map(|entry| entry.command.id)
            .collect();
        lost.into_iter()
            .filter_map(|id| self.take_back(id, "connection_ended", rules))
            .collect()
    }

    /// What is on its way waits again, or is given up: nobody knows whether it has arrived.
    fn take_back(&mut self, id: CommandId, reason: &str, rules: &CommandRules) -> Option<Move> {
        let entry = self.entry(id)?;
        if entry.rule.is_once {
            return Some(self.fail(id, "outcome_unknown".to_owned()));
        }
        if entry.attempts >= rules.attempts_max {
            return Some(self.fail(id, "no_answer".to_owned()));
        }
        entry.stage = Stage::Waiting;
        let reason = reason.to_owned();
        Some((id, Change::Requeued { reason }))
    }

    /// What is overdue: series to be sent again as they were, and what happens to the commands.
    pub fn on_time(
        &mut self,
        now: Timestamp,
        rules: &CommandRules,
    ) -> Vec<(Move, Option<SentSeries>)> {
        self.entries
            .retain(|entry| !matches!(entry.stage, Stage::GivenUp { until, .. } if until <= now));
        let overdue: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| match entry.stage {
                Stage::Waiting | Stage::GivenUp { .. } => false,
                Stage::InFlight { overdue_at, .. } => overdue_at <= now,
                Stage::Acknowledged { until, .. } => until <= now,
            })
            .map(|entry| entry.command.id)
            .collect();
        overdue
            .into_iter()
            .filter_map(|id| self.overdue(id, now, rules))
            .collect()
    }

    fn overdue(
        &mut self,
        id: CommandId,
        now: Timestamp,
        rules: &CommandRules,
    ) -> Option<(Move, Option<SentSeries>)> {
        let entry = self.entry(id)?;
        match &mut entry.stage {
            Stage::Waiting | Stage::GivenUp { .. } => None,
            Stage::InFlight {
                epoch,
                series,
                overdue_at,
            } => {
                if entry.rule.is_once || entry.attempts >= rules.attempts_max {
                    entry.stage = Stage::GivenUp {
                        epoch: *epoch,
                        until: now.after(rules.content_timeout),
                        first_serial: series.first_serial(),
                        packets: series.packets(),
                    };
                    return Some(((id, failed("no_answer".to_owned())), None));
                }
                entry.attempts += 1;
                *overdue_at = now.after(rules.answer_timeout);
                let again = series.clone();
                Some(((id, Change::Sent(sending(&again))), Some(again)))
            }
            Stage::Acknowledged { .. } if entry.rule.needs_content => {
                Some((self.fail(id, "no_content".to_owned()), None))
            }
            Stage::Acknowledged { .. } => {
                self.remove(id);
                // Many terminals send no more than the general response.
                let (result, answer) = (Some(result::SUCCESS), None);
                Some(((id, Change::Answered { result, answer }), None))
            }
        }
    }
}

const fn failed(reason: String) -> Change {
    Change::Failed {
        reason,
        result: None,
        answer: None,
    }
}

const fn sending(series: &SentSeries) -> Sending {
    Sending {
        first_serial: series.first_serial(),
        packets: series.packets(),
    }
}

const fn refusal(code: u8) -> &'static str {
    match code {
        result::BAD_MESSAGE => "bad_message",
        result::UNSUPPORTED => "unsupported",
        _ => "refused",
    }
}
