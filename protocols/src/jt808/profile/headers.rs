//! Items of a location report whose header is not id BYTE, length BYTE.

use std::borrow::Cow;

use bytes::BytesMut;

use crate::jt808::message::location_report::items::Items;

/// So many of them at most in one profile: a record of the log repeats them.
pub const HEADERS_MAX: usize = 16;
/// Bytes of one in its encoded form.
pub const HEADER_BYTES: usize = 3;
/// The list inside of an item to the end: bytes in front of it.
const IN_FRONT_OF_LIST: usize = 1;

/// What stands in front of an item's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderForm {
    /// Id WORD, length BYTE.
    Id16Length8,
    /// Id WORD, length WORD.
    Id16Length16,
    /// Id BYTE, length DWORD.
    Id8Length32,
    /// Id BYTE, length BYTE, behind them a BYTE and a list of the same form. Where that list does
    /// not fill the length, it goes on to the end of the report.
    ListToEnd,
}

impl HeaderForm {
    /// Whether the id has two bytes.
    #[must_use]
    pub const fn has_wide_id(self) -> bool {
        matches!(self, Self::Id16Length8 | Self::Id16Length16)
    }

    const fn code(self) -> u8 {
        match self {
            Self::Id16Length8 => 1,
            Self::Id16Length16 => 2,
            Self::Id8Length32 => 3,
            Self::ListToEnd => 4,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Id16Length8),
            2 => Some(Self::Id16Length16),
            3 => Some(Self::Id8Length32),
            4 => Some(Self::ListToEnd),
            _ => None,
        }
    }
}

/// The items of some terminals that have another header. The default is the standard: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    count: u8,
    headers: [Option<(u16, HeaderForm)>; HEADERS_MAX],
}

/// An item with an id of one or two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VendorItem<'a> {
    /// Its id.
    pub id: u16,
    /// Its value.
    pub value: &'a [u8],
    /// It stands in a header of the standard.
    pub is_standard: bool,
}

impl Headers {
    /// Of ids and their forms; `None` when they are too many.
    #[must_use]
    pub fn new(of: &[(u16, HeaderForm)]) -> Option<Self> {
        let mut headers = [None; HEADERS_MAX];
        for (at, header) in of.iter().enumerate() {
            *headers.get_mut(at)? = Some(*header);
        }
        let count = u8::try_from(of.len()).ok()?;
        Some(Self { count, headers })
    }

    /// All items are as the standard has them.
    #[must_use]
    pub const fn is_standard(&self) -> bool {
        self.count == 0
    }

    /// The items in the bytes behind the fixed part of a location.
    #[must_use]
    pub const fn items<'a>(&self, bytes: &'a [u8]) -> VendorItems<'a> {
        VendorItems {
            headers: *self,
            rest: bytes,
        }
    }

    /// The items of a value that they fill; `None` when they do not.
    #[must_use]
    pub fn filling<'a>(&self, value: &'a [u8]) -> Option<VendorItems<'a>> {
        let items = self.items(value);
        let mut to_end = items.clone();
        to_end.by_ref().for_each(drop);
        to_end.rest.is_empty().then_some(items)
    }

    /// The items that are as the standard has them, without the others.
    #[must_use]
    pub fn standard_items<'a>(&self, items: &'a Items) -> Cow<'a, Items> {
        if self.is_standard() {
            return Cow::Borrowed(items);
        }
        let mut bytes = BytesMut::new();
        for item in self.items(items.as_bytes()) {
            let id = u8::try_from(item.id);
            let length = u8::try_from(item.value.len());
            if let (true, Ok(id), Ok(length)) = (item.is_standard, id, length) {
                bytes.extend_from_slice(&[id, length]);
                bytes.extend_from_slice(item.value);
            }
        }
        Cow::Owned(Items::of(bytes.freeze(), items.revision()))
    }

    /// For a record of the log: their number, and each as id WORD, form BYTE.
    pub fn encode(&self) -> impl Iterator<Item = u8> {
        let headers = self.headers.into_iter().flatten();
        let all = headers.flat_map(|(id, form)| {
            let [high, low] = id.to_be_bytes();
            [high, low, form.code()]
        });
        std::iter::once(self.count).chain(all)
    }

    /// What [`Self::encode`] made, and how many bytes that were; `None` when it is none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (count, rest) = bytes.split_first()?;
        let length = usize::from(*count) * HEADER_BYTES;
        let mut headers = Vec::new();
        for header in rest.get(..length)?.chunks_exact(HEADER_BYTES) {
            let [high, low, code] = *header else {
                return None;
            };
            headers.push((
                u16::from_be_bytes([high, low]),
                HeaderForm::from_code(code)?,
            ));
        }
        Some((Self::new(&headers)?, 1 + length))
    }

    /// The form of the item at the start of the bytes.
    fn form(&self, bytes: &[u8]) -> Option<HeaderForm> {
        if self.is_standard() {
            return None;
        }
        let first = bytes.first().map(|byte| u16::from(*byte));
        let both = bytes.first_chunk().map(|both| u16::from_be_bytes(*both));
        self.headers.iter().flatten().find_map(|(id, form)| {
            let at = if form.has_wide_id() { both } else { first };
            (at == Some(*id)).then_some(*form)
        })
    }
}

/// Reads items one after the other.
#[derive(Clone, Debug)]
pub struct VendorItems<'a> {
    headers: Headers,
    rest: &'a [u8],
}

impl<'a> Iterator for VendorItems<'a> {
    type Item = VendorItem<'a>;

    fn next(&mut self) -> Option<VendorItem<'a>> {
        let form = self.headers.form(self.rest);
        let (id, length, rest) = match (form, self.rest) {
            (None | Some(HeaderForm::ListToEnd), &[id, length, ref rest @ ..]) => {
                let stated = usize::from(length);
                let is_list = form.is_some() && !is_filled(rest, stated);
                (
                    u16::from(id),
                    if is_list { rest.len() } else { stated },
                    rest,
                )
            }
            (Some(HeaderForm::Id16Length8), &[high, low, length, ref rest @ ..]) => {
                (u16::from_be_bytes([high, low]), length.into(), rest)
            }
            (Some(HeaderForm::Id16Length16), &[high, low, long, length, ref rest @ ..]) => (
                u16::from_be_bytes([high, low]),
                u16::from_be_bytes([long, length]).into(),
                rest,
            ),
            (Some(HeaderForm::Id8Length32), &[id, a, b, c, d, ref rest @ ..]) => {
                let length = u32::from_be_bytes([a, b, c, d]);
                (u16::from(id), usize::try_from(length).ok()?, rest)
            }
            _ => return None,
        };
        let (value, behind) = rest.split_at_checked(length)?;
        self.rest = behind;
        Some(VendorItem {
            id,
            value,
            is_standard: form.is_none(),
        })
    }
}

/// Whether a byte and a list of items fill so many bytes.
fn is_filled(bytes: &[u8], length: usize) -> bool {
    let Some(list) = bytes.get(IN_FRONT_OF_LIST..length) else {
        return false;
    };
    !list.is_empty() && Headers::default().filling(list).is_some()
}
