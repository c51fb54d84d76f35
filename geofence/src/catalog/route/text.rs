//! Objects within the properties of a feature: every mistake is named with the way to it.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::super::{
    features::{Feature, Notes, unknown_keys},
    mistake::Problem,
};

/// An object of an array in the properties of a feature.
pub(super) struct Member<'f, 'a> {
    pub(super) feature: &'f Feature<'a>,
    pub(super) object: &'a Map<String, Value>,
    /// As in `points[2]`.
    pub(super) way: String,
}

/// The objects of an array, where there is one.
pub(super) fn members<'f, 'a>(
    feature: &'f Feature<'a>,
    key: &str,
    known: &[&str],
    notes: &mut Notes<'_>,
) -> Option<Vec<Member<'f, 'a>>> {
    let value = feature.properties.get(key)?;
    let Some(list) = value.as_array() else {
        feature.wrong(key, value, "an array of objects", notes);
        return None;
    };
    let mut members = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let way = format!("{key}[{index}]");
        match value.as_object() {
            Some(object) => {
                unknown_keys(object, known, &feature.place, notes);
                members.push(Member {
                    feature,
                    object,
                    way,
                });
            }
            None => feature.wrong(&way, value, "an object", notes),
        }
    }
    Some(members)
}

impl Member<'_, '_> {
    pub(super) fn wrong(&self, key: &str, value: &Value, expected: &str, notes: &mut Notes<'_>) {
        let way = format!("{}.{key}", self.way);
        self.feature.wrong(&way, value, expected, notes);
    }

    /// A text, where it is given.
    pub(super) fn text(&self, key: &str, notes: &mut Notes<'_>) -> Option<String> {
        match self.object.get(key)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
            other => {
                self.wrong(key, other, "a text", notes);
                None
            }
        }
    }

    /// A number in a range, where it is given.
    pub(super) fn number(
        &self,
        key: &str,
        range: RangeInclusive<f64>,
        notes: &mut Notes<'_>,
    ) -> Option<f64> {
        let value = self.object.get(key)?;
        let number = value.as_f64().filter(|number| range.contains(number));
        if number.is_none() {
            let expected = format!("a number from {} to {}", range.start(), range.end());
            self.wrong(key, value, &expected, notes);
        }
        number
    }

    /// Yes or no, where it is given.
    pub(super) fn flag(&self, key: &str, notes: &mut Notes<'_>) -> Option<bool> {
        let value = self.object.get(key)?;
        if value.as_bool().is_none() {
            self.wrong(key, value, "true or false", notes);
        }
        value.as_bool()
    }

    pub(super) fn fault(&self, fault: impl Into<String>, notes: &mut Notes<'_>) {
        let problem = Problem::Route {
            what: self.way.clone(),
            fault: fault.into(),
        };
        notes.add(&self.feature.place, problem);
    }
}

/// One of the words, where it is given, for a property of the route or of a member of it.
pub(super) fn choice<T: Copy>(
    value: Option<&Value>,
    choices: &[(&str, T)],
    wrong: impl FnOnce(&Value, &str),
) -> Option<T> {
    let value = value?;
    let found = choices
        .iter()
        .find(|(word, _)| value.as_str() == Some(word))
        .map(|(_, choice)| *choice);
    if found.is_none() {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        wrong(value, &format!("one of {}", words.join(", ")));
    }
    found
}
