//! Terminals that do otherwise than the standard, with a profile and without.

use std::{path::Path, process::Command};

use gateway::clock;
use harness::{TestGateway, now_s, process::binary, report, until};
use serde_json::{Value, json};
use tools::{
    terminal::{Terminal, TerminalError},
    wire::{self, Revision, message_id},
};

const OURS: &str = r#"
[[profile]]
name = "ours"
fits = [{ maker = "GTSIM", model = "SIM*" }]
text = "utf-8"
auth_code = "imei_behind"
tolerates = ["escapes_counted"]
headers = [{ id = 0xF001, form = "id16_length8" }]
items = [
    { id = 0xF1, bytes = 2, name = "battery_voltage", unit = "volt", divide_by = 1000 },
    { id = 0xF001, bytes = 6, at = 5, name = "bucket" },
]
"#;
const IMEI: &[u8] = b"860000000000001";
const EIGHT_HOURS: i64 = 8 * 3_600;

fn own_file(folder: &Path, text: &str) -> String {
    let file = folder.join("own.toml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// A gateway with our own profile, and what more it is told.
async fn with_ours(more: &[(&str, &str)]) -> (TestGateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = own_file(folder.path(), OURS);
    let mut settings = vec![("profiles.file", file.as_str())];
    settings.extend(more);
    (TestGateway::start(&settings).await, folder)
}

fn seconds(time: &Value) -> i64 {
    let time = clock::parse_rfc3339(time.as_str().unwrap()).unwrap();
    time.millis() / 1_000
}

/// Sends reports one by one, then the last two of them as a batch, each a second after the other.
async fn send_reports(terminal: &mut Terminal, first: i64) {
    let reports: Vec<_> = (0..10).map(|n| report(37.87, 112.55, first + n)).collect();
    let (single, batch) = reports.split_at(8);
    for report in single {
        let serial = terminal.send_location(report).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    let serial = terminal.send_batch(false, batch).await.unwrap();
    assert_eq!(terminal.response(serial).await.unwrap().result, 0);
}

/// The fix times of a terminal's track, in seconds since 1970.
async fn track(gateway: &TestGateway, phone: &str) -> Vec<i64> {
    let track = gateway
        .items(&format!("/api/v1/terminals/{phone}/track"))
        .await;
    track.iter().map(|fix| seconds(&fix["fixed_at"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_at_utc_gives_the_right_times_with_its_profile_and_only_then() {
    let gateway = TestGateway::start(&[("profiles.terminals", "013800000001=utc")]).await;
    let first = now_s() - 20;
    for phone in ["13800000001", "13800000002"] {
        let mut terminal = gateway.terminal(phone, Revision::V2013).await;
        send_reports(&mut terminal, first - EIGHT_HOURS).await;
    }
    gateway.drained().await;
    let right: Vec<_> = (0..10).map(|n| first + n).collect();
    let early: Vec<_> = right.iter().map(|time| time - EIGHT_HOURS).collect();
    assert_eq!(track(&gateway, "13800000001").await, right);
    assert_eq!(track(&gateway, "13800000002").await, early);
    let latest = gateway.items("/api/v1/positions/latest").await;
    let latest: Vec<_> = latest.iter().map(|p| seconds(&p["fixed_at"])).collect();
    assert_eq!(latest, [first + 9, first + 9 - EIGHT_HOURS]);

    let view = gateway.json("/api/v1/terminals/13800000001").await;
    assert_eq!(view["profile"], "utc");
    assert_eq!(view["clock"]["whole_hours"], Value::Null);
    let view = gateway.json("/api/v1/terminals/13800000002").await;
    assert_eq!(view["profile"], Value::Null);
    assert_eq!(view["clock"]["whole_hours"], 8);
    assert_eq!(view["clock"]["suggestion"], "+8 h: terminal sends UTC");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_clock_with_the_wrong_profile_is_seen_and_its_times_are_kept_apart() {
    let gateway = TestGateway::start(&[("profiles.terminals", "13800000001=utc")]).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2019).await;
    send_reports(&mut terminal, now_s() - 20).await;
    let books = gateway.drained().await;
    let quarantined = "gridtrace_positions_stored_total{result=\"quarantined\"}";
    assert_eq!(books.value(quarantined), 10);
    let view = gateway.json("/api/v1/terminals/13800000001").await;
    let suggestion = "-8 h: terminal sends UTC+8 instead of UTC";
    assert_eq!(view["clock"]["suggestion"], suggestion);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_with_the_imei_behind_it_opens_with_the_profile_and_only_then() {
    let (gateway, _folder) = with_ours(&[("profiles.terminals", "13800000001=ours")]).await;
    for (phone, is_accepted) in [("13800000001", true), ("13800000002", false)] {
        let mut terminal = gateway.connect(phone, Revision::V2013).await;
        let code = terminal.register().await.unwrap();
        let shown = [&code[..], IMEI].concat();
        match terminal.authenticate(&shown).await {
            Ok(()) => assert!(is_accepted, "{phone}"),
            Err(TerminalError::Refused { result: 1, .. }) => assert!(!is_accepted, "{phone}"),
            Err(error) => panic!("{error}"),
        }
        // As the standard has it, it opens in any case.
        terminal.authenticate(&code).await.unwrap();
        let wrong = [&code[1..], IMEI].concat();
        assert!(terminal.authenticate(&wrong).await.is_err());
    }
    gateway.drained().await;
    gateway.stop().await;
}

/// A frame whose header counts the escapes of the body.
fn with_escapes_counted(frame: &[u8]) -> Vec<u8> {
    const BODY_AT: usize = 12;
    let escaped = wire::hex(&frame[1..frame.len() - 1]);
    let pairs: Vec<_> = escaped.as_bytes().chunks(2).collect();
    let text: String = pairs
        .iter()
        .map(|pair| std::str::from_utf8(pair).unwrap())
        .collect::<Vec<_>>()
        .join(" ");
    let text = text.replace("7d 02", "7e").replace("7d 01", "7d");
    let mut content = wire::from_hex(&text.replace(' ', "")).unwrap();
    content.pop();
    let body = &content[BODY_AT..];
    let counted = body.len()
        + body
            .iter()
            .filter(|byte| matches!(byte, 0x7D | 0x7E))
            .count();
    assert!(counted > body.len(), "nothing to escape");
    content[3] = u8::try_from(counted).unwrap();
    content.push(wire::check_code(&content));
    let mut frame = Vec::new();
    wire::escape_into(&content, &mut frame);
    frame
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_counts_escapes_is_not_counted_where_it_is_known() {
    let (gateway, _folder) = with_ours(&[("profiles.terminals", "13800000001=ours")]).await;
    for (phone, deviating) in [("13800000001", 0), ("13800000002", 1)] {
        let mut terminal = gateway.terminal(phone, Revision::V2013).await;
        let mut body = report(37.87, 112.55, now_s());
        body.items.push((0xF0, vec![0x7E, 0x00]));
        let (serial, frame) = terminal
            .compose(message_id::LOCATION_REPORT, &body.body())
            .unwrap();
        let frame = with_escapes_counted(&frame);
        terminal.send_raw(&frame).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
        let books = gateway.drained().await;
        assert_eq!(books.value("gridtrace_frames_deviating_total"), deviating);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_with_escapes_is_right_where_it_is_known_that_the_length_counts_them() {
    let (gateway, _folder) = with_ours(&[("profiles.terminals", "13800000001=ours")]).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2013).await;
    let mut body = report(37.87, 112.55, now_s());
    // Two bytes to be escaped: without a profile this is the frame of one who never escapes.
    body.latitude = 0x0245_7E7E;
    let (serial, frame) = terminal
        .compose(message_id::LOCATION_REPORT, &body.body())
        .unwrap();
    terminal
        .send_raw(&with_escapes_counted(&frame))
        .await
        .unwrap();
    assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    gateway.drained().await;
    let track = gateway.items("/api/v1/terminals/13800000001/track").await;
    let latest = gateway.items("/api/v1/positions/latest").await;
    for fix in [&track[0], &latest[0]] {
        assert_eq!(fix["lat"], f64::from(body.latitude) / 1e6);
        assert_eq!(fix["lon"], 112.55);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_the_maker_are_read_where_the_model_chooses_the_profile() {
    let (gateway, _folder) = with_ours(&[
        ("profiles.by_model", "true"),
        ("profiles.terminals", "13800000002=standard"),
    ])
    .await;
    let items = "/api/v1/terminals/13800000001/items";
    let mut terminal = gateway.terminal("13800000001", Revision::V2019).await;
    let none = json!({ "profile": "ours", "fixed_at": null, "received_at": null, "items": [] });
    assert_eq!(gateway.json(items).await, none);
    let now = now_s() - 10;
    // The newest with such items counts, however late it comes.
    for (after, millivolts) in [
        (0, Some(12_100)),
        (2, Some(12_500)),
        (1, Some(9)),
        (3, None),
    ] {
        let mut report = report(37.87, 112.55, now + after);
        let volts = millivolts.map(|v: u16| (0xF1, v.to_be_bytes().to_vec()));
        report.items.extend(volts);
        let serial = terminal.send_location(&report).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    let view = gateway.json(items).await;
    let expected = json!([{ "name": "battery_voltage", "value": 12.5, "unit": "volt" }]);
    assert_eq!(view["items"], expected);
    assert_eq!(seconds(&view["fixed_at"]), now + 2);
    let _other = gateway.terminal("13800000002", Revision::V2019).await;
    let view = gateway.json("/api/v1/terminals/13800000002").await;
    assert_eq!(view["profile"], "standard");

    let gateway = gateway.restart().await;
    let view = gateway.json("/api/v1/terminals/13800000001").await;
    assert_eq!(view["profile"], "ours", "by what it said before");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_with_another_header_does_not_disturb_the_standard_ones() {
    let (gateway, _folder) = with_ours(&[("profiles.terminals", "13800000001=ours")]).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2013).await;
    let plain = report(37.87, 112.55, now_s());
    // Id WORD, length BYTE. Read as an item of the standard its value ends with a mileage.
    let odd = [0xF0, 0x01, 6, 1, 4, 0, 0, 0, 9];
    let mileage = [1, 4, 0, 0, 0, 100];
    let fixed = &plain.body()[..28];
    let body = [fixed, &odd, &mileage].concat();
    let serial = terminal
        .send(message_id::LOCATION_REPORT, &body)
        .await
        .unwrap();
    assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    gateway.drained().await;
    let track = gateway.items("/api/v1/terminals/13800000001/track").await;
    let latest = gateway.items("/api/v1/positions/latest").await;
    for fix in [&track[0], &latest[0]] {
        assert_eq!(fix["odometer_km"], 10.0, "{fix}");
    }
    let items = gateway.json("/api/v1/terminals/13800000001/items").await;
    let expected = json!([{ "name": "bucket", "value": 9 }]);
    assert_eq!(items["items"], expected);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_profile_there_are_no_items_of_a_maker() {
    let gateway = TestGateway::start(&[]).await;
    let _terminal = gateway.terminal("13800000001", Revision::V2013).await;
    let path = "/api/v1/terminals/13800000001/items";
    let (status, problem) = gateway
        .ask(harness::http_client::Method::GET, path, None)
        .await;
    assert_eq!(status, 404, "{problem}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_knows_utf_8_gets_its_texts_and_answers_in_it() {
    let (gateway, _folder) = with_ours(&[("profiles.terminals", "13800000001=ours")]).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2013).await;
    let path = "/api/v1/terminals/13800000001/commands?wait=20";
    let ask = |command: Value| {
        let gateway = &gateway;
        async move {
            let asked = gateway.ask(harness::http_client::Method::POST, path, Some(&command));
            let (status, done) = asked.await;
            assert_eq!(status, 200, "{done}");
            done
        }
    };
    let text = json!({ "message": "text_message", "body": { "flag": 1, "text": "绕行" } });
    let answered = async {
        let text = terminal.message(0x8300).await.unwrap();
        assert_eq!(text.body, [&[1][..], "绕行".as_bytes()].concat());
        let body = [&text.serial.to_be_bytes()[..], &[0x83, 0x00, 0]].concat();
        terminal.send(0x0001, &body).await.unwrap();
    };
    tokio::join!(ask(text), answered);

    let query = json!({ "message": "driver_identity_query", "body": {} });
    let answered = async {
        terminal.message(0x8702).await.unwrap();
        let name = "王小明".as_bytes();
        let body = [
            &[1, 0x26, 0x11, 0x28, 0x08, 0x30, 0x00, 0, 9],
            name,
            b"12345678901234567890",
            &[0, 0x20, 0x30, 0x01, 0x01],
        ];
        terminal.send(0x0702, &body.concat()).await.unwrap();
    };
    let (done, ()) = tokio::join!(ask(query), answered);
    let answer = done["answer"].to_string();
    assert!(answer.contains("\"王小明\""), "{done}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plate_in_utf_8_is_read_with_the_profile() {
    let (gateway, _folder) = with_ours(&[("profiles.terminals", "13800000001=ours")]).await;
    for (phone, is_read) in [("13800000001", true), ("13800000002", false)] {
        let mut terminal = gateway.connect(phone, Revision::V2013).await;
        let mut body = wire::registration_body(Revision::V2013, "T1", "");
        let color = body.len() - 1;
        body[color] = 2;
        body.extend("晋A00001".as_bytes());
        terminal
            .send(message_id::REGISTRATION, &body)
            .await
            .unwrap();
        let view = until("it has registered", async || {
            let found = gateway.items("/api/v1/terminals").await;
            found.into_iter().find(|view| view["phone"] == phone)
        });
        let plate = view.await["registration"]["plate"].clone();
        assert_eq!(plate == "晋A00001", is_read, "{plate}");
    }
    gateway.stop().await;
}

#[test]
fn an_own_file_with_a_mistake_does_not_start_and_names_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = OURS.replace("bytes = 2", "bytes = 9");
    let file = own_file(folder.path(), &wrong);
    let config = folder.path().join("gridtrace.toml");
    let data = folder.path().join("data");
    let start = |profiles: &str| {
        let text = format!("data_dir = {data:?}\n[profiles]\n{profiles}\n");
        std::fs::write(&config, text).unwrap();
        ["serve", "check-config"].map(|command| {
            let mut gridtrace = Command::new(binary("gridtrace"));
            let output = gridtrace.arg(command).arg("--config").arg(&config).output();
            let output = output.unwrap();
            assert_eq!(output.status.code(), Some(78), "{command}");
            String::from_utf8(output.stderr).unwrap()
        })
    };
    for errors in start(&format!("file = {file:?}")) {
        let expected = "own.toml: line 10: profile ours: item 0xf1: a number has a width of 1 to 6";
        assert!(errors.contains(expected), "{errors}");
    }
    for errors in start("terminals = \"13800000001=udc\"") {
        let expected = "profiles.terminals: 13800000001=udc: no such profile";
        assert!(errors.contains(expected), "{errors}");
    }
    assert!(!data.exists());
}
