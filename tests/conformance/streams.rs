//! Every stream of the corpus, in many cuts.

use protocols::{
    fuzzing::{self, split_all},
    jt808::frame::{Frame, Split},
};
use serde_json::Value;

use crate::corpus::{bytes, content, objects, text};

/// The frames of a stream that open and whose header describes them, in order.
fn valid_frames(splits: Vec<Split>) -> Vec<Vec<u8>> {
    candidates(splits)
        .into_iter()
        .filter(|raw| Frame::open(raw.clone().into()).is_ok_and(|frame| !frame.deviates))
        .collect()
}

fn candidates(splits: Vec<Split>) -> Vec<Vec<u8>> {
    let candidate = |split| match split {
        Split::Candidate(raw) => Some(raw.to_vec()),
        Split::Dropped { .. } => None,
    };
    splits.into_iter().filter_map(candidate).collect()
}

fn expected(stream: &Value, name: &str) -> Vec<Vec<u8>> {
    let frames = stream.get(name).and_then(Value::as_array);
    let hex = |frame: &Value| content(frame.as_str().expect("a frame in hex")).to_vec();
    frames.into_iter().flatten().map(hex).collect()
}

/// Sizes of reads from a seed, 1 to 64 bytes.
fn seeded(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 58).expect("six bits") + 1
    }
}

#[test]
fn every_stream_gives_its_frames_however_it_is_cut() {
    let streams = objects("streams.jsonl");
    assert_eq!(streams.len(), 62);
    for stream in &streams {
        let id = text(stream, "id");
        let data = bytes(text(stream, "stream_hex"));
        let frames = expected(stream, "frames");
        // The payloads of some are no messages: they show only where the boundaries are, and what
        // stands between their frames is a candidate as well.
        let are_messages = stream["payload_valid"] != Value::Bool(false);
        let found = |splits| {
            if are_messages {
                return valid_frames(splits);
            }
            let mut found = candidates(splits);
            found.retain(|candidate| frames.contains(candidate));
            found
        };
        for is_joining in [false, true] {
            let chunks = stream.get("chunks").and_then(Value::as_array);
            let mut sizes = chunks.into_iter().flatten().filter_map(Value::as_u64);
            let as_given = split_all(&data, is_joining, |left| {
                sizes
                    .next()
                    .map_or(left, |size| usize::try_from(size).expect("a size"))
            });
            if is_joining && !are_messages {
                continue;
            }
            assert_eq!(found(as_given), frames, "{id} as given");
            assert_eq!(
                found(split_all(&data, is_joining, |_| 1)),
                frames,
                "{id} byte by byte"
            );
            for seed in 0..50 {
                let splits = split_all(&data, is_joining, seeded(seed));
                assert_eq!(found(splits), frames, "{id}, seed {seed}");
            }
            for at in 0..data.len().min(400) {
                let splits = split_all(&data, is_joining, |left| {
                    if left == data.len() { at.max(1) } else { left }
                });
                assert_eq!(found(splits), frames, "{id} cut at {at}");
            }
        }
    }
}

#[test]
fn no_rejected_candidate_comes_out() {
    for stream in objects("streams.jsonl") {
        let data = bytes(text(&stream, "stream_hex"));
        let frames = valid_frames(split_all(&data, true, |left| left));
        for rejected in expected(&stream, "rejected") {
            assert!(!frames.contains(&rejected), "{}", text(&stream, "id"));
        }
    }
}

#[test]
fn all_frames_in_one_stream_come_out_in_order() {
    let frames: Vec<Value> = objects("frames.jsonl");
    let valid: Vec<_> = frames
        .iter()
        .filter(|frame| frame["valid"] == Value::Bool(true))
        .collect();
    let stream: Vec<u8> = valid
        .iter()
        .flat_map(|frame| bytes(text(frame, "hex")))
        .collect();
    let expected: Vec<_> = valid
        .iter()
        .map(|frame| content(text(frame, "hex")).to_vec())
        .collect();
    for is_joining in [false, true] {
        for seed in 0..5 {
            let splits = split_all(&stream, is_joining, seeded(seed));
            assert_eq!(valid_frames(splits), expected);
        }
    }
}

#[test]
fn the_properties_of_fuzzing_hold_for_every_stream() {
    for stream in objects("streams.jsonl") {
        let data = bytes(text(&stream, "stream_hex"));
        for seed in [0, 77, 255] {
            fuzzing::stream(&[&[seed], &data[..]].concat());
        }
    }
}
