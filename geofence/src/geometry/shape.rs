//! What a fence covers: exact sides, signed distances, and where a segment passes through.

use super::Point;

/// A point moved by half a millimetre north and east, in halves of a millimetre.
///
/// Its coordinates are odd, those of vertices even: a probe is never level with a vertex, and the
/// special cases of ray casting do not exist. Neighbours that share an edge disagree about no
/// point: exactly one of them holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) x: i64,
    pub(super) y: i64,
}

impl Probe {
    pub(super) fn at(point: Point) -> Self {
        Self {
            x: i64::from(point.x) * 2 + 1,
            y: i64::from(point.y) * 2 + 1,
        }
    }
}

/// One side of a polygon, upwards: `from` is not above `to`, and level sides run eastwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: Point,
    pub(super) to: Point,
}

impl Edge {
    pub(super) fn new(a: Point, b: Point) -> Self {
        if (a.y, a.x) <= (b.y, b.x) {
            Self { from: a, to: b }
        } else {
            Self { from: b, to: a }
        }
    }

    /// The probe lies left of the upward edge; on the edge counts as right.
    ///
    /// Coordinates are within [`super::Plane::REACH_MM`], so differences are below 2^30, in halves
    /// below 2^31, and their products below 2^62: nothing wraps, and nothing needs to be checked on
    /// the hottest path.
    pub(super) const fn is_left(&self, probe: Probe) -> bool {
        let (fx, fy) = (self.from.x as i64, self.from.y as i64);
        let (dx, dy) = (
            (self.to.x as i64).wrapping_sub(fx),
            (self.to.y as i64).wrapping_sub(fy),
        );
        let (px, py) = (probe.x.wrapping_sub(fx << 1), probe.y.wrapping_sub(fy << 1));
        dx.wrapping_mul(py) > dy.wrapping_mul(px)
    }

    /// The edge crosses the level line of this (odd) ordinate.
    pub(super) fn spans_y(&self, y: i64) -> bool {
        (i64::from(self.from.y) << 1 < y) != (i64::from(self.to.y) << 1 < y)
    }

    /// The edge crosses the upright line of this (odd) abscissa.
    pub(super) fn spans_x(&self, x: i64) -> bool {
        (i64::from(self.from.x) << 1 < x) != (i64::from(self.to.x) << 1 < x)
    }
}

/// A box with its sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The south-western corner.
    pub low: Point,
    /// The north-eastern corner.
    pub high: Point,
}

impl Bounds {
    /// The least box about these points; `None` without any.
    #[must_use]
    pub fn around(points: impl IntoIterator<Item = Point>) -> Option<Self> {
        points.into_iter().fold(None, |bounds: Option<Self>, p| {
            let b = bounds.unwrap_or(Self { low: p, high: p });
            Some(Self {
                low: Point {
                    x: b.low.x.min(p.x),
                    y: b.low.y.min(p.y),
                },
                high: Point {
                    x: b.high.x.max(p.x),
                    y: b.high.y.max(p.y),
                },
            })
        })
    }

    /// The middle of the box.
    #[must_use]
    pub const fn middle(self) -> Point {
        Point {
            x: self.low.x.midpoint(self.high.x),
            y: self.low.y.midpoint(self.high.y),
        }
    }

    fn grown(self, margin: i32) -> Self {
        Self {
            low: Point {
                x: self.low.x - margin,
                y: self.low.y - margin,
            },
            high: Point {
                x: self.high.x + margin,
                y: self.high.y + margin,
            },
        }
    }
}

/// An area on the plane. Made by the catalog from validated texts.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A polygon with holes: the sides of all its rings. A point is inside when a ray from it
    /// crosses an odd number of them.
    Polygon(Polygon),
    /// All within the radius of the centre.
    Circle {
        /// The centre.
        center: Point,
        /// Millimetres, positive.
        radius: i32,
    },
    /// All within half the width of a line.
    Corridor {
        /// The line, two vertices at least.
        line: Vec<Point>,
        /// Millimetres, positive.
        half_width: i32,
    },
}

/// The sides of a polygon.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    pub(super) edges: Vec<Edge>,
    bounds: Bounds,
}

impl Shape {
    /// A polygon of rings without the closing vertex; `None` without a vertex.
    #[must_use]
    pub fn polygon(rings: &[Vec<Point>]) -> Option<Self> {
        let bounds = Bounds::around(rings.iter().flatten().copied())?;
        let edges = rings
            .iter()
            .flat_map(|ring| ring.iter().zip(ring.iter().cycle().skip(1)))
            .map(|(a, b)| Edge::new(*a, *b))
            .collect();
        Some(Self::Polygon(Polygon { edges, bounds }))
    }

    /// The box about the shape. It may reach beyond [`super::Plane::REACH_MM`] by the radius.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        match self {
            Self::Polygon(polygon) => polygon.bounds,
            Self::Circle { center, radius } => Bounds {
                low: *center,
                high: *center,
            }
            .grown(*radius),
            Self::Corridor { line, half_width } => Bounds::around(line.iter().copied())
                .unwrap_or_else(|| Bounds {
                    low: Point::default(),
                    high: Point::default(),
                })
                .grown(*half_width),
        }
    }

    /// How many bytes of the memory it takes beside its own size.
    pub(crate) const fn heap_bytes(&self) -> usize {
        match self {
            Self::Polygon(polygon) => polygon.edges.len() * size_of::<Edge>(),
            Self::Circle { .. } => 0,
            Self::Corridor { line, .. } => line.len() * size_of::<Point>(),
        }
    }

    /// Whether the point is inside, exactly.
    #[must_use]
    pub fn contains(&self, point: Point) -> bool {
        match self {
            Self::Polygon(polygon) => {
                let probe = Probe::at(point);
                let crosses = |edge: &&Edge| edge.spans_y(probe.y) && edge.is_left(probe);
                polygon.edges.iter().filter(crosses).count() % 2 == 1
            }
            Self::Circle { center, radius } => is_within_circle(point, *center, *radius),
            Self::Corridor { line, half_width } => line.windows(2).any(
                |pair| matches!(pair, [a, b] if is_within_capsule(point, *a, *b, *half_width)),
            ),
        }
    }

    /// Millimetres to the boundary, positive inside, negative outside.
    #[must_use]
    pub fn signed_distance_mm(&self, point: Point) -> f64 {
        match self {
            Self::Polygon(polygon) => {
                let nearest = polygon
                    .edges
                    .iter()
                    .map(|edge| segment_distance_squared(point, edge.from, edge.to))
                    .fold(f64::INFINITY, f64::min)
                    .sqrt();
                if self.contains(point) {
                    nearest
                } else {
                    -nearest
                }
            }
            Self::Circle { center, radius } => f64::from(*radius) - point.distance_mm(*center),
            Self::Corridor { line, half_width } => {
                let nearest = line
                    .windows(2)
                    .map(|pair| match pair {
                        [a, b] => segment_distance_squared(point, *a, *b),
                        _ => f64::INFINITY,
                    })
                    .fold(f64::INFINITY, f64::min)
                    .sqrt();
                f64::from(*half_width) - nearest
            }
        }
    }

    /// The parts of the way from `a` to `b` that lie inside, as shares of it (0 to 1) in order.
    #[must_use]
    pub fn passages(&self, a: Point, b: Point) -> Vec<(f64, f64)> {
        let mut parts = match self {
            Self::Polygon(polygon) => {
                let mut cuts: Vec<f64> = polygon
                    .edges
                    .iter()
                    .filter_map(|edge| cut(a, b, edge))
                    .collect();
                if self.contains(a) {
                    cuts.push(0.0);
                }
                if self.contains(b) {
                    cuts.push(1.0);
                }
                cuts.sort_by(f64::total_cmp);
                cuts.chunks_exact(2)
                    .filter_map(|pair| Some((*pair.first()?, *pair.get(1)?)))
                    .collect()
            }
            Self::Circle { center, radius } => {
                circle_passage(a, b, *center, *radius).into_iter().collect()
            }
            Self::Corridor { line, half_width } => line
                .windows(2)
                .filter_map(|pair| match pair {
                    [c, d] => capsule_passage(a, b, *c, *d, *half_width),
                    _ => None,
                })
                .collect::<Vec<_>>(),
        };
        parts.sort_by(|x, y| x.0.total_cmp(&y.0));
        let mut joined: Vec<(f64, f64)> = Vec::with_capacity(parts.len());
        for (from, to) in parts {
            match joined.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        joined
    }
}

pub(super) fn is_within_circle(point: Point, center: Point, radius: i32) -> bool {
    let (dx, dy) = (
        i64::from(point.x) - i64::from(center.x),
        i64::from(point.y) - i64::from(center.y),
    );
    let radius = i64::from(radius);
    // The sum of two squares below 2^63 each half is taken as i128: never too large.
    i128::from(dx) * i128::from(dx) + i128::from(dy) * i128::from(dy)
        <= i128::from(radius) * i128::from(radius)
}

/// Whether the point is within `half_width` of the segment, exactly.
pub(super) fn is_within_capsule(point: Point, a: Point, b: Point, half_width: i32) -> bool {
    let (ux, uy) = (
        i64::from(b.x) - i64::from(a.x),
        i64::from(b.y) - i64::from(a.y),
    );
    let (px, py) = (
        i64::from(point.x) - i64::from(a.x),
        i64::from(point.y) - i64::from(a.y),
    );
    let along = ux * px + uy * py;
    let square = ux * ux + uy * uy;
    if along <= 0 || square == 0 {
        return is_within_circle(point, a, half_width);
    }
    if along >= square {
        return is_within_circle(point, b, half_width);
    }
    let across = i128::from(ux * py - uy * px);
    across * across <= i128::from(half_width) * i128::from(half_width) * i128::from(square)
}

/// Square millimetres from a point to a segment.
pub(crate) fn segment_distance_squared(point: Point, a: Point, b: Point) -> f64 {
    let (ax, ay) = (f64::from(a.x), f64::from(a.y));
    let (ux, uy) = (f64::from(b.x) - ax, f64::from(b.y) - ay);
    let (px, py) = (f64::from(point.x) - ax, f64::from(point.y) - ay);
    let square = ux * ux + uy * uy;
    let share = if square > 0.0 {
        ((px * ux + py * uy) / square).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let (dx, dy) = (px - share * ux, py - share * uy);
    dx * dx + dy * dy
}

/// Where the way from `a` to `b` crosses an edge. The question whether it does is exact.
fn cut(a: Point, b: Point, edge: &Edge) -> Option<f64> {
    let (pa, pb) = (Probe::at(a), Probe::at(b));
    if edge.is_left(pa) == edge.is_left(pb) {
        return None;
    }
    // The edge's ends must lie on different sides of the way.
    let side = |vertex: Point| {
        let (x, y) = (i128::from(vertex.x) * 2, i128::from(vertex.y) * 2);
        i128::from(pb.x - pa.x) * (y - i128::from(pa.y))
            - i128::from(pb.y - pa.y) * (x - i128::from(pa.x))
    };
    let (from, to) = (side(edge.from), side(edge.to));
    if (from > 0) == (to > 0) {
        return None;
    }
    let distance = |p: Probe| {
        let (fx, fy) = (i64::from(edge.from.x), i64::from(edge.from.y));
        let (dx, dy) = (i64::from(edge.to.x) - fx, i64::from(edge.to.y) - fy);
        dx * (p.y - 2 * fy) - dy * (p.x - 2 * fx)
    };
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
    let (at_a, at_b) = (distance(pa) as f64, distance(pb) as f64);
    Some((at_a / (at_a - at_b)).clamp(0.0, 1.0))
}

fn circle_passage(a: Point, b: Point, center: Point, radius: i32) -> Option<(f64, f64)> {
    let (ux, uy) = (
        f64::from(b.x) - f64::from(a.x),
        f64::from(b.y) - f64::from(a.y),
    );
    let (px, py) = (
        f64::from(a.x) - f64::from(center.x),
        f64::from(a.y) - f64::from(center.y),
    );
    let (square, radius) = (ux * ux + uy * uy, f64::from(radius));
    let distance = px * px + py * py - radius * radius;
    if square <= 0.0 {
        return (distance <= 0.0).then_some((0.0, 1.0));
    }
    let along = (px * ux + py * uy) / square;
    let root = along * along - distance / square;
    if root < 0.0 {
        return None;
    }
    clipped(-along - root.sqrt(), -along + root.sqrt())
}

fn capsule_passage(a: Point, b: Point, c: Point, d: Point, half_width: i32) -> Option<(f64, f64)> {
    let ends = [
        circle_passage(a, b, c, half_width),
        circle_passage(a, b, d, half_width),
    ];
    // A capsule is convex: what lies inside is one piece, the hull of its parts' pieces.
    ends.into_iter()
        .chain([box_passage(a, b, c, d, half_width)])
        .flatten()
        .reduce(|x, y| (x.0.min(y.0), x.1.max(y.1)))
}

/// The way through the rectangle about a segment, without the round ends.
fn box_passage(a: Point, b: Point, c: Point, d: Point, half_width: i32) -> Option<(f64, f64)> {
    let (ux, uy) = (
        f64::from(d.x) - f64::from(c.x),
        f64::from(d.y) - f64::from(c.y),
    );
    let length = (ux * ux + uy * uy).sqrt();
    if length <= 0.0 {
        return None;
    }
    let local = |p: Point| {
        let (px, py) = (
            f64::from(p.x) - f64::from(c.x),
            f64::from(p.y) - f64::from(c.y),
        );
        ((px * ux + py * uy) / length, (ux * py - uy * px) / length)
    };
    let (from, to) = (local(a), local(b));
    let along = slab(from.0, to.0, 0.0, length)?;
    let across = slab(from.1, to.1, -f64::from(half_width), f64::from(half_width))?;
    clipped(along.0.max(across.0), along.1.min(across.1))
}

/// The share of the way from `from` to `to` that lies between two values.
fn slab(from: f64, to: f64, low: f64, high: f64) -> Option<(f64, f64)> {
    let span = to - from;
    if span.abs() < f64::EPSILON {
        return (low..=high).contains(&from).then_some((0.0, 1.0));
    }
    let (x, y) = ((low - from) / span, (high - from) / span);
    clipped(x.min(y), x.max(y))
}

fn clipped(from: f64, to: f64) -> Option<(f64, f64)> {
    let (from, to) = (from.max(0.0), to.min(1.0));
    (from < to).then_some((from, to))
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "shapes of tests are small")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn p(x: i32, y: i32) -> Point {
        Point { x, y }
    }

    fn square(center: Point, half: i32) -> Vec<Point> {
        vec![
            p(center.x - half, center.y - half),
            p(center.x + half, center.y - half),
            p(center.x + half, center.y + half),
            p(center.x - half, center.y + half),
        ]
    }

    fn ring_with_hole() -> Shape {
        Shape::polygon(&[square(p(0, 0), 100_000), square(p(0, 0), 20_000)]).unwrap()
    }

    #[test]
    fn a_hole_is_outside_and_its_rim_is_a_boundary() {
        let shape = ring_with_hole();
        assert!((shape.signed_distance_mm(p(0, 0)) + 20_000.0).abs() < 1e-6);
        assert!((shape.signed_distance_mm(p(50_000, 0)) - 30_000.0).abs() < 1e-6);
        assert!((shape.signed_distance_mm(p(130_000, 0)) + 30_000.0).abs() < 1e-6);
    }

    #[test]
    fn two_neighbours_never_both_hold_a_point_of_their_common_edge() {
        let (a, b) = (p(-7, -500), p(9, 500));
        let west = Shape::polygon(&[vec![p(-1_000, -500), a, b, p(-1_000, 500)]]).unwrap();
        let east = Shape::polygon(&[vec![a, p(1_000, -500), p(1_000, 500), b]]).unwrap();
        for y in -500..500 {
            for x in -12..12 {
                assert_ne!(west.contains(p(x, y)), east.contains(p(x, y)), "{x} {y}");
            }
        }
    }

    #[test]
    fn a_segment_passes_through_a_ring_in_two_pieces() {
        let pieces = ring_with_hole().passages(p(-200_000, 0), p(200_000, 0));
        let expected = [(0.25, 0.45), (0.55, 0.75)];
        assert_eq!(pieces.len(), 2);
        for (piece, expected) in pieces.iter().zip(expected) {
            assert!((piece.0 - expected.0).abs() < 1e-5 && (piece.1 - expected.1).abs() < 1e-5);
        }
    }

    fn shapes() -> impl Strategy<Value = Shape> {
        let coordinate = -300_000..300_000_i32;
        let point = (coordinate.clone(), coordinate).prop_map(|(x, y)| p(x, y));
        prop_oneof![
            proptest::collection::vec(20_000..200_000_i32, 3..30).prop_map(|radii| {
                let count = f64::from(u32::try_from(radii.len()).unwrap());
                let ring = radii.iter().zip(0_u32..).map(|(radius, index)| {
                    let angle = std::f64::consts::TAU * f64::from(index) / count;
                    let at = |v: f64| (v * f64::from(*radius)).round() as i32;
                    p(at(angle.cos()), at(angle.sin()))
                });
                Shape::polygon(&[ring.collect(), square(p(0, 0), 3_000)]).unwrap()
            }),
            (point.clone(), 10_000..200_000_i32)
                .prop_map(|(center, radius)| Shape::Circle { center, radius }),
            (proptest::collection::vec(point, 2..12), 5_000..60_000_i32)
                .prop_map(|(line, half_width)| Shape::Corridor { line, half_width }),
        ]
    }

    proptest! {
        #[test]
        fn distance_and_side_agree(
            shape in shapes(),
            x in -400_000..400_000_i32,
            y in -400_000..400_000_i32,
        ) {
            let distance = shape.signed_distance_mm(p(x, y));
            // Within a millimetre of the boundary rounding may decide.
            prop_assume!(distance.abs() > 1.0);
            prop_assert_eq!(shape.contains(p(x, y)), distance > 0.0);
        }

        #[test]
        fn passages_hold_exactly_the_points_that_are_inside(
            shape in shapes(),
            from in (-400_000..400_000_i32, -400_000..400_000_i32),
            to in (-400_000..400_000_i32, -400_000..400_000_i32),
        ) {
            let (a, b) = (p(from.0, from.1), p(to.0, to.1));
            let pieces = shape.passages(a, b);
            for step in 0..=50_u32 {
                let share = f64::from(step) / 50.0;
                let at = |a: i32, b: i32| (f64::from(a) + (f64::from(b) - f64::from(a)) * share).round() as i32;
                let point = p(at(a.x, b.x), at(a.y, b.y));
                if shape.signed_distance_mm(point).abs() < 5.0 {
                    continue;
                }
                let is_inside = pieces.iter().any(|(from, to)| (*from..=*to).contains(&share));
                prop_assert_eq!(is_inside, shape.contains(point), "share {} of {:?}", share, pieces);
            }
        }
    }
}
