//! What a message costs from the wire to its struct, in time and in allocations, beside the least
//! that any decoder does: one pass for the check code and one copy. And how fast a stream is cut
//! into frames, beside a search for the delimiter and no more.
//!
//! `cargo bench -p benchmarks --bench decode`

#![expect(clippy::print_stdout, reason = "figures are the output of a benchmark")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use benchmarks::frames::{Corpus, batch_frame, candidate, long_frame, media_packet, report_frame};
use bytes::{Bytes, BytesMut};
use protocols::jt808::{
    Revision,
    frame::{Frame, Split, Splitter},
    header::PacketItem,
    message::{Message, location_report::LocationReport},
    reassembly::{Joined, Outcome, Reassembler, ReassemblyLimits, ReassemblyPool},
};

/// Frames of a stream: about one full read of a busy connection.
const FRAMES: usize = 900;
/// Runs of each figure; the best counts, the others were disturbed.
const RUNS: usize = 200;
/// Packets of an upload.
const PACKETS: u16 = 10;

fn main() {
    let corpus = Corpus::read();
    decoding();
    println!();
    messages(&corpus);
    joining(&corpus);
    println!();
    splitting(&corpus);
}

fn decoding() {
    println!(
        "{:<58} {:>8} {:>7} {:>7}",
        "per frame", "ns", "ratio", "allocs"
    );
    let frame = report_frame(Revision::V2013, 1);
    let stream: Vec<u8> = frame.repeat(FRAMES);
    let floor = measure_floor(&frame);
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
        let raw = candidate(&frame);
        let figure = measure(|| {
            for _ in 0..FRAMES {
                black_box(decode(black_box(&raw).clone()));
            }
        });
        print(name, figure, floor);
    }

    let raw = candidate(&frame);
    let items = measure(|| {
        for _ in 0..FRAMES {
            read_items(&decode(black_box(&raw).clone()));
        }
    });
    print("the first of them, and every item read", items, floor);

    let wire = measure(|| {
        let count = split(black_box(&stream), |raw| read_items(&decode(raw)));
        assert_eq!(count, FRAMES);
    });
    print(
        "the same from the stream: copied to a buffer, and split",
        wire,
        floor,
    );
}

/// The messages that make up nearly all traffic.
fn messages(corpus: &Corpus) {
    println!(
        "{:<58} {:>6} {:>8} {:>8} {:>7} {:>8} {:>7}",
        "open and decode", "bytes", "floor ns", "ns", "ratio", "items ns", "allocs"
    );
    let report = corpus.frame("emqx-003");
    let batch = batch_frame(&report);
    let upload = media_packet(corpus, None);
    for (name, frame) in [
        ("0x0200 location, 2013, seven items", report),
        (
            "0x0200 location, 2019, eight items",
            corpus.frame("hikvision-001"),
        ),
        (
            "0x0200 location, active safety, items 0x64 to 0x67",
            corpus.frame("yezhihao-137"),
        ),
        ("0x0704 batch, ten of the first", batch),
        ("0x0002 heartbeat", corpus.frame("yezhihao-003")),
        ("0x0102 authentication, 2013", corpus.frame("traccar-037")),
        ("0x0100 registration, 2013", corpus.frame("traccar-082")),
        ("0x0001 general response", corpus.frame("emqx-047")),
        ("0x0801 multimedia data, in one frame", upload),
        ("0x0104 parameters, 52 of them", corpus.frame("emqx-008")),
    ] {
        let raw = candidate(&frame);
        let floor = measure_floor(&frame);
        let figure = measure(|| {
            for _ in 0..FRAMES {
                black_box(decode(black_box(&raw).clone()));
            }
        });
        let with_items = measure(|| {
            for _ in 0..FRAMES {
                read_items(black_box(&decode(black_box(&raw).clone())));
            }
        });
        let frames = FRAMES as f64;
        println!(
            "{name:<58} {:>6} {:>8.1} {:>8.1} {:>7.1} {:>8.1} {:>7.2}",
            frame.len(),
            floor.ns / frames,
            figure.ns / frames,
            figure.ns / floor.ns,
            with_items.ns / frames,
            with_items.allocations as f64 / frames
        );
    }
}

/// An upload in packets, which is a message when the last of them has come.
fn joining(corpus: &Corpus) {
    let packets: Vec<Vec<u8>> = (1..=PACKETS)
        .map(|number| PacketItem {
            total: PACKETS,
            number,
        })
        .map(|packet| media_packet(corpus, Some(packet)))
        .collect();
    let bytes: usize = packets.iter().map(Vec::len).sum();
    let raw: Vec<Bytes> = packets.iter().map(|packet| candidate(packet)).collect();
    let pool = ReassemblyPool::new(ReassemblyLimits::default());
    let figure = measure(|| {
        let mut reassembler = Reassembler::new(pool.clone());
        let mut joined = None;
        for raw in &raw {
            let frame = Frame::open(black_box(raw).clone()).expect("a frame of ours");
            if let Outcome::Complete(whole) =
                reassembler.accept(&frame.header, &frame.body, Duration::ZERO)
            {
                joined = Some(whole);
            }
        }
        let Joined { header, body, .. } = joined.expect("all packets came");
        let message = Message::decode(header.message_id, body, header.revision());
        black_box(message.expect("an upload of ours"));
    });
    let mut copy = Vec::with_capacity(bytes);
    let floor = measure(|| {
        copy.clear();
        for packet in &packets {
            black_box(check_code(black_box(packet)));
            copy.extend_from_slice(packet);
        }
        black_box(&copy);
    });
    let per_packet = f64::from(PACKETS);
    println!(
        "{:<58} {:>6.0} {:>8.1} {:>8.1} {:>7.1} {:>8} {:>7.2}",
        "0x0801 multimedia data, a packet of ten that are joined",
        bytes as f64 / per_packet,
        floor.ns / per_packet,
        figure.ns / per_packet,
        figure.ns / floor.ns,
        "",
        figure.allocations as f64 / per_packet
    );
}

fn splitting(corpus: &Corpus) {
    println!("{:<58} {:>8} {:>7}", "splitter alone", "MB/s", "ratio");
    let short = report_frame(Revision::V2013, 1).repeat(FRAMES);
    let mixed = corpus.device_frames().flatten().collect::<Vec<_>>();
    for (name, stream) in [
        ("short frames", short),
        ("frames of devices, mixed", mixed.repeat(8)),
        ("long frames", long_frame().repeat(60)),
    ] {
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

/// The check code and a copy of each of [`FRAMES`].
fn measure_floor(frame: &[u8]) -> Figure {
    let stream = frame.repeat(FRAMES);
    let mut copy = vec![0; stream.len()];
    measure(|| {
        for (from, to) in stream.chunks(frame.len()).zip(copy.chunks_mut(frame.len())) {
            black_box(check_code(from));
            to.copy_from_slice(black_box(from));
        }
    })
}

fn check_code(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |code, byte| code ^ byte)
}

fn print(name: &str, figure: Figure, floor: Figure) {
    let frames = FRAMES as f64;
    let (ns, ratio) = (figure.ns / frames, figure.ns / floor.ns);
    println!(
        "{name:<58} {ns:>8.1} {ratio:>7.1} {:>7.2}",
        figure.allocations as f64 / frames
    );
}

fn decode(raw: Bytes) -> Message {
    let frame = Frame::open(raw).expect("a good frame");
    let revision = frame.header.revision();
    Message::decode(frame.header.message_id, frame.body, revision).expect("a good body")
}

/// The additional items of all reports.
fn read_items(message: &Message) {
    let read = |report: &LocationReport| {
        for item in &report.items {
            black_box(item);
        }
    };
    match message {
        Message::LocationReport(report) => read(report),
        Message::LocationBatch(batch) => {
            let entries = batch.entries.iter().flatten();
            entries.for_each(|entry| read(&entry.report));
        }
        _ => {}
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
