//! A connection on which a terminal reports: frames over TCP, frames in MQTT payloads, or JSON over
//! MQTT.

use std::time::Duration;

use crate::{
    mqtt::{self, Client, Message, PayloadKind, is_refusal},
    stream::{self, Stream},
    terminal::{Identity, Terminal, TerminalError},
    wire::{Incoming, batch_body, message_id},
};

/// Result of a payload that was not taken, as in 0x8001: the message has errors.
const HAS_ERRORS: u8 = 2;

/// Where a terminal reports over MQTT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttTarget {
    /// Address of the gateway's MQTT port, `host:port`.
    pub address: String,
    /// What is published.
    pub payload: PayloadKind,
}

/// The connection.
#[derive(Debug)]
pub enum Line {
    /// JT/T 808, over TCP or in MQTT payloads.
    Frames(Terminal<Stream>),
    /// JSON over MQTT.
    Json(Box<Client>),
}

/// What the platform says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// What became of a message.
    Answer {
        /// Its serial number, or packet id.
        serial: u16,
        /// Its message id; `None`: a PUBACK, which names none.
        id: Option<u16>,
        /// 0 success, 1 failure, 2 the message has errors, 3 not supported, 4 alarm handled.
        result: u8,
    },
    /// A command.
    Command(Incoming),
    /// A command as JSON.
    JsonCommand(Vec<u8>),
    /// What asks for nothing.
    Other,
}

/// Registers over TCP at `target`, and gives the code, which is the password over MQTT.
///
/// # Errors
/// When the platform cannot be reached or refuses.
pub async fn register(
    target: &str,
    identity: Identity,
    limit: Duration,
) -> Result<Vec<u8>, TerminalError> {
    Terminal::connect(target, identity, limit)
        .await?
        .register()
        .await
}

impl Line {
    /// Connects over MQTT with the code of a registration.
    ///
    /// # Errors
    /// When the platform cannot be reached or refuses.
    pub async fn over_mqtt(
        mqtt: &MqttTarget,
        identity: Identity,
        code: &[u8],
        limit: Duration,
    ) -> Result<Self, TerminalError> {
        let address = mqtt.address.as_str();
        if mqtt.payload == PayloadKind::Jt808 {
            let terminal = stream::over_mqtt(address, identity, code, limit).await?;
            return Ok(Self::Frames(terminal));
        }
        let phone = identity.phone.digits();
        let leaves = ["down/json", "errors"];
        let client = Client::open(address, &phone, code, &leaves, limit).await?;
        Ok(Self::Json(Box::new(client)))
    }

    /// Whether a message may be sent again on the same connection. An MQTT client sends it again on
    /// its next one (MQTT 5, 4.4).
    #[must_use]
    pub const fn may_resend(&self) -> bool {
        matches!(self, Self::Frames(_))
    }

    /// Builds a message of positions; each is the body of a 0x0200, or [`mqtt::fields`] where the
    /// line speaks JSON. A backlog is a batch, and so are several. Gives id, serial number and
    /// bytes.
    ///
    /// # Errors
    /// When they do not fit one frame.
    pub fn compose(
        &mut self,
        is_backlog: bool,
        positions: &[Vec<u8>],
    ) -> Result<(u16, u16, Vec<u8>), TerminalError> {
        match (self, positions) {
            (Self::Frames(terminal), [body]) if !is_backlog => {
                let id = message_id::LOCATION_REPORT;
                let (serial, frame) = terminal.compose(id, body)?;
                Ok((id, serial, frame))
            }
            (Self::Frames(terminal), bodies) => {
                let id = message_id::LOCATION_BATCH;
                let body = batch_body(is_backlog, bodies).ok_or(TerminalError::TooLong)?;
                let (serial, frame) = terminal.compose(id, &body)?;
                Ok((id, serial, frame))
            }
            (Self::Json(client), each) => {
                let texts: Vec<_> = each
                    .iter()
                    .map(|one| String::from_utf8_lossy(one))
                    .collect();
                let (id, payload) = match texts.as_slice() {
                    [fields] if !is_backlog => {
                        (message_id::LOCATION_REPORT, mqtt::position(fields))
                    }
                    all => {
                        let batch = mqtt::batch(is_backlog, all.iter().map(AsRef::as_ref));
                        (message_id::LOCATION_BATCH, batch)
                    }
                };
                let (serial, packet) = client.compose("up/json", payload.as_bytes());
                Ok((id, serial, packet))
            }
        }
    }

    /// Sends what [`Self::compose`] built.
    ///
    /// # Errors
    /// When the socket fails or takes nothing in time.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), TerminalError> {
        match self {
            Self::Frames(terminal) => terminal.send_raw(bytes).await,
            Self::Json(client) => client.send(bytes).await,
        }
    }

    /// Says that the terminal is there, without awaiting an answer.
    ///
    /// # Errors
    /// When the socket fails or takes nothing in time.
    pub async fn heartbeat(&mut self) -> Result<(), TerminalError> {
        match self {
            Self::Frames(terminal) => terminal
                .send(message_id::HEARTBEAT, &[])
                .await
                .map(|_serial| ()),
            Self::Json(client) => client.send(&mqtt::PING).await,
        }
    }

    /// Says goodbye; the caller then drops the line.
    ///
    /// # Errors
    /// When the platform does not answer in time.
    pub async fn log_out(&mut self) -> Result<(), TerminalError> {
        match self {
            Self::Frames(terminal) => terminal.log_out().await,
            Self::Json(client) => client.send(&mqtt::DISCONNECT).await,
        }
    }

    /// Answers a command of `down/json` with success; whether it was one.
    ///
    /// # Errors
    /// When the socket fails or takes nothing in time.
    pub async fn answer_json(&mut self, command: &[u8]) -> Result<bool, TerminalError> {
        let (Self::Json(client), Some(answer)) = (self, mqtt::answer(command)) else {
            return Ok(false);
        };
        let (_, packet) = client.compose("up/json", answer.as_bytes());
        client.send(&packet).await?;
        Ok(true)
    }

    /// Awaits what the platform says next. Cancelling the wait loses nothing.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn receive(&mut self) -> Result<Heard, TerminalError> {
        Ok(match self {
            Self::Frames(terminal) => {
                let incoming = terminal.receive().await?;
                match incoming.answer() {
                    Some(answer) => Heard::Answer {
                        serial: answer.serial,
                        id: Some(answer.id),
                        result: answer.result,
                    },
                    None if incoming.registration_answer().is_some() => Heard::Other,
                    None => Heard::Command(incoming),
                }
            }
            Self::Json(client) => match client.receive().await? {
                Message::Acknowledged { id, reason } => Heard::Answer {
                    serial: id,
                    id: None,
                    result: if is_refusal(reason) { HAS_ERRORS } else { 0 },
                },
                Message::Published { leaf, payload } if leaf == "down/json" => {
                    Heard::JsonCommand(payload)
                }
                Message::Published { .. } => Heard::Other,
            },
        })
    }
}
