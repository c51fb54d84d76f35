//! The tiling of each community (社区) by itself: the grids whose codes begin alike lie together, with
//! nothing of another one in their middle.
//!
//! The union of the whole city hides both. A grid with a mistyped code fills its place there, and is missed
//! in its own community; a hole of a community that another one fills is no hole of the city. They are
//! told as warnings: a community on both banks of a river may well be in two pieces. Two grids that
//! cover the same ground are a mistake already, whosever they are.

use std::collections::BTreeMap;

use geo::Polygon;
use rstar::{
    AABB, RTree,
    primitives::{GeomWithData, Rectangle},
};

use super::{Catalog, gaps::point, unit_grid::UnitGrid};
use crate::geometry::{Bounds, Point};

/// Grids that are nearer than this touch: more than rounding to millionths of a degree makes.
const TOUCH_MM: i32 = 1_000;
/// So many faults are named.
const FAULTS_MAX: usize = 1_000;

/// What is odd about a community.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommunityFaultKind {
    /// Some of its grids do not touch the others.
    Apart,
    /// Grids of another community lie in its middle.
    Enclosed,
}

impl CommunityFaultKind {
    /// The word that JSON uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apart => "apart",
            Self::Enclosed => "enclosed",
        }
    }
}

/// Something odd about the unit grids of a community.
#[derive(Clone, Debug, PartialEq)]
pub struct CommunityFault {
    /// What it is.
    pub kind: CommunityFaultKind,
    /// The beginning of the codes of its grids: county, street and community.
    pub community: String,
    /// The lowest code of the grids that it is about: its own that lie apart, or those of the other one.
    pub grid: String,
    /// How many grids it is about.
    pub grids: usize,
    /// The middle of the grid's box, degrees in WGS-84.
    pub latitude: f64,
    /// The middle of the grid's box, degrees in WGS-84.
    pub longitude: f64,
}

impl std::fmt::Display for CommunityFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            community,
            grid,
            grids,
            latitude,
            longitude,
            ..
        } = self;
        match self.kind {
            CommunityFaultKind::Apart => write!(
                f,
                "community {community}: {grids} of its unit grids lie apart from the others, \"{grid}\" at \
                 {longitude:.6}, {latitude:.6} (longitude, latitude) among them"
            ),
            CommunityFaultKind::Enclosed => write!(
                f,
                "community {community}: {grids} unit grids of another community lie in its middle, \
                 \"{grid}\" at {longitude:.6}, {latitude:.6} (longitude, latitude) among them"
            ),
        }
    }
}

impl Catalog {
    /// What is odd about the unit grids of each community, by community; a thousand at most. Each grid
    /// is compared with its neighbours: not for a thread that others wait for.
    #[must_use]
    pub fn community_faults(&self) -> Vec<CommunityFault> {
        let grids = self.unit_grids();
        let tiling = Tiling::new(grids, self.unit_grid_polygons());
        let mut communities: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, grid) in grids.iter().enumerate() {
            let community = self.community_of(&grid.code);
            communities.entry(community).or_default().push(index);
        }
        let mut faults = Vec::new();
        for (community, members) in communities {
            let pieces = pieces(&members, |index| tiling.neighbours(index));
            for (place, piece) in pieces.iter().enumerate() {
                let code = |index: &&usize| grids.get(**index).map(|grid| &grid.code);
                let first = piece.iter().min_by_key(code);
                let Some(grid) = first.and_then(|index| grids.get(*index)) else {
                    continue;
                };
                let fault = |kind, community: &str| CommunityFault {
                    grids: piece.len(),
                    ..self.fault(kind, community, grid)
                };
                if place > 0 {
                    faults.push(fault(CommunityFaultKind::Apart, community));
                }
                let around = tiling.around(piece, |grid| self.community_of(&grid.code));
                faults.extend(around.map(|other| fault(CommunityFaultKind::Enclosed, other)));
            }
        }
        faults.sort_by(|a, b| (&a.community, &a.grid).cmp(&(&b.community, &b.grid)));
        faults.truncate(FAULTS_MAX);
        faults
    }

    /// The code without the digits of the grid.
    fn community_of<'a>(&self, code: &'a str) -> &'a str {
        let layouts = &self.texts.code_layouts;
        let layout = layouts.iter().find(|layout| layout.width() == code.len());
        let width = layout.map_or(code.len(), |layout| layout.width() - layout.grid);
        code.get(..width).unwrap_or(code)
    }

    fn fault(&self, kind: CommunityFaultKind, community: &str, grid: &UnitGrid) -> CommunityFault {
        let (latitude, longitude) = self.plane.place(grid.shape.bounds().middle());
        CommunityFault {
            kind,
            community: community.to_owned(),
            grid: grid.code.clone(),
            grids: 1,
            latitude: latitude.degrees(),
            longitude: longitude.degrees(),
        }
    }
}

/// The grids, as they were drawn, and by their boxes.
struct Tiling<'a> {
    grids: &'a [UnitGrid],
    polygons: Vec<Polygon<f64>>,
    tree: RTree<GeomWithData<Rectangle<[f64; 2]>, usize>>,
}

impl<'a> Tiling<'a> {
    fn new(grids: &'a [UnitGrid], polygons: Vec<Polygon<f64>>) -> Self {
        let boxes = grids.iter().enumerate().map(|(index, grid)| {
            let (low, high) = corners(grid, 0);
            GeomWithData::new(Rectangle::from_corners(low, high), index)
        });
        Self {
            grids,
            polygons,
            tree: RTree::bulk_load(boxes.collect()),
        }
    }

    /// The grids that touch one.
    fn neighbours(&self, index: usize) -> Vec<usize> {
        let Some(grid) = self.grids.get(index) else {
            return Vec::new();
        };
        let (low, high) = corners(grid, TOUCH_MM);
        let others = self
            .tree
            .locate_in_envelope_intersecting(&AABB::from_corners(low, high))
            .map(|entry| entry.data);
        others
            .filter(|other| *other != index)
            .filter(|other| self.reaches(index, *other) || self.reaches(*other, index))
            .collect()
    }

    /// A corner of one grid touches another.
    fn reaches(&self, from: usize, to: usize) -> bool {
        let Some((polygon, grid)) = self.polygons.get(from).zip(self.grids.get(to)) else {
            return false;
        };
        let mut corners = polygon.exterior().coords();
        corners.any(|at| grid.shape.signed_distance_mm(point(*at)) >= -f64::from(TOUCH_MM))
    }

    /// The one community that lies about a piece of another, on all four sides of its box. Not by the
    /// hole that it leaves in the union: slits of rounding open that to the outside.
    fn around(
        &self,
        piece: &[usize],
        community_of: impl Fn(&'a UnitGrid) -> &'a str,
    ) -> Option<&'a str> {
        let own = || piece.iter().filter_map(|index| self.grids.get(*index));
        let corners = own().flat_map(|grid| [grid.shape.bounds().low, grid.shape.bounds().high]);
        let bounds = Bounds::around(corners)?;
        let beside = piece.iter().flat_map(|index| self.neighbours(*index));
        let beside = beside.filter(|other| !piece.contains(other));
        let mut around = None;
        let mut sides = [false; 4];
        for grid in beside.filter_map(|index| self.grids.get(index)) {
            let community = community_of(grid);
            if *around.get_or_insert(community) != community {
                return None;
            }
            let middle = grid.shape.bounds().middle();
            let beyond = [
                middle.x < bounds.low.x,
                middle.x > bounds.high.x,
                middle.y < bounds.low.y,
                middle.y > bounds.high.y,
            ];
            for (side, is_beyond) in sides.iter_mut().zip(beyond) {
                *side |= is_beyond;
            }
        }
        around.filter(|_| sides == [true; 4])
    }
}

/// Of the box about a grid, so much wider.
fn corners(grid: &UnitGrid, wider_mm: i32) -> ([f64; 2], [f64; 2]) {
    let bounds = grid.shape.bounds();
    let at = |p: Point, by: i32| [f64::from(p.x + by), f64::from(p.y + by)];
    (at(bounds.low, -wider_mm), at(bounds.high, wider_mm))
}

/// The pieces of a community whose grids touch each other; that with most grids first.
fn pieces(members: &[usize], near: impl Fn(usize) -> Vec<usize>) -> Vec<Vec<usize>> {
    let mut left: std::collections::BTreeSet<usize> = members.iter().copied().collect();
    let mut pieces = Vec::new();
    while let Some(first) = left.pop_first() {
        let (mut piece, mut next) = (vec![first], vec![first]);
        while let Some(index) = next.pop() {
            let mut found = near(index);
            found.retain(|other| left.remove(other));
            piece.extend(&found);
            next.extend(found);
        }
        pieces.push(piece);
    }
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::{Catalog, CatalogSources};

    /// Grids of about 100 m; each sign is the community of a grid, `.` is none.
    fn city(rows: &[&str]) -> Vec<String> {
        let mut features = Vec::new();
        for (y, row) in rows.iter().enumerate() {
            for (x, sign) in row.chars().enumerate().filter(|(_, sign)| *sign != '.') {
                let (west, south) = (112.55 + x as f64 * 0.001, 37.87 + y as f64 * 0.001);
                // As a millionth of a degree may be rounded: 10 cm between two columns.
                let east = west + 0.000_999;
                let north = south + 0.001;
                features.push(format!(
                    r#"{{"type":"Feature","properties":{{"code":"140105001{sign:0>3}{:03}"}},"geometry":
                        {{"type":"Polygon","coordinates":[[[{west:.6},{south:.6}],[{east:.6},{south:.6}],
                        [{east:.6},{north:.6}],[{west:.6},{north:.6}],[{west:.6},{south:.6}]]]}}}}"#,
                    y * 10 + x + 1
                ));
            }
        }
        let text = format!(
            r#"{{"type":"FeatureCollection","features":[{}]}}"#,
            features.join(",")
        );
        let catalog = Catalog::load(&CatalogSources {
            unit_grids: Some(("grids".to_owned(), text)),
            ..CatalogSources::default()
        })
        .unwrap();
        let faults = catalog.community_faults();
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn communities_that_lie_together_have_no_fault() {
        assert_eq!(city(&["1122", "1122", "33.4"]), [] as [&str; 0]);
        assert_eq!(Catalog::default().community_faults(), []);
    }

    #[test]
    fn a_mistyped_code_is_named_in_both_communities() {
        let faults = city(&["111.222", "121.222", "111.222"]);
        assert_eq!(
            faults,
            [
                "community 140105001001: 1 unit grids of another community lie in its middle, \
                 \"140105001002012\" at 112.551500, 37.871500 (longitude, latitude) among them",
                "community 140105001002: 1 of its unit grids lie apart from the others, \
                 \"140105001002012\" at 112.551500, 37.871500 (longitude, latitude) among them",
            ]
        );
    }

    #[test]
    fn pieces_are_told_but_the_largest() {
        let faults = city(&["111.11", "111.11"]);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(
            faults[0].starts_with("community 140105001001: 4 of its unit grids lie apart"),
            "{faults:?}"
        );
    }
}
