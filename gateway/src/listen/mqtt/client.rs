//! One connection: packets in, packets out. The loop is that of JT/T 808 connections, and for the same
//! reasons: an idle client holds no buffers, and all that is ready leaves in one write.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use storage::log::WaitDurable;
use tokio::time::{Instant, Sleep, timeout};

use super::{
    downlink::Outbox,
    packet::{self, Bad, DisconnectReasonCode, Incoming, Version, Will},
    rate::Rate,
    subscriber::Reader,
    topics::{Subscriptions, Topics},
};
use crate::{
    Gateway,
    listen::{
        connection::{Closed, end_session, open_session},
        responses::Responses,
        sending::Sending,
        transport::{Kind, Transport, closed_by},
    },
    media,
    session::{
        Session,
        control::{Control, Order},
    },
};

/// Read at once.
const READ_BYTES: usize = 4_096;
/// Bytes that the client has not taken; more, and its packets are not read.
pub(super) const UNSENT_BYTES_MAX: usize = 64 * 1024;
/// For what is owed to a client whose connection ends.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why a connection woke up.
enum Wake {
    Told(Order),
    /// The record of the oldest acknowledgement is durable.
    Durable,
    LogEnded,
    Read(usize),
    /// There is room for what waits for the client, or for packets that were read.
    Room,
    Closed(Closed),
    Timer,
}

/// A client that has shown its password.
pub(super) struct Established {
    pub(super) version: Version,
    /// Of a user; none of a terminal.
    pub(super) reader: Option<Reader>,
    pub(super) topics: Topics,
    /// Silence that ends the connection.
    pub(super) silence_max: Duration,
    pub(super) will: Option<Will>,
    pub(super) subscriptions: Subscriptions,
    pub(super) outbox: Outbox,
}

pub(super) struct Client<T> {
    pub(super) gateway: Arc<Gateway>,
    pub(super) peer: IpAddr,
    /// Its number.
    pub(super) connection: u64,
    pub(super) transport: T,
    pub(super) session: Session,
    pub(super) control: Arc<Control>,
    pub(super) responses: Responses,
    pub(super) established: Option<Established>,
    /// The word that version 5 has for the end.
    pub(super) goodbye: Option<DisconnectReasonCode>,
    buffer: BytesMut,
    rate: Rate,
    throttled_until: Option<Instant>,
    sending: Sending,
    is_stopping: bool,
    /// Packets that were read wait for room.
    is_held_back: bool,
    last_packet: Instant,
}

/// Serves one connection until it ends.
pub(super) async fn serve<T: Transport>(
    gateway: Arc<Gateway>,
    transport: T,
    kind: Kind,
    peer: IpAddr,
) -> Closed {
    let (number, control, session) = open_session(&gateway, peer, kind, false);
    let now = Instant::now();
    let limits = &gateway.config.mqtt;
    let mut client = Client {
        rate: Rate::new(limits.packets_per_second_max, limits.packets_burst_max, now),
        peer,
        connection: number,
        transport,
        session,
        control,
        responses: Responses::default(),
        established: None,
        goodbye: None,
        buffer: BytesMut::new(),
        throttled_until: None,
        sending: Sending::new(),
        is_stopping: false,
        is_held_back: false,
        last_packet: now,
        gateway,
    };
    let closed = client.run().await;
    client.finish(closed).await;
    client.gateway.directory.close_connection(number);
    tracing::debug!(
        reason = closed.as_str(),
        transport = kind.as_str(),
        "connection ended"
    );
    closed
}

impl<T: Transport> Client<T> {
    async fn run(&mut self) -> Closed {
        let log = self.gateway.log.clone();
        let mut durable = None;
        let timer = tokio::time::sleep_until(self.deadline());
        tokio::pin!(timer);
        loop {
            if let (None, Some(first)) = (&durable, self.responses.awaited()) {
                durable = Some(log.wait_durable(first));
            }
            let event = std::future::poll_fn(|context| {
                self.poll_event(context, &mut durable, timer.as_mut())
            });
            let taken = match event.await {
                Wake::Told(Order::Replaced) => return Closed::Replaced,
                Wake::Told(Order::Behind) => return Closed::Behind,
                Wake::Told(Order::Stop) => {
                    self.is_stopping = true;
                    Ok(())
                }
                Wake::Told(Order::Send) => {
                    self.expect_downlinks();
                    Ok(())
                }
                Wake::LogEnded => return Closed::LogFailed,
                Wake::Durable => {
                    durable = None;
                    self.release();
                    self.take().await
                }
                Wake::Read(count) => {
                    self.gateway.metrics.received_bytes.increment(count as u64);
                    self.take().await
                }
                Wake::Room => self.take().await,
                Wake::Closed(closed) => return closed,
                Wake::Timer => match self.overdue() {
                    Some(closed) => return closed,
                    None => {
                        self.on_time();
                        self.take().await
                    }
                },
            };
            if let Err(closed) = taken {
                return closed;
            }
            self.pump();
            self.release();
            timer.as_mut().reset(self.deadline());
        }
    }

    /// The next thing that happens, after all that is ready has been sent.
    fn poll_event(
        &mut self,
        context: &mut Context<'_>,
        durable: &mut Option<WaitDurable>,
        mut timer: Pin<&mut Sleep>,
    ) -> Poll<Wake> {
        match self.poll_send(context) {
            Poll::Ready(Ok(())) if self.is_stopping && self.responses.unsent_bytes() == 0 => {
                return Poll::Ready(Wake::Closed(Closed::Shutdown));
            }
            Poll::Ready(Ok(())) if self.has_room() => {
                return Poll::Ready(Wake::Room);
            }
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Wake::Closed(Closed::Broken)),
            Poll::Pending => {
                if self.deadline() < timer.deadline() {
                    timer.as_mut().reset(self.deadline());
                }
            }
        }
        if let Poll::Ready(order) = self.control.poll_told(context, self.is_stopping) {
            return Poll::Ready(Wake::Told(order));
        }
        if let Some(wait) = durable
            && let Poll::Ready(done) = Pin::new(wait).poll(context)
        {
            return Poll::Ready(if done.is_ok() {
                Wake::Durable
            } else {
                Wake::LogEnded
            });
        }
        if self.may_read() && self.transport.poll_read_ready(context).is_ready() {
            let read = self
                .transport
                .poll_read(context, &mut self.buffer, READ_BYTES);
            match read {
                Poll::Ready(Ok(0)) => return Poll::Ready(Wake::Closed(Closed::Peer)),
                Poll::Ready(Ok(count)) => return Poll::Ready(Wake::Read(count)),
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Wake::Closed(closed_by(&error)));
                }
                Poll::Pending => {}
            }
        }
        if self.buffer.is_empty() && self.buffer.capacity() > 0 {
            self.buffer = BytesMut::new();
        }
        self.responses.give_buffers_back();
        timer.poll(context).map(|()| Wake::Timer)
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self {
            transport,
            responses,
            ..
        } = self;
        self.sending.poll(transport, responses, context)
    }

    fn has_room(&self) -> bool {
        !self.is_stopping && self.can_pump() || self.is_held_back && self.may_read()
    }

    fn may_read(&self) -> bool {
        self.may_take() && self.throttled_until.is_none()
    }

    /// Neither too much waits for the log, nor for the client.
    fn may_take(&self) -> bool {
        !self.is_stopping
            && self.responses.pending() < self.gateway.config.mqtt.inflight_max as usize
            && self.responses.unsent_bytes() < UNSENT_BYTES_MAX
    }

    /// The moment at which something is due if nothing happens until then.
    fn deadline(&self) -> Instant {
        let config = &self.gateway.config;
        let silence_max = self
            .established
            .as_ref()
            .map_or(config.mqtt.connect_timeout, |client| client.silence_max);
        let write = self.sending.overdue_at(config.tcp.write_timeout);
        let packets = self.session.next_deadline();
        let packets = packets.map(|elapsed| self.gateway.started + elapsed);
        let idle = self.last_packet + silence_max;
        [write, packets, self.throttled_until]
            .into_iter()
            .flatten()
            .fold(idle, Instant::min)
            .max(Instant::now() + Duration::from_millis(10))
    }

    fn overdue(&self) -> Option<Closed> {
        let config = &self.gateway.config;
        let now = Instant::now();
        let write = self.sending.overdue_at(config.tcp.write_timeout);
        if write.is_some_and(|at| at <= now) {
            return Some(Closed::WriteTimeout);
        }
        match &self.established {
            None if now - self.last_packet >= config.mqtt.connect_timeout => {
                Some(Closed::NotAuthenticated)
            }
            // Where packets wait, it is the log or the limit that is slow, not the client.
            Some(client)
                if now - self.last_packet >= client.silence_max
                    && self.responses.pending() == 0
                    && self.throttled_until.is_none() =>
            {
                Some(Closed::Idle)
            }
            _ => None,
        }
    }

    pub(super) fn release(&mut self) {
        let durable = self.gateway.log.durable();
        self.responses.release(durable, &self.gateway.metrics);
    }

    /// Asks for missing packets of JT/T 808, and gives up messages that will not be whole.
    fn on_time(&mut self) {
        let due = self.session.on_time(self.gateway.started.elapsed());
        let asked = due.frames.len() as u64;
        self.gateway.metrics.packet_requests.increment(asked);
        for frame in due.frames {
            self.send_frame(frame, None);
        }
        media::give_up(&self.gateway, due.given_up);
    }

    /// Takes the packets that were read, as many as may wait.
    async fn take(&mut self) -> Result<(), Closed> {
        if self
            .throttled_until
            .is_some_and(|until| until > Instant::now())
        {
            return Ok(());
        }
        self.throttled_until = None;
        while self.may_take() {
            let limits = &self.gateway.config.mqtt;
            let bytes_max = match &self.established {
                None => limits.connect_bytes_max,
                Some(_) => limits.packet_bytes_max,
            };
            let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
            let now = Instant::now();
            if self.buffer.is_empty() {
                break;
            }
            let packet = match packet::take(&mut self.buffer, bytes_max) {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(bad) => return Err(self.refuse_packet(bad)),
            };
            self.last_packet = now;
            // Who acknowledges what we sent sends no more than we made him.
            let is_owed = self.on_packet(packet, now).await?;
            if !is_owed && let Some(until) = self.rate.charge(now) {
                self.gateway.metrics.mqtt_throttled.increment(1);
                self.throttled_until = Some(until);
                break;
            }
        }
        self.is_held_back = !self.buffer.is_empty() && !self.may_take();
        Ok(())
    }

    fn refuse_packet(&mut self, bad: Bad) -> Closed {
        let (name, closed) = match bad {
            Bad::Oversize => ("oversize", Closed::Oversize),
            Bad::Malformed | Bad::Version => ("malformed", Closed::Protocol),
        };
        self.count_packet(name);
        self.goodbye = Some(match bad {
            Bad::Oversize => DisconnectReasonCode::PacketTooLarge,
            Bad::Malformed | Bad::Version => DisconnectReasonCode::MalformedPacket,
        });
        closed
    }

    fn count_packet(&self, name: &'static str) {
        self.gateway
            .metrics
            .count("mqtt_packets_total", "type", name, 1);
    }

    /// Whether it was an acknowledgement that the client owed.
    async fn on_packet(&mut self, packet: Bytes, read_at: Instant) -> Result<bool, Closed> {
        let Some(version) = self.established.as_ref().map(|client| client.version) else {
            self.count_packet("connect");
            return self.on_connect(&packet).await.map(|()| false);
        };
        let incoming = match packet::decode(version, &packet) {
            Ok(incoming) => incoming,
            Err(bad) => return Err(self.refuse_packet(bad)),
        };
        self.count_packet(incoming.name());
        match incoming {
            Incoming::Publish(publish) => self.on_publish(publish, read_at).await?,
            Incoming::Puback(pid) => return Ok(self.on_puback(pid)),
            Incoming::Subscribe {
                pid,
                filters,
                has_identifier,
            } => {
                if has_identifier {
                    return Err(
                        self.break_off(DisconnectReasonCode::SubscriptionIdentifiersNotSupported)
                    );
                }
                self.on_subscribe(pid, &filters);
            }
            Incoming::Unsubscribe { pid, filters } => {
                self.on_unsubscribe(pid, &filters);
            }
            Incoming::Ping => {
                self.responses.push_packet(&packet::pingresp(), None, None);
            }
            Incoming::Disconnect { leaves_will } => {
                if !leaves_will && let Some(client) = &mut self.established {
                    client.will = None;
                }
                return Err(Closed::Peer);
            }
            Incoming::Unexpected => {
                return Err(self.break_off(DisconnectReasonCode::ProtocolError));
            }
        }
        Ok(false)
    }

    /// The client did something that ends its connection.
    pub(super) fn break_off(&mut self, reason: DisconnectReasonCode) -> Closed {
        self.goodbye = Some(reason);
        match reason {
            DisconnectReasonCode::ProtocolError | DisconnectReasonCode::MalformedPacket => {
                Closed::Protocol
            }
            _ => Closed::NotAllowed,
        }
    }

    /// Leaves the will, ends the session, sends what is owed, says goodbye.
    async fn finish(&mut self, closed: Closed) {
        self.leave_will().await;
        end_session(&self.gateway, &mut self.session, closed);
        if matches!(
            closed,
            Closed::Broken | Closed::LogFailed | Closed::WriteTimeout
        ) {
            return;
        }
        let goodbye = self.goodbye.or(match closed {
            Closed::Replaced => Some(DisconnectReasonCode::SessionTakenOver),
            Closed::Shutdown => Some(DisconnectReasonCode::ServerShuttingDown),
            Closed::Behind => Some(DisconnectReasonCode::QuotaExceeded),
            Closed::Idle => Some(DisconnectReasonCode::KeepAliveTimeout),
            _ => None,
        });
        let version = self.established.as_ref().map(|client| client.version);
        if let (Some(Version::V5), Some(reason)) = (version, goodbye) {
            let packet = packet::disconnect(reason);
            self.responses.push_packet(&packet, None, None);
        }
        // Who does not take it in time does without.
        drop(timeout(GOODBYE, self.send_all()).await);
        std::future::poll_fn(|context| {
            self.transport.say_goodbye(context);
            Poll::Ready(())
        })
        .await;
    }

    async fn send_all(&mut self) -> io::Result<()> {
        let log = self.gateway.log.clone();
        while let Some(first) = self.responses.awaited() {
            if log.wait_durable(first).await.is_err() {
                return Ok(());
            }
            self.release();
        }
        std::future::poll_fn(|context| self.poll_send(context)).await
    }

    async fn leave_will(&mut self) {
        let Some(client) = &mut self.established else {
            return;
        };
        let Some(will) = client.will.take() else {
            return;
        };
        // The connection ends whatever becomes of it.
        self.on_will(will).await.ok();
    }
}
