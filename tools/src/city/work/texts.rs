//! The work of a city as the gateway's catalog reads it.

use serde_json::{Value, json};

use crate::{
    city::feature_collection,
    plane::{Plane, Point},
};

/// The id of the rule that vehicles unload at sites only.
pub(super) const UNLOADING_RULE: &str = "unloading";
const DAY_MIN: i64 = 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// When the plays are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timetable {
    /// The first full minute that leaves some seconds before it, in seconds from the start.
    pub(super) curtain_s: i64,
    /// That minute since 1970 at local time, GMT+8.
    minute: i64,
}

impl Timetable {
    /// For a day that begins at a second since 1970 in UTC.
    pub(super) fn from(start_unix_s: i64) -> Self {
        let minute = (start_unix_s + 15 + 59).div_euclid(60);
        Self {
            curtain_s: minute * 60 - start_unix_s,
            minute: minute + 8 * 60,
        }
    }

    /// `HH:MM`, so many minutes from the curtain.
    pub(super) fn clock(&self, minutes: i64) -> String {
        let minute = (self.minute + minutes).rem_euclid(DAY_MIN);
        format!("{:02}:{:02}", minute / 60, minute % 60)
    }

    /// The day of the week on which a shift that holds at the curtain may have begun, and that of
    /// the curtain: both where they differ by the minutes before it.
    pub(super) fn day(&self) -> String {
        let [today, yesterday] = [0, 1].map(|back| self.weekday(self.minute - back * DAY_MIN));
        format!("{yesterday} {today}")
    }

    fn weekday(&self, minute: i64) -> &'static str {
        // 1970-01-01 was a Thursday.
        let day = (minute.div_euclid(DAY_MIN) + 3).rem_euclid(7);
        usize::try_from(day)
            .ok()
            .and_then(|day| DAYS.get(day))
            .copied()
            .unwrap_or_default()
    }

    /// A window of minutes from the curtain, on that day of the week alone.
    pub(super) fn window(&self, from: i64, to: i64) -> Value {
        json!({
            "days": [self.weekday(self.minute + from)],
            "from": self.clock(from),
            "to": self.clock(to),
        })
    }
}

/// A row of the shifts.
#[derive(Clone, Debug)]
pub(super) struct Shift {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) days: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) checks: String,
    /// `column=value`, with `;` between them.
    pub(super) thresholds: String,
}

/// Where somebody should be.
#[derive(Clone, Debug)]
pub(super) enum Area {
    /// About a place, so many metres to each side.
    Square(Point, f64),
    /// Unit grids, by their codes.
    Grids(Vec<String>),
}

/// The parts of the catalog as they grow.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    plane: Plane,
    routes: Vec<Value>,
    areas: Vec<Value>,
    assignments: Vec<String>,
    pub(super) shifts: Vec<Shift>,
    pub(super) rules: Vec<Value>,
}

impl Texts {
    pub(super) fn new(plane: Plane) -> Self {
        Self {
            plane,
            routes: Vec::new(),
            areas: Vec::new(),
            assignments: Vec::new(),
            shifts: Vec::new(),
            rules: Vec::new(),
        }
    }

    /// Takes over what a play has added.
    pub(super) fn append(&mut self, mut other: Self) {
        self.routes.append(&mut other.routes);
        self.areas.append(&mut other.areas);
        self.assignments.append(&mut other.assignments);
        self.shifts.append(&mut other.shifts);
        self.rules.append(&mut other.rules);
    }

    pub(super) fn lon_lat(&self, point: Point) -> Value {
        let (lat, lon) = self.plane.micro_degrees(point);
        json!([f64::from(lon) / 1e6, f64::from(lat) / 1e6])
    }

    /// A route round closed streets, a segment for each of them.
    pub(super) fn route(&mut self, mut properties: Value, corners: &[Point]) {
        let ends = corners.iter().cycle().skip(1);
        let lines: Vec<Value> = corners
            .iter()
            .zip(ends)
            .map(|(from, to)| json!([self.lon_lat(*from), self.lon_lat(*to)]))
            .collect();
        let names: Vec<Value> = (1..=lines.len())
            .map(|number| json!({"name": format!("第{number}段")}))
            .collect();
        extend(&mut properties, json!({"segments": names}));
        self.routes.push(json!({
            "type": "Feature",
            "properties": properties,
            "geometry": {"type": "MultiLineString", "coordinates": lines},
        }));
    }

    pub(super) fn area(&mut self, id: &str, name: &str, area: &Area) {
        let mut properties = json!({"id": id, "name": name});
        let geometry = match area {
            Area::Grids(codes) => {
                extend(&mut properties, json!({"unit_grids": codes}));
                Value::Null
            }
            Area::Square(at, half) => {
                let corner =
                    |x: f64, y: f64| self.lon_lat(Point::new(at.x + x * half, at.y + y * half));
                let ring = [
                    corner(-1.0, -1.0),
                    corner(1.0, -1.0),
                    corner(1.0, 1.0),
                    corner(-1.0, 1.0),
                    corner(-1.0, -1.0),
                ];
                json!({"type": "Polygon", "coordinates": [ring]})
            }
        };
        self.areas
            .push(json!({"type": "Feature", "properties": properties, "geometry": geometry}));
    }

    pub(super) fn assign(&mut self, vehicle: &str, shift: &str, area: &str) {
        self.assignments
            .push(format!("{vehicle}-{shift},{vehicle},{shift},{area}\n"));
    }

    pub(super) fn routes(&self) -> String {
        feature_collection(&self.routes)
    }

    pub(super) fn areas(&self) -> String {
        feature_collection(&self.areas)
    }

    pub(super) fn assignments(&self) -> String {
        format!(
            "assignment,vehicle,shift,duty_area\n{}",
            self.assignments.concat()
        )
    }

    pub(super) fn shifts(&self) -> String {
        const THRESHOLDS: [&str; 6] = [
            "late_start_s",
            "early_end_s",
            "off_post_s",
            "patrol_stay_s",
            "patrol_grace_s",
            "silence_s",
        ];
        let mut text = format!("shift,name,days,from,to,checks,{}\n", THRESHOLDS.join(","));
        for shift in &self.shifts {
            let value = |column: &&str| {
                let mut pairs = shift
                    .thresholds
                    .split(';')
                    .filter_map(|p| p.split_once('='));
                pairs
                    .find(|(key, _)| key == column)
                    .map_or("", |(_, value)| value)
            };
            let values: Vec<&str> = THRESHOLDS.iter().map(value).collect();
            let Shift {
                id,
                name,
                days,
                from,
                to,
                checks,
                ..
            } = shift;
            let values = values.join(",");
            text.push_str(&format!(
                "{id},{name},{days},{from},{to},{checks},{values}\n"
            ));
        }
        text
    }

    pub(super) fn work_rules(&self) -> String {
        let common = [
            json!({
                "id": "signals",
                "name": "车辆信号",
                "kind": "work_signals",
                "signals": [
                    {"machine": "brush", "source": "vehicle_signals", "bit": super::way::BRUSH_BIT},
                    {"machine": "bucket", "source": "vehicle_signals", "bit": super::way::BUCKET_BIT},
                ],
            }),
            json!({"id": UNLOADING_RULE, "name": "定点卸料", "kind": "unloading"}),
        ];
        let rules: Vec<&Value> = common.iter().chain(&self.rules).collect();
        format!("{:#}\n", json!({"rules": rules}))
    }
}

/// Adds the members of one object to another.
pub(super) fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curtain_is_a_full_minute_and_leaves_time_before_it() {
        // 2026-01-05 was a Monday; 15:59:50 in UTC is 23:59:50 at local time.
        let before_midnight = 1_767_628_790;
        let time = Timetable::from(before_midnight);
        assert_eq!(time.curtain_s, 70);
        assert_eq!(
            time.window(0, 5),
            json!({"days": ["tue"], "from": "00:01", "to": "00:06"})
        );
        assert_eq!(
            (time.clock(-60), time.day()),
            ("23:01".to_owned(), "mon tue".to_owned())
        );
        for offset in 0..120 {
            let time = Timetable::from(before_midnight + offset);
            assert!((15..=74).contains(&time.curtain_s), "{time:?}");
            assert_eq!((before_midnight + offset + time.curtain_s) % 60, 0);
        }
    }
}
