//! The server of attachments (附件服务器, T/JSATL 12): a port of its own, to which terminals bring the
//! files of their alarms.
//!
//! ```text
//! terminal ── 0x1210: alarm, files ──▶ 0x8001
//!    each file: 0x1211 ──▶ 0x8001
//!               packets of data        no answer
//!               0x1212 ──▶ 0x9212: on disk, or what is missing
//! ```
//!
//! Nobody authenticates here. A connection is bound to the first registered terminal that speaks,
//! and the number of an alarm, which only a 0x9208 has told that terminal, lets its files in. Until
//! then the connection has a fixed time, and afterwards it lives while something valid comes.
//!
//! What a connection means is decided in [`upload`]; here are the socket and the time.

mod upload;

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use dashmap::DashMap;
use protocols::{
    jsatl12::AttachmentSplitter,
    jt808::reassembly::{ReassemblyLimits, ReassemblyPool},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::block_in_place,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::upload::Upload;
use super::{ACCEPT_PAUSE, tcp::send_at_once};
use crate::Gateway;

/// Read at once.
const READ_BYTES: usize = 64 * 1024;
/// The longest list of files, in packets, is 255 names of 255 bytes; and so many of them at once.
const LIST_BYTES_MAX: usize = 128 * 1024;
const LISTS_MAX: usize = 2;

/// Why a connection ended; the words are a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    /// The peer closed it.
    Peer,
    /// The link broke.
    Broken,
    /// Nothing valid came for too long.
    Idle,
    /// The peer did not take its responses.
    WriteTimeout,
    /// Too much was refused.
    Refused,
    /// The process stops.
    Shutdown,
}

impl Closed {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Broken => "broken",
            Self::Idle => "idle",
            Self::WriteTimeout => "write_timeout",
            Self::Refused => "refused",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Accepts connections until told to stop; each is a task of its own.
pub(super) async fn accept(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    let places = Places::new(&gateway);
    let packets = ReassemblyPool::new(packet_limits(&gateway));
    let metrics = &gateway.metrics;
    let refuse =
        |reason| metrics.count("attachment_connections_refused_total", "reason", reason, 1);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match places.take(peer.ip()) {
                Ok(place) => {
                    metrics.attachment_connections.increment(1);
                    let upload = Upload::new(Arc::clone(&gateway), Arc::clone(&packets));
                    connections.spawn(serve(Arc::clone(&gateway), stream, upload, place));
                }
                Err(reason) => refuse(reason),
            },
            Err(error) => {
                refuse("accept_failed");
                tracing::warn!(%error, "cannot accept a connection with attachments");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Nobody has shown a code here: the memory in which long lists of files are joined is not that of
/// the terminals' other messages.
fn packet_limits(gateway: &Gateway) -> ReassemblyLimits {
    let config = &gateway.config;
    ReassemblyLimits {
        bytes_per_set: LIST_BYTES_MAX,
        sets_per_terminal: LISTS_MAX,
        bytes_per_terminal: LISTS_MAX * LIST_BYTES_MAX,
        sets_per_connection: LISTS_MAX,
        bytes_per_connection: LISTS_MAX * LIST_BYTES_MAX,
        bytes_in_all: config.attachments.connections_max as usize * LISTS_MAX * LIST_BYTES_MAX,
        ..config.packets.clone()
    }
}

/// How many connections there may be.
struct Places {
    all: Arc<Semaphore>,
    per_address: Arc<DashMap<IpAddr, u32>>,
    per_address_max: u32,
}

/// A place among them, given back when it is dropped.
struct Place {
    per_address: Arc<DashMap<IpAddr, u32>>,
    address: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    fn new(gateway: &Gateway) -> Self {
        let config = &gateway.config.attachments;
        Self {
            all: Arc::new(Semaphore::new(config.connections_max as usize)),
            per_address: Arc::default(),
            per_address_max: config.connections_per_address_max,
        }
    }

    /// A place for a connection of this address, or the word why there is none.
    fn take(&self, address: IpAddr) -> Result<Place, &'static str> {
        let permit = Arc::clone(&self.all).try_acquire_owned();
        let permit = permit.map_err(|_| "limit")?;
        let mut count = self.per_address.entry(address).or_insert(0);
        if *count >= self.per_address_max {
            return Err("address_limit");
        }
        *count += 1;
        Ok(Place {
            per_address: Arc::clone(&self.per_address),
            address,
            _permit: permit,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(mut count) = self.per_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
        }
        self.per_address
            .remove_if(&self.address, |_, count| *count == 0);
    }
}

async fn serve(gateway: Arc<Gateway>, stream: TcpStream, upload: Upload, place: Place) {
    send_at_once(&stream);
    let config = &gateway.config.attachments;
    let mut connection = Connection {
        splitter: AttachmentSplitter::new(config.packet_bytes_max),
        stream,
        buffer: BytesMut::new(),
        upload,
        lives_until: Instant::now() + config.idle_timeout,
        idle_timeout: config.idle_timeout,
        write_timeout: gateway.config.tcp.write_timeout,
        stop: gateway.stop.clone(),
    };
    let closed = connection.run().await;
    let Connection {
        mut splitter,
        mut buffer,
        mut upload,
        ..
    } = connection;
    block_in_place(|| {
        if let Some(cut) = splitter.finish(&mut buffer) {
            upload.take(cut);
        }
        upload.end();
    });
    let reason = closed.as_str();
    gateway
        .metrics
        .count("attachment_connections_closed_total", "reason", reason, 1);
    tracing::debug!(reason, "connection with attachments ended");
    drop(place);
}

struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
    splitter: AttachmentSplitter,
    upload: Upload,
    lives_until: Instant,
    idle_timeout: Duration,
    write_timeout: Duration,
    stop: CancellationToken,
}

impl Connection {
    async fn run(&mut self) -> Closed {
        loop {
            self.buffer.reserve(READ_BYTES);
            let read = tokio::select! {
                () = self.stop.cancelled() => return Closed::Shutdown,
                () = tokio::time::sleep_until(self.lives_until) => return Closed::Idle,
                read = self.stream.read_buf(&mut self.buffer) => read,
            };
            match read {
                Ok(0) => return Closed::Peer,
                Ok(_) => {}
                Err(_) => return Closed::Broken,
            }
            let answers = self.take();
            if let Err(closed) = self.send(&answers).await {
                return closed;
            }
            if self.upload.is_refused() {
                return Closed::Refused;
            }
        }
    }

    /// Takes what was read; gives what is to be answered.
    fn take(&mut self) -> BytesMut {
        let Self {
            splitter,
            buffer,
            upload,
            ..
        } = self;
        let mut answers = BytesMut::new();
        let mut is_of_use = false;
        block_in_place(|| {
            while !upload.is_refused()
                && let Some(piece) = splitter.next(buffer)
            {
                let taken = upload.take(piece);
                is_of_use |= taken.is_of_use;
                answers.extend_from_slice(&taken.answer);
            }
        });
        if is_of_use {
            self.lives_until = Instant::now() + self.idle_timeout;
        }
        answers
    }

    async fn send(&mut self, answers: &[u8]) -> Result<(), Closed> {
        if answers.is_empty() {
            return Ok(());
        }
        let sent: Result<io::Result<()>, _> =
            timeout(self.write_timeout, self.stream.write_all(answers)).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Closed::Broken),
            Err(_) => Err(Closed::WriteTimeout),
        }
    }
}
