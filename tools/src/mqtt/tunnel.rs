//! JT/T 808 frames in MQTT payloads, as a link of a terminal: what is written at once is one
//! payload of `up/jt808`, and what is read is what came on `down/jt808`.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Client, Packet, acknowledge, split};

/// Bytes of packets that the socket has not taken; beyond, nothing more is.
const UNSENT_BYTES_MAX: usize = 64 * 1024;

/// The link.
#[derive(Debug)]
pub struct Tunnel {
    client: Client,
    unsent: Vec<u8>,
    /// Payloads that nobody has read.
    unread: Vec<u8>,
}

impl Tunnel {
    /// Over a client that has subscribed to `down/jt808`.
    #[must_use]
    pub const fn over(client: Client) -> Self {
        Self {
            client,
            unsent: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// Writes what the socket takes.
    fn drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let stream = Pin::new(&mut self.client.stream);
            let count = ready!(stream.poll_write(context, &self.unsent))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.drain(..count);
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the packets apart that were received.
    fn take_packets(&mut self) -> io::Result<()> {
        let mut rest = self.client.received.as_slice();
        while let Some((packet, taken)) = split(rest).map_err(io::Error::other)? {
            match packet {
                Packet::Published { id, payload, .. } => {
                    self.unread.extend(payload);
                    self.unsent
                        .extend(id.map(acknowledge).into_iter().flatten());
                }
                Packet::Disconnected { .. } => return Err(io::ErrorKind::ConnectionReset.into()),
                _ => {}
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
        let left = rest.len();
        let taken = self.client.received.len() - left;
        self.client.received.drain(..taken);
        Ok(())
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if let Poll::Ready(Err(error)) = this.drain(context) {
                return Poll::Ready(Err(error));
            }
            this.take_packets()?;
            if !this.unread.is_empty() {
                let count = this.unread.len().min(out.remaining());
                out.put_slice(this.unread.get(..count).unwrap_or_default());
                this.unread.drain(..count);
                return Poll::Ready(Ok(()));
            }
            let mut scratch = [0; 4_096];
            let mut read = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut this.client.stream).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.client.received.extend(read.filled());
        }
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.unsent.len() > UNSENT_BYTES_MAX {
            ready!(this.drain(context))?;
        }
        let (_, packet) = this.client.compose("up/jt808", bytes);
        this.unsent.extend(packet);
        // What is left goes before the next read.
        if let Poll::Ready(Err(error)) = this.drain(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().drain(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.drain(context))?;
        Pin::new(&mut this.client.stream).poll_shutdown(context)
    }
}
