//! GeoJSON (RFC 7946): a feature for each line between two gaps, with the time of each of its
//! points. A fix between two gaps is a point. A line of very many points is cut into several
//! features, so that a bounded number is in memory: the next one begins where the last one ended,
//! and says that it continues it.

use std::{
    io::{self, Write},
    mem,
    time::Duration,
};

use serde::Serialize;

use super::{Row, RowWriter};
use crate::{
    clock::rfc3339,
    tracks::{Gaps, seconds},
};

/// Points of a feature.
const POINTS_MAX: usize = 10_000;

pub(super) struct GeojsonWriter<W: Write> {
    output: W,
    gap: Duration,
    gaps: Gaps,
    has_features: bool,
    /// The line so far.
    line: Line,
}

#[derive(Default)]
struct Line {
    /// Longitude first.
    coordinates: Vec<[f64; 2]>,
    properties: Properties,
}

/// The arrays have an element for each point.
#[derive(Clone, Default, Serialize)]
struct Properties {
    phone: String,
    /// How long the gap before it was; `null` for the first one.
    gap_s: Option<f64>,
    /// Its first point is the last one of the feature before.
    continues: bool,
    #[serde(rename = "coordTimes")]
    times: Vec<String>,
    speeds_kmh: Vec<Option<f64>>,
    headings_deg: Vec<Option<u16>>,
    backlog: Vec<Option<bool>>,
}

#[derive(Serialize)]
#[serde(tag = "type", content = "coordinates")]
enum Geometry<'a> {
    Point([f64; 2]),
    LineString(&'a [[f64; 2]]),
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Feature<'a> {
    Feature {
        geometry: Geometry<'a>,
        properties: &'a Properties,
    },
}

impl<W: Write> GeojsonWriter<W> {
    pub(super) fn new(mut output: W, gap: Duration) -> io::Result<Self> {
        output.write_all(b"{\"type\":\"FeatureCollection\",\"features\":[")?;
        Ok(Self {
            output,
            gap,
            gaps: Gaps::new(gap, None),
            has_features: false,
            line: Line::default(),
        })
    }

    /// Writes the line so far and forgets it.
    fn end_line(&mut self) -> io::Result<()> {
        let line = mem::take(&mut self.line);
        let geometry = match line.coordinates.as_slice() {
            [] => return Ok(()),
            // It is the end of the feature before, and nothing followed.
            [_] if line.properties.continues => return Ok(()),
            [only] => Geometry::Point(*only),
            coordinates => Geometry::LineString(coordinates),
        };
        let separator: &[u8] = if self.has_features { b",\n" } else { b"\n" };
        self.output.write_all(separator)?;
        self.has_features = true;
        let feature = Feature::Feature {
            geometry,
            properties: &line.properties,
        };
        serde_json::to_writer(&mut self.output, &feature)?;
        Ok(())
    }

    fn add(&mut self, row: &Row, time: String, place: [f64; 2]) {
        self.line.coordinates.push(place);
        let properties = &mut self.line.properties;
        properties.times.push(time);
        properties.speeds_kmh.push(row.speed_kmh);
        properties.headings_deg.push(row.heading_deg);
        properties.backlog.push(row.backlog);
    }
}

impl<W: Write + Send> RowWriter for GeojsonWriter<W> {
    fn write(&mut self, row: &Row) -> io::Result<bool> {
        let Some((fixed_at, lat, lon)) = row.fix() else {
            return Ok(false);
        };
        if self.line.properties.phone != row.phone {
            self.end_line()?;
            self.gaps = Gaps::new(self.gap, None);
            self.line.properties.phone.clone_from(&row.phone);
        }
        if let Some(gap_ms) = self.gaps.next(fixed_at) {
            self.end_line()?;
            self.line.properties.phone.clone_from(&row.phone);
            self.line.properties.gap_s = Some(seconds(gap_ms));
        }
        let time = rfc3339(fixed_at);
        self.add(row, time.clone(), [lon, lat]);
        if self.line.coordinates.len() >= POINTS_MAX {
            self.end_line()?;
            self.line.properties.phone.clone_from(&row.phone);
            self.line.properties.continues = true;
            self.add(row, time, [lon, lat]);
        }
        Ok(true)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.end_line()?;
        self.output.write_all(b"\n]}\n")?;
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::tracks::{
        files::{Format, written},
        row::tests::stored,
    };

    fn features(rows: &[Row]) -> Vec<Value> {
        let bytes = written(Format::Geojson, Duration::from_secs(60), rows);
        let mut whole: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(whole["type"], "FeatureCollection");
        serde_json::from_value(whole["features"].take()).unwrap()
    }

    #[test]
    fn a_line_ends_at_a_gap_and_a_lonely_fix_is_a_point() {
        let mut of_another = Row::from(&stored(300, 37.9, 112.55));
        of_another.phone = "13800000002".into();
        let found = features(&[
            Row::from(&stored(0, 37.87, 112.55)),
            Row::from(&stored(60, 37.88, 112.56)),
            Row::from(&stored(121, 37.89, 112.57)),
            of_another,
        ]);
        assert_eq!(
            found[0],
            json!({
                "type": "Feature",
                "geometry": {"type": "LineString", "coordinates": [[112.55, 37.87], [112.56, 37.88]]},
                "properties": {
                    "phone": "13800000001", "gap_s": null, "continues": false,
                    "coordTimes": ["2025-11-25T00:00:00.000Z", "2025-11-25T00:01:00.000Z"],
                    "speeds_kmh": [36.5, 36.5], "headings_deg": [90, 90], "backlog": [false, false],
                },
            })
        );
        assert_eq!(
            found[1]["geometry"],
            json!({"type": "Point", "coordinates": [112.57, 37.89]})
        );
        assert_eq!(found[1]["properties"]["gap_s"], 61.0);
        assert_eq!(found[2]["properties"]["phone"], "13800000002");
        assert_eq!(found[2]["properties"]["gap_s"], Value::Null);
        assert_eq!(found.len(), 3);
        assert!(features(&[]).is_empty());
    }

    #[test]
    fn a_very_long_line_is_cut_and_goes_on_where_it_was_cut() {
        let rows = |count: i64| {
            let row = |second| Row::from(&stored(second, 37.87, 112.55));
            (0..count).map(row).collect::<Vec<_>>()
        };
        let points = |feature: &Value| feature["geometry"]["coordinates"].as_array().unwrap().len();
        let found = features(&rows(10_000));
        assert_eq!(found.iter().map(points).collect::<Vec<_>>(), [10_000]);
        let found = features(&rows(10_001));
        assert_eq!(found.iter().map(points).collect::<Vec<_>>(), [10_000, 2]);
        assert_eq!(found[0]["properties"]["continues"], false);
        assert_eq!(found[1]["properties"]["continues"], true);
        assert_eq!(
            found[0]["properties"]["coordTimes"][9_999],
            found[1]["properties"]["coordTimes"][0]
        );
    }
}
