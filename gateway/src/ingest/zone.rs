//! Times by the clock of a terminal that is not at GMT+8 become times as the standard has them,
//! before anybody reads them.

use protocols::{
    jt808::{
        message::{Message, location_report::LocationReport},
        profile::Profile,
    },
    wire::bcd::Gmt8Time,
};

/// Minutes by which the standard's clock is ahead of UTC.
pub const STANDARD_MINUTES: i16 = 8 * 60;

/// Minutes by which a terminal's clock is ahead of UTC.
#[must_use]
pub fn utc_offset_minutes(profile: Option<&Profile>) -> i16 {
    profile.map_or(STANDARD_MINUTES, Profile::utc_offset_minutes)
}

/// Brings the times in a message to GMT+8. The bytes of a body stay as they
/// came.
pub fn to_gmt8(message: &mut Message, utc_offset_minutes: i16) {
    if utc_offset_minutes == STANDARD_MINUTES {
        return;
    }
    let shift = |report: &mut LocationReport| {
        report.time = at_gmt8(report.time, utc_offset_minutes);
    };
    match message {
        Message::LocationReport(report) => shift(report),
        Message::LocationQueryResponse(response) => shift(&mut response.report),
        Message::VehicleControlResponse(response) => shift(&mut response.report),
        Message::LocationBatch(batch) => {
            let entries = batch.entries.iter_mut().flatten();
            entries.for_each(|entry| shift(&mut entry.report));
        }
        Message::StoredMediaAnswer(answer) => {
            let items = answer.items.iter_mut();
            items.for_each(|item| shift(&mut item.location));
        }
        Message::DriverIdentity(identity) => {
            if let Some(card) = &mut identity.card {
                card.time = at_gmt8(card.time, utc_offset_minutes);
            }
        }
        Message::PassengerFlow(flow) => {
            flow.start = at_gmt8(flow.start, utc_offset_minutes);
            flow.end = at_gmt8(flow.end, utc_offset_minutes);
        }
        _ => {}
    }
}

/// The same time at GMT+8. What names no moment stays as it is, and so does what would leave the
/// century: neither is believed.
#[must_use]
pub fn at_gmt8(time: Gmt8Time, utc_offset_minutes: i16) -> Gmt8Time {
    let ahead = i64::from(utc_offset_minutes) - i64::from(STANDARD_MINUTES);
    let moment = time.unix_seconds().map(|seconds| seconds - ahead * 60);
    moment.and_then(Gmt8Time::from_unix_seconds).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_at_utc_is_eight_hours_later_at_gmt8() {
        let time = Gmt8Time([0x24, 0x12, 0x31, 0x20, 0x30, 0x15]);
        let text = |minutes| at_gmt8(time, minutes).to_string();
        assert_eq!(text(0), "250101043015");
        assert_eq!(text(8 * 60), "241231203015");
        assert_eq!(text(9 * 60), "241231193015");
        assert_eq!(text(5 * 60 + 30), "241231230015");
    }

    #[test]
    fn what_is_no_time_stays_and_so_does_the_end_of_the_century() {
        for digits in [[0; 6], [0xFF; 6], [0x99, 0x12, 0x31, 0x23, 0x59, 0x59]] {
            assert_eq!(at_gmt8(Gmt8Time(digits), 0), Gmt8Time(digits));
        }
    }
}
