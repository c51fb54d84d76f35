//! What survives: the durable log and the stores behind it.
//!
//! * [`log`] is the truth: append-only segments, group commit, cursors. A record counts as durable
//!   once `fdatasync` of its segment has returned; only then may a terminal be answered (P1).
//! * [`store`] is derived from it and can be rebuilt by replay: positions once each (P2), cases
//!   once each (P3), the consumer's cursor never durable before the work that it stands for.
//!   [`embedded`] and [`timescale`] implement it.
//! * [`outbox`] is what other systems must hear about cases: a part of each store.
//! * [`registry`] remembers which terminals have registered, and what happened to them.
//! * [`evaluation`] says what evaluations count.
//! * [`catalog`] keeps the versions of the city's catalog.
//! * [`commands`] is the queue of what terminals are to do, and what became of it.
//! * [`background`] keeps such work out of the way of terminals.
//! * [`backup`] copies what is in use.
//! * [`examine`] and [`cursors`] look at a store without opening it: nothing changes.
//! * [`media`] keeps pictures, sound, video and alarm attachments.
//! * [`file_system`] is all that the log sees of a disk, so that tests can break it.

pub mod background;
pub mod backup;
pub mod catalog;
pub mod commands;
pub mod cursors;
pub mod embedded;
pub mod evaluation;
pub mod examine;
pub mod file_system;
pub mod log;
pub mod media;
pub mod outbox;
pub mod registry;
pub mod store;
pub mod timescale;

mod case_changes;
mod sqlite;
