//! Routes: what is to be driven, on which hand, how often, when, and where to stop.

mod plan;
mod read;
mod segments;
mod text;

pub use self::plan::{
    CollectionPoint, ExemptSites, Kerb, Route, RouteChecks, Segment, Strip, UnknownSweep,
};
pub(super) use self::read::{Draft, lay, read};

#[cfg(test)]
mod tests;
