//! What reassembly may cost, and the account that all reassemblers of a process share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::Refusal;

/// Bounds of reassembly.
///
/// Bytes of a set are those of its joined body. All other bytes are memory as it is accounted:
/// room that was made for bodies, and a flat amount for each set and each packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReassemblyLimits {
    /// Packets of one message; 4096.
    pub packets_per_set: u16,
    /// Bytes of one joined body; 8 MiB.
    pub bytes_per_set: usize,
    /// Incomplete sets of one terminal; 8.
    pub sets_per_terminal: usize,
    /// Memory of one terminal, in bytes; 16 MiB.
    pub bytes_per_terminal: usize,
    /// Incomplete sets of all terminals of one connection; 64.
    pub sets_per_connection: usize,
    /// Memory of all terminals of one connection, in bytes; 64 MiB.
    pub bytes_per_connection: usize,
    /// Memory of all connections, in bytes; 256 MiB.
    pub bytes_in_all: usize,
    /// Silence of a set after which its missing packets are asked for, and asked for again; 5 s.
    pub idle_timeout: Duration,
    /// Requests without a packet in answer; 3. With 0 nothing is asked for.
    pub requests_max: u8,
    /// Silence after which a set is given up; 60 s.
    pub lifetime: Duration,
    /// The same for multimedia data, 0x0801; 5 min.
    pub media_lifetime: Duration,
    /// Age at which a set is given up, however lively it is; 1 h.
    pub age_max: Duration,
    /// Finished sets of one connection whose repeated packets are known for `lifetime`; 16.
    pub finished_sets: usize,
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            packets_per_set: 4096,
            bytes_per_set: 8 * MIB,
            sets_per_terminal: 8,
            bytes_per_terminal: 16 * MIB,
            sets_per_connection: 64,
            bytes_per_connection: 64 * MIB,
            bytes_in_all: 256 * MIB,
            idle_timeout: Duration::from_secs(5),
            requests_max: 3,
            lifetime: Duration::from_secs(60),
            media_lifetime: Duration::from_secs(5 * 60),
            age_max: Duration::from_secs(60 * 60),
            finished_sets: 16,
        }
    }
}

/// The limits, and the memory that all reassemblers of a process draw from.
#[derive(Debug)]
pub struct ReassemblyPool {
    limits: ReassemblyLimits,
    bytes: AtomicUsize,
    sets: AtomicUsize,
}

impl ReassemblyPool {
    /// Nothing is used yet.
    #[must_use]
    pub fn new(limits: ReassemblyLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            bytes: AtomicUsize::new(0),
            sets: AtomicUsize::new(0),
        })
    }

    /// The limits of all who draw from here.
    #[must_use]
    pub const fn limits(&self) -> &ReassemblyLimits {
        &self.limits
    }

    /// Memory in use, in bytes.
    #[must_use]
    pub fn bytes_used(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Incomplete sets.
    #[must_use]
    pub fn sets_pending(&self) -> usize {
        self.sets.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> Result<(), Refusal> {
        let bytes_max = self.limits.bytes_in_all;
        let with_these = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= bytes_max);
        self.bytes
            .try_update(Ordering::Relaxed, Ordering::Relaxed, with_these)
            .map(drop)
            .map_err(|_| Refusal::BudgetSpent { bytes_max })
    }
}

/// What a terminal and its connection may still draw, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) terminal: usize,
    pub(super) connection: usize,
}

/// The memory of one set on the shared account; given back when the set goes.
#[derive(Debug)]
pub(super) struct Charge {
    pool: Arc<ReassemblyPool>,
    bytes: usize,
}

impl Charge {
    pub(super) fn open(pool: &Arc<ReassemblyPool>) -> Self {
        pool.sets.fetch_add(1, Ordering::Relaxed);
        Self {
            pool: Arc::clone(pool),
            bytes: 0,
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Draws more, or nothing at all.
    pub(super) fn take(&mut self, bytes: usize, room: &mut Room) -> Result<(), Refusal> {
        let limits = &self.pool.limits;
        let terminal = room.terminal.checked_sub(bytes);
        let terminal = terminal.ok_or(Refusal::TerminalFull {
            bytes_max: limits.bytes_per_terminal,
        })?;
        let connection = room.connection.checked_sub(bytes);
        let connection = connection.ok_or(Refusal::ConnectionFull {
            bytes_max: limits.bytes_per_connection,
        })?;
        self.pool.take(bytes)?;
        self.bytes += bytes;
        *room = Room {
            terminal,
            connection,
        };
        Ok(())
    }

    /// Gives back some of what was drawn.
    pub(super) fn give_back(&mut self, bytes: usize, room: &mut Room) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.pool.bytes.fetch_sub(bytes, Ordering::Relaxed);
        room.terminal = room.terminal.saturating_add(bytes);
        room.connection = room.connection.saturating_add(bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.pool.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.pool.sets.fetch_sub(1, Ordering::Relaxed);
    }
}
