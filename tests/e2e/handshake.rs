//! Every answer to a registration and an authentication, over a real socket, and what an operator
//! sees of it.

use harness::{PATIENCE, TestGateway, moments, now_s, process::Process, report, until};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tools::{
    terminal::{Identity, Terminal, TerminalError},
    wire::{self, Phone, Revision, message_id, registration_body},
};

const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;

const VEHICLES: &str = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
     V1,13800000001,晋A00001,sweeper,F1,one,60\n\
     V2,13800000002,晋A00002,sweeper,F1,two,60\n";

/// A gateway with two vehicles in its catalog.
async fn city(more: &[(&str, &str)]) -> (TestGateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let fences = r#"{"type":"FeatureCollection","features":[]}"#;
    let settings = harness::catalog(folder.path(), fences, VEHICLES);
    let mut settings: Vec<_> = settings
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    settings.extend(more);
    (TestGateway::start(&settings).await, folder)
}

/// Result of a 0x0100 with this device and plate.
async fn register(gateway: &TestGateway, phone: &str, device: &str, plate: &str) -> u8 {
    let mut terminal = gateway.connect(phone, Revision::V2013).await;
    let body = registration_body(Revision::V2013, device, plate);
    let serial = terminal
        .send(message_id::REGISTRATION, &body)
        .await
        .unwrap();
    let answer = terminal
        .response_to(message_id::REGISTRATION, serial, PATIENCE)
        .await
        .unwrap();
    let (_, result, code) = answer.registration_answer().unwrap();
    assert_eq!(
        code.is_empty(),
        result != SUCCESS,
        "a code, and never an empty one"
    );
    result
}

fn result_of(refused: Result<(), TerminalError>) -> u8 {
    match refused {
        Ok(()) => SUCCESS,
        Err(TerminalError::Refused { result, .. }) => result,
        Err(error) => panic!("{error}"),
    }
}

/// Events of a terminal, oldest first, as `kind detail`, once there are so many.
async fn events(gateway: &TestGateway, phone: &str, count: usize) -> Vec<String> {
    let path = format!("/api/v1/terminals/{phone}/events");
    until("the events are written", async || {
        let (status, body) = harness::http_client::get(&gateway.http(), &path)
            .await
            .unwrap();
        let page: Value = serde_json::from_slice(&body).unwrap();
        let items = page["items"].as_array().filter(|_| status == 200)?;
        (items.len() >= count).then(|| {
            let words = |e: &Value| {
                assert!(e["at"].is_string() && e["address"] == "127.0.0.1", "{e}");
                let text = |key: &str| e[key].as_str().unwrap().to_owned();
                format!("{} {}", text("kind"), text("detail"))
                    .trim_end()
                    .to_owned()
            };
            items.iter().rev().map(words).collect()
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_result_of_a_registration_is_given_where_terminals_must_be_known() {
    let (gateway, _folder) = city(&[("terminals.registration", "known")]).await;
    assert_eq!(register(&gateway, "000000000000", "T1", "").await, 4);
    assert_eq!(register(&gateway, "13800000009", "T9", "").await, 4);
    assert_eq!(register(&gateway, "13800000001", "T1", "晋A00002").await, 1);
    assert_eq!(register(&gateway, "13800000001", "T1", "晋A00009").await, 2);
    assert_eq!(register(&gateway, "13800000001", "T1", "晋A00001").await, 0);
    assert_eq!(register(&gateway, "13800000001", "T1", "晋A00001").await, 0);
    assert_eq!(register(&gateway, "13800000001", "T7", "晋A00001").await, 3);
    let unknown = gateway.items("/api/v1/terminals/unknown").await;
    let reasons: Vec<_> = unknown
        .iter()
        .map(|u| (u["phone"].as_str().unwrap(), u["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(
        reasons,
        [
            ("13800000001", "terminal_taken"),
            ("13800000009", "terminal_unknown")
        ]
    );
    assert_eq!(unknown[0]["refusals"], 3);
    assert_eq!(unknown[0]["terminal_id"], "T7");
    assert_eq!(unknown[1]["step"], "connected");
    let expected = [
        "registration_refused vehicle_taken",
        "registration_refused vehicle_unknown",
        "registered new",
        "registered again",
        "registration_refused terminal_taken",
    ];
    assert_eq!(events(&gateway, "13800000001", 5).await, expected);
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchanged_device_is_let_in_by_releasing_the_old_one() {
    let gateway = TestGateway::start(&[]).await;
    assert_eq!(register(&gateway, "13800000001", "T1", "").await, 0);
    assert_eq!(register(&gateway, "13800000001", "T2", "").await, 3);
    let path = "/api/v1/terminals/13800000001/release";
    assert_eq!(post(&gateway, path).await, "HTTP/1.1 204 No Content");
    assert_eq!(register(&gateway, "13800000001", "T2", "").await, 0);
    let gateway = gateway.restart().await;
    assert_eq!(register(&gateway, "13800000001", "T1", "").await, 3);
    let nobody = "/api/v1/terminals/13800000009/release";
    assert_eq!(post(&gateway, nobody).await, "HTTP/1.1 404 Not Found");
    gateway.stop().await;
}

/// First line of the answer.
async fn post(gateway: &TestGateway, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(gateway.http())
        .await
        .unwrap();
    let host = gateway.http();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_code_nobody_gets_a_terminals_session() {
    let gateway = TestGateway::start(&[("terminals.wrong_codes_per_minute_max", "3")]).await;
    let mut mine = gateway.connect("13800000001", Revision::V2013).await;
    let code = mine.log_in().await.unwrap();
    let mut thief = gateway.connect("13800000001", Revision::V2013).await;
    // The last one is right, but too many wrong ones came from there in this minute.
    moments::early_in_the_minute().await;
    for guess in [&b""[..], b"authentication", b"0000", b"1111", &code] {
        assert_eq!(result_of(thief.authenticate(guess).await), FAILURE);
    }
    let name = "gridtrace_authentications_total{result=\"too_many\"}";
    assert_eq!(gateway.metrics().await.value(name), 2);
    let serial = thief
        .send_location(&report(37.87, 112.55, now_s()))
        .await
        .unwrap();
    assert_eq!(thief.response(serial).await.unwrap().result, FAILURE);
    mine.heartbeat().await.unwrap();
    let unknown = gateway.items("/api/v1/terminals/unknown").await;
    assert_eq!(unknown[0]["step"], "registered");
    assert_eq!(unknown[0]["reason"], "not_authenticated");
    let books = gateway.drained().await;
    assert_eq!(books.sum("gridtrace_positions_recorded_total"), 0);
    assert_eq!(books.sum("gridtrace_take_overs_total"), 0);
    assert_eq!(books.value("gridtrace_sessions_opened_total"), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_know_the_code_cannot_play_ping_pong_for_ever() {
    let gateway = TestGateway::start(&[("terminals.takeovers_per_minute_max", "1")]).await;
    let mut first = gateway.connect("13800000001", Revision::V2013).await;
    let code = first.log_in().await.unwrap();
    let mut refused = 0;
    moments::early_in_the_minute().await;
    for _ in 0..3 {
        let mut next = gateway.connect("13800000001", Revision::V2013).await;
        match result_of(next.authenticate(&code).await) {
            SUCCESS => first = next,
            _ => refused += 1,
        }
        first.heartbeat().await.unwrap();
    }
    assert_eq!(refused, 2);
    let books = gateway.drained().await;
    let name = "gridtrace_take_overs_total{result=\"refused\"}";
    assert_eq!(books.value(name), refused);
    let events = events(&gateway, "13800000001", 5).await;
    assert_eq!(events[..2], ["registered new", "online tcp"]);
    assert_eq!(events[2..4], ["taken_over from 127.0.0.1", "online tcp"]);
    assert!(
        events.contains(&"take_over_refused".to_owned()),
        "{events:?}"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_was_given_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let phones: Vec<String> = (1..=20).map(|n| format!("1380000{n:04}")).collect();
    let connect = async |process: &Process, phone: &str| {
        let identity = Identity::new(phone, Revision::V2019).unwrap();
        Terminal::connect(&*process.tcp, identity, PATIENCE)
            .await
            .unwrap()
    };
    let process = Process::start("serve", folder.path(), &[]);
    let mut codes = Vec::new();
    for phone in &phones {
        codes.push(connect(&process, phone).await.register().await.unwrap());
    }
    process.kill();
    let process = Process::start("serve", folder.path(), &[]);
    for (phone, code) in phones.iter().zip(&codes) {
        let mut terminal = connect(&process, phone).await;
        terminal.authenticate(code).await.unwrap();
    }
    assert!(process.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_elder_code_opens_until_the_newer_one_is_used() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.connect("13800000001", Revision::V2011).await;
    let first = terminal.register().await.unwrap();
    let second = terminal.register().await.unwrap();
    assert_ne!(first, second);
    terminal.authenticate(&first).await.unwrap();
    let gateway = gateway.restart().await;
    let mut terminal = gateway.connect("13800000001", Revision::V2011).await;
    terminal.authenticate(&first).await.unwrap();
    terminal.authenticate(&second).await.unwrap();
    assert_eq!(result_of(terminal.authenticate(&first).await), FAILURE);
    terminal.heartbeat().await.unwrap();
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarding_link_carries_several_terminals_each_for_itself() {
    let gateway = TestGateway::start(&[
        ("terminals.forwarding_addresses", "127.0.0.0/8"),
        ("terminals.per_link_max", "3"),
    ])
    .await;
    let mut link = gateway.connect("13800000001", Revision::V2013).await;
    link.log_in().await.unwrap();
    for (n, expected) in [(2, SUCCESS), (3, SUCCESS), (4, FAILURE)] {
        let phone = Phone::from_digits(&format!("1380000000{n}"), Revision::V2013).unwrap();
        let body = registration_body(Revision::V2013, &format!("T{n}"), "");
        let frame = wire::frame(message_id::REGISTRATION, &phone, 500 + n, &body).unwrap();
        link.send_raw(&frame).await.unwrap();
        let answer = link
            .response_to(message_id::REGISTRATION, 500 + n, PATIENCE)
            .await
            .unwrap();
        let Some((_, result, code)) = answer.registration_answer() else {
            assert_eq!(
                answer.answer().unwrap().result,
                expected,
                "no place for {n}"
            );
            continue;
        };
        assert_eq!((result, answer.serial), (SUCCESS, 0), "a serial of its own");
        let frame = wire::frame(message_id::AUTHENTICATION, &phone, 600 + n, code).unwrap();
        link.send_raw(&frame).await.unwrap();
        assert_eq!(link.response(600 + n).await.unwrap().result, SUCCESS);
        let body = report(37.87, 112.55, now_s()).body();
        let frame = wire::frame(message_id::LOCATION_REPORT, &phone, 700 + n, &body).unwrap();
        link.send_raw(&frame).await.unwrap();
        assert_eq!(link.response(700 + n).await.unwrap().result, SUCCESS);
    }
    link.heartbeat().await.unwrap();
    assert_eq!(
        gateway.items("/api/v1/terminals?online=true").await.len(),
        3
    );
    // One of them comes on a link of its own: the others stay.
    let mut alone = gateway.connect("13800000002", Revision::V2013).await;
    let body = registration_body(Revision::V2013, "T2", "");
    let serial = alone.send(message_id::REGISTRATION, &body).await.unwrap();
    let answer = alone
        .response_to(message_id::REGISTRATION, serial, PATIENCE)
        .await
        .unwrap();
    let (_, _, code) = answer.registration_answer().unwrap();
    alone.authenticate(code).await.unwrap();
    link.heartbeat().await.unwrap();
    drop(link);
    until("the link's sessions are over", async || {
        let online = gateway.items("/api/v1/terminals?online=true").await;
        (online.len() == 1).then_some(())
    })
    .await;
    drop(alone);
    until("all sessions are over", async || {
        let books = gateway.metrics().await;
        let opened = books.value("gridtrace_sessions_opened_total");
        let closed = books.value("gridtrace_sessions_closed_total");
        (opened == 4 && closed == 4).then_some(())
    })
    .await;
    assert_eq!(gateway.app_sessions(), 0);
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_listed_with_its_step_its_clock_and_its_story() {
    let (gateway, _folder) = city(&[]).await;
    let mut terminal = gateway.connect("13800000001", Revision::V2019).await;
    let path = "/api/v1/terminals/13800000001";
    assert_eq!(gateway.json(path).await["step"], Value::Null);
    let code = terminal.register().await.unwrap();
    assert_eq!(gateway.json(path).await["step"], "registered");
    terminal.authenticate(&code).await.unwrap();
    let view = gateway.json(path).await;
    assert_eq!(view["step"], "authenticated");
    assert_eq!(
        (&view["online"], &view["transport"], &view["vehicle"]),
        (&true.into(), &"tcp".into(), &"V1".into())
    );
    // It sends UTC where GMT+8 is meant: eight hours behind.
    for n in 0..8 {
        let mut late = report(37.87, 112.55, now_s() - 8 * 3_600);
        late.altitude_m += n;
        let serial = terminal.send_location(&late).await.unwrap();
        terminal.response(serial).await.unwrap();
    }
    let view = gateway.json("/api/v1/terminals/013800000001").await;
    assert_eq!(view["step"], "first_fix");
    assert_eq!(view["clock"]["whole_hours"], 8);
    assert_eq!(view["clock"]["suggestion"], "+8 h: terminal sends UTC");
    assert_eq!(view["registration"]["revision"], 2019);
    terminal.log_out().await.unwrap();
    let mut again = gateway.connect("13800000001", Revision::V2019).await;
    again.authenticate(&code).await.unwrap();
    drop(again);
    let story = [
        "registered new",
        "online tcp",
        "log_out",
        "online tcp",
        "offline peer",
    ];
    assert_eq!(events(&gateway, "13800000001", 5).await, story);
    until("it is offline, and knows its code", async || {
        let view = gateway.json(path).await;
        let is_so = view["online"] == false && view["step"] == "registered";
        is_so.then_some(())
    })
    .await;
    let page = gateway.json("/api/v1/terminals?limit=1").await;
    let next = page["next"].as_str().unwrap();
    let rest = gateway
        .json(&format!("/api/v1/terminals?limit=1&cursor={next}"))
        .await;
    assert_eq!(rest["items"], Value::Array(Vec::new()));
    gateway.drained().await;
    gateway.stop().await;
}
