//! From the text of a file to profiles. All mistakes are found in one go, each with its line.

use std::{fmt, ops::Range};

use serde::Deserialize;
use toml::Spanned;

use super::{
    AuthCodeForm, GMT8_MINUTES, LengthError, Pattern, Profile, STANDARD, Terminals, TextEncoding,
    headers::{HEADERS_MAX, HeaderForm, Headers},
    item::{Bits, Condition, Elements, Form, Item, NUMBER_BYTES_MAX, Scale},
    list::{Fields, List, ListForm},
};

/// Bytes of the longest item: its length is a BYTE.
const ITEM_BYTES_MAX: u8 = u8::MAX;
const NO_CONDITION: &str = "no value meets its condition: width is 1 to 6, least up to most";
/// Zones of the earth, in minutes east of UTC.
const UTC_OFFSETS_MINUTES: std::ops::RangeInclusive<i16> = -12 * 60..=14 * 60;

/// A file of profiles that does not follow the form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.mistakes))]
pub struct ProfileError {
    /// What is wrong, in the order of the file; not empty. A file that is no TOML, or has a wrong
    /// key or type, gives the first mistake only.
    pub mistakes: Vec<Mistake>,
}

fn lines(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
    lines.join("\n")
}

/// One mistake and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Line of the file, from 1.
    pub line: usize,
    /// Profile that it stands in, where that is known.
    pub profile: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if let Some(profile) = &self.profile {
            write!(f, "profile {profile}: ")?;
        }
        self.problem.fmt(f)
    }
}

/// What is wrong in a file of profiles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No TOML, an unknown or missing key, or a value of another type.
    #[error("{0}")]
    Toml(String),
    /// Names are words of a-z, 0-9, `-` and `_`.
    #[error("{0:?} is no name: a-z, 0-9, - and _")]
    Name(String),
    /// The standard cannot be replaced.
    #[error("the name `standard` is taken")]
    StandardIsTaken,
    /// Two profiles with one name.
    #[error("a second profile of this name")]
    NameTwice,
    /// It would be chosen for every terminal.
    #[error("an entry of `fits` names neither a maker nor a model")]
    FitsAll,
    /// No zone of the earth.
    #[error("utc_offset_minutes is {0}, it is from -720 to 840")]
    UtcOffset(i16),
    /// Two lists with one id.
    #[error("a second list {0:#04x}")]
    ListTwice(u16),
    /// A key of a list that does not go with the others.
    #[error("list {id:#04x}: {what}")]
    List {
        /// List.
        id: u16,
        /// Why not.
        what: &'static str,
    },
    /// Two headers with one id, an id of one byte above 0xff, or too many of them.
    #[error("header {id:#04x}: {what}")]
    Header {
        /// Item.
        id: u16,
        /// Why not.
        what: &'static str,
    },
    /// A part of an item that is no list.
    #[error("item {0:#04x} has a part, and there is no list {0:#04x}")]
    PartOfNoList(u16),
    /// A value on the wire that no item of its list can have.
    #[error("item {id:#04x}: part {part:#06x} is above 0xff, the greatest of its list")]
    PartTooGreat {
        /// Item.
        id: u16,
        /// Its part.
        part: u16,
    },
    /// A key of an item that does not go with the others.
    #[error("item {id:#04x}: {what}")]
    Item {
        /// Item.
        id: u16,
        /// Why not.
        what: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    profile: Vec<Spanned<RawProfile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProfile {
    name: String,
    #[serde(default)]
    fits: Vec<Spanned<RawTerminals>>,
    utc_offset_minutes: Option<Spanned<i16>>,
    #[serde(default)]
    text: TextEncoding,
    #[serde(default)]
    auth_code: AuthCodeForm,
    #[serde(default)]
    tolerates: Vec<LengthError>,
    #[serde(default)]
    headers: Vec<Spanned<RawHeader>>,
    #[serde(default)]
    lists: Vec<Spanned<RawList>>,
    #[serde(default)]
    items: Vec<Spanned<RawItem>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTerminals {
    maker: Option<String>,
    model: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeader {
    id: u16,
    form: HeaderForm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawList {
    id: u16,
    #[serde(default)]
    after: u8,
    form: ListForm,
    #[serde(default)]
    widths: Vec<u8>,
    #[serde(default)]
    head: u8,
    #[serde(default)]
    repeats: bool,
    when: Option<RawCondition>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCondition {
    #[serde(default)]
    at: u8,
    width: u8,
    least: u64,
    most: Option<u64>,
}

impl RawCondition {
    /// `None` when no value can hold it.
    fn into_condition(self) -> Option<Condition> {
        let width = usize::from(self.width);
        let all = 1_u64
            .checked_shl(u32::from(self.width) * 8)?
            .checked_sub(1)?;
        let most = self.most.unwrap_or(all);
        let is_good = (1..=NUMBER_BYTES_MAX).contains(&width) && self.least <= most && most <= all;
        is_good.then(|| Condition {
            at: self.at.into(),
            width,
            least: self.least,
            most,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawItem {
    id: u16,
    part: Option<u16>,
    name: String,
    unit: Option<String>,
    bytes: Option<RawLength>,
    every: Option<u8>,
    #[serde(default)]
    after: u8,
    #[serde(default)]
    at: u8,
    width: Option<u8>,
    #[serde(default, rename = "as")]
    form: Form,
    divide_by: Option<u16>,
    add: Option<i32>,
    bit: Option<u8>,
    bits: Option<u8>,
    #[serde(default)]
    inverted: bool,
    #[serde(default)]
    none: Vec<u64>,
    column: Option<u8>,
    when: Option<RawCondition>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum RawLength {
    Exactly(u8),
    Between([u8; 2]),
}

/// Whose file it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Ours, in which the standard stands.
    Builtin,
    Operator,
}

pub(super) fn read(text: &str, whose: Whose) -> Result<Vec<Profile>, ProfileError> {
    let raw: RawFile = toml::from_str(text).map_err(|error| {
        let mistake = Mistake {
            line: line_of(text, &error.span().unwrap_or_default()),
            profile: None,
            problem: Problem::Toml(error.message().to_owned()),
        };
        ProfileError {
            mistakes: vec![mistake],
        }
    })?;
    let mut reading = Reading {
        text,
        profile: String::new(),
        mistakes: Vec::new(),
    };
    let mut profiles: Vec<Profile> = Vec::with_capacity(raw.profile.len());
    for raw in raw.profile {
        let span = raw.span();
        let raw = raw.into_inner();
        reading.profile.clone_from(&raw.name);
        if !is_name(&raw.name) {
            reading.add(&span, Problem::Name(raw.name.clone()));
        }
        if raw.name == STANDARD && whose == Whose::Operator {
            reading.add(&span, Problem::StandardIsTaken);
        }
        if profiles.iter().any(|profile| profile.name == raw.name) {
            reading.add(&span, Problem::NameTwice);
        }
        profiles.push(reading.profile(raw));
    }
    let Reading { mistakes, .. } = reading;
    if mistakes.is_empty() {
        Ok(profiles)
    } else {
        Err(ProfileError { mistakes })
    }
}

/// A file that is being read.
struct Reading<'a> {
    text: &'a str,
    profile: String,
    mistakes: Vec<Mistake>,
}

impl Reading<'_> {
    fn add(&mut self, span: &Range<usize>, problem: Problem) {
        self.mistakes.push(Mistake {
            line: line_of(self.text, span),
            profile: Some(self.profile.clone()),
            problem,
        });
    }

    fn profile(&mut self, raw: RawProfile) -> Profile {
        let mut fits = Vec::with_capacity(raw.fits.len());
        for raw in raw.fits {
            let terminals = Terminals {
                maker: raw.get_ref().maker.as_deref().and_then(pattern),
                model: raw.get_ref().model.as_deref().and_then(pattern),
            };
            if terminals.maker.is_none() && terminals.model.is_none() {
                self.add(&raw.span(), Problem::FitsAll);
            }
            fits.push(terminals);
        }
        let offset = raw.utc_offset_minutes;
        if let Some(offset) = &offset
            && !UTC_OFFSETS_MINUTES.contains(offset.get_ref())
        {
            self.add(&offset.span(), Problem::UtcOffset(*offset.get_ref()));
        }
        let headers = self.headers(raw.headers);
        let lists = self.lists(raw.lists);
        let items = self.items(raw.items, &lists);
        Profile {
            name: raw.name,
            fits,
            utc_offset_minutes: offset.map_or(GMT8_MINUTES, Spanned::into_inner),
            text: raw.text,
            auth_code: raw.auth_code,
            tolerates: raw.tolerates,
            headers,
            lists,
            items,
        }
    }

    fn headers(&mut self, raw: Vec<Spanned<RawHeader>>) -> Headers {
        let mut headers: Vec<(u16, HeaderForm)> = Vec::with_capacity(raw.len());
        for raw in raw {
            let RawHeader { id, form } = *raw.get_ref();
            let what = if headers.iter().any(|header| header.0 == id) {
                "a second one"
            } else if !form.has_wide_id() && id > 0xFF {
                "its id has one byte"
            } else if headers.len() == HEADERS_MAX {
                "there are 16 of them already"
            } else {
                headers.push((id, form));
                continue;
            };
            self.add(&raw.span(), Problem::Header { id, what });
        }
        Headers::new(&headers).unwrap_or_default()
    }

    fn lists(&mut self, raw: Vec<Spanned<RawList>>) -> Vec<List> {
        let mut lists: Vec<List> = Vec::with_capacity(raw.len());
        for raw in raw {
            let span = raw.span();
            let raw = raw.into_inner();
            if lists.iter().any(|list| list.id == raw.id) {
                self.add(&span, Problem::ListTwice(raw.id));
            }
            match raw.into_list() {
                Ok(list) => lists.push(list),
                Err(problem) => self.add(&span, problem),
            }
        }
        lists
    }

    fn items(&mut self, raw: Vec<Spanned<RawItem>>, lists: &[List]) -> Vec<Item> {
        let mut items = Vec::with_capacity(raw.len());
        for raw in raw {
            let span = raw.span();
            let raw = raw.into_inner();
            match check(&raw, lists).and_then(|()| raw.into_item()) {
                Ok(item) => items.push(item),
                Err(problem) => self.add(&span, problem),
            }
        }
        items.sort_by_key(Item::key);
        items
    }
}

/// What does not depend on the widths.
fn check(raw: &RawItem, lists: &[List]) -> Result<(), Problem> {
    let id = raw.id;
    let list = lists.iter().find(|list| list.id == id);
    match (raw.part, list) {
        (None, _) => {}
        (Some(_), None) => return Err(Problem::PartOfNoList(id)),
        (Some(part), Some(list)) => {
            if part > list.form.part_max() {
                return Err(Problem::PartTooGreat { id, part });
            }
        }
    }
    let has_wire_keys = raw.bit.is_some() || !raw.none.is_empty();
    let has_scale = raw.divide_by.is_some() || raw.add.is_some();
    let what = if !is_name(&raw.name) {
        "its name is none: a-z, 0-9, - and _"
    } else if (has_wire_keys && !raw.form.is_number())
        || (has_scale && !raw.form.is_number() && raw.form != Form::Decimal)
    {
        "divide_by, add, bit and none are for numbers"
    } else if raw.column.is_some() && raw.form.is_number() {
        "column is for texts"
    } else if raw.divide_by == Some(0) {
        "divide_by is 0"
    } else if raw.every == Some(0) {
        "every is 0"
    } else if raw.after > 0 && raw.every.is_none() {
        "after is for values with every"
    } else if raw.bit.is_none() && (raw.bits.is_some() || raw.inverted) {
        "bits and inverted are for values with bit"
    } else if raw.bit.is_some() && raw.form != Form::Unsigned {
        "bits are unsigned"
    } else if matches!(raw.bytes, Some(RawLength::Between([min, max])) if min > max) {
        "the least of its bytes is above the most"
    } else {
        return Ok(());
    };
    Err(Problem::Item { id, what })
}

impl RawList {
    fn into_list(self) -> Result<List, Problem> {
        let fail = |what| Err(Problem::List { id: self.id, what });
        let widths: Vec<usize> = self.widths.iter().map(|width| (*width).into()).collect();
        let has_mask_keys = !widths.is_empty() || self.head > 0 || self.repeats;
        match self.form.mask_bits() {
            None if has_mask_keys => return fail("widths, head and repeats are for masks"),
            Some(_) if widths.is_empty() => return fail("a mask needs the widths of its fields"),
            Some(bits) if widths.len() > bits => return fail("more widths than bits"),
            _ => {}
        }
        let condition = self.when.map(RawCondition::into_condition);
        if condition == Some(None) {
            return fail(NO_CONDITION);
        }
        Ok(List {
            id: self.id,
            after: self.after.into(),
            form: self.form,
            fields: Fields {
                widths,
                head: self.head.into(),
                repeats: self.repeats,
            },
            condition: condition.flatten(),
        })
    }
}

impl RawItem {
    fn into_item(self) -> Result<Item, Problem> {
        let id = self.id;
        let fail = |what| Err(Problem::Item { id, what });
        let (bytes_min, bytes_max) = match self.bytes {
            None => (0, ITEM_BYTES_MAX),
            Some(RawLength::Exactly(bytes)) => (bytes, bytes),
            Some(RawLength::Between([min, max])) => (min, max),
        };
        // Bytes of which the field is a part, where they are always as many.
        let whole = self
            .every
            .or_else(|| (bytes_min == bytes_max).then_some(bytes_min));
        let at = usize::from(self.at);
        let mut width = self.width.map(usize::from);
        if self.form.is_number() {
            width = width.or_else(|| usize::from(whole?).checked_sub(at));
            if !width.is_some_and(|width| (1..=NUMBER_BYTES_MAX).contains(&width)) {
                return fail("a number has a width of 1 to 6");
            }
        }
        let room = usize::from(whole.unwrap_or(bytes_max));
        if width.is_some_and(|width| at + width > room) || at > room {
            return fail("the field is not inside of the value");
        }
        let bits = self.bit.map(|first| Bits {
            first: first.into(),
            count: self.bits.unwrap_or(1).into(),
            inverted: self.inverted,
        });
        let is_inside = |bits: Bits| {
            let wire = width.unwrap_or_default() * 8;
            let end = usize::try_from(bits.first + bits.count);
            bits.count > 0 && end.is_ok_and(|end| end <= wire)
        };
        if !bits.is_none_or(is_inside) {
            return fail("the bits are not inside of the number");
        }
        let condition = self.when.map(RawCondition::into_condition);
        if condition == Some(None) {
            return fail(NO_CONDITION);
        }
        let elements = self.every.map(|every| Elements {
            after: self.after.into(),
            every: every.into(),
        });
        Ok(Item {
            id,
            part: self.part,
            name: self.name,
            unit: self.unit,
            bytes_min: bytes_min.into(),
            bytes_max: bytes_max.into(),
            elements,
            at,
            width,
            form: self.form,
            scale: Scale {
                divide_by: self.divide_by.unwrap_or(1),
                add: self.add.unwrap_or(0),
            },
            bits,
            none: self.none,
            column: self.column.map(usize::from),
            condition: condition.flatten(),
        })
    }
}

/// `None` for a text that fits all.
fn pattern(text: &str) -> Option<Pattern> {
    let (text, is_prefix) = match text.strip_suffix('*') {
        Some(start) => (start, true),
        None => (text, false),
    };
    (!text.is_empty()).then(|| Pattern {
        text: text.to_owned(),
        is_prefix,
    })
}

fn is_name(name: &str) -> bool {
    let is_part =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    !name.is_empty() && name.bytes().all(is_part)
}

/// The line that a place of the text stands in, from 1.
fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = text.as_bytes().get(..span.start).unwrap_or_default();
    1 + memchr::memchr_iter(b'\n', before).count()
}
