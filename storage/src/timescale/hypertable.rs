//! What TimescaleDB does by itself with the positions: chunks, compression, continuous aggregates.

use std::{fmt, time::Duration};

use tokio_postgres::{Client, Transaction};

use super::{
    Rules,
    connection::Failure,
    schema::{LOCK, Timescale, set_search_path},
};

const COMPRESSION: &str = include_str!("../../migrations/postgres/compression.sql");
const HOURS: &str = include_str!("../../migrations/postgres/0005_hours.sql");
const DROP_HOURS: &str = "DROP VIEW gridtrace.terminal_hours_by_phone; \
    DROP VIEW gridtrace.terminal_hours; DROP VIEW gridtrace.unit_grid_hours";
/// The aggregates follow the rows, whenever those come: without a begin, the policy looks at every
/// hour that has changed, a backlog and a whole store that is moved here included, and at no other.
/// The newest hour is added up when it is asked for.
const REFRESH: &str = "SELECT add_continuous_aggregate_policy(name, start_offset => NULL, \
    end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '30 minutes', \
    if_not_exists => true) \
    FROM (VALUES ('gridtrace.terminal_hours'::regclass), ('gridtrace.unit_grid_hours')) all_of(name)";

/// The forms that the sums of hours take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hours {
    /// Views of partitions.
    Plain,
    /// Views of a hypertable, which leave out the chunks that are not asked for.
    Hypertable,
    /// Continuous aggregates.
    Continuous,
}

impl Hours {
    /// The statements that make them.
    pub(super) fn sql(self) -> String {
        let hour = match self {
            Self::Plain => "date_trunc('hour', fixed_at, 'UTC')",
            Self::Hypertable | Self::Continuous => "time_bucket(INTERVAL '1 hour', fixed_at)",
        };
        let (first, last) = match self {
            Self::Plain => (
                "(array_agg(odometer_dkm ORDER BY fixed_at, digest) \
                 FILTER (WHERE odometer_dkm > 0))[1]",
                "(array_agg(odometer_dkm ORDER BY fixed_at DESC, digest DESC) \
                 FILTER (WHERE odometer_dkm > 0))[1]",
            ),
            Self::Hypertable | Self::Continuous => (
                "first(odometer_dkm, fixed_at) FILTER (WHERE odometer_dkm > 0)",
                "last(odometer_dkm, fixed_at) FILTER (WHERE odometer_dkm > 0)",
            ),
        };
        let (view, options, no_data) = match self {
            Self::Plain | Self::Hypertable => ("VIEW", "", ""),
            Self::Continuous => (
                "MATERIALIZED VIEW",
                "WITH (timescaledb.continuous, timescaledb.materialized_only = false)",
                "WITH NO DATA",
            ),
        };
        let words = [
            ("{view}", view),
            ("{options}", options),
            ("{hour}", hour),
            ("{first}", first),
            ("{last}", last),
            ("{no_data}", no_data),
        ];
        words.iter().fold(HOURS.to_owned(), |sql, (word, text)| {
            sql.replace(word, text)
        })
    }
}

/// What is set on the server, as it says itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Set {
    chunk_interval: Option<Duration>,
    compress_after: Option<Duration>,
    pub(super) has_aggregates: bool,
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(interval) = self.chunk_interval {
            write!(f, "chunks of {}, ", span(interval))?;
        }
        match self.compress_after {
            Some(age) => write!(f, "compression after {}, ", span(age))?,
            None => f.write_str("no compression, ")?,
        }
        f.write_str(if self.has_aggregates {
            "continuous aggregates"
        } else {
            "ordinary views"
        })
    }
}

fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        s if s.is_multiple_of(86_400) => (s / 86_400, "day"),
        s if s.is_multiple_of(3_600) => (s / 3_600, "hour"),
        s => (s, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Sets what the rules say and the licence allows; without rules, only what was never set. What
/// fails is left as it is: the rows find their place all the same.
pub(super) async fn set_up(
    client: &mut Client,
    timescale: &Timescale,
    rules: Option<&Rules>,
) -> Result<Set, Failure> {
    if let Some(rules) = rules
        && let Err(error) = set_chunk_interval(client, timescale, rules.chunk_interval).await
    {
        tracing::warn!(%error, "the interval of new chunks stays what it was");
    }
    if timescale.is_full {
        if let Err(error) = compress(client, timescale, rules).await {
            tracing::warn!(%error, "compression stays as it was");
        }
        if let Err(error) = aggregate(client, timescale).await {
            tracing::warn!(%error, "the sums of hours stay ordinary views");
        }
    }
    found(client).await
}

/// A transaction that other nodes wait for, with the functions of the extension at hand.
async fn locked<'a>(
    client: &'a mut Client,
    timescale: &Timescale,
) -> Result<Transaction<'a>, Failure> {
    let transaction = client.transaction().await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await?;
    set_search_path(&transaction, Some(timescale)).await?;
    Ok(transaction)
}

async fn set_chunk_interval(
    client: &mut Client,
    timescale: &Timescale,
    interval: Duration,
) -> Result<(), Failure> {
    if found(client).await?.chunk_interval == Some(interval) {
        return Ok(());
    }
    let transaction = locked(client, timescale).await?;
    let seconds = interval.as_secs();
    transaction
        .batch_execute(&format!(
            "SELECT set_chunk_time_interval('gridtrace.positions', INTERVAL '{seconds} seconds')"
        ))
        .await?;
    transaction.commit().await?;
    Ok(())
}

async fn compress(
    client: &mut Client,
    timescale: &Timescale,
    rules: Option<&Rules>,
) -> Result<(), Failure> {
    let transaction = locked(client, timescale).await?;
    let is_set: bool = transaction
        .query_one(
            "SELECT coalesce(bool_or(compression_enabled), false) \
             FROM timescaledb_information.hypertables \
             WHERE hypertable_schema = 'gridtrace' AND hypertable_name = 'positions'",
            &[],
        )
        .await?
        .get(0);
    if !is_set {
        transaction.batch_execute(COMPRESSION).await?;
    }
    let wanted = match rules {
        Some(rules) => Some(rules.compress_after),
        None => (!is_set).then_some(Rules::default().compress_after),
    };
    if let Some(wanted) = wanted
        && wanted != compress_after(&transaction).await?
    {
        let mut sql = "SELECT remove_compression_policy('gridtrace.positions', if_exists => true);"
            .to_owned();
        if let Some(age) = wanted {
            let seconds = age.as_secs();
            sql.push_str(&format!(
                "SELECT add_compression_policy('gridtrace.positions', \
                 INTERVAL '{seconds} seconds')"
            ));
        }
        transaction.batch_execute(&sql).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Makes continuous aggregates of the ordinary views.
async fn aggregate(client: &mut Client, timescale: &Timescale) -> Result<(), Failure> {
    if found(client).await?.has_aggregates {
        return Ok(());
    }
    let transaction = locked(client, timescale).await?;
    if !has_aggregates(&transaction).await? {
        transaction.batch_execute(DROP_HOURS).await?;
        transaction.batch_execute(&Hours::Continuous.sql()).await?;
        transaction.batch_execute(REFRESH).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn found(client: &mut Client) -> Result<Set, Failure> {
    let transaction = client.transaction().await?;
    let chunk_interval = transaction
        .query_opt(
            "SELECT extract(epoch FROM time_interval)::bigint \
             FROM timescaledb_information.dimensions WHERE dimension_number = 1 \
             AND hypertable_schema = 'gridtrace' AND hypertable_name = 'positions'",
            &[],
        )
        .await?;
    let set = Set {
        chunk_interval: chunk_interval.and_then(|row| seconds(row.get(0))),
        compress_after: compress_after(&transaction).await?,
        has_aggregates: has_aggregates(&transaction).await?,
    };
    transaction.commit().await?;
    Ok(set)
}

async fn compress_after(transaction: &Transaction<'_>) -> Result<Option<Duration>, Failure> {
    let row = transaction
        .query_opt(
            "SELECT extract(epoch FROM (config->>'compress_after')::interval)::bigint \
             FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression' \
             AND hypertable_schema = 'gridtrace' AND hypertable_name = 'positions' LIMIT 1",
            &[],
        )
        .await?;
    Ok(row.and_then(|row| seconds(row.get(0))))
}

async fn has_aggregates(transaction: &Transaction<'_>) -> Result<bool, Failure> {
    let count: i64 = transaction
        .query_one(
            "SELECT count(*) FROM timescaledb_information.continuous_aggregates \
             WHERE view_schema = 'gridtrace' AND view_name IN ('terminal_hours', 'unit_grid_hours')",
            &[],
        )
        .await?
        .get(0);
    Ok(count == 2)
}

fn seconds(number: Option<i64>) -> Option<Duration> {
    number
        .and_then(|number| u64::try_from(number).ok())
        .map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_hours_is_filled_in() {
        for form in [Hours::Plain, Hours::Hypertable, Hours::Continuous] {
            let statements = form.sql();
            let code = statements.lines().filter(|line| !line.starts_with("--"));
            assert!(
                !code.collect::<String>().contains(['{', '}']),
                "{statements}"
            );
        }
    }

    #[test]
    fn what_is_set_is_said_in_words() {
        let set = Set {
            chunk_interval: Some(Duration::from_secs(6 * 3_600)),
            compress_after: Some(Duration::from_secs(86_400)),
            has_aggregates: true,
        };
        let expected = "chunks of 6 hours, compression after 1 day, continuous aggregates";
        assert_eq!(set.to_string(), expected);
        assert_eq!(Set::default().to_string(), "no compression, ordinary views");
    }
}
