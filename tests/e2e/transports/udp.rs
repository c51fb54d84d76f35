//! UDP: datagrams as units, addresses that come and go, and what finds no room.

use std::time::Duration;

use harness::{PATIENCE, TestGateway, datagrams::Datagrams, now_s, report, until};
use tools::{
    terminal::{Terminal, TerminalError},
    wire::{self, Incoming, Revision, message_id},
};

use super::{FAILURE, REVISIONS, SUCCESS, whole_day};

const ON: (&str, &str) = ("udp.listen", "127.0.0.1:0");
const PHONE: &str = "13800000013";
const WRITABLE: &str = "gridtrace_log_is_writable";

/// The next datagram, which must hold one frame and nothing else.
async fn answer(link: &Datagrams) -> Incoming {
    let mut datagram = vec![0; 65_536];
    let received = tokio::time::timeout(PATIENCE, link.socket().recv(&mut datagram));
    let count = received.await.expect("no answer").unwrap();
    datagram.truncate(count);
    let incoming = wire::next_frame(&mut datagram).expect("no frame");
    let rest = datagram.iter().filter(|byte| **byte != 0x7E).count();
    assert_eq!(rest, 0, "more than a frame in a datagram");
    incoming
}

/// A terminal that has authenticated, and its link: what a test sends itself goes over it.
async fn logged_in(gateway: &TestGateway) -> (Terminal<Datagrams>, Vec<u8>) {
    let mut terminal = gateway.connect_udp(PHONE, Revision::V2013).await;
    let code = terminal.log_in().await.unwrap();
    (terminal, code)
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_of_all_revisions_are_served_over_udp() {
    let gateway = TestGateway::start(&[ON]).await;
    for (phone, revision) in REVISIONS {
        let mut terminal = gateway.connect_udp(phone, revision).await;
        whole_day(&mut terminal).await;
    }
    let books = gateway.drained().await;
    let value = |name: &str| books.value(&format!("gridtrace_{name}"));
    assert_eq!(value("positions_stored_total{result=\"inserted\"}"), 3);
    assert_eq!(value("connections_opened_total{transport=\"udp\"}"), 3);
    assert_eq!(value("connections_open{transport=\"udp\"}"), 3);
    assert_eq!(value("datagrams_received_total"), 15);
    let ready = gateway.json("/readyz").await;
    assert_eq!(ready["listeners"][1]["transport"], "udp");
    assert_eq!(ready["listeners"][1]["connections"], 3);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datagram_is_a_unit_and_a_response_is_one() {
    let gateway = TestGateway::start(&[ON]).await;
    let link = Datagrams::to(gateway.udp()).await;
    // Frames are composed by a terminal of the same number; the link is ours.
    let (mut terminal, code) = logged_in(&gateway).await;
    let send =
        async |bytes: &[u8]| assert_eq!(link.socket().send(bytes).await.unwrap(), bytes.len());
    let body = wire::authentication_body(Revision::V2013, &code);
    let (_, frame) = terminal.compose(message_id::AUTHENTICATION, &body).unwrap();
    send(&frame).await;
    assert_eq!(answer(&link).await.answer().unwrap().result, SUCCESS);

    let mut beat = || terminal.compose(message_id::HEARTBEAT, &[]).unwrap();
    let ((one, first), (two, second)) = (beat(), beat());
    send(&[&first[..], &second].concat()).await;
    assert_eq!(answer(&link).await.answer().unwrap().serial, one);
    assert_eq!(answer(&link).await.answer().unwrap().serial, two);

    // Cut in two: neither half is a frame, and the next datagram begins anew.
    let (_, cut) = beat();
    let (start, rest) = cut.split_at(8);
    send(start).await;
    send(rest).await;
    // Garbage without any delimiter, and a whole frame with a cut one behind it.
    send(b"what is this").await;
    let (three, third) = beat();
    send(&[&third[..], start].concat()).await;
    assert_eq!(answer(&link).await.answer().unwrap().serial, three);
    send(&[]).await;
    send(&[0x55; 9_000]).await;
    let (four, fourth) = beat();
    send(&fourth).await;
    assert_eq!(answer(&link).await.answer().unwrap().serial, four);

    let books = gateway.drained().await;
    let rejected = |reason: &str| {
        books.value(&format!(
            "gridtrace_frames_rejected_total{{reason=\"{reason}\"}}"
        ))
    };
    // The rest of the cut one is noise up to its delimiter.
    assert_eq!((rejected("cut"), rejected("noise")), (2, 2));
    let dropped = |reason: &str| {
        books.value(&format!(
            "gridtrace_datagrams_dropped_total{{reason=\"{reason}\"}}"
        ))
    };
    assert_eq!((dropped("oversize"), dropped("empty")), (1, 1));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_whose_answer_was_lost_is_sent_again_and_stored_once() {
    let gateway = TestGateway::start(&[ON]).await;
    let (mut terminal, _) = logged_in(&gateway).await;
    let body = report(37.87, 112.55, now_s()).body();
    let (serial, frame) = terminal
        .compose(message_id::LOCATION_REPORT, &body)
        .unwrap();
    for _ in 0..2 {
        terminal.send_raw(&frame).await.unwrap();
        // The terminal takes the first answer for lost.
        assert_eq!(terminal.response(serial).await.unwrap().result, SUCCESS);
    }
    let books = gateway.drained().await;
    let stored = |result: &str| {
        books.value(&format!(
            "gridtrace_positions_stored_total{{result=\"{result}\"}}"
        ))
    };
    assert_eq!((stored("inserted"), stored("duplicate")), (1, 1));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_with_a_new_address_shows_its_code_and_takes_over() {
    let gateway = TestGateway::start(&[ON]).await;
    let (mut before, code) = logged_in(&gateway).await;
    let mut after = gateway.connect_udp(PHONE, Revision::V2013).await;
    let now = now_s();
    // A number is no proof: it is refused at its new address, and goes on at the old one.
    let serial = after
        .send_location(&report(37.8, 112.5, now))
        .await
        .unwrap();
    assert_eq!(after.response(serial).await.unwrap().result, FAILURE);
    before.heartbeat().await.unwrap();
    after.authenticate(&code).await.unwrap();
    let serial = after
        .send_location(&report(37.9, 112.5, now))
        .await
        .unwrap();
    assert_eq!(after.response(serial).await.unwrap().result, SUCCESS);
    until("the old address is let go", async || {
        let books = gateway.metrics().await;
        let replaced = "gridtrace_connections_closed_total{reason=\"replaced\"}";
        (books.value(replaced) == 1).then_some(())
    })
    .await;
    // What comes from there now is a stranger's.
    let serial = before
        .send_location(&report(37.7, 112.5, now))
        .await
        .unwrap();
    assert_eq!(before.response(serial).await.unwrap().result, FAILURE);
    after.heartbeat().await.unwrap();
    let books = gateway.drained().await;
    let inserted = "gridtrace_positions_stored_total{result=\"inserted\"}";
    assert_eq!(books.value(inserted), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_have_a_share_of_the_places() {
    let limits = [
        ON,
        ("udp.unauthenticated_max", "1"),
        ("udp.peers_max", "2"),
        ("udp.authentication_timeout", "60s"),
    ];
    let gateway = TestGateway::start(&limits).await;
    let dropped = async |reason: &str| {
        let name = format!("gridtrace_datagrams_dropped_total{{reason=\"{reason}\"}}");
        gateway.metrics().await.value(&name)
    };
    // One stranger has the place of strangers.
    let mut first = gateway.connect_udp("13800000001", Revision::V2013).await;
    let code = first.register().await.unwrap();
    let mut second = gateway.connect_udp("13800000002", Revision::V2013).await;
    second.send(message_id::HEARTBEAT, &[]).await.unwrap();
    until("the second finds no room", async || {
        (dropped("unauthenticated_limit").await == 1).then_some(())
    })
    .await;
    // Once it has shown its code, the place is free.
    first.authenticate(&code).await.unwrap();
    second.log_in().await.unwrap();
    let mut third = gateway.connect_udp("13800000003", Revision::V2013).await;
    third.send(message_id::HEARTBEAT, &[]).await.unwrap();
    until("all places are taken", async || {
        (dropped("peers_limit").await == 1).then_some(())
    })
    .await;
    first.heartbeat().await.unwrap();
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_have_little_time() {
    let gateway = TestGateway::start(&[ON, ("udp.authentication_timeout", "1s")]).await;
    let (mut terminal, _) = logged_in(&gateway).await;
    // Who logs out is a stranger again; talking does not help it to stay.
    terminal.log_out().await.unwrap();
    until("the stranger's time is over", async || {
        terminal.send(message_id::HEARTBEAT, &[]).await.unwrap();
        let books = gateway.metrics().await;
        let ended = "gridtrace_connections_closed_total{reason=\"not_authenticated\"}";
        (books.value(ended) >= 1).then_some(())
    })
    .await;
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_address_is_let_go() {
    let gateway = TestGateway::start(&[ON, ("udp.idle_timeout", "1s")]).await;
    let (_terminal, _) = logged_in(&gateway).await;
    until("it is let go", async || {
        let books = gateway.metrics().await;
        let idle = books.value("gridtrace_connections_closed_total{reason=\"idle\"}");
        let open = books.value("gridtrace_connections_open{transport=\"udp\"}");
        (idle >= 1 && open == 0).then_some(())
    })
    .await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_log_has_no_room_a_queue_fills_and_no_more_than_that() {
    // Without a database nothing is consumed: the log fills up to its limit.
    let settings = [
        ON,
        ("udp.queue_datagrams_max", "4"),
        ("tcp.unanswered_max", "1"),
        ("store.url", "postgres://nobody@127.0.0.1:1/none"),
        ("log.segment_bytes_max", "1MiB"),
        ("log.size_bytes_max", "2MiB"),
    ];
    let gateway = TestGateway::start(&settings).await;
    let (mut terminal, _) = logged_in(&gateway).await;
    let backlog: Vec<_> = (0..12)
        .map(|i| report(37.8, 112.5, now_s() - 600 + i))
        .collect();
    let mut answered = 0_u64;
    let refused = loop {
        let serial = terminal.send_batch(true, &backlog).await.unwrap();
        let limit = Duration::from_secs(2);
        match terminal.response_within(serial, limit).await {
            Ok(answer) => assert_eq!(answer.result, SUCCESS),
            // Not a slow one: the log says that it is full.
            Err(error) if gateway.metrics().await.value(WRITABLE) == 0 => break error,
            Err(_) => _ = terminal.response(serial).await.unwrap(),
        }
        answered += 1;
        assert!(answered < 20_000, "there is no limit");
    };
    assert!(
        matches!(refused, TerminalError::Timeout { .. }),
        "{refused}"
    );
    for _ in 0..20 {
        terminal.send(message_id::HEARTBEAT, &[]).await.unwrap();
    }
    // While the report waits for the log nothing else is read: four wait in the queue.
    until("the others are dropped", async || {
        let books = gateway.metrics().await;
        let full = "gridtrace_datagrams_dropped_total{reason=\"queue_full\"}";
        (books.value(full) == 16).then_some(())
    })
    .await;
}
