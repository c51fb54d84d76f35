//! Items of active safety (主动安全智能防控): 0x64 to 0x67 of T/JSATL 12 and T/GDRTA 002, and 0x70 in
//! their style.
//!
//! | field            | wire     | 0x64 | 0x65 | 0x66 | 0x67 | 0x70 | unit                        |
//! |------------------|----------|------|------|------|------|------|-----------------------------|
//! | alarm id         | DWORD    |    0 |    0 |    0 |    0 |    0 | counts from 0, over all items |
//! | flag             | BYTE     |    4 |    4 |    4 |    4 |    4 | 0 not applicable, 1 start, 2 end |
//! | type             | BYTE     |    5 |    5 |    - |    5 |    5 |                             |
//! | level            | BYTE     |    6 |    6 |    - |    - |    - | 1, 2                        |
//! | of the item      |          |  7-11 | 7-11 |   - |    - | 6-11 | see [`SafetyKind`]          |
//! | speed            | BYTE     |   12 |   12 |    5 |    6 |   12 | km/h                        |
//! | altitude         | WORD     |   13 |   13 |    6 |    7 |   13 | metre                       |
//! | latitude         | DWORD    |   15 |   15 |    8 |    9 |   15 | 1e-6 degree, magnitude      |
//! | longitude        | DWORD    |   19 |   19 |   12 |   13 |   19 | 1e-6 degree, magnitude      |
//! | time             | BCD\[6\] |   23 |   23 |   16 |   17 |   23 | YYMMDDhhmmss at GMT+8       |
//! | vehicle state    | WORD     |   29 |   29 |   22 |   23 |   29 | bits                        |
//! | label            | 16 or 40 |   31 |   31 |   24 |   25 |   31 | see [`AlarmLabel`]          |
//! | wheels           | list     |    - |    - | behind it | - | - | count BYTE, then each      |
//!
//! Which form an item has, its length says: nothing ties it to the revision of the header. An item
//! of another length is a maker's own.

use super::{MicroDegrees, additional_item::RawItem};
use crate::wire::bcd::Gmt8Time;

/// How long the parts of an alarm label are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LabelForm {
    /// T/JSATL 12: terminal id of 7 bytes, 1 reserved; 16 in all.
    Jsatl12,
    /// T/GDRTA 002: terminal id of 30 bytes, 2 reserved; 40 in all.
    Gdrta002,
}

impl LabelForm {
    /// Bytes of the terminal id.
    #[must_use]
    pub const fn terminal_id_bytes(self) -> usize {
        match self {
            Self::Jsatl12 => 7,
            Self::Gdrta002 => 30,
        }
    }

    /// Bytes that are reserved.
    #[must_use]
    pub const fn reserved_bytes(self) -> usize {
        match self {
            Self::Jsatl12 => 1,
            Self::Gdrta002 => 2,
        }
    }

    /// Bytes of the label.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.terminal_id_bytes() + 8 + self.reserved_bytes()
    }
}

/// What ties an alarm to its attachments (报警标识号); the bytes of an item (`&[u8]`), or of a
/// message (`Bytes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlarmLabel<B> {
    /// How long its parts are.
    pub form: LabelForm,
    /// Id of the terminal, padding included.
    pub terminal_id: B,
    /// When the alarm was.
    pub time: Gmt8Time,
    /// Number of the alarm within its second.
    pub sequence: u8,
    /// How many attachments it has.
    pub attachments: u8,
    /// Reserved.
    pub reserved: B,
}

/// An alarm or event of a peripheral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafetyAlarm<'a> {
    /// Number of the alarm, over all items.
    pub alarm_id: u32,
    /// 0 not applicable, 1 start, 2 end.
    pub flag: u8,
    /// What only one of the items has.
    pub kind: SafetyKind<'a>,
    /// Speed, km/h.
    pub speed: u8,
    /// Height above the sea, metre.
    pub altitude: u16,
    /// Latitude; the hemisphere is that of the report.
    pub latitude: MicroDegrees,
    /// Longitude; the hemisphere is that of the report.
    pub longitude: MicroDegrees,
    /// When.
    pub time: Gmt8Time,
    /// Bits: 0 ACC, 1 left turn, 2 right turn, 3 wiper, 4 brake, 5 driver's card, 10 positioned.
    pub vehicle_state: u16,
    /// The key of its attachments.
    pub label: AlarmLabel<&'a [u8]>,
}

/// What only one of the items has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SafetyKind<'a> {
    /// 0x64: driver assistance (高级驾驶辅助, ADAS).
    DriverAssistance {
        /// 0x01 forward collision, 0x02 lane departure, 0x03 too close, 0x04 pedestrian, 0x05 lane
        /// changes, 0x06 road sign exceeded, 0x07 obstacle; events: 0x10 road sign, 0x11 photo.
        alarm_type: u8,
        /// 1 or 2.
        level: u8,
        /// Speed of the vehicle in front, km/h; types 0x01 and 0x02.
        front_speed: u8,
        /// Distance to what is in front, 100 ms; types 0x01, 0x02 and 0x04.
        front_distance: u8,
        /// 1 left, 2 right; type 0x02.
        departure_side: u8,
        /// 1 speed, 2 height, 3 weight; types 0x06 and 0x10.
        sign_type: u8,
        /// What the sign says.
        sign_value: u8,
    },
    /// 0x65: state of the driver (驾驶员状态监测, DSM).
    DriverState {
        /// 0x01 fatigue, 0x02 phone, 0x03 smoking, 0x04 distraction, 0x05 driver abnormal; events:
        /// 0x10 photo, 0x11 another driver.
        alarm_type: u8,
        /// 1 or 2.
        level: u8,
        /// 1 to 10, greater is worse; type 0x01.
        fatigue: u8,
        /// Reserved.
        reserved: [u8; 4],
    },
    /// 0x66: tyre pressure (胎压监测, TPMS).
    Tyres(Wheels<'a>),
    /// 0x67: blind spot (盲区监测, BSD).
    BlindSpot {
        /// 0x01 behind, 0x02 behind on the left, 0x03 behind on the right.
        alarm_type: u8,
    },
    /// 0x70: hard driving (激烈驾驶).
    HardDriving {
        /// 0x01 acceleration, 0x02 braking, 0x03 cornering, 0x16 accident.
        alarm_type: u8,
        /// The thresholds and what was measured, by the maker.
        values: [u16; 3],
    },
}

/// The wheels of item 0x66, read when they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wheels<'a> {
    bytes: &'a [u8],
    wheel_bytes: usize,
}

/// A wheel with an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wheel {
    /// Which, from 0: axles from the front, each from the left.
    pub position: u16,
    /// Bits: 0 periodic report, 1 high, 2 low, 3 hot, 4 sensor fault, 5 imbalance, 6 slow leak,
    /// 7 battery low.
    pub alarms: u16,
    /// kPa.
    pub pressure_kpa: u16,
    /// Degree Celsius.
    pub temperature_c: u16,
    /// Percent.
    pub battery_percent: u16,
}

impl<'a> Wheels<'a> {
    /// The list behind a label. The standard types the position a BYTE, and counts offsets as if
    /// it were two: the length says which.
    fn of(list: &'a [u8]) -> Option<Self> {
        let (count, bytes) = list.split_first()?;
        let wheel_bytes = [9, 10]
            .into_iter()
            .find(|wheel_bytes| bytes.len() == usize::from(*count) * wheel_bytes)?;
        Some(Self { bytes, wheel_bytes })
    }

    /// The wheels in the order of the wire.
    pub fn iter(self) -> impl Iterator<Item = Wheel> + use<'a> {
        self.bytes
            .chunks_exact(self.wheel_bytes)
            .filter_map(move |wheel| {
                let mut rest = Cursor(wheel);
                Some(Wheel {
                    position: if self.wheel_bytes == 9 {
                        rest.byte()?.into()
                    } else {
                        rest.word()?
                    },
                    alarms: rest.word()?,
                    pressure_kpa: rest.word()?,
                    temperature_c: rest.word()?,
                    battery_percent: rest.word()?,
                })
            })
    }
}

impl<'a> SafetyAlarm<'a> {
    /// The alarm of an item; `None` for other ids, and for lengths that are the makers' own.
    #[must_use]
    pub fn of(item: RawItem<'a>) -> Option<Self> {
        let form = form_of(item)?;
        let mut rest = Cursor(item.value);
        let alarm_id = rest.dword()?;
        let flag = rest.byte()?;
        let kind = match item.id {
            0x64 => SafetyKind::DriverAssistance {
                alarm_type: rest.byte()?,
                level: rest.byte()?,
                front_speed: rest.byte()?,
                front_distance: rest.byte()?,
                departure_side: rest.byte()?,
                sign_type: rest.byte()?,
                sign_value: rest.byte()?,
            },
            0x65 => SafetyKind::DriverState {
                alarm_type: rest.byte()?,
                level: rest.byte()?,
                fatigue: rest.byte()?,
                reserved: rest.array()?,
            },
            0x66 => SafetyKind::Tyres(Wheels::of(item.value.get(tyres_fixed(form)..)?)?),
            0x67 => SafetyKind::BlindSpot {
                alarm_type: rest.byte()?,
            },
            _ => SafetyKind::HardDriving {
                alarm_type: rest.byte()?,
                values: [rest.word()?, rest.word()?, rest.word()?],
            },
        };
        Some(Self {
            alarm_id,
            flag,
            kind,
            speed: rest.byte()?,
            altitude: rest.word()?,
            latitude: MicroDegrees(rest.dword()?),
            longitude: MicroDegrees(rest.dword()?),
            time: Gmt8Time(rest.array()?),
            vehicle_state: rest.word()?,
            label: AlarmLabel {
                form,
                terminal_id: rest.slice(form.terminal_id_bytes())?,
                time: Gmt8Time(rest.array()?),
                sequence: rest.byte()?,
                attachments: rest.byte()?,
                reserved: rest.slice(form.reserved_bytes())?,
            },
        })
    }
}

/// Bytes of item 0x66 before its list.
const fn tyres_fixed(form: LabelForm) -> usize {
    24 + form.bytes()
}

/// The form of an item by its id and length; `None` for items that are none of these.
pub(super) fn form_of(item: RawItem<'_>) -> Option<LabelForm> {
    let label_bytes = match item.id {
        0x64 | 0x65 => item.value.len().checked_sub(31)?,
        0x67 => item.value.len().checked_sub(25)?,
        0x70 if item.value.len() == 47 => LabelForm::Jsatl12.bytes(),
        0x66 => {
            return [LabelForm::Jsatl12, LabelForm::Gdrta002]
                .into_iter()
                .find(|form| {
                    let list = item.value.get(tyres_fixed(*form)..);
                    list.and_then(Wheels::of).is_some()
                });
        }
        _ => return None,
    };
    [LabelForm::Jsatl12, LabelForm::Gdrta002]
        .into_iter()
        .find(|form| form.bytes() == label_bytes)
}

/// Reads a value from its start.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn slice(&mut self, count: usize) -> Option<&'a [u8]> {
        let (slice, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(slice)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn word(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn dword(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    const SHORT_LABEL: &str = "37363534333231 240715083015 01 03 00";
    const PLACE: &str = "32 0023 01580650 06CC62AC 240715083015 0401";

    fn long_label() -> String {
        format!("{} 240715083015 01 03 0000", "31".repeat(30))
    }

    fn alarm(id: u8, value: &[u8]) -> Option<SafetyAlarm<'_>> {
        SafetyAlarm::of(RawItem { id, value })
    }

    fn assert_common(alarm: SafetyAlarm<'_>, form: LabelForm) {
        assert_eq!((alarm.alarm_id, alarm.flag), (0x40, 1));
        assert_eq!((alarm.speed, alarm.altitude), (50, 35));
        assert_eq!(alarm.latitude, MicroDegrees(22_546_000));
        assert_eq!(alarm.longitude, MicroDegrees(114_057_900));
        assert_eq!(alarm.time.to_string(), "240715083015");
        assert_eq!(alarm.vehicle_state, 0x0401);
        let label = alarm.label;
        assert_eq!(label.form, form);
        assert_eq!(label.terminal_id.len(), form.terminal_id_bytes());
        assert_eq!(label.time, alarm.time);
        assert_eq!((label.sequence, label.attachments), (1, 3));
        assert_eq!(label.reserved.len(), form.reserved_bytes());
    }

    #[test]
    fn each_item_is_read_with_either_label() {
        let assistance = SafetyKind::DriverAssistance {
            alarm_type: 1,
            level: 2,
            front_speed: 60,
            front_distance: 27,
            departure_side: 0,
            sign_type: 1,
            sign_value: 80,
        };
        let driver = SafetyKind::DriverState {
            alarm_type: 1,
            level: 2,
            fatigue: 7,
            reserved: [0, 0, 0, 9],
        };
        let blind_spot = SafetyKind::BlindSpot { alarm_type: 3 };
        for (label, form) in [
            (SHORT_LABEL, LabelForm::Jsatl12),
            (&long_label(), LabelForm::Gdrta002),
        ] {
            for (id, head, kind) in [
                (0x64, "00000040 01 01 02 3C 1B 00 01 50", assistance),
                (0x65, "00000040 01 01 02 07 00000009", driver),
                (0x67, "00000040 01 03", blind_spot),
            ] {
                let value = hex::bytes(&[head, PLACE, label].concat());
                let alarm = alarm(id, &value).unwrap();
                assert_eq!(alarm.kind, kind);
                assert_common(alarm, form);
            }
        }
        let head = "00000040 01 16 0001 0002 0003";
        let value = hex::bytes(&[head, PLACE, SHORT_LABEL].concat());
        let alarm = alarm(0x70, &value).unwrap();
        let kind = SafetyKind::HardDriving {
            alarm_type: 0x16,
            values: [1, 2, 3],
        };
        assert_eq!(alarm.kind, kind);
        assert_common(alarm, LabelForm::Jsatl12);
    }

    #[test]
    fn a_wheel_has_nine_bytes_or_ten() {
        let wheel = Wheel {
            position: 2,
            alarms: 0x0006,
            pressure_kpa: 700,
            temperature_c: 60,
            battery_percent: 90,
        };
        for (label, form) in [
            (SHORT_LABEL, LabelForm::Jsatl12),
            (&long_label(), LabelForm::Gdrta002),
        ] {
            for position in ["02", "0002"] {
                let list = format!("01 {position} 0006 02BC 003C 005A");
                let value = hex::bytes(&["00000040 01", PLACE, label, &list].concat());
                let alarm = alarm(0x66, &value).unwrap();
                assert_common(alarm, form);
                let SafetyKind::Tyres(wheels) = alarm.kind else {
                    panic!("{alarm:?}")
                };
                assert_eq!(wheels.iter().collect::<Vec<_>>(), [wheel]);
            }
        }
    }

    #[test]
    fn any_other_length_is_a_makers_own() {
        for id in 0..=0xFF {
            let lengths: Vec<_> = (0..=0xFF)
                .filter(|length| alarm(id, &vec![0; *length]).is_some())
                .collect();
            let expected: &[usize] = match id {
                0x64 | 0x65 => &[47, 71],
                0x66 | 0x67 => &[41, 65],
                0x70 => &[47],
                _ => &[],
            };
            assert_eq!(lengths, expected, "{id:02x}");
        }
    }
}
