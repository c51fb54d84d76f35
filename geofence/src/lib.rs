//! From positions to checks to violations to cases: everything the gateway decides about a
//! vehicle, decided without I/O, clock, threads or logging.
//!
//! The way through the crate: a [`position::Position`] and a [`catalog::Catalog`] go into a
//! [`track::Evaluator`], which keeps one track a vehicle and runs the [`checks`] along it; what they
//! find are [`violation::Violation`]s, and [`case`] makes the administrative process out of them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`units`], [`identity`], [`position`], [`language`] | the vocabulary: coordinates, times, ids, a fix |
//! | [`geometry`] | the city's plane in millimetres, exact shapes, the raster that finds them, lines of routes |
//! | [`catalog`] | unit grids, fences, routes, vehicles: read, checked, indexed |
//! | [`checks`] | fences: membership, stay-in and keep-out, speeding; routes: deviation, points, coverage; all thresholds |
//! | [`track`] | input conditioning, late fixes, timers, comparison of verdicts, snapshots, explanations |
//! | [`violation`], [`case`] | what was found, and what follows from it |
//!
//! Invariants:
//! * The same fixes give the same violations, whatever the order they arrived in.
//! * Time comes from fixes and ticks alone.
//! * Ids are derived from what was violated, by whom and when, so that a replay invents nothing.

pub mod case;
pub mod catalog;
pub mod checks;
pub mod geometry;
pub mod identity;
pub mod language;
pub mod position;
pub mod track;
pub mod units;
pub mod violation;
