//! The store: which one, and what it keeps for how long.

use std::time::Duration;

use storage::{embedded, timescale::Rules};

use super::{GIB, Ingest, KIB, Raw, seconds};

/// `store.url`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChoice {
    /// SQLite files in the data directory.
    Embedded,
    /// A PostgreSQL address.
    Postgres(String),
}

/// The rest of `[store]`.
#[derive(Clone, Debug)]
pub struct StoreRules {
    /// Positions go so long after their fix time, by whole days; `None`, written as "", keeps them
    /// for ever. At least `ingest.past_max`: what is still taken in would else be removed at once,
    /// day after day. Default 400 days.
    pub positions_kept_for: Option<Duration>,
    /// Reports in quarantine go so long after their receipt; `None`, written as "", keeps them for
    /// ever. Default 400 days.
    pub quarantine_kept_for: Option<Duration>,
    /// What is too old is looked for so often. Default 1 h.
    pub retain_interval: Duration,
    /// Of the embedded store alone: rows of one transaction (default 1,000), and the size of a
    /// write-ahead file (default 8 MiB).
    pub embedded: embedded::Options,
    /// Of TimescaleDB alone: chunks of 1 day, compressed 3 days after their end.
    pub timescale: Rules,
}

impl StoreChoice {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let url = raw.text("store.url", "embedded", mask_password);
        if url == "embedded" {
            Self::Embedded
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::Postgres(url)
        } else {
            raw.mistake(
                "store.url",
                "expected \"embedded\" or \"postgres://user@host/database\"",
            );
            Self::Embedded
        }
    }
}

impl StoreRules {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let hour = seconds(3600);
        let ever = hour..=438_000 * hour;
        let kept = Some(9_600 * hour);
        Self {
            positions_kept_for: raw.optional_duration(
                "store.positions_kept_for",
                kept,
                ever.clone(),
            ),
            quarantine_kept_for: raw.optional_duration("store.quarantine_kept_for", kept, ever),
            retain_interval: raw.duration(
                "store.retain_interval",
                hour,
                Duration::from_millis(100)..=24 * hour,
            ),
            embedded: embedded_options(raw),
            timescale: Rules {
                chunk_interval: raw.duration("store.chunk_interval", 24 * hour, hour..=720 * hour),
                compress_after: raw.optional_duration(
                    "store.compress_after",
                    Some(72 * hour),
                    hour..=438_000 * hour,
                ),
            },
        }
    }

    /// What must fit other sections.
    pub(super) fn check(&self, ingest: &Ingest, raw: &mut Raw) {
        if let Some(kept) = self.positions_kept_for
            && kept < ingest.past_max
        {
            raw.mistake(
                "store.positions_kept_for",
                "shorter than ingest.past_max: positions would be taken in and removed at once",
            );
        }
    }
}

fn embedded_options(raw: &mut Raw) -> embedded::Options {
    let options = embedded::Options::default();
    let rows = u32::try_from(options.commit_rows_max).unwrap_or(u32::MAX);
    let rows = raw.count("store.commit_rows_max", rows, 100..=100_000);
    let checkpoint_bytes = raw.bytes(
        "store.checkpoint_bytes",
        options.checkpoint_bytes,
        32 * KIB..=GIB,
    );
    let wal_bytes_max = raw.bytes("store.wal_bytes_max", options.wal_bytes_max, 64 * KIB..=GIB);
    embedded::Options {
        commit_rows_max: usize::try_from(rows).unwrap_or(usize::MAX),
        checkpoint_bytes,
        wal_bytes_max,
        ..options
    }
}

/// `postgres://user:secret@host/db` becomes `postgres://user:***@host/db`.
#[must_use]
pub fn mask_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let Some((user, host)) = rest.rsplit_once('@') else {
        return url.to_owned();
    };
    let user = user
        .split_once(':')
        .map_or_else(|| user.to_owned(), |(name, _)| format!("{name}:***"));
    format!("{scheme}://{user}@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Mistake};

    fn read(text: &str) -> Result<Config, Vec<Mistake>> {
        let mut raw = Raw::default();
        raw.add_file("test.toml".into(), text);
        Config::from_raw(raw)
    }

    #[test]
    fn positions_are_kept_at_least_as_long_as_they_are_taken_in() {
        let day = seconds(86_400);
        let rules = read("").unwrap().store_rules;
        assert_eq!(rules.positions_kept_for, Some(400 * day));
        let rules = read("[store]\npositions_kept_for = \"30days\"\nquarantine_kept_for = \"\"\n");
        let rules = rules.unwrap().store_rules;
        assert_eq!(rules.positions_kept_for, Some(30 * day));
        assert_eq!(rules.quarantine_kept_for, None);
        let mistakes = read("[store]\npositions_kept_for = \"29days\"\n").unwrap_err();
        assert_eq!(mistakes[0].place, "store.positions_kept_for");
        assert!(
            read("[store]\npositions_kept_for = \"\"\n[ingest]\npast_max = \"900days\"\n").is_ok()
        );
        // The empty text is the only way to say for ever: a zero is more likely a slip.
        assert!(read("[store]\npositions_kept_for = \"0s\"\n").is_err());
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(
            mask_password("postgres://u:p@w@h/d"),
            "postgres://u:***@h/d"
        );
        assert_eq!(mask_password("embedded"), "embedded");
    }
}
