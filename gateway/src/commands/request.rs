//! What is asked for, in words, and the body that it becomes.

use std::time::Duration;

use bytes::Bytes;
use geofence::{identity::TerminalId, units::Timestamp};
use protocols::{
    jt808::{
        Revision,
        message::{
            Answer, Message, MessageId,
            json::{self, JsonError, Object},
        },
        profile::TextEncoding,
    },
    wire::EncodeError,
};
use serde::Deserialize;
use storage::commands::{Command, NewCommand};

/// The field of a raw body.
const BODY_HEX: &str = "body_hex";

/// A command as the API takes it.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandRequest {
    /// The message: its name, or its id as `0x8300`.
    pub message: String,
    /// Its fields.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub body: Option<Object>,
    /// Its body as it goes over the wire, in hex, in place of fields.
    #[serde(default)]
    pub body_hex: Option<String>,
    /// Goes before others.
    #[serde(default)]
    pub urgent: bool,
    /// Seconds until it is not sent any more.
    #[serde(default)]
    pub expires_in_s: Option<u32>,
    /// A name for it: asking again with the same name queues nothing.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// Who asks.
    #[serde(default)]
    pub requested_by: Option<String>,
}

/// Why a request is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No message has this name, and it is no id.
    #[error("message: `{0}` is neither the name of a message nor an id such as 0x8300")]
    UnknownMessage(String),
    /// Terminals send it.
    #[error("message: {0} is not for terminals")]
    Uplink(MessageId),
    /// The gateway sends it by itself, in answer to a terminal.
    #[error("message: {0} is an answer, and the gateway's own")]
    Answer(MessageId),
    /// Without a layout there are no fields.
    #[error("body: {0} has no fields here; give its body as body_hex")]
    NoFields(MessageId),
    /// Both, of which one is enough.
    #[error("body and body_hex: give one of them")]
    TwoBodies,
    /// No hex.
    #[error("body_hex: no pairs of hex digits")]
    NoHex,
    /// The fields are wrong.
    #[error("body: {0}")]
    Body(#[from] JsonError),
    /// A value does not fit.
    #[error("body: {0}")]
    Encode(#[from] EncodeError),
    /// It expires too late.
    #[error("expires_in_s: at most {0}")]
    ExpiresTooLate(u64),
}

impl CommandRequest {
    /// The command for a terminal that follows this revision; any where it is not known.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn command(
        &self,
        terminal: TerminalId,
        revision: Option<Revision>,
        now: Timestamp,
        expiry: &Expiry,
    ) -> Result<NewCommand, RequestError> {
        let id = message_id(&self.message)?;
        let content = self.content(id)?;
        check(id, &content, revision)?;
        let expires_in = match self.expires_in_s {
            None => expiry.default,
            Some(seconds) => Duration::from_secs(seconds.into()),
        };
        if expires_in > expiry.max {
            return Err(RequestError::ExpiresTooLate(expiry.max.as_secs()));
        }
        Ok(NewCommand {
            terminal,
            message_id: id.0,
            content: serde_json::Value::Object(content).to_string(),
            is_urgent: self.urgent,
            created_at: now,
            expires_at: now.after(expires_in),
            idempotency_key: self.idempotency_key.clone(),
            requested_by: self.requested_by.clone(),
        })
    }

    fn content(&self, id: MessageId) -> Result<Object, RequestError> {
        match (&self.body, &self.body_hex) {
            (Some(_), Some(_)) => Err(RequestError::TwoBodies),
            (None, Some(hex)) => {
                let mut content = Object::new();
                content.insert(BODY_HEX.to_owned(), hex.as_str().into());
                Ok(content)
            }
            (_, None) if id.info().is_none() => Err(RequestError::NoFields(id)),
            (body, None) => Ok(body.clone().unwrap_or_default()),
        }
    }
}

/// How long commands are waited with.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    /// Where nothing is said.
    pub default: Duration,
    /// At most.
    pub max: Duration,
}

fn message_id(text: &str) -> Result<MessageId, RequestError> {
    let of_digits = |digits| u16::from_str_radix(digits, 16).ok().map(MessageId);
    let id = MessageId::of_name(text)
        .or_else(|| text.strip_prefix("0x").and_then(of_digits))
        .ok_or_else(|| RequestError::UnknownMessage(text.to_owned()))?;
    if !id.is_downlink() {
        return Err(RequestError::Uplink(id));
    }
    if id.info().is_some_and(|info| info.answer == Answer::None) {
        return Err(RequestError::Answer(id));
    }
    Ok(id)
}

/// A command that no terminal can be sent is not queued.
fn check(id: MessageId, content: &Object, revision: Option<Revision>) -> Result<(), RequestError> {
    match revision {
        Some(revision) => encode(id, content, revision).map(drop),
        None => {
            let newest = encode(id, content, Revision::V2019).map(drop);
            let mut elder = [Revision::V2013, Revision::V2011].into_iter();
            newest.or_else(|error| {
                let fits = elder.any(|revision| encode(id, content, revision).is_ok());
                if fits { Ok(()) } else { Err(error) }
            })
        }
    }
}

fn encode(id: MessageId, content: &Object, revision: Revision) -> Result<Bytes, RequestError> {
    if let Some(hex) = content.get(BODY_HEX) {
        let hex = hex.as_str().ok_or(RequestError::NoHex)?;
        return json::from_hex(hex).ok_or(RequestError::NoHex);
    }
    let message = Message::from_json(id, content.clone())?;
    Ok(message.encode(revision)?)
}

/// The body of a command that is to be sent.
pub(super) fn body_of(
    command: &Command,
    revision: Revision,
    text_encoding: TextEncoding,
) -> Result<Bytes, String> {
    let mut content: Object = serde_json::from_str(&command.content).map_err(|e| e.to_string())?;
    text_encoding.write(&mut content);
    encode(MessageId(command.message_id), &content, revision).map_err(|error| error.to_string())
}
