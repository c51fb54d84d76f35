//! What readers see: the shapes of JSON, made from domain types at the edge. Units are in the
//! names; coordinates are degrees, WGS-84; times are RFC 3339, UTC.

use geofence::{
    case::Case,
    catalog::Kerb,
    position::{Inputs, Position, QuarantineReason, Quarantined},
    units::{Latitude, Longitude, Timestamp},
    violation::{EvidenceFix, Stretch, StretchState, Violation},
};
use protocols::jt808::{
    Revision,
    message::{Message, MessageId, location_report::LocationReport},
};
use serde::Serialize;
use storage::store::PositionRow;
use utoipa::ToSchema;

use crate::{
    catalog::{Catalog, unit_grid_code},
    clock::rfc3339,
    ingest::normalise::altitude,
    outlets::live_map::Vehicle,
};

/// What a position says, whoever asks.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names carry meaning and unit")]
pub struct Reading {
    pub fixed_at: String,
    pub received_at: String,
    pub lat: f64,
    pub lon: f64,
    pub speed_kmh: f64,
    pub heading_deg: u16,
    pub altitude_m: Option<i16>,
    pub positioned: bool,
    pub unit_grid: Option<String>,
    pub alarm: u32,
    pub status: u32,
    pub satellites: Option<u8>,
    pub odometer_km: Option<f64>,
}

impl Reading {
    fn new(position: &Position, unit_grid: Option<String>) -> Self {
        Self {
            fixed_at: rfc3339(position.fixed_at),
            received_at: rfc3339(position.received_at),
            lat: position.latitude.degrees(),
            lon: position.longitude.degrees(),
            speed_kmh: tenths(u32::from(position.speed_dkmh)),
            heading_deg: position.heading_deg,
            altitude_m: position.altitude_m,
            positioned: position.is_positioned,
            unit_grid,
            alarm: position.alarm_flags,
            status: position.status_flags,
            satellites: position.satellites,
            odometer_km: position.odometer_dkm.map(tenths),
        }
    }
}

/// A terminal at its newest position.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names carry meaning and unit")]
pub struct PositionView {
    #[serde(flatten)]
    pub subject: Subject,
    #[serde(flatten)]
    pub reading: Reading,
    pub acc: bool,
    pub online: bool,
    pub state: &'static str,
}

impl PositionView {
    /// As pages see it. The unit grid is looked up here, for what is shown, and not for each
    /// position that arrives.
    #[must_use]
    pub fn new(vehicle: &Vehicle, catalog: &Catalog) -> Self {
        let position = &vehicle.position;
        let unit_grid = catalog.with(|snapshot| unit_grid_code(snapshot, position));
        Self {
            subject: Subject::of(position.terminal, catalog),
            reading: Reading::new(position, unit_grid),
            acc: position.is_acc_on(),
            online: vehicle.is_online,
            state: vehicle.state(),
        }
    }
}

/// A stored position of a track.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names carry meaning and unit")]
pub struct TrackPoint {
    pub phone: String,
    #[serde(flatten)]
    pub reading: Reading,
    pub backlog: bool,
    pub digest: u32,
    #[serde(flatten)]
    #[schema(value_type = InputsView)]
    pub inputs: Inputs,
}

impl From<PositionRow> for TrackPoint {
    fn from(row: PositionRow) -> Self {
        let position = &row.position;
        Self {
            phone: position.terminal.to_string(),
            reading: Reading::new(position, row.unit_grid),
            backlog: position.is_backlog,
            digest: position.digest,
            inputs: position.inputs,
        }
    }
}

/// Bits that a rule may give a meaning; `null` where the terminal sent none: the shape of
/// [`Inputs`], which has no use for descriptions.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "as of `Inputs`")]
pub struct InputsView {
    pub vehicle_signals: Option<u32>,
    pub io: Option<u16>,
    pub vendor: Option<u32>,
}

/// A report in quarantine, read as far as it can be.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names carry meaning and unit")]
pub struct QuarantineView {
    pub phone: String,
    /// Why it is there.
    pub quarantine: &'static str,
    /// At GMT+8 as the standard has it, whatever the terminal's profile says of its clock.
    pub fixed_at: Option<String>,
    pub received_at: String,
    pub lat: Option<f64>,
    pub lon: Option<f64>,
    pub speed_kmh: Option<f64>,
    pub heading_deg: Option<u16>,
    pub altitude_m: Option<i16>,
    pub alarm: Option<u32>,
    pub status: Option<u32>,
    pub digest: u32,
    pub log_offset: u64,
    /// The location body as sent; for a row that the database refused, that row as JSON.
    pub body_hex: String,
}

impl From<&Quarantined> for QuarantineView {
    fn from(report: &Quarantined) -> Self {
        let view = Self {
            phone: report.terminal.to_string(),
            quarantine: report.reason.reason(),
            received_at: rfc3339(report.received_at),
            digest: report.digest,
            log_offset: report.log_offset,
            body_hex: hex(&report.body),
            ..Self::default()
        };
        if report.reason == QuarantineReason::Refused {
            return view.with_row(&report.body);
        }
        let body = bytes::Bytes::copy_from_slice(&report.body);
        // The fixed part is the same in every revision.
        match Message::decode(MessageId::LOCATION_REPORT, body, Revision::V2013) {
            Ok(Message::LocationReport(sent)) => view.with_report(&sent),
            _ => view,
        }
    }
}

impl QuarantineView {
    fn with_report(self, sent: &LocationReport) -> Self {
        let degrees = |micro: Option<i32>| micro.map(|micro| f64::from(micro) / 1e6);
        Self {
            fixed_at: sent
                .time
                .unix_seconds()
                .map(|s| rfc3339(Timestamp::from_seconds(s))),
            lat: degrees(sent.latitude_micro_degrees()),
            lon: degrees(sent.longitude_micro_degrees()),
            speed_kmh: Some(tenths(u32::from(sent.speed.0))),
            heading_deg: Some(sent.heading.0 % 360),
            altitude_m: altitude(sent.altitude.0),
            alarm: Some(sent.alarms.0),
            status: Some(sent.status.0),
            ..self
        }
    }

    fn with_row(self, json: &[u8]) -> Self {
        let Ok(row) = serde_json::from_slice::<PositionRow>(json) else {
            return self;
        };
        let point = Reading::new(&row.position, row.unit_grid);
        Self {
            fixed_at: Some(point.fixed_at),
            lat: Some(point.lat),
            lon: Some(point.lon),
            speed_kmh: Some(point.speed_kmh),
            heading_deg: Some(point.heading_deg),
            altitude_m: point.altitude_m,
            alarm: Some(point.alarm),
            status: Some(point.status),
            ..self
        }
    }
}

/// Who a position or a case is about.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names carry meaning")]
pub struct Subject {
    pub phone: String,
    pub vehicle: Option<String>,
    pub plate: Option<String>,
    pub work_kind: Option<&'static str>,
    pub fleet: Option<String>,
}

impl Subject {
    /// What the catalog says about a terminal.
    #[must_use]
    pub fn of(terminal: geofence::identity::TerminalId, catalog: &Catalog) -> Self {
        catalog.with(|snapshot| {
            let vehicle = snapshot.vehicle_of(&terminal);
            Self {
                phone: terminal.to_string(),
                vehicle: vehicle.map(|v| v.id.to_string()),
                plate: vehicle.map(|v| v.plate.to_string()),
                work_kind: vehicle.map(|v| v.work_kind.as_str()),
                fleet: vehicle.map(|v| v.fleet.to_string()),
            }
        })
    }
}

/// The rule that was broken.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names carry meaning")]
pub struct RuleView {
    pub id: String,
    pub version: u32,
    pub name: String,
}

/// One fix of the evidence.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names carry meaning and unit")]
pub struct FixView {
    pub fixed_at: String,
    pub lat: f64,
    pub lon: f64,
    pub speed_kmh: f64,
    pub heading_deg: u16,
    pub distance_m: Option<f64>,
    pub log_offset: u64,
}

impl From<&EvidenceFix> for FixView {
    fn from(fix: &EvidenceFix) -> Self {
        Self {
            fixed_at: rfc3339(fix.fixed_at),
            lat: fix.latitude.degrees(),
            lon: fix.longitude.degrees(),
            speed_kmh: tenths(u32::from(fix.speed_dkmh)),
            heading_deg: fix.heading_deg,
            distance_m: fix.distance_m.map(|d| (d * 10.0).round() / 10.0),
            log_offset: fix.log_offset,
        }
    }
}

/// Why.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names carry meaning")]
pub struct EvidenceView {
    pub fixes: Vec<FixView>,
    pub thresholds: std::collections::BTreeMap<String, f64>,
    pub measured: std::collections::BTreeMap<String, f64>,
    pub stretches: Vec<StretchView>,
    pub unit_grids: Vec<String>,
}

/// A stretch of a route that was not swept. Ends are longitude and latitude, as in GeoJSON.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names carry meaning and unit")]
pub struct StretchView {
    pub segment: u32,
    pub side: Option<&'static str>,
    pub from_m: f64,
    pub to_m: f64,
    pub passes: u8,
    #[schema(value_type = String)]
    pub state: StretchState,
    pub from: [f64; 2],
    pub to: [f64; 2],
}

impl From<&Stretch> for StretchView {
    fn from(stretch: &Stretch) -> Self {
        let place = |(lat, lon): (Latitude, Longitude)| [lon.degrees(), lat.degrees()];
        Self {
            segment: stretch.segment,
            side: stretch.side.map(Kerb::as_str),
            from_m: stretch.from_m,
            to_m: stretch.to_m,
            passes: stretch.passes,
            state: stretch.state,
            from: place(stretch.from),
            to: place(stretch.to),
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names carry meaning and unit")]
pub struct ViolationView {
    pub violation: String,
    pub kind: &'static str,
    pub phone: String,
    pub vehicle: Option<String>,
    pub started_at: String,
    pub confirmed_at: String,
    pub ended_at: Option<String>,
    pub rule: RuleView,
    pub unit_grid: Option<String>,
    pub lat: f64,
    pub lon: f64,
    pub worst: f64,
    pub worst_unit: &'static str,
    pub evidence: EvidenceView,
}

impl From<&Violation> for ViolationView {
    fn from(violation: &Violation) -> Self {
        Self {
            violation: violation.id.to_string(),
            kind: violation.kind.as_str(),
            phone: violation.terminal.to_string(),
            vehicle: violation.vehicle.clone(),
            started_at: rfc3339(violation.started_at),
            confirmed_at: rfc3339(violation.confirmed_at),
            ended_at: violation.ended_at.map(rfc3339),
            rule: RuleView {
                id: violation.rule.id.clone(),
                version: violation.rule.version,
                name: violation.rule.name.clone(),
            },
            unit_grid: violation.unit_grid.clone(),
            lat: violation.latitude.degrees(),
            lon: violation.longitude.degrees(),
            worst: (violation.worst * 10.0).round() / 10.0,
            worst_unit: violation.kind.worst_unit(),
            evidence: EvidenceView {
                fixes: violation.evidence.fixes.iter().map(FixView::from).collect(),
                thresholds: violation.evidence.thresholds.clone(),
                measured: violation.evidence.measured.clone(),
                stretches: violation
                    .evidence
                    .stretches
                    .iter()
                    .map(StretchView::from)
                    .collect(),
                unit_grids: violation.evidence.unit_grids.clone(),
            },
        }
    }
}

/// What a person reported: the names of [`ViolationView`], with what there is of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names carry meaning and unit")]
pub struct ReportView {
    pub kind: Option<&'static str>,
    pub phone: Option<String>,
    pub started_at: String,
    pub ended_at: Option<String>,
    pub unit_grid: Option<String>,
    pub lat: Option<f64>,
    pub lon: Option<f64>,
}

/// What a case is about.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "most cases are of the large one")]
pub enum AboutView {
    /// What a check found: the violation that speaks for the case.
    Violation(ViolationView),
    /// What a person reported.
    Report(ReportView),
}

/// A case.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names carry meaning and unit")]
pub struct CaseView {
    pub id: String,
    pub number: String,
    pub version: u32,
    pub stage: &'static str,
    pub opened_at: String,
    pub changed_at: String,
    pub source: &'static str,
    pub category: String,
    pub severity: &'static str,
    pub description: String,
    pub handler: String,
    pub department: Option<String>,
    pub due_at: Option<String>,
    pub late: bool,
    /// What proves it: a path that stays.
    pub evidence_href: String,
    pub subject: Option<Subject>,
    #[serde(flatten)]
    pub about: AboutView,
}

impl CaseView {
    /// As readers see it.
    #[must_use]
    pub fn new(case: &Case, catalog: &Catalog) -> Self {
        let about = match case.violation() {
            Some(violation) => AboutView::Violation(ViolationView::from(violation)),
            None => AboutView::Report(ReportView {
                kind: None,
                phone: case.terminal.map(|terminal| terminal.to_string()),
                started_at: rfc3339(case.occurred_at),
                ended_at: None,
                unit_grid: case.unit_grid.clone(),
                lat: case.place.map(|place| place.latitude.degrees()),
                lon: case.place.map(|place| place.longitude.degrees()),
            }),
        };
        Self {
            id: case.id.to_string(),
            number: case.number(),
            version: case.version,
            stage: case.stage.as_str(),
            opened_at: rfc3339(case.opened_at),
            changed_at: rfc3339(case.changed_at),
            source: case.source.as_str(),
            category: case.category.clone(),
            severity: case.severity.as_str(),
            description: case.description.clone(),
            handler: case.handler.clone(),
            department: case.department.clone(),
            due_at: case.due_at().map(rfc3339),
            late: case.is_late(),
            evidence_href: format!("/api/v1/cases/{}/evidence", case.id),
            subject: case.terminal.map(|terminal| Subject::of(terminal, catalog)),
            about,
        }
    }
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string does not fail.
            let _written = write!(text, "{byte:02x}");
            text
        })
}

fn tenths(value: u32) -> f64 {
    f64::from(value) / 10.0
}
