//! Files of alarms (T/JSATL 12, T/GDRTA 002): an alarm with files makes a 0x9208, and a second
//! connection brings them.

use harness::{
    PATIENCE, TestGateway,
    http_client::{self, Method},
    now_s, report, until,
};
use serde_json::{Value, json};
use tools::{
    terminal::{Identity, Terminal, TerminalError},
    wire::{Incoming, Revision, bcd_time, message_id},
};

const PHONE: &str = "13800138000";
const OTHER_PHONE: &str = "13800138001";
const REQUEST: u16 = 0x9208;
const ALARM: u16 = 0x1210;
const FILE: u16 = 0x1211;
const SENT: u16 = 0x1212;
const RESULT: u16 = 0x9212;
const DRIVER_STATE: u8 = 0x65;
const LISTEN: (&str, &str) = ("attachments.listen", "127.0.0.1:0");
/// Bytes of a packet of data.
const PACKET: usize = 1_000;

/// An alarm of a terminal, and what its form is.
#[derive(Clone)]
struct Alarm {
    terminal_id: Vec<u8>,
    label: Vec<u8>,
}

impl Alarm {
    /// In the form that goes with the revision.
    fn new(revision: Revision, sequence: u8, attachments: u8) -> Self {
        let (id_bytes, reserved) = match revision {
            Revision::V2019 => (30, 2),
            Revision::V2011 | Revision::V2013 => (7, 1),
        };
        let mut terminal_id = b"TRUCK01".to_vec();
        terminal_id.resize(id_bytes, 0);
        let mut label = terminal_id.clone();
        label.extend(bcd_time(now_s()));
        label.extend([sequence, attachments]);
        label.resize(label.len() + reserved, 0);
        Self { terminal_id, label }
    }

    /// Item 0x65: the driver is tired.
    fn item(&self, flag: u8) -> (u8, Vec<u8>) {
        let mut value = vec![0, 0, 0, 7, flag, 1, 2, 8, 0, 0, 0, 0, 40, 3, 12];
        value.extend(37_870_000_u32.to_be_bytes());
        value.extend(112_550_000_u32.to_be_bytes());
        value.extend(bcd_time(now_s()));
        value.extend([0, 1]);
        value.extend(&self.label);
        (DRIVER_STATE, value)
    }

    /// 0x1210.
    fn announcement(&self, number: &str, info_type: u8, files: &[(&str, u32)]) -> Vec<u8> {
        let mut body = [&self.terminal_id[..], &self.label].concat();
        let mut field = number.as_bytes().to_vec();
        field.resize(32, 0);
        body.extend(field);
        body.extend([info_type, u8::try_from(files.len()).unwrap()]);
        for (name, bytes) in files {
            body.push(u8::try_from(name.len()).unwrap());
            body.extend(name.as_bytes());
            body.extend(bytes.to_be_bytes());
        }
        body
    }
}

/// 0x1211 and 0x1212.
fn file(name: &str, file_type: u8, bytes: u32) -> Vec<u8> {
    let mut body = vec![u8::try_from(name.len()).unwrap()];
    body.extend(name.as_bytes());
    body.push(file_type);
    body.extend(bytes.to_be_bytes());
    body
}

fn packet(name: &str, offset: u32, length: u32, data: &[u8]) -> Vec<u8> {
    let mut packet = b"01cd".to_vec();
    packet.extend(name.as_bytes());
    packet.resize(54, 0);
    packet.extend(offset.to_be_bytes());
    packet.extend(length.to_be_bytes());
    packet.extend(data);
    packet
}

/// The packets of a file, in order.
fn packets(name: &str, content: &[u8]) -> Vec<Vec<u8>> {
    let parts = (0..).step_by(PACKET).zip(content.chunks(PACKET));
    parts
        .map(|(offset, data)| packet(name, offset, u32::try_from(data.len()).unwrap(), data))
        .collect()
}

/// Some content that begins as what it is said to be; delimiters and marks of packets in it.
fn content(start: &[u8], bytes: u32) -> Vec<u8> {
    let filling = b"~01cd}".iter().copied().cycle();
    let counted = (start.len()..bytes as usize).zip(filling);
    let rest = counted.map(|(i, byte)| byte ^ u8::try_from(i / 997 % 7).unwrap());
    start.iter().copied().chain(rest).collect()
}

/// Second connections of terminals, with what is asked of the answers.
struct Bringer(Terminal);

impl Bringer {
    async fn connect(gateway: &TestGateway, phone: &str, revision: Revision) -> Self {
        let identity = Identity::new(phone, revision).unwrap();
        let terminal = Terminal::connect(gateway.attachments(), identity, PATIENCE);
        Self(terminal.await.unwrap())
    }

    /// The result of a 0x8001.
    async fn tell(&mut self, id: u16, body: &[u8]) -> u8 {
        let serial = self.0.send(id, body).await.unwrap();
        let answer = self.0.response(serial).await.unwrap();
        assert_eq!(answer.id, id);
        answer.result
    }

    async fn bring(&mut self, packets: &[Vec<u8>]) {
        self.0.send_raw(&packets.concat()).await.unwrap();
    }

    /// Result and chunks of a 0x9212.
    async fn sent(&mut self, name: &str, file_type: u8, bytes: u32) -> (u8, Vec<(u32, u32)>) {
        let body = file(name, file_type, bytes);
        self.0.send(SENT, &body).await.unwrap();
        let Incoming { body, .. } = self.0.message(RESULT).await.unwrap();
        let head = 1 + name.len();
        assert_eq!(body[1..head], *name.as_bytes());
        assert_eq!(body[head], file_type);
        let dword = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        let chunks: Vec<_> = body[head + 3..]
            .chunks(8)
            .map(|chunk| (dword(&chunk[..4]), dword(&chunk[4..])))
            .collect();
        assert_eq!(usize::from(body[head + 2]), chunks.len());
        (body[head + 1], chunks)
    }
}

/// Reports the alarm and gives the alarm number of the 0x9208, which is answered.
async fn asked(gateway: &TestGateway, terminal: &mut Terminal, alarm: &Alarm) -> String {
    let mut said = report(37.87, 112.55, now_s());
    said.items.push(alarm.item(1));
    let serial = terminal.send_location(&said).await.unwrap();
    assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    let request = terminal.message(REQUEST).await.unwrap();
    let mut response = request.serial.to_be_bytes().to_vec();
    response.extend(REQUEST.to_be_bytes());
    response.push(0);
    let id = message_id::TERMINAL_RESPONSE;
    terminal.send(id, &response).await.unwrap();
    let address = gateway.attachments();
    let host = address.ip().to_string();
    let (length, rest) = request.body.split_first().unwrap();
    let (told, rest) = rest.split_at(usize::from(*length));
    assert_eq!(told, host.as_bytes());
    assert_eq!(
        rest[..4],
        [&address.port().to_be_bytes()[..], &[0, 0]].concat()
    );
    let rest = rest[4..].strip_prefix(&alarm.label[..]).unwrap();
    assert_eq!(rest.len(), 32 + 16);
    let number = std::str::from_utf8(&rest[..32]).unwrap();
    assert!(number.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    number.to_owned()
}

/// The media of an alarm by name, once there are so many.
async fn media(gateway: &TestGateway, number: &str, count: usize) -> Vec<Value> {
    let path = format!("/api/v1/media?alarm_number={number}");
    let mut items = until("the files are there", async || {
        let items = gateway.items(&path).await;
        (items.len() == count).then_some(items)
    })
    .await;
    items.sort_by_key(|item| item["name"].as_str().unwrap().to_owned());
    items
}

async fn bytes_of(gateway: &TestGateway, item: &Value) -> Vec<u8> {
    let href = item["href"].as_str().unwrap();
    let (status, body) = http_client::get(&gateway.http(), href).await.unwrap();
    assert_eq!(status, 200);
    body.to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_an_alarm_are_asked_for_and_come_whole_though_a_packet_was_lost() {
    for revision in [Revision::V2013, Revision::V2019] {
        let gateway = TestGateway::start(&[LISTEN]).await;
        let mut terminal = gateway.terminal(PHONE, revision).await;
        let alarm = Alarm::new(revision, 1, 2);
        let number = asked(&gateway, &mut terminal, &alarm).await;

        let photo_name = &format!("00_65_6501_0_{number}.jpg");
        let video_name = &format!("02_1_6501_1_{number}.h264");
        let photo = content(b"\xFF\xD8\xFF\xE0", 3_500);
        let video = content(b"\0\0\0\x01\x67", 9_999);
        let mut bringer = Bringer::connect(&gateway, PHONE, revision).await;
        let files = [(photo_name.as_str(), 3_500), (video_name.as_str(), 9_999)];
        let body = alarm.announcement(&number, 0, &files);
        assert_eq!(bringer.tell(ALARM, &body).await, 0);

        assert_eq!(bringer.tell(FILE, &file(photo_name, 0, 3_500)).await, 0);
        bringer.bring(&packets(photo_name, &photo)).await;
        assert_eq!(bringer.sent(photo_name, 0, 3_500).await, (0, vec![]));

        assert_eq!(bringer.tell(FILE, &file(video_name, 2, 9_999)).await, 0);
        let mut all = packets(video_name, &video);
        let lost = all.remove(3);
        all.swap(0, 5);
        bringer.bring(&all).await;
        let missing = vec![(3_000, 1_000)];
        assert_eq!(bringer.sent(video_name, 2, 9_999).await, (1, missing));
        bringer.bring(&[lost]).await;
        assert_eq!(bringer.sent(video_name, 2, 9_999).await, (0, vec![]));

        // It is durable when the terminal is told so: nothing has to be waited for.
        let items = media(&gateway, &number, 2).await;
        for (item, name, content) in [
            (&items[0], photo_name, &photo),
            (&items[1], video_name, &video),
        ] {
            assert_eq!(item["name"], name.as_str());
            assert_eq!(item["complete"], true);
            assert_eq!(item["source"], "alarm_attachment");
            assert_eq!(item["phone"], PHONE);
            assert_eq!(item["alarm_number"], Value::from(number.as_str()));
            assert_eq!(item["label"]["alarm_terminal_id"], "TRUCK01");
            assert_eq!(item["label"]["alarm_seq"], 1);
            assert_eq!(item["label"]["attachment_count"], 2);
            assert!(bytes_of(&gateway, item).await == *content, "{name}");
        }
        assert_eq!(items[0]["content_type"], "image/jpeg");
        let books = gateway.drained().await;
        let value = |name: &str| books.value(&format!("gridtrace_attachment_{name}"));
        assert_eq!(value("files_total{result=\"complete\"}"), 2);
        assert_eq!(value("resends_total"), 1);
        assert_eq!(value("bytes_total"), 3_500 + 9_999);
        assert_eq!(books.sum("gridtrace_attachment_bytes_dropped_total"), 0);
        assert_eq!(books.sum("gridtrace_attachment_frames_rejected_total"), 0);
        gateway.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_an_alarm_are_asked_for_once() {
    let gateway = TestGateway::start(&[LISTEN]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let alarm = Alarm::new(Revision::V2013, 1, 2);
    asked(&gateway, &mut terminal, &alarm).await;
    // Its end, and an alarm without files.
    let mut said = report(37.87, 112.55, now_s());
    said.items.push(alarm.item(2));
    said.items.push(Alarm::new(Revision::V2013, 2, 0).item(1));
    let serial = terminal.send_location(&said).await.unwrap();
    terminal.response(serial).await.unwrap();
    let another = Alarm::new(Revision::V2013, 3, 1);
    asked(&gateway, &mut terminal, &another).await;
    let books = gateway.drained().await;
    let requests = |result: &str| {
        let name = format!("gridtrace_attachment_requests_total{{result=\"{result}\"}}");
        books.value(&name)
    };
    assert_eq!((requests("asked"), requests("known")), (2, 1));
    let path = format!("/api/v1/commands?terminal={PHONE}");
    assert_eq!(gateway.items(&path).await.len(), 2);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_asked_for_is_refused() {
    let gateway = TestGateway::start(&[LISTEN, ("attachments.refusals_max", "3")]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let _other = gateway.terminal(OTHER_PHONE, Revision::V2013).await;
    let alarm = Alarm::new(Revision::V2013, 1, 1);
    let number = asked(&gateway, &mut terminal, &alarm).await;
    let files = [("a.jpg", 4)];
    let guessed = alarm.announcement(&"0".repeat(32), 0, &files);
    let right = alarm.announcement(&number, 0, &files);

    // A guess; a file without an alarm; its data.
    let mut bringer = Bringer::connect(&gateway, PHONE, Revision::V2013).await;
    assert_eq!(bringer.tell(ALARM, &guessed).await, 1);
    bringer.bring(&packets("a.jpg", b"data")).await;
    assert_eq!(bringer.tell(FILE, &file("a.jpg", 0, 4)).await, 1);
    // A number that was told to somebody else, on the same connection and on its own.
    let identity = Identity::new(OTHER_PHONE, Revision::V2013).unwrap();
    let (_, stray) = Terminal::over(tokio::io::empty(), identity, PATIENCE)
        .compose(ALARM, &right)
        .unwrap();
    bringer.0.send_raw(&stray).await.unwrap();
    let closed = bringer.0.message(RESULT).await;
    assert!(matches!(closed, Err(TerminalError::Closed)), "{closed:?}");
    let mut bringer = Bringer::connect(&gateway, OTHER_PHONE, Revision::V2013).await;
    assert_eq!(bringer.tell(ALARM, &right).await, 1);
    // Somebody who never registered.
    let mut bringer = Bringer::connect(&gateway, "13900000000", Revision::V2013).await;
    assert_eq!(bringer.tell(ALARM, &right).await, 1);
    // The right one still comes in.
    let mut bringer = Bringer::connect(&gateway, PHONE, Revision::V2013).await;
    assert_eq!(bringer.tell(ALARM, &right).await, 0);

    let books = gateway.drained().await;
    for (reason, count) in [
        ("unasked", 2),
        ("no_alarm", 1),
        ("other_terminal", 1),
        ("unknown_terminal", 1),
    ] {
        let name = format!("gridtrace_attachment_frames_rejected_total{{reason=\"{reason}\"}}");
        assert_eq!(books.value(&name), count, "{reason}");
    }
    let dropped = "gridtrace_attachment_bytes_dropped_total{reason=\"not_announced\"}";
    assert_eq!(books.value(dropped), 4);
    let closed = "gridtrace_attachment_connections_closed_total{reason=\"refused\"}";
    gateway.counted(closed, 1).await;
    assert_eq!(gateway.items("/api/v1/media").await, Vec::<Value>::new());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_size_costs_nothing() {
    let gateway = TestGateway::start(&[LISTEN, ("attachments.files_per_alarm_max", "2")]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let alarm = Alarm::new(Revision::V2013, 1, 2);
    let number = asked(&gateway, &mut terminal, &alarm).await;
    let mut bringer = Bringer::connect(&gateway, PHONE, Revision::V2013).await;
    let three = [("a.bin", 1), ("b.bin", 1), ("c.bin", 1)];
    let body = alarm.announcement(&number, 0, &three);
    assert_eq!(bringer.tell(ALARM, &body).await, 1);
    let body = alarm.announcement(&number, 0, &[("a.bin", u32::MAX)]);
    assert_eq!(bringer.tell(ALARM, &body).await, 0);
    // A file of 4 GiB; a packet of 4 GiB; a packet behind the end of its file.
    assert_eq!(bringer.tell(FILE, &file("a.bin", 4, u32::MAX)).await, 1);
    let endless = packet("a.bin", 0, u32::MAX, &[]);
    bringer.bring(&[endless]).await;
    assert_eq!(bringer.tell(FILE, &file("b.bin", 4, 8)).await, 0);
    assert_eq!(bringer.tell(FILE, &file("c.bin", 4, 8)).await, 1);
    bringer.bring(&[packet("b.bin", 4, 8, b"too much")]).await;
    bringer
        .bring(&[packet("b.bin", u32::MAX - 8, 8, b"too far!")])
        .await;
    assert_eq!(bringer.sent("b.bin", 4, 8).await, (1, vec![(0, 8)]));
    let held = gateway.app().gateway().media.totals();
    assert_eq!((held.writers, held.files, held.reserved_bytes), (1, 0, 0));
    // None of that stands in the way of what is right.
    bringer.bring(&packets("b.bin", b"contents")).await;
    assert_eq!(bringer.sent("b.bin", 4, 8).await, (0, vec![]));
    let items = media(&gateway, &number, 1).await;
    assert_eq!(bytes_of(&gateway, &items[0]).await, b"contents");
    let books = gateway.drained().await;
    for (reason, bytes) in [("packet_too_long", 62), ("outside_file", 16)] {
        let name = format!("gridtrace_attachment_bytes_dropped_total{{reason=\"{reason}\"}}");
        assert_eq!(books.value(&name), bytes, "{reason}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_of_files_comes_in_packets_each_of_which_is_answered() {
    let gateway = TestGateway::start(&[LISTEN]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let alarm = Alarm::new(Revision::V2013, 1, 40);
    let number = asked(&gateway, &mut terminal, &alarm).await;
    let names: Vec<_> = (10..50)
        .map(|serial| format!("00_1_6501_{serial}_{number}"))
        .collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), 4)).collect();
    let body = alarm.announcement(&number, 0, &files);
    let mut bringer = Bringer::connect(&gateway, PHONE, Revision::V2013).await;
    let packets_of_it = bringer.0.compose_packets(ALARM, &body, 900).unwrap();
    assert_eq!(packets_of_it.len(), 3);
    for (serial, frame) in packets_of_it.iter().rev() {
        bringer.0.send_raw(frame).await.unwrap();
        assert_eq!(bringer.0.response(*serial).await.unwrap().result, 0);
    }
    // All that follows may come in one go.
    let last = names[39].as_str();
    let (serial, first) = bringer.0.compose(FILE, &file(last, 0, 4)).unwrap();
    let (_, sent) = bringer.0.compose(SENT, &file(last, 0, 4)).unwrap();
    let all = [first, packets(last, b"data").concat(), sent].concat();
    bringer.0.send_raw(&all).await.unwrap();
    assert_eq!(bringer.0.response(serial).await.unwrap().result, 0);
    let complete = bringer.0.message(RESULT).await.unwrap();
    assert_eq!(complete.body[1 + last.len()..], [0, 0, 0]);
    assert_eq!(media(&gateway, &number, 1).await[0]["name"], last);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_broke_off_is_kept_as_far_as_it_came_and_made_whole_later() {
    let gateway = TestGateway::start(&[LISTEN]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let alarm = Alarm::new(Revision::V2013, 1, 1);
    let number = asked(&gateway, &mut terminal, &alarm).await;
    let video = content(b"\0\0\0\x01\x67", 5_000);
    let all = packets("v.h264", &video);
    let mut bringer = Bringer::connect(&gateway, PHONE, Revision::V2013).await;
    let body = alarm.announcement(&number, 0, &[("v.h264", 5_000)]);
    assert_eq!(bringer.tell(ALARM, &body).await, 0);
    // Some terminals do not say 0x1211.
    bringer.bring(&all[..2]).await;
    drop(bringer);
    let items = media(&gateway, &number, 1).await;
    assert_eq!(items[0]["complete"], false);
    assert_eq!(items[0]["bytes"], 2_000);

    let mut bringer = Bringer::connect(&gateway, PHONE, Revision::V2013).await;
    let body = alarm.announcement(&number, 1, &[("v.h264", 5_000)]);
    assert_eq!(bringer.tell(ALARM, &body).await, 0);
    assert_eq!(bringer.tell(FILE, &file("v.h264", 2, 5_000)).await, 0);
    bringer.bring(&all).await;
    assert_eq!(bringer.sent("v.h264", 2, 5_000).await, (0, vec![]));
    // Once more is no harm.
    bringer.bring(&all[..1]).await;
    assert_eq!(bringer.sent("v.h264", 2, 5_000).await, (0, vec![]));
    let items = media(&gateway, &number, 1).await;
    assert_eq!(items[0]["complete"], true);
    assert!(bytes_of(&gateway, &items[0]).await == video);
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_ask_and_a_terminal_may_offer_where_that_is_configured() {
    let settings = [LISTEN, ("attachments.request", "off")];
    let gateway = TestGateway::start(&settings).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let alarm = Alarm::new(Revision::V2013, 1, 1);
    let files = [("a.bin", 4)];
    let mut bringer = Bringer::connect(&gateway, PHONE, Revision::V2013).await;
    let asked_by_hand = alarm.announcement("BY-HAND-1", 0, &files);
    assert_eq!(bringer.tell(ALARM, &asked_by_hand).await, 1);
    let request = json!({"message": "attachments_request", "body": {
        "server_ip": "files.example.org", "tcp_port": 6811, "alarm_terminal_id": "TRUCK01",
        "alarm_time_bcd": "240715083015", "alarm_seq": 1, "attachment_count": 1,
        "alarm_no": "BY-HAND-1",
    }});
    let path = format!("/api/v1/terminals/{PHONE}/commands");
    let (status, answer) = gateway.ask(Method::POST, &path, Some(&request)).await;
    assert_eq!(status, 202, "{answer}");
    terminal.message(REQUEST).await.unwrap();
    assert_eq!(bringer.tell(ALARM, &asked_by_hand).await, 0);
    bringer.bring(&packets("a.bin", b"data")).await;
    assert_eq!(bringer.sent("a.bin", 4, 4).await, (0, vec![]));
    media(&gateway, "BY-HAND-1", 1).await;
    gateway.stop().await;

    let settings = [LISTEN, ("attachments.accept_unasked", "on")];
    let gateway = TestGateway::start(&settings).await;
    let mut bringer = Bringer::connect(&gateway, PHONE, Revision::V2013).await;
    let offered = alarm.announcement("OFFERED-1", 0, &files);
    assert_eq!(
        bringer.tell(ALARM, &offered).await,
        1,
        "it must be registered all the same"
    );
    let _terminal = gateway.terminal(PHONE, Revision::V2013).await;
    assert_eq!(bringer.tell(ALARM, &offered).await, 0);
    bringer.bring(&packets("a.bin", b"data")).await;
    assert_eq!(bringer.sent("a.bin", 4, 4).await, (0, vec![]));
    media(&gateway, "OFFERED-1", 1).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_few_and_end_when_nothing_comes() {
    let settings = [LISTEN, ("attachments.connections_per_address_max", "1")];
    let gateway = TestGateway::start(&settings).await;
    let first = Bringer::connect(&gateway, PHONE, Revision::V2013).await;
    let mut second = Bringer::connect(&gateway, PHONE, Revision::V2013).await;
    let closed = second.0.message(RESULT).await;
    assert!(matches!(closed, Err(TerminalError::Closed)), "{closed:?}");
    let refused = "gridtrace_attachment_connections_refused_total{reason=\"address_limit\"}";
    assert_eq!(gateway.metrics().await.value(refused), 1);
    drop(first);
    gateway.stop().await;

    let gateway = TestGateway::start(&[LISTEN, ("attachments.idle_timeout", "1s")]).await;
    let mut silent = Bringer::connect(&gateway, PHONE, Revision::V2013).await;
    let closed = silent.0.message(RESULT).await;
    assert!(matches!(closed, Err(TerminalError::Closed)), "{closed:?}");
    let idle = "gridtrace_attachment_connections_closed_total{reason=\"idle\"}";
    gateway.counted(idle, 1).await;
    gateway.stop().await;
}
