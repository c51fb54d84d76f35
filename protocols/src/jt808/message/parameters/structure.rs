//! Values of several fields, and the fields that only they have.

use std::fmt;

use bytes::Bytes;
use serde_json::Value;

use crate::{
    jt808::{
        Revision,
        message::{
            Body,
            field::{Field, Number, Raw},
            json::{self, JsonError, JsonProblem, Object},
        },
    },
    wire::{DecodeError, EncodeError, Reader, Writer},
};

/// No layout of a value differs between revisions.
const ANY: Revision = Revision::V2019;

/// A layout that fills a value.
#[derive(Clone, Copy)]
pub struct Structure {
    read: fn(&Bytes) -> Option<Value>,
    write: fn(Value, &str) -> Result<Bytes, JsonError>,
}

impl fmt::Debug for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Structure")
    }
}

impl Structure {
    pub(super) const fn of<T: Body>() -> Self {
        Self {
            read: read::<T>,
            write: write::<T>,
        }
    }

    pub(super) fn read(self, value: &Bytes) -> Option<Value> {
        (self.read)(value)
    }

    pub(super) fn write(self, value: Value, name: &str) -> Result<Bytes, JsonError> {
        (self.write)(value, name)
    }
}

fn read<T: Body>(value: &Bytes) -> Option<Value> {
    let mut reader = Reader::new(value.clone());
    let body = T::decode(&mut reader, ANY).ok()?;
    (reader.remaining() == 0).then(|| Field::to_value(&body))
}

fn write<T: Body>(value: Value, name: &str) -> Result<Bytes, JsonError> {
    let body: T = Field::from_value(value, name)?;
    let mut writer = Writer::new();
    let expected = JsonProblem::Expected("short enough for its counts and widths");
    body.encode(&mut writer, ANY)
        .map_err(|error| JsonError::new(error.field, expected).inside(name))?;
    Ok(writer.finish())
}

/// A number whose greatest value leaves what the terminal has; then it is not in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting<N>(pub N);

impl<N: Number> Setting<N> {
    fn is_unchanged(self) -> bool {
        self.0.as_usize() == N::GREATEST
    }
}

impl<N: Number> Field for Setting<N> {
    fn read(r: &mut Reader, name: &'static str, revision: Revision) -> Result<Self, DecodeError> {
        N::read(r, name, revision).map(Self)
    }

    fn write(
        &self,
        w: &mut Writer,
        name: &'static str,
        revision: Revision,
    ) -> Result<(), EncodeError> {
        self.0.write(w, name, revision)
    }

    fn to_value(&self) -> Value {
        self.0.to_value()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        N::from_value(value, name).map(Self)
    }

    fn put(&self, object: &mut Object, name: &str) {
        if !self.is_unchanged() {
            self.0.put(object, name);
        }
    }

    fn take(object: &mut Object, name: &str) -> Result<Self, JsonError> {
        let unchanged = Value::from(N::GREATEST);
        Self::from_value(object.remove(name).unwrap_or(unchanged), name)
    }
}

/// Settings that belong together: an object in JSON, which is not there when nothing is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<T>(pub T);

impl<T: Body> Field for Group<T> {
    fn read(r: &mut Reader, _: &'static str, revision: Revision) -> Result<Self, DecodeError> {
        T::decode(r, revision).map(Self)
    }

    fn write(
        &self,
        w: &mut Writer,
        _: &'static str,
        revision: Revision,
    ) -> Result<(), EncodeError> {
        self.0.encode(w, revision)
    }

    fn to_value(&self) -> Value {
        Field::to_value(&self.0)
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        Field::from_value(value, name).map(Self)
    }

    fn put(&self, object: &mut Object, name: &str) {
        let value = self.to_value();
        if value != Value::Object(Object::new()) {
            json::put(object, name, value);
        }
    }

    fn take(object: &mut Object, name: &str) -> Result<Self, JsonError> {
        let unchanged = || Value::Object(Object::new());
        Self::from_value(object.remove(name).unwrap_or_else(unchanged), name)
    }
}

/// Fields that one of two standards has at this place. They are there when they fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<T>(pub Option<T>);

impl<T: Body> Field for Extension<T> {
    fn read(r: &mut Reader, _: &'static str, revision: Revision) -> Result<Self, DecodeError> {
        let mut ahead = r.clone();
        let fields = T::decode(&mut ahead, revision).ok();
        if fields.is_some() {
            *r = ahead;
        }
        Ok(Self(fields))
    }

    fn write(
        &self,
        w: &mut Writer,
        _: &'static str,
        revision: Revision,
    ) -> Result<(), EncodeError> {
        self.0
            .as_ref()
            .map_or(Ok(()), |fields| fields.encode(w, revision))
    }

    fn to_value(&self) -> Value {
        self.0.as_ref().map(Field::to_value).into()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        Field::from_value(value, name).map(|fields| Self(Some(fields)))
    }

    fn put(&self, object: &mut Object, name: &str) {
        if let Some(fields) = &self.0 {
            fields.put(object, name);
        }
    }

    fn take(object: &mut Object, name: &str) -> Result<Self, JsonError> {
        match object.remove(name) {
            Some(value) => Self::from_value(value, name),
            None => Ok(Self(None)),
        }
    }
}

/// `N` reserved bytes, or as many as the value still has; `name_hex` in JSON, unless they are as
/// they should be: `N` zeros.
#[derive(Clone, PartialEq, Eq)]
pub struct Reserved<const N: usize>(pub Bytes);

impl<const N: usize> fmt::Debug for Reserved<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&json::to_hex(&self.0))
    }
}

impl<const N: usize> Field for Reserved<N> {
    fn read(r: &mut Reader, name: &'static str, _: Revision) -> Result<Self, DecodeError> {
        r.bytes(name, N.min(r.remaining())).map(Self)
    }

    fn write(&self, w: &mut Writer, _: &'static str, _: Revision) -> Result<(), EncodeError> {
        w.bytes(&self.0);
        Ok(())
    }

    fn to_value(&self) -> Value {
        json::to_hex(&self.0).into()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        let bytes = value.as_str().and_then(json::from_hex);
        bytes
            .filter(|bytes| bytes.len() <= N)
            .map(Self)
            .ok_or_else(|| JsonError::new(name, JsonProblem::Expected("so many bytes in hex")))
    }

    fn put(&self, object: &mut Object, name: &str) {
        if self.0 != [0; N][..] {
            json::put_hex(object, name, &self.0);
        }
    }

    fn take(object: &mut Object, name: &str) -> Result<Self, JsonError> {
        let name = format!("{name}_hex");
        match object.remove(&name) {
            Some(value) => Self::from_value(value, &name),
            None => Ok(Self(Bytes::copy_from_slice(&[0; N]))),
        }
    }
}

/// BCD\[2\] `hhmm`: `name_bcd` with four digits in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockTime(pub [u8; 2]);

impl Field for ClockTime {
    fn read(r: &mut Reader, name: &'static str, revision: Revision) -> Result<Self, DecodeError> {
        Raw::read(r, name, revision).map(|raw| Self(raw.0))
    }

    fn write(&self, w: &mut Writer, _: &'static str, _: Revision) -> Result<(), EncodeError> {
        w.bytes(&self.0);
        Ok(())
    }

    fn to_value(&self) -> Value {
        json::to_hex(&self.0).into()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        Raw::from_value(value, name)
            .map(|raw| Self(raw.0))
            .map_err(|_| JsonError::new(name, JsonProblem::Expected("four digits hhmm")))
    }

    fn put(&self, object: &mut Object, name: &str) {
        json::put(object, &format!("{name}_bcd"), self.to_value());
    }

    fn take(object: &mut Object, name: &str) -> Result<Self, JsonError> {
        let name = format!("{name}_bcd");
        Self::from_value(json::take(object, &name)?, &name)
    }
}

#[cfg(test)]
mod samples {
    use super::{ClockTime, Extension, Group, Reserved, Setting};
    use crate::jt808::{
        Revision,
        message::arbitrary::{Arbitrary, Choices},
    };

    impl<N: Arbitrary> Arbitrary for Setting<N> {
        fn arbitrary(c: &mut Choices, revision: Revision) -> Self {
            Self(c.any(revision))
        }
    }

    impl<T: Arbitrary> Arbitrary for Group<T> {
        fn arbitrary(c: &mut Choices, revision: Revision) -> Self {
            Self(c.any(revision))
        }
    }

    impl<T: Arbitrary> Arbitrary for Extension<T> {
        fn arbitrary(c: &mut Choices, revision: Revision) -> Self {
            Self((c.below(2) == 1).then(|| c.any(revision)))
        }
    }

    impl<const N: usize> Arbitrary for Reserved<N> {
        fn arbitrary(c: &mut Choices, _: Revision) -> Self {
            Self(c.bytes(N))
        }
    }

    impl Arbitrary for ClockTime {
        fn arbitrary(c: &mut Choices, _: Revision) -> Self {
            Self([c.byte(), c.byte()])
        }
    }
}
