//! One terminal's session: what its messages mean and how each is answered. A plain state machine
//! without sockets; the connection around it is in [`crate::listen::tcp`].
//!
//! ```text
//!                     0x0102 with its code
//!   connected ───────────────────────────────▶ authenticated ──▶ reports are recorded
//!      │  ▲                                        │    │
//!      │  └──────────────── 0x0003 log-out ────────┘    └─ another connection shows the code:
//!      └─ 0x0100: code; reports: result 1                  this one ends
//! ```

pub mod control;
pub mod directory;

use std::sync::Arc;

use self::{
    control::Control,
    directory::{Directory, Owner, RegistrationResult, record_of},
};
use bytes::Bytes;
use geofence::{identity::TerminalId, units::Timestamp};
use protocols::jt808::{
    Revision,
    frame::Frame,
    header::{Header, HeaderForm, TerminalPhone},
    message::{
        Message, MessageId, general_response::GeneralResponse, location_batch::LocationBatch,
        location_report::LocationReport, registration_response::RegistrationResponse,
    },
};

/// Result codes of 0x8001.
pub mod result {
    /// Received; for reports: durable.
    pub const SUCCESS: u8 = 0;
    /// Not allowed.
    pub const FAILURE: u8 = 1;
    /// The message has errors.
    pub const BAD_MESSAGE: u8 = 2;
    /// Not supported.
    pub const UNSUPPORTED: u8 = 3;
}

/// What a frame means.
#[derive(Debug)]
pub enum Outcome {
    /// It concerns the session alone.
    Handled {
        /// The response, to be sent at once; some messages have none.
        response: Option<Response>,
        /// What changed.
        event: Option<Event>,
    },
    /// It is to be recorded; the response leaves after the sync.
    Record {
        /// Who sent it.
        terminal: TerminalId,
        /// The revision that the body follows.
        revision: Revision,
        /// What it says.
        content: Content,
        /// The response.
        response: Response,
    },
    /// It is not taken.
    Rejected {
        /// The word of the metric.
        reason: &'static str,
        /// The response, where one helps.
        response: Option<Response>,
        /// The frame itself was whole and of an authenticated terminal: it may be mended later.
        is_kept: bool,
    },
}

/// What a frame that is to be recorded says.
#[derive(Debug)]
pub enum Content {
    /// 0x0200.
    Report(Box<LocationReport>),
    /// 0x0704.
    Batch(LocationBatch),
    /// A message that has no meaning here yet.
    Other,
}

/// A change of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// 0x0100 was judged.
    Registered(bool),
    /// 0x0102 was judged.
    Authenticated(bool),
    /// 0x0003.
    LoggedOut,
}

/// A frame for the terminal.
#[derive(Debug)]
pub struct Response {
    /// The wire form, delimiters and escapes included.
    pub frame: Bytes,
    /// Result code, for the count.
    pub result: u8,
}

/// The session of one connection.
#[derive(Debug)]
pub struct Session {
    connection: u64,
    control: Arc<Control>,
    terminal: Option<TerminalId>,
    revision: Option<Revision>,
    serial: u16,
}

impl Session {
    /// A connection that has said nothing yet.
    #[must_use]
    pub fn new(connection: u64, control: Arc<Control>) -> Self {
        Self {
            connection,
            control,
            terminal: None,
            revision: None,
            serial: 0,
        }
    }

    /// The terminal, once authenticated.
    #[must_use]
    pub const fn terminal(&self) -> Option<TerminalId> {
        self.terminal
    }

    /// The connection ends: the session with it. True when the terminal is offline now.
    pub fn close(&mut self, directory: &Directory) -> bool {
        self.terminal
            .take()
            .is_some_and(|terminal| directory.close_session(terminal, self.connection))
    }

    /// Judges a frame that was opened.
    pub fn on_frame(&mut self, frame: &Frame, directory: &Directory, now: Timestamp) -> Outcome {
        let header = &frame.header;
        let Some(sender) = terminal_of(&header.phone) else {
            // A terminal that was never configured: nobody may report under the number zero.
            let response = if header.message_id == MessageId::REGISTRATION {
                let unknown = RegistrationResult::TerminalUnknown;
                self.registration_response(header, unknown, String::new())
            } else {
                self.general(header, result::FAILURE)
            };
            return Outcome::Rejected {
                reason: "no_phone",
                response: Some(response),
                is_kept: false,
            };
        };
        if header.encryption != 0 {
            return self.reject(header, "encrypted", Some(result::UNSUPPORTED), true);
        }
        match header.message_id {
            MessageId::REGISTRATION => self.register(frame, sender, directory, now),
            MessageId::AUTHENTICATION => self.authenticate(frame, sender, directory),
            _ => match self.terminal {
                Some(terminal) if terminal == sender => self.on_message(frame, terminal, directory),
                Some(_) => self.reject(header, "other_terminal", Some(result::FAILURE), false),
                None if directory.trusts_phone(sender) => {
                    self.open(sender, directory);
                    self.on_message(frame, sender, directory)
                }
                None => self.reject(header, "not_authenticated", Some(result::FAILURE), false),
            },
        }
    }

    fn register(
        &mut self,
        frame: &Frame,
        sender: TerminalId,
        directory: &Directory,
        now: Timestamp,
    ) -> Outcome {
        let header = &frame.header;
        let Ok(Message::Registration(registration)) = self.decode(frame) else {
            return self.reject(header, "body", Some(result::BAD_MESSAGE), false);
        };
        let (outcome, code) = directory.register(record_of(sender, &registration, now));
        let is_welcome = outcome == RegistrationResult::Success;
        if is_welcome {
            self.revision = Some(registration.revision());
        }
        let response = self.registration_response(header, outcome, code);
        Outcome::Handled {
            response: Some(response),
            event: Some(Event::Registered(is_welcome)),
        }
    }

    fn registration_response(
        &mut self,
        header: &Header,
        outcome: RegistrationResult,
        code: String,
    ) -> Response {
        let message = Message::RegistrationResponse(RegistrationResponse {
            answered_serial: header.serial,
            result: outcome as u8,
            auth_code: Bytes::from(code),
        });
        self.response(header, &message, outcome as u8)
    }

    fn authenticate(
        &mut self,
        frame: &Frame,
        sender: TerminalId,
        directory: &Directory,
    ) -> Outcome {
        let header = &frame.header;
        let Ok(Message::Authentication(authentication)) = self.decode(frame) else {
            return self.reject(header, "body", Some(result::BAD_MESSAGE), false);
        };
        let is_welcome = directory.authenticate(sender, &authentication.code);
        // A wrong code ends no session: else anybody could end anybody's.
        if is_welcome {
            self.revision = self.revision.or_else(|| {
                directory
                    .registration_of(sender)
                    .and_then(|r| Revision::of_year(r.revision))
            });
            self.open(sender, directory);
        }
        let code = if is_welcome {
            result::SUCCESS
        } else {
            result::FAILURE
        };
        Outcome::Handled {
            response: Some(self.general(header, code)),
            event: Some(Event::Authenticated(is_welcome)),
        }
    }

    fn open(&mut self, terminal: TerminalId, directory: &Directory) {
        if let Some(other) = self.terminal.filter(|other| *other != terminal) {
            directory.close_session(other, self.connection);
        }
        self.terminal = Some(terminal);
        let owner = Owner {
            connection: self.connection,
            control: Arc::clone(&self.control),
        };
        directory.open_session(terminal, owner);
    }

    fn on_message(
        &mut self,
        frame: &Frame,
        terminal: TerminalId,
        directory: &Directory,
    ) -> Outcome {
        let header = &frame.header;
        let revision = self.revision_of(header);
        if header.packet.is_some_and(|packet| packet.total > 1) {
            // Joining sub-packets is not done yet: kept, and told to be unsupported.
            return self.record(
                header,
                terminal,
                revision,
                Content::Other,
                result::UNSUPPORTED,
            );
        }
        let is_log_out = header.message_id == MessageId::DEREGISTRATION
            || (header.message_id == MessageId::DEREGISTRATION_MISPRINT && frame.body.is_empty());
        if is_log_out {
            let response = self.general(header, result::SUCCESS);
            self.close(directory);
            return Outcome::Handled {
                response: Some(response),
                event: Some(Event::LoggedOut),
            };
        }
        match self.decode(frame) {
            Err(_) => self.reject(header, "body", Some(result::BAD_MESSAGE), true),
            Ok(Message::Heartbeat(_)) => {
                let response = Some(self.general(header, result::SUCCESS));
                Outcome::Handled {
                    response,
                    event: None,
                }
            }
            Ok(Message::TerminalResponse(_)) => Outcome::Handled {
                response: None,
                event: None,
            },
            Ok(Message::LocationReport(report)) => {
                let content = Content::Report(Box::new(report));
                self.record(header, terminal, revision, content, result::SUCCESS)
            }
            Ok(Message::LocationBatch(batch)) => self.record(
                header,
                terminal,
                revision,
                Content::Batch(batch),
                result::SUCCESS,
            ),
            Ok(_) if header.message_id.is_downlink() => {
                self.reject(header, "direction", Some(result::UNSUPPORTED), false)
            }
            Ok(_) => self.record(
                header,
                terminal,
                revision,
                Content::Other,
                result::UNSUPPORTED,
            ),
        }
    }

    fn decode(&self, frame: &Frame) -> Result<Message, protocols::wire::DecodeError> {
        let revision = self.revision_of(&frame.header);
        Message::decode(frame.header.message_id, frame.body.clone(), revision)
    }

    fn revision_of(&self, header: &Header) -> Revision {
        match (header.form(), self.revision) {
            (HeaderForm::Form2019, _) => Revision::V2019,
            (HeaderForm::Form2013, Some(Revision::V2011)) => Revision::V2011,
            (HeaderForm::Form2013, _) => Revision::V2013,
        }
    }

    fn record(
        &mut self,
        header: &Header,
        terminal: TerminalId,
        revision: Revision,
        content: Content,
        code: u8,
    ) -> Outcome {
        Outcome::Record {
            terminal,
            revision,
            content,
            response: self.general(header, code),
        }
    }

    fn reject(
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

    fn general(&mut self, header: &Header, code: u8) -> Response {
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

/// The id of the terminal that a header names; `None` for all zeros.
#[must_use]
pub fn terminal_of(phone: &TerminalPhone) -> Option<TerminalId> {
    phone.key().and_then(|key| key.as_str().parse().ok())
}
