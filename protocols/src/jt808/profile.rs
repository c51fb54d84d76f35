//! What makers of terminals do otherwise, as data.
//!
//! A profile changes nothing by being there: somebody chooses it for a terminal, by its name or by
//! what the terminal says in 0x0100. It tells the zone of the terminal's clock, the encoding of its
//! text, how it shows its authentication code, which wrong lengths are known of it, and what its
//! own items of a location report mean. `profile/builtin.toml` has the known ones and describes
//! the form; an operator's file has the same form.

mod file;
mod headers;
mod item;
mod list;
mod texts;

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;

use self::{file::Whose, item::Item, list::List};
pub use self::{
    file::{Mistake, Problem, ProfileError},
    headers::{HEADER_BYTES, HEADERS_MAX, HeaderForm, Headers, VendorItem, VendorItems},
    item::{VendorReading, VendorValue},
    texts::TextEncoding,
};
use super::{
    frame::{DELIMITER, ESCAPE, Frame},
    message::registration::Registration,
};
use crate::wire::bcd::Gmt8Time;

/// Minutes by which the standard's time is ahead of UTC.
const GMT8_MINUTES: i16 = 8 * 60;
/// Item of a location report that wraps the maker's items.
const WRAPPER: u16 = 0xE0;
/// The name of the profile that changes nothing.
const STANDARD: &str = "standard";
/// Digits of the district code (GB/T 2260) that 2019 puts in front of the maker.
const DISTRICT_DIGITS: usize = 6;
const IMEI_DIGITS: usize = 15;

/// How a terminal shows the authentication code in 0x0102.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthCodeForm {
    /// `as_given`: the bytes of 0x8100.
    #[default]
    AsGiven,
    /// `zero_behind`: with 0x00 behind it, as a string of 2011.
    ZeroBehind,
    /// `imei_behind`: with the 15 digits of the IMEI behind it, in a body that has no length.
    ImeiBehind,
}

/// A wrong length in the header of a frame, by its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LengthError {
    /// `escapes_counted`: the length of the body after it was escaped.
    EscapesCounted,
    /// `check_code_counted`: the length of body and check code.
    CheckCodeCounted,
    /// `any`: a length without a meaning.
    Any,
}

impl LengthError {
    /// Whether this is what is wrong with the length of a frame.
    #[must_use]
    pub fn explains(self, frame: &Frame) -> bool {
        let stated = usize::from(frame.header.body_len);
        let actual = frame.body.len();
        let is_special = |byte: &&u8| matches!(**byte, DELIMITER | ESCAPE);
        stated != actual
            && match self {
                Self::EscapesCounted => {
                    stated == actual + frame.body.iter().filter(is_special).count()
                }
                Self::CheckCodeCounted => stated == actual + 1,
                Self::Any => true,
            }
    }
}

/// A text, or the start of one where it ends in `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    text: String,
    is_prefix: bool,
}

impl Pattern {
    fn fits(&self, text: &str) -> bool {
        if self.is_prefix {
            text.starts_with(&self.text)
        } else {
            text == self.text
        }
    }
}

/// Terminals that a profile is made for. What is absent fits all.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Terminals {
    maker: Option<Pattern>,
    model: Option<Pattern>,
}

impl Terminals {
    fn fit(&self, maker: &str, model: &str) -> bool {
        let without_district = maker
            .split_at_checked(DISTRICT_DIGITS)
            .filter(|(district, _)| district.bytes().all(|byte| byte.is_ascii_digit()))
            .map(|(_, maker)| maker);
        let is_maker = |pattern: &Pattern| {
            pattern.fits(maker) || without_district.is_some_and(|m| pattern.fits(m))
        };
        self.maker.as_ref().is_none_or(is_maker)
            && self
                .model
                .as_ref()
                .is_none_or(|pattern| pattern.fits(model))
    }
}

/// What the terminals of a maker do otherwise. The default is the standard.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    name: String,
    fits: Vec<Terminals>,
    utc_offset_minutes: i16,
    text: TextEncoding,
    auth_code: AuthCodeForm,
    tolerates: Vec<LengthError>,
    headers: Headers,
    lists: Vec<List>,
    /// In the order of their ids, and otherwise as they stand in the file.
    items: Vec<Item>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            name: STANDARD.to_owned(),
            fits: Vec::new(),
            utc_offset_minutes: GMT8_MINUTES,
            text: TextEncoding::Gbk,
            auth_code: AuthCodeForm::AsGiven,
            tolerates: Vec::new(),
            headers: Headers::default(),
            lists: Vec::new(),
            items: Vec::new(),
        }
    }
}

impl Profile {
    /// What it is chosen by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Minutes by which the terminal's clock is ahead of UTC; 480 in the standard.
    #[must_use]
    pub const fn utc_offset_minutes(&self) -> i16 {
        self.utc_offset_minutes
    }

    /// How the terminal writes text.
    #[must_use]
    pub const fn text_encoding(&self) -> TextEncoding {
        self.text
    }

    /// How the terminal shows its code.
    #[must_use]
    pub const fn auth_code_form(&self) -> AuthCodeForm {
        self.auth_code
    }

    /// Seconds since 1970 in UTC of a time that the terminal sent; `None` when its digits name no
    /// moment.
    #[must_use]
    pub fn to_unix_seconds(&self, time: Gmt8Time) -> Option<i64> {
        let ahead = i64::from(self.utc_offset_minutes) - i64::from(GMT8_MINUTES);
        time.unix_seconds()?.checked_sub(ahead * 60)
    }

    /// A moment, in seconds since 1970 in UTC, as the terminal's clock shows it; `None` outside
    /// the years 2000 to 2099.
    #[must_use]
    pub fn from_unix_seconds(&self, seconds: i64) -> Option<Gmt8Time> {
        let ahead = i64::from(self.utc_offset_minutes) - i64::from(GMT8_MINUTES);
        Gmt8Time::from_unix_seconds(seconds.checked_add(ahead * 60)?)
    }

    /// The text of a field, without padding; what is none in the encoding becomes U+FFFD.
    #[must_use]
    pub fn decode_text<'a>(&self, field: &'a [u8]) -> Cow<'a, str> {
        self.text.decode(field)
    }

    /// The code in what a terminal showed in 0x0102, to be compared with the one it was given.
    #[must_use]
    pub fn auth_code<'a>(&self, shown: &'a [u8]) -> &'a [u8] {
        match self.auth_code {
            AuthCodeForm::AsGiven => shown,
            AuthCodeForm::ZeroBehind => {
                let length = shown
                    .iter()
                    .rposition(|byte| *byte != 0)
                    .map_or(0, |at| at + 1);
                shown.get(..length).unwrap_or(shown)
            }
            AuthCodeForm::ImeiBehind => shown
                .split_last_chunk::<IMEI_DIGITS>()
                .filter(|(_, imei)| imei.iter().all(u8::is_ascii_digit))
                .map_or(shown, |(code, _)| code),
        }
    }

    /// Whether the wrong length of a frame is one that is known of these terminals. The frame is
    /// read in any case; one that is tolerated needs no attention.
    #[must_use]
    pub fn tolerates(&self, frame: &Frame) -> bool {
        self.tolerates.iter().any(|error| error.explains(frame))
    }

    /// The frame as these terminals mean it, `raw` being what it was opened from. A length that
    /// counts escapes can be that of a sender who never escapes, and is read as such by
    /// [`Frame::open`]; where such lengths are known, the escapes are taken for what they are.
    #[must_use]
    pub fn read_again(&self, frame: Frame, raw: &Bytes) -> Frame {
        let may_differ = self.tolerates.contains(&LengthError::EscapesCounted)
            && !frame.deviates
            && memchr::memchr(ESCAPE, &frame.body).is_some();
        if !may_differ {
            return frame;
        }
        match Frame::open_escaped(raw.clone()) {
            Ok(escaped) if self.counts_escapes(&escaped) => escaped,
            _ => frame,
        }
    }

    /// Whether the length of a frame counts escapes, as is known of these terminals: what it came
    /// from is to be read by [`Frame::open_escaped`].
    #[must_use]
    pub fn counts_escapes(&self, frame: &Frame) -> bool {
        let error = LengthError::EscapesCounted;
        self.tolerates.contains(&error) && error.explains(frame)
    }

    /// The items that have another header than the standard's.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The first reading of an item of a location report; `None` when the profile knows no such
    /// item with such a length.
    #[must_use]
    pub fn item<'a>(&'a self, id: u16, value: &'a [u8]) -> Option<VendorReading<'a>> {
        self.readings(id, value).next()
    }

    /// All readings of an item, in the order of the file; those of the items inside of a list
    /// behind its own. There is no more work in it than bytes in the value times known items.
    pub fn readings<'a>(
        &'a self,
        id: u16,
        value: &'a [u8],
    ) -> impl Iterator<Item = VendorReading<'a>> {
        let list = self.lists.iter().find(|list| list.id == id);
        let inner = list
            .and_then(|list| list.parts(value))
            .into_iter()
            .flatten();
        std::iter::once((None, None, value))
            .chain(inner.map(|part| (Some(part.id), part.group, part.value)))
            .flat_map(move |(part, group, value)| {
                let known = self.known(id, part).iter();
                known.flat_map(move |item| item.readings(group, value, self.text))
            })
    }

    /// The items that the profile knows in the bytes behind the fixed part of a location, those
    /// inside of a wrapper (0xE0) among them.
    pub fn known_items<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = VendorItem<'a>> {
        self.headers
            .items(bytes)
            .flat_map(|item| {
                let is_wrapper = item.is_standard && item.id == WRAPPER;
                let wrapped = is_wrapper.then(|| self.headers.filling(item.value));
                std::iter::once(item).chain(wrapped.flatten().into_iter().flatten())
            })
            .filter(|item| self.item(item.id, item.value).is_some())
    }

    fn known(&self, id: u16, part: Option<u16>) -> &[Item] {
        let start = self.items.partition_point(|item| item.key() < (id, part));
        let end = self.items.partition_point(|item| item.key() <= (id, part));
        self.items.get(start..end).unwrap_or_default()
    }
}

/// The profiles that can be chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Profiles {
    /// Those that are to be asked first in front.
    profiles: Vec<Arc<Profile>>,
}

impl Profiles {
    /// The ones that are known here.
    #[must_use]
    pub fn builtin() -> Self {
        let profiles = file::read(include_str!("profile/builtin.toml"), Whose::Builtin);
        Self {
            profiles: shared(profiles.expect("our own file has no mistakes")),
        }
    }

    /// The ones of an operator's file, and behind them the ones that are known here, except where
    /// a name of the file replaces them.
    ///
    /// # Errors
    /// When the text does not follow the form; all mistakes, each with its line.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let mut profiles = shared(file::read(text, Whose::Operator)?);
        let known = Self::builtin().profiles.into_iter();
        let own = profiles.len();
        for profile in known {
            let is_replaced = |own: &[Arc<Profile>]| own.iter().any(|p| p.name == profile.name);
            if !is_replaced(profiles.get(..own).unwrap_or_default()) {
                profiles.push(profile);
            }
        }
        Ok(Self { profiles })
    }

    /// The profile of this name. `standard` is always there, and changes nothing.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<Profile>> {
        self.profiles.iter().find(|profile| profile.name == name)
    }

    /// The first profile made for a maker and model as 0x0100 gives them, without padding; an
    /// operator's own come before those that are known here.
    #[must_use]
    pub fn for_terminal(&self, maker: &str, model: &str) -> Option<&Arc<Profile>> {
        self.profiles
            .iter()
            .find(|profile| profile.fits.iter().any(|fits| fits.fit(maker, model)))
    }

    /// The same for a registration.
    #[must_use]
    pub fn for_registration(&self, registration: &Registration) -> Option<&Arc<Profile>> {
        self.for_terminal(&registration.manufacturer(), &registration.model())
    }

    /// All of them, in the order in which they are asked.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.iter().map(Arc::as_ref)
    }
}

fn shared(profiles: Vec<Profile>) -> Vec<Arc<Profile>> {
    profiles.into_iter().map(Arc::new).collect()
}

#[cfg(test)]
mod tests;
