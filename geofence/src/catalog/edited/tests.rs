use proptest::prelude::*;

use super::*;
use crate::geometry::Point;

const VEHICLES: &str = "vehicle,phone,work_kind,fleet\nV1,13800000001,sweeper,F1\n\
    V2,13800000002,refuse_truck,F2\nV3,13800000003,sweeper,F2\n";
const FRAME: &str = r#"{"type":"Feature","properties":{"id":"frame","kind":"stay_in"},
    "geometry":{"type":"Polygon","coordinates":[[[112.54,37.86],[112.56,37.86],[112.56,37.88],
    [112.54,37.88],[112.54,37.86]]]}}"#;
const GRID: &str = r#"{"type":"Feature","properties":{"code":"140105001001001","name":"a"},
    "geometry":{"type":"Polygon","coordinates":[[[112.55,37.87],[112.551,37.87],[112.551,37.871],
    [112.55,37.871],[112.55,37.87]]]}}"#;
const ROUTE: &str = r#"{"type":"Feature","properties":{"id":"R","applies_to":{"vehicles":["V1"]},
    "exempt_sites":["f3"]},
    "geometry":{"type":"LineString","coordinates":[[112.55,37.87],[112.555,37.87]]}}"#;

fn collection(features: &[String]) -> String {
    format!(
        "{{\"type\":\"FeatureCollection\",\"features\":[\n{}\n]}}",
        features.join(",\n")
    )
}

fn sources(fences: &str, routes: &[String]) -> CatalogSources {
    let named = |text: &str| Some((String::from("text"), text.to_owned()));
    CatalogSources {
        unit_grids: named(&collection(&[GRID.to_owned()])),
        fences: named(fences),
        routes: named(&collection(routes)),
        vehicles: named(VEHICLES),
        ..CatalogSources::default()
    }
}

/// A fence within the frame.
fn fence(id: u32, shape: u8, kind: u8, (x, y): (u32, u32), size: u32) -> String {
    let degrees = |x: u32, y: u32| {
        let lon = 112.541 + f64::from(x) * 1e-6;
        format!("[{lon:.6},{:.6}]", 37.861 + f64::from(y) * 1e-6)
    };
    let (geometry, property) = match shape % 3 {
        0 => {
            let corners = [(0, 0), (size, 0), (size + 300, size), (0, size), (0, 0)];
            let ring = corners.map(|(dx, dy)| degrees(x + dx, y + dy)).join(",");
            (
                format!(r#""Polygon","coordinates":[[{ring}]]"#),
                String::new(),
            )
        }
        1 => (
            format!(r#""Point","coordinates":{}"#, degrees(x, y)),
            format!(r#","radius_m":{}"#, size / 20 + 1),
        ),
        _ => (
            format!(
                r#""LineString","coordinates":[{},{}]"#,
                degrees(x, y),
                degrees(x + size, y + 500)
            ),
            format!(r#","width_m":{}"#, size / 20 + 1),
        ),
    };
    let (kind, whom) = match kind % 5 {
        0 => ("stay_in", r#","applies_to":{"fleets":["F2"]}"#),
        1 => ("keep_out", ""),
        2 => (
            "no_stop",
            r#","applies_to":{"vehicles":["V1"],"work_kinds":["sweeper"]}"#,
        ),
        3 => ("stay_in", r#","applies_to":{"work_kinds":["sweeper"]}"#),
        _ => ("site", ""),
    };
    format!(
        r#"{{"type":"Feature","properties":{{"id":"f{id}","kind":"{kind}"{whom}{property}}},
        "geometry":{{"type":{geometry}}}}}"#
    )
}

fn found(catalog: &Catalog, point: Point) -> Vec<u32> {
    let mut found = Vec::new();
    catalog.fences_at(point, |index| found.push(index));
    found.sort_unstable();
    found
}

/// Everything that anybody can ask is the same.
fn check(edited: &Catalog, fresh: &Catalog, points: &[Point]) {
    assert_eq!(edited.version(), fresh.version());
    assert_eq!(edited.plane(), fresh.plane());
    assert_eq!(edited.bounds, fresh.bounds);
    assert_eq!(
        format!("{:?}", edited.fences()),
        format!("{:?}", fresh.fences())
    );
    assert_eq!(edited.by_fingerprint, fresh.by_fingerprint);
    assert_eq!(edited.fences_geojson(), fresh.fences_geojson());
    assert_eq!(edited.texts.fence_places, fresh.texts.fence_places);
    for (own, other) in edited.vehicles().iter().zip(fresh.vehicles()) {
        assert_eq!(
            edited.audience_of(Some(own)),
            fresh.audience_of(Some(other))
        );
    }
    assert_eq!(edited.audience_of(None), fresh.audience_of(None));
    for point in points {
        assert_eq!(found(edited, *point), found(fresh, *point), "{point:?}");
        let holding = (0_u32..).zip(edited.fences());
        let holding = holding.filter(|(_, fence)| fence.shape.contains(*point));
        let holding: Vec<u32> = holding.map(|(index, _)| index).collect();
        assert_eq!(found(edited, *point), holding, "{point:?}");
    }
}

fn points() -> impl Strategy<Value = Vec<Point>> {
    let point = (-900_000..900_000_i32, -1_100_000..1_100_000_i32);
    proptest::collection::vec(point.prop_map(|(x, y)| Point { x, y }), 60)
}

proptest! {
    #[test]
    fn an_edited_catalog_is_the_one_that_is_read_anew(
        first in proptest::collection::vec((0..5_u8, 0..5_u8, 0..12_000_u32, 0..12_000_u32, 100..5_000_u32), 0..12),
        edits in proptest::collection::vec(
            (0..16_u32, 0..4_u8, 0..5_u8, (0..12_000_u32, 0..12_000_u32), 100..5_000_u32), 1..10),
        points in points(),
    ) {
        let mut features = vec![FRAME.to_owned()];
        features.extend((0..).zip(&first).map(|(id, (shape, kind, x, y, size))| {
            fence(id, *shape, *kind, (*x, *y), *size)
        }));
        let mut text = collection(&features);
        let mut catalog = Catalog::load(&sources(&text, &[])).unwrap();
        for (id, shape, kind, place, size) in edits {
            let feature = fence(id, shape, kind, place, size);
            // One in four takes the fence away.
            let feature = (shape < 3).then_some(&*feature);
            let Some(edited) = catalog.fence_text_with(&format!("f{id}"), feature) else {
                assert!(feature.is_none(), "only what is not there cannot be taken away");
                continue;
            };
            text = edited;
            let edited = catalog.with_fences(&text).unwrap();
            let fresh = Catalog::load(&sources(&text, &[])).unwrap();
            check(&edited, &fresh, &points);
            catalog = edited;
        }
    }
}

#[test]
fn a_grown_overlay_is_merged_into_the_raster() {
    let mut catalog = Catalog::load(&sources(&collection(&[FRAME.to_owned()]), &[])).unwrap();
    let points: Vec<Point> = (-40..40)
        .map(|step| Point {
            x: step * 20_000,
            y: step * 25_000,
        })
        .collect();
    let mut overlaid = Vec::new();
    for id in 0..=u32::try_from(CHANGED_MAX).unwrap() {
        let feature = fence(id, 1, 1, (id * 40, id * 40), 900);
        let text = catalog.fence_text_with("new", Some(&feature)).unwrap();
        catalog = catalog.with_fences(&text).unwrap();
        overlaid.push(catalog.fence_index.overlaid());
        if let Some(merged) = catalog.merged() {
            assert!(overlaid.len() >= 64);
            assert_eq!(merged.fence_index.overlaid(), 0);
            assert!(merged.merged().is_none());
            check(&merged, &catalog, &points[..5]);
        } else {
            assert!(overlaid.len() < 64 || overlaid.last() == Some(&0));
        }
    }
    assert_eq!(overlaid.pop(), Some(0));
    assert_eq!(overlaid.pop(), Some(CHANGED_MAX));
    let fresh = Catalog::load(&sources(catalog.fences_geojson(), &[])).unwrap();
    check(&catalog, &fresh, &points);
}

#[test]
fn what_is_not_plain_is_read_anew_with_the_same_mistakes() {
    let site = fence(3, 1, 4, (5_000, 5_000), 900);
    let other = fence(4, 1, 1, (6_000, 6_000), 900);
    let routes = [ROUTE.to_owned()];
    let text = collection(&[FRAME.to_owned(), site.clone(), other]);
    let catalog = Catalog::load(&sources(&text, &routes)).unwrap();
    let far = fence(5, 1, 1, (50_000, 5_000), 900);
    let twice = collection(&[FRAME.to_owned(), site.clone(), site.clone()]);
    let changes = [
        // The site of a route.
        catalog.fence_text_with("f3", None).unwrap(),
        catalog
            .fence_text_with("f3", Some(&site.replace("site", "no_stop")))
            .unwrap(),
        // A mistake, an id that is there twice, and the end of the plane.
        catalog
            .fence_text_with("f4", Some(&site.replace("site", "sight")))
            .unwrap(),
        twice,
        catalog.fence_text_with("f5", Some(&far)).unwrap(),
        text.replace("FeatureCollection", "Collection"),
        String::new(),
    ];
    for text in changes {
        assert!(catalog.with_fences(&text).is_none(), "{text}");
        let sources = sources(&text, &routes);
        match (catalog.load_after(&sources), Catalog::load(&sources)) {
            (Ok(edited), Ok(fresh)) => check(&edited, &fresh, &[]),
            (Err(edited), Err(fresh)) => assert_eq!(
                edited.iter().map(ToString::to_string).collect::<Vec<_>>(),
                fresh.iter().map(ToString::to_string).collect::<Vec<_>>()
            ),
            (edited, fresh) => panic!("{} {}", edited.is_ok(), fresh.is_ok()),
        }
    }
    // What a route names may be edited.
    let moved = catalog.fence_text_with(
        "f3",
        Some(&site.replace(r#""radius_m":46"#, r#""radius_m":9"#)),
    );
    assert!(catalog.with_fences(&moved.unwrap()).is_some());
}

#[test]
fn what_did_not_change_is_shared() {
    let text = collection(&[FRAME.to_owned(), fence(3, 1, 4, (5_000, 5_000), 900)]);
    let old = sources(&text, &[ROUTE.to_owned()]);
    let catalog = Catalog::load(&old).unwrap();
    let mut new = old.clone();
    new.vehicles = Some(("text".to_owned(), VEHICLES.replace("V3", "V4")));
    let other = catalog.load_after(&new).unwrap();
    assert!(Arc::ptr_eq(&catalog.grids, &other.grids));
    assert!(!Arc::ptr_eq(&catalog.routes, &other.routes));
    check(&other, &Catalog::load(&new).unwrap(), &[]);
    let same = catalog.load_after(&old).unwrap();
    assert!(Arc::ptr_eq(&catalog.routes, &same.routes));
    assert_eq!(catalog.version(), same.version());
    // Another set of calendars leaves fences and routes alone.
    let mut new = old.clone();
    new.calendar = Some((
        "text".to_owned(),
        "date,kind,name\n2026-10-01,holiday,x\n".to_owned(),
    ));
    let other = catalog.load_after(&new).unwrap();
    assert!(Arc::ptr_eq(&catalog.routes, &other.routes));
    assert!(Arc::ptr_eq(&catalog.fences()[0], &other.fences()[0]));
    assert_ne!(catalog.version(), other.version());
}
