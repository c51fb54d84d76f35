//! 0x8500 vehicle control (车辆控制): platform -> terminal, answered by 0x0001 at once and by
//! 0x0500 vehicle control response (车辆控制应答): terminal -> platform. Some send only one of them.
//!
//! Before 2019:
//!
//! | offset | field | wire | values                                        |
//! |--------|-------|------|-----------------------------------------------|
//! |      0 | flags | BYTE | bit 0 doors, 1 lock and 0 unlock; others reserved |
//!
//! Since 2019:
//!
//! | offset | field    | wire                                                                     |
//! |--------|----------|--------------------------------------------------------------------------|
//! |      0 | count    | WORD                                                                     |
//! |      2 | controls | each type WORD, then a parameter of the type's own layout. Type 1 doors: BYTE, **0 lock and 1 unlock** |
//!
//! The parameters of the other types are reserved or the maker's: a BYTE each where that fits the
//! body, else what is left of it.
//!
//! The response is the answered serial WORD, then the body of a location report, whose status says
//! whether the doors are locked now.

use bytes::Bytes;

use super::{
    Body,
    field::{Field, Rest, decode_entries, take_entries, take_optional},
    json::{self, JsonError, Object},
    location_report::LocationReport,
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, EncodeErrorKind, Reader, Writer},
};

/// Do something with the vehicle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VehicleControl {
    /// What to do.
    pub action: Action,
    /// Bytes beyond the layout.
    pub rest: Rest,
}

/// What is done with a vehicle. The two layouts say the opposite by the same number, so neither is
/// made from the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Before 2019: bits.
    Flags(u8),
    /// Since 2019: controls one by one.
    Controls(Vec<Control>),
}

/// One control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// What is controlled.
    pub kind: u16,
    /// What is done with it, in the layout of its kind.
    pub parameter: Bytes,
}

impl Control {
    /// The doors.
    pub const DOORS: u16 = 1;
    /// Bytes of a control whose parameter is a BYTE.
    const BYTES: usize = 3;
}

impl VehicleControl {
    /// Locks the doors, or unlocks them, in the layout of a revision.
    #[must_use]
    pub fn doors(is_locked: bool, revision: Revision) -> Self {
        let action = if revision == Revision::V2019 {
            Action::Controls(vec![Control {
                kind: Control::DOORS,
                parameter: Bytes::from_static(if is_locked { &[0] } else { &[1] }),
            }])
        } else {
            Action::Flags(u8::from(is_locked))
        };
        Self {
            action,
            rest: Rest::default(),
        }
    }
}

impl Body for Control {
    fn decode(r: &mut Reader, _revision: Revision) -> Result<Self, DecodeError> {
        let kind = r.word("type")?;
        let bytes = if kind == Self::DOORS {
            1
        } else {
            r.remaining()
        };
        Ok(Self {
            kind,
            parameter: r.bytes("param", bytes)?,
        })
    }

    fn encode(&self, w: &mut Writer, _revision: Revision) -> Result<(), EncodeError> {
        w.word(self.kind);
        w.bytes(&self.parameter);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        self.kind.put(object, "type");
        match *self.parameter {
            [byte] => byte.put(object, "param"),
            _ => json::put_hex(object, "param", &self.parameter),
        }
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        Ok(Self {
            kind: Field::take(object, "type")?,
            parameter: match json::take_hex(object, "param")? {
                Some(bytes) => bytes,
                None => {
                    let byte: u8 = Field::take(object, "param")?;
                    Bytes::copy_from_slice(&[byte])
                }
            },
        })
    }
}

fn controls(r: &mut Reader, revision: Revision) -> Result<Vec<Control>, DecodeError> {
    let count = usize::from(r.word("count")?);
    if r.remaining() != Control::BYTES * count {
        return decode_entries(r, "controls", count, revision);
    }
    (0..count)
        .map(|_| {
            let control = r.bytes("controls", Control::BYTES)?;
            Control::decode(&mut Reader::new(control), revision)
        })
        .collect()
}

impl Body for VehicleControl {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        Ok(Self {
            action: if revision == Revision::V2019 {
                Action::Controls(controls(r, revision)?)
            } else {
                Action::Flags(r.byte("flags")?)
            },
            rest: Rest(r.rest()),
        })
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        let error = |field, kind| Err(EncodeError { field, kind });
        match &self.action {
            Action::Flags(flags) if revision != Revision::V2019 => w.byte(*flags),
            Action::Controls(controls) if revision == Revision::V2019 => {
                let Ok(count) = u16::try_from(controls.len()) else {
                    let kind = EncodeErrorKind::TooMany {
                        count: controls.len(),
                        count_max: u16::MAX.into(),
                    };
                    return error("controls", kind);
                };
                w.word(count);
                for control in controls {
                    Body::encode(control, w, revision)?;
                }
            }
            Action::Flags(_) => return error("flag", EncodeErrorKind::NoPlace),
            Action::Controls(_) => return error("controls", EncodeErrorKind::NoPlace),
        }
        w.bytes(&self.rest.0);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        match &self.action {
            Action::Flags(flags) => flags.put(object, "flag"),
            Action::Controls(controls) => {
                json::put(object, "count", controls.len());
                let controls: Vec<_> = controls.iter().map(Field::to_value).collect();
                json::put(object, "controls", controls);
            }
        }
        self.rest.put(object, "rest");
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        let action = if let Some(flags) = take_optional(object, "flag")? {
            Action::Flags(flags)
        } else {
            object.remove("count");
            Action::Controls(take_entries(object, "controls")?)
        };
        Ok(Self {
            action,
            rest: Field::take(object, "rest")?,
        })
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for VehicleControl {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        if revision != Revision::V2019 {
            return Self {
                action: Action::Flags(c.byte()),
                rest: c.any(revision),
            };
        }
        let mut controls: Vec<_> = (0..c.below(4))
            .map(|_| Control {
                kind: c.any(revision),
                parameter: c.bytes(1),
            })
            .collect();
        if c.below(2) == 1 {
            controls = vec![Control {
                kind: 0xF001,
                parameter: c.up_to(5),
            }];
        }
        Self {
            action: Action::Controls(controls),
            rest: Rest::default(),
        }
    }
}

/// Where the vehicle is and how it stands, after a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VehicleControlResponse {
    /// Serial number of the command.
    pub answered_serial: u16,
    /// The report.
    pub report: LocationReport,
}

impl Body for VehicleControlResponse {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        Ok(Self {
            answered_serial: r.word("answered_serial")?,
            report: LocationReport::decode(r, revision)?,
        })
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        w.word(self.answered_serial);
        self.report.encode(w, revision)
    }

    fn to_json(&self, object: &mut Object) {
        self.answered_serial.put(object, "reply_serial");
        self.report.to_json(object);
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::uplink_only())
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for VehicleControlResponse {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        Self {
            answered_serial: c.any(revision),
            report: c.any(revision),
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
            arbitrary::{check, check_truncated, json_error},
        },
    };

    const ID: MessageId = MessageId::VEHICLE_CONTROL;

    #[test]
    fn a_bit_locks_the_doors_before_2019() {
        let message = check(ID, Revision::V2013, "01", &json!({ "flag": 1 }));
        let control = VehicleControl::doors(true, Revision::V2013);
        assert_eq!(message, Message::VehicleControl(control));
        check_truncated(ID, Revision::V2011, "01", 1);
        assert!(message.encode(Revision::V2019).is_err());
    }

    #[test]
    fn zero_locks_the_doors_since_2019() {
        let json = json!({ "count": 1, "controls": [{ "type": 1, "param": 0 }] });
        let message = check(ID, Revision::V2019, "0001 0001 00", &json);
        let control = VehicleControl::doors(true, Revision::V2019);
        assert_eq!(message, Message::VehicleControl(control));
        check_truncated(ID, Revision::V2019, "0001 0001 00", 5);
        assert!(message.encode(Revision::V2013).is_err());
    }

    #[test]
    fn a_control_of_a_maker_is_kept() {
        let json = json!({
            "count": 2,
            "controls": [{ "type": 0xF001, "param": 7 }, { "type": 1, "param": 1 }],
        });
        check(ID, Revision::V2019, "0002 F001 07 0001 01", &json);
        let json = json!({
            "count": 2,
            "controls": [{ "type": 1, "param": 1 }, { "type": 0xF001, "param_hex": "0708" }],
        });
        check(ID, Revision::V2019, "0002 0001 01 F001 0708", &json);
    }

    #[test]
    fn a_count_without_its_controls_is_truncated() {
        for body in ["007B 00", "0002 F001 0708", "FFFF 0001 00"] {
            let error = Message::decode(ID, hex::bytes(body), Revision::V2019).unwrap_err();
            assert_eq!(error.reason(), "truncated", "{body}");
        }
    }

    #[test]
    fn json_has_one_of_the_two_layouts() {
        assert_eq!(json_error(ID, json!({})), "controls: is missing");
        let both = json!({ "flag": 1, "controls": [] });
        assert_eq!(
            json_error(ID, both),
            "controls: is no field of this message"
        );
    }

    #[test]
    fn a_response_quotes_the_command() {
        let id = MessageId::VEHICLE_CONTROL_RESPONSE;
        let body = "0007 00000000 00001003 01580650 06CC62AC 0023 0163 005A 240715083015";
        check_truncated(id, Revision::V2013, body, 30);
        let body = hex::bytes(body);
        let message = Message::decode(id, body.clone(), Revision::V2019).unwrap();
        assert_eq!(message.encode(Revision::V2019), Ok(body));
        assert_eq!(message.to_json()["reply_serial"], 7);
        assert_eq!(message.to_json()["status"], 0x1003);
    }
}
