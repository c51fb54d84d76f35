//! Wire types become domain types: the only place that knows both.

use geofence::{
    position::{Inputs, Position, QuarantineReason, Quarantined},
    units::{Latitude, Longitude, Timestamp},
};
use protocols::jt808::message::location_report::{LocationReport, additional_item::AdditionalItem};

use super::record::Received;
use crate::config::Ingest;

/// Status bit 1: the receiver has a fix.
pub(super) const POSITIONED: u32 = 1 << 1;
/// Status bit 5: coordinates are encrypted by a plug-in.
const ENCRYPTED: u32 = 1 << 5;
/// Altitudes above are junk or negative ones as two's complement (JT/T 808 reference §7.1).
const ALTITUDE_SIGN: u16 = 0x8000;

/// A position, or a report that is kept apart.
pub type Normalised = Result<Position, Quarantined>;

/// The fix times that are believed, around their receipt, and the items that are kept.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    future_ms: i64,
    past_ms: i64,
    backlog_ms: i64,
    /// The makers' items that are kept as inputs, one bit an id.
    signal_items: [u64; 4],
}

impl From<&Ingest> for Window {
    fn from(config: &Ingest) -> Self {
        let millis = |d: std::time::Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        Self {
            future_ms: millis(config.future_max),
            past_ms: millis(config.past_max),
            backlog_ms: millis(config.backlog_after),
            signal_items: config.signal_items.iter().fold([0; 4], |mut set, item| {
                if let Some(word) = set.get_mut(usize::from(item.0 / 64)) {
                    *word |= 1 << (item.0 % 64);
                }
                set
            }),
        }
    }
}

impl Window {
    /// Whether a fix is backlog by its age.
    ///
    /// # Errors
    /// When its time is not believed.
    pub fn judge(
        &self,
        fixed_at: Timestamp,
        received_at: Timestamp,
    ) -> Result<bool, QuarantineReason> {
        let age_ms = received_at.millis_since(fixed_at);
        if age_ms < -self.future_ms {
            Err(QuarantineReason::Future)
        } else if age_ms > self.past_ms {
            Err(QuarantineReason::Past)
        } else {
            Ok(age_ms > self.backlog_ms)
        }
    }

    fn keeps(&self, item: u8) -> bool {
        let word = self.signal_items.get(usize::from(item / 64));
        word.is_some_and(|word| word >> (item % 64) & 1 == 1)
    }
}

/// Makes a position of a report. `body` is the location body as sent: its digest is the identity.
pub fn normalise(
    report: &LocationReport,
    body: &[u8],
    received: &Received,
    is_backlog: bool,
    window: &Window,
) -> Normalised {
    let digest = crc32fast::hash(body);
    let quarantine = |reason| Quarantined {
        terminal: received.terminal,
        received_at: received.received_at,
        log_offset: received.log_offset,
        digest,
        reason,
        body: body.to_vec(),
    };
    let fixed_at = report
        .time
        .unix_seconds()
        .map(Timestamp::from_seconds)
        .ok_or_else(|| quarantine(QuarantineReason::NoTime))?;
    let is_old = window
        .judge(fixed_at, received.received_at)
        .map_err(quarantine)?;
    let latitude = report
        .latitude_micro_degrees()
        .and_then(Latitude::from_micro_degrees);
    let longitude = report
        .longitude_micro_degrees()
        .and_then(Longitude::from_micro_degrees);
    let (Some(latitude), Some(longitude)) = (latitude, longitude) else {
        return Err(quarantine(QuarantineReason::OutOfRange));
    };
    let status = report.status.0;
    let is_somewhere = latitude.micro_degrees() != 0 || longitude.micro_degrees() != 0;
    let mut odometer_dkm = None;
    let mut satellites = None;
    let mut inputs = Inputs::default();
    for item in received.headers.standard_items(&report.items).iter() {
        match item {
            AdditionalItem::Mileage(value) => odometer_dkm = odometer_dkm.or(Some(value)),
            AdditionalItem::SatelliteCount(value) => satellites = satellites.or(Some(value)),
            AdditionalItem::VehicleSignals(bits) => {
                inputs.vehicle_signals = inputs.vehicle_signals.or(Some(bits));
            }
            AdditionalItem::IoStatus(bits) => inputs.io = inputs.io.or(Some(bits)),
            _ => {}
        }
    }
    if window.signal_items != [0; 4] {
        let mut items = received.headers.items(report.items.as_bytes());
        let kept = items.find(|item| u8::try_from(item.id).is_ok_and(|id| window.keeps(id)));
        inputs.vendor = kept.and_then(|item| signal_bits(item.value));
    }
    Ok(Position {
        terminal: received.terminal,
        fixed_at,
        received_at: received.received_at,
        log_offset: received.log_offset,
        digest,
        latitude,
        longitude,
        altitude_m: altitude(report.altitude.0),
        speed_dkmh: report.speed.0,
        heading_deg: report.heading.0 % 360,
        alarm_flags: report.alarms.0,
        status_flags: status,
        odometer_dkm,
        satellites,
        inputs,
        is_positioned: status & POSITIONED != 0 && status & ENCRYPTED == 0 && is_somewhere,
        is_backlog: is_backlog || is_old,
    })
}

/// A report in quarantine whose emergency button is pressed, as a position without a place at the
/// time of its receipt: whoever calls for help is heard, whatever the clock of his terminal says.
#[must_use]
pub fn call_for_help(report: &Quarantined) -> Option<Position> {
    const EMERGENCY: u32 = 1;
    let (alarms, rest) = report.body.split_first_chunk()?;
    let (status, _) = rest.split_first_chunk()?;
    let alarm_flags = u32::from_be_bytes(*alarms);
    (alarm_flags & EMERGENCY != 0).then(|| Position {
        terminal: report.terminal,
        fixed_at: report.received_at,
        received_at: report.received_at,
        log_offset: report.log_offset,
        digest: report.digest,
        latitude: Latitude::default(),
        longitude: Longitude::default(),
        altitude_m: None,
        speed_dkmh: 0,
        heading_deg: 0,
        alarm_flags: EMERGENCY,
        status_flags: u32::from_be_bytes(*status),
        odometer_dkm: None,
        satellites: None,
        inputs: Inputs::default(),
        is_positioned: false,
        is_backlog: false,
    })
}

/// The first four bytes of an item, or as many as it has, as a number.
fn signal_bits(value: &[u8]) -> Option<u32> {
    let bytes = value.get(..4).unwrap_or(value);
    let number = |bits, byte: &u8| bits << 8 | u32::from(*byte);
    (!bytes.is_empty()).then(|| bytes.iter().fold(0, number))
}

/// Unsigned by the standard; terminals below sea level send two's complement.
pub(crate) fn altitude(wire: u16) -> Option<i16> {
    const LOWEST: i16 = -1_000;
    const HIGHEST: i16 = 10_000;
    let value = if wire >= ALTITUDE_SIGN {
        i16::from_be_bytes(wire.to_be_bytes())
    } else {
        i16::try_from(wire).ok()?
    };
    (LOWEST..=HIGHEST).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_calls_for_help_is_heard_whatever_the_clock_says() {
        let report = |alarms: u8| Quarantined {
            terminal: "1".parse().unwrap(),
            received_at: Timestamp(5_000),
            log_offset: 7,
            digest: 9,
            reason: QuarantineReason::NoTime,
            body: vec![0, 0, 0, alarms, 0, 0, 0, 1, 0],
        };
        let position = call_for_help(&report(0x81)).unwrap();
        assert_eq!(position.fixed_at, Timestamp(5_000));
        assert_eq!((position.alarm_flags, position.status_flags), (1, 1));
        assert!(!position.is_positioned);
        assert_eq!(call_for_help(&report(0x80)), None);
    }

    #[test]
    fn signal_bits_are_those_of_the_first_four_bytes() {
        assert_eq!(signal_bits(&[]), None);
        assert_eq!(signal_bits(&[0x80]), Some(0x80));
        assert_eq!(signal_bits(&[1, 2]), Some(0x0102));
        assert_eq!(signal_bits(&[1, 2, 3, 4, 5]), Some(0x0102_0304));
    }

    #[test]
    fn altitudes_below_the_sea_are_negative_and_junk_is_unknown() {
        assert_eq!(altitude(800), Some(800));
        assert_eq!(altitude(0xFFF6), Some(-10));
        assert_eq!(altitude(0x8000), None);
        assert_eq!(altitude(32_000), None);
    }
}
