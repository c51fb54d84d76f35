//! Frames in hex become JSON: one frame a line, one object a line.
//!
//! The body has the JSON form of its message ([`protocols::jt808::message::json`]), beside the
//! header's fields.
//! A line that is no valid frame gives `{"error": reason}`; a body that is encrypted, one packet
//! of several, without a layout here or not of its layout gives `body_hex`.
//!
//! With a profile, what a location report says in items of the terminal's maker is there as well,
//! under `vendor_items`; in a batch, of each report in its place.

pub mod profile;

use std::io::{self, BufRead, BufWriter, Write};

use protocols::jt808::{
    frame::{DELIMITER, FRAME_BYTES_MAX, Frame},
    header::{Header, PacketItem},
    message::{
        Message,
        json::{self, Object},
    },
    profile::Profile,
};
use serde_json::{Value, json};

use self::profile::add_vendor_items;

/// The longest line that is looked at, in bytes: a frame in hex, a space after each byte, and room.
const LINE_BYTES_MAX: usize = 4 * FRAME_BYTES_MAX;
/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines read.
    pub lines: u64,
    /// Lines that were no valid frame.
    pub errors: u64,
}

/// Decodes line by line until the input ends, with the items of makers that a profile knows. What is written is flushed whenever the input has
/// nothing ready, so that a person at a pipe sees each answer at once.
///
/// # Errors
/// When the input cannot be read or the output cannot be written.
pub fn run(
    mut input: impl BufRead,
    output: impl Write,
    profile: Option<&Profile>,
) -> io::Result<Counts> {
    let mut output = BufWriter::new(output);
    let mut counts = Counts::default();
    let mut line = Vec::new();
    while let Some(is_complete) = read_line(&mut input, &mut output, &mut line)? {
        let decoded = match std::str::from_utf8(&line) {
            _ if !is_complete => error("too_long"),
            Ok(hex) => decode_line_by(hex, profile),
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
    decode_line_by(hex, None)
}

fn decode_line_by(hex: &str, profile: Option<&Profile>) -> Value {
    match open(hex) {
        Ok(frame) => Value::Object(object(&frame, profile)),
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
    let bytes = json::from_hex(hex).ok_or("hex")?;
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

fn object(frame: &Frame, profile: Option<&Profile>) -> Object {
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
    match message {
        Some(message) => {
            object.extend(message.to_json());
            if let Some(profile) = profile {
                add_vendor_items(&mut object, &message, profile);
            }
        }
        None => json::put_hex(&mut object, "body", &frame.body),
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: &str = "7e0002000001380013800000 01a97e";

    fn lines(input: &[u8]) -> (Vec<Value>, Counts) {
        let mut output = Vec::new();
        // A reader that gives a few bytes at a time.
        let input = io::BufReader::with_capacity(7, input);
        let counts = run(input, &mut output, None).unwrap();
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

    #[test]
    fn a_profile_adds_what_it_knows_and_nothing_else() {
        use crate::wire::{Phone, Report, Revision, batch_body, frame, hex};
        let report = |battery: u8| Report {
            items: vec![(0x01, vec![0, 0, 0, 1]), (0x06, vec![battery])],
            ..Report::default()
        };
        let phone = Phone::from_digits("13800138000", Revision::V2013).unwrap();
        let line = |id, body: &[u8]| hex(&frame(id, &phone, 1, body).unwrap());
        let one = line(0x0200, &report(80).body());
        let batch = batch_body(false, &[report(80).body(), report(79).body()]).unwrap();
        let batch = line(0x0704, &batch);
        let trackers = profile::choose("asset-trackers").unwrap();
        let battery = |value: u8| json!([{ "name": "battery", "value": value, "unit": "percent" }]);

        let mut decoded = decode_line_by(&one, Some(&trackers));
        let items = decoded.as_object_mut().unwrap().remove("vendor_items");
        assert_eq!(items, Some(battery(80)));
        assert_eq!(decoded, decode_line(&one));
        let decoded = decode_line_by(&batch, Some(&trackers));
        let items = |at: usize| &decoded["locations"][at]["vendor_items"];
        assert_eq!((items(0), items(1)), (&battery(80), &battery(79)));
        assert_eq!(
            decode_line_by(HEARTBEAT, Some(&trackers)),
            decode_line(HEARTBEAT)
        );
    }
}
