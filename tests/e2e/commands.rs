//! Commands: from the API to a terminal over a real socket, and its answer back.

use harness::{PATIENCE, TestGateway, http_client::Method, until};
use serde_json::{Value, json};
use tools::{
    terminal::{Identity, Terminal},
    wire::{Incoming, Revision, message_id},
};

const PHONE: &str = "13800138000";
const TEXT_MESSAGE: u16 = 0x8300;
const TERMINAL_CONTROL: u16 = 0x8105;
const CAMERA_SHOT: u16 = 0x8801;
const UPGRADE_PACKAGE: u16 = 0x8108;

/// Queues a command; it is there as `queued` or further.
async fn queue(gateway: &TestGateway, command: Value) -> String {
    let path = format!("/api/v1/terminals/{PHONE}/commands");
    let (status, answer) = gateway.ask(Method::POST, &path, Some(&command)).await;
    assert!(matches!(status, 200 | 202), "{status}: {answer}");
    answer["id"].as_str().unwrap().to_owned()
}

async fn command(gateway: &TestGateway, id: &str) -> Value {
    gateway.json(&format!("/api/v1/commands/{id}")).await
}

/// The command once it is in this state.
async fn in_state(gateway: &TestGateway, id: &str, state: &str) -> Value {
    until(&format!("{id} is {state}"), async || {
        let command = command(gateway, id).await;
        (command["state"] == state).then_some(command)
    })
    .await
}

fn states(command: &Value) -> Vec<&str> {
    let history = command["history"].as_array().unwrap();
    history
        .iter()
        .map(|line| line["state"].as_str().unwrap())
        .collect()
}

/// The general response of the terminal.
async fn respond(terminal: &mut Terminal, to: &Incoming, result: u8) {
    let mut body = to.serial.to_be_bytes().to_vec();
    body.extend(to.id.to_be_bytes());
    body.push(result);
    terminal
        .send(message_id::TERMINAL_RESPONSE, &body)
        .await
        .unwrap();
}

fn hello() -> Value {
    json!({"message": "text_message", "body": {"flag": 1, "text": "请绕行汾河桥"}})
}

/// "请绕行汾河桥" in GBK.
const HELLO_GBK: [u8; 12] = [
    0xC7, 0xEB, 0xC8, 0xC6, 0xD0, 0xD0, 0xB7, 0xDA, 0xBA, 0xD3, 0xC7, 0xC5,
];

#[tokio::test(flavor = "multi_thread")]
async fn a_text_reaches_the_driver_and_the_answer_comes_back() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let path = format!("/api/v1/terminals/{PHONE}/commands?wait=20");
    let text = hello();
    let asked = gateway.ask(Method::POST, &path, Some(&text));
    let answered = async {
        let text = terminal.message(TEXT_MESSAGE).await.unwrap();
        assert_eq!(text.body, [&[1][..], &HELLO_GBK].concat());
        respond(&mut terminal, &text, 0).await;
    };
    let ((status, done), ()) = tokio::join!(asked, answered);
    assert_eq!(status, 200, "{done}");
    assert_eq!(done["state"], "answered");
    assert_eq!(done["result"], 0);
    assert_eq!(states(&done), ["queued", "sent", "answered"]);
    let books = gateway.drained().await;
    assert_eq!(
        books.value("gridtrace_commands_closed_total{state=\"answered\"}"),
        1
    );
    assert_eq!(books.value("gridtrace_commands_open"), 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_its_terminal_over_a_restart() {
    let gateway = TestGateway::start(&[]).await;
    let late = queue(&gateway, hello()).await;
    let mut urgent = hello();
    urgent["urgent"] = true.into();
    let urgent = queue(&gateway, urgent).await;
    let gateway = gateway.restart().await;
    assert_eq!(command(&gateway, &late).await["state"], "queued");
    let mut terminal = gateway.terminal(PHONE, Revision::V2019).await;
    for id in [&urgent, &late] {
        let text = terminal.message(TEXT_MESSAGE).await.unwrap();
        respond(&mut terminal, &text, 0).await;
        in_state(&gateway, id, "answered").await;
    }
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_ends_in_the_middle_is_made_up_for_by_the_next_one() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.connect(PHONE, Revision::V2013).await;
    let code = terminal.log_in().await.unwrap();
    let text = queue(&gateway, hello()).await;
    let first = terminal.message(TEXT_MESSAGE).await.unwrap();
    // It never answers; a newer connection takes over.
    let mut newer = gateway.connect(PHONE, Revision::V2013).await;
    newer.authenticate(&code).await.unwrap();
    let second = newer.message(TEXT_MESSAGE).await.unwrap();
    assert_eq!(second.body, first.body);
    respond(&mut newer, &second, 0).await;
    let done = in_state(&gateway, &text, "answered").await;
    assert_eq!(
        states(&done),
        ["queued", "sent", "queued", "sent", "answered"]
    );
    assert_eq!(done["attempts"], 2);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_happen_twice_is_not_sent_twice() {
    let settings = [
        ("commands.answer_timeout", "1s"),
        // The second of them is answered, whenever that is.
        ("commands.attempts_max", "10"),
    ];
    let gateway = TestGateway::start(&settings).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    // Terminal reset.
    let reset = json!({"message": "terminal_control", "body": {"command": 4}});
    let reset = queue(&gateway, reset).await;
    terminal.message(TERMINAL_CONTROL).await.unwrap();
    let silent = in_state(&gateway, &reset, "failed").await;
    assert_eq!(silent["reason"], "no_answer");
    assert_eq!(silent["attempts"], 1);
    let text = queue(&gateway, hello()).await;
    let first = terminal.message(TEXT_MESSAGE).await.unwrap();
    let second = terminal.message(TEXT_MESSAGE).await.unwrap();
    assert_eq!(
        first, second,
        "a repetition is the same, serial number included"
    );
    respond(&mut terminal, &second, 0).await;
    in_state(&gateway, &text, "answered").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_is_acknowledged_and_its_result_follows() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let photo = json!({"message": "camera_shot", "body": {
        "channel": 1, "command": 1, "interval_s": 0, "save": 0, "resolution": 1, "quality": 5,
        "brightness": 128, "contrast": 64, "saturation": 64, "chroma": 128,
    }});
    let photo = queue(&gateway, photo).await;
    let asked = terminal.message(CAMERA_SHOT).await.unwrap();
    assert_eq!(asked.body, [1, 0, 1, 0, 0, 0, 1, 5, 128, 64, 64, 128]);
    respond(&mut terminal, &asked, 0).await;
    until("it is acknowledged", async || {
        let command = command(&gateway, &photo).await;
        command["acknowledged_at"].is_string().then_some(())
    })
    .await;
    let mut body = asked.serial.to_be_bytes().to_vec();
    body.extend([0, 0, 1, 0, 0, 0, 77]);
    let serial = terminal.send(0x0805, &body).await.unwrap();
    assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    let done = in_state(&gateway, &photo, "answered").await;
    assert_eq!(done["answer"]["media_ids"], json!([77]));
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_one_is_split_asked_for_again_and_answered_by_any_serial_number() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2019).await;
    let body_hex = "5a".repeat(2_500);
    let upgrade = json!({"message": "0x8108", "body_hex": body_hex});
    let upgrade = queue(&gateway, upgrade).await;
    let mut packets = Vec::new();
    for number in 1..=3 {
        let packet = terminal.message(UPGRADE_PACKAGE).await.unwrap();
        assert_eq!(packet.packet, Some((3, number)));
        packets.push(packet);
    }
    let bytes: usize = packets.iter().map(|packet| packet.body.len()).sum();
    assert_eq!(bytes, 2_500);
    // The second one was lost: 0x0005 with its number.
    let mut again = packets[0].serial.to_be_bytes().to_vec();
    again.extend([0, 1, 0, 2]);
    terminal.send(0x0005, &again).await.unwrap();
    let resent = terminal.message(UPGRADE_PACKAGE).await.unwrap();
    assert_eq!(resent, packets[1]);
    respond(&mut terminal, &packets[2], 0).await;
    until("it is acknowledged", async || {
        let command = command(&gateway, &upgrade).await;
        command["acknowledged_at"].is_string().then_some(())
    })
    .await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_wrongly_is_explained() {
    let gateway = TestGateway::start(&[("commands.open_per_terminal_max", "2")]).await;
    let path = format!("/api/v1/terminals/{PHONE}/commands");
    let post = async |command: Value| {
        let (status, problem) = gateway.ask(Method::POST, &path, Some(&command)).await;
        (
            status,
            problem["detail"].as_str().unwrap_or_default().to_owned(),
        )
    };
    for (command, word) in [
        (json!({"message": "text"}), "neither the name of a message"),
        (json!({"message": "location_report"}), "not for terminals"),
        (json!({"message": "platform_response"}), "gateway's own"),
        (json!({"message": "0x8f01"}), "body_hex"),
        (json!({"message": "0x8f01", "body_hex": "5"}), "hex digits"),
        (
            json!({"message": "text_message", "body": {"flag": 1}}),
            "text",
        ),
        (
            json!({"message": "text_message", "body": {"flag": 1, "text": "a", "colour": 1}}),
            "colour",
        ),
        (
            json!({"message": "text_message", "body": {"flag": 256, "text": "a"}}),
            "flag",
        ),
        (
            json!({"message": "text_message", "body": {}, "body_hex": ""}),
            "one of them",
        ),
        (
            json!({"message": "location_query", "expires_in_s": 99_999_999}),
            "expires_in_s",
        ),
    ] {
        let (status, detail) = post(command.clone()).await;
        assert_eq!(status, 400, "{command}: {detail}");
        assert!(detail.contains(word), "{command}: {detail}");
    }
    let unknown = json!({"message": "text_message", "colour": 1});
    let (status, detail) = post(unknown).await;
    assert_eq!(status, 422, "{detail}");
    assert!(detail.contains("colour"), "{detail}");
    let mut named = hello();
    named["idempotency_key"] = "one".into();
    let first = queue(&gateway, named.clone()).await;
    assert_eq!(queue(&gateway, named.clone()).await, first, "the same");
    named["body"]["text"] = "another".into();
    assert_eq!(post(named).await.0, 409);
    queue(&gateway, hello()).await;
    assert_eq!(post(hello()).await.0, 429);
    let one = format!("/api/v1/commands/{first}");
    assert_eq!(gateway.ask(Method::DELETE, &one, None).await.0, 204);
    assert_eq!(gateway.ask(Method::DELETE, &one, None).await.0, 409);
    assert_eq!(command(&gateway, &first).await["state"], "cancelled");
    let open = gateway.items("/api/v1/commands?state=queued,sent").await;
    assert_eq!(open.len(), 1);
    let expired = json!({"message": "location_query", "expires_in_s": 1});
    let expired = queue(&gateway, expired).await;
    in_state(&gateway, &expired, "expired").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_terminal_ends_it() {
    let gateway = TestGateway::start(&[]).await;
    let identity = Identity::new(PHONE, Revision::V2011).unwrap();
    let mut terminal = Terminal::connect(gateway.tcp(), identity, PATIENCE)
        .await
        .unwrap();
    terminal.log_in().await.unwrap();
    let text = queue(&gateway, hello()).await;
    let asked = terminal.message(TEXT_MESSAGE).await.unwrap();
    respond(&mut terminal, &asked, 3).await;
    let refused = in_state(&gateway, &text, "failed").await;
    assert_eq!(
        (&refused["reason"], &refused["result"]),
        (&json!("unsupported"), &json!(3))
    );
    // A second answer belongs to nothing, and does no harm.
    respond(&mut terminal, &asked, 0).await;
    terminal.heartbeat().await.unwrap();
    assert_eq!(command(&gateway, &text).await["state"], "failed");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_fences_become_areas_of_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let fences = r#"{"type":"FeatureCollection","features":[
        {"type":"Feature","properties":{"id":"depot","kind":"site","radius_m":120},
         "geometry":{"type":"Point","coordinates":[112.5,37.8]}},
        {"type":"Feature","properties":{"id":"route","kind":"stay_in","width_m":40},
         "geometry":{"type":"LineString","coordinates":[[112.5,37.8],[112.6,37.8]]}}]}"#;
    let vehicles = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
        V1,13800138000,晋A00001,sweeper,F1,one,60\n";
    let settings = harness::catalog(folder.path(), fences, vehicles);
    let settings: Vec<_> = settings
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let gateway = TestGateway::start(&settings).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let path = format!("/api/v1/terminals/{PHONE}/areas");
    let set = json!({"fences": ["depot", "route"]});
    let (status, queued) = gateway.ask(Method::POST, &path, Some(&set)).await;
    assert_eq!(status, 202, "{queued}");
    for (command, id) in queued["items"]
        .as_array()
        .unwrap()
        .iter()
        .zip([0x8600, 0x8606])
    {
        let asked = terminal.message(id).await.unwrap();
        respond(&mut terminal, &asked, 0).await;
        in_state(&gateway, command["id"].as_str().unwrap(), "answered").await;
    }
    let nowhere = json!({"fences": ["nowhere"]});
    let (status, problem) = gateway.ask(Method::POST, &path, Some(&nowhere)).await;
    assert_eq!(status, 400, "{problem}");
    gateway.stop().await;
}
