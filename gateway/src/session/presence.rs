//! What is known of a terminal that is online: written by its connection with each message, read
//! by whoever asks. Plain atomics: a message costs a few nanoseconds here.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
};

use geofence::units::Timestamp;

use super::downlink::Downlink;

/// Live reports of a half of the window.
const HALF: u8 = 8;
/// A clock that is off by whole hours is that exact, and that constant; seconds.
const WHOLE_HOUR_TOLERANCE_S: i32 = 120;
/// No place on earth is further from another one, in hours.
const HOURS_MAX: i32 = 26;

/// A terminal's clock beside ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    /// Receipt minus fix time, the least of the last 8 to 16 live reports: positive where the
    /// terminal's clock is behind. Seconds; the way of a message is part of it.
    pub seconds: i32,
    /// Set where it is constant and within two minutes of whole hours: a time zone, not a bad
    /// clock.
    pub whole_hours: Option<i32>,
}

impl ClockOffset {
    /// What a constant offset of whole hours means. `utc_offset_minutes` is the zone that the
    /// terminal's times were read in.
    #[must_use]
    pub fn suggestion(&self, utc_offset_minutes: i16) -> Option<String> {
        let hours = self.whole_hours?;
        let read_in = i32::from(utc_offset_minutes);
        let sent = zone_word(read_in - hours * 60);
        Some(if sent == "UTC" {
            format!("{hours:+} h: terminal sends UTC")
        } else {
            let read_in = zone_word(read_in);
            format!("{hours:+} h: terminal sends {sent} instead of {read_in}")
        })
    }
}

/// `UTC`, `UTC+8`, `UTC+5:30`.
fn zone_word(minutes: i32) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    match (minutes.abs() / 60, minutes.abs() % 60) {
        (0, 0) => "UTC".to_owned(),
        (hours, 0) => format!("UTC{sign}{hours}"),
        (hours, minutes) => format!("UTC{sign}{hours}:{minutes:02}"),
    }
}

/// What the last reports say about a terminal's clock. Two halves: when the newer one is full, the
/// elder one is forgotten.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClockWindow {
    elder: Half,
    newer: Half,
}

#[derive(Clone, Copy, Debug)]
struct Half {
    least: i32,
    greatest: i32,
    count: u8,
}

impl Default for Half {
    fn default() -> Self {
        Self {
            least: i32::MAX,
            greatest: i32::MIN,
            count: 0,
        }
    }
}

impl ClockWindow {
    /// One more live report: receipt minus fix time, seconds. The least counts, since a message
    /// can be late but never early.
    pub fn observe(&mut self, offset_s: i64) -> ClockOffset {
        let bound = i64::from(i32::MAX / 4);
        let offset_s = i32::try_from(offset_s.clamp(-bound, bound)).unwrap_or_default();
        if self.newer.count >= HALF {
            self.elder = std::mem::take(&mut self.newer);
        }
        let newer = &mut self.newer;
        newer.least = newer.least.min(offset_s);
        newer.greatest = newer.greatest.max(offset_s);
        newer.count += 1;
        let seconds = self.elder.least.min(newer.least);
        let spread = self.elder.greatest.max(newer.greatest) - seconds;
        let hours = (seconds + seconds.signum() * 1_800) / 3_600;
        let is_exact = (seconds - hours * 3_600).abs() <= WHOLE_HOUR_TOLERANCE_S;
        let is_constant =
            self.elder.count + newer.count >= HALF && spread <= WHOLE_HOUR_TOLERANCE_S;
        let is_zone = is_exact && is_constant && hours != 0 && hours.abs() <= HOURS_MAX;
        ClockOffset {
            seconds,
            whole_hours: is_zone.then_some(hours),
        }
    }
}

/// One session of a terminal, as others may see it.
#[derive(Debug)]
pub struct Presence {
    /// When it began.
    pub online_since: Timestamp,
    /// Address of the peer.
    pub address: IpAddr,
    /// How it is connected: `tcp`.
    pub transport: &'static str,
    /// The way down to the terminal.
    pub downlink: Downlink,
    last_seen: AtomicI64,
    /// Seconds in the upper half, whole hours in the lower one; [`NO_OFFSET`] at first.
    clock_offset: AtomicI64,
    has_fix: AtomicBool,
}

const NO_OFFSET: i64 = i64::MIN;

impl Presence {
    /// A session that begins.
    #[must_use]
    pub const fn new(
        now: Timestamp,
        address: IpAddr,
        transport: &'static str,
        downlink: Downlink,
    ) -> Self {
        Self {
            online_since: now,
            address,
            transport,
            downlink,
            last_seen: AtomicI64::new(now.millis()),
            clock_offset: AtomicI64::new(NO_OFFSET),
            has_fix: AtomicBool::new(false),
        }
    }

    /// A valid message came.
    pub fn seen(&self, now: Timestamp) {
        self.last_seen.store(now.millis(), Relaxed);
    }

    /// A live report came, with a fix or without, and with the terminal's time in seconds since
    /// 1970, where its digits name one.
    pub fn reported(
        &self,
        has_fix: bool,
        fixed_at: Option<i64>,
        now: Timestamp,
        clock: &mut ClockWindow,
    ) {
        if has_fix && !self.has_fix.load(Relaxed) {
            self.has_fix.store(true, Relaxed);
        }
        if let Some(fixed_at) = fixed_at {
            let offset = clock.observe(now.millis().div_euclid(1_000).saturating_sub(fixed_at));
            let hours = offset.whole_hours.unwrap_or_default();
            let packed = i64::from(offset.seconds) << 32 | i64::from(hours.cast_unsigned());
            self.clock_offset.store(packed, Relaxed);
        }
    }

    /// When the last valid message came.
    #[must_use]
    pub fn last_seen(&self) -> Timestamp {
        Timestamp(self.last_seen.load(Relaxed))
    }

    /// The terminal's clock beside ours, once it has reported.
    #[must_use]
    pub fn clock_offset(&self) -> Option<ClockOffset> {
        let packed = self.clock_offset.load(Relaxed);
        if packed == NO_OFFSET {
            return None;
        }
        let [a, b, c, d, e, f, g, h] = packed.to_be_bytes();
        let hours = i32::from_be_bytes([e, f, g, h]);
        Some(ClockOffset {
            seconds: i32::from_be_bytes([a, b, c, d]),
            whole_hours: (hours != 0).then_some(hours),
        })
    }

    /// It has reported a place.
    #[must_use]
    pub fn has_fix(&self) -> bool {
        self.has_fix.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(offsets: &[i64]) -> ClockOffset {
        let mut window = ClockWindow::default();
        let all = offsets.iter().map(|offset| window.observe(*offset));
        all.last().unwrap()
    }

    #[test]
    fn late_messages_do_not_count() {
        assert_eq!(after(&[40, 2, 300, 7_200]).seconds, 2);
        let mut drifted = vec![2];
        drifted.extend([10; 16]);
        assert_eq!(after(&drifted).seconds, 10, "old ones are forgotten");
        assert_eq!(after(&[-30]).seconds, -30);
        assert_eq!(after(&[i64::MAX, i64::MIN]).whole_hours, None);
    }

    #[test]
    fn whole_hours_are_a_time_zone_when_they_are_constant() {
        let utc = after(&[28_801; 8]);
        assert_eq!(utc.whole_hours, Some(8));
        assert_eq!(utc.suggestion(480).unwrap(), "+8 h: terminal sends UTC");
        assert_eq!(after(&[28_801; 7]).whole_hours, None, "not yet sure");
        let east = after(&[-3_598; 16]);
        let expected = "-1 h: terminal sends UTC+9 instead of UTC+8";
        assert_eq!(east.suggestion(480).unwrap(), expected);
        let expected = "-1 h: terminal sends UTC+1 instead of UTC";
        assert_eq!(east.suggestion(0).unwrap(), expected);
        let expected = "-1 h: terminal sends UTC-4:30 instead of UTC-5:30";
        assert_eq!(east.suggestion(-330).unwrap(), expected);
        assert_eq!(after(&[5; 16]).whole_hours, None);
        assert_eq!(after(&[5_400; 16]).whole_hours, None, "an hour and a half");
        // A backlog of an hour that is sent report by report is no time zone.
        let backlog: Vec<i64> = (0..16).map(|n| 3_690 - n * 10).collect();
        assert_eq!(after(&backlog).whole_hours, None);
    }

    #[test]
    fn what_is_written_is_read() {
        let presence = Presence::new(
            Timestamp(5),
            IpAddr::from([192, 0, 2, 1]),
            "tcp",
            Downlink::to_nobody(),
        );
        assert_eq!((presence.clock_offset(), presence.has_fix()), (None, false));
        let mut clock = ClockWindow::default();
        for _ in 0..8 {
            let now = Timestamp((10_000 - 7_200) * 1_000);
            presence.reported(true, Some(10_000), now, &mut clock);
        }
        presence.seen(Timestamp(9));
        let offset = ClockOffset {
            seconds: -7_200,
            whole_hours: Some(-2),
        };
        assert_eq!(presence.clock_offset(), Some(offset));
        assert_eq!(
            (presence.last_seen(), presence.has_fix()),
            (Timestamp(9), true)
        );
    }
}
