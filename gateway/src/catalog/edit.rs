//! Changes of the catalog while the gateway runs.

use std::sync::Arc;

use geofence::{
    catalog::{Catalog as Snapshot, CatalogMistake},
    units::Timestamp,
};
use serde_json::Value;
use storage::{
    catalog::{CatalogVersions, CreateError, NewVersion, Texts},
    store::StoreError,
};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{Catalog, InForce, Kind, TextError, Warnings, sources};
use crate::{Gateway, clock, ingest::record};

/// The kind of text of which a change is read alone.
const FENCES: &str = "fences";
/// The kind of text whose changes are looked over for holes and odd communities.
const UNIT_GRIDS: &str = "unit_grids";
/// How often it is looked for a version whose time has come.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// What is to be changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// The whole text.
    Text(String),
    /// One thing of it, there or not.
    Put(String, Value),
    /// One thing of it is taken away.
    Remove(String),
}

/// A change with what belongs to it.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Which text.
    pub kind: &'static Kind,
    /// What.
    pub change: Change,
    /// Who wants it.
    pub author: String,
    /// Why.
    pub note: String,
    /// It is not taken into force before; at once without it.
    pub effective_from: Option<Timestamp>,
    /// The newest version that the author has seen; without it, whatever is the newest.
    pub seen: Option<u64>,
    /// Nothing is written: only the mistakes are wanted.
    pub is_rehearsal: bool,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The version that was made; `None` of a rehearsal.
    pub version: Option<u64>,
    /// It is in force.
    pub is_in_force: bool,
    /// What is odd about its unit grids, where they were changed.
    pub warnings: Warnings,
}

/// A change that was read.
struct Made {
    version: Option<u64>,
    snapshot: Arc<Snapshot>,
    is_due: bool,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The thing cannot be changed in its text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The catalog would have mistakes; all of them are named.
    #[error("{} mistakes", .0.len())]
    Mistakes(Vec<CatalogMistake>),
    /// Another version was made meanwhile.
    #[error("the newest version is {newest}, another one was seen")]
    Conflict {
        /// The newest version.
        newest: u64,
    },
    /// A version waits that would take the change back when its time comes.
    #[error(
        "version {waiting} waits for a later time and does not have this change: cancel it first"
    )]
    Waiting {
        /// Its number.
        waiting: u64,
    },
    /// The versions cannot be read or written.
    #[error(transparent)]
    Versions(#[from] StoreError),
    /// The log takes nothing.
    #[error("the log: {0}")]
    Log(String),
}

impl From<CreateError> for EditError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Conflict { newest } => Self::Conflict { newest },
            CreateError::Store(error) => Self::Versions(error),
        }
    }
}

impl Edit {
    /// Makes the change. The catalog is read and checked on a thread of its own: a whole city takes
    /// a second, a fence of it some milliseconds.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub async fn apply(self, gateway: &Arc<Gateway>) -> Result<Edited, EditError> {
        let is_of_grids = self.kind.name == UNIT_GRIDS;
        let shared = Arc::clone(gateway);
        let made = spawn_blocking(move || self.make(&shared)).await;
        let made = made.map_err(|error| EditError::Log(error.to_string()))??;
        if let Some(number) = made.version.filter(|_| made.is_due) {
            take_into_force(gateway, number, Arc::clone(&made.snapshot)).await?;
        }
        // It is in force by now: only the answer waits for this.
        let shown_max = gateway.config.catalog.warnings_max as usize;
        let snapshot = made.snapshot;
        let warnings = spawn_blocking(move || {
            if is_of_grids {
                Warnings::of(&snapshot, shown_max)
            } else {
                Warnings::default()
            }
        });
        Ok(Edited {
            version: made.version,
            is_in_force: made.version.is_some() && made.is_due,
            warnings: warnings.await.unwrap_or_default(),
        })
    }

    /// The version; none of a rehearsal.
    fn make(self, gateway: &Gateway) -> Result<Made, EditError> {
        let versions = versions(gateway)?;
        let now = clock::now();
        let effective_from = self.effective_from.unwrap_or(now).max(now);
        let newest = versions.newest()?;
        if self.seen.is_some_and(|seen| seen != newest) {
            return Err(EditError::Conflict { newest });
        }
        if let Some(waiting) = versions.last_waiting()?
            && waiting.effective_from > effective_from
        {
            return Err(EditError::Waiting {
                waiting: waiting.number,
            });
        }
        // What waits comes into force before this one, so that this one starts from it.
        let current = gateway.catalog.in_force();
        let known =
            (current.number == newest && self.kind.name == FENCES).then_some(&*current.snapshot);
        let text = self.changed_text(versions, newest, known)?;
        let edited = known.and_then(|known| known.with_fences(&text));
        let texts = Texts::from([(self.kind.name.to_owned(), text)]);
        let snapshot = match edited {
            Some(snapshot) => snapshot,
            None => {
                let all = versions.version(newest)?.map(|(_, texts)| texts);
                let mut all = all.unwrap_or_default();
                all.extend(texts.clone());
                let loaded = current.snapshot.load_after(&sources(&all, None));
                loaded.map_err(EditError::Mistakes)?
            }
        };
        let made = Made {
            version: None,
            snapshot: Arc::new(snapshot),
            is_due: effective_from <= now,
        };
        if self.is_rehearsal {
            return Ok(made);
        }
        let version = NewVersion {
            texts,
            created_at: now,
            author: self.author,
            note: self.note,
            effective_from,
        };
        let number = versions.create(&version, Some(newest))?;
        Ok(Made {
            version: Some(number),
            ..made
        })
    }

    /// The text behind the change; of fences that `known` has, without reading all others.
    fn changed_text(
        &self,
        versions: &CatalogVersions,
        newest: u64,
        known: Option<&Snapshot>,
    ) -> Result<String, EditError> {
        let plain = match &self.change {
            Change::Text(text) => Some(text.clone()),
            Change::Put(id, thing) => {
                let feature = known.map(|_| thing.to_string());
                known
                    .filter(|_| self.kind.expect_id(id, thing).is_ok())
                    .and_then(|known| known.fence_text_with(id, feature.as_deref()))
            }
            Change::Remove(id) => known.and_then(|known| known.fence_text_with(id, None)),
        };
        if let Some(text) = plain {
            return Ok(text);
        }
        let text = versions.text(newest, self.kind.name)?.unwrap_or_default();
        Ok(match &self.change {
            Change::Text(text) => text.clone(),
            Change::Put(id, thing) => self.kind.put(&text, id, thing)?,
            Change::Remove(id) => self.kind.remove(&text, id)?,
        })
    }
}

/// Texts in place of those of a version, that nobody has made a version of.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The version; the one in force without it.
    pub version: Option<u64>,
    /// The other texts, by the names of their kinds.
    pub texts: Texts,
}

impl Draft {
    /// The catalog that it would be, with the number of the version that it begins from. It takes a
    /// while.
    ///
    /// # Errors
    /// Every mistake of every text; or there is no such version.
    pub fn load(self, catalog: &Catalog) -> Result<(u64, Snapshot), EditError> {
        let number = self.version.unwrap_or_else(|| catalog.in_force().number);
        let version = match catalog.versions() {
            Some(versions) => versions.version(number)?,
            None => None,
        };
        let mut texts = match (version, self.version) {
            (Some((_, texts)), _) => texts,
            (None, None) => catalog.file_texts.clone(),
            (None, Some(number)) => {
                return Err(EditError::Text(TextError::NotThere {
                    key: "version",
                    id: number.to_string(),
                }));
            }
        };
        texts.extend(self.texts);
        let current = catalog.current();
        let snapshot = current.load_after(&sources(&texts, None));
        Ok((number, snapshot.map_err(EditError::Mistakes)?))
    }
}

fn versions(gateway: &Gateway) -> Result<&CatalogVersions, StoreError> {
    gateway.catalog.versions().ok_or(StoreError::Unusable {
        action: "change the catalog",
        reason: "it has no versions".to_owned(),
    })
}

/// Takes a version into force: written down, then told to the log, then swapped. A crash between
/// these is made good by the start, which tells the log again what is in force.
async fn take_into_force(
    gateway: &Arc<Gateway>,
    number: u64,
    snapshot: Arc<Snapshot>,
) -> Result<(), EditError> {
    // One after the other, so that the log has them in the order of the versions.
    let _turn = gateway.catalog.turn.lock().await;
    tokio::task::block_in_place(|| {
        let versions = versions(gateway)?;
        versions.take_into_force(number, clock::now())?;
        let kept_max = gateway.config.catalog.versions_max;
        versions.forget_old(kept_max)
    })?;
    tell_log(gateway, number).await?;
    gateway.catalog.swap(InForce {
        number,
        snapshot: Arc::clone(&snapshot),
    });
    // Nobody waits for this: until then the snapshot answers the same, a little slower.
    let shared = Arc::clone(gateway);
    drop(spawn_blocking(move || {
        if let Some(merged) = snapshot.merged() {
            shared.catalog.refine(number, merged);
        }
    }));
    tracing::info!(number, "a version of the catalog came into force");
    gateway
        .metrics
        .count("catalog_versions_total", "result", "in_force", 1);
    Ok(())
}

/// Tells what follows the log which version is in force from here on.
async fn tell_log(gateway: &Gateway, number: u64) -> Result<(), EditError> {
    let appended = gateway.log.append_parts(
        record::CATALOG,
        clock::now().millis(),
        &[&number.to_be_bytes()],
    );
    let offset = appended.map_err(|error| EditError::Log(error.to_string()))?;
    let durable = gateway.log.wait_durable(offset + 1).await;
    durable
        .map(drop)
        .map_err(|error| EditError::Log(error.to_string()))
}

/// Tells the log what is in force, then takes versions into force when their time comes, until told
/// to stop.
pub async fn run(gateway: Arc<Gateway>, stop: CancellationToken) {
    if gateway.catalog.has_new_grids {
        let shared = Arc::clone(&gateway);
        drop(spawn_blocking(move || warn(&shared)));
    }
    let mut is_told = false;
    loop {
        if !is_told {
            let told = tell_log(&gateway, gateway.catalog.in_force().number).await;
            is_told = told.is_ok();
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if let Err(error) = take_due(&gateway).await {
            tracing::error!(%error, "a version of the catalog does not come into force");
            gateway
                .metrics
                .count("catalog_versions_total", "result", "failed", 1);
        }
    }
}

/// Says what is odd about the unit grids that were taken from the files.
fn warn(gateway: &Gateway) {
    let shown_max = gateway.config.catalog.warnings_max as usize;
    let warnings = Warnings::of(&gateway.catalog.current(), shown_max);
    for warning in &warnings.shown {
        tracing::warn!(warning, "unit grids");
    }
    if warnings.total > warnings.shown.len() {
        let (shown, total) = (warnings.shown.len(), warnings.total);
        tracing::warn!(shown, total, "unit grids: check-config shows the others");
    }
}

async fn take_due(gateway: &Arc<Gateway>) -> Result<(), EditError> {
    let shared = Arc::clone(gateway);
    let due = spawn_blocking(move || {
        let versions = versions(&shared)?;
        let due = versions.next_waiting()?;
        let due = due.filter(|version| version.effective_from <= clock::now());
        let Some(due) = due else { return Ok(None) };
        let texts = versions.version(due.number)?;
        let texts = texts.map(|(_, texts)| texts).unwrap_or_default();
        let current = shared.catalog.current();
        let snapshot = current.load_after(&sources(&texts, None));
        let snapshot = snapshot.map_err(EditError::Mistakes)?;
        Ok::<_, EditError>(Some((due.number, snapshot)))
    });
    let due = due
        .await
        .map_err(|error| EditError::Log(error.to_string()))??;
    match due {
        Some((number, snapshot)) => take_into_force(gateway, number, Arc::new(snapshot)).await,
        None => Ok(()),
    }
}
