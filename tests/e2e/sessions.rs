//! Registration, authentication, take-over, silence, and what no decoder likes.

use std::{pin::pin, time::Duration};

use harness::{PATIENCE, TestGateway, now_s, report};
use tools::{
    terminal::{Terminal, TerminalError},
    wire::{self, Phone, Revision, message_id},
};

const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;
const UNSUPPORTED: u8 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn terminals_of_all_revisions_register_authenticate_and_report_on_one_port() {
    let gateway = TestGateway::start(&[]).await;
    let now = now_s();
    for (phone, revision) in [
        ("13800000011", Revision::V2011),
        ("13800000013", Revision::V2013),
        ("13800000019", Revision::V2019),
    ] {
        let mut terminal = gateway.connect(phone, revision).await;
        let code = terminal.register().await.unwrap();
        assert!(!code.is_empty());
        terminal.authenticate(&code).await.unwrap();
        terminal.heartbeat().await.unwrap();
        let serial = terminal
            .send_location(&report(37.87, 112.55, now))
            .await
            .unwrap();
        let answer = terminal.response(serial).await.unwrap();
        assert_eq!(
            (answer.id, answer.result),
            (message_id::LOCATION_REPORT, SUCCESS)
        );
        terminal.log_out().await.unwrap();
    }
    let books = gateway.drained().await;
    assert_eq!(
        books.value("gridtrace_positions_stored_total{result=\"inserted\"}"),
        3
    );
    let latest = gateway.items("/api/v1/positions/latest").await;
    assert_eq!(latest.len(), 3);
    assert!(
        latest.iter().all(|p| p["online"] == false),
        "all have logged out"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_bound_to_its_terminal_and_another_one_comes_with_each_registration() {
    let gateway = TestGateway::start(&[]).await;
    let mut mine = gateway.connect("13800000001", Revision::V2013).await;
    let mut other = gateway.connect("13800000002", Revision::V2013).await;
    let code = mine.register().await.unwrap();
    assert_ne!(mine.register().await.unwrap(), code);
    assert_ne!(other.register().await.unwrap(), code);
    for wrong in [&b""[..], b"authentication", &code] {
        let refused = other.authenticate(wrong).await.unwrap_err();
        assert!(
            matches!(
                refused,
                TerminalError::Refused {
                    result: FAILURE,
                    ..
                }
            ),
            "{refused}"
        );
    }
    mine.authenticate(&code).await.unwrap();
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_before_authentication_is_refused_and_not_stored() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.connect("13800000001", Revision::V2013).await;
    let serial = terminal
        .send_location(&report(37.87, 112.55, now_s()))
        .await
        .unwrap();
    assert_eq!(terminal.response(serial).await.unwrap().result, FAILURE);
    terminal.log_in().await.unwrap();
    let books = gateway.drained().await;
    assert_eq!(
        books.value("gridtrace_frames_rejected_total{reason=\"not_authenticated\"}"),
        1
    );
    assert_eq!(books.sum("gridtrace_positions_recorded_total"), 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_only_known_terminals_may_register_strangers_are_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let vehicles = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
                    V1,13800000001,晋A00001,sweeper,F1,one,60\n";
    let fences = r#"{"type":"FeatureCollection","features":[]}"#;
    let mut settings = harness::catalog(folder.path(), fences, vehicles);
    settings.push(("terminals.registration".into(), "known".into()));
    let settings: Vec<_> = settings
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let gateway = TestGateway::start(&settings).await;
    gateway.terminal("13800000001", Revision::V2019).await;
    let mut stranger = gateway.connect("13800000002", Revision::V2019).await;
    let refused = stranger.register().await.unwrap_err();
    assert!(
        matches!(refused, TerminalError::Refused { result: 4, .. }),
        "{refused}"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_of_a_terminal_ends_the_first() {
    let gateway = TestGateway::start(&[]).await;
    let mut first = gateway.terminal("13800000001", Revision::V2013).await;
    let mut second = gateway.connect("13800000001", Revision::V2013).await;
    // Only the code makes it the newer one: until then the first goes on.
    first.heartbeat().await.unwrap();
    let code = second.register().await.unwrap();
    first.heartbeat().await.unwrap();
    second.authenticate(&code).await.unwrap();
    ended(&mut first).await;
    second.heartbeat().await.unwrap();
    let closed = "gridtrace_connections_closed_total{reason=\"replaced\"}";
    gateway.counted(closed, 1).await;
    let latest = gateway.drained().await;
    assert_eq!(latest.sum("gridtrace_sessions_opened_total"), 2);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_falls_silent_ends_and_a_talking_one_does_not() {
    let closed = |reason| format!("gridtrace_connections_closed_total{{reason=\"{reason}\"}}");
    // Thirty heartbeats in the time after which the link of the other one ends.
    let gateway = TestGateway::start(&[("tcp.idle_timeout", "3s")]).await;
    let mut silent = gateway.terminal("13800000001", Revision::V2013).await;
    let mut talking = gateway.terminal("13800000002", Revision::V2013).await;
    let mut end = pin!(ended(&mut silent));
    while tokio::time::timeout(Duration::from_millis(100), &mut end)
        .await
        .is_err()
    {
        talking.heartbeat().await.unwrap();
    }
    talking.heartbeat().await.unwrap();
    gateway.counted(&closed("idle"), 1).await;
    gateway.drained().await;
    gateway.stop().await;

    let gateway = TestGateway::start(&[("tcp.authentication_timeout", "1s")]).await;
    let mut stranger = gateway.connect("13800000003", Revision::V2013).await;
    ended(&mut stranger).await;
    gateway.counted(&closed("not_authenticated"), 1).await;
    gateway.stop().await;
}

/// Waits until the gateway ends the link.
async fn ended(terminal: &mut Terminal) {
    let message = tokio::time::timeout(PATIENCE, terminal.receive()).await;
    let message = message.unwrap();
    assert!(
        matches!(message, Err(TerminalError::Closed | TerminalError::Io(_))),
        "{message:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_message_is_answered_with_result_3_and_kept() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2013).await;
    let serial = terminal.send(0x0F0F, b"who knows").await.unwrap();
    let answer = terminal.response(serial).await.unwrap();
    assert_eq!((answer.id, answer.result), (0x0F0F, UNSUPPORTED));
    let books = gateway.drained().await;
    assert_eq!(
        books.value("gridtrace_messages_decoded_total{message=\"other\"}"),
        1
    );
    assert_eq!(books.value("gridtrace_frames_recorded_total"), 1);
    let folder = gateway.stop().await;
    assert!(
        log_holds(folder.path(), b"who knows"),
        "the frame is not in the log"
    );
}

fn log_holds(data_dir: &std::path::Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(data_dir.join("log"))
        .unwrap()
        .any(|entry| {
            let path = entry.unwrap().path();
            path.is_file()
                && std::fs::read(path)
                    .unwrap()
                    .windows(bytes.len())
                    .any(|w| w == bytes)
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_counted_by_reason_and_the_link_lives() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2013).await;
    let (_, good) = terminal
        .compose(
            message_id::LOCATION_REPORT,
            &report(37.87, 112.55, now_s()).body(),
        )
        .unwrap();
    let mut bad_code = good.clone();
    // A byte of the serial number, which is never one that needs escaping here.
    bad_code[11] ^= 0x10;
    terminal.send_raw(&bad_code).await.unwrap();
    terminal.send_raw(b"\x7e\x01\x02\x7e").await.unwrap();
    let serial = terminal
        .send(message_id::LOCATION_REPORT, &[0; 10])
        .await
        .unwrap();
    assert_eq!(
        terminal.response(serial).await.unwrap().result,
        2,
        "a report of ten bytes"
    );
    let serial = terminal
        .send_location(&report(37.88, 112.55, now_s()))
        .await
        .unwrap();
    assert_eq!(terminal.response(serial).await.unwrap().result, SUCCESS);
    let books = gateway.drained().await;
    assert_eq!(
        books.value("gridtrace_frames_rejected_total{reason=\"check_code\"}"),
        1
    );
    assert_eq!(
        books.value("gridtrace_frames_rejected_total{reason=\"short\"}"),
        1
    );
    assert_eq!(
        books.value("gridtrace_frames_rejected_total{reason=\"body\"}"),
        1
    );
    assert_eq!(gateway.items("/api/v1/rejected-frames").await.len(), 3);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_another_terminal_on_an_authenticated_link_are_refused() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2013).await;
    let other = Phone::from_digits("13800000002", Revision::V2013).unwrap();
    let body = report(37.87, 112.55, now_s()).body();
    let frame = wire::frame(message_id::LOCATION_REPORT, &other, 77, &body).unwrap();
    terminal.send_raw(&frame).await.unwrap();
    assert_eq!(terminal.response(77).await.unwrap().result, FAILURE);
    let books = gateway.drained().await;
    assert_eq!(books.sum("gridtrace_positions_recorded_total"), 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_crawler_and_endless_garbage_are_shown_out() {
    let gateway = TestGateway::start(&[]).await;
    let mut crawler = gateway.connect("13800000001", Revision::V2013).await;
    crawler
        .send_raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(crawler.receive().await.is_err());
    let mut noise = gateway.connect("13800000002", Revision::V2013).await;
    let mut is_open = true;
    for _ in 0..64 {
        is_open &= noise.send_raw(&[0x55; 16 * 1024]).await.is_ok();
    }
    is_open &= noise.receive().await.is_ok();
    assert!(!is_open);
    gateway.drained().await;
    let closed = "gridtrace_connections_closed_total{reason=\"garbage\"}";
    gateway.counted(closed, 2).await;
    gateway.stop().await;
}
