//! `gridtrace log`, and what a start says of a log that it cannot use.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use harness::process::Process;
use serde_json::Value;
use storage::{
    file_system::RealFileSystem,
    log::{Log, LogConfig, RecordKind, Step},
};
use tools::{
    terminal::{Identity, Terminal},
    wire::Revision,
};

use super::{content, gridtrace, said, serve};

const RECORDS: u64 = 60;

/// A data directory with a log of one record a commit, of a hundred bytes each, in several
/// segments. They are ticks, so that a gateway can follow it.
fn data_dir() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = LogConfig {
        segment_bytes_max: 4 << 10,
        staged_bytes_max: 2 << 10,
        record_bytes_max: 1 << 10,
        block_bytes: 256,
        zero_ahead_bytes: 300,
        free_bytes_min: 0,
        commit_interval: Duration::ZERO,
        ..LogConfig::default()
    };
    let path = folder.path().join("log");
    let (log, mut writer, _) = Log::open(Arc::new(RealFileSystem), &path, config).unwrap();
    for number in 0..RECORDS {
        let at = 1_700_000_000_000 + i64::try_from(number).unwrap();
        let payload = [u8::try_from(number).unwrap(); 100];
        log.append_parts(RecordKind(3), at, &[&payload]).unwrap();
        assert!(matches!(writer.step(), Step::Synced { .. }));
    }
    folder
}

fn segments(data_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data_dir.join("log")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "log"));
    paths.sort();
    paths
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// The first record of a segment.
fn first(path: &Path) -> u64 {
    path.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

fn log_command(what: &str, data_dir: &Path, more: &[&str]) -> (Option<i32>, String) {
    let data_dir = data_dir.to_str().unwrap();
    let output = gridtrace(&[&["log", what, "--data-dir", data_dir], more].concat());
    (output.status.code(), said(&output))
}

#[test]
fn a_good_log_is_inspected_and_verified_and_not_touched() {
    let folder = data_dir();
    let before = content(folder.path());
    let (code, text) = log_command("verify", folder.path(), &[]);
    let count = segments(folder.path()).len();
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(text, format!("60 records in {count} segments are good\n"));
    let (code, text) = log_command("inspect", folder.path(), &["--records", "17..19"]);
    assert_eq!(code, Some(0), "{text}");
    let line = "17 2023-11-14T22:13:20.017Z tick 100 bytes 1111";
    assert!(text.starts_with(line), "{text}");
    for words in [
        "\n18 ",
        "format version 1",
        "records 0 to ",
        "tick",
        "2023-11-14T22:13:20.000Z",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("\n19 "), "{text}");
    let (code, text) = log_command("inspect", folder.path(), &["--json", "--records", "5..6"]);
    assert_eq!(code, Some(0));
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["records"], 60);
    assert_eq!(document["segments"].as_array().unwrap().len(), count);
    assert_eq!(
        document["segments"][0]["kinds"]["tick"],
        document["segments"][0]["records"]
    );
    assert_eq!(document["records_shown"][0]["record"], 5);
    assert_eq!(document["is_good"], true);
    let out = folder.path().join("new");
    let (code, text) = log_command("salvage", folder.path(), &["--out", out.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(text.contains("nothing to salvage"), "{text}");
    assert_eq!(content(folder.path()), before);
    let (code, text) = log_command("verify", &folder.path().join("nowhere"), &[]);
    assert_eq!(code, Some(1), "{text}");
}

#[test]
fn damage_in_the_middle_is_refused_named_and_salvaged() {
    let folder = data_dir();
    let paths = segments(folder.path());
    // In the newest segment: that is what a start reads.
    let newest = paths.last().unwrap();
    let at = 64 + 149 + 80;
    flip(newest, at);
    // And in one that nobody has read for long.
    flip(&paths[1], 64 + 149 + 60);
    let before = content(&folder.path().join("log"));
    let lost = [first(&paths[1]) + 1, first(newest) + 1];
    let (code, text) = serve(folder.path(), &[]);
    assert_eq!(code, Some(65), "{text}");
    for words in [
        "gridtrace log verify",
        "gridtrace log salvage",
        "damaged at byte 213",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(
        content(&folder.path().join("log")),
        before,
        "a start touched it"
    );
    let (code, text) = log_command("verify", folder.path(), &[]);
    assert_eq!(code, Some(65), "{text}");
    for record in lost {
        let words = format!("at byte 213, record {record}: ");
        assert!(text.contains(&words), "{words}: {text}");
        assert!(text.contains(&format!("lost: record {record}\n")), "{text}");
    }
    let safe = format!(
        "safe: records 0 to {}, records {} to {}, records {} to 59; 58 in all",
        lost[0] - 1,
        lost[0] + 1,
        lost[1] - 1,
        lost[1] + 1
    );
    assert!(text.contains(&safe), "{safe}: {text}");
    assert!(text.contains("gridtrace log salvage --data-dir"), "{text}");
    let (code, text) = log_command("verify", folder.path(), &["--json"]);
    assert_eq!(code, Some(65));
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (
            &document["is_good"],
            document["faults"].as_array().unwrap().len()
        ),
        (&false.into(), 2)
    );

    let out = folder.path().join("log.salvaged");
    let out = out.to_str().unwrap();
    let (code, text) = log_command("salvage", folder.path(), &["--out", out]);
    assert_eq!(code, Some(0), "{text}");
    let words = format!("lost: record {}, record {}", lost[0], lost[1]);
    assert!(text.contains(&words) && text.contains("same id"), "{text}");
    assert_eq!(
        content(&folder.path().join("log")),
        before,
        "the original was changed"
    );
    let (code, text) = log_command("salvage", folder.path(), &["--out", out]);
    assert_eq!(code, Some(1), "it is there already: {text}");

    fs::rename(folder.path().join("log"), folder.path().join("log.damaged")).unwrap();
    fs::rename(out, folder.path().join("log")).unwrap();
    let (code, text) = log_command("verify", folder.path(), &[]);
    assert_eq!(
        (code, text.as_str()),
        (Some(0), "60 records in 1 segments are good\n")
    );
    let gateway = Process::start("serve", folder.path(), &[]);
    assert!(gateway.terminate().success());
    let (_, text) = log_command("inspect", folder.path(), &["--json"]);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["segments"][0]["kinds"]["lost"], 2);
    let consumers = document["consumers"].as_array().unwrap();
    assert!(
        consumers
            .iter()
            .all(|c| c["is_of_this_log"] == true && c["record"].as_u64() >= Some(60)),
        "{consumers:?}"
    );
    assert_eq!(consumers.len(), 3);
}

#[test]
fn damage_that_only_a_consumer_finds_ends_the_gateway_with_its_own_code() {
    let folder = data_dir();
    flip(&segments(folder.path())[1], 300);
    let (code, text) = serve(folder.path(), &[]);
    assert_eq!(code, Some(65), "{text}");
    assert!(text.contains("gridtrace log salvage"), "{text}");
}

#[test]
fn a_torn_tail_is_told_from_damage() {
    let folder = data_dir();
    let newest = segments(folder.path()).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let whole = bytes.len() as u64;
    // Zeros alone would be room for what comes.
    bytes.extend([0xa5; 50]);
    fs::write(&newest, bytes).unwrap();
    let (code, text) = log_command("verify", folder.path(), &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("torn tail: "), "{text}");
    for words in ["the next start cuts off these 50 bytes", "60 records in"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(
        fs::metadata(&newest).unwrap().len(),
        whole + 50,
        "only a start cuts it"
    );
    let gateway = Process::start("serve", folder.path(), &[]);
    assert!(gateway.terminate().success());
    let (code, text) = log_command("verify", folder.path(), &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("torn"), "{text}");
}

#[test]
fn a_log_of_a_newer_version_is_refused_and_not_touched() {
    let folder = data_dir();
    let newest = segments(folder.path()).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    bytes[8] = 2;
    let check_sum = crc32(&bytes[..60]);
    bytes[60..64].copy_from_slice(&check_sum.to_le_bytes());
    fs::write(&newest, bytes).unwrap();
    let before = content(folder.path());
    let (code, text) = serve(folder.path(), &[]);
    assert_eq!(code, Some(76), "{text}");
    assert!(text.contains("format version 2 is newer"), "{text}");
    let (code, text) = log_command("verify", folder.path(), &[]);
    assert_eq!(code, Some(76), "{text}");
    assert_eq!(content(folder.path()), before);
}

/// CRC-32 as zip has it, written out: the test shares no code with what it tests.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    assert!(
        Process::start("serve", folder.path(), &[])
            .terminate()
            .success()
    );
    for name in [
        "store/main.sqlite",
        "registry.sqlite",
        "commands.sqlite",
        "catalog.sqlite",
        "media/media.sqlite",
    ] {
        let path = folder.path().join(name);
        let set = |version: u32| {
            let file = rusqlite::Connection::open(&path).unwrap();
            let before: u32 = file
                .query_row("PRAGMA user_version", [], |row| row.get(0))
                .unwrap();
            file.pragma_update(None, "user_version", version).unwrap();
            before
        };
        let known = set(99);
        let before = fs::read(&path).unwrap();
        let (code, text) = serve(folder.path(), &[]);
        assert_eq!(code, Some(76), "{name}: {text}");
        for words in [name, "newer version of gridtrace", "99"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert_eq!(fs::read(&path).unwrap(), before, "{name}");
        set(known);
    }
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_not_touched() {
    let Some(server) = harness::postgres::Postgres::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let address = server.database();
    let store = ["--store", address.as_str()];
    assert!(
        Process::start("serve", folder.path(), &store)
            .terminate()
            .success()
    );
    let insert = "INSERT INTO gridtrace.migrations VALUES (99, 'of tomorrow')";
    server.execute(&address, insert);
    let (code, text) = serve(folder.path(), &store);
    assert_eq!(code, Some(76), "{text}");
    assert!(text.contains("newer version of gridtrace (99)"), "{text}");
    let count = server.execute(&address, "SELECT max(number) FROM gridtrace.migrations");
    assert_eq!(count, "99");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_in_use_is_looked_at_and_not_salvaged() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Process::start("serve", folder.path(), &[]);
    let identity = Identity::new("13800000002", Revision::V2013).unwrap();
    let mut terminal = Terminal::connect(&gateway.tcp, identity, harness::PATIENCE)
        .await
        .unwrap();
    terminal.log_in().await.unwrap();
    let now = harness::now_s();
    for i in 0..10 {
        let report = harness::report(37.87, 112.55, now - 10 + i);
        let serial = terminal.send_location(&report).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    let (code, text) = log_command("inspect", folder.path(), &["--json"]);
    assert_eq!(code, Some(0), "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["is_open"], true);
    assert!(
        document["segments"][0]["kinds"]["frame"].as_u64() >= Some(10),
        "{text}"
    );
    let out = folder.path().join("new");
    let arguments = ["--new-id", "--out", out.to_str().unwrap()];
    let (code, text) = log_command("salvage", folder.path(), &arguments);
    assert_eq!(code, Some(1));
    assert!(text.contains("in use by a running gateway"), "{text}");
    assert!(!out.exists());
    assert!(gateway.terminate().success());
    let (code, text) = log_command("salvage", folder.path(), &arguments);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("new id") && text.contains("lost: none"),
        "{text}"
    );
    // Under a new id consumers start over; what they know already is there once.
    fs::rename(folder.path().join("log"), folder.path().join("log.old")).unwrap();
    fs::rename(&out, folder.path().join("log")).unwrap();
    let gateway = Process::start("serve", folder.path(), &[]);
    let http = gateway.http.clone();
    harness::until("the consumers have gone over it again", async || {
        let (_, metrics) = harness::http_client::get(&http, "/metrics").await.ok()?;
        let metrics = String::from_utf8_lossy(&metrics).into_owned();
        let duplicates = "gridtrace_positions_stored_total{result=\"duplicate\"} 10";
        metrics.contains(duplicates).then_some(())
    })
    .await;
    assert!(gateway.terminate().success());
    let main = folder.path().join("store");
    let mut rows: i64 = 0;
    for path in content(&main).into_iter().map(|(path, ..)| path) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("positions-") && name.ends_with(".sqlite") {
            let day = rusqlite::Connection::open(&path).unwrap();
            let count = day.query_row("SELECT count(*) FROM positions", [], |row| row.get(0));
            rows += count.unwrap_or(0_i64);
        }
    }
    assert_eq!(rows, 10);
}
