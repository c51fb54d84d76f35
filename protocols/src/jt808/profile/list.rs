//! Items whose value is a list of items: by ids with lengths, or by a mask of fields.

use super::item::Condition;

/// The part that stands in front of each group of a masked list, whatever the mask says.
pub(super) const HEAD_PART: u16 = 0xFF;

/// An item whose value is a list of items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List {
    pub(super) id: u16,
    /// Bytes in front of the list.
    pub(super) after: usize,
    pub(super) form: ListForm,
    /// What a mask tells about.
    pub(super) fields: Fields,
    /// Without it the value is no such list.
    pub(super) condition: Option<Condition>,
}

/// What stands in front of each value of a list, or of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ListForm {
    /// Id BYTE, length BYTE.
    Id8Length8,
    /// Id WORD, length BYTE.
    Id16Length8,
    /// Length WORD, which counts the id and the value; id WORD.
    Length16Id16,
    /// One BYTE for all, whose bits say which fields there are.
    Mask8,
    /// The same with a WORD.
    Mask16,
}

impl ListForm {
    /// Bits of the mask; `None` where there is none.
    pub(super) const fn mask_bits(self) -> Option<usize> {
        match self {
            Self::Mask8 => Some(8),
            Self::Mask16 => Some(16),
            _ => None,
        }
    }

    /// The greatest id of a part.
    pub(super) const fn part_max(self) -> u16 {
        match self {
            Self::Id8Length8 | Self::Mask8 | Self::Mask16 => 0xFF,
            Self::Id16Length8 | Self::Length16Id16 => 0xFFFF,
        }
    }
}

/// Fields that a mask tells about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// Bytes of the field of each bit, from the lowest; 0 where a bit has none.
    pub(super) widths: Vec<usize>,
    /// Bytes in front of the fields of each group.
    pub(super) head: usize,
    /// Groups of head and fields follow each other to the end.
    pub(super) repeats: bool,
}

/// A value of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) id: u16,
    /// The group that it stands in, where groups are repeated.
    pub(super) group: Option<usize>,
    pub(super) value: &'a [u8],
}

impl List {
    /// The values with their ids; `None` unless they fill the item.
    pub(super) fn parts<'a>(&'a self, value: &'a [u8]) -> Option<Parts<'a>> {
        if self
            .condition
            .is_some_and(|condition| !condition.holds(value))
        {
            return None;
        }
        let rest = value.get(self.after..)?;
        let (mask, rest) = match (self.form, rest) {
            (ListForm::Mask8, &[mask, ref rest @ ..]) => (mask.into(), rest),
            (ListForm::Mask16, &[high, low, ref rest @ ..]) => {
                (u16::from_be_bytes([high, low]), rest)
            }
            (ListForm::Mask8 | ListForm::Mask16, _) => return None,
            _ => (0, rest),
        };
        let parts = Parts {
            list: self,
            mask,
            rest,
            group: 0,
            field: None,
        };
        let mut walked = parts.clone();
        walked.by_ref().for_each(drop);
        (walked.rest.is_empty() || parts.has_unknown_fields()).then_some(parts)
    }
}

/// The values of a list.
#[derive(Clone, Debug)]
pub(super) struct Parts<'a> {
    list: &'a List,
    mask: u16,
    rest: &'a [u8],
    group: usize,
    /// The next bit of the group; `None` before its head.
    field: Option<usize>,
}

impl<'a> Parts<'a> {
    /// Bits that nobody told the width of: what stands behind the known fields is theirs.
    fn has_unknown_fields(&self) -> bool {
        let fields = &self.list.fields;
        let known = fields.widths.len();
        self.list.form.mask_bits().is_some_and(|bits| {
            !fields.repeats && (known..bits).any(|bit| self.mask & 1 << bit != 0)
        })
    }

    fn take(&mut self, id: u16, group: Option<usize>, bytes: usize) -> Option<Part<'a>> {
        let (value, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(Part { id, group, value })
    }

    /// The next field that the mask has.
    fn masked(&mut self) -> Option<Part<'a>> {
        let fields = &self.list.fields;
        let group = fields.repeats.then_some(self.group);
        let Some(first) = self.field else {
            if fields.repeats && self.rest.is_empty() {
                return None;
            }
            self.field = Some(0);
            return if fields.head > 0 {
                self.take(HEAD_PART, group, fields.head)
            } else {
                self.masked()
            };
        };
        let next = (first..fields.widths.len())
            .find(|bit| self.mask & 1 << bit != 0 && fields.widths.get(*bit) != Some(&0));
        if let Some(bit) = next {
            self.field = Some(bit + 1);
            let width = fields.widths.get(bit).copied().unwrap_or_default();
            return self.take(u16::try_from(bit).ok()?, group, width);
        }
        // A group without a byte would never end.
        let moves = fields.head > 0 || first > 0;
        if !fields.repeats || !moves {
            return None;
        }
        self.group += 1;
        self.field = None;
        self.masked()
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (id, length, rest) = match (self.list.form, self.rest) {
            (ListForm::Mask8 | ListForm::Mask16, _) => return self.masked(),
            (ListForm::Id8Length8, &[id, length, ref rest @ ..]) => {
                (id.into(), length.into(), rest)
            }
            (ListForm::Id16Length8, &[high, low, length, ref rest @ ..]) => {
                (u16::from_be_bytes([high, low]), length.into(), rest)
            }
            (ListForm::Length16Id16, &[long, length, high, low, ref rest @ ..]) => {
                let length = u16::from_be_bytes([long, length]).checked_sub(2)?;
                (u16::from_be_bytes([high, low]), length.into(), rest)
            }
            _ => return None,
        };
        let (value, behind) = rest.split_at_checked(length)?;
        self.rest = behind;
        Some(Part {
            id,
            group: None,
            value,
        })
    }
}
