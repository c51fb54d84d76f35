//! A local metric plane, and the shapes of fences on it.
//!
//! This is written apart from the checks of the gateway on purpose: the simulated truth must not
//! inherit their mistakes.

use std::f64::consts::PI;

/// Metres east (`x`) and north (`y`) of the plane's origin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Metres east.
    pub x: f64,
    /// Metres north.
    pub y: f64,
}

impl Point {
    /// A point from metres east and north.
    #[must_use]
    pub const fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// Metres to another point.
    #[must_use]
    pub fn distance(self, other: Self) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }

    /// The point at `share` (0 to 1) of the way to `other`.
    #[must_use]
    pub fn towards(self, other: Self, share: f64) -> Self {
        Self::new(
            self.x + (other.x - self.x) * share,
            self.y + (other.y - self.y) * share,
        )
    }

    /// Degrees clockwise from north to `other`, 0 to 360.
    #[must_use]
    pub fn bearing_deg(self, other: Self) -> f64 {
        (other.x - self.x)
            .atan2(other.y - self.y)
            .to_degrees()
            .rem_euclid(360.0)
    }
}

/// An equirectangular plane about an origin in WGS-84: over a city its scale is wrong by less
/// than a thousandth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plane {
    origin_lat_deg: f64,
    origin_lon_deg: f64,
    meters_per_lat_degree: f64,
    meters_per_lon_degree: f64,
}

impl Plane {
    /// A plane about this origin, in degrees of WGS-84, north and east positive.
    #[must_use]
    pub fn new(origin_lat_deg: f64, origin_lon_deg: f64) -> Self {
        // The mean radius of the earth (IUGG).
        let meters_per_lat_degree = 6_371_008.8 * PI / 180.0;
        Self {
            origin_lat_deg,
            origin_lon_deg,
            meters_per_lat_degree,
            meters_per_lon_degree: meters_per_lat_degree * origin_lat_deg.to_radians().cos(),
        }
    }

    /// Metres on the plane, from degrees (latitude first).
    #[must_use]
    pub fn point(&self, lat_deg: f64, lon_deg: f64) -> Point {
        Point::new(
            (lon_deg - self.origin_lon_deg) * self.meters_per_lon_degree,
            (lat_deg - self.origin_lat_deg) * self.meters_per_lat_degree,
        )
    }

    /// Degrees `(latitude, longitude)` of a point of the plane.
    #[must_use]
    pub fn degrees(&self, point: Point) -> (f64, f64) {
        (
            self.origin_lat_deg + point.y / self.meters_per_lat_degree,
            self.origin_lon_deg + point.x / self.meters_per_lon_degree,
        )
    }

    /// Millionths of a degree `(latitude, longitude)` of a point of the plane, rounded.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float to integer cast saturates"
    )]
    pub fn micro_degrees(&self, point: Point) -> (i32, i32) {
        let (lat, lon) = self.degrees(point);
        ((lat * 1e6).round() as i32, (lon * 1e6).round() as i32)
    }
}

/// The area of a fence on the plane, in metres.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// The first ring is the outline, the others are holes; rings are not closed by a repeated
    /// vertex.
    Polygon(Vec<Vec<Point>>),
    /// All within `radius_m` of the centre.
    Circle {
        /// The centre.
        center: Point,
        /// Metres.
        radius_m: f64,
    },
    /// All within half of `width_m` of the line.
    Corridor {
        /// The line's vertices.
        line: Vec<Point>,
        /// The whole width in metres.
        width_m: f64,
    },
}

impl Shape {
    /// Metres to the boundary: positive inside, negative outside.
    #[must_use]
    pub fn signed_distance(&self, point: Point) -> f64 {
        match self {
            Self::Polygon(rings) => {
                let mut nearest = f64::INFINITY;
                let mut inside = false;
                for ring in rings {
                    for (a, b) in edges(ring) {
                        nearest = nearest.min(segment_distance(point, a, b));
                        if crosses_ray(point, a, b) {
                            inside = !inside;
                        }
                    }
                }
                if inside { nearest } else { -nearest }
            }
            Self::Circle { center, radius_m } => radius_m - point.distance(*center),
            Self::Corridor { line, width_m } => {
                let nearest = line
                    .windows(2)
                    .filter_map(|pair| match pair {
                        [a, b] => Some(segment_distance(point, *a, *b)),
                        _ => None,
                    })
                    .fold(f64::INFINITY, f64::min);
                width_m / 2.0 - nearest
            }
        }
    }

    /// The least signed distance, and the greatest, along a straight line: a bound, wrong by at
    /// most 2.5 m to the careful side.
    #[must_use]
    pub fn signed_distance_along(&self, from: Point, to: Point) -> (f64, f64) {
        let length = from.distance(to);
        // A step of 5 m: the distance changes by no more than the way to the nearest sample.
        let mut least = f64::INFINITY;
        let mut greatest = f64::NEG_INFINITY;
        let mut at = 0.0;
        loop {
            let share = if length > 0.0 {
                (at / length).min(1.0)
            } else {
                0.0
            };
            let distance = self.signed_distance(from.towards(to, share));
            least = least.min(distance);
            greatest = greatest.max(distance);
            if at >= length {
                break;
            }
            at += 5.0;
        }
        (least - 2.5, greatest + 2.5)
    }

    /// Centre of the circle that is sure to hold the shape, and its radius in metres.
    #[must_use]
    pub fn bounding_circle(&self) -> (Point, f64) {
        let (points, margin): (&[Point], f64) = match self {
            Self::Circle { center, radius_m } => return (*center, *radius_m),
            Self::Polygon(rings) => (rings.first().map_or(&[], Vec::as_slice), 0.0),
            Self::Corridor { line, width_m } => (line, width_m / 2.0),
        };
        let (mut low, mut high) = (
            Point::new(f64::INFINITY, f64::INFINITY),
            Point::new(f64::NEG_INFINITY, f64::NEG_INFINITY),
        );
        for p in points {
            low = Point::new(low.x.min(p.x), low.y.min(p.y));
            high = Point::new(high.x.max(p.x), high.y.max(p.y));
        }
        (low.towards(high, 0.5), low.distance(high) / 2.0 + margin)
    }
}

/// The edges of a ring, the closing one included.
fn edges(ring: &[Point]) -> impl Iterator<Item = (Point, Point)> + '_ {
    ring.iter()
        .copied()
        .zip(ring.iter().copied().cycle().skip(1))
}

/// Whether a ray from the point to the east crosses the edge.
fn crosses_ray(p: Point, a: Point, b: Point) -> bool {
    (a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x
}

/// Metres from a point to a segment.
fn segment_distance(p: Point, a: Point, b: Point) -> f64 {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let square = dx * dx + dy * dy;
    let share = if square > 0.0 {
        (((p.x - a.x) * dx + (p.y - a.y) * dy) / square).clamp(0.0, 1.0)
    } else {
        0.0
    };
    p.distance(a.towards(b, share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_and_metres_agree_both_ways() {
        let plane = Plane::new(37.87, 112.55);
        let (lat, lon) = plane.degrees(Point::new(1_000.0, -2_000.0));
        let back = plane.point(lat, lon);
        assert!((back.x - 1_000.0).abs() < 1e-6 && (back.y + 2_000.0).abs() < 1e-6);
        assert!((plane.point(37.88, 112.55).y - 1_111.95).abs() < 0.1);
    }

    #[test]
    fn a_hole_is_outside() {
        let square = |r: f64| {
            vec![
                Point::new(-r, -r),
                Point::new(r, -r),
                Point::new(r, r),
                Point::new(-r, r),
            ]
        };
        let shape = Shape::Polygon(vec![square(100.0), square(20.0)]);
        assert!((shape.signed_distance(Point::new(0.0, 0.0)) + 20.0).abs() < 1e-9);
        assert!((shape.signed_distance(Point::new(50.0, 0.0)) - 30.0).abs() < 1e-9);
        assert!((shape.signed_distance(Point::new(130.0, 0.0)) + 30.0).abs() < 1e-9);
    }

    #[test]
    fn a_corridor_counts_half_its_width_to_each_side() {
        let line = vec![Point::new(0.0, 0.0), Point::new(100.0, 0.0)];
        let shape = Shape::Corridor {
            line,
            width_m: 40.0,
        };
        assert!((shape.signed_distance(Point::new(50.0, 15.0)) - 5.0).abs() < 1e-9);
        assert!((shape.signed_distance(Point::new(50.0, -30.0)) + 10.0).abs() < 1e-9);
    }
}
