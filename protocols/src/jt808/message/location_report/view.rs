//! A report in JSON: its coordinates, its items, and what is read from them.

use serde_json::{Value, json};

use super::{
    LocationReport, MicroDegrees,
    active_safety::{SafetyAlarm, SafetyKind, Wheel},
    additional_item::{AdditionalItem, RawItem},
    flags::StatusFlags,
    items::Items,
};
use crate::jt808::message::{
    field::Field as _,
    json::{Object, degrees, put, put_hex, to_hex},
};

/// Coordinates beyond 180 degrees are no degrees.
const MICRO_DEGREES_MAX: u32 = 180_000_000;

/// Degrees by magnitude and hemisphere, or both words where one of them is no degrees.
pub(super) fn put_coordinates(object: &mut Object, report: &LocationReport) {
    put_place(object, report.latitude, report.longitude, report.status);
}

fn put_place(
    object: &mut Object,
    MicroDegrees(latitude): MicroDegrees,
    MicroDegrees(longitude): MicroDegrees,
    status: StatusFlags,
) {
    if latitude.max(longitude) > MICRO_DEGREES_MAX {
        put(object, "lat_raw", latitude);
        put(object, "lon_raw", longitude);
        return;
    }
    let is = |bit| status.contains(bit);
    put(object, "lat", degrees(latitude, is(StatusFlags::SOUTH)));
    put(object, "lon", degrees(longitude, is(StatusFlags::WEST)));
}

/// All items in hex, an id that comes twice as an array; and what is read from them.
pub(super) fn put_items(object: &mut Object, items: &Items, status: StatusFlags) {
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
    let alarms: Vec<_> = items
        .raw()
        .filter_map(|item| safety(item, status))
        .collect();
    if !alarms.is_empty() {
        put(object, "active_safety", alarms);
    }
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
        | AdditionalItem::ActiveSafety(_)
        | AdditionalItem::Wrapper(_)
        | AdditionalItem::Other(_) => {}
    }
}

fn tenths(value: u32) -> Value {
    (f64::from(value) / 10.0).into()
}

/// An alarm of active safety; the hemisphere is that of the report.
fn safety(item: RawItem<'_>, status: StatusFlags) -> Option<Value> {
    let alarm = SafetyAlarm::of(item)?;
    let mut object = Object::new();
    put(&mut object, "item", to_hex(&[item.id]));
    put(&mut object, "alarm_id", alarm.alarm_id);
    put(&mut object, "flag", alarm.flag);
    put_kind(&mut object, alarm.kind);
    put(&mut object, "speed_kmh", alarm.speed);
    put(&mut object, "altitude_m", alarm.altitude);
    put_place(&mut object, alarm.latitude, alarm.longitude, status);
    alarm.time.put(&mut object, "time");
    put(&mut object, "vehicle_state", alarm.vehicle_state);
    alarm.label.put(&mut object);
    Some(object.into())
}

fn put_kind(object: &mut Object, kind: SafetyKind<'_>) {
    let mut put = |name: &str, value: u8| put(object, name, value);
    match kind {
        SafetyKind::DriverAssistance {
            alarm_type,
            level,
            front_speed,
            front_distance,
            departure_side,
            sign_type,
            sign_value,
        } => {
            put("type", alarm_type);
            put("level", level);
            put("front_speed_kmh", front_speed);
            put("front_distance_100ms", front_distance);
            put("departure_side", departure_side);
            put("sign_type", sign_type);
            put("sign_value", sign_value);
        }
        SafetyKind::DriverState {
            alarm_type,
            level,
            fatigue,
            reserved,
        } => {
            put("type", alarm_type);
            put("level", level);
            put("fatigue", fatigue);
            put_hex(object, "reserved", &reserved);
        }
        SafetyKind::Tyres(wheels) => {
            let wheels: Vec<_> = wheels.iter().map(wheel).collect();
            object.insert("wheels".to_owned(), wheels.into());
        }
        SafetyKind::BlindSpot { alarm_type } => put("type", alarm_type),
        SafetyKind::HardDriving { alarm_type, values } => {
            put("type", alarm_type);
            object.insert("values".to_owned(), values.to_vec().into());
        }
    }
}

fn wheel(wheel: Wheel) -> Value {
    json!({
        "position": wheel.position,
        "alarms": wheel.alarms,
        "pressure_kpa": wheel.pressure_kpa,
        "temperature_c": wheel.temperature_c,
        "battery_percent": wheel.battery_percent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hex,
        jt808::{
            Revision,
            message::{Message, MessageId},
        },
    };

    #[test]
    fn an_alarm_of_active_safety_is_shown_with_its_place_and_label() {
        let body = hex::bytes(
            "00000002 000C0007 01580650 06CC62AC 0023 0163 005A 240715083015
             6729 00000040 01 03 32 0023 01580650 06CC62AC 240715083015 0401
                  37363534333231 240715083015 01 03 00
             6701 09",
        );
        let message = Message::decode(MessageId::LOCATION_REPORT, body, Revision::V2013).unwrap();
        assert_eq!(
            message.to_json()["active_safety"],
            json!([{
                "item": "67", "alarm_id": 64, "flag": 1, "type": 3, "speed_kmh": 50,
                "altitude_m": 35, "lat": -22.546, "lon": 114.0579,
                "time": "2024-07-15T08:30:15+08:00", "vehicle_state": 1025,
                "alarm_terminal_id": "7654321", "alarm_time_bcd": "240715083015",
                "alarm_seq": 1, "attachment_count": 3, "alarm_reserved_hex": "00",
            }])
        );
    }
}
