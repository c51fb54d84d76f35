//! The store: the embedded one, or a database.

use storage::{
    cursors,
    examine::{self, PostgresFacts},
    store::{Cursor, StoreError},
};

use super::Findings;
use crate::config::{Config, StoreChoice};

/// Connections that a gateway makes: two that write, four that read.
const CONNECTIONS: u32 = 6;
const AS_NEW: &str = "use a gridtrace that is as new";

/// Looks at the store; gives where consumers stand in it.
pub(super) async fn store(config: &Config, findings: &mut Findings) -> Option<Vec<Cursor>> {
    match &config.store {
        StoreChoice::Embedded => embedded(config, findings),
        StoreChoice::Postgres(url) => match examine::postgres(url).await {
            Ok(facts) => {
                database(&facts, findings);
                Some(facts.cursors)
            }
            Err(error) => {
                let found = match std::error::Error::source(&error) {
                    Some(cause) => cause.to_string(),
                    None => error.to_string(),
                };
                let advice = "check store.url, the server, and that this user may log in";
                findings.bad("database", found, advice);
                None
            }
        },
    }
}

fn embedded(config: &Config, findings: &mut Findings) -> Option<Vec<Cursor>> {
    let directory = config.data_dir.join("store");
    let newest = examine::embedded_schema_version();
    let look = || -> Result<_, StoreError> {
        Ok((
            examine::embedded(&directory)?,
            cursors::embedded(&directory)?,
        ))
    };
    match look() {
        Ok((None, _)) => {
            findings.ok("store", "embedded; none yet, the first start makes it");
            None
        }
        Ok((Some(version), _)) if version > newest => {
            let found = format!("its schema has version {version}, known is {newest}");
            findings.bad("store", found, AS_NEW);
            None
        }
        Ok((Some(version), cursors)) => {
            findings.ok("store", format!("embedded, schema {version} of {newest}"));
            Some(cursors)
        }
        Err(error) => {
            let advice = "put it back from a backup (gridtrace restore)";
            findings.bad("store", error.to_string(), advice);
            None
        }
    }
}

fn database(facts: &PostgresFacts, findings: &mut Findings) {
    let newest = examine::POSTGRES_SCHEMA_VERSION;
    let server = &facts.server;
    match facts.schema_version {
        Some(version) if version > newest => {
            let found = format!("its schema has version {version}, known is {newest}");
            findings.bad("database", found, AS_NEW);
        }
        Some(version) => {
            let found = format!("PostgreSQL {server}, schema {version} of {newest}");
            findings.ok("database", found);
        }
        None => {
            let found = format!("PostgreSQL {server}, no schema that can be read yet");
            findings.ok("database", found);
        }
    }
    if facts.is_standby {
        let advice = "name the server that takes writes in store.url";
        findings.bad("database", "it is a standby", advice);
    }
    for lack in &facts.lacking {
        let advice = "let this user own the schema gridtrace and what is in it";
        findings.bad("database rights", lack, advice);
    }
    let free = facts.connections_max.saturating_sub(facts.connections);
    let found = format!(
        "{} of {} are open, a gateway needs {CONNECTIONS}",
        facts.connections, facts.connections_max
    );
    if facts.connections_max < CONNECTIONS {
        findings.bad("database connections", found, "raise max_connections");
    } else if free < CONNECTIONS {
        let advice = "raise max_connections, unless they are a gateway's that runs";
        findings.warn("database connections", found, advice);
    } else {
        findings.ok("database connections", found);
    }
    durability(facts, findings);
    timescale(facts, findings);
}

fn durability(facts: &PostgresFacts, findings: &mut Findings) {
    let subject = "database durability";
    if !facts.syncs {
        let advice = "set fsync = on: the log removes what the database says that it has";
        findings.bad(
            subject,
            "fsync is off: a power cut may end the database",
            advice,
        );
    } else if !facts.writes_full_pages {
        let advice = "set full_page_writes = on";
        let found = "full_page_writes is off: a power cut may tear a page";
        findings.warn(subject, found, advice);
    } else {
        let found = format!(
            "fsync is on; synchronous_commit is {}, and on for what the gateway writes",
            facts.synchronous_commit
        );
        findings.ok(subject, found);
    }
}

fn timescale(facts: &PostgresFacts, findings: &mut Findings) {
    let licence = if facts.timescale_is_full {
        "its Timescale licence: positions are compressed"
    } else {
        "its Apache licence: no compression"
    };
    match (&facts.timescale, &facts.timescale_offered) {
        (Some(version), _) if facts.timescale_is_too_old => {
            let advice = "2.19.1 or later: ALTER EXTENSION timescaledb UPDATE";
            findings.bad("timescaledb", format!("{version} can lose rows"), advice);
        }
        (Some(version), _) => findings.ok("timescaledb", format!("{version}, {licence}")),
        (None, Some(version)) if facts.schema_version.is_none() => {
            let found = format!("{version} is installed; the first start uses it where it may");
            findings.ok("timescaledb", found);
        }
        (None, Some(version)) => {
            let found = format!("{version} is installed and not used");
            findings.ok("timescaledb", found);
        }
        (None, None) => findings.ok("timescaledb", "not installed: a partition a day is used"),
    }
}
