//! The city: the files that its catalog is read from, and what the API may make of it.

use std::path::PathBuf;

use super::{GIB, MIB, Raw};

/// `[catalog]`
#[derive(Clone, Debug, Default)]
pub struct CatalogFiles {
    /// What people call the city. Default `gridtrace`.
    pub name: String,
    /// GeoJSON of the unit grids; none by default.
    pub unit_grids: Option<PathBuf>,
    /// GeoJSON of the fences; none by default.
    pub fences: Option<PathBuf>,
    /// CSV of the vehicles; none by default.
    pub vehicles: Option<PathBuf>,
    /// Versions that were in force and are kept. Default 1,000.
    pub versions_max: u32,
    /// Bytes that a text may have which comes through the API. Default 128 MiB.
    pub text_bytes_max: usize,
}

impl CatalogFiles {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let text_bytes_max = raw.bytes("catalog.text_bytes_max", 128 * MIB, MIB..=GIB);
        Self {
            name: raw.text("catalog.name", "gridtrace", str::to_owned),
            unit_grids: raw.path("catalog.unit_grids", ""),
            fences: raw.path("catalog.fences", ""),
            vehicles: raw.path("catalog.vehicles", ""),
            versions_max: raw.count("catalog.versions_max", 1_000, 1..=1_000_000),
            text_bytes_max: usize::try_from(text_bytes_max).unwrap_or(usize::MAX),
        }
    }
}
