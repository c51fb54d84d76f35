//! 0x8108 upgrade package (下发终端升级包): platform -> terminal, answered by 0x0001 and, when it is
//! done, 0x0108 upgrade result (终端升级结果通知): terminal -> platform, answered by 0x8001. Since 2013.
//!
//! | offset | field        | wire      | values                                               |
//! |--------|--------------|-----------|------------------------------------------------------|
//! |      0 | type         | BYTE      | 0 terminal, 12 card reader, 52 GNSS module; T/JSATL 12: 0x64 to 0x67 |
//! |      1 | manufacturer | BYTE\[5\] |                                                      |
//! |      6 | version      | text      | length BYTE, GBK                                     |
//! |     .. | data         | bytes     | length DWORD, then so many                           |
//!
//! | offset | field  | wire | values                                                     |
//! |--------|--------|------|------------------------------------------------------------|
//! |      0 | type   | BYTE | as above                                                   |
//! |      1 | result | BYTE | 0 done, 1 failed, 2 cancelled; T/JSATL 12: 0x10 no such unit, 0x11 hardware not supported, 0x12 same version, 0x13 version not supported |

use super::{
    Body,
    field::{Counted, Data, Field, Rest, Text, Width, layout},
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

/// New software for the terminal, or for a unit of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradePackage {
    /// Which unit.
    pub upgrade_type: u8,
    /// Manufacturer id, with its padding.
    pub manufacturer: Text<Width<5>>,
    /// Version of the software.
    pub version: Text<Counted<u8>>,
    /// The software.
    pub data: Data<Counted<u32>>,
    /// Bytes beyond the layout.
    pub rest: Rest,
}

impl Body for UpgradePackage {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        Ok(Self {
            upgrade_type: r.byte("upgrade_type")?,
            manufacturer: Field::read(r, "manufacturer", revision)?,
            version: Field::read(r, "version", revision)?,
            data: Field::read(r, "data", revision)?,
            rest: Rest(r.rest()),
        })
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        w.byte(self.upgrade_type);
        self.manufacturer.write(w, "manufacturer", revision)?;
        self.version.write(w, "version", revision)?;
        self.data.write(w, "data", revision)?;
        w.bytes(&self.rest.0);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        self.upgrade_type.put(object, "upgrade_type");
        self.manufacturer.put(object, "manufacturer");
        self.version.put(object, "version");
        json::put(object, "data_len", self.data.0.len());
        self.data.put(object, "data");
        self.rest.put(object, "rest");
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        // As with other counts, the data say how long they are.
        object.remove("data_len");
        Ok(Self {
            upgrade_type: Field::take(object, "upgrade_type")?,
            manufacturer: Field::take(object, "manufacturer")?,
            version: Field::take(object, "version")?,
            data: Field::take(object, "data")?,
            rest: Field::take(object, "rest")?,
        })
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for UpgradePackage {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        Self {
            upgrade_type: c.byte(),
            manufacturer: c.any(revision),
            version: c.any(revision),
            data: c.any(revision),
            rest: c.any(revision),
        }
    }
}

layout! {
    /// What became of an upgrade.
    pub struct UpgradeResult {
        /// Which unit.
        pub upgrade_type: u8,
        /// Result code.
        pub result: u8,
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
        jt808::message::{
            Message, MessageId,
            arbitrary::{check, check_truncated},
        },
    };

    const ID: MessageId = MessageId::UPGRADE_PACKAGE;

    #[test]
    fn a_package_has_a_version_and_data() {
        let json = json!({
            "upgrade_type": 52,
            "manufacturer": "12345",
            "version": "v1",
            "data_len": 4,
            "data_hex": "01020304",
        });
        let body = "34 3132333435 02 7631 00000004 01020304";
        check(ID, Revision::V2013, body, &json);
        check_truncated(ID, Revision::V2019, body, hex::bytes(body).len());
    }

    #[test]
    fn a_length_that_overruns_the_body_is_truncated() {
        let body = hex::bytes("34 3132333435 00 FFFFFFFF 01020304");
        let error = Message::decode(ID, body, Revision::V2013).unwrap_err();
        assert_eq!((error.field, error.reason()), ("data", "truncated"));
    }

    #[test]
    fn a_result_has_the_unit() {
        let id = MessageId::UPGRADE_RESULT;
        let json = json!({ "upgrade_type": 52, "result": 2 });
        check(id, Revision::V2019, "34 02", &json);
        check_truncated(id, Revision::V2013, "34 02", 2);
    }
}
