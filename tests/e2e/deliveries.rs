//! Cases reach a case system: over real sockets, signed, once, in order, whatever dies.

mod callbacks;
mod notices;

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use gateway::clock;
use harness::{
    PATIENCE, TestGateway,
    http_client::{self, Method},
    now_s, process, report, until,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tools::{
    receive::{Faults, Options, Receiver, Secret, sign},
    terminal::{Identity, Terminal},
    wire::Revision,
};

use crate::authority::{Shown, tls_front};

const SECRET: &str = "a-key-of-enough-characters";
const PHONE: &str = "13800000001";
const VEHICLES: &str = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
                        V1,13800000001,晋AR0001,refuse_truck,F1,one,60\n\
                        V2,13800000002,晋AR0002,refuse_truck,F1,two,60\n\
                        V3,13800000003,晋AR0003,refuse_truck,F1,three,60\n\
                        V4,13800000004,晋AR0004,refuse_truck,F1,four,60\n";

/// A square of about 450 m around 37.87 N, 112.55 E that nobody may enter.
pub(crate) fn fences() -> String {
    let (west, east, south, north) = (112.5475, 112.5525, 37.868, 37.872);
    json!({"type": "FeatureCollection", "features": [{
        "type": "Feature",
        "properties": {"id": "K1", "name": "school", "kind": "keep_out"},
        "geometry": {"type": "Polygon", "coordinates":
            [[[west, south], [east, south], [east, north], [west, north], [west, south]]]},
    }]})
    .to_string()
}

fn receivers(url: &str, more: &str) -> String {
    format!(
        "[{{name = \"city\", url = \"{url}\", secret = \"{SECRET}\", number_field = \"number\", \
         retry_first = \"50ms\", retry_last = \"300ms\", breaker_first = \"50ms\", \
         breaker_last = \"300ms\", timeout = \"1s\"{more}}}]"
    )
}

async fn city(receivers: &str) -> (TestGateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = harness::catalog(folder.path(), &fences(), VEHICLES);
    settings.push(("delivery.receivers".into(), receivers.into()));
    let settings: Vec<_> = settings
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    (TestGateway::start(&settings).await, folder)
}

/// Serves in this process.
async fn receiver(faults: Faults) -> (Receiver, SocketAddr) {
    let options = Options {
        secret: Secret::new(SECRET).unwrap(),
        file: None,
        seed: 7,
        faults,
        delay: Duration::from_millis(20),
        window: Duration::from_secs(60),
    };
    let receiver = Receiver::open(options, || {}).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(receiver.clone().serve(listener));
    (receiver, address)
}

/// Drives north through the fence at 36 km/h, a fix a second: in after 22 s, out after 67 s. Gives
/// when each fix was sent.
async fn pass(terminal: &mut Terminal, start: i64, pause: Duration) -> Vec<(i64, Instant)> {
    let mut sent = Vec::new();
    for second in 0..90_i32 {
        let at = start + i64::from(second);
        let mut fix = report(37.866 + f64::from(second) * 10.0 / 111_200.0, 112.55, at);
        fix.heading_deg = 0;
        sent.push((at, Instant::now()));
        let serial = terminal.send_location(&fix).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
        tokio::time::sleep(pause).await;
    }
    sent
}

async fn enter(terminal: &mut Terminal, start: i64) {
    pass(terminal, start, Duration::ZERO).await;
}

async fn settled(gateway: &TestGateway) -> Value {
    until("all is delivered", async || {
        let items = gateway.items("/api/v1/receivers").await;
        (items[0]["pending"] == 0).then(|| items[0].clone())
    })
    .await
}

/// How long the case of a vehicle took, from the report that proved it to the receiver's acknowledgement
/// of the receiver's case with this number.
async fn took(gateway: &TestGateway, receiver: &Receiver, phone: &str, number: u64) -> Duration {
    let mut terminal = gateway.terminal(phone, Revision::V2013).await;
    let watched = receiver.clone();
    let heard = tokio::spawn(async move {
        while watched.summary().cases < number {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Instant::now()
    });
    let sent = pass(&mut terminal, now_s() - 100, Duration::from_millis(50)).await;
    let heard = tokio::time::timeout(PATIENCE, heard)
        .await
        .unwrap()
        .unwrap();
    let cases = gateway.items("/api/v1/cases").await;
    let case = cases.iter().find(|case| case["subject"]["phone"] == phone);
    let sure = case.unwrap()["confirmed_at"].as_str().unwrap();
    let sure = clock::parse_rfc3339(sure).unwrap().millis();
    let proof = sent.iter().find(|(at, _)| at * 1_000 >= sure).unwrap().1;
    heard.duration_since(proof)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_acknowledged_by_the_receiver_within_two_seconds() {
    let (receiver, address) = receiver(Faults::default()).await;
    let url = format!("http://{address}/in");
    let (gateway, _folder) = city(&receivers(&url, ", allow_private = true")).await;
    // A machine that does other things may be late with one of them.
    let mut all = Vec::new();
    for number in 1..=4 {
        let phone = format!("1380000000{number}");
        all.push(took(&gateway, &receiver, &phone, number).await);
        if all.last() < Some(&Duration::from_secs(2)) {
            break;
        }
    }
    eprintln!("from the report to the receiver's acknowledgement: {all:?}");
    assert!(all.last() < Some(&Duration::from_secs(2)), "{all:?}");
    gateway.drained().await;
    settled(&gateway).await;
    let cases = gateway.items("/api/v1/cases").await;
    let case = cases.iter().find(|case| case["subject"]["phone"] == PHONE);
    let case = case.unwrap();
    let id = case["id"].as_str().unwrap();
    let summary = receiver.summary();
    assert_eq!(summary.stages[id], case["stage"].as_str().unwrap());
    let number = gateway
        .items(&format!("/api/v1/cases/{id}/receivers"))
        .await;
    assert_eq!(number[0]["number"], "TY-000001");
    let told = gateway
        .items(&format!("/api/v1/deliveries?case={id}"))
        .await;
    let first = told.last().unwrap();
    assert_eq!(
        (&first["event"], &first["state"]),
        (&json!("opened"), &json!("delivered"))
    );
    assert_eq!(first["id"], summary.done[0].id);
    assert_eq!((summary.refused, first["status"].as_u64()), (0, Some(200)));
    let books = gateway.metrics().await;
    let name = "gridtrace_delivery_attempts_total{receiver=\"city\",outcome=\"delivered\"}";
    assert!(books.value(name) > 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_receiver_does_wrong_is_made_up_for() {
    let faults = Faults {
        refuse: 15,
        lose: 15,
        fail: 15,
        nonsense: 15,
        die: 10,
    };
    let (receiver, address) = receiver(faults).await;
    let url = format!("http://localhost:{}/in", address.port());
    let (gateway, _folder) = city(&receivers(&url, ", allow_private = true")).await;
    let start = now_s() - 1_000;
    for phone in [PHONE, "13800000002"] {
        let mut terminal = gateway.terminal(phone, Revision::V2013).await;
        for round in 0..3 {
            enter(&mut terminal, start + round * 300).await;
        }
    }
    gateway.drained().await;
    until("the events are there", async || {
        let told = gateway.items("/api/v1/deliveries").await;
        (!told.is_empty()).then_some(())
    })
    .await;
    settled(&gateway).await;
    let cases = gateway.items("/api/v1/cases").await;
    let summary = receiver.summary();
    assert_eq!(summary.cases, cases.len() as u64);
    assert!(cases.len() >= 2, "{cases:#?}");
    assert_eq!(summary.out_of_order, 0);
    for case in &cases {
        let id = case["id"].as_str().unwrap();
        assert_eq!(summary.stages[id], case["stage"].as_str().unwrap());
    }
    let mut keys: Vec<_> = summary.done.iter().map(|entry| &entry.id).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), summary.done.len());
    gateway.stop().await;
}

/// One answer to all requests, and how many there were.
async fn stub(answer: &'static str) -> (SocketAddr, std::sync::Arc<std::sync::atomic::AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = std::sync::Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tokio::spawn(async move {
                let mut buffer = vec![0; 65_536];
                drop(stream.read(&mut buffer).await);
                drop(stream.write_all(answer.as_bytes()).await);
            });
        }
    });
    (address, count)
}

/// The dead letters, once there is one.
async fn dead(gateway: &TestGateway) -> Vec<Value> {
    until("a delivery is given up", async || {
        let dead = gateway.items("/api/v1/deliveries?state=dead").await;
        (!dead.is_empty()).then_some(dead)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_becomes_a_dead_letter_that_a_person_can_send_again() {
    let (address, count) =
        stub("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n<b>\u{7}=cmd</b>").await;
    let url = format!("http://{address}/");
    // Long enough for more than one attempt, and for what is asked below before it is over again.
    let more = ", allow_private = true, max_age = \"5s\"";
    let (gateway, _folder) = city(&receivers(&url, more)).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    enter(&mut terminal, now_s() - 200).await;
    let letters = dead(&gateway).await;
    assert_eq!(letters[0]["said"], "<b>\u{7}=cmd</b>");
    assert!(letters[0]["attempts"].as_u64().unwrap() > 1, "{letters:?}");
    assert!(count.load(std::sync::atomic::Ordering::Relaxed) > 1);
    let path = format!("/api/v1/deliveries/{}", letters[0]["id"].as_str().unwrap());
    let resend = format!("{path}/resend");
    let (status, sent) = gateway.ask(Method::POST, &resend, None).await;
    assert_eq!(
        (status, &sent["state"], &sent["attempts"]),
        (200, &json!("pending"), &json!(0))
    );
    let (status, problem) = gateway.ask(Method::POST, &resend, None).await;
    assert_eq!(status, 409, "{problem}");
    let unknown = "/api/v1/deliveries/00000000-0000-0000-0000-000000000000/resend";
    assert_eq!(gateway.ask(Method::POST, unknown, None).await.0, 404);
    assert_eq!(
        gateway
            .ask(Method::GET, "/api/v1/deliveries?state=lost", None)
            .await
            .0,
        400
    );
    let books = gateway.metrics().await;
    assert!(books.sum("gridtrace_deliveries_given_up_total") > 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_redirects_nor_endless_answers_nor_near_addresses_are_followed() {
    let (target, reached) =
        stub("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"number\":1}").await;
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n"
    );
    let (redirects, asked) = stub(redirect.leak()).await;
    let endless = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}",
        "x".repeat(100_000)
    );
    let (talks, _) = stub(endless.leak()).await;
    let one = |name: &str, url: String, more: &str| {
        format!(
            "{{name = \"{name}\", url = \"{url}\", secret = \"{SECRET}\", max_age = \"1s\", \
             retry_first = \"50ms\", retry_last = \"100ms\", breaker_failures = 1000{more}}}"
        )
    };
    let private = ", allow_private = true";
    let receivers = [
        one("redirects", format!("http://{redirects}/"), private),
        one("talks", format!("http://{talks}/"), private),
        one("near", format!("http://{target}/"), ""),
        one("named", format!("http://localhost:{}/", target.port()), ""),
    ];
    let (gateway, _folder) = city(&format!("[{}]", receivers.join(", "))).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    enter(&mut terminal, now_s() - 200).await;
    let said = until("all are given up", async || {
        let dead = gateway.items("/api/v1/deliveries?state=dead").await;
        let of = |name: &str| {
            let one = dead.iter().find(|one| one["receiver"] == name)?;
            Some(format!("{} {}", one["status"], one["said"]))
        };
        Some([of("redirects")?, of("talks")?, of("near")?, of("named")?])
    })
    .await;
    assert_eq!(said[0], "307 \"\"");
    assert!(said[1].contains("200: length limit"), "{said:?}");
    assert!(
        said[2].contains("must not go") && said[3].contains("must not go"),
        "{said:?}"
    );
    assert!(asked.load(std::sync::atomic::Ordering::Relaxed) > 0);
    assert_eq!(reached.load(std::sync::atomic::Ordering::Relaxed), 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_certificate_gets_a_case_over_https() {
    let shown = Shown::new();
    let ca = &shown.ca;
    for (signed, said) in &shown.pairs {
        let (receiver, address) = receiver(Faults::default()).await;
        let front = tls_front(address, signed).await;
        let url = format!("https://localhost:{}/in", front.port());
        // What is to arrive may take its time.
        let max_age = said.map_or("1h", |_| "1s");
        let more = format!(", allow_private = true, ca = \"{ca}\", max_age = \"{max_age}\"");
        let (gateway, _folder) = city(&receivers(&url, &more)).await;
        let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
        enter(&mut terminal, now_s() - 200).await;
        match said {
            None => {
                until("it is there", async || {
                    (receiver.summary().cases == 1).then_some(())
                })
                .await;
            }
            Some(said) => {
                let letters = dead(&gateway).await;
                let text = letters[0]["said"].as_str().unwrap();
                assert!(text.contains(said), "{text}");
                let books = gateway.metrics().await;
                let name = "gridtrace_delivery_attempts_total{receiver=\"city\",outcome=\"tls\"}";
                assert!(books.value(name) > 0);
                assert_eq!(receiver.summary().cases, 0);
            }
        }
        gateway.stop().await;
    }
}

struct Tool(Child);

impl Tool {
    fn start(file: &Path, listen: &str, faults: &[&str]) -> Self {
        use std::io::BufRead as _;
        let mut child = Command::new(process::binary("gridtrace-tools"))
            .args(["receive", "--listen", listen, "--secret", SECRET, "--file"])
            .arg(file)
            .args(faults)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        std::io::BufReader::new(output)
            .read_line(&mut line)
            .unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["listening"], listen);
        Self(child)
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn ask(address: &str, path: &str) -> Option<Value> {
    let (status, body) = http_client::get(address, path).await.ok()?;
    (status == 200).then(|| serde_json::from_slice(&body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_both_sides_leave_one_case_each() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger");
    let faults = [
        "--lose",
        "20",
        "--fail",
        "10",
        "--nonsense",
        "10",
        "--delay",
        "50ms",
    ];
    // It comes back on the same port.
    let address = harness::ports::own().to_string();
    let mut tool = Some(Tool::start(&file, &address, &faults));
    let catalog = harness::catalog(folder.path(), &fences(), VEHICLES);
    let receivers = receivers(&format!("http://{address}/"), ", allow_private = true");
    let settings = [
        ("GRIDTRACE__CATALOG__FENCES", catalog[0].1.as_str()),
        ("GRIDTRACE__CATALOG__VEHICLES", catalog[1].1.as_str()),
        ("GRIDTRACE__DELIVERY__RECEIVERS", receivers.as_str()),
    ];
    let data = folder.path().join("data");
    let start = || process::Process::start_with("serve", &data, &[], &settings);
    let begin = now_s() - 4_000;
    for round in 0..4_i64 {
        let gateway = start();
        let phone = format!("1380000000{}", round + 1);
        let identity = Identity::new(&phone, Revision::V2013).unwrap();
        let mut terminal = Terminal::connect(gateway.tcp.as_str(), identity, PATIENCE)
            .await
            .unwrap();
        terminal.log_in().await.unwrap();
        enter(&mut terminal, begin + round * 600).await;
        tokio::time::sleep(Duration::from_millis(150 * round.unsigned_abs())).await;
        gateway.kill();
        drop(tool.take());
        let seed = round.to_string();
        let faults = [&faults[..], &["--seed", &seed]].concat();
        tool = Some(Tool::start(&file, &address, &faults));
    }
    let gateway = start();
    let cases = until("all is heard of", async || {
        let receivers = ask(&gateway.http, "/api/v1/receivers").await?;
        let cases = ask(&gateway.http, "/api/v1/cases").await?;
        let cases = cases["items"].as_array().unwrap().clone();
        let has_all = ask(&gateway.http, "/readyz").await.is_some() && cases.len() >= 4;
        (has_all && receivers["items"][0]["pending"] == 0).then_some(cases)
    })
    .await;
    let summary = until("all is done", async || {
        let summary = ask(&address, "/").await?;
        (summary["cases"] == cases.len()).then_some(summary)
    })
    .await;
    assert_eq!(summary["out_of_order"], 0);
    for case in &cases {
        assert_eq!(
            summary["stages"][case["id"].as_str().unwrap()],
            case["stage"]
        );
    }
    let done = summary["done"].as_array().unwrap();
    let mut keys: Vec<_> = done
        .iter()
        .map(|entry| entry["id"].as_str().unwrap())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), done.len(), "an event was done twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_comes_back_once_and_only_from_who_knows_the_secret() {
    let (receiver, address) = receiver(Faults::default()).await;
    let url = format!("http://{address}/");
    let (gateway, _folder) = city(&receivers(&url, ", allow_private = true")).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    enter(&mut terminal, now_s() - 200).await;
    // Nothing changes it any more but what is asked for here.
    gateway.drained().await;
    let case = until("there is a case", async || {
        gateway.items("/api/v1/cases").await.pop()
    })
    .await;
    let id = case["id"].as_str().unwrap();
    let body = |name: &str| {
        json!({"case": id, "move": name, "actor": "王", "role": "operator", "remark": "=cmd"})
            .to_string()
    };
    let http = gateway.http();
    let send = async |name: &str, key: &str, seconds: i64, body: String, secret: &str| {
        let secret = Secret::new(secret).unwrap();
        let signature = sign(&secret, key, seconds.unsigned_abs(), body.as_bytes());
        let seconds = seconds.to_string();
        let headers = [
            ("webhook-id", key),
            ("webhook-timestamp", &seconds),
            ("webhook-signature", &signature),
        ];
        let path = format!("/api/v1/callbacks/{name}");
        let sent = http_client::ask_with_text(&http, Method::POST, &path, &headers, body).await;
        let (status, body) = sent.unwrap();
        (status, serde_json::from_slice::<Value>(&body).unwrap())
    };
    let now = now_s();
    let other = "another-key-of-enough-characters";
    assert_eq!(send("city", "k1", now, body("accept"), other).await.0, 401);
    assert_eq!(
        send("city", "k1", now - 301, body("accept"), SECRET)
            .await
            .0,
        401
    );
    assert_eq!(
        send("nobody", "k1", now, body("accept"), SECRET).await.0,
        404
    );
    assert_eq!(send("city", "k0", now, body("close"), SECRET).await.0, 409);
    let (status, made) = send("city", "k1", now, body("accept"), SECRET).await;
    assert_eq!(
        (status, &made["stage"]),
        (200, &json!("accepted")),
        "{made}"
    );
    assert_eq!(send("city", "k1", now, body("accept"), SECRET).await.0, 409);
    let (status, again) = send("city", "k1", now + 1, body("accept"), SECRET).await;
    assert_eq!((status, &again["repeated"]), (200, &json!(true)), "{again}");
    assert_eq!(again["version"], made["version"]);
    assert_eq!(
        send("city", "k1", now + 2, body("file"), SECRET).await.0,
        422
    );
    let stage = &gateway.json(&format!("/api/v1/cases/{id}")).await["stage"];
    assert_eq!(stage, "accepted");
    // The receiver hears of its own move as well.
    until("the move is heard of", async || {
        (receiver.summary().stages.get(id)? == "accepted").then_some(())
    })
    .await;
    let books = gateway.metrics().await;
    for (result, count) in [
        ("bad_signature", 1),
        ("stale", 1),
        ("unknown_receiver", 1),
        ("refused", 1),
        ("moved", 1),
        ("replayed", 1),
        ("repeated", 1),
        ("key_reused", 1),
    ] {
        let name = format!("gridtrace_callbacks_total{{result=\"{result}\"}}");
        assert_eq!(books.value(&name), count, "{result}");
    }
    gateway.stop().await;
}
