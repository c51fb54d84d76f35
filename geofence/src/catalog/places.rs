//! Where in the text of a `FeatureCollection` its features stand, and what of it an edit left alone.

use std::ops::Range;

use serde::de::IgnoredAny;
use serde_json::Value;

/// The places of the features in a text, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// Behind the bracket that opens the array of features.
    open: usize,
    pub(super) features: Vec<Range<usize>>,
    /// The bracket that closes it.
    close: usize,
}

/// How a text came out of an older one: some features in a row of the older one were replaced.
pub(super) struct Replaced {
    /// Which features of the older text are no more.
    pub(super) gone: Range<usize>,
    /// What stands there instead.
    pub(super) new: Vec<Value>,
    /// The places in the newer text.
    pub(super) places: Places,
}

impl Places {
    /// `None` where the text is no object with one array of features.
    pub(super) fn find(text: &str) -> Option<Self> {
        let mut at = text.len() - text.trim_start_matches('\u{feff}').len();
        at = expect(text, at, b'{')?;
        let mut found = None;
        loop {
            let (end, key) = value::<String>(text, at)?;
            at = expect(text, end, b':')?;
            if key == "features" {
                let open = expect(text, at, b'[')?;
                let (features, close) = elements(text, open)?;
                at = close + 1;
                let places = Self {
                    open,
                    features,
                    close,
                };
                if found.replace(places).is_some() {
                    return None;
                }
            } else {
                at = value::<IgnoredAny>(text, at)?.0;
            }
            let Some(after) = expect(text, at, b',') else {
                break;
            };
            at = after;
        }
        expect(text, at, b'}')?;
        found
    }

    /// Compares a text with the older one that these are the places of; `None` where more than its
    /// features changed.
    pub(super) fn replaced(&self, old: &str, new: &str) -> Option<Replaced> {
        if old == new {
            return Some(Replaced {
                gone: 0..0,
                new: Vec::new(),
                places: self.clone(),
            });
        }
        let before = same_start(old.as_bytes(), new.as_bytes());
        let room = old.len().min(new.len()) - before;
        let behind = same_end(old.as_bytes(), new.as_bytes()).min(room);
        let from = self.features.partition_point(|place| place.end <= before);
        let changed_until = old.len() - behind;
        let to = self
            .features
            .partition_point(|place| place.start < changed_until)
            .max(from);
        let start = match from.checked_sub(1) {
            Some(last) => self.features.get(last)?.end,
            None => self.open,
        };
        let end = self.features.get(to).map_or(self.close, |next| next.start);
        if start > before || end < changed_until {
            return None;
        }
        let moved = |place: usize| (place + new.len()).checked_sub(old.len());
        let between = new.get(start..moved(end)?)?;
        // With something on both sides of it, so that every comma has its two neighbours.
        let left = if from > 0 { "[0" } else { "[" };
        let right = if to < self.features.len() { "0]" } else { "]" };
        let array = [left, between, right].concat();
        let (all, close) = elements(&array, 1)?;
        if close + 1 != array.len() {
            return None;
        }
        let own = usize::from(from > 0)..all.len().checked_sub(usize::from(right == "0]"))?;
        let own = all.get(own)?;
        let values = own.iter().map(|place| {
            let text = array.get(place.clone())?;
            serde_json::from_str(text).ok()
        });
        let values: Vec<Value> = values.collect::<Option<_>>()?;
        let shift = |place: &Range<usize>| {
            let at = |byte: usize| (byte + start).checked_sub(left.len());
            Some(at(place.start)?..at(place.end)?)
        };
        let kept = self.features.get(..from)?.iter().cloned().map(Some);
        let behind = self.features.get(to..)?.iter();
        let behind = behind.map(|place| Some(moved(place.start)?..moved(place.end)?));
        let features = kept.chain(own.iter().map(shift)).chain(behind);
        Some(Replaced {
            gone: from..to,
            new: values,
            places: Self {
                open: self.open,
                features: features.collect::<Option<_>>()?,
                close: moved(self.close)?,
            },
        })
    }

    /// The text with a feature in the place of one, or behind all others.
    pub(super) fn put(&self, text: &str, index: Option<usize>, feature: &str) -> Option<String> {
        let place = match index {
            Some(index) => self.features.get(index)?.clone(),
            None => {
                let end = self.features.last().map_or(self.open, |last| last.end);
                end..end
            }
        };
        let comma = if index.is_none() && !self.features.is_empty() {
            ","
        } else {
            ""
        };
        let (before, behind) = (text.get(..place.start)?, text.get(place.end..)?);
        Some([before, comma, feature, behind].concat())
    }

    /// The text without a feature.
    pub(super) fn remove(&self, text: &str, index: usize) -> Option<String> {
        let own = self.features.get(index)?;
        let before = index.checked_sub(1).and_then(|i| self.features.get(i));
        let place = match (self.features.get(index + 1), before) {
            (Some(next), _) => own.start..next.start,
            (None, Some(before)) => before.end..own.end,
            (None, None) => own.clone(),
        };
        Some([text.get(..place.start)?, text.get(place.end..)?].concat())
    }
}

/// Bytes that are compared at once.
const BLOCK: usize = 4_096;

/// How many bytes at the start of both are equal.
fn same_start(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.chunks(BLOCK).zip(b.chunks(BLOCK));
    let whole = BLOCK
        * blocks
            .take_while(|(a, b)| a == b && a.len() == BLOCK)
            .count();
    let rest = a.iter().skip(whole).zip(b.iter().skip(whole));
    whole + rest.take_while(|(a, b)| a == b).count()
}

/// How many bytes at the end of both are equal.
fn same_end(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.rchunks(BLOCK).zip(b.rchunks(BLOCK));
    let whole = BLOCK
        * blocks
            .take_while(|(a, b)| a == b && a.len() == BLOCK)
            .count();
    let rest = a.iter().rev().skip(whole).zip(b.iter().rev().skip(whole));
    whole + rest.take_while(|(a, b)| a == b).count()
}

/// The places of the elements of an array whose bracket was opened before `at`, and that of the
/// bracket that closes it.
fn elements(text: &str, mut at: usize) -> Option<(Vec<Range<usize>>, usize)> {
    let mut places = Vec::new();
    if let Some(end) = expect(text, at, b']') {
        return Some((places, end - 1));
    }
    loop {
        let start = skip_space(text, at);
        let (end, _) = value::<IgnoredAny>(text, start)?;
        places.push(start..end);
        match expect(text, end, b',') {
            Some(after) => at = after,
            None => return Some((places, expect(text, end, b']')? - 1)),
        }
    }
}

/// Reads the value that begins at a place, and tells where it ends.
fn value<'a, T: serde::Deserialize<'a>>(text: &'a str, at: usize) -> Option<(usize, T)> {
    let mut values = serde_json::Deserializer::from_str(text.get(at..)?).into_iter();
    let value = values.next()?.ok()?;
    Some((at + values.byte_offset(), value))
}

fn skip_space(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes().iter().skip(at);
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    at + bytes.take_while(is_space).count()
}

/// Behind this byte, if it is the next.
fn expect(text: &str, at: usize, byte: u8) -> Option<usize> {
    let at = skip_space(text, at);
    (text.as_bytes().get(at) == Some(&byte)).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn text(features: &[u32], space: &str) -> String {
        let features: Vec<String> = features
            .iter()
            .map(|id| format!("{{{space}\"id\":\"[{id},{{\"}}"))
            .collect();
        let comma = format!("{space},{space}");
        format!(
            "{{\"name\":{{\"a\":[1,2]}},{space}\"features\":[{space}{}{space}],\"n\":1.5}}",
            features.join(&comma)
        )
    }

    fn read(text: &str) -> Vec<Value> {
        let root: Value = serde_json::from_str(text).unwrap();
        root["features"].as_array().unwrap().clone()
    }

    fn at(text: &str, places: &Places) -> Vec<Value> {
        let features = places.features.iter();
        features
            .map(|place| serde_json::from_str(text.get(place.clone()).unwrap()).unwrap())
            .collect()
    }

    proptest! {
        #[test]
        fn what_was_replaced_makes_the_new_text_from_the_old(
            old in proptest::collection::vec(0..30_u32, 0..8),
            new in proptest::collection::vec(0..30_u32, 0..8),
            space in "[ \n]{0,2}",
        ) {
            let (old, new) = (text(&old, &space), text(&new, &space));
            let places = Places::find(&old).unwrap();
            prop_assert_eq!(at(&old, &places), read(&old));
            let replaced = places.replaced(&old, &new).unwrap();
            let mut features = read(&old);
            features.splice(replaced.gone, replaced.new);
            prop_assert_eq!(&features, &read(&new));
            prop_assert_eq!(&replaced.places, &Places::find(&new).unwrap());
        }

        #[test]
        fn a_feature_is_put_and_removed_in_its_place(
            ids in proptest::collection::vec(0..30_u32, 1..8),
            index in 0..8_usize,
            space in "[ \n]{0,2}",
        ) {
            let old = text(&ids, &space);
            let places = Places::find(&old).unwrap();
            let index = index % ids.len();
            let mut features = read(&old);
            features[index] = json!({"b": 1});
            let put = places.put(&old, Some(index), r#"{"b":1}"#).unwrap();
            prop_assert_eq!(read(&put), features);
            let mut features = read(&old);
            features.push(json!({"b": 1}));
            prop_assert_eq!(read(&places.put(&old, None, r#"{"b":1}"#).unwrap()), features);
            let mut features = read(&old);
            features.remove(index);
            prop_assert_eq!(read(&places.remove(&old, index).unwrap()), features);
        }
    }

    #[test]
    fn what_is_no_collection_has_no_places() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"features":{}}"#,
            r#"{"features":[],"features":[]}"#,
            r#"{"features":[{}"#,
        ] {
            assert_eq!(Places::find(text), None, "{text}");
        }
        let empty = Places::find("\u{feff}{\"features\":[ ]}").unwrap();
        let put = empty.put("\u{feff}{\"features\":[ ]}", None, "{}").unwrap();
        assert_eq!(put, "\u{feff}{\"features\":[{} ]}");
    }

    #[test]
    fn more_than_features_changed() {
        let old = r#"{"type":"a","features":[{"id":1}]}"#;
        let places = Places::find(old).unwrap();
        for new in [
            r#"{"type":"b","features":[{"id":1}]}"#,
            r#"{"type":"a","features":[{"id":1}],"x":1}"#,
            r#"{"type":"a","features":[{"id":1}]"#,
            r#"{"type":"a","features":[{"id":2}],"features":[{"id":1}]}"#,
            r#"{"type":"a","features":[{"id":2},]}"#,
        ] {
            assert!(places.replaced(old, new).is_none(), "{new}");
        }
    }
}
