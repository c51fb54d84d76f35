//! What survives: the durable log and the stores behind it.
//!
//! * [`log`] is the truth: append-only segments, group commit, cursors. A record counts as durable
//!   once `fdatasync` of its segment has returned; only then may a terminal be answered (P1).
//! * [`store`] is derived from it and can be rebuilt by replay: positions once each (P2), cases
//!   once each (P3), the consumer's cursor in the same transaction.

pub mod store;
