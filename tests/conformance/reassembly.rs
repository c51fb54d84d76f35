//! Every stream of the corpus whose packets belong together, in its order and in many others.

use std::time::Duration;

use protocols::{
    fuzzing::split_all,
    jt808::{
        frame::{Frame, Split},
        header::Header,
        message::MessageId,
        reassembly::{Joined, Outcome, Reassembler, ReassemblyLimits, ReassemblyPool},
    },
};
use serde_json::{Map, Value, json};
use tools::decode::decode_line;

use crate::{
    corpus::{bytes, objects, text},
    frames::{HEADER, agrees},
};

/// The streams of packets, each with the packets and the other frames that come out of it.
fn streams() -> Vec<(Value, Vec<Frame>)> {
    let mut streams = objects("streams.jsonl");
    streams.retain(|stream| stream.get("reassembled").is_some());
    let with_frames = |stream: Value| {
        let data = bytes(text(&stream, "stream_hex"));
        let splits = split_all(&data, false, |left| left);
        let open = |split| match split {
            Split::Candidate(raw) => Frame::open(raw).ok(),
            Split::Dropped { .. } => None,
        };
        let frames = splits.into_iter().filter_map(open);
        (stream, frames.filter(|frame| !frame.deviates).collect())
    };
    streams.into_iter().map(with_frames).collect()
}

/// The messages that were in packets, in the order in which they became whole.
fn joined(frames: &[Frame]) -> Vec<Joined> {
    let pool = ReassemblyPool::new(ReassemblyLimits::default());
    let mut reassembler = Reassembler::new(pool);
    let mut messages = Vec::new();
    for frame in frames {
        match reassembler.accept(&frame.header, &frame.body, Duration::ZERO) {
            Outcome::Complete(message) if message.total > 1 => messages.push(message),
            Outcome::Refused(refusal) => panic!("{refusal}"),
            _ => {}
        }
    }
    messages
}

/// A message as the corpus has it, but for what its body says.
fn described(message: &Joined) -> Value {
    let serials: Vec<u16> = (0..message.total)
        .map(|index| message.first_serial.wrapping_add(index))
        .collect();
    let hex: String = message.body.iter().map(|b| format!("{b:02x}")).collect();
    json!({
        "msg_id": message.header.message_id.to_string(),
        "phone": message.header.phone.to_string(),
        "packages": message.total,
        "serials": serials,
        "body_len": message.body.len(),
        "body_hex": hex,
    })
}

fn expected(stream: &Value) -> Vec<Value> {
    let messages = stream["reassembled"].as_array().expect("a list").clone();
    let without_fields = |mut message: Value| {
        message
            .as_object_mut()
            .map(|fields| fields.remove("expect"));
        message
    };
    messages.into_iter().map(without_fields).collect()
}

/// Shuffles by a seed.
fn shuffle(frames: &mut [Frame], seed: u64) {
    let mut state = seed;
    for last in (1..frames.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let random = usize::try_from(state >> 33).expect("31 bits");
        frames.swap(last, random % (last + 1));
    }
}

#[test]
fn every_stream_of_packets_is_joined_in_any_order() {
    let streams = streams();
    assert_eq!(streams.len(), 15);
    let mut messages = 0;
    for (stream, mut frames) in streams {
        let id = text(&stream, "id");
        let expected = expected(&stream);
        messages += expected.len();
        for seed in 0..200 {
            let found: Vec<_> = joined(&frames).iter().map(described).collect();
            assert_eq!(found, expected, "{id}, order {seed}");
            shuffle(&mut frames, seed);
        }
    }
    assert_eq!(messages, 12);
}

#[test]
fn no_message_comes_out_while_any_of_its_packets_is_missing() {
    for (stream, frames) in streams() {
        let is_packet = |frame: &Frame| frame.header.packet.is_some_and(|item| item.total > 1);
        for missing in frames.iter().filter(|frame| is_packet(frame)) {
            let mut others = frames.clone();
            others.retain(|frame| frame.header != missing.header);
            assert_eq!(joined(&others), [], "{}", text(&stream, "id"));
        }
    }
}

#[test]
fn a_joined_body_with_a_layout_is_read_field_by_field() {
    let mut compared = 0;
    for (stream, frames) in streams() {
        let expected = stream["reassembled"].as_array().into_iter().flatten();
        for (message, expected) in joined(&frames).iter().zip(expected) {
            let whole = Header {
                packet: None,
                ..message.header
            };
            // The decoder reads frames: bodies that one frame holds are put into one.
            let Ok(frame) = whole.frame(&message.body) else {
                continue;
            };
            if !MessageId::ALL.contains(&whole.message_id) {
                continue;
            }
            let hex: String = frame.iter().map(|b| format!("{b:02x}")).collect();
            let mut fields: Map<String, Value> =
                serde_json::from_value(decode_line(&hex)).expect("an object");
            fields.retain(|name, _| !HEADER.contains(&name.as_str()));
            let fields = Value::Object(fields);
            let id = text(&stream, "id");
            assert!(agrees(&fields, &expected["expect"]), "{id}\n{fields}");
            compared += 1;
        }
    }
    assert!(compared >= 4, "{compared} were compared");
}
