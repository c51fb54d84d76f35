//! Unit grids: cells of about 100 m that tile the city, because neighbours share their corners.

use serde_json::json;

use super::{DISTRICTS, District, district_cells, feature_collection, lattice_meters};
use crate::{
    plane::{Plane, Point},
    random::Random,
};

/// Cells of a street, west to east and south to north.
const STREET: (u32, u32) = (10, 9);
/// Cells of a community; divides [`STREET`].
const COMMUNITY: (u32, u32) = (5, 3);
/// Metres that an inner corner may lie off the lattice, on each axis: cells stay convex.
const JITTER_M: f64 = 15.0;

/// A unit grid (单元网格).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitGrid {
    /// County-level area 6 digits, street 3, community 3, grid 3.
    pub code: String,
    /// For people: district, street, community, grid.
    pub name: String,
    /// Corners anticlockwise from the south-west, as `(latitude, longitude)` in millionths of a
    /// degree of WGS-84.
    pub corners: [(i32, i32); 4],
}

/// Tiles the city.
pub(super) fn tile(plane: &Plane, columns: u32, rows: u32, random: &mut Random) -> Vec<UnitGrid> {
    // Corners are made once and shared as integers: no gap and no overlap, however they round.
    let lines: Vec<Vec<(i32, i32)>> = (0..=rows)
        .map(|row| {
            (0..=columns)
                .map(|column| {
                    let mut jitter = |is_inner: bool| {
                        let value = random.between(-JITTER_M, JITTER_M);
                        if is_inner { value } else { 0.0 }
                    };
                    let x =
                        lattice_meters(column, columns) + jitter(column > 0 && column < columns);
                    let y = lattice_meters(row, rows) + jitter(row > 0 && row < rows);
                    plane.micro_degrees(Point::new(x, y))
                })
                .collect()
        })
        .collect();
    let mut grids = Vec::new();
    for (row, pair) in (0..rows).zip(lines.windows(2)) {
        let [south, north] = pair else { continue };
        for (column, (low, high)) in (0..columns).zip(south.windows(2).zip(north.windows(2))) {
            let ([sw, se], [nw, ne]) = (low, high) else {
                continue;
            };
            let (code, name) = code_and_name(column, row, columns, rows);
            grids.push(UnitGrid {
                code,
                name,
                corners: [*sw, *se, *ne, *nw],
            });
        }
    }
    grids
}

/// The unit grids as the catalog reads them.
pub(super) fn geojson(grids: &[UnitGrid]) -> String {
    let features: Vec<_> = grids
        .iter()
        .map(|grid| {
            let mut ring: Vec<_> = grid.corners.iter().map(|corner| lon_lat(*corner)).collect();
            ring.extend(ring.first().cloned());
            json!({
                "type": "Feature",
                "properties": {"code": grid.code, "name": grid.name},
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            })
        })
        .collect();
    feature_collection(&features)
}

/// `[lon, lat]` in degrees, as GeoJSON orders them.
fn lon_lat((lat, lon): (i32, i32)) -> serde_json::Value {
    json!([f64::from(lon) / 1e6, f64::from(lat) / 1e6])
}

/// The administrative path of a cell.
fn code_and_name(column: u32, row: u32, columns: u32, rows: u32) -> (String, String) {
    let holds = |district: &&District| {
        let (west, east, south, north) = district_cells(district, columns, rows);
        (west..east).contains(&column) && (south..north).contains(&row)
    };
    let district = DISTRICTS.iter().find(holds).unwrap_or(&DISTRICTS[0]);
    let (west, east, south, _) = district_cells(district, columns, rows);
    let (x, y) = (column - west, row - south);
    let street = (y / STREET.1) * (east - west).div_ceil(STREET.0) + x / STREET.0 + 1;
    let (x, y) = (x % STREET.0, y % STREET.1);
    let community = (y / COMMUNITY.1) * (STREET.0 / COMMUNITY.0) + x / COMMUNITY.0 + 1;
    let grid = (y % COMMUNITY.1) * COMMUNITY.0 + x % COMMUNITY.0 + 1;
    (
        format!("{}{street:03}{community:03}{grid:03}", district.code),
        format!(
            "{}{street:03}街道{community:03}社区{grid:03}",
            district.name
        ),
    )
}
