//! 0x0102 authentication (终端鉴权): terminal -> platform, answered by 0x8001.
//!
//! | 2011, 2013 | 2019   | field            | wire      | notes                                   |
//! |------------|--------|------------------|-----------|-----------------------------------------|
//! |          - |      0 | length n         | BYTE      |                                         |
//! |          0 |      1 | auth code        | STRING    | as given by 0x8100; before 2019 to the end |
//! |          - |    1+n | IMEI             | BYTE\[15\] | ASCII                                   |
//! |          - |   16+n | software version | BYTE\[20\] | filled with 0x00 behind                 |
//!
//! Bodies of 2019 whose length byte is no length are a code alone, as before; those that end after
//! the code or the IMEI lack what is missing.

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    Body,
    field::put_text,
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer, text},
};

const IMEI_BYTES: usize = 15;
const SOFTWARE_VERSION_BYTES: usize = 20;

/// A terminal shows the code that it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// The code as sent. 2011 terminals may send a 0x00 behind it.
    pub code: Bytes,
    /// What follows the code in the layout of 2019; `None` where the body is a code alone.
    pub device: Option<Device>,
}

/// The fields that 2019 added, as far as they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// IMEI, 15 bytes.
    pub imei: Bytes,
    /// Software version, 20 bytes.
    pub software_version: Bytes,
    /// Bytes beyond the layout, or a field that is cut off.
    pub rest: Bytes,
}

impl Device {
    /// The IMEI without padding.
    #[must_use]
    pub fn imei(&self) -> Cow<'_, str> {
        text::decode(&self.imei)
    }

    /// The software version without padding.
    #[must_use]
    pub fn software_version(&self) -> Cow<'_, str> {
        text::decode(&self.software_version)
    }
}

impl Body for Authentication {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let counted = r.peek().first().map(|length| usize::from(*length));
        let is_counted = counted.is_some_and(|length| length < r.remaining());
        if revision != Revision::V2019 || !is_counted {
            return Ok(Self {
                code: r.rest(),
                device: None,
            });
        }
        let length = r.byte("length")?;
        let code = r.bytes("code", length.into())?;
        let mut device = Device::default();
        if r.remaining() >= IMEI_BYTES {
            device.imei = r.bytes("imei", IMEI_BYTES)?;
            if r.remaining() >= SOFTWARE_VERSION_BYTES {
                device.software_version = r.bytes("software_version", SOFTWARE_VERSION_BYTES)?;
            }
        }
        device.rest = r.rest();
        Ok(Self {
            code,
            device: Some(device),
        })
    }

    fn encode(&self, w: &mut Writer, _revision: Revision) -> Result<(), EncodeError> {
        match &self.device {
            None => w.bytes(&self.code),
            Some(device) => {
                w.counted("code", &self.code)?;
                w.bytes(&device.imei);
                w.bytes(&device.software_version);
                w.bytes(&device.rest);
            }
        }
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        put_text(object, "auth_code", &self.code);
        if let Some(device) = &self.device {
            if !device.imei.is_empty() {
                put_text(object, "imei", &device.imei);
            }
            if !device.software_version.is_empty() {
                put_text(object, "software_version", &device.software_version);
            }
            json::put_trailing(object, &device.rest);
        }
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::uplink_only())
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for Authentication {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        let code = c.up_to(30);
        let device = (revision == Revision::V2019).then(|| Device {
            imei: c.bytes(IMEI_BYTES),
            software_version: c.bytes(SOFTWARE_VERSION_BYTES),
            rest: c.up_to(3),
        });
        Self { code, device }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jt808::message::{Message, MessageId};

    fn decode(body: &'static [u8], revision: Revision) -> Authentication {
        let body = Bytes::from_static(body);
        let message = Message::decode(MessageId(0x0102), body.clone(), revision).unwrap();
        assert_eq!(message.encode(revision), Ok(body));
        match message {
            Message::Authentication(authentication) => authentication,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn before_2019_the_body_is_the_code() {
        let authentication = decode(b"A1B2C3", Revision::V2013);
        assert_eq!(authentication.code, &b"A1B2C3"[..]);
        assert_eq!(authentication.device, None);
        assert_eq!(decode(b"", Revision::V2011).code, &b""[..]);
    }

    #[test]
    fn since_2019_imei_and_software_version_follow() {
        let body = b"\x06A1B2C3860000000000001V1.0.3\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let authentication = decode(body, Revision::V2019);
        assert_eq!(authentication.code, &b"A1B2C3"[..]);
        let device = authentication.device.unwrap();
        assert_eq!(device.imei(), "860000000000001");
        assert_eq!(device.software_version(), "V1.0.3");
        assert!(device.rest.is_empty());
    }

    #[test]
    fn tails_that_are_cut_off_lack_what_is_missing() {
        let device = decode(b"\x02AB860000000000001V1", Revision::V2019)
            .device
            .unwrap();
        assert_eq!(
            (device.imei(), device.software_version()),
            ("860000000000001".into(), "".into())
        );
        assert_eq!(device.rest, &b"V1"[..]);
        let device = decode(b"\x02AB8600", Revision::V2019).device.unwrap();
        assert_eq!((device.imei(), &device.rest[..]), ("".into(), &b"8600"[..]));
    }

    #[test]
    fn a_length_byte_that_is_no_length_belongs_to_the_code() {
        let authentication = decode(b"A1B2C3", Revision::V2019);
        assert_eq!(
            (&authentication.code[..], authentication.device),
            (&b"A1B2C3"[..], None)
        );
        assert_eq!(decode(b"", Revision::V2019).code, &b""[..]);
        assert_eq!(decode(b"\x01", Revision::V2019).code, &b"\x01"[..]);
    }
}
