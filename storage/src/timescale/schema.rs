//! What the server is, and the schema on it.

use tokio_postgres::{Client, GenericClient, Transaction};

use super::{
    Rules,
    connection::{Failure, Pool},
    hypertable::{self, Hours, Set},
};
use crate::store::StoreError;

/// TimescaleDB before this could lose rows in `ON CONFLICT DO NOTHING` (timescaledb#7672).
pub(crate) const TIMESCALE_MIN: [u32; 3] = [2, 19, 1];
/// Migrations that this version knows.
pub(crate) const SCHEMA_VERSION: u32 = 11;
/// Key of the advisory lock under which migrations run: "gridtrac" in ASCII.
pub(super) const LOCK: i64 = 0x6772_6964_7472_6163;

const COMMON: &str = include_str!("../../migrations/postgres/0001_common.sql");
const HYPERTABLE: &str = include_str!("../../migrations/postgres/0002_positions_hypertable.sql");
const PARTITIONS: &str = include_str!("../../migrations/postgres/0002_positions_partitions.sql");
const VIEWS: &str = include_str!("../../migrations/postgres/0003_views.sql");
const RETENTION: &str = include_str!("../../migrations/postgres/0004_retention.sql");
const INPUTS: &str = include_str!("../../migrations/postgres/0006_inputs.sql");
const CASES: &str = include_str!("../../migrations/postgres/0007_cases.sql");
const OUTBOX: &str = include_str!("../../migrations/postgres/0008_outbox.sql");
const EVALUATION: &str = include_str!("../../migrations/postgres/0009_evaluation.sql");
const SEARCH: &str = include_str!("../../migrations/postgres/0010_search.sql");
const REPEATS: &str = include_str!("../../migrations/postgres/0011_repeats.sql");

/// What was found and is used.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) description: String,
    /// The schema of TimescaleDB's functions, where positions are a hypertable. Else they lie in a
    /// partition a day, which the writer makes.
    pub(super) functions: Option<String>,
    /// The sums of hours are continuous aggregates.
    pub(super) has_aggregates: bool,
}

/// The extension as it is in this database.
#[derive(Clone, Debug)]
pub(super) struct Timescale {
    version: String,
    /// The schema that its functions are in.
    schema: String,
    /// Not the Apache build or setting: it can compress, and keep sums.
    pub(super) is_full: bool,
}

/// Looks at the server, brings the schema to this version, and sets what the rules say.
pub(super) async fn prepare(pool: &Pool, rules: Option<&Rules>) -> Result<Found, StoreError> {
    let action = "prepare the database";
    let failed = |failure: Failure| failure.into_store_error(action);
    offer_extension(pool).await?;
    let mut connection = pool.open().await?;
    let client = &mut connection.client;
    let timescale = timescale(client).await.map_err(failed)?;
    if let Some(timescale) = &timescale
        && version(&timescale.version) < TIMESCALE_MIN
    {
        let reason = format!(
            "TimescaleDB {} can lose rows: it needs 2.19.1 or later (ALTER EXTENSION timescaledb \
             UPDATE)",
            timescale.version
        );
        return Err(StoreError::Unusable { action, reason });
    }
    migrate(client, timescale.as_ref()).await.map_err(failed)?;
    let has_partitions = has_partitions(client).await.map_err(failed)?;
    let set = match &timescale {
        Some(timescale) if !has_partitions => hypertable::set_up(client, timescale, rules)
            .await
            .map_err(failed)?,
        _ => Set::default(),
    };
    let server: String = client
        .query_one("SHOW server_version", &[])
        .await
        .map_err(Failure::from)
        .map_err(failed)?
        .get(0);
    let server = server.split(' ').next().unwrap_or_default();
    let used = match (&timescale, has_partitions) {
        (Some(t), false) if t.is_full => format!("with TimescaleDB {} ({set})", t.version),
        (Some(t), false) => format!("with TimescaleDB {} (Apache licence: {set})", t.version),
        (Some(t), true) => format!(
            "with daily partitions (made before TimescaleDB {} was there, which is not used)",
            t.version
        ),
        (None, true) => "with daily partitions (no TimescaleDB)".to_owned(),
        (None, false) => {
            let reason = "the positions are in a hypertable, but TimescaleDB is gone".into();
            return Err(StoreError::Unusable { action, reason });
        }
    };
    Ok(Found {
        description: format!("PostgreSQL {server} {used}"),
        has_aggregates: set.has_aggregates,
        functions: timescale
            .filter(|_| !has_partitions)
            .map(|timescale| timescale.schema),
    })
}

/// Creates the extension where it is installed and allowed, before there is a table of positions.
/// On a connection of its own: a server that does not preload the library ends it.
async fn offer_extension(pool: &Pool) -> Result<(), StoreError> {
    let connection = pool.open().await?;
    let asked = "SELECT default_version FROM pg_available_extensions \
                 WHERE name = 'timescaledb' AND installed_version IS NULL \
                 AND to_regclass('gridtrace.positions') IS NULL";
    let offered = connection
        .client
        .query_opt(asked, &[])
        .await
        .map_err(Failure::from);
    let offered: Option<String> = offered
        .map_err(|failure| failure.into_store_error("look for TimescaleDB"))?
        .map(|row| row.get(0));
    let Some(offered) = offered.filter(|offered| version(offered) >= TIMESCALE_MIN) else {
        return Ok(());
    };
    let create = "CREATE EXTENSION IF NOT EXISTS timescaledb";
    if let Err(error) = connection.client.batch_execute(create).await {
        let error = Failure::from(error);
        tracing::info!(%error, offered, "TimescaleDB is installed, but cannot be used here");
    }
    Ok(())
}

async fn timescale(client: &Client) -> Result<Option<Timescale>, Failure> {
    let sql = "SELECT e.extversion, quote_ident(n.nspname), \
               coalesce(current_setting('timescaledb.license', true), '') = 'timescale' \
               FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace \
               WHERE e.extname = 'timescaledb'";
    let row = client.query_opt(sql, &[]).await?;
    Ok(row.map(|row| Timescale {
        version: row.get(0),
        schema: row.get(1),
        is_full: row.get(2),
    }))
}

/// `2.28.3-dev` as numbers; what is missing is 0.
pub(crate) fn version(text: &str) -> [u32; 3] {
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .map(|n| n.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

async fn migrate(client: &mut Client, timescale: Option<&Timescale>) -> Result<(), Failure> {
    let positions = if timescale.is_some() {
        HYPERTABLE
    } else {
        PARTITIONS
    };
    let migrations: [_; SCHEMA_VERSION as usize] = [
        ("common", COMMON),
        ("positions", positions),
        ("views", VIEWS),
        ("retention", RETENTION),
        ("hours", ""),
        ("inputs", INPUTS),
        ("cases", CASES),
        ("outbox", OUTBOX),
        ("evaluation", EVALUATION),
        ("search", SEARCH),
        ("repeats", REPEATS),
    ];
    let transaction = client.transaction().await?;
    // Other nodes wait here, and find everything done.
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await?;
    let is_new: bool = transaction
        .query_one("SELECT to_regclass('gridtrace.migrations') IS NULL", &[])
        .await?
        .get(0);
    if is_new {
        transaction
            .batch_execute(
                "CREATE SCHEMA IF NOT EXISTS gridtrace; \
                 CREATE TABLE gridtrace.migrations (number int PRIMARY KEY, name text NOT NULL, \
                 applied_at timestamptz NOT NULL DEFAULT now())",
            )
            .await?;
    }
    let applied: i32 = transaction
        .query_one(
            "SELECT coalesce(max(number), 0) FROM gridtrace.migrations",
            &[],
        )
        .await?
        .get(0);
    let applied = usize::try_from(applied).unwrap_or(0);
    if applied > migrations.len() {
        return Err(Failure::Store(StoreError::Newer {
            what: "the schema of the database".into(),
            version: u32::try_from(applied).unwrap_or(u32::MAX),
        }));
    }
    set_search_path(&transaction, timescale).await?;
    for (number, (name, sql)) in (1_i32..).zip(migrations).skip(applied) {
        let sql = match name {
            // Partitions that were made before the extension was there stay partitions.
            "hours" if has_partitions(&transaction).await? => Hours::Plain.sql(),
            "hours" => Hours::Hypertable.sql(),
            _ => sql.to_owned(),
        };
        transaction.batch_execute(&sql).await?;
        transaction
            .execute(
                "INSERT INTO gridtrace.migrations VALUES ($1, $2)",
                &[&number, &name],
            )
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// For this transaction: so that the extension's functions are found wherever it was installed.
pub(super) async fn set_search_path(
    transaction: &Transaction<'_>,
    timescale: Option<&Timescale>,
) -> Result<(), Failure> {
    let schema = timescale.map_or("pg_catalog", |timescale| &timescale.schema);
    let path = format!("pg_catalog, {schema}");
    transaction
        .execute("SELECT set_config('search_path', $1, true)", &[&path])
        .await?;
    Ok(())
}

async fn has_partitions(client: &impl GenericClient) -> Result<bool, Failure> {
    let sql = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'gridtrace.positions'::regclass";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version("2.9.3") < TIMESCALE_MIN);
        assert!(version("2.19.0") < TIMESCALE_MIN);
        assert_eq!(version("2.19.1"), TIMESCALE_MIN);
        assert!(version("2.100") > TIMESCALE_MIN);
        assert_eq!(version("2.28.3-dev"), [2, 28, 3]);
    }
}
