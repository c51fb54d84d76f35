//! The catalog that holds at this moment: one handle that everybody shares and that is swapped
//! whole.

use std::{fs, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use geofence::{
    catalog::{Catalog as Snapshot, CatalogMistake, CatalogSources},
    identity::TerminalId,
    position::Position,
};

use crate::config::CatalogFiles;

/// The current catalog.
#[derive(Debug)]
pub struct Catalog {
    name: String,
    current: ArcSwap<Snapshot>,
}

/// Why the catalog cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file cannot be read.
    #[error("{path}: {cause}")]
    File {
        /// Which one.
        path: PathBuf,
        /// The cause.
        cause: std::io::Error,
    },
    /// The texts have mistakes; all of them are named.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Mistakes(Vec<CatalogMistake>),
}

impl Catalog {
    /// Reads the files of the configuration.
    ///
    /// # Errors
    /// Every mistake of every file.
    pub fn load(files: &CatalogFiles) -> Result<Self, CatalogError> {
        let read = |path: &Option<PathBuf>| match path {
            None => Ok(None),
            Some(path) => fs::read_to_string(path)
                .map(|text| Some((path.display().to_string(), text)))
                .map_err(|cause| CatalogError::File {
                    path: path.clone(),
                    cause,
                }),
        };
        let sources = CatalogSources {
            unit_grids: read(&files.unit_grids)?,
            fences: read(&files.fences)?,
            vehicles: read(&files.vehicles)?,
            ..CatalogSources::default()
        };
        let snapshot = Snapshot::load(&sources).map_err(CatalogError::Mistakes)?;
        Ok(Self {
            name: files.name.clone(),
            current: ArcSwap::from_pointee(snapshot),
        })
    }

    /// What people call the city.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The snapshot that holds now.
    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Runs something on the snapshot that holds now, without counting a reference.
    pub fn with<T>(&self, run: impl FnOnce(&Snapshot) -> T) -> T {
        run(&self.current.load())
    }

    /// A vehicle of the catalog carries this terminal.
    #[must_use]
    pub fn knows(&self, terminal: TerminalId) -> bool {
        self.with(|catalog| catalog.vehicle_of(&terminal).is_some())
    }
}

/// The code of the unit grid that a position lies in; `None` outside all of them, and for a
/// position without a fix.
#[must_use]
pub fn unit_grid_code(catalog: &Snapshot, position: &Position) -> Option<String> {
    let grid = position
        .is_positioned
        .then(|| catalog.grid_at(position.latitude, position.longitude))
        .flatten();
    grid.map(|grid| grid.code.to_string())
}
