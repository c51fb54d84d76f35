//! `gateway/docs/messages.md` is written by the code: the table of messages, and of each its JSON
//! form by an example of the corpus. With `UPDATE_DOCUMENTS=1` this test writes the file.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use protocols::jt808::message::{Answer, MessageId, parameters::table};
use serde_json::Value;
use tools::decode::decode_line;

use crate::{
    corpus::{objects, text},
    frames::HEADER,
};

const INTRODUCTION: &str = "\
# Messages

Every message of JT/T 808-2011, 2013 and 2019, JT/T 1078 and T/JSATL 12 that has a layout here, with
its JSON form: that is what `decode` prints, what the API takes as `body` of a command, and what it
shows as `answer`. Units stand in the names. A message without a layout is `body_hex`. Fields that a
revision does not have are absent.

The examples are frames of the corpus, decoded. This file is written by a test from the table of
messages; it cannot be out of date.

";

const PARAMETERS: &str = "\
## Parameters of terminals

Set with `parameter_setting` (0x8103), asked for with `parameter_query` and `parameter_query_given`,
shown in `parameters` (0x0104): in `params_by_name` by these names, in `params` by id and in hex.
Either can be set. Values of another length than their type's, and ids that are not here, are in
`params` alone.

| id | name | type | what | since |
|---|---|---|---|---|
";

/// The longest example of each message that can be shown.
fn examples() -> BTreeMap<u16, Value> {
    let mut examples: BTreeMap<u16, (usize, Value)> = BTreeMap::new();
    for frame in objects("frames.jsonl") {
        if frame.get("valid") != Some(&Value::Bool(true)) || frame.get("quirk").is_some() {
            continue;
        }
        let hex = text(&frame, "hex");
        let Value::Object(mut fields) = decode_line(hex) else {
            continue;
        };
        HEADER.iter().for_each(|name| drop(fields.remove(*name)));
        let id = text(&frame, "msg_id").trim_start_matches("0x");
        let Ok(id) = u16::from_str_radix(id, 16) else {
            continue;
        };
        // As much as can be shown on a screen.
        let length = Value::Object(fields.clone()).to_string().len();
        let fits = (length <= 1_500, length);
        let best = examples
            .get(&id)
            .map(|(length, _)| (*length <= 1_500, *length));
        if best.is_none_or(|best| fits > best && fits.0) {
            examples.insert(id, (length, Value::Object(fields)));
        }
    }
    examples
        .into_iter()
        .map(|(id, (_, fields))| (id, fields))
        .collect()
}

fn answer(answer: Answer, is_downlink: bool) -> String {
    let general = if is_downlink { "0x0001" } else { "0x8001" };
    match answer {
        Answer::None => "none".to_owned(),
        Answer::General => general.to_owned(),
        Answer::Message(id) => id.to_string(),
        Answer::GeneralThen(id) => format!("{general}, then {id}"),
        Answer::Either(id) => format!("{general} or {id}"),
    }
}

#[test]
fn the_document_of_messages_is_what_the_code_says() {
    let examples = examples();
    let mut document = INTRODUCTION.to_owned();
    for (heading, is_downlink) in [("From terminals", false), ("To terminals", true)] {
        writeln!(document, "## {heading}\n").unwrap();
        document.push_str("| id | name | what | since | answer |\n|---|---|---|---|---|\n");
        let infos = || {
            let infos = MessageId::ALL.iter().filter_map(|id| id.info());
            infos.filter(|info| info.id.is_downlink() == is_downlink)
        };
        for info in infos() {
            let (id, name, title) = (info.id, info.name, info.title.trim_end_matches('.'));
            let (since, answer) = (info.since.year(), answer(info.answer, is_downlink));
            writeln!(
                document,
                "| `{id}` | `{name}` | {title} | {since} | {answer} |"
            )
            .unwrap();
        }
        document.push('\n');
        for info in infos() {
            let Some(example) = examples.get(&info.id.0) else {
                continue;
            };
            let example = serde_json::to_string_pretty(example).unwrap();
            writeln!(
                document,
                "### `{}` `{}`\n\n```json\n{example}\n```\n",
                info.id, info.name
            )
            .unwrap();
        }
    }
    document.push_str(PARAMETERS);
    for info in table::PARAMETERS {
        let (id, name, kind) = (info.id.0, info.name, info.kind.word());
        let (title, since) = (info.title, info.since.year());
        writeln!(
            document,
            "| `0x{id:04X}` | `{name}` | {kind} | {title} | {since} |"
        )
        .unwrap();
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../gateway/docs/messages.md");
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(&path, &document).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == document,
        "{} is not what the code says: run this test with UPDATE_DOCUMENTS=1",
        path.display()
    );
}
