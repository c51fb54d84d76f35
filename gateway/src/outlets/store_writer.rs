//! Positions into the store: batches grow with the lag, rows and cursor in one transaction.

use std::time::Duration;

use storage::{
    background,
    store::{PositionBatch, PositionRow, StoreError},
};

use super::{Batch, Consumer, follower::Workplace};
use crate::{
    Gateway,
    ingest::{normalise::Window, record},
};

/// Writes every recorded position.
#[derive(Debug, Default)]
pub struct StoreWriter;

#[async_trait::async_trait]
impl Consumer for StoreWriter {
    const NAME: &'static str = "store";
    const RECORDS_MAX: usize = 50_000;
    const RECORDS_MIN: usize = 100;

    fn linger(gateway: &Gateway) -> Duration {
        gateway.config.store_batch_interval
    }

    async fn start(&mut self, place: &Workplace) -> Result<Option<u64>, StoreError> {
        let start = place.stored_cursor(Self::NAME).await?;
        tracing::info!(store = place.store.description(), "the store is there");
        Ok(start)
    }

    async fn rewind(&mut self, place: &Workplace, end: u64) -> Result<(), StoreError> {
        let nothing = PositionBatch {
            cursor: place.cursor(Self::NAME, end),
            positions: Vec::new(),
            quarantined: Vec::new(),
        };
        place.store.write_positions(&nothing).await?;
        Ok(())
    }

    async fn apply(&mut self, place: &Workplace, batch: &Batch) -> Result<Option<u64>, StoreError> {
        let (rows, unreadable) = rows(place, batch);
        let written = place.store.write_positions(&rows).await?;
        let metrics = &place.metrics;
        metrics.count(
            "records_unreadable_total",
            "consumer",
            Self::NAME,
            unreadable,
        );
        for (result, count) in [
            ("inserted", written.inserted),
            ("duplicate", written.duplicates),
            ("quarantined", written.quarantined),
            ("refused", written.refused),
        ] {
            metrics.count("positions_stored_total", "result", result, count);
        }
        metrics.count(
            "store_rows_written_total",
            "table",
            "positions",
            written.inserted,
        );
        metrics.count(
            "store_rows_written_total",
            "table",
            "quarantine",
            written.quarantined,
        );
        Ok(Some(batch.next))
    }

    async fn settle(&mut self, _: &Workplace) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }
}

/// What records say, and how many of them cannot be read.
pub(super) fn rows(place: &Workplace, batch: &Batch) -> (PositionBatch, u64) {
    let window = Window::from(&place.ingest);
    let catalog = place.catalog.current();
    let mut positions = Vec::with_capacity(batch.records.len());
    let mut quarantined = Vec::new();
    let mut unreadable = 0;
    for entry in &batch.records {
        background::give_way();
        match record::reports(entry, &window) {
            Ok(reports) => {
                for report in reports {
                    match report {
                        Ok(position) => positions.push(PositionRow {
                            position,
                            unit_grid: None,
                        }),
                        Err(report) => quarantined.push(report),
                    }
                }
            }
            Err(error) => {
                tracing::error!(offset = entry.offset, %error, "a record cannot be read again");
                unreadable += 1;
            }
        }
    }
    let places = positions.iter().map(|row| {
        let position = &row.position;
        let place = (position.latitude, position.longitude);
        position.is_positioned.then_some(place)
    });
    let grids = catalog.grids_at(places);
    for (row, grid) in positions.iter_mut().zip(grids) {
        row.unit_grid = grid.map(|grid| grid.code.clone());
    }
    let rows = PositionBatch {
        cursor: place.cursor(StoreWriter::NAME, batch.next),
        positions,
        quarantined,
    };
    (rows, unreadable)
}
