//! An edit of one fence: from the edit to the new snapshot of the catalog, beside reading the whole
//! catalog, in the same run. And what the evaluation notices of it, and keeps of the elder versions.
//!
//! The city at full size: 31,500 unit grids, 10,000 overlapping fences of 67 vertices on average, 2,000
//! routes of 200 vertices, 2,000 vehicles.

use std::{hint::black_box, time::Instant};

use allocation_counter::measure;
use benchmarks::city::{load, position, show};
use geofence::{
    catalog::{Catalog, CatalogSources},
    position::Position,
    track::{Evaluator, EvaluatorOptions},
    units::Timestamp,
};
use tools::{
    city::{CityOptions, demo_city},
    random::Random,
};

const FENCES: usize = 10_000;
const ROUTES: usize = 2_000;
const ROUTE_VERTICES: usize = 200;
const EDITS: usize = 300;
const REPETITIONS: usize = 3;
/// Elder versions that are kept, as by default.
const ELDER: i64 = 64;
/// Elder versions that are read again behind a restart.
const READ_AGAIN: usize = 20;
const START: i64 = 1_767_574_800_000;

fn main() {
    let mut random = Random::new(11);
    let city = demo_city(1, &CityOptions::FULL);
    let fences: Vec<String> = (0..FENCES).map(|id| fence(&mut random, id)).collect();
    let routes: Vec<String> = (0..ROUTES).map(|id| route(&mut random, id)).collect();
    let vehicles: Vec<String> = (0..ROUTES)
        .map(|id| format!("V{id},{}", 13_800_000_000 + id))
        .collect();
    let named = |text: String| Some(("text".to_owned(), text));
    let mut sources = CatalogSources {
        unit_grids: named(city.unit_grids),
        fences: named(collection(&fences)),
        routes: named(collection(&routes)),
        vehicles: named(format!("vehicle,phone\n{}\n", vehicles.join("\n"))),
        ..CatalogSources::default()
    };
    let (mut catalog, whole_ms) = timed(&sources);
    let (grids, routes) = (catalog.unit_grids().len(), catalog.routes().len());
    show(&format!(
        "{grids} grids, {FENCES} fences and {routes} routes read whole: {whole_ms:.0} ms"
    ));
    let started = Instant::now();
    let gaps = catalog.unit_grid_gaps().len();
    let gaps_ms = started.elapsed().as_secs_f64() * 1e3;
    let started = Instant::now();
    let faults = catalog.community_faults().len();
    let faults_ms = started.elapsed().as_secs_f64() * 1e3;
    show(&format!(
        "holes between {grids} grids: {gaps_ms:.0} ms ({gaps}); odd communities: {faults_ms:.0} ms \
         ({faults})"
    ));
    for (what, id) in [("added", FENCES), ("changed", 17), ("removed", 5_000)] {
        let feature = (what != "removed").then(|| fence(&mut random, id));
        let mut least = f64::INFINITY;
        for _ in 0..REPETITIONS {
            let started = Instant::now();
            let edited = edit(&catalog, id, feature.as_deref());
            least = least.min(started.elapsed().as_secs_f64() * 1e3);
            black_box(&edited);
        }
        let edited = edit(&catalog, id, feature.as_deref());
        sources.fences = named(edited.fences_geojson().to_owned());
        let (fresh, fresh_ms) = timed(&sources);
        assert_eq!(
            edited.version(),
            fresh.version(),
            "both are the same catalog"
        );
        show(&format!(
            "a fence {what}: {least:.1} ms from the edit to the snapshot; read whole {fresh_ms:.0} \
             ms; {:.0} times",
            fresh_ms / least
        ));
        catalog = edited;
    }
    many(&catalog, &mut random);
    pause(&catalog, &mut random);
    elder(&catalog, &sources, &mut random);
}

/// What the elder versions take of the memory that judge what comes late from their time, and how long
/// it takes to make them again behind a restart, from texts that were read.
fn elder(catalog: &Catalog, sources: &CatalogSources, random: &mut Random) {
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let at = |edits: i64| Timestamp(START + edits * 1_000);
    let mut newest = catalog.clone();
    evaluator.tick(&newest, at(0));
    let mut texts = Vec::new();
    let mut bytes = 0;
    for edits in 1..=ELDER {
        let id = random.index(FENCES);
        let feature = fence(random, id);
        let allocated = measure(|| {
            newest = edit(&newest, id, Some(&feature));
            newest = newest.merged().unwrap_or_else(|| newest.clone());
            evaluator.tick(&newest, at(edits));
        });
        bytes += allocated.bytes_current;
        texts.push(newest.fences_geojson().to_owned());
    }
    assert_eq!(evaluator.catalogs_since().count(), 65);
    let known = |evaluator: &Evaluator| evaluator.elder_catalog_bytes() / 1_024;
    show(&format!(
        "an elder version by an edit of a fence: {} KiB, thought to be {} KiB",
        bytes / ELDER / 1_024,
        known(&evaluator) / 64
    ));
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    evaluator.tick(&newest, at(0));
    // A fence far away moves the plane: nothing is shared.
    let far = r#"{"type":"Feature","properties":{"id":"far","kind":"site","radius_m":9},
        "geometry":{"type":"Point","coordinates":[112.7,37.95]}}"#;
    let moved = CatalogSources {
        fences: newest
            .fence_text_with("far", Some(far))
            .map(|text| ("text".to_owned(), text)),
        ..sources.clone()
    };
    let allocated = measure(|| {
        let read = load(&moved);
        evaluator.tick(&read, at(1));
        evaluator.tick(&newest, at(2));
    });
    show(&format!(
        "an elder version that lies on another plane: {} KiB, thought to be {} KiB",
        allocated.bytes_current / 1_024,
        known(&evaluator)
    ));
    let started = Instant::now();
    let mut near = newest;
    for text in texts.iter().rev().skip(1).take(READ_AGAIN) {
        let sources = CatalogSources {
            fences: Some(("text".to_owned(), text.clone())),
            ..sources.clone()
        };
        near = near
            .load_after(&sources)
            .unwrap_or_else(|_| panic!("it was read before"));
    }
    show(&format!(
        "{READ_AGAIN} elder versions made again, fence by fence: {:.0} ms",
        started.elapsed().as_secs_f64() * 1e3
    ));
}

/// Edits one after the other: the overlay grows, and is merged into the raster at times.
fn many(catalog: &Catalog, random: &mut Random) {
    let mut catalog = catalog.clone();
    let mut times: Vec<f64> = (0..EDITS)
        .map(|_| {
            let id = random.index(FENCES);
            let feature = fence(random, id);
            let started = Instant::now();
            catalog = edit(&catalog, id, Some(&feature));
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times.get((EDITS - 1) * share / 100).copied();
    show(&format!(
        "{EDITS} edits one after the other: median {:.1} ms, 99 of 100 below {:.1} ms, the one that \
         merges {:.0} ms",
        at(50).unwrap_or_default(),
        at(99).unwrap_or_default(),
        at(100).unwrap_or_default()
    ));
}

/// What a batch of positions waits for behind the swap, when all vehicles change over in it.
fn pause(catalog: &Catalog, random: &mut Random) {
    let positions = |second: i64| -> Vec<Position> {
        let mut random = Random::new(5);
        let vehicles = catalog.vehicles().iter();
        vehicles
            .map(|vehicle| moving(&mut random, vehicle.terminal, second))
            .collect()
    };
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    for second in 0..10 {
        black_box(evaluator.observe_batch(catalog, &positions(second)));
    }
    let mut run = |catalog: &Catalog, second| {
        let batch = positions(second);
        let Some((first, rest)) = batch.split_first() else {
            return (0.0, 0.0);
        };
        let started = Instant::now();
        black_box(evaluator.observe_batch(catalog, std::slice::from_ref(first)));
        let first_ms = started.elapsed().as_secs_f64() * 1e3;
        black_box(evaluator.observe_batch(catalog, rest));
        (first_ms, started.elapsed().as_secs_f64() * 1e3)
    };
    let before = run(catalog, 10);
    let edited = edit(catalog, 20, Some(&fence(random, 20)));
    let behind = run(&edited, 11);
    show(&format!(
        "evaluation of {ROUTES} vehicles: {:.1} ms before the swap; behind it {:.1} ms, of which the \
         first position {:.1} ms",
        before.1, behind.1, behind.0
    ));
}

fn edit(catalog: &Catalog, id: usize, feature: Option<&str>) -> Catalog {
    let text = catalog.fence_text_with(&format!("f{id}"), feature);
    let edited = text.and_then(|text| catalog.with_fences(&text));
    edited.unwrap_or_else(|| panic!("f{id}: a plain edit"))
}

/// With the time of it, milliseconds.
fn timed(sources: &CatalogSources) -> (Catalog, f64) {
    let started = Instant::now();
    let catalog = load(sources);
    (catalog, started.elapsed().as_secs_f64() * 1e3)
}

fn collection(features: &[String]) -> String {
    format!(
        r#"{{"type":"FeatureCollection","features":[{}]}}"#,
        features.join(",\n")
    )
}

fn place(random: &mut Random) -> (f64, f64) {
    (random.between(-8e3, 8e3), random.between(-5e3, 5e3))
}

fn lon_lat(east: f64, north: f64) -> String {
    format!(
        "[{:.6},{:.6}]",
        112.55 + east / 87_776.9,
        37.87 + north / 111_195.08
    )
}

/// A star of 10 to 124 vertices.
fn fence(random: &mut Random, id: usize) -> String {
    let (x, y) = place(random);
    let radius = 30.0 * (400.0_f64 / 30.0).powf(random.unit());
    let corners = 10 + random.index(115);
    let mut ring: Vec<String> = (0..corners)
        .map(|corner| {
            let angle = std::f64::consts::TAU * corner as f64 / corners as f64;
            let radius = radius * random.between(0.7, 1.0);
            lon_lat(x + radius * angle.cos(), y + radius * angle.sin())
        })
        .collect();
    ring.extend(ring.first().cloned());
    let kinds = ["keep_out", "no_stop", "site"];
    let kind = kinds.get(random.index(3)).copied().unwrap_or("site");
    format!(
        r#"{{"type":"Feature","properties":{{"id":"f{id}","kind":"{kind}"}},
        "geometry":{{"type":"Polygon","coordinates":[[{}]]}}}}"#,
        ring.join(",")
    )
}

fn route(random: &mut Random, id: usize) -> String {
    let mut at = place(random);
    let mut angle = random.between(0.0, std::f64::consts::TAU);
    let line: Vec<String> = (0..ROUTE_VERTICES)
        .map(|_| {
            angle += random.normal() * 0.4;
            at = (at.0 + 20.0 * angle.cos(), at.1 + 20.0 * angle.sin());
            lon_lat(at.0, at.1)
        })
        .collect();
    format!(
        r#"{{"type":"Feature","properties":{{"id":"R{id}","applies_to":{{"vehicles":["V{id}"]}}}},
        "geometry":{{"type":"LineString","coordinates":[{}]}}}}"#,
        line.join(",")
    )
}

fn moving(random: &mut Random, terminal: geofence::identity::TerminalId, second: i64) -> Position {
    let (x, y) = place(random);
    let at = Timestamp(START + second * 1_000);
    let degrees = (
        37.87 + y / 111_195.08,
        112.55 + (x + 8.0 * second as f64) / 87_776.9,
    );
    Position {
        digest: u32::try_from(second).unwrap_or(0),
        heading_deg: 90,
        ..position(terminal, at, degrees.0, degrees.1)
    }
}
