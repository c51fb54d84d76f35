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
    area::{
        outline::{Area, Outline},
        place::{Place, Signs},
    },
    field::Field as _,
    json::{self, JsonError, Object},
};
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// A circle.
pub type Circle = Area<Round>;

/// Where a circle is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Its centre.
    pub center: Place,
    /// Metres.
    pub radius_m: u32,
}

impl Outline for Round {
    fn decode(r: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            center: Place::decode(r)?,
            radius_m: r.dword("radius_m")?,
        })
    }

    fn encode(&self, w: &mut Writer) -> Result<(), EncodeError> {
        self.center.encode(w)?;
        w.dword(self.radius_m);
        Ok(())
    }

    fn put(&self, object: &mut Object, south: bool, west: bool) {
        self.center.put(object, "", south, west);
        json::put(object, "radius_m", self.radius_m);
    }

    fn take(object: &mut Object, signs: &mut Signs) -> Result<Self, JsonError> {
        Ok(Self {
            center: Place::take(object, "", signs)?,
            radius_m: u32::take(object, "radius_m")?,
        })
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for Round {
    fn arbitrary(c: &mut super::arbitrary::Choices, wire: crate::jt808::Revision) -> Self {
        Self {
            center: c.any(wire),
            radius_m: c.any(wire),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        hex,
        jt808::Revision,
        jt808::message::{
            Message, MessageId,
            area::{AreaLayout, Name, SetAreas},
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
            assert_eq!((circle.id, circle.outline.radius_m), (7, 500));
            assert_eq!(circle.outline.center.latitude, MicroDegrees(22_546_000));
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
