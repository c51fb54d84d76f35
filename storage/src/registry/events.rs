//! What happened to terminals: online, offline, refused. Bounded by age, and by count for each
//! terminal.

use std::{borrow::Cow, collections::HashSet, net::IpAddr};

use geofence::{identity::TerminalId, units::Timestamp};
use rusqlite::{Row, Transaction, TransactionBehavior, params};

use super::Registry;
use crate::{case_changes::damaged, sqlite::failed, store::StoreError};

/// Rows past their age that one call removes.
const REMOVED_AT_ONCE: u32 = 10_000;

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TerminalEventKind {
    /// A session began.
    Online,
    /// The session ended; the detail says why.
    Offline,
    /// The terminal said that it leaves (0x0003).
    LogOut,
    /// It registered (0x0100).
    Registered,
    /// It might not register; the detail is the result.
    RegistrationRefused,
    /// It showed no code of its own (0x0102).
    AuthenticationRefused,
    /// Its session went from one connection to a newer one.
    TakenOver,
    /// Too many of those in a short time: a newer connection was refused.
    TakeOverRefused,
    /// A person made it forget its registration.
    Released,
}

impl TerminalEventKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Online,
        Self::Offline,
        Self::LogOut,
        Self::Registered,
        Self::RegistrationRefused,
        Self::AuthenticationRefused,
        Self::TakenOver,
        Self::TakeOverRefused,
        Self::Released,
    ];

    /// The word in the table and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::LogOut => "log_out",
            Self::Registered => "registered",
            Self::RegistrationRefused => "registration_refused",
            Self::AuthenticationRefused => "authentication_refused",
            Self::TakenOver => "taken_over",
            Self::TakeOverRefused => "take_over_refused",
            Self::Released => "released",
        }
    }

    /// It is after a session has begun, not ended.
    #[must_use]
    pub const fn is_online(self) -> bool {
        matches!(self, Self::Online)
    }

    /// The kind of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Something that happened to a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalEvent {
    /// To which one.
    pub terminal: TerminalId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: TerminalEventKind,
    /// More about it, in a word or two; may be empty.
    pub detail: Cow<'static, str>,
    /// Address of the peer; `None` where no connection was part of it.
    pub address: Option<IpAddr>,
}

/// Which events are kept.
#[derive(Clone, Copy, Debug)]
pub struct EventRetention {
    /// Those since this moment.
    pub since: Timestamp,
    /// The newest of each terminal.
    pub per_terminal_max: u32,
}

impl Registry {
    /// Writes events in one transaction, and removes what is not to be kept any more: of the
    /// terminals that are written of, and a bounded number of all that are too old.
    ///
    /// # Errors
    /// When the file cannot be written; then none of them is.
    pub fn write_events(
        &self,
        events: &[TerminalEvent],
        retention: &EventRetention,
    ) -> Result<(), StoreError> {
        let action = "write events of terminals";
        let mut connection = self.connection.lock();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed(action))?;
        insert(&transaction, events)
            .and_then(|()| remove(&transaction, events, retention))
            .map_err(failed(action))?;
        transaction.commit().map_err(failed(action))
    }

    /// Events of a terminal, newest first, older than the event of a number where one is given;
    /// each with its number.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn events(
        &self,
        terminal: TerminalId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<(i64, TerminalEvent)>, StoreError> {
        let action = "read events of terminals";
        let connection = self.reader.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT number, at, kind, detail, address FROM terminal_events
                 WHERE terminal = ? AND number < ? ORDER BY number DESC LIMIT ?",
            )
            .map_err(failed(action))?;
        let parameters = params![terminal.as_str(), before.unwrap_or(i64::MAX), limit];
        let rows = statement
            .query_map(parameters, |row| event(terminal, row))
            .map_err(failed(action))?;
        rows.map(|row| row.map_err(failed(action))?).collect()
    }
}

impl Registry {
    /// Sessions of any terminal that began or ended ([`TerminalEventKind::Online`], `Offline`,
    /// `LogOut`), behind the event of a number, oldest first; each with its number. Where all events
    /// have gone since, numbers begin anew, and so does this.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn sessions(
        &self,
        behind: i64,
        limit: u32,
    ) -> Result<Vec<(i64, TerminalEvent)>, StoreError> {
        let action = "read events of terminals";
        let connection = self.reader.lock();
        let newest: Option<i64> = connection
            .query_row("SELECT max(number) FROM terminal_events", [], |row| {
                row.get(0)
            })
            .map_err(failed(action))?;
        let behind = if newest < Some(behind) { 0 } else { behind };
        let mut statement = connection
            .prepare_cached(
                "SELECT number, terminal, at, kind, detail, address FROM terminal_events
                 WHERE number > ? AND kind IN ('online', 'offline', 'log_out')
                 ORDER BY number LIMIT ?",
            )
            .map_err(failed(action))?;
        let rows = statement
            .query_map(params![behind, limit], |row| {
                let text: String = row.get("terminal")?;
                let Ok(terminal) = text.parse() else {
                    return Ok(Err(damaged(action, &text)));
                };
                event(terminal, row)
            })
            .map_err(failed(action))?;
        rows.map(|row| row.map_err(failed(action))?).collect()
    }

    /// Notes the end of each session that has none: those of a process that ended without. Gives
    /// their number.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn end_sessions(&self, at: Timestamp) -> Result<usize, StoreError> {
        self.connection
            .lock()
            .execute(
                // Terminal by terminal over the index; SQLite would read all rows for DISTINCT.
                "WITH RECURSIVE known (terminal) AS (
                     SELECT min(terminal) FROM terminal_events
                     UNION ALL
                     SELECT (SELECT min(terminal) FROM terminal_events WHERE terminal > known.terminal)
                     FROM known WHERE known.terminal IS NOT NULL)
                 INSERT INTO terminal_events (terminal, at, kind, detail)
                 SELECT terminal, ?, 'offline', 'restart' FROM known
                 WHERE terminal IS NOT NULL AND 'online' = (
                     SELECT kind FROM terminal_events AS newest
                     WHERE newest.terminal = known.terminal
                     AND kind IN ('online', 'offline', 'log_out')
                     ORDER BY number DESC LIMIT 1)",
                params![at.0],
            )
            .map_err(failed("note the end of sessions"))
    }
}

fn insert(transaction: &Transaction<'_>, events: &[TerminalEvent]) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO terminal_events (terminal, at, kind, detail, address) VALUES (?,?,?,?,?)",
    )?;
    for event in events {
        statement.execute(params![
            event.terminal.as_str(),
            event.at.0,
            event.kind.as_str(),
            event.detail,
            event.address.map(|address| address.to_string()),
        ])?;
    }
    Ok(())
}

fn remove(
    transaction: &Transaction<'_>,
    events: &[TerminalEvent],
    retention: &EventRetention,
) -> rusqlite::Result<()> {
    let mut too_many = transaction.prepare_cached(
        "DELETE FROM terminal_events WHERE terminal = ?1 AND number <= (
             SELECT number FROM terminal_events WHERE terminal = ?1
             ORDER BY number DESC LIMIT 1 OFFSET ?2)",
    )?;
    let written: HashSet<TerminalId> = events.iter().map(|event| event.terminal).collect();
    for terminal in written {
        too_many.execute(params![terminal.as_str(), retention.per_terminal_max])?;
    }
    transaction
        .prepare_cached(
            "DELETE FROM terminal_events WHERE number IN (
                 SELECT number FROM terminal_events WHERE at < ? ORDER BY at LIMIT ?)",
        )?
        .execute(params![retention.since.0, REMOVED_AT_ONCE])?;
    Ok(())
}

type Numbered = (i64, TerminalEvent);

fn event(terminal: TerminalId, row: &Row<'_>) -> rusqlite::Result<Result<Numbered, StoreError>> {
    let kind = row.get_ref("kind")?.as_str()?;
    let Some(kind) = TerminalEventKind::from_word(kind) else {
        let what = format!("no kind of event: {kind}");
        return Ok(Err(damaged("read events of terminals", &what)));
    };
    let address: Option<String> = row.get("address")?;
    let event = TerminalEvent {
        terminal,
        at: Timestamp(row.get("at")?),
        kind,
        detail: Cow::Owned(row.get("detail")?),
        address: address.and_then(|text| text.parse().ok()),
    };
    Ok(Ok((row.get("number")?, event)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(terminal: &str, at: i64, kind: TerminalEventKind) -> TerminalEvent {
        TerminalEvent {
            terminal: terminal.parse().unwrap(),
            at: Timestamp(at),
            kind,
            detail: "peer".into(),
            address: Some(IpAddr::from([192, 0, 2, 1])),
        }
    }

    fn times(registry: &Registry, terminal: &str) -> Vec<i64> {
        let found = registry.events(terminal.parse().unwrap(), None, 100);
        found.unwrap().iter().map(|(_, event)| event.at.0).collect()
    }

    #[test]
    fn the_newest_come_first_and_page_by_page() {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::open(&directory.path().join("registry.sqlite")).unwrap();
        let keep_all = EventRetention {
            since: Timestamp(0),
            per_terminal_max: 100,
        };
        let events: Vec<_> = TerminalEventKind::ALL
            .into_iter()
            .zip(1..)
            .map(|(kind, at)| event("1", at, kind))
            .collect();
        registry.write_events(&events, &keep_all).unwrap();
        let terminal = "1".parse().unwrap();
        let first = registry.events(terminal, None, 4).unwrap();
        let (last, _) = *first.last().unwrap();
        let rest = registry.events(terminal, Some(last), 100).unwrap();
        let read: Vec<_> = first
            .into_iter()
            .chain(rest)
            .map(|(_, e)| e)
            .rev()
            .collect();
        assert_eq!(read, events);
        assert_eq!(times(&registry, "2"), [0; 0]);
    }

    #[test]
    fn only_so_many_are_kept_for_a_terminal_and_only_for_so_long() {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::open(&directory.path().join("registry.sqlite")).unwrap();
        let mut retention = EventRetention {
            since: Timestamp(0),
            per_terminal_max: 3,
        };
        for at in 1..=5 {
            let online = TerminalEventKind::Online;
            let both = [event("1", at, online), event("2", at, online)];
            let written = if at == 1 { &both[..] } else { &both[..1] };
            registry.write_events(written, &retention).unwrap();
        }
        assert_eq!(times(&registry, "1"), [5, 4, 3]);
        assert_eq!(
            times(&registry, "2"),
            [1],
            "another terminal's do not count"
        );
        retention.since = Timestamp(4);
        registry.write_events(&[], &retention).unwrap();
        assert_eq!(times(&registry, "1"), [5, 4]);
        assert_eq!(times(&registry, "2"), [0; 0]);
    }

    #[test]
    fn sessions_come_oldest_first_and_those_without_an_end_are_ended() {
        use TerminalEventKind::{LogOut, Offline, Online, Registered, TakenOver};
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::open(&directory.path().join("registry.sqlite")).unwrap();
        let keep_all = EventRetention {
            since: Timestamp(0),
            per_terminal_max: 100,
        };
        assert_eq!(registry.end_sessions(Timestamp(0)).unwrap(), 0);
        let told = [
            ("1", Registered),
            ("1", Online),
            ("2", Online),
            ("2", LogOut),
            ("3", Online),
            ("3", TakenOver),
            ("3", Online),
            ("1", Offline),
            ("1", Online),
        ];
        let events = told.iter().zip(1..);
        let events: Vec<_> = events.map(|((t, kind), at)| event(t, at, *kind)).collect();
        registry.write_events(&events, &keep_all).unwrap();
        assert_eq!(registry.end_sessions(Timestamp(20)).unwrap(), 2);
        assert_eq!(registry.end_sessions(Timestamp(21)).unwrap(), 0);
        let read = |behind, limit| {
            let found = registry.sessions(behind, limit).unwrap();
            let times: Vec<_> = found.iter().map(|(_, event)| event.at.0).collect();
            (times, found.last().map_or(behind, |(number, _)| *number))
        };
        let (first, last) = read(0, 4);
        assert_eq!(first, [2, 3, 4, 5]);
        let (rest, last) = read(last, 100);
        assert_eq!(rest, [7, 8, 9, 20, 20]);
        assert_eq!(read(last, 100).0, [0; 0]);
        assert_eq!(read(last + 1, 100).0.len(), 9, "numbers that began anew");
        let ended = registry.events("3".parse().unwrap(), None, 1).unwrap();
        assert_eq!((ended[0].1.kind, &*ended[0].1.detail), (Offline, "restart"));
    }
}
