//! The list of additional items behind the fixed part of a location.
//!
//! Items are read when they are asked for, from the bytes of the body: a report costs no memory
//! for them, and encodes back to what it was.

use std::fmt;

use bytes::{Bytes, BytesMut};
use nom::{IResult, Parser, multi::length_data, number::complete::be_u8};

use super::additional_item::{AdditionalItem, RawItem, write};
use crate::{jt808::Revision, wire::EncodeError};

/// The additional items of a report, as they came.
#[derive(Clone, PartialEq, Eq)]
pub struct Items {
    bytes: Bytes,
    revision: Revision,
}

impl Items {
    /// The items in the bytes behind the fixed part of a body.
    #[must_use]
    pub const fn of(bytes: Bytes, revision: Revision) -> Self {
        Self { bytes, revision }
    }

    /// Items that are sent.
    ///
    /// # Errors
    /// When a value is longer than 255 bytes.
    pub fn new<'a>(
        items: impl IntoIterator<Item = AdditionalItem<'a>>,
        revision: Revision,
    ) -> Result<Self, EncodeError> {
        let mut bytes = BytesMut::new();
        items
            .into_iter()
            .try_for_each(|item| write(&mut bytes, item))?;
        Ok(Self {
            bytes: bytes.freeze(),
            revision,
        })
    }

    /// The items in the order of the wire, repeated ones included.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            raw: self.raw(),
            revision: self.revision,
        }
    }

    /// The same, by id and value.
    #[must_use]
    pub fn raw(&self) -> RawItems<'_> {
        RawItems { rest: &self.bytes }
    }

    /// Bytes behind the last item that are none: a single byte, or an id with a length that
    /// overruns the body.
    #[must_use]
    pub fn tail(&self) -> &[u8] {
        let mut items = self.raw();
        items.by_ref().for_each(drop);
        items.rest
    }

    /// The revision that their ids are of.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter())
            .entry(&self.tail())
            .finish()
    }
}

impl<'a> IntoIterator for &'a Items {
    type Item = AdditionalItem<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Reads items as what their revision makes of them.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    raw: RawItems<'a>,
    revision: Revision,
}

impl<'a> Iterator for Iter<'a> {
    type Item = AdditionalItem<'a>;

    fn next(&mut self) -> Option<AdditionalItem<'a>> {
        self.raw.next().map(|item| item.interpret(self.revision))
    }
}

/// Reads items one after the other.
#[derive(Clone, Debug)]
pub struct RawItems<'a> {
    rest: &'a [u8],
}

impl<'a> RawItems<'a> {
    /// The items inside a wrapper (0xE0); `None` unless they fill it.
    #[must_use]
    pub fn wrapped(value: &'a [u8]) -> Option<Self> {
        let items = Self { rest: value };
        let mut to_end = items.clone();
        to_end.by_ref().for_each(drop);
        to_end.rest.is_empty().then_some(items)
    }
}

impl<'a> Iterator for RawItems<'a> {
    type Item = RawItem<'a>;

    fn next(&mut self) -> Option<RawItem<'a>> {
        let parsed: IResult<_, _, ()> = (be_u8, length_data(be_u8)).parse(self.rest);
        let (rest, (id, value)) = parsed.ok()?;
        self.rest = rest;
        Some(RawItem { id, value })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hex;

    fn items(text: &str, revision: Revision) -> Items {
        Items::of(hex::bytes(text), revision)
    }

    #[test]
    fn repeated_items_are_kept_in_order() {
        let items = items("3101 0C 3101 0D", Revision::V2013);
        let counts = [
            AdditionalItem::SatelliteCount(12),
            AdditionalItem::SatelliteCount(13),
        ];
        assert_eq!(items.iter().collect::<Vec<_>>(), counts);
    }

    #[test]
    fn what_overruns_the_body_is_the_tail_and_what_stands_before_it_counts() {
        for (text, count, tail) in [
            ("3101 0C 33", 1, "33"),
            ("3101 0C 330301", 1, "330301"),
            ("0000 0000 0078", 2, "0078"),
            ("01", 0, "01"),
            ("", 0, ""),
        ] {
            let items = items(text, Revision::V2013);
            assert_eq!(items.raw().count(), count, "{text}");
            assert_eq!(items.tail(), hex::bytes(tail), "{text}");
        }
    }

    #[test]
    fn a_wrapper_is_read_where_its_items_fill_it() {
        let value = hex::bytes("E101 64 E200");
        let items: Vec<_> = RawItems::wrapped(&value).unwrap().collect();
        assert_eq!(
            items,
            [
                RawItem {
                    id: 0xE1,
                    value: &[0x64]
                },
                RawItem {
                    id: 0xE2,
                    value: &[]
                }
            ]
        );
        assert!(RawItems::wrapped(&[0xE1, 9, 1]).is_none());
    }

    #[test]
    fn a_value_that_a_byte_cannot_count_is_refused() {
        let long = [0; 256];
        assert!(Items::new([AdditionalItem::Wrapper(&long)], Revision::V2013).is_err());
    }

    proptest! {
        #[test]
        fn items_are_written_as_they_were_read(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), 0_u8..8, 0x11_u8..0x19], 0..120,
            ),
            revision in prop_oneof![Just(Revision::V2013), Just(Revision::V2019)],
        ) {
            let items = Items::of(Bytes::from(bytes), revision);
            let written = Items::new(items.iter(), revision).unwrap();
            let again: Vec<_> = written.iter().collect();
            prop_assert_eq!(again, items.iter().collect::<Vec<_>>());
        }
    }
}
