//! Frames, byte for byte.
//!
//! Each terminal, told apart by the phone bytes of its headers, gets a connection of its own. It
//! registers and authenticates before the first frame that needs it; a frame that is itself a
//! registration or an authentication is sent as it is. Damaged frames go out on a connection that
//! is open already, followed by a heartbeat: once that is answered, nothing more will come for
//! the damaged one.

use std::{collections::HashMap, io::BufRead};

use serde::{Deserialize, Serialize, Serializer};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Outcome, ReplayConfig, ReplayError, Summary, as_hex};
use crate::{
    line,
    stream::{self, Stream},
    terminal::{Identity, Terminal, TerminalError},
    wire::{Incoming, Phone, Revision, from_hex, has_good_check_code, message_id},
};

/// Connections that are open at a time; at this number all are closed, and opened again as needed.
const LINKS_MAX: usize = 4_096;
/// Carries damaged frames when no terminal is connected yet.
const CARRIER_PHONE: &str = "13900000808";

/// A frame to be sent as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedFrame {
    /// Its name in the corpus, else `line N`.
    pub name: String,
    /// With delimiters and escapes.
    pub bytes: Vec<u8>,
    /// The revision of its terminal, where the source knows.
    pub revision: Option<Revision>,
    /// The source says that something is odd about it: any answer will do.
    pub is_odd: bool,
}

/// A line that is no frame.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It cannot be read.
    #[error("line {line}: {cause}")]
    Io {
        /// From 1.
        line: usize,
        /// The cause.
        cause: std::io::Error,
    },
    /// It is neither hex nor JSON with a field `hex`.
    #[error("line {line}: neither hex digits nor a JSON object with a field `hex`")]
    Format {
        /// From 1.
        line: usize,
    },
}

/// What is read of a line of a corpus.
#[derive(Deserialize)]
struct CorpusLine {
    id: Option<String>,
    hex: String,
    origin: Option<String>,
    direction: Option<String>,
    revision: Option<String>,
    quirk: Option<String>,
}

/// Reads frames, one a line: hex digits, or a JSON object with `hex` and, if there, `id`,
/// `origin`, `direction`, `revision` and `quirk`. Empty lines, comments (`#`) and frames of the
/// direction `down` are left out, and, when an origin is given, objects of another origin.
pub fn read_frames(
    input: impl BufRead,
    origin: Option<&str>,
) -> impl Iterator<Item = Result<RecordedFrame, LineError>> {
    let origin = origin.map(str::to_owned);
    input.lines().enumerate().filter_map(move |(index, text)| {
        let line = index + 1;
        match text {
            Ok(text) => read_line(text.trim(), line, origin.as_deref()).transpose(),
            Err(cause) => Some(Err(LineError::Io { line, cause })),
        }
    })
}

fn read_line(
    text: &str,
    line: usize,
    origin: Option<&str>,
) -> Result<Option<RecordedFrame>, LineError> {
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let format = LineError::Format { line };
    if !text.starts_with('{') {
        let bytes = from_hex(text).ok_or(format)?;
        let name = format!("line {line}");
        return Ok(Some(RecordedFrame {
            name,
            bytes,
            revision: None,
            is_odd: false,
        }));
    }
    let Ok(entry) = serde_json::from_str::<CorpusLine>(text) else {
        return Err(format);
    };
    if entry.direction.as_deref() == Some("down")
        || origin.is_some_and(|origin| entry.origin.as_deref() != Some(origin))
    {
        return Ok(None);
    }
    let revision = match entry.revision.as_deref() {
        Some("2011") => Some(Revision::V2011),
        Some("2013") => Some(Revision::V2013),
        Some("2019") => Some(Revision::V2019),
        _ => None,
    };
    Ok(Some(RecordedFrame {
        name: entry.id.unwrap_or_else(|| format!("line {line}")),
        bytes: from_hex(&entry.hex).ok_or(format)?,
        revision,
        is_odd: entry.quirk.is_some(),
    }))
}

/// What became of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FrameOutcome {
    /// As in the source.
    pub name: String,
    /// `None` for a damaged frame; written in hex.
    #[serde(serialize_with = "id_as_hex")]
    pub message_id: Option<u16>,
    /// The digits of its terminal, without padding zeros; `None` for a damaged frame.
    pub phone: Option<String>,
    /// `None` for a damaged frame.
    pub serial: Option<u16>,
    /// What came back.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// It is what a sound gateway does: a report is answered with success, another whole message
    /// with whatever result, a wrong check code not at all; the connection lives.
    pub is_as_expected: bool,
}

fn id_as_hex<S: Serializer>(id: &Option<u16>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => as_hex(id, serializer),
        None => serializer.serialize_none(),
    }
}

/// What a frame is to a strict reader.
enum Reading {
    Whole(Incoming),
    /// The check code is right, the length is not: a lenient gateway may answer.
    Deviating,
    Damaged,
}

impl Reading {
    fn of(frame: &[u8]) -> Self {
        let inner = match frame {
            [0x7E, inner @ .., 0x7E] if !inner.contains(&0x7E) => inner,
            _ => return Self::Damaged,
        };
        match Incoming::parse(inner) {
            Some(incoming) => Self::Whole(incoming),
            None if has_good_check_code(inner) => Self::Deviating,
            None => Self::Damaged,
        }
    }
}

/// Sends frames in their order, each once the one before has been answered or given up, and tells
/// what became of each.
///
/// # Errors
/// When the gateway cannot be reached, or a line is no frame.
pub async fn replay_frames(
    config: &ReplayConfig,
    frames: impl IntoIterator<Item = Result<RecordedFrame, LineError>>,
    mut tell: impl FnMut(&FrameOutcome),
) -> Result<Summary, ReplayError> {
    let mut replay = Replay {
        config,
        links: HashMap::new(),
        codes: HashMap::new(),
        newest: None,
        summary: Summary::default(),
    };
    for frame in frames {
        let outcome = replay.frame(&frame?).await?;
        replay
            .summary
            .count(outcome.outcome, outcome.is_as_expected);
        tell(&outcome);
        if !config.interval.is_zero() {
            sleep(config.interval).await;
        }
    }
    Ok(replay.summary)
}

struct Replay<'a> {
    config: &'a ReplayConfig,
    links: HashMap<Phone, Link>,
    /// Authentication codes, kept when a connection ends.
    codes: HashMap<Phone, Vec<u8>>,
    /// The connection used last: it carries damaged frames.
    newest: Option<Phone>,
    summary: Summary,
}

struct Link {
    terminal: Terminal<Stream>,
    is_authenticated: bool,
}

impl Replay<'_> {
    async fn frame(&mut self, frame: &RecordedFrame) -> Result<FrameOutcome, ReplayError> {
        let reading = Reading::of(&frame.bytes);
        if let Reading::Whole(incoming) = reading {
            return self.whole(frame, &incoming).await;
        }
        let outcome = self.damaged(&frame.bytes).await?;
        let is_as_expected = match reading {
            Reading::Damaged => outcome == Outcome::NoAnswer,
            _ => outcome != Outcome::Closed,
        };
        Ok(FrameOutcome {
            name: frame.name.clone(),
            message_id: None,
            phone: None,
            serial: None,
            outcome,
            is_as_expected,
        })
    }

    async fn whole(
        &mut self,
        frame: &RecordedFrame,
        incoming: &Incoming,
    ) -> Result<FrameOutcome, ReplayError> {
        let (phone, id, serial) = (&incoming.phone, incoming.id, incoming.serial);
        if !self.link(phone, frame.revision).await? {
            // Only phone numbers that are none may not come in.
            let is_nobody = phone.digits() == "0" || phone.digits().contains(char::is_alphabetic);
            return Ok(FrameOutcome {
                name: frame.name.clone(),
                message_id: Some(id),
                phone: Some(phone.digits()),
                serial: Some(serial),
                outcome: Outcome::Closed,
                is_as_expected: is_nobody,
            });
        }
        let is_log_in = matches!(id, message_id::REGISTRATION | message_id::AUTHENTICATION);
        let is_silent = id == message_id::TERMINAL_RESPONSE || id >= 0x8000;
        let outcome = match self
            .send_whole(phone, frame, incoming, is_log_in, is_silent)
            .await
        {
            Ok(outcome) => outcome,
            Err(error) => {
                // Late answers must not be taken for those of later frames.
                self.links.remove(phone);
                match error {
                    TerminalError::Timeout { .. } => Outcome::NoAnswer,
                    _ => Outcome::Closed,
                }
            }
        };
        let is_report = matches!(
            id,
            message_id::LOCATION_REPORT
                | message_id::LOCATION_BATCH
                | message_id::HEARTBEAT
                | message_id::LOG_OUT
        );
        // Nobody may report under the number zero.
        let must_succeed =
            is_report && !frame.is_odd && incoming.packet.is_none() && phone.digits() != "0";
        let is_as_expected = if is_silent {
            outcome != Outcome::Closed
        } else if must_succeed {
            outcome.is_success()
        } else {
            outcome.is_answered()
        };
        Ok(FrameOutcome {
            name: frame.name.clone(),
            message_id: Some(id),
            phone: Some(phone.digits()),
            serial: Some(serial),
            outcome,
            is_as_expected,
        })
    }

    async fn send_whole(
        &mut self,
        phone: &Phone,
        frame: &RecordedFrame,
        incoming: &Incoming,
        is_log_in: bool,
        is_silent: bool,
    ) -> Result<Outcome, TerminalError> {
        let Some(link) = self.links.get_mut(phone) else {
            return Err(TerminalError::Closed);
        };
        if !is_log_in && !link.is_authenticated {
            link.log_in(phone, &mut self.codes).await?;
        }
        if is_silent {
            return link.send_and_probe(&frame.bytes, self.config).await;
        }
        link.terminal.send_raw(&frame.bytes).await?;
        let response = link
            .terminal
            .response_to(incoming.id, incoming.serial, self.config.limit)
            .await?;
        let (result, code) = match response.registration_answer() {
            Some((_, result, code)) => (result, Some(code)),
            None => (
                response.answer().map_or(u8::MAX, |answer| answer.result),
                None,
            ),
        };
        match (incoming.id, code) {
            (message_id::REGISTRATION, Some(code)) if result == 0 => {
                self.codes.insert(phone.clone(), code.to_vec());
                link.is_authenticated = false;
            }
            // A refused code may have ended the session, or not: the next frame shows the right
            // one again.
            (message_id::AUTHENTICATION, _) => link.is_authenticated = result == 0,
            (message_id::LOG_OUT, _) => link.is_authenticated = false,
            _ => {}
        }
        // Over MQTT there is no session without a connection.
        if incoming.id == message_id::LOG_OUT && self.config.mqtt.is_some() {
            self.links.remove(phone);
        }
        Ok(Outcome::Answered {
            answer_id: response.id,
            result,
        })
    }

    /// Sends what is no frame on the newest connection.
    async fn damaged(&mut self, bytes: &[u8]) -> Result<Outcome, ReplayError> {
        let carrier = match self
            .newest
            .clone()
            .filter(|phone| self.links.contains_key(phone))
        {
            Some(phone) => phone,
            None => {
                let Some(identity) = Identity::new(CARRIER_PHONE, Revision::V2013) else {
                    return Ok(Outcome::Closed);
                };
                if !self.link(&identity.phone, None).await? {
                    return Ok(Outcome::Closed);
                }
                identity.phone
            }
        };
        let Some(link) = self.links.get_mut(&carrier) else {
            return Ok(Outcome::Closed);
        };
        let sent = async {
            if !link.is_authenticated {
                link.log_in(&carrier, &mut self.codes).await?;
            }
            link.send_and_probe(bytes, self.config).await
        };
        Ok(match sent.await {
            Ok(outcome) => outcome,
            // The heartbeat behind it was not answered either: the stream is out of step.
            Err(_) => {
                self.links.remove(&carrier);
                Outcome::Closed
            }
        })
    }

    /// Makes sure that the terminal is connected; `false`: it is not let in.
    async fn link(
        &mut self,
        phone: &Phone,
        revision: Option<Revision>,
    ) -> Result<bool, ReplayError> {
        if self.links.contains_key(phone) {
            self.newest = Some(phone.clone());
            return Ok(true);
        }
        if self.links.len() >= LINKS_MAX {
            self.links.clear();
        }
        let revision = match revision {
            _ if phone.is_2019() => Revision::V2019,
            Some(Revision::V2011) => Revision::V2011,
            _ => Revision::V2013,
        };
        let identity = Identity {
            phone: phone.clone(),
            revision,
            plate: String::new(),
        };
        let terminal = match self.connect(identity).await {
            Ok(terminal) => terminal,
            Err(TerminalError::Refused { .. } | TerminalError::NotLetIn { .. }) => {
                self.codes.remove(phone);
                return Ok(false);
            }
            Err(cause) => {
                let mqtt = self.config.mqtt.as_ref().map(|mqtt| &mqtt.address);
                return Err(ReplayError::Unreachable {
                    target: mqtt.unwrap_or(&self.config.target).clone(),
                    cause,
                });
            }
        };
        self.summary.connections += 1;
        let link = Link {
            terminal,
            is_authenticated: self.config.mqtt.is_some(),
        };
        self.links.insert(phone.clone(), link);
        self.newest = Some(phone.clone());
        Ok(true)
    }

    async fn connect(&mut self, identity: Identity) -> Result<Terminal<Stream>, TerminalError> {
        let (target, limit) = (self.config.target.as_str(), self.config.limit);
        let Some(mqtt) = &self.config.mqtt else {
            return stream::over_tcp(target, identity, limit).await;
        };
        let code = match self.codes.get(&identity.phone) {
            Some(code) => code.clone(),
            None => {
                let code = line::register(target, identity.clone(), limit).await?;
                self.codes.insert(identity.phone.clone(), code.clone());
                code
            }
        };
        stream::over_mqtt(&mqtt.address, identity, &code, limit).await
    }
}

impl Link {
    /// Registers, if there is no code, and authenticates. A refusal is no error: the frame is
    /// sent all the same, and its answer tells.
    async fn log_in(
        &mut self,
        phone: &Phone,
        codes: &mut HashMap<Phone, Vec<u8>>,
    ) -> Result<(), TerminalError> {
        let logged_in = async {
            let code = match codes.get(phone) {
                Some(code) => code.clone(),
                None => {
                    let code = self.terminal.register().await?;
                    codes.entry(phone.clone()).insert_entry(code).get().clone()
                }
            };
            self.terminal.authenticate(&code).await
        };
        match logged_in.await {
            Ok(()) => {
                self.is_authenticated = true;
                Ok(())
            }
            Err(TerminalError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends bytes and a heartbeat behind them; what comes before the heartbeat's answer is the
    /// answer to the bytes.
    async fn send_and_probe(
        &mut self,
        bytes: &[u8],
        config: &ReplayConfig,
    ) -> Result<Outcome, TerminalError> {
        self.terminal.send_raw(bytes).await?;
        let probe = self.terminal.send(message_id::HEARTBEAT, &[]).await?;
        let limit = config.limit;
        let deadline = Instant::now() + limit;
        let mut outcome = Outcome::NoAnswer;
        loop {
            let incoming = timeout_at(deadline, self.terminal.receive())
                .await
                .map_err(|_| TerminalError::Timeout {
                    awaited: "heartbeat response",
                    limit,
                })??;
            let Some(answer) = incoming.answer() else {
                continue;
            };
            if (answer.id, answer.serial) == (message_id::HEARTBEAT, probe) {
                return Ok(outcome);
            }
            outcome = Outcome::Answered {
                answer_id: incoming.id,
                result: answer.result,
            };
        }
    }
}
