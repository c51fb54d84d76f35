//! The synthetic city at full size, and positions in it.

use geofence::{
    catalog::{Catalog, CatalogSources},
    identity::TerminalId,
    position::Position,
    units::{Latitude, Longitude, Timestamp},
};
use tools::city::City;

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

/// Says a figure.
#[expect(clippy::print_stdout, reason = "figures are what benchmarks are for")]
pub fn show(line: &str) {
    println!("{line}");
}
