//! Certificates, and TLS in front of a server that has none.

use std::{net::SocketAddr, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

/// Somebody who signs certificates.
pub(crate) struct Authority(pub(crate) CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn sign(&self, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Pair {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// Its own certificate as a file, whose path is given back.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> String {
        let path = folder.join(name);
        std::fs::write(&path, self.0.pem()).unwrap();
        path.display().to_string()
    }
}

/// The certificates that a server may show to somebody who goes to `localhost` and trusts one authority
/// alone.
pub(crate) struct Shown {
    /// That authority's own, as a file.
    pub(crate) ca: String,
    /// Each with what is said of it; nothing of the right one.
    pub(crate) pairs: [(Pair, Option<&'static str>); 3],
    _folder: tempfile::TempDir,
}

impl Shown {
    pub(crate) fn new() -> Self {
        let (own, other) = (Authority::new("city"), Authority::new("stranger"));
        let folder = tempfile::tempdir().unwrap();
        Self {
            ca: own.write(folder.path(), "ca.pem"),
            pairs: [
                (own.sign("localhost"), None),
                (other.sign("localhost"), Some("UnknownIssuer")),
                (own.sign("elsewhere.test"), Some("not valid for name")),
            ],
            _folder: folder,
        }
    }
}

/// Takes TLS connections with a certificate, and hands what they bring to another address.
pub(crate) async fn tls_front(target: SocketAddr, pair: &Pair) -> SocketAddr {
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate goes.
                let Ok(mut near) = acceptor.accept(stream).await else {
                    return;
                };
                let mut far = TcpStream::connect(target).await.unwrap();
                tokio::io::copy_bidirectional(&mut near, &mut far)
                    .await
                    .ok();
            });
        }
    });
    address
}
