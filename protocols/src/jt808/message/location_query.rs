//! 0x8201 location query (位置信息查询): platform -> terminal, answered by
//! 0x0201 location query response (位置信息查询应答): terminal -> platform.
//!
//! The query's body is empty. The response's:
//!
//! | 2011 | since 2013 | field           | wire                      |
//! |------|------------|-----------------|---------------------------|
//! |    - |          0 | answered serial | WORD                      |
//! |    0 |          2 | report          | body of a location report |
//!
//! The form of 2011 is taken where coordinates, heading and time make sense in it and do not in
//! the other.

use super::{
    Body,
    field::{Field, Rest, layout},
    json::{JsonError, Object},
    location_report::LocationReport,
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

layout! {
    /// Where are you?
    #[derive(Default)]
    pub struct LocationQuery {
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

/// Where the terminal is, when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocationQueryResponse {
    /// Serial number of the query; `None` in the form of 2011.
    pub answered_serial: Option<u16>,
    /// The report.
    pub report: LocationReport,
}

/// Whether a report that begins after so many bytes has coordinates, heading and time.
fn is_likely(r: &Reader, offset: usize, revision: Revision) -> bool {
    let mut r = r.clone();
    let report = r
        .bytes("answered_serial", offset)
        .and_then(|_| LocationReport::decode(&mut r, revision));
    report.is_ok_and(|report| {
        report.latitude_micro_degrees().is_some()
            && report.longitude_micro_degrees().is_some()
            && report.heading.0 <= 360
            && report.time.civil().is_some()
    })
}

/// Whether the report stands at the start of the body, and not behind a serial number.
fn is_form_2011(r: &Reader, revision: Revision) -> bool {
    revision != Revision::V2019 && !is_likely(r, 2, revision) && is_likely(r, 0, revision)
}

impl Body for LocationQueryResponse {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let answered_serial = if is_form_2011(r, revision) {
            None
        } else {
            Some(r.word("answered_serial")?)
        };
        Ok(Self {
            answered_serial,
            report: LocationReport::decode(r, revision)?,
        })
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        if let Some(serial) = self.answered_serial {
            w.word(serial);
        }
        self.report.encode(w, revision)
    }

    fn to_json(&self, object: &mut Object) {
        if let Some(serial) = self.answered_serial {
            serial.put(object, "reply_serial");
        }
        self.report.to_json(object);
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::uplink_only())
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for LocationQueryResponse {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        use super::location_report::{Degrees, MicroDegrees};
        use crate::wire::bcd::Gmt8Time;

        // Two bytes earlier the time would have a day 99.
        let time = Gmt8Time([0x99, 0x12, 0x31, 0x23, 0x59, 0x59]);
        let report: LocationReport = c.any(revision);
        if revision == Revision::V2019 || c.below(2) == 0 {
            return Self {
                answered_serial: Some(c.any(revision)),
                report: LocationReport { time, ..report },
            };
        }
        // Two bytes later it would have a month 23.
        Self {
            answered_serial: None,
            report: LocationReport {
                latitude: MicroDegrees(22_546_000),
                longitude: MicroDegrees(114_057_900),
                heading: Degrees(90),
                time,
                ..report
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        hex,
        jt808::message::{
            Message, MessageId,
            arbitrary::{check, check_truncated},
        },
    };

    const REPORT: &str = "00000000 00000003 01580650 06CC62AC 0023 0163 005A 240715083015";
    const ID: MessageId = MessageId::LOCATION_QUERY_RESPONSE;

    fn response(body: &str, revision: Revision) -> LocationQueryResponse {
        let body = hex::bytes(body);
        let message = Message::decode(ID, body.clone(), revision).unwrap();
        assert_eq!(message.encode(revision), Ok(body));
        match message {
            Message::LocationQueryResponse(response) => response,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_query_is_empty() {
        let id = MessageId::LOCATION_QUERY;
        check(id, Revision::V2011, "", &json!({}));
    }

    #[test]
    fn a_response_quotes_the_query() {
        for revision in [Revision::V2011, Revision::V2013, Revision::V2019] {
            let response = response(&format!("0007 {REPORT} 01 04 00000001"), revision);
            assert_eq!(response.answered_serial, Some(7));
            assert_eq!(response.report.latitude.0, 22_546_000);
        }
        check_truncated(ID, Revision::V2019, &format!("0007 {REPORT}"), 30);
    }

    #[test]
    fn the_form_of_2011_has_no_serial() {
        for items in ["", "01 04 00000001"] {
            let response = response(&format!("{REPORT} {items}"), Revision::V2013);
            assert_eq!(response.answered_serial, None);
            assert_eq!(response.report.latitude.0, 22_546_000);
        }
        let body = hex::bytes(REPORT);
        assert!(Message::decode(ID, body, Revision::V2019).is_err());
    }
}
