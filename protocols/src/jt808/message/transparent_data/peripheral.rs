//! 0x0900 and 0x8900 of types 0xF7 and 0xF8 (T/JSATL 12, T/GDRTA 002): state and description of the
//! active-safety peripherals (外设状态信息, 外设系统信息).
//!
//! | direction | offset | field | wire | notes                                                     |
//! |-----------|--------|-------|------|-----------------------------------------------------------|
//! | query     |      0 | count | BYTE |                                                           |
//! |           |      1 | ids   | BYTE each | 0x64 ADAS, 0x65 DSM, 0x66 TPMS, 0x67 BSD             |
//! | report    |      0 | count | BYTE |                                                           |
//! |           |      1 | items | id BYTE, length BYTE, content |                                  |
//! | 0xF7      |      0 | state | BYTE | 1 normal, 2 standby, 3 upgrading, 4 fault, 0x10 not connected |
//! |           |      1 | faults | DWORD | 0 camera, 1 main store, 2 second store, 3 infrared light, 4 loudspeaker, 5 battery, 10 communication, 11 positioning |
//! | 0xF8      |      0 | company, model, hardware, software, device id, customer | length BYTE (up to 32), STRING each | |
//!
//! What does not follow the layout is data of a maker who uses the types for something else.

use bytes::Bytes;

use super::TransparentData;
use crate::{
    jt808::{
        Revision,
        message::field::{Counted, Field as _, Text},
    },
    wire::{DecodeError, EncodeError, Reader, Writer},
};

/// Type of a query or report of states.
pub const STATE: u8 = 0xF7;
/// Type of a query or report of descriptions.
pub const DESCRIPTION: u8 = 0xF8;

/// Which peripherals are asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeripheralQuery {
    /// Whether descriptions are wanted, and not states.
    pub is_description: bool,
    /// Ids of the peripherals: 0x64 ADAS, 0x65 DSM, 0x66 TPMS, 0x67 BSD.
    pub ids: Bytes,
}

impl PeripheralQuery {
    pub(super) fn of(data: &TransparentData) -> Option<Self> {
        let is_description = is_description(data.data_type)?;
        let (count, ids) = data.data.split_first()?;
        (usize::from(*count) == ids.len()).then(|| Self {
            is_description,
            ids: data.data.slice(1..),
        })
    }

    /// The query as it is sent.
    ///
    /// # Errors
    /// When there are more ids than a BYTE counts.
    pub fn to_data(&self) -> Result<TransparentData, EncodeError> {
        let mut w = Writer::new();
        w.counted("ids", &self.ids)?;
        let data_type = if self.is_description {
            DESCRIPTION
        } else {
            STATE
        };
        Ok(TransparentData::new(data_type, w.finish()))
    }
}

/// What the terminal says of its peripherals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeripheralReport {
    /// How they are.
    States(Vec<(u8, PeripheralState)>),
    /// What they are.
    Descriptions(Vec<(u8, PeripheralDescription)>),
}

/// How a peripheral is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeripheralState {
    /// 1 normal, 2 standby, 3 upgrading, 4 fault, 0x10 not connected.
    pub state: u8,
    /// Bits: 0 camera, 1 main store, 2 second store, 3 infrared light, 4 loudspeaker, 5 battery,
    /// 10 communication, 11 positioning.
    pub faults: u32,
}

/// What a peripheral is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeripheralDescription {
    /// Who made it.
    pub company: Text<Counted<u8>>,
    /// Model.
    pub model: Text<Counted<u8>>,
    /// Version of the hardware.
    pub hardware_version: Text<Counted<u8>>,
    /// Version of the software.
    pub software_version: Text<Counted<u8>>,
    /// The maker's number of the device.
    pub device_id: Text<Counted<u8>>,
    /// Code of the customer.
    pub customer_code: Text<Counted<u8>>,
}

/// `None` for types that are neither.
const fn is_description(data_type: u8) -> Option<bool> {
    match data_type {
        STATE => Some(false),
        DESCRIPTION => Some(true),
        _ => None,
    }
}

impl PeripheralReport {
    pub(super) fn of(data: &TransparentData) -> Option<Self> {
        let mut r = Reader::new(data.data.clone());
        let report = if is_description(data.data_type)? {
            items(&mut r, PeripheralDescription::decode).map(Self::Descriptions)
        } else {
            items(&mut r, PeripheralState::decode).map(Self::States)
        };
        report.ok().filter(|_| r.remaining() == 0)
    }
}

/// Reads the items; bytes of an item beyond what is known are passed over.
fn items<T>(
    r: &mut Reader,
    decode: fn(&mut Reader) -> Result<T, DecodeError>,
) -> Result<Vec<(u8, T)>, DecodeError> {
    let count = r.byte("count")?;
    (0..count)
        .map(|_| {
            let id = r.byte("id")?;
            let length = r.byte("length")?;
            let content = r.bytes("content", length.into())?;
            decode(&mut Reader::new(content)).map(|item| (id, item))
        })
        .collect()
}

impl PeripheralState {
    fn decode(r: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            state: r.byte("state")?,
            faults: r.dword("faults")?,
        })
    }
}

impl PeripheralDescription {
    fn decode(r: &mut Reader) -> Result<Self, DecodeError> {
        let mut text = |name| Text::read(r, name, Revision::V2013);
        Ok(Self {
            company: text("company")?,
            model: text("model")?,
            hardware_version: text("hardware_version")?,
            software_version: text("software_version")?,
            device_id: text("device_id")?,
            customer_code: text("customer_code")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    fn data(data_type: u8, text: &str) -> TransparentData {
        TransparentData::new(data_type, hex::bytes(text))
    }

    #[test]
    fn states_are_read() {
        let report = data(STATE, "02 64 05 01 00000000 65 06 04 00000401 FF").peripheral_report();
        let state = |state, faults| PeripheralState { state, faults };
        assert_eq!(
            report,
            Some(PeripheralReport::States(vec![
                (0x64, state(1, 0)),
                (0x65, state(4, 0x401)),
            ]))
        );
    }

    #[test]
    fn descriptions_are_read() {
        let report =
            data(DESCRIPTION, "01 64 0B 02 B2E2 01 41 01 31 01 32 00 00").peripheral_report();
        let Some(PeripheralReport::Descriptions(items)) = report else {
            panic!("{report:?}")
        };
        let [(id, item)] = &items[..] else {
            panic!("{items:?}")
        };
        assert_eq!((*id, item.company.as_text().as_ref()), (0x64, "测"));
        assert_eq!(
            (item.model.as_text(), item.customer_code.as_text()),
            ("A".into(), "".into())
        );
    }

    #[test]
    fn what_does_not_follow_the_layout_is_something_else() {
        for (data_type, text) in [
            (0xF0, "01 64 05 01 00000000"),
            (STATE, ""),
            (STATE, "02 64 05 01 00000000"),
            (STATE, "01 64 04 01 000000"),
            (STATE, "01 64 05 01 00000000 FF"),
            (DESCRIPTION, "01 64 02 20 41"),
        ] {
            assert_eq!(data(data_type, text).peripheral_report(), None, "{text}");
        }
        assert_eq!(data(STATE, "02 64").peripheral_query(), None);
    }

    #[test]
    fn a_query_names_the_peripherals() {
        let query = PeripheralQuery {
            is_description: true,
            ids: hex::bytes("64 65"),
        };
        let data = query.to_data().unwrap();
        assert_eq!(data, self::data(DESCRIPTION, "02 64 65"));
        assert_eq!(data.peripheral_query(), Some(query));
        let many = PeripheralQuery {
            is_description: false,
            ids: vec![0x64; 300].into(),
        };
        assert_eq!(many.to_data().unwrap_err().reason(), "too_long");
    }
}
