//! The newest position of each terminal.

use std::collections::HashSet;

use tokio_postgres::{Statement, Transaction};

use super::{
    connection::{Connection, Failure},
    rows::{Columns, Line, arrays, columns},
};

/// What a newer row changes, from a row of the given name.
macro_rules! newer {
    ($from:literal) => {
        newer!($from; fixed_at digest received_at log_offset latitude longitude altitude_m
            speed_dkmh heading_deg alarm_flags status_flags odometer_dkm satellites is_positioned
            is_backlog unit_grid vehicle_signals io vendor)
    };
    ($from:literal; $first:ident $($column:ident)*) => {
        concat!(
            stringify!($first), " = ", $from, ".", stringify!($first),
            $(", ", stringify!($column), " = ", $from, ".", stringify!($column)),*
        )
    };
}

/// The newest stays: by fix time, and by digest where two share it, so that the order of arrival
/// does not matter.
macro_rules! is_newer {
    ($from:literal) => {
        concat!(
            "(",
            $from,
            ".fixed_at, ",
            $from,
            ".digest) > (latest.fixed_at, latest.digest)"
        )
    };
}

/// For terminals that have a row. Gives those whose row is another one now.
const UPDATE: &str = concat!(
    "UPDATE gridtrace.latest SET ",
    newer!("new"),
    " FROM (",
    arrays!(),
    ") AS new (",
    columns!(),
    ") WHERE latest.terminal = new.terminal AND ",
    is_newer!("new"),
    " RETURNING latest.terminal"
);
/// For all, at the price of a conflict for each that has a row.
pub(super) const UPSERT: &str = concat!(
    "INSERT INTO gridtrace.latest (",
    columns!(),
    ") ",
    arrays!(),
    " ON CONFLICT (terminal) DO UPDATE SET ",
    newer!("excluded"),
    " WHERE ",
    is_newer!("excluded")
);

/// The statements, prepared.
pub(super) struct Latest {
    update: Statement,
    upsert: Statement,
}

impl Latest {
    pub(super) async fn prepare(connection: &mut Connection) -> Result<Self, Failure> {
        Ok(Self {
            update: connection.statement(UPDATE).await?,
            upsert: connection.statement(UPSERT).await?,
        })
    }

    /// Brings the newest positions up to lines in the order of the table. New lines nearly always
    /// are newer than what is there, and an update takes less of the server than a conflict: then
    /// only what was not updated, since it is the first or old, is inserted. Two statements do not
    /// take their locks in one order, so that is not the safe way.
    pub(super) async fn write(
        &self,
        transaction: &Transaction<'_>,
        lines: &[Line<'_>],
        are_new: bool,
    ) -> Result<(), Failure> {
        // Sorted as they are, the last line of a terminal is its newest.
        let newest = lines.chunk_by(|a, b| a.terminal == b.terminal);
        let mut newest: Vec<Line<'_>> = newest.filter_map(<[_]>::last).copied().collect();
        if newest.is_empty() {
            return Ok(());
        }
        if are_new {
            let columns = Columns::of(newest.iter().copied());
            let parameters = columns.parameters();
            let updated = transaction.query(&self.update, &parameters).await?;
            if updated.len() == newest.len() {
                return Ok(());
            }
            let updated: HashSet<i32> = updated.iter().map(|row| row.get(0)).collect();
            newest.retain(|line| !updated.contains(&line.terminal));
        }
        let columns = Columns::of(newest.into_iter());
        let parameters = columns.parameters();
        transaction.execute(&self.upsert, &parameters).await?;
        Ok(())
    }
}
