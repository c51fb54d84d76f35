//! Fences: a duty area for each fleet; schools, protection zones and slow zones in it; depots,
//! transfer stations and a landfill.

use serde_json::{Map, Value, json};

use super::{
    CityOptions, DISTRICTS, District, Fleet, Network, district_cells, feature_collection,
    lattice_meters,
};
use crate::{
    plane::{Plane, Point, Shape},
    random::Random,
};

/// What a fence asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FenceKind {
    /// Stay inside.
    StayIn,
    /// Keep out.
    KeepOut,
    /// Do not exceed the limit inside.
    SpeedLimit,
    /// A place with a name: depot, transfer station, landfill.
    Site,
}

impl FenceKind {
    /// The word in the catalog.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StayIn => "stay_in",
            Self::KeepOut => "keep_out",
            Self::SpeedLimit => "speed_limit",
            Self::Site => "site",
        }
    }
}

/// Whom a fence concerns: everybody when all lists are empty, else whoever is in one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// Vehicle ids.
    pub vehicles: Vec<String>,
    /// Fleet ids.
    pub fleets: Vec<String>,
    /// Words of work kinds.
    pub work_kinds: Vec<String>,
}

impl Audience {
    /// Whether the vehicle is among them.
    #[must_use]
    pub fn includes(&self, vehicle: &str, fleet: &str, work_kind: &str) -> bool {
        let holds = |list: &[String], word: &str| list.iter().any(|entry| entry == word);
        self.is_everybody()
            || holds(&self.vehicles, vehicle)
            || holds(&self.fleets, fleet)
            || holds(&self.work_kinds, work_kind)
    }

    const fn is_everybody(&self) -> bool {
        self.vehicles.is_empty() && self.fleets.is_empty() && self.work_kinds.is_empty()
    }
}

/// When a fence holds, weekly, at local time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// `mon` to `sun`.
    pub days: Vec<&'static str>,
    /// `HH:MM`.
    pub from: &'static str,
    /// `HH:MM`.
    pub to: &'static str,
}

/// A fence of the city.
#[derive(Clone, Debug, PartialEq)]
pub struct Fence {
    /// Its id in the catalog.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it asks for.
    pub kind: FenceKind,
    /// Whom it concerns.
    pub applies_to: Audience,
    /// When it holds; always when empty.
    pub windows: Vec<Window>,
    /// For slow zones, km/h.
    pub speed_limit_kmh: Option<f64>,
    /// Its area on the city's plane.
    pub shape: Shape,
}

/// Metres between the edge of a district and the duty area in it.
const INSET_M: f64 = 120.0;

/// Lays all fences, and founds a fleet for each district.
pub(super) fn place(
    network: &Network,
    options: CityOptions,
    random: &mut Random,
) -> (Vec<Fence>, Vec<Fleet>) {
    let mut fences = Vec::new();
    let mut fleets = Vec::new();
    for district in &DISTRICTS {
        let bounds = Bounds::of(district, options);
        let id = format!("fleet-{}", district.code);
        fleets.push(Fleet {
            id: id.clone(),
            name: format!("{}环卫车队", district.name),
            duty_area: fences.len(),
        });
        let duty_area = Shape::Polygon(vec![bounds.outline(random)]);
        fences.push(Fence {
            applies_to: Audience {
                fleets: vec![id],
                ..Audience::default()
            },
            ..fence(
                "duty",
                district,
                0,
                FenceKind::StayIn,
                duty_area.clone(),
                "作业责任区",
            )
        });
        let mut free: Vec<Point> = network
            .nodes
            .iter()
            .copied()
            .filter(|node| duty_area.signed_distance(*node) >= 220.0)
            .collect();
        random.shuffle(&mut free);
        let mut plot = Plot {
            free,
            taken: Vec::new(),
        };
        for round in 0..bounds.rounds() {
            place_in_district(district, round, &mut plot, random, &mut fences);
        }
    }
    let corner = Point::new(
        lattice_meters(0, options.columns) + 60.0,
        lattice_meters(0, options.rows) + 60.0,
    );
    fences.push(Fence {
        id: "landfill".to_owned(),
        name: "西南填埋场".to_owned(),
        ..fence(
            "",
            &DISTRICTS[5],
            0,
            FenceKind::Site,
            rectangle(corner, 50.0, 50.0),
            "",
        )
    });
    (fences, fleets)
}

/// One set of zones and sites: a small district has one set, a large one several.
fn place_in_district(
    district: &District,
    round: u32,
    plot: &mut Plot,
    random: &mut Random,
    fences: &mut Vec<Fence>,
) {
    let number = round * 3;
    if let Some(center) = plot.take(260.0) {
        let shape = Shape::Circle {
            center,
            radius_m: 260.0,
        };
        fences.push(Fence {
            speed_limit_kmh: Some(20.0),
            ..fence(
                "slow",
                district,
                number + 1,
                FenceKind::SpeedLimit,
                shape,
                "步行街限速区",
            )
        });
    }
    if let Some(center) = plot.take(100.0) {
        let shape = Shape::Circle {
            center,
            radius_m: 100.0,
        };
        fences.push(fence(
            "keepout",
            district,
            number + 1,
            FenceKind::KeepOut,
            shape,
            "水源保护区",
        ));
    }
    if let Some(center) = plot.take(150.0) {
        let shape = zone_with_hole(center, random);
        fences.push(fence(
            "keepout",
            district,
            number + 2,
            FenceKind::KeepOut,
            shape,
            "文物保护区",
        ));
    }
    if let Some(center) = plot.take(80.0) {
        let shape = Shape::Circle {
            center,
            radius_m: 80.0,
        };
        let school_hours = Window {
            days: vec!["mon", "tue", "wed", "thu", "fri"],
            from: "07:00",
            to: "18:00",
        };
        fences.push(Fence {
            applies_to: Audience {
                work_kinds: vec!["refuse_truck".to_owned()],
                ..Audience::default()
            },
            windows: vec![school_hours],
            ..fence(
                "keepout",
                district,
                number + 3,
                FenceKind::KeepOut,
                shape,
                "实验小学",
            )
        });
    }
    if let Some(center) = plot.take(60.0) {
        let shape = rectangle(center, 60.0, 40.0);
        fences.push(fence(
            "depot",
            district,
            round + 1,
            FenceKind::Site,
            shape,
            "停车场",
        ));
    }
    if let Some(center) = plot.take(50.0) {
        let shape = Shape::Circle {
            center,
            radius_m: 50.0,
        };
        fences.push(fence(
            "station",
            district,
            round + 1,
            FenceKind::Site,
            shape,
            "垃圾转运站",
        ));
    }
    if let Some(center) = plot.take(130.0) {
        // A lane across two blocks, limited as far as it runs.
        let west = Point::new(center.x - 120.0, center.y);
        let line = vec![west, center, Point::new(center.x + 120.0, center.y)];
        let shape = Shape::Corridor {
            line,
            width_m: 50.0,
        };
        fences.push(Fence {
            speed_limit_kmh: Some(30.0),
            ..fence(
                "slow",
                district,
                number + 2,
                FenceKind::SpeedLimit,
                shape,
                "窄路限速段",
            )
        });
    }
}

/// A fence that concerns everybody at any time.
fn fence(
    prefix: &str,
    district: &District,
    number: u32,
    kind: FenceKind,
    shape: Shape,
    name: &str,
) -> Fence {
    let suffix = if number == 0 {
        String::new()
    } else {
        format!("-{number}")
    };
    let for_people = if number == 0 {
        String::new()
    } else {
        number.to_string()
    };
    Fence {
        id: format!("{prefix}-{}{suffix}", district.code),
        name: format!("{}{name}{for_people}", district.name),
        kind,
        applies_to: Audience::default(),
        windows: Vec::new(),
        speed_limit_kmh: None,
        shape,
    }
}

/// Free crossings of a district, and what stands there already.
struct Plot {
    free: Vec<Point>,
    taken: Vec<(Point, f64)>,
}

impl Plot {
    /// A crossing with room for a zone of this radius, well apart from all others.
    fn take(&mut self, radius_m: f64) -> Option<Point> {
        let has_room = |point: &Point| {
            self.taken.iter().all(|(other, other_radius)| {
                point.distance(*other) >= radius_m + other_radius + 100.0
            })
        };
        let index = self.free.iter().position(has_room)?;
        let center = self.free.swap_remove(index);
        self.taken.push((center, radius_m));
        Some(center)
    }
}

/// Metres of a district's edges.
struct Bounds {
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

impl Bounds {
    fn of(district: &District, options: CityOptions) -> Self {
        let (west, east, south, north) = district_cells(district, options.columns, options.rows);
        Self {
            west: lattice_meters(west, options.columns),
            east: lattice_meters(east, options.columns),
            south: lattice_meters(south, options.rows),
            north: lattice_meters(north, options.rows),
        }
    }

    /// How many sets of zones the district has: one for about 5 km², 8 at most.
    fn rounds(&self) -> u32 {
        let square_kilometers = (self.east - self.west) * (self.north - self.south) / 1e6;
        (1..8)
            .rev()
            .find(|rounds| f64::from(*rounds) * 5.0 <= square_kilometers)
            .unwrap_or(1)
    }

    /// The duty area: the district drawn in, its edges a little uneven.
    fn outline(&self, random: &mut Random) -> Vec<Point> {
        let (west, east) = (self.west + INSET_M, self.east - INSET_M);
        let (south, north) = (self.south + INSET_M, self.north - INSET_M);
        let (low, high) = (Point::new(west, south), Point::new(east, north));
        let corners = [
            low,
            Point::new(high.x, low.y),
            high,
            Point::new(low.x, high.y),
        ];
        let mut outline = Vec::new();
        for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
            for share in [0.0, 0.25, 0.5, 0.75] {
                let at = from.towards(*to, share);
                let mut uneven = || random.between(-15.0, 15.0);
                outline.push(Point::new(at.x + uneven(), at.y + uneven()));
            }
        }
        outline
    }
}

/// A ten-sided zone about a crossing, with a hole in one of the blocks beside it.
fn zone_with_hole(center: Point, random: &mut Random) -> Shape {
    let ring = |center: Point, corners: u32, radius: &mut dyn FnMut() -> f64| -> Vec<Point> {
        (0..corners)
            .map(|corner| {
                let angle = std::f64::consts::TAU * f64::from(corner) / f64::from(corners);
                let radius = radius();
                Point::new(
                    center.x + radius * angle.cos(),
                    center.y + radius * angle.sin(),
                )
            })
            .collect()
    };
    let outline = ring(center, 10, &mut || random.between(125.0, 150.0));
    let hole = ring(Point::new(center.x + 55.0, center.y + 55.0), 6, &mut || {
        25.0
    });
    Shape::Polygon(vec![outline, hole])
}

fn rectangle(center: Point, half_width: f64, half_height: f64) -> Shape {
    let corner = |x: f64, y: f64| Point::new(center.x + x * half_width, center.y + y * half_height);
    Shape::Polygon(vec![vec![
        corner(-1.0, -1.0),
        corner(1.0, -1.0),
        corner(1.0, 1.0),
        corner(-1.0, 1.0),
    ]])
}

/// The fences as the catalog reads them.
pub(super) fn geojson(fences: &[Fence], plane: &Plane) -> String {
    let features: Vec<Value> = fences.iter().map(|fence| feature(fence, plane)).collect();
    feature_collection(&features)
}

fn feature(fence: &Fence, plane: &Plane) -> Value {
    let mut properties = Map::new();
    let mut set = |key: &str, value: Value| _ = properties.insert(key.to_owned(), value);
    set("id", json!(fence.id));
    set("name", json!(fence.name));
    set("kind", json!(fence.kind.as_str()));
    if !fence.applies_to.is_everybody() {
        let mut audience = Map::new();
        for (key, list) in [
            ("vehicles", &fence.applies_to.vehicles),
            ("fleets", &fence.applies_to.fleets),
            ("work_kinds", &fence.applies_to.work_kinds),
        ] {
            if !list.is_empty() {
                audience.insert(key.to_owned(), json!(list));
            }
        }
        set("applies_to", Value::Object(audience));
    }
    if !fence.windows.is_empty() {
        let windows: Vec<Value> = fence
            .windows
            .iter()
            .map(|window| json!({"days": window.days, "from": window.from, "to": window.to}))
            .collect();
        set("windows", Value::Array(windows));
    }
    if let Some(limit) = fence.speed_limit_kmh {
        set("speed_limit_kmh", json!(limit));
    }
    let lon_lat = |point: &Point| {
        let (lat, lon) = plane.micro_degrees(*point);
        json!([f64::from(lon) / 1e6, f64::from(lat) / 1e6])
    };
    let geometry = match &fence.shape {
        Shape::Polygon(rings) => {
            let rings: Vec<Vec<Value>> = rings
                .iter()
                .enumerate()
                .map(|(index, ring)| {
                    let mut ring: Vec<Value> = ring.iter().map(lon_lat).collect();
                    // Outlines run anticlockwise, holes clockwise (RFC 7946, 3.1.6).
                    if index > 0 {
                        ring.reverse();
                    }
                    ring.extend(ring.first().cloned());
                    ring
                })
                .collect();
            json!({"type": "Polygon", "coordinates": rings})
        }
        Shape::Circle { center, radius_m } => {
            set("radius_m", json!(radius_m));
            json!({"type": "Point", "coordinates": lon_lat(center)})
        }
        Shape::Corridor { line, width_m } => {
            set("width_m", json!(width_m));
            let line: Vec<Value> = line.iter().map(lon_lat).collect();
            json!({"type": "LineString", "coordinates": line})
        }
    };
    json!({"type": "Feature", "properties": properties, "geometry": geometry})
}
