//! Geometry on one local metric plane for each city, in integer millimetres, so that every
//! question of side is answered exactly and the same on every machine.
//!
//! [`Plane`] takes places of WGS-84 onto the plane, [`Shape`] is what a fence or unit grid covers,
//! [`Raster`] finds the shapes at a point without asking each of them, and [`RouteCursor`] finds a
//! vehicle on a [`RouteLine`].

mod plane;
mod raster;
mod route;
mod shape;
mod simple;

pub use self::{
    plane::{Plane, Point},
    raster::Raster,
    route::{RouteCursor, RouteFix, RouteLine, Spot, Whereabouts},
    shape::{Bounds, Polygon, Shape},
};
pub(crate) use self::{
    shape::segment_distance_squared,
    simple::{outlines_cross, ring_faults, rings_faults},
};
