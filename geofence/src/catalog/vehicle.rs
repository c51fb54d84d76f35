//! Vehicles and inspectors with their terminals, from CSV.

use std::collections::HashMap;

use super::{
    features::Notes,
    mistake::{Place, Problem},
};
use crate::identity::TerminalId;

/// What a vehicle does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkKind {
    /// Sweeps the streets.
    Sweeper,
    /// Flushes or sprinkles the streets.
    Sprinkler,
    /// Collects refuse.
    RefuseTruck,
    /// An inspector on foot or on a light vehicle.
    Inspector,
    /// Any other work.
    Other,
}

impl WorkKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Sweeper,
        Self::Sprinkler,
        Self::RefuseTruck,
        Self::Inspector,
        Self::Other,
    ];

    /// The word in texts and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sweeper => "sweeper",
            Self::Sprinkler => "sprinkler",
            Self::RefuseTruck => "refuse_truck",
            Self::Inspector => "inspector",
            Self::Other => "other",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// All words, for messages.
    pub(super) fn words() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

/// A vehicle, or an inspector.
#[derive(Clone, Debug, PartialEq)]
pub struct Vehicle {
    /// Its id in the catalog.
    pub id: String,
    /// The terminal that it carries.
    pub terminal: TerminalId,
    /// The plate; may be empty.
    pub plate: String,
    /// What it does.
    pub work_kind: WorkKind,
    /// Its fleet; may be empty.
    pub fleet: String,
    /// For people; may be empty.
    pub name: String,
    /// Never faster than this, km/h.
    pub speed_limit_kmh: Option<f64>,
    /// Its crew; may be empty.
    pub crew: String,
    /// Which of the catalog's rosters it has.
    pub(super) roster: Option<u32>,
    /// Whom of the catalog's audiences it belongs to.
    pub(super) audience: usize,
}

const COLUMNS: [&str; 8] = [
    "vehicle",
    "phone",
    "plate",
    "work_kind",
    "fleet",
    "name",
    "speed_limit_kmh",
    "crew",
];
/// km/h.
const LIMITS: std::ops::RangeInclusive<f64> = 1.0..=250.0;

/// Reads the vehicles. The first line names the columns; `vehicle` and `phone` must be there.
pub(super) fn read(text: &str, notes: &mut Notes<'_>) -> Vec<Vehicle> {
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
    let known = COLUMNS.join(", ");
    for column in header.iter().filter(|column| !COLUMNS.contains(column)) {
        let problem = Problem::UnknownKey {
            key: column.to_owned(),
            known: known.clone(),
        };
        notes.add(&Place::Line(1), problem);
    }
    for column in ["vehicle", "phone"] {
        if !header.iter().any(|name| name == column) {
            notes.add(&Place::Line(1), Problem::Missing(column));
        }
    }
    let mut vehicles = Vec::new();
    let (mut ids, mut phones) = (HashMap::new(), HashMap::new());
    for record in reader.records() {
        match record {
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                notes.add(&Place::Line(line), Problem::Csv(error.to_string()));
            }
            Ok(record) => {
                let place = Place::Line(record.position().map_or(0, csv::Position::line));
                if let Some(vehicle) = vehicle(&header, &record, &place, notes) {
                    notes.unique(&mut ids, "vehicle", &vehicle.id, &place);
                    notes.unique(&mut phones, "phone", vehicle.terminal.as_str(), &place);
                    vehicles.push(vehicle);
                }
            }
        }
    }
    vehicles
}

fn vehicle(
    header: &csv::StringRecord,
    record: &csv::StringRecord,
    place: &Place,
    notes: &mut Notes<'_>,
) -> Option<Vehicle> {
    if record.len() != header.len() {
        let problem = format!("{} fields, but {} columns", record.len(), header.len());
        notes.add(place, Problem::Csv(problem));
        return None;
    }
    let field = |name: &str| {
        let index = header.iter().position(|column| column == name);
        index
            .and_then(|index| record.get(index))
            .unwrap_or_default()
    };
    let mut wrong = |key: &str, expected: String| {
        let value = format!("\"{}\"", field(key));
        notes.add(
            place,
            Problem::Value {
                key: key.to_owned(),
                value,
                expected,
            },
        );
    };
    let id = field("vehicle");
    if id.is_empty() {
        wrong("vehicle", "an id".to_owned());
    }
    let terminal: Option<TerminalId> = field("phone").trim_start_matches('0').parse().ok();
    if terminal.is_none() {
        wrong("phone", "a phone number of 1 to 20 digits".to_owned());
    }
    let work_kind = match field("work_kind") {
        "" => Some(WorkKind::Other),
        word => WorkKind::from_word(word),
    };
    if work_kind.is_none() {
        wrong("work_kind", format!("one of {}", WorkKind::words()));
    }
    let speed_limit_kmh = match field("speed_limit_kmh") {
        "" => None,
        text => {
            let limit = text.parse().ok().filter(|limit| LIMITS.contains(limit));
            if limit.is_none() {
                let (low, high) = (LIMITS.start(), LIMITS.end());
                wrong("speed_limit_kmh", format!("a number from {low} to {high}"));
            }
            limit
        }
    };
    Some(Vehicle {
        id: Some(id).filter(|id| !id.is_empty())?.to_owned(),
        terminal: terminal?,
        plate: field("plate").to_owned(),
        work_kind: work_kind?,
        fleet: field("fleet").to_owned(),
        name: field("name").to_owned(),
        speed_limit_kmh,
        crew: field("crew").to_owned(),
        roster: None,
        audience: 0,
    })
}
