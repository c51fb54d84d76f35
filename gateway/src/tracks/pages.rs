//! Pages of rows, from whatever holds them: an embedded store, a database, a running gateway.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use futures_util::{TryStreamExt as _, stream::BoxStream};
use geofence::{identity::TerminalId, units::Timestamp};
use serde::Deserialize;
use storage::{
    embedded::EmbeddedStore,
    store::{PositionQuery, PositionRow, Store, StoreError},
    timescale::TimescaleStore,
};

use super::row::Row;
use crate::{clock, http::view::QuarantineView, http_client};

/// Where rows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The data directory of an embedded store; the gateway may be running.
    DataDirectory(PathBuf),
    /// A database: `postgres://user:password@host/database`.
    Database(String),
    /// A running gateway: `127.0.0.1:8080`.
    Gateway(String),
}

/// What is wanted of it.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// From, inclusive; `None` is the beginning.
    pub from: Option<Timestamp>,
    /// To, exclusive; `None` is a day from now.
    pub to: Option<Timestamp>,
    /// One terminal only.
    pub terminal: Option<TerminalId>,
    /// Terminal after terminal rather than all of them in the order of time; without quarantine,
    /// which has no part in a track.
    pub is_by_terminal: bool,
    /// Rows of a page.
    pub page_rows: u32,
}

/// What is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Positions,
    /// What was kept apart because of its time or place. It was acknowledged like the others.
    Quarantine,
    /// The next terminal is to be chosen.
    Terminals,
    Done,
}

/// Reads page after page.
pub struct Pages {
    reader: Reader,
    wanted: Wanted,
    query: PositionQuery,
    stage: Stage,
    /// Terminals still to come, and the last one that is known of.
    terminals: VecDeque<TerminalId>,
    terminals_after: Option<TerminalId>,
    is_last_terminal_known: bool,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages")
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

enum Reader {
    Store {
        store: Arc<dyn Store>,
        /// Of the range, or of one terminal of it, while they are read.
        positions: Option<BoxStream<'static, Result<Vec<PositionRow>, StoreError>>>,
        quarantine_before: Option<u64>,
    },
    Http {
        address: String,
        cursor: Option<String>,
    },
}

/// The store in a database.
///
/// # Errors
/// When it cannot be used.
pub(crate) async fn open_database(url: &str) -> anyhow::Result<Arc<dyn Store>> {
    let options = storage::timescale::Options::default();
    Ok(Arc::new(TimescaleStore::connect(url, options).await?))
}

/// The embedded store of a data directory, which must be there.
///
/// # Errors
/// When it is not, or cannot be used.
pub(crate) fn open_embedded(data_dir: &Path) -> anyhow::Result<Arc<dyn Store>> {
    let directory = data_dir.join("store");
    if !directory.is_dir() {
        bail!("no embedded store in {}", directory.display());
    }
    Ok(Arc::new(EmbeddedStore::open(&directory)?))
}

impl Pages {
    /// Opens a source.
    ///
    /// # Errors
    /// When it is not there or cannot be used.
    pub async fn open(source: Source, wanted: Wanted) -> anyhow::Result<Self> {
        let store: Arc<dyn Store> = match source {
            Source::Gateway(address) => {
                let address = address.trim_start_matches("http://").trim_end_matches('/');
                let reader = Reader::Http {
                    address: address.to_owned(),
                    cursor: None,
                };
                return Ok(Self::of(reader, wanted));
            }
            Source::Database(url) => open_database(&url).await?,
            Source::DataDirectory(data_dir) => open_embedded(&data_dir)?,
        };
        Ok(Self::of_store(store, wanted))
    }

    /// Pages of a store that is open.
    #[must_use]
    pub fn of_store(store: Arc<dyn Store>, wanted: Wanted) -> Self {
        let reader = Reader::Store {
            store,
            positions: None,
            quarantine_before: None,
        };
        Self::of(reader, wanted)
    }

    fn of(reader: Reader, wanted: Wanted) -> Self {
        let day = 24 * 3_600_000;
        let query = PositionQuery {
            terminal: wanted.terminal,
            from: wanted.from.unwrap_or_default(),
            to: wanted.to.unwrap_or_else(|| clock::now().plus_millis(day)),
            within: None,
            after: None,
            limit: wanted.page_rows,
        };
        let has_to_choose = wanted.is_by_terminal && wanted.terminal.is_none();
        Self {
            reader,
            stage: if has_to_choose {
                Stage::Terminals
            } else {
                Stage::Positions
            },
            wanted,
            query,
            terminals: VecDeque::new(),
            terminals_after: None,
            is_last_terminal_known: false,
        }
    }

    /// The next page; empty ones come too. `None` at the end.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub async fn next(&mut self) -> anyhow::Result<Option<Vec<Row>>> {
        match self.stage {
            Stage::Done => Ok(None),
            Stage::Terminals => {
                self.choose_terminal().await?;
                Ok(Some(Vec::new()))
            }
            Stage::Positions => {
                let (rows, is_last) = self.positions().await?;
                if is_last {
                    self.stage = match (self.wanted.is_by_terminal, self.wanted.terminal) {
                        (false, _) => Stage::Quarantine,
                        (true, Some(_)) => Stage::Done,
                        (true, None) => Stage::Terminals,
                    };
                }
                Ok(Some(rows))
            }
            Stage::Quarantine => {
                let (mut rows, is_last) = self.quarantine().await?;
                rows.retain(|row| self.is_wanted(row));
                if is_last {
                    self.stage = Stage::Done;
                }
                Ok(Some(rows))
            }
        }
    }

    async fn choose_terminal(&mut self) -> anyhow::Result<()> {
        if self.terminals.is_empty() && !self.is_last_terminal_known {
            self.find_terminals().await?;
        }
        self.query.terminal = self.terminals.pop_front();
        self.stage = match self.query.terminal {
            Some(_) => Stage::Positions,
            None => Stage::Done,
        };
        Ok(())
    }

    async fn find_terminals(&mut self) -> anyhow::Result<()> {
        match &mut self.reader {
            Reader::Store { store, .. } => {
                let limit = self.query.limit;
                let rows = store.latest_positions(self.terminals_after, limit).await?;
                self.is_last_terminal_known = rows.len() < limit as usize;
                self.terminals = rows.iter().map(|row| row.position.terminal).collect();
                self.terminals_after = self.terminals.back().copied();
            }
            Reader::Http { address, .. } => {
                // All of them at once: one for each vehicle that the map knows.
                let (rows, _) = page(address, "/api/v1/positions/latest?", &mut None).await?;
                let terminals = rows.iter().map(|row| row.phone.parse());
                self.terminals = terminals.collect::<Result<_, _>>()?;
                self.is_last_terminal_known = true;
            }
        }
        Ok(())
    }

    async fn positions(&mut self) -> anyhow::Result<(Vec<Row>, bool)> {
        let limit = self.query.limit;
        match &mut self.reader {
            Reader::Store {
                store, positions, ..
            } => {
                let reading = positions
                    .get_or_insert_with(|| Arc::clone(store).all_positions(self.query.clone()));
                let rows = reading.try_next().await?;
                if rows.is_none() {
                    *positions = None;
                }
                let is_last = rows.is_none();
                let rows = rows.unwrap_or_default();
                Ok((rows.iter().map(Row::from).collect(), is_last))
            }
            Reader::Http { address, cursor } => {
                let from = clock::rfc3339(self.query.from);
                let to = clock::rfc3339(self.query.to);
                let terminal = self
                    .query
                    .terminal
                    .map_or(String::new(), |t| format!("&terminal={t}"));
                let path = format!("/api/v1/positions?limit={limit}&from={from}&to={to}{terminal}");
                page(address, &path, cursor).await
            }
        }
    }

    async fn quarantine(&mut self) -> anyhow::Result<(Vec<Row>, bool)> {
        let limit = self.query.limit;
        match &mut self.reader {
            Reader::Store {
                store,
                quarantine_before,
                ..
            } => {
                let rows = store.quarantined(*quarantine_before, limit).await?;
                *quarantine_before = rows.last().map(|row| row.number);
                let is_last = rows.len() < limit as usize;
                let views = rows.iter().map(|row| QuarantineView::from(&row.report));
                Ok((views.map(Row::from).collect(), is_last))
            }
            Reader::Http { address, cursor } => {
                let path = format!("/api/v1/quarantine?limit={limit}");
                page(address, &path, cursor).await
            }
        }
    }

    /// For quarantine, which is listed whole. Where a range was asked for, reports without a time
    /// are left out.
    fn is_wanted(&self, row: &Row) -> bool {
        let Wanted {
            from, to, terminal, ..
        } = self.wanted;
        let is_of_terminal = terminal.is_none_or(|terminal| row.phone == terminal.as_str());
        let is_in_range = (from.is_none() && to.is_none())
            || row
                .fixed_at
                .is_some_and(|at| (self.query.from..self.query.to).contains(&at));
        is_of_terminal && is_in_range
    }
}

/// A list as the API gives it.
#[derive(Deserialize)]
struct List {
    items: Vec<Row>,
    next: Option<String>,
}

/// One page of a running gateway, and whether it is the last.
async fn page(
    address: &str,
    path: &str,
    cursor: &mut Option<String>,
) -> anyhow::Result<(Vec<Row>, bool)> {
    let mut path = path.to_owned();
    if let Some(cursor) = cursor {
        path.push_str(&format!("&cursor={cursor}"));
    }
    let (status, body) = http_client::get(address, &path).await?;
    if status != 200 {
        bail!(
            "the gateway answers {status}: {}",
            String::from_utf8_lossy(&body)
        );
    }
    let list: List = serde_json::from_slice(&body).context("the answer is no list")?;
    *cursor = list.next;
    Ok((list.items, cursor.is_none()))
}
