//! A synthetic city under Taiyuan's real district codes: unit grids, streets, fences and a fleet.
//!
//! Nothing in it is a real place but the codes and names of the six districts; the polygons are
//! invented. The same seed and options give the same city, byte for byte.

mod fence;
mod fleet;
mod grid;
mod network;
mod work;

use std::{fs, io, path::Path};

use crate::{plane::Plane, random::Random};

pub use self::{
    fence::{Audience, Fence, FenceKind, Window},
    fleet::{Fleet, Vehicle, WorkKind},
    grid::UnitGrid,
    network::{Edge, Network},
    work::{
        Act, BRUSH_BIT, BUCKET_BIT, Expected, Round, Second, Way, Work, plays_max, working_city,
    },
};

/// How near to a boundary a rule-abiding vehicle may come, in metres: wide against the noise of a
/// receiver, so that an alarm about such a vehicle is a false one.
pub const SAFETY_MARGIN_M: f64 = 40.0;

/// A county-level area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct District {
    /// GB/T 2260, six digits.
    pub code: &'static str,
    /// Name in Chinese.
    pub name: &'static str,
    /// Name in pinyin.
    pub pinyin: &'static str,
    /// West of the river, else east.
    west: bool,
    /// 0 south, 1 middle, 2 north.
    third: u32,
}

/// Taiyuan's six districts, roughly where they are: two banks of the Fen, three bands from south
/// to north.
pub const DISTRICTS: [District; 6] = [
    District {
        code: "140105",
        name: "小店区",
        pinyin: "Xiaodian",
        west: false,
        third: 0,
    },
    District {
        code: "140106",
        name: "迎泽区",
        pinyin: "Yingze",
        west: false,
        third: 1,
    },
    District {
        code: "140107",
        name: "杏花岭区",
        pinyin: "Xinghualing",
        west: false,
        third: 2,
    },
    District {
        code: "140108",
        name: "尖草坪区",
        pinyin: "Jiancaoping",
        west: true,
        third: 2,
    },
    District {
        code: "140109",
        name: "万柏林区",
        pinyin: "Wanbailin",
        west: true,
        third: 1,
    },
    District {
        code: "140110",
        name: "晋源区",
        pinyin: "Jinyuan",
        west: true,
        third: 0,
    },
];

/// The size of a city.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CityOptions {
    /// Unit grids of 100 m from west to east, 24 to 1,000.
    pub columns: u32,
    /// Unit grids of 100 m from south to north, 36 to 1,000.
    pub rows: u32,
    /// Vehicles and inspectors, up to 100,000.
    pub vehicles: u32,
}

impl CityOptions {
    /// 3,000 unit grids (6 km by 5 km) and 200 vehicles.
    pub const SMALL: Self = Self {
        columns: 60,
        rows: 50,
        vehicles: 200,
    };
    /// 31,500 unit grids (21 km by 15 km), as many as Taiyuan has, and 200 vehicles.
    pub const FULL: Self = Self {
        columns: 210,
        rows: 150,
        vehicles: 200,
    };
}

impl Default for CityOptions {
    fn default() -> Self {
        Self::SMALL
    }
}

/// A city: the catalog's texts for the gateway, and the same as values for the simulator.
#[derive(Clone, Debug)]
pub struct City {
    /// Unit grids, GeoJSON: polygons `[lon, lat]` with property `code` (15 digits) and `name`.
    pub unit_grids: String,
    /// Fences, GeoJSON.
    pub fences: String,
    /// Vehicles, CSV with header `vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh`.
    pub vehicles: String,
    /// The plane that all points of this city are on.
    pub plane: Plane,
    /// The unit grids as values.
    pub grid: Vec<UnitGrid>,
    /// The fences as values.
    pub fence_list: Vec<Fence>,
    /// One fleet a district, in the order of [`DISTRICTS`].
    pub fleets: Vec<Fleet>,
    /// The vehicles as values, dealt so that every prefix of the list holds all districts and
    /// kinds in proportion.
    pub vehicle_list: Vec<Vehicle>,
    /// The streets.
    pub network: Network,
    /// Its size.
    pub size: CityOptions,
    /// Who does what on its day; none where vehicles drive about as they like.
    pub work: Option<Work>,
}

impl City {
    /// Writes `unit-grids.geojson`, `fences.geojson` and `vehicles.csv` into a folder, which is
    /// made if it is not there; with its work also `routes.geojson`, `work-rules.json`,
    /// `shifts.csv`, `responsibility-grids.geojson` and `assignments.csv`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_to(&self, dir: impl AsRef<Path>) -> io::Result<()> {
        let dir = dir.as_ref();
        fs::create_dir_all(dir)?;
        fs::write(dir.join("unit-grids.geojson"), &self.unit_grids)?;
        fs::write(dir.join("fences.geojson"), &self.fences)?;
        for (name, text) in self.work.iter().flat_map(Work::files) {
            fs::write(dir.join(name), text)?;
        }
        fs::write(dir.join("vehicles.csv"), &self.vehicles)
    }
}

/// Makes the city of this seed.
#[must_use]
pub fn demo_city(seed: u64, options: &CityOptions) -> City {
    let options = CityOptions {
        columns: options.columns.clamp(24, 1_000),
        rows: options.rows.clamp(36, 1_000),
        vehicles: options.vehicles.min(100_000),
    };
    let plane = Plane::new(37.87, 112.55);
    let mut random = Random::for_subject(seed, 0);
    let grid = grid::tile(&plane, options.columns, options.rows, &mut random);
    let mut network = network::streets(options.columns, options.rows, &mut random);
    let (fence_list, fleets) = fence::place(&network, options, &mut random);
    network.relate(&fence_list, &fleets);
    let vehicle_list = fleet::vehicles(&fleets, options.vehicles);
    City {
        unit_grids: grid::geojson(&grid),
        fences: fence::geojson(&fence_list, &plane),
        vehicles: fleet::csv(&vehicle_list, &fleets),
        plane,
        grid,
        fence_list,
        fleets,
        vehicle_list,
        network,
        size: options,
        work: None,
    }
}

/// The part of the city that a district covers, in columns and rows of unit grids: first column,
/// last column (excluded), first row, last row (excluded).
fn district_cells(district: &District, columns: u32, rows: u32) -> (u32, u32, u32, u32) {
    let (first_column, last_column) = if district.west {
        (0, columns / 2)
    } else {
        (columns / 2, columns)
    };
    (
        first_column,
        last_column,
        rows * district.third / 3,
        rows * (district.third + 1) / 3,
    )
}

/// Metres of a corner of the lattice of unit grids, from the city's centre.
fn lattice_meters(index: u32, count: u32) -> f64 {
    (f64::from(index) - f64::from(count) / 2.0) * 100.0
}

/// Joins features into a collection, one a line, so that a diff shows what changed.
fn feature_collection(features: &[serde_json::Value]) -> String {
    let mut text = String::from("{\"type\":\"FeatureCollection\",\"features\":[\n");
    for (index, feature) in features.iter().enumerate() {
        if index > 0 {
            text.push_str(",\n");
        }
        text.push_str(&feature.to_string());
    }
    text.push_str("\n]}\n");
    text
}

#[cfg(test)]
mod tests;
