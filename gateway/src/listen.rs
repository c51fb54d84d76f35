//! Accepting connections, within limits.

pub mod codec;
pub mod tcp;

use std::{net::IpAddr, sync::Arc, time::Duration};

use dashmap::DashMap;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::Gateway;

/// A failing accept (no file descriptors left) is tried again after this pause.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until told to stop; each connection is a task of its own.
pub async fn accept(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    let per_address: Arc<DashMap<IpAddr, u32>> = Arc::default();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match Permit::take(&gateway, &per_address, peer.ip()) {
                Ok(permit) => {
                    admit(&gateway, &connections, stream, permit);
                }
                Err(reason) => {
                    gateway
                        .metrics
                        .count("connections_refused_total", "reason", reason, 1)
                }
            },
            Err(error) => {
                gateway
                    .metrics
                    .count("connections_refused_total", "reason", "accept_failed", 1);
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(gateway: &Arc<Gateway>, connections: &TaskTracker, stream: TcpStream, permit: Permit) {
    gateway.metrics.connections_opened.increment(1);
    let gateway = Arc::clone(gateway);
    connections.spawn(async move {
        let reason = tcp::serve(Arc::clone(&gateway), stream).await;
        gateway
            .metrics
            .count("connections_closed_total", "reason", reason.as_str(), 1);
        drop(permit);
    });
}

/// A place among the connections, given back when it is dropped.
struct Permit {
    gateway: Arc<Gateway>,
    per_address: Arc<DashMap<IpAddr, u32>>,
    address: IpAddr,
}

impl Permit {
    fn take(
        gateway: &Arc<Gateway>,
        per_address: &Arc<DashMap<IpAddr, u32>>,
        address: IpAddr,
    ) -> Result<Self, &'static str> {
        use std::sync::atomic::Ordering;
        let limits = &gateway.config.tcp;
        if gateway.connections.fetch_add(1, Ordering::AcqRel) >= limits.connections_max {
            gateway.connections.fetch_sub(1, Ordering::AcqRel);
            return Err("limit");
        }
        let mut count = per_address.entry(address).or_insert(0);
        if *count >= limits.connections_per_address_max {
            gateway.connections.fetch_sub(1, Ordering::AcqRel);
            return Err("address_limit");
        }
        *count += 1;
        drop(count);
        let gateway = Arc::clone(gateway);
        Ok(Self {
            gateway,
            per_address: Arc::clone(per_address),
            address,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gateway
            .connections
            .fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
        if let Some(mut count) = self.per_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
        }
        self.per_address
            .remove_if(&self.address, |_, count| *count == 0);
    }
}
