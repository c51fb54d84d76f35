use super::super::{Catalog, CatalogSources};
use super::*;
use crate::units::Timestamp;

const VEHICLES: &str = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
    V1,13800000001,A1,sweeper,F1,,\nV2,13800000002,,refuse_truck,F2,,\n";
const SITE: &str = r#"{"type":"Feature","properties":{"id":"depot","kind":"site","radius_m":50},
    "geometry":{"type":"Point","coordinates":[112.55,37.87]}}"#;
const LINE: &str = r#""type":"LineString","coordinates":[[112.55,37.87],[112.56,37.87]]"#;

fn route(properties: &str, geometry: &str) -> String {
    format!(r#"{{"type":"Feature","properties":{{{properties}}},"geometry":{{{geometry}}}}}"#)
}

fn sources(routes: &[String]) -> CatalogSources {
    let collection =
        |features: &str| format!(r#"{{"type":"FeatureCollection","features":[{features}]}}"#);
    CatalogSources {
        fences: Some(("fences.geojson".to_owned(), collection(SITE))),
        routes: Some(("routes.geojson".to_owned(), collection(&routes.join(",")))),
        vehicles: Some(("vehicles.csv".to_owned(), VEHICLES.to_owned())),
        ..CatalogSources::default()
    }
}

#[test]
fn a_route_has_segments_strips_points_and_those_who_drive_it() {
    let all = r#""id":"R1","name":"East","version":3,"applies_to":{"vehicles":["V1"]},
        "windows":[{"days":["mon"],"from":"22:00","to":"05:00"}],"passes":2,"width_m":40,
        "segments":[{"name":"a","side":"both"},{"direction":"forward","passes":1}],
        "points":[{"id":"p1","at":[112.553,37.8701],"from":"23:00","to":"01:00"},
                  {"id":"p2","at":[112.555,37.87],"mandatory":false,"stay_s":5,"radius_m":10}],
        "exempt_sites":["depot"]"#;
    let lines = r#""type":"MultiLineString","coordinates":[[[112.55,37.87],[112.555,37.87]],
        [[112.57,37.87],[112.58,37.87]]]"#;
    let catalog = Catalog::load(&sources(&[route(all, lines)])).unwrap();
    let [route] = catalog.routes() else {
        panic!("{:?}", catalog.routes())
    };
    assert_eq!((route.id.as_str(), route.version), ("R1", 3));
    let strips: Vec<_> = route
        .strips
        .iter()
        .map(|s| (s.segment, s.kerb, s.passes, s.is_one_way, s.bins.len()))
        .collect();
    // 0.005 degrees are 439 m here, 0.01 are 878 m: the last piece of each is shorter.
    let expected = [
        (0, Some(Kerb::Left), 2, false, 88),
        (0, Some(Kerb::Right), 2, false, 88),
        (1, None, 1, true, 176),
    ];
    assert_eq!(strips, expected);
    assert_eq!(route.bins(), 352);
    assert!(!route.segments[1].is_joined);
    assert!((route.parameters.half_width_mm - 20e3).abs() < 1e-9);
    assert_eq!(
        (route.points[1].stay_ms, route.points[1].is_mandatory),
        (5_000, false)
    );
    assert!(route.is_exempt("depot") && !route.is_exempt("other"));
    // Where one segment ends and the next is elsewhere, the route may be left.
    assert!(route.to_an_end_mm(route.segments[0].end_mm + 1e3) < 2e3);
    let (lat, lon) = route.place_at(route.segments[1].start_mm, false).unwrap();
    assert_eq!((lat.degrees(), lon.degrees()), (37.87, 112.57));
    let (lat, lon) = route.place_at(route.segments[0].end_mm, true).unwrap();
    assert_eq!((lat.degrees(), lon.degrees()), (37.87, 112.555));
    let drives = |phone: &str| {
        let vehicle = catalog.vehicle_of(&phone.parse().unwrap());
        catalog.audience_of(vehicle).routes().len()
    };
    assert_eq!((drives("13800000001"), drives("13800000002")), (1, 0));
    assert_eq!(catalog.audience_of(None).routes().len(), 0);
    assert_eq!(catalog.bounds_degrees().map(|b| b[2]), Some(112.58));
    // 22:00 on Monday 2026-01-05; the hours of the point are an hour later.
    let from = Timestamp(1_767_621_600_000);
    let window = route.points[0].window(from, from.plus_millis(7 * 3_600_000));
    let hours = |at: Timestamp| at.millis_since(from) / 3_600_000;
    assert_eq!((hours(window.0), hours(window.1)), (1, 3));
}

#[test]
fn every_mistake_of_a_route_is_named() {
    let zero = route(
        r#""id":"zero","applies_to":{"fleets":["F1"]}"#,
        r#""type":"LineString","coordinates":[[112.55,37.87],[112.55,37.87]]"#,
    );
    let nobody = route(r#""id":"a/b","color":1"#, LINE);
    let many = r#""id":"many","applies_to":{"fleets":["F9"]},"side":"middle","direction":"back",
        "passes":0,"segments":[{"sides":1},{}],"in_order":1,"checks":["speed"],
        "windows":[{"from":"06:00","to":"10:00"},{"from":"09:00","to":"12:00"}],
        "speed_min_kmh":20,"exempt_sites":["nowhere"]"#;
    let points = r#""id":"points","applies_to":{"fleets":["F1"]},
        "windows":[{"from":"06:00","to":"10:00"}],
        "points":[{"id":"p","at":[112.555,37.88]},{"id":"p","at":[37.87,112.55]},{"at":[1]},7,
                  {"id":"q","at":[112.555,37.87],"from":"05:00","to":"07:00","mandatory":"yes"},
                  {"id":"r","at":[112.555,37.87],"from":"07:00"}]"#;
    let polygon = route(
        r#""id":"polygon","applies_to":{"fleets":["F1"]},"checks":["points"],"fail_percent":99"#,
        r#""type":"Polygon","coordinates":[]"#,
    );
    let long = route(
        r#""id":"long","applies_to":{"fleets":["F1"]}"#,
        r#""type":"LineString","coordinates":[[112.55,37.87],[115.55,37.87]]"#,
    );
    let load = |routes: &[String]| -> Vec<String> {
        let mistakes = Catalog::load(&sources(routes)).err().unwrap_or_default();
        mistakes.iter().map(ToString::to_string).collect()
    };
    let found = load(&[zero, nobody, route(many, LINE), polygon, long]);
    let expected = [
        "feature 0 \"zero\": route: it has no length",
        "feature 1 \"a/b\": unknown property \"color\"",
        "feature 1 \"a/b\": property \"id\": \"a/b\" is not an id without \"/\"",
        "feature 1 \"a/b\": property \"applies_to\" is missing",
        "feature 2 \"many\": applies_to: there is no fleet \"F9\"",
        "feature 2 \"many\": property \"side\": \"middle\" is not one of any, left, right, both",
        "feature 2 \"many\": property \"direction\": \"back\" is not one of forward, any",
        "feature 2 \"many\": property \"passes\": 0 is not a number from 1 to 20",
        "feature 2 \"many\": unknown property \"sides\"",
        "feature 2 \"many\": route: 2 segments, but 1 lines",
        "feature 2 \"many\": property \"in_order\": 1 is not true or false",
        "feature 2 \"many\": property \"checks\": [\"speed\"] is not an array of deviation",
        "feature 2 \"many\": window 1: it overlaps window 0",
        "feature 2 \"many\": route: speed_min_kmh is not below speed_max_kmh",
        "feature 2 \"many\": route: exempt_sites: there is no fence of kind site \"nowhere\"",
        "feature 3 \"polygon\": geometry Polygon; possible are LineString",
        "feature 3 \"polygon\": route: checks has \"points\", but there are none",
        "feature 3 \"polygon\": route: fail_percent is above good_percent",
        "feature 4 \"long\": route: it is 2633",
    ];
    for expected in expected {
        let expected = format!("routes.geojson: {expected}");
        assert!(
            found.iter().any(|m| m.starts_with(&expected)),
            "{expected}\n{found:#?}"
        );
    }
    let found = load(&[route(points, LINE)]);
    let expected = [
        "point \"p\" is there twice",
        "points[1]: \"at\": [37.87,112.55] looks like [latitude, longitude]",
        "points[2]: \"id\" is missing",
        "points[2]: \"at\": [1] is not [longitude, latitude]",
        "property \"points[3]\": 7 is not an object",
        "points[4]: its window is not within each window of the route",
        "property \"points[4].mandatory\": \"yes\" is not true or false",
        "points[5]: \"from\" and \"to\" go together",
        "points[0]: it lies 1112 m from the line of the route; at most 200 m",
    ];
    for expected in expected {
        let expected = format!("routes.geojson: feature 0 \"points\": {expected}");
        assert!(
            found.iter().any(|m| m.starts_with(&expected)),
            "{expected}\n{found:#?}"
        );
    }
}

#[test]
fn a_segment_without_length_is_refused_and_named() {
    let lines = r#""type":"MultiLineString","coordinates":[[[112.55,37.87],[112.56,37.87]],
        [[112.56,37.87],[112.56,37.87]]]"#;
    let properties = r#""id":"R","applies_to":{"fleets":["F1"]}"#;
    let mistakes = Catalog::load(&sources(&[route(properties, lines)])).unwrap_err();
    let found: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        ["routes.geojson: feature 0 \"R\": segments[1]: it is shorter than 1 m"]
    );
}

#[test]
fn an_edit_of_a_route_changes_its_fingerprint_and_its_name_does_not() {
    let load = |width: u32, name: &str| {
        let properties = format!(
            r#""id":"R","applies_to":{{"fleets":["F1"]}},"width_m":{width},"name":"{name}""#
        );
        let catalog = Catalog::load(&sources(&[route(&properties, LINE)])).unwrap();
        (catalog.version(), catalog.routes()[0].fingerprint)
    };
    let (a, b, renamed) = (load(40, "x"), load(50, "x"), load(40, "y"));
    assert_ne!(a.0, b.0);
    assert_ne!(a.1, b.1);
    assert_eq!(a.1, renamed.1);
}

#[test]
fn segments_have_limits_of_their_own_or_that_of_the_route() {
    let all = r#""id":"R1","applies_to":{"vehicles":["V1"]},"speed_limit_kmh":40,"priority":2,
        "unknown_work":"idle","segments":[{"speed_limit_kmh":20,"priority":3},{}]"#;
    let lines = r#""type":"MultiLineString","coordinates":[[[112.55,37.87],[112.555,37.87]],
        [[112.57,37.87],[112.58,37.87]]]"#;
    let catalog = Catalog::load(&sources(&[route(all, lines)])).unwrap();
    let route_of = &catalog.routes()[0];
    let limits: Vec<_> = route_of
        .segments
        .iter()
        .map(|s| (s.speed_limit_kmh, s.priority))
        .collect();
    assert_eq!(limits, [(Some(20.0), 3), (Some(40.0), 2)]);
    assert_eq!(route_of.unknown_work, UnknownSweep::Idle);
    let wrong = r#""id":"R1","applies_to":{"vehicles":["V1"]},"speed_limit_kmh":0,
        "unknown_work":"off","segments":[{"priority":"high"}]"#;
    let mistakes = Catalog::load(&sources(&[route(wrong, LINE)])).unwrap_err();
    let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    for key in ["unknown_work", "speed_limit_kmh", "segments[0].priority"] {
        let is_it = |line: &String| line.contains(&format!("property \"{key}\""));
        assert!(mistakes.iter().any(is_it), "{key}: {mistakes:#?}");
    }
}
