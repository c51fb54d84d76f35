//! The whole protocol, as a terminal of each revision walks through it. What it sends and what it
//! must receive comes from the corpus: frames that public projects test against.

use std::{collections::BTreeSet, fs, path::PathBuf};

use harness::{TestGateway, http_client::Method, until};
use protocols::jt808::message::{Message, MessageId};
use serde_json::{Value, json};
use tools::{
    terminal::Terminal,
    wire::{Incoming, Revision, from_hex, message_id, next_frame},
};

const PHONE: &str = "13800138000";

struct Sample {
    name: String,
    id: u16,
    body: Vec<u8>,
    fields: Value,
}

/// Valid, unsplit messages of a direction that this revision has, or of which nothing is known.
fn samples(direction: &str, revision: Revision) -> Vec<Sample> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/jt808/frames.jsonl");
    let year = match revision {
        Revision::V2011 => "2011",
        Revision::V2013 => "2013",
        Revision::V2019 => "2019",
    };
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|frame| {
            frame["valid"] == true && frame["direction"] == direction && frame["revision"] == year
        })
        .filter_map(|frame| {
            let mut bytes = from_hex(frame["hex"].as_str()?)?;
            let Incoming {
                id, body, packet, ..
            } = next_frame(&mut bytes)?;
            packet.is_none().then(|| Sample {
                name: frame["id"].as_str().unwrap().to_owned(),
                id,
                body,
                fields: frame["expect"].clone(),
            })
        })
        .collect()
}

const fn of(revision: Revision) -> protocols::jt808::Revision {
    match revision {
        Revision::V2011 => protocols::jt808::Revision::V2011,
        Revision::V2013 => protocols::jt808::Revision::V2013,
        Revision::V2019 => protocols::jt808::Revision::V2019,
    }
}

/// Messages that end or begin a session, and those that belong to the attachment server.
const OF_THE_SESSION: [u16; 4] = [0x0003, 0x0100, 0x0101, 0x0102];

#[tokio::test(flavor = "multi_thread")]
async fn every_uplink_gets_its_answer() {
    let gateway = TestGateway::start(&[]).await;
    for revision in [Revision::V2011, Revision::V2013, Revision::V2019] {
        let mut terminal = gateway.terminal(PHONE, revision).await;
        let mut walked = BTreeSet::new();
        for sample in samples("up", revision) {
            // The erratum of the corpus: it has no layout for 0x1FC4.
            if OF_THE_SESSION.contains(&sample.id) || sample.name == "smallchi-045" {
                continue;
            }
            let serial = terminal.send(sample.id, &sample.body).await.unwrap();
            let name = format!("{} {:#06x}", sample.name, sample.id);
            match sample.id {
                message_id::TERMINAL_RESPONSE | 0x0005 => {}
                0x0004 => {
                    let time = terminal.message(0x8004).await.unwrap();
                    assert_eq!(time.body.len(), 6, "{name}");
                }
                0x0801 => {
                    terminal.response(serial).await.unwrap();
                    let whole = terminal.message(0x8800).await.unwrap();
                    assert_eq!(whole.body, sample.body[..4], "{name}");
                }
                id => {
                    let answer = terminal.response(serial).await.unwrap();
                    let is_known = MessageId(id).info().is_some();
                    // A body that follows no layout is told so, or kept whole.
                    let expected: &[u8] = match (is_known, sample.fields.get("body_hex")) {
                        (true, None) => &[0],
                        (true, Some(_)) => &[0, 2],
                        (false, _) => &[3],
                    };
                    assert!(expected.contains(&answer.result), "{name}: {answer:?}");
                    assert_eq!(answer.id, id, "{name}");
                }
            }
            walked.insert(sample.id);
        }
        // Still there, after all that.
        terminal.heartbeat().await.unwrap();
        let least = if revision == Revision::V2011 { 2 } else { 15 };
        assert!(walked.len() >= least, "{revision:?}: {walked:x?}");
    }
    gateway.drained().await;
    gateway.stop().await;
}

/// What the terminal says to a command: the general response, and the message of its own that the
/// table of messages names, taken from the corpus.
async fn answer(terminal: &mut Terminal, asked: &Incoming, names: &[String], ups: &[Sample]) {
    let serial = asked.serial.to_be_bytes();
    if names.iter().any(|name| name == "general") {
        let body = [&serial[..], &asked.id.to_be_bytes(), &[0]].concat();
        terminal
            .send(message_id::TERMINAL_RESPONSE, &body)
            .await
            .unwrap();
    }
    let content = names.iter().find_map(|name| {
        let id = MessageId::of_name(name)?;
        ups.iter().find(|sample| sample.id == id.0)
    });
    if let Some(content) = content {
        let mut body = content.body.clone();
        // Most begin with the serial number of what they answer; the others have none at all.
        if QUOTING.contains(&content.id) {
            body[..2].copy_from_slice(&serial);
        }
        let serial = terminal.send(content.id, &body).await.unwrap();
        terminal.response(serial).await.unwrap();
    }
}

/// Tests of others use coordinates that no place on earth has: ours refuses to send them.
fn is_nowhere(fields: &Value) -> bool {
    match fields {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let most = match name.as_str() {
                name if name.ends_with("lat") => 90.0,
                name if name.ends_with("lon") => 180.0,
                _ => f64::INFINITY,
            };
            value.as_f64().is_some_and(|degrees| degrees.abs() > most) || is_nowhere(value)
        }),
        Value::Array(values) => values.iter().any(is_nowhere),
        _ => false,
    }
}

/// Answers that begin with the serial number of the command.
const QUOTING: [u16; 9] = [
    0x0104, 0x0201, 0x0302, 0x0500, 0x0700, 0x0802, 0x0805, 0x1205, 0x1206,
];

#[tokio::test(flavor = "multi_thread")]
async fn every_command_reaches_the_terminal_as_the_corpus_has_it_and_is_answered() {
    let gateway = TestGateway::start(&[("commands.content_timeout", "5s")]).await;
    let messages = gateway.items("/api/v1/messages").await;
    let mut walked = BTreeSet::new();
    let (mut walked_samples, mut identical) = (0, 0);
    for revision in [Revision::V2011, Revision::V2013, Revision::V2019] {
        let mut terminal = gateway.terminal(PHONE, revision).await;
        // What this revision has no sample of, another one may have.
        let mut ups = samples("up", revision);
        ups.extend(
            [Revision::V2013, Revision::V2019]
                .into_iter()
                .flat_map(|r| samples("up", r)),
        );
        for sample in samples("down", revision) {
            let id = format!("0x{:04x}", sample.id);
            let Some(info) = messages.iter().find(|info| info["id"] == id.as_str()) else {
                panic!("{id} is in the corpus and not in the table");
            };
            if info["is_command"] == false || is_nowhere(&sample.fields) {
                continue;
            }
            let name = format!("{} {id} {}", sample.name, sample.fields);
            let path = format!("/api/v1/terminals/{PHONE}/commands");
            let command = json!({"message": info["name"], "body": sample.fields});
            let (status, queued) = gateway.ask(Method::POST, &path, Some(&command)).await;
            assert_eq!(status, 202, "{name}: {queued}");
            let asked = terminal.message(sample.id).await.unwrap();
            // The same bytes, but for what has no meaning: padding, the width of counts.
            let read = |body: &[u8]| {
                let body = body.to_vec().into();
                Message::decode(MessageId(sample.id), body, of(revision)).map(|m| m.to_json())
            };
            assert_eq!(read(&asked.body), read(&sample.body), "{name}");
            identical += usize::from(asked.body == sample.body);
            walked_samples += 1;
            let answers = info["answers"].as_array().unwrap();
            let answers: Vec<_> = answers
                .iter()
                .map(|answer| answer.as_str().unwrap().to_owned())
                .collect();
            answer(&mut terminal, &asked, &answers, &ups).await;
            let path = format!("/api/v1/commands/{}", queued["id"].as_str().unwrap());
            until(&name, async || {
                let command = gateway.json(&path).await;
                let is_open = matches!(command["state"].as_str(), Some("queued" | "sent"));
                (!is_open).then_some(())
            })
            .await;
            let done = gateway.json(&path).await;
            assert!(
                done["state"] == "answered" || done["result"].as_u64() > Some(0),
                "{name}: {done}"
            );
            walked.insert(sample.id);
        }
    }
    assert!(walked.len() > 20, "{walked:x?}");
    assert!(
        identical * 10 > walked_samples * 9,
        "{identical} of {walked_samples}"
    );
    gateway.drained().await;
    gateway.stop().await;
}
