//! Whether rings make a polygon: exact tests on integer vertices, before anything is built on them.

use super::{Point, Shape};

/// What is wrong with a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RingFault {
    /// Fewer than three vertices that differ, or all on one line.
    #[error("it has no area")]
    NoArea,
    /// Two of its sides meet where they must not. Sides are counted from 0.
    #[error("it crosses or touches itself: side {0} and side {1}")]
    SelfCrossing(usize, usize),
    /// Two rings of a polygon cross.
    #[error("it crosses ring {0}")]
    CrossesRing(usize),
    /// A hole that lies outside the outline.
    #[error("the hole is not inside the outline")]
    HoleOutside,
}

type Side = (usize, Point, Point);

/// The fault of one ring without its closing vertex.
pub(crate) fn ring_faults(ring: &[Point]) -> Option<RingFault> {
    let distinct: std::collections::HashSet<&Point> = ring.iter().collect();
    if distinct.len() < 3 {
        return Some(RingFault::NoArea);
    }
    let sides = sides(ring);
    let last = sides.len().saturating_sub(1);
    let is_next = |a: usize, b: usize| b == a + 1 || (a == 0 && b == last);
    let crossing = first_meeting(&sides, &sides, |a, b| {
        if a.0 >= b.0 {
            return false;
        }
        // Neighbours share one vertex; they must not fold back over each other.
        if is_next(a.0, b.0) {
            folds_back(a, b)
        } else {
            meet(a.1, a.2, b.1, b.2)
        }
    });
    if let Some((a, b)) = crossing {
        return Some(RingFault::SelfCrossing(a, b));
    }
    let doubled_area: i128 = sides
        .iter()
        .map(|(_, a, b)| i128::from(a.x) * i128::from(b.y) - i128::from(b.x) * i128::from(a.y))
        .sum();
    (doubled_area == 0).then_some(RingFault::NoArea)
}

/// The faults between the rings of one polygon, the first of which is its outline, with the number
/// of the ring. The rings have no faults of their own.
pub(crate) fn rings_faults(rings: &[Vec<Point>]) -> Vec<(usize, RingFault)> {
    let mut faults = Vec::new();
    let sided: Vec<Vec<Side>> = rings.iter().map(|ring| sides(ring)).collect();
    let outline = rings
        .first()
        .and_then(|ring| Shape::polygon(std::slice::from_ref(ring)));
    for (number, hole) in sided.iter().enumerate().skip(1) {
        let crossed = sided.iter().take(number).position(|other| {
            first_meeting(hole, other, |a, b| cross_properly(a.1, a.2, b.1, b.2)).is_some()
        });
        if let Some(other) = crossed {
            faults.push((number, RingFault::CrossesRing(other)));
            continue;
        }
        let is_inside = |(_, a, _): &Side| outline.as_ref().is_some_and(|o| o.contains(*a));
        // A hole may touch the outline with some of its vertices.
        if !hole.iter().any(is_inside) {
            faults.push((number, RingFault::HoleOutside));
        }
    }
    faults
}

/// Whether the sides of two rings cross, more than touch.
pub(crate) fn outlines_cross(a: &[Point], b: &[Point]) -> bool {
    first_meeting(&sides(a), &sides(b), |a, b| {
        cross_properly(a.1, a.2, b.1, b.2)
    })
    .is_some()
}

fn sides(ring: &[Point]) -> Vec<Side> {
    ring.iter()
        .zip(ring.iter().cycle().skip(1))
        .enumerate()
        .map(|(index, (a, b))| (index, *a, *b))
        .collect()
}

/// The first pair that satisfies the test, among those whose extents from west to east overlap.
fn first_meeting(
    left: &[Side],
    right: &[Side],
    mut test: impl FnMut(&Side, &Side) -> bool,
) -> Option<(usize, usize)> {
    let west = |side: &Side| side.1.x.min(side.2.x);
    let east = |side: &Side| side.1.x.max(side.2.x);
    let mut by_west: Vec<&Side> = right.iter().collect();
    by_west.sort_by_key(|side| west(side));
    for a in left {
        let reach = east(a);
        for b in by_west.iter().take_while(|b| west(b) <= reach) {
            if east(b) >= west(a) && test(a, b) {
                return Some((a.0, b.0));
            }
        }
    }
    None
}

/// The sign of the turn from `a` over `b` to `c`: 1 left, -1 right, 0 straight.
fn turn(a: Point, b: Point, c: Point) -> i64 {
    let (ax, ay) = (i64::from(a.x), i64::from(a.y));
    let (ux, uy) = (i64::from(b.x) - ax, i64::from(b.y) - ay);
    let (vx, vy) = (i64::from(c.x) - ax, i64::from(c.y) - ay);
    (ux * vy - uy * vx).signum()
}

/// Each segment separates the ends of the other.
fn cross_properly(a: Point, b: Point, c: Point, d: Point) -> bool {
    turn(a, b, c) * turn(a, b, d) < 0 && turn(c, d, a) * turn(c, d, b) < 0
}

/// The segments have a point in common.
fn meet(a: Point, b: Point, c: Point, d: Point) -> bool {
    let is_on = |a: Point, b: Point, p: Point| {
        turn(a, b, p) == 0
            && (a.x.min(b.x)..=a.x.max(b.x)).contains(&p.x)
            && (a.y.min(b.y)..=a.y.max(b.y)).contains(&p.y)
    };
    cross_properly(a, b, c, d)
        || is_on(a, b, c)
        || is_on(a, b, d)
        || is_on(c, d, a)
        || is_on(c, d, b)
}

fn folds_back(a: &Side, b: &Side) -> bool {
    // Ordered so that the first ends where the second begins, whichever index is smaller.
    let (first, second) = if a.2 == b.1 { (a, b) } else { (b, a) };
    let (from, corner, to) = (first.1, first.2, second.2);
    let dot = (i64::from(from.x) - i64::from(corner.x)) * (i64::from(to.x) - i64::from(corner.x))
        + (i64::from(from.y) - i64::from(corner.y)) * (i64::from(to.y) - i64::from(corner.y));
    turn(from, corner, to) == 0 && dot > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(vertices: &[(i32, i32)]) -> Vec<Point> {
        vertices
            .iter()
            .map(|(x, y)| Point { x: *x, y: *y })
            .collect()
    }

    #[test]
    fn a_bow_tie_crosses_itself_and_a_square_does_not() {
        let square = ring(&[(0, 0), (10, 0), (10, 10), (0, 10)]);
        assert_eq!(ring_faults(&square), None);
        let bow_tie = ring(&[(0, 0), (10, 10), (10, 0), (0, 10)]);
        assert_eq!(ring_faults(&bow_tie), Some(RingFault::SelfCrossing(0, 2)));
        let spike = ring(&[(0, 0), (10, 0), (20, 0), (10, 0), (10, 10)]);
        assert!(matches!(
            ring_faults(&spike),
            Some(RingFault::SelfCrossing(..))
        ));
        let line = ring(&[(0, 0), (10, 0), (20, 0)]);
        assert!(ring_faults(&line).is_some());
        let triangle = ring(&[(0, 0), (10, 0), (0, 10)]);
        assert_eq!(ring_faults(&triangle), None);
    }

    #[test]
    fn a_hole_must_lie_in_the_outline() {
        let outline = ring(&[(0, 0), (100, 0), (100, 100), (0, 100)]);
        let inside = ring(&[(10, 10), (20, 10), (20, 20), (10, 20)]);
        let outside: Vec<Point> = inside
            .iter()
            .map(|p| Point {
                x: p.x + 200,
                y: p.y,
            })
            .collect();
        let across: Vec<Point> = inside
            .iter()
            .map(|p| Point {
                x: p.x + 85,
                y: p.y,
            })
            .collect();
        let faults = rings_faults(&[outline, inside, outside, across]);
        assert_eq!(
            faults,
            [(2, RingFault::HoleOutside), (3, RingFault::CrossesRing(0))]
        );
    }
}
