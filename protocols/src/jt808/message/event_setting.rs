//! 0x8301 setting of events (事件设置): platform -> terminal, answered by 0x0001, and
//! 0x0301 event report (事件报告): terminal -> platform, answered by 0x8001.
//!
//! The setting is a [change of a list](super::list_change) of entries id BYTE, length BYTE, GBK;
//! operation 4 sends them without a text. The report is the id BYTE of the one that the driver chose.

use super::{
    field::{Counted, Rest, Text, layout},
    list_change::{Entry, ListChange},
};

/// The events that a driver can report at the push of a button.
pub type EventSetting = ListChange<TerminalEvent>;

layout! {
    /// Something that a driver may report.
    pub struct TerminalEvent {
        /// Its number.
        pub id: u8,
        /// What the terminal shows.
        pub text: Text<Counted<u8>>,
    }
}

impl Entry for TerminalEvent {
    const LIST: &'static str = "events";
}

layout! {
    /// The driver reports something.
    pub struct EventReport {
        /// Number of the event.
        pub event_id: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        hex,
        jt808::{
            Revision,
            message::{
                Message, MessageId,
                arbitrary::{check, check_truncated, json_error},
            },
        },
    };

    const ID: MessageId = MessageId::EVENT_SETTING;

    #[test]
    fn events_are_counted() {
        let json = json!({
            "op": 1,
            "count": 2,
            "events": [{ "id": 1, "text": "haha" }, { "id": 2, "text": "" }],
        });
        let body = "01 02  01 04 68616861  02 00";
        check(ID, Revision::V2013, body, &json);
        check_truncated(ID, Revision::V2019, body, hex::bytes(body).len());
    }

    #[test]
    fn nothing_need_follow_when_all_are_deleted() {
        check(ID, Revision::V2013, "00", &json!({ "op": 0 }));
        let json = json!({ "op": 0, "count": 0, "events": [] });
        check(ID, Revision::V2013, "00 00", &json);
        let error = json_error(ID, json!({ "op": 2 }));
        assert_eq!(error, "events: is missing");
        let append = Message::EventSetting(ListChange {
            operation: 2,
            list: None,
        });
        let error = append.encode(Revision::V2013).unwrap_err();
        assert_eq!(error.reason(), "missing");
    }

    #[test]
    fn the_second_count_of_2011_is_read_where_the_other_layout_does_not_fit() {
        let json = json!({
            "op": 2,
            "count": 1,
            "total": 3,
            "events": [{ "id": 9, "text": "haha" }],
        });
        check(ID, Revision::V2013, "02 03 01  09 04 68616861", &json);
        let body = hex::bytes("02 03 01  09 04 68616861");
        assert!(Message::decode(ID, body, Revision::V2019).is_err());
    }

    #[test]
    fn bytes_behind_the_last_entry_are_kept() {
        let json = json!({ "op": 1, "count": 0, "events": [], "trailing_hex": "0102" });
        check(ID, Revision::V2013, "01 00 0102", &json);
    }

    #[test]
    fn a_report_is_a_number() {
        let id = MessageId::EVENT_REPORT;
        check(id, Revision::V2011, "62", &json!({ "event_id": 98 }));
        check_truncated(id, Revision::V2011, "62", 1);
    }
}
