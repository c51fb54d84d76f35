//! Unit grids, fences and all checks of a position, beside `rstar` with `geo` in the same run.
//!
//! The synthetic city at full size: 31,500 unit grids, its fences, 200 vehicles; and 10,000
//! overlapping fences for the lookup alone. Vehicles wander; positions come a second apart, all
//! vehicles in turn, so that caches are as cold as in service.

use std::{hint::black_box, time::Instant};

use benchmarks::city::{catalog_of, position, show};
use geo::Intersects;
use geofence::{
    catalog::Catalog,
    geometry::{Point, Raster, Shape},
    position::Position,
    track::{Evaluator, EvaluatorOptions},
    units::{Latitude, Longitude, Timestamp},
};
use rstar::{
    AABB, RTree,
    primitives::{GeomWithData, Rectangle},
};
use tools::{
    city::{CityOptions, demo_city},
    random::Random,
};

const VEHICLES: usize = 200;
const SECONDS: usize = 2_000;
const REPETITIONS: usize = 7;
/// Positions that are timed at once.
const PART: usize = 2_048;

fn main() {
    let city = demo_city(1, &CityOptions::FULL);
    let started = Instant::now();
    let catalog = catalog_of(&city);
    let (grids, fences) = (catalog.unit_grids().len(), catalog.fences().len());
    show(&format!(
        "catalog of {grids} grids and {fences} fences read in {:?}",
        started.elapsed()
    ));

    let positions = positions(&catalog);
    let points: Vec<Point> = positions
        .iter()
        .filter_map(|p| catalog.plane().point(p.latitude, p.longitude))
        .collect();

    let grid_rings: Vec<Vec<(f64, f64)>> = city
        .grid
        .iter()
        .map(|grid| {
            let corner = |(lat, lon): &(i32, i32)| {
                let (lat, lon) = (
                    Latitude::from_micro_degrees(*lat),
                    Longitude::from_micro_degrees(*lon),
                );
                let point = lat
                    .zip(lon)
                    .and_then(|(lat, lon)| catalog.plane().point(lat, lon));
                point.map_or((0.0, 0.0), |p| (f64::from(p.x), f64::from(p.y)))
            };
            grid.corners.iter().map(corner).collect()
        })
        .collect();
    let what = format!("unit grid of a position, {grids} of the city");
    unit_grids(&what, grid_rings, &points);
    let rings = many_grids();
    let what = format!("unit grid of a position, {} of 14 vertices", rings.len());
    unit_grids(&what, rings, &points);
    many(&points);

    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let started = Instant::now();
    let mut findings = 0;
    for batch in positions.chunks(4_096) {
        findings += evaluator.observe_batch(&catalog, batch).len();
    }
    let each = started.elapsed().as_nanos() / positions.len() as u128;
    show(&format!(
        "all checks, in order: {each} ns a position, {findings} findings"
    ));
    let snapshots = evaluator.take_dirty_snapshots();
    let bytes: usize = snapshots.values().map(Vec::len).sum();
    show(&format!("kept: {} bytes a fix", bytes / positions.len()));
    let last = positions.len() - VEHICLES;
    let mut next: Vec<Position> = positions.iter().skip(last).cloned().collect();
    for position in &mut next {
        position.fixed_at = position.fixed_at.plus_millis(1_000);
        position.received_at = position.fixed_at;
    }
    findings += evaluator.observe_batch(&catalog, &next).len();
    let snapshots = evaluator.take_dirty_snapshots();
    let bytes: usize = snapshots.values().map(Vec::len).sum();
    show(&format!(
        "a snapshot after one fix of each of {VEHICLES} vehicles: {bytes} bytes"
    ));
    black_box(findings);
}

fn shapes(rings: &[Vec<(f64, f64)>]) -> Vec<Shape> {
    let whole = |v: f64| format!("{v:.0}").parse().unwrap_or(0);
    let point = |(x, y): &(f64, f64)| Point {
        x: whole(*x),
        y: whole(*y),
    };
    rings
        .iter()
        .filter_map(|ring| Shape::polygon(&[ring.iter().map(point).collect()]))
        .collect()
}

fn unit_grids(what: &str, rings: Vec<Vec<(f64, f64)>>, points: &[Point]) {
    let raster = Raster::build(shapes(&rings).iter(), Raster::FINE);
    show(&memory(&raster, "unit grid", rings.len()));
    let single = nanoseconds(points, |points| {
        let found = points.iter().filter(|p| raster.first(**p).is_some());
        found.count()
    });
    let batched = nanoseconds(points, |points| {
        let mut found = 0;
        raster.first_of_each(points, |_, _| found += 1);
        found
    });
    let baseline = Baseline::new(rings);
    let theirs = nanoseconds(points, |points| {
        points
            .iter()
            .filter(|point| baseline.first(**point))
            .count()
    });
    compare(what, single, batched, theirs);
}

fn many(points: &[Point]) {
    let rings = many_fences();
    let shapes = shapes(&rings);
    let started = Instant::now();
    let raster = Raster::build(shapes.iter(), Raster::COARSE);
    show(&format!(
        "raster of {} fences built in {:?}",
        shapes.len(),
        started.elapsed()
    ));
    show(&memory(&raster, "fence", shapes.len()));
    let single = nanoseconds(points, |points| {
        let mut found = 0;
        points
            .iter()
            .for_each(|point| raster.for_each(*point, |_| found += 1));
        found
    });
    let batched = nanoseconds(points, |points| {
        let mut found = 0;
        raster.for_each_of_each(points, |_, _| found += 1);
        found
    });
    let baseline = Baseline::new(rings);
    let theirs = nanoseconds(points, |points| {
        points.iter().map(|point| baseline.count(*point)).sum()
    });
    let what = "all of 10,000 fences at a position";
    compare(what, single, batched, theirs);
}

fn memory(raster: &Raster, what: &str, count: usize) -> String {
    let bytes = raster.bytes();
    format!(
        "memory of the index: {} bytes a {what}, {:.1} MiB for {count}",
        bytes / count.max(1),
        bytes as f64 / f64::from(1 << 20)
    )
}

/// The least time of several repetitions, a position. Each part of the way counts on its own, so that
/// what else the machine does in between does not.
fn nanoseconds(points: &[Point], mut run: impl FnMut(&[Point]) -> usize) -> f64 {
    let mut least = vec![f64::INFINITY; points.len().div_ceil(PART)];
    for _ in 0..REPETITIONS {
        for (least, part) in least.iter_mut().zip(points.chunks(PART)) {
            let started = Instant::now();
            black_box(run(part));
            *least = least.min(started.elapsed().as_secs_f64() * 1e9);
        }
    }
    least.iter().sum::<f64>() / points.len() as f64
}

fn compare(what: &str, single: f64, batched: f64, theirs: f64) {
    show(&format!(
        "{what}: {single:.1} ns, in batches {batched:.1} ns; rstar + geo {theirs:.1} ns; {:.1} and \
         {:.1} times",
        theirs / single,
        theirs / batched
    ));
}

struct Baseline {
    tree: RTree<GeomWithData<Rectangle<[f64; 2]>, usize>>,
    polygons: Vec<geo::Polygon<f64>>,
}

impl Baseline {
    fn new(rings: Vec<Vec<(f64, f64)>>) -> Self {
        let polygons: Vec<geo::Polygon<f64>> = rings
            .into_iter()
            .map(|ring| geo::Polygon::new(ring.into(), Vec::new()))
            .collect();
        let boxes = polygons.iter().enumerate().filter_map(|(index, polygon)| {
            let bounds = geo::BoundingRect::bounding_rect(polygon)?;
            let corner = |c: geo::Coord<f64>| [c.x, c.y];
            let rectangle = Rectangle::from_corners(corner(bounds.min()), corner(bounds.max()));
            Some(GeomWithData::new(rectangle, index))
        });
        Self {
            tree: RTree::bulk_load(boxes.collect()),
            polygons,
        }
    }

    fn holding(&self, point: Point) -> impl Iterator<Item = usize> {
        let at = geo::Point::new(f64::from(point.x), f64::from(point.y));
        let envelope = AABB::from_point([at.x(), at.y()]);
        self.tree
            .locate_in_envelope_intersecting(&envelope)
            .map(|entry| entry.data)
            .filter(move |index| self.polygons.get(*index).is_some_and(|p| p.intersects(&at)))
    }

    fn first(&self, point: Point) -> bool {
        self.holding(point).next().is_some()
    }

    fn count(&self, point: Point) -> usize {
        self.holding(point).count()
    }
}

/// A town of 160 by 125 unit grids of 14 vertices, over 20 km by 14 km: sides in three or four pieces,
/// bent alike on both of their sides.
fn many_grids() -> Vec<Vec<(f64, f64)>> {
    const COLUMNS: u32 = 160;
    const ROWS: u32 = 125;
    let (width, height) = (20e6 / f64::from(COLUMNS), 14e6 / f64::from(ROWS));
    // By the place alone, so that neighbours agree: in thirds of columns and quarters of rows.
    let vertex = |x: u32, y: u32| {
        let mut random = Random::new(u64::from(x) * 100_003 + u64::from(y));
        let mut bent = |at: f64, size: f64| ((at + random.between(-0.12, 0.12)) * size).round();
        let (x, y) = (f64::from(x) / 3.0, f64::from(y) / 4.0);
        (bent(x, width) - 10e6, bent(y, height) - 7e6)
    };
    let ring = |column: u32, row: u32| {
        let (x, y) = (3 * column, 4 * row);
        let south_side = (0..3).map(|step| vertex(x + step, y));
        let east_side = (0..4).map(|step| vertex(x + 3, y + step));
        let north_side = (0..3).map(|step| vertex(x + 3 - step, y + 4));
        let west_side = (0..4).map(|step| vertex(x, y + 4 - step));
        let sides = south_side.chain(east_side).chain(north_side);
        sides.chain(west_side).collect()
    };
    (0..ROWS)
        .flat_map(|row| (0..COLUMNS).map(move |column| (column, row)))
        .map(|(column, row)| ring(column, row))
        .collect()
}

/// Stars of 10 to 124 vertices with radii of 30 to 400 m over 20 km by 14 km.
fn many_fences() -> Vec<Vec<(f64, f64)>> {
    let mut random = Random::new(2);
    (0..10_000)
        .map(|_| {
            let x = random.between(-10e6, 10e6);
            let y = random.between(-7e6, 7e6);
            let radius = 30e3 * (400.0_f64 / 30.0).powf(random.unit());
            let corners = 10 + random.index(115);
            (0..corners)
                .map(|corner| {
                    let angle = std::f64::consts::TAU * corner as f64 / corners as f64;
                    let radius = radius * random.between(0.7, 1.0);
                    (
                        (x + radius * angle.cos()).round(),
                        (y + radius * angle.sin()).round(),
                    )
                })
                .collect()
        })
        .collect()
}

/// Vehicles of the catalog that wander, stand for a while, and wander on.
fn positions(catalog: &Catalog) -> Vec<Position> {
    let [west, south, east, north] = catalog.bounds_degrees().unwrap_or_default();
    let mut random = Random::new(3);
    let mut vehicles: Vec<(f64, f64, f64, f64, bool)> = (0..VEHICLES)
        .map(|_| {
            let angle = random.between(0.0, std::f64::consts::TAU);
            let (lat, lon) = (random.between(south, north), random.between(west, east));
            (
                lat,
                lon,
                angle,
                random.between(2.0, 14.0),
                random.chance(0.3),
            )
        })
        .collect();
    let mut positions = Vec::with_capacity(VEHICLES * SECONDS);
    for second in 0..SECONDS {
        for (vehicle, known) in vehicles.iter_mut().zip(catalog.vehicles()) {
            let (lat, lon, angle, mps, stands) = vehicle;
            if random.chance(0.01) {
                *angle = random.between(0.0, std::f64::consts::TAU);
                *stands = random.chance(0.3);
            }
            let mps = if *stands { 0.0 } else { *mps };
            *lat = (*lat + angle.sin() * mps / 111_195.0).clamp(south, north);
            *lon = (*lon + angle.cos() * mps / 87_800.0).clamp(west, east);
            let at = Timestamp(1_767_574_800_000 + second as i64 * 1_000);
            let noise = |random: &mut Random| random.normal() * 3.0 / 100_000.0;
            let latitude = *lat + noise(&mut random);
            let longitude = *lon + noise(&mut random);
            positions.push(Position {
                log_offset: positions.len() as u64,
                digest: u32::try_from(second).unwrap_or(u32::MAX),
                speed_dkmh: format!("{:.0}", mps * 36.0).parse().unwrap_or(0),
                ..position(known.terminal, at, latitude, longitude)
            });
        }
    }
    positions
}
