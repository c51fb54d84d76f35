//! A connection to an MQTT broker that is not ours (3.1.1, quality 1): the bridge and receivers of
//! cases speak over it. A message is done with when the broker has acknowledged it. What a connection
//! that broke still holds is never sent by it again: who handed it over does that, on a new one. The
//! client id stays the same, so that the broker ends the old connection before it hears the new one.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions,
    Outgoing, Packet, QoS, TlsConfiguration, Transport,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::rustls::ClientConfig;

use crate::config::Broker;

/// Beside topic and payload: type, length and packet identifier.
const HEADER_BYTES_MAX: usize = 16;

/// Why a broker has not taken something.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BrokerError {
    /// Nobody takes the connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// No TLS: a certificate that is not trusted, or of another name.
    #[error("no TLS: {0}")]
    Tls(String),
    /// It lets this client not in.
    #[error("the broker refuses the connection: {0:?}")]
    Refused(ConnectReturnCode),
    /// Not in time.
    #[error("no acknowledgement in time")]
    Silent,
    /// The connection has ended before.
    #[error("the connection ended before the acknowledgement: {0}")]
    Over(String),
    /// The message is longer than may be.
    #[error("a message of {0} bytes is longer than packet_bytes_max")]
    TooLong(usize),
}

impl BrokerError {
    /// The word that metrics use.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Refused(_) => "refused",
            Self::Silent => "silent",
            Self::Over(_) => "over",
            Self::TooLong(_) => "too_long",
        }
    }
}

impl From<ConnectionError> for BrokerError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Tls(error) => Self::Tls(error.to_string()),
            ConnectionError::ConnectionRefused(code) => Self::Refused(code),
            ConnectionError::NetworkTimeout => Self::Silent,
            error => Self::Connect(error.to_string()),
        }
    }
}

/// What is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Without wildcards.
    pub topic: String,
    /// JSON.
    pub payload: Vec<u8>,
    /// The broker keeps it for newcomers.
    pub is_retained: bool,
}

/// One connection. Dropping it ends it.
#[derive(Debug)]
pub struct Link {
    messages: mpsc::Sender<(Message, oneshot::Sender<()>)>,
    /// Why it is over.
    end: Arc<OnceLock<String>>,
    packet_bytes_max: usize,
    task: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end();
    }
}

/// A message on its way.
#[derive(Debug)]
pub struct Acknowledgement {
    done: oneshot::Receiver<()>,
    end: Arc<OnceLock<String>>,
}

/// Messages without their acknowledgement. Both are in the order in which they were handed over.
#[derive(Debug, Default)]
struct Waiting {
    /// Not sent yet.
    queued: VecDeque<oneshot::Sender<()>>,
    /// By packet identifier.
    sent: HashMap<u16, oneshot::Sender<()>>,
}

impl Link {
    /// Connects, and waits until the broker has let it in.
    ///
    /// # Errors
    /// Why it is not connected.
    pub async fn connect(
        broker: &Broker,
        host: &str,
        tls: Option<Arc<ClientConfig>>,
        patience: Duration,
    ) -> Result<Self, BrokerError> {
        let mut options = MqttOptions::new(&broker.client_id, host, broker.port);
        options
            .set_keep_alive(broker.keep_alive)
            .set_inflight(broker.inflight_max)
            .set_max_packet_size(broker.packet_bytes_max, broker.packet_bytes_max)
            .set_clean_session(true);
        if !broker.user.is_empty() {
            options.set_credentials(&broker.user, &broker.password);
        }
        if let Some(tls) = tls {
            options.set_transport(Transport::Tls(TlsConfiguration::Rustls(tls)));
        }
        let room = usize::from(broker.inflight_max);
        let (client, mut events) = AsyncClient::new(options, room);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(patience.as_secs().max(1));
        events.set_network_options(network);
        // The first thing that is heard is the CONNACK, or why there is none.
        match timeout(patience, events.poll()).await {
            Err(_) => return Err(BrokerError::Silent),
            Ok(heard) => drop(heard?),
        }
        let (messages, handed_over) = mpsc::channel(1);
        let end = Arc::default();
        // A task of its own: the keep-alive goes on while there is nothing to publish.
        let task = tokio::spawn(carry(client, events, handed_over, Arc::clone(&end)));
        Ok(Self {
            messages,
            end,
            packet_bytes_max: broker.packet_bytes_max,
            task,
        })
    }

    /// Ends it at once, also for those who wait.
    pub fn end(&self) {
        // Unless it has failed by itself.
        self.end.set("it was given up".to_owned()).ok();
        self.task.abort();
    }

    /// Nothing more can be handed over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.end.get().is_some() || self.task.is_finished()
    }

    /// Hands a message over; waits while as many as may be are on their way. Messages go out in the
    /// order of this.
    ///
    /// # Errors
    /// When the connection is over, or the message too long for any.
    pub async fn hand_over(&self, message: Message) -> Result<Acknowledgement, BrokerError> {
        let length = HEADER_BYTES_MAX + message.topic.len() + message.payload.len();
        if length > self.packet_bytes_max {
            return Err(BrokerError::TooLong(length));
        }
        let (sender, done) = oneshot::channel();
        if self.messages.send((message, sender)).await.is_err() {
            return Err(over(&self.end));
        }
        let end = Arc::clone(&self.end);
        Ok(Acknowledgement { done, end })
    }

    /// Publishes messages in their order, and returns once all are acknowledged, each of them no
    /// later than so long after the one before.
    ///
    /// # Errors
    /// When one is not; those behind it are not either, as far as is known.
    pub async fn publish(
        &self,
        messages: Vec<Message>,
        patience: Duration,
    ) -> Result<(), BrokerError> {
        let (sent, mut waiting) = mpsc::unbounded_channel();
        let sending = async move {
            for message in messages {
                let acknowledgement = self.hand_over(message).await?;
                // Nobody hears it: then the other half has failed.
                sent.send(acknowledgement).ok();
            }
            Ok(())
        };
        let hearing = async {
            while let Some(acknowledgement) = waiting.recv().await {
                acknowledgement.within(patience).await?;
            }
            Ok(())
        };
        tokio::try_join!(sending, hearing).map(drop)
    }
}

impl Acknowledgement {
    /// Waits for it.
    ///
    /// # Errors
    /// When it does not come, or not in time.
    pub async fn within(self, patience: Duration) -> Result<(), BrokerError> {
        match timeout(patience, self.done).await {
            Err(_) => Err(BrokerError::Silent),
            Ok(Err(_)) => Err(over(&self.end)),
            Ok(Ok(())) => Ok(()),
        }
    }
}

fn over(end: &OnceLock<String>) -> BrokerError {
    BrokerError::Over(end.get().cloned().unwrap_or_default())
}

/// Sends and hears until one of them fails.
async fn carry(
    client: AsyncClient,
    events: EventLoop,
    mut messages: mpsc::Receiver<(Message, oneshot::Sender<()>)>,
    end: Arc<OnceLock<String>>,
) {
    let waiting = Mutex::new(Waiting::default());
    let sending = async {
        while let Some((message, done)) = messages.recv().await {
            // Before it can be sent. The client's queue keeps the order.
            waiting.lock().queued.push_back(done);
            let (quality, is_retained) = (QoS::AtLeastOnce, message.is_retained);
            let sent = client.publish(message.topic, quality, is_retained, message.payload);
            if sent.await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = sending => {}
        error = hear(events, &waiting) => {
            // Only once.
            end.set(error.to_string()).ok();
        }
    }
}

/// Tells who waits, until the connection fails.
async fn hear(mut events: EventLoop, waiting: &Mutex<Waiting>) -> ConnectionError {
    loop {
        match events.poll().await {
            Ok(Event::Outgoing(Outgoing::Publish(number))) => {
                let mut waiting = waiting.lock();
                if let Some(done) = waiting.queued.pop_front() {
                    waiting.sent.insert(number, done);
                }
            }
            Ok(Event::Incoming(Packet::PubAck(acknowledged))) => {
                let done = waiting.lock().sent.remove(&acknowledged.pkid);
                if let Some(done) = done {
                    // It may be that nobody waits any more.
                    done.send(()).ok();
                }
            }
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}
