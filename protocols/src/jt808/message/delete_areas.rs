//! 0x8601 delete circles (删除圆形区域), 0x8603 rectangles (删除矩形区域), 0x8605 polygons
//! (删除多边形区域), 0x8607 routes (删除路线): platform -> terminal, answered by 0x0001.
//!
//! | offset | field | wire  | notes                                                    |
//! |--------|-------|-------|----------------------------------------------------------|
//! |      0 | count | BYTE  | up to 125; 0 deletes all areas of the message's type     |
//! |      1 | ids   | DWORD each |                                                     |

use super::field::{List, Rest, layout};

layout! {
    /// Which areas of a type the terminal forgets.
    pub struct DeleteAreas {
        /// Their ids; none at all means every area of the type.
        pub ids: List<u8, u32>,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

impl DeleteAreas {
    /// The most ids of one message.
    pub const IDS_MAX: usize = 125;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        hex,
        jt808::{
            Revision,
            message::{Message, MessageId},
        },
    };

    #[test]
    fn areas_are_deleted_by_their_ids_or_all_of_them() {
        for (text, ids) in [("02 0000000B 00010000", vec![11, 65_536]), ("00", vec![])] {
            let body = hex::bytes(text);
            let expected = DeleteAreas {
                ids: List::new(ids),
                rest: Rest::default(),
            };
            for (id, message) in [
                (0x8601, Message::DeleteCircles(expected.clone())),
                (0x8603, Message::DeleteRectangles(expected.clone())),
                (0x8605, Message::DeletePolygons(expected.clone())),
                (0x8607, Message::DeleteRoutes(expected.clone())),
            ] {
                let decoded = Message::decode(MessageId(id), body.clone(), Revision::V2013);
                assert_eq!(decoded.as_ref(), Ok(&message));
                assert_eq!(message.encode(Revision::V2019), Ok(body.clone()));
            }
        }
    }

    #[test]
    fn a_prefix_is_truncated() {
        let body = hex::bytes("02 0000000B 00010000");
        for length in 0..body.len() {
            let cut = body.slice(..length);
            let error = Message::decode(MessageId::DELETE_CIRCLES, cut, Revision::V2013);
            assert_eq!(error.unwrap_err().reason(), "truncated", "{length}");
        }
    }

    #[test]
    fn ids_that_are_left_out_of_json_do_not_delete_all() {
        let Some(object) = json!({}).as_object().cloned() else {
            panic!("no object")
        };
        let error = Message::from_json(MessageId::DELETE_ROUTES, object).unwrap_err();
        assert_eq!(error.to_string(), "ids: is missing");
    }
}
