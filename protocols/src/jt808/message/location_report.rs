//! 0x0200 location report (位置信息汇报): terminal -> platform, answered by 0x8001.
//!
//! | offset | field     | wire    | unit                                                         |
//! |--------|-----------|---------|--------------------------------------------------------------|
//! |      0 | alarms    | DWORD   | bits                                                         |
//! |      4 | status    | DWORD   | bits; 2 south, 3 west                                        |
//! |      8 | latitude  | DWORD   | 1e-6 degree, magnitude                                       |
//! |     12 | longitude | DWORD   | 1e-6 degree, magnitude                                       |
//! |     16 | altitude  | WORD    | metre                                                        |
//! |     18 | speed     | WORD    | 0.1 km/h                                                     |
//! |     20 | heading   | WORD    | degree, 0 north, clockwise                                   |
//! |     22 | time      | BCD\[6\] | YYMMDDhhmmss at GMT+8                                       |
//! |     28 | items     | id BYTE, length BYTE, value: to the end of the body                    |

pub mod active_safety;
pub mod additional_item;
pub mod flags;
pub mod items;
mod view;

use self::{
    flags::{AlarmFlags, StatusFlags},
    items::Items,
};
use super::{
    Body,
    field::Field,
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer, bcd::Gmt8Time},
};

/// 1e-6 degree as it stands on the wire: a magnitude, whose hemisphere is a bit of the status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MicroDegrees(pub u32);

/// Metres. Terminals below the sea send two's complement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meters(pub u16);

/// 0.1 km/h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeciKmh(pub u16);

/// Degrees, 0 north, clockwise; 0 to 359, 360 also occurs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Degrees(pub u16);

/// What a terminal says about one moment: where, how fast, in which state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocationReport {
    /// Alarms that the terminal raised.
    pub alarms: AlarmFlags,
    /// State of vehicle and terminal.
    pub status: StatusFlags,
    /// Latitude without its hemisphere.
    pub latitude: MicroDegrees,
    /// Longitude without its hemisphere.
    pub longitude: MicroDegrees,
    /// Height above the sea.
    pub altitude: Meters,
    /// Speed over ground.
    pub speed: DeciKmh,
    /// Direction of movement.
    pub heading: Degrees,
    /// Time of the fix.
    pub time: Gmt8Time,
    /// Additional items.
    pub items: Items,
}

impl LocationReport {
    /// Length of the part before the additional items, in bytes.
    pub const FIXED_BYTES: usize = 28;

    /// Latitude in 1e-6 degree, north positive; `None` beyond the poles.
    #[must_use]
    pub fn latitude_micro_degrees(&self) -> Option<i32> {
        signed(
            self.latitude,
            self.status.contains(StatusFlags::SOUTH),
            90_000_000,
        )
    }

    /// Longitude in 1e-6 degree, east positive; `None` beyond 180 degrees.
    #[must_use]
    pub fn longitude_micro_degrees(&self) -> Option<i32> {
        signed(
            self.longitude,
            self.status.contains(StatusFlags::WEST),
            180_000_000,
        )
    }
}

/// Magnitude and hemisphere, or two's complement, which some terminals send, with the bit of the
/// hemisphere or without.
fn signed(wire: MicroDegrees, is_negative: bool, limit: i32) -> Option<i32> {
    match i32::try_from(wire.0) {
        Ok(magnitude) if magnitude <= limit => {
            Some(if is_negative { -magnitude } else { magnitude })
        }
        Ok(_) => None,
        Err(_) => Some(i32::from_be_bytes(wire.0.to_be_bytes())).filter(|value| *value >= -limit),
    }
}

impl Body for LocationReport {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        Ok(Self {
            alarms: AlarmFlags(r.dword("alarms")?),
            status: StatusFlags(r.dword("status")?),
            latitude: MicroDegrees(r.dword("latitude")?),
            longitude: MicroDegrees(r.dword("longitude")?),
            altitude: Meters(r.word("altitude")?),
            speed: DeciKmh(r.word("speed")?),
            heading: Degrees(r.word("heading")?),
            time: r.time("time")?,
            items: Items::of(r.rest(), revision),
        })
    }

    fn encode(&self, w: &mut Writer, _revision: Revision) -> Result<(), EncodeError> {
        w.dword(self.alarms.0);
        w.dword(self.status.0);
        w.dword(self.latitude.0);
        w.dword(self.longitude.0);
        w.word(self.altitude.0);
        w.word(self.speed.0);
        w.word(self.heading.0);
        w.bytes(&self.time.0);
        w.bytes(self.items.as_bytes());
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        json::put(object, "alarm", self.alarms.0);
        json::put(object, "status", self.status.0);
        view::put_coordinates(object, self);
        json::put(object, "altitude_m", self.altitude.0);
        json::put(object, "speed_kmh", f64::from(self.speed.0) / 10.0);
        json::put(object, "direction_deg", self.heading.0);
        Field::put(&self.time, object, "time");
        view::put_items(object, &self.items, self.status);
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::uplink_only())
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for LocationReport {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        Self {
            alarms: AlarmFlags(c.any(revision)),
            status: StatusFlags(c.any(revision)),
            latitude: MicroDegrees(c.any(revision)),
            longitude: MicroDegrees(c.any(revision)),
            altitude: Meters(c.any(revision)),
            speed: DeciKmh(c.any(revision)),
            heading: Degrees(c.any(revision)),
            time: c.any(revision),
            items: Items::of(c.up_to(60), revision),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{additional_item::AdditionalItem, *};
    use crate::{
        hex,
        jt808::message::{Message, MessageId},
    };

    const BODY: &str = "00000002 000C0003 01580650 06CC62AC 0023 0163 005A 240715083015
                        0104 0001E240  0202 007D  3001 1F  3101 0C";

    fn decode(body: &Bytes) -> LocationReport {
        let message =
            Message::decode(MessageId::LOCATION_REPORT, body.clone(), Revision::V2013).unwrap();
        assert_eq!(message.encode(Revision::V2013).as_ref(), Ok(body));
        match message {
            Message::LocationReport(report) => report,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_report_is_read_field_by_field() {
        let report = decode(&hex::bytes(BODY));
        assert!(report.alarms.contains(AlarmFlags::OVERSPEED));
        assert!(report.status.contains(StatusFlags::POSITIONED));
        assert_eq!(report.latitude, MicroDegrees(22_546_000));
        assert_eq!(report.longitude, MicroDegrees(114_057_900));
        assert_eq!(report.altitude, Meters(35));
        assert_eq!(report.speed, DeciKmh(355));
        assert_eq!(report.heading, Degrees(90));
        assert_eq!(report.time.unix_seconds(), Some(1_721_003_415));
        let items: Vec<_> = report.items.iter().collect();
        assert_eq!(
            items,
            [
                AdditionalItem::Mileage(123_456),
                AdditionalItem::Fuel(125),
                AdditionalItem::SignalStrength(31),
                AdditionalItem::SatelliteCount(12),
            ]
        );
    }

    #[test]
    fn every_prefix_of_the_fixed_part_is_truncated_and_every_longer_one_decodes() {
        let body = hex::bytes(BODY);
        for length in 0..body.len() {
            let cut = body.slice(..length);
            if length < LocationReport::FIXED_BYTES {
                let error = Message::decode(MessageId::LOCATION_REPORT, cut, Revision::V2013);
                assert_eq!(error.unwrap_err().reason(), "truncated", "{length}");
            } else {
                decode(&cut);
            }
        }
    }

    #[test]
    fn the_hemisphere_is_a_bit_or_a_sign() {
        let report = |status, latitude, longitude| LocationReport {
            status: StatusFlags(status),
            latitude: MicroDegrees(latitude),
            longitude: MicroDegrees(longitude),
            ..decode(&hex::bytes(BODY))
        };
        let signs = |report: LocationReport| {
            (
                report.latitude_micro_degrees(),
                report.longitude_micro_degrees(),
            )
        };
        assert_eq!(signs(report(0, 1, 2)), (Some(1), Some(2)));
        assert_eq!(signs(report(0b1100, 1, 2)), (Some(-1), Some(-2)));
        let minus_one = u32::MAX;
        assert_eq!(signs(report(0, minus_one, minus_one)), (Some(-1), Some(-1)));
        assert_eq!(
            signs(report(0b1100, minus_one, minus_one)),
            (Some(-1), Some(-1))
        );
        assert_eq!(
            signs(report(0, 90_000_000, 180_000_000)),
            (Some(90_000_000), Some(180_000_000))
        );
        assert_eq!(signs(report(0, 90_000_001, 180_000_001)), (None, None));
        assert_eq!(signs(report(0, 0x8000_0000, 0x8000_0000)), (None, None));
    }
}
