//! The synthetic city at full size, and positions in it.

use geofence::{
    catalog::{Catalog, CatalogSources},
    identity::TerminalId,
    position::Position,
    units::{Latitude, Longitude, Timestamp},
};
use tools::{city::City, random::Random};

/// The catalog of a city's unit grids, fences and vehicles.
///
/// # Panics
/// When it has mistakes.
#[must_use]
pub fn catalog_of(city: &City) -> Catalog {
    let named = |name: &str, text: &String| Some((name.to_owned(), text.clone()));
    load(&CatalogSources {
        unit_grids: named("unit grids", &city.unit_grids),
        fences: named("fences", &city.fences),
        vehicles: named("vehicles", &city.vehicles),
        ..CatalogSources::default()
    })
}

/// A catalog without mistakes.
///
/// # Panics
/// When it has some.
#[must_use]
pub fn load(sources: &CatalogSources) -> Catalog {
    Catalog::load(sources).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// A good fix at 28.8 km/h, received when it was taken; degrees.
#[must_use]
pub fn position(terminal: TerminalId, at: Timestamp, latitude: f64, longitude: f64) -> Position {
    Position {
        terminal,
        fixed_at: at,
        received_at: at,
        log_offset: 0,
        digest: 0,
        latitude: Latitude::from_degrees(latitude).unwrap_or_default(),
        longitude: Longitude::from_degrees(longitude).unwrap_or_default(),
        altitude_m: None,
        speed_dkmh: 288,
        heading_deg: 0,
        alarm_flags: 0,
        status_flags: 3,
        odometer_dkm: None,
        satellites: Some(10),
        inputs: Default::default(),
        is_positioned: true,
        is_backlog: false,
    }
}

/// When [`wander`] begins, and between two of its fixes, milliseconds.
pub const WANDER_START: i64 = 1_767_574_800_000;
/// See [`WANDER_START`].
pub const WANDER_MS: i64 = 10_000;

/// A vehicle of the catalog that wanders, stands for a while, and wanders on.
///
/// # Panics
/// When the catalog has no vehicle.
#[must_use]
pub fn wander(catalog: &Catalog, count: usize) -> Vec<Position> {
    let [west, south, east, north] = catalog.bounds_degrees().unwrap_or_default();
    let mut random = Random::new(3);
    let (mut lat, mut lon) = (random.between(south, north), random.between(west, east));
    let (mut angle, mut mps) = (0.5, 8.0);
    let vehicle = catalog.vehicles().first();
    let terminal = vehicle.unwrap_or_else(|| panic!("no vehicle")).terminal;
    (0..count)
        .map(|index| {
            if random.chance(0.05) {
                angle = random.between(0.0, std::f64::consts::TAU);
                mps = if random.chance(0.3) {
                    0.0
                } else {
                    random.between(2.0, 14.0)
                };
            }
            lat = (lat + f64::sin(angle) * mps * 10.0 / 111_195.0).clamp(south, north);
            lon = (lon + f64::cos(angle) * mps * 10.0 / 87_800.0).clamp(west, east);
            let at = Timestamp(WANDER_START + index as i64 * WANDER_MS);
            let noise = |random: &mut Random| random.normal() * 3.0 / 100_000.0;
            let latitude = lat + noise(&mut random);
            let longitude = lon + noise(&mut random);
            Position {
                log_offset: index as u64,
                digest: u32::try_from(index).unwrap_or(u32::MAX),
                speed_dkmh: format!("{:.0}", mps * 36.0).parse().unwrap_or(0),
                ..position(terminal, at, latitude, longitude)
            }
        })
        .collect()
}

/// Where a terminal of a load is, millionths of a degree: terminals are strewn over the city at full
/// size, and drive to and fro for 500 m at 30 km/h, a fix a second. No two numbers of a terminal have
/// the same place.
#[must_use]
pub fn to_and_fro(terminal: u32, number: u32) -> (i32, i32) {
    const ROUND: u32 = 120;
    let along = number % ROUND;
    let along = along.min(ROUND - along);
    let (x, y) = (
        scattered(terminal, 7_919, 18_000),
        scattered(terminal, 104_729, 13_000),
    );
    // A tenth of a metre further north with each round.
    let (latitude, longitude) = micro_degrees(x - 9_000, y - 6_500);
    (
        latitude + whole(number / ROUND),
        longitude + whole(along) * STEP,
    )
}

/// Of a fix a second at 30 km/h to the east, millionths of a degree.
pub const STEP: i32 = 95;

/// The same number below `range` for the same terminal.
#[must_use]
pub fn scattered(terminal: u32, prime: u32, range: u32) -> i32 {
    let product = u64::from(terminal) * u64::from(prime);
    i32::try_from(product % u64::from(range)).unwrap_or(0)
}

/// Metres east and north of the city's centre as millionths of a degree, to some metres.
#[must_use]
pub const fn micro_degrees(x_m: i32, y_m: i32) -> (i32, i32) {
    (
        37_870_000 + y_m * 8_993 / 1_000,
        112_550_000 + x_m * 11_392 / 1_000,
    )
}

fn whole(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(0)
}

/// Says a figure.
#[expect(clippy::print_stdout, reason = "figures are what benchmarks are for")]
pub fn show(line: &str) {
    println!("{line}");
}
