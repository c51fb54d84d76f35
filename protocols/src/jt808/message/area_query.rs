//! 0x8608 query areas or routes (查询区域或线路数据, 2019): platform -> terminal, answered by 0x0608.
//! 0x0608 what the terminal has (查询区域或线路数据应答, 2019): terminal -> platform.
//!
//! | message | offset | field | wire       | notes                                                 |
//! |---------|--------|-------|------------|-------------------------------------------------------|
//! | both    |      0 | type  | BYTE       | 1 circles, 2 rectangles, 3 polygons, 4 routes         |
//! |         |      1 | count | DWORD      | 0x8608: 0 all                                         |
//! | 0x8608  |      5 | ids   | DWORD each |                                                       |
//! | 0x0608  |      5 | data  |            | to the end of the body                                |
//!
//! The standard says of the data only which tables it follows. Terminals send bodies of the setting
//! messages, so many of them or one with so many areas, or the areas alone; the reading that fills
//! the body is taken. Data that none of them fills is kept as it is.

use bytes::Bytes;

use super::{
    Body,
    area::{SetAreas, counted},
    field::{Field as _, List, Number as _, Rest, decode_entries, layout},
    json::{self, JsonError, Object},
    set_circles::Circle,
    set_polygon::SetPolygon,
    set_rectangles::Rectangle,
    set_route::SetRoute,
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

layout! {
    /// What is asked for.
    pub struct AreaQuery {
        /// 1 circles, 2 rectangles, 3 polygons, 4 routes.
        pub query_type: u8,
        /// Their ids; none at all means every one of the type.
        pub ids: List<u32, u32> = List::new(Vec::new()),
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

/// What the terminal has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AreaQueryAnswer {
    /// Type 1.
    Circles(FoundAreas<Circle>),
    /// Type 2.
    Rectangles(FoundAreas<Rectangle>),
    /// Type 3.
    Polygons(Vec<SetPolygon>),
    /// Type 4.
    Routes(Vec<SetRoute>),
    /// Another type, or data that no reading fills.
    Raw {
        /// Type.
        query_type: u8,
        /// Count by the terminal.
        count: u32,
        /// The data.
        data: Bytes,
    },
}

/// Circles or rectangles, in one of the forms that terminals send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundAreas<T> {
    /// The count is one of bodies, each with its areas.
    Bodies(Vec<SetAreas<T>>),
    /// The count is one of areas, which are in one body.
    Body(SetAreas<T>),
    /// The count is one of areas, without a body.
    Areas(Vec<T>),
}

const CIRCLES: u8 = 1;
const RECTANGLES: u8 = 2;
const POLYGONS: u8 = 3;
const ROUTES: u8 = 4;

/// Whose layouts the data has.
const fn wire_of(revision: Revision) -> Revision {
    match revision {
        Revision::V2011 | Revision::V2013 => Revision::V2013,
        Revision::V2019 => Revision::V2019,
    }
}

/// Reads the data as `decode` does, where that fills the body.
fn filling<T>(r: &Reader, decode: impl FnOnce(&mut Reader) -> Result<T, DecodeError>) -> Option<T> {
    let mut ahead = r.clone();
    decode(&mut ahead).ok().filter(|_| ahead.remaining() == 0)
}

/// Reads so many bodies. Each has some bytes, so the body and not the count bounds them.
fn bodies<T>(
    r: &mut Reader,
    count: u32,
    decode: impl Fn(&mut Reader) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    (0..count).map(|_| decode(r)).collect()
}

impl<T: Body> FoundAreas<T> {
    fn decode(r: &Reader, count: u32, revision: Revision) -> Option<Self> {
        let wire = wire_of(revision);
        let body = |r: &mut Reader| SetAreas::decode_as(r, wire, revision);
        let has_count = |body: &SetAreas<T>| body.areas.len() == count.as_usize();
        filling(r, |r| bodies(r, count, body).map(Self::Bodies))
            .or_else(|| filling(r, body).filter(has_count).map(Self::Body))
            .or_else(|| {
                filling(r, |r| decode_entries(r, "areas", count.as_usize(), wire)).map(Self::Areas)
            })
    }

    fn count(&self) -> usize {
        match self {
            Self::Bodies(bodies) => bodies.len(),
            Self::Body(body) => body.areas.len(),
            Self::Areas(areas) => areas.len(),
        }
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        let wire = wire_of(revision);
        match self {
            Self::Bodies(bodies) => bodies
                .iter()
                .try_for_each(|body| Body::encode(body, w, revision)),
            Self::Body(body) => Body::encode(body, w, revision),
            Self::Areas(areas) => areas
                .iter()
                .try_for_each(|area| Body::encode(area, w, wire)),
        }
    }

    fn put(&self, object: &mut Object) {
        match self {
            Self::Bodies(bodies) => put_all(object, "settings", bodies),
            Self::Body(body) => put_all(object, "settings", std::slice::from_ref(body)),
            Self::Areas(areas) => put_all(object, "areas", areas),
        }
    }
}

fn put_all<T: Body>(object: &mut Object, name: &str, entries: &[T]) {
    let entries: Vec<_> = entries.iter().map(T::to_value).collect();
    json::put(object, name, entries);
}

impl AreaQueryAnswer {
    const fn query_type(&self) -> u8 {
        match self {
            Self::Circles(_) => CIRCLES,
            Self::Rectangles(_) => RECTANGLES,
            Self::Polygons(_) => POLYGONS,
            Self::Routes(_) => ROUTES,
            Self::Raw { query_type, .. } => *query_type,
        }
    }

    fn count(&self) -> Result<u32, EncodeError> {
        match self {
            Self::Circles(circles) => counted("circles", circles.count()),
            Self::Rectangles(rectangles) => counted("rectangles", rectangles.count()),
            Self::Polygons(polygons) => counted("polygons", polygons.len()),
            Self::Routes(routes) => counted("routes", routes.len()),
            Self::Raw { count, .. } => Ok(*count),
        }
    }
}

impl Body for AreaQueryAnswer {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let query_type = r.byte("query_type")?;
        let count = r.dword("count")?;
        let wire = wire_of(revision);
        let found = match query_type {
            CIRCLES => FoundAreas::decode(r, count, revision).map(Self::Circles),
            RECTANGLES => FoundAreas::decode(r, count, revision).map(Self::Rectangles),
            POLYGONS => {
                let body = |r: &mut Reader| SetPolygon::decode_as(r, wire, revision);
                filling(r, |r| bodies(r, count, body)).map(Self::Polygons)
            }
            ROUTES => {
                let body = |r: &mut Reader| SetRoute::decode_as(r, wire, revision);
                filling(r, |r| bodies(r, count, body)).map(Self::Routes)
            }
            _ => None,
        };
        let data = r.rest();
        Ok(found.unwrap_or(Self::Raw {
            query_type,
            count,
            data,
        }))
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        w.byte(self.query_type());
        w.dword(self.count()?);
        match self {
            Self::Circles(circles) => circles.encode(w, revision),
            Self::Rectangles(rectangles) => rectangles.encode(w, revision),
            Self::Polygons(polygons) => polygons
                .iter()
                .try_for_each(|polygon| Body::encode(polygon, w, revision)),
            Self::Routes(routes) => routes
                .iter()
                .try_for_each(|route| Body::encode(route, w, revision)),
            Self::Raw { data, .. } => {
                w.bytes(data);
                Ok(())
            }
        }
    }

    fn to_json(&self, object: &mut Object) {
        if let Self::Raw {
            query_type,
            count,
            data,
        } = self
        {
            let body = [&[*query_type][..], &count.to_be_bytes(), data].concat();
            return json::put_hex(object, "body", &body);
        }
        json::put(object, "query_type", self.query_type());
        // What was read has a count that fits.
        json::put(object, "count", self.count().ok());
        match self {
            Self::Circles(circles) => circles.put(object),
            Self::Rectangles(rectangles) => rectangles.put(object),
            Self::Polygons(polygons) => put_all(object, "areas", polygons),
            Self::Routes(routes) => put_all(object, "areas", routes),
            Self::Raw { .. } => {}
        }
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::uplink_only())
    }
}

#[cfg(test)]
mod arbitrary {
    use super::*;
    use crate::jt808::message::{
        arbitrary::{Arbitrary, Choices, as_read},
        area::AreaLayout,
    };

    fn usual<T: Body + Arbitrary>(c: &mut Choices, revision: Revision) -> SetAreas<T> {
        SetAreas {
            operation: c.byte(),
            areas: c.list(wire_of(revision)),
            layout: AreaLayout::Usual,
        }
    }

    impl<T: Body + Arbitrary> Arbitrary for FoundAreas<T> {
        fn arbitrary(c: &mut Choices, revision: Revision) -> Self {
            match c.below(3) {
                0 => Self::Bodies((0..c.below(3)).map(|_| usual(c, revision)).collect()),
                1 => Self::Body(usual(c, revision)),
                _ => Self::Areas(c.list(wire_of(revision))),
            }
        }
    }

    impl Arbitrary for AreaQueryAnswer {
        fn arbitrary(c: &mut Choices, revision: Revision) -> Self {
            let layout = AreaLayout::Usual;
            let answer = match c.below(5) {
                0 => Self::Circles(c.any(revision)),
                1 => Self::Rectangles(c.any(revision)),
                2 => Self::Polygons(
                    (0..c.below(3))
                        .map(|_| super::super::set_polygon::arbitrary(c, layout, revision))
                        .collect(),
                ),
                3 => Self::Routes(
                    (0..c.below(3))
                        .map(|_| super::super::set_route::arbitrary(c, layout, revision))
                        .collect(),
                ),
                _ => Self::Raw {
                    query_type: c.byte(),
                    count: c.any(revision),
                    data: c.up_to(20),
                },
            };
            as_read(&answer, revision)
        }
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

    const CIRCLE: &str = "00000007 0028 01580650 06CC62AC 000001F4 0002 D2BB";

    fn decode(text: &str) -> AreaQueryAnswer {
        let body = hex::bytes(text);
        let id = MessageId::AREA_QUERY_ANSWER;
        let message = Message::decode(id, body.clone(), Revision::V2019).unwrap();
        assert_eq!(message.encode(Revision::V2019), Ok(body), "{text}");
        match message {
            Message::AreaQueryAnswer(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn json(answer: &AreaQueryAnswer) -> Object {
        let mut object = Object::new();
        answer.to_json(&mut object);
        object
    }

    #[test]
    fn the_reading_that_fills_the_body_is_taken() {
        let answer = decode(&format!(
            "01 00000002 01 01 {CIRCLE} 01 02 {CIRCLE} {CIRCLE}"
        ));
        let AreaQueryAnswer::Circles(FoundAreas::Bodies(bodies)) = &answer else {
            panic!("{answer:?}")
        };
        assert_eq!((bodies.len(), bodies[1].areas.len()), (2, 2));
        assert_eq!(json(&answer)["settings"][1]["count"], json!(2));

        let answer = decode(&format!("01 00000002 01 02 {CIRCLE} {CIRCLE}"));
        assert!(matches!(
            answer,
            AreaQueryAnswer::Circles(FoundAreas::Body(_))
        ));
        assert_eq!(json(&answer)["count"], json!(2));

        let answer = decode(&format!("01 00000002 {CIRCLE} {CIRCLE}"));
        assert!(matches!(
            answer,
            AreaQueryAnswer::Circles(FoundAreas::Areas(_))
        ));
        assert_eq!(json(&answer)["areas"][1]["radius_m"], json!(500));
    }

    #[test]
    fn polygons_and_routes_stand_one_behind_the_other() {
        let polygon = "00000009 0000 0001 01580650 06CC5F28 0000";
        let answer = decode(&format!("03 00000002 {polygon} {polygon}"));
        let AreaQueryAnswer::Polygons(polygons) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(polygons.len(), 2);
        let route = "00000009 0000 0001 00000001 00000011 01580650 06CC5F28 14 00 0000";
        let answer = decode(&format!("04 00000001 {route}"));
        assert_eq!(
            json(&answer)["areas"][0]["points"][0]["section_id"],
            json!(17)
        );
    }

    #[test]
    fn data_that_no_reading_fills_is_kept() {
        for text in [
            "05 00000001 00000007".to_owned(),
            format!("01 00000002 {CIRCLE}"),
            "03 FFFFFFFF 0000".to_owned(),
            "01 FFFFFFFF".to_owned(),
        ] {
            let answer = decode(&text);
            assert!(matches!(answer, AreaQueryAnswer::Raw { .. }), "{text}");
            let body = json::to_hex(&hex::bytes(&text));
            assert_eq!(json(&answer).get("body_hex"), Some(&body.into()));
        }
    }

    #[test]
    fn a_prefix_of_the_fixed_part_is_truncated() {
        for length in 0..5 {
            let body = hex::bytes("01 00000000").slice(..length);
            for id in [MessageId::AREA_QUERY_ANSWER, MessageId::AREA_QUERY] {
                let decoded = Message::decode(id, body.clone(), Revision::V2019);
                assert_eq!(decoded.unwrap_err().reason(), "truncated");
            }
        }
    }

    #[test]
    fn a_query_without_ids_asks_for_all() {
        let object = json!({ "query_type": 3 }).as_object().cloned().unwrap();
        let message = Message::from_json(MessageId::AREA_QUERY, object).unwrap();
        assert_eq!(
            message.encode(Revision::V2019),
            Ok(hex::bytes("03 00000000"))
        );
    }
}
