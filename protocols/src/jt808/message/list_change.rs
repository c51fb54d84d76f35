//! 0x8301, 0x8303 and 0x8401: changes of a list that the terminal keeps.
//!
//! | 2011 | since 2013 | field           | wire | values                                               |
//! |------|------------|-----------------|------|------------------------------------------------------|
//! |    0 |          0 | operation       | BYTE | 0 delete all, 1 replace, 2 append, 3 modify, 4 delete these |
//! |    1 |          1 | count           | BYTE | entries; need not follow operation 0                 |
//! |    2 |          - | count in packet | BYTE | entries of this packet, where the message has several |
//! |    3 |          2 | entries         |      |                                                      |
//!
//! Nobody is known to send the layout of 2011. It is read where the other does not fit the body and
//! it fits to the byte, with an entry at least.

use super::{
    Body,
    field::{Field, Number as _, Rest, decode_entries, take_entries, take_optional},
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, EncodeErrorKind, Reader, Writer},
};

/// An entry of such a list.
pub trait Entry: Body {
    /// The list's name in JSON.
    const LIST: &'static str;
}

/// A change of a list in the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListChange<T> {
    /// What is done with the entries.
    pub operation: u8,
    /// The entries; may be `None` where all are deleted.
    pub list: Option<Entries<T>>,
}

impl<T> ListChange<T> {
    /// The operation that empties the list.
    pub const DELETE_ALL: u8 = 0;
}

impl<T: Entry> Body for ListChange<T> {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let operation = r.byte("operation")?;
        let ends_here = operation == Self::DELETE_ALL && r.remaining() == 0;
        Ok(Self {
            operation,
            list: if ends_here {
                None
            } else {
                Some(Entries::read(r, T::LIST, revision)?)
            },
        })
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        w.byte(self.operation);
        match &self.list {
            Some(list) => list.write(w, T::LIST, revision),
            None if self.operation == Self::DELETE_ALL => Ok(()),
            None => Err(EncodeError {
                field: T::LIST,
                kind: EncodeErrorKind::Missing,
            }),
        }
    }

    fn to_json(&self, object: &mut Object) {
        self.operation.put(object, "op");
        if let Some(list) = &self.list {
            let entries: Vec<_> = list.entries.iter().map(Field::to_value).collect();
            json::put(object, T::LIST, entries);
            list.put_counts(object);
        }
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        let operation = Field::take(object, "op")?;
        let is_absent = operation == Self::DELETE_ALL && !object.contains_key(T::LIST);
        Ok(Self {
            operation,
            list: if is_absent {
                None
            } else {
                let entries = take_entries(object, T::LIST)?;
                Some(Entries::take_counts(object, entries)?)
            },
        })
    }
}

/// A count and so many entries, to the end of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries<T> {
    /// In the layout of 2011, the entries of the whole message, of which these are some; `None` in
    /// the layout since 2013.
    pub total: Option<u8>,
    /// The entries.
    pub entries: Vec<T>,
    /// Bytes beyond the layout.
    pub rest: Rest,
}

impl<T> Entries<T> {
    /// Entries in the layout since 2013.
    #[must_use]
    pub fn new(entries: Vec<T>) -> Self {
        Self {
            total: None,
            entries,
            rest: Rest::default(),
        }
    }

    /// Adds all but the entries to an object.
    pub(super) fn put_counts(&self, object: &mut Object) {
        json::put(object, "count", self.entries.len());
        if let Some(total) = self.total {
            total.put(object, "total");
        }
        self.rest.put(object, "rest");
    }

    /// Takes all but the entries out of an object. The count is not read from there.
    pub(super) fn take_counts(object: &mut Object, entries: Vec<T>) -> Result<Self, JsonError> {
        object.remove("count");
        Ok(Self {
            total: take_optional(object, "total")?,
            entries,
            rest: Field::take(object, "rest")?,
        })
    }
}

impl<T: Field> Entries<T> {
    /// Reads them in either layout.
    pub(super) fn read(
        r: &mut Reader,
        name: &'static str,
        revision: Revision,
    ) -> Result<Self, DecodeError> {
        let form_2011 = r.clone();
        let entries = Self::read_form_2013(r, name, revision);
        let fits = entries.as_ref().is_ok_and(|list| list.rest.0.is_empty());
        if fits || revision == Revision::V2019 {
            return entries;
        }
        Self::read_form_2011(form_2011, name, revision).map_or(entries, Ok)
    }

    fn read_form_2013(
        r: &mut Reader,
        name: &'static str,
        revision: Revision,
    ) -> Result<Self, DecodeError> {
        let count = r.byte("count")?;
        let entries = decode_entries(r, name, count.into(), revision)?;
        Ok(Self {
            total: None,
            entries,
            rest: Rest(r.rest()),
        })
    }

    /// `None` unless that layout fits to the byte.
    fn read_form_2011(mut r: Reader, name: &'static str, revision: Revision) -> Option<Self> {
        let total = r.byte("count").ok()?;
        let count = r.byte("count").ok()?;
        let entries = decode_entries(&mut r, name, count.into(), revision).ok()?;
        let is_likely = (1..=total).contains(&count);
        (is_likely && r.remaining() == 0).then(|| Self {
            total: Some(total),
            entries,
            rest: Rest::default(),
        })
    }

    /// Writes them in the layout that `total` says.
    pub(super) fn write(
        &self,
        w: &mut Writer,
        name: &'static str,
        revision: Revision,
    ) -> Result<(), EncodeError> {
        let count = u8::try_from(self.entries.len()).map_err(|_| EncodeError {
            field: name,
            kind: EncodeErrorKind::TooMany {
                count: self.entries.len(),
                count_max: u8::GREATEST,
            },
        })?;
        if let Some(total) = self.total {
            w.byte(total);
        }
        w.byte(count);
        self.entries
            .iter()
            .try_for_each(|entry| entry.write(w, name, revision))?;
        w.bytes(&self.rest.0);
        Ok(())
    }
}

#[cfg(test)]
impl<T: super::arbitrary::Arbitrary> super::arbitrary::Arbitrary for Entries<T> {
    // The layout since 2013 without a rest: all others may be read as another one.
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        Self::new(c.list(revision))
    }
}

#[cfg(test)]
impl<T: super::arbitrary::Arbitrary> super::arbitrary::Arbitrary for ListChange<T> {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        let operation = c.byte();
        let is_absent = operation == Self::DELETE_ALL;
        Self {
            operation,
            list: (!is_absent).then(|| c.any(revision)),
        }
    }
}
