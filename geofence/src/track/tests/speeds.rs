//! When speeding ends.

use super::*;

/// Along the slow zone, whose limit is 20 km/h and whose margin 5, at these speeds for so many seconds.
fn at_speeds(speeds: &[(f64, i64)]) -> Vec<Violation> {
    let (mut east, mut second) = (320.0, 0);
    let mut track = Vec::new();
    for (kmh, seconds) in speeds {
        for _ in 0..*seconds {
            east += kmh / 3.6;
            track.push(position(second * 1_000, east, 0.0, *kmh));
            second += 1;
        }
    }
    assert!(east < 690.0, "it left the zone");
    stripped(&judged(&town(), &track).0)
}

#[test]
fn who_slowed_down_to_the_limit_is_not_speeding_while_he_keeps_the_margin() {
    let twice = at_speeds(&[(30.0, 15), (18.0, 3), (24.0, 4), (30.0, 15)]);
    assert_eq!(twice.len(), 2, "{twice:#?}");
    // The median of three speeds is at the limit with the second slow one.
    assert_eq!(twice[0].ended_at, Some(Timestamp(START_MS + 16_000)));
}

#[test]
fn who_slowed_down_to_within_the_margin_or_for_a_moment_goes_on_speeding() {
    let within = at_speeds(&[(30.0, 15), (23.0, 8), (30.0, 12)]);
    assert_eq!(within.len(), 1, "{within:#?}");
    let for_a_moment = at_speeds(&[(30.0, 15), (18.0, 3), (26.0, 3), (30.0, 12)]);
    assert_eq!(for_a_moment.len(), 1, "{for_a_moment:#?}");
}
