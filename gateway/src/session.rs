//! The session of a terminal on a link: what its messages mean and how each is answered. A plain
//! state machine without sockets; the connection around it is in [`crate::listen`].
//!
//! ```text
//!                     0x0102 with its code
//!   connected ───────────────────────────────▶ authenticated ──▶ reports are recorded
//!      │  ▲                                        │    │
//!      │  └──────────────── 0x0003 log-out ────────┘    └─ another connection shows the code:
//!      └─ 0x0100: code; reports: result 1                  this one ends
//! ```
//!
//! The whole of it is a table: [`handshake`]. A link carries one terminal. Those of the peers in
//! `terminals.forwarding_addresses` carry several, each with a session, a revision and serial
//! numbers of its own, and all of them end with the link.

pub mod control;
pub mod directory;
pub mod downlink;
pub mod handshake;
pub mod per_minute;
pub mod plates;
pub mod presence;
pub mod saver;
pub mod unknown;

mod seat;

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use self::{
    control::Control,
    directory::Directory,
    downlink::Downlink,
    handshake::{AuthenticationRefusal, RegistrationRefusal},
    saver::PendingSave,
    seat::{Seat, Turn},
};
use bytes::Bytes;
use geofence::{identity::TerminalId, units::Timestamp};
use protocols::jt808::{
    Revision,
    frame::Frame,
    header::TerminalPhone,
    message::{MessageId, location_batch::LocationBatch, location_report::LocationReport},
    profile::Profile,
    reassembly::{Action, Incomplete, Joined, Reassembler, ReassemblyPool},
};
use storage::{media::NewMedia, registry::events::TerminalEventKind};

use crate::commands::TerminalAnswer;

/// The encryption that the standard knows (bit 10 of the body attributes).
const RSA: u8 = 1;

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
    },
    /// A registration: the response leaves when it is on the disk, and not at all when it is not.
    Registered {
        /// The response.
        response: Response,
        /// What it waits for.
        saved: PendingSave,
    },
    /// It is to be recorded; the response leaves after the sync.
    Record {
        /// Who sent it.
        terminal: TerminalId,
        /// The revision that the body follows.
        revision: Revision,
        /// What the terminal does otherwise.
        profile: Option<Arc<Profile>>,
        /// What it says.
        content: Content,
        /// The whole message, of which the frame is the last packet to come.
        joined: Option<Box<Joined>>,
        /// The response.
        response: Response,
    },
    /// A medium: the responses leave when it is stored.
    Media {
        /// What is known of it.
        medium: Box<NewMedia>,
        /// Its bytes.
        data: Bytes,
        /// Once it is stored: the response to the frame, and the one to the upload (0x8800).
        taken: [Response; 2],
        /// When it cannot be stored.
        refused: Response,
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

/// What a frame says that is to be recorded.
#[derive(Debug)]
pub enum Content {
    /// 0x0200.
    Report(Box<LocationReport>),
    /// 0x0704.
    Batch(LocationBatch),
    /// Something else, or one packet of it.
    Other,
}

/// A frame for the terminal.
#[derive(Debug)]
pub struct Response {
    /// The wire form, delimiters and escapes included.
    pub frame: Bytes,
    /// Result code, for the count.
    pub result: u8,
}

/// The connection that sessions are on.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its number.
    pub connection: u64,
    /// Where it is told what to do.
    pub control: Arc<Control>,
    /// Address of the peer.
    pub address: IpAddr,
    /// A word for people: `tcp`.
    pub transport: &'static str,
    /// It may carry several terminals.
    pub is_shared: bool,
}

/// What a frame changed for those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The terminal.
    pub terminal: TerminalId,
    /// It has a session now, or none any more.
    pub is_online: bool,
}

/// What follows from a frame.
#[derive(Debug)]
pub struct Verdict {
    /// What it means.
    pub outcome: Outcome,
    /// Who came online or went offline with it.
    pub presented: Option<Presented>,
    /// What it says to a command, and the terminal that says it.
    pub answer: Option<(TerminalId, Box<TerminalAnswer>)>,
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            presented: None,
            answer: None,
        }
    }
}

/// What is due as time passes.
#[derive(Debug, Default)]
pub struct Due {
    /// Requests for missing packets.
    pub frames: Vec<Bytes>,
    /// Messages that will not be whole.
    pub given_up: Vec<Incomplete>,
}

/// When something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the calendar.
    pub now: Timestamp,
    /// Since a fixed moment; it never goes back.
    pub elapsed: Duration,
}

/// The sessions of one connection: one, or several on the links of forwarding peers.
#[derive(Debug)]
pub struct Session {
    link: Link,
    seat: Seat,
    packets: Reassembler,
    /// On a forwarding link only, where `seat` answers those that have no place.
    others: Option<Box<Others>>,
}

/// Several terminals on one link.
#[derive(Debug, Default)]
struct Others {
    seats: HashMap<TerminalId, Seat>,
}

impl Session {
    /// A connection that has said nothing yet.
    #[must_use]
    pub fn new(link: Link, pool: Arc<ReassemblyPool>) -> Self {
        Self {
            others: link.is_shared.then(Box::default),
            link,
            seat: Seat::default(),
            packets: Reassembler::new(pool),
        }
    }

    /// The terminal, once authenticated; `None` on links of several.
    #[must_use]
    pub fn terminal(&self) -> Option<TerminalId> {
        self.seat.online()
    }

    /// A terminal has authenticated.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        let mut others = self.others.iter().flat_map(|others| others.seats.values());
        self.seat.online().is_some() || others.any(|seat| seat.online().is_some())
    }

    /// Opens the session of a terminal that shows its code by other means than 0x0102.
    ///
    /// # Errors
    /// Why there is none.
    pub fn log_in(
        &mut self,
        terminal: TerminalId,
        code: &[u8],
        directory: &Directory,
        now: Timestamp,
    ) -> Result<(), AuthenticationRefusal> {
        self.seat.log_in(terminal, code, &self.link, directory, now)
    }

    /// The terminal said something that is no frame; where that was a live fix, whether it is a
    /// place, and its time.
    pub fn heard(&mut self, live_fix: Option<(bool, Timestamp)>, now: Timestamp) {
        self.seat.heard(live_fix, now);
    }

    /// Answers of the terminal are awaited.
    #[must_use]
    pub fn is_expecting(&self) -> bool {
        self.seat.downlink().is_some_and(Downlink::is_expecting)
    }

    /// The connection ends, and its sessions with it. Gives the terminals that are offline now.
    pub fn close(
        &mut self,
        directory: &Directory,
        reason: &'static str,
        now: Timestamp,
    ) -> Vec<TerminalId> {
        let others = self.others.take().unwrap_or_default();
        let seats = others
            .seats
            .into_values()
            .chain([std::mem::take(&mut self.seat)]);
        let connection = self.link.connection;
        let kind = TerminalEventKind::Offline;
        seats
            .filter_map(|seat| seat.online())
            .filter(|terminal| directory.close_session(*terminal, connection, kind, reason, now))
            .collect()
    }

    /// Frames that wait in the downlinks of the terminals, in order for each.
    pub fn take_downlinks(&self) -> Vec<Bytes> {
        let others = self.others.iter().flat_map(|others| others.seats.values());
        let seats = others.chain([&self.seat]);
        seats
            .filter_map(Seat::downlink)
            .flat_map(Downlink::take)
            .collect()
    }

    /// When [`on_time`](Self::on_time) has something to do next, as [`Moment::elapsed`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.packets.next_deadline()
    }

    /// What is due.
    pub fn on_time(&mut self, elapsed: Duration) -> Due {
        let mut due = Due::default();
        for action in self.packets.on_time(elapsed) {
            match action {
                Action::Ask(missing) => {
                    let sender = terminal_of(&missing.header.phone);
                    let seat = match &mut self.others {
                        None => Some(&mut self.seat),
                        Some(others) => sender.and_then(|sender| others.seats.get_mut(&sender)),
                    };
                    due.frames.extend(seat.map(|seat| seat.ask_for(&missing)));
                }
                Action::GiveUp(incomplete) => due.given_up.push(incomplete),
            }
        }
        due
    }

    /// The messages that will not be whole, since the connection has ended.
    pub fn give_up(&mut self) -> Vec<Incomplete> {
        self.packets.close()
    }

    /// Judges a frame that was opened.
    pub fn on_frame(&mut self, frame: &Frame, directory: &Directory, moment: Moment) -> Verdict {
        let now = moment.now;
        let header = &frame.header;
        let Some(sender) = terminal_of(&header.phone) else {
            return self.refuse_no_phone(frame).into();
        };
        let refusal = Some(result::FAILURE);
        let seat = match &mut self.others {
            None if self
                .seat
                .online()
                .is_some_and(|terminal| terminal != sender) =>
            {
                let outcome = self.seat.reject(header, "other_terminal", refusal, false);
                return outcome.into();
            }
            None => &mut self.seat,
            Some(others) => match others.seat(sender, directory.per_link_max()) {
                Some(seat) => seat,
                None => {
                    let outcome = self.seat.reject(header, "link_full", refusal, false);
                    return outcome.into();
                }
            },
        };
        if self.link.is_shared {
            seat.leave_if_replaced(&self.link, directory, now);
        }
        let before = seat.online();
        // It costs much: only those with a session may ask for it.
        let clear = match directory.platform_key() {
            Some(key) if header.encryption == RSA && before == Some(sender) => key
                .decrypt(&frame.body)
                .map(|body| frame.with_clear_body(body)),
            _ => None,
        };
        let mut turn = Turn {
            link: &self.link,
            packets: &mut self.packets,
            answer: None,
            seat,
            is_decrypted: clear.is_some(),
            frame: clear.as_ref().unwrap_or(frame),
            sender,
            directory,
            moment,
        };
        let outcome = turn.judge();
        let answer = turn.answer.take().map(|answer| (sender, answer));
        let after = seat.online();
        let presented = after.or(before).filter(|_| before != after);
        let presented = presented.map(|terminal| Presented {
            terminal,
            is_online: after.is_some(),
        });
        Verdict {
            outcome,
            presented,
            answer,
        }
    }

    /// A frame as its terminal means it, where a profile says more than the frame does.
    #[must_use]
    pub fn read_again(&self, frame: Frame, raw: &Bytes) -> Frame {
        match self.profile_for(&frame) {
            Some(profile) => profile.read_again(frame, raw),
            None => frame,
        }
    }

    /// The wrong length of a frame is one that is known of its terminal.
    #[must_use]
    pub fn tolerates(&self, frame: &Frame) -> bool {
        let profile = self.profile_for(frame);
        profile.is_some_and(|profile| profile.tolerates(frame))
    }

    fn profile_for(&self, frame: &Frame) -> Option<&Profile> {
        let seat = match &self.others {
            None => &self.seat,
            Some(others) => others.seats.get(&terminal_of(&frame.header.phone)?)?,
        };
        seat.profile()
    }

    /// A terminal that was never configured: nobody may report under the number zero.
    fn refuse_no_phone(&mut self, frame: &Frame) -> Outcome {
        let header = &frame.header;
        let response = if header.message_id == MessageId::REGISTRATION {
            let unknown = RegistrationRefusal::TerminalUnknown as u8;
            self.seat
                .registration_response(header, unknown, String::new())
        } else {
            self.seat.general(header, result::FAILURE)
        };
        Outcome::Rejected {
            reason: "no_phone",
            response: Some(response),
            is_kept: false,
        }
    }
}

impl Others {
    /// The terminal's place: those that never authenticated make room. `None` when all have.
    fn seat(&mut self, sender: TerminalId, max: usize) -> Option<&mut Seat> {
        if self.seats.len() >= max && !self.seats.contains_key(&sender) {
            let idle = self.seats.iter().find(|(_, seat)| seat.online().is_none());
            let idle = *idle?.0;
            self.seats.remove(&idle);
        }
        Some(self.seats.entry(sender).or_default())
    }
}

/// The id of the terminal that a header names; `None` for all zeros.
#[must_use]
pub fn terminal_of(phone: &TerminalPhone) -> Option<TerminalId> {
    phone.key().and_then(|key| key.as_str().parse().ok())
}
