//! UDP: one socket, and a connection for each address that talks.
//!
//! ```text
//!           ┌─ address a ─▶ queue ─▶ connection ─┐
//! socket ─▶ ┤                                    ├─▶ socket, a frame a datagram
//!           └─ address b ─▶ queue ─▶ connection ─┘
//! ```
//!
//! A datagram is a unit: a frame that its end cuts is never joined with the next one. What finds no
//! room is dropped, and counted: a terminal sends again what was not answered, and what was recorded
//! already is stored once.
//!
//! Anybody can write any address on a datagram. So addresses that have not shown a code are few and
//! stay for a short time; and a terminal that comes from a new address (mobile networks change it) is
//! refused until it has authenticated there, which ends the connection of its old address.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use bytes::BytesMut;
use dashmap::DashMap;
use tokio::{
    net::UdpSocket,
    sync::mpsc::{self, error::TrySendError},
};
use tokio_util::sync::CancellationToken;

use super::{
    ACCEPT_PAUSE,
    admission::{Admission, Permit},
    connection,
    transport::{Kind, Timeouts, Transport},
};
use crate::{Gateway, config::Config};

const DELIMITER: u8 = 0x7E;

/// Binds the socket and asks for a buffer that holds a burst.
pub(super) fn bind(address: SocketAddr, receive_buffer_bytes: u64) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    let bytes = usize::try_from(receive_buffer_bytes).unwrap_or(usize::MAX);
    if let Err(error) = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, bytes) {
        tracing::warn!(%error, "the system gives no larger buffer for udp");
    }
    UdpSocket::from_std(socket)
}

/// Reads datagrams and deals them out, until told to stop.
pub(super) async fn receive(admission: Arc<Admission>, socket: UdpSocket, stop: CancellationToken) {
    let gateway = Arc::clone(admission.gateway());
    let bytes_max = usize::try_from(gateway.config.udp.datagram_bytes_max).unwrap_or(usize::MAX);
    let dealer = Dealer {
        admission,
        socket: Arc::new(socket),
        peers: Arc::default(),
    };
    // A byte more than is taken: a longer datagram is known by it.
    let mut buffer = vec![0; bytes_max.saturating_add(1)];
    let stopped = stop.cancelled();
    tokio::pin!(stopped);
    loop {
        let received = tokio::select! {
            biased;
            () = &mut stopped => return,
            received = dealer.socket.recv_from(&mut buffer) => received,
        };
        match received {
            Ok((count, from)) => {
                gateway.metrics.datagrams_received.increment(1);
                let datagram = buffer.get(..count).unwrap_or_default();
                let dealt = if count > bytes_max {
                    Err("oversize")
                } else {
                    dealer.deal(datagram, from)
                };
                if let Err(reason) = dealt {
                    dropped(&gateway, reason, 1);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot receive datagrams");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn dropped(gateway: &Gateway, reason: &'static str, count: u64) {
    gateway
        .metrics
        .count("datagrams_dropped_total", "reason", reason, count);
}

/// The addresses that are talked with.
#[derive(Default)]
struct Peers {
    queues: DashMap<SocketAddr, mpsc::Sender<BytesMut>>,
    /// Those that have shown no code.
    unauthenticated: AtomicU32,
}

struct Dealer {
    admission: Arc<Admission>,
    socket: Arc<UdpSocket>,
    peers: Arc<Peers>,
}

impl Dealer {
    /// Puts a datagram into the queue of its address, or says why it is dropped.
    fn deal(&self, datagram: &[u8], from: SocketAddr) -> Result<(), &'static str> {
        if datagram.is_empty() {
            return Err("empty");
        }
        if let Some(queue) = self.peers.queues.get(&from) {
            return queue
                .try_send(datagram.into())
                .map_err(|error| match error {
                    TrySendError::Full(_) => "queue_full",
                    TrySendError::Closed(_) => "ended",
                });
        }
        let limits = &self.admission.gateway().config.udp;
        if self.peers.unauthenticated.load(Ordering::Relaxed) >= limits.unauthenticated_max {
            return Err("unauthenticated_limit");
        }
        if self.peers.queues.len() >= limits.peers_max as usize {
            return Err("peers_limit");
        }
        let permit = self.admission.permit(Kind::Udp, from.ip())?;
        self.open(permit, datagram, from);
        Ok(())
    }

    /// A connection for a new address.
    fn open(&self, permit: Permit, datagram: &[u8], from: SocketAddr) {
        let gateway = Arc::clone(self.admission.gateway());
        let room = gateway.config.udp.queue_datagrams_max as usize;
        let (queue, datagrams) = mpsc::channel(room);
        self.peers.unauthenticated.fetch_add(1, Ordering::Relaxed);
        self.peers.queues.insert(from, queue);
        let link = UdpLink {
            gateway: Arc::clone(&gateway),
            socket: Arc::clone(&self.socket),
            peers: Arc::clone(&self.peers),
            address: from,
            next: Some(datagram.into()),
            datagrams,
            is_authenticated: false,
        };
        self.admission
            .spawn(permit, connection::serve(gateway, link, from.ip()));
    }
}

/// The link to one address.
struct UdpLink {
    gateway: Arc<Gateway>,
    socket: Arc<UdpSocket>,
    peers: Arc<Peers>,
    address: SocketAddr,
    /// Taken out of the queue, and not read yet.
    next: Option<BytesMut>,
    datagrams: mpsc::Receiver<BytesMut>,
    is_authenticated: bool,
}

impl Transport for UdpLink {
    const KIND: Kind = Kind::Udp;
    const IS_DATAGRAM: bool = true;

    fn timeouts(config: &Config) -> Timeouts {
        Timeouts {
            authentication: config.udp.authentication_timeout,
            idle: config.udp.idle_timeout,
            write: config.tcp.write_timeout,
        }
    }

    fn poll_read_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.next.is_none() {
            self.next = std::task::ready!(self.datagrams.poll_recv(context));
        }
        Poll::Ready(())
    }

    /// One datagram; the room does not matter, since it is in memory already.
    fn poll_read(
        &mut self,
        _context: &mut Context<'_>,
        buffer: &mut BytesMut,
        _room: usize,
    ) -> Poll<io::Result<usize>> {
        let datagram = self.next.take().unwrap_or_default();
        let count = datagram.len();
        if buffer.is_empty() {
            *buffer = datagram;
        } else {
            buffer.unsplit(datagram);
        }
        Poll::Ready(Ok(count))
    }

    /// The first frame, in a datagram of its own. A socket without room loses it, as the network may:
    /// one slow path must not hold back the others.
    fn poll_write(&mut self, _context: &mut Context<'_>, frames: &[u8]) -> Poll<io::Result<usize>> {
        let frame = first_frame(frames);
        if let Err(error) = self.socket.try_send_to(frame, self.address) {
            let reason = match error.kind() {
                io::ErrorKind::WouldBlock => "no_room",
                _ => "failed",
            };
            self.gateway
                .metrics
                .count("responses_dropped_total", "reason", reason, 1);
        }
        Poll::Ready(Ok(frame.len()))
    }

    fn on_authenticated(&mut self) {
        if !std::mem::replace(&mut self.is_authenticated, true) {
            self.peers.unauthenticated.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for UdpLink {
    fn drop(&mut self) {
        // In this order: what is dealt out after the removal goes to a new connection.
        self.peers.queues.remove(&self.address);
        if !self.is_authenticated {
            self.peers.unauthenticated.fetch_sub(1, Ordering::Relaxed);
        }
        self.datagrams.close();
        let mut lost = u64::from(self.next.is_some());
        while self.datagrams.try_recv().is_ok() {
            lost += 1;
        }
        if lost > 0 {
            dropped(&self.gateway, "ended", lost);
        }
    }
}

/// Up to the second 0x7E, which stands nowhere inside a frame.
fn first_frame(frames: &[u8]) -> &[u8] {
    let end = frames
        .iter()
        .skip(1)
        .position(|byte| *byte == DELIMITER)
        .map_or(frames.len(), |inside| inside + 2);
    frames.get(..end).unwrap_or(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_ends_at_its_second_delimiter() {
        assert_eq!(first_frame(b"\x7e12\x7e\x7e3\x7e"), b"\x7e12\x7e");
        assert_eq!(first_frame(b"\x7e3\x7e"), b"\x7e3\x7e");
        assert_eq!(first_frame(b"\x7e3"), b"\x7e3");
        assert_eq!(first_frame(b""), b"");
    }
}
