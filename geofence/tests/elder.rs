//! What elder versions of the catalog take of the memory, beside what an allocator counts, and that
//! they stay within their bound.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a city that cannot be read must stop the test"
)]

use allocation_counter::measure;
use geofence::{
    catalog::{Catalog, CatalogSources},
    track::{Evaluator, EvaluatorOptions, LostCatalogs},
    units::Timestamp,
};

const FENCES: usize = 500;
const GRIDS: usize = 800;
const ROUTES: usize = 100;
const VEHICLES: usize = 200;
const START_MS: i64 = 1_767_574_800_000;
const KIB: usize = 1_024;

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// The texts of a city, each feature by itself.
struct City {
    numbers: Numbers,
    fences: Vec<String>,
    routes: Vec<String>,
    /// What differs in the texts that are not of fences or routes.
    edition: usize,
}

impl City {
    fn new() -> Self {
        let mut numbers = Numbers(7);
        let fences = (0..FENCES).map(|id| fence(&mut numbers, id)).collect();
        let routes = (0..ROUTES).map(|id| route(&mut numbers, id)).collect();
        Self {
            numbers,
            fences,
            routes,
            edition: 0,
        }
    }

    fn edit_fence(&mut self, id: usize) {
        self.fences[id] = fence(&mut self.numbers, id);
    }

    fn edit_all(&mut self) {
        (0..FENCES).for_each(|id| self.edit_fence(id));
        for id in 0..ROUTES {
            self.routes[id] = route(&mut self.numbers, id);
        }
        self.edition += 1;
    }

    fn sources(&self) -> CatalogSources {
        let named = |text: String| Some(("text".to_owned(), text));
        let grids: Vec<String> = (0..GRIDS).map(|index| grid(index, self.edition)).collect();
        let vehicle = |id: usize| {
            let limit = 60 + self.edition % 100;
            format!("V{id},{},F{},{limit}\n", 13_800_000_000 + id, id % 7)
        };
        let vehicles: String = (0..VEHICLES).map(vehicle).collect();
        CatalogSources {
            unit_grids: named(collection(&grids)),
            fences: named(collection(&self.fences)),
            routes: named(collection(&self.routes)),
            vehicles: named(format!("vehicle,phone,fleet,speed_limit_kmh\n{vehicles}")),
            ..CatalogSources::default()
        }
    }
}

fn collection(features: &[String]) -> String {
    format!(
        r#"{{"type":"FeatureCollection","features":[{}]}}"#,
        features.join(",\n")
    )
}

/// Of metres east and north of the city's centre.
fn lon_lat(east: f64, north: f64) -> String {
    format!(
        "[{:.6},{:.6}]",
        112.55 + east / 87_776.9,
        37.87 + north / 111_195.08
    )
}

fn place(numbers: &mut Numbers) -> (f64, f64) {
    let metres = |number: usize| f64::from(u32::try_from(number).unwrap());
    (
        metres(numbers.below(12_000)) - 6_000.0,
        metres(numbers.below(8_000)) - 4_000.0,
    )
}

/// A ring of 10 to 124 vertices. The first two hold the city's extent.
fn fence(numbers: &mut Numbers, id: usize) -> String {
    let (x, y) = match id {
        0 => (-6_500.0, -4_500.0),
        1 => (6_500.0, 4_500.0),
        _ => place(numbers),
    };
    let corners = 10 + u32::try_from(numbers.below(115)).unwrap();
    let radius = 30.0 + f64::from(u32::try_from(numbers.below(200)).unwrap());
    let radius = if id < 2 { 100.0 } else { radius };
    let corners = if id < 2 { 40 } else { corners };
    let mut ring: Vec<String> = (0..corners)
        .map(|corner| {
            let angle = std::f64::consts::TAU * f64::from(corner) / f64::from(corners);
            lon_lat(x + radius * angle.cos(), y + radius * angle.sin())
        })
        .collect();
    ring.push(ring[0].clone());
    let whom = match id % 5 {
        0 => r#","applies_to":{"fleets":["F3"]}"#,
        _ => "",
    };
    // Of the two only the name can be edited.
    let name = numbers.below(1_000);
    format!(
        r#"{{"type":"Feature","properties":{{"id":"f{id}","kind":"keep_out","name":"{name:03}"{whom}}},
        "geometry":{{"type":"Polygon","coordinates":[[{}]]}}}}"#,
        ring.join(",")
    )
}

fn route(numbers: &mut Numbers, id: usize) -> String {
    let (x, y) = place(numbers);
    let vertex = |number: u32| {
        let along = f64::from(number) * 4.0;
        lon_lat(x / 2.0 + along, y / 2.0 + 30.0 * (along / 50.0).sin())
    };
    let line: Vec<String> = (0..150).map(vertex).collect();
    format!(
        r#"{{"type":"Feature","properties":{{"id":"R{id}","applies_to":{{"vehicles":["V{id}"]}}}},
        "geometry":{{"type":"LineString","coordinates":[{}]}}}}"#,
        line.join(",")
    )
}

/// A square of 100 m.
fn grid(index: usize, edition: usize) -> String {
    let at = |place: usize| f64::from(u32::try_from(place).unwrap()) * 100.0 - 2_000.0;
    let (x, y) = (at(index % 40), at(index / 40));
    let corners = [
        (0.0, 0.0),
        (100.0, 0.0),
        (100.0, 100.0),
        (0.0, 100.0),
        (0.0, 0.0),
    ];
    let ring = corners.map(|(dx, dy)| lon_lat(x + dx, y + dy)).join(",");
    format!(
        r#"{{"type":"Feature","properties":{{"code":"140105{:03}{:03}{:03}","name":"{edition:03}"}},
        "geometry":{{"type":"Polygon","coordinates":[[{ring}]]}}}}"#,
        1 + index / 400,
        1 + index / 20 % 20,
        1 + index % 20,
    )
}

fn load(sources: &CatalogSources) -> Catalog {
    Catalog::load(sources).unwrap_or_else(|mistakes| panic!("{:?}", mistakes.first()))
}

fn at(edits: i64) -> Timestamp {
    Timestamp(START_MS + edits * 1_000)
}

/// An evaluation in whose time a city was edited.
struct Edited {
    evaluator: Evaluator,
    /// It is not counted.
    _newest: Catalog,
    lost: LostCatalogs,
    /// What the elder versions take, by the allocator.
    truth: usize,
}

/// Edits a city so many times, each version made from the one before it.
fn edited(
    options: EvaluatorOptions,
    edits: i64,
    mut edit: impl FnMut(&mut City),
    next: impl Fn(&Catalog, &CatalogSources) -> Catalog,
) -> Edited {
    let mut city = City::new();
    let mut newest = load(&city.sources());
    let mut evaluator = Evaluator::new(options);
    evaluator.tick(&newest, at(0));
    let mut lost = LostCatalogs::default();
    let mut truth = 0;
    for edits in 1..=edits {
        edit(&mut city);
        let sources = city.sources();
        let allocated = measure(|| {
            newest = next(&newest, &sources);
            evaluator.tick(&newest, at(edits));
        });
        truth += allocated.bytes_current;
        let of_this = evaluator.take_lost_catalogs();
        lost.too_many += of_this.too_many;
        lost.too_large += of_this.too_large;
    }
    Edited {
        evaluator,
        _newest: newest,
        lost,
        truth: usize::try_from(truth).unwrap(),
    }
}

fn load_after(before: &Catalog, sources: &CatalogSources) -> Catalog {
    let next = before.load_after(sources);
    let next = next.unwrap_or_else(|mistakes| panic!("{:?}", mistakes.first()));
    next.merged().unwrap_or(next)
}

/// Within a factor of 2.
fn assert_near(edited: &Edited, what: &str) {
    let (known, truth) = (edited.evaluator.elder_catalog_bytes(), edited.truth);
    assert!(
        known <= 2 * truth && truth <= 2 * known,
        "{what}: {known}, but {truth}"
    );
}

#[test]
fn edits_of_a_fence_keep_all_64_versions() {
    let edited = edited(
        EvaluatorOptions::default(),
        80,
        |city| {
            let id = 2 + city.numbers.below(FENCES - 2);
            city.edit_fence(id);
        },
        load_after,
    );
    assert_near(&edited, "a fence");
    assert_eq!(edited.evaluator.catalogs_since().count(), 65);
    let too_many = LostCatalogs {
        too_many: 16,
        too_large: 0,
    };
    assert_eq!(edited.lost, too_many);
}

#[test]
fn edits_of_all_texts_stay_within_the_bound() {
    let bytes_max = 12 * KIB * KIB;
    let options = EvaluatorOptions {
        elder_catalogs_bytes_max: bytes_max,
        ..EvaluatorOptions::default()
    };
    let edited = edited(options, 20, City::edit_all, load_after);
    assert_near(&edited, "all texts");
    assert!(edited.evaluator.elder_catalog_bytes() <= bytes_max);
    let elder = u64::try_from(edited.evaluator.catalogs_since().count()).unwrap() - 1;
    assert!((2..20).contains(&elder), "{elder}");
    let too_large = LostCatalogs {
        too_many: 0,
        too_large: 20 - elder,
    };
    assert_eq!(edited.lost, too_large);
}

/// Nothing is taken from the version before where vehicles and fences are edited at once; what says the
/// same is there once all the same.
#[test]
fn what_was_read_anew_and_says_the_same_is_kept_once() {
    let edit = |city: &mut City| {
        let id = 2 + city.numbers.below(FENCES - 2);
        city.edit_fence(id);
    };
    let anew = |_: &Catalog, sources: &CatalogSources| load(sources);
    let anew = edited(EvaluatorOptions::default(), 20, edit, anew);
    assert_near(&anew, "a fence, and all is read anew");
    let after = edited(EvaluatorOptions::default(), 20, edit, load_after);
    let known = |edited: &Edited| edited.evaluator.elder_catalog_bytes();
    assert_eq!(known(&anew), known(&after), "however they were made");
}

#[test]
fn a_restart_finds_the_same_bytes_and_gives_up_the_same_versions() {
    let options = EvaluatorOptions {
        elder_catalogs_bytes_max: 12 * KIB * KIB,
        ..EvaluatorOptions::default()
    };
    let mut city = City::new();
    let mut versions = vec![load(&city.sources())];
    let mut evaluator = Evaluator::new(options.clone());
    evaluator.tick(&versions[0], at(0));
    for edits in 1..=12 {
        if edits % 4 == 0 {
            city.edit_all();
        } else {
            city.edit_fence(2);
        }
        let next = load_after(versions.last().unwrap(), &city.sources());
        evaluator.tick(&next, at(edits));
        versions.push(next);
    }
    // What was given up before is told by who gave it up.
    evaluator.take_lost_catalogs();
    let mut restarted = Evaluator::new(options);
    let kept = evaluator.take_dirty_snapshots();
    kept.values()
        .for_each(|bytes| restarted.restore(bytes).unwrap());
    for missing in restarted.missing_catalogs() {
        let is_it = |catalog: &&Catalog| catalog.version() == missing.version;
        let catalog = versions.iter().find(is_it).unwrap();
        assert!(restarted.supply(missing.since, catalog));
    }
    let newest = versions.last().unwrap();
    restarted.tick(newest, at(12));
    let (known, known_again) = (
        evaluator.elder_catalog_bytes(),
        restarted.elder_catalog_bytes(),
    );
    assert_eq!(known, known_again);
    for edits in 13..=20 {
        city.edit_all();
        let next = load_after(newest, &city.sources());
        evaluator.tick(&next, at(edits));
        restarted.tick(&next, at(edits));
        let since = |evaluator: &Evaluator| evaluator.catalogs_since().collect::<Vec<_>>();
        assert_eq!(since(&evaluator), since(&restarted));
        assert_eq!(
            evaluator.take_lost_catalogs(),
            restarted.take_lost_catalogs()
        );
    }
}
