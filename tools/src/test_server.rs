//! A small platform for the tests of this crate: real sockets, a thread for each connection,
//! strict about codes and phone numbers, and with a memory.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use crate::wire::{Incoming, Phone, frame, message_id, next_frame};

/// How the platform misbehaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whims {
    /// Every report of this ordinal is stored, and its answer is not sent; 0: none.
    pub forgets_answer_every: usize,
    /// Ends the connection at every message of this ordinal; 0: never.
    pub hangs_up_every: usize,
}

/// What the platform has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// All whole frames of authenticated terminals, in order.
    pub frames: Vec<Incoming>,
    /// Bodies of reports by phone number, each position of a batch for itself, resends included.
    pub reports: HashMap<String, Vec<Vec<u8>>>,
    /// Successful registrations: phone number and body.
    pub registrations: Vec<(String, Vec<u8>)>,
    /// Codes that were shown and refused.
    pub refused_codes: usize,
    count: usize,
}

#[derive(Debug)]
pub(crate) struct TestServer {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Seen>>,
}

impl TestServer {
    pub(crate) fn start(whims: Whims) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream, whims, &shared));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn target(&self) -> String {
        self.address.to_string()
    }
}

fn serve(mut stream: TcpStream, whims: Whims, seen: &Mutex<Seen>) -> Option<()> {
    let mut session: Option<Phone> = None;
    let mut received = Vec::new();
    let mut scratch = [0; 4_096];
    loop {
        while let Some(incoming) = next_frame(&mut received) {
            let response = respond(&incoming, &mut session, whims, &mut seen.lock().unwrap())?;
            stream.write_all(&response).ok()?;
        }
        let count = stream.read(&mut scratch).ok().filter(|count| *count > 0)?;
        received.extend(&scratch[..count]);
    }
}

/// `None` ends the connection.
fn respond(
    incoming: &Incoming,
    session: &mut Option<Phone>,
    whims: Whims,
    seen: &mut Seen,
) -> Option<Vec<u8>> {
    let digits = incoming.phone.digits();
    let serial = incoming.serial.to_be_bytes();
    let code = format!("code-{digits}").into_bytes();
    let is_due = |every: usize, count: usize| every > 0 && count.is_multiple_of(every);
    let send = |id: u16, body: &[u8]| frame(id, &incoming.phone, 0, body);
    let answer = |result: u8| {
        let body = [&serial[..], &incoming.id.to_be_bytes(), &[result]].concat();
        send(message_id::PLATFORM_RESPONSE, &body)
    };
    if incoming.id == message_id::REGISTRATION {
        let is_known = digits != "0";
        let body = [&serial[..], &[if is_known { 0 } else { 4 }]].concat();
        if is_known {
            seen.registrations.push((digits, incoming.body.clone()));
        }
        let shown = if is_known { code } else { Vec::new() };
        return send(message_id::REGISTRATION_RESPONSE, &[body, shown].concat());
    }
    if incoming.id == message_id::AUTHENTICATION {
        let is_right = if incoming.phone.is_2019() {
            incoming
                .body
                .get(1..)
                .is_some_and(|rest| rest.starts_with(&code))
        } else {
            incoming.body == code
        };
        *session = if is_right {
            Some(incoming.phone.clone())
        } else {
            session.take()
        };
        seen.refused_codes += usize::from(!is_right);
        return answer(u8::from(!is_right));
    }
    if session.as_ref() != Some(&incoming.phone) {
        return answer(1);
    }
    seen.count += 1;
    if is_due(whims.hangs_up_every, seen.count) {
        return None;
    }
    seen.frames.push(incoming.clone());
    let reports = seen.reports.entry(digits).or_default();
    match incoming.id {
        message_id::LOCATION_REPORT => reports.push(incoming.body.clone()),
        message_id::LOCATION_BATCH => reports.extend(batch(&incoming.body)),
        message_id::HEARTBEAT => return answer(0),
        message_id::LOG_OUT => {
            *session = None;
            return answer(0);
        }
        _ => return answer(3),
    }
    if is_due(whims.forgets_answer_every, seen.count) {
        return Some(Vec::new());
    }
    answer(0)
}

/// The reports of a 0x0704.
fn batch(body: &[u8]) -> Vec<Vec<u8>> {
    let count = u16::from_be_bytes([body[0], body[1]]);
    let mut rest = &body[3..];
    let reports: Vec<Vec<u8>> = (0..count)
        .map(|_| {
            let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
            let report = rest[2..2 + length].to_vec();
            rest = &rest[2 + length..];
            report
        })
        .collect();
    assert!(rest.is_empty(), "the batch says how many reports it has");
    reports
}
