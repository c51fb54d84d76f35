//! 0x8604 set a polygon (设置多边形区域): platform -> terminal, answered by 0x0001. It is added, or
//! replaces the one of its id.
//!
//! | field       | wire       | notes                                                              |
//! |-------------|------------|--------------------------------------------------------------------|
//! | id          | DWORD      |                                                                    |
//! | attributes  | WORD       | bits; 6 south, 7 west                                              |
//! | start, end  | BCD\[6\] each | with bit 0                                                      |
//! | speed limit | WORD       | km/h, with bit 1                                                   |
//! | overspeed   | BYTE       | seconds, with bit 1                                                |
//! | count       | WORD       | vertices                                                           |
//! | count here  | BYTE       | 2011 only: in this packet                                          |
//! | vertices    | latitude DWORD, longitude DWORD each | 1e-6 degree, magnitude                   |
//! | night's speed limit | WORD | km/h, 2019 with bit 1                                            |
//! | name        | length WORD, STRING | 2019, always                                              |

use serde_json::Value;

use super::{
    Body,
    area::{
        AreaAttributes, AreaLayout, Name, Period, SpeedLimit, counted, decode_count_here,
        decode_filling, decode_if, decode_name, decode_night, encode_if, encode_name, encode_night,
        place::{Place, Signs},
        put_common, put_optional, take_common, take_night_and_name,
    },
    field::{Field as _, nothing_left, take_or},
    json::{self, JsonError, JsonProblem, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

/// A polygon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetPolygon {
    /// Id among the polygons, from 1.
    pub id: u32,
    /// What it is for, and the hemispheres of its vertices.
    pub attributes: AreaAttributes,
    /// When it holds; with [`AreaAttributes::BY_TIME`].
    pub period: Option<Period>,
    /// With [`AreaAttributes::SPEED_LIMIT`].
    pub speed: Option<SpeedLimit>,
    /// Its vertices, the first not repeated at the end.
    pub vertices: Vec<Place>,
    /// The night's limit, in km/h: 2019 and with a limit. The day's holds where there is none.
    pub night_max_speed_kmh: Option<u16>,
    /// 2019.
    pub name: Option<Name>,
    /// Whose layout the body has.
    pub layout: AreaLayout,
}

impl SetPolygon {
    /// Reads a body in the layout of the revision `wire`.
    pub(super) fn decode_as(
        r: &mut Reader,
        wire: Revision,
        revision: Revision,
    ) -> Result<Self, DecodeError> {
        let id = r.dword("id")?;
        let attributes = AreaAttributes(r.word("attributes")?);
        let has = |bit| attributes.contains(bit);
        let period = decode_if(has(AreaAttributes::BY_TIME), r, wire)?;
        let speed = decode_if(has(AreaAttributes::SPEED_LIMIT), r, wire)?;
        let total = r.word("count")?;
        let count = decode_count_here(r, total, wire)?;
        let vertices = (0..count)
            .map(|_| Place::decode(r))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            id,
            attributes,
            period,
            speed,
            vertices,
            night_max_speed_kmh: decode_night(speed, r, wire)?,
            name: decode_name(r, wire)?,
            layout: AreaLayout::of(wire, revision, total),
        })
    }
}

impl Body for SetPolygon {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        decode_filling(r, revision, |r, wire| Self::decode_as(r, wire, revision))
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        let wire = self.layout.wire(revision);
        let has = |bit| self.attributes.contains(bit);
        let (by_time, by_speed) = (AreaAttributes::BY_TIME, AreaAttributes::SPEED_LIMIT);
        w.dword(self.id);
        w.word(self.attributes.0);
        encode_if("period", has(by_time), self.period.as_ref(), w, wire)?;
        encode_if("speed", has(by_speed), self.speed.as_ref(), w, wire)?;
        let count = self.vertices.len();
        w.word(self.layout.total("vertices", count)?);
        if wire == Revision::V2011 {
            w.byte(counted("vertices", count)?);
        }
        self.vertices
            .iter()
            .try_for_each(|vertex| vertex.encode(w))?;
        encode_night(self.speed, self.night_max_speed_kmh, w, wire)?;
        encode_name(self.name.as_ref(), w, wire)
    }

    fn to_json(&self, object: &mut Object) {
        let is = |bit| self.attributes.contains(bit);
        let (south, west) = (is(AreaAttributes::SOUTH), is(AreaAttributes::WEST));
        let vertices = self.vertices.iter().map(|vertex| {
            let mut object = Object::new();
            vertex.put(&mut object, "", south, west);
            Value::Object(object)
        });
        json::put(object, "id", self.id);
        json::put(object, "attr", self.attributes.0);
        json::put(object, "vertices", vertices.collect::<Vec<_>>());
        put_common(self.period, self.speed, object);
        put_optional(
            object,
            "night_max_speed_kmh",
            self.night_max_speed_kmh.as_ref(),
        );
        put_optional(object, "name", self.name.as_ref());
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        let said = AreaAttributes(take_or(object, "attr", 0)?);
        let mut signs = Signs::default();
        let vertices = take_vertices(object, &mut signs)?;
        let (period, speed, attributes) = take_common(object, said, signs)?;
        let (night_max_speed_kmh, name) = take_night_and_name(object)?;
        Ok(Self {
            id: u32::take(object, "id")?,
            attributes,
            period,
            speed,
            vertices,
            night_max_speed_kmh,
            name,
            layout: AreaLayout::Usual,
        })
    }
}

fn take_vertices(object: &mut Object, signs: &mut Signs) -> Result<Vec<Place>, JsonError> {
    const NAME: &str = "vertices";
    let expected = |what| JsonError::new(NAME, JsonProblem::Expected(what));
    let Value::Array(values) = json::take(object, NAME)? else {
        return Err(expected("a list"));
    };
    values
        .into_iter()
        .map(|value| {
            let Value::Object(mut vertex) = value else {
                return Err(expected("a list of objects"));
            };
            Place::take(&mut vertex, "", signs)
                .and_then(|place| nothing_left(&vertex).map(|()| place))
                .map_err(|error| error.inside(NAME))
        })
        .collect()
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for SetPolygon {
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
) -> SetPolygon {
    let wire = layout.wire(revision);
    let attributes = AreaAttributes(c.any(wire));
    let has = |bit| attributes.contains(bit);
    let (speed, night_max_speed_kmh) =
        super::area::arbitrary::speed(c, has(AreaAttributes::SPEED_LIMIT), wire);
    let vertices: Vec<_> = c.list(wire);
    SetPolygon {
        id: c.any(wire),
        attributes,
        period: has(AreaAttributes::BY_TIME).then(|| c.any(wire)),
        speed,
        layout: super::area::arbitrary::layout_of(layout, vertices.len()),
        vertices,
        night_max_speed_kmh,
        name: super::area::arbitrary::name(c, wire),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        hex,
        jt808::message::{Message, MessageId, location_report::MicroDegrees},
    };

    const ID: MessageId = MessageId::SET_POLYGON;
    const HEAD: &str = "00000009 002B 000000083000 000000180000 0028 0A";
    const VERTICES: &str = "01580650 06CC5F28 01580650 06CC6310 01580268 06CC6310";

    fn decode(text: &str, revision: Revision) -> SetPolygon {
        let body = hex::bytes(text);
        let message = Message::decode(ID, body.clone(), revision).unwrap();
        assert_eq!(message.encode(revision), Ok(body));
        match message {
            Message::SetPolygon(polygon) => polygon,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_revision_has_its_layout() {
        let of_2013 = format!("{HEAD} 0003 {VERTICES}");
        let of_2011 = format!("{HEAD} 0009 03 {VERTICES}");
        let of_2019 = format!("{of_2013} 001E 0002 D2BB");
        for (text, revision, layout, night) in [
            (&of_2013, Revision::V2013, AreaLayout::Usual, None),
            (&of_2013, Revision::V2019, AreaLayout::Of2013, None),
            (
                &of_2011,
                Revision::V2011,
                AreaLayout::Of2011 { total: 9 },
                None,
            ),
            (&of_2019, Revision::V2019, AreaLayout::Usual, Some(30)),
        ] {
            let polygon = decode(text, revision);
            assert_eq!((polygon.id, polygon.layout), (9, layout));
            assert_eq!(polygon.vertices.len(), 3);
            assert_eq!(polygon.vertices[2].latitude, MicroDegrees(22_545_000));
            assert_eq!(polygon.night_max_speed_kmh, night);
            let name = polygon.name.as_ref().map(Name::as_text);
            assert_eq!(name.as_deref(), night.map(|_| "一"));
        }
    }

    #[test]
    fn a_body_that_no_layout_fills_is_refused() {
        let body = hex::bytes(&format!("{HEAD} 0003 {VERTICES}"));
        for length in 0..body.len() {
            let error = Message::decode(ID, body.slice(..length), Revision::V2019);
            assert_eq!(error.unwrap_err().reason(), "truncated", "{length}");
        }
        // A count of one byte.
        let short = hex::bytes(&format!("{HEAD} 03 {VERTICES}"));
        assert!(Message::decode(ID, short, Revision::V2013).is_err());
        let hostile = hex::bytes("00000009 0000 FFFF");
        assert!(Message::decode(ID, hostile, Revision::V2013).is_err());
    }

    #[test]
    fn a_polygon_comes_from_json() {
        let value = json!({ "id": 9, "attr": 0x28, "vertices": [
            { "lat": 22.546, "lon": 114.057 }, { "lat": 22.546, "lon": 114.058 },
            { "lat": 22.545, "lon": 114.058 },
        ], "name": "一" });
        let message = Message::from_json(ID, value.as_object().cloned().unwrap()).unwrap();
        let expected = format!("00000009 0028 0003 {VERTICES} 0002 D2BB");
        assert_eq!(message.encode(Revision::V2019), Ok(hex::bytes(&expected)));
        let mut bad = value.as_object().cloned().unwrap();
        bad["vertices"][1]["lat"] = json!(-22.546);
        let error = Message::from_json(ID, bad).unwrap_err();
        assert_eq!(error.field, "vertices.lat");
    }
}
