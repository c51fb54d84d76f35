//! Our fences as areas and routes of terminals (0x8600, 0x8604, 0x8606), so that the terminal warns
//! its driver by itself.
//!
//! | fence                     | message            | alarms                                     |
//! |---------------------------|--------------------|--------------------------------------------|
//! | circle                    | 0x8600, added      | `stay_in`: on leaving, to driver and us    |
//! | polygon without holes     | 0x8604             | `keep_out`: on entering, to driver and us  |
//! | corridor                  | 0x8606             | `speed_limit`: its limit                   |
//! | anything else             | none: an error     | `site`: on both, to us                     |
//!
//! A terminal knows areas by numbers. Ours are made of the fence's id, so that the same fence has
//! the same number on every terminal and after every restart.

use geofence::catalog::{Catalog, Fence, FenceKind};
use serde::Deserialize;
use serde_json::{Value, json};

use protocols::jt808::message::{area::AreaAttributes, json::Object};

use super::CommandRequest;

/// The setting of 0x8600 that adds to what the terminal has.
const ADD: u8 = 1;
/// Seconds above a limit before the terminal warns.
const OVERSPEED_S: u8 = 10;
/// The width of a route is a byte, in metres.
const ROUTE_WIDTH_MAX_M: f64 = 255.0;

/// Why a fence cannot be told to a terminal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AreaError {
    /// The catalog has none with this id.
    #[error("{0}: no such fence")]
    Unknown(String),
    /// Terminals know no holes.
    #[error("{0}: an area of a terminal has no holes")]
    Holes(String),
    /// One time of the day, the same every day, is all that they know.
    #[error("{0}: an area of a terminal has one window, the same every day")]
    Windows(String),
    /// The byte of its width is too small.
    #[error("{0}: a route of a terminal is at most {ROUTE_WIDTH_MAX_M} m wide")]
    TooWide(String),
    /// Another fence has the same number.
    #[error("{0}: another fence has the same number, {1}")]
    SameNumber(String, u32),
    /// The catalog's text says something else than the catalog.
    #[error("{0}: has no outline")]
    Outline(String),
}

/// The number of a fence on terminals, never 0.
#[must_use]
pub fn area_id(fence: &str) -> u32 {
    crc32fast::hash(fence.as_bytes()).max(1)
}

/// As much of the catalog's GeoJSON as matters here.
#[derive(Debug, Deserialize)]
struct Features {
    features: Vec<Feature>,
}

#[derive(Debug, Deserialize)]
struct Feature {
    properties: Properties,
    geometry: Geometry,
}

#[derive(Debug, Deserialize)]
struct Properties {
    id: String,
    #[serde(default)]
    windows: Vec<Window>,
    #[serde(default)]
    radius_m: f64,
    #[serde(default)]
    width_m: f64,
}

#[derive(Debug, Deserialize)]
struct Window {
    #[serde(default)]
    days: Option<Vec<String>>,
    from: String,
    to: String,
}

/// Positions are longitude and latitude, and perhaps more.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", content = "coordinates")]
enum Geometry {
    Point(Vec<f64>),
    Polygon(Vec<Vec<Vec<f64>>>),
    LineString(Vec<Vec<f64>>),
}

/// The commands that tell a terminal of these fences.
///
/// # Errors
/// The first fence that cannot be told.
pub fn set(catalog: &Catalog, fences: &[String]) -> Result<Vec<CommandRequest>, AreaError> {
    let text = catalog.fences_geojson();
    let text = text.trim_start_matches('\u{feff}');
    let features = serde_json::from_str::<Features>(text).map_or(Vec::new(), |all| all.features);
    fences
        .iter()
        .map(|id| {
            let fence = fence(catalog, id)?;
            let feature = features.iter().find(|feature| feature.properties.id == *id);
            set_one(
                fence,
                feature.ok_or_else(|| AreaError::Outline(id.clone()))?,
            )
        })
        .collect()
}

/// The commands that make a terminal forget them, as far as it knows them.
///
/// # Errors
/// The first fence that is not in the catalog.
pub fn delete(catalog: &Catalog, fences: &[String]) -> Result<Vec<CommandRequest>, AreaError> {
    let mut ids = Vec::new();
    for id in fences {
        ids.push(area_id(&fence(catalog, id)?.id));
    }
    // A fence that was edited may have been of another shape: the number is free in the others.
    let body = object([("ids", ids.into())]);
    let requests = ["delete_circles", "delete_polygons", "delete_routes"]
        .map(|message| request(message, body.clone()));
    Ok(requests.into())
}

fn request(message: &str, body: Object) -> CommandRequest {
    CommandRequest {
        message: message.to_owned(),
        body: Some(body),
        ..CommandRequest::default()
    }
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Object {
    let field = |(name, value): (&str, Value)| (name.to_owned(), value);
    fields.into_iter().map(field).collect()
}

fn fence<'a>(catalog: &'a Catalog, id: &str) -> Result<&'a Fence, AreaError> {
    let number = area_id(id);
    let of_number = |fence: &&Fence| area_id(&fence.id) == number;
    let mut same = catalog
        .fences()
        .iter()
        .map(|fence| &**fence)
        .filter(of_number);
    match (same.next(), same.next()) {
        (Some(fence), None) if fence.id == id => Ok(fence),
        (Some(_), Some(_)) => Err(AreaError::SameNumber(id.to_owned(), number)),
        _ => Err(AreaError::Unknown(id.to_owned())),
    }
}

fn set_one(fence: &Fence, feature: &Feature) -> Result<CommandRequest, AreaError> {
    let id = || fence.id.clone();
    let none = AreaAttributes::default();
    let attributes = match fence.kind {
        FenceKind::StayIn => none
            .with(AreaAttributes::EXIT_TO_DRIVER, true)
            .with(AreaAttributes::EXIT_TO_PLATFORM, true),
        FenceKind::KeepOut => none
            .with(AreaAttributes::ENTRY_TO_DRIVER, true)
            .with(AreaAttributes::ENTRY_TO_PLATFORM, true),
        FenceKind::SpeedLimit | FenceKind::NoStop => none,
        FenceKind::Site => none
            .with(AreaAttributes::ENTRY_TO_PLATFORM, true)
            .with(AreaAttributes::EXIT_TO_PLATFORM, true),
    };
    let mut area = object([
        ("id", area_id(&fence.id).into()),
        ("attr", attributes.0.into()),
    ]);
    let period = period(&feature.properties.windows).ok_or_else(|| AreaError::Windows(id()))?;
    if let Some((from, to)) = period {
        area.insert("start_bcd".to_owned(), from.into());
        area.insert("end_bcd".to_owned(), to.into());
    }
    let limit = fence
        .speed_limit_kmh
        .filter(|_| fence.kind == FenceKind::SpeedLimit);
    let limit = limit.map(|limit| {
        [
            ("max_speed_kmh".to_owned(), metres(limit.floor())),
            ("overspeed_s".to_owned(), OVERSPEED_S.into()),
        ]
    });
    let limit = || limit.clone().into_iter().flatten();
    match &feature.geometry {
        Geometry::Point(center) => {
            area.extend(place(center));
            area.insert("radius_m".to_owned(), metres(feature.properties.radius_m));
            area.extend(limit());
            let body = object([("op", ADD.into()), ("areas", json!([area]))]);
            Ok(request("set_circles", body))
        }
        Geometry::Polygon(rings) => {
            let [ring] = rings.as_slice() else {
                return Err(AreaError::Holes(id()));
            };
            // The last one is the first one again.
            let vertices: Vec<Object> = ring.iter().skip(1).map(|vertex| place(vertex)).collect();
            area.insert("vertices".to_owned(), json!(vertices));
            area.extend(limit());
            Ok(request("set_polygon", area))
        }
        Geometry::LineString(line) => {
            let width = feature.properties.width_m;
            if width > ROUTE_WIDTH_MAX_M {
                return Err(AreaError::TooWide(id()));
            }
            let points = (1_u32..).zip(line).map(|(number, vertex)| {
                let mut point = place(vertex);
                point.extend(object([
                    ("point_id", number.into()),
                    ("section_id", number.into()),
                    ("width_m", metres(width)),
                ]));
                point.extend(limit());
                point
            });
            area.insert("points".to_owned(), json!(points.collect::<Vec<_>>()));
            Ok(request("set_route", area))
        }
    }
}

fn place(position: &[f64]) -> Object {
    let degrees = |index: usize| position.get(index).copied().into();
    object([("lat", degrees(1)), ("lon", degrees(0))])
}

/// A whole number; the catalog has checked its range.
fn metres(value: f64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the catalog allows 1 to 50,000"
    )]
    let whole = value.round() as u32;
    whole.into()
}

/// The one window of every day, as `00-00-00-hh-mm-ss`: `Some(None)` for always, `None` for what
/// cannot be said.
fn period(windows: &[Window]) -> Option<Option<(String, String)>> {
    let window = match windows {
        [] => return Some(None),
        [window] => window,
        _ => return None,
    };
    if window.days.as_ref().is_some_and(|days| days.len() < 7) {
        return None;
    }
    let time = |text: &str| match text.replace(':', "").as_str() {
        // The end of a day is the last second that a terminal can say.
        "2400" => "000000235959".to_owned(),
        digits => format!("000000{digits}00"),
    };
    Some(Some((time(&window.from), time(&window.to))))
}

#[cfg(test)]
mod tests {
    use geofence::catalog::CatalogSources;
    use protocols::jt808::{
        Revision,
        message::{Message, MessageId},
    };

    use super::*;

    fn feature(id: &str, properties: &str, geometry: &str) -> String {
        format!(
            r#"{{"type":"Feature","properties":{{"id":"{id}",{properties}}},"geometry":{geometry}}}"#
        )
    }

    fn catalog() -> Catalog {
        const SQUARE: &str = "[[112.5,37.8],[112.6,37.8],[112.6,37.9],[112.5,37.9],[112.5,37.8]]";
        const HOLE: &str =
            "[[112.54,37.84],[112.54,37.86],[112.56,37.86],[112.56,37.84],[112.54,37.84]]";
        let polygon = |rings: &str| format!(r#"{{"type":"Polygon","coordinates":[{rings}]}}"#);
        let line = r#"{"type":"LineString","coordinates":[[112.5,37.8],[112.6,37.8]]}"#;
        let features = [
            feature(
                "depot",
                r#""kind":"site","radius_m":120"#,
                r#"{"type":"Point","coordinates":[112.5,37.8]}"#,
            ),
            feature(
                "river",
                r#""kind":"keep_out","windows":[{"from":"22:00","to":"05:00"}]"#,
                &polygon(SQUARE),
            ),
            feature("route", r#""kind":"stay_in","width_m":40"#, line),
            feature("avenue", r#""kind":"stay_in","width_m":400"#, line),
            feature(
                "ring",
                r#""kind":"keep_out""#,
                &polygon(&format!("{SQUARE},{HOLE}")),
            ),
            feature(
                "school",
                r#""kind":"speed_limit","speed_limit_kmh":30,"windows":[{"days":["mon"],"from":"07:00","to":"08:00"}]"#,
                &polygon(SQUARE),
            ),
            feature(
                "zone",
                r#""kind":"speed_limit","speed_limit_kmh":30"#,
                &polygon(SQUARE),
            ),
        ];
        let text = format!(
            r#"{{"type":"FeatureCollection","features":[{}]}}"#,
            features.join(",")
        );
        let sources = CatalogSources {
            fences: Some(("fences.geojson".to_owned(), text)),
            ..CatalogSources::default()
        };
        Catalog::load(&sources).unwrap()
    }

    fn body(fence: &str) -> (String, Object) {
        let request = set(&catalog(), &[fence.to_owned()]).unwrap().remove(0);
        let body = request.body.unwrap();
        let id = MessageId::of_name(&request.message).unwrap();
        let message = Message::from_json(id, body.clone()).unwrap();
        for revision in [Revision::V2013, Revision::V2019] {
            assert!(message.encode(revision).is_ok(), "{fence}");
        }
        (request.message, body)
    }

    #[test]
    fn each_shape_has_its_message() {
        let (message, circle) = body("depot");
        let id = area_id("depot");
        assert_eq!(message, "set_circles");
        let area = json!({"id": id, "attr": 0x28, "lat": 37.8, "lon": 112.5, "radius_m": 120});
        assert_eq!(Value::Object(circle), json!({"op": 1, "areas": [area]}));
        let (message, polygon) = body("river");
        assert_eq!(message, "set_polygon");
        assert_eq!(polygon["attr"], 0x0C);
        assert_eq!(polygon["start_bcd"], "000000220000");
        assert_eq!(polygon["end_bcd"], "000000050000");
        assert_eq!(polygon["vertices"].as_array().unwrap().len(), 4);
        let (message, route) = body("route");
        assert_eq!(message, "set_route");
        assert_eq!(route["points"][1]["section_id"], 2);
        assert_eq!(route["points"][1]["width_m"], 40);
        assert_eq!(body("zone").1["max_speed_kmh"], 30);
    }

    #[test]
    fn what_a_terminal_cannot_know_is_refused() {
        let refused = |fence: &str| set(&catalog(), &[fence.to_owned()]).unwrap_err();
        assert_eq!(refused("avenue"), AreaError::TooWide("avenue".to_owned()));
        assert_eq!(refused("ring"), AreaError::Holes("ring".to_owned()));
        assert_eq!(refused("school"), AreaError::Windows("school".to_owned()));
        assert_eq!(refused("nowhere"), AreaError::Unknown("nowhere".to_owned()));
        let forget = delete(&catalog(), &["river".to_owned()]).unwrap();
        let messages: Vec<_> = forget
            .iter()
            .map(|request| request.message.as_str())
            .collect();
        assert_eq!(
            messages,
            ["delete_circles", "delete_polygons", "delete_routes"]
        );
    }
}
