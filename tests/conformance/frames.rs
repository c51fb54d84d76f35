//! Every frame of the corpus, one by one.

use protocols::{
    fuzzing,
    jt808::{
        frame::Frame,
        message::{Message, MessageId},
    },
};
use serde_json::Value;
use tools::decode::decode_line;

use crate::corpus::{bytes, content, objects, text};

/// Fields of the header in the corpus.
pub(crate) const HEADER: &[&str] = &[
    "msg_id",
    "phone",
    "serial",
    "version",
    "body_len",
    "package_total",
    "package_no",
    "encryption",
];

/// Cases in which we hold the corpus to be wrong; `fixtures/jt808/ERRATA.md` says why.
const ERRATA: &[&str] = &["smallchi-045"];

fn is_erratum(frame: &Value) -> bool {
    ERRATA.contains(&text(frame, "id"))
}

fn is_valid(frame: &Value) -> bool {
    frame["valid"] == Value::Bool(true)
}

/// The same, numbers by their value.
pub(crate) fn agrees(decoded: &Value, expected: &Value) -> bool {
    match (decoded, expected) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agrees(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && b.iter().all(|(name, b)| agrees(&a[name], b))
        }
        (a, b) => a == b,
    }
}

#[test]
fn the_corpus_is_all_there() {
    let frames = objects("frames.jsonl");
    let valid = frames.iter().filter(|frame| is_valid(frame)).count();
    assert_eq!((frames.len(), valid), (684, 660));
}

#[test]
fn every_header_is_read() {
    for frame in objects("frames.jsonl")
        .iter()
        .filter(|frame| is_valid(frame))
    {
        let decoded = decode_line(text(frame, "hex"));
        let is_header = |name: &&&str| frame["expect"].get(**name).is_none();
        for name in HEADER.iter().filter(is_header) {
            let (decoded, expected) = (decoded.get(name), frame.get(name));
            assert_eq!(decoded, expected, "{name} of {}", text(frame, "id"));
        }
    }
}

#[test]
fn every_body_with_a_layout_is_read_field_by_field() {
    let mut compared = 0;
    for frame in objects("frames.jsonl")
        .iter()
        .filter(|frame| is_valid(frame) && !is_erratum(frame))
    {
        let id = u16::from_str_radix(text(frame, "msg_id").trim_start_matches("0x"), 16);
        if !MessageId::ALL.contains(&MessageId(id.expect("an id in hex"))) {
            continue;
        }
        let decoded = decode_line(text(frame, "hex"));
        let Value::Object(mut fields) = decoded else {
            panic!("{decoded}")
        };
        // A body may have a field of the same name: 0x8108 has a version.
        let is_header = |name: &&&str| frame["expect"].get(**name).is_none();
        HEADER
            .iter()
            .filter(is_header)
            .for_each(|name| drop(fields.remove(*name)));
        // What the corpus has in hex only.
        fields.remove("active_safety");
        fields.remove("params_by_name");
        let (fields, expected) = (Value::Object(fields), &frame["expect"]);
        // All that is expected is there, and nothing else is.
        assert!(
            agrees(&fields, expected),
            "{}\n{fields}\n{expected}",
            text(frame, "id")
        );
        compared += 1;
    }
    assert_eq!(compared, 649);
}

#[test]
fn a_body_without_a_layout_is_handed_on_in_hex() {
    for frame in objects("frames.jsonl")
        .iter()
        .filter(|frame| is_valid(frame))
    {
        let decoded = decode_line(text(frame, "hex"));
        if let (Some(decoded), Some(expected)) =
            (decoded.get("body_hex"), frame["expect"].get("body_hex"))
        {
            assert_eq!(decoded, expected, "{}", text(frame, "id"));
        }
    }
}

#[test]
fn no_frame_that_is_not_valid_is_handed_on() {
    for frame in objects("frames.jsonl")
        .iter()
        .filter(|frame| !is_valid(frame))
    {
        let decoded = decode_line(text(frame, "hex"));
        let quirk = text(frame, "quirk");
        let reason = match quirk {
            quirk if quirk.contains("too short") => "short",
            quirk if quirk.contains("checksum") => "check_code",
            // A header of 2019 that is not marked as one: by the mark its body has five bytes.
            "body length 5, header says 0; 5 bytes after the last field" => "version_bit",
            _ => "body_length",
        };
        let id = text(frame, "id");
        assert_eq!(decoded["error"], Value::from(reason), "{id}: {quirk}");
        assert_eq!(
            decoded.as_object().map(serde_json::Map::len),
            Some(1),
            "{id}"
        );
        let opened = Frame::open(content(text(frame, "hex")));
        assert!(
            opened.is_err() || opened.is_ok_and(|frame| frame.deviates),
            "{id}"
        );
    }
}

#[test]
fn every_valid_frame_encodes_back_to_the_same_bytes() {
    for frame in objects("frames.jsonl")
        .iter()
        .filter(|frame| is_valid(frame))
    {
        let id = text(frame, "id");
        let wire = bytes(text(frame, "hex"));
        let opened = Frame::open(content(text(frame, "hex"))).expect(id);
        let header = opened.header;
        let is_whole = header.encryption == 0 && header.packet.is_none_or(|item| item.total < 2);
        let revision = header.revision();
        let message = Message::decode(header.message_id, opened.body.clone(), revision);
        let body = match message {
            Ok(message) if is_whole => message.encode(revision).expect(id),
            _ => opened.body.clone(),
        };
        let again = header.frame(&body).expect(id);
        let is_canonical = again == wire;
        let has_bare_escape = text(frame, "hex").len() / 2 != again.len();
        assert!(is_canonical || has_bare_escape, "{id}");
        assert_eq!(body, opened.body, "{id}");
    }
}

#[test]
fn the_properties_of_fuzzing_hold_for_the_corpus_and_its_damaged_kin() {
    for (index, frame) in objects("frames.jsonl").iter().enumerate() {
        let content = content(text(frame, "hex"));
        fuzzing::round_trip(&content);
        // Each frame once with a byte changed and once cut, at a place of its own.
        let at = index * 7 % content.len();
        let mut damaged = content.to_vec();
        damaged[at] ^= 1 << (index % 8);
        fuzzing::round_trip(&damaged);
        fuzzing::round_trip(&content[..at]);
        let body = content.get(12..).unwrap_or_default();
        // Its body as one of every eighth message.
        for id in MessageId::ALL.iter().skip(index % 8).step_by(8) {
            fuzzing::message(&[&id.0.to_be_bytes(), body].concat());
        }
    }
}
