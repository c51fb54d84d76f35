//! A fix as the track keeps it: small, and with nothing that depends on when it arrived.

use crate::{
    geometry::{Plane, Point},
    position::{Inputs, Position},
    units::{Latitude, Longitude},
};

/// The place of a fix in the order of its vehicle: by time, and among equal times by content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) at: i64,
    pub(crate) digest: u32,
}

/// A report as the checks need it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fix {
    /// Fix time, milliseconds since 1970 in UTC.
    pub(crate) at: i64,
    pub(crate) digest: u32,
    pub(crate) latitude: Latitude,
    pub(crate) longitude: Longitude,
    /// On the plane of the catalog that it is judged with; derived, not kept.
    pub(crate) point: Point,
    pub(crate) speed_dkmh: u16,
    pub(crate) heading_deg: u16,
    pub(crate) satellites: Option<u8>,
    pub(crate) is_acc_on: bool,
    pub(crate) log_offset: u64,
    /// It says where the vehicle is. What does not is heard for its alarms alone.
    pub(crate) is_placed: bool,
    /// As sent.
    pub(crate) alarm_flags: u32,
    /// As sent.
    pub(crate) status_flags: u32,
    pub(crate) inputs: Inputs,
}

impl Fix {
    /// Fewer satellites than this make no place.
    pub(crate) const SATELLITES_MIN: u8 = 4;
    /// Slower than 0.8 m/s stands, in tenths of km/h.
    const STILL_DKMH: u16 = 29;
    /// Faster than 1.5 m/s moves.
    const MOVING_DKMH: u16 = 54;

    /// `is_placed` says whether its place can be used.
    pub(crate) const fn of(position: &Position, is_placed: bool) -> Self {
        Self {
            at: position.fixed_at.0,
            digest: position.digest,
            latitude: position.latitude,
            longitude: position.longitude,
            point: Point { x: 0, y: 0 },
            speed_dkmh: position.speed_dkmh,
            heading_deg: position.heading_deg,
            satellites: position.satellites,
            is_acc_on: position.is_acc_on(),
            log_offset: position.log_offset,
            is_placed,
            alarm_flags: position.alarm_flags,
            status_flags: position.status_flags,
            inputs: position.inputs,
        }
    }

    pub(crate) const fn key(&self) -> Key {
        Key {
            at: self.at,
            digest: self.digest,
        }
    }

    /// The deviation to reckon with, millimetres; 6 m where the terminal does not count satellites.
    pub(crate) const fn sigma_mm(&self) -> f64 {
        match self.satellites {
            Some(8..) => 4_000.0,
            None | Some(6 | 7) => 6_000.0,
            Some(_) => 10_000.0,
        }
    }

    /// Slower than 0.8 m/s.
    pub(crate) const fn is_still(&self) -> bool {
        self.speed_dkmh < Self::STILL_DKMH
    }

    /// Faster than 1.5 m/s.
    pub(crate) const fn is_moving(&self) -> bool {
        self.speed_dkmh > Self::MOVING_DKMH
    }

    /// The same fix at its place on a plane. Places beyond its reach are in no fence; they stand
    /// at its far corner.
    pub(crate) fn on(mut self, plane: &Plane) -> Self {
        let far = Point {
            x: Plane::REACH_MM,
            y: Plane::REACH_MM,
        };
        self.point = plane.point(self.latitude, self.longitude).unwrap_or(far);
        self
    }
}
