//! A bare event loop on one thread: what it reads it appends to a file, which it syncs every
//! 5 ms; then the answers leave. Less than this no server does that keeps the promise.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

use super::{announce, answers::answer_frames};

const SYNC_INTERVAL: Duration = Duration::from_millis(5);
const LISTENER: Token = Token(usize::MAX);

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    answers: Vec<u8>,
}

struct Floor {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    scratch: Vec<u8>,
    staged: Vec<u8>,
    /// Connections with answers that wait for the sync.
    waiting: Vec<usize>,
    file: File,
}

pub(super) fn serve(folder: &Path) -> io::Result<()> {
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    let poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    announce(listener.local_addr()?)?;
    let mut floor = Floor {
        poll,
        listener,
        connections: Vec::new(),
        scratch: vec![0; 64 * 1024],
        staged: Vec::new(),
        waiting: Vec::new(),
        file: File::create(folder.join("floor.log"))?,
    };
    let mut events = Events::with_capacity(1_024);
    let mut synced_at = Instant::now();
    loop {
        let patience = SYNC_INTERVAL.saturating_sub(synced_at.elapsed());
        floor
            .poll
            .poll(&mut events, (!floor.staged.is_empty()).then_some(patience))?;
        for event in &events {
            match event.token() {
                LISTENER => floor.accept()?,
                Token(index) => floor.read(index),
            }
        }
        if !floor.staged.is_empty() && synced_at.elapsed() >= SYNC_INTERVAL {
            synced_at = Instant::now();
            floor.sync_and_answer()?;
        }
    }
}

impl Floor {
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.connections.len());
            self.poll
                .registry()
                .register(&mut stream, token, Interest::READABLE)?;
            let (received, answers) = (Vec::new(), Vec::new());
            self.connections.push(Some(Connection {
                stream,
                received,
                answers,
            }));
        }
    }

    fn read(&mut self, index: usize) {
        let Some(slot) = self.connections.get_mut(index) else {
            return;
        };
        let Some(connection) = slot else { return };
        loop {
            match connection.stream.read(&mut self.scratch) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Ok(0) | Err(_) => {
                    *slot = None;
                    return;
                }
                Ok(count) => {
                    let bytes = self.scratch.get(..count).unwrap_or_default();
                    self.staged.extend(bytes);
                    connection.received.extend(bytes);
                    if count < self.scratch.len() {
                        break;
                    }
                }
            }
        }
        let had_answers = !connection.answers.is_empty();
        answer_frames(&mut connection.received, &mut connection.answers);
        if !had_answers && !connection.answers.is_empty() {
            self.waiting.push(index);
        }
    }

    fn sync_and_answer(&mut self) -> io::Result<()> {
        self.file.write_all(&self.staged)?;
        self.file.sync_data()?;
        self.staged.clear();
        for index in self.waiting.drain(..) {
            let Some(slot) = self.connections.get_mut(index) else {
                continue;
            };
            let Some(connection) = slot else { continue };
            // Answers are small and awaited: a socket that does not take them has no reader.
            if connection.stream.write_all(&connection.answers).is_err() {
                *slot = None;
            } else {
                connection.answers.clear();
            }
        }
        Ok(())
    }
}
