//! 0x8600 set circles (设置圆形区域): platform -> terminal, answered by 0x0001.
//!
//! | field      | wire       | notes                                                               |
//! |------------|------------|---------------------------------------------------------------------|
//! | operation  | BYTE       | 0 replace all circles, 1 add, 2 change                              |
//! | count      | BYTE       | circles                                                             |
//! | count here | BYTE       | 2011 only: in this packet                                           |
//! | circles    |            | to the end of the body:                                             |
//! | id         | DWORD      |                                                                     |
//! | attributes | WORD       | bits; 6 south, 7 west                                               |
//! | latitude, longitude | DWORD each | 1e-6 degree, magnitude                                     |
//! | radius     | DWORD      | metre                                                               |
//! | start, end | BCD\[6\] each | with bit 0                                                       |
//! | speed limit | WORD      | km/h, with bit 1                                                    |
//! | overspeed  | BYTE       | seconds, with bit 1                                                 |
//! | night's speed limit | WORD | km/h, 2019 with bit 1                                            |
//! | name       | length WORD, STRING | 2019, always                                               |

use super::{
    Body,
    area::{
        AreaAttributes, Name, Period, SpeedLimit, decode_if, decode_name, decode_night, encode_if,
        encode_name, encode_night,
        place::{Place, Signs},
        put_common, put_optional, take_common, take_night_and_name,
    },
    field::{Field as _, take_or},
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

/// A circle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle {
    /// Id among the circles, from 1.
    pub id: u32,
    /// What it is for, and the hemispheres of its centre.
    pub attributes: AreaAttributes,
    /// Its centre.
    pub center: Place,
    /// Metres.
    pub radius_m: u32,
    /// When it holds; with [`AreaAttributes::BY_TIME`].
    pub period: Option<Period>,
    /// With [`AreaAttributes::SPEED_LIMIT`].
    pub speed: Option<SpeedLimit>,
    /// The night's limit, in km/h: 2019 and with a limit. The day's holds where there is none.
    pub night_max_speed_kmh: Option<u16>,
    /// 2019.
    pub name: Option<Name>,
}

impl Body for Circle {
    fn decode(r: &mut Reader, wire: Revision) -> Result<Self, DecodeError> {
        let id = r.dword("id")?;
        let attributes = AreaAttributes(r.word("attributes")?);
        let has = |bit| attributes.contains(bit);
        let center = Place::decode(r)?;
        let radius_m = r.dword("radius_m")?;
        let period = decode_if(has(AreaAttributes::BY_TIME), r, wire)?;
        let speed = decode_if(has(AreaAttributes::SPEED_LIMIT), r, wire)?;
        Ok(Self {
            id,
            attributes,
            center,
            radius_m,
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
        self.center.encode(w)?;
        w.dword(self.radius_m);
        encode_if("period", has(by_time), self.period.as_ref(), w, wire)?;
        encode_if("speed", has(by_speed), self.speed.as_ref(), w, wire)?;
        encode_night(self.speed, self.night_max_speed_kmh, w, wire)?;
        encode_name(self.name.as_ref(), w, wire)
    }

    fn to_json(&self, object: &mut Object) {
        let is = |bit| self.attributes.contains(bit);
        let (south, west) = (is(AreaAttributes::SOUTH), is(AreaAttributes::WEST));
        json::put(object, "id", self.id);
        json::put(object, "attr", self.attributes.0);
        self.center.put(object, "", south, west);
        json::put(object, "radius_m", self.radius_m);
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
        let center = Place::take(object, "", &mut signs)?;
        let (period, speed, attributes) = take_common(object, said, signs)?;
        let (night_max_speed_kmh, name) = take_night_and_name(object)?;
        Ok(Self {
            id: u32::take(object, "id")?,
            attributes,
            center,
            radius_m: u32::take(object, "radius_m")?,
            period,
            speed,
            night_max_speed_kmh,
            name,
        })
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for Circle {
    fn arbitrary(c: &mut super::arbitrary::Choices, wire: Revision) -> Self {
        let attributes = AreaAttributes(c.any(wire));
        let has = |bit| attributes.contains(bit);
        let (speed, night_max_speed_kmh) =
            super::area::arbitrary::speed(c, has(AreaAttributes::SPEED_LIMIT), wire);
        Self {
            id: c.any(wire),
            attributes,
            center: c.any(wire),
            radius_m: c.any(wire),
            period: has(AreaAttributes::BY_TIME).then(|| c.any(wire)),
            speed,
            night_max_speed_kmh,
            name: super::area::arbitrary::name(c, wire),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        hex,
        jt808::message::{
            Message, MessageId,
            area::{AreaLayout, SetAreas},
            location_report::MicroDegrees,
        },
    };

    const ID: MessageId = MessageId::SET_CIRCLES;
    const HEAD: &str = "00000007 002B 01580650 06CC62AC 000001F4";
    const TIMES: &str = "000000083000 000000180000";
    const SPEED: &str = "0028 0A";
    const NAME: &str = "0008 BBB7CEC0D2BBC7F8";

    fn decode(text: &str, revision: Revision) -> SetAreas<Circle> {
        let body = hex::bytes(text);
        let message = Message::decode(ID, body.clone(), revision).unwrap();
        assert_eq!(message.encode(revision), Ok(body));
        match message {
            Message::SetCircles(circles) => circles,
            other => panic!("{other:?}"),
        }
    }

    fn message(value: &Value) -> Result<Message, JsonError> {
        Message::from_json(ID, value.as_object().cloned().unwrap())
    }

    #[test]
    fn each_revision_has_its_layout() {
        let of_2013 = format!("01 01 {HEAD} {TIMES} {SPEED}");
        let of_2011 = format!("01 03 01 {HEAD} {TIMES} {SPEED}");
        let of_2019 = format!("01 01 {HEAD} {TIMES} {SPEED} 001E {NAME}");
        let total = 3;
        for (text, revision, layout, night) in [
            (&of_2013, Revision::V2013, AreaLayout::Usual, None),
            (&of_2013, Revision::V2011, AreaLayout::Usual, None),
            (&of_2013, Revision::V2019, AreaLayout::Of2013, None),
            (
                &of_2011,
                Revision::V2013,
                AreaLayout::Of2011 { total },
                None,
            ),
            (&of_2019, Revision::V2019, AreaLayout::Usual, Some(30)),
        ] {
            let circles = decode(text, revision);
            assert_eq!((circles.operation, circles.layout), (1, layout));
            let [circle] = &circles.areas[..] else {
                panic!("{circles:?}")
            };
            assert_eq!((circle.id, circle.radius_m), (7, 500));
            assert_eq!(circle.center.latitude, MicroDegrees(22_546_000));
            assert_eq!(circle.period.unwrap().start.0.to_string(), "000000083000");
            assert_eq!(circle.speed.unwrap().max_speed_kmh, 40);
            assert_eq!(circle.night_max_speed_kmh, night);
            let name = circle.name.as_ref().map(Name::as_text);
            assert_eq!(name.as_deref(), night.map(|_| "环卫一区"));
        }
    }

    #[test]
    fn a_body_that_no_layout_fills_is_refused() {
        let body = hex::bytes(&format!("01 01 {HEAD} {TIMES} {SPEED}"));
        for length in 0..body.len() {
            let error = Message::decode(ID, body.slice(..length), Revision::V2013);
            assert_eq!(error.unwrap_err().reason(), "truncated", "{length}");
        }
        let longer = hex::bytes(&format!("01 01 {HEAD} {TIMES} {SPEED} 0028 0A"));
        let error = Message::decode(ID, longer, Revision::V2013).unwrap_err();
        assert_eq!(error.reason(), "no_layout");
    }

    #[test]
    fn the_bits_follow_what_json_has() {
        let message = message(&json!({ "op": 1, "areas": [{
            "id": 7, "attr": 0x28, "lat": -22.546, "lon": 114.0579, "radius_m": 500,
            "start_bcd": "000000083000", "end_bcd": "000000180000",
            "max_speed_kmh": 40, "overspeed_s": 10,
        }] }))
        .unwrap();
        let expected = |head: &str, tail: &str| Ok(hex::bytes(&format!("01 01 {head} {tail}")));
        let head = HEAD.replace("002B", "006B");
        assert_eq!(
            message.encode(Revision::V2013),
            expected(&head, &format!("{TIMES} {SPEED}"))
        );
        // The night has the day's limit, and the name is empty.
        assert_eq!(
            message.encode(Revision::V2019),
            expected(&head, &format!("{TIMES} {SPEED} 0028 0000"))
        );
    }

    #[test]
    fn a_bit_without_its_fields_is_a_mistake() {
        let error = message(&json!({ "op": 1, "areas": [{
            "id": 7, "attr": 1, "lat": 22.546, "lon": 114.0579, "radius_m": 500,
        }] }))
        .unwrap_err();
        assert_eq!(error.to_string(), "areas.start_bcd: is missing");
    }

    #[test]
    fn a_name_has_no_place_before_2019() {
        let message = message(&json!({ "op": 1, "areas": [{
            "id": 7, "lat": 22.546, "lon": 114.0579, "radius_m": 500, "name": "环卫一区",
        }] }))
        .unwrap();
        let error = message.encode(Revision::V2013).unwrap_err();
        assert_eq!((error.field, error.reason()), ("name", "no_place"));
        assert!(message.encode(Revision::V2019).is_ok());
    }
}
