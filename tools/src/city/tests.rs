use std::collections::{HashMap, HashSet};

use super::*;

/// Twice the signed area in square millionths of a degree: exact.
fn doubled_area(corners: &[(i32, i32)]) -> i64 {
    corners
        .iter()
        .zip(corners.iter().cycle().skip(1))
        .map(|(a, b)| i64::from(a.1) * i64::from(b.0) - i64::from(b.1) * i64::from(a.0))
        .sum()
}

#[test]
fn the_areas_of_the_unit_grids_add_up_to_the_city_exactly() {
    for options in [CityOptions::SMALL, CityOptions::FULL] {
        let city = demo_city(3, &options);
        assert_eq!(city.grid.len(), (options.columns * options.rows) as usize);
        let corners = || city.grid.iter().flat_map(|grid| grid.corners);
        let (south, north) = (
            corners().map(|c| c.0).min().unwrap(),
            corners().map(|c| c.0).max().unwrap(),
        );
        let (west, east) = (
            corners().map(|c| c.1).min().unwrap(),
            corners().map(|c| c.1).max().unwrap(),
        );
        let outer = 2 * i64::from(north - south) * i64::from(east - west);
        assert_eq!(
            city.grid
                .iter()
                .map(|grid| doubled_area(&grid.corners))
                .sum::<i64>(),
            outer
        );
        assert!(
            city.grid.iter().all(|grid| doubled_area(&grid.corners) > 0),
            "a cell is folded"
        );
    }
}

#[test]
fn every_inner_side_is_shared_by_two_unit_grids_in_opposite_directions() {
    let city = demo_city(3, &CityOptions::SMALL);
    type Corner = (i32, i32);
    let mut sides: HashMap<(Corner, Corner), u32> = HashMap::new();
    for grid in &city.grid {
        for (a, b) in grid.corners.iter().zip(grid.corners.iter().cycle().skip(1)) {
            *sides.entry((*a, *b)).or_default() += 1;
        }
    }
    assert!(
        sides.values().all(|count| *count == 1),
        "two cells lie on the same side of a line"
    );
    let unshared = sides
        .keys()
        .filter(|(a, b)| !sides.contains_key(&(*b, *a)))
        .count();
    assert_eq!(
        unshared,
        2 * (60 + 50),
        "only the city's outer edge is not shared"
    );
}

#[test]
fn codes_are_unique_and_begin_with_their_district() {
    for options in [CityOptions::SMALL, CityOptions::FULL] {
        let city = demo_city(3, &options);
        let codes: HashSet<&str> = city.grid.iter().map(|grid| grid.code.as_str()).collect();
        assert_eq!(codes.len(), city.grid.len());
        assert!(codes.iter().all(|code| code.len() == 15));
        for district in DISTRICTS {
            let share = codes
                .iter()
                .filter(|code| code.starts_with(district.code))
                .count();
            assert!(share * 8 > codes.len(), "{} has {share}", district.pinyin);
        }
    }
}

#[test]
fn a_seed_gives_the_same_city_and_another_seed_another() {
    let (a, b) = (
        demo_city(5, &CityOptions::SMALL),
        demo_city(5, &CityOptions::SMALL),
    );
    assert_eq!(
        (&a.unit_grids, &a.fences, &a.vehicles),
        (&b.unit_grids, &b.fences, &b.vehicles)
    );
    let other = demo_city(6, &CityOptions::SMALL);
    assert_ne!(a.unit_grids, other.unit_grids);
    assert_ne!(a.fences, other.fences);
}

#[test]
fn each_fleet_has_streets_to_work_in_and_rules_to_break() {
    for seed in 0..20 {
        let city = demo_city(seed, &CityOptions::SMALL);
        for (index, fleet) in city.fleets.iter().enumerate() {
            let safe = city.network.safe_nodes(index);
            assert!(
                safe.len() >= 15,
                "seed {seed}: {} has {} nodes",
                fleet.id,
                safe.len()
            );
            let duty_area = &city.fence_list[fleet.duty_area];
            for kind in [FenceKind::KeepOut, FenceKind::SpeedLimit] {
                let inside = city.fence_list.iter().any(|fence| {
                    fence.kind == kind
                        && fence.windows.is_empty()
                        && duty_area
                            .shape
                            .signed_distance(fence.shape.bounding_circle().0)
                            > 0.0
                });
                assert!(inside, "seed {seed}: {} has no {kind:?}", fleet.id);
            }
        }
    }
}

#[test]
fn the_texts_are_what_the_catalog_asks_for() {
    let city = demo_city(1, &CityOptions::SMALL);
    let grids: serde_json::Value = serde_json::from_str(&city.unit_grids).unwrap();
    let ring = grids["features"][0]["geometry"]["coordinates"][0]
        .as_array()
        .unwrap();
    assert_eq!((ring.len(), &ring[0]), (5, &ring[4]));
    assert!(
        (111.0..114.0).contains(&ring[0][0].as_f64().unwrap()),
        "longitude comes first"
    );
    let fences: serde_json::Value = serde_json::from_str(&city.fences).unwrap();
    let known = [
        "id",
        "name",
        "kind",
        "applies_to",
        "windows",
        "speed_limit_kmh",
        "dwell_s",
        "priority",
        "version",
        "radius_m",
        "width_m",
    ];
    let mut ids = HashSet::new();
    for feature in fences["features"].as_array().unwrap() {
        let properties = feature["properties"].as_object().unwrap();
        assert!(
            properties.keys().all(|key| known.contains(&key.as_str())),
            "{properties:?}"
        );
        assert!(ids.insert(properties["id"].as_str().unwrap().to_owned()));
        let shape = feature["geometry"]["type"].as_str().unwrap();
        assert_eq!(shape == "Point", properties.contains_key("radius_m"));
        assert_eq!(shape == "LineString", properties.contains_key("width_m"));
    }
    let mut phones = HashSet::new();
    for line in city.vehicles.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields.len(), 7);
        assert!(fields[1].len() == 11 && fields[1].starts_with("138"));
        assert!(phones.insert(fields[1].to_owned()));
    }
    assert_eq!(phones.len(), 200);
}

#[test]
fn a_city_is_written_as_three_files() {
    let dir = tempfile::tempdir().unwrap();
    let city = demo_city(1, &CityOptions::SMALL);
    city.write_to(dir.path().join("catalog")).unwrap();
    let read = |name: &str| fs::read_to_string(dir.path().join("catalog").join(name)).unwrap();
    assert_eq!(read("unit-grids.geojson"), city.unit_grids);
    assert_eq!(read("fences.geojson"), city.fences);
    assert_eq!(read("vehicles.csv"), city.vehicles);
}
