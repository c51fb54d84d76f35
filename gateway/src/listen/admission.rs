//! Who gets a place: connections in all and of one address, over all kinds of links.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use dashmap::DashMap;
use serde::Serialize;
use tokio_util::task::TaskTracker;

use super::{connection::Closed, transport::Kind};
use crate::Gateway;

/// One listener, as it is shown.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ListenerStatus {
    /// `tcp`, `tls`, `udp`, `mqtt`, `mqtts`, `mqtt_ws` or `mqtt_wss`.
    pub transport: &'static str,
    /// Where terminals come to.
    #[schema(value_type = String)]
    pub address: SocketAddr,
    /// Open connections.
    pub connections: u32,
}

/// Where terminals come to, and how many are there: by kind.
#[derive(Debug)]
pub struct Listeners([(Option<SocketAddr>, AtomicU32); Kind::ALL.len()]);

impl Listeners {
    pub(super) fn new(addresses: [Option<SocketAddr>; Kind::ALL.len()]) -> Self {
        Self(addresses.map(|address| (address, AtomicU32::new(0))))
    }

    /// The address of a listener; none when it is off.
    #[must_use]
    pub fn address(&self, kind: Kind) -> Option<SocketAddr> {
        self.entry(kind).0
    }

    /// All that are on.
    pub fn status(&self) -> impl Iterator<Item = ListenerStatus> {
        Kind::ALL.into_iter().filter_map(|kind| {
            let (address, open) = self.entry(kind);
            Some(ListenerStatus {
                transport: kind.as_str(),
                address: (*address)?,
                connections: open.load(Ordering::Relaxed),
            })
        })
    }

    const fn entry(&self, kind: Kind) -> &(Option<SocketAddr>, AtomicU32) {
        let [tcp, tls, udp, mqtt, mqtts, mqtt_ws, mqtt_wss] = &self.0;
        match kind {
            Kind::Tcp => tcp,
            Kind::Tls => tls,
            Kind::Udp => udp,
            Kind::Mqtt => mqtt,
            Kind::Mqtts => mqtts,
            Kind::MqttWs => mqtt_ws,
            Kind::MqttWss => mqtt_wss,
        }
    }
}

/// What all listeners share.
pub(super) struct Admission {
    gateway: Arc<Gateway>,
    per_address: Arc<DashMap<IpAddr, u32>>,
    connections: TaskTracker,
}

impl Admission {
    pub(super) fn new(gateway: Arc<Gateway>, connections: TaskTracker) -> Self {
        Self {
            gateway,
            per_address: Arc::default(),
            connections,
        }
    }

    pub(super) const fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// A place for a connection of this address, or the word why there is none.
    pub(super) fn permit(&self, kind: Kind, address: IpAddr) -> Result<Permit, &'static str> {
        let gateway = &self.gateway;
        let limits = &gateway.config.tcp;
        if gateway.connections.fetch_add(1, Ordering::AcqRel) >= limits.connections_max {
            gateway.connections.fetch_sub(1, Ordering::AcqRel);
            return Err("limit");
        }
        let mut count = self.per_address.entry(address).or_insert(0);
        if *count >= limits.connections_per_address_max {
            gateway.connections.fetch_sub(1, Ordering::AcqRel);
            return Err("address_limit");
        }
        *count += 1;
        drop(count);
        gateway
            .listeners
            .entry(kind)
            .1
            .fetch_add(1, Ordering::Relaxed);
        Ok(Permit {
            gateway: Arc::clone(gateway),
            per_address: Arc::clone(&self.per_address),
            address,
            kind,
        })
    }

    /// A connection was closed at once.
    pub(super) fn refuse(&self, reason: &'static str) {
        self.gateway
            .metrics
            .count("connections_refused_total", "reason", reason, 1);
    }

    /// Serves a connection in a task of its own.
    pub(super) fn spawn(
        &self,
        permit: Permit,
        serve: impl Future<Output = Closed> + Send + 'static,
    ) {
        self.gateway.metrics.opened(permit.kind);
        self.connections.spawn(async move {
            let reason = serve.await;
            permit
                .gateway
                .metrics
                .count("connections_closed_total", "reason", reason.as_str(), 1);
            drop(permit);
        });
    }
}

/// A place among the connections, given back when it is dropped.
pub(super) struct Permit {
    gateway: Arc<Gateway>,
    per_address: Arc<DashMap<IpAddr, u32>>,
    address: IpAddr,
    kind: Kind,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gateway.connections.fetch_sub(1, Ordering::AcqRel);
        self.gateway
            .listeners
            .entry(self.kind)
            .1
            .fetch_sub(1, Ordering::Relaxed);
        if let Some(mut count) = self.per_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
        }
        self.per_address
            .remove_if(&self.address, |_, count| *count == 0);
    }
}
