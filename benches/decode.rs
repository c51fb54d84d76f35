//! What a location report costs from the wire to its struct, in time and in allocations, beside
//! the least that any decoder does: one pass for the check code and one copy.
//!
//! `cargo bench -p benchmarks --bench decode`

#![expect(clippy::print_stdout, reason = "figures are the output of a benchmark")]

use std::{hint::black_box, time::Instant};

use bytes::{Bytes, BytesMut};
use protocols::jt808::{
    Revision,
    frame::{Frame, Split, Splitter},
    header::{Header, TerminalPhone},
    message::{
        Message, MessageId,
        location_report::{
            DeciKmh, Degrees, LocationReport, Meters, MicroDegrees,
            additional_item::AdditionalItem,
            flags::{AlarmFlags, StatusFlags},
            items::Items,
        },
    },
};
use protocols::wire::bcd::Gmt8Time;

/// Frames of a stream: about one full read of a busy connection.
const FRAMES: usize = 900;
/// Runs of each figure; the best counts, the others were disturbed.
const RUNS: usize = 200;

fn main() {
    decoding();
    println!();
    splitting();
}

fn decoding() {
    println!(
        "{:<58} {:>8} {:>7} {:>7}",
        "per frame", "ns", "ratio", "allocs"
    );
    let frame = report_frame(Revision::V2013, 1);
    let stream: Vec<u8> = frame.repeat(FRAMES);
    let mut copy = vec![0; stream.len()];
    let floor = measure(|| {
        for (from, to) in stream.chunks(frame.len()).zip(copy.chunks_mut(frame.len())) {
            black_box(from.iter().fold(0, |code, byte| code ^ byte));
            to.copy_from_slice(black_box(from));
        }
    });
    print("floor: check code and copy", floor, floor);

    for (name, revision, serial) in [
        (
            "open and decode, 2013, four items, nothing escaped",
            Revision::V2013,
            1,
        ),
        (
            "open and decode, 2013, four items, two bytes escaped",
            Revision::V2013,
            0x7E7D,
        ),
        (
            "open and decode, 2019, four items, nothing escaped",
            Revision::V2019,
            1,
        ),
    ] {
        let frame = report_frame(revision, serial);
        let raw = between_delimiters(&frame);
        let figure = measure(|| {
            for _ in 0..FRAMES {
                black_box(decode(black_box(&raw).clone(), revision));
            }
        });
        print(name, figure, floor);
    }

    let raw = between_delimiters(&frame);
    let items = measure(|| {
        for _ in 0..FRAMES {
            read_items(&decode(black_box(&raw).clone(), Revision::V2013));
        }
    });
    print("the first of them, and every item read", items, floor);

    let wire = measure(|| {
        let count = split(black_box(&stream), |raw| {
            read_items(&decode(raw, Revision::V2013))
        });
        assert_eq!(count, FRAMES);
    });
    print(
        "the same from the stream: copied to a buffer, and split",
        wire,
        floor,
    );
}

fn splitting() {
    println!("{:<58} {:>8} {:>7}", "splitter alone", "MB/s", "ratio");
    let short = report_frame(Revision::V2013, 1).repeat(FRAMES);
    for (name, stream) in [("short frames", short), ("long frames", long_frames())] {
        let rate = |figure: Figure| stream.len() as f64 / figure.ns * 1e3;
        let floor = measure(|| {
            let mut buffer = BytesMut::with_capacity(stream.len());
            buffer.extend_from_slice(black_box(&stream));
            for at in memchr::memchr_iter(0x7E, &buffer) {
                black_box(at);
            }
        });
        println!(
            "{:<58} {:>8.0} {:>7.2}",
            format!("floor, {name}: copy, search"),
            rate(floor),
            1
        );
        let figure = measure(|| {
            black_box(split(black_box(&stream), |raw| drop(black_box(raw))));
        });
        println!(
            "{:<58} {:>8.0} {:>7.2}",
            name,
            rate(figure),
            figure.ns / floor.ns
        );
    }
}

/// Nanoseconds and allocations of one run.
#[derive(Clone, Copy)]
struct Figure {
    ns: f64,
    allocations: u64,
}

fn measure(mut run: impl FnMut()) -> Figure {
    run();
    let allocations = allocation_counter::measure(&mut run).count_total;
    let times = (0..RUNS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_nanos() as f64
    });
    Figure {
        ns: times.fold(f64::INFINITY, f64::min),
        allocations,
    }
}

fn print(name: &str, figure: Figure, floor: Figure) {
    let frames = FRAMES as f64;
    let (ns, ratio) = (figure.ns / frames, figure.ns / floor.ns);
    println!(
        "{name:<58} {ns:>8.1} {ratio:>7.1} {:>7.2}",
        figure.allocations as f64 / frames
    );
}

fn between_delimiters(frame: &[u8]) -> Bytes {
    let [_, content @ .., _] = frame else {
        panic!("no frame: {frame:02x?}")
    };
    Bytes::copy_from_slice(content)
}

fn decode(raw: Bytes, revision: Revision) -> Message {
    let frame = Frame::open(raw).expect("a frame of ours");
    Message::decode(frame.header.message_id, frame.body, revision).expect("a report of ours")
}

fn read_items(message: &Message) {
    let Message::LocationReport(report) = message else {
        panic!("{message:?}")
    };
    for item in &report.items {
        black_box(item);
    }
}

/// As a connection does it: bytes are read into a buffer, and cut from it.
fn split(stream: &[u8], mut on_candidate: impl FnMut(Bytes)) -> usize {
    let mut splitter = Splitter::new();
    let mut buffer = BytesMut::with_capacity(stream.len());
    buffer.extend_from_slice(stream);
    let mut count = 0;
    while let Some(split) = splitter.next(&mut buffer) {
        if let Split::Candidate(raw) = split {
            on_candidate(raw);
            count += 1;
        }
    }
    count
}

fn report_frame(revision: Revision, serial: u16) -> Vec<u8> {
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

fn long_frames() -> Vec<u8> {
    let phone = TerminalPhone::Short([1, 0x38, 0, 0x13, 0x80, 0]);
    let header = Header::new(MessageId(0x0801), phone, 1);
    header
        .frame(&[0x55; 1023])
        .expect("the longest body")
        .repeat(60)
}
