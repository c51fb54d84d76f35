//! The catalog that holds at this moment: one handle that everybody shares and that is swapped
//! whole.
//!
//! A change makes a version (`storage::catalog`) out of all texts, checked whole before anything is
//! written. When its time has come it is taken into force: that is written down, then told to the log
//! as a record, then the handle is swapped. What follows the log changes over at that record, so a
//! replay judges with the catalog of then.

mod edit;
mod texts;
mod warnings;

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use geofence::{
    catalog::{Catalog as Snapshot, CatalogMistake, CatalogSources},
    identity::TerminalId,
    position::Position,
};
use parking_lot::Mutex;
use storage::{
    catalog::{CatalogVersions, NewVersion, Texts},
    store::StoreError,
};

pub use self::{
    edit::{Change, Draft, Edit, EditError, Edited, run},
    texts::{Form, KINDS, Kind, TextError},
    warnings::Warnings,
};
use crate::{clock, config::CatalogFiles};

/// Versions kept in memory beside the one in force, for what is behind in the log.
const ELDER_MAX: usize = 3;
const FILES: &str = "files of the configuration";

/// The current catalog, and the versions that it is one of.
#[derive(Debug)]
pub struct Catalog {
    name: String,
    versions: Option<CatalogVersions>,
    /// Where there are no versions.
    file_texts: Texts,
    current: ArcSwap<InForce>,
    elder: Mutex<VecDeque<Arc<InForce>>>,
    /// The start took files, and there are unit grids.
    has_new_grids: bool,
    /// Held while a version is taken into force.
    turn: tokio::sync::Mutex<()>,
}

/// A version as it is used.
#[derive(Debug)]
pub struct InForce {
    /// The number of the version.
    pub number: u64,
    /// What it says.
    pub snapshot: Arc<Snapshot>,
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
    /// The versions cannot be read or written.
    #[error(transparent)]
    Versions(#[from] StoreError),
}

impl Catalog {
    /// Reads the files of the configuration, and nothing else: to check them.
    ///
    /// # Errors
    /// Every mistake of every file.
    pub fn load(files: &CatalogFiles) -> Result<Self, CatalogError> {
        let texts = read(files)?;
        let snapshot = snapshot(&texts, files).map_err(CatalogError::Mistakes)?;
        let catalog = Self::holding(files, None, 0, snapshot);
        Ok(Self {
            file_texts: texts,
            ..catalog
        })
    }

    /// Opens the versions at a path, takes the files of the configuration that have changed since
    /// they were taken last, and uses the version in force. A file that did not change is not taken
    /// again: what was edited since stays.
    ///
    /// # Errors
    /// Every mistake of every file, or what is wrong with the versions.
    pub fn open(files: &CatalogFiles, path: &Path) -> Result<Self, CatalogError> {
        let read = read(files)?;
        let versions = CatalogVersions::open(path)?;
        let now = clock::now();
        let mut has_new_grids = false;
        if let Some(texts) = versions.with_changed_files(&read)? {
            has_new_grids = texts.contains_key("unit_grids");
            // Before it becomes a version: one with mistakes would be there for ever.
            snapshot(&texts, files).map_err(CatalogError::Mistakes)?;
            let version = NewVersion {
                texts,
                created_at: now,
                author: FILES.to_owned(),
                note: String::new(),
                effective_from: now,
            };
            let number = versions.take_files(&version, &read)?;
            versions.take_into_force(number, now)?;
        }
        let catalog = Self::of_versions(files, versions)?;
        Ok(Self {
            has_new_grids,
            ..catalog
        })
    }

    /// The version in force of the versions at a path, or the files of the configuration where there
    /// are none. Nothing is taken or made.
    ///
    /// # Errors
    /// Every mistake, or what is wrong with the versions.
    pub fn look(files: &CatalogFiles, path: &Path) -> Result<Self, CatalogError> {
        if !path.exists() {
            return Self::load(files);
        }
        Self::of_versions(files, CatalogVersions::open(path)?)
    }

    fn of_versions(files: &CatalogFiles, versions: CatalogVersions) -> Result<Self, CatalogError> {
        let number = versions.in_force()?.map_or(0, |version| version.number);
        let texts = versions.version(number)?.map(|(_, texts)| texts);
        let texts = texts.unwrap_or_default();
        let snapshot = snapshot(&texts, files).map_err(CatalogError::Mistakes)?;
        Ok(Self::holding(files, Some(versions), number, snapshot))
    }

    fn holding(
        files: &CatalogFiles,
        versions: Option<CatalogVersions>,
        number: u64,
        snapshot: Snapshot,
    ) -> Self {
        Self {
            name: files.name.clone(),
            versions,
            file_texts: Texts::new(),
            current: ArcSwap::from_pointee(InForce {
                number,
                snapshot: Arc::new(snapshot),
            }),
            elder: Mutex::default(),
            has_new_grids: false,
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// What people call the city.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The snapshot that holds now.
    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.load().snapshot)
    }

    /// The version that holds now.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        self.current.load_full()
    }

    /// A version by its number, for what follows the log and is not there yet. One that cannot be
    /// read any more is replaced by the one in force, which is logged. It may wait for a disk.
    #[must_use]
    pub fn of(&self, number: u64) -> Arc<InForce> {
        let current = self.in_force();
        if current.number == number {
            return current;
        }
        let mut elder = self.elder.lock();
        if let Some(found) = elder.iter().find(|version| version.number == number) {
            return Arc::clone(found);
        }
        let Some(snapshot) = self.read(number, &current.snapshot) else {
            tracing::error!(
                number,
                "a version of the catalog is gone; the newest judges"
            );
            return current;
        };
        let found = Arc::new(InForce { number, snapshot });
        keep(&mut elder, Arc::clone(&found));
        found
    }

    /// A version by its number, made from another one that is near to it; `None` when it cannot be read
    /// any more. It is not kept here, and waits for a disk.
    #[must_use]
    pub fn read(&self, number: u64, near: &Snapshot) -> Option<Arc<Snapshot>> {
        let read = self.versions.as_ref()?.version(number);
        let read = read.inspect_err(|error| tracing::error!(number, %error, "catalog"));
        let (_, texts) = read.ok().flatten()?;
        near.load_after(&sources(&texts, None)).ok().map(Arc::new)
    }

    /// Swaps the version in force.
    fn swap(&self, version: InForce) {
        let before = self.current.swap(Arc::new(version));
        keep(&mut self.elder.lock(), before);
    }

    /// Puts a snapshot that says the same in the place of that of a version, if it is still in force.
    fn refine(&self, number: u64, snapshot: Snapshot) {
        let current = self.current.load_full();
        if current.number == number {
            let snapshot = Arc::new(snapshot);
            let refined = Arc::new(InForce { number, snapshot });
            self.current.compare_and_swap(&current, refined);
        }
    }

    /// Runs something on the snapshot that holds now, without counting a reference.
    pub fn with<T>(&self, run: impl FnOnce(&Snapshot) -> T) -> T {
        run(&self.current.load().snapshot)
    }

    /// A vehicle of the catalog carries this terminal.
    #[must_use]
    pub fn knows(&self, terminal: TerminalId) -> bool {
        self.with(|catalog| catalog.vehicle_of(&terminal).is_some())
    }

    /// The versions; none where only files are checked.
    #[must_use]
    pub const fn versions(&self) -> Option<&CatalogVersions> {
        self.versions.as_ref()
    }
}

fn keep(elder: &mut VecDeque<Arc<InForce>>, version: Arc<InForce>) {
    elder.retain(|kept| kept.number != version.number);
    elder.push_back(version);
    if elder.len() > ELDER_MAX {
        elder.pop_front();
    }
}

/// The texts of the files that the configuration names.
fn read(files: &CatalogFiles) -> Result<Texts, CatalogError> {
    let mut texts = Texts::new();
    for kind in KINDS {
        let Some(path) = (kind.file)(files) else {
            continue;
        };
        let text = fs::read_to_string(path).map_err(|cause| CatalogError::File {
            path: path.clone(),
            cause,
        })?;
        texts.insert(kind.name.to_owned(), text);
    }
    Ok(texts)
}

fn snapshot(texts: &Texts, files: &CatalogFiles) -> Result<Snapshot, Vec<CatalogMistake>> {
    Snapshot::load(&sources(texts, Some(files)))
}

/// The texts under the names that their mistakes are reported with.
fn sources(texts: &Texts, files: Option<&CatalogFiles>) -> CatalogSources {
    let mut sources = CatalogSources::default();
    for kind in KINDS {
        let Some(text) = texts.get(kind.name) else {
            continue;
        };
        let file = files.and_then(|files| (kind.file)(files).as_ref());
        let name = file.map_or_else(|| kind.name.to_owned(), |path| path.display().to_string());
        *(kind.source)(&mut sources) = Some((name, text.clone()));
    }
    sources
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
