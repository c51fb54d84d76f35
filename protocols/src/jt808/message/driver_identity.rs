//! 0x8702 ask for the identity of the driver (上报驾驶员身份信息请求, since 2013): platform -> terminal,
//! answered by 0x0702. 0x0702 identity of the driver (驾驶员身份信息采集上报): terminal -> platform,
//! answered by 0x8001. The body of 0x8702 is empty.
//!
//! | field       | wire       | 2011 | 2013 | 2019 | notes                                           |
//! |-------------|------------|------|------|------|-------------------------------------------------|
//! | card status | BYTE       |      |    1 |    1 | 1 inserted, 2 taken out                         |
//! | time        | BCD\[6\]   |      |    2 |    2 | of that; nothing need follow when taken out     |
//! | read result | BYTE       |      |    3 |    3 | 0 done, 1 key refused, 2 locked, 3 taken out, 4 check code; nothing follows unless 0 |
//! | name        | length BYTE, STRING | 1 | 4 | 4 |                                                |
//! | identity card | BYTE\[20\] |  2 |      |    8 | 0x00 behind                                     |
//! | certificate | BYTE\[\]   |    3 |    5 |    5 | of qualification; 20; 2011: 40. 0x00 behind     |
//! | issuer      | length BYTE, STRING | 4 | 6 | 6 | of the certificate                             |
//! | valid until | BCD\[4\]   |      |    7 |    7 | YYYYMMDD                                        |
//!
//! The numbers are the order. A time tells the later layouts; without one, a body that the layout
//! of 2011 fills is of 2011.

use bytes::Bytes;

use super::{
    Body,
    field::{Field as _, Rest, layout, put_text},
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{
        DecodeError, EncodeError, EncodeErrorKind, Padding, Reader, Writer,
        bcd::{Gmt8Time, two_digits},
    },
};

layout! {
    /// Who drives?
    #[derive(Default)]
    pub struct DriverIdentityQuery {
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

/// Who drives, and what the terminal did to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverIdentity {
    /// The card; 2011 has none.
    pub card: Option<CardReading>,
    /// What was read.
    pub driver: Option<Driver>,
    /// Bytes beyond the layout, or of a driver that is not all there.
    pub rest: Bytes,
}

/// The driver's card was put in or taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardReading {
    /// 1 inserted, 2 taken out.
    pub status: u8,
    /// When.
    pub time: Gmt8Time,
    /// 0 done, 1 key refused, 2 locked, 3 taken out, 4 check code; not there when taken out.
    pub result: Option<u8>,
}

/// What a card says. The fields of text are kept as sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Name.
    pub name: Bytes,
    /// Number of the certificate of qualification.
    pub certificate: Bytes,
    /// Who issued the certificate.
    pub issuer: Bytes,
    /// Last day of the certificate, since 2013.
    pub valid_until: Option<BcdDate>,
    /// Number of the identity card, in 2011 and 2019.
    pub id_card: Option<Bytes>,
}

/// BCD\[4\] `YYYYMMDD`, as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BcdDate(pub [u8; 4]);

impl BcdDate {
    /// ISO 8601; `None` when the digits name no day.
    #[must_use]
    pub fn iso(self) -> Option<String> {
        let [century, year, month, day] = self.0;
        // What a time says of 2000 to 2099 holds in all centuries, but for one leap day.
        Gmt8Time([year, month, day, 0, 0, 0]).civil()?;
        let century_number = two_digits(century)?;
        let is_leap_day = [year, month, day] == [0x00, 0x02, 0x29];
        (!is_leap_day || century_number.is_multiple_of(4))
            .then(|| format!("{century:02x}{year:02x}-{month:02x}-{day:02x}"))
    }
}

const INSERTED: u8 = 1;
const TAKEN_OUT: u8 = 2;
const READ: u8 = 0;
const ID_CARD_BYTES: usize = 20;
const CERTIFICATE_BYTES: usize = 20;
const CERTIFICATE_2011_BYTES: usize = 40;

fn counted(r: &mut Reader, field: &'static str) -> Result<Bytes, DecodeError> {
    let count = r.byte(field)?;
    r.bytes(field, count.into())
}

impl Driver {
    fn decode_2011(r: &mut Reader) -> Result<Self, DecodeError> {
        let name = counted(r, "name")?;
        let id_card = Some(r.bytes("id_card", ID_CARD_BYTES)?);
        Ok(Self {
            name,
            certificate: r.bytes("certificate", CERTIFICATE_2011_BYTES)?,
            issuer: counted(r, "issuer")?,
            valid_until: None,
            id_card,
        })
    }

    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        Ok(Self {
            name: counted(r, "name")?,
            certificate: r.bytes("certificate", CERTIFICATE_BYTES)?,
            issuer: counted(r, "issuer")?,
            valid_until: Some(BcdDate(read_date(r)?)),
            // Terminals with a header of 2019 and the older body have no such field.
            id_card: if revision == Revision::V2019 && r.remaining() >= ID_CARD_BYTES {
                Some(r.bytes("id_card", ID_CARD_BYTES)?)
            } else {
                None
            },
        })
    }

    fn encode(&self, w: &mut Writer, is_2011: bool) -> Result<(), EncodeError> {
        let missing = |field| EncodeError {
            field,
            kind: EncodeErrorKind::Missing,
        };
        let (zeros, id_card) = (Padding::ZerosAfter, &self.id_card);
        w.counted("name", &self.name)?;
        if is_2011 {
            let id_card = id_card.as_ref().ok_or_else(|| missing("id_card"))?;
            w.padded("id_card", id_card, ID_CARD_BYTES, zeros)?;
            w.padded(
                "certificate",
                &self.certificate,
                CERTIFICATE_2011_BYTES,
                zeros,
            )?;
            return w.counted("issuer", &self.issuer);
        }
        w.padded("certificate", &self.certificate, CERTIFICATE_BYTES, zeros)?;
        w.counted("issuer", &self.issuer)?;
        let valid_until = self.valid_until.ok_or_else(|| missing("valid_until"))?;
        w.bytes(&valid_until.0);
        match id_card {
            Some(id_card) => w.padded("id_card", id_card, ID_CARD_BYTES, zeros),
            None => Ok(()),
        }
    }
}

fn read_date(r: &mut Reader) -> Result<[u8; 4], DecodeError> {
    r.dword("valid_until").map(u32::to_be_bytes)
}

/// Whether the layout of 2011 fills a body that has no time where the others have it.
fn is_2011(r: &Reader) -> bool {
    let mut later = r.clone();
    let (status, time) = (later.byte("status"), later.time("time"));
    if time.is_ok_and(|time| time.civil().is_some()) {
        return false;
    }
    let mut r = r.clone();
    let fills = Driver::decode_2011(&mut r).is_ok() && r.remaining() == 0;
    fills || !matches!(status, Ok(INSERTED | TAKEN_OUT))
}

impl Body for DriverIdentity {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        if is_2011(r) {
            let driver = Driver::decode_2011(r)?;
            if r.remaining() > 0 {
                return Err(r.no_layout("rest"));
            }
            return Ok(Self {
                card: None,
                driver: Some(driver),
                rest: Bytes::new(),
            });
        }
        let (status, time) = (r.byte("status")?, r.time("time")?);
        // Nothing need follow a card that was taken out; some terminals send all the same.
        let is_short = status == TAKEN_OUT && r.remaining() == 0;
        let result = (!is_short).then(|| r.byte("result")).transpose()?;
        let mut ahead = r.clone();
        let driver = match Driver::decode(&mut ahead, revision) {
            _ if result != Some(READ) => None,
            Ok(driver) => {
                *r = ahead;
                Some(driver)
            }
            Err(_) if status == TAKEN_OUT => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            card: Some(CardReading {
                status,
                time,
                result,
            }),
            driver,
            rest: r.rest(),
        })
    }

    fn encode(&self, w: &mut Writer, _: Revision) -> Result<(), EncodeError> {
        if let Some(card) = &self.card {
            w.byte(card.status);
            w.bytes(&card.time.0);
            if let Some(result) = card.result {
                w.byte(result);
            }
        }
        if let Some(driver) = &self.driver {
            driver.encode(w, self.card.is_none())?;
        }
        w.bytes(&self.rest);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        if let Some(card) = &self.card {
            json::put(object, "card_status", card.status);
            card.time.put(object, "time");
            if let Some(result) = card.result {
                json::put(object, "read_result", result);
            }
        }
        if let Some(driver) = &self.driver {
            put_text(object, "driver_name", &driver.name);
            put_text(object, "certificate", &driver.certificate);
            put_text(object, "issuer", &driver.issuer);
            if let Some(valid_until) = driver.valid_until {
                json::put(object, "valid_until", valid_until.iso());
                if valid_until.iso().is_none() {
                    json::put(object, "valid_until_bcd", json::to_hex(&valid_until.0));
                }
            }
            if let Some(id_card) = &driver.id_card {
                put_text(object, "id_card", id_card);
            }
        }
        json::put_trailing(object, &self.rest);
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::uplink_only())
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for DriverIdentity {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        let is_2011 = c.below(3) == 0;
        let result = c.byte() % 2;
        let has_id_card = is_2011 || revision == Revision::V2019;
        let driver = Driver {
            name: c.up_to(8),
            certificate: c.bytes(if is_2011 {
                CERTIFICATE_2011_BYTES
            } else {
                CERTIFICATE_BYTES
            }),
            issuer: c.up_to(8),
            valid_until: (!is_2011).then(|| BcdDate(std::array::from_fn(|_| c.byte()))),
            id_card: has_id_card.then(|| c.bytes(ID_CARD_BYTES)),
        };
        let card = CardReading {
            status: 1 + c.byte() % 2,
            time: c.any(revision),
            result: Some(result),
        };
        let identity = Self {
            card: (!is_2011).then_some(card),
            driver: (is_2011 || result == READ).then_some(driver),
            rest: if is_2011 { Bytes::new() } else { c.up_to(3) },
        };
        super::arbitrary::as_read(&identity, revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hex,
        jt808::message::{Message, MessageId},
    };

    const ID: MessageId = MessageId::DRIVER_IDENTITY;
    const TIME: &str = "240715083015";
    const NAME: &str = "04 D5C5C8FD";
    const CERTIFICATE: &str = "3132333435363738393031323300000000000000";
    const ISSUER: &str = "04 B1B1BEA9";
    const ID_CARD: &str = "3131303130323139383430343036393730580000";

    fn decode(text: &str, revision: Revision) -> DriverIdentity {
        let body = hex::bytes(text);
        let message = Message::decode(ID, body.clone(), revision).unwrap();
        assert_eq!(message.encode(revision), Ok(body), "{text}");
        match message {
            Message::DriverIdentity(identity) => *identity,
            other => panic!("{other:?}"),
        }
    }

    fn json(identity: &DriverIdentity) -> Object {
        let mut object = Object::new();
        identity.to_json(&mut object);
        object
    }

    #[test]
    fn each_revision_has_its_layout() {
        let of_2013 = format!("01 {TIME} 00 {NAME} {CERTIFICATE} {ISSUER} 20301231");
        let of_2019 = format!("{of_2013} {ID_CARD}");
        let of_2011 = format!(
            "{NAME} {ID_CARD} {CERTIFICATE} {} {ISSUER}",
            "00".repeat(20)
        );
        for (text, revision, names) in [
            (
                &of_2013,
                Revision::V2013,
                "card_status time read_result valid_until",
            ),
            (
                &of_2013,
                Revision::V2019,
                "card_status time read_result valid_until",
            ),
            (
                &of_2019,
                Revision::V2019,
                "card_status time read_result valid_until id_card",
            ),
            (&of_2011, Revision::V2013, "id_card"),
        ] {
            let mut object = json(&decode(text, revision));
            assert_eq!(object.remove("driver_name"), Some("张三".into()));
            assert_eq!(object.remove("certificate"), Some("1234567890123".into()));
            assert_eq!(object.remove("issuer"), Some("北京".into()));
            assert_eq!(object.len(), names.split(' ').count(), "{object:?}");
            assert!(names.split(' ').all(|name| object.contains_key(name)));
        }
        let longer = decode(&of_2019, Revision::V2013);
        assert_eq!(longer.rest, hex::bytes(ID_CARD));
    }

    #[test]
    fn nothing_need_follow_a_card_that_was_taken_out_or_not_read() {
        let out = decode(&format!("02 {TIME}"), Revision::V2013);
        assert_eq!(out.card.unwrap().result, None);
        let refused = decode(&format!("01 {TIME} 04"), Revision::V2013);
        assert_eq!(
            (refused.card.unwrap().result, refused.driver),
            (Some(4), None)
        );
        let blank = "00".repeat(26);
        for (text, has_driver) in [
            (format!("02 {TIME} 00 {blank}"), true),
            (format!("02 {TIME} 00 0000"), false),
        ] {
            assert_eq!(decode(&text, Revision::V2013).driver.is_some(), has_driver);
        }
    }

    #[test]
    fn a_card_that_was_read_has_a_driver() {
        let body = hex::bytes(&format!(
            "01 {TIME} 00 {NAME} {CERTIFICATE} {ISSUER} 20301231"
        ));
        for length in 0..body.len() {
            let cut = body.slice(..length);
            let error = Message::decode(ID, cut, Revision::V2013).unwrap_err();
            assert_eq!(error.reason(), "truncated", "{length}");
        }
    }

    #[test]
    fn a_body_without_a_time_that_2011_does_not_fill_is_refused() {
        let short = format!("{NAME} {ID_CARD} {CERTIFICATE} {ISSUER}");
        let of_2011 = format!(
            "{NAME} {ID_CARD} {CERTIFICATE} {} {ISSUER}",
            "00".repeat(20)
        );
        for (text, reason) in [(short, "truncated"), (format!("{of_2011} 00"), "no_layout")] {
            let error = Message::decode(ID, hex::bytes(&text), Revision::V2013).unwrap_err();
            assert_eq!(error.reason(), reason);
        }
        // A clock that was never set does not make a card one of 2011.
        assert!(decode("01 000000000000 01", Revision::V2013).card.is_some());
    }

    #[test]
    fn a_date_is_a_day_of_any_century() {
        for (date, iso) in [
            ([0x20, 0x30, 0x12, 0x31], Some("2030-12-31")),
            ([0x30, 0x24, 0x10, 0x29], Some("3024-10-29")),
            ([0x20, 0x00, 0x02, 0x29], Some("2000-02-29")),
            ([0x21, 0x00, 0x02, 0x29], None),
            ([0x28, 0x12, 0x31, 0x00], None),
            ([0x2A, 0x30, 0x12, 0x31], None),
            ([0; 4], None),
        ] {
            assert_eq!(BcdDate(date).iso().as_deref(), iso, "{date:02x?}");
        }
    }

    #[test]
    fn the_query_is_empty() {
        let id = MessageId::DRIVER_IDENTITY_QUERY;
        let message = Message::decode(id, Bytes::new(), Revision::V2013).unwrap();
        let query = DriverIdentityQuery::default();
        assert_eq!(message, Message::DriverIdentityQuery(query));
        assert_eq!(message.encode(Revision::V2013), Ok(Bytes::new()));
    }
}
