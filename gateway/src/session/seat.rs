//! One terminal's place on a link.

use std::sync::Arc;

use bytes::Bytes;
use geofence::{identity::TerminalId, units::Timestamp};
use protocols::jt808::{
    Revision,
    frame::Frame,
    header::{Header, HeaderForm},
    message::{
        Message, MessageId, general_response::GeneralResponse,
        registration_response::RegistrationResponse,
    },
};
use storage::registry::events::TerminalEventKind;

use super::{
    Content, Link, Outcome, Response,
    directory::{Directory, record_of},
    handshake::{Answer, Input, State, Step, step},
    presence::{ClockWindow, Presence},
    result,
};

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
}

impl Seat {
    /// The terminal, when it has a session here.
    pub(super) fn online(&self) -> Option<TerminalId> {
        self.terminal.filter(|_| self.state == State::Authenticated)
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
        self.presence = None;
        self.clock = ClockWindow::default();
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

    /// In the header form of the request, with the same bytes of the phone number.
    fn response(&mut self, header: &Header, message: &Message, result: u8) -> Response {
        let serial = self.serial;
        self.serial = serial.wrapping_add(1);
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
    pub(super) sender: TerminalId,
    pub(super) directory: &'a Directory,
    pub(super) now: Timestamp,
}

impl Turn<'_> {
    pub(super) fn judge(mut self) -> Outcome {
        if self.seat.terminal != Some(self.sender) {
            self.seat.terminal = Some(self.sender);
            self.seat.revision = None;
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
        let record = record_of(self.sender, &registration, self.now);
        let judged = self.directory.register(record, self.link.address, self.now);
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
        let code = &authentication.code;
        let state = self.seat.state;
        let judged = self
            .directory
            .log_in(self.sender, code, self.link, state, self.now);
        let step = self.step(Input::Authentication(
            judged.as_ref().map(drop).map_err(|e| *e),
        ));
        if let Ok(presence) = judged {
            self.sit_down(presence);
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
        let judged = self
            .directory
            .log_in_by_phone(self.sender, self.link, self.now);
        let step = self.step(Input::Other(judged.as_ref().map(drop).map_err(|e| *e)));
        if let Ok(presence) = judged {
            self.sit_down(presence);
        }
        match step.answer {
            Answer::ByMeaning => self.on_message(),
            Answer::General(_) | Answer::Registration(_) => {
                let code = Some(result::FAILURE);
                self.seat.reject(header, "not_authenticated", code, false)
            }
        }
    }

    fn sit_down(&mut self, presence: Arc<Presence>) {
        self.seat.presence = Some(presence);
        if self.seat.revision.is_none() {
            let record = self.directory.registration_of(self.sender);
            self.seat.revision = record.and_then(|record| Revision::of_year(record.revision));
        }
    }

    fn log_out(&mut self) -> Outcome {
        let step = self.step(Input::LogOut);
        if let Some(kind) = step.event {
            let connection = self.link.connection;
            self.directory
                .close_session(self.sender, connection, kind, "", self.now);
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
        let header = &self.frame.header;
        if let Some(presence) = &self.seat.presence {
            presence.seen(self.now);
        }
        if header.packet.is_some_and(|packet| packet.total > 1) {
            // Joining sub-packets is not done yet: kept, and told to be unsupported.
            return self.record(Content::Other, result::UNSUPPORTED);
        }
        let is_log_out = header.message_id == MessageId::DEREGISTRATION
            || (header.message_id == MessageId::DEREGISTRATION_MISPRINT
                && self.frame.body.is_empty());
        if is_log_out {
            return self.log_out();
        }
        match self.decode() {
            Err(_) => {
                let code = Some(result::BAD_MESSAGE);
                self.seat.reject(header, "body", code, true)
            }
            Ok(Message::Heartbeat(_)) => {
                let response = Some(self.seat.general(header, result::SUCCESS));
                Outcome::Handled { response }
            }
            Ok(Message::TerminalResponse(_)) => Outcome::Handled { response: None },
            Ok(Message::LocationReport(report)) => {
                if let Some(presence) = &self.seat.presence {
                    let has_fix = report.status.0 & POSITIONED != 0;
                    let fixed_at = report.time.unix_seconds();
                    presence.reported(has_fix, fixed_at, self.now, &mut self.seat.clock);
                }
                self.record(Content::Report(Box::new(report)), result::SUCCESS)
            }
            Ok(Message::LocationBatch(batch)) => {
                self.record(Content::Batch(batch), result::SUCCESS)
            }
            Ok(_) if header.message_id.is_downlink() => {
                let code = Some(result::UNSUPPORTED);
                self.seat.reject(header, "direction", code, false)
            }
            Ok(_) => self.record(Content::Other, result::UNSUPPORTED),
        }
    }

    fn decode(&self) -> Result<Message, protocols::wire::DecodeError> {
        let header = &self.frame.header;
        let revision = self.seat.revision_of(header);
        Message::decode(header.message_id, self.frame.body.clone(), revision)
    }

    fn record(&mut self, content: Content, code: u8) -> Outcome {
        let header = &self.frame.header;
        Outcome::Record {
            terminal: self.sender,
            revision: self.seat.revision_of(header),
            content,
            response: self.seat.general(header, code),
        }
    }
}
