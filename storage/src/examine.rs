//! A look at a database or an embedded store, for people who want to know whether it will do.
//!
//! Nothing is created and nothing migrated: the connection is read-only, and a store is not opened
//! as one, since that would bring it to the newest schema.

use std::{path::Path, time::Duration};

use tokio_postgres::{Client, NoTls};

use crate::{
    cursors, embedded,
    sqlite::failed,
    store::{Cursor, StoreError},
    timescale,
};

const TIMEOUT: Duration = Duration::from_secs(10);

/// What was found in a PostgreSQL database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostgresFacts {
    /// Version of the server, as it says it.
    pub server: String,
    /// The database takes no writes: it follows another one.
    pub is_standby: bool,
    /// Migrations that were applied; `None` where gridtrace has never been.
    pub schema_version: Option<u32>,
    /// What the user lacks, in words.
    pub lacking: Vec<String>,
    /// `max_connections`, without those that are reserved for superusers.
    pub connections_max: u32,
    /// Connections that are open, this one included.
    pub connections: u32,
    /// `fsync`.
    pub syncs: bool,
    /// `full_page_writes`.
    pub writes_full_pages: bool,
    /// `synchronous_commit`, as it is for a new connection.
    pub synchronous_commit: String,
    /// TimescaleDB in this database: its version.
    pub timescale: Option<String>,
    /// It is too old: it can lose rows.
    pub timescale_is_too_old: bool,
    /// It is the Timescale licence, which compresses, and not the Apache one.
    pub timescale_is_full: bool,
    /// TimescaleDB that is installed on the server and not used in this database.
    pub timescale_offered: Option<String>,
    /// Where consumers stand.
    pub cursors: Vec<Cursor>,
}

/// Migrations of the newest schema that this program knows, of databases.
pub const POSTGRES_SCHEMA_VERSION: u32 = timescale::SCHEMA_VERSION;

/// Migrations of the newest schema that this program knows, of `main.sqlite`.
#[must_use]
pub fn embedded_schema_version() -> u32 {
    u32::try_from(embedded::MAIN.len()).unwrap_or(u32::MAX)
}

/// Migrations that were applied to the embedded store of this directory; `None` where there is no
/// store.
///
/// # Errors
/// When it is there and cannot be read.
pub fn embedded(directory: &Path) -> Result<Option<u32>, StoreError> {
    let path = directory.join("main.sqlite");
    if !path.exists() {
        return Ok(None);
    }
    let connection = cursors::open(&path)?;
    connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map(Some)
        .map_err(failed("read the version of the store"))
}

/// Looks at the database of this address.
///
/// # Errors
/// When it is no address, or the database cannot be reached or asked.
pub async fn postgres(url: &str) -> Result<PostgresFacts, StoreError> {
    let mut config = timescale::config(url)?;
    config
        .application_name("gridtrace doctor")
        .connect_timeout(TIMEOUT);
    let look = async {
        let (client, connection) = config.connect(NoTls).await?;
        let driver = tokio::spawn(connection);
        let facts = facts(&client).await;
        drop(client);
        driver.abort();
        facts
    };
    let unavailable = |cause| StoreError::Unavailable {
        action: "look at the database",
        cause,
    };
    match tokio::time::timeout(TIMEOUT, look).await {
        Ok(Ok(facts)) => Ok(facts),
        Ok(Err(error)) => Err(unavailable(text(&error).into())),
        Err(_) => Err(unavailable("no answer in time".into())),
    }
}

/// The server's own words.
fn text(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => db.message().to_owned(),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

async fn facts(client: &Client) -> Result<PostgresFacts, tokio_postgres::Error> {
    let read_only = "SET default_transaction_read_only = on; SET statement_timeout = '5s'";
    client.batch_execute(read_only).await?;
    let row = client
        .query_one(
            "SELECT current_setting('server_version'), pg_is_in_recovery(), \
             EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                     WHERE n.nspname = 'gridtrace' AND c.relname = 'migrations'), \
             has_database_privilege(current_database(), 'CREATE'), \
             current_setting('max_connections')::int \
               - current_setting('superuser_reserved_connections')::int, \
             (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend'), \
             current_setting('fsync')::bool, current_setting('full_page_writes')::bool, \
             current_setting('synchronous_commit'), current_user::text, current_database()::text, \
             coalesce(current_setting('timescaledb.license', true), '') = 'timescale'",
            &[],
        )
        .await?;
    let has_schema: bool = row.get(2);
    let may_create: bool = row.get(3);
    let (user, database): (String, String) = (row.get(9), row.get(10));
    let count = |index| u32::try_from(row.get::<_, i32>(index)).unwrap_or(0);
    let mut facts = PostgresFacts {
        server: row.get(0),
        is_standby: row.get(1),
        connections_max: count(4),
        connections: count(5),
        syncs: row.get(6),
        writes_full_pages: row.get(7),
        synchronous_commit: row.get(8),
        timescale_is_full: row.get(11),
        ..PostgresFacts::default()
    };
    if has_schema {
        schema(client, &mut facts, &user).await?;
    } else if !may_create {
        let lack = format!("{user} may not create a schema in {database}");
        facts.lacking.push(lack);
    }
    let row = client
        .query_opt(
            "SELECT installed_version, default_version FROM pg_available_extensions \
             WHERE name = 'timescaledb'",
            &[],
        )
        .await?;
    if let Some(row) = row {
        facts.timescale = row.get(0);
        if facts.timescale.is_none() {
            facts.timescale_offered = row.get(1);
        }
    }
    let is_too_old = |found: &String| timescale::version(found) < timescale::TIMESCALE_MIN;
    facts.timescale_is_too_old = facts.timescale.as_ref().is_some_and(is_too_old);
    Ok(facts)
}

/// What is asked where the schema is there.
async fn schema(
    client: &Client,
    facts: &mut PostgresFacts,
    user: &str,
) -> Result<(), tokio_postgres::Error> {
    let tables = client
        .query(
            "SELECT c.oid::regclass::text, \
             has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') \
               AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'), \
             pg_has_role(c.relowner, 'USAGE') \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'gridtrace' AND c.relkind IN ('r', 'p') AND NOT c.relispartition",
            &[],
        )
        .await?;
    let row = client
        .query_one("SELECT has_schema_privilege('gridtrace', 'USAGE')", &[])
        .await?;
    if !row.get::<_, bool>(0) {
        let lack = format!("{user} may not use the schema gridtrace");
        facts.lacking.push(lack);
        return Ok(());
    }
    for table in tables {
        let (name, may_write, is_owner): (String, bool, bool) =
            (table.get(0), table.get(1), table.get(2));
        if !may_write {
            facts.lacking.push(format!("{user} may not write {name}"));
        } else if !is_owner && name.ends_with("positions") {
            // The writer makes a partition for each day.
            facts.lacking.push(format!("{user} does not own {name}"));
        }
    }
    if !facts.lacking.is_empty() {
        return Ok(());
    }
    let row = client
        .query_one(
            "SELECT coalesce(max(number), 0) FROM gridtrace.migrations",
            &[],
        )
        .await?;
    facts.schema_version = Some(u32::try_from(row.get::<_, i32>(0)).unwrap_or(0));
    let rows = client
        .query(
            "SELECT log, consumer, record_offset FROM gridtrace.cursors",
            &[],
        )
        .await?;
    facts.cursors = rows
        .iter()
        .map(|row| Cursor {
            log: row.get(0),
            consumer: row.get(1),
            offset: row.get::<_, i64>(2).cast_unsigned(),
        })
        .collect();
    Ok(())
}
