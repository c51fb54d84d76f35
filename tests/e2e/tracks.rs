//! Tracks as readers get them: in pages, simplified, as files.

use std::process::Command;

use harness::{TestGateway, now_s, process::binary, report};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tools::wire::{Report, Revision};

const PHONE: &str = "13800000001";

/// A gateway that has these positions of [`PHONE`], the backlog among them sent as such.
async fn gateway_with(
    settings: &[(&str, &str)],
    reports: &[Report],
    backlog: &[Report],
) -> TestGateway {
    let gateway = TestGateway::start(settings).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    for (is_backlog, reports) in [(false, reports), (true, backlog)] {
        for portion in reports.chunks(20) {
            let serial = terminal.send_batch(is_backlog, portion).await.unwrap();
            assert_eq!(terminal.response(serial).await.unwrap().result, 0);
        }
    }
    gateway.drained().await;
    gateway
}

/// Head and body of an answer to HTTP/1.0, which is never in chunks.
async fn raw(gateway: &TestGateway, path: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", gateway.http());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    (head.to_ascii_lowercase(), answer.split_off(end + 4))
}

async fn status(gateway: &TestGateway, path: &str) -> u16 {
    harness::http_client::get(&gateway.http(), path)
        .await
        .unwrap()
        .0
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_are_marked_the_same_however_the_pages_are_cut() {
    let start = now_s() - 3_000;
    let at = |second: i64| report(37.87 + second as f64 / 1e5, 112.55, start + second);
    // Silence from 20 to 400; from 430 on a report without a fix before the next one at 900.
    let mut reports = vec![at(0), at(20), at(400), at(430), at(650), at(900)];
    reports[4].status &= !0b10;
    let gateway = gateway_with(&[], &reports, &[at(10), at(410)]).await;
    let track = format!("/api/v1/terminals/{PHONE}/track");
    let whole = gateway.items(&track).await;
    let shown = |items: &[Value], field: &str| -> Vec<Value> {
        items.iter().map(|item| item[field].clone()).collect()
    };
    let null = Value::Null;
    let gaps = [null.clone(), null.clone(), null.clone(), 380.0.into()];
    let gaps: Vec<_> = gaps
        .into_iter()
        .chain([null.clone(), null.clone(), null, 470.0.into()])
        .collect();
    assert_eq!(shown(&whole, "gap_s"), gaps);
    let backlog: Vec<_> = whole.iter().map(|item| item["backlog"] == true).collect();
    assert!(backlog[1] && backlog[4], "sent as backlog: {backlog:?}");
    assert_eq!(
        whole
            .iter()
            .filter(|item| item["positioned"] == false)
            .count(),
        1
    );
    for limit in 1..=8 {
        let mut items = Vec::new();
        let mut path = format!("{track}?limit={limit}");
        loop {
            let page = gateway.json(&path).await;
            items.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else {
                break;
            };
            path = format!("{track}?limit={limit}&cursor={next}");
        }
        assert_eq!(items, whole, "pages of {limit}");
    }
    let gaps_of = async |gap: &str| {
        let items = gateway.items(&format!("{track}?gap={gap}")).await;
        items.iter().filter(|item| !item["gap_s"].is_null()).count()
    };
    assert_eq!(gaps_of("8m").await, 0);
    assert_eq!(gaps_of("7m").await, 1);
    assert_eq!(gaps_of("15s").await, 3);
    for wrong in [
        "gap=0s",
        "gap=300",
        "gap=31days",
        "terminal=1",
        "box=1,1,2,2",
    ] {
        assert_eq!(
            status(&gateway, &format!("{track}?{wrong}")).await,
            400,
            "{wrong}"
        );
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simplified_track_says_what_it_stands_for() {
    let start = now_s() - 2_000;
    // East, north at the corner, and after ten minutes a lonely fix.
    let mut reports: Vec<_> = (0..60_i64)
        .map(|i| {
            let (east, north) = (i.min(30), (i - 30).max(0));
            report(
                37.87 + north as f64 / 1e4,
                112.55 + east as f64 / 1e4,
                start + i,
            )
        })
        .collect();
    reports.push(report(37.9, 112.6, start + 660));
    let settings = [
        ("tracks.page_rows", "7"),
        ("tracks.simplified_points_max", "1000"),
    ];
    let gateway = gateway_with(&settings, &reports, &[]).await;
    let track = format!("/api/v1/terminals/{PHONE}/track");
    let found = gateway.json(&format!("{track}?simplify=10")).await;
    let items = found["items"].as_array().unwrap();
    let places: Vec<_> = items
        .iter()
        .map(|item| (item["lat"].as_f64().unwrap(), item["lon"].as_f64().unwrap()))
        .collect();
    assert_eq!(
        places,
        [
            (37.87, 112.55),
            (37.87, 112.553),
            (37.8729, 112.553),
            (37.9, 112.6)
        ]
    );
    assert_eq!(items[3]["gap_s"], 601.0);
    assert_eq!(found["simplified"]["fixes"], 61);
    assert!(found["simplified"]["tolerance_m"].as_f64().unwrap() <= 0.5);
    let two = gateway.json(&format!("{track}?simplify=2&gap=1h")).await;
    assert_eq!(two["items"].as_array().unwrap().len(), 2);
    for wrong in [
        "simplify=1",
        "simplify=1001",
        "simplify=9&limit=5",
        "simplify=9&cursor=x",
    ] {
        assert_eq!(
            status(&gateway, &format!("{track}?{wrong}")).await,
            400,
            "{wrong}"
        );
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_are_found_by_their_place() {
    let start = now_s() - 1_000;
    let reports: Vec<_> = (0..50_i64)
        .map(|i| report(37.87 + i as f64 / 1e3, 112.55, start + i))
        .collect();
    let gateway = gateway_with(&[], &reports, &[]).await;
    let mut found = Vec::new();
    let question = "/api/v1/positions?box=112.5,37.875,112.55,37.885&limit=4";
    let mut path = question.to_owned();
    loop {
        let page = gateway.json(&path).await;
        let items = page["items"].as_array().unwrap();
        found.extend(items.iter().map(|item| item["lat"].as_f64().unwrap()));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("{question}&cursor={next}");
    }
    let expected: Vec<_> = (5..=15).map(|i| f64::from(37_870 + i) / 1e3).collect();
    assert_eq!(found, expected, "the edges belong to the box");
    let (code, problem) = gateway
        .ask(
            harness::http_client::Method::GET,
            "/api/v1/positions?box=112.6,37.8,112.5,37.9",
            None,
        )
        .await;
    assert_eq!(code, 400);
    assert!(
        problem["detail"].as_str().unwrap().contains("west"),
        "{problem}"
    );

    let latest = async |question: &str| {
        gateway
            .items(&format!("/api/v1/positions/latest?{question}"))
            .await
            .len()
    };
    assert_eq!(latest("").await, 1);
    assert_eq!(latest("box=112.5,37.9,112.6,38").await, 1);
    assert_eq!(latest("box=112.5,37.8,112.6,37.9").await, 0);
    assert_eq!(
        latest("jurisdiction=14").await,
        0,
        "no unit grid, so nobody's"
    );
    assert_eq!(
        status(&gateway, "/api/v1/positions/latest?box=x").await,
        400
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_track_is_a_file_of_every_kind_and_the_export_gives_the_same() {
    let start = now_s() - 2_000;
    let mut reports: Vec<_> = (0..100_i64)
        .map(|i| {
            report(
                37.87 + i as f64 / 1e4,
                112.55,
                start + i + if i < 60 { 0 } else { 600 },
            )
        })
        .collect();
    reports[5].status &= !0b10;
    let gateway = gateway_with(&[("tracks.page_rows", "9")], &reports, &[]).await;
    let file = async |ending: &str, media_type: &str| {
        let (head, body) = raw(
            &gateway,
            &format!("/api/v1/terminals/0{PHONE}/track.{ending}"),
        )
        .await;
        assert!(head.starts_with("http/1.0 200"), "{head}");
        assert!(
            head.contains(&format!("content-type: {media_type}")),
            "{head}"
        );
        let name = format!("content-disposition: attachment; filename=\"track-{PHONE}-20");
        assert!(head.contains(&name), "{head}");
        assert!(head.contains(&format!("z.{ending}\"")), "{head}");
        String::from_utf8(body).unwrap()
    };
    let csv = file("csv", "text/csv").await;
    assert_eq!(csv.lines().count(), 101, "every row and the names");
    let gpx = file("gpx", "application/gpx+xml").await;
    assert_eq!(gpx.matches("<trkpt ").count(), 99, "every usable fix");
    assert_eq!(gpx.matches("<trkseg>").count(), 2);
    let geojson = file("geojson", "application/geo+json").await;
    let document: Value = serde_json::from_str(&geojson).unwrap();
    let lengths: Vec<_> = document["features"]
        .as_array()
        .unwrap()
        .iter()
        .map(|feature| feature["geometry"]["coordinates"].as_array().unwrap().len())
        .collect();
    assert_eq!(lengths, [59, 40]);
    let track = format!("/api/v1/terminals/{PHONE}/track");
    assert_eq!(status(&gateway, &format!("{track}.csv?limit=5")).await, 400);
    // No path of the description: the harness would not let it pass.
    let parquet = format!("{track}.parquet");
    let (refused, _) = gateway::http_client::get(&gateway.http(), &parquet)
        .await
        .unwrap();
    assert_eq!(refused, 404);

    let http = gateway.http();
    let out = gateway.data_dir().join("exported");
    let export = |source: [&str; 2], format: &str| {
        let output = Command::new(binary("gridtrace"))
            .args([
                "export",
                "positions",
                source[0],
                source[1],
                "--format",
                format,
                "--out",
            ])
            .arg(&out)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let bytes = std::fs::read(&out).unwrap();
        std::fs::remove_file(&out).unwrap();
        bytes
    };
    let data_dir = gateway.data_dir().to_str().unwrap();
    for source in [["--http", &http], ["--data-dir", data_dir]] {
        assert_eq!(export(source, "csv"), csv.as_bytes(), "{source:?}");
        assert_eq!(export(source, "gpx"), gpx.as_bytes(), "{source:?}");
        assert_eq!(export(source, "geojson"), geojson.as_bytes(), "{source:?}");
        let parquet = export(source, "parquet");
        assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    }
    gateway.stop().await;
}
