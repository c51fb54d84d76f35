//! A track with at most so many points, in bounded memory, however long it is.
//!
//! Ramer-Douglas-Peucker ([`geo::SimplifyIdx`]) leaves out what lies within a tolerance of the line
//! that stays, so that a picture has a bound that can be told to its reader: nothing that was left
//! out is further from the line than `tolerance_m`. (Visvalingam's method, which gives a rank to
//! every point, has no such bound.)
//!
//! Time has no place in that method: a stop on a straight road would vanish. So the first and last
//! fix of each stop are kept, and those on both sides of each gap.
//!
//! Fixes come in the order of time and are *settled* in portions: each portion is simplified with
//! the tolerance of the moment. When the settled ones fill the room, the tolerance is doubled and
//! all of them are simplified again. The errors of these rounds add up to less than twice the last
//! tolerance, and the sum is what the reader is told. Where gaps and stops alone are too many, the
//! shorter ones are given up, and the reader is told from which length on they are shown.

#[cfg(test)]
mod tests;

use std::time::Duration;

use geo::{Coord, LineString, SimplifyIdx as _};
use geofence::{
    position::Position,
    units::{Latitude, Longitude, Timestamp},
};

use super::Gaps;

/// Fixes are settled in portions of so many.
const PORTION: usize = 4_096;
/// A stretch of the line that is simplified at once: the method calls itself for each point that it
/// keeps, and looks at all of them each time.
const STRETCH: usize = 1_024;
/// The tolerance to begin with; terminals give places to 0.1 m.
const TOLERANCE_M_MIN: f64 = 0.5;
/// Halvings of the range in which the last tolerance lies.
const SEARCH_STEPS: u32 = 8;
/// Slower than this, and nearer than that to where it began, is standing: GNSS receivers report
/// speed that is not there, and some terminals none at all.
const STANDING_DKMH: u16 = 30;
const STANDING_M: f64 = 50.0;
const METERS_PER_DEGREE: f64 = 111_195.0;

/// A point of a simplified track.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The fix.
    pub position: Position,
    /// How long the gap before it was, in milliseconds.
    pub gap_ms: Option<i64>,
    /// It begins a stop of so many milliseconds.
    pub stop_ms: Option<i64>,
    /// It ends a stop of so many milliseconds.
    stop_end_ms: Option<i64>,
    /// It begins a stop that may turn out to be none.
    is_open_stop: bool,
}

/// What the points stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Usable fixes.
    pub fixes: u64,
    /// Positions without a usable fix, which have no place on a map.
    pub unpositioned: u64,
    /// No fix is further from the line, in metres.
    pub tolerance_m: f64,
    /// Gaps longer than this are shown, in milliseconds.
    pub gap_ms: i64,
    /// Stops of this length and longer are shown, in milliseconds.
    pub stop_ms: i64,
}

/// The first and the last fix of a stop that goes on.
#[derive(Clone, Debug)]
struct Standing {
    since: Timestamp,
    until: Timestamp,
    latitude: Latitude,
    longitude: Longitude,
}

impl Standing {
    fn holds(&self, position: &Position) -> bool {
        let plane = Plane::through(self.latitude, self.longitude);
        let Coord { x, y } = plane.coord(position);
        x.hypot(y) <= STANDING_M
    }
}

/// Takes fixes in the order of time.
#[derive(Clone, Debug)]
pub struct Simplifier {
    points_max: usize,
    /// Points that may be settled.
    room: usize,
    points: Vec<Point>,
    settled: usize,
    gaps: Gaps,
    standing: Option<Standing>,
    stop_ms_min: i64,
    /// The tolerance of the moment.
    tolerance_m: f64,
    summary: Summary,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Simplifier {
    /// At most `points_max` points, at least two. A gap is longer than `gap`, a stop at least as
    /// long as `stop`.
    #[must_use]
    pub fn new(points_max: u32, gap: Duration, stop: Duration) -> Self {
        let points_max = (points_max as usize).max(2);
        Self {
            points_max,
            room: (points_max * 4).max(2 * PORTION),
            points: Vec::new(),
            settled: 0,
            gaps: Gaps::new(gap, None),
            standing: None,
            stop_ms_min: millis(stop),
            tolerance_m: TOLERANCE_M_MIN,
            summary: Summary {
                fixes: 0,
                unpositioned: 0,
                tolerance_m: 0.0,
                gap_ms: millis(gap),
                stop_ms: millis(stop),
            },
        }
    }

    /// The next position of the track.
    pub fn push(&mut self, position: Position) {
        if !position.is_positioned {
            self.summary.unpositioned += 1;
            return;
        }
        self.summary.fixes += 1;
        let gap_ms = self.gaps.next(position.fixed_at);
        let is_slow = position.speed_dkmh < STANDING_DKMH;
        let goes_on = gap_ms.is_none() && is_slow;
        if !goes_on || self.standing.as_ref().is_some_and(|s| !s.holds(&position)) {
            self.end_stop();
        }
        let begins_stop = is_slow && self.standing.is_none();
        if begins_stop {
            self.standing = Some(Standing {
                since: position.fixed_at,
                until: position.fixed_at,
                latitude: position.latitude,
                longitude: position.longitude,
            });
        } else if let Some(standing) = &mut self.standing {
            standing.until = position.fixed_at;
        }
        self.points.push(Point {
            position,
            gap_ms,
            stop_ms: None,
            stop_end_ms: None,
            is_open_stop: begins_stop,
        });
        if self.points.len() >= self.settled + PORTION {
            self.settle();
        }
    }

    /// The points that stay, and what they stand for.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Point>, Summary) {
        self.end_stop();
        self.settle();
        // Coarse steps until few enough are left to look for the best one.
        while self.points.len() > (4 * self.points_max).max(STRETCH) {
            self.loosen();
        }
        if self.points.len() > self.points_max {
            self.give_up_marks();
            self.fit();
        }
        for point in &mut self.points {
            point.gap_ms = point.gap_ms.filter(|gap| *gap > self.summary.gap_ms);
            point.stop_ms = point.stop_ms.filter(|stop| *stop >= self.summary.stop_ms);
        }
        (self.points, self.summary)
    }

    /// Marks both ends of a stop, if it was long enough to be one.
    fn end_stop(&mut self) {
        let Some(Standing { since, until, .. }) = self.standing.take() else {
            return;
        };
        let stop_ms = Some(until.millis_since(since)).filter(|ms| *ms >= self.stop_ms_min);
        // Both are still here: the one is kept because it is marked, the other is the newest.
        if let Some(first) = self.points.iter_mut().rev().find(|p| p.is_open_stop) {
            first.is_open_stop = false;
            first.stop_ms = stop_ms;
        }
        if let Some(last) = self.points.last_mut() {
            last.stop_end_ms = stop_ms;
        }
    }

    /// Simplifies what came since the last time.
    fn settle(&mut self) {
        let start = self.settled.saturating_sub(1);
        let fresh = self.points.split_off(start.min(self.points.len()));
        let kept = self.kept(&fresh, self.tolerance_m);
        if kept.len() < fresh.len() {
            self.summary.tolerance_m = self.summary.tolerance_m.max(self.tolerance_m);
        }
        self.points.extend(only(fresh, &kept));
        while self.points.len() > self.room {
            self.loosen();
        }
        self.settled = self.points.len();
    }

    /// Doubles the tolerance, or gives up marks where these are what fills the room.
    fn loosen(&mut self) {
        if !self.give_up_marks() {
            self.tolerance_m *= 2.0;
        }
        self.apply(self.tolerance_m);
    }

    fn apply(&mut self, tolerance_m: f64) {
        let points = std::mem::take(&mut self.points);
        let kept = self.kept(&points, tolerance_m);
        if kept.len() < points.len() {
            self.summary.tolerance_m += tolerance_m;
        }
        self.points = only(points, &kept);
    }

    /// The least tolerance that is enough. There is one: see [`Self::give_up_marks`].
    fn fit(&mut self) {
        let mut low = 0.0;
        let mut high = self.tolerance_m;
        while high < 1e9 && self.kept(&self.points, high).len() > self.points_max {
            low = high;
            high *= 2.0;
        }
        for _ in 0..SEARCH_STEPS {
            let middle = f64::midpoint(low, high);
            if self.kept(&self.points, middle).len() > self.points_max {
                low = middle;
            } else {
                high = middle;
            }
        }
        self.apply(high);
    }

    /// Gives up the shorter stops, then the shorter gaps, until the points that have to be kept for
    /// them are three quarters of what is wanted at most; whether that was necessary.
    fn give_up_marks(&mut self) -> bool {
        let most = (self.points_max / 4 * 3).max(2);
        let mut gave_up = false;
        loop {
            let marks = self.marks(&self.points);
            if marks.iter().filter(|mark| **mark).count() <= most {
                return gave_up;
            }
            gave_up = true;
            let shown = |ms: Option<i64>| ms.is_some_and(|ms| ms >= self.summary.stop_ms);
            let has_stops = (self.points.iter()).any(|p| shown(p.stop_ms) || shown(p.stop_end_ms));
            let threshold = if has_stops && self.summary.stop_ms < i64::MAX {
                &mut self.summary.stop_ms
            } else if self.summary.gap_ms < i64::MAX {
                &mut self.summary.gap_ms
            } else {
                return gave_up;
            };
            *threshold = threshold.saturating_mul(2).max(1_000);
        }
    }

    fn begins_section(&self, point: &Point) -> bool {
        point.gap_ms.is_some_and(|gap| gap > self.summary.gap_ms)
    }

    /// Which points have to be kept: ends of sections and of stops.
    fn marks(&self, points: &[Point]) -> Vec<bool> {
        let shown = |ms: Option<i64>| ms.is_some_and(|ms| ms >= self.summary.stop_ms);
        let next = points.iter().skip(1).map(Some).chain([None]);
        let mut is_first = true;
        points
            .iter()
            .zip(next)
            .map(|(point, next)| {
                std::mem::take(&mut is_first)
                    || next.is_none_or(|next| self.begins_section(next))
                    || self.begins_section(point)
                    || shown(point.stop_ms)
                    || shown(point.stop_end_ms)
                    || point.is_open_stop
            })
            .collect()
    }

    /// Indices of the points that stay with this tolerance.
    fn kept(&self, points: &[Point], tolerance_m: f64) -> Vec<usize> {
        let marks = self.marks(points);
        let mut kept = Vec::new();
        let mut start = 0;
        for (index, (point, is_marked)) in points.iter().zip(marks).enumerate() {
            if index == 0 {
                kept.push(0);
            } else if self.begins_section(point) {
                kept.push(index);
                start = index;
            } else if is_marked || index - start == STRETCH {
                let stretch = points.get(start..=index).unwrap_or_default();
                // Its first point is there already.
                let inner = line(stretch).simplify_idx(tolerance_m);
                kept.extend(inner.iter().skip(1).map(|inner| start + inner));
                start = index;
            }
        }
        kept
    }
}

/// The points with these indices, which are in order.
fn only(points: Vec<Point>, kept: &[usize]) -> Vec<Point> {
    let mut kept = kept.iter().peekable();
    let is_kept = |(index, _): &(usize, Point)| kept.next_if_eq(&index).is_some();
    points
        .into_iter()
        .enumerate()
        .filter(is_kept)
        .map(|(_, point)| point)
        .collect()
}

fn line(points: &[Point]) -> LineString<f64> {
    let Some(Point {
        position: first, ..
    }) = points.first()
    else {
        return LineString::new(Vec::new());
    };
    let plane = Plane::through(first.latitude, first.longitude);
    points
        .iter()
        .map(|point| plane.coord(&point.position))
        .collect()
}

/// Metres east and north of a place: right to a thousandth within a city.
struct Plane {
    latitude: f64,
    longitude: f64,
    meters_per_degree_east: f64,
}

impl Plane {
    fn through(latitude: Latitude, longitude: Longitude) -> Self {
        let latitude = latitude.degrees();
        Self {
            latitude,
            longitude: longitude.degrees(),
            meters_per_degree_east: METERS_PER_DEGREE * latitude.to_radians().cos(),
        }
    }

    fn coord(&self, position: &Position) -> Coord<f64> {
        Coord {
            x: (position.longitude.degrees() - self.longitude) * self.meters_per_degree_east,
            y: (position.latitude.degrees() - self.latitude) * METERS_PER_DEGREE,
        }
    }
}
