//! Connections: made when they are needed, kept while they are healthy, closed when in doubt.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::JoinHandle,
    time::timeout,
};
use tokio_postgres::{
    Client, Config, NoTls, Statement,
    config::{Host, SslMode},
    error::SqlState,
};

use super::Options;
use crate::store::{StoreError, TimedOut};

/// Why work on a connection did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server or the way to it.
    #[error("{}", text(.0))]
    Database(#[from] tokio_postgres::Error),
    /// The time limit.
    #[error("no answer in time")]
    TimedOut,
    /// Found out on our side.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a failure means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// Try again later.
    Passing,
    /// The server refuses what was in the statement.
    Data,
    /// The server or the schema is not what it should be.
    Lasting,
}

impl Failure {
    pub(super) fn severity(&self) -> Severity {
        match self {
            Self::TimedOut | Self::Store(StoreError::Unavailable { .. }) => Severity::Passing,
            Self::Store(StoreError::Unusable { .. } | StoreError::Newer { .. }) => {
                Severity::Lasting
            }
            Self::Database(error) => error.code().map_or_else(
                // A broken connection has no code; a value that does not fit its column neither,
                // but those were ours to choose.
                || Severity::Passing,
                |state| severity(state.code()),
            ),
        }
    }

    /// A row that is there already was written without saying what to do then.
    pub(super) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Database(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
    }

    /// Two that write waited for each other, and this one was chosen to give way.
    pub(super) fn is_deadlock(&self) -> bool {
        let state = match self {
            Self::Database(error) => error.code(),
            Self::TimedOut | Self::Store(_) => None,
        };
        state == Some(&SqlState::T_R_DEADLOCK_DETECTED)
    }

    /// Our limit, or the same one at the server, whichever is first.
    pub(super) fn is_timeout(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Database(error) => error.code() == Some(&SqlState::QUERY_CANCELED),
            Self::Store(_) => false,
        }
    }

    pub(super) fn into_store_error(self, action: &'static str) -> StoreError {
        match (self.severity(), self) {
            (_, Self::Store(error)) => error,
            (_, failure) if failure.is_timeout() => StoreError::Unavailable {
                action,
                cause: Box::new(TimedOut),
            },
            (Severity::Passing, failure) => StoreError::Unavailable {
                action,
                cause: Box::new(failure),
            },
            (_, failure) => StoreError::Unusable {
                action,
                reason: failure.to_string(),
            },
        }
    }
}

/// By the class of an SQLSTATE (PostgreSQL's manual, appendix A).
fn severity(sqlstate: &str) -> Severity {
    match sqlstate.get(..2).unwrap_or_default() {
        // Cardinality, data, constraint, check option, program limit, an exception of a trigger.
        "21" | "22" | "23" | "44" | "54" | "P0" => Severity::Data,
        // Syntax and access rule, feature, catalog, authorization.
        "42" | "0A" | "3D" | "3F" | "28" | "2B" => Severity::Lasting,
        // Connection 08, rollback 40, read-only standby 25, no memory, disk or connections left 53,
        // lock 55, shutdown and cancel 57, I/O 58, internal XX, and what is yet unknown: a row must
        // not land in quarantine for what is not its fault.
        _ => Severity::Passing,
    }
}

/// The message with the server's own words: `Display` of the error alone says "db error".
fn text(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

/// Runs work within a time limit.
pub(super) async fn bounded<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(limit, work).await.unwrap_or(Err(Failure::TimedOut))
}

/// A few connections to one server.
#[derive(Debug)]
pub(super) struct Pool {
    config: Config,
    options: Options,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Pool {
    pub(super) fn new(config: Config, options: &Options, connections: usize) -> Self {
        Self {
            config,
            options: options.clone(),
            idle: Mutex::default(),
            permits: Semaphore::new(connections),
        }
    }

    /// A healthy connection, a new one if need be. Whoever leaves the lease without
    /// [`Lease::conclude`], cancelled for instance, closes it.
    pub(super) async fn lease(&self, action: &'static str) -> Result<Lease<'_>, StoreError> {
        let waiting = async {
            self.permits.acquire().await.map_err(|cause| {
                Failure::Store(StoreError::Unavailable {
                    action,
                    cause: Box::new(cause),
                })
            })
        };
        let permit = bounded(self.options.query_timeout, waiting)
            .await
            .map_err(|failure| failure.into_store_error(action))?;
        let idle = {
            let mut idle = self.idle.lock();
            idle.retain(|connection| !connection.client.is_closed());
            idle.pop()
        };
        let connection = match idle {
            Some(connection) => connection,
            None => self.open().await?,
        };
        Ok(Lease {
            pool: self,
            connection: Some(connection),
            action,
            _permit: permit,
        })
    }

    /// A new connection. Whatever the reason that there is none, a person can mend it while the
    /// gateway waits: a wrong password as well.
    pub(super) async fn open(&self) -> Result<Connection, StoreError> {
        let opening = async {
            let (client, driver) = self.config.connect(NoTls).await?;
            let driver = tokio::spawn(async move {
                if let Err(error) = driver.await {
                    tracing::debug!(error = text(&error), "a connection to the database ended");
                }
            });
            let connection = Connection {
                client,
                driver,
                statements: HashMap::new(),
                has_staging: false,
            };
            let limit = self.options.write_timeout.as_millis();
            // Plans are made for the values at hand: only so do time bounds exclude chunks.
            connection
                .client
                .batch_execute(&format!(
                    "SET statement_timeout = {limit}; \
                     SET idle_in_transaction_session_timeout = {limit}; \
                     SET synchronous_commit = on; \
                     SET plan_cache_mode = force_custom_plan; \
                     SET timezone = 'UTC'"
                ))
                .await?;
            Ok(connection)
        };
        // Name resolution has no limit of its own, and neither has a server that is silent.
        bounded(self.options.connect_timeout, opening)
            .await
            .map_err(|failure| StoreError::Unavailable {
                action: "connect",
                cause: Box::new(failure),
            })
    }
}

/// A connection with what is prepared on it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    driver: JoinHandle<()>,
    statements: HashMap<&'static str, Statement>,
    /// The temporary table for copying is there.
    pub(super) has_staging: bool,
}

impl Connection {
    /// A statement, prepared once.
    pub(super) async fn statement(&mut self, sql: &'static str) -> Result<Statement, Failure> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without it the socket would stay open until the server answers.
        self.driver.abort();
    }
}

/// A connection on loan.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
    action: &'static str,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    /// Gives the connection back if it is still good.
    pub(super) fn conclude<T>(mut self, result: Result<T, Failure>) -> Result<T, StoreError> {
        let is_good = match &result {
            Ok(_) => true,
            Err(failure) => failure.severity() != Severity::Passing,
        };
        if is_good && let Some(connection) = self.connection.take() {
            self.pool.idle.lock().push(connection);
        }
        result.map_err(|failure| failure.into_store_error(self.action))
    }
}

impl Deref for Lease<'_> {
    type Target = Connection;

    #[expect(
        clippy::expect_used,
        reason = "only conclude takes it, and conclude takes the lease"
    )]
    fn deref(&self) -> &Connection {
        self.connection
            .as_ref()
            .expect("a lease holds its connection until it is concluded")
    }
}

impl DerefMut for Lease<'_> {
    #[expect(
        clippy::expect_used,
        reason = "only conclude takes it, and conclude takes the lease"
    )]
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
            .as_mut()
            .expect("a lease holds its connection until it is concluded")
    }
}

/// What an address of a database says: a URL, or libpq's form.
///
/// # Errors
/// [`StoreError::Unusable`] when it is none, names no host, or asks for TLS.
pub(crate) fn config(url: &str) -> Result<Config, StoreError> {
    let unusable = |reason: String| StoreError::Unusable {
        action: "use the address",
        reason,
    };
    let config: Config = url
        .parse()
        .map_err(|error: tokio_postgres::Error| unusable(error.to_string()))?;
    if config.get_hosts().is_empty() {
        return Err(unusable("it names no host".into()));
    }
    if config.get_ssl_mode() == SslMode::Require {
        return Err(unusable("it asks for TLS, which is not built in".into()));
    }
    Ok(config)
}

/// Host and database, never the password.
pub(super) fn address(config: &Config) -> String {
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .zip(
            config
                .get_ports()
                .iter()
                .cycle()
                .copied()
                .chain(std::iter::repeat(5432)),
        )
        .map(|(host, port)| match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(path) => format!("{}:{port}", path.display()),
        })
        .collect();
    format!(
        "{}/{}",
        hosts.join(","),
        config.get_dbname().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_blamed_only_for_what_is_its_fault() {
        for (sqlstate, expected) in [
            ("22003", Severity::Data),    // numeric value out of range
            ("23514", Severity::Data),    // check violation
            ("P0001", Severity::Data),    // raised by a trigger
            ("40001", Severity::Passing), // serialization failure
            ("53100", Severity::Passing), // disk full
            ("53300", Severity::Passing), // too many connections
            ("57P01", Severity::Passing), // admin shutdown
            ("57014", Severity::Passing), // statement timeout
            ("08006", Severity::Passing), // connection failure
            ("42P01", Severity::Lasting), // undefined table
        ] {
            assert_eq!(severity(sqlstate), expected, "{sqlstate}");
        }
    }

    #[test]
    fn the_address_keeps_the_password_to_itself() {
        let config = "postgres://u:secret@db.example:5433/city".parse().unwrap();
        assert_eq!(address(&config), "db.example:5433/city");
        let config = "host=/run/postgresql user=u".parse().unwrap();
        assert_eq!(address(&config), "/run/postgresql:5432/");
    }
}
