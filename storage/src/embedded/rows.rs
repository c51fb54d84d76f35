//! A position as a row. The columns are the same in `positions` and in `latest`.

use geofence::{
    position::{Inputs, Position, Quarantined},
    units::{Latitude, Longitude, Timestamp},
};
use rusqlite::{Row, Statement, params};

use crate::{
    case_changes::damaged,
    store::{PositionRow, QuarantinedRow, StoreError},
};

pub(super) const INSERT: &str = "INSERT INTO positions VALUES \
    (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20) ON CONFLICT DO NOTHING";

/// The newest stays: by fix time, and by digest where two share it, so that the order of arrival
/// does not matter.
pub(super) const UPSERT_LATEST: &str = "INSERT INTO latest VALUES \
    (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20) \
    ON CONFLICT (terminal) DO UPDATE SET \
    fixed_at = excluded.fixed_at, digest = excluded.digest, received_at = excluded.received_at, \
    log_offset = excluded.log_offset, latitude = excluded.latitude, \
    longitude = excluded.longitude, altitude_m = excluded.altitude_m, \
    speed_dkmh = excluded.speed_dkmh, heading_deg = excluded.heading_deg, \
    alarm_flags = excluded.alarm_flags, status_flags = excluded.status_flags, \
    odometer_dkm = excluded.odometer_dkm, satellites = excluded.satellites, \
    is_positioned = excluded.is_positioned, is_backlog = excluded.is_backlog, \
    unit_grid = excluded.unit_grid, vehicle_signals = excluded.vehicle_signals, \
    io = excluded.io, vendor = excluded.vendor \
    WHERE (excluded.fixed_at, excluded.digest) > (latest.fixed_at, latest.digest)";

/// The place of the first column of the inputs.
const INPUTS: usize = 17;

/// Runs [`INSERT`] or [`UPSERT_LATEST`]; gives the number of rows that it wrote.
pub(super) fn write(statement: &mut Statement<'_>, row: &PositionRow) -> rusqlite::Result<usize> {
    let p = &row.position;
    statement.execute(params![
        p.terminal.as_str(),
        p.fixed_at.0,
        p.digest,
        p.received_at.0,
        p.log_offset.cast_signed(),
        p.latitude.micro_degrees(),
        p.longitude.micro_degrees(),
        p.altitude_m,
        p.speed_dkmh,
        p.heading_deg,
        p.alarm_flags,
        p.status_flags,
        p.odometer_dkm,
        p.satellites,
        p.is_positioned,
        p.is_backlog,
        row.unit_grid,
        p.inputs.vehicle_signals,
        p.inputs.io,
        p.inputs.vendor,
    ])
}

/// Reads a row of `SELECT * FROM positions` or `latest`. Columns are read by place: by name, each
/// would be looked for in every row.
pub(super) fn position(row: &Row<'_>) -> rusqlite::Result<Result<PositionRow, StoreError>> {
    let wrong = |what: &dyn std::fmt::Display| Ok(Err(damaged("read positions", what)));
    let terminal = match row.get_ref(0)?.as_str()?.parse() {
        Ok(terminal) => terminal,
        Err(error) => return wrong(&error),
    };
    let (Some(latitude), Some(longitude)) = (
        Latitude::from_micro_degrees(row.get(5)?),
        Longitude::from_micro_degrees(row.get(6)?),
    ) else {
        return wrong(&"coordinates outside the earth");
    };
    let position = Position {
        terminal,
        fixed_at: Timestamp(row.get(1)?),
        digest: row.get(2)?,
        received_at: Timestamp(row.get(3)?),
        log_offset: row.get::<_, i64>(4)?.cast_unsigned(),
        latitude,
        longitude,
        altitude_m: row.get(7)?,
        speed_dkmh: row.get(8)?,
        heading_deg: row.get(9)?,
        alarm_flags: row.get(10)?,
        status_flags: row.get(11)?,
        odometer_dkm: row.get(12)?,
        satellites: row.get(13)?,
        inputs: inputs(row)?,
        is_positioned: row.get(14)?,
        is_backlog: row.get(15)?,
    };
    Ok(Ok(PositionRow {
        position,
        unit_grid: row.get(16)?,
    }))
}

/// The file of a day that nobody has written to since they came up lacks their columns: a reader
/// changes no file.
fn inputs(row: &Row<'_>) -> rusqlite::Result<Inputs> {
    if row.as_ref().column_count() <= INPUTS {
        return Ok(Inputs::default());
    }
    Ok(Inputs {
        vehicle_signals: row.get(INPUTS)?,
        io: row.get(INPUTS + 1)?,
        vendor: row.get(INPUTS + 2)?,
    })
}

pub(super) const INSERT_QUARANTINED: &str = "INSERT INTO quarantine \
    (terminal, reason, digest, received_at, log_offset, body) VALUES (?,?,?,?,?,?) \
    ON CONFLICT DO NOTHING";

/// Runs [`INSERT_QUARANTINED`]; gives the number of rows that it wrote.
pub(super) fn write_quarantined(
    statement: &mut Statement<'_>,
    report: &Quarantined,
) -> rusqlite::Result<usize> {
    statement.execute(params![
        report.terminal.as_str(),
        report.reason.reason(),
        report.digest,
        report.received_at.0,
        report.log_offset.cast_signed(),
        report.body,
    ])
}

/// Reads `terminal, reason, digest, received_at, log_offset, body`.
pub(super) fn quarantined(row: &Row<'_>) -> rusqlite::Result<Result<QuarantinedRow, StoreError>> {
    let wrong = |what: &dyn std::fmt::Display| Ok(Err(damaged("read the quarantine", what)));
    let terminal = match row.get_ref(0)?.as_str()?.parse() {
        Ok(terminal) => terminal,
        Err(error) => return wrong(&error),
    };
    let Some(reason) = crate::store::quarantine_reason(row.get_ref(1)?.as_str()?) else {
        return wrong(&"an unknown reason");
    };
    let report = Quarantined {
        terminal,
        reason,
        digest: row.get(2)?,
        received_at: Timestamp(row.get(3)?),
        log_offset: row.get::<_, i64>(4)?.cast_unsigned(),
        body: row.get(5)?,
    };
    let number = row.get::<_, i64>(6)?.cast_unsigned();
    Ok(Ok(QuarantinedRow { number, report }))
}
