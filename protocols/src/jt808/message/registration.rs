//! 0x0100 registration (终端注册): terminal -> platform, answered by 0x8100.
//!
//! | 2011 | 2013 | 2019 | field        | wire   | notes                                           |
//! |------|------|------|--------------|--------|-------------------------------------------------|
//! |    0 |    0 |    0 | province     | WORD   | first two digits of GB/T 2260                   |
//! |    2 |    2 |    2 | city         | WORD   | last four digits                                |
//! |    4 |    4 |    4 | manufacturer | BYTE\[\] | 5; 2019: 11, district code in front           |
//! |    9 |    9 |   15 | model        | BYTE\[\] | 8, spaces behind; 20, 0x00 behind; 30, 0x00 in front |
//! |   17 |   29 |   45 | terminal id  | BYTE\[\] | 7; 2019: 30                                   |
//! |   24 |   36 |   75 | plate colour | BYTE   | 0 none: the plate is the VIN then               |
//! |   25 |   37 |   76 | plate        | STRING | to the end of the body; 2011 may end in 0x00    |
//!
//! The header tells 2019 from the others, the length tells those apart, and it is the length that
//! decides as well where a body of 2013 stands behind a header of 2019.

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    Body,
    field::put_text,
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Padding, Reader, Writer, text},
};

/// Widths of the fields of one revision, in bytes.
struct Widths {
    manufacturer: usize,
    model: usize,
    terminal_id: usize,
}

impl Widths {
    const fn of(revision: Revision) -> Self {
        match revision {
            Revision::V2011 => Self {
                manufacturer: 5,
                model: 8,
                terminal_id: 7,
            },
            Revision::V2013 => Self {
                manufacturer: 5,
                model: 20,
                terminal_id: 7,
            },
            Revision::V2019 => Self {
                manufacturer: 11,
                model: 30,
                terminal_id: 30,
            },
        }
    }

    /// Length of the body up to the plate.
    const fn before_plate(&self) -> usize {
        2 + 2 + self.manufacturer + self.model + self.terminal_id + 1
    }
}

const PLATE_2011: usize = Widths::of(Revision::V2011).before_plate();
const PLATE_2013: usize = Widths::of(Revision::V2013).before_plate();
const PLATE_2019: usize = Widths::of(Revision::V2019).before_plate();

/// Who a terminal says it is, and which vehicle it is in. The fields of text are kept as sent; the
/// methods of the same names give them without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    revision: Revision,
    /// First two digits of the GB/T 2260 code.
    pub province: u16,
    /// Last four digits of the GB/T 2260 code.
    pub city: u16,
    /// Maker of the terminal.
    pub manufacturer: Bytes,
    /// Model of the terminal.
    pub model: Bytes,
    /// The maker's number of the terminal.
    pub terminal_id: Bytes,
    /// JT/T 415 (2011, 2013) or JT/T 697.7 (2019): 1 blue, 2 yellow, 3 black, 4 white, 5 green,
    /// 9 other; 0 none.
    pub plate_color: u8,
    /// Plate, or VIN where the colour is 0.
    pub plate: Bytes,
}

impl Registration {
    /// An empty registration in the layout of a revision.
    #[must_use]
    pub const fn new(revision: Revision) -> Self {
        Self {
            revision,
            province: 0,
            city: 0,
            manufacturer: Bytes::new(),
            model: Bytes::new(),
            terminal_id: Bytes::new(),
            plate_color: 0,
            plate: Bytes::new(),
        }
    }

    /// The revision whose layout the body has.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// Maker, without padding.
    #[must_use]
    pub fn manufacturer(&self) -> Cow<'_, str> {
        text::decode(&self.manufacturer)
    }

    /// Model, without padding.
    #[must_use]
    pub fn model(&self) -> Cow<'_, str> {
        text::decode(&self.model)
    }

    /// The maker's number of the terminal, without padding.
    #[must_use]
    pub fn terminal_id(&self) -> Cow<'_, str> {
        text::decode(&self.terminal_id)
    }

    /// Plate or VIN, without padding.
    #[must_use]
    pub fn plate(&self) -> Cow<'_, str> {
        text::decode(&self.plate)
    }
}

/// The revision whose layout a body has. `shown` is what the header says.
fn revision_of(body: &[u8], shown: Revision) -> Revision {
    if shown == Revision::V2019 && body.len() >= PLATE_2019 {
        Revision::V2019
    } else if body.len() >= PLATE_2013 && !reads_only_as_2011(body) {
        Revision::V2013
    } else {
        Revision::V2011
    }
}

/// A VIN makes a body of 2011 as long as one of 2013. It stands where 2013 has the colour, so the
/// byte there is a letter or a digit, and no colour.
fn reads_only_as_2011(body: &[u8]) -> bool {
    let is_color = |at: usize| matches!(body.get(at), Some(0..=9 | 91..=99));
    let plate = text::trim(body.get(PLATE_2011..).unwrap_or_default());
    !is_color(PLATE_2013 - 1) && is_color(PLATE_2011 - 1) && is_printable(plate)
}

fn is_printable(bytes: &[u8]) -> bool {
    text::decode_strictly(bytes).is_some_and(|text| !text.contains(char::is_control))
}

impl Body for Registration {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let revision = revision_of(r.peek(), revision);
        let widths = Widths::of(revision);
        Ok(Self {
            revision,
            province: r.word("province")?,
            city: r.word("city")?,
            manufacturer: r.bytes("manufacturer", widths.manufacturer)?,
            model: r.bytes("model", widths.model)?,
            terminal_id: r.bytes("terminal_id", widths.terminal_id)?,
            plate_color: r.byte("plate_color")?,
            plate: r.rest(),
        })
    }

    fn encode(&self, w: &mut Writer, _revision: Revision) -> Result<(), EncodeError> {
        let widths = Widths::of(self.revision);
        let model_padding = match self.revision {
            Revision::V2011 => Padding::SpacesAfter,
            Revision::V2013 => Padding::ZerosAfter,
            Revision::V2019 => Padding::ZerosBefore,
        };
        let id_padding = match self.revision {
            Revision::V2011 | Revision::V2013 => Padding::ZerosAfter,
            Revision::V2019 => Padding::ZerosBefore,
        };
        w.word(self.province);
        w.word(self.city);
        w.padded(
            "manufacturer",
            &self.manufacturer,
            widths.manufacturer,
            Padding::ZerosAfter,
        )?;
        w.padded("model", &self.model, widths.model, model_padding)?;
        w.padded(
            "terminal_id",
            &self.terminal_id,
            widths.terminal_id,
            id_padding,
        )?;
        w.byte(self.plate_color);
        w.bytes(&self.plate);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        json::put(object, "province", self.province);
        json::put(object, "city", self.city);
        put_text(object, "manufacturer", &self.manufacturer);
        put_text(object, "model", &self.model);
        put_text(object, "terminal_id", &self.terminal_id);
        json::put(object, "plate_color", self.plate_color);
        put_text(object, "plate", &self.plate);
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::uplink_only())
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for Registration {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        let widths = Widths::of(revision);
        Self {
            revision,
            province: c.any(revision),
            city: c.any(revision),
            manufacturer: c.bytes(widths.manufacturer),
            model: c.bytes(widths.model),
            terminal_id: c.bytes(widths.terminal_id),
            plate_color: c.byte() % 10,
            // A plate of 2011 that is longer makes the body as long as one of 2013.
            plate: c.up_to(11),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hex,
        jt808::message::{Message, MessageId},
    };

    fn decode(body: &Bytes, shown: Revision) -> Registration {
        let message = Message::decode(MessageId(0x0100), body.clone(), shown).unwrap();
        assert_eq!(message.encode(shown).as_ref(), Ok(body));
        match message {
            Message::Registration(registration) => registration,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_revision_has_its_widths() {
        let of_2011 = hex::bytes(
            "002C 012C 3730313131 42534A2D41362020 5445524D303031 02 D4C1423132333435 00",
        );
        let of_2013 = hex::bytes(
            "002C 012C 3730313131 42534A2D41362D4244 0000000000000000000000 5445524D303031 02
             D4C1423132333435",
        );
        let of_2019 = hex::bytes(
            "002C 012C 3434303330303730313131
             000000000000000000000000000000000000000000 42534A2D41362D4244
             0000000000000000000000000000000000000000000000 5445524D303031 02 D4C1423132333435",
        );
        for (body, shown, revision, manufacturer, model) in [
            (
                &of_2011,
                Revision::V2013,
                Revision::V2011,
                "70111",
                "BSJ-A6",
            ),
            (
                &of_2013,
                Revision::V2013,
                Revision::V2013,
                "70111",
                "BSJ-A6-BD",
            ),
            (
                &of_2013,
                Revision::V2019,
                Revision::V2013,
                "70111",
                "BSJ-A6-BD",
            ),
            (
                &of_2019,
                Revision::V2019,
                Revision::V2019,
                "44030070111",
                "BSJ-A6-BD",
            ),
        ] {
            let registration = decode(body, shown);
            assert_eq!(registration.revision(), revision);
            assert_eq!((registration.province, registration.city), (44, 300));
            assert_eq!(registration.manufacturer(), manufacturer);
            assert_eq!(registration.model(), model);
            assert_eq!(registration.terminal_id(), "TERM001");
            assert_eq!(registration.plate_color, 2);
            assert_eq!(registration.plate(), "粤B12345");
        }
    }

    #[test]
    fn exactly_37_bytes_are_2013_without_a_plate() {
        let body = hex::bytes(
            "0000 0000 0000000000 0000000000000000000000000000000000000000 31323439393137 00",
        );
        let registration = decode(&body, Revision::V2013);
        assert_eq!(registration.revision(), Revision::V2013);
        assert_eq!(registration.terminal_id(), "1249917");
        assert_eq!(
            (registration.plate_color, registration.plate().as_ref()),
            (0, "")
        );
    }

    #[test]
    fn a_vin_does_not_make_2013_of_2011() {
        let mut body =
            hex::bytes("002C 012C 3730313131 42534A2D41362020 5445524D303031 00").to_vec();
        body.extend(b"LSVAA49J132047371\0");
        let registration = decode(&Bytes::from(body), Revision::V2013);
        assert_eq!(registration.revision(), Revision::V2011);
        assert_eq!(registration.plate(), "LSVAA49J132047371");
    }

    #[test]
    fn a_prefix_of_the_fixed_part_is_truncated() {
        let body = Bytes::from_static(&[1; PLATE_2011]);
        for length in 0..PLATE_2011 {
            let cut = body.slice(..length);
            assert!(
                Message::decode(MessageId(0x0100), cut, Revision::V2019).is_err(),
                "{length}"
            );
        }
    }

    #[test]
    fn short_values_are_filled_and_long_ones_refused() {
        for revision in [Revision::V2011, Revision::V2013, Revision::V2019] {
            let registration = Registration {
                model: Bytes::from_static(b"A6"),
                terminal_id: Bytes::from_static(b"T1"),
                plate: Bytes::from_static(b"ABC"),
                ..Registration::new(revision)
            };
            let body = Message::Registration(registration.clone())
                .encode(revision)
                .unwrap();
            let decoded = decode(&body, revision);
            assert_eq!(decoded.revision(), revision);
            assert_eq!(
                (decoded.model(), decoded.terminal_id()),
                ("A6".into(), "T1".into())
            );
            let long = Registration {
                model: Bytes::from_static(&[b'A'; 31]),
                ..registration
            };
            let error = Message::Registration(long).encode(revision).unwrap_err();
            assert_eq!(error.field, "model");
        }
    }
}
