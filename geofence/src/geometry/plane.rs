//! From WGS-84 to millimetres.

use crate::units::{Latitude, Longitude};

/// A place on a [`Plane`], in millimetres.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Point {
    /// East of the origin.
    pub x: i32,
    /// North of the origin.
    pub y: i32,
}

impl Point {
    /// Millimetres to another point.
    #[must_use]
    pub fn distance_mm(self, other: Self) -> f64 {
        let (dx, dy) = (
            f64::from(self.x) - f64::from(other.x),
            f64::from(self.y) - f64::from(other.y),
        );
        (dx * dx + dy * dy).sqrt()
    }
}

/// An equirectangular plane about an origin. Over 40 km its scale is wrong by less than a
/// thousandth, by the same amount for fences and for fixes.
///
/// The scales are integers, so that the same catalog gives the same millimetres everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    latitude: Latitude,
    longitude: Longitude,
    /// Nanometres in a millionth of a degree of longitude.
    east_nm: i64,
}

/// Nanometres in a millionth of a degree of latitude, on the mean radius of the earth
/// (6,371,008.8 m, IUGG).
const NORTH_NM: i64 = 111_195_080;
const NM_IN_MM: i64 = 1_000_000;

impl Plane {
    /// The farthest that a point may lie from the origin on each axis, in millimetres: 500 km.
    /// Products of differences then fit an `i64`, also in halves of a millimetre.
    pub const REACH_MM: i32 = 500_000_000;

    /// The plane about this origin.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most NORTH_NM, a small number"
    )]
    pub fn new(latitude: Latitude, longitude: Longitude) -> Self {
        // Near the poles the scale must not become zero; no city is there.
        let shrink = latitude.degrees().to_radians().cos().max(0.01);
        #[expect(clippy::cast_precision_loss, reason = "nine digits fit an f64")]
        let east_nm = (NORTH_NM as f64 * shrink).round() as i64;
        Self {
            latitude,
            longitude,
            east_nm,
        }
    }

    /// The plane of a catalog without shapes, about the middle of China: only distances between
    /// fixes are measured on it.
    #[must_use]
    pub(crate) fn without_city() -> Self {
        let origin = |micro| {
            (
                Latitude::from_micro_degrees(micro),
                Longitude::from_micro_degrees(micro * 3),
            )
        };
        match origin(35_000_000) {
            (Some(latitude), Some(longitude)) => Self::new(latitude, longitude),
            _ => Self {
                latitude: Latitude::default(),
                longitude: Longitude::default(),
                east_nm: NORTH_NM,
            },
        }
    }

    /// Where a place lies on the plane; `None` when it is beyond its reach.
    #[must_use]
    pub fn point(&self, latitude: Latitude, longitude: Longitude) -> Option<Point> {
        let (east, north) = self.millimeters(latitude, longitude);
        let reach = -i64::from(Self::REACH_MM)..=i64::from(Self::REACH_MM);
        if !reach.contains(&east) || !reach.contains(&north) {
            return None;
        }
        Some(Point {
            x: i32::try_from(east).ok()?,
            y: i32::try_from(north).ok()?,
        })
    }

    /// The place of a point, to the nearest millionth of a degree.
    #[must_use]
    pub fn place(&self, point: Point) -> (Latitude, Longitude) {
        let micro = |millimeters: i32, origin: i32, scale: i64| {
            let nanometers = i64::from(millimeters) * NM_IN_MM;
            let moved = (nanometers + scale / 2).div_euclid(scale);
            i32::try_from(i64::from(origin) + moved).ok()
        };
        let latitude = micro(point.y, self.latitude.micro_degrees(), NORTH_NM);
        let longitude = micro(point.x, self.longitude.micro_degrees(), self.east_nm);
        (
            latitude
                .and_then(Latitude::from_micro_degrees)
                .unwrap_or(self.latitude),
            longitude
                .and_then(Longitude::from_micro_degrees)
                .unwrap_or(self.longitude),
        )
    }

    /// Metres between two places, measured with the plane's scale wherever they are.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "millimetres on the earth fit an f64"
    )]
    pub fn distance_m(&self, a: (Latitude, Longitude), b: (Latitude, Longitude)) -> f64 {
        let (a, b) = (self.millimeters(a.0, a.1), self.millimeters(b.0, b.1));
        let (east, north) = ((a.0 - b.0) as f64, (a.1 - b.1) as f64);
        (east * east + north * north).sqrt() / 1_000.0
    }

    /// Millimetres east and north of the origin, rounded to the nearest.
    fn millimeters(&self, latitude: Latitude, longitude: Longitude) -> (i64, i64) {
        let scaled = |value: i32, origin: i32, scale: i64| {
            let nanometers = (i64::from(value) - i64::from(origin)) * scale;
            (nanometers + NM_IN_MM / 2).div_euclid(NM_IN_MM)
        };
        (
            scaled(
                longitude.micro_degrees(),
                self.longitude.micro_degrees(),
                self.east_nm,
            ),
            scaled(
                latitude.micro_degrees(),
                self.latitude.micro_degrees(),
                NORTH_NM,
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(lat: f64, lon: f64) -> (Latitude, Longitude) {
        (
            Latitude::from_degrees(lat).unwrap(),
            Longitude::from_degrees(lon).unwrap(),
        )
    }

    #[test]
    fn a_hundredth_of_a_degree_of_latitude_is_about_1112_metres() {
        let (lat, lon) = place(37.87, 112.55);
        let plane = Plane::new(lat, lon);
        let north = place(37.88, 112.55);
        assert_eq!(
            plane.point(north.0, north.1),
            Some(Point { x: 0, y: 1_111_951 })
        );
        let east = place(37.87, 112.56);
        let point = plane.point(east.0, east.1).unwrap();
        assert_eq!((point.x - 877_700).abs() / 1_000, 0, "{point:?}");
        assert!((plane.distance_m((lat, lon), north) - 1_111.951).abs() < 1e-9);
    }

    #[test]
    fn places_beyond_500_km_are_not_on_the_plane() {
        let (lat, lon) = place(37.87, 112.55);
        let plane = Plane::new(lat, lon);
        let far = place(37.87, 120.0);
        assert_eq!(plane.point(far.0, far.1), None);
    }
}
