//! Plain TCP.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::BytesMut;
use tokio::{io::AsyncWrite as _, net::TcpStream};
use tokio_util::io::poll_read_buf;

use super::{
    connection::{self, Closed},
    transport::{Kind, Transport},
};
use crate::Gateway;

impl Transport for TcpStream {
    const KIND: Kind = Kind::Tcp;

    fn poll_read_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        Self::poll_read_ready(self, context).map(drop)
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        buffer.reserve(room);
        poll_read_buf(Pin::new(self), context, buffer)
    }

    fn poll_write(&mut self, context: &mut Context<'_>, frames: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self).poll_write(context, frames)
    }
}

/// Serves one connection until it ends.
pub(super) async fn serve(gateway: Arc<Gateway>, stream: TcpStream, peer: IpAddr) -> Closed {
    send_at_once(&stream);
    connection::serve(gateway, stream, peer).await
}

/// Responses are small and must not wait for each other.
pub(super) fn send_at_once(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
}
