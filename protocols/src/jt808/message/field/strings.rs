//! Strings of text and of bytes: what says where they end, and their two forms.

use std::{borrow::Cow, fmt, marker::PhantomData};

use bytes::Bytes;
use serde_json::Value;

use super::{Field, Number};
use crate::{
    jt808::{
        Revision,
        message::json::{self, JsonError, JsonProblem, Object},
    },
    wire::{DecodeError, EncodeError, Padding, Reader, Writer, text},
};

/// How many bytes a [`Text`] or [`Data`] has.
pub trait Extent {
    /// Reads it: the number of bytes that follow.
    ///
    /// # Errors
    /// When the body ends inside it.
    fn decode(r: &mut Reader, name: &'static str) -> Result<usize, DecodeError>;

    /// Writes it and the value.
    ///
    /// # Errors
    /// When the value does not fit.
    fn encode(w: &mut Writer, name: &'static str, value: &[u8]) -> Result<(), EncodeError>;
}

/// To the end of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToEnd;

impl Extent for ToEnd {
    fn decode(r: &mut Reader, _: &'static str) -> Result<usize, DecodeError> {
        Ok(r.remaining())
    }

    fn encode(w: &mut Writer, _: &'static str, value: &[u8]) -> Result<(), EncodeError> {
        w.bytes(value);
        Ok(())
    }
}

/// A number in front says how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted<N>(PhantomData<N>);

impl<N: Number> Extent for Counted<N> {
    fn decode(r: &mut Reader, name: &'static str) -> Result<usize, DecodeError> {
        N::read(r, name, Revision::V2019).map(N::as_usize)
    }

    fn encode(w: &mut Writer, name: &'static str, value: &[u8]) -> Result<(), EncodeError> {
        let count = N::try_from(value.len())
            .map_err(|_| EncodeError::too_long(name, value.len(), N::GREATEST))?;
        count.write(w, name, Revision::V2019)?;
        w.bytes(value);
        Ok(())
    }
}

/// Always so many; what is shorter is filled with 0x00 behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width<const N: usize>;

impl<const N: usize> Extent for Width<N> {
    fn decode(_: &mut Reader, _: &'static str) -> Result<usize, DecodeError> {
        Ok(N)
    }

    fn encode(w: &mut Writer, name: &'static str, value: &[u8]) -> Result<(), EncodeError> {
        w.padded(name, value, N, Padding::ZerosAfter)
    }
}

/// GBK text as it stands on the wire, padding included.
pub struct Text<E = ToEnd>(pub Bytes, PhantomData<E>);

/// Bytes without a meaning of their own; `name_hex` in JSON.
pub struct Data<E = ToEnd>(pub Bytes, PhantomData<E>);

macro_rules! byte_strings {
    ($($type:ident)*) => {$(
        impl<E> $type<E> {
            /// With these bytes of the wire.
            #[must_use]
            pub const fn new(bytes: Bytes) -> Self {
                Self(bytes, PhantomData)
            }
        }

        impl<E> Clone for $type<E> {
            fn clone(&self) -> Self {
                Self::new(self.0.clone())
            }
        }

        impl<E> PartialEq for $type<E> {
            fn eq(&self, other: &Self) -> bool {
                self.0 == other.0
            }
        }

        impl<E> Eq for $type<E> {}

        impl<E> Default for $type<E> {
            fn default() -> Self {
                Self::new(Bytes::new())
            }
        }
    )*};
}

byte_strings! { Text Data }

impl<E> Text<E> {
    /// The wire form of a text; `None` when a character is not in GBK.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        text::encode(text).map(|bytes| Self::new(Bytes::copy_from_slice(&bytes)))
    }

    /// The text without padding; bytes that are no GBK become U+FFFD.
    #[must_use]
    pub fn as_text(&self) -> Cow<'_, str> {
        text::decode(&self.0)
    }
}

impl<E> fmt::Debug for Text<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_text(), f)
    }
}

impl<E> fmt::Debug for Data<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&json::to_hex(&self.0))
    }
}

/// Adds a field of text. One that is not surely GBK is given in hex, whole.
pub fn put_text(object: &mut Object, name: &str, field: &[u8]) {
    match text::decode_strictly(text::trim_nul(field)) {
        Some(text) => json::put(object, name, text.into_owned()),
        None => json::put_hex(object, name, field),
    }
}

/// Takes a field of text in either form.
///
/// # Errors
/// When it is in neither.
pub fn take_text(object: &mut Object, name: &str) -> Result<Bytes, JsonError> {
    match json::take_hex(object, name)? {
        Some(bytes) => Ok(bytes),
        None => gbk(&json::take(object, name)?, name),
    }
}

fn gbk(value: &Value, name: &str) -> Result<Bytes, JsonError> {
    let text = value
        .as_str()
        .ok_or_else(|| JsonError::new(name, JsonProblem::Expected("a text")))?;
    text::encode(text)
        .map(|bytes| Bytes::copy_from_slice(&bytes))
        .ok_or_else(|| JsonError::new(name, JsonProblem::NotGbk))
}

impl<E: Extent> Field for Text<E> {
    fn read(r: &mut Reader, name: &'static str, _: Revision) -> Result<Self, DecodeError> {
        let count = E::decode(r, name)?;
        r.bytes(name, count).map(Self::new)
    }

    fn write(&self, w: &mut Writer, name: &'static str, _: Revision) -> Result<(), EncodeError> {
        E::encode(w, name, &self.0)
    }

    fn to_value(&self) -> Value {
        self.as_text().into_owned().into()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        gbk(&value, name).map(Self::new)
    }

    fn put(&self, object: &mut Object, name: &str) {
        put_text(object, name, &self.0);
    }

    fn take(object: &mut Object, name: &str) -> Result<Self, JsonError> {
        take_text(object, name).map(Self::new)
    }
}

impl<E: Extent> Field for Data<E> {
    fn read(r: &mut Reader, name: &'static str, _: Revision) -> Result<Self, DecodeError> {
        let count = E::decode(r, name)?;
        r.bytes(name, count).map(Self::new)
    }

    fn write(&self, w: &mut Writer, name: &'static str, _: Revision) -> Result<(), EncodeError> {
        E::encode(w, name, &self.0)
    }

    fn to_value(&self) -> Value {
        json::to_hex(&self.0).into()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        value
            .as_str()
            .and_then(json::from_hex)
            .map(Self::new)
            .ok_or_else(|| JsonError::new(name, JsonProblem::Expected("bytes in hex")))
    }

    fn put(&self, object: &mut Object, name: &str) {
        json::put_hex(object, name, &self.0);
    }

    fn take(object: &mut Object, name: &str) -> Result<Self, JsonError> {
        let bytes = json::take_hex(object, name)?;
        let missing = || JsonError::new(&format!("{name}_hex"), JsonProblem::Missing);
        bytes.map(Self::new).ok_or_else(missing)
    }
}

/// Bytes after the last field of the layout; `trailing_hex` in JSON, where there are any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest(pub Bytes);

impl Field for Rest {
    fn read(r: &mut Reader, _: &'static str, _: Revision) -> Result<Self, DecodeError> {
        Ok(Self(r.rest()))
    }

    fn write(&self, w: &mut Writer, _: &'static str, _: Revision) -> Result<(), EncodeError> {
        w.bytes(&self.0);
        Ok(())
    }

    fn to_value(&self) -> Value {
        json::to_hex(&self.0).into()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        Data::<ToEnd>::from_value(value, name).map(|data| Self(data.0))
    }

    fn put(&self, object: &mut Object, _: &str) {
        json::put_trailing(object, &self.0);
    }

    fn take(object: &mut Object, _: &str) -> Result<Self, JsonError> {
        json::take_hex(object, "trailing").map(|bytes| Self(bytes.unwrap_or_default()))
    }
}
