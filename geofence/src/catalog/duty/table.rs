//! Reading CSV: every mistake is noted with its line, and reading goes on.

use super::{
    super::{
        features::Notes,
        mistake::{Place, Problem},
    },
    calendar::day_of,
};

/// A line of a table.
pub(super) struct Row {
    header: csv::StringRecord,
    record: csv::StringRecord,
    pub(super) place: Place,
}

/// The lines of a table whose first line names the columns.
pub(super) fn rows(
    text: &str,
    columns: &[&'static str],
    required: &[&'static str],
    notes: &mut Notes<'_>,
) -> Vec<Row> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .flexible(true)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => {
            notes.add(&Place::Line(1), Problem::Csv(error.to_string()));
            return Vec::new();
        }
    };
    for column in header.iter().filter(|column| !columns.contains(column)) {
        let problem = Problem::UnknownKey {
            key: column.to_owned(),
            known: columns.join(", "),
        };
        notes.add(&Place::Line(1), problem);
    }
    for column in required {
        if !header.iter().any(|name| name == *column) {
            notes.add(&Place::Line(1), Problem::Missing(column));
        }
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        match record {
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                notes.add(&Place::Line(line), Problem::Csv(error.to_string()));
            }
            Ok(record) => {
                let place = Place::Line(record.position().map_or(0, csv::Position::line));
                if record.len() == header.len() {
                    let header = header.clone();
                    rows.push(Row {
                        header,
                        record,
                        place,
                    });
                } else {
                    let problem = format!("{} fields, but {} columns", record.len(), header.len());
                    notes.add(&place, Problem::Csv(problem));
                }
            }
        }
    }
    rows
}

impl Row {
    /// What stands in a column; empty where there is none.
    pub(super) fn field(&self, name: &str) -> &str {
        let index = self.header.iter().position(|column| column == name);
        let field = index.and_then(|index| self.record.get(index));
        field.unwrap_or_default()
    }

    /// A text that must not be empty.
    pub(super) fn text(&self, key: &'static str, notes: &mut Notes<'_>) -> String {
        if self.field(key).is_empty() {
            self.wrong(key, "a text", notes);
        }
        self.field(key).to_owned()
    }

    /// A day of the calendar.
    pub(super) fn date(&self, key: &'static str, notes: &mut Notes<'_>) -> Option<i64> {
        let day = day_of(self.field(key));
        if day.is_none() {
            self.wrong(key, "a date like 2026-01-05", notes);
        }
        day
    }

    /// A number in a range, where one is given.
    pub(super) fn number(
        &self,
        key: &'static str,
        range: std::ops::RangeInclusive<f64>,
        notes: &mut Notes<'_>,
    ) -> Option<f64> {
        if self.field(key).is_empty() {
            return None;
        }
        let number = self.field(key).parse().ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let expected = format!("a number from {} to {}", range.start(), range.end());
            self.wrong(key, &expected, notes);
        }
        number
    }

    pub(super) fn wrong(&self, key: &str, expected: &str, notes: &mut Notes<'_>) {
        let problem = Problem::Value {
            key: key.to_owned(),
            value: format!("\"{}\"", self.field(key)),
            expected: expected.to_owned(),
        };
        notes.add(&self.place, problem);
    }

    /// All that stands in these columns, for a fingerprint.
    pub(super) fn joined(&self, keys: &[&str]) -> String {
        let fields: Vec<&str> = keys.iter().map(|key| self.field(key)).collect();
        fields.join("\n")
    }
}
