//! Frames in hex become JSON: one frame a line, one object a line.
//!
//! The names and units are those of `fixtures/jt808/README.md`, header and body at the top level.
//! A line that is no valid frame gives `{"error": reason}`; a body that is encrypted, one packet
//! of several, without a layout here or not of its layout gives `body_hex`.

use std::io::{self, BufRead, BufWriter, Write};

use bytes::Bytes;
use protocols::{
    jt808::{
        frame::{DELIMITER, FRAME_BYTES_MAX, Frame},
        header::{Header, PacketItem},
        message::{
            Message,
            authentication::Authentication,
            general_response::GeneralResponse,
            location_batch::LocationBatch,
            location_report::{LocationReport, additional_item::AdditionalItem, items::Items},
            registration::Registration,
            registration_response::RegistrationResponse,
        },
    },
    wire::{bcd::Gmt8Time, text},
};
use serde_json::{Map, Value, json};

/// The longest line that is looked at, in bytes: a frame in hex, a space after each byte, and room.
const LINE_BYTES_MAX: usize = 4 * FRAME_BYTES_MAX;
/// Coordinates beyond 180 degrees are no degrees.
const MICRO_DEGREES_MAX: u32 = 180_000_000;

type Object = Map<String, Value>;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines read.
    pub lines: u64,
    /// Lines that were no valid frame.
    pub errors: u64,
}

/// Decodes line by line until the input ends. What is written is flushed whenever the input has
/// nothing ready, so that a person at a pipe sees each answer at once.
///
/// # Errors
/// When the input cannot be read or the output cannot be written.
pub fn run(mut input: impl BufRead, output: impl Write) -> io::Result<Counts> {
    let mut output = BufWriter::new(output);
    let mut counts = Counts::default();
    let mut line = Vec::new();
    while let Some(is_complete) = read_line(&mut input, &mut output, &mut line)? {
        let decoded = match std::str::from_utf8(&line) {
            _ if !is_complete => error("too_long"),
            Ok(hex) => decode_line(hex),
            Err(_) => error("hex"),
        };
        counts.lines += 1;
        counts.errors += u64::from(decoded.get("error").is_some());
        serde_json::to_writer(&mut output, &decoded)?;
        output.write_all(b"\n")?;
    }
    output.flush()?;
    Ok(counts)
}

/// Reads a line, of which it keeps [`LINE_BYTES_MAX`] bytes; whether that is all, `None` at the
/// end of the input.
fn read_line(
    input: &mut impl BufRead,
    output: &mut impl Write,
    line: &mut Vec<u8>,
) -> io::Result<Option<bool>> {
    line.clear();
    let mut is_begun = false;
    let mut is_complete = true;
    let mut is_ready = true;
    loop {
        if !is_ready {
            output.flush()?;
        }
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(is_begun.then_some(is_complete));
        }
        is_begun = true;
        let end = available.iter().position(|byte| *byte == b'\n');
        let (piece, _) = available.split_at(end.unwrap_or(available.len()));
        let room = LINE_BYTES_MAX - line.len();
        is_complete &= piece.len() <= room;
        line.extend(piece.iter().take(room));
        let used = piece.len() + usize::from(end.is_some());
        is_ready = used < available.len();
        input.consume(used);
        if end.is_some() {
            if !is_ready {
                output.flush()?;
            }
            return Ok(Some(is_complete));
        }
    }
}

/// Decodes a frame in hex, with its delimiters and escapes; space between the digits is skipped.
#[must_use]
pub fn decode_line(hex: &str) -> Value {
    match open(hex) {
        Ok(frame) => Value::Object(object(&frame)),
        Err(reason) => error(reason),
    }
}

fn error(reason: &str) -> Value {
    json!({ "error": reason })
}

fn open(hex: &str) -> Result<Frame, &'static str> {
    if hex.trim().is_empty() {
        return Err("empty");
    }
    if hex.len() > LINE_BYTES_MAX {
        return Err("too_long");
    }
    let bytes = bytes_of_hex(hex).ok_or("hex")?;
    let [DELIMITER, content @ .., DELIMITER] = &bytes[..] else {
        return Err("delimiters");
    };
    let frame = Frame::open(bytes.slice_ref(content)).map_err(|reason| reason.reason())?;
    if usize::from(frame.header.body_len) != frame.body.len() {
        return Err("body_length");
    }
    if frame.deviates {
        return Err("version_bit");
    }
    Ok(frame)
}

fn bytes_of_hex(hex: &str) -> Option<Bytes> {
    let mut digits = hex
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| c.to_digit(16));
    let mut bytes = Vec::with_capacity(hex.len() / 2);
    while let Some(high) = digits.next() {
        let byte = high? * 16 + digits.next()??;
        bytes.push(u8::try_from(byte).ok()?);
    }
    Some(Bytes::from(bytes))
}

fn hex_of(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
            // Writing to a string cannot fail.
            _ = write!(hex, "{byte:02x}");
            hex
        })
}

fn object(frame: &Frame) -> Object {
    let Header {
        message_id,
        body_len,
        encryption,
        version,
        phone,
        serial,
        packet,
        ..
    } = frame.header;
    let mut object = Object::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("msg_id", message_id.to_string().into());
    put("phone", phone.to_string().into());
    put("serial", serial.into());
    let PacketItem { total, number } = packet.unwrap_or(PacketItem {
        total: 0,
        number: 0,
    });
    for (name, value) in [
        ("body_len", body_len),
        ("version", version.into()),
        ("encryption", encryption.into()),
        ("package_total", total),
        ("package_no", number),
    ] {
        if value != 0 {
            put(name, value.into());
        }
    }
    let is_opaque = encryption != 0 || packet.is_some_and(|packet| packet.total > 1);
    let message = (!is_opaque)
        .then(|| Message::decode(message_id, frame.body.clone(), frame.header.revision()).ok())
        .flatten();
    match message.and_then(|message| body(&message)) {
        Some(body) => object.extend(body),
        None => {
            object.insert("body_hex".to_owned(), hex_of(&frame.body).into());
        }
    }
    object
}

/// The fields of a body; `None` where there is no layout.
fn body(message: &Message) -> Option<Object> {
    let mut object = Object::new();
    match message {
        Message::TerminalResponse(response) | Message::PlatformResponse(response) => {
            general_response(&mut object, response);
        }
        Message::Heartbeat(heartbeat) => trailing(&mut object, &heartbeat.rest),
        Message::Deregistration(deregistration) => trailing(&mut object, &deregistration.rest),
        Message::Registration(registration) => put_registration(&mut object, registration),
        Message::RegistrationResponse(response) => registration_response(&mut object, response),
        Message::Authentication(authentication) => {
            put_authentication(&mut object, authentication);
        }
        Message::LocationReport(report) => location(&mut object, report),
        Message::LocationBatch(batch) => location_batch(&mut object, batch),
        Message::Unknown { .. } => return None,
    }
    Some(object)
}

fn put(object: &mut Object, name: &str, value: impl Into<Value>) {
    object.insert(name.to_owned(), value.into());
}

/// Bytes after the last field.
fn trailing(object: &mut Object, rest: &[u8]) {
    if !rest.is_empty() {
        put(object, "trailing_hex", hex_of(rest));
    }
}

/// A field of text. One that is not surely GBK is given in hex, whole.
fn put_text(object: &mut Object, name: &str, field: &[u8]) {
    match text::decode_strictly(text::trim_nul(field)) {
        Some(text) => put(object, name, text.into_owned()),
        None => put(object, &format!("{name}_hex"), hex_of(field)),
    }
}

fn general_response(object: &mut Object, response: &GeneralResponse) {
    put(object, "reply_serial", response.answered_serial);
    put(object, "reply_id", response.answered_id.to_string());
    put(object, "result", response.result);
    trailing(object, &response.rest);
}

fn put_registration(object: &mut Object, registration: &Registration) {
    put(object, "province", registration.province);
    put(object, "city", registration.city);
    put_text(object, "manufacturer", &registration.manufacturer);
    put_text(object, "model", &registration.model);
    put_text(object, "terminal_id", &registration.terminal_id);
    put(object, "plate_color", registration.plate_color);
    put_text(object, "plate", &registration.plate);
}

fn registration_response(object: &mut Object, response: &RegistrationResponse) {
    put(object, "reply_serial", response.answered_serial);
    put(object, "result", response.result);
    if !response.auth_code.is_empty() {
        put_text(object, "auth_code", &response.auth_code);
    }
}

fn put_authentication(object: &mut Object, authentication: &Authentication) {
    put_text(object, "auth_code", &authentication.code);
    if let Some(device) = &authentication.device {
        if !device.imei.is_empty() {
            put_text(object, "imei", &device.imei);
        }
        if !device.software_version.is_empty() {
            put_text(object, "software_version", &device.software_version);
        }
        trailing(object, &device.rest);
    }
}

fn location_batch(object: &mut Object, batch: &LocationBatch) {
    put(object, "count", batch.count);
    put(object, "batch_type", batch.batch_type);
    let locations = batch.entries.iter().map(|entry| match entry {
        Ok(entry) => {
            let mut object = Object::new();
            location(&mut object, &entry.report);
            Value::Object(object)
        }
        Err(entry) => json!({ "body_hex": hex_of(&entry.body) }),
    });
    put(object, "locations", locations.collect::<Vec<_>>());
    trailing(object, &batch.rest);
}

fn location(object: &mut Object, report: &LocationReport) {
    put(object, "alarm", report.alarms.0);
    put(object, "status", report.status.0);
    put_coordinates(object, report);
    put(object, "altitude_m", report.altitude.0);
    put(object, "speed_kmh", f64::from(report.speed.0) / 10.0);
    put(object, "direction_deg", report.heading.0);
    put_time(object, report.time);
    put_items(object, &report.items);
}

/// Degrees by magnitude and hemisphere, or both words where one of them is no degrees.
fn put_coordinates(object: &mut Object, report: &LocationReport) {
    use protocols::jt808::message::location_report::flags::StatusFlags;
    let (latitude, longitude) = (report.latitude.0, report.longitude.0);
    if latitude.max(longitude) > MICRO_DEGREES_MAX {
        put(object, "lat_raw", latitude);
        put(object, "lon_raw", longitude);
        return;
    }
    let degrees = |magnitude: u32, negative: StatusFlags| {
        let degrees = f64::from(magnitude) / 1e6;
        if magnitude > 0 && report.status.contains(negative) {
            -degrees
        } else {
            degrees
        }
    };
    put(object, "lat", degrees(latitude, StatusFlags::SOUTH));
    put(object, "lon", degrees(longitude, StatusFlags::WEST));
}

fn put_time(object: &mut Object, time: Gmt8Time) {
    match time.civil() {
        Some(civil) => put(object, "time", civil.to_string()),
        None => {
            put(object, "time", Value::Null);
            put(object, "time_bcd", time.to_string());
        }
    }
}

/// All items in hex, an id that comes twice as an array; and what is read from them.
fn put_items(object: &mut Object, items: &Items) {
    let mut raw = Object::new();
    for item in items.raw() {
        let value = Value::from(hex_of(item.value));
        let id = hex_of(&[item.id]);
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
        put(object, "items_trailing_hex", hex_of(items.tail()));
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

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: &str = "7e0002000001380013800000 01a97e";

    fn lines(input: &[u8]) -> (Vec<Value>, Counts) {
        let mut output = Vec::new();
        // A reader that gives a few bytes at a time.
        let input = io::BufReader::with_capacity(7, input);
        let counts = run(input, &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        (
            text.lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
            counts,
        )
    }

    #[test]
    fn a_frame_becomes_one_object() {
        let expected = json!({
            "msg_id": "0x0002", "phone": "013800138000", "serial": 1,
        });
        assert_eq!(decode_line(HEARTBEAT), expected);
        assert_eq!(decode_line(&HEARTBEAT.to_uppercase()), expected);
    }

    #[test]
    fn what_is_no_frame_names_its_reason() {
        for (line, reason) in [
            ("", "empty"),
            ("  ", "empty"),
            ("7e0", "hex"),
            ("zz", "hex"),
            ("粤", "hex"),
            ("7e", "delimiters"),
            ("000200000138001380000001a9", "delimiters"),
            ("7e7e", "short"),
            ("7e000200000138001380000001a87e", "check_code"),
            ("7e000200050138001380000006ab7e", "body_length"),
            ("7e8104000001000000000123456789100001 1c 7e", "version_bit"),
        ] {
            assert_eq!(decode_line(line), json!({ "error": reason }), "{line}");
        }
        assert_eq!(
            decode_line(&"7e".repeat(LINE_BYTES_MAX)),
            json!({ "error": "too_long" })
        );
    }

    #[test]
    fn each_line_gives_a_line_whatever_it_holds() {
        let huge = "7e".repeat(LINE_BYTES_MAX);
        let input = [HEARTBEAT, "\r", &huge, "no hex", "", HEARTBEAT].join("\n");
        let (values, counts) = lines(input.as_bytes());
        let errors: Vec<_> = values.iter().map(|value| value.get("error")).collect();
        let error = |reason: &str| Some(Value::from(reason));
        let expected = [
            None,
            error("empty"),
            error("too_long"),
            error("hex"),
            error("empty"),
            None,
        ];
        assert_eq!(
            errors,
            expected.iter().map(Option::as_ref).collect::<Vec<_>>()
        );
        assert_eq!(
            counts,
            Counts {
                lines: 6,
                errors: 4
            }
        );

        let (values, counts) = lines(b"\xFF\xFE\n");
        assert_eq!(values, [json!({ "error": "hex" })]);
        assert_eq!(
            counts,
            Counts {
                lines: 1,
                errors: 1
            }
        );
        assert_eq!(lines(b"").1, Counts::default());
    }

    #[test]
    fn a_time_that_is_none_is_null_and_its_digits_are_there() {
        let value = decode_line(
            "7e0200001c0138001380000001 00000000000000020000000000000000000000000000 000000000000
             b77e",
        );
        assert_eq!(value.get("time"), Some(&Value::Null), "{value}");
        assert_eq!(value.get("time_bcd"), Some(&json!("000000000000")));
    }
}
