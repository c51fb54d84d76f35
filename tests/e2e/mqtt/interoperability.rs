//! Clients of others: those of Mosquitto (Debian: `mosquitto-clients`), and TLS.

use std::{process::Stdio, sync::Arc};

use harness::{PATIENCE, TestGateway, until};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::Command,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

use super::{PHONE, connect_bytes, password, position, start, topic};

async fn mosquitto(program: &str, gateway: &TestGateway, code: &str, version: &str) -> Command {
    let at = gateway.mqtt();
    let mut command = Command::new(program);
    command
        .args(["-h", &at.ip().to_string(), "-p", &at.port().to_string()])
        .args([
            "-i", PHONE, "-u", PHONE, "-P", code, "-V", version, "-q", "1",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The clients of Mosquitto are there; where they are required, they have to be.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(super) async fn has_mosquitto() -> bool {
    let asked = Command::new("mosquitto_pub").arg("--help").output().await;
    if asked.is_ok() {
        return true;
    }
    assert!(
        std::env::var_os("GRIDTRACE_REQUIRE_MOSQUITTO").is_none(),
        "mosquitto_pub is required and not installed"
    );
    eprintln!("SKIPPED: mosquitto_pub is not installed (Debian: mosquitto-clients)");
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_of_mosquitto_publish_and_read() {
    if !has_mosquitto().await {
        return;
    }
    let gateway = start(&[("terminals.takeovers_per_minute_max", "100")]).await;
    let code = password(&gateway.http(), PHONE).await;
    for (number, version) in [(1, "mqttv311"), (2, "mqttv5")] {
        let mut publish = mosquitto("mosquitto_pub", &gateway, &code, version).await;
        let output = publish
            .args(["-t", &topic("up/json"), "-m", &position(number)])
            .output();
        let output = output.await.unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        // A topic of others, and a password of nobody.
        let mut foreign = mosquitto("mosquitto_pub", &gateway, &code, version).await;
        let output = foreign
            .args(["-t", "gridtrace/terminals/1/up/json", "-m", "{}"])
            .output();
        let said = output.await.unwrap();
        let said = String::from_utf8_lossy(&said.stderr).to_lowercase();
        assert!(!said.is_empty(), "nothing was said about a foreign topic");
        let mut wrong = mosquitto("mosquitto_pub", &gateway, "wrong", version).await;
        let output = wrong
            .args(["-t", &topic("up/json"), "-m", "{}"])
            .output()
            .await
            .unwrap();
        assert!(!output.status.success());
        // A reader of errors gets one.
        let mut subscribe = mosquitto("mosquitto_sub", &gateway, &code, version).await;
        let mut reader = subscribe
            .args(["-t", &topic("errors"), "-t", &topic("down/#"), "-v"])
            .spawn()
            .unwrap();
        let subscribed = || async {
            until("the reader has subscribed", async || {
                let books = gateway.metrics().await;
                let granted = "gridtrace_mqtt_subscriptions_total{result=\"granted\"}";
                (books.value(granted) == 2 * u64::try_from(number).unwrap()).then_some(())
            })
            .await;
        };
        subscribed().await;
        let path = format!("/api/v1/terminals/{PHONE}/commands");
        let text =
            serde_json::json!({"message": "text_message", "body": {"flag": 1, "text": "hello"}});
        gateway
            .ask(harness::http_client::Method::POST, &path, Some(&text))
            .await;
        let mut bytes = BufReader::new(reader.stdout.take().unwrap());
        let mut line = Vec::new();
        let read = bytes.read_until(b' ', &mut line);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&line).trim(), topic("down/jt808"));
        reader.kill().await.unwrap();
    }
    let books = gateway.drained().await;
    assert_eq!(
        books.value("gridtrace_positions_stored_total{result=\"inserted\"}"),
        2
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_come_over_tls_and_silent_ones_block_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["gateway.test".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let gateway = start(&[
        ("mqtt.tls_listen", "127.0.0.1:0"),
        ("tls.certificate", certificate.to_str().unwrap()),
        ("tls.key", key.to_str().unwrap()),
        ("tls.handshakes_max", "2"),
        // Longer than anything is waited for.
        ("tls.handshake_timeout", "60s"),
    ])
    .await;
    let code = password(&gateway.http(), PHONE).await;
    // Many more than there are handshakes: that say nothing, or begin and say no more.
    let mut silent = Vec::new();
    for number in 0..60 {
        let mut stream = TcpStream::connect(gateway.mqtts()).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
        }
        silent.push(stream);
    }
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(gateway.mqtts()).await.unwrap();
    let name = ServerName::try_from("gateway.test").unwrap();
    let connect = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let connected = tokio::time::timeout(PATIENCE, connect).await;
    let mut stream = connected.expect("it waits for the silent ones").unwrap();
    stream
        .write_all(&connect_bytes(4, PHONE, PHONE, &code, 60))
        .await
        .unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
    let ready = gateway.json("/readyz").await;
    assert!(ready["listeners"].to_string().contains("mqtts"), "{ready}");
    drop(silent);
    gateway.stop().await;
}
