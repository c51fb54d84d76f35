//! Which shapes hold a point: a coverage raster with the boundary inline.
//!
//! Square cells of a power of two millimetres. A cell that one shape covers whole names it in its
//! head; other cells point at a record:
//!
//! ```text
//! word 0         number of shapes that cover the cell whole (low 16 bits), and partly (high 16)
//! then           the ids of the former
//! for each part  id; kind and length; the piece of the boundary that crosses the cell
//! ```
//!
//! For a polygon the piece is its edges that cross the cell, and whether the cell's centre is
//! inside. The way from a point to the centre by a corner, upright and then level, stays in the
//! cell, so the edges of the cell are all that it can cross.

mod build;

use self::build::{Cover, Frame};
use super::{
    Point, Shape,
    shape::{Edge, Probe, is_within_capsule, is_within_circle},
};

/// An immutable index of shapes. Shapes are known by their place in the list it was built from.
#[derive(Clone, Debug)]
pub struct Raster {
    origin: Point,
    /// Cells are `2^shift` millimetres wide.
    shift: u32,
    columns: u32,
    rows: u32,
    /// For each cell 0 for nothing, [`WHOLE`] with an id, or where its record begins.
    heads: Vec<u32>,
    words: Vec<u32>,
}

/// Marks a head that names the only shape, which covers the whole cell.
const WHOLE: u32 = 1 << 31;

/// Points that are looked up together.
const BATCH: usize = 64;

const POLYGON: u32 = 0;
const CIRCLE: u32 = 1;
const CORRIDOR: u32 = 2;
/// Words of an edge or segment.
const EDGE_WORDS: usize = 4;

impl Raster {
    /// Cells of 16.4 m: unit grids.
    pub const FINE: u32 = 14;
    /// Cells of 32.8 m: fences.
    pub const COARSE: u32 = 15;

    /// Builds the index of these shapes with cells of `2^shift` mm, or larger ones where the
    /// shapes lie too far apart for so many cells.
    #[must_use]
    pub fn build<'a>(shapes: impl Iterator<Item = &'a Shape> + Clone, shift: u32) -> Self {
        let mut frame = Frame::about(shapes.clone(), shift);
        while frame.is_too_large(shapes.clone()) && frame.shift < 30 {
            frame = Frame::about(shapes.clone(), frame.shift + 1);
        }
        let mut covers: Vec<Cover> = Vec::new();
        for (id, shape) in (0_u32..).zip(shapes) {
            frame.cover(id, shape, &mut covers);
        }
        covers.sort_unstable_by_key(|cover| (cover.cell, cover.shape));
        frame.pack(&covers)
    }

    /// Gives the id of every shape that holds the point, in no promised order.
    pub fn for_each(&self, point: Point, mut found: impl FnMut(u32)) {
        let head = self.head(point);
        if head == 0 {
            return;
        }
        if head & WHOLE != 0 {
            found(head & !WHOLE);
            return;
        }
        _ = self.search(head, point, |id| {
            found(id);
            false
        });
    }

    /// The id of a shape that holds the point, where no two do.
    #[must_use]
    pub fn first(&self, point: Point) -> Option<u32> {
        let head = self.head(point);
        if head == 0 {
            return None;
        }
        if head & WHOLE != 0 {
            return Some(head & !WHOLE);
        }
        self.search(head, point, |_| true)
    }

    /// Gives, for each point of a list by its place there, the id of a shape that holds it, where no
    /// two do; in no promised order. The same as [`Self::first`], in less time.
    pub fn first_of_each(&self, points: &[Point], mut found: impl FnMut(usize, u32)) {
        self.batches(points, |place, id| {
            found(place, id);
            true
        });
    }

    /// Gives, for each point of a list by its place there, the id of every shape that holds it; in no
    /// promised order. The same as [`Self::for_each`], in less time.
    pub fn for_each_of_each(&self, points: &[Point], mut found: impl FnMut(usize, u32)) {
        self.batches(points, |place, id| {
            found(place, id);
            false
        });
    }

    /// Points are taken [`BATCH`] at a time, in passes: what one point waits for from memory is on its
    /// way for all of them, and what is done for all of them is done without a guess.
    fn batches(&self, points: &[Point], mut found: impl FnMut(usize, u32) -> bool) {
        for (start, batch) in (0..).step_by(BATCH).zip(points.chunks(BATCH)) {
            let mut heads = [0; BATCH];
            for (head, point) in heads.iter_mut().zip(batch) {
                *head = self.head(*point);
            }
            let mut counts = [0; BATCH];
            for (count, head) in counts.iter_mut().zip(&heads) {
                // Word 0 is 0, so cells without a record have no counts.
                let at = if head & WHOLE == 0 { *head as usize } else { 0 };
                *count = self.words.get(at).copied().unwrap_or(0);
            }
            for ((place, point), (head, count)) in
                (start..).zip(batch).zip(heads.iter().zip(&counts))
            {
                if head & WHOLE != 0 {
                    _ = found(place, head & !WHOLE);
                } else if *count != 0 {
                    _ = self.search(*head, *point, |id| found(place, id));
                }
            }
        }
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        (self.heads.len() + self.words.len()) * size_of::<u32>()
    }

    fn head(&self, point: Point) -> u32 {
        let column = u32::try_from(i64::from(point.x) - i64::from(self.origin.x));
        let row = u32::try_from(i64::from(point.y) - i64::from(self.origin.y));
        let (Ok(column), Ok(row)) = (column, row) else {
            return 0;
        };
        let (column, row) = (column >> self.shift, row >> self.shift);
        if column >= self.columns || row >= self.rows {
            return 0;
        }
        self.heads
            .get(row as usize * self.columns as usize + column as usize)
            .copied()
            .unwrap_or(0)
    }

    /// Walks a record until `found` says that it is enough.
    fn search(&self, head: u32, point: Point, mut found: impl FnMut(u32) -> bool) -> Option<u32> {
        let record = self.words.get(head as usize..)?;
        let (counts, rest) = record.split_first()?;
        let (whole, mut rest) = rest.split_at_checked((counts & 0xFFFF) as usize)?;
        for id in whole {
            if found(*id) {
                return Some(*id);
            }
        }
        let probe = Probe::at(point);
        let mask = (1 << self.shift) - 1;
        let center = |value: i32, origin: i32| ((value - origin) & !mask) + origin + (mask >> 1);
        let center = Probe::at(Point {
            x: center(point.x, self.origin.x),
            y: center(point.y, self.origin.y),
        });
        for _ in 0..counts >> 16 {
            let [id, meta, after @ ..] = rest else {
                return None;
            };
            let (length, kind) = ((meta >> 3) as usize, (meta >> 1) & 3);
            let (boundary, after) = after.split_at_checked(length)?;
            rest = after;
            let is_inside = match kind {
                POLYGON => (meta & 1 == 1) ^ crosses(boundary, probe, center),
                CIRCLE => matches!(
                    *boundary,
                    [x, y, radius] if is_within_circle(point, at(x, y), radius.cast_signed())
                ),
                _ => boundary.split_first().is_some_and(|(half_width, segments)| {
                    segments.chunks_exact(EDGE_WORDS).any(|words| {
                        matches!(*words, [ax, ay, bx, by]
                            if is_within_capsule(point, at(ax, ay), at(bx, by), half_width.cast_signed()))
                    })
                }),
            };
            if is_inside && found(*id) {
                return Some(*id);
            }
        }
        None
    }
}

fn at(x: u32, y: u32) -> Point {
    Point {
        x: x.cast_signed(),
        y: y.cast_signed(),
    }
}

/// Whether the way from the point to the centre crosses an odd number of edges.
fn crosses(edges: &[u32], probe: Probe, center: Probe) -> bool {
    let corner = Probe {
        x: probe.x,
        y: center.y,
    };
    edges.chunks_exact(EDGE_WORDS).fold(false, |odd, words| {
        let [ax, ay, bx, by] = *words else { return odd };
        let edge = Edge {
            from: at(ax, ay),
            to: at(bx, by),
        };
        let is_corner_left = edge.is_left(corner);
        // No short cuts: a wrong guess costs more than all of it.
        odd ^ (edge.spans_x(probe.x) & (edge.is_left(probe) != is_corner_left))
            ^ (edge.spans_y(center.y) & (is_corner_left != edge.is_left(center)))
    })
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "shapes of tests are small")]
mod tests {
    use geo::{Contains, Intersects};
    use proptest::prelude::*;

    use super::*;

    fn p(x: i32, y: i32) -> Point {
        Point { x, y }
    }

    fn star(center: Point, radii: &[i32]) -> Vec<Point> {
        let count = f64::from(u32::try_from(radii.len()).unwrap());
        radii
            .iter()
            .zip(0_u32..)
            .map(|(radius, index)| {
                let angle = std::f64::consts::TAU * f64::from(index) / count;
                let at = |v: f64| (v * f64::from(*radius)).round() as i32;
                p(center.x + at(angle.cos()), center.y + at(angle.sin()))
            })
            .collect()
    }

    fn point() -> impl Strategy<Value = Point> {
        (-200_000..200_000_i32, -200_000..200_000_i32).prop_map(|(x, y)| p(x, y))
    }

    fn rings() -> impl Strategy<Value = Vec<Vec<Point>>> {
        (
            point(),
            proptest::collection::vec(20_000..150_000_i32, 3..40),
            3_000..9_000_i32,
        )
            .prop_map(|(center, radii, hole)| {
                vec![
                    star(center, &radii),
                    star(center, &[hole, hole, hole, hole]),
                ]
            })
    }

    fn as_geo(rings: &[Vec<Point>]) -> geo::Polygon<f64> {
        let line = |ring: &Vec<Point>| {
            ring.iter()
                .map(|p| (f64::from(p.x), f64::from(p.y)))
                .collect::<geo::LineString<f64>>()
        };
        geo::Polygon::new(line(&rings[0]), rings[1..].iter().map(line).collect())
    }

    /// A list gets the same answers as its points one by one.
    fn check_lists(raster: &Raster, points: &[Point]) {
        let mut ids = vec![Vec::new(); points.len()];
        raster.for_each_of_each(points, |place, id| ids[place].push(id));
        for (ids, point) in ids.iter_mut().zip(points) {
            ids.sort_unstable();
            assert_eq!(*ids, found(raster, *point), "{point:?}");
        }
        let mut first = vec![None; points.len()];
        raster.first_of_each(points, |place, id| {
            assert_eq!(first[place].replace(id), None)
        });
        for (first, point) in first.iter().zip(points) {
            assert_eq!(*first, raster.first(*point), "{point:?}");
        }
    }

    fn found(raster: &Raster, point: Point) -> Vec<u32> {
        let mut ids = Vec::new();
        raster.for_each(point, |id| ids.push(id));
        ids.sort_unstable();
        ids
    }

    proptest! {
        #[test]
        fn the_raster_says_what_geo_says_about_polygons(
            polygons in proptest::collection::vec(rings(), 1..6),
            points in proptest::collection::vec(point(), 60),
        ) {
            let shapes: Vec<Shape> =
                polygons.iter().map(|rings| Shape::polygon(rings).unwrap()).collect();
            let oracle: Vec<geo::Polygon<f64>> = polygons.iter().map(|rings| as_geo(rings)).collect();
            let raster = Raster::build(shapes.iter(), 13);
            let vertices = polygons.iter().flatten().flatten().copied();
            let points: Vec<Point> = points.into_iter().chain(vertices).collect();
            check_lists(&raster, &points);
            for point in points {
                let ids = found(&raster, point);
                // Where the probe stands.
                let at = geo::Point::new(f64::from(point.x) + 0.5, f64::from(point.y) + 0.5);
                for (id, polygon) in (0_u32..).zip(&oracle) {
                    // A probe on a slanted side is of one side by our own convention.
                    let is_on_boundary = polygon.intersects(&at) && !polygon.contains(&at);
                    if !is_on_boundary {
                        prop_assert_eq!(ids.contains(&id), polygon.contains(&at), "{:?}", point);
                    }
                    prop_assert_eq!(ids.contains(&id), shapes[id as usize].contains(point));
                }
            }
        }

        #[test]
        fn the_raster_says_what_each_shape_says(
            circles in proptest::collection::vec((point(), 5_000..150_000_i32), 0..4),
            lines in proptest::collection::vec(
                (proptest::collection::vec(point(), 2..7), 3_000..40_000_i32), 0..4),
            points in proptest::collection::vec(point(), 100),
        ) {
            let shapes: Vec<Shape> = circles
                .into_iter()
                .map(|(center, radius)| Shape::Circle { center, radius })
                .chain(lines.into_iter().map(|(line, half_width)| Shape::Corridor { line, half_width }))
                .collect();
            let raster = Raster::build(shapes.iter(), 13);
            check_lists(&raster, &points);
            for point in points {
                let expected: Vec<u32> = (0_u32..)
                    .zip(&shapes)
                    .filter(|(_, shape)| shape.contains(point))
                    .map(|(id, _)| id)
                    .collect();
                prop_assert_eq!(found(&raster, point), expected);
            }
        }

        #[test]
        fn where_neighbours_share_their_edges_every_point_has_exactly_one(
            jitter in proptest::collection::vec((-9_000..9_000_i32, -9_000..9_000_i32), 16),
            points in proptest::collection::vec((-40_000..40_000_i32, -40_000..40_000_i32), 100),
        ) {
            let node = |column: usize, row: usize| {
                let at = |i: usize| (i as i32 - 2) * 25_000;
                let is_inner = (1..4).contains(&column) && (1..4).contains(&row);
                let (dx, dy) = if is_inner { jitter[row * 4 + column - 5] } else { (0, 0) };
                p(at(column) + dx, at(row) + dy)
            };
            let shapes: Vec<Shape> = (0..16)
                .map(|index| {
                    let (c, r) = (index % 4, index / 4);
                    let ring = vec![node(c, r), node(c + 1, r), node(c + 1, r + 1), node(c, r + 1)];
                    Shape::polygon(&[ring]).unwrap()
                })
                .collect();
            let raster = Raster::build(shapes.iter(), 13);
            let all: Vec<Point> = points.iter().map(|(x, y)| p(*x, *y)).collect();
            check_lists(&raster, &all);
            for (x, y) in points {
                let ids = found(&raster, p(x, y));
                prop_assert_eq!(ids.len(), 1);
                prop_assert_eq!(raster.first(p(x, y)), Some(ids[0]));
            }
        }
    }

    #[test]
    fn shapes_far_apart_get_larger_cells_instead_of_all_memory() {
        let circle = |x: i32| Shape::Circle {
            center: p(x, x),
            radius: 50_000,
        };
        let shapes = [circle(-450_000_000), circle(450_000_000)];
        let raster = Raster::build(shapes.iter(), Raster::FINE);
        assert!(raster.bytes() < 80 << 20);
        assert_eq!(raster.first(p(-450_000_000, -449_999_000)), Some(0));
        assert_eq!(raster.first(p(0, 0)), None);
        assert_eq!(raster.first(p(i32::MIN, i32::MAX)), None);
    }
}
