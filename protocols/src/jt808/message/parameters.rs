//! 0x0104 parameters of the terminal (查询终端参数应答): terminal -> platform, the answer to
//! [0x8104](super::parameter_query) and [0x8106](super::parameter_query_given), answered by 0x8001.
//!
//! | offset | field           | wire | notes                                                     |
//! |--------|-----------------|------|-----------------------------------------------------------|
//! |      0 | answered serial | WORD | serial number of the query                                |
//! |      2 | parameters      | list | see below                                                 |
//!
//! The list is that of [0x8103](super::parameter_setting) as well:
//!
//! | field      | wire                     | notes                                              |
//! |------------|--------------------------|----------------------------------------------------|
//! | count      | BYTE                     | 2011: of all packets                               |
//! | count here | BYTE                     | 2011 only: of this packet                          |
//! | parameters | id DWORD, length BYTE, value | an id comes again for each of several values   |
//!
//! The layout of 2011 is read where that of 2013 does not fit and it does, to the last byte and with
//! a parameter at least; few terminals know it. The lengths alone divide the list: makers choose
//! other widths than the [table] has.
//!
//! In JSON `params` has the bytes of each value under its id, as they came, and `params_by_name`
//! those that have a name and a reading. Either field sets parameters, by name with a value or by
//! id with hex: `{"heartbeat_interval_s": 60}` is `{"0x00000001": "0000003c"}`. Several values of
//! one parameter are an array. What stands in both must say the same.

pub mod active_safety;
mod json_form;
mod structure;
pub mod table;
#[cfg(test)]
mod tests;
pub mod value;
pub mod video;

use bytes::Bytes;
use serde_json::Value;

use self::table::ParameterInfo;
use super::{
    field::{Code32, Field, Rest, layout},
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, EncodeErrorKind, Reader, Writer},
};

layout! {
    /// What the parameters of a terminal are.
    pub struct Parameters {
        /// Serial number of the query.
        pub answered_serial as "reply_serial": u16,
        /// The parameters.
        pub parameters as "params": ParameterList,
    }
}

/// Which parameter (参数ID); `0x` and eight hex digits in JSON, where names are taken as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParameterId(pub u32);

impl ParameterId {
    const EXPECTED: &str = "the name of a parameter, or an id such as 0x00000001";

    /// What the table knows of it.
    #[must_use]
    pub fn info(self) -> Option<&'static ParameterInfo> {
        table::find(self)
    }

    /// The parameter of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        table::of_name(name)
    }

    fn of_key(key: &str) -> Result<Self, JsonError> {
        Self::from_value(key.into(), key)
    }
}

impl Field for ParameterId {
    fn read(r: &mut Reader, name: &'static str, _: Revision) -> Result<Self, DecodeError> {
        r.dword(name).map(Self)
    }

    fn write(&self, w: &mut Writer, _: &'static str, _: Revision) -> Result<(), EncodeError> {
        w.dword(self.0);
        Ok(())
    }

    fn to_value(&self) -> Value {
        Code32(self.0).to_value()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        match value.as_str().and_then(Self::of_name) {
            Some(id) => Ok(id),
            None => json::code(&value, name, Self::EXPECTED).map(Self),
        }
    }
}

/// One parameter and one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Which one.
    pub id: ParameterId,
    /// Its value on the wire, at most 255 bytes.
    pub value: Bytes,
}

impl Parameter {
    /// A BYTE counts the bytes of a value.
    pub const VALUE_BYTES_MAX: usize = 255;

    /// The value in the table's terms; `None` for a parameter that is not there, and for bytes that
    /// its type does not have.
    #[must_use]
    pub fn reading(&self) -> Option<Value> {
        self.id.info()?.kind.read(&self.value)
    }

    fn read(r: &mut Reader) -> Result<Self, DecodeError> {
        let id = ParameterId(r.dword("parameter.id")?);
        let length = r.byte("parameter.length")?;
        let value = r.bytes("parameter.value", length.into())?;
        Ok(Self { id, value })
    }
}

/// Parameters in the order of the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterList {
    /// The count of all packets, where the list has the layout of 2011: at least the entries here,
    /// of which there is one or more.
    pub total_2011: Option<u8>,
    /// The parameters; at most 255.
    pub entries: Vec<Parameter>,
    /// Bytes beyond the layout.
    pub rest: Rest,
}

impl ParameterList {
    /// In the layout of 2013.
    #[must_use]
    pub fn new(entries: Vec<Parameter>) -> Self {
        Self {
            entries,
            ..Self::default()
        }
    }

    /// The values of one parameter.
    pub fn of(&self, id: ParameterId) -> impl Iterator<Item = &Bytes> {
        let of_id = move |entry: &&Parameter| entry.id == id;
        self.entries.iter().filter(of_id).map(|entry| &entry.value)
    }

    fn read_2011(mut r: Reader) -> Option<Self> {
        let total = r.byte("count").ok()?;
        let entries = entries(&mut r).ok()?;
        // A prefix of the later layout would otherwise be a packet without parameters.
        let is_one = (1..=usize::from(total)).contains(&entries.len());
        (is_one && r.remaining() == 0).then(|| Self {
            total_2011: Some(total),
            ..Self::new(entries)
        })
    }
}

fn entries(r: &mut Reader) -> Result<Vec<Parameter>, DecodeError> {
    /// An id and a length, and the bytes of the value.
    const ENTRY_BYTES_MIN: usize = 5;

    let count = usize::from(r.byte("count")?);
    let mut entries = Vec::with_capacity(count.min(r.remaining() / ENTRY_BYTES_MIN));
    for _ in 0..count {
        entries.push(Parameter::read(r)?);
    }
    Ok(entries)
}

impl Field for ParameterList {
    fn read(r: &mut Reader, _: &'static str, _: Revision) -> Result<Self, DecodeError> {
        let start = r.clone();
        let list = entries(r);
        if (list.is_err() || r.remaining() > 0)
            && let Some(list) = Self::read_2011(start)
        {
            r.rest();
            return Ok(list);
        }
        Ok(Self {
            rest: Rest(r.rest()),
            ..Self::new(list?)
        })
    }

    fn write(&self, w: &mut Writer, name: &'static str, _: Revision) -> Result<(), EncodeError> {
        if let Some(total) = self.total_2011 {
            w.byte(total);
        }
        let count = self.entries.len();
        let kind = EncodeErrorKind::TooMany {
            count,
            count_max: 255,
        };
        let count = u8::try_from(count).map_err(|_| EncodeError { field: name, kind })?;
        w.byte(count);
        for entry in &self.entries {
            w.dword(entry.id.0);
            w.counted(name, &entry.value)?;
        }
        w.bytes(&self.rest.0);
        Ok(())
    }

    fn to_value(&self) -> Value {
        json_form::by_id(self).into()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        json_form::entries(value, name).map(Self::new)
    }

    fn put(&self, object: &mut Object, name: &str) {
        json_form::put(self, object, name);
    }

    fn take(object: &mut Object, name: &str) -> Result<Self, JsonError> {
        json_form::take(object, name)
    }
}
