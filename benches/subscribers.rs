//! Users who follow their jurisdictions over MQTT, on one thread: what reaches them, and how long
//! after the terminal has sent it. Positions must tell the millisecond by their altitude
//! ([`tools::load::FixTimes::Clock`]).

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use memchr::memmem;
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use parking_lot::Mutex;
use tools::{
    load::{ALTITUDE_MS, Histogram, Latency},
    mqtt::{Packet, acknowledge, connect, is_refusal, is_retained, split, subscribe_with},
};

/// How often the time is looked at.
const PATIENCE: Duration = Duration::from_millis(100);
/// For all of them to be let in.
const LOG_IN_LIMIT: Duration = Duration::from_secs(120);
/// About to log in at a time.
const OPENING_MAX: usize = 32;

/// One user: whom he says to be, and what he follows.
#[derive(Clone, Debug)]
pub struct User {
    /// User name and client id.
    pub name: String,
    /// What he subscribes to.
    pub filter: String,
    /// 0 or 1.
    pub quality: u8,
}

/// What reached them since the last time that it was asked for.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Positions that were news.
    pub positions: u64,
    /// Other news: online, offline, and that nothing is known any more.
    pub others: u64,
    /// What was kept for newcomers.
    pub kept: u64,
    /// From when a position was due to be sent to its receipt.
    pub latency: Latency,
    /// Connections that have ended.
    pub lost: usize,
}

#[derive(Default)]
struct Tally {
    heard: Heard,
    latencies: Histogram,
}

/// The users, connected until this is dropped.
pub struct Subscribers {
    tally: Arc<Mutex<Tally>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscribers").finish_non_exhaustive()
    }
}

struct Connection {
    stream: TcpStream,
    user: User,
    received: Vec<u8>,
    unsent: Vec<u8>,
    is_greeted: bool,
    is_in: bool,
}

impl Subscribers {
    /// Connects all of them, and subscribes.
    ///
    /// # Errors
    /// When one of them is not let in.
    pub fn connect(target: SocketAddr, password: &str, users: Vec<User>) -> io::Result<Self> {
        let mut crowd = Crowd {
            poll: Poll::new()?,
            events: Events::with_capacity(256),
            connections: HashMap::new(),
            scratch: vec![0; 64 * 1024],
        };
        crowd.log_in(target, password, users)?;
        let (tally, is_over) = (Arc::<Mutex<Tally>>::default(), Arc::<AtomicBool>::default());
        let (for_thread, until) = (Arc::clone(&tally), Arc::clone(&is_over));
        let thread = thread::spawn(move || crowd.listen(&for_thread, &until));
        Ok(Self {
            tally,
            is_over,
            thread: Some(thread),
        })
    }

    /// What reached them since the last call.
    #[must_use]
    pub fn take(&self) -> Heard {
        let tally = std::mem::take(&mut *self.tally.lock());
        Heard {
            latency: tally.latencies.latency(),
            ..tally.heard
        }
    }
}

impl Drop for Subscribers {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to give back.
            drop(thread.join());
        }
    }
}

struct Crowd {
    poll: Poll,
    events: Events,
    connections: HashMap<Token, Connection>,
    scratch: Vec<u8>,
}

impl Crowd {
    fn log_in(&mut self, target: SocketAddr, password: &str, users: Vec<User>) -> io::Result<()> {
        let began = Instant::now();
        let mut tally = Tally::default();
        let mut waiting = users.into_iter();
        while waiting.len() > 0 || self.connections.values().any(|one| !one.is_in) {
            let opening = self.connections.values().filter(|one| !one.is_in).count();
            for user in waiting
                .by_ref()
                .take(OPENING_MAX - opening.min(OPENING_MAX))
            {
                let token = Token(self.connections.len());
                let mut stream = TcpStream::connect(target)?;
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll
                    .registry()
                    .register(&mut stream, token, interest)?;
                let unsent = connect(&user.name, password.as_bytes(), false);
                let connection = Connection {
                    stream,
                    user,
                    received: Vec::new(),
                    unsent,
                    is_greeted: false,
                    is_in: false,
                };
                self.connections.insert(token, connection);
            }
            let lost = self.step(&mut tally)?;
            if lost > 0 || began.elapsed() > LOG_IN_LIMIT {
                return Err(io::Error::other("not all subscribers are let in"));
            }
        }
        Ok(())
    }

    fn listen(mut self, tally: &Mutex<Tally>, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            let mut news = Tally::default();
            let stepped = self.step(&mut news);
            let mut tally = tally.lock();
            tally.heard.lost += stepped.unwrap_or(self.connections.len());
            tally.heard.positions += news.heard.positions;
            tally.heard.others += news.heard.others;
            tally.heard.kept += news.heard.kept;
            tally.latencies.add(&news.latencies);
        }
    }

    /// Waits, and takes what has come; gives how many connections have ended.
    fn step(&mut self, tally: &mut Tally) -> io::Result<usize> {
        match self.poll.poll(&mut self.events, Some(PATIENCE)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            polled => polled?,
        }
        let mut lost = 0;
        for event in &self.events {
            let Some(connection) = self.connections.get_mut(&event.token()) else {
                continue;
            };
            if connection.work(&mut self.scratch, tally).is_err() {
                self.connections.remove(&event.token());
                lost += 1;
            }
        }
        Ok(lost)
    }
}

impl Connection {
    fn work(&mut self, scratch: &mut [u8], tally: &mut Tally) -> io::Result<()> {
        match self.stream.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
            address => address?,
        };
        self.flush()?;
        loop {
            let count = match self.stream.read(scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.received
                .extend(scratch.get(..count).unwrap_or_default());
            let received = std::mem::take(&mut self.received);
            let taken = self.take_packets(&received, tally)?;
            self.received = received;
            self.received.drain(..taken);
        }
        self.flush()
    }

    fn take_packets(&mut self, received: &[u8], tally: &mut Tally) -> io::Result<usize> {
        let now_ms = now_ms();
        let mut rest = received;
        while let Some((packet, taken)) = split(rest).map_err(io::Error::other)? {
            let kept = rest.first().is_some_and(|first| is_retained(*first));
            match packet {
                Packet::Connected { reason } | Packet::Subscribed { reason }
                    if is_refusal(reason) =>
                {
                    return Err(io::Error::other(format!("refused with {reason:#x}")));
                }
                Packet::Connected { .. } if !self.is_greeted => {
                    self.is_greeted = true;
                    let filter = [self.user.filter.clone()];
                    self.unsent
                        .extend(subscribe_with(1, &filter, self.user.quality));
                }
                Packet::Subscribed { .. } => self.is_in = true,
                Packet::Published { id, payload, .. } => {
                    if let Some(id) = id {
                        self.unsent.extend(acknowledge(id));
                    }
                    tally.note(kept, payload, now_ms);
                }
                Packet::Disconnected { .. } => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(received.len() - rest.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Tally {
    fn note(&mut self, is_kept: bool, payload: &[u8], now_ms: u64) {
        if is_kept {
            self.heard.kept += 1;
            return;
        }
        let Some(sent_ms) = altitude(payload) else {
            self.heard.others += 1;
            return;
        };
        self.heard.positions += 1;
        let waited_ms = (now_ms + ALTITUDE_MS - sent_ms) % ALTITUDE_MS;
        self.latencies.record(waited_ms * 1_000);
    }
}

/// The number behind `"altitude_m":`.
fn altitude(payload: &[u8]) -> Option<u64> {
    const KEY: &[u8] = br#""altitude_m":"#;
    let at = memmem::find(payload, KEY)?;
    let digits = payload.get(at + KEY.len()..)?.iter();
    let digits = digits.map_while(|byte| byte.is_ascii_digit().then(|| u64::from(byte - b'0')));
    let mut number = None;
    for digit in digits {
        number = Some(number.unwrap_or(0) * 10 + digit);
    }
    number
}

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since_epoch.unwrap_or_default().as_millis()).unwrap_or(0) % ALTITUDE_MS
}

/// Users over the districts of the synthetic city at full size: the first `wide` of them follow a
/// whole district, the others a street of it. Every second one wants to acknowledge.
#[must_use]
pub fn users(count: usize, wide: usize, streets: &[String]) -> Vec<(User, String)> {
    let user = |number: usize| {
        // Streets come one district after the other: a step that is no divisor reaches all.
        let street = streets.get(number * 37 % streets.len().max(1))?;
        let (district, rest) = street.split_at_checked(6)?;
        let (scope, levels) = if number < wide {
            (district.to_owned(), district.to_owned())
        } else {
            (street.clone(), format!("{district}/{rest}"))
        };
        let user = User {
            name: format!("screen-{number}"),
            filter: format!("gridtrace/live/{levels}/#"),
            quality: u8::from(number % 2 == 1),
        };
        Some((user, scope))
    };
    (0..count).filter_map(user).collect()
}
