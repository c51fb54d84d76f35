//! TLS: certificates of both sides, handshakes that never end, keys that change.

use std::{path::Path, sync::Arc};

use harness::{Books, PATIENCE, TestGateway, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
        version::{TLS12, TLS13},
    },
};
use tools::{
    terminal::{Identity, Terminal},
    wire::Revision,
};

use super::{REVISIONS, whole_day};
use crate::authority::{Authority, Pair};

/// What a client that trusts this authority alone is told.
fn client_of(
    authority: &Authority,
    own: Option<&Pair>,
    version: &'static SupportedProtocolVersion,
) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
            builder
                .with_client_auth_cert(vec![certificate], key)
                .unwrap()
        }
    };
    Client(TlsConnector::from(Arc::new(config)))
}

struct Client(TlsConnector);

impl Client {
    async fn connect(&self, gateway: &TestGateway) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(gateway.tls()).await.unwrap();
        let name = ServerName::try_from("gateway.test").unwrap();
        self.0.connect(name, stream).await
    }

    /// The first message of a handshake.
    fn hello(&self) -> Vec<u8> {
        let name = ServerName::try_from("gateway.test").unwrap();
        let mut connection = ClientConnection::new(Arc::clone(self.0.config()), name).unwrap();
        let mut bytes = Vec::new();
        connection.write_tls(&mut bytes).unwrap();
        bytes
    }

    async fn terminal(
        &self,
        gateway: &TestGateway,
        phone: &str,
        revision: Revision,
    ) -> std::io::Result<Terminal<TlsStream<TcpStream>>> {
        let stream = self.connect(gateway).await?;
        let identity = Identity::new(phone, revision).unwrap();
        Ok(Terminal::over(stream, identity, PATIENCE))
    }
}

fn write(folder: &Path, pair: &Pair) {
    std::fs::write(folder.join("gateway.pem"), &pair.certificate).unwrap();
    std::fs::write(folder.join("gateway.key"), &pair.key).unwrap();
}

/// A gateway whose certificate is in this folder.
async fn start(folder: &Path, more: &[(&str, &str)]) -> TestGateway {
    let path = |name: &str| folder.join(name).display().to_string();
    let (certificate, key) = (path("gateway.pem"), path("gateway.key"));
    let mut settings = vec![
        ("tls.listen", "127.0.0.1:0"),
        ("tls.certificate", &certificate),
        ("tls.key", &key),
    ];
    settings.extend(more);
    TestGateway::start(&settings).await
}

fn handshakes(books: &Books, result: &str) -> u64 {
    books.value(&format!(
        "gridtrace_tls_handshakes_total{{result=\"{result}\"}}"
    ))
}

/// Waits until so many handshakes ended like this.
async fn handshakes_are(gateway: &TestGateway, result: &str, count: u64) {
    until("the handshakes are counted", async || {
        (handshakes(&gateway.metrics().await, result) == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_of_all_revisions_are_served_over_tls_beside_plain_ones() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("city");
    write(folder.path(), &authority.sign("gateway.test"));
    let gateway = start(folder.path(), &[]).await;
    let mut plain = gateway.terminal("13800000001", Revision::V2013).await;
    for version in [&TLS12, &TLS13] {
        let client = client_of(&authority, None, version);
        for (phone, revision) in REVISIONS {
            let mut terminal = client.terminal(&gateway, phone, revision).await.unwrap();
            whole_day(&mut terminal).await;
        }
    }
    plain.heartbeat().await.unwrap();
    let books = gateway.drained().await;
    assert_eq!(handshakes(&books, "ok"), 6);
    let opened = |transport: &str| {
        books.value(&format!(
            "gridtrace_connections_opened_total{{transport=\"{transport}\"}}"
        ))
    };
    assert_eq!((opened("tcp"), opened("tls"), opened("udp")), (1, 6, 0));
    let ready = gateway.json("/readyz").await;
    let listeners = ready["listeners"].as_array().unwrap();
    assert_eq!(listeners.len(), 2, "{ready}");
    assert_eq!(listeners[1]["transport"], "tls");
    assert_eq!(listeners[1]["address"], gateway.tls().to_string());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_record_of_responses_comes_through_whole() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("city");
    write(folder.path(), &authority.sign("gateway.test"));
    let gateway = start(folder.path(), &[]).await;
    let client = client_of(&authority, None, &TLS13);
    let (phone, revision) = REVISIONS[1];
    let mut terminal = client.terminal(&gateway, phone, revision).await.unwrap();
    terminal.log_in().await.unwrap();
    // Nobody reads the responses of all these until the last one is sent.
    let mut burst = Vec::new();
    let mut serials = Vec::new();
    for _ in 0..3_000 {
        let (serial, frame) = terminal.compose(0x0002, &[]).unwrap();
        burst.extend(frame);
        serials.push(serial);
    }
    terminal.send_raw(&burst).await.unwrap();
    for serial in serials {
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_never_ends_holds_up_nobody_and_ends_at_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("city");
    write(folder.path(), &authority.sign("gateway.test"));
    let limits = [("tls.handshake_timeout", "4s"), ("tls.handshakes_max", "2")];
    let gateway = start(folder.path(), &limits).await;
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push((TcpStream::connect(gateway.tls()).await.unwrap(), false));
    }
    let mut half = TcpStream::connect(gateway.tls()).await.unwrap();
    half.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00])
        .await
        .unwrap();
    silent.push((half, false));
    let client = client_of(&authority, None, &TLS13);
    // This one alone has one of the two places.
    let mut begun = TcpStream::connect(gateway.tls()).await.unwrap();
    begun.write_all(&client.hello()).await.unwrap();
    silent.push((begun, true));
    let (phone, revision) = REVISIONS[2];
    let mut terminal = client.terminal(&gateway, phone, revision).await.unwrap();
    whole_day(&mut terminal).await;
    for (mut stream, is_greeted) in silent {
        let mut bytes = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes));
        let ended = ended.await.expect("it is open for ever");
        // Nothing was said but to the one that had begun.
        assert_eq!(bytes.is_empty(), !is_greeted, "{ended:?}");
    }
    handshakes_are(&gateway, "timeout", 7).await;
    gateway.drained().await;
    let closed = "gridtrace_connections_closed_total{reason=\"handshake\"}";
    gateway.counted(closed, 7).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_terminal_on_the_port_of_tls_is_shown_out() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("city");
    write(folder.path(), &authority.sign("gateway.test"));
    let gateway = start(folder.path(), &[]).await;
    let identity = Identity::new("13800000001", Revision::V2013).unwrap();
    let mut plain = Terminal::connect(gateway.tls(), identity, PATIENCE)
        .await
        .unwrap();
    assert!(plain.register().await.is_err());
    handshakes_are(&gateway, "malformed", 1).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_terminals_need_a_certificate_only_a_right_one_opens() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new("city"), Authority::new("elsewhere"));
    write(folder.path(), &authority.sign("gateway.test"));
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.0.pem()).unwrap();
    let ca = ca.display().to_string();
    let gateway = start(folder.path(), &[("tls.client_ca", &ca)]).await;
    let (phone, revision) = REVISIONS[2];
    let right = authority.sign("terminal.test");
    let wrong = stranger.sign("terminal.test");
    for (own, result) in [(Some(&wrong), "bad_certificate"), (None, "no_certificate")] {
        for version in [&TLS12, &TLS13] {
            let client = client_of(&authority, own, version);
            // With TLS 1.3 the client hears of the refusal after its side of the handshake.
            if let Ok(mut refused) = client.terminal(&gateway, phone, revision).await {
                assert!(refused.register().await.is_err());
            }
        }
        handshakes_are(&gateway, result, 2).await;
    }
    let client = client_of(&authority, Some(&right), &TLS13);
    let mut terminal = client.terminal(&gateway, phone, revision).await.unwrap();
    whole_day(&mut terminal).await;
    let books = gateway.drained().await;
    assert_eq!(books.value("gridtrace_frames_recorded_total"), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_certificates_are_for_new_connections_and_bad_files_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    write(folder.path(), &old.sign("gateway.test"));
    let gateway = start(folder.path(), &[]).await;
    let (phone, revision) = REVISIONS[1];
    let old_client = client_of(&old, None, &TLS13);
    let mut open = old_client
        .terminal(&gateway, phone, revision)
        .await
        .unwrap();
    open.log_in().await.unwrap();
    std::fs::write(folder.path().join("gateway.key"), "no key").unwrap();
    assert!(gateway.app().reload_certificates().is_err());
    old_client.connect(&gateway).await.unwrap();
    write(folder.path(), &new.sign("gateway.test"));
    gateway.app().reload_certificates().unwrap();
    assert!(old_client.connect(&gateway).await.is_err());
    handshakes_are(&gateway, "by_client", 1).await;
    client_of(&new, None, &TLS13)
        .connect(&gateway)
        .await
        .unwrap();
    open.heartbeat().await.unwrap();
    let books = gateway.metrics().await;
    let reloads = |result: &str| {
        books.value(&format!(
            "gridtrace_tls_reloads_total{{result=\"{result}\"}}"
        ))
    };
    assert_eq!((reloads("failed"), reloads("ok")), (1, 1));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_good_files_does_not_start_and_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("city");
    let (one, other) = (
        authority.sign("gateway.test"),
        authority.sign("gateway.test"),
    );
    write(folder.path(), &one);
    std::fs::write(folder.path().join("other.key"), &other.key).unwrap();
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let cases = [
        ("missing.pem", "gateway.key", "gateway.pem", "missing.pem: "),
        ("empty.pem", "gateway.key", "gateway.pem", "empty.pem: no "),
        ("gateway.pem", "empty.pem", "gateway.pem", "empty.pem: no "),
        ("gateway.pem", "other.key", "gateway.pem", "other.key: "),
        ("gateway.pem", "gateway.key", "empty.pem", "empty.pem: no "),
    ];
    for (certificate, key, client_ca, named) in cases {
        let settings = [
            ("tls.listen", "127.0.0.1:0".to_owned()),
            ("tls.certificate", path(certificate)),
            ("tls.key", path(key)),
            ("tls.client_ca", path(client_ca)),
        ]
        .map(|(key, value)| (key.to_owned(), value));
        let config = harness::configuration(folder.path(), &settings);
        let error = gateway::App::start(config).await.unwrap_err().to_string();
        assert!(error.contains(named), "{named}: {error}");
    }
}
