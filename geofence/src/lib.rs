//! From positions to checks to violations to cases: everything the gateway decides about a
//! vehicle, decided without I/O, clock, threads or logging.
//!
//! The way through the crate: a [`position::Position`] and a [`catalog::Catalog`] go into
//! [`track`], which keeps one state a vehicle and runs [`checks`]; what they find are
//! [`violation::Violation`]s, and [`case`] makes the administrative process out of them.
//!
//! Invariants:
//! * The same fixes give the same violations, whatever the order they arrived in.
//! * Time comes from fixes and ticks alone.
//! * Ids are derived from what was violated, by whom and when, so that a replay invents nothing.

pub mod case;
pub mod identity;
pub mod position;
pub mod units;
pub mod violation;
