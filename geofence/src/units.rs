//! Units as types. Coordinates are integer millionths of a degree, as terminals send them:
//! exact, and a third smaller in the store than floating point.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Latitude, WGS-84, in millionths of a degree; north positive, -90 to 90 degrees.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Latitude(i32);

/// Longitude, WGS-84, in millionths of a degree; east positive, -180 to 180 degrees.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Longitude(i32);

macro_rules! coordinate {
    ($type:ident, $limit:expr) => {
        impl $type {
            /// The largest magnitude, in millionths of a degree.
            pub const LIMIT: i32 = $limit;

            /// From millionths of a degree; `None` outside the range.
            #[must_use]
            pub const fn from_micro_degrees(value: i32) -> Option<Self> {
                if value < -Self::LIMIT || value > Self::LIMIT {
                    None
                } else {
                    Some(Self(value))
                }
            }

            /// From degrees, rounded to the nearest millionth; `None` when not finite or outside
            /// the range.
            #[must_use]
            #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
            pub fn from_degrees(value: f64) -> Option<Self> {
                let micro = (value * 1e6).round();
                if micro.is_finite() && micro.abs() <= f64::from(Self::LIMIT) {
                    Some(Self(micro as i32))
                } else {
                    None
                }
            }

            /// Millionths of a degree.
            #[must_use]
            pub const fn micro_degrees(self) -> i32 {
                self.0
            }

            /// Degrees.
            #[must_use]
            pub fn degrees(self) -> f64 {
                f64::from(self.0) / 1e6
            }
        }
    };
}

coordinate!(Latitude, 90_000_000);
coordinate!(Longitude, 180_000_000);

/// A moment in UTC, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From whole seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This moment moved by a number of milliseconds, saturating.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// The moment so long afterwards, saturating.
    #[must_use]
    pub fn after(self, pause: Duration) -> Self {
        self.plus_millis(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
    }

    /// The moment so long ago, saturating.
    #[must_use]
    pub fn before(self, age: Duration) -> Self {
        self.plus_millis(-i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    }

    /// Milliseconds from `earlier` to this moment, negative when this one is before it.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_outside_the_earth_do_not_exist() {
        assert_eq!(Latitude::from_micro_degrees(90_000_001), None);
        assert_eq!(Longitude::from_degrees(f64::NAN), None);
        assert_eq!(
            Longitude::from_degrees(-180.0).map(Longitude::micro_degrees),
            Some(-180_000_000)
        );
    }
}
