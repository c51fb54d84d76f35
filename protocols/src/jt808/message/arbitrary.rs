//! Messages of any content, for the property tests. Every line of the table needs a strategy, so a
//! message without one does not compile.

use bytes::Bytes;
use serde_json::Value;

use super::{
    Body, Message, MessageId,
    field::{BcdTime, Code32, Counted, Data, List, Number, Raw, Rest, Text, ToEnd, Width},
    json::JsonProblem,
};
use crate::{
    hex,
    jt808::Revision,
    wire::{Reader, Writer, bcd::Gmt8Time},
};

/// A source of values: the bytes that a property test chose, then zeros.
#[derive(Debug)]
pub(crate) struct Choices {
    bytes: std::vec::IntoIter<u8>,
}

impl Choices {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes: bytes.into_iter(),
        }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes.next().unwrap_or_default()
    }

    /// One of `0..bound`; bounds up to 256.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Bytes {
        (0..count).map(|_| self.byte()).collect()
    }

    /// Up to `count` bytes.
    pub(crate) fn up_to(&mut self, count: usize) -> Bytes {
        let count = self.below(count + 1);
        self.bytes(count)
    }

    pub(crate) fn any<T: Arbitrary>(&mut self, revision: Revision) -> T {
        T::arbitrary(self, revision)
    }

    pub(crate) fn list<T: Arbitrary>(&mut self, revision: Revision) -> Vec<T> {
        (0..self.below(4)).map(|_| self.any(revision)).collect()
    }
}

/// A value that a revision can carry.
pub(crate) trait Arbitrary: Sized {
    fn arbitrary(c: &mut Choices, revision: Revision) -> Self;
}

impl<T: Arbitrary> Arbitrary for Box<T> {
    fn arbitrary(c: &mut Choices, revision: Revision) -> Self {
        Self::new(T::arbitrary(c, revision))
    }
}

impl Arbitrary for u8 {
    fn arbitrary(c: &mut Choices, _: Revision) -> Self {
        c.byte()
    }
}

impl Arbitrary for u16 {
    fn arbitrary(c: &mut Choices, _: Revision) -> Self {
        Self::from_be_bytes([c.byte(), c.byte()])
    }
}

impl Arbitrary for u32 {
    fn arbitrary(c: &mut Choices, _: Revision) -> Self {
        Self::from_be_bytes([c.byte(), c.byte(), c.byte(), c.byte()])
    }
}

impl Arbitrary for MessageId {
    fn arbitrary(c: &mut Choices, revision: Revision) -> Self {
        Self(c.any(revision))
    }
}

impl Arbitrary for Code32 {
    fn arbitrary(c: &mut Choices, revision: Revision) -> Self {
        Self(c.any(revision))
    }
}

impl<const N: usize> Arbitrary for Raw<N> {
    fn arbitrary(c: &mut Choices, _: Revision) -> Self {
        Self(std::array::from_fn(|_| c.byte()))
    }
}

impl Arbitrary for Gmt8Time {
    fn arbitrary(c: &mut Choices, _: Revision) -> Self {
        Self(std::array::from_fn(|_| c.byte()))
    }
}

impl Arbitrary for BcdTime {
    fn arbitrary(c: &mut Choices, revision: Revision) -> Self {
        Self(c.any(revision))
    }
}

impl Arbitrary for Rest {
    fn arbitrary(c: &mut Choices, _: Revision) -> Self {
        Self(c.up_to(3))
    }
}

/// Bytes that an extent can have.
pub(crate) trait Sample {
    fn sample(c: &mut Choices) -> Bytes;
}

impl Sample for ToEnd {
    fn sample(c: &mut Choices) -> Bytes {
        c.up_to(20)
    }
}

impl<N> Sample for Counted<N> {
    fn sample(c: &mut Choices) -> Bytes {
        c.up_to(20)
    }
}

impl<const N: usize> Sample for Width<N> {
    fn sample(c: &mut Choices) -> Bytes {
        c.bytes(N)
    }
}

impl<E: Sample> Arbitrary for Text<E> {
    fn arbitrary(c: &mut Choices, _: Revision) -> Self {
        Self::new(E::sample(c))
    }
}

impl<E: Sample> Arbitrary for Data<E> {
    fn arbitrary(c: &mut Choices, _: Revision) -> Self {
        Self::new(E::sample(c))
    }
}

impl<N: Number, T: Arbitrary> Arbitrary for List<N, T> {
    fn arbitrary(c: &mut Choices, revision: Revision) -> Self {
        Self::new(c.list(revision))
    }
}

/// What is read of a value: of layouts that are told apart by what stands in the body, another one
/// can have the same bytes, and then that one is read.
pub(crate) fn as_read<T: Body>(value: &T, revision: Revision) -> T {
    let mut writer = Writer::new();
    value.encode(&mut writer, revision).unwrap();
    T::decode(&mut Reader::new(writer.finish()), revision).unwrap()
}

/// Reads a message from its body in hex, and asserts that it encodes back and has this JSON form;
/// what the platform sends comes back from there as well.
pub(crate) fn check(id: MessageId, revision: Revision, body: &str, json: &Value) -> Message {
    let body = hex::bytes(body);
    let message = Message::decode(id, body.clone(), revision).unwrap();
    assert_eq!(message.encode(revision).as_ref(), Ok(&body), "{message:?}");
    assert_eq!(&Value::Object(message.to_json()), json);
    match Message::from_json(id, message.to_json()) {
        Ok(again) => assert_eq!(again.encode(revision), Ok(body), "{again:?}"),
        Err(error) => {
            assert!(!id.is_downlink(), "{error}");
            assert_eq!(error.problem, JsonProblem::UplinkOnly);
        }
    }
    message
}

/// Asserts that the body cannot be read when it ends anywhere in its first bytes.
pub(crate) fn check_truncated(id: MessageId, revision: Revision, body: &str, count: usize) {
    let body = hex::bytes(body);
    for length in 0..count {
        let error = Message::decode(id, body.slice(..length), revision).unwrap_err();
        assert_eq!(error.reason(), "truncated", "{length} of {count} bytes");
    }
    assert!(Message::decode(id, body.slice(..count), revision).is_ok());
}

/// The error of JSON that is no such message.
pub(crate) fn json_error(id: MessageId, json: Value) -> String {
    let Value::Object(object) = json else {
        panic!("{json} is no object")
    };
    Message::from_json(id, object).unwrap_err().to_string()
}

/// A body of exactly its layout reads as these fields and is written back from the message, and
/// from JSON where the platform sends it; with a byte less it is truncated, one more is kept. So
/// in every revision.
pub(crate) fn reads_as(id: MessageId, text: &str, fields: Value) {
    let body = hex::bytes(text);
    for revision in [Revision::V2011, Revision::V2013, Revision::V2019] {
        let message = Message::decode(id, body.clone(), revision).unwrap();
        assert_eq!(Value::Object(message.to_json()), fields, "{text}");
        assert_eq!(message.encode(revision), Ok(body.clone()), "{text}");
        if id.is_downlink() {
            assert_eq!(
                Message::from_json(id, message.to_json()),
                Ok(message),
                "{text}"
            );
        }
        for length in 0..body.len() {
            let error = Message::decode(id, body.slice(..length), revision).unwrap_err();
            assert_eq!(error.reason(), "truncated", "{length} bytes of {text}");
        }
        let longer = Bytes::from([&body[..], &[0xA5]].concat());
        let message = Message::decode(id, longer.clone(), revision).unwrap();
        assert_eq!(message.to_json()["trailing_hex"], "a5", "{text}");
        assert_eq!(message.encode(revision), Ok(longer), "{text}");
    }
}
