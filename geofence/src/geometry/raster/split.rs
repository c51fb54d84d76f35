//! A cell that one line divides between two shapes: the commonest cell with a boundary.

use std::cmp::Ordering;

use crate::geometry::{
    Point,
    shape::{Edge, Probe},
};

/// A cell that the sides of a corner divide: one shape within the corner, another one or none beside
/// it. A straight side is a corner without a bend.
///
/// Both sides leave the cell, so whoever is left of both lines is within the corner. Half a cache
/// line, and no guess.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct Split {
    vertex: Point,
    /// The directions of the sides, the first one to the vertex and the second one from it. The
    /// corner is on their left hand and turns to the left.
    ways: [Point; 2],
    /// The shape within the corner, or [`NONE`]; the highest bit is set where a probe on the first
    /// side is within.
    within: u32,
    /// The shape beside it, likewise with the second side.
    beside: u32,
}

/// No shape.
pub(super) const NONE: u32 = u32::MAX >> 1;
const ON_COUNTS: u32 = 1 << 31;

impl Split {
    /// Of no shape.
    pub(super) const NOTHING: Self = Self {
        vertex: Point { x: 0, y: 0 },
        ways: [Point { x: 0, y: 0 }; 2],
        within: NONE,
        beside: NONE,
    };

    /// The shape that holds a probe of the cell, or [`NONE`].
    #[inline]
    pub(super) fn at(&self, probe: Probe) -> u32 {
        let (x, y) = (
            probe.x.wrapping_sub(i64::from(self.vertex.x) << 1),
            probe.y.wrapping_sub(i64::from(self.vertex.y) << 1),
        );
        // See `Edge::is_left`: nothing wraps.
        let is_left = |way: Point, flagged: u32| {
            let level = i64::from(way.x).wrapping_mul(y);
            level.wrapping_add(i64::from(flagged >> 31)) > i64::from(way.y).wrapping_mul(x)
        };
        let [first, second] = self.ways;
        let is_within = is_left(first, self.within) & is_left(second, self.beside);
        let id = if is_within { self.within } else { self.beside };
        id & !ON_COUNTS
    }

    /// What the edges of a cell make of it, when that is a corner: its probes lie between `low` and
    /// `high`, `center` is one of them, and in it is the first shape.
    pub(super) fn new(
        edges: &[Edge],
        (low, high): (Probe, Probe),
        center: Probe,
        ids: (u32, u32),
    ) -> Option<Self> {
        let (a, vertex, b) = match *edges {
            [edge] => {
                let is_through = is_past(edge.from, edge.to, low, high)
                    && is_past(edge.to, edge.from, low, high);
                if !is_through {
                    return None;
                }
                let way = way(edge.from, edge.to);
                return Some(Self::of(edge.to, way, way).with(center, ids));
            }
            [first, second] => {
                let ends = |edge: Edge| [(edge.from, edge.to), (edge.to, edge.from)];
                let pairs = ends(first)
                    .into_iter()
                    .flat_map(|a| ends(second).map(|b| (a, b)));
                let mut common = pairs.filter(|((_, v), (w, _))| v == w);
                let ((a, vertex), (_, b)) = common.next()?;
                if common.next().is_some() {
                    return None;
                }
                (a, vertex, b)
            }
            _ => return None,
        };
        if !is_past(vertex, a, low, high) || !is_past(vertex, b, low, high) {
            return None;
        }
        let (to, from) = (way(a, vertex), way(vertex, b));
        let product = |a: i32, b: i32| i64::from(a) * i64::from(b);
        let split = match product(to.x, from.y).cmp(&product(to.y, from.x)) {
            Ordering::Greater => Self::of(vertex, to, from),
            Ordering::Less => Self::of(vertex, way(b, vertex), way(vertex, a)),
            // Straight on; not back on itself.
            Ordering::Equal if product(to.x, from.x) + product(to.y, from.y) > 0 => {
                Self::of(vertex, to, from)
            }
            Ordering::Equal => return None,
        };
        Some(split.with(center, ids))
    }

    fn of(vertex: Point, first: Point, second: Point) -> Self {
        // On an edge counts as right of it when it runs upwards, so as left when it runs downwards.
        let flag = |way: Point| {
            if (way.y, way.x) < (0, 0) {
                ON_COUNTS
            } else {
                0
            }
        };
        Self {
            vertex,
            ways: [first, second],
            within: NONE | flag(first),
            beside: flag(second),
        }
    }

    fn with(self, center: Probe, (there, elsewhere): (u32, u32)) -> Self {
        let (within, beside) = if self.at(center) == NONE {
            (there, elsewhere)
        } else {
            (elsewhere, there)
        };
        Self {
            within: self.within & ON_COUNTS | within,
            beside: self.beside & ON_COUNTS | beside,
            ..self
        }
    }
}

/// The end of the way from `a` to `b` lies behind the cell: what is left of the line is not in it.
fn is_past(a: Point, b: Point, low: Probe, high: Probe) -> bool {
    let on_axis = |a: i32, b: i32, low: i64, high: i64| {
        let end = i64::from(b) << 1;
        (b > a && end > high) || (b < a && end < low)
    };
    on_axis(a.x, b.x, low.x, high.x) || on_axis(a.y, b.y, low.y, high.y)
}

fn way(from: Point, to: Point) -> Point {
    // Coordinates are within the plane's reach: differences fit.
    Point {
        x: to.x.wrapping_sub(from.x),
        y: to.y.wrapping_sub(from.y),
    }
}
