//! A signed POST over HTTP/1.1, to an address that was looked at. Each request has a connection of
//! its own; nothing is followed, and of the answer no more is read than its bound.

use std::time::Duration;

use async_trait::async_trait;
use geofence::units::Timestamp;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, Uri,
    body::{Bytes, Incoming},
    header::{ACCEPT, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};

use super::{
    address,
    courier::Carrier,
    letter::Letter,
    signature,
    verdict::{Answer, Failure},
};
use crate::{config::Receiver, outlets::trust};

/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;

/// Why there is no way to a receiver.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The authorities that sign its certificate.
    #[error("receiver {receiver}: {what}")]
    Authorities {
        /// Which receiver.
        receiver: String,
        /// What is wrong.
        what: String,
    },
}

/// The way to one receiver.
#[derive(Clone)]
pub struct Webhook {
    receiver: Receiver,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    answer_bytes_max: usize,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl Webhook {
    /// The way to a receiver; nothing is connected yet.
    ///
    /// # Errors
    /// When nobody could be trusted to sign its certificate.
    pub fn new(receiver: &Receiver, answer_bytes_max: u64) -> Result<Self, WebhookError> {
        let is_https = receiver.url.scheme_str() == Some("https");
        let failed = |what| WebhookError::Authorities {
            receiver: receiver.name.clone(),
            what,
        };
        let tls = is_https.then(|| trust::client(receiver.ca.as_deref()));
        Ok(Self {
            host: receiver.url.host().unwrap_or_default().to_owned(),
            port: receiver
                .url
                .port_u16()
                .unwrap_or(if is_https { 443 } else { 80 }),
            tls: tls.transpose().map_err(failed)?.map(TlsConnector::from),
            answer_bytes_max: usize::try_from(answer_bytes_max).unwrap_or(usize::MAX),
            receiver: receiver.clone(),
        })
    }

    async fn send(&self, letter: &Letter<'_>, at: Timestamp) -> Result<Answer, Failure> {
        let stream = self.connect().await?;
        let request = self.request(letter, at)?;
        match &self.tls {
            None => self.exchange(stream, request).await,
            Some(tls) => {
                self.exchange(self.encrypt(tls, stream).await?, request)
                    .await
            }
        }
    }

    /// Connects as for a delivery, and says nothing.
    ///
    /// # Errors
    /// What a delivery would fail with. How long it may take is the caller's matter.
    pub async fn reach(&self) -> Result<(), Failure> {
        let stream = self.connect().await?;
        if let Some(tls) = &self.tls {
            self.encrypt(tls, stream).await?;
        }
        Ok(())
    }

    async fn encrypt(
        &self,
        tls: &TlsConnector,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Tls(error.to_string());
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| failed(&error))?;
        tls.connect(name, stream)
            .await
            .map_err(|error| failed(&error))
    }

    /// To the first of the addresses that takes the connection.
    async fn connect(&self) -> Result<TcpStream, Failure> {
        let addresses = address::resolve(&self.host, self.port, self.receiver.allow_private)
            .await
            .map_err(|error| Failure::Address(error.to_string()))?;
        TcpStream::connect(&addresses[..])
            .await
            .map_err(|error| Failure::Connect(error.to_string()))
    }

    fn request(&self, letter: &Letter<'_>, at: Timestamp) -> Result<Request<Full<Bytes>>, Failure> {
        let id = letter.id.to_string();
        let seconds = at.millis().div_euclid(1_000);
        let signature = signature::sign(&self.receiver.secret, &id, seconds, &letter.body);
        let url = &self.receiver.url;
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let authority = url.authority().map_or(self.host.as_str(), |a| a.as_str());
        Request::builder()
            .method(Method::POST)
            .uri(path.parse::<Uri>().unwrap_or_default())
            .header(HOST, authority)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("gridtrace/", env!("CARGO_PKG_VERSION")))
            .header(signature::ID, &id)
            .header(signature::TIMESTAMP, seconds)
            .header(signature::SIGNATURE, signature)
            .header("idempotency-key", &id)
            .body(Full::new(letter.body.clone()))
            .map_err(|error| Failure::Nonsense(error.to_string()))
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Failure> {
        let nonsense = |error: &dyn std::fmt::Display| Failure::Nonsense(error.to_string());
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| nonsense(&error))?;
        // It ends when the answer is read or this is dropped, also in the middle. A connection that
        // ends first may have brought the answer.
        let talk = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| nonsense(&error))?;
            self.read(response).await
        };
        tokio::pin!(talk);
        tokio::select! {
            biased;
            answer = &mut talk => return answer,
            _ended = connection => {}
        }
        talk.await
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Answer, Failure> {
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let body = Limited::new(response.into_body(), self.answer_bytes_max);
        let collected = body.collect().await;
        let body = collected.map_err(|error| Failure::Nonsense(format!("{status}: {error}")))?;
        Ok(Answer {
            status,
            body: body.to_bytes().to_vec(),
            retry_after,
        })
    }
}

#[async_trait]
impl Carrier for Webhook {
    async fn carry(&self, letter: &Letter<'_>, at: Timestamp) -> Result<Answer, Failure> {
        timeout(self.receiver.timeout, self.send(letter, at))
            .await
            .unwrap_or(Err(Failure::Timeout))
    }
}
