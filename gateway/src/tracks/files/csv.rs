//! CSV: every row with every column.
//!
//! No column holds a text that a terminal chose: phones are digits and `a` to `f`, unit grids come
//! from the catalog, the other words are ours. Rows of a database that others can write to are not
//! trusted for that: see [`harmless`].

use std::{
    borrow::Cow,
    io::{self, Write},
};

use super::{Row, RowWriter};
use crate::clock::rfc3339;

/// The first line. Files that people have made depend on names and order.
const COLUMNS: [&str; 20] = [
    "phone",
    "event_time",
    "lat",
    "lon",
    "speed_kmh",
    "heading_deg",
    "altitude_m",
    "positioned",
    "alarm",
    "status",
    "odometer_km",
    "satellites",
    "unit_grid",
    "backlog",
    "receive_time",
    "digest",
    "quarantine",
    "vehicle_signals",
    "io",
    "vendor",
];

pub(super) struct CsvWriter<W: Write>(csv::Writer<W>);

impl<W: Write> CsvWriter<W> {
    pub(super) fn new(output: W) -> io::Result<Self> {
        let mut csv = csv::Writer::from_writer(output);
        csv.write_record(COLUMNS)?;
        Ok(Self(csv))
    }
}

impl<W: Write + Send> RowWriter for CsvWriter<W> {
    fn write(&mut self, row: &Row) -> io::Result<bool> {
        self.0.write_record(cells(row).iter().map(AsRef::as_ref))?;
        Ok(true)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn cells(row: &Row) -> [Cow<'_, str>; COLUMNS.len()] {
    fn shown<T: ToString>(value: Option<T>) -> Cow<'static, str> {
        value
            .map_or_else(String::new, |value| value.to_string())
            .into()
    }
    fn decimal(value: Option<f64>, digits: usize) -> Cow<'static, str> {
        value
            .map_or_else(String::new, |value| format!("{value:.digits$}"))
            .into()
    }
    [
        harmless(&row.phone),
        shown(row.fixed_at.map(rfc3339)),
        decimal(row.lat, 6),
        decimal(row.lon, 6),
        decimal(row.speed_kmh, 1),
        shown(row.heading_deg),
        shown(row.altitude_m),
        shown(row.positioned),
        shown(row.alarm),
        shown(row.status),
        decimal(row.odometer_km, 1),
        shown(row.satellites),
        harmless(row.unit_grid.as_deref().unwrap_or_default()),
        shown(row.backlog),
        shown(row.received_at.map(rfc3339)),
        row.digest.to_string().into(),
        harmless(row.quarantine.as_deref().unwrap_or_default()),
        shown(row.vehicle_signals),
        shown(row.io),
        shown(row.vendor),
    ]
}

/// A text that no spreadsheet takes for a formula.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tracks::{
        files::{Format, written},
        row::tests::stored,
    };

    #[test]
    fn a_row_is_a_line_and_what_is_unknown_is_an_empty_cell() {
        let full = Row::from(&stored(0, 37.87, -112.55));
        let kept_apart = Row {
            phone: "=1+1".into(),
            quarantine: Some("no_time".into()),
            ..Row::default()
        };
        let text = written(Format::Csv, Duration::ZERO, &[full, kept_apart]);
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "phone,event_time,lat,lon,speed_kmh,heading_deg,altitude_m,positioned,alarm,status,\
                 odometer_km,satellites,unit_grid,backlog,receive_time,digest,quarantine,\
                 vehicle_signals,io,vendor",
                "13800000001,2025-11-25T00:00:00.000Z,37.870000,-112.550000,36.5,90,-5,true,\
                 4294967295,3,123.4,9,14010500100101,false,2025-11-25T00:00:01.500Z,7,,4294967295,65535,0",
                "'=1+1,,,,,,,,,,,,,,,0,no_time,,,",
            ]
        );
    }
}
