//! Rows as PostgreSQL sends and takes them.

use bytes::BufMut;
use geofence::{
    position::{Inputs, Position, Quarantined},
    units::{Latitude, Longitude, Timestamp},
};
use tokio_postgres::{
    Row,
    types::{FromSql, IsNull, ToSql, Type, to_sql_checked},
};

use crate::{
    background,
    case_changes::{damaged, without_nul},
    store::{PositionRow, QuarantinedRow, StoreError},
};

/// A moment as `timestamptz`: microseconds since 2000-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Timestamp);

const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// The first moment that PostgreSQL refuses; from there on it is `infinity` for us.
const END_MICROS: i64 = 9_223_371_331_200_000_000;

impl Moment {
    /// As the server counts.
    pub(super) fn micros(self) -> i64 {
        let micros = self
            .0
            .millis()
            .saturating_mul(1_000)
            .saturating_sub(EPOCH_MICROS);
        match micros {
            END_MICROS.. => i64::MAX,
            // 4713 BC, where its calendar begins.
            ..-211_813_488_000_000_000 => i64::MIN,
            _ => micros,
        }
    }
}

impl ToSql for Moment {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.put_i64(self.micros());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Moment {
    fn from_sql(
        ty: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let micros = i64::from_sql(ty, raw)?;
        Ok(Self(Timestamp(
            micros.saturating_add(EPOCH_MICROS).div_euclid(1_000),
        )))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

/// The columns of `positions` and `latest`, in the order that rows are written in.
macro_rules! columns {
    () => {
        "terminal, fixed_at, digest, received_at, log_offset, latitude, longitude, altitude_m, \
         speed_dkmh, heading_deg, alarm_flags, status_flags, odometer_dkm, satellites, \
         is_positioned, is_backlog, unit_grid, vehicle_signals, io, vendor"
    };
}
pub(super) use columns;

/// [`Columns::parameters`] as rows.
macro_rules! arrays {
    () => {
        "SELECT * FROM unnest($1::int[], $2::timestamptz[], $3::bigint[], $4::timestamptz[], \
         $5::bigint[], $6::int[], $7::int[], $8::smallint[], $9::int[], $10::int[], \
         $11::bigint[], $12::bigint[], $13::bigint[], $14::smallint[], $15::boolean[], \
         $16::boolean[], $17::text[], $18::bigint[], $19::int[], $20::bigint[])"
    };
}
pub(super) use arrays;

/// A position with the number of its terminal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) terminal: i32,
    pub(super) row: &'a PositionRow,
}

impl Line<'_> {
    pub(super) fn key(&self) -> (i32, Timestamp, u32) {
        (
            self.terminal,
            self.row.position.fixed_at,
            self.row.position.digest,
        )
    }
}

/// The types of [`columns`].
pub(super) const TYPES: [Type; 20] = [
    Type::INT4,
    Type::TIMESTAMPTZ,
    Type::INT8,
    Type::TIMESTAMPTZ,
    Type::INT8,
    Type::INT4,
    Type::INT4,
    Type::INT2,
    Type::INT4,
    Type::INT4,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT2,
    Type::BOOL,
    Type::BOOL,
    Type::TEXT,
    Type::INT8,
    Type::INT4,
    Type::INT8,
];

/// Lines column by column, for `unnest`; the fields stand in the order of the columns.
#[derive(Debug, Default)]
pub(super) struct Columns {
    terminal: Vec<i32>,
    fixed_at: Vec<Moment>,
    digest: Vec<i64>,
    received_at: Vec<Moment>,
    log_offset: Vec<i64>,
    latitude: Vec<i32>,
    longitude: Vec<i32>,
    altitude_m: Vec<Option<i16>>,
    speed_dkmh: Vec<i32>,
    heading_deg: Vec<i32>,
    alarm_flags: Vec<i64>,
    status_flags: Vec<i64>,
    odometer_dkm: Vec<Option<i64>>,
    satellites: Vec<Option<i16>>,
    is_positioned: Vec<bool>,
    is_backlog: Vec<bool>,
    unit_grid: Vec<Option<String>>,
    vehicle_signals: Vec<Option<i64>>,
    io: Vec<Option<i32>>,
    vendor: Vec<Option<i64>>,
}

impl Columns {
    pub(super) fn of<'a>(lines: impl Iterator<Item = Line<'a>>) -> Self {
        let mut columns = Self::default();
        for Line { terminal, row } in lines {
            let p = &row.position;
            columns.terminal.push(terminal);
            columns.fixed_at.push(Moment(p.fixed_at));
            columns.digest.push(p.digest.into());
            columns.received_at.push(Moment(p.received_at));
            columns.log_offset.push(p.log_offset.cast_signed());
            columns.latitude.push(p.latitude.micro_degrees());
            columns.longitude.push(p.longitude.micro_degrees());
            columns.altitude_m.push(p.altitude_m);
            columns.speed_dkmh.push(p.speed_dkmh.into());
            columns.heading_deg.push(p.heading_deg.into());
            columns.alarm_flags.push(p.alarm_flags.into());
            columns.status_flags.push(p.status_flags.into());
            columns.odometer_dkm.push(p.odometer_dkm.map(Into::into));
            columns.satellites.push(p.satellites.map(Into::into));
            columns.is_positioned.push(p.is_positioned);
            columns.is_backlog.push(p.is_backlog);
            columns
                .unit_grid
                .push(row.unit_grid.as_deref().map(without_nul));
            let Inputs {
                vehicle_signals,
                io,
                vendor,
            } = p.inputs;
            columns
                .vehicle_signals
                .push(vehicle_signals.map(Into::into));
            columns.io.push(io.map(Into::into));
            columns.vendor.push(vendor.map(Into::into));
            background::give_way();
        }
        columns
    }

    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 20] {
        [
            &self.terminal,
            &self.fixed_at,
            &self.digest,
            &self.received_at,
            &self.log_offset,
            &self.latitude,
            &self.longitude,
            &self.altitude_m,
            &self.speed_dkmh,
            &self.heading_deg,
            &self.alarm_flags,
            &self.status_flags,
            &self.odometer_dkm,
            &self.satellites,
            &self.is_positioned,
            &self.is_backlog,
            &self.unit_grid,
            &self.vehicle_signals,
            &self.io,
            &self.vendor,
        ]
    }
}

/// The columns of a position behind the terminal's phone number, of a table `p`.
macro_rules! position_columns {
    () => {
        "t.phone, p.fixed_at, p.digest, p.received_at, p.log_offset, p.latitude, p.longitude, \
         p.altitude_m, p.speed_dkmh, p.heading_deg, p.alarm_flags, p.status_flags, \
         p.odometer_dkm, p.satellites, p.is_positioned, p.is_backlog, p.unit_grid, \
         p.vehicle_signals, p.io, p.vendor"
    };
}
pub(super) use position_columns;

/// Reads [`position_columns`].
pub(super) fn position(row: &Row) -> Result<PositionRow, StoreError> {
    let wrong = |what: &dyn std::fmt::Display| damaged("read positions", what);
    let position = Position {
        terminal: row
            .get::<_, &str>(0)
            .parse()
            .map_err(|error| wrong(&error))?,
        fixed_at: row.get::<_, Moment>(1).0,
        digest: number(row.get::<_, i64>(2))?,
        received_at: row.get::<_, Moment>(3).0,
        log_offset: row.get::<_, i64>(4).cast_unsigned(),
        latitude: Latitude::from_micro_degrees(row.get(5)).ok_or_else(|| wrong(&"latitude"))?,
        longitude: Longitude::from_micro_degrees(row.get(6)).ok_or_else(|| wrong(&"longitude"))?,
        altitude_m: row.get(7),
        speed_dkmh: number(row.get::<_, i32>(8))?,
        heading_deg: number(row.get::<_, i32>(9))?,
        alarm_flags: number(row.get::<_, i64>(10))?,
        status_flags: number(row.get::<_, i64>(11))?,
        odometer_dkm: row.get::<_, Option<i64>>(12).map(number).transpose()?,
        satellites: row.get::<_, Option<i16>>(13).map(number).transpose()?,
        inputs: Inputs {
            vehicle_signals: row.get::<_, Option<i64>>(17).map(number).transpose()?,
            io: row.get::<_, Option<i32>>(18).map(number).transpose()?,
            vendor: row.get::<_, Option<i64>>(19).map(number).transpose()?,
        },
        is_positioned: row.get(14),
        is_backlog: row.get(15),
    };
    Ok(PositionRow {
        position,
        unit_grid: row.get(16),
    })
}

/// Reads `terminal, reason, digest, received_at, log_offset, body`.
pub(super) fn quarantined(row: &Row) -> Result<QuarantinedRow, StoreError> {
    let wrong = |what: &dyn std::fmt::Display| damaged("read the quarantine", what);
    let word: &str = row.get(1);
    let report = Quarantined {
        terminal: row
            .get::<_, &str>(0)
            .parse()
            .map_err(|error| wrong(&error))?,
        reason: crate::store::quarantine_reason(word).ok_or_else(|| wrong(&word))?,
        digest: number(row.get::<_, i64>(2))?,
        received_at: row.get::<_, Moment>(3).0,
        log_offset: row.get::<_, i64>(4).cast_unsigned(),
        body: row.get(5),
    };
    let number = row.get::<_, i64>(6).cast_unsigned();
    Ok(QuarantinedRow { number, report })
}

/// A number in a narrower type than its column has.
fn number<A: Copy + std::fmt::Display, B: TryFrom<A>>(value: A) -> Result<B, StoreError> {
    B::try_from(value).map_err(|_| damaged("read a row", &value))
}
