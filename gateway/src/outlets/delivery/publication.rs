//! Events of cases under topics of an MQTT broker. A delivery is done with when the broker has
//! acknowledged it, so what subscribers get is what webhooks get: at least once, under its key, of one
//! case in order. A message says what the headers of a webhook say, and has the body as a text, so that
//! the signature can be verified whatever JSON library reads it.

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use geofence::{case::Interval, units::Timestamp};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::ClientConfig;
use uuid::Uuid;

use super::{
    address,
    courier::Carrier,
    letter::Letter,
    signature,
    verdict::{Answer, Failure},
    webhook::WebhookError,
};
use crate::{
    config::{self, Receiver},
    http::view::ViolationView,
    outlets::{
        broker::{BrokerError, Link, Message},
        fanout::{self, topic},
        trust,
    },
};

/// The way to one receiver that is a topic.
#[derive(Debug)]
pub struct Publication {
    receiver: Receiver,
    topics: config::Publication,
    tls: Option<Arc<ClientConfig>>,
    /// Of all that is under way; a new one takes its place once it is over.
    link: tokio::sync::Mutex<Option<Arc<Link>>>,
}

/// A message. The names are those of the headers of a webhook.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Signed<'a> {
    webhook_id: &'a str,
    webhook_timestamp: String,
    webhook_signature: String,
    body: &'a str,
}

/// The body where it is about a violation; `sequence` is that of the case's event.
#[derive(Serialize)]
struct ViolationBody {
    id: Uuid,
    sequence: u64,
    case: String,
    state: &'static str,
    #[serde(flatten)]
    violation: ViolationView,
}

impl From<BrokerError> for Failure {
    fn from(error: BrokerError) -> Self {
        match error {
            BrokerError::Tls(what) => Self::Tls(what),
            BrokerError::Silent => Self::Timeout,
            BrokerError::TooLong(_) => Self::Nonsense(error.to_string()),
            BrokerError::Connect(_) | BrokerError::Refused(_) | BrokerError::Over(_) => {
                Self::Connect(error.to_string())
            }
        }
    }
}

impl Publication {
    /// The way to a receiver; nothing is connected yet.
    ///
    /// # Errors
    /// When nobody could be trusted to sign the certificate of the broker.
    pub fn new(receiver: &Receiver, topics: &config::Publication) -> Result<Self, WebhookError> {
        let tls = topics
            .broker
            .is_tls
            .then(|| trust::client(receiver.ca.as_deref()));
        let failed = |what| WebhookError::Authorities {
            receiver: receiver.name.clone(),
            what,
        };
        Ok(Self {
            receiver: receiver.clone(),
            topics: topics.clone(),
            tls: tls.transpose().map_err(failed)?,
            link: tokio::sync::Mutex::default(),
        })
    }

    /// The connection, or a new one.
    async fn link(&self) -> Result<Arc<Link>, Failure> {
        let mut place = self.link.lock().await;
        if let Some(link) = place.as_ref().filter(|link| !link.is_over()) {
            return Ok(Arc::clone(link));
        }
        *place = None;
        let link = Arc::new(self.connect().await?);
        *place = Some(Arc::clone(&link));
        Ok(link)
    }

    /// To an address that was looked at. With TLS the broker's name is needed: it is looked up once
    /// more, but who answers there must have the certificate of that name.
    async fn connect(&self) -> Result<Link, Failure> {
        let broker = &self.topics.broker;
        let addresses = address::resolve(&broker.host, broker.port, self.receiver.allow_private)
            .await
            .map_err(|error| Failure::Address(error.to_string()))?;
        let hosts = match &self.tls {
            Some(_) => vec![broker.host.clone()],
            None => addresses.iter().map(bare).collect(),
        };
        let mut failure = Failure::Timeout;
        for host in hosts {
            let tls = self.tls.clone();
            match Link::connect(broker, &host, tls, self.receiver.timeout).await {
                Ok(link) => return Ok(link),
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }

    fn messages(&self, letter: &Letter<'_>, at: Timestamp) -> Result<Vec<Message>, Failure> {
        let (case, topics) = (&letter.event.content.case, &self.topics);
        let mut messages = Vec::new();
        for interval in topics.violations.iter().flat_map(|_| &case.intervals) {
            messages.extend(self.violation(letter, interval, at)?);
        }
        let area = topic::area(case.unit_grid.as_deref());
        let topic = topics.cases.fill(&area, &case.id.to_string());
        messages.push(self.message(topic, letter.id, &letter.body, at)?);
        Ok(messages)
    }

    fn violation(
        &self,
        letter: &Letter<'_>,
        interval: &Interval,
        at: Timestamp,
    ) -> Result<Option<Message>, Failure> {
        let Some(template) = &self.topics.violations else {
            return Ok(None);
        };
        let view = ViolationView::from(&interval.violation);
        let area = topic::area(view.unit_grid.as_deref());
        let topic = template.fill(&area, &view.violation);
        // The same event says the same of the same violation, under the same key.
        let id = Uuid::new_v5(&letter.id, view.violation.as_bytes());
        let body = ViolationBody {
            id,
            sequence: letter.event.sequence,
            case: letter.event.case.to_string(),
            state: fanout::violation_state(interval),
            violation: view,
        };
        let body = serde_json::to_vec(&body).map_err(|error| nonsense(&error))?;
        self.message(topic, id, &body, at).map(Some)
    }

    fn message(
        &self,
        topic: String,
        id: Uuid,
        body: &[u8],
        at: Timestamp,
    ) -> Result<Message, Failure> {
        let id = id.to_string();
        let seconds = at.millis().div_euclid(1_000);
        let signed = Signed {
            webhook_id: &id,
            webhook_timestamp: seconds.to_string(),
            webhook_signature: signature::sign(&self.receiver.secret, &id, seconds, body),
            body: std::str::from_utf8(body).map_err(|error| nonsense(&error))?,
        };
        Ok(Message {
            topic,
            payload: serde_json::to_vec(&signed).map_err(|error| nonsense(&error))?,
            is_retained: false,
        })
    }
}

fn bare(address: &SocketAddr) -> String {
    address.ip().to_string()
}

fn nonsense(error: &dyn std::fmt::Display) -> Failure {
    Failure::Nonsense(error.to_string())
}

#[async_trait]
impl Carrier for Publication {
    async fn carry(&self, letter: &Letter<'_>, at: Timestamp) -> Result<Answer, Failure> {
        let messages = self.messages(letter, at)?;
        let timeout = self.receiver.timeout;
        let deadline = Instant::now() + timeout;
        let link = timeout_at(deadline, self.link())
            .await
            .unwrap_or(Err(Failure::Timeout))?;
        let published = timeout_at(deadline, link.publish(messages, timeout))
            .await
            .unwrap_or(Err(BrokerError::Silent));
        if let Err(error) = published {
            // What it still holds must not come behind what is sent next.
            if !matches!(error, BrokerError::TooLong(_)) {
                link.end();
            }
            return Err(error.into());
        }
        Ok(Answer {
            status: 200,
            body: Vec::new(),
            retry_after: None,
        })
    }
}
