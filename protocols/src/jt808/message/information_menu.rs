//! 0x8303 setting of the information menu (信息点播菜单设置): platform -> terminal, answered by
//! 0x0001, and 0x0303 request or cancellation of information (信息点播/取消): terminal -> platform,
//! answered by 0x8001.
//!
//! The setting is a [change of a list](super::list_change) of entries type BYTE, length WORD, GBK.
//!
//! | offset | field | wire | values                         |
//! |--------|-------|------|--------------------------------|
//! |      0 | type  | BYTE | kind of information            |
//! |      1 | flag  | BYTE | 0 cancel, 1 request            |

use super::{
    field::{Counted, Rest, Text, layout},
    list_change::{Entry, ListChange},
};

/// The kinds of information that a driver can ask for.
pub type InformationMenu = ListChange<MenuItem>;

layout! {
    /// A kind of information.
    pub struct MenuItem {
        /// Its number.
        pub information_type as "id": u8,
        /// What the terminal shows.
        pub text: Text<Counted<u16>>,
    }
}

impl Entry for MenuItem {
    const LIST: &'static str = "menu";
}

layout! {
    /// The driver wants information, or no longer.
    pub struct InformationRequest {
        /// Which kind.
        pub information_type as "info_type": u8,
        /// 0 cancel, 1 request.
        pub flag: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        hex,
        jt808::{
            Revision,
            message::{
                MessageId,
                arbitrary::{check, check_truncated},
            },
        },
    };

    #[test]
    fn a_menu_is_counted() {
        let id = MessageId::INFORMATION_MENU;
        let json = json!({
            "op": 2,
            "count": 2,
            "menu": [{ "id": 1, "text": "军事" }, { "id": 9, "text": "" }],
        });
        let body = "02 02  01 0004 BEFCCAC2  09 0000";
        check(id, Revision::V2013, body, &json);
        check_truncated(id, Revision::V2019, body, hex::bytes(body).len());
        check(id, Revision::V2013, "00", &json!({ "op": 0 }));
    }

    #[test]
    fn the_second_count_of_2011_is_read_where_the_other_layout_does_not_fit() {
        let json = json!({
            "op": 1,
            "count": 1,
            "total": 1,
            "menu": [{ "id": 1, "text": "军事" }],
        });
        let id = MessageId::INFORMATION_MENU;
        check(id, Revision::V2013, "01 01 01 01 0004 BEFCCAC2", &json);
    }

    #[test]
    fn a_request_names_the_kind() {
        let id = MessageId::INFORMATION_REQUEST;
        let json = json!({ "info_type": 12, "flag": 1 });
        check(id, Revision::V2013, "0C 01", &json);
        check_truncated(id, Revision::V2013, "0C 01", 2);
    }
}
