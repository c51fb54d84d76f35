//! Fields: values that know their form on the wire and in JSON, and the macro that makes a body of
//! them.
//!
//! ```text
//! layout! {
//!     /// Take one photo, or start to record.
//!     pub struct Name {
//!         /// Camera, from 1.
//!         pub channel: u8,                   // BYTE; the JSON name is the field's
//!         /// The text.
//!         pub text: Text,                    // STRING to the end
//!         /// Seconds.
//!         pub interval_s: u16 = 0,           // what it is where JSON has no such field
//!         /// Answers.
//!         pub answers as "items": List<u8, Answer>,  // BYTE count, then each; "count" and "items"
//!         /// Bytes beyond the layout.
//!         pub rest: Rest,                    // "trailing_hex", if there are any
//!     }
//! }
//! ```

mod strings;

use std::{fmt, marker::PhantomData};

use serde_json::Value;

pub use self::strings::{Counted, Data, Extent, Rest, Text, ToEnd, Width, put_text, take_text};

use super::{
    Body, MessageId,
    json::{self, JsonError, JsonProblem, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, EncodeErrorKind, Reader, Writer, bcd::Gmt8Time},
};

/// A value with one form on the wire and one in JSON.
pub trait Field: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// When the body ends inside it.
    fn read(r: &mut Reader, name: &'static str, revision: Revision) -> Result<Self, DecodeError>;

    /// Writes it.
    ///
    /// # Errors
    /// When it does not fit.
    fn write(
        &self,
        w: &mut Writer,
        name: &'static str,
        revision: Revision,
    ) -> Result<(), EncodeError>;

    /// Its JSON value.
    fn to_value(&self) -> Value;

    /// Reads its JSON value; `name` is for the error.
    ///
    /// # Errors
    /// When the value is no such one.
    fn from_value(value: Value, name: &str) -> Result<Self, JsonError>;

    /// Adds it to an object.
    fn put(&self, object: &mut Object, name: &str) {
        object.insert(name.to_owned(), self.to_value());
    }

    /// Takes it out of an object.
    ///
    /// # Errors
    /// When it is not there or is no such value.
    fn take(object: &mut Object, name: &str) -> Result<Self, JsonError> {
        Self::from_value(json::take(object, name)?, name)
    }
}

/// A body of fields in wire order; see the [module](self).
macro_rules! layout {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident $(as $json:literal)? : $type:ty
            $(= $default:expr)?,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl $crate::jt808::message::Body for $name {
            fn decode(
                r: &mut $crate::wire::Reader,
                revision: $crate::jt808::Revision,
            ) -> Result<Self, $crate::wire::DecodeError> {
                Ok(Self {
                    $($field: $crate::jt808::message::field::Field::read(
                        r, stringify!($field), revision,
                    )?,)*
                })
            }

            fn encode(
                &self,
                w: &mut $crate::wire::Writer,
                revision: $crate::jt808::Revision,
            ) -> Result<(), $crate::wire::EncodeError> {
                $($crate::jt808::message::field::Field::write(
                    &self.$field, w, stringify!($field), revision,
                )?;)*
                Ok(())
            }

            fn to_json(&self, object: &mut $crate::jt808::message::json::Object) {
                $($crate::jt808::message::field::Field::put(
                    &self.$field, object, layout!(@name $field $($json)?),
                );)*
            }

            fn from_json(
                object: &mut $crate::jt808::message::json::Object,
            ) -> Result<Self, $crate::jt808::message::json::JsonError> {
                Ok(Self {
                    $($field: layout!(
                        @take object, layout!(@name $field $($json)?) $(, $default)?
                    )?,)*
                })
            }
        }

        #[cfg(test)]
        impl $crate::jt808::message::arbitrary::Arbitrary for $name {
            fn arbitrary(
                c: &mut $crate::jt808::message::arbitrary::Choices,
                revision: $crate::jt808::Revision,
            ) -> Self {
                Self { $($field: c.any(revision),)* }
            }
        }
    };
    (@take $object:ident, $name:expr) => {
        $crate::jt808::message::field::Field::take($object, $name)
    };
    (@take $object:ident, $name:expr, $default:expr) => {
        $crate::jt808::message::field::take_or($object, $name, $default)
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $json:literal) => { $json };
}
pub(crate) use layout;

/// Takes a field out of an object, if it is there.
///
/// # Errors
/// When it is no such value.
pub fn take_optional<T: Field>(object: &mut Object, name: &str) -> Result<Option<T>, JsonError> {
    let count = object.len();
    match T::take(object, name) {
        Ok(value) => Ok(Some(value)),
        // Nothing was taken: the field itself is missing, and not one inside of it.
        Err(error) if error.problem == JsonProblem::Missing && object.len() == count => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes a field out of an object, or what it is where it is not there.
///
/// # Errors
/// When it is no such value.
pub fn take_or<T: Field>(object: &mut Object, name: &str, default: T) -> Result<T, JsonError> {
    take_optional(object, name).map(|value| value.unwrap_or(default))
}

/// An unsigned number: a value, or the count in front of one.
pub trait Number: Field + Copy + TryFrom<usize> + Into<u64> {
    /// The greatest.
    const GREATEST: usize;

    /// As a length.
    fn as_usize(self) -> usize {
        // What does not fit is more than any body has.
        usize::try_from(self.into()).unwrap_or(usize::MAX)
    }
}

macro_rules! numbers {
    ($($type:ty, $read:ident, $range:literal;)*) => {$(
        impl Field for $type {
            fn read(
                r: &mut Reader,
                name: &'static str,
                _revision: Revision,
            ) -> Result<Self, DecodeError> {
                r.$read(name)
            }

            fn write(
                &self,
                w: &mut Writer,
                _name: &'static str,
                _revision: Revision,
            ) -> Result<(), EncodeError> {
                w.$read(*self);
                Ok(())
            }

            fn to_value(&self) -> Value {
                (*self).into()
            }

            fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
                json::integer(&value, name, concat!("a whole number from 0 to ", $range))
            }
        }

        impl Number for $type {
            const GREATEST: usize = <$type>::MAX as usize;
        }
    )*};
}

numbers! {
    u8, byte, "255";
    u16, word, "65535";
    u32, dword, "4294967295";
}

impl Field for MessageId {
    fn read(r: &mut Reader, name: &'static str, _: Revision) -> Result<Self, DecodeError> {
        r.word(name).map(Self)
    }

    fn write(&self, w: &mut Writer, _: &'static str, _: Revision) -> Result<(), EncodeError> {
        w.word(self.0);
        Ok(())
    }

    fn to_value(&self) -> Value {
        self.to_string().into()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        json::code(&value, name, "a message id such as 0x8103").map(Self)
    }
}

/// A DWORD that names something, in JSON as `0x` and eight hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code32(pub u32);

impl Field for Code32 {
    fn read(r: &mut Reader, name: &'static str, _: Revision) -> Result<Self, DecodeError> {
        r.dword(name).map(Self)
    }

    fn write(&self, w: &mut Writer, _: &'static str, _: Revision) -> Result<(), EncodeError> {
        w.dword(self.0);
        Ok(())
    }

    fn to_value(&self) -> Value {
        format!("0x{:08x}", self.0).into()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        json::code(&value, name, "an id such as 0x00000001").map(Self)
    }
}

/// BYTE\[n\] without a meaning of their own; `name_hex` in JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Raw<const N: usize>(pub [u8; N]);

impl<const N: usize> fmt::Debug for Raw<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&json::to_hex(&self.0))
    }
}

impl<const N: usize> Field for Raw<N> {
    fn read(r: &mut Reader, name: &'static str, _: Revision) -> Result<Self, DecodeError> {
        let bytes = r.bytes(name, N)?;
        Ok(Self(bytes.as_ref().try_into().unwrap_or([0; N])))
    }

    fn write(&self, w: &mut Writer, _: &'static str, _: Revision) -> Result<(), EncodeError> {
        w.bytes(&self.0);
        Ok(())
    }

    fn to_value(&self) -> Value {
        json::to_hex(&self.0).into()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        value
            .as_str()
            .and_then(json::from_hex)
            .and_then(|bytes| bytes.as_ref().try_into().ok())
            .map(Self)
            .ok_or_else(|| JsonError::new(name, JsonProblem::Expected("so many bytes in hex")))
    }

    fn put(&self, object: &mut Object, name: &str) {
        json::put_hex(object, name, &self.0);
    }

    fn take(object: &mut Object, name: &str) -> Result<Self, JsonError> {
        let name = format!("{name}_hex");
        Self::from_value(json::take(object, &name)?, &name)
    }
}

impl Field for Gmt8Time {
    fn read(r: &mut Reader, name: &'static str, _: Revision) -> Result<Self, DecodeError> {
        r.time(name)
    }

    fn write(&self, w: &mut Writer, _: &'static str, _: Revision) -> Result<(), EncodeError> {
        w.bytes(&self.0);
        Ok(())
    }

    fn to_value(&self) -> Value {
        self.civil().map(|civil| civil.to_string()).into()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        let parsed = value.as_str().and_then(Self::from_iso);
        parsed.ok_or_else(|| JsonError::new(name, JsonProblem::Expected("a time at +08:00")))
    }

    fn put(&self, object: &mut Object, name: &str) {
        object.insert(name.to_owned(), self.to_value());
        if self.civil().is_none() {
            json::put(object, &format!("{name}_bcd"), self.to_string());
        }
    }

    fn take(object: &mut Object, name: &str) -> Result<Self, JsonError> {
        if object.contains_key(&format!("{name}_bcd")) {
            object.remove(name);
            return BcdTime::take(object, name).map(|time| time.0);
        }
        Self::from_value(json::take(object, name)?, name)
    }
}

/// BCD\[6\] `YYMMDDhhmmss` at GMT+8 that may be a pattern (zeros are every day, or no bound):
/// `name_bcd` with the twelve digits in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BcdTime(pub Gmt8Time);

impl Field for BcdTime {
    fn read(r: &mut Reader, name: &'static str, _: Revision) -> Result<Self, DecodeError> {
        r.time(name).map(Self)
    }

    fn write(&self, w: &mut Writer, _: &'static str, _: Revision) -> Result<(), EncodeError> {
        w.bytes(&self.0.0);
        Ok(())
    }

    fn to_value(&self) -> Value {
        self.0.to_string().into()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        Raw::<6>::from_value(value, name)
            .map(|raw| Self(Gmt8Time(raw.0)))
            .map_err(|_| JsonError::new(name, JsonProblem::Expected("twelve digits YYMMDDhhmmss")))
    }

    fn put(&self, object: &mut Object, name: &str) {
        object.insert(format!("{name}_bcd"), self.to_value());
    }

    fn take(object: &mut Object, name: &str) -> Result<Self, JsonError> {
        let name = format!("{name}_bcd");
        Self::from_value(json::take(object, &name)?, &name)
    }
}

/// A count, then so many entries: `count` and the name in JSON. The count is not read from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<N, T>(pub Vec<T>, PhantomData<N>);

impl<N, T> List<N, T> {
    /// With these entries.
    #[must_use]
    pub const fn new(entries: Vec<T>) -> Self {
        Self(entries, PhantomData)
    }
}

/// Reads so many entries. The count reserves no more than what the body can hold.
///
/// # Errors
/// When the body ends before.
pub fn decode_entries<T: Field>(
    r: &mut Reader,
    name: &'static str,
    count: usize,
    revision: Revision,
) -> Result<Vec<T>, DecodeError> {
    let mut entries = Vec::with_capacity(count.min(r.remaining()).min(64));
    for _ in 0..count {
        let left = r.remaining();
        entries.push(T::read(r, name, revision)?);
        if r.remaining() == left {
            // Entries without a byte would let a count alone choose how many there are.
            return Err(r.no_layout(name));
        }
    }
    Ok(entries)
}

/// Takes an array out of an object.
///
/// # Errors
/// When it is not there, or an entry is no such value.
pub fn take_entries<T: Field>(object: &mut Object, name: &str) -> Result<Vec<T>, JsonError> {
    match json::take(object, name)? {
        Value::Array(values) => values
            .into_iter()
            .map(|value| T::from_value(value, name))
            .collect(),
        _ => Err(JsonError::new(name, JsonProblem::Expected("a list"))),
    }
}

impl<N: Number, T: Field> Field for List<N, T> {
    fn read(r: &mut Reader, name: &'static str, revision: Revision) -> Result<Self, DecodeError> {
        let count = N::read(r, "count", revision)?.as_usize();
        decode_entries(r, name, count, revision).map(Self::new)
    }

    fn write(
        &self,
        w: &mut Writer,
        name: &'static str,
        revision: Revision,
    ) -> Result<(), EncodeError> {
        let count = self.0.len();
        let kind = EncodeErrorKind::TooMany {
            count,
            count_max: N::GREATEST,
        };
        N::try_from(count)
            .map_err(|_| EncodeError { field: name, kind })?
            .write(w, "count", revision)?;
        self.0
            .iter()
            .try_for_each(|entry| entry.write(w, name, revision))
    }

    fn to_value(&self) -> Value {
        self.0.iter().map(T::to_value).collect::<Vec<_>>().into()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        let mut object = Object::new();
        object.insert(name.to_owned(), value);
        Self::take(&mut object, name)
    }

    fn put(&self, object: &mut Object, name: &str) {
        json::put(object, "count", self.0.len());
        object.insert(name.to_owned(), self.to_value());
    }

    fn take(object: &mut Object, name: &str) -> Result<Self, JsonError> {
        object.remove("count");
        take_entries(object, name).map(Self::new)
    }
}

/// A body inside another one: an object in JSON.
impl<T: Body> Field for T {
    fn read(r: &mut Reader, _: &'static str, revision: Revision) -> Result<Self, DecodeError> {
        Body::decode(r, revision)
    }

    fn write(
        &self,
        w: &mut Writer,
        _: &'static str,
        revision: Revision,
    ) -> Result<(), EncodeError> {
        Body::encode(self, w, revision)
    }

    fn to_value(&self) -> Value {
        let mut object = Object::new();
        self.to_json(&mut object);
        Value::Object(object)
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        let Value::Object(mut object) = value else {
            return Err(JsonError::new(name, JsonProblem::Expected("an object")));
        };
        T::from_json(&mut object)
            .and_then(|body| nothing_left(&object).map(|()| body))
            .map_err(|error| error.inside(name))
    }
}

/// A field that was not taken is a mistake of whoever wrote it.
///
/// # Errors
/// When there is one.
pub fn nothing_left(object: &Object) -> Result<(), JsonError> {
    match object.keys().next() {
        None => Ok(()),
        Some(name) => Err(JsonError::new(name, JsonProblem::Unknown)),
    }
}
