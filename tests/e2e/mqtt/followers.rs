//! How subscribers of version 5 want what is kept, what they hear of violations that were lost, and
//! Mosquitto's subscriber.

use std::{process::Stdio, time::Duration};

use geofence::{
    case::Case,
    identity::{TerminalId, ViolationId},
    units::{Latitude, Longitude, Timestamp},
    violation::{Evidence, Rule, Violation, ViolationKind},
};
use harness::{PATIENCE, TestGateway, now_s, report};
use rumqttc::v5::{
    self,
    mqttbytes::{
        QoS,
        v5::{Filter, Packet, Publish, RetainForwardRule},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
    sync::mpsc,
};
use tools::{terminal::Terminal, wire::Revision};
use uuid::Uuid;

use super::{
    interoperability::has_mosquitto,
    published::{PASSWORD, PHONE, city},
    raw, rest, text,
};

const WEST: &str = "gridtrace/live/140105/#";
const MOMENT: Duration = Duration::from_millis(400);

/// A subscriber of version 5.
struct Follower {
    client: v5::AsyncClient,
    packets: mpsc::Receiver<Packet>,
}

impl Follower {
    fn connect(gateway: &TestGateway, client: &str) -> Self {
        let at = gateway.mqtt();
        let mut options = v5::MqttOptions::new(client, at.ip().to_string(), at.port());
        options.set_credentials("west", PASSWORD);
        let (client, mut events) = v5::AsyncClient::new(options, 100);
        let (sender, packets) = mpsc::channel(10_000);
        tokio::spawn(async move {
            while let Ok(event) = events.poll().await {
                if let v5::Event::Incoming(packet) = event
                    && sender.send(packet).await.is_err()
                {
                    return;
                }
            }
        });
        Self { client, packets }
    }

    /// What comes at once, which is so many messages: of what they are, and how they are marked.
    async fn subscribe(
        &mut self,
        rule: RetainForwardRule,
        is_as_published: bool,
        count: usize,
    ) -> Vec<(String, bool)> {
        let mut filter = Filter::new(WEST, QoS::AtLeastOnce);
        filter.retain_forward_rule = rule;
        filter.preserve_retain = is_as_published;
        self.client.subscribe_many([filter]).await.unwrap();
        loop {
            let packet = tokio::time::timeout(PATIENCE, self.packets.recv()).await;
            if let Packet::SubAck(_) = packet.unwrap().unwrap() {
                break;
            }
        }
        let mut came = Vec::new();
        loop {
            // One too many comes right behind the others; a later one would be found by who asks next.
            let patience = if came.len() < count { PATIENCE } else { MOMENT };
            match tokio::time::timeout(patience, self.packets.recv()).await {
                Ok(Some(Packet::Publish(message))) => came.push(of(&message)),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        came.sort();
        came
    }

    /// The next position.
    async fn position(&mut self) -> (String, bool) {
        loop {
            let packet = self.packets.recv().await;
            if let Packet::Publish(message) = packet.unwrap()
                && message.topic.ends_with(b"/position")
            {
                return of(&message);
            }
        }
    }
}

/// Sends a fix, each a second later than the one before, again and again until something is over:
/// the router has a filter a moment after that was granted.
async fn moving_until<T>(
    terminal: &mut Terminal,
    at: &mut i64,
    over: impl Future<Output = T>,
) -> T {
    let mut over = std::pin::pin!(over);
    let moving = async {
        loop {
            *at += 1;
            let fix = report(37.871, 112.54, *at);
            terminal.send_location(&fix).await.unwrap();
            if let Ok(end) = tokio::time::timeout(MOMENT, &mut over).await {
                return end;
            }
        }
    };
    tokio::time::timeout(PATIENCE, moving)
        .await
        .expect("nobody hears of it")
}

/// The last level of a message's topic, and whether it is marked as retained.
fn of(message: &Publish) -> (String, bool) {
    let topic = String::from_utf8_lossy(&message.topic).into_owned();
    (topic.rsplit('/').next().unwrap().to_owned(), message.retain)
}

/// A city whose vehicle has been seen in the west, and when.
async fn seen(more: &[(&str, &str)]) -> (TestGateway, tempfile::TempDir, Terminal, i64) {
    let (gateway, folder) = city(more).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let at = now_s() - 300;
    terminal
        .send_location(&report(37.87, 112.54, at))
        .await
        .unwrap();
    // What somebody has heard of is what newcomers are given.
    let mut first = Follower::connect(&gateway, "first");
    let rule = RetainForwardRule::OnEverySubscribe;
    assert!(first.subscribe(rule, false, 2).await.len() >= 2);
    (gateway, folder, terminal, at)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_comes_as_each_filter_of_5_wants_it() {
    use RetainForwardRule::{Never, OnEverySubscribe, OnNewSubscribe};
    let (gateway, _folder, mut terminal, mut at) = seen(&[]).await;
    let mut follower = Follower::connect(&gateway, "a");
    let kept = ["online", "position"].map(|leaf| (leaf.to_owned(), true));
    assert_eq!(
        follower.subscribe(OnNewSubscribe, false, 2).await,
        kept,
        "it is new"
    );
    assert_eq!(
        follower.subscribe(OnNewSubscribe, false, 0).await,
        [],
        "it is not"
    );
    assert_eq!(follower.subscribe(Never, false, 0).await, []);
    assert_eq!(follower.subscribe(OnEverySubscribe, false, 2).await, kept);
    let mut published = Follower::connect(&gateway, "b");
    assert_eq!(published.subscribe(Never, true, 0).await, []);
    let news = |is_marked| ("position".to_owned(), is_marked);
    let both = async { (follower.position().await, published.position().await) };
    let told = moving_until(&mut terminal, &mut at, both).await;
    assert_eq!(told, (news(false), news(true)));
    gateway.stop().await;
}

fn violation(number: u128) -> Violation {
    Violation {
        id: ViolationId(Uuid::from_u128(number)),
        kind: ViolationKind::Speeding,
        rule: Rule {
            id: "F1".into(),
            version: 1,
            name: "a street".into(),
        },
        terminal: PHONE.parse::<TerminalId>().unwrap(),
        vehicle: Some("V1".into()),
        unit_grid: Some("140105001001001".into()),
        latitude: Latitude::from_micro_degrees(37_870_000).unwrap(),
        longitude: Longitude::from_micro_degrees(112_540_000).unwrap(),
        started_at: Timestamp(1_000),
        confirmed_at: Timestamp(2_000),
        ended_at: None,
        worst: 80.0,
        evidence: Evidence::default(),
    }
}

/// Tells these violations, each of a case of its own, at once.
fn tell(gateway: &TestGateway, numbers: std::ops::Range<u128>) {
    let cases: Vec<_> = numbers
        .map(|number| Case::open(violation(number), Timestamp(3_000)))
        .collect();
    let inside = gateway.app().gateway();
    inside.fanout.cases(&cases, &inside.catalog);
}

/// A subscriber of version 5 to violations, who takes one message at a time. A vehicle must have been
/// seen.
async fn one_at_a_time(gateway: &TestGateway) -> TcpStream {
    let fields = ["screen", "west", PASSWORD].map(text).concat();
    let body = [&text("MQTT")[..], &[5, 0xC2, 0, 60, 3, 0x21, 0, 1], &fields].concat();
    let connect = [&[0x10, u8::try_from(body.len()).unwrap()], &body[..]].concat();
    let mut stream = raw(gateway.mqtt(), &connect).await;
    for (id, filter, quality) in [(1, "gridtrace/violations/140105/#", 1), (2, WEST, 0)] {
        let body = [&[0, id, 0][..], &text(filter), &[quality]].concat();
        let subscribe = [&[0x82, u8::try_from(body.len()).unwrap()], &body[..]].concat();
        stream.write_all(&subscribe).await.unwrap();
    }
    // The router has a filter a moment after it was granted. It is given them in their order, and what is
    // kept comes when it has the second.
    let mut came = Vec::new();
    while !came.ends_with(b"/position") {
        let byte = tokio::time::timeout(PATIENCE, stream.read_u8()).await;
        came.push(byte.unwrap().unwrap());
    }
    stream
}

async fn is_told(stream: &mut TcpStream) {
    let came = rest(stream).await;
    let goodbye = [[0xE0, 1, 0x97].to_vec(), [0xE0, 2, 0x97, 0].to_vec()];
    assert!(
        goodbye.iter().any(|bytes| came.ends_with(bytes)),
        "{:02x?}",
        came.get(came.len().saturating_sub(8)..)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_violations_is_told_when_some_found_no_room() {
    let (gateway, _folder, _terminal, _) = seen(&[("mqtt.waiting_topics_max", "3")]).await;
    let mut stream = one_at_a_time(&gateway).await;
    tell(&gateway, 0..3);
    tokio::time::sleep(MOMENT).await;
    let lost = "gridtrace_mqtt_violations_lost_total{reason=\"mailbox\"}";
    assert_eq!(gateway.metrics().await.value(lost), 0, "there was room");
    tell(&gateway, 3..9);
    is_told(&mut stream).await;
    let closed = "gridtrace_connections_closed_total{reason=\"behind\"}";
    let books = gateway.counted(closed, 1).await;
    assert!(books.value(lost) > 0);
    gateway.stop().await;
}

/// With a single worker, whom the test can keep busy.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_follows_violations_is_told_when_the_fan_out_lost_some() {
    let (gateway, _folder, _terminal, _) = seen(&[("mqtt.fanout_bytes_max", "64KiB")]).await;
    let mut stream = one_at_a_time(&gateway).await;
    // Many times what the fan-out keeps, while the subscriber's link does not run: behind what it had
    // been given comes a number that is not the next.
    let (busy, is_busy) = tokio::sync::oneshot::channel();
    let (free, is_free) = std::sync::mpsc::channel();
    let worker = tokio::spawn(async move {
        busy.send(()).unwrap();
        is_free.recv().unwrap();
    });
    is_busy.await.unwrap();
    tell(&gateway, 0..2_000);
    // The fan-out's own thread has them now. Of some four megabytes the first 64 KiB are enough.
    std::thread::sleep(5 * MOMENT);
    free.send(()).unwrap();
    worker.await.unwrap();
    is_told(&mut stream).await;
    let lost = "gridtrace_mqtt_violations_lost_total{reason=\"link\"}";
    assert!(gateway.metrics().await.value(lost) > 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subscriber_of_mosquitto_reads_what_is_its_own() {
    if !has_mosquitto().await {
        return;
    }
    let (gateway, _folder, mut terminal, mut at) = seen(&[]).await;
    let subscribe = |client: &str, version: &str, filter: &str, more: &[&str]| {
        let at = gateway.mqtt();
        let mut command = Command::new("mosquitto_sub");
        command
            .args(["-h", &at.ip().to_string(), "-p", &at.port().to_string()])
            .args(["-i", client, "-u", "west", "-P", PASSWORD, "-q", "1"])
            .args(["-V", version, "-t", filter])
            .args(["-W", &PATIENCE.as_secs().to_string()])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    };
    for version in ["mqttv311", "mqttv5"] {
        // A newcomer: two retained messages, of its county.
        let wide = ["-F", "%r %t", "-C", "2"];
        let output = subscribe("a", version, "gridtrace/live/#", &wide).output();
        let output = output.await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines: Vec<_> = said.lines().collect();
        lines.sort_unstable();
        let expected = ["online", "position"]
            .map(|leaf| format!("1 gridtrace/live/140105/001/001/{PHONE}/{leaf}"));
        assert_eq!(
            lines,
            expected,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        // One of another county is refused.
        let output = subscribe("b", version, "gridtrace/live/140106/#", &["-C", "1"]).output();
        let output = output.await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("denied"), "{said}");
        assert_eq!(output.stdout, b"");
        // News are no retained messages.
        let news = ["-R", "-F", "%r %t", "-C", "1"];
        let filter = "gridtrace/live/140105/+/+/+/position";
        let reader = subscribe("c", version, filter, &news).spawn().unwrap();
        let output = moving_until(&mut terminal, &mut at, reader.wait_with_output()).await;
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            said.trim(),
            format!("0 gridtrace/live/140105/001/001/{PHONE}/position")
        );
    }
    gateway.stop().await;
}
