//! How what is ready leaves a connection, over whichever link.

use std::{
    io,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use super::{responses::Responses, transport::Transport};

/// Where the sending of one connection stands.
#[derive(Debug)]
pub(super) struct Sending {
    /// All that the transport took has left.
    is_flushed: bool,
    /// Since when the peer takes nothing.
    blocked_since: Option<Instant>,
}

impl Sending {
    pub(super) const fn new() -> Self {
        Self {
            is_flushed: true,
            blocked_since: None,
        }
    }

    /// Sends what is ready: all of it in one write, where the link takes that much.
    pub(super) fn poll(
        &mut self,
        transport: &mut impl Transport,
        responses: &mut Responses,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let sent = self.poll_once(transport, responses, context);
        if sent.is_pending() {
            self.blocked_since.get_or_insert_with(Instant::now);
        }
        sent
    }

    fn poll_once(
        &mut self,
        transport: &mut impl Transport,
        responses: &mut Responses,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !responses.ready().is_empty() {
            let count = ready!(transport.poll_write(context, responses.ready()))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            responses.on_sent(count);
            self.is_flushed = false;
            self.blocked_since = None;
        }
        if !self.is_flushed {
            ready!(transport.poll_flush(context))?;
            self.is_flushed = true;
            self.blocked_since = None;
        }
        Poll::Ready(Ok(()))
    }

    /// When a peer that takes nothing has done so for too long.
    pub(super) fn overdue_at(&self, timeout: Duration) -> Option<Instant> {
        self.blocked_since.map(|since| since + timeout)
    }
}
