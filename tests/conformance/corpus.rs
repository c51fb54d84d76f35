//! Reads the corpus. It is part of the repository: where it is broken, the test is.

use std::{fs, path::PathBuf};

use bytes::Bytes;
use serde_json::Value;

/// The objects of a file of the corpus, one a line.
pub(crate) fn objects(name: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures/jt808")
        .join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line is an object"))
        .collect()
}

/// A text of an object.
pub(crate) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {object}"))
}

/// The bytes of hex digits.
pub(crate) fn bytes(hex: &str) -> Bytes {
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("hex is ASCII");
        u8::from_str_radix(pair, 16).expect("hex digits")
    };
    hex.as_bytes().chunks(2).map(byte).collect()
}

/// What lies between the delimiters of a frame in hex.
pub(crate) fn content(frame: &str) -> Bytes {
    let bytes = bytes(frame);
    assert!(
        bytes.starts_with(&[0x7E]) && bytes.ends_with(&[0x7E]),
        "{frame}"
    );
    bytes.slice(1..bytes.len() - 1)
}
