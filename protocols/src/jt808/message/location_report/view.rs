//! A report in JSON: its coordinates, its items, and what is read from them.

use serde_json::{Value, json};

use super::{LocationReport, additional_item::AdditionalItem, flags::StatusFlags, items::Items};
use crate::jt808::message::json::{Object, degrees, put, to_hex};

/// Coordinates beyond 180 degrees are no degrees.
const MICRO_DEGREES_MAX: u32 = 180_000_000;

/// Degrees by magnitude and hemisphere, or both words where one of them is no degrees.
pub(super) fn put_coordinates(object: &mut Object, report: &LocationReport) {
    let (latitude, longitude) = (report.latitude.0, report.longitude.0);
    if latitude.max(longitude) > MICRO_DEGREES_MAX {
        put(object, "lat_raw", latitude);
        put(object, "lon_raw", longitude);
        return;
    }
    let is = |bit| report.status.contains(bit);
    put(object, "lat", degrees(latitude, is(StatusFlags::SOUTH)));
    put(object, "lon", degrees(longitude, is(StatusFlags::WEST)));
}

/// All items in hex, an id that comes twice as an array; and what is read from them.
pub(super) fn put_items(object: &mut Object, items: &Items) {
    let mut raw = Object::new();
    for item in items.raw() {
        let value = Value::from(to_hex(item.value));
        let id = to_hex(&[item.id]);
        match raw.get_mut(&id) {
            None => put(&mut raw, &id, value),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    if !raw.is_empty() {
        put(object, "items", raw);
    }
    if !items.tail().is_empty() {
        put(object, "items_trailing_hex", to_hex(items.tail()));
    }
    items.iter().for_each(|item| put_item(object, item));
}

/// The first item of an id counts.
fn put_item(object: &mut Object, item: AdditionalItem<'_>) {
    let mut first = |name: &str, value: Value| {
        object.entry(name).or_insert(value);
    };
    match item {
        AdditionalItem::Mileage(value) => first("mileage_km", tenths(value)),
        AdditionalItem::Fuel(value) => first("fuel_l", tenths(value.into())),
        AdditionalItem::RecorderSpeed(value) => first("recorder_speed_kmh", tenths(value.into())),
        AdditionalItem::AlarmEvent(value) => first("alarm_event_id", value.into()),
        AdditionalItem::CarriageTemperature(value) => {
            first("carriage_temp_c", value.by_the_letter().into());
        }
        AdditionalItem::Overspeed { area_type, area_id } => {
            first("overspeed_area_type", area_type.into());
            if let Some(area_id) = area_id {
                first("overspeed_area_id", area_id.into());
            }
        }
        AdditionalItem::AreaTransition {
            area_type,
            area_id,
            direction,
        } => {
            first("area_alarm_type", area_type.into());
            first("area_alarm_id", area_id.into());
            first("area_alarm_direction", direction.into());
        }
        AdditionalItem::SegmentTime {
            segment_id,
            seconds,
            result,
        } => {
            first("route_time_section_id", segment_id.into());
            first("route_time_s", seconds.into());
            first("route_time_result", result.into());
        }
        AdditionalItem::VehicleSignals(value) => first("vehicle_signals", value.into()),
        AdditionalItem::IoStatus(value) => first("io_status", value.into()),
        AdditionalItem::Analog { ad0, ad1 } => {
            first("analog_ad0", ad0.into());
            first("analog_ad1", ad1.into());
        }
        AdditionalItem::SignalStrength(value) => first("signal_strength", value.into()),
        AdditionalItem::SatelliteCount(value) => first("satellites", value.into()),
        AdditionalItem::TyrePressure(_)
        | AdditionalItem::SatelliteDetails(_)
        | AdditionalItem::VideoAlarms(_)
        | AdditionalItem::VideoSignalLost(_)
        | AdditionalItem::VideoSignalCovered(_)
        | AdditionalItem::VideoStorageFaults(_)
        | AdditionalItem::AbnormalDriving { .. }
        | AdditionalItem::Wrapper(_)
        | AdditionalItem::Other(_) => {}
    }
}

fn tenths(value: u32) -> Value {
    (f64::from(value) / 10.0).into()
}
