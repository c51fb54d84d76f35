//! The line of a route, and where along it a vehicle is.
//!
//! A place on the line is told by its way from the beginning (`along`) and its distance from the
//! line (`offset`, positive on the left hand). A [`RouteCursor`] remembers the way of the fix before
//! and looks only at the legs that can have been reached since: where the route passes itself, it
//! keeps to the leg that the vehicle is on, which the nearest leg need not be.

use super::{Bounds, Point};

/// The straight way between two vertices.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Leg {
    from: (f64, f64),
    /// To the other end.
    way: (f64, f64),
    /// One divided by the square of the length.
    inverse_square: f64,
    /// Of its beginning.
    along: f64,
    length: f64,
}

/// The line of a route: one or more lines of straight legs, in the order they are driven in.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteLine {
    legs: Vec<Leg>,
    /// The box about every [`CHUNK_LEGS`] legs, as low and high corner.
    chunks: Vec<[f64; 4]>,
    /// From where to where each line reaches.
    parts: Vec<(f64, f64)>,
    bounds: Bounds,
    length: f64,
}

/// Legs that share a box. Eight: fewer boxes to look at than legs, and few legs behind each.
const CHUNK_LEGS: usize = 8;

/// The nearest place of a line, or of a part of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spot {
    /// The way from the beginning of the route, millimetres.
    pub along_mm: f64,
    /// Millimetres from the line.
    pub distance_mm: f64,
    /// The point lies on the left hand of whoever drives along the line.
    pub is_left: bool,
    leg: usize,
}

impl RouteLine {
    /// A line of lines with two vertices at least; `None` without a leg that has a length.
    #[must_use]
    pub fn new(lines: &[Vec<Point>]) -> Option<Self> {
        let bounds = Bounds::around(lines.iter().flatten().copied())?;
        let mut legs = Vec::new();
        let mut parts = Vec::with_capacity(lines.len());
        let mut length = 0.0;
        for line in lines {
            let begin = length;
            for pair in line.windows(2) {
                let [a, b] = pair else { continue };
                if let Some(leg) = Leg::between(*a, *b, length) {
                    length += leg.length;
                    legs.push(leg);
                }
            }
            parts.push((begin, length));
        }
        if legs.is_empty() {
            return None;
        }
        let chunks = legs.chunks(CHUNK_LEGS).map(box_about).collect();
        Some(Self {
            legs,
            chunks,
            parts,
            bounds,
            length,
        })
    }

    /// Millimetres from the beginning to the end, without the ways between lines.
    #[must_use]
    pub const fn length_mm(&self) -> f64 {
        self.length
    }

    /// From where to where each of the lines reaches, millimetres from the beginning.
    #[must_use]
    pub fn parts_mm(&self) -> &[(f64, f64)] {
        &self.parts
    }

    /// How many bytes of the memory it takes beside its own size.
    pub(crate) const fn heap_bytes(&self) -> usize {
        self.legs.len() * size_of::<Leg>()
            + self.chunks.len() * size_of::<[f64; 4]>()
            + self.parts.len() * size_of::<(f64, f64)>()
    }

    /// The box about the line.
    #[must_use]
    pub const fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The leg of a way from the beginning, counted from 0, and the share of the leg. Where two legs
    /// meet it is the one that begins there, or with `is_end` the one that ends there: they need
    /// not be at the same place.
    #[must_use]
    pub fn leg_at(&self, along_mm: f64, is_end: bool) -> (usize, f64) {
        let behind = self
            .legs
            .partition_point(|leg| leg.along < along_mm || (!is_end && leg.along <= along_mm));
        let index = behind.saturating_sub(1);
        let share = self
            .legs
            .get(index)
            .map_or(0.0, |leg| (along_mm - leg.along) / leg.length);
        (index, share.clamp(0.0, 1.0))
    }

    /// The first leg that ends at a way from the beginning or behind it, looked for from a hint.
    #[inline]
    fn first_behind(&self, along_mm: f64, hint: usize) -> usize {
        let ends_before = |leg: &Leg| leg.along + leg.length < along_mm;
        let mut first = hint.min(self.legs.len() - 1);
        while first > 0
            && self
                .legs
                .get(first - 1)
                .is_some_and(|leg| !ends_before(leg))
        {
            first -= 1;
        }
        while self.legs.get(first).is_some_and(ends_before) {
            first += 1;
        }
        first
    }

    /// The nearest place of the whole line; the first one of several.
    #[must_use]
    pub fn nearest(&self, point: Point) -> Spot {
        self.best(point, f64::INFINITY, |_| 0.0)
            .unwrap_or_else(|| self.beginning(point))
    }

    /// The way from the beginning to where a straight way goes over to the other side of the line; of
    /// several places the first along the line. A way that only begins or ends on it is no crossing.
    #[must_use]
    pub fn crossing_mm(&self, from: Point, to: Point) -> Option<f64> {
        let (a, b) = (
            (f64::from(from.x), f64::from(from.y)),
            (f64::from(to.x), f64::from(to.y)),
        );
        let about = [a.0.min(b.0), a.1.min(b.1), a.0.max(b.0), a.1.max(b.1)];
        let chunks = self.legs.chunks(CHUNK_LEGS).zip(&self.chunks);
        let near = chunks.filter(|(_, bounds)| meet(&about, bounds));
        near.flat_map(|(legs, _)| legs)
            .find_map(|leg| Some(leg.along + leg.length * leg.crossed_at(a, b)?))
    }

    /// The cheapest place within a distance. What a leg costs beside the square of the distance is
    /// for the caller to say; it is not negative.
    fn best(
        &self,
        point: Point,
        within_mm: f64,
        mut cost: impl FnMut(&Leg) -> f64,
    ) -> Option<Spot> {
        let at = (f64::from(point.x), f64::from(point.y));
        let within = within_mm * within_mm;
        let mut best = f64::INFINITY;
        let mut found = None;
        for (chunk, (legs, bounds)) in self.legs.chunks(CHUNK_LEGS).zip(&self.chunks).enumerate() {
            if square_to_box(at, bounds) > best.min(within) {
                continue;
            }
            for (place, leg) in legs.iter().enumerate() {
                let (share, square) = leg.nearest(at);
                if square > within || square >= best {
                    continue;
                }
                let with_cost = square + cost(leg);
                if with_cost < best {
                    best = with_cost;
                    found = Some((chunk * CHUNK_LEGS + place, share, square));
                }
            }
        }
        let (leg, share, square) = found?;
        self.spot(leg, share, square, at)
    }

    #[inline]
    fn spot(&self, index: usize, share: f64, square: f64, at: (f64, f64)) -> Option<Spot> {
        let leg = self.legs.get(index)?;
        Some(Spot {
            along_mm: leg.along + share * leg.length,
            distance_mm: square.sqrt(),
            is_left: leg.way.0 * (at.1 - leg.from.1) > leg.way.1 * (at.0 - leg.from.0),
            leg: index,
        })
    }

    fn beginning(&self, point: Point) -> Spot {
        let at = (f64::from(point.x), f64::from(point.y));
        let (share, square) = self.legs.first().map_or((0.0, 0.0), |leg| leg.nearest(at));
        self.spot(0, share, square, at).unwrap_or(Spot {
            along_mm: 0.0,
            distance_mm: 0.0,
            is_left: false,
            leg: 0,
        })
    }
}

impl Leg {
    /// `None` where both ends are the same.
    fn between(a: Point, b: Point, along: f64) -> Option<Self> {
        let from = (f64::from(a.x), f64::from(a.y));
        let way = (f64::from(b.x) - from.0, f64::from(b.y) - from.1);
        let square = way.0 * way.0 + way.1 * way.1;
        (square > 0.0).then(|| Self {
            from,
            way,
            inverse_square: 1.0 / square,
            along,
            length: square.sqrt(),
        })
    }

    /// The share of the leg that is nearest to a point, and the square of the distance.
    #[inline]
    fn nearest(&self, at: (f64, f64)) -> (f64, f64) {
        let (px, py) = (at.0 - self.from.0, at.1 - self.from.1);
        let share = (px * self.way.0 + py * self.way.1) * self.inverse_square;
        // Not `clamp`, which minds NaN: there is none, and these are one instruction each.
        let share = if share > 0.0 { share } else { 0.0 };
        let share = if share < 1.0 { share } else { 1.0 };
        let (dx, dy) = (px - share * self.way.0, py - share * self.way.1);
        (share, dx * dx + dy * dy)
    }

    /// The share of the leg at which a way crosses it.
    fn crossed_at(&self, a: (f64, f64), b: (f64, f64)) -> Option<f64> {
        let cross = |u: (f64, f64), v: (f64, f64)| u.0 * v.1 - u.1 * v.0;
        let way = (b.0 - a.0, b.1 - a.1);
        let to = |at: (f64, f64)| (at.0 - self.from.0, at.1 - self.from.1);
        let (before, behind) = (cross(self.way, to(a)), cross(self.way, to(b)));
        // On both sides of the leg, and the leg on both sides of the way.
        let slant = cross(self.way, way);
        if before * behind >= 0.0 || slant == 0.0 {
            return None;
        }
        let share = cross(to(a), way) / slant;
        (0.0..=1.0).contains(&share).then_some(share)
    }

    /// The heading differs by more than 60 degrees from a direction of length 1.
    #[inline]
    fn differs_from(&self, direction: Option<(f64, f64)>) -> bool {
        direction.is_some_and(|(east, north)| {
            self.way.0 * east + self.way.1 * north < HEADING_COSINE * self.length
        })
    }
}

fn box_about(legs: &[Leg]) -> [f64; 4] {
    let ends = legs.iter().flat_map(|leg| {
        let to = (leg.from.0 + leg.way.0, leg.from.1 + leg.way.1);
        [leg.from, to]
    });
    let empty = [
        f64::INFINITY,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NEG_INFINITY,
    ];
    ends.fold(empty, |[west, south, east, north], (x, y)| {
        [west.min(x), south.min(y), east.max(x), north.max(y)]
    })
}

fn meet(a: &[f64; 4], b: &[f64; 4]) -> bool {
    a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3]
}

fn square_to_box(at: (f64, f64), [west, south, east, north]: &[f64; 4]) -> f64 {
    let dx = (west - at.0).max(at.0 - east).max(0.0);
    let dy = (south - at.1).max(at.1 - north).max(0.0);
    dx * dx + dy * dy
}

/// One fix for a cursor.
#[derive(Clone, Copy, Debug)]
pub struct RouteFix {
    /// Where.
    pub point: Point,
    /// The deviation to reckon with, millimetres.
    pub sigma_mm: f64,
    /// Within this distance of the line it is on the route, millimetres.
    pub width_mm: f64,
    /// So much farther it must be to have left it, millimetres.
    pub hysteresis_mm: f64,
    /// How far the vehicle can have come since the fix that the cursor stands at, millimetres.
    pub reach_mm: f64,
    /// The direction of motion, east and north, of length 1; `None` while it hardly moves.
    pub direction: Option<(f64, f64)>,
}

/// Where a fix is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Whereabouts {
    /// At this place of the route.
    On(Spot),
    /// Within the width of the route, but of more than one part of it.
    Unclear(Spot),
    /// Farther from it than its width, by this nearest place.
    Off(Spot),
}

/// Where along a route a vehicle is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RouteCursor {
    /// Millimetres from the beginning, at the newest fix that was on the route.
    pub along_mm: Option<i64>,
    /// The newest fix was on the route.
    pub is_on: bool,
    /// Fixes of more than one possible place: the newest one and how many of them agree.
    pub guess: Option<(i64, u8)>,
    /// The first leg that was within reach, or the one of `along_mm`: where to begin to look. What is
    /// found does not depend on it.
    hint: usize,
}

/// So far back a fix may seem to be, by noise.
const BACK_MM: f64 = 50_000.0;
/// So many fixes that agree choose between parts of the route that pass each other.
const AGREEING: u8 = 3;
/// Legs that are farther apart than this along the route are different parts of it.
const APART_MM: f64 = 200_000.0;
/// Ways back cost as much as a distance of one deviation for each of these.
const BACK_SCALE_MM: f64 = 20_000.0;
/// What a wrong heading costs, in squares of a deviation.
const HEADING_COST: f64 = 4.0;
/// The cosine of 60 degrees: beyond, headings differ.
const HEADING_COSINE: f64 = 0.5;

impl RouteCursor {
    /// Finds a fix on the route, and remembers where.
    ///
    /// Of the legs within reach the cheapest one is taken: the square of the distance in
    /// deviations, of the way back in 20 m, and 4 for a heading that differs by more than 60
    /// degrees. Where none of them is near enough the whole route is searched; if parts of it that
    /// are far from each other along the route are both near, three fixes must agree.
    pub fn follow(&mut self, line: &RouteLine, fix: &RouteFix) -> Whereabouts {
        let limit_mm = if self.is_on {
            fix.width_mm + fix.hysteresis_mm
        } else {
            fix.width_mm
        };
        let at = (f64::from(fix.point.x), f64::from(fix.point.y));
        if let Some(along_mm) = self.along_mm
            && let Some((spot, first)) = within_reach(line, fix, at, as_f64(along_mm), self.hint)
            && spot.distance_mm <= limit_mm
        {
            return self.stand(spot, first);
        }
        self.search(line, fix, limit_mm)
    }

    #[inline]
    fn stand(&mut self, spot: Spot, first: usize) -> Whereabouts {
        self.along_mm = Some(whole(spot.along_mm));
        self.is_on = true;
        self.guess = None;
        self.hint = first;
        Whereabouts::On(spot)
    }

    fn search(&mut self, line: &RouteLine, fix: &RouteFix, limit_mm: f64) -> Whereabouts {
        let Some(spot) = line.best(fix.point, limit_mm, |leg| heading_cost(leg, fix)) else {
            self.is_on = false;
            self.guess = None;
            return Whereabouts::Off(line.nearest(fix.point));
        };
        let at = (f64::from(fix.point.x), f64::from(fix.point.y));
        let is_alone = line.legs.iter().all(|leg| {
            let (share, square) = leg.nearest(at);
            let is_near = square <= limit_mm * limit_mm && !leg.differs_from(fix.direction);
            !is_near || (leg.along + share * leg.length - spot.along_mm).abs() <= APART_MM
        });
        if is_alone {
            return self.stand(spot, spot.leg);
        }
        let agreeing = match self.guess {
            Some((along_mm, count))
                if (spot.along_mm - as_f64(along_mm)).abs() <= BACK_MM + fix.reach_mm =>
            {
                count + 1
            }
            _ => 1,
        };
        if agreeing >= AGREEING {
            return self.stand(spot, spot.leg);
        }
        self.guess = Some((whole(spot.along_mm), agreeing));
        self.is_on = false;
        Whereabouts::Unclear(spot)
    }
}

/// The cheapest place among the legs that can have been reached, and the first of them. Costs are in
/// square millimetres: so there is nothing to divide.
#[inline]
fn within_reach(
    line: &RouteLine,
    fix: &RouteFix,
    at: (f64, f64),
    along_mm: f64,
    hint: usize,
) -> Option<(Spot, usize)> {
    let (low, high) = (along_mm - BACK_MM, along_mm + fix.reach_mm + BACK_MM);
    let first = line.first_behind(low, hint);
    let back_scale = fix.sigma_mm * (1.0 / BACK_SCALE_MM);
    let mut best = f64::INFINITY;
    let mut found = None;
    for (index, leg) in (first..).zip(line.legs.get(first..)?) {
        if leg.along > high {
            break;
        }
        let (share, square) = leg.nearest(at);
        if square >= best {
            continue;
        }
        let back = along_mm - (leg.along + share * leg.length);
        let back = if back > 0.0 { back * back_scale } else { 0.0 };
        let cost = square + back * back + heading_cost(leg, fix);
        if cost < best {
            best = cost;
            found = Some((index, share, square));
        }
    }
    let (index, share, square) = found?;
    Some((line.spot(index, share, square, at)?, first))
}

/// In square millimetres.
#[inline]
fn heading_cost(leg: &Leg, fix: &RouteFix) -> f64 {
    if leg.differs_from(fix.direction) {
        HEADING_COST * fix.sigma_mm * fix.sigma_mm
    } else {
        0.0
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a way along a route: at most some thousand kilometres"
)]
fn whole(mm: f64) -> i64 {
    // Not `round`, which is a call of a hundred instructions: ways are not negative.
    (mm + 0.5) as i64
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 millimetres")]
const fn as_f64(mm: i64) -> f64 {
    mm as f64
}

#[cfg(test)]
mod tests;
