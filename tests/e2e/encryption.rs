//! Bodies that terminals encrypt with the platform's key (0x8A00).

use harness::{TestGateway, now_s, report};
use rsa::{
    Pkcs1v15Encrypt, PrivateKey,
    pkcs8::{EncodePrivateKey as _, LineEnding},
    traits::PublicKeyParts as _,
};
use tools::{
    terminal::Terminal,
    wire::{Revision, check_code, escape_into, message_id},
};

const PHONE: &str = "13800138000";
/// Bit 10 of the body attributes.
const RSA: u8 = 0x04;

/// A frame whose header says that the body is encrypted.
fn encrypted(terminal: &mut Terminal, id: u16, body: &[u8]) -> (u16, Vec<u8>) {
    let (serial, frame) = terminal.compose(id, body).unwrap();
    let mut content = tools::wire::unescape(&frame[1..frame.len() - 1]).unwrap();
    content[2] |= RSA;
    content.pop();
    content.push(check_code(&content));
    let mut frame = Vec::new();
    escape_into(&content, &mut frame);
    (serial, frame)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_report_is_a_position_where_the_key_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("platform.pem");
    let mut random = getrandom::SysRng;
    let key = PrivateKey::new(&mut random, 1_024).unwrap();
    std::fs::write(&file, &*key.to_pkcs8_pem(LineEnding::LF).unwrap()).unwrap();
    let settings = [("terminals.rsa_key", file.to_str().unwrap())];
    let gateway = TestGateway::start(&settings).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    // The keys are exchanged.
    let mut own = vec![0, 1, 0, 1];
    own.extend([0xAB; 128]);
    terminal.send(0x0A00, &own).await.unwrap();
    let told = terminal.message(0x8A00).await.unwrap();
    assert_eq!(told.body[..4], [0, 1, 0, 1]);
    assert_eq!(told.body[4..], *key.n_bytes());
    let body = report(37.87, 112.55, now_s()).body();
    let cipher = key
        .to_public_key()
        .encrypt(&mut random, Pkcs1v15Encrypt, &body)
        .unwrap();
    let (serial, frame) = encrypted(&mut terminal, message_id::LOCATION_REPORT, &cipher);
    terminal.send_raw(&frame).await.unwrap();
    assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    // Neither whole blocks nor our key: kept, and told to be unsupported.
    for body in [vec![1; 100], vec![1; 128]] {
        let (serial, frame) = encrypted(&mut terminal, message_id::LOCATION_REPORT, &body);
        terminal.send_raw(&frame).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 3);
    }
    let books = gateway.drained().await;
    assert_eq!(books.value("gridtrace_positions_recorded_total"), 1);
    let track = gateway
        .items(&format!("/api/v1/terminals/{PHONE}/track"))
        .await;
    assert_eq!(track.len(), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_encrypted_bodies_are_kept_and_counted() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2019).await;
    let (serial, frame) = encrypted(&mut terminal, message_id::LOCATION_REPORT, &[7; 128]);
    terminal.send_raw(&frame).await.unwrap();
    assert_eq!(terminal.response(serial).await.unwrap().result, 3);
    let books = gateway.drained().await;
    let encrypted = "gridtrace_frames_rejected_total{reason=\"encrypted\"}";
    assert_eq!(books.value(encrypted), 1);
    gateway.stop().await;
}
