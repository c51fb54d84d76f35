//! Wire types become domain types: the only place that knows both.

use geofence::{
    position::{Position, QuarantineReason, Quarantined},
    units::{Latitude, Longitude, Timestamp},
};
use protocols::jt808::message::location_report::{LocationReport, additional_item::AdditionalItem};

use super::record::Received;
use crate::config::Ingest;

/// Status bit 1: the receiver has a fix.
const POSITIONED: u32 = 1 << 1;
/// Status bit 5: coordinates are encrypted by a plug-in.
const ENCRYPTED: u32 = 1 << 5;
/// Altitudes above are junk or negative ones as two's complement (JT/T 808 reference §7.1).
const ALTITUDE_SIGN: u16 = 0x8000;

/// A position, or a report that is kept apart.
pub type Normalised = Result<Position, Quarantined>;

/// The fix times that are believed, around their receipt.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    future_ms: i64,
    past_ms: i64,
    backlog_ms: i64,
}

impl From<&Ingest> for Window {
    fn from(config: &Ingest) -> Self {
        let millis = |d: std::time::Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        Self {
            future_ms: millis(config.future_max),
            past_ms: millis(config.past_max),
            backlog_ms: millis(config.backlog_after),
        }
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
    let age_ms = received.received_at.millis_since(fixed_at);
    if age_ms < -window.future_ms {
        return Err(quarantine(QuarantineReason::Future));
    }
    if age_ms > window.past_ms {
        return Err(quarantine(QuarantineReason::Past));
    }
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
    for item in received.headers.standard_items(&report.items).iter() {
        match item {
            AdditionalItem::Mileage(value) => odometer_dkm = odometer_dkm.or(Some(value)),
            AdditionalItem::SatelliteCount(value) => satellites = satellites.or(Some(value)),
            _ => {}
        }
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
        is_positioned: status & POSITIONED != 0 && status & ENCRYPTED == 0 && is_somewhere,
        is_backlog: is_backlog || age_ms > window.backlog_ms,
    })
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
    fn altitudes_below_the_sea_are_negative_and_junk_is_unknown() {
        assert_eq!(altitude(800), Some(800));
        assert_eq!(altitude(0xFFF6), Some(-10));
        assert_eq!(altitude(0x8000), None);
        assert_eq!(altitude(32_000), None);
    }
}
