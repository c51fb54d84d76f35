//! The raster beside `geo`, and beside the shapes one by one.
#![expect(clippy::cast_possible_truncation, reason = "shapes of tests are small")]

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

#[test]
fn on_and_beside_a_slanted_or_bent_side_each_point_has_one_of_its_neighbours() {
    // Two neighbours about a side from south to north: straight, with a corner either way, level,
    // and on a diagonal, where probes lie exactly on it.
    let sides = [
        vec![p(-9_000, -60_000), p(13_000, 60_000)],
        vec![p(0, -60_000), p(21_000, 1_000), p(0, 60_000)],
        vec![p(0, -60_000), p(-21_000, 1_000), p(0, 60_000)],
        vec![p(-60_000, -60_000), p(60_000, 60_000)],
        vec![p(60_000, -60_000), p(-60_000, 60_000)],
        vec![p(0, -60_000), p(30_000, -30_000), p(0, 0), p(0, 60_000)],
        vec![
            p(-50_000, -60_000),
            p(-50_000, 0),
            p(50_000, 0),
            p(50_000, 60_000),
        ],
        vec![
            p(50_000, -60_000),
            p(50_000, 0),
            p(-50_000, 0),
            p(-50_000, 60_000),
        ],
    ];
    for side in sides {
        let west = [p(-80_000, 60_000), p(-80_000, -60_000)];
        let east = [p(80_000, 60_000), p(80_000, -60_000)];
        let ring = |far: [Point; 2]| side.iter().copied().chain(far).collect::<Vec<_>>();
        let shapes = [ring(west), ring(east)].map(|ring| Shape::polygon(&[ring]).unwrap());
        let raster = Raster::build(shapes.iter(), 13);
        assert!(!raster.splits.is_empty(), "{side:?}");
        let along = side.windows(2).flat_map(|pair| {
            let (a, b) = (pair[0], pair[1]);
            (0..=2_000).map(move |step| {
                let between = |a: i32, b: i32| a + (b - a) / 2_000 * step;
                p(between(a.x, b.x), between(a.y, b.y))
            })
        });
        let points: Vec<Point> = along
            .flat_map(|at| (-2..=2).map(move |beside| p(at.x + beside, at.y)))
            .filter(|at| at.y < 60_000)
            .collect();
        check_lists(&raster, &points);
        for point in points {
            let holds = |id: &u32| shapes[*id as usize].contains(point);
            let expected: Vec<u32> = (0..2).filter(holds).collect();
            assert_eq!(found(&raster, point), expected, "{point:?} {side:?}");
            assert_eq!(expected.len(), 1, "{point:?} {side:?}");
        }
    }
}
