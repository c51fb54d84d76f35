//! Benchmarks of the hot paths. See each file.
pub mod servers;
