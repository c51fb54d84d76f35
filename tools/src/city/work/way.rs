//! The way of an actor, second by second: what the script says, and nothing at random.

use crate::{city::Network, plane::Point};

/// Bit of the brush in item 0x25, as the rules of work of the city name it.
pub const BRUSH_BIT: u32 = 15;
/// Bit of the bucket in item 0x25.
pub const BUCKET_BIT: u32 = 16;

/// What is true in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Second {
    /// On the city's plane.
    pub point: Point,
    /// m/s.
    pub speed_mps: f64,
    /// Clockwise from north, 0 to 360.
    pub heading_deg: f64,
    /// The engine runs.
    pub is_acc_on: bool,
    /// Bits of item 0x25; `None` where the terminal does not send it.
    pub signals: Option<u32>,
    /// Alarm bits of the report.
    pub alarms: u32,
    /// The terminal is switched off: no fix, no heartbeat.
    pub is_dark: bool,
}

/// A way from its beginning on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Way {
    /// Second by second from the start of the city's day on.
    pub seconds: Vec<Second>,
    /// What the next seconds are like.
    pub now: Second,
}

impl Way {
    /// At a place, with the engine on.
    pub(super) fn begins(point: Point) -> Self {
        let now = Second {
            point,
            is_acc_on: true,
            ..Second::default()
        };
        Self {
            seconds: Vec::new(),
            now,
        }
    }

    /// The second that comes next, counted from the start of the city's day.
    pub(super) fn at_s(&self) -> i64 {
        i64::try_from(self.seconds.len()).unwrap_or(i64::MAX)
    }

    /// In a straight line, at a steady speed of m/s.
    pub(super) fn go(&mut self, to: Point, mps: f64) {
        let from = self.now.point;
        let meters = from.distance(to);
        self.now.heading_deg = from.bearing_deg(to);
        let mut gone = 0.0;
        while gone < meters {
            gone = (gone + mps).min(meters);
            self.now.point = from.towards(to, gone / meters);
            self.seconds.push(Second {
                speed_mps: mps,
                ..self.now
            });
        }
    }

    /// Where it is, for so many seconds.
    pub(super) fn stand(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.seconds.push(Second {
                speed_mps: 0.0,
                ..self.now
            });
        }
    }

    /// Where it is, until that second.
    pub(super) fn stand_until(&mut self, second: i64) {
        self.stand(second - self.at_s());
    }

    /// What holds at a second; before the first and behind the last it is parked.
    #[must_use]
    pub fn at(&self, second: usize) -> Second {
        let parked = |second: &Second| Second {
            speed_mps: 0.0,
            is_acc_on: false,
            signals: second.signals.map(|_| 0),
            alarms: 0,
            is_dark: false,
            ..*second
        };
        let last = || self.seconds.last().map(parked);
        self.seconds
            .get(second)
            .copied()
            .or_else(last)
            .unwrap_or_default()
    }
}

/// A closed line along streets, from its first crossing back to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Circuit(pub(super) Vec<Point>);

impl Circuit {
    /// By these crossings.
    pub(super) fn of(network: &Network, nodes: &[usize]) -> Self {
        let corner = |node: &usize| network.nodes.get(*node).copied();
        Self(nodes.iter().filter_map(corner).collect())
    }

    pub(super) fn length(&self) -> f64 {
        self.streets().map(|(from, to)| from.distance(to)).sum()
    }

    /// Its streets, from crossing to crossing.
    pub(super) fn streets(&self) -> impl Iterator<Item = (Point, Point)> + '_ {
        let ends = self.0.iter().cycle().skip(1);
        self.0.iter().copied().zip(ends.copied())
    }

    /// So many metres along it, and so many to the right of it.
    pub(super) fn place(&self, meters: f64, right: f64) -> Point {
        let mut left = meters.rem_euclid(self.length().max(1.0));
        for (from, to) in self.streets() {
            let length = from.distance(to);
            if left <= length && length > 0.0 {
                let (east, north) = ((to.x - from.x) / length, (to.y - from.y) / length);
                let at = from.towards(to, left / length);
                return Point::new(at.x + north * right, at.y - east * right);
            }
            left -= length;
        }
        self.0.first().copied().unwrap_or_default()
    }

    /// Metres from its beginning to each crossing.
    pub(super) fn crossings(&self) -> Vec<f64> {
        let mut meters = 0.0;
        let mut crossings = vec![0.0];
        for (from, to) in self.streets() {
            meters += from.distance(to);
            crossings.push(meters);
        }
        crossings
    }

    /// Drives along it, by every crossing on the way.
    pub(super) fn drive(&self, way: &mut Way, from: f64, to: f64, mps: f64) {
        let crossings = self.crossings();
        let between = crossings.iter().filter(|at| **at > from && **at < to);
        for at in between {
            way.go(self.place(*at, 0.0), mps);
        }
        way.go(self.place(to, 0.0), mps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square() -> Circuit {
        Circuit(vec![
            Point::new(0.0, 0.0),
            Point::new(0.0, 100.0),
            Point::new(100.0, 100.0),
            Point::new(100.0, 0.0),
        ])
    }

    #[test]
    fn a_circuit_turns_at_its_crossings() {
        let square = square();
        assert!((square.length() - 400.0).abs() < 1e-9);
        assert_eq!(square.place(50.0, 10.0), Point::new(10.0, 50.0));
        assert_eq!(square.place(150.0, 0.0), Point::new(50.0, 100.0));
        let mut way = Way::begins(square.place(0.0, 0.0));
        square.drive(&mut way, 0.0, 250.0, 10.0);
        assert_eq!(way.at_s(), 25);
        assert_eq!(way.seconds[19].point, Point::new(100.0, 100.0));
        assert_eq!(way.now.point, Point::new(100.0, 50.0));
    }

    #[test]
    fn behind_its_end_an_actor_is_parked_and_heard() {
        let mut way = Way::begins(Point::default());
        way.now.is_dark = true;
        way.now.alarms = 1;
        way.stand(2);
        let after = way.at(5);
        assert!(way.at(1).is_dark && !after.is_dark && !after.is_acc_on);
        assert_eq!(after.alarms, 0);
    }
}
