//! Tracks that are simplified: what has to stay, and how far off the rest may be.

use super::*;
use crate::tracks::row::tests::stored;

const GAP: Duration = Duration::from_secs(300);
const STOP: Duration = Duration::from_secs(120);

/// A fix so many metres east and north of a corner of the city.
fn fix(second: i64, east_m: f64, north_m: f64, speed_dkmh: u16) -> Position {
    let lat = 37.8 + north_m / METERS_PER_DEGREE;
    let lon = 112.5 + east_m / (METERS_PER_DEGREE * 37.8_f64.to_radians().cos());
    let mut position = stored(second, lat, lon).position;
    position.speed_dkmh = speed_dkmh;
    position
}

fn simplified(points_max: u32, fixes: &[Position]) -> (Vec<Point>, Summary) {
    let mut simplifier = Simplifier::new(points_max, GAP, STOP);
    for fix in fixes {
        simplifier.push(fix.clone());
        let bound = simplifier.room + PORTION;
        assert!(
            simplifier.points.len() <= bound,
            "{}",
            simplifier.points.len()
        );
    }
    let (points, summary) = simplifier.finish();
    assert!(points.len() <= points_max as usize, "{}", points.len());
    (points, summary)
}

/// Metres from a fix to the nearest segment that is no gap.
fn distance(fix: &Position, points: &[Point]) -> f64 {
    use geo::{Distance as _, Euclidean, Line};
    let plane = Plane::through(fix.latitude, fix.longitude);
    let at = |point: &Point| plane.coord(&point.position);
    let alone = points.iter().map(|point| at(point).x.hypot(at(point).y));
    let segments = points
        .windows(2)
        .filter(|pair| pair[1].gap_ms.is_none())
        .map(|pair| {
            let line = Line::new(at(&pair[0]), at(&pair[1]));
            Euclidean.distance(Coord { x: 0.0, y: 0.0 }, &line)
        });
    alone.chain(segments).fold(f64::INFINITY, f64::min)
}

fn seconds_of(points: &[Point]) -> Vec<i64> {
    let second = |p: &Point| p.position.fixed_at.millis() / 1_000 - 1_764_028_800;
    points.iter().map(second).collect()
}

/// A day of fixes a second apart: rounds through streets, with a stop every hour and, every six
/// hours, ten minutes of silence.
fn day() -> Vec<Position> {
    let mut fixes = Vec::new();
    let (mut east, mut north) = (0.0, 0.0);
    for second in 0..86_400_i64 {
        let in_hour = second % 3_600;
        if second % 21_600 >= 21_000 {
            continue;
        }
        let is_standing = (1_000..1_600).contains(&in_hour);
        if !is_standing {
            // A street is driven for a minute, then comes a corner.
            match second / 60 % 4 {
                0 => east += 8.0,
                1 => north += 8.0,
                2 => east -= 7.0,
                _ => north -= 7.0,
            }
        }
        // Noise of a metre, the same in every run.
        let noise = |n: i64| (n * 7_919 % 21 - 10) as f64 / 10.0;
        let speed = if is_standing { 0 } else { 288 };
        fixes.push(fix(
            second,
            east + noise(second),
            north + noise(second * 31 + 7),
            speed,
        ));
    }
    fixes
}

#[test]
fn a_day_of_seconds_keeps_its_shape_its_gaps_and_its_stops() {
    let fixes = day();
    // There are some 1,400 corners: with fewer points the streets cannot all be there.
    for (points_max, tolerance_max) in [(5_000, 3.0), (2_000, 5.0), (400, 500.0)] {
        let (points, summary) = simplified(points_max, &fixes);
        assert!(points.len() > points_max as usize / 4, "{}", points.len());
        assert_eq!(summary.fixes, fixes.len() as u64);
        assert_eq!((summary.gap_ms, summary.stop_ms), (300_000, 120_000));
        let gaps: Vec<_> = points.iter().filter_map(|p| p.gap_ms).collect();
        assert_eq!(gaps, [601_000; 3], "{points_max}");
        let stops: Vec<_> = points.iter().filter_map(|p| p.stop_ms).collect();
        assert_eq!(stops, [599_000; 24], "{points_max}");
        // First and last of every section.
        let seconds = seconds_of(&points);
        for edge in [0, 20_999, 21_600, 42_599, 43_200, 64_199, 64_800, 85_799] {
            assert!(seconds.contains(&edge), "{edge} is lost at {points_max}");
        }
        let worst = fixes.iter().step_by(101).map(|fix| distance(fix, &points));
        let worst = worst.fold(0.0, f64::max);
        assert!(worst <= summary.tolerance_m, "{worst} > {summary:?}");
        assert!(
            summary.tolerance_m < tolerance_max,
            "{points_max}: {summary:?}"
        );
    }
}

#[test]
fn what_is_few_enough_is_not_touched() {
    let fixes: Vec<_> = (0..10_i32)
        .map(|i| {
            let (east, north) = (f64::from(i) * 100.0, f64::from(i % 2) * 50.0);
            fix(i64::from(i) * 10, east, north, 300)
        })
        .collect();
    let (points, summary) = simplified(10, &fixes);
    assert_eq!(points.len(), 10);
    assert!(summary.tolerance_m <= 0.0, "{summary:?}");
}

#[test]
fn a_stop_on_a_straight_road_is_kept_and_a_short_or_a_moving_one_is_none() {
    let mut fixes = Vec::new();
    for second in 0..1_000_i64 {
        let (meters, speed) = match second {
            0..200 => (second * 10, 360),
            // Three minutes at one place.
            200..381 => (2_000, 0),
            381..500 => ((second - 180) * 10, 360),
            // One minute at one place.
            500..560 => (3_200, 20),
            // It says that it stands, but moves.
            _ => ((second - 240) * 10, 0),
        };
        fixes.push(fix(second, meters as f64, 0.0, speed));
    }
    let (points, _) = simplified(100, &fixes);
    let stops: Vec<_> = points.iter().filter_map(|p| p.stop_ms).collect();
    assert_eq!(stops, [180_000]);
    assert_eq!(seconds_of(&points), [0, 200, 380, 999]);
}

#[test]
fn where_gaps_alone_are_too_many_the_longer_ones_stay() {
    // Every fix is alone: pauses of 400 s, every tenth of an hour.
    let mut second = 0;
    let fixes: Vec<_> = (1..=2_000)
        .map(|i| {
            second += if i % 10 == 0 { 3_600 } else { 400 };
            fix(second, f64::from(i) * 100.0, 0.0, 300)
        })
        .collect();
    let (points, summary) = simplified(1_000, &fixes);
    assert!(
        (400_000..3_600_000).contains(&summary.gap_ms),
        "{summary:?}"
    );
    let gaps: Vec<_> = points.iter().filter_map(|p| p.gap_ms).collect();
    assert_eq!(gaps, [3_600_000; 200]);
    // And where these are too many as well, it is one line.
    let (points, summary) = simplified(2, &fixes);
    assert_eq!(points.len(), 2);
    assert!(summary.gap_ms >= 3_600_000);
}

#[test]
fn where_stops_alone_are_too_many_the_longer_ones_stay() {
    let mut fixes = Vec::new();
    for second in 0..200_000_i64 {
        // A stop every 1,000 s, of 130 s; every tenth is of 500 s.
        let (round, inside) = (second / 1_000, second % 1_000);
        let length = if round % 10 == 0 { 500 } else { 130 };
        let meters = round * 1_000 + (inside - length).max(0);
        let speed = if inside < length { 0 } else { 36 };
        if second % 5 == 0 || inside < 2 {
            fixes.push(fix(second, meters as f64, 0.0, speed));
        }
    }
    let (points, summary) = simplified(100, &fixes);
    let stops = points.iter().filter_map(|p| p.stop_ms).count();
    assert!((19..=20).contains(&stops), "{stops}: {summary:?}");
    assert!(
        summary.stop_ms > 130_000 && summary.gap_ms == 300_000,
        "{summary:?}"
    );
}

#[test]
fn the_worst_line_for_the_method_needs_no_deep_stack() {
    // A zigzag that grows narrower: each point is further out than all behind it.
    let fixes: Vec<_> = (0..2_100_i64)
        .map(|i| {
            let swing = (2_100 - i) as f64 / 4.0;
            let north = if i % 2 == 0 { swing } else { -swing };
            fix(i, i as f64, north, 300)
        })
        .collect();
    let small_stack = std::thread::Builder::new().stack_size(1 << 20);
    let run = move || simplified(500, &fixes).0.len();
    let kept = small_stack.spawn(run).unwrap().join().unwrap();
    assert!(kept > 2, "{kept}");
}

#[test]
fn positions_without_a_fix_are_counted_and_do_not_close_a_gap() {
    let mut fixes = vec![
        fix(0, 0.0, 0.0, 300),
        fix(200, 0.0, 0.0, 0),
        fix(400, 9.0, 0.0, 300),
    ];
    fixes[1].is_positioned = false;
    let (points, summary) = simplified(10, &fixes);
    assert_eq!((summary.fixes, summary.unpositioned), (2, 1));
    assert_eq!(points[1].gap_ms, Some(400_000));
    let (points, _) = simplified(10, &[]);
    assert!(points.is_empty());
}
