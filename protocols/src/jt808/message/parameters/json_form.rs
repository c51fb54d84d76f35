//! The two JSON forms of a list of parameters, by id and by name, and how they are read.

use serde_json::{Value, map::Entry};

use super::{Parameter, ParameterId, ParameterList};
use crate::jt808::message::{
    field::{Field as _, Rest},
    json::{self, JsonError, JsonProblem, Object},
};

const COUNT: &str = "count";
/// Entries of a list in the layout of 2011; only there.
const PACKET_COUNT: &str = "packet_count";

const HEX: JsonProblem = JsonProblem::Expected("bytes in hex");

pub(super) fn put(list: &ParameterList, object: &mut Object, name: &str) {
    let count = list.entries.len();
    match list.total_2011 {
        None => json::put(object, COUNT, count),
        Some(total) => {
            json::put(object, COUNT, total);
            json::put(object, PACKET_COUNT, count);
        }
    }
    json::put(object, name, by_id(list));
    let by_name = by_name(list);
    if !by_name.is_empty() {
        json::put(object, &name_of_readings(name), by_name);
    }
    list.rest.put(object, name);
}

pub(super) fn take(object: &mut Object, name: &str) -> Result<ParameterList, JsonError> {
    let name_of_readings = name_of_readings(name);
    let readings = object.remove(&name_of_readings);
    let mut list = match object.remove(name) {
        Some(value) => entries(value, name)?,
        None if readings.is_some() => Vec::new(),
        None => return Err(JsonError::new(name, JsonProblem::Missing)),
    };
    if let Some(readings) = readings {
        add(&mut list, readings, &name_of_readings)?;
    }
    let count = object.remove(COUNT);
    let total_2011 = match object.remove(PACKET_COUNT) {
        None => None,
        Some(_) => {
            let total = count.unwrap_or_else(|| list.len().into());
            let total = u8::from_value(total, COUNT)?;
            if !(1..=usize::from(total)).contains(&list.len()) {
                let expected = "at least the parameters that are here, of which there is one";
                return Err(JsonError::new(COUNT, JsonProblem::Expected(expected)));
            }
            Some(total)
        }
    };
    Ok(ParameterList {
        total_2011,
        entries: list,
        rest: Rest::take(object, name)?,
    })
}

fn name_of_readings(name: &str) -> String {
    format!("{name}_by_name")
}

/// The bytes of each value, under the ids.
pub(super) fn by_id(list: &ParameterList) -> Object {
    let mut object = Object::new();
    for entry in &list.entries {
        let key = format!("0x{:08x}", entry.id.0);
        add_value(&mut object, key, json::to_hex(&entry.value).into());
    }
    object
}

/// The readings, under the names. A parameter of several values has a reading when all have.
fn by_name(list: &ParameterList) -> Object {
    let mut object = Object::new();
    for entry in &list.entries {
        let Some(info) = entry.id.info() else {
            continue;
        };
        let mut values = list.entries.iter().filter(|other| other.id == entry.id);
        if let Some(reading) = entry.reading()
            && values.all(|other| other.reading().is_some())
        {
            add_value(&mut object, info.name_of(entry.id), reading);
        }
    }
    object
}

/// A second value makes an array. No value is one itself.
fn add_value(object: &mut Object, key: String, value: Value) {
    match object.entry(key) {
        Entry::Vacant(vacant) => drop(vacant.insert(value)),
        Entry::Occupied(mut occupied) => match occupied.get_mut() {
            Value::Array(values) => values.push(value),
            first => *first = Value::Array(vec![first.take(), value]),
        },
    }
}

/// The parameters of an object, by name or by id.
pub(super) fn entries(value: Value, name: &str) -> Result<Vec<Parameter>, JsonError> {
    let mut entries = Vec::new();
    add(&mut entries, value, name).map(|()| entries)
}

/// Adds the parameters of an object. Those that are there already must say the same.
fn add(list: &mut Vec<Parameter>, value: Value, name: &str) -> Result<(), JsonError> {
    let Value::Object(object) = value else {
        let expected = "an object of parameters by their names or ids";
        return Err(JsonError::new(name, JsonProblem::Expected(expected)));
    };
    for (key, value) in object {
        let more = if_new(list, &key, value).map_err(|error| error.inside(name))?;
        list.extend(more);
    }
    Ok(())
}

fn if_new(list: &[Parameter], key: &str, value: Value) -> Result<Vec<Parameter>, JsonError> {
    let id = ParameterId::of_key(key)?;
    let values = match value {
        Value::Array(values) => values,
        value => vec![value],
    };
    let there: Vec<_> = list.iter().filter(|entry| entry.id == id).collect();
    // A reading may stand for bytes that would not be written for it, such as another width.
    let says_the_same = there.len() == values.len()
        && there.iter().zip(&values).all(|(there, value)| {
            there.reading().as_ref() == Some(value)
                || entry(id, value.clone(), key).is_ok_and(|other| other == **there)
        });
    match (there.is_empty(), says_the_same) {
        (true, _) => values
            .into_iter()
            .map(|value| entry(id, value, key))
            .collect(),
        (false, true) => Ok(Vec::new()),
        (false, false) => {
            let expected = "what is said of it elsewhere, or stand in one place only";
            Err(JsonError::new(key, JsonProblem::Expected(expected)))
        }
    }
}

/// By id a string is hex; anything else is a value of the parameter's type.
fn entry(id: ParameterId, value: Value, key: &str) -> Result<Parameter, JsonError> {
    let is_by_id = key.starts_with("0x");
    let value = match (id.info(), &value) {
        (_, Value::String(hex)) if is_by_id => {
            json::from_hex(hex).ok_or_else(|| JsonError::new(key, HEX))?
        }
        (Some(info), _) => info.kind.write(value, key)?,
        (None, _) => return Err(JsonError::new(key, HEX)),
    };
    if value.len() > Parameter::VALUE_BYTES_MAX {
        let expected = JsonProblem::Expected("at most 255 bytes on the wire");
        return Err(JsonError::new(key, expected));
    }
    Ok(Parameter { id, value })
}
