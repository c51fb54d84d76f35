//! What circles and rectangles have in common: everything but their outline.

use super::{
    AreaAttributes, Name, Period, SpeedLimit, decode_if, decode_name, decode_night, encode_if,
    encode_name, encode_night, place::Signs, put_common, put_optional, take_common,
    take_night_and_name,
};
use crate::{
    jt808::{
        Revision,
        message::{
            Body,
            field::{Field as _, take_or},
            json::{self, JsonError, Object},
        },
    },
    wire::{DecodeError, EncodeError, Reader, Writer},
};

/// Where an area is.
pub trait Outline: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// When the body ends inside.
    fn decode(r: &mut Reader) -> Result<Self, DecodeError>;

    /// Writes it.
    ///
    /// # Errors
    /// When a value does not fit.
    fn encode(&self, w: &mut Writer) -> Result<(), EncodeError>;

    /// Adds its fields; the hemispheres are in the attributes.
    fn put(&self, object: &mut Object, south: bool, west: bool);

    /// Takes its fields, and notes their hemispheres.
    ///
    /// # Errors
    /// When one is missing or no place on earth.
    fn take(object: &mut Object, signs: &mut Signs) -> Result<Self, JsonError>;
}

/// A circle or a rectangle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area<O> {
    /// Id among those of its kind, from 1.
    pub id: u32,
    /// What it is for, and the hemispheres of its outline.
    pub attributes: AreaAttributes,
    /// Where it is.
    pub outline: O,
    /// When it holds; with [`AreaAttributes::BY_TIME`].
    pub period: Option<Period>,
    /// With [`AreaAttributes::SPEED_LIMIT`].
    pub speed: Option<SpeedLimit>,
    /// The night's limit, in km/h: 2019 and with a limit. The day's holds where there is none.
    pub night_max_speed_kmh: Option<u16>,
    /// 2019.
    pub name: Option<Name>,
}

impl<O: Outline> Body for Area<O> {
    fn decode(r: &mut Reader, wire: Revision) -> Result<Self, DecodeError> {
        let id = r.dword("id")?;
        let attributes = AreaAttributes(r.word("attributes")?);
        let has = |bit| attributes.contains(bit);
        let outline = O::decode(r)?;
        let period = decode_if(has(AreaAttributes::BY_TIME), r, wire)?;
        let speed = decode_if(has(AreaAttributes::SPEED_LIMIT), r, wire)?;
        Ok(Self {
            id,
            attributes,
            outline,
            period,
            speed,
            night_max_speed_kmh: decode_night(speed, r, wire)?,
            name: decode_name(r, wire)?,
        })
    }

    fn encode(&self, w: &mut Writer, wire: Revision) -> Result<(), EncodeError> {
        let has = |bit| self.attributes.contains(bit);
        let (by_time, by_speed) = (AreaAttributes::BY_TIME, AreaAttributes::SPEED_LIMIT);
        w.dword(self.id);
        w.word(self.attributes.0);
        self.outline.encode(w)?;
        encode_if("period", has(by_time), self.period.as_ref(), w, wire)?;
        encode_if("speed", has(by_speed), self.speed.as_ref(), w, wire)?;
        encode_night(self.speed, self.night_max_speed_kmh, w, wire)?;
        encode_name(self.name.as_ref(), w, wire)
    }

    fn to_json(&self, object: &mut Object) {
        let is = |bit| self.attributes.contains(bit);
        json::put(object, "id", self.id);
        json::put(object, "attr", self.attributes.0);
        let (south, west) = (is(AreaAttributes::SOUTH), is(AreaAttributes::WEST));
        self.outline.put(object, south, west);
        put_common(self.period, self.speed, object);
        let night = self.night_max_speed_kmh.as_ref();
        put_optional(object, "night_max_speed_kmh", night);
        put_optional(object, "name", self.name.as_ref());
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        let said = AreaAttributes(take_or(object, "attr", 0)?);
        let mut signs = Signs::default();
        let outline = O::take(object, &mut signs)?;
        let (period, speed, attributes) = take_common(object, said, signs)?;
        let (night_max_speed_kmh, name) = take_night_and_name(object)?;
        Ok(Self {
            id: u32::take(object, "id")?,
            attributes,
            outline,
            period,
            speed,
            night_max_speed_kmh,
            name,
        })
    }
}

#[cfg(test)]
mod arbitrary {
    use super::*;
    use crate::jt808::message::{
        arbitrary::{Arbitrary, Choices},
        area::arbitrary::{name, speed},
    };

    impl<O: Arbitrary> Arbitrary for Area<O> {
        fn arbitrary(c: &mut Choices, wire: Revision) -> Self {
            let attributes = AreaAttributes(c.any(wire));
            let has = |bit| attributes.contains(bit);
            let (speed, night_max_speed_kmh) = speed(c, has(AreaAttributes::SPEED_LIMIT), wire);
            Self {
                id: c.any(wire),
                attributes,
                outline: c.any(wire),
                period: has(AreaAttributes::BY_TIME).then(|| c.any(wire)),
                speed,
                night_max_speed_kmh,
                name: name(c, wire),
            }
        }
    }
}
