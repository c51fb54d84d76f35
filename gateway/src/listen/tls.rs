//! TLS 1.2 and 1.3. The handshake runs in the connection's own task and has a deadline: a client
//! that says nothing holds up nobody. Only handshakes whose first message is whole count in their limit.

use std::{
    fmt, io,
    net::IpAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use bytes::BytesMut;
use tokio::{
    io::AsyncWrite as _,
    net::TcpStream,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tokio_rustls::{
    LazyConfigAcceptor,
    rustls::{
        self, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
        server::{Acceptor, VerifierBuilderError, WebPkiClientVerifier},
    },
    server::TlsStream,
};
use tokio_util::{io::poll_read_buf, sync::CancellationToken};

use super::{
    connection::{self, Closed},
    tcp,
    transport::{Kind, Transport},
};
use crate::{Gateway, config};

/// Why the files of `[tls]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One cannot be read.
    #[error("{}: {cause}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The cause.
        cause: pem::Error,
    },
    /// One holds no certificate.
    #[error("{}: no certificate in it", .path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// One holds no key.
    #[error("{}: no private key in it", .path.display())]
    NoKey {
        /// Which.
        path: PathBuf,
    },
    /// Certificate and key are not a pair that can be used.
    #[error("{} with {}: {cause}", .certificate.display(), .key.display())]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// The cause.
        cause: rustls::Error,
    },
    /// What the library refuses.
    #[error("tls: {0}")]
    Config(#[from] rustls::Error),
    /// The certificates that sign terminals.
    #[error("tls.client_ca: {0}")]
    ClientCa(#[from] VerifierBuilderError),
}

/// Keys and limits of the TLS listener.
pub struct Tls {
    files: config::Tls,
    current: ArcSwap<ServerConfig>,
    handshakes: Semaphore,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one of them is no good.
    pub fn load(files: &config::Tls) -> Result<Self, TlsError> {
        Ok(Self {
            current: ArcSwap::new(read(files)?),
            handshakes: Semaphore::new(files.handshakes_max as usize),
            files: files.clone(),
        })
    }

    /// Reads the files again, for later connections.
    ///
    /// # Errors
    /// When one of them is no good: those of before stay.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(read(&self.files)?);
        Ok(())
    }

    /// In a box: the stream is large, and each place that it is moved through would be kept.
    async fn handshake(&self, stream: TcpStream) -> Result<Box<TlsStream<TcpStream>>, Refused> {
        let deadline = Instant::now() + self.files.handshake_timeout;
        // Until its whole hello is there, a client takes no place from those that go on.
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream);
        let begun = match timeout_at(deadline, hello).await {
            Ok(Ok(begun)) => begun,
            Ok(Err(error)) => return Err(Refused::of(&error)),
            Err(_) => return Err(Refused::Timeout),
        };
        let Ok(permit) = timeout_at(deadline, self.handshakes.acquire()).await else {
            return Err(Refused::Busy);
        };
        let agreed = timeout_at(deadline, begun.into_stream(self.current.load_full())).await;
        drop(permit);
        match agreed {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(Refused::of(&error)),
            Err(_) => Err(Refused::Timeout),
        }
    }
}

/// Reads the files again; counted.
///
/// # Errors
/// When one of them is no good: those of before stay.
pub fn reload(gateway: &Gateway, tls: &Tls) -> Result<(), TlsError> {
    let reloaded = tls.reload();
    let result = if reloaded.is_ok() { "ok" } else { "failed" };
    gateway
        .metrics
        .count("tls_reloads_total", "result", result, 1);
    reloaded
}

/// Reads the files again at each SIGHUP, until told to stop.
pub async fn reload_on_hangup(gateway: Arc<Gateway>, tls: Arc<Tls>, stop: CancellationToken) {
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => return tracing::error!(%error, "SIGHUP cannot be caught"),
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = hangups.recv() => {}
        }
        match reload(&gateway, &tls) {
            Ok(()) => tracing::info!("the files of tls were read again"),
            Err(error) => tracing::error!(%error, "the files of tls stay as they were"),
        }
    }
}

fn read(files: &config::Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|cause| {
        let path = files.key.clone();
        match cause {
            pem::Error::NoItemsFound => TlsError::NoKey { path },
            cause => TlsError::File { path, cause },
        }
    })?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder
        .with_single_cert(chain, key)
        .map_err(|cause| TlsError::Pair {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            cause,
        })?;
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |cause| TlsError::File {
        path: path.to_owned(),
        cause,
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    if certificates.is_empty() {
        return Err(TlsError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(certificates)
}

/// Why a handshake failed; the words are a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// Not finished at the deadline.
    Timeout,
    /// Too many others were under way until the deadline.
    Busy,
    /// The link broke, or the client went away.
    Broken,
    /// No certificate where one is needed.
    NoCertificate,
    /// A certificate that is not good here.
    BadCertificate,
    /// The client did not like ours, or anything else.
    ByClient,
    /// No version or cipher in common.
    Incompatible,
    /// What came is no TLS.
    Malformed,
    /// The gateway stops.
    Stopping,
}

impl Refused {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Broken => "broken",
            Self::NoCertificate => "no_certificate",
            Self::BadCertificate => "bad_certificate",
            Self::ByClient => "by_client",
            Self::Incompatible => "incompatible",
            Self::Malformed => "malformed",
            Self::Stopping => "stopping",
        }
    }

    fn of(error: &io::Error) -> Self {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            None => Self::Broken,
            Some(rustls::Error::NoCertificatesPresented) => Self::NoCertificate,
            Some(rustls::Error::InvalidCertificate(_)) => Self::BadCertificate,
            Some(rustls::Error::AlertReceived(_)) => Self::ByClient,
            Some(rustls::Error::PeerIncompatible(_)) => Self::Incompatible,
            Some(_) => Self::Malformed,
        }
    }
}

/// Serves one connection until it ends.
pub(super) async fn serve(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    peer: IpAddr,
    tls: Arc<Tls>,
) -> Closed {
    match agree(&gateway, stream, tls).await {
        Ok(link) => connection::serve(gateway, link, peer).await,
        Err(closed) => closed,
    }
}

/// The handshake.
///
/// # Errors
/// When there is no link.
pub(super) async fn agree(
    gateway: &Gateway,
    stream: TcpStream,
    tls: Arc<Tls>,
) -> Result<TlsLink, Closed> {
    tcp::send_at_once(&stream);
    let agreed = tokio::select! {
        () = gateway.stop.cancelled() => Err(Refused::Stopping),
        // In a box too: its room is given back, not kept for as long as the connection lasts.
        agreed = Box::pin(tls.handshake(stream)) => agreed,
    };
    drop(tls);
    let result = agreed
        .as_ref()
        .map_or_else(|refused| refused.as_str(), |_| "ok");
    gateway
        .metrics
        .count("tls_handshakes_total", "result", result, 1);
    match agreed {
        Ok(stream) => Ok(TlsLink {
            stream,
            has_more: true,
        }),
        Err(Refused::Stopping) => Err(Closed::Shutdown),
        Err(_) => Err(Closed::Handshake),
    }
}

/// A link within TLS.
pub(super) struct TlsLink {
    stream: Box<TlsStream<TcpStream>>,
    /// The last read may have left something decrypted, of which the socket knows nothing.
    has_more: bool,
}

impl TlsLink {
    /// The stream, for a link of another kind over it.
    pub(super) fn into_stream(self) -> Box<TlsStream<TcpStream>> {
        self.stream
    }
}

impl Transport for TlsLink {
    const KIND: Kind = Kind::Tls;

    fn poll_read_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_more {
            Poll::Ready(())
        } else {
            self.stream.get_ref().0.poll_read_ready(context).map(drop)
        }
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        buffer.reserve(room);
        let read = poll_read_buf(Pin::new(&mut *self.stream), context, buffer);
        self.has_more = read.is_ready();
        match read {
            // Many terminals cut the line without the word that TLS has for it.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Poll::Ready(Ok(0))
            }
            read => read,
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, frames: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(context, frames)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(context)
    }

    fn say_goodbye(&mut self, context: &mut Context<'_>) {
        if let Poll::Ready(Err(error)) = Pin::new(&mut *self.stream).poll_shutdown(context) {
            tracing::debug!(%error, "no goodbye");
        }
    }
}
