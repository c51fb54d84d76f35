//! Benchmarks of the hot paths. See each file.
pub mod city;
pub mod copies;
pub mod frames;
pub mod servers;
pub mod subscribers;
