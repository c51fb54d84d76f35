//! 0x8401 setting of the phone book (设置电话本): platform -> terminal, answered by 0x0001.
//!
//! A [change of a list](super::list_change) whose entries are known by their name:
//!
//! | field  | wire                  | values                         |
//! |--------|-----------------------|--------------------------------|
//! | flag   | BYTE                  | 1 may call, 2 may be called, 3 both |
//! | number | length BYTE, then GBK |                                |
//! | name   | length BYTE, then GBK |                                |

use super::{
    field::{Counted, Text, layout},
    list_change::{Entry, ListChange},
};

/// Whom the driver may call, and who may call.
pub type PhoneBook = ListChange<Contact>;

layout! {
    /// Someone in the phone book.
    pub struct Contact {
        /// 1 may call, 2 may be called, 3 both.
        pub flag: u8,
        /// The number.
        pub number: Text<Counted<u8>>,
        /// The name.
        pub name: Text<Counted<u8>>,
    }
}

impl Entry for Contact {
    const LIST: &'static str = "contacts";
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

    const ID: MessageId = MessageId::PHONE_BOOK;

    #[test]
    fn contacts_are_counted() {
        let json = json!({
            "op": 2,
            "count": 2,
            "contacts": [
                { "flag": 3, "number": "139", "name": "张三" },
                { "flag": 1, "number": "", "name": "" },
            ],
        });
        let body = "02 02  03 03 313339 04 D5C5C8FD  01 00 00";
        check(ID, Revision::V2013, body, &json);
        check_truncated(ID, Revision::V2019, body, hex::bytes(body).len());
        check(ID, Revision::V2013, "00", &json!({ "op": 0 }));
    }

    #[test]
    fn the_second_count_of_2011_is_read_where_the_other_layout_does_not_fit() {
        let json = json!({
            "op": 1,
            "count": 1,
            "total": 2,
            "contacts": [{ "flag": 3, "number": "139", "name": "张三" }],
        });
        check(
            ID,
            Revision::V2013,
            "01 02 01 03 03 313339 04 D5C5C8FD",
            &json,
        );
    }
}
