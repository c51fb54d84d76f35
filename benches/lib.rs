//! Benchmarks of the hot paths. See each file.
pub mod copies;
pub mod frames;
pub mod servers;
