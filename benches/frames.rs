//! Frames for the benchmarks of the codec: those of `fixtures/jt808`, and some that it has not.

use std::{fs, path::Path};

use bytes::{Bytes, BytesMut};
use protocols::{
    jt808::{
        Revision,
        frame::{Frame, Split, Splitter},
        header::{BODY_BYTES_MAX, Header, PacketItem, TerminalPhone},
        message::{
            Message, MessageId,
            location_batch::LocationBatch,
            location_report::{
                DeciKmh, Degrees, LocationReport, Meters, MicroDegrees,
                additional_item::AdditionalItem,
                flags::{AlarmFlags, StatusFlags},
                items::Items,
            },
        },
    },
    wire::bcd::Gmt8Time,
};
use serde_json::Value;

/// The cases of `frames.jsonl`.
#[derive(Debug)]
pub struct Corpus(Vec<Value>);

impl Corpus {
    /// Reads the file.
    ///
    /// # Panics
    /// When it is broken: it is part of the repository.
    #[must_use]
    pub fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/jt808/frames.jsonl");
        let text = fs::read_to_string(path).expect("the corpus");
        let case = |line| serde_json::from_str(line).expect("a case");
        Self(text.lines().map(case).collect())
    }

    /// The frame of a case, delimiters and escapes included.
    ///
    /// # Panics
    /// When there is no such case.
    #[must_use]
    pub fn frame(&self, id: &str) -> Vec<u8> {
        let case = self.0.iter().find(|case| is(case, "id", id));
        bytes(case.unwrap_or_else(|| panic!("no case {id}")))
    }

    /// Every good frame that a device sent, in the file's order.
    pub fn device_frames(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.0
            .iter()
            .filter(|case| case.get("valid") == Some(&Value::Bool(true)))
            .filter(|case| is(case, "origin", "device") && is(case, "direction", "up"))
            .map(bytes)
    }
}

fn is(case: &Value, key: &str, value: &str) -> bool {
    case.get(key).and_then(Value::as_str) == Some(value)
}

fn bytes(case: &Value) -> Vec<u8> {
    let hex = case.get("hex").and_then(Value::as_str);
    let pairs = hex.expect("a frame in hex").as_bytes().chunks(2);
    let byte = |pair| {
        let digits = str::from_utf8(pair).expect("hex is ASCII");
        u8::from_str_radix(digits, 16).expect("hex digits")
    };
    pairs.map(byte).collect()
}

/// What lies between the delimiters of a frame, in the memory of a read buffer as on a connection.
///
/// # Panics
/// When the bytes do not begin with a frame.
#[must_use]
pub fn candidate(frame: &[u8]) -> Bytes {
    match Splitter::new().next(&mut BytesMut::from(frame)) {
        Some(Split::Candidate(raw)) => raw,
        other => panic!("no frame: {other:?}"),
    }
}

/// A location report with four items.
///
/// # Panics
/// Never.
#[must_use]
pub fn report_frame(revision: Revision, serial: u16) -> Vec<u8> {
    let items = [
        AdditionalItem::Mileage(123_456),
        AdditionalItem::Fuel(120),
        AdditionalItem::SignalStrength(31),
        AdditionalItem::SatelliteCount(12),
    ];
    let report = Message::LocationReport(LocationReport {
        alarms: AlarmFlags::OVERSPEED,
        status: StatusFlags::ACC_ON | StatusFlags::POSITIONED,
        latitude: MicroDegrees(37_870_600),
        longitude: MicroDegrees(112_548_900),
        altitude: Meters(800),
        speed: DeciKmh(355),
        heading: Degrees(90),
        time: Gmt8Time([0x24, 0x07, 0x15, 0x08, 0x30, 0x15]),
        items: Items::new(items, revision).expect("short items"),
    });
    let phone = match revision {
        Revision::V2019 => TerminalPhone::Long([0, 0, 0, 0, 1, 0x38, 0, 0x13, 0x80, 0]),
        Revision::V2011 | Revision::V2013 => TerminalPhone::Short([1, 0x38, 0, 0x13, 0x80, 0]),
    };
    let body = report.encode(revision).expect("short items");
    let header = Header::new(MessageId::LOCATION_REPORT, phone, serial);
    header.frame(&body).expect("a short body").to_vec()
}

/// A batch of ten times the report of a frame.
///
/// # Panics
/// When the frame is no location report.
#[must_use]
pub fn batch_frame(report: &[u8]) -> Vec<u8> {
    let Frame { header, body, .. } = Frame::open(candidate(report)).expect("a frame");
    let revision = header.revision();
    let Ok(Message::LocationReport(report)) = Message::decode(header.message_id, body, revision)
    else {
        panic!("no report: {header:?}")
    };
    let batch = LocationBatch::new(0, std::iter::repeat_n(report, 10), revision);
    let batch = Message::LocationBatch(batch.expect("short reports"));
    let body = batch.encode(revision).expect("short reports");
    let header = Header::new(batch.id(), header.phone, 1);
    header.frame(&body).expect("a short body").to_vec()
}

/// Multimedia data: a picture with what stands before it, in one frame or a packet of it.
///
/// # Panics
/// When the corpus has no picture.
#[must_use]
pub fn media_packet(corpus: &Corpus, packet: Option<PacketItem>) -> Vec<u8> {
    const BODY_BYTES: usize = 1_000;
    const PREFIX_BYTES: usize = 36;
    /// Header and packet item, before the body.
    const HEADER_BYTES: usize = 16;

    // The corpus has this one without escapes, and with a wrong check code.
    let source = candidate(&corpus.frame("smallchi-149"));
    let number = packet.map_or(1, |packet| packet.number);
    // Packets after the first have no prefix.
    let skipped = if number == 1 { 0 } else { PREFIX_BYTES };
    let picture = source.slice(HEADER_BYTES..source.len() - 1);
    let bytes = picture.iter().copied().cycle();
    let body: Vec<u8> = bytes.skip(skipped).take(BODY_BYTES).collect();
    let phone = TerminalPhone::Short([1, 0x38, 0, 0x13, 0x80, 0]);
    let header = Header {
        packet,
        ..Header::new(MessageId::MULTIMEDIA_DATA, phone, number)
    };
    header.frame(&body).expect("a short body").to_vec()
}

/// The longest frame with nothing escaped.
///
/// # Panics
/// Never.
#[must_use]
pub fn long_frame() -> Vec<u8> {
    let phone = TerminalPhone::Short([1, 0x38, 0, 0x13, 0x80, 0]);
    let header = Header::new(MessageId::MULTIMEDIA_DATA, phone, 1);
    header
        .frame(&[0x55; BODY_BYTES_MAX])
        .expect("the longest body")
        .to_vec()
}
