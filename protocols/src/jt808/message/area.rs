//! 0x8600 to 0x8607 in common: what areas and routes (区域与路线) are made of.
//!
//! A group of fields is there where its bit of the attributes is set, and nowhere else. So one that
//! is wrong about its bits has another length: the body must be filled, or the layout is another.

pub mod outline;
pub mod place;

use self::place::Signs;
use super::{
    Body,
    field::{
        BcdTime, Counted, Field as _, Text, decode_entries, layout, take_entries, take_optional,
    },
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, EncodeErrorKind, Reader, Writer},
};

/// What an area is for (区域属性). Bits without a name are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AreaAttributes(pub u16);

impl AreaAttributes {
    /// It holds at certain times, which follow.
    pub const BY_TIME: Self = Self(1 << 0);
    /// It has a speed limit, which follows. Of routes, the segments have it.
    pub const SPEED_LIMIT: Self = Self(1 << 1);
    /// Entering it is an alarm to the driver.
    pub const ENTRY_TO_DRIVER: Self = Self(1 << 2);
    /// Entering it is an alarm to the platform.
    pub const ENTRY_TO_PLATFORM: Self = Self(1 << 3);
    /// Leaving it is an alarm to the driver.
    pub const EXIT_TO_DRIVER: Self = Self(1 << 4);
    /// Leaving it is an alarm to the platform.
    pub const EXIT_TO_PLATFORM: Self = Self(1 << 5);
    /// Its latitudes are south; not of routes.
    pub const SOUTH: Self = Self(1 << 6);
    /// Its longitudes are west; not of routes.
    pub const WEST: Self = Self(1 << 7);
    /// The doors must stay shut (since 2013).
    pub const DOORS_SHUT: Self = Self(1 << 8);
    /// The terminal is silent inside (since 2013): nothing reaches it there.
    pub const COMMUNICATION_OFF: Self = Self(1 << 14);
    /// The terminal collects detailed GNSS data inside (since 2013).
    pub const GNSS_DETAILS: Self = Self(1 << 15);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the bits of `other` set or cleared.
    #[must_use]
    pub const fn with(self, other: Self, is_set: bool) -> Self {
        if is_set {
            Self(self.0 | other.0)
        } else {
            Self(self.0 & !other.0)
        }
    }
}

layout! {
    /// When an area holds: digits that are zeros say every year, month or day.
    #[derive(Copy)]
    pub struct Period {
        /// From when on.
        pub start: BcdTime,
        /// Until when.
        pub end: BcdTime,
    }
}

layout! {
    /// How fast a vehicle may be. The limit of the night stands apart from it on the wire.
    #[derive(Copy)]
    pub struct SpeedLimit {
        /// The most, in km/h.
        pub max_speed_kmh: u16,
        /// Seconds above it until it is an alarm.
        pub overspeed_s: u8,
    }
}

/// The name of an area (2019).
pub type Name = Text<Counted<u16>>;

/// The layout of a body, where it is not the usual one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AreaLayout {
    /// That of the header's revision; to terminals of 2011 that of 2013, which has one count less.
    #[default]
    Usual,
    /// That of 2013 behind a header of 2019: no names, no speeds of the night.
    Of2013,
    /// That of 2011, which counts the entries of all packets, and those of this one.
    Of2011 {
        /// Entries in all packets.
        total: u16,
    },
}

impl AreaLayout {
    /// The revision whose layout is written.
    pub(super) const fn wire(self, revision: Revision) -> Revision {
        match self {
            Self::Usual => usual(revision),
            Self::Of2013 => Revision::V2013,
            Self::Of2011 { .. } => Revision::V2011,
        }
    }

    /// The layout that was read.
    pub(super) fn of(wire: Revision, revision: Revision, total: u16) -> Self {
        match wire {
            _ if wire == usual(revision) => Self::Usual,
            Revision::V2011 => Self::Of2011 { total },
            Revision::V2013 | Revision::V2019 => Self::Of2013,
        }
    }

    /// The count of all entries, of which `count` are here.
    ///
    /// # Errors
    /// When a WORD cannot count them.
    pub(super) fn total(self, field: &'static str, count: usize) -> Result<u16, EncodeError> {
        match self {
            Self::Of2011 { total } => Ok(total),
            Self::Usual | Self::Of2013 => counted(field, count),
        }
    }
}

/// Reads how many of all entries are in the body: in 2011 a BYTE of its own says it.
///
/// # Errors
/// When it is not there, or there are none or more than all.
pub(super) fn decode_count_here(
    r: &mut Reader,
    total: u16,
    wire: Revision,
) -> Result<u16, DecodeError> {
    if wire != Revision::V2011 {
        return Ok(total);
    }
    let no_layout = r.no_layout("count_here");
    let count = u16::from(r.byte("count_here")?);
    (1..=total)
        .contains(&count)
        .then_some(count)
        .ok_or(no_layout)
}

/// A number of entries as its field can hold it.
///
/// # Errors
/// When it cannot.
pub(super) fn counted<N: super::field::Number>(
    field: &'static str,
    count: usize,
) -> Result<N, EncodeError> {
    let kind = EncodeErrorKind::TooMany {
        count,
        count_max: N::GREATEST,
    };
    N::try_from(count).map_err(|_| EncodeError { field, kind })
}

const fn usual(revision: Revision) -> Revision {
    match revision {
        Revision::V2011 | Revision::V2013 => Revision::V2013,
        Revision::V2019 => Revision::V2019,
    }
}

/// Reads a body by the layout of its revision, or by its predecessor's when only that fills it.
///
/// # Errors
/// That of the first, when neither does.
pub(super) fn decode_filling<T>(
    r: &mut Reader,
    revision: Revision,
    decode: impl Fn(&mut Reader, Revision) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let (first, second) = match usual(revision) {
        Revision::V2019 => (Revision::V2019, Revision::V2013),
        Revision::V2011 | Revision::V2013 => (Revision::V2013, Revision::V2011),
    };
    let attempt = |wire| {
        let mut ahead = r.clone();
        let body = decode(&mut ahead, wire)?;
        match ahead.remaining() {
            0 => Ok((body, ahead)),
            _ => Err(ahead.no_layout("rest")),
        }
    };
    let (body, ahead) = attempt(first).or_else(|error| attempt(second).map_err(|_| error))?;
    *r = ahead;
    Ok(body)
}

/// Whether a group of fields is written: where its bit is set, and where it is there.
///
/// # Errors
/// When only one of these holds.
pub(super) const fn agree(
    field: &'static str,
    is_due: bool,
    is_there: bool,
) -> Result<(), EncodeError> {
    let kind = match (is_due, is_there) {
        (true, false) => EncodeErrorKind::Missing,
        (false, true) => EncodeErrorKind::NoPlace,
        (true, true) | (false, false) => return Ok(()),
    };
    Err(EncodeError { field, kind })
}

/// Reads a group of fields that need not be there.
pub(super) fn decode_if<T: Body>(
    is_there: bool,
    r: &mut Reader,
    revision: Revision,
) -> Result<Option<T>, DecodeError> {
    is_there.then(|| T::decode(r, revision)).transpose()
}

/// Writes a group of fields where its bit is set.
pub(super) fn encode_if<T: Body>(
    field: &'static str,
    is_due: bool,
    group: Option<&T>,
    w: &mut Writer,
    revision: Revision,
) -> Result<(), EncodeError> {
    agree(field, is_due, group.is_some())?;
    group.map_or(Ok(()), |group| Body::encode(group, w, revision))
}

/// Takes a group of fields out of an object, where its bit is set or one of its names is there.
pub(super) fn take_if<T: Body>(
    object: &mut Object,
    is_due: bool,
    names: [&str; 2],
) -> Result<Option<T>, JsonError> {
    let is_there = is_due || names.iter().any(|name| object.contains_key(*name));
    is_there.then(|| T::from_json(object)).transpose()
}

/// Takes the times out of an object.
pub(super) fn take_period(object: &mut Object, is_due: bool) -> Result<Option<Period>, JsonError> {
    take_if(object, is_due, ["start_bcd", "end_bcd"])
}

/// Takes the speed limit out of an object.
pub(super) fn take_speed(
    object: &mut Object,
    is_due: bool,
) -> Result<Option<SpeedLimit>, JsonError> {
    take_if(object, is_due, ["max_speed_kmh", "overspeed_s"])
}

/// Adds times and speed limit, where they are there.
pub(super) fn put_common(period: Option<Period>, speed: Option<SpeedLimit>, object: &mut Object) {
    if let Some(period) = period {
        period.to_json(object);
    }
    if let Some(speed) = speed {
        speed.to_json(object);
    }
}

/// Takes times and speed limit. The attributes follow what is there: the groups set their bits,
/// and the signs of places those of the hemispheres.
pub(super) fn take_common(
    object: &mut Object,
    said: AreaAttributes,
    signs: Signs,
) -> Result<(Option<Period>, Option<SpeedLimit>, AreaAttributes), JsonError> {
    let is_said = |bit| said.contains(bit);
    let period = take_period(object, is_said(AreaAttributes::BY_TIME))?;
    let speed = take_speed(object, is_said(AreaAttributes::SPEED_LIMIT))?;
    let is = |sign: Option<bool>, bit| sign.unwrap_or_else(|| is_said(bit));
    let attributes = said
        .with(AreaAttributes::BY_TIME, period.is_some())
        .with(AreaAttributes::SPEED_LIMIT, speed.is_some())
        .with(
            AreaAttributes::SOUTH,
            is(signs.south, AreaAttributes::SOUTH),
        )
        .with(AreaAttributes::WEST, is(signs.west, AreaAttributes::WEST));
    Ok((period, speed, attributes))
}

/// Reads the speed limit of the night, which follows one of the day in 2019.
pub(super) fn decode_night(
    speed: Option<SpeedLimit>,
    r: &mut Reader,
    wire: Revision,
) -> Result<Option<u16>, DecodeError> {
    (speed.is_some() && wire == Revision::V2019)
        .then(|| r.word("night_max_speed_kmh"))
        .transpose()
}

/// Writes the speed limit of the night; the day's where there is none of its own.
pub(super) fn encode_night(
    speed: Option<SpeedLimit>,
    night: Option<u16>,
    w: &mut Writer,
    wire: Revision,
) -> Result<(), EncodeError> {
    match (speed, night) {
        (Some(speed), night) if wire == Revision::V2019 => {
            w.word(night.unwrap_or(speed.max_speed_kmh));
            Ok(())
        }
        (_, None) => Ok(()),
        (_, Some(_)) => agree("night_max_speed_kmh", false, true),
    }
}

/// Reads the name, which 2019 has always.
pub(super) fn decode_name(r: &mut Reader, wire: Revision) -> Result<Option<Name>, DecodeError> {
    (wire == Revision::V2019)
        .then(|| Name::read(r, "name", wire))
        .transpose()
}

/// Writes the name, an empty one where there is none.
pub(super) fn encode_name(
    name: Option<&Name>,
    w: &mut Writer,
    wire: Revision,
) -> Result<(), EncodeError> {
    match name {
        Some(name) if wire == Revision::V2019 => name.write(w, "name", wire),
        None if wire == Revision::V2019 => Name::default().write(w, "name", wire),
        name => agree("name", false, name.is_some()),
    }
}

/// Adds a field that need not be there.
pub(super) fn put_optional<T: super::field::Field>(
    object: &mut Object,
    name: &str,
    field: Option<&T>,
) {
    if let Some(field) = field {
        field.put(object, name);
    }
}

/// Takes the limit of the night and the name, which need not be there.
pub(super) fn take_night_and_name(
    object: &mut Object,
) -> Result<(Option<u16>, Option<Name>), JsonError> {
    Ok((
        take_optional(object, "night_max_speed_kmh")?,
        take_optional(object, "name")?,
    ))
}

/// Circles or rectangles, as many as there are, and what becomes of those that the terminal has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAreas<T> {
    /// 0 these replace all of their kind, 1 they are added, 2 they replace those of their ids.
    pub operation: u8,
    /// The areas.
    pub areas: Vec<T>,
    /// Whose layout the body has.
    pub layout: AreaLayout,
}

impl<T: Body> SetAreas<T> {
    /// Reads a body in the layout of the revision `wire`.
    pub(super) fn decode_as(
        r: &mut Reader,
        wire: Revision,
        revision: Revision,
    ) -> Result<Self, DecodeError> {
        let operation = r.byte("operation")?;
        let total = r.byte("count")?;
        let count = decode_count_here(r, total.into(), wire)?;
        Ok(Self {
            operation,
            areas: decode_entries(r, "areas", count.into(), wire)?,
            layout: AreaLayout::of(wire, revision, total.into()),
        })
    }
}

impl<T: Body> Body for SetAreas<T> {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        decode_filling(r, revision, |r, wire| Self::decode_as(r, wire, revision))
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        let wire = self.layout.wire(revision);
        let count = self.areas.len();
        let total = self.layout.total("areas", count)?;
        w.byte(self.operation);
        w.byte(counted("areas", total.into())?);
        if wire == Revision::V2011 {
            w.byte(counted("areas", count)?);
        }
        self.areas
            .iter()
            .try_for_each(|area| Body::encode(area, w, wire))
    }

    fn to_json(&self, object: &mut Object) {
        json::put(object, "op", self.operation);
        json::put(object, "count", self.areas.len());
        let areas: Vec<_> = self.areas.iter().map(T::to_value).collect();
        json::put(object, "areas", areas);
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        object.remove("count");
        Ok(Self {
            operation: u8::take(object, "op")?,
            areas: take_entries(object, "areas")?,
            layout: AreaLayout::Usual,
        })
    }
}

#[cfg(test)]
pub(super) mod arbitrary {
    use super::*;
    use crate::jt808::message::arbitrary::{Arbitrary, Choices, as_read};

    impl Arbitrary for AreaLayout {
        fn arbitrary(c: &mut Choices, revision: Revision) -> Self {
            match (c.below(3), revision) {
                (0, Revision::V2019) => Self::Of2013,
                (0, Revision::V2011 | Revision::V2013) => Self::Of2011 {
                    total: c.byte().into(),
                },
                _ => Self::Usual,
            }
        }
    }

    /// The same, of so many entries: none are none of 2011.
    pub(in super::super) fn layout_of(layout: AreaLayout, count: usize) -> AreaLayout {
        match layout {
            AreaLayout::Of2011 { .. } if count == 0 => AreaLayout::Usual,
            AreaLayout::Of2011 { total } => AreaLayout::Of2011 {
                total: total.max(u16::try_from(count).unwrap()),
            },
            AreaLayout::Usual | AreaLayout::Of2013 => layout,
        }
    }

    impl<T: Body + Arbitrary> Arbitrary for SetAreas<T> {
        fn arbitrary(c: &mut Choices, revision: Revision) -> Self {
            let layout: AreaLayout = c.any(revision);
            let areas: Vec<T> = c.list(layout.wire(revision));
            let areas = Self {
                operation: c.byte(),
                layout: layout_of(layout, areas.len()),
                areas,
            };
            as_read(&areas, revision)
        }
    }

    /// A speed limit where there is one, and the night's in 2019.
    pub(in super::super) fn speed(
        c: &mut Choices,
        has_limit: bool,
        wire: Revision,
    ) -> (Option<SpeedLimit>, Option<u16>) {
        let has_night = has_limit && wire == Revision::V2019;
        (
            has_limit.then(|| c.any(wire)),
            has_night.then(|| c.any(wire)),
        )
    }

    pub(in super::super) fn name(c: &mut Choices, wire: Revision) -> Option<Name> {
        (wire == Revision::V2019).then(|| c.any(wire))
    }
}
