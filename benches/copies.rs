//! Bare COPY of rows into PostgreSQL, the least that a store with it can cost: no identity, no
//! latest positions, no cursor.

use std::{
    fmt,
    pin::pin,
    time::{Duration, UNIX_EPOCH},
};

use storage::store::PositionRow;
use tokio::task::JoinHandle;
use tokio_postgres::{
    Client, Error, NoTls,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};

/// Where rows are copied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A temporary table like that of the positions, without an index: where a store may put them
    /// down before it looks which ones are new.
    Staging,
    /// A table like that of the positions with the index that refuses duplicates, and no other: the
    /// least that a table costs into which a row goes once.
    Unique,
    /// The table of the positions itself, emptied before, with its indexes. Its schema and the
    /// partitions of the days must be there.
    Positions,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Staging => "bare COPY, staging",
            Self::Unique => "bare COPY, unique index",
            Self::Positions => "bare COPY, final table",
        })
    }
}

/// The columns of the positions.
const TYPES: [Type; 20] = [
    Type::INT4,
    Type::TIMESTAMPTZ,
    Type::INT8,
    Type::TIMESTAMPTZ,
    Type::INT8,
    Type::INT4,
    Type::INT4,
    Type::INT2,
    Type::INT4,
    Type::INT4,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT2,
    Type::BOOL,
    Type::BOOL,
    Type::TEXT,
    Type::INT8,
    Type::INT4,
    Type::INT8,
];

/// A connection that copies.
#[derive(Debug)]
pub struct Copier {
    client: Client,
    connection: JoinHandle<Result<(), Error>>,
    sql: &'static str,
}

impl Copier {
    /// Connects, and empties the table of the positions if that is the target.
    ///
    /// # Errors
    /// What the server says.
    pub async fn connect(url: &str, target: Target) -> Result<Self, Error> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let connection = tokio::spawn(connection);
        let sql = match target {
            Target::Staging => {
                let create = "CREATE TEMPORARY TABLE bare \
                              (LIKE gridtrace.positions) ON COMMIT DELETE ROWS";
                client.batch_execute(create).await?;
                "COPY pg_temp.bare FROM STDIN (FORMAT binary)"
            }
            Target::Unique => {
                let create = "CREATE TABLE gridtrace.bare (LIKE gridtrace.positions); \
                              CREATE UNIQUE INDEX ON gridtrace.bare (terminal, fixed_at, digest)";
                client.batch_execute(create).await?;
                "COPY gridtrace.bare FROM STDIN (FORMAT binary)"
            }
            Target::Positions => {
                client.batch_execute("TRUNCATE gridtrace.positions").await?;
                "COPY gridtrace.positions FROM STDIN (FORMAT binary)"
            }
        };
        Ok(Self {
            client,
            connection,
            sql,
        })
    }

    /// Copies rows in a transaction of their own. Terminals are numbered by the last digits of
    /// their phone numbers.
    ///
    /// # Errors
    /// What the server says.
    pub async fn copy(&mut self, rows: &[PositionRow]) -> Result<(), Error> {
        let transaction = self.client.transaction().await?;
        let sink = transaction.copy_in(self.sql).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &TYPES));
        for row in rows {
            write(writer.as_mut(), row).await?;
        }
        writer.as_mut().finish().await?;
        transaction.commit().await
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

async fn write(
    writer: std::pin::Pin<&mut BinaryCopyInWriter>,
    row: &PositionRow,
) -> Result<(), Error> {
    let p = &row.position;
    let moment = |millis: i64| UNIX_EPOCH + Duration::from_millis(millis.unsigned_abs());
    let digits = p.terminal.as_str();
    let number = digits.get(digits.len().saturating_sub(6)..);
    let terminal: i32 = number.and_then(|text| text.parse().ok()).unwrap_or(0);
    let values: [&(dyn ToSql + Sync); 20] = [
        &terminal,
        &moment(p.fixed_at.0),
        &i64::from(p.digest),
        &moment(p.received_at.0),
        &p.log_offset.cast_signed(),
        &p.latitude.micro_degrees(),
        &p.longitude.micro_degrees(),
        &p.altitude_m,
        &i32::from(p.speed_dkmh),
        &i32::from(p.heading_deg),
        &i64::from(p.alarm_flags),
        &i64::from(p.status_flags),
        &p.odometer_dkm.map(i64::from),
        &p.satellites.map(i16::from),
        &p.is_positioned,
        &p.is_backlog,
        &row.unit_grid,
        &p.inputs.vehicle_signals.map(i64::from),
        &p.inputs.io.map(i32::from),
        &p.inputs.vendor.map(i64::from),
    ];
    writer.write(&values).await
}
