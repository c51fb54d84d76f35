//! Markup, formulas and characters that GBK does not have are texts like others on every surface.

use std::sync::{Arc, Mutex};

use harness::{
    TestGateway,
    http_client::{self, Method},
    moments, until,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tools::wire::Revision;

/// A formula, markup, a line of its own, what reads backwards, a character outside of the basic
/// plane, one of GBK's private ones, and what stands where a GBK text was broken.
const HOSTILE: &str =
    "=cmd|' /C calc'!A0\"><script>alert(1)</script>\n&amp;\u{202e}𠮷\u{e5e5}\u{fffd}〇";

/// Takes every webhook, and keeps the bodies.
async fn listen() -> (String, Arc<Mutex<Vec<Value>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let kept = Arc::clone(&heard);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = Vec::new();
            let body = loop {
                let mut part = [0; 4096];
                let count = stream.read(&mut part).await.unwrap();
                assert!(count > 0, "the request ended early");
                text.extend_from_slice(&part[..count]);
                let whole = String::from_utf8_lossy(&text).into_owned();
                let body = whole.split_once("\r\n\r\n").map(|(_, body)| body);
                if let Some(Ok(body)) = body.map(serde_json::from_str) {
                    break body;
                }
            };
            kept.lock().unwrap().push(body);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    });
    (address, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_text_is_a_text_everywhere() {
    let (address, heard) = listen().await;
    let receivers = format!(
        "[{{name = \"city\", url = \"http://{address}/\", secret = \"a-key-of-enough-characters\", \
         allow_private = true}}]"
    );
    let gateway = TestGateway::start(&[("delivery.receivers", &receivers)]).await;
    // The evaluation below is of the day.
    moments::early_in_the_day().await;
    let body = json!({
        "actor": HOSTILE, "role": "operator", "category": "0104", "description": HOSTILE,
        "unit_grid": "140105001001001", "department": HOSTILE, "remark": HOSTILE,
    });
    let (status, case) = gateway
        .ask(Method::POST, "/api/v1/cases", Some(&body))
        .await;
    assert_eq!(status, 201, "{case:#}");
    assert_eq!(case["description"], HOSTILE);
    assert_eq!(case["history"][0]["actor"], HOSTILE);
    let id = case["id"].as_str().unwrap();

    // The webhook has the same text.
    let told = until("the receiver heard of it", async || {
        heard.lock().unwrap().first().cloned()
    })
    .await;
    assert_eq!(told["case"]["description"], HOSTILE, "{told:#}");

    // The page for paper.
    let path = format!("/cases/{id}/print");
    let (status, page) = http_client::get(&gateway.http(), &path).await.unwrap();
    let page = String::from_utf8(page.to_vec()).unwrap();
    assert_eq!(status, 200, "{page}");
    assert!(
        !page.contains("<script>alert") && !page.contains("\"><script"),
        "{page}"
    );
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{page}"
    );
    assert!(
        page.contains("&amp;amp;") && page.contains("𠮷\u{e5e5}\u{fffd}〇"),
        "{page}"
    );

    // The evaluation as files: by department, which has that name.
    let moves = [
        ("accept", "operator"),
        ("file", "operator"),
        ("dispatch", "dispatcher"),
    ];
    for (version, (name, role)) in (1..).zip(moves) {
        let body = json!({
            "move": name, "version": version, "actor": "Li", "role": role, "department": HOSTILE,
        });
        let path = format!("/api/v1/cases/{id}/moves");
        let (status, made) = gateway.ask(Method::POST, &path, Some(&body)).await;
        assert_eq!(status, 200, "{made:#}");
    }
    let file = async |format: &str| {
        let path = format!("/api/v1/evaluation?level=department&period=day&format={format}");
        let (status, body) = http_client::get(&gateway.http(), &path).await.unwrap();
        assert_eq!(status, 200);
        String::from_utf8_lossy(&body).into_owned()
    };
    let quoted = format!("\"'{}\"", HOSTILE.replace('"', "\"\""));
    let csv = file("csv").await;
    assert!(csv.contains(&quoted), "{csv}");
    let book = file("xlsx").await;
    assert!(
        book.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{book}"
    );
    assert!(
        !book.contains("<script>") && !book.contains("<f>"),
        "{book}"
    );
    gateway.stop().await;
}

/// What GBK has goes to the terminal as it is; for the rest nobody guesses.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_text_for_a_terminal_is_gbk_or_is_refused() {
    const PHONE: &str = "13800138000";
    /// "请绕行" in GBK.
    const GO_AROUND: [u8; 6] = [0xC7, 0xEB, 0xC8, 0xC6, 0xD0, 0xD0];
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let path = format!("/api/v1/terminals/{PHONE}/commands");
    let send = async |text: &str| {
        let command = json!({"message": "text_message", "body": {"flag": 1, "text": text}});
        gateway.ask(Method::POST, &path, Some(&command)).await
    };
    let spoken = "<script>alert('1')</script>\"\u{1b}[31m\u{7}\n&amp;请绕行";
    let (status, said) = send(spoken).await;
    assert!(matches!(status, 200 | 202), "{status}: {said}");
    let heard = terminal.message(0x8300).await.unwrap();
    let (ascii, _) = spoken.split_once('请').unwrap();
    let gbk = [&[1][..], ascii.as_bytes(), &GO_AROUND].concat();
    assert_eq!(heard.body, gbk);
    for lacking in ["\u{202e}", "\u{200f}", "𠮷", "€", "\u{fffd}", "🚛"] {
        let (status, said) = send(&format!("请绕行{lacking}")).await;
        assert_eq!(status, 400, "{lacking:?}: {said}");
        let why = said["detail"].as_str().unwrap();
        assert!(
            why.ends_with("text: has a character that is not in GBK"),
            "{why}"
        );
    }
    gateway.stop().await;
}
