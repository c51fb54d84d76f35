//! One terminal of a load: a socket and what is on its way.

use std::{
    collections::VecDeque,
    io::{self, Read as _, Write as _},
    net::SocketAddr,
};

use mio::{Interest, Registry, Token, net::TcpStream};

use super::{
    publisher::{self, Publisher},
    report_frame::{Fix, ReportFrame},
};
use crate::{
    mqtt,
    wire::{
        Answer, Incoming, Phone, Revision, authentication_body, check_code, frame, message_id,
        registration_body,
    },
};

const DELIMITER: u8 = 0x7E;
/// Header 12, body 5, check code 1: a 0x8001 without escapes.
const ANSWER_BYTES: usize = 18;

/// How far a terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Registering,
    /// It has the code for MQTT, and another connection to open.
    Registered,
    Moving,
    Authenticating,
    Ready,
    Closed,
}

/// A message that awaits its response; its first report.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    serial: u16,
    pub number: u32,
    /// Microseconds since the load began.
    pub due_us: u64,
}

/// What a platform sends that matters here.
pub(super) enum Reply {
    Answer(Answer),
    Registered {
        result: u8,
        code: Vec<u8>,
    },
    /// CONNACK.
    LetIn {
        reason: u8,
    },
}

/// A terminal and its socket.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    pub state: State,
    phone: [u8; 6],
    serial: u16,
    pub(super) number: u32,
    pub in_flight: VecDeque<InFlight>,
    unsent: Vec<u8>,
    partial: Vec<u8>,
    code: Vec<u8>,
    /// `None`: it speaks JT/T 808 on its connection.
    publisher: Option<Publisher>,
}

impl Connection {
    /// Begins to connect. `phone`: up to 12 digits.
    pub(super) fn open(
        target: SocketAddr,
        phone: u64,
        first_position: u32,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::connect(target)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            state: State::Connecting,
            phone: bcd_phone(phone),
            serial: 0,
            number: first_position,
            in_flight: VecDeque::new(),
            unsent: Vec::new(),
            partial: Vec::new(),
            code: Vec::new(),
            publisher: None,
        })
    }

    /// Keeps the code of its registration, for [`Self::open_mqtt`].
    pub(super) fn keep_code(&mut self, code: Vec<u8>) {
        self.code = code;
        self.state = State::Registered;
    }

    /// Begins to connect anew, over MQTT.
    pub(super) fn open_mqtt(
        &mut self,
        target: SocketAddr,
        publisher: Publisher,
        registry: &Registry,
        token: Token,
    ) -> io::Result<()> {
        registry.deregister(&mut self.stream)?;
        self.stream = TcpStream::connect(target)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut self.stream, token, interest)?;
        (self.publisher, self.state) = (Some(publisher), State::Moving);
        self.unsent.clear();
        self.partial.clear();
        Ok(())
    }

    pub(super) fn queue_connect(&mut self, phone: u64) {
        let packet = mqtt::connect(&phone.to_string(), &self.code, false);
        self.unsent.extend(packet);
    }

    /// Whether the connection that was begun stands now.
    pub(super) fn has_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => self.stream.set_nodelay(true).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn queue_registration(&mut self) {
        let body = registration_body(Revision::V2013, "TLOAD", "");
        self.queue(message_id::REGISTRATION, &body);
    }

    pub(super) fn queue_authentication(&mut self, code: &[u8]) {
        let body = authentication_body(Revision::V2013, code);
        self.queue(message_id::AUTHENTICATION, &body);
    }

    fn queue(&mut self, id: u16, body: &[u8]) {
        let serial = self.next_serial();
        let frame =
            Phone::from_bytes(&self.phone).and_then(|phone| frame(id, &phone, serial, body));
        self.unsent.extend(frame.unwrap_or_default());
    }

    /// Queues the next message, of so many reports.
    pub(super) fn queue_reports(
        &mut self,
        template: &mut ReportFrame,
        count: u32,
        fix: impl Fn(u32) -> Fix,
        due_us: u64,
    ) {
        let serial = self.next_serial();
        let number = self.number;
        self.number = number.wrapping_add(count);
        let (phone, numbers) = (self.phone, number..number.saturating_add(count));
        let out = &mut self.unsent;
        match &self.publisher {
            Some(publisher) => publisher.write(template, (phone, serial), numbers, fix, out),
            None => template.write_all(phone, serial, numbers, fix, out),
        }
        self.in_flight.push_back(InFlight {
            serial,
            number,
            due_us,
        });
    }

    /// Of a frame, or of a packet of MQTT, where 0 is none.
    const fn next_serial(&mut self) -> u16 {
        if self.publisher.is_some() && self.serial == 0 {
            self.serial = 1;
        }
        let serial = self.serial;
        self.serial = serial.wrapping_add(1);
        serial
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads all that is there, and hands on every reply.
    ///
    /// # Errors
    /// When the connection has ended; the replies before that were handed on.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        mut on_reply: impl FnMut(&mut Self, Reply),
    ) -> io::Result<()> {
        loop {
            let count = match self.stream.read(scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let is_all = count < scratch.len();
            let received = scratch.get(..count).unwrap_or_default();
            if self.partial.is_empty() {
                let taken = self.take_replies(received, &mut on_reply)?;
                self.partial.extend(received.iter().skip(taken));
            } else {
                let mut joined = std::mem::take(&mut self.partial);
                joined.extend(received);
                let taken = self.take_replies(&joined, &mut on_reply)?;
                joined.drain(..taken);
                self.partial = joined;
            }
            // A short read has emptied the socket: the next event tells of more.
            if is_all {
                return Ok(());
            }
        }
    }

    /// Hands on the replies in the bytes; gives how many bytes they and what is between them take.
    fn take_replies(
        &mut self,
        bytes: &[u8],
        on_reply: &mut impl FnMut(&mut Self, Reply),
    ) -> io::Result<usize> {
        if self.publisher.is_some() {
            return publisher::replies(bytes, |reply| on_reply(self, reply))
                .map_err(io::Error::other);
        }
        let mut taken = 0;
        let mut rest = bytes;
        while let Some(start) = rest.iter().position(|byte| *byte == DELIMITER) {
            let behind = rest.get(start + 1..).unwrap_or_default();
            let Some(length) = behind.iter().position(|byte| *byte == DELIMITER) else {
                return Ok(taken + start);
            };
            let inner = behind.get(..length).unwrap_or_default();
            let reply = reply_of(inner);
            // Not a frame: its last delimiter may be the first of the next one.
            let step = start + 1 + length + usize::from(reply.is_some());
            if let Some(reply) = reply {
                on_reply(self, reply);
            }
            taken += step;
            rest = rest.get(step..).unwrap_or_default();
        }
        Ok(bytes.len())
    }

    /// The report that an answer is for.
    pub(super) fn settle(&mut self, answer: Answer) -> Option<InFlight> {
        let is_of_reports = matches!(
            answer.id,
            message_id::LOCATION_REPORT | message_id::LOCATION_BATCH
        );
        if !is_of_reports {
            return None;
        }
        // Almost always the oldest.
        if self
            .in_flight
            .front()
            .is_some_and(|report| report.serial == answer.serial)
        {
            return self.in_flight.pop_front();
        }
        let index = self
            .in_flight
            .iter()
            .position(|report| report.serial == answer.serial)?;
        self.in_flight.remove(index)
    }

    /// Ends the connection; what is in flight stays unanswered.
    pub(super) fn close(&mut self, registry: &Registry) {
        self.state = State::Closed;
        // It may be gone already; nobody waits for it any more.
        drop(registry.deregister(&mut self.stream));
        drop(self.stream.shutdown(std::net::Shutdown::Both));
        self.unsent = Vec::new();
    }
}

/// Twelve digits as six bytes.
fn bcd_phone(phone: u64) -> [u8; 6] {
    let mut bytes = [0; 6];
    let mut left = phone;
    for byte in bytes.iter_mut().rev() {
        let pair = u8::try_from(left % 100).unwrap_or(0);
        *byte = ((pair / 10) << 4) | (pair % 10);
        left /= 100;
    }
    bytes
}

/// What lies between two delimiters, if it is a reply.
fn reply_of(inner: &[u8]) -> Option<Reply> {
    // The usual case without an allocation.
    if let Ok(
        [
            0x80,
            0x01,
            _,
            5,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            s0,
            s1,
            i0,
            i1,
            result,
            _,
        ],
    ) = <[u8; ANSWER_BYTES]>::try_from(inner)
        && !inner.contains(&0x7D)
        && check_code(inner) == 0
    {
        let (serial, id) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([i0, i1]));
        return Some(Reply::Answer(Answer { serial, id, result }));
    }
    let incoming = Incoming::parse(inner)?;
    if let Some((_, result, code)) = incoming.registration_answer() {
        return Some(Reply::Registered {
            result,
            code: code.to_vec(),
        });
    }
    incoming.answer().map(Reply::Answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::hex;

    #[test]
    fn a_phone_number_becomes_six_bytes_with_a_zero_in_front() {
        assert_eq!(hex(&bcd_phone(13_900_000_042)), "013900000042");
    }

    #[test]
    fn answers_are_read_the_short_way_and_the_long_way_alike() {
        let phone = Phone::from_bytes(&bcd_phone(13_900_000_001)).unwrap();
        for serial in [0x0102_u16, 0x7E7D] {
            let [s0, s1] = serial.to_be_bytes();
            let frame = frame(0x8001, &phone, 9, &[s0, s1, 0x02, 0x00, 0]).unwrap();
            let inner = &frame[1..frame.len() - 1];
            let Some(Reply::Answer(answer)) = reply_of(inner) else {
                panic!("no answer")
            };
            assert_eq!(
                (answer.serial, answer.id, answer.result),
                (serial, 0x0200, 0)
            );
            let mut damaged = inner.to_vec();
            *damaged.last_mut().unwrap() ^= 1;
            assert!(reply_of(&damaged).is_none());
        }
    }
}
