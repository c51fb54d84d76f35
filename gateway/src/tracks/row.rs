//! One row of a file: a position, or a report in quarantine.

use geofence::units::Timestamp;
use serde::{Deserialize, Deserializer};
use storage::store::PositionRow;

use crate::{clock, http::view::QuarantineView};

/// A stored position, or a report in quarantine, as writers of files take it. It is read from a
/// store, or from the JSON of the API: the names of its fields are those of the API.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names carry meaning and unit")]
pub struct Row {
    pub phone: String,
    #[serde(deserialize_with = "optional_time")]
    pub fixed_at: Option<Timestamp>,
    #[serde(deserialize_with = "optional_time")]
    pub received_at: Option<Timestamp>,
    pub lat: Option<f64>,
    pub lon: Option<f64>,
    pub speed_kmh: Option<f64>,
    pub heading_deg: Option<u16>,
    pub altitude_m: Option<i16>,
    /// `None` for a report in quarantine.
    pub positioned: Option<bool>,
    pub alarm: Option<u32>,
    pub status: Option<u32>,
    pub odometer_km: Option<f64>,
    pub satellites: Option<u8>,
    pub unit_grid: Option<String>,
    pub backlog: Option<bool>,
    pub digest: u32,
    /// Why it is there.
    pub quarantine: Option<String>,
    pub vehicle_signals: Option<u32>,
    pub io: Option<u16>,
    pub vendor: Option<u32>,
}

impl Row {
    /// Time, latitude and longitude of a usable fix; `None` for a row that is no point of a track.
    #[must_use]
    pub fn fix(&self) -> Option<(Timestamp, f64, f64)> {
        if self.positioned != Some(true) || self.quarantine.is_some() {
            return None;
        }
        Some((self.fixed_at?, self.lat?, self.lon?))
    }
}

impl From<&PositionRow> for Row {
    fn from(row: &PositionRow) -> Self {
        let position = &row.position;
        Self {
            phone: position.terminal.to_string(),
            fixed_at: Some(position.fixed_at),
            received_at: Some(position.received_at),
            lat: Some(position.latitude.degrees()),
            lon: Some(position.longitude.degrees()),
            speed_kmh: Some(f64::from(position.speed_dkmh) / 10.0),
            heading_deg: Some(position.heading_deg),
            altitude_m: position.altitude_m,
            positioned: Some(position.is_positioned),
            alarm: Some(position.alarm_flags),
            status: Some(position.status_flags),
            odometer_km: position.odometer_dkm.map(|tenths| f64::from(tenths) / 10.0),
            satellites: position.satellites,
            unit_grid: row.unit_grid.clone(),
            backlog: Some(position.is_backlog),
            digest: position.digest,
            quarantine: None,
            vehicle_signals: position.inputs.vehicle_signals,
            io: position.inputs.io,
            vendor: position.inputs.vendor,
        }
    }
}

impl From<QuarantineView> for Row {
    fn from(view: QuarantineView) -> Self {
        Self {
            phone: view.phone,
            fixed_at: view.fixed_at.as_deref().and_then(clock::parse_rfc3339),
            received_at: clock::parse_rfc3339(&view.received_at),
            lat: view.lat,
            lon: view.lon,
            speed_kmh: view.speed_kmh,
            heading_deg: view.heading_deg,
            altitude_m: view.altitude_m,
            alarm: view.alarm,
            status: view.status,
            digest: view.digest,
            quarantine: Some(view.quarantine.to_owned()),
            ..Self::default()
        }
    }
}

fn optional_time<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(source)?;
    text.map(|text| {
        clock::parse_rfc3339(&text).ok_or_else(|| serde::de::Error::custom("no RFC 3339 time"))
    })
    .transpose()
}

#[cfg(test)]
pub(crate) mod tests {
    use geofence::{
        position::{Inputs, Position},
        units::{Latitude, Longitude},
    };

    use super::*;
    use crate::http::view::TrackPoint;

    /// A fix of terminal `13800000001` so many seconds after 2025-11-25T00:00:00Z.
    pub(crate) fn stored(second: i64, lat: f64, lon: f64) -> PositionRow {
        let fixed_at = Timestamp::from_seconds(1_764_028_800 + second);
        PositionRow {
            position: Position {
                terminal: "13800000001".parse().unwrap(),
                fixed_at,
                received_at: fixed_at.plus_millis(1_500),
                log_offset: 1,
                digest: 7,
                latitude: Latitude::from_degrees(lat).unwrap(),
                longitude: Longitude::from_degrees(lon).unwrap(),
                altitude_m: Some(-5),
                speed_dkmh: 365,
                heading_deg: 90,
                alarm_flags: u32::MAX,
                status_flags: 3,
                odometer_dkm: Some(1_234),
                satellites: Some(9),
                inputs: Inputs {
                    vehicle_signals: Some(u32::MAX),
                    io: Some(u16::MAX),
                    vendor: Some(0),
                },
                is_positioned: true,
                is_backlog: false,
            },
            unit_grid: Some("14010500100101".into()),
        }
    }

    #[test]
    fn a_row_is_the_same_from_the_store_and_from_the_api() {
        let mut stored = stored(0, 37.87, 112.55);
        for (is_positioned, altitude_m) in [(true, Some(-5)), (false, None)] {
            stored.position.is_positioned = is_positioned;
            stored.position.altitude_m = altitude_m;
            let json = serde_json::to_value(TrackPoint::from(stored.clone())).unwrap();
            let row = Row::from(&stored);
            assert_eq!(serde_json::from_value::<Row>(json).unwrap(), row);
            assert_eq!(row.fix().is_some(), is_positioned);
        }
    }
}
