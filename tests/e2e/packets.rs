//! Messages that come in several packets, over a real socket: joined in any order, missing ones
//! asked for, media kept and shown.

use harness::{TestGateway, now_s, report, until};
use serde_json::Value;
use tools::{
    terminal::Terminal,
    wire::{Incoming, Report, Revision, message_id},
};

const PHONE: &str = "13800138000";
const ASK_AGAIN: u16 = 0x8003;
const MULTIMEDIA_DATA: u16 = 0x0801;
const MULTIMEDIA_RESPONSE: u16 = 0x8800;
const FAST: (&str, &str) = ("packets.ask_after", "300ms");
/// However long a test takes to answer.
const PATIENT: (&str, &str) = ("packets.requests_max", "255");

type Packets = Vec<(u16, Vec<u8>)>;

/// Sends these packets by number, from 1, and awaits the response to each. They leave in one write: with
/// a pause between them the gateway would ask for those that are still to come.
async fn send(terminal: &mut Terminal, packets: &Packets, numbers: &[usize]) {
    let chosen = || numbers.iter().map(|number| &packets[number - 1]);
    let frames: Vec<u8> = chosen().flat_map(|(_, frame)| frame.clone()).collect();
    terminal.send_raw(&frames).await.unwrap();
    for (serial, _) in chosen() {
        assert_eq!(terminal.response(*serial).await.unwrap().result, 0);
    }
}

/// First serial number and packet numbers of a 0x8003.
fn asked_for(request: &Incoming, revision: Revision) -> (u16, Vec<u16>) {
    let word = |pair: &[u8]| u16::from_be_bytes([pair[0], pair[1]]);
    let (first, rest) = request.body.split_at(2);
    let numbers = match revision {
        Revision::V2019 => &rest[2..],
        Revision::V2011 | Revision::V2013 => &rest[1..],
    };
    (word(first), numbers.chunks(2).map(word).collect())
}

/// A 0x0704 longer than one frame.
fn batch(reports: &[Report]) -> Vec<u8> {
    let count = u16::try_from(reports.len()).unwrap();
    let mut body = count.to_be_bytes().to_vec();
    body.push(0);
    for report in reports.iter().map(Report::body) {
        body.extend(u16::try_from(report.len()).unwrap().to_be_bytes());
        body.extend(report);
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_of_a_batch_in_packets_are_stored_and_a_lost_packet_is_asked_for() {
    for revision in [Revision::V2011, Revision::V2013, Revision::V2019] {
        let gateway = TestGateway::start(&[FAST, PATIENT]).await;
        let mut terminal = gateway.terminal(PHONE, revision).await;
        let start = now_s() - 100;
        let reports: Vec<_> = (0..40).map(|i| report(37.87, 112.55, start + i)).collect();
        let body = batch(&reports);
        let packets = terminal
            .compose_packets(message_id::LOCATION_BATCH, &body, 500)
            .unwrap();
        assert!(packets.len() >= 3, "{}", packets.len());
        let most: Vec<_> = (1..=packets.len())
            .filter(|number| *number != 2)
            .rev()
            .collect();
        send(&mut terminal, &packets, &most).await;
        let request = terminal.message(ASK_AGAIN).await.unwrap();
        assert_eq!(asked_for(&request, revision), (packets[0].0, vec![2]));
        // Twice: the second is known already, and answered all the same.
        send(&mut terminal, &packets, &[2, 2]).await;
        let books = gateway.drained().await;
        assert_eq!(books.value("gridtrace_positions_recorded_total"), 40);
        assert!(books.value("gridtrace_packet_requests_total") >= 1);
        let track = gateway
            .items(&format!("/api/v1/terminals/{PHONE}/track"))
            .await;
        assert_eq!(track.len(), 40, "{revision:?}");
        gateway.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_never_whole_is_given_up_and_counted() {
    let short = [
        FAST,
        ("packets.lifetime", "1s"),
        ("packets.requests_max", "1"),
    ];
    let gateway = TestGateway::start(&short).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let packets = terminal
        .compose_packets(message_id::LOCATION_BATCH, &[0; 1_000], 500)
        .unwrap();
    send(&mut terminal, &packets, &[2]).await;
    terminal.message(ASK_AGAIN).await.unwrap();
    until("it is given up", async || {
        let books = gateway.metrics().await;
        let given_up = books.value("gridtrace_messages_given_up_total{cause=\"silent\"}");
        (given_up == 1 && books.value("gridtrace_packet_bytes") == 0).then_some(())
    })
    .await;
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_total_costs_no_memory_and_gets_an_answer() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let phone = terminal.identity().phone.clone();
    for (serial, item, reason) in [
        (100, (65_535, 1), "too_many_packets"),
        (101, (0, 1), "total_zero"),
        (102, (3, 0), "number_zero"),
        (103, (3, 4), "number_beyond_total"),
    ] {
        let frame = tools::wire::packet(0x0704, &phone, serial, Some(item), &[1]).unwrap();
        terminal.send_raw(&frame).await.unwrap();
        assert_ne!(
            terminal.response(serial).await.unwrap().result,
            0,
            "{reason}"
        );
        let books = gateway.metrics().await;
        let rejected = format!("gridtrace_frames_rejected_total{{reason=\"{reason}\"}}");
        assert_eq!(books.value(&rejected), 1, "{reason}");
        assert_eq!(books.value("gridtrace_packet_bytes"), 0);
    }
    terminal.heartbeat().await.unwrap();
    gateway.drained().await;
    gateway.stop().await;
}

/// Body of a 0x0801 with a location, as 2013 has it.
fn photo(media_id: u32, content: &[u8]) -> Vec<u8> {
    let mut body = media_id.to_be_bytes().to_vec();
    body.extend([0, 0, 0, 1]);
    let place = report(37.87, 112.55, now_s() - 5).body();
    body.extend(&place[..28]);
    body.extend(content);
    body
}

/// A JPEG by its first bytes, and noise.
fn picture(bytes: usize) -> Vec<u8> {
    let noise = (0..bytes).map(|i| u8::try_from(i * i % 251).unwrap());
    [0xFF, 0xD8, 0xFF, 0xE0].into_iter().chain(noise).collect()
}

async fn media(gateway: &TestGateway, count: usize) -> Vec<Value> {
    until("it is stored", async || {
        let items = gateway
            .items(&format!("/api/v1/media?terminal={PHONE}"))
            .await;
        (items.len() == count).then_some(items)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_comes_in_packets_and_is_shown_as_it_was_taken() {
    let gateway = TestGateway::start(&[FAST, PATIENT]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let picture = picture(4_000);
    let packets = terminal
        .compose_packets(MULTIMEDIA_DATA, &photo(77, &picture), 900)
        .unwrap();
    send(&mut terminal, &packets, &[1, 3, 5]).await;
    let missing = terminal.message(MULTIMEDIA_RESPONSE).await.unwrap();
    assert_eq!(missing.body, [0, 0, 0, 77, 2, 0, 2, 0, 4]);
    send(&mut terminal, &packets, &[4, 2]).await;
    // It may have been asked once more before they came.
    let whole = loop {
        let answer = terminal.message(MULTIMEDIA_RESPONSE).await.unwrap();
        if answer.body != missing.body {
            break answer;
        }
    };
    assert_eq!(whole.body, [0, 0, 0, 77]);
    let item = media(&gateway, 1).await.remove(0);
    assert_eq!(item["content_type"], "image/jpeg");
    assert_eq!(
        (&item["media_id"], &item["complete"]),
        (&77.into(), &true.into())
    );
    assert!(
        (item["lat"].as_f64().unwrap() - 37.87).abs() < 1e-6,
        "{item}"
    );
    let href = item["href"].as_str().unwrap();
    let (status, bytes) = harness::http_client::get(&gateway.http(), href)
        .await
        .unwrap();
    assert_eq!((status, &bytes[..]), (200, &picture[..]));
    // The same upload once more is the same medium.
    let again = terminal
        .compose_packets(MULTIMEDIA_DATA, &photo(77, &picture), 900)
        .unwrap();
    let all: Vec<_> = (1..=again.len()).collect();
    send(&mut terminal, &again, &all).await;
    terminal.message(MULTIMEDIA_RESPONSE).await.unwrap();
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_photo_that_breaks_off_the_beginning_is_kept() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2019).await;
    let picture = picture(4_000);
    let packets = terminal
        .compose_packets(MULTIMEDIA_DATA, &photo(9, &picture), 900)
        .unwrap();
    send(&mut terminal, &packets, &[1, 2, 4]).await;
    drop(terminal);
    let item = media(&gateway, 1).await.remove(0);
    assert_eq!(item["complete"], false);
    assert_eq!(item["bytes"], 1_800 - 36);
    gateway.stop().await;
}
