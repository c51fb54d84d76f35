//! A connection of one terminal.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, ToSocketAddrs},
    time::timeout,
};

use super::{Packet, acknowledge, connect, is_refusal, next_id, publish, split, subscribe, topic};
use crate::terminal::TerminalError;

/// What the gateway says to a terminal that is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A PUBLISH of the terminal was acknowledged.
    Acknowledged {
        /// Its packet id.
        id: u16,
        /// Below 0x80: taken.
        reason: u8,
    },
    /// Something was published to it.
    Published {
        /// Behind `gridtrace/terminals/{phone}/`.
        leaf: String,
        /// What.
        payload: Vec<u8>,
    },
}

/// A terminal that was let in.
#[derive(Debug)]
pub struct Client {
    pub(super) stream: TcpStream,
    pub(super) received: Vec<u8>,
    phone: String,
    id: u16,
    limit: Duration,
}

impl Client {
    /// Connects, and subscribes to these leaves (`down/json`). `phone`: digits without zeros in
    /// front. `limit` bounds this and every later write.
    ///
    /// # Errors
    /// When the gateway cannot be reached in time, or does not let the terminal in.
    pub async fn open(
        address: impl ToSocketAddrs,
        phone: &str,
        password: &[u8],
        leaves: &[&str],
        limit: Duration,
    ) -> Result<Self, TerminalError> {
        let opened = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut client = Self {
                stream,
                received: Vec::new(),
                phone: phone.to_owned(),
                id: 0,
                limit,
            };
            let will = leaves.contains(&"down/json");
            client.send(&connect(phone, password, will)).await?;
            client.granted().await?;
            let filters: Vec<_> = leaves.iter().map(|leaf| topic(phone, leaf)).collect();
            let id = client.take_id();
            client.send(&subscribe(id, &filters)).await?;
            client.granted().await?;
            Ok(client)
        };
        let awaited = "MQTT session";
        timeout(limit, opened)
            .await
            .map_err(|_| TerminalError::Timeout { awaited, limit })?
    }

    /// Awaits the answer to a CONNECT or a SUBSCRIBE.
    async fn granted(&mut self) -> Result<(), TerminalError> {
        loop {
            let (answer, taken) = match split(&self.received)? {
                Some((Packet::Connected { reason } | Packet::Subscribed { reason }, taken)) => {
                    (Some(reason), taken)
                }
                Some((Packet::Disconnected { .. }, _)) => return Err(TerminalError::Closed),
                Some((_, taken)) => (None, taken),
                None => {
                    self.read().await?;
                    continue;
                }
            };
            self.received.drain(..taken);
            match answer {
                Some(reason) if is_refusal(reason) => {
                    return Err(TerminalError::NotLetIn { reason });
                }
                Some(_) => return Ok(()),
                None => {}
            }
        }
    }

    async fn read(&mut self) -> Result<(), TerminalError> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(TerminalError::Closed),
            _ => Ok(()),
        }
    }

    /// A packet id that was not used lately.
    pub(super) const fn take_id(&mut self) -> u16 {
        self.id = next_id(self.id);
        self.id
    }

    /// Builds a PUBLISH on a topic of the terminal, such as `up/json`; gives its packet id.
    pub fn compose(&mut self, leaf: &str, payload: &[u8]) -> (u16, Vec<u8>) {
        let id = self.take_id();
        let mut packet = Vec::with_capacity(payload.len() + 64);
        publish(&topic(&self.phone, leaf), id, payload, &mut packet);
        (id, packet)
    }

    /// Sends packets as they are.
    ///
    /// # Errors
    /// When the socket fails or takes nothing in time.
    pub async fn send(&mut self, packets: &[u8]) -> Result<(), TerminalError> {
        let (awaited, limit) = ("room to send", self.limit);
        timeout(limit, self.stream.write_all(packets))
            .await
            .map_err(|_| TerminalError::Timeout { awaited, limit })??;
        Ok(())
    }

    /// Awaits what the gateway says next. Cancelling the wait loses nothing.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn receive(&mut self) -> Result<Message, TerminalError> {
        loop {
            let Some((packet, taken)) = split(&self.received)? else {
                self.read().await?;
                continue;
            };
            let mut owed = None;
            let message = match packet {
                Packet::Acknowledged { id, reason } => Some(Message::Acknowledged { id, reason }),
                Packet::Published { topic, id, payload } => {
                    owed = id.map(acknowledge);
                    let topic = String::from_utf8_lossy(topic);
                    let leaf = topic.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
                    let payload = payload.to_vec();
                    Some(Message::Published { leaf, payload })
                }
                Packet::Disconnected { .. } => return Err(TerminalError::Closed),
                _ => None,
            };
            self.received.drain(..taken);
            if let Some(owed) = owed {
                self.send(&owed).await?;
            }
            if let Some(message) = message {
                return Ok(message);
            }
        }
    }
}
