//! One terminal's place on a link.

mod other_links;

use std::sync::Arc;

use bytes::Bytes;
use geofence::{identity::TerminalId, units::Timestamp};
use protocols::jt808::{
    Revision,
    frame::Frame,
    header::{Header, HeaderForm, PacketItem},
    message::{
        Message, MessageId, general_response::GeneralResponse, multimedia_data::MultimediaData,
        multimedia_data_response::MultimediaDataResponse,
        registration_response::RegistrationResponse, retransmission::RetransmissionRequest,
        server_time::ServerTime,
    },
    profile::{Profile, TextEncoding},
    reassembly::{AskBy, Joined, MissingPackets, Outcome as Packet, Reassembler, Refusal},
};
use protocols::wire::DecodeError;
use storage::registry::events::TerminalEventKind;

use super::{
    Content, Link, Moment, Outcome, Response,
    directory::{Directory, record_of},
    downlink::Downlink,
    handshake::{Answer, Input, State, Step, step},
    presence::{ClockWindow, Presence},
    result,
};
use crate::{commands::TerminalAnswer, ingest::zone, media::medium_of};

/// Status bit 1 of a report: the receiver has a fix.
const POSITIONED: u32 = 1 << 1;

/// What is known of a terminal on this link. Small: there is one for each idle connection.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// The last one that spoke; another one is a stranger again.
    terminal: Option<TerminalId>,
    state: State,
    revision: Option<Revision>,
    serial: u16,
    presence: Option<Arc<Presence>>,
    clock: ClockWindow,
    /// What the terminal does otherwise.
    profile: Option<Arc<Profile>>,
}

impl Seat {
    /// The terminal, when it has a session here.
    pub(super) fn online(&self) -> Option<TerminalId> {
        self.terminal.filter(|_| self.state == State::Authenticated)
    }

    /// The request for missing packets.
    pub(super) fn ask_for(&mut self, missing: &MissingPackets) -> Bytes {
        let header = &missing.header;
        let numbers = missing.numbers.clone();
        let message = match missing.by {
            AskBy::Retransmission => Message::PlatformRetransmissionRequest(
                RetransmissionRequest::new(missing.first_serial, numbers),
            ),
            AskBy::MultimediaResponse(media_id) => Message::MultimediaDataResponse(
                MultimediaDataResponse::incomplete(media_id, numbers),
            ),
        };
        self.response(header, &message, result::SUCCESS).frame
    }

    /// What the terminal does otherwise, where somebody has chosen a profile for it.
    fn text_encoding(&self) -> TextEncoding {
        self.profile()
            .map_or_else(TextEncoding::default, Profile::text_encoding)
    }

    pub(super) fn profile(&self) -> Option<&Profile> {
        self.profile.as_deref()
    }

    /// The way down to the terminal, while it has a session.
    pub(super) fn downlink(&self) -> Option<&Downlink> {
        self.presence.as_ref().map(|presence| &presence.downlink)
    }

    /// On a link of several nobody is told that a newer connection has its terminal.
    pub(super) fn leave_if_replaced(&mut self, link: &Link, directory: &Directory, now: Timestamp) {
        let Some(terminal) = self.online() else {
            return;
        };
        if !directory.owns(terminal, link.connection) {
            let kind = TerminalEventKind::Offline;
            directory.close_session(terminal, link.connection, kind, "replaced", now);
            self.leave();
        }
    }

    fn leave(&mut self) {
        self.state = State::Connected;
        self.serial = self.next_serial();
        self.presence = None;
        self.clock = ClockWindow::default();
    }

    /// Responses share their serial numbers with commands, which others send.
    fn next_serial(&mut self) -> u16 {
        match &self.presence {
            Some(presence) => presence.downlink.next_serial(),
            None => {
                let serial = self.serial;
                self.serial = serial.wrapping_add(1);
                serial
            }
        }
    }

    fn revision_of(&self, header: &Header) -> Revision {
        match (header.form(), self.revision) {
            (HeaderForm::Form2019, _) => Revision::V2019,
            (HeaderForm::Form2013, Some(Revision::V2011)) => Revision::V2011,
            (HeaderForm::Form2013, _) => Revision::V2013,
        }
    }

    pub(super) fn reject(
        &mut self,
        header: &Header,
        reason: &'static str,
        code: Option<u8>,
        is_kept: bool,
    ) -> Outcome {
        let response = code.map(|code| self.general(header, code));
        Outcome::Rejected {
            reason,
            response,
            is_kept,
        }
    }

    pub(super) fn registration_response(
        &mut self,
        header: &Header,
        result: u8,
        code: String,
    ) -> Response {
        let message = Message::RegistrationResponse(RegistrationResponse {
            answered_serial: header.serial,
            result,
            auth_code: Bytes::from(code),
        });
        self.response(header, &message, result)
    }

    pub(super) fn general(&mut self, header: &Header, code: u8) -> Response {
        let message =
            Message::PlatformResponse(GeneralResponse::new(header.serial, header.message_id, code));
        self.response(header, &message, code)
    }

    /// None outside the years that the protocol can say.
    fn server_time(&mut self, header: &Header, now: Timestamp) -> Option<Response> {
        let time = ServerTime::at_unix_seconds(now.millis().div_euclid(1_000))?;
        Some(self.response(header, &Message::ServerTime(time), result::SUCCESS))
    }

    /// In the header form of the request, with the same bytes of the phone number.
    fn response(&mut self, header: &Header, message: &Message, result: u8) -> Response {
        let serial = self.next_serial();
        let frame = header.respond(message, serial).unwrap_or_else(|error| {
            // Responses are short; silence is the safe answer to what cannot happen.
            tracing::error!(%error, "a response does not fit a frame");
            Bytes::new()
        });
        Response { frame, result }
    }
}

/// A frame of a terminal, on its seat.
pub(super) struct Turn<'a> {
    pub(super) link: &'a Link,
    pub(super) seat: &'a mut Seat,
    pub(super) frame: &'a Frame,
    /// The frame's body was encrypted on the link.
    pub(super) is_decrypted: bool,
    pub(super) sender: TerminalId,
    pub(super) packets: &'a mut Reassembler,
    pub(super) directory: &'a Directory,
    pub(super) moment: Moment,
    /// What the frame says to a command.
    pub(super) answer: Option<Box<TerminalAnswer>>,
}

impl Turn<'_> {
    pub(super) fn judge(&mut self) -> Outcome {
        if self.seat.terminal != Some(self.sender) {
            self.seat.terminal = Some(self.sender);
            self.seat.revision = None;
            self.seat.profile = None;
            self.seat.leave();
        }
        let header = &self.frame.header;
        if header.encryption != 0 {
            let code = Some(result::UNSUPPORTED);
            return self.seat.reject(header, "encrypted", code, true);
        }
        match header.message_id {
            MessageId::REGISTRATION => self.register(),
            MessageId::AUTHENTICATION => self.authenticate(),
            _ if self.seat.state == State::Authenticated => self.on_message(),
            _ => self.admit_by_phone(),
        }
    }

    fn step(&mut self, input: Input) -> Step {
        let step = step(self.seat.state, input);
        self.seat.state = step.next;
        step
    }

    fn register(&mut self) -> Outcome {
        let header = &self.frame.header;
        let Ok(Message::Registration(registration)) = self.decode() else {
            let code = Some(result::BAD_MESSAGE);
            return self.seat.reject(header, "body", code, false);
        };
        let profile = self.directory.profile_by(self.sender, &registration);
        let record = record_of(
            self.sender,
            &registration,
            profile.as_deref(),
            self.moment.now,
        );
        let judged = self
            .directory
            .register(record, self.link.address, self.moment.now);
        let (result, welcome) = match judged {
            // Without an answer the terminal asks again.
            Ok(None) => return Outcome::Handled { response: None },
            Ok(Some(welcome)) => (Ok(()), Some(welcome)),
            Err(refusal) => (Err(refusal), None),
        };
        let step = self.step(Input::Registration(result));
        let Answer::Registration(code) = step.answer else {
            return Outcome::Handled { response: None };
        };
        let Some(welcome) = welcome else {
            let response = Some(self.seat.registration_response(header, code, String::new()));
            return Outcome::Handled { response };
        };
        self.seat.revision = Some(registration.revision());
        Outcome::Registered {
            response: self.seat.registration_response(header, code, welcome.code),
            saved: welcome.saved,
        }
    }

    fn authenticate(&mut self) -> Outcome {
        let header = &self.frame.header;
        let Ok(Message::Authentication(authentication)) = self.decode() else {
            let code = Some(result::BAD_MESSAGE);
            return self.seat.reject(header, "body", code, false);
        };
        let state = self.seat.state;
        let downlink = self.downlink();
        let shown = &authentication.code[..];
        let code = self.seat.profile().map(|profile| profile.auth_code(shown));
        let judged = self.directory.log_in(
            self.sender,
            code.unwrap_or(shown),
            self.link,
            state,
            downlink,
            self.moment.now,
        );
        let step = self.step(Input::Authentication(
            judged.as_ref().map(drop).map_err(|e| *e),
        ));
        if let Ok(presence) = judged {
            self.seat.presence = Some(presence);
        }
        let code = match step.answer {
            Answer::General(code) => code,
            Answer::Registration(_) | Answer::ByMeaning => result::FAILURE,
        };
        let response = Some(self.seat.general(header, code));
        Outcome::Handled { response }
    }

    fn admit_by_phone(&mut self) -> Outcome {
        let header = &self.frame.header;
        let downlink = self.downlink();
        let judged =
            self.directory
                .log_in_by_phone(self.sender, self.link, downlink, self.moment.now);
        let step = self.step(Input::Other(judged.as_ref().map(drop).map_err(|e| *e)));
        if let Ok(presence) = judged {
            self.seat.presence = Some(presence);
        }
        match step.answer {
            Answer::ByMeaning => self.on_message(),
            Answer::General(_) | Answer::Registration(_) => {
                let code = Some(result::FAILURE);
                self.seat.reject(header, "not_authenticated", code, false)
            }
        }
    }

    /// The way down that a session would have from here on. Its profile is chosen here as well.
    fn downlink(&mut self) -> Downlink {
        if self.seat.presence.is_none() {
            self.seat.profile = self.directory.profile_of(self.sender);
        }
        if self.seat.revision.is_none() {
            let record = self.directory.registration_of(self.sender);
            self.seat.revision = record.and_then(|record| Revision::of_year(record.revision));
        }
        let header = self.frame.header;
        Downlink::new(
            header,
            self.seat.revision_of(&header),
            self.seat.text_encoding(),
            self.seat.serial,
        )
    }

    fn log_out(&mut self) -> Outcome {
        let step = self.step(Input::LogOut);
        if let Some(kind) = step.event {
            let connection = self.link.connection;
            self.directory
                .close_session(self.sender, connection, kind, "", self.moment.now);
            self.seat.leave();
        }
        let code = match step.answer {
            Answer::General(code) => code,
            Answer::Registration(_) | Answer::ByMeaning => result::FAILURE,
        };
        let response = Some(self.seat.general(&self.frame.header, code));
        Outcome::Handled { response }
    }

    fn on_message(&mut self) -> Outcome {
        if let Some(presence) = &self.seat.presence {
            presence.seen(self.moment.now);
        }
        let header = self.frame.header;
        let is_whole = |item: PacketItem| (item.total, item.number) == (1, 1);
        if header.packet.is_some_and(|item| !is_whole(item)) {
            return self.on_packet();
        }
        let is_log_out = header.message_id == MessageId::DEREGISTRATION
            || (header.message_id == MessageId::DEREGISTRATION_MISPRINT
                && self.frame.body.is_empty());
        if is_log_out {
            return self.log_out();
        }
        match self.decode() {
            Err(_) => self.reject("body", result::BAD_MESSAGE, true),
            Ok(message) => self.on_whole(message, None),
        }
    }

    /// One packet of a message: it is answered and recorded like a message of its own, and with the
    /// last one to come the whole message follows. Packets of media are not recorded, since the
    /// whole goes to a place of its own.
    fn on_packet(&mut self) -> Outcome {
        let header = self.frame.header;
        let accepted = self
            .packets
            .accept(&header, &self.frame.body, self.moment.elapsed);
        match accepted {
            Packet::Stored | Packet::Duplicate { .. } => {
                self.directory.count_packet(&accepted);
                if header.message_id == MessageId::MULTIMEDIA_DATA {
                    let response = Some(self.seat.general(&header, result::SUCCESS));
                    Outcome::Handled { response }
                } else {
                    self.record(Content::Other, None, result::SUCCESS)
                }
            }
            Packet::Refused(refusal) => self.refuse_packet(refusal),
            Packet::Complete(joined) => match self.decode_joined(&joined) {
                Err(_) => self.reject("body", result::BAD_MESSAGE, true),
                Ok(message) => self.on_whole(message, Some(Box::new(joined))),
            },
        }
    }

    fn decode_joined(&self, joined: &Joined) -> Result<Message, DecodeError> {
        let revision = self.seat.revision_of(&joined.header);
        Message::decode(joined.header.message_id, joined.body.clone(), revision)
    }

    fn refuse_packet(&mut self, refusal: Refusal) -> Outcome {
        let code = if refusal.is_malformed() {
            result::BAD_MESSAGE
        } else {
            result::FAILURE
        };
        self.reject(refusal.reason(), code, false)
    }

    fn on_whole(&mut self, mut message: Message, joined: Option<Box<Joined>>) -> Outcome {
        let header = self.frame.header;
        zone::to_gmt8(&mut message, zone::utc_offset_minutes(self.seat.profile()));
        // Who reads the log has no key: the clear message follows the frame.
        let clear = || {
            Box::new(Joined {
                header,
                body: self.frame.body.clone(),
                first_serial: header.serial,
                total: 1,
            })
        };
        let joined = joined.or_else(|| self.is_decrypted.then(clear));
        match message {
            Message::LocationReport(report) => {
                if let Some(presence) = &self.seat.presence {
                    let has_fix = report.status.0 & POSITIONED != 0;
                    let fixed_at = report.time.unix_seconds();
                    presence.reported(has_fix, fixed_at, self.moment.now, &mut self.seat.clock);
                }
                self.record(Content::Report(Box::new(report)), joined, result::SUCCESS)
            }
            Message::LocationBatch(batch) => {
                self.record(Content::Batch(batch), joined, result::SUCCESS)
            }
            Message::Heartbeat(_) => {
                let response = Some(self.seat.general(&header, result::SUCCESS));
                Outcome::Handled { response }
            }
            Message::TerminalResponse(response) => {
                self.hear(|| TerminalAnswer {
                    message_id: MessageId::TERMINAL_RESPONSE,
                    serial: Some(response.answered_serial),
                    answered_id: Some(response.answered_id),
                    result: Some(response.result),
                    content: None,
                });
                Outcome::Handled { response: None }
            }
            _ if header.message_id.is_downlink() => {
                self.reject("direction", result::UNSUPPORTED, false)
            }
            Message::ServerTimeQuery(_) => {
                let response = self.seat.server_time(&header, self.moment.now);
                Outcome::Handled { response }
            }
            Message::TerminalRsaKey(_) => {
                self.hear_content(&message);
                let response = match self.directory.platform_key() {
                    Some(key) => {
                        let key = Message::PlatformRsaKey(Box::new(key.public().clone()));
                        self.seat.response(&header, &key, result::SUCCESS)
                    }
                    None => self.seat.general(&header, result::SUCCESS),
                };
                self.record_with(Content::Other, joined, response)
            }
            Message::TerminalRetransmissionRequest(request) => self.send_again(&request),
            Message::MultimediaData(upload) => self.on_media(&upload, joined.is_some()),
            Message::LocationQueryResponse(ref response) => {
                self.hear_content(&message);
                let report = Box::new(response.report.clone());
                self.record(Content::Report(report), joined, result::SUCCESS)
            }
            Message::VehicleControlResponse(ref response) => {
                self.hear_content(&message);
                let report = Box::new(response.report.clone());
                self.record(Content::Report(report), joined, result::SUCCESS)
            }
            Message::Unknown { .. } => self.record(Content::Other, joined, result::UNSUPPORTED),
            message => {
                self.hear_content(&message);
                self.record(Content::Other, joined, result::SUCCESS)
            }
        }
    }

    /// Packets of a long command, as they were sent before.
    fn send_again(&mut self, request: &RetransmissionRequest) -> Outcome {
        let (serial, numbers) = (request.original_serial, &request.packets);
        let packets = self
            .seat
            .downlink()
            .and_then(|downlink| downlink.again(serial, numbers, self.moment.now));
        let header = &self.frame.header;
        let response = match packets {
            Some(frames) => Response {
                frame: frames.concat().into(),
                result: result::SUCCESS,
            },
            None => self.seat.general(header, result::FAILURE),
        };
        Outcome::Handled {
            response: Some(response),
        }
    }

    /// A picture, sound or video, whole; or in 2011 a packet of it, numbered in its body.
    fn on_media(&mut self, upload: &MultimediaData, is_joined: bool) -> Outcome {
        if let (Some(item), false) = (upload.packet(), is_joined) {
            let header = Header {
                packet: Some(item),
                ..self.frame.header
            };
            let part = upload.part();
            return match self.packets.accept(&header, &part, self.moment.elapsed) {
                Packet::Complete(whole) => match MultimediaData::of_parts(whole.body) {
                    Ok(upload) => self.on_media(&upload, true),
                    Err(_) => self.reject("body", result::BAD_MESSAGE, true),
                },
                Packet::Refused(refusal) => self.refuse_packet(refusal),
                accepted @ (Packet::Stored | Packet::Duplicate { .. }) => {
                    self.directory.count_packet(&accepted);
                    let response = Some(self.seat.general(&header, result::SUCCESS));
                    Outcome::Handled { response }
                }
            };
        }
        let header = self.frame.header;
        let minutes = zone::utc_offset_minutes(self.seat.profile());
        let (medium, data) = medium_of(self.sender, upload, true, minutes, self.moment.now);
        let whole = MultimediaDataResponse::complete(medium.media_id);
        let whole = Message::MultimediaDataResponse(whole);
        Outcome::Media {
            medium: Box::new(medium),
            data,
            taken: [
                self.seat.general(&header, result::SUCCESS),
                self.seat.response(&header, &whole, result::SUCCESS),
            ],
            refused: self.seat.general(&header, result::FAILURE),
        }
    }

    /// Something that may answer a command, where one is on its way.
    fn hear(&mut self, answer: impl FnOnce() -> TerminalAnswer) {
        if self.seat.downlink().is_some_and(Downlink::is_expecting) {
            self.answer = Some(Box::new(answer()));
        }
    }

    fn hear_content(&mut self, message: &Message) {
        if self.seat.downlink().is_some_and(Downlink::is_expecting) {
            let answer = answer_of(message, self.seat.text_encoding());
            self.answer = Some(Box::new(answer));
        }
    }

    fn reject(&mut self, reason: &'static str, code: u8, is_kept: bool) -> Outcome {
        self.seat
            .reject(&self.frame.header, reason, Some(code), is_kept)
    }

    fn decode(&self) -> Result<Message, DecodeError> {
        let header = &self.frame.header;
        let revision = self.seat.revision_of(header);
        Message::decode(header.message_id, self.frame.body.clone(), revision)
    }

    fn record(&mut self, content: Content, joined: Option<Box<Joined>>, code: u8) -> Outcome {
        let response = self.seat.general(&self.frame.header, code);
        self.record_with(content, joined, response)
    }

    fn record_with(
        &self,
        content: Content,
        joined: Option<Box<Joined>>,
        response: Response,
    ) -> Outcome {
        Outcome::Record {
            terminal: self.sender,
            revision: self.seat.revision_of(&self.frame.header),
            profile: self.seat.profile.clone(),
            content,
            joined,
            response,
        }
    }
}

/// What a message that is an answer says.
fn answer_of(message: &Message, encoding: TextEncoding) -> TerminalAnswer {
    let mut fields = message.to_json();
    encoding.read(&mut fields);
    TerminalAnswer {
        message_id: message.id(),
        serial: message.answered_serial(),
        answered_id: None,
        result: fields
            .get("result")
            .and_then(|result| u8::try_from(result.as_u64()?).ok()),
        content: Some(serde_json::Value::Object(fields).to_string()),
    }
}
