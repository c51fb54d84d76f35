use super::*;

const GRID: &str = r#"{"type":"Feature","properties":{"code":"140105001001001","name":"a"},
    "geometry":{"type":"Polygon","coordinates":[[[112.55,37.87],[112.551,37.87],[112.551,37.871],
    [112.55,37.871],[112.55,37.87]]]}}"#;
const VEHICLES: &str = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
    V1,013800000001,晋A1,sweeper,F1,,60\nV2,13800000002,,refuse_truck,F2,,\n";

fn collection(features: &[&str]) -> String {
    format!(
        r#"{{"type":"FeatureCollection","features":[{}]}}"#,
        features.join(",")
    )
}

fn sources(grids: &[&str], fences: &[&str], vehicles: &str) -> CatalogSources {
    CatalogSources {
        unit_grids: Some(("grids.geojson".to_owned(), collection(grids))),
        fences: Some(("fences.geojson".to_owned(), collection(fences))),
        vehicles: Some(("vehicles.csv".to_owned(), vehicles.to_owned())),
        ..CatalogSources::default()
    }
}

fn fence(properties: &str, geometry: &str) -> String {
    format!(r#"{{"type":"Feature","properties":{{{properties}}},"geometry":{{{geometry}}}}}"#)
}

fn polygon(ring: &str) -> String {
    format!(r#""type":"Polygon","coordinates":[[{ring}]]"#)
}

const SQUARE: &str = "[112.55,37.87],[112.56,37.87],[112.56,37.88],[112.55,37.88],[112.55,37.87]";

fn mistakes(sources: &CatalogSources) -> Vec<String> {
    Catalog::load(sources)
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn place(lat: f64, lon: f64) -> (Latitude, Longitude) {
    (
        Latitude::from_degrees(lat).unwrap(),
        Longitude::from_degrees(lon).unwrap(),
    )
}

#[test]
fn a_good_catalog_answers_where_and_whom() {
    let all = fence(r#""id":"all","kind":"keep_out""#, &polygon(SQUARE));
    let some = fence(
        r#""id":"some","kind":"stay_in","applies_to":{"fleets":["F2"]},"dwell_s":90"#,
        &polygon(SQUARE),
    );
    let catalog = Catalog::load(&sources(&[GRID], &[&all, &some], VEHICLES)).unwrap();
    let (lat, lon) = place(37.8705, 112.5505);
    assert_eq!(
        catalog.grid_at(lat, lon).map(|grid| grid.code.as_str()),
        Some("140105001001001")
    );
    assert_eq!(catalog.grid_at(lat, place(0.0, 112.5515).1), None);
    let vehicle = catalog.vehicle_of(&"13800000001".parse().unwrap()).unwrap();
    assert_eq!(
        (vehicle.id.as_str(), vehicle.work_kind.as_str()),
        ("V1", "sweeper")
    );
    let other = catalog.vehicle_of(&"13800000002".parse().unwrap());
    assert_eq!(catalog.audience_of(Some(vehicle)).stay_in(), [] as [u32; 0]);
    assert_eq!(catalog.audience_of(other).stay_in(), [1]);
    assert!(
        catalog.audience_of(None).is_concerned(0) && !catalog.audience_of(None).is_concerned(1)
    );
    assert_eq!(catalog.fences()[1].parameters.dwell_ms, Some(90_000));
    let [west, south, east, north] = catalog.bounds_degrees().unwrap();
    assert_eq!((west, south, east, north), (112.55, 37.87, 112.56, 37.88));
}

#[test]
fn an_edit_changes_the_version_and_the_fingerprint_of_that_fence_only() {
    let load = |limit: u32, name: &str| {
        let properties = format!(
            r#""id":"slow","kind":"speed_limit","speed_limit_kmh":{limit},"name":"{name}""#
        );
        let other = fence(r#""id":"other","kind":"site""#, &polygon(SQUARE));
        let slow = fence(&properties, &polygon(SQUARE));
        Catalog::load(&sources(&[], &[&slow, &other], VEHICLES)).unwrap()
    };
    let (a, b, renamed) = (load(20, "x"), load(30, "x"), load(20, "y"));
    let of = |catalog: &Catalog, index: usize| catalog.fences()[index].fingerprint;
    assert_ne!(a.version(), b.version());
    assert_ne!(of(&a, 0), of(&b, 0));
    assert_eq!(of(&a, 1), of(&b, 1));
    assert_eq!(of(&a, 0), of(&renamed, 0));
}

#[test]
fn every_mistake_of_every_text_is_named_at_once_with_its_place() {
    let swapped = fence(
        r#""id":"a","kind":"keep_out""#,
        &polygon("[37.87,112.55],[37.88,112.55],[37.88,112.56],[37.87,112.55]"),
    );
    let open = fence(
        r#""id":"b","kind":"keepout","speed":1"#,
        &polygon("[112.55,37.87],[112.56,37.87],[112.56,37.88]"),
    );
    let bow_tie = fence(
        r#""id":"a","kind":"speed_limit","windows":[{"days":["mon"],"from":"7","to":"08:00"}]"#,
        &polygon("[112.55,37.87],[112.56,37.88],[112.56,37.87],[112.55,37.88],[112.55,37.87]"),
    );
    let circle = fence(
        r#""id":"c","kind":"site","applies_to":{"fleets":["F9"],"crews":[]},"width_m":5"#,
        r#""type":"Point","coordinates":[200.0,37.87]"#,
    );
    let vehicles = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
        V1,13800000001,,tank,F1,,60\nV2,x,,sweeper,F1,,fast\nV3,1\nV1,13800000001,,sweeper,F1,,\n\
        V1,13800000001,,sweeper,F1,,\n";
    let short = GRID.replace("140105001001001", "1401050010");
    let found = mistakes(&sources(
        &[GRID, GRID, &short],
        &[&swapped, &open, &bow_tie, &circle],
        vehicles,
    ));
    let expected = [
        "vehicles.csv: line 2: property \"work_kind\": \"tank\" is not one of",
        "vehicles.csv: line 3: property \"phone\"",
        "vehicles.csv: line 3: property \"speed_limit_kmh\"",
        "vehicles.csv: line 4: 2 fields, but 7 columns",
        "vehicles.csv: line 6: vehicle \"V1\" is there twice; first in line 5",
        "vehicles.csv: line 6: phone \"13800000001\" is there twice",
        "grids.geojson: feature 1 \"140105001001001\": code \"140105001001001\" is there twice; first in feature 0",
        "grids.geojson: feature 2 \"1401050010\": code \"1401050010\" must have 15 or 14 digits",
        "grids.geojson: feature 1 \"140105001001001\": overlaps",
        "fences.geojson: feature 0 \"a\": vertex 0 of ring 0: [37.87,112.55] looks like [latitude, longitude]",
        "fences.geojson: feature 1 \"b\": unknown property \"speed\"",
        "fences.geojson: feature 1 \"b\": property \"kind\": \"keepout\" is not one of stay_in",
        "fences.geojson: feature 1 \"b\": ring 0 is not closed",
        "fences.geojson: feature 2 \"a\": id \"a\" is there twice; first in feature 0",
        "fences.geojson: feature 2 \"a\": property \"speed_limit_kmh\" is missing",
        "fences.geojson: feature 2 \"a\": window 0: \"from\" must be",
        "fences.geojson: feature 3 \"c\": unknown property \"crews\"",
        "fences.geojson: feature 3 \"c\": applies_to: there is no fleet \"F9\"",
        "fences.geojson: feature 3 \"c\": property \"radius_m\" is missing",
        "fences.geojson: feature 3 \"c\": property \"width_m\" belongs to",
        "fences.geojson: feature 3 \"c\": vertex 0 of ring 0: [200.0,37.87] is outside the earth",
    ];
    for expected in expected {
        assert!(
            found.iter().any(|m| m.starts_with(expected)),
            "{expected}\n{found:#?}"
        );
    }
    // A kind that nobody knows hides the geometry of its fence; the rest stands.
    let crossing = fence(
        r#""id":"d","kind":"site""#,
        &polygon("[112.55,37.87],[112.56,37.88],[112.56,37.87],[112.55,37.88],[112.55,37.87]"),
    );
    let found = mistakes(&sources(&[], &[&crossing], VEHICLES));
    assert_eq!(
        found,
        [
            "fences.geojson: feature 0 \"d\": ring 0: it crosses or touches itself: side 0 and side 2"
        ]
    );
}

#[test]
fn texts_that_are_no_geojson_are_named() {
    let mut broken = sources(&[], &[], VEHICLES);
    broken.unit_grids = Some(("grids.geojson".to_owned(), "{".to_owned()));
    broken.fences = Some(("fences.geojson".to_owned(), "[1e999]".to_owned()));
    let found = mistakes(&broken);
    assert_eq!(found.len(), 2, "{found:?}");
    broken.fences = Some((
        "fences.geojson".to_owned(),
        r#"{"type":"Feature"}"#.to_owned(),
    ));
    assert!(mistakes(&broken)[1].contains("no GeoJSON FeatureCollection"));
}

#[test]
fn a_feature_with_too_many_vertices_is_refused_before_it_is_looked_at() {
    let ring = vec!["[112.55,37.87]"; 5_001].join(",");
    let found = mistakes(&sources(
        &[],
        &[&fence(r#""id":"a","kind":"site""#, &polygon(&ring))],
        VEHICLES,
    ));
    assert_eq!(
        found,
        ["fences.geojson: feature 0 \"a\": 5001 vertices; at most 5000 are allowed"]
    );
}

#[test]
fn unit_grids_that_share_a_side_do_not_overlap_and_those_that_share_ground_do() {
    let shifted = |east: f64, code: &str| {
        let x = |value: f64| value + east;
        GRID.replace("140105001001001", code)
            .replace("112.551", &format!("{:.6}", x(112.551)))
            .replace("112.55,", &format!("{:.6},", x(112.55)))
    };
    let beside = shifted(0.001, "140105001001002");
    assert_eq!(
        mistakes(&sources(&[GRID, &beside], &[], VEHICLES)),
        [] as [&str; 0]
    );
    let over = shifted(0.0005, "140105001001003");
    let found = mistakes(&sources(&[GRID, &over], &[], VEHICLES));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("feature 1 \"140105001001003\": overlaps \"140105001001001\" by"));
    let same = shifted(0.0, "140105001001004");
    assert_eq!(mistakes(&sources(&[GRID, &same], &[], VEHICLES)).len(), 1);
}

#[test]
fn codes_must_begin_with_a_county_of_the_city_where_those_are_given() {
    let mut sources = sources(&[GRID], &[], VEHICLES);
    sources.counties = vec!["140106".to_owned()];
    let found = mistakes(&sources);
    assert!(
        found[0].contains("does not begin with a county of the city: 140106"),
        "{found:?}"
    );
}
