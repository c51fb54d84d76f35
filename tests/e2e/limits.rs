//! What happens at the limits: of the log, of the disk, of connections.

use std::time::Duration;

use harness::{TestGateway, now_s, process::Process, report, until};
use tools::{
    terminal::{Identity, Terminal, TerminalError},
    wire::Revision,
};

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_closed_at_once_and_counted() {
    let gateway = TestGateway::start(&[("tcp.connections_max", "2")]).await;
    let mut first = gateway.terminal("13800000001", Revision::V2013).await;
    let _second = gateway.terminal("13800000002", Revision::V2013).await;
    let mut third = gateway.connect("13800000003", Revision::V2013).await;
    assert!(third.register().await.is_err());
    first.heartbeat().await.unwrap();
    assert_eq!(
        gateway
            .metrics()
            .await
            .sum("gridtrace_connections_refused_total"),
        1
    );
    gateway.stop().await;
}

/// A disk of eight megabytes; none where this user may not mount.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(folder.path())
            .status();
        match mounted {
            Ok(status) if status.success() => Some(Self(folder)),
            other => {
                eprintln!("SKIPPED: no small disk can be mounted here: {other:?}");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(
            std::process::Command::new("umount")
                .arg("-l")
                .arg(self.0.path())
                .status(),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_acknowledgements_says_so_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let gateway = Process::start("serve", disk.0.path(), &[]);
    let identity = Identity::new("13800000001", Revision::V2013).unwrap();
    let mut terminal = Terminal::connect(&gateway.tcp, identity, harness::PATIENCE)
        .await
        .unwrap();
    terminal.log_in().await.unwrap();
    let now = now_s();
    let send = async |terminal: &mut Terminal, i: i64| {
        let serial = terminal
            .send_location(&report(37.8, 112.5, now - 10_000 + i))
            .await?;
        terminal
            .response_within(serial, Duration::from_secs(3))
            .await
    };
    assert_eq!(send(&mut terminal, 0).await.unwrap().result, 0);
    let ballast = disk.0.path().join("ballast");
    // Writes until the disk takes no more.
    let _full = std::io::copy(
        &mut std::io::repeat(1),
        &mut std::fs::File::create(&ballast).unwrap(),
    );
    let ready = async || {
        let (status, body) = harness::http_client::get(&gateway.http, "/readyz")
            .await
            .unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    let mut unanswered = 1;
    let (status, reason) = loop {
        if send(&mut terminal, unanswered).await.is_err() {
            let said = ready().await;
            // Not a slow one: it says that it has no room.
            if said.0 == 503 {
                break said;
            }
        }
        unanswered += 1;
        assert!(unanswered < 100_000, "the disk never filled up");
    };
    assert_eq!(status, 503, "{reason}");
    assert!(reason.contains("room"), "{reason}");
    std::fs::remove_file(&ballast).unwrap();
    until("it is ready again", async || {
        (ready().await.0 == 200).then_some(())
    })
    .await;
    // The one that was not answered is there, or is answered now; nothing more is missing.
    let next = unanswered + 1;
    let answered = until("it answers again", async || {
        match send(&mut terminal, next).await {
            Ok(answer) => Some(answer),
            Err(TerminalError::Timeout { .. }) => None,
            Err(error) => panic!("the link ended: {error}"),
        }
    });
    assert_eq!(answered.await.result, 0);
    let stored = async || {
        let path = "/api/v1/terminals/13800000001/track?limit=10000";
        let (_, body) = harness::http_client::get(&gateway.http, path)
            .await
            .unwrap();
        let page: serde_json::Value = serde_json::from_slice(&body).unwrap();
        page["items"].as_array().map_or(0, Vec::len)
    };
    let expected = usize::try_from(next + 1).unwrap();
    until("all are stored, once", async || {
        (stored().await == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_at_its_size_limit_waits_for_its_consumers_and_loses_nothing() {
    // Without a database nothing is consumed: the log fills up to its limit.
    let nobody = "postgres://nobody@127.0.0.1:1/none";
    let settings = [
        ("store.url", nobody),
        ("log.segment_bytes_max", "1MiB"),
        ("log.size_bytes_max", "2MiB"),
    ];
    let gateway = TestGateway::start(&settings).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2013).await;
    let backlog: Vec<_> = (0..12)
        .map(|i| report(37.8, 112.5, now_s() - 600 + i))
        .collect();
    let writable = "gridtrace_log_is_writable";
    let mut answered = 0_u64;
    let refused = loop {
        let serial = terminal.send_batch(true, &backlog).await.unwrap();
        let limit = Duration::from_secs(2);
        let answer = match terminal.response_within(serial, limit).await {
            Ok(answer) => answer,
            // Not a slow one: the log says that it is full.
            Err(error) if gateway.metrics().await.value(writable) == 0 => break error,
            Err(_) => terminal.response(serial).await.unwrap(),
        };
        assert_eq!(answer.result, 0);
        answered += 1;
        assert!(answered < 20_000, "there is no limit");
    };
    assert!(
        matches!(refused, TerminalError::Timeout { .. }),
        "{refused}"
    );
    let (status, body) = harness::http_client::get(&gateway.http(), "/readyz")
        .await
        .unwrap();
    let body = String::from_utf8_lossy(&body);
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("the log has no room"), "{body}");
    let books = gateway.metrics().await;
    assert!(books.sum("gridtrace_log_durable_records_total") >= answered);
    assert_eq!(books.value(writable), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vehicle_with_more_fixes_than_are_kept_forgets_the_oldest_and_that_is_counted() {
    let gateway = TestGateway::start(&[("evaluate.fixes_max", "1024")]).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2013).await;
    let start = now_s() - 3_000;
    let send = async |terminal: &mut Terminal, from: i64, to: i64| {
        let mut last = 0;
        for second in from..to {
            let fix = report(37.87, 112.55, start + second);
            last = terminal.send_location(&fix).await.unwrap();
        }
        assert_eq!(terminal.response(last).await.unwrap().result, 0);
    };
    for from in (100..1_500).step_by(50) {
        send(&mut terminal, from, from + 50).await;
    }
    let books = gateway.drained().await;
    // Whole pieces of 128 go.
    let shed = books.value(r#"gridtrace_fixes_shed_total{limit="fixes"}"#);
    assert_eq!(shed, 256);
    assert_eq!(
        books.value(r#"gridtrace_fixes_shed_total{limit="bytes"}"#),
        0
    );
    // What comes late from among them is not judged, and counted as late.
    send(&mut terminal, 50, 60).await;
    let books = gateway.drained().await;
    let late = r#"gridtrace_positions_skipped_total{reason="late"}"#;
    assert_eq!(books.value(late), 10);
    gateway.stop().await;
}
