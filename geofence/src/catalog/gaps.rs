//! Holes in the tiling of the unit grids: ground that lies between them and belongs to none.
//!
//! A hole is no mistake by itself: a lake or an airfield may well be nobody's. So it is told as a
//! warning, with its place and size, and whoever draws the grids decides. What lies open to the
//! outside of the city is its edge, not a hole. Slivers that come from rounding vertices to millionths
//! of a degree are passed over.

use geo::{Area, Centroid, LineString, Polygon, unary_union};

use super::{
    Catalog,
    features::{Notes, Vertex},
    unit_grid,
};
use crate::geometry::Point;

/// Smaller holes are slivers, square metres.
const SQUARE_METERS_MIN: f64 = 25.0;
/// Narrower holes are slivers, metres on average.
const WIDTH_METERS_MIN: f64 = 0.5;
/// So many holes are named, the largest first.
const GAPS_MAX: usize = 1_000;

/// A hole in the tiling of the unit grids.
#[derive(Clone, Debug, PartialEq)]
pub struct Gap {
    /// The code of a unit grid beside it.
    pub beside: String,
    /// Its ground.
    pub square_meters: f64,
    /// Its middle, degrees in WGS-84.
    pub latitude: f64,
    /// Its middle, degrees in WGS-84.
    pub longitude: f64,
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "no unit grid covers {:.0} m² at {:.6}, {:.6} (longitude, latitude), beside \"{}\"",
            self.square_meters, self.longitude, self.latitude, self.beside
        )
    }
}

impl Catalog {
    /// The holes between the unit grids, the largest first; a thousand at most. The union of the
    /// grids of a whole city is made for it, which takes its time: not for a thread that others wait
    /// for.
    #[must_use]
    pub fn unit_grid_gaps(&self) -> Vec<Gap> {
        let city = unary_union(&self.unit_grid_polygons());
        let holes = city.iter().flat_map(Polygon::interiors);
        let mut gaps: Vec<Gap> = holes.filter_map(|hole| self.gap(hole)).collect();
        gaps.sort_by(|a, b| b.square_meters.total_cmp(&a.square_meters));
        gaps.truncate(GAPS_MAX);
        gaps
    }

    /// The unit grids in their order, on the plane, as they were drawn.
    pub(super) fn unit_grid_polygons(&self) -> Vec<Polygon<f64>> {
        let Ok(root) = serde_json::from_str(self.unit_grids_geojson()) else {
            return Vec::new();
        };
        // Its mistakes were named when it was loaded.
        let mut mistakes = Vec::new();
        let notes = &mut Notes {
            file: "",
            mistakes: &mut mistakes,
        };
        let drafts = unit_grid::read(&root, &[], &[], notes);
        let rings = drafts.iter().map(|draft| &draft.rings);
        rings.filter_map(|rings| self.on_plane(rings)).collect()
    }

    fn on_plane(&self, rings: &[Vec<Vertex>]) -> Option<Polygon<f64>> {
        let ring = |ring: &Vec<Vertex>| -> Option<Vec<Point>> {
            let points = ring.iter().map(|(lat, lon)| self.plane.point(*lat, *lon));
            points.collect()
        };
        let rings: Option<Vec<Vec<Point>>> = rings.iter().map(ring).collect();
        Some(unit_grid::as_geo(&rings?))
    }

    fn gap(&self, hole: &LineString<f64>) -> Option<Gap> {
        let meters = |mm: f64| mm / 1e3;
        let square_meters = Polygon::new(hole.clone(), Vec::new()).unsigned_area() / 1e6;
        let around: f64 = hole
            .lines()
            .map(|side| meters(side.dx().hypot(side.dy())))
            .sum();
        if square_meters < SQUARE_METERS_MIN || 2.0 * square_meters < WIDTH_METERS_MIN * around {
            return None;
        }
        let middle = point(hole.centroid()?.0);
        let corner = point(*hole.coords().next()?);
        // The grid that is nearest to a corner of the hole has it on its side.
        let distance = |grid: &&unit_grid::UnitGrid| -grid.shape.signed_distance_mm(corner);
        let near = |grid: &&unit_grid::UnitGrid| {
            let bounds = grid.shape.bounds();
            let is_within =
                |low: i32, value: i32, high: i32| low - 1_000 <= value && value <= high + 1_000;
            is_within(bounds.low.x, corner.x, bounds.high.x)
                && is_within(bounds.low.y, corner.y, bounds.high.y)
        };
        let beside = self
            .unit_grids()
            .iter()
            .filter(near)
            .min_by(|a, b| distance(a).total_cmp(&distance(b)));
        let (latitude, longitude) = self.plane.place(middle);
        Some(Gap {
            beside: beside.map(|grid| grid.code.clone()).unwrap_or_default(),
            square_meters,
            latitude: latitude.degrees(),
            longitude: longitude.degrees(),
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "between the vertices of the grids, which are i32"
)]
pub(super) fn point(at: geo::Coord<f64>) -> Point {
    Point {
        x: at.x.round() as i32,
        y: at.y.round() as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Catalog, CatalogSources};

    /// Grids of about 100 m in rows of three; `#` is there, `.` is not.
    fn city(rows: [&str; 3], shift_east: f64) -> Catalog {
        let mut features = Vec::new();
        for (y, row) in rows.iter().enumerate() {
            for (x, _) in row.chars().enumerate().filter(|(_, sign)| *sign == '#') {
                let west = 112.55 + x as f64 * 0.001 + if x > 0 { shift_east } else { 0.0 };
                let (south, north) = (37.87 + y as f64 * 0.001, 37.871 + y as f64 * 0.001);
                let east = 112.551 + x as f64 * 0.001 + if x > 0 { shift_east } else { 0.0 };
                features.push(format!(
                    r#"{{"type":"Feature","properties":{{"code":"140105001001{:03}"}},"geometry":
                        {{"type":"Polygon","coordinates":[[[{west:.6},{south:.6}],[{east:.6},{south:.6}],
                        [{east:.6},{north:.6}],[{west:.6},{north:.6}],[{west:.6},{south:.6}]]]}}}}"#,
                    y * 3 + x + 1
                ));
            }
        }
        let text = format!(
            r#"{{"type":"FeatureCollection","features":[{}]}}"#,
            features.join(",")
        );
        Catalog::load(&CatalogSources {
            unit_grids: Some(("grids".to_owned(), text)),
            ..CatalogSources::default()
        })
        .unwrap()
    }

    #[test]
    fn a_grid_that_lacks_in_the_middle_is_a_gap_with_its_place_and_size() {
        let gaps = city(["###", "#.#", "###"], 0.0).unit_grid_gaps();
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        let gap = &gaps[0];
        assert!((gap.square_meters - 87.8 * 111.2).abs() < 100.0, "{gap}");
        assert!((gap.latitude - 37.8715).abs() < 1e-5, "{gap}");
        assert!((gap.longitude - 112.5515).abs() < 1e-5, "{gap}");
        assert!(gap.to_string().contains("beside \"140105001001"), "{gap}");
    }

    #[test]
    fn a_whole_tiling_and_one_that_lacks_at_the_edge_have_none() {
        assert_eq!(city(["###", "###", "###"], 0.0).unit_grid_gaps(), []);
        assert_eq!(city(["#.#", "###", "##."], 0.0).unit_grid_gaps(), []);
        assert_eq!(Catalog::default().unit_grid_gaps(), []);
    }

    #[test]
    fn slivers_of_rounding_are_none() {
        // A millionth of a degree between two columns, and both ends closed by nothing: open; closed
        // by a neighbour they would be too narrow.
        assert_eq!(city(["###", "###", "###"], 0.000_001).unit_grid_gaps(), []);
    }
}
