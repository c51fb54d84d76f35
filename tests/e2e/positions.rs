//! From a report to a durable row, once, whatever happens in between.

use futures_util::StreamExt as _;
use harness::{PATIENCE, TestGateway, now_s, report, until};
use serde_json::Value;
use tools::wire::{Revision, message_id};

#[tokio::test(flavor = "multi_thread")]
async fn a_position_resent_a_hundred_times_is_one_row() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2013).await;
    let body = report(37.87, 112.55, now_s()).body();
    let (serial, frame) = terminal
        .compose(message_id::LOCATION_REPORT, &body)
        .unwrap();
    for _ in 0..100 {
        terminal.send_raw(&frame).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    let books = gateway.drained().await;
    assert_eq!(
        books.value("gridtrace_positions_stored_total{result=\"inserted\"}"),
        1
    );
    assert_eq!(
        books.value("gridtrace_positions_stored_total{result=\"duplicate\"}"),
        99
    );
    assert_eq!(
        gateway
            .items("/api/v1/terminals/13800000001/track")
            .await
            .len(),
        1
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_comes_into_the_track_in_order_and_never_becomes_the_newest() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2019).await;
    let now = now_s();
    let serial = terminal
        .send_location(&report(37.90, 112.55, now))
        .await
        .unwrap();
    terminal.response(serial).await.unwrap();
    let backlog: Vec<_> = (1..=8)
        .map(|i| {
            report(
                37.80 + f64::from(i) / 1e3,
                112.55,
                now - 1_000 + i64::from(i) * 10,
            )
        })
        .collect();
    let serial = terminal.send_batch(true, &backlog).await.unwrap();
    assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    let books = gateway.drained().await;
    assert_eq!(
        books.value("gridtrace_positions_stored_total{result=\"inserted\"}"),
        9
    );
    let track = gateway.items("/api/v1/terminals/013800000001/track").await;
    let times: Vec<_> = track
        .iter()
        .map(|p| p["fixed_at"].as_str().unwrap().to_owned())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(track.iter().filter(|p| p["backlog"] == true).count(), 8);
    let latest = gateway.items("/api/v1/positions/latest").await;
    assert_eq!(latest[0]["lat"], 37.9);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_times_are_acknowledged_and_kept_apart() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2013).await;
    let now = now_s();
    let day = 86_400;
    let mut no_time = report(37.87, 112.55, now).body();
    no_time[22..28].fill(0);
    let mut bodies = vec![no_time];
    for at in [now + day, now - 400 * day, now] {
        bodies.push(report(37.87, 112.55, at).body());
    }
    for body in bodies {
        let serial = terminal
            .send(message_id::LOCATION_REPORT, &body)
            .await
            .unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    let books = gateway.drained().await;
    assert_eq!(
        books.value("gridtrace_positions_stored_total{result=\"quarantined\"}"),
        3
    );
    assert_eq!(
        books.value("gridtrace_positions_stored_total{result=\"inserted\"}"),
        1
    );
    let mut reasons: Vec<_> = gateway
        .items("/api/v1/quarantine")
        .await
        .iter()
        .map(|q| q["quarantine"].as_str().unwrap().to_owned())
        .collect();
    reasons.sort();
    assert_eq!(reasons, ["future", "no_time", "past"]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_a_restart() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2013).await;
    let now = now_s();
    for i in 0..50 {
        let serial = terminal
            .send_location(&report(37.8, 112.5, now - 50 + i))
            .await
            .unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    let gateway = gateway.restart().await;
    let track = until("the track is whole", async || {
        let track = gateway.items("/api/v1/terminals/13800000001/track").await;
        (track.len() == 50).then_some(track)
    });
    track.await;
    let latest = until("the newest position is back", async || {
        gateway
            .items("/api/v1/positions/latest")
            .await
            .first()
            .cloned()
    });
    assert_eq!(latest.await["online"], false);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_list_are_complete_and_wrong_questions_get_problems() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2013).await;
    let now = now_s();
    for i in 0..25 {
        let serial = terminal
            .send_location(&report(37.8, 112.5, now - 25 + i))
            .await
            .unwrap();
        terminal.response(serial).await.unwrap();
    }
    gateway.drained().await;
    let mut times = Vec::new();
    let mut path = "/api/v1/positions?limit=10".to_owned();
    loop {
        let page = gateway.json(&path).await;
        times.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|p| p["fixed_at"].to_string()),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/v1/positions?limit=10&cursor={next}");
    }
    assert_eq!(times.len(), 25);
    assert!(times.is_sorted());
    for wrong in [
        "limit=0",
        "limit=99999",
        "cursor=x",
        "from=now",
        "nonsense=1",
    ] {
        let path = format!("/api/v1/positions?{wrong}");
        let (status, body) = harness::http_client::get(&gateway.http(), &path)
            .await
            .unwrap();
        assert_eq!(status, 400, "{wrong}: {}", String::from_utf8_lossy(&body));
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_stream_gives_a_snapshot_and_then_each_change_with_a_number() {
    let gateway = TestGateway::start(&[]).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2013).await;
    let now = now_s();
    let serial = terminal
        .send_location(&report(37.87, 112.55, now - 10))
        .await
        .unwrap();
    terminal.response(serial).await.unwrap();
    let url = format!("ws://{}/api/v1/live", gateway.http());
    let (mut stream, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let mut next = async || loop {
        let message = tokio::time::timeout(PATIENCE, stream.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        if let Ok(text) = message.to_text()
            && let Ok(value) = serde_json::from_str::<Value>(text)
        {
            return value;
        }
    };
    let snapshot = next().await;
    assert_eq!(snapshot["type"], "snapshot");
    assert_eq!(snapshot["positions"][0]["phone"], "13800000001");
    let serial = terminal
        .send_location(&report(37.88, 112.55, now))
        .await
        .unwrap();
    terminal.response(serial).await.unwrap();
    let mut number = snapshot["seq"].as_u64().unwrap();
    loop {
        let update = next().await;
        assert_eq!(update["type"], "positions");
        assert_eq!(
            update["seq"].as_u64().unwrap(),
            number + 1,
            "a message is missing"
        );
        number += 1;
        if update["items"][0]["lat"] == 37.88 {
            break;
        }
    }
    gateway.stop().await;
}
