//! Additional items (附加信息项) of a location: id BYTE, length BYTE, value; to the end of the body.
//!
//! | id   | bytes   | item                                      | unit or layout                     |
//! |------|---------|-------------------------------------------|------------------------------------|
//! | 0x01 | 4       | mileage (里程)                            | 0.1 km                             |
//! | 0x02 | 2       | fuel (油量)                               | 0.1 l                              |
//! | 0x03 | 2       | speed of the driving recorder             | 0.1 km/h                           |
//! | 0x04 | 2       | alarm event to be confirmed (since 2013)  | number                             |
//! | 0x05 | 30      | tyre pressure (胎压; 2019)                | a byte each, 0xFF unused           |
//! | 0x06 | 2       | carriage temperature (车厢温度; 2019)     | degree Celsius                     |
//! | 0x07 | any     | satellites in detail (after 2019)         | raw                                |
//! | 0x11 | 1, 5    | overspeed: where                          | area type BYTE, area id DWORD      |
//! | 0x12 | 6       | into or out of an area or route           | type BYTE, id DWORD, direction BYTE |
//! | 0x13 | 7, 8    | time on a segment                         | id DWORD, seconds WORD, result BYTE or WORD |
//! | 0x14 | 4       | video alarms (JT/T 1078)                  | bits                               |
//! | 0x15 | 4       | video signal lost                         | bit n is channel n + 1             |
//! | 0x16 | 4       | video signal covered                      | bit n is channel n + 1             |
//! | 0x17 | 2       | video storage faults                      | bits: 0-11 main, 12-15 backup      |
//! | 0x18 | 2, 3, 4 | abnormal driving                          | types WORD, fatigue level BYTE     |
//! | 0x25 | 4       | vehicle signals (扩展车辆信号; since 2013) | bits                               |
//! | 0x2A | 2       | input and output (since 2013)             | bits: 0 deep sleep, 1 sleep        |
//! | 0x2B | 4       | analogue (since 2013)                     | AD1 WORD, AD0 WORD                 |
//! | 0x30 | 1       | signal strength (since 2013)              |                                    |
//! | 0x31 | 1       | satellites (since 2013)                   | number                             |
//! | 0x64 to 0x67, 0x70 | by form | active safety                  | see [`active_safety`] |
//! | 0xE0 | any     | wrapper of the maker's items (since 2013) | items, mostly                      |
//!
//! Nothing here fails: ids that are unknown or come twice, lengths that an id does not have, and
//! tails that are no item are kept.

use bytes::BytesMut;
use nom::{
    IResult, Parser,
    combinator::{all_consuming, opt},
    number::complete::{be_u8, be_u16, be_u32},
};

use super::active_safety;
use crate::{jt808::Revision, wire::EncodeError};

/// Bytes of item 0x05.
const TYRES: usize = 30;

/// An item by its id, with the wire's units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdditionalItem<'a> {
    /// 0x01: odometer, 0.1 km.
    Mileage(u32),
    /// 0x02: fuel, 0.1 l.
    Fuel(u16),
    /// 0x03: speed by the driving recorder, 0.1 km/h.
    RecorderSpeed(u16),
    /// 0x04: number of an alarm event that a person must confirm with 0x8203.
    AlarmEvent(u16),
    /// 0x05: tyre pressures, wheels from the front and each axle from the left; 0xFF unused. The
    /// unit is the maker's: the standard's fits no byte.
    TyrePressure(&'a [u8; TYRES]),
    /// 0x06.
    CarriageTemperature(CarriageTemperature),
    /// 0x07: satellites of each system.
    SatelliteDetails(&'a [u8]),
    /// 0x11: where the vehicle is too fast.
    Overspeed {
        /// 0 anywhere, 1 circle, 2 rectangle, 3 polygon, 4 segment of a route.
        area_type: u8,
        /// Id of the area or segment, where there is one.
        area_id: Option<u32>,
    },
    /// 0x12: into or out of an area or route.
    AreaTransition {
        /// 1 circle, 2 rectangle, 3 polygon, 4 route.
        area_type: u8,
        /// Id of the area or route.
        area_id: u32,
        /// 0 in, 1 out.
        direction: u8,
    },
    /// 0x13: time on a segment of a route.
    SegmentTime {
        /// Id of the segment.
        segment_id: u32,
        /// Time on it, s.
        seconds: u16,
        /// 0 too short, 1 too long.
        result: u8,
    },
    /// 0x14: video alarms, bits.
    VideoAlarms(u32),
    /// 0x15: channels without a signal; bit n is channel n + 1.
    VideoSignalLost(u32),
    /// 0x16: channels that are covered; bit n is channel n + 1.
    VideoSignalCovered(u32),
    /// 0x17: storage faults, bits: 0 to 11 main, 12 to 15 backup.
    VideoStorageFaults(u16),
    /// 0x18: abnormal driving.
    AbnormalDriving {
        /// Bits: 0 fatigue, 1 phone, 2 smoking, 11 to 15 the maker's.
        types: u16,
        /// 0 to 100; not all terminals send it.
        fatigue: Option<u8>,
    },
    /// 0x25: vehicle signals, bits from the low beam (0) to the clutch (14).
    VehicleSignals(u32),
    /// 0x2A: bit 0 deep sleep, bit 1 sleep.
    IoStatus(u16),
    /// 0x2B: analogue inputs.
    Analog {
        /// First input: the low word.
        ad0: u16,
        /// Second input: the high word.
        ad1: u16,
    },
    /// 0x30: strength of the mobile signal.
    SignalStrength(u8),
    /// 0x31: satellites of the fix.
    SatelliteCount(u8),
    /// 0x64 to 0x67 and 0x70 where the length is that of active safety;
    /// [`SafetyAlarm::of`](super::active_safety::SafetyAlarm::of) reads it.
    ActiveSafety(RawItem<'a>),
    /// 0xE0: in it, mostly, the maker's items; [`RawItems::wrapped`](super::items::RawItems::wrapped) reads
    /// them.
    Wrapper(&'a [u8]),
    /// Any other id, and ids above with a length that they do not have.
    Other(RawItem<'a>),
}

/// Item 0x06 as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarriageTemperature(pub u16);

impl CarriageTemperature {
    /// Degrees Celsius by the standard's letter: bit 15 is a sign before the magnitude.
    #[must_use]
    pub fn by_the_letter(self) -> i16 {
        // Fifteen bits fit.
        let magnitude = i16::try_from(self.0 & 0x7FFF).unwrap_or_default();
        if self.0 > 0x7FFF {
            -magnitude
        } else {
            magnitude
        }
    }

    /// Degrees Celsius in the reading that a carriage can have. Most terminals send two's
    /// complement, against the letter, which counts where neither is plausible.
    #[must_use]
    pub fn celsius(self) -> i16 {
        const COLDEST: i16 = -60;
        let twos_complement = i16::from_be_bytes(self.0.to_be_bytes());
        if twos_complement >= COLDEST {
            twos_complement
        } else {
            self.by_the_letter()
        }
    }
}

/// Id and value of an item, whatever they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawItem<'a> {
    /// Which item.
    pub id: u8,
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> RawItem<'a> {
    /// The item by its id, in a report of this revision: 0x05 to 0x07 are the makers' before 2019.
    #[must_use]
    pub fn interpret(self, revision: Revision) -> AdditionalItem<'a> {
        self.known(revision).unwrap_or(AdditionalItem::Other(self))
    }

    fn known(self, revision: Revision) -> Option<AdditionalItem<'a>> {
        let is_2019 = revision == Revision::V2019;
        Some(match self.id {
            0x01 => AdditionalItem::Mileage(self.dword()?),
            0x02 => AdditionalItem::Fuel(self.word()?),
            0x03 => AdditionalItem::RecorderSpeed(self.word()?),
            0x04 => AdditionalItem::AlarmEvent(self.word()?),
            0x05 if is_2019 => AdditionalItem::TyrePressure(self.value.try_into().ok()?),
            0x06 if is_2019 => {
                AdditionalItem::CarriageTemperature(CarriageTemperature(self.word()?))
            }
            0x07 if is_2019 => AdditionalItem::SatelliteDetails(self.value),
            0x11 => {
                let (area_type, area_id) = self.whole((be_u8, opt(be_u32)))?;
                AdditionalItem::Overspeed { area_type, area_id }
            }
            0x12 => {
                let (area_type, area_id, direction) = self.whole((be_u8, be_u32, be_u8))?;
                AdditionalItem::AreaTransition {
                    area_type,
                    area_id,
                    direction,
                }
            }
            0x13 => {
                // The table of 2011 has a WORD for the result.
                let (segment_id, seconds, result) = self
                    .whole((be_u32, be_u16, be_u8))
                    .or_else(|| self.whole((be_u32, be_u16, be_u16.map_opt(low_byte))))?;
                AdditionalItem::SegmentTime {
                    segment_id,
                    seconds,
                    result,
                }
            }
            0x14 => AdditionalItem::VideoAlarms(self.dword()?),
            0x15 => AdditionalItem::VideoSignalLost(self.dword()?),
            0x16 => AdditionalItem::VideoSignalCovered(self.dword()?),
            0x17 => AdditionalItem::VideoStorageFaults(self.word()?),
            0x18 if self.value.len() <= 4 => {
                let parsed: IResult<_, _, ()> = (be_u16, opt(be_u8)).parse(self.value);
                let (types, fatigue) = parsed.ok()?.1;
                AdditionalItem::AbnormalDriving { types, fatigue }
            }
            0x25 => AdditionalItem::VehicleSignals(self.dword()?),
            0x2A => AdditionalItem::IoStatus(self.word()?),
            0x2B => {
                let (ad1, ad0) = self.whole((be_u16, be_u16))?;
                AdditionalItem::Analog { ad0, ad1 }
            }
            0x30 => AdditionalItem::SignalStrength(self.byte()?),
            0x31 => AdditionalItem::SatelliteCount(self.byte()?),
            0x64..=0x67 | 0x70 => {
                active_safety::form_of(self)?;
                AdditionalItem::ActiveSafety(self)
            }
            0xE0 => AdditionalItem::Wrapper(self.value),
            _ => return None,
        })
    }

    fn byte(self) -> Option<u8> {
        <[u8; 1]>::try_from(self.value).ok().map(u8::from_be_bytes)
    }

    fn word(self) -> Option<u16> {
        self.value.try_into().ok().map(u16::from_be_bytes)
    }

    fn dword(self) -> Option<u32> {
        self.value.try_into().ok().map(u32::from_be_bytes)
    }

    /// A layout that takes the whole value.
    fn whole<T>(self, layout: impl Parser<&'a [u8], Output = T, Error = ()>) -> Option<T> {
        let parsed: IResult<_, T, ()> = all_consuming(layout).parse(self.value);
        parsed.ok().map(|(_, value)| value)
    }
}

fn low_byte(word: u16) -> Option<u8> {
    u8::try_from(word).ok()
}

pub(super) fn write(bytes: &mut BytesMut, item: AdditionalItem<'_>) -> Result<(), EncodeError> {
    let mut put = |id: u8, parts: &[&[u8]]| {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let too_long = EncodeError::too_long("item", length, 0xFF);
        bytes.extend_from_slice(&[id, u8::try_from(length).map_err(|_| too_long)?]);
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        Ok(())
    };
    match item {
        AdditionalItem::Mileage(value) => put(0x01, &[&value.to_be_bytes()]),
        AdditionalItem::Fuel(value) => put(0x02, &[&value.to_be_bytes()]),
        AdditionalItem::RecorderSpeed(value) => put(0x03, &[&value.to_be_bytes()]),
        AdditionalItem::AlarmEvent(value) => put(0x04, &[&value.to_be_bytes()]),
        AdditionalItem::TyrePressure(value) => put(0x05, &[value]),
        AdditionalItem::CarriageTemperature(value) => put(0x06, &[&value.0.to_be_bytes()]),
        AdditionalItem::SatelliteDetails(value) => put(0x07, &[value]),
        AdditionalItem::Overspeed {
            area_type,
            area_id: None,
        } => put(0x11, &[&[area_type]]),
        AdditionalItem::Overspeed {
            area_type,
            area_id: Some(area_id),
        } => put(0x11, &[&[area_type], &area_id.to_be_bytes()]),
        AdditionalItem::AreaTransition {
            area_type,
            area_id,
            direction,
        } => put(0x12, &[&[area_type], &area_id.to_be_bytes(), &[direction]]),
        AdditionalItem::SegmentTime {
            segment_id,
            seconds,
            result,
        } => put(
            0x13,
            &[&segment_id.to_be_bytes(), &seconds.to_be_bytes(), &[result]],
        ),
        AdditionalItem::VideoAlarms(value) => put(0x14, &[&value.to_be_bytes()]),
        AdditionalItem::VideoSignalLost(value) => put(0x15, &[&value.to_be_bytes()]),
        AdditionalItem::VideoSignalCovered(value) => put(0x16, &[&value.to_be_bytes()]),
        AdditionalItem::VideoStorageFaults(value) => put(0x17, &[&value.to_be_bytes()]),
        AdditionalItem::AbnormalDriving { types, fatigue } => {
            put(0x18, &[&types.to_be_bytes(), fatigue.as_slice()])
        }
        AdditionalItem::VehicleSignals(value) => put(0x25, &[&value.to_be_bytes()]),
        AdditionalItem::IoStatus(value) => put(0x2A, &[&value.to_be_bytes()]),
        AdditionalItem::Analog { ad0, ad1 } => put(0x2B, &[&ad1.to_be_bytes(), &ad0.to_be_bytes()]),
        AdditionalItem::SignalStrength(value) => put(0x30, &[&[value]]),
        AdditionalItem::SatelliteCount(value) => put(0x31, &[&[value]]),
        AdditionalItem::Wrapper(value) => put(0xE0, &[value]),
        AdditionalItem::ActiveSafety(RawItem { id, value })
        | AdditionalItem::Other(RawItem { id, value }) => put(id, &[value]),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::items::Items, *};
    use crate::hex;

    fn items(text: &str, revision: Revision) -> Items {
        Items::of(hex::bytes(text), revision)
    }

    fn only(text: &str, revision: Revision, expected: AdditionalItem<'_>) {
        let items = items(text, revision);
        assert_eq!(items.iter().collect::<Vec<_>>(), [expected], "{text}");
        assert!(items.tail().is_empty());
    }

    #[test]
    fn each_item_of_the_standard_is_read() {
        use AdditionalItem as Item;
        use Revision::{V2013, V2019};
        only("0104 0001E240", V2013, Item::Mileage(123_456));
        only("0202 007D", V2013, Item::Fuel(125));
        only("0302 0168", V2013, Item::RecorderSpeed(360));
        only("0402 0001", V2013, Item::AlarmEvent(1));
        only(
            &format!("051E {}", "37".repeat(30)),
            V2019,
            Item::TyrePressure(&[0x37; 30]),
        );
        only("0702 0001", V2019, Item::SatelliteDetails(&[0, 1]));
        only(
            "1101 00",
            V2013,
            Item::Overspeed {
                area_type: 0,
                area_id: None,
            },
        );
        only(
            "1105 0400000009",
            V2013,
            Item::Overspeed {
                area_type: 4,
                area_id: Some(9),
            },
        );
        let transition = Item::AreaTransition {
            area_type: 1,
            area_id: 7,
            direction: 1,
        };
        only("1206 010000000701", V2013, transition);
        let time = Item::SegmentTime {
            segment_id: 88,
            seconds: 600,
            result: 1,
        };
        only("1307 00000058 0258 01", V2013, time);
        only("1308 00000058 0258 0001", V2013, time);
        only("1404 00000041", V2013, Item::VideoAlarms(0x41));
        only("1504 00000001", V2013, Item::VideoSignalLost(1));
        only("1604 00000002", V2013, Item::VideoSignalCovered(2));
        only("1702 1001", V2013, Item::VideoStorageFaults(0x1001));
        only(
            "1802 0003",
            V2013,
            Item::AbnormalDriving {
                types: 3,
                fatigue: None,
            },
        );
        for text in ["1803 0001 32", "1804 0001 32 00"] {
            only(
                text,
                V2013,
                Item::AbnormalDriving {
                    types: 1,
                    fatigue: Some(50),
                },
            );
        }
        only("2504 00000011", V2013, Item::VehicleSignals(0x11));
        only("2A02 0001", V2013, Item::IoStatus(1));
        only(
            "2B04 01230456",
            V2013,
            Item::Analog {
                ad0: 0x0456,
                ad1: 0x0123,
            },
        );
        only("3001 1F", V2013, Item::SignalStrength(31));
        only("3101 0C", V2013, Item::SatelliteCount(12));
        only("E003 E10155", V2013, Item::Wrapper(&[0xE1, 1, 0x55]));
    }

    #[test]
    fn a_length_that_the_id_does_not_have_is_no_item_of_the_standard() {
        for text in [
            "0103 000001",
            "0201 00",
            "0303 000000",
            "1100",
            "1103 000000",
            "1205 0000000000",
            "1306 000000000000",
            "1701 00",
            "1801 00",
            "1805 0000000000",
            "2B03 000000",
            "3000",
            "3102 000C",
            "6401 07",
        ] {
            let bytes = hex::bytes(text);
            let raw = RawItem {
                id: bytes[0],
                value: &bytes[2..],
            };
            only(text, Revision::V2019, AdditionalItem::Other(raw));
        }
    }

    #[test]
    fn the_items_of_2019_are_the_makers_before() {
        let temperature = AdditionalItem::CarriageTemperature(CarriageTemperature(2));
        only("0602 0002", Revision::V2019, temperature);
        let raw = RawItem {
            id: 0x06,
            value: &[0, 2],
        };
        only("0602 0002", Revision::V2013, AdditionalItem::Other(raw));
    }

    #[test]
    fn a_temperature_is_what_a_carriage_can_have() {
        for (wire, celsius) in [
            (0x0002, 2),
            (0x8005, -5),
            (0xFFFB, -5),
            (0xFFC4, -60),
            (0x803C, -60),
            (0x8000, 0),
            (0x7FFF, 32_767),
            (0xFFC3, -32_707),
        ] {
            assert_eq!(CarriageTemperature(wire).celsius(), celsius, "{wire:04x}");
        }
    }

    #[test]
    fn by_the_letter_a_temperature_has_a_sign_and_a_magnitude() {
        for (wire, celsius) in [(0x0002, 2), (0x8005, -5), (0xFFEC, -32_748), (0x8000, 0)] {
            assert_eq!(
                CarriageTemperature(wire).by_the_letter(),
                celsius,
                "{wire:04x}"
            );
        }
    }
}
