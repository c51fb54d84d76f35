//! Files of alarms (报警附件, T/JSATL 12): asked for with 0x9208 when a report has an alarm that has
//! some, and known again when a terminal brings them.
//!
//! A request is a command like any other. What says that it was made is the command itself, under a
//! key from the label of the alarm: so an alarm is asked for once, however often it is reported, and
//! for as long as commands are kept. Its alarm number is random. Terminals neither register nor
//! authenticate where they bring files, so the number is what lets them in.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use geofence::identity::TerminalId;
use protocols::{
    jt808::{
        Revision,
        message::{
            Message, MessageId,
            alarm_attachments::AttachmentsRequest,
            field::{Raw, Rest, Text},
            json,
            location_report::{
                LocationReport,
                active_safety::{AlarmLabel, SafetyAlarm},
            },
        },
        profile::TextEncoding,
    },
    wire::text,
};
use storage::{
    commands::{Command, CommandQuery, EnqueueError},
    store::StoreError,
};
use subtle::ConstantTimeEq as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{CommandRequest, request::body_of};
use crate::{Gateway, clock, config::Attachments, ingest::record::Received, metrics::Metrics};

/// In hex it has the 32 characters of an alarm number.
const NUMBER_BYTES: usize = 16;
/// Commands among which a request is looked for that a person made, under any key.
const NEWEST_MAX: u32 = 100;
const REQUESTED_BY: &str = "attachments";
/// Its layout is the same in every revision.
const ANY_REVISION: Revision = Revision::V2013;

/// Where files are brought to, and the alarms whose files are to be asked for.
#[derive(Debug)]
pub struct AttachmentRequests {
    address: Option<SocketAddr>,
    /// `None` when nothing is asked for by itself.
    alarms: Option<mpsc::Sender<Alarm>>,
}

/// The alarms, for the task that asks.
#[derive(Debug)]
pub struct AlarmInbox(mpsc::Receiver<Alarm>);

#[derive(Debug)]
struct Alarm {
    terminal: TerminalId,
    label: AlarmLabel<Bytes>,
}

impl AttachmentRequests {
    /// For a server that listens on this address; none when it is off.
    #[must_use]
    pub fn new(config: &Attachments, address: Option<SocketAddr>) -> (Self, AlarmInbox) {
        let (alarms, inbox) = mpsc::channel(config.requests_queued_max as usize);
        let requests = Self {
            address,
            alarms: (address.is_some() && config.requests_files).then_some(alarms),
        };
        (requests, AlarmInbox(inbox))
    }

    /// Where the server listens; none when it is off.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// A report came: its alarms with files are to be asked for. Never waits.
    pub fn notice(&self, received: &Received, report: &LocationReport, metrics: &Metrics) {
        let Some(alarms) = &self.alarms else { return };
        let terminal = received.terminal;
        let items = received.headers.standard_items(&report.items);
        let labels = items
            .raw()
            .filter_map(SafetyAlarm::of)
            .map(|alarm| alarm.label)
            .filter(|label| label.attachments > 0);
        for label in labels {
            let label = label.to_owned();
            if alarms.try_send(Alarm { terminal, label }).is_err() {
                metrics.count("attachment_requests_total", "result", "queue_full", 1);
            }
        }
    }
}

/// Asks for files until told to stop, and then for what is known to be wanted.
pub async fn run(gateway: Arc<Gateway>, inbox: AlarmInbox, stop: CancellationToken) {
    let AlarmInbox(mut inbox) = inbox;
    loop {
        let alarm = tokio::select! {
            biased;
            alarm = inbox.recv() => alarm,
            () = stop.cancelled() => return,
        };
        let Some(alarm) = alarm else { return };
        let word = ask(&gateway, &alarm).await;
        gateway
            .metrics
            .count("attachment_requests_total", "result", word, 1);
    }
}

/// Asks for the files of an alarm, unless that was done before. Gives the word of the metric.
async fn ask(gateway: &Gateway, alarm: &Alarm) -> &'static str {
    let terminal = alarm.terminal;
    let key = key_of(&alarm.label);
    let sought = key.clone();
    let known = gateway
        .commands
        .in_background(move |store| store.find_by_key(terminal, &sought))
        .await;
    match known {
        Ok(None) => {}
        Ok(Some(_)) => return "known",
        Err(error) => {
            tracing::warn!(%error, "the files of an alarm are not asked for");
            return error.reason();
        }
    }
    let Some(message) = request(gateway, alarm) else {
        return "not_sendable";
    };
    let request = CommandRequest {
        idempotency_key: Some(key),
        requested_by: Some(REQUESTED_BY.to_owned()),
        ..command_of(message)
    };
    let expiry = &gateway.config.commands.expiry;
    let revision = gateway.directory.revision_of(terminal);
    let command = match request.command(terminal, revision, clock::now(), expiry) {
        Ok(command) => command,
        Err(error) => {
            tracing::warn!(%error, "the files of an alarm cannot be asked for");
            return "not_sendable";
        }
    };
    match gateway.commands.enqueue(command).await {
        Ok(_) => "asked",
        Err(error @ EnqueueError::Refused(_)) => error.reason(),
        Err(error @ EnqueueError::Store(_)) => {
            tracing::warn!(%error, "the files of an alarm are not asked for");
            error.reason()
        }
    }
}

/// `None` where the server has no address, or the system no randomness.
fn request(gateway: &Gateway, alarm: &Alarm) -> Option<Message> {
    let config = &gateway.config.attachments;
    let address = gateway.attachments.address()?;
    let host = match config.advertised_host.as_str() {
        "" => address.ip().to_string(),
        host => host.to_owned(),
    };
    let mut number = [0; NUMBER_BYTES];
    getrandom::fill(&mut number).ok()?;
    Some(Message::AttachmentsRequest(Box::new(AttachmentsRequest {
        server: Text::of(&host)?,
        tcp_port: match config.advertised_port {
            0 => address.port(),
            port => port,
        },
        udp_port: 0,
        label: alarm.label.clone(),
        alarm_number: Text::of(&json::to_hex(&number))?,
        reserved: Raw([0; 16]),
        rest: Rest::default(),
    })))
}

/// With fields that people can read. The label must reach its terminal as it was: where the fields
/// would not say all of its bytes, the body is given in hex.
fn command_of(message: Message) -> CommandRequest {
    let name = message.id().name().to_owned();
    let fields = message.to_json();
    let body = message.encode(ANY_REVISION).unwrap_or_default();
    let read = Message::from_json(message.id(), fields.clone());
    if read.is_ok_and(|read| read.encode(ANY_REVISION).is_ok_and(|again| again == body)) {
        CommandRequest {
            message: name,
            body: Some(fields),
            ..CommandRequest::default()
        }
    } else {
        CommandRequest {
            message: name,
            body_hex: Some(json::to_hex(&body)),
            ..CommandRequest::default()
        }
    }
}

/// What tells the alarms of a terminal apart: how many files there are may change.
fn key_of(label: &AlarmLabel<Bytes>) -> String {
    let id = json::to_hex(&label.terminal_id);
    format!("attachments:{id}:{}:{}", label.time, label.sequence)
}

/// Whether the terminal was sent a request with this alarm number, by us or by a person. Waits for
/// the disk.
///
/// # Errors
/// When the file of the commands cannot be read.
pub fn is_asked(
    gateway: &Gateway,
    terminal: TerminalId,
    label: &AlarmLabel<Bytes>,
    number: &[u8],
) -> Result<bool, StoreError> {
    let store = &gateway.commands.store;
    let ours = store.find_by_key(terminal, &key_of(label))?;
    if ours.is_some_and(|command| has_number(&command, number)) {
        return Ok(true);
    }
    let newest = store.list(&CommandQuery {
        terminal: Some(terminal),
        limit: NEWEST_MAX,
        ..CommandQuery::default()
    })?;
    Ok(newest.iter().any(|command| has_number(command, number)))
}

fn has_number(command: &Command, number: &[u8]) -> bool {
    let id = MessageId(command.message_id);
    if id != MessageId::ATTACHMENTS_REQUEST || command.attempts == 0 {
        return false;
    }
    let request = body_of(command, ANY_REVISION, TextEncoding::Gbk)
        .ok()
        .and_then(|body| Message::decode(id, body, ANY_REVISION).ok());
    match request {
        Some(Message::AttachmentsRequest(request)) => {
            let known = text::trim(&request.alarm_number.0);
            !known.is_empty() && bool::from(known.ct_eq(number))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use protocols::{
        jt808::message::location_report::active_safety::LabelForm, wire::bcd::Gmt8Time,
    };
    use serde_json::Value;

    use super::*;

    fn label(terminal_id: &'static [u8], attachments: u8) -> AlarmLabel<Bytes> {
        AlarmLabel {
            form: LabelForm::Jsatl12,
            terminal_id: Bytes::from_static(terminal_id),
            time: Gmt8Time([0x24, 0x07, 0x15, 0x08, 0x30, 0x15]),
            sequence: 3,
            attachments,
            reserved: Bytes::from_static(&[0]),
        }
    }

    fn message(terminal_id: &'static [u8]) -> Message {
        Message::AttachmentsRequest(Box::new(AttachmentsRequest {
            server: Text::of("10.1.2.3").unwrap(),
            tcp_port: 6811,
            udp_port: 0,
            label: label(terminal_id, 2),
            alarm_number: Text::of("0123456789abcdef0123456789abcdef").unwrap(),
            reserved: Raw([0; 16]),
            rest: Rest::default(),
        }))
    }

    #[test]
    fn an_alarm_has_one_key_however_many_files_it_is_said_to_have() {
        let key = key_of(&label(b"TERM001", 2));
        assert_eq!(key, "attachments:5445524d303031:240715083015:3");
        assert_eq!(key, key_of(&label(b"TERM001", 5)));
        assert_ne!(key, key_of(&label(b"TERM002", 2)));
    }

    #[test]
    fn a_label_that_fields_cannot_say_goes_out_as_bytes() {
        let plain = command_of(message(b"TERM001"));
        assert_eq!(plain.message, "attachments_request");
        let fields = plain.body.unwrap();
        assert_eq!(fields["alarm_terminal_id"], Value::from("TERM001"));
        // Zeros in front are no padding.
        let odd = message(b"\0TRUCK1");
        let body = odd.encode(ANY_REVISION).unwrap();
        let command = command_of(odd);
        assert_eq!(command.body, None);
        assert_eq!(command.body_hex, Some(json::to_hex(&body)));
    }
}
