//! Messages of any content, for the property tests. Every line of the table needs a strategy, so a
//! message without one does not compile.

use bytes::Bytes;

use super::{
    MessageId,
    field::{BcdTime, Code32, Counted, Data, List, Number, Raw, Rest, Text, ToEnd, Width},
};
use crate::{jt808::Revision, wire::bcd::Gmt8Time};

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
