//! 0x8606 set a route (设置路线): platform -> terminal, answered by 0x0001. It is added, or replaces
//! the one of its id.
//!
//! | field       | wire       | notes                                                              |
//! |-------------|------------|--------------------------------------------------------------------|
//! | id          | DWORD      |                                                                    |
//! | attributes  | WORD       | bits                                                               |
//! | start, end  | BCD\[6\] each | with bit 0                                                      |
//! | count       | WORD       | turning points                                                     |
//! | count here  | BYTE       | 2011 only: in this packet                                          |
//! | points      |            | each, with the segment from it to the next:                        |
//! | point id    | DWORD      | not in 2011                                                        |
//! | segment id  | DWORD      |                                                                    |
//! | latitude, longitude | DWORD each | 1e-6 degree, magnitude                                     |
//! | width       | BYTE       | metre                                                              |
//! | segment attributes | BYTE | bits; 2 south, 3 west                                             |
//! | too long    | WORD       | seconds, with bit 0; 2011: the one driving time                    |
//! | too short   | WORD       | seconds, with bit 0; not in 2011                                   |
//! | speed limit | WORD       | km/h, with bit 1                                                   |
//! | overspeed   | BYTE       | seconds, with bit 1                                                |
//! | night's speed limit | WORD | km/h, 2019 with bit 1                                            |
//! | name        | length WORD, STRING | 2019, always, behind all points                           |

use super::{
    Body,
    area::{
        AreaAttributes, AreaLayout, Name, Period, SpeedLimit, agree, counted, decode_count_here,
        decode_filling, decode_if, decode_name, decode_night, encode_if, encode_name, encode_night,
        place::{Place, Signs},
        put_optional, take_if, take_period, take_speed,
    },
    field::{Field as _, decode_entries, take_entries, take_optional, take_or},
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetRoute {
    /// Id among the routes, from 1.
    pub id: u32,
    /// What it is for. Hemispheres and speed limits are the segments'.
    pub attributes: AreaAttributes,
    /// When it holds; with [`AreaAttributes::BY_TIME`].
    pub period: Option<Period>,
    /// Its turning points.
    pub points: Vec<RoutePoint>,
    /// 2019.
    pub name: Option<Name>,
    /// Whose layout the body has.
    pub layout: AreaLayout,
}

/// A turning point of a route, and the segment from it to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePoint {
    /// Id of the point; 2011 has none.
    pub point_id: Option<u32>,
    /// Id of the segment, which alarms name.
    pub segment_id: u32,
    /// Where it is.
    pub place: Place,
    /// Width of the segment, in metres.
    pub width_m: u8,
    /// What the segment has, and the hemispheres of the point.
    pub attributes: SegmentAttributes,
    /// With [`SegmentAttributes::BY_TIME`].
    pub driving: Option<DrivingTimes>,
    /// With [`SegmentAttributes::SPEED_LIMIT`].
    pub speed: Option<SpeedLimit>,
    /// The night's limit, in km/h: 2019 and with a limit. The day's holds where there is none.
    pub night_max_speed_kmh: Option<u16>,
}

/// What a segment has (路段属性). Bits without a name are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SegmentAttributes(pub u8);

impl SegmentAttributes {
    /// It has driving times.
    pub const BY_TIME: Self = Self(1 << 0);
    /// It has a speed limit.
    pub const SPEED_LIMIT: Self = Self(1 << 1);
    /// The point's latitude is south.
    pub const SOUTH: Self = Self(1 << 2);
    /// The point's longitude is west.
    pub const WEST: Self = Self(1 << 3);

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

/// How long a vehicle may be on a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrivingTimes {
    /// More seconds are too long.
    pub max_s: u16,
    /// Less seconds are too short; 2011 has no such bound.
    pub min_s: Option<u16>,
}

impl Body for DrivingTimes {
    fn decode(r: &mut Reader, wire: Revision) -> Result<Self, DecodeError> {
        let max_s = r.word("max_time_s")?;
        let min_s = (wire != Revision::V2011).then(|| r.word("min_time_s"));
        Ok(Self {
            max_s,
            min_s: min_s.transpose()?,
        })
    }

    fn encode(&self, w: &mut Writer, wire: Revision) -> Result<(), EncodeError> {
        agree("min_time_s", wire != Revision::V2011, self.min_s.is_some())?;
        w.word(self.max_s);
        if let Some(min_s) = self.min_s {
            w.word(min_s);
        }
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        json::put(object, "max_time_s", self.max_s);
        put_optional(object, "min_time_s", self.min_s.as_ref());
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        Ok(Self {
            max_s: u16::take(object, "max_time_s")?,
            min_s: take_optional(object, "min_time_s")?,
        })
    }
}

impl Body for RoutePoint {
    fn decode(r: &mut Reader, wire: Revision) -> Result<Self, DecodeError> {
        let point_id = (wire != Revision::V2011).then(|| r.dword("point_id"));
        let point_id = point_id.transpose()?;
        let segment_id = r.dword("section_id")?;
        let place = Place::decode(r)?;
        let width_m = r.byte("width_m")?;
        let attributes = SegmentAttributes(r.byte("section_attr")?);
        let has = |bit| attributes.contains(bit);
        let driving = decode_if(has(SegmentAttributes::BY_TIME), r, wire)?;
        let speed = decode_if(has(SegmentAttributes::SPEED_LIMIT), r, wire)?;
        Ok(Self {
            point_id,
            segment_id,
            place,
            width_m,
            attributes,
            driving,
            speed,
            night_max_speed_kmh: decode_night(speed, r, wire)?,
        })
    }

    fn encode(&self, w: &mut Writer, wire: Revision) -> Result<(), EncodeError> {
        let has = |bit| self.attributes.contains(bit);
        let (by_time, by_speed) = (SegmentAttributes::BY_TIME, SegmentAttributes::SPEED_LIMIT);
        agree("point_id", wire != Revision::V2011, self.point_id.is_some())?;
        if let Some(point_id) = self.point_id {
            w.dword(point_id);
        }
        w.dword(self.segment_id);
        self.place.encode(w)?;
        w.byte(self.width_m);
        w.byte(self.attributes.0);
        encode_if("driving", has(by_time), self.driving.as_ref(), w, wire)?;
        encode_if("speed", has(by_speed), self.speed.as_ref(), w, wire)?;
        encode_night(self.speed, self.night_max_speed_kmh, w, wire)
    }

    fn to_json(&self, object: &mut Object) {
        let is = |bit| self.attributes.contains(bit);
        let (south, west) = (is(SegmentAttributes::SOUTH), is(SegmentAttributes::WEST));
        put_optional(object, "point_id", self.point_id.as_ref());
        json::put(object, "section_id", self.segment_id);
        self.place.put(object, "", south, west);
        json::put(object, "width_m", self.width_m);
        json::put(object, "section_attr", self.attributes.0);
        if let Some(driving) = self.driving {
            driving.to_json(object);
        }
        if let Some(speed) = self.speed {
            speed.to_json(object);
        }
        put_optional(
            object,
            "night_max_speed_kmh",
            self.night_max_speed_kmh.as_ref(),
        );
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        let said = SegmentAttributes(take_or(object, "section_attr", 0)?);
        let is_said = |bit| said.contains(bit);
        let mut signs = Signs::default();
        let place = Place::take(object, "", &mut signs)?;
        let by_time = is_said(SegmentAttributes::BY_TIME);
        let driving: Option<DrivingTimes> = take_if(object, by_time, ["max_time_s", "min_time_s"])?;
        let speed = take_speed(object, is_said(SegmentAttributes::SPEED_LIMIT))?;
        let is = |sign: Option<bool>, bit| sign.unwrap_or_else(|| is_said(bit));
        Ok(Self {
            point_id: take_optional(object, "point_id")?,
            segment_id: u32::take(object, "section_id")?,
            place,
            width_m: u8::take(object, "width_m")?,
            attributes: said
                .with(SegmentAttributes::BY_TIME, driving.is_some())
                .with(SegmentAttributes::SPEED_LIMIT, speed.is_some())
                .with(
                    SegmentAttributes::SOUTH,
                    is(signs.south, SegmentAttributes::SOUTH),
                )
                .with(
                    SegmentAttributes::WEST,
                    is(signs.west, SegmentAttributes::WEST),
                ),
            driving,
            speed,
            night_max_speed_kmh: take_optional(object, "night_max_speed_kmh")?,
        })
    }
}

impl SetRoute {
    /// Reads a body in the layout of the revision `wire`.
    pub(super) fn decode_as(
        r: &mut Reader,
        wire: Revision,
        revision: Revision,
    ) -> Result<Self, DecodeError> {
        let id = r.dword("id")?;
        let attributes = AreaAttributes(r.word("attributes")?);
        let by_time = attributes.contains(AreaAttributes::BY_TIME);
        let period = decode_if(by_time, r, wire)?;
        let total = r.word("count")?;
        let count = decode_count_here(r, total, wire)?;
        Ok(Self {
            id,
            attributes,
            period,
            points: decode_entries(r, "points", count.into(), wire)?,
            name: decode_name(r, wire)?,
            layout: AreaLayout::of(wire, revision, total),
        })
    }
}

impl Body for SetRoute {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        decode_filling(r, revision, |r, wire| Self::decode_as(r, wire, revision))
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        let wire = self.layout.wire(revision);
        let by_time = self.attributes.contains(AreaAttributes::BY_TIME);
        w.dword(self.id);
        w.word(self.attributes.0);
        encode_if("period", by_time, self.period.as_ref(), w, wire)?;
        let count = self.points.len();
        w.word(self.layout.total("points", count)?);
        if wire == Revision::V2011 {
            w.byte(counted("points", count)?);
        }
        self.points
            .iter()
            .try_for_each(|point| Body::encode(point, w, wire))?;
        encode_name(self.name.as_ref(), w, wire)
    }

    fn to_json(&self, object: &mut Object) {
        let points: Vec<_> = self.points.iter().map(RoutePoint::to_value).collect();
        json::put(object, "id", self.id);
        json::put(object, "attr", self.attributes.0);
        if let Some(period) = self.period {
            period.to_json(object);
        }
        json::put(object, "points", points);
        put_optional(object, "name", self.name.as_ref());
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        let said = AreaAttributes(take_or(object, "attr", 0)?);
        let period = take_period(object, said.contains(AreaAttributes::BY_TIME))?;
        Ok(Self {
            id: u32::take(object, "id")?,
            attributes: said.with(AreaAttributes::BY_TIME, period.is_some()),
            period,
            points: take_entries(object, "points")?,
            name: take_optional(object, "name")?,
            layout: AreaLayout::Usual,
        })
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for RoutePoint {
    fn arbitrary(c: &mut super::arbitrary::Choices, wire: Revision) -> Self {
        let attributes = SegmentAttributes(c.byte());
        let has = |bit| attributes.contains(bit);
        let is_later = wire != Revision::V2011;
        let (speed, night_max_speed_kmh) =
            super::area::arbitrary::speed(c, has(SegmentAttributes::SPEED_LIMIT), wire);
        Self {
            point_id: is_later.then(|| c.any(wire)),
            segment_id: c.any(wire),
            place: c.any(wire),
            width_m: c.byte(),
            attributes,
            driving: has(SegmentAttributes::BY_TIME).then(|| DrivingTimes {
                max_s: c.any(wire),
                min_s: is_later.then(|| c.any(wire)),
            }),
            speed,
            night_max_speed_kmh,
        }
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for SetRoute {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        let layout = c.any(revision);
        super::arbitrary::as_read(&arbitrary(c, layout, revision), revision)
    }
}

#[cfg(test)]
pub(super) fn arbitrary(
    c: &mut super::arbitrary::Choices,
    layout: AreaLayout,
    revision: Revision,
) -> SetRoute {
    let wire = layout.wire(revision);
    let attributes = AreaAttributes(c.any(wire));
    let by_time = attributes.contains(AreaAttributes::BY_TIME);
    let points: Vec<_> = c.list(wire);
    SetRoute {
        id: c.any(wire),
        attributes,
        period: by_time.then(|| c.any(wire)),
        layout: super::area::arbitrary::layout_of(layout, points.len()),
        points,
        name: super::area::arbitrary::name(c, wire),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        hex,
        jt808::message::{Message, MessageId},
    };

    const ID: MessageId = MessageId::SET_ROUTE;
    const HEAD: &str = "00000009 0001 000000083000 000000180000";

    fn decode(text: &str, revision: Revision) -> SetRoute {
        let body = hex::bytes(text);
        let message = Message::decode(ID, body.clone(), revision).unwrap();
        assert_eq!(message.encode(revision), Ok(body), "{text}");
        match message {
            Message::SetRoute(route) => route,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_revision_has_its_layout() {
        let point = "00000001 00000011 01580650 06CC5F28 14 03";
        let last = "00000002 00000012 01580650 06CC6310 14 00";
        let of_2013 = format!("{HEAD} 0002 {point} 0258 003C 0028 0A {last}");
        let of_2019 = format!("{HEAD} 0002 {point} 0258 003C 0028 0A 001E {last} 0002 D2BB");
        let of_2011 = format!(
            "{HEAD} 0002 02 00000011 01580650 06CC5F28 14 03 0258 0028 0A
             00000012 01580650 06CC6310 14 00"
        );
        let usual = AreaLayout::Usual;
        let total = 2;
        for (text, revision, layout, ids, min_s, night) in [
            (
                &of_2013,
                Revision::V2013,
                usual,
                [Some(1), Some(2)],
                Some(60),
                None,
            ),
            (
                &of_2013,
                Revision::V2019,
                AreaLayout::Of2013,
                [Some(1), Some(2)],
                Some(60),
                None,
            ),
            (
                &of_2011,
                Revision::V2013,
                AreaLayout::Of2011 { total },
                [None; 2],
                None,
                None,
            ),
            (
                &of_2019,
                Revision::V2019,
                usual,
                [Some(1), Some(2)],
                Some(60),
                Some(30),
            ),
        ] {
            let route = decode(text, revision);
            assert_eq!((route.id, route.layout), (9, layout));
            assert!(route.period.is_some());
            let [first, second] = &route.points[..] else {
                panic!("{route:?}")
            };
            assert_eq!([first.point_id, second.point_id], ids);
            assert_eq!((first.segment_id, first.width_m), (0x11, 20));
            assert_eq!(first.driving, Some(DrivingTimes { max_s: 600, min_s }));
            assert_eq!(first.speed.unwrap().overspeed_s, 10);
            assert_eq!(first.night_max_speed_kmh, night);
            assert_eq!((second.driving, second.speed), (None, None));
            let name = route.name.as_ref().map(Name::as_text);
            assert_eq!(name.as_deref(), night.map(|_| "一"));
        }
    }

    #[test]
    fn a_body_that_no_layout_fills_is_refused() {
        let point = "00000001 00000011 01580650 06CC5F28 14 00";
        let body = hex::bytes(&format!("{HEAD} 0001 {point}"));
        for length in 0..body.len() {
            let error = Message::decode(ID, body.slice(..length), Revision::V2013);
            assert_eq!(error.unwrap_err().reason(), "truncated", "{length}");
        }
        let longer = hex::bytes(&format!("{HEAD} 0001 {point} 00"));
        let error = Message::decode(ID, longer, Revision::V2013).unwrap_err();
        assert_eq!(error.reason(), "no_layout");
    }

    #[test]
    fn a_route_comes_from_json() {
        let value = json!({ "id": 9, "points": [{
            "point_id": 1, "section_id": 17, "lat": 22.546, "lon": -114.057, "width_m": 20,
            "max_time_s": 600, "min_time_s": 60, "max_speed_kmh": 40, "overspeed_s": 10,
        }] });
        let message = Message::from_json(ID, value.as_object().cloned().unwrap()).unwrap();
        let expected = "00000009 0000 0001
                        00000001 00000011 01580650 06CC5F28 14 0B 0258 003C 0028 0A";
        assert_eq!(message.encode(Revision::V2013), Ok(hex::bytes(expected)));
    }

    #[test]
    fn a_point_needs_its_id_since_2013() {
        let value = json!({ "id": 9, "points": [
            { "section_id": 17, "lat": 22.546, "lon": 114.057, "width_m": 20 },
        ] });
        let message = Message::from_json(ID, value.as_object().cloned().unwrap()).unwrap();
        let error = message.encode(Revision::V2013).unwrap_err();
        assert_eq!((error.field, error.reason()), ("point_id", "missing"));
    }
}
