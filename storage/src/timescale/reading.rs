//! All positions of a range, for those who take them whole: files, moves, trials.
//!
//! Page after page would be the wrong way. A page has to find its place among all rows that share
//! the moment of its first one; where a plan sorts, be it for want of statistics, it sorts all that
//! is still to come; and a compressed chunk is read by whole batches, each of a terminal's thousand
//! rows, for every page anew. So the range is read in windows of time, each by one query without a
//! limit whose rows are taken as they come: whatever the plan is, each row is read once.
//!
//! A window is one snapshot. How long it is follows from what the last one held, so that the server
//! sorts a bounded number of rows, but for those of one moment. A window that runs out of time, at
//! the server or because its reader is slow, goes on with a shorter one where it stood.

use std::{pin::Pin, sync::Arc};

use futures_util::{
    TryStreamExt,
    stream::{self, BoxStream},
};
use geofence::units::Timestamp;
use tokio_postgres::RowStream;

use super::{
    TimescaleStore,
    connection::{Connection, Failure, bounded},
    queries, rows,
};
use crate::store::{PositionQuery, PositionRow, StoreError};

/// Rows that a window is to have: the server sorts them, on its disk where they are more than its
/// memory for it. The more there are, the fewer batches of compressed chunks are read twice.
const WINDOW_ROWS_MAX: i64 = 500_000;
/// After windows that ran out of time.
const WINDOW_ROWS_MIN: i64 = 10_000;
const FIRST_SPAN_MS: i64 = 60_000;
const SPAN_MS_MAX: i64 = 32 * 86_400_000;
/// From one window to the next, and after one that ran out of time.
const CHANGE_MAX: i64 = 8;

/// The rows of a query in its order, in pieces of at most its limit. It has a connection of its
/// own, so that it takes none from those who ask short questions.
pub(super) fn read(
    store: Arc<TimescaleStore>,
    query: PositionQuery,
) -> BoxStream<'static, Result<Vec<PositionRow>, StoreError>> {
    let reading = Reading {
        store,
        query,
        connection: None,
        window: None,
        span_ms: FIRST_SPAN_MS,
        rows_wanted: WINDOW_ROWS_MAX,
        is_beside_rows: false,
        has_moved: true,
    };
    Box::pin(stream::try_unfold(reading, Reading::piece))
}

struct Reading {
    store: Arc<TimescaleStore>,
    /// What is still to come: from the end of the last window on, or behind a row of this one.
    query: PositionQuery,
    connection: Option<Connection>,
    window: Option<Window>,
    /// How long the next window is.
    span_ms: i64,
    /// How many rows it is to have.
    rows_wanted: i64,
    /// The next window begins where rows are, as far as is known.
    is_beside_rows: bool,
    /// It has given rows since it last ran out of time.
    has_moved: bool,
}

struct Window {
    /// Exclusive.
    to: Timestamp,
    found: Pin<Box<RowStream>>,
    rows: i64,
}

impl Reading {
    async fn piece(mut self) -> Result<Option<(Vec<PositionRow>, Self)>, StoreError> {
        let action = "read positions";
        loop {
            if self.window.is_none() && self.query.from >= self.query.to {
                return Ok(None);
            }
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => {
                    self.store.found().await?;
                    self.store.readers.open().await?
                }
            };
            // As long as the server lets a statement run: a window may be waited for until it is
            // sorted.
            let limit = self.store.options.write_timeout;
            match bounded(limit, self.next_rows(&mut connection)).await {
                Ok(rows) => {
                    self.connection = Some(connection);
                    if !rows.is_empty() {
                        self.has_moved = true;
                        return Ok(Some((rows, self)));
                    }
                }
                // The connection goes with what it still waits for.
                Err(failure) if failure.is_timeout() && (self.has_moved || self.span_ms > 1) => {
                    self.window = None;
                    self.has_moved = false;
                    self.span_ms = (self.span_ms / CHANGE_MAX).max(1);
                    self.rows_wanted = (self.rows_wanted / 2).max(WINDOW_ROWS_MIN);
                    let (span_ms, rows) = (self.span_ms, self.rows_wanted);
                    tracing::debug!(span_ms, rows, "fewer positions are read at once");
                }
                Err(failure) => return Err(failure.into_store_error(action)),
            }
        }
    }

    /// Rows of this window, of a new one, or none where it had none. Nothing is lost with a future
    /// that is dropped: the query moves on with what is given.
    async fn next_rows(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Vec<PositionRow>, Failure> {
        let window = match &mut self.window {
            Some(window) => window,
            empty => {
                if !self.is_beside_rows {
                    let first = queries::first_moment(connection, &self.query).await?;
                    self.query.from = first.unwrap_or(self.query.to);
                    self.is_beside_rows = true;
                    if first.is_none() {
                        return Ok(Vec::new());
                    }
                }
                let begin = (self.query.after).map_or(self.query.from, |(fixed_at, ..)| fixed_at);
                let query = PositionQuery {
                    to: begin.plus_millis(self.span_ms).min(self.query.to),
                    ..self.query.clone()
                };
                let found = queries::rows_of(connection, &query, None).await?;
                empty.insert(Window {
                    to: query.to,
                    found: Box::pin(found),
                    rows: 0,
                })
            }
        };
        let mut rows = Vec::new();
        while rows.len() < self.query.limit as usize {
            let Some(row) = window.found.try_next().await? else {
                window.rows = window.rows.saturating_add_unsigned(rows.len() as u64);
                self.query.from = window.to;
                self.query.after = None;
                self.is_beside_rows = window.rows > 0;
                self.span_ms = span_after(self.span_ms, window.rows, self.rows_wanted);
                self.window = None;
                return Ok(rows);
            };
            rows.push(rows::position(&row)?);
        }
        window.rows = window.rows.saturating_add_unsigned(rows.len() as u64);
        self.query.after = rows.last().map(PositionRow::key);
        Ok(rows)
    }
}

/// How long the next window is to be after one that had so many rows.
fn span_after(span_ms: i64, rows: i64, rows_wanted: i64) -> i64 {
    let even = span_ms.saturating_mul(rows_wanted) / rows.max(1);
    let (least, most) = (span_ms / CHANGE_MAX, span_ms.saturating_mul(CHANGE_MAX));
    even.clamp(least, most).clamp(1, SPAN_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_follows_what_the_last_one_held_by_steps() {
        let after = |span_ms, rows| span_after(span_ms, rows, 100);
        assert_eq!(after(60_000, 0), 8 * 60_000);
        assert_eq!(after(60_000, 100), 60_000);
        assert_eq!(after(60_000, 200), 30_000);
        assert_eq!(after(60_000, 100_000), 7_500);
        assert_eq!(after(1, 100_000), 1);
        assert_eq!(after(SPAN_MS_MAX, 1), SPAN_MS_MAX);
    }
}
