//! Inspectors: tasks reach their terminals, answers move cases, reports become cases.

use harness::{TestGateway, http_client::Method, now_s, report, until};
use serde_json::{Value, json};
use tools::{
    terminal::Terminal,
    wire::{Incoming, Revision, message_id},
};

const PHONE: &str = "13800000001";
const OTHER: &str = "13800000002";
const TEXT_MESSAGE: u16 = 0x8300;
const EVENT_SETTING: u16 = 0x8301;
const QUESTION: u16 = 0x8302;
const EVENT_REPORT: u16 = 0x0301;
const QUESTION_ANSWER: u16 = 0x0302;
const MULTIMEDIA_DATA: u16 = 0x0801;
const NO_FENCES: &str = r#"{"type":"FeatureCollection","features":[]}"#;
const AREAS: &str = r#"{"type":"FeatureCollection","features":[{"type":"Feature",
    "properties":{"id":"R1","name":"一号责任区"},"geometry":{"type":"Polygon","coordinates":
    [[[112.60,37.86],[112.61,37.86],[112.61,37.87],[112.60,37.87],[112.60,37.86]]]}}]}"#;

/// I1 is on duty in R1 all day, I2 is nowhere.
async fn city() -> (TestGateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let vehicles = format!(
        "vehicle,phone,work_kind,name\nI1,{PHONE},inspector,Zhao\nI2,{OTHER},inspector,Qian\n"
    );
    let mut settings = harness::catalog(folder.path(), NO_FENCES, &vehicles);
    for (key, file, text) in [
        (
            "shifts",
            "shifts.csv",
            "shift,name,days,from,to\na,a,daily,00:00,12:00\nb,b,daily,12:00,24:00\n",
        ),
        ("responsibility_grids", "areas.geojson", AREAS),
        (
            "assignments",
            "assignments.csv",
            "vehicle,shift,duty_area\nI1,a,R1\nI1,b,R1\n",
        ),
    ] {
        let path = folder.path().join(file);
        std::fs::write(&path, text).unwrap();
        settings.push((format!("catalog.{key}"), path.display().to_string()));
    }
    settings.push(("inspectors.interval".into(), "100ms".into()));
    settings.push(("inspectors.events".into(), "1:0102:暴露垃圾".into()));
    let settings: Vec<_> = settings
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    (TestGateway::start(&settings).await, folder)
}

async fn post(gateway: &TestGateway, path: &str, body: Value) -> (u16, Value) {
    gateway.ask(Method::POST, path, Some(&body)).await
}

async fn citizen(gateway: &TestGateway, key: &str) -> String {
    citizen_says(gateway, key, "leaves").await
}

async fn citizen_says(gateway: &TestGateway, key: &str, what: &str) -> String {
    let body = json!({
        "actor": "Wang", "role": "operator", "source": "citizen", "category": "0104", "key": key,
        "description": what, "lat": 37.865, "lon": 112.605,
    });
    let (status, case) = post(gateway, "/api/v1/cases", body).await;
    assert_eq!(status, 201, "{case:#}");
    case["id"].as_str().unwrap().to_owned()
}

async fn make(gateway: &TestGateway, id: &str, name: &str, role: &str) {
    let path = format!("/api/v1/cases/{id}");
    let version = gateway.json(&path).await["version"].clone();
    let body = json!({"move": name, "version": version, "actor": "Li", "role": role,
                      "department": "squad 2"});
    let (status, made) = post(gateway, &format!("{path}/moves"), body).await;
    assert_eq!(status, 200, "{name}: {made:#}");
}

async fn in_stage(gateway: &TestGateway, id: &str, stage: &str) -> Value {
    until(&format!("the case is {stage}"), async || {
        let case = gateway.json(&format!("/api/v1/cases/{id}")).await;
        (case["stage"] == stage).then_some(case)
    })
    .await
}

async fn acknowledge(terminal: &mut Terminal, to: &Incoming) {
    let mut body = to.serial.to_be_bytes().to_vec();
    body.extend(to.id.to_be_bytes());
    body.push(0);
    terminal
        .send(message_id::TERMINAL_RESPONSE, &body)
        .await
        .unwrap();
}

async fn tell(terminal: &mut Terminal, id: u16, body: &[u8]) {
    let serial = terminal.send(id, body).await.unwrap();
    assert_eq!(terminal.response(serial).await.unwrap().result, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inspector_answers_by_his_terminal_and_by_the_api() {
    let (gateway, _folder) = city().await;
    let id = citizen(&gateway, "call 1").await;
    until("the task is on its way", async || {
        let books = gateway.metrics().await;
        let queued = books.value("gridtrace_task_messages_total{result=\"queued\"}");
        (queued == 1).then_some(())
    })
    .await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    // The task was there before its terminal: it was not known yet what that understands, so it is
    // told as text, and later ones as questions.
    let text = terminal.message(TEXT_MESSAGE).await.unwrap();
    acknowledge(&mut terminal, &text).await;
    let events = terminal.message(EVENT_SETTING).await.unwrap();
    assert_eq!(events.body[..3], [1, 1, 1]);
    acknowledge(&mut terminal, &events).await;
    let second = citizen(&gateway, "call 2").await;
    let question = terminal.message(QUESTION).await.unwrap();
    acknowledge(&mut terminal, &question).await;
    let [high, low] = question.serial.to_be_bytes();
    tell(&mut terminal, QUESTION_ANSWER, &[high, low, 1]).await;
    let case = in_stage(&gateway, &second, "accepted").await;
    let line = case["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&line["actor"], &line["role"], &line["move"]),
        (&json!("Zhao"), &json!("inspector"), &json!("accept"))
    );
    // Once more, and to nothing that was asked.
    tell(&mut terminal, QUESTION_ANSWER, &[high, low, 2]).await;
    tell(&mut terminal, QUESTION_ANSWER, &[0xEE, 0xEE, 1]).await;

    let open = gateway.items("/api/v1/tasks?inspector=I1").await;
    assert_eq!(open.len(), 1, "{open:#?}");
    assert_eq!(
        (&open[0]["case"], &open[0]["kind"]),
        (&json!(id), &json!("verification"))
    );
    // It is due when the clock of filing ends; the case tells the same of it.
    let case = gateway.json(&format!("/api/v1/cases/{id}")).await;
    let clock = &case["clocks"][0];
    assert_eq!(clock["clock"], "filing", "{case:#}");
    assert!(clock["due_at"].is_string(), "{case:#}");
    for task in [&open[0], &case["tasks"][0]] {
        assert_eq!(
            (&task["opened_at"], &task["due_at"], &task["overdue"]),
            (&case["opened_at"], &clock["due_at"], &json!(false)),
            "{task:#}"
        );
        assert_eq!(
            (&task["state"], &task["id"]),
            (&json!("open"), &open[0]["id"])
        );
    }
    let path = format!("/api/v1/tasks/{}/answer", open[0]["id"].as_str().unwrap());
    let said = |who: &str, answer: &str, remark: &str| json!({"inspector": who, "answer": answer, "remark": remark});
    assert_eq!(post(&gateway, &path, said("I2", "pass", "")).await.0, 403);
    assert_eq!(post(&gateway, &path, said("V9", "pass", "")).await.0, 422);
    assert_eq!(post(&gateway, &path, said("I1", "fail", "")).await.0, 422);
    assert_eq!(post(&gateway, &path, said("I1", "maybe", "")).await.0, 400);
    let (status, made) = post(&gateway, &path, said("I1", "pass", "")).await;
    assert_eq!(
        (status, &made["repeated"]),
        (200, &json!(false)),
        "{made:#}"
    );
    let (status, made) = post(&gateway, &path, said("I1", "fail", "no")).await;
    assert_eq!((status, &made["repeated"]), (200, &json!(true)), "{made:#}");
    assert_eq!(made["task"]["answer"], "pass");

    for (name, role) in [
        ("file", "operator"),
        ("dispatch", "dispatcher"),
        ("handle", "department"),
    ] {
        make(&gateway, &id, name, role).await;
    }
    let question = terminal.message(QUESTION).await.unwrap();
    acknowledge(&mut terminal, &question).await;
    let [high, low] = question.serial.to_be_bytes();
    tell(&mut terminal, QUESTION_ANSWER, &[high, low, 2]).await;
    let case = in_stage(&gateway, &id, "dispatched").await;
    assert_eq!(case["rework"], 1);
    make(&gateway, &id, "handle", "department").await;
    let open = gateway.items("/api/v1/tasks?kind=check&state=open").await;
    assert_eq!(open.len(), 1, "{open:#?}");
    make(&gateway, &id, "verify_pass", "leader").await;
    let path = format!("/api/v1/tasks/{}/answer", open[0]["id"].as_str().unwrap());
    let (status, late) = post(&gateway, &path, said("I1", "pass", "")).await;
    assert_eq!(status, 409, "{late:#}");
    let answered = gateway
        .items("/api/v1/tasks?state=answered&inspector=I1")
        .await;
    assert_eq!(answered.len(), 3, "{answered:#?}");
    let books = gateway.drained().await;
    let count = |word: &str| {
        books.value(&format!(
            "gridtrace_task_answers_total{{result=\"{word}\"}}"
        ))
    };
    assert_eq!(
        ["done", "repeated", "foreign", "late", "refused"].map(count),
        [3, 2, 2, 1, 1]
    );
    gateway.stop().await;
}

/// Body of a 0x0801 with a location, as 2013 has it.
fn photo(event: u8) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 7, 0, 0, event, 1];
    body.extend(&report(37.866, 112.606, now_s() - 5).body()[..28]);
    body.extend([0xFF, 0xD8, 0xFF, 0xE0, event]);
    body
}

async fn reported(gateway: &TestGateway, count: usize) -> Vec<Value> {
    until("the reports are cases", async || {
        let cases = gateway.items("/api/v1/cases?source=inspector").await;
        (cases.len() >= count).then_some(cases)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_inspector_reports_is_a_case_with_place_and_picture_once() {
    let (gateway, _folder) = city().await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let mut here = report(37.865, 112.605, now_s() - 2);
    let serial = terminal.send_location(&here).await.unwrap();
    terminal.response(serial).await.unwrap();
    // Sent again since the answer was lost.
    let (serial, frame) = terminal.compose(EVENT_REPORT, &[1]).unwrap();
    for _ in 0..2 {
        terminal.send_raw(&frame).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    tell(&mut terminal, EVENT_REPORT, &[99]).await;
    here.alarms = 1;
    for _ in 0..2 {
        here.fixed_at += 1;
        let serial = terminal.send_location(&here).await.unwrap();
        terminal.response(serial).await.unwrap();
    }
    // The second one was taken by a timer.
    for event in [8, 1] {
        terminal.send(MULTIMEDIA_DATA, &photo(event)).await.unwrap();
        terminal.message(0x8800).await.unwrap();
    }
    let cases = reported(&gateway, 3).await;
    assert_eq!(cases.len(), 3, "{cases:#?}");
    let mut pictures = 0;
    for case in &cases {
        let id = case["id"].as_str().unwrap();
        let case = gateway.json(&format!("/api/v1/cases/{id}")).await;
        assert_eq!(
            (&case["stage"], &case["phone"]),
            (&json!("collected"), &json!(PHONE)),
            "{case:#}"
        );
        assert!(
            case["lat"].as_f64().is_some_and(|lat| lat > 37.86),
            "{case:#}"
        );
        assert_eq!(case["history"].as_array().unwrap().len(), 1);
        for medium in case["media"].as_array().unwrap() {
            let medium = gateway
                .json(&format!("/api/v1/media/{}", medium.as_str().unwrap()))
                .await;
            assert_eq!(medium["event"], 8, "{medium:#}");
            pictures += 1;
        }
    }
    assert_eq!(pictures, 1);
    let books = gateway.drained().await;
    let count = |word: &str| {
        books.value(&format!(
            "gridtrace_inspector_reports_total{{result=\"{word}\"}}"
        ))
    };
    assert_eq!(
        ["event", "resent", "unknown_event", "emergency", "photo"].map(count),
        [1, 1, 1, 1, 1]
    );
    // Whatever is looked at again after a restart is known.
    let gateway = gateway.restart().await;
    until("the picture was seen again", async || {
        let books = gateway.metrics().await;
        let known = books.value("gridtrace_inspector_reports_total{result=\"known\"}");
        (known >= 1).then_some(())
    })
    .await;
    assert_eq!(reported(&gateway, 3).await.len(), 3);
    gateway.stop().await;
}

/// The inspector is asked all the same, by the number of the case and its place alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_words_are_not_in_gbk_is_told_without_them() {
    let (gateway, _folder) = city().await;
    let id = citizen_says(&gateway, "call 1", "leaves<script>\u{202e}𠮷").await;
    let told = async |result: &str| {
        let name = format!("gridtrace_task_messages_total{{result=\"{result}\"}}");
        gateway.metrics().await.value(&name)
    };
    until("the task is on its way", async || {
        (told("queued").await == 1).then_some(())
    })
    .await;
    assert_eq!(told("not_sendable").await, 1);
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let text = terminal.message(TEXT_MESSAGE).await.unwrap();
    let case = gateway.json(&format!("/api/v1/cases/{id}")).await;
    let number = case["number"].as_str().unwrap().as_bytes();
    let says = |words: &[u8]| text.body.windows(words.len()).any(|part| part == words);
    assert!(says(number), "{:?}", text.body);
    assert!(!says(b"leaves") && !says(b"?"), "{:?}", text.body);
    acknowledge(&mut terminal, &text).await;
    gateway.stop().await;
}
