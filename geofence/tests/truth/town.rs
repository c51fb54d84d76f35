//! Places of the town, and catalogs of it with one rule each.

use geofence::catalog::{Catalog, CatalogSources};

use crate::way::Line;

pub(crate) const PHONE: &str = "13800000001";
pub(crate) const BRUSH_BIT: u32 = 15;
/// Monday 2026-01-05 00:00 at local time.
pub(crate) const MONDAY_MS: i64 = 1_767_542_400_000;

pub(crate) fn degrees((east, north): (f64, f64)) -> (f64, f64) {
    (37.87 + north / 111_195.08, 112.55 + east / 87_776.9)
}

fn lon_lat(at: (f64, f64)) -> String {
    let (latitude, longitude) = degrees(at);
    format!("[{longitude:.7},{latitude:.7}]")
}

fn lon_lats(line: &[(f64, f64)]) -> String {
    let places: Vec<String> = line.iter().map(|at| lon_lat(*at)).collect();
    format!("[{}]", places.join(","))
}

fn feature(properties: &str, shape: &str, coordinates: &str) -> String {
    format!(
        r#"{{"type":"Feature","properties":{{{properties}}},
            "geometry":{{"type":"{shape}","coordinates":{coordinates}}}}}"#
    )
}

fn rectangle(properties: &str, (west, south): (f64, f64), (east, north): (f64, f64)) -> String {
    let ring = [
        (west, south),
        (east, south),
        (east, north),
        (west, north),
        (west, south),
    ];
    feature(properties, "Polygon", &format!("[{}]", lon_lats(&ring)))
}

pub(crate) fn square(id: &str, properties: &str, half: f64) -> String {
    let properties = format!(r#""id":"{id}",{properties}"#);
    rectangle(&properties, (-half, -half), (half, half))
}

pub(crate) fn circle(id: &str, properties: &str, at: (f64, f64), radius: f64) -> String {
    let properties = format!(r#""id":"{id}","radius_m":{radius},{properties}"#);
    feature(&properties, "Point", &lon_lat(at))
}

fn collection(features: &[String]) -> String {
    format!(
        r#"{{"type":"FeatureCollection","features":[{}]}}"#,
        features.join(",")
    )
}

fn text(file: &str, text: String) -> Option<(String, String)> {
    Some((file.to_owned(), text))
}

fn sources(work_kind: &str) -> CatalogSources {
    let vehicles = format!("vehicle,phone,work_kind\nV1,{PHONE},{work_kind}\n");
    CatalogSources {
        vehicles: text("vehicles", vehicles),
        ..CatalogSources::default()
    }
}

pub(crate) fn with_fences(features: &[String]) -> Catalog {
    let sources = CatalogSources {
        fences: text("fences", collection(features)),
        ..sources("sweeper")
    };
    Catalog::load(&sources).unwrap()
}

/// A route from nine to ten, with this check alone; the terminal tells whether the brush is down.
pub(crate) fn with_route(line: &Line, check: &str, points: &[(f64, f64)]) -> Catalog {
    let point =
        |(index, at): (usize, &(f64, f64))| format!(r#"{{"id":"p{index}","at":{}}}"#, lon_lat(*at));
    let points: Vec<String> = points.iter().enumerate().map(point).collect();
    let points = if points.is_empty() {
        String::new()
    } else {
        format!(r#","points":[{}]"#, points.join(","))
    };
    let properties = format!(
        r#""id":"route","applies_to":{{"vehicles":["V1"]}},"checks":["{check}"],
           "windows":[{{"days":["mon"],"from":"09:00","to":"10:00"}}]{points}"#
    );
    let route = feature(&properties, "LineString", &lon_lats(&line.0));
    let signals = r#"{"rules":[{"id":"signals","kind":"work_signals",
        "signals":[{"machine":"brush","source":"vehicle_signals","bit":15}]},
        {"id":"any","kind":"work_speed","speed_kmh":100}]}"#;
    let sources = CatalogSources {
        work_rules: text("rules", signals.to_owned()),
        routes: text("routes", collection(&[route])),
        ..sources("sweeper")
    };
    Catalog::load(&sources).unwrap()
}

/// Rules of work, and a depot at a place.
pub(crate) fn with_work(rules: &str, depot: (f64, f64)) -> Catalog {
    let depot = circle("depot", r#""kind":"site""#, depot, 100.0);
    let sources = CatalogSources {
        fences: text("fences", collection(&[depot])),
        work_rules: text("rules", format!(r#"{{"rules":[{rules}]}}"#)),
        ..sources("sweeper")
    };
    Catalog::load(&sources).unwrap()
}

/// A shift from eight to five, with this check alone, in five unit grids of 100 m: from 0 to 500 m
/// east, 50 m to each hand. A depot far east.
pub(crate) fn with_shift(work_kind: &str, check: &str) -> Catalog {
    let code = |index: i32| format!("140105001001{:03}", index + 1);
    let grid = |index: i32| {
        let west = f64::from(index) * 100.0;
        let properties = format!(r#""code":"{}""#, code(index));
        rectangle(&properties, (west, -50.0), (west + 100.0, 50.0))
    };
    let grids: Vec<String> = (0..10).map(grid).collect();
    let own: Vec<String> = (0..5)
        .map(|index| format!(r#""{}""#, code(index)))
        .collect();
    let area = format!(
        r#"{{"type":"Feature","properties":{{"id":"R1","unit_grids":[{}]}},"geometry":null}}"#,
        own.join(",")
    );
    let depot = circle("depot", r#""kind":"site""#, (3_000.0, 0.0), 100.0);
    let sources = CatalogSources {
        unit_grids: text("grids", collection(&grids)),
        fences: text("fences", collection(&[depot])),
        shifts: text(
            "shifts",
            format!("shift,days,from,to,checks\nA,mon,08:00,17:00,{check}\n"),
        ),
        responsibility_grids: text("areas", collection(&[area])),
        assignments: text(
            "assignments",
            "vehicle,shift,duty_area,from,to\nV1,A,R1,,\n".to_owned(),
        ),
        ..sources(work_kind)
    };
    Catalog::load(&sources).unwrap()
}
