//! What a route is, once it is read.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::super::{features::Vertex, fence::AppliesTo, schedule::Schedule};
use crate::{
    checks::RouteParameters,
    geometry::{Point, RouteLine},
    units::{Latitude, Longitude, Timestamp},
};

/// A hand of the line, for whoever drives along it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kerb {
    /// The left hand.
    Left,
    /// The right hand.
    Right,
}

impl Kerb {
    /// The word in texts and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }
}

/// A piece of a route: one line of its geometry.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// For people; may be empty.
    pub name: String,
    /// Millimetres from the beginning of the route.
    pub start_mm: f64,
    /// Millimetres from the beginning of the route.
    pub end_mm: f64,
    /// The kerbs that are to be swept, each for itself; none where the hand does not matter.
    pub kerbs: Vec<Kerb>,
    /// Only what is driven along the line counts, not against it.
    pub is_one_way: bool,
    /// How often each is to be swept.
    pub passes: u8,
    /// It begins where the segment before ends.
    pub is_joined: bool,
    /// The speed limit on it, km/h, for whoever drives the route in its window.
    pub speed_limit_kmh: Option<f64>,
    /// Of several limits the one of the highest priority holds, then the lowest.
    pub priority: i32,
}

/// One kerb of one segment, or the segment where the hand does not matter: what is counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Strip {
    /// Its segment, counted from 0.
    pub segment: usize,
    /// `None` where the hand does not matter.
    pub kerb: Option<Kerb>,
    /// Millimetres from the beginning of the route.
    pub start_mm: f64,
    /// Millimetres from the beginning of the route.
    pub end_mm: f64,
    /// Only what is driven along the line counts.
    pub is_one_way: bool,
    /// How often it is to be swept.
    pub passes: u8,
    /// Its pieces of 5 m among those of all strips.
    pub bins: Range<usize>,
}

/// Where to stop and collect.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectionPoint {
    /// Its id within the route.
    pub id: String,
    /// For people.
    pub name: String,
    /// WGS-84.
    pub latitude: Latitude,
    /// WGS-84.
    pub longitude: Longitude,
    /// On the plane of the catalog.
    pub point: Point,
    /// A visit is within this, millimetres.
    pub radius_mm: f64,
    /// A visit lasts so long.
    pub stay_ms: i64,
    /// It must be visited.
    pub is_mandatory: bool,
    /// From when to when, minutes since midnight; `None` is the window of the route.
    pub(super) hours: Option<(i64, i64)>,
}

/// Which checks a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteChecks {
    /// Leaving the corridor.
    pub deviation: bool,
    /// Visiting the collection points.
    pub points: bool,
    /// Visiting them in their order.
    pub order: bool,
    /// Sweeping all of it.
    pub coverage: bool,
}

/// What is swept where the terminal does not tell whether the machines run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownSweep {
    /// It counts as swept.
    #[default]
    Counts,
    /// It may have been swept or not, like what lies in a gap.
    Unobserved,
    /// It was not swept.
    Idle,
}

/// The sites in which a deviation is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExemptSites {
    /// Every site of the catalog.
    All,
    /// Those with these ids.
    Only(Vec<String>),
}

/// A route. Each vehicle that it applies to is to drive all of it in each of its windows.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its id in the catalog.
    pub id: String,
    /// For people.
    pub name: String,
    /// The version that its editor counts; 1 where the text has none.
    pub version: u32,
    /// Who drives it: never everybody.
    pub applies_to: AppliesTo,
    /// When; without windows each day is one.
    pub schedule: Schedule,
    /// Where, on the plane of the catalog.
    pub line: RouteLine,
    /// Its segments, in order.
    pub segments: Vec<Segment>,
    /// What of them is counted.
    pub strips: Vec<Strip>,
    /// The collection points, in the order in which they are to be visited.
    pub points: Vec<CollectionPoint>,
    /// Which checks it asks for.
    pub checks: RouteChecks,
    /// Where deviations are none.
    pub exempt_sites: ExemptSites,
    /// What is swept where nothing is known of the machines.
    pub unknown_work: UnknownSweep,
    /// The thresholds that hold for it.
    pub parameters: RouteParameters,
    /// Of all that it asks for: another value means that the route was edited.
    pub fingerprint: u64,
    /// The ends of each leg of the line, WGS-84.
    pub(super) leg_ends: Vec<(Vertex, Vertex)>,
}

impl Route {
    /// How many bytes the ends of the legs take.
    pub(in crate::catalog) const fn ends_bytes(&self) -> usize {
        self.leg_ends.len() * size_of::<(Vertex, Vertex)>()
    }

    /// The place at a way from the beginning, WGS-84: where two segments meet, that at which one
    /// begins, or with `is_end` that at which one ends.
    #[must_use]
    pub fn place_at(&self, along_mm: f64, is_end: bool) -> Option<(Latitude, Longitude)> {
        let (leg, share) = self.line.leg_at(along_mm, is_end);
        let ((from_lat, from_lon), (to_lat, to_lon)) = self.leg_ends.get(leg)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "between two coordinates, which are i32"
        )]
        let between = |a: i32, b: i32| {
            let way = f64::from(b) - f64::from(a);
            (f64::from(a) + way * share).round() as i32
        };
        Some((
            Latitude::from_micro_degrees(between(
                from_lat.micro_degrees(),
                to_lat.micro_degrees(),
            ))?,
            Longitude::from_micro_degrees(between(
                from_lon.micro_degrees(),
                to_lon.micro_degrees(),
            ))?,
        ))
    }

    /// All pieces of 5 m of all strips.
    #[must_use]
    pub fn bins(&self) -> usize {
        self.strips.last().map_or(0, |strip| strip.bins.end)
    }

    /// The segment that a way from the beginning lies on.
    #[must_use]
    pub fn segment_at(&self, along_mm: f64) -> usize {
        self.segments
            .iter()
            .position(|segment| along_mm <= segment.end_mm)
            .unwrap_or_else(|| self.segments.len().saturating_sub(1))
    }

    /// The ends at which the route may be left, millimetres from its beginning, and whether each is the
    /// end of a line: its own, and those of segments that do not touch their neighbour. What is
    /// driven forward only is not left at its beginning.
    pub fn ends(&self) -> impl Iterator<Item = (f64, bool)> {
        let starts = self
            .segments
            .iter()
            .filter(|segment| !segment.is_joined && !segment.is_one_way)
            .map(|segment| (segment.start_mm, false));
        let ends = (0..self.segments.len()).filter_map(|index| {
            let is_open = self.segments.get(index + 1).is_none_or(|s| !s.is_joined);
            let segment = self.segments.get(index).filter(|_| is_open)?;
            Some((segment.end_mm, true))
        });
        starts.chain(ends)
    }

    /// Millimetres along the route to the nearest of its [`Self::ends`].
    #[must_use]
    pub fn to_an_end_mm(&self, along_mm: f64) -> f64 {
        self.ends()
            .map(|(end_mm, _)| (end_mm - along_mm).abs())
            .fold(f64::INFINITY, f64::min)
    }

    /// Whether a site is one in which deviations are none.
    #[must_use]
    pub fn is_exempt(&self, site: &str) -> bool {
        match &self.exempt_sites {
            ExemptSites::All => true,
            ExemptSites::Only(ids) => ids.iter().any(|id| id == site),
        }
    }
}

impl CollectionPoint {
    /// From when to when it is to be visited, in a window of its route.
    #[must_use]
    pub fn window(&self, from: Timestamp, to: Timestamp) -> (Timestamp, Timestamp) {
        /// Local time is GMT+8.
        const LOCAL_OFFSET_MS: i64 = 8 * 3_600_000;
        const DAY_MS: i64 = 86_400_000;
        let Some((begin, end)) = self.hours else {
            return (from, to);
        };
        let since_midnight = from.0.saturating_add(LOCAL_OFFSET_MS).rem_euclid(DAY_MS);
        // The first moment with this time of day that is not before the window.
        let at = |minutes: i64| (minutes * 60_000 - since_midnight).rem_euclid(DAY_MS);
        let begin_ms = at(begin);
        let length_ms = ((end - begin) * 60_000).rem_euclid(DAY_MS);
        let begin = from.plus_millis(begin_ms);
        (begin.min(to), begin.plus_millis(length_ms).min(to))
    }
}
