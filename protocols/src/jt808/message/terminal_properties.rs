//! 0x8107 query of the terminal's properties (查询终端属性): platform -> terminal, answered by
//! 0x0107 terminal properties (查询终端属性应答): terminal -> platform. Since 2013.
//!
//! The query's body is empty. The response quotes no serial number, and terminals also send it
//! unasked:
//!
//! | field            | 2013      | 2019      | values                                              |
//! |------------------|-----------|-----------|-----------------------------------------------------|
//! | type             | WORD      | WORD      | bits: 0 passengers, 1 dangerous goods, 2 freight, 3 taxi, 6 disk, 7 in parts, 8 trailer |
//! | manufacturer     | BYTE\[5\] | BYTE\[5\] | 11 bytes from many                                  |
//! | model            | BYTE\[20\] | BYTE\[30\] |                                                   |
//! | terminal id      | BYTE\[7\] | BYTE\[30\] |                                                    |
//! | ICCID            | BCD\[10\] | BCD\[10\] | may have the digits A to F                          |
//! | hardware version | text      | text      | length BYTE, GBK                                    |
//! | firmware version | text      | text      | length BYTE, GBK                                    |
//! | GNSS             | BYTE      | BYTE      | bits: 0 GPS, 1 BeiDou, 2 GLONASS, 3 Galileo         |
//! | communication    | BYTE      | BYTE      | bits: 0 GPRS, 1 CDMA, 2 TD-SCDMA, 3 WCDMA, 4 CDMA2000, 5 LTE, 7 other |
//!
//! The widths are those under which the body ends with its last field.

use bytes::Bytes;

use super::{
    Body,
    field::{Counted, Field, Raw, Rest, Text, layout, put_text},
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, EncodeErrorKind, Reader, Writer},
};

layout! {
    /// What are you?
    #[derive(Default)]
    pub struct PropertiesQuery {
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

/// Widths of manufacturer, model and terminal id, in bytes.
type Widths = [usize; 3];

const WIDTHS_2013: Widths = [5, 20, 7];
const WIDTHS_2019: Widths = [5, 30, 30];
const WIDTHS_LONG: Widths = [11, 30, 30];

/// Those that may be, the standard's first.
const fn candidates(revision: Revision) -> [Widths; 3] {
    match revision {
        Revision::V2011 | Revision::V2013 => [WIDTHS_2013, WIDTHS_2019, WIDTHS_LONG],
        Revision::V2019 => [WIDTHS_2019, WIDTHS_LONG, WIDTHS_2013],
    }
}

/// What the terminal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalProperties {
    /// Kind of vehicle and of terminal.
    pub terminal_type: u16,
    /// Manufacturer, with its padding: 5 bytes, or 11.
    pub manufacturer: Bytes,
    /// Model, with its padding: 20 bytes, or 30.
    pub model: Bytes,
    /// Terminal id, with its padding: 7 bytes, or 30.
    pub terminal_id: Bytes,
    /// ICCID of the SIM card, twenty digits.
    pub iccid: Raw<10>,
    /// Version of the hardware.
    pub hardware_version: Text<Counted<u8>>,
    /// Version of the firmware.
    pub firmware_version: Text<Counted<u8>>,
    /// Satellite systems.
    pub gnss: u8,
    /// Mobile networks.
    pub communication: u8,
    /// Bytes beyond the layout.
    pub rest: Rest,
}

impl TerminalProperties {
    fn read(r: &mut Reader, widths: Widths, revision: Revision) -> Result<Self, DecodeError> {
        let [manufacturer, model, terminal_id] = widths;
        Ok(Self {
            terminal_type: r.word("terminal_type")?,
            manufacturer: r.bytes("manufacturer", manufacturer)?,
            model: r.bytes("model", model)?,
            terminal_id: r.bytes("terminal_id", terminal_id)?,
            iccid: Field::read(r, "iccid", revision)?,
            hardware_version: Field::read(r, "hardware_version", revision)?,
            firmware_version: Field::read(r, "firmware_version", revision)?,
            gnss: r.byte("gnss")?,
            communication: r.byte("communication")?,
            rest: Rest(r.rest()),
        })
    }

    const fn widths(&self) -> Widths {
        [
            self.manufacturer.len(),
            self.model.len(),
            self.terminal_id.len(),
        ]
    }
}

impl Body for TerminalProperties {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let candidates = candidates(revision);
        let exact = candidates.iter().find_map(|widths| {
            let read = Self::read(&mut r.clone(), *widths, revision);
            read.ok().filter(|properties| properties.rest.0.is_empty())
        });
        let [standard, ..] = candidates;
        match exact {
            Some(properties) => {
                r.rest();
                Ok(properties)
            }
            None => Self::read(r, standard, revision),
        }
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        if !candidates(revision).contains(&self.widths()) {
            return Err(EncodeError {
                field: "manufacturer, model and terminal_id",
                kind: EncodeErrorKind::NoPlace,
            });
        }
        w.word(self.terminal_type);
        w.bytes(&self.manufacturer);
        w.bytes(&self.model);
        w.bytes(&self.terminal_id);
        w.bytes(&self.iccid.0);
        self.hardware_version
            .write(w, "hardware_version", revision)?;
        self.firmware_version
            .write(w, "firmware_version", revision)?;
        w.byte(self.gnss);
        w.byte(self.communication);
        w.bytes(&self.rest.0);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        self.terminal_type.put(object, "terminal_type");
        put_text(object, "manufacturer", &self.manufacturer);
        put_text(object, "model", &self.model);
        put_text(object, "terminal_id", &self.terminal_id);
        json::put(object, "iccid", self.iccid.to_value());
        self.hardware_version.put(object, "hardware_version");
        self.firmware_version.put(object, "firmware_version");
        self.gnss.put(object, "gnss");
        self.communication.put(object, "comm");
        self.rest.put(object, "rest");
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::uplink_only())
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for TerminalProperties {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        let [[manufacturer, model, terminal_id], ..] = candidates(revision);
        Self {
            terminal_type: c.any(revision),
            manufacturer: c.bytes(manufacturer),
            model: c.bytes(model),
            terminal_id: c.bytes(terminal_id),
            iccid: c.any(revision),
            hardware_version: c.any(revision),
            firmware_version: c.any(revision),
            gnss: c.byte(),
            communication: c.byte(),
            rest: Rest::default(),
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

    const ID: MessageId = MessageId::TERMINAL_PROPERTIES;
    const TAIL: &str = "89860123456789012345 05 4857312E30 03 312E32 07 03";

    /// A body whose manufacturer, model and id are these texts filled to their widths.
    fn body(widths: Widths) -> String {
        let fields = ["MANUF", "M1", "DEV"].iter().zip(widths);
        let fields = fields.map(|(text, width)| format!("{text:\0<width$}"));
        let hex = |text: String| json::to_hex(text.as_bytes());
        let fields: String = fields.map(hex).collect();
        format!("0001 {fields} {TAIL}")
    }

    #[test]
    fn the_query_is_empty() {
        let id = MessageId::PROPERTIES_QUERY;
        check(id, Revision::V2013, "", &json!({}));
    }

    #[test]
    fn the_widths_are_those_that_end_with_the_body() {
        let json = json!({
            "terminal_type": 1,
            "manufacturer": "MANUF",
            "model": "M1",
            "terminal_id": "DEV",
            "iccid": "89860123456789012345",
            "hardware_version": "HW1.0",
            "firmware_version": "1.2",
            "gnss": 7,
            "comm": 3,
        });
        for widths in [WIDTHS_2013, WIDTHS_2019, WIDTHS_LONG] {
            for revision in [Revision::V2013, Revision::V2019] {
                let message = check(ID, revision, &body(widths), &json);
                let Message::TerminalProperties(properties) = message else {
                    panic!("{message:?}")
                };
                assert_eq!(properties.widths(), widths);
            }
        }
    }

    #[test]
    fn bytes_behind_the_last_field_are_kept() {
        let bytes = hex::bytes(&(body(WIDTHS_2013) + "0102"));
        let message = Message::decode(ID, bytes.clone(), Revision::V2013).unwrap();
        assert_eq!(message.encode(Revision::V2013), Ok(bytes));
        assert_eq!(message.to_json()["trailing_hex"], "0102");
    }

    #[test]
    fn a_prefix_is_truncated() {
        let body = body(WIDTHS_2013);
        let count = hex::bytes(&body).len();
        check_truncated(ID, Revision::V2013, &body, count);
    }
}
