//! The only place that reads the clock of the system.

use std::time::{SystemTime, UNIX_EPOCH};

use geofence::units::Timestamp;

/// Now, UTC. Before 1970 it is 1970.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// RFC 3339 with milliseconds, UTC: `2026-11-24T08:00:00.000Z`. Moments outside the years 0 to
/// 9999 are shown as their nearest one.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    const FORMAT: &[time::format_description::BorrowedFormatItem<'_>] = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
    );
    let millis = at.0.clamp(-62_135_596_800_000, 253_402_300_799_999);
    time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .ok()
        .and_then(|moment| moment.format(FORMAT).ok())
        .unwrap_or_default()
}

/// The moment that an RFC 3339 text names.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let format = &time::format_description::well_known::Rfc3339;
    let moment = time::OffsetDateTime::parse(text, format).ok()?;
    i64::try_from(moment.unix_timestamp_nanos() / 1_000_000)
        .ok()
        .map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_as_rfc_3339() {
        let at = Timestamp(1_721_032_215_000);
        assert_eq!(rfc3339(at), "2024-07-15T08:30:15.000Z");
        assert_eq!(parse_rfc3339("2024-07-15T16:30:15+08:00"), Some(at));
        assert_eq!(parse_rfc3339("yesterday"), None);
        assert_eq!(rfc3339(Timestamp(i64::MAX)), "9999-12-31T23:59:59.999Z");
    }
}
