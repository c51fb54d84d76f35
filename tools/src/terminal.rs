//! A terminal that a test or a tool drives step by step: connect, register, authenticate, send,
//! await the response. Every await has a time limit.

use std::{collections::VecDeque, io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, ToSocketAddrs},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    mqtt::Malformed,
    wire::{
        self, Answer, Incoming, Phone, Report, Revision, authentication_body, batch_body,
        message_id, registration_body,
    },
};

/// Messages from the platform that wait until somebody asks for them.
const STASH_MAX: usize = 4_096;

/// Who a terminal says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// As in its headers; a 2019 number goes with revision 2019.
    pub phone: Phone,
    /// The layout of its bodies.
    pub revision: Revision,
    /// Licence plate; may be empty.
    pub plate: String,
}

impl Identity {
    /// A terminal without a plate; `None` when the number does not fit the revision.
    #[must_use]
    pub fn new(phone: &str, revision: Revision) -> Option<Self> {
        let phone = Phone::from_digits(phone, revision)?;
        Some(Self {
            phone,
            revision,
            plate: String::new(),
        })
    }
}

/// What went wrong on a terminal's side.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The platform closed the connection.
    #[error("the platform closed the connection")]
    Closed,
    /// Nothing came in time.
    #[error("no {awaited} within {limit:?}")]
    Timeout {
        /// What was awaited.
        awaited: &'static str,
        /// How long.
        limit: Duration,
    },
    /// The platform refused.
    #[error("message {id:#06x} was refused with result {result}")]
    Refused {
        /// Id of the refused message.
        id: u16,
        /// The result code.
        result: u8,
    },
    /// An MQTT connection or subscription was refused.
    #[error("refused over MQTT with reason {reason:#04x}")]
    NotLetIn {
        /// The reason code.
        reason: u8,
    },
    /// What came is no MQTT.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// More messages came than are kept for later.
    #[error("too many messages that nobody asked for")]
    StashFull,
    /// The body is longer than a frame may be.
    #[error("the body is longer than one frame holds")]
    TooLong,
}

impl TerminalError {
    /// A word for counters and logs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Io(_) => "io",
            Self::Closed => "closed",
            Self::Timeout { .. } => "timeout",
            Self::Refused { .. } => "refused",
            Self::NotLetIn { .. } => "not_let_in",
            Self::Malformed(_) => "malformed",
            Self::StashFull => "stash_full",
            Self::TooLong => "too_long",
        }
    }
}

/// One connection of one terminal, over plain TCP or any other link.
#[derive(Debug)]
pub struct Terminal<S = TcpStream> {
    stream: S,
    identity: Identity,
    serial: u16,
    limit: Duration,
    received: Vec<u8>,
    stash: VecDeque<Incoming>,
}

impl Terminal {
    /// Connects. `limit` bounds this and every later await.
    ///
    /// # Errors
    /// When the platform cannot be reached in time.
    pub async fn connect(
        address: impl ToSocketAddrs,
        identity: Identity,
        limit: Duration,
    ) -> Result<Self, TerminalError> {
        let stream = timeout(limit, TcpStream::connect(address))
            .await
            .map_err(|_| TerminalError::Timeout {
                awaited: "connection",
                limit,
            })??;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream, identity, limit))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Terminal<S> {
    /// A terminal on a link that is there already: each message is one write. `limit` bounds every
    /// await.
    #[must_use]
    pub const fn over(stream: S, identity: Identity, limit: Duration) -> Self {
        Self {
            stream,
            identity,
            serial: 0,
            limit,
            received: Vec::new(),
            stash: VecDeque::new(),
        }
    }

    /// The same terminal on its stream made into another kind.
    #[must_use]
    pub fn map<T>(self, into: impl FnOnce(S) -> T) -> Terminal<T> {
        Terminal {
            stream: into(self.stream),
            identity: self.identity,
            serial: self.serial,
            limit: self.limit,
            received: self.received,
            stash: self.stash,
        }
    }

    /// Who this terminal is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Registers (0x0100) and gives the authentication code of the 0x8100.
    ///
    /// # Errors
    /// [`TerminalError::Refused`] with the result when it is not 0.
    pub async fn register(&mut self) -> Result<Vec<u8>, TerminalError> {
        let digits = self.identity.phone.digits();
        let tail: String = digits
            .chars()
            .skip(digits.chars().count().saturating_sub(6))
            .collect();
        let revision = self.identity.revision;
        let body = registration_body(revision, &format!("T{tail}"), &self.identity.plate);
        let id = message_id::REGISTRATION;
        let serial = self.send(id, &body).await?;
        let limit = self.limit;
        let incoming = self
            .wait_for("registration response", limit, |incoming| {
                incoming
                    .registration_answer()
                    .is_some_and(|(answered, ..)| answered == serial)
            })
            .await?;
        match incoming.registration_answer() {
            Some((_, 0, code)) => Ok(code.to_vec()),
            Some((_, result, _)) => Err(TerminalError::Refused { id, result }),
            None => Err(TerminalError::Closed),
        }
    }

    /// Authenticates (0x0102) with the code of a registration.
    ///
    /// # Errors
    /// [`TerminalError::Refused`] with the result when it is not 0.
    pub async fn authenticate(&mut self, code: &[u8]) -> Result<(), TerminalError> {
        let body = authentication_body(self.identity.revision, code);
        self.demand(message_id::AUTHENTICATION, &body).await
    }

    /// Registers and authenticates; gives the code, with which a later connection can skip the
    /// registration.
    ///
    /// # Errors
    /// As [`Self::register`] and [`Self::authenticate`].
    pub async fn log_in(&mut self) -> Result<Vec<u8>, TerminalError> {
        let code = self.register().await?;
        self.authenticate(&code).await?;
        Ok(code)
    }

    /// Sends a heartbeat (0x0002) and awaits the response.
    ///
    /// # Errors
    /// When no response with result 0 comes in time.
    pub async fn heartbeat(&mut self) -> Result<(), TerminalError> {
        self.demand(message_id::HEARTBEAT, &[]).await
    }

    /// Logs out (0x0003) and awaits the response; the caller then drops the terminal.
    ///
    /// # Errors
    /// When no response with result 0 comes in time.
    pub async fn log_out(&mut self) -> Result<(), TerminalError> {
        self.demand(message_id::LOG_OUT, &[]).await
    }

    /// Sends a location report (0x0200) without awaiting the response; gives its serial number.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn send_location(&mut self, report: &Report) -> Result<u16, TerminalError> {
        self.send(message_id::LOCATION_REPORT, &report.body()).await
    }

    /// Sends several reports in one 0x0704, as backlog (type 1) or not (type 0), without awaiting
    /// the response; gives its serial number.
    ///
    /// # Errors
    /// [`TerminalError::TooLong`] when they do not fit one frame.
    pub async fn send_batch(
        &mut self,
        is_backlog: bool,
        reports: &[Report],
    ) -> Result<u16, TerminalError> {
        let bodies: Vec<Vec<u8>> = reports.iter().map(Report::body).collect();
        let body = batch_body(is_backlog, &bodies).ok_or(TerminalError::TooLong)?;
        self.send(message_id::LOCATION_BATCH, &body).await
    }

    /// Sends any message; gives its serial number.
    ///
    /// # Errors
    /// When the body is too long or the socket fails.
    pub async fn send(&mut self, id: u16, body: &[u8]) -> Result<u16, TerminalError> {
        let (serial, frame) = self.compose(id, body)?;
        self.send_raw(&frame).await?;
        Ok(serial)
    }

    /// Builds the frame of a message with the next serial number, to be sent now and again.
    ///
    /// # Errors
    /// When the body is too long.
    pub fn compose(&mut self, id: u16, body: &[u8]) -> Result<(u16, Vec<u8>), TerminalError> {
        let serial = self.serial;
        let frame =
            wire::frame(id, &self.identity.phone, serial, body).ok_or(TerminalError::TooLong)?;
        self.serial = self.serial.wrapping_add(1);
        Ok((serial, frame))
    }

    /// Builds the packets of a message that is too long for one frame, each with a serial number.
    ///
    /// # Errors
    /// When a packet is too long, or there are too many.
    pub fn compose_packets(
        &mut self,
        id: u16,
        body: &[u8],
        bytes_each: usize,
    ) -> Result<Vec<(u16, Vec<u8>)>, TerminalError> {
        let total = body.len().div_ceil(bytes_each);
        let total = u16::try_from(total).map_err(|_| TerminalError::TooLong)?;
        let mut packets = Vec::new();
        for (number, part) in (1..).zip(body.chunks(bytes_each)) {
            let serial = self.serial;
            let frame = wire::packet(
                id,
                &self.identity.phone,
                serial,
                Some((total, number)),
                part,
            );
            packets.push((serial, frame.ok_or(TerminalError::TooLong)?));
            self.serial = self.serial.wrapping_add(1);
        }
        Ok(packets)
    }

    /// Sends bytes as they are: frames built elsewhere, resends, damage.
    ///
    /// # Errors
    /// When the socket fails or takes nothing in time.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), TerminalError> {
        let limit = self.limit;
        timeout(limit, self.stream.write_all(bytes))
            .await
            .map_err(|_| TerminalError::Timeout {
                awaited: "room to send",
                limit,
            })??;
        Ok(())
    }

    /// Awaits the 0x8001 that answers the message with this serial number; others are kept.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn response(&mut self, serial: u16) -> Result<Answer, TerminalError> {
        self.response_within(serial, self.limit).await
    }

    /// As [`Self::response`], with a time limit of its own.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn response_within(
        &mut self,
        serial: u16,
        limit: Duration,
    ) -> Result<Answer, TerminalError> {
        let incoming = self
            .wait_for("response", limit, |incoming| {
                incoming
                    .answer()
                    .is_some_and(|answer| answer.serial == serial)
            })
            .await?;
        incoming.answer().ok_or(TerminalError::Closed)
    }

    /// Awaits the response to a message that may have been built elsewhere: the 0x8001 that names
    /// its id and serial number, or the 0x8100 that answers a registration; others are kept.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn response_to(
        &mut self,
        id: u16,
        serial: u16,
        limit: Duration,
    ) -> Result<Incoming, TerminalError> {
        self.wait_for("response", limit, |incoming| match incoming.answer() {
            Some(answer) => (answer.id, answer.serial) == (id, serial),
            None => {
                id == message_id::REGISTRATION
                    && incoming
                        .registration_answer()
                        .is_some_and(|(answered, ..)| answered == serial)
            }
        })
        .await
    }

    /// Awaits the next message of the platform with this id; others are kept.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn message(&mut self, id: u16) -> Result<Incoming, TerminalError> {
        self.wait_for("message", self.limit, |incoming| incoming.id == id)
            .await
    }

    /// Awaits the next message of any kind, kept ones first, without a time limit. Cancelling
    /// the wait loses nothing.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn receive(&mut self) -> Result<Incoming, TerminalError> {
        match self.stash.pop_front() {
            Some(incoming) => Ok(incoming),
            None => self.read_frame().await,
        }
    }

    /// Sends and awaits result 0.
    async fn demand(&mut self, id: u16, body: &[u8]) -> Result<(), TerminalError> {
        let serial = self.send(id, body).await?;
        match self.response(serial).await?.result {
            0 => Ok(()),
            result => Err(TerminalError::Refused { id, result }),
        }
    }

    async fn wait_for(
        &mut self,
        awaited: &'static str,
        limit: Duration,
        is_wanted: impl Fn(&Incoming) -> bool,
    ) -> Result<Incoming, TerminalError> {
        if let Some(index) = self.stash.iter().position(&is_wanted)
            && let Some(incoming) = self.stash.remove(index)
        {
            return Ok(incoming);
        }
        let deadline = Instant::now() + limit;
        loop {
            let incoming = timeout_at(deadline, self.read_frame())
                .await
                .map_err(|_| TerminalError::Timeout { awaited, limit })??;
            if is_wanted(&incoming) {
                return Ok(incoming);
            }
            if self.stash.len() >= STASH_MAX {
                return Err(TerminalError::StashFull);
            }
            self.stash.push_back(incoming);
        }
    }

    async fn read_frame(&mut self) -> Result<Incoming, TerminalError> {
        loop {
            if let Some(incoming) = wire::next_frame(&mut self.received) {
                return Ok(incoming);
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(TerminalError::Closed);
            }
        }
    }
}
