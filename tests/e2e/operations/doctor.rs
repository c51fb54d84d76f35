//! `gridtrace doctor`: one good setup, and what it says of broken ones.

use std::{fs, net::TcpListener, path::Path, process::Command};

use harness::{
    postgres::Postgres,
    process::{Process, binary},
};
use serde_json::Value;

use super::{content, gridtrace, said};

/// Settings with which the machine of a test can be good. Other processes have the port of MQTT.
const SMALL: &str = "[tcp]\nlisten = \"127.0.0.1:0\"\nconnections_max = 100\n[http]\nlisten = \
                     \"127.0.0.1:0\"\nlive_clients_max = 10\n[log]\nfree_bytes_min = \"0B\"\n\
                     [mqtt]\nlisten = \"\"\n";

/// A folder on the disk that is built on: `/tmp` may be memory.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// What the doctor says of a data directory with these settings: its exit code, and the findings.
fn examined(data_dir: &Path, settings: &str, more: &[&str]) -> (Option<i32>, Vec<Value>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), settings).unwrap();
    let config = file.path().to_str().unwrap();
    let data_dir = data_dir.to_str().unwrap();
    let arguments = [
        "doctor",
        "--json",
        "--config",
        config,
        "--data-dir",
        data_dir,
    ];
    let output = gridtrace(&[&arguments, more].concat());
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
    assert_eq!(document["is_good"], output.status.success());
    let findings = document["findings"].as_array().unwrap();
    for finding in findings {
        let is_ok = finding["level"] == "ok";
        assert_eq!(finding["advice"].is_null(), is_ok, "{finding}: what to do?");
    }
    (output.status.code(), findings.clone())
}

/// The only finding that is bad: its subject, and what was found.
fn only_bad((code, findings): (Option<i32>, Vec<Value>)) -> (String, String) {
    let bad: Vec<_> = findings.iter().filter(|f| f["level"] == "bad").collect();
    assert_eq!((code, bad.len()), (Some(1), 1), "{findings:#?}");
    let text = |field: &str| bad[0][field].as_str().unwrap().to_owned();
    (text("subject"), text("found"))
}

fn found<'a>(findings: &'a [Value], subject: &str) -> &'a Value {
    let of = findings
        .iter()
        .find(|finding| finding["subject"] == subject);
    of.unwrap_or_else(|| panic!("nothing about {subject}: {findings:#?}"))
}

#[test]
fn a_good_setup_is_good_before_during_and_after_and_nothing_is_changed() {
    let folder = folder();
    let data_dir = folder.path().join("a/data");
    let (code, findings) = examined(&data_dir, SMALL, &[]);
    assert_eq!(code, Some(0), "{findings:#?}");
    for subject in [
        "configuration",
        "catalog",
        "data directory",
        "sync",
        "file system",
        "space",
        "clock",
        "open files",
        "port",
        "log",
        "store",
    ] {
        found(&findings, subject);
    }
    assert!(!folder.path().join("a").exists(), "it made a directory");

    fs::create_dir(folder.path().join("a")).unwrap();
    let gateway = Process::start("serve", &data_dir, &[]);
    let http = gateway.http.clone();
    let (code, findings) = examined(&data_dir, SMALL, &["--tcp", &gateway.tcp, "--http", &http]);
    assert_eq!(code, Some(0), "{findings:#?}");
    let ready = "one runs here and is ready";
    assert_eq!(found(&findings, "gateway")["found"], ready);
    let port = found(&findings, "port")["found"].as_str().unwrap();
    assert!(port.contains("in use, and a gateway runs here"), "{port}");
    assert!(gateway.terminate().success());

    let before = content(folder.path());
    let (code, findings) = examined(&data_dir, SMALL, &[]);
    assert_eq!(code, Some(0), "{findings:#?}");
    assert!(
        found(&findings, "log")["found"]
            .as_str()
            .unwrap()
            .contains("segments in order")
    );
    assert_eq!(found(&findings, "consumers")["level"], "ok");
    assert_eq!(content(folder.path()), before);
    let arguments = [
        "doctor",
        "--data-dir",
        data_dir.to_str().unwrap(),
        "--tcp",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ];
    let text = said(&gridtrace(&arguments));
    assert!(
        text.starts_with("ok   configuration: every key is known"),
        "{text}"
    );
}

#[test]
fn a_configuration_with_mistakes_has_them_named() {
    let folder = folder();
    let (code, findings) = examined(folder.path(), "[tcp]\nlisten = \"x\"\nodd = 1\n", &[]);
    assert_eq!((code, findings.len()), (Some(1), 2), "{findings:#?}");
    let catalog = format!("{SMALL}[catalog]\nfences = \"nowhere.geojson\"\n");
    let (subject, text) = only_bad(examined(folder.path(), &catalog, &[]));
    assert_eq!(subject, "catalog");
    assert!(text.contains("nowhere.geojson"), "{text}");
}

#[test]
fn the_policy_and_the_receivers_of_cases_are_looked_at() {
    let folder = folder();
    let policy = folder.path().join("policy.toml");
    fs::write(&policy, "clocks_ = 1\n").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = listener.local_addr().unwrap();
    let away = harness::ports::own();
    let receiver = |name: &str, url: &str, more: &str| {
        format!(
            "[[delivery.receivers]]\nname = \"{name}\"\nurl = \"{url}\"\n\
             secret = \"a-key-of-enough-characters\"\n{more}\n"
        )
    };
    let mine = "allow_private = true";
    let settings = format!(
        "{SMALL}[cases]\npolicy = {policy:?}\n{}{}{}{}",
        receiver("good", &format!("http://{there}/in"), mine),
        receiver("again", &format!("http://{there}/in"), mine),
        receiver("away", &format!("http://{away}/in"), mine),
        receiver("private", "http://10.0.0.1/in", ""),
    );
    let (code, findings) = examined(folder.path(), &settings, &[]);
    assert_eq!(code, Some(1), "{findings:#?}");
    let said = |subject: &str, level: &str| -> Vec<&str> {
        let of = |finding: &&Value| finding["subject"] == subject && finding["level"] == level;
        let found = findings.iter().filter(of);
        found
            .map(|finding| finding["found"].as_str().unwrap())
            .collect()
    };
    let bad = said("policy", "bad");
    assert!(
        bad[0].contains("policy.toml") && bad[0].contains("clocks_"),
        "{bad:?}"
    );
    let good = said("receiver", "ok");
    assert!(
        good.len() == 2 && good[0].starts_with("good at"),
        "{good:?}"
    );
    let doubtful = said("receiver", "warn");
    assert!(
        doubtful
            .iter()
            .any(|line| line.starts_with("good and again are both"))
    );
    assert!(
        doubtful.iter().any(|line| line.starts_with("away at")),
        "{doubtful:?}"
    );
    let bad = said("receiver", "bad");
    assert!(
        bad.len() == 1 && bad[0].starts_with("private at"),
        "{bad:?}"
    );

    let file = folder.path().join("gridtrace.toml");
    fs::write(&file, &settings).unwrap();
    let check = || gridtrace(&["check-config", "--config", file.to_str().unwrap()]);
    let output = check();
    assert_eq!(output.status.code(), Some(78), "{}", super::said(&output));
    assert!(
        super::said(&output).contains("clocks_"),
        "{}",
        super::said(&output)
    );
    fs::write(&policy, "").unwrap();
    let output = check();
    assert!(output.status.success(), "{}", super::said(&output));
    for word in ["good and again are both", "private: 10.0.0.1 is where"] {
        assert!(
            super::said(&output).contains(word),
            "{}",
            super::said(&output)
        );
    }
}

#[test]
fn a_data_directory_that_cannot_be_one_is_bad() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let (subject, text) = only_bad(examined(&file.join("data"), SMALL, &[]));
    assert_eq!(subject, "data directory");
    assert!(text.contains("is no directory"), "{text}");
    // Not even root makes files there.
    let (subject, text) = only_bad(examined(Path::new("/proc/data"), SMALL, &[]));
    assert_eq!(subject, "data directory");
    assert!(text.contains("cannot write"), "{text}");
}

#[test]
fn a_disk_with_too_little_room_is_bad() {
    let folder = folder();
    let full = SMALL.replace("\"0B\"", "\"1024GiB\"");
    let (subject, text) = only_bad(examined(folder.path(), &full, &[]));
    assert_eq!(subject, "space");
    assert!(
        text.contains("log.free_bytes_min asks for 1048576 MiB"),
        "{text}"
    );
}

#[test]
fn a_port_of_another_program_is_bad() {
    let folder = folder();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let (subject, text) = only_bad(examined(folder.path(), SMALL, &["--tcp", &address]));
    assert_eq!(subject, "port");
    assert!(text.contains(&address) && text.contains("in use"), "{text}");
    let (subject, text) = only_bad(examined(
        folder.path(),
        SMALL,
        &["--tcp", "203.0.113.1:6808"],
    ));
    assert_eq!(subject, "port");
    assert!(text.contains("203.0.113.1"), "{text}");
    let websocket = format!("{SMALL}[mqtt.websocket]\nlisten = \"{address}\"\n");
    let (subject, text) = only_bad(examined(folder.path(), &websocket, &[]));
    assert_eq!(subject, "port");
    assert!(text.contains("mqtt.websocket.listen"), "{text}");
    // Files that this listener alone needs.
    let websocket = format!(
        "{SMALL}[mqtt.websocket]\ntls_listen = \"127.0.0.1:0\"\n[tls]\ncertificate = \"no.pem\"\nkey = \
         \"no.pem\"\n"
    );
    let (subject, text) = only_bad(examined(folder.path(), &websocket, &[]));
    assert_eq!(subject, "tls");
    assert!(text.contains("no.pem"), "{text}");
}

#[test]
fn too_few_open_files_are_bad() {
    let folder = folder();
    let script = "ulimit -n 300; exec \"$0\" doctor --json --data-dir \"$1\" --tcp 127.0.0.1:0 --http 127.0.0.1:0";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(binary("gridtrace"))
        .arg(folder.path())
        .env("GRIDTRACE__LOG__FREE_BYTES_MIN", "0B")
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = document["findings"].as_array().unwrap();
    let finding = found(findings, "open files");
    assert_eq!(finding["level"], "bad");
    assert!(
        finding["found"]
            .as_str()
            .unwrap()
            .starts_with("300 may be open, 60256 connections"),
        "{finding}"
    );
}

#[test]
fn a_damaged_log_and_a_newer_store_are_bad() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    assert!(
        Process::start("serve", &data_dir, &[])
            .terminate()
            .success()
    );
    let main = data_dir.join("store/main.sqlite");
    let store = rusqlite::Connection::open(&main).unwrap();
    store.pragma_update(None, "user_version", 77).unwrap();
    drop(store);
    let (subject, text) = only_bad(examined(&data_dir, SMALL, &[]));
    assert_eq!(
        (subject.as_str(), text.contains("version 77")),
        ("store", true),
        "{text}"
    );
    fs::remove_dir_all(data_dir.join("store")).unwrap();

    let segment = data_dir.join("log/00000000000000000000.log");
    let mut bytes = fs::read(&segment).unwrap();
    bytes.resize(200, 0);
    bytes[20] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let (subject, text) = only_bad(examined(&data_dir, SMALL, &[]));
    assert_eq!(subject, "log");
    assert!(
        text.contains("the header of the segment is wrong"),
        "{text}"
    );
}

#[test]
fn a_store_that_is_ahead_of_the_log_is_bad() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    assert!(
        Process::start("serve", &data_dir, &[])
            .terminate()
            .success()
    );
    let main = data_dir.join("store/main.sqlite");
    let store = rusqlite::Connection::open(&main).unwrap();
    let moved = store
        .execute("UPDATE cursors SET record_offset = 1000", [])
        .unwrap();
    if moved == 0 {
        let bytes = fs::read(data_dir.join("log/00000000000000000000.log")).unwrap();
        let id = uuid::Uuid::from_slice(&bytes[12..28]).unwrap().to_string();
        store
            .execute("INSERT INTO cursors VALUES (?, 'store', 1000)", [id])
            .unwrap();
        store
            .execute("DELETE FROM cursors WHERE consumer <> 'store'", [])
            .unwrap();
    } else {
        store
            .execute(
                "DELETE FROM cursors WHERE consumer <> (SELECT min(consumer) FROM cursors)",
                [],
            )
            .unwrap();
    }
    drop(store);
    let (subject, text) = only_bad(examined(&data_dir, SMALL, &[]));
    assert_eq!(subject, "consumers");
    assert!(
        text.contains("is at record 1000, the log ends at"),
        "{text}"
    );
}

#[test]
fn a_database_is_looked_at_and_not_migrated() {
    let Some(server) = Postgres::start_with(&[]) else {
        return;
    };
    let folder = folder();
    let data_dir = folder.path().join("data");
    let address = server.database();
    let store = ["--store", address.as_str()];
    let (code, findings) = examined(&data_dir, SMALL, &store);
    assert_eq!(code, Some(0), "{findings:#?}");
    for subject in [
        "database",
        "database connections",
        "database durability",
        "timescaledb",
    ] {
        assert_eq!(found(&findings, subject)["level"], "ok");
    }
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'gridtrace'";
    assert_eq!(server.execute(&address, schemas), "0", "it made the schema");

    assert!(
        Process::start("serve", &data_dir, &store)
            .terminate()
            .success()
    );
    let (code, findings) = examined(&data_dir, SMALL, &store);
    assert_eq!(code, Some(0), "{findings:#?}");
    let text = found(&findings, "database")["found"].as_str().unwrap();
    assert!(text.contains("schema 11 of 11"), "{text}");

    server.execute(
        &address,
        "INSERT INTO gridtrace.migrations VALUES (99, 'of tomorrow')",
    );
    let (subject, text) = only_bad(examined(&data_dir, SMALL, &store));
    assert_eq!(
        (subject.as_str(), text.contains("version 99")),
        ("database", true),
        "{text}"
    );
    server.execute(
        &address,
        "DELETE FROM gridtrace.migrations WHERE number = 99",
    );

    server.execute(&address, "CREATE ROLE guest LOGIN");
    let guest = address.replace("gridtrace@", "guest@");
    let (subject, text) = only_bad(examined(&data_dir, SMALL, &["--store", &guest]));
    assert_eq!(subject, "database rights");
    assert!(
        text.contains("guest may not use the schema gridtrace"),
        "{text}"
    );

    let nobody = address.replace("gridtrace@", "nobody:secret@");
    let (subject, text) = only_bad(examined(&data_dir, SMALL, &["--store", &nobody]));
    assert_eq!(subject, "database");
    assert!(
        text.contains("nobody") && !text.contains("secret"),
        "{text}"
    );
    let away = "postgres://gridtrace@127.0.0.1:1/x";
    let (subject, _) = only_bad(examined(&data_dir, SMALL, &["--store", away]));
    assert_eq!(subject, "database");
}

#[test]
fn a_database_that_does_not_sync_is_bad() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let folder = folder();
    let address = server.database();
    let (subject, text) = only_bad(examined(folder.path(), SMALL, &["--store", &address]));
    assert_eq!(subject, "database durability");
    assert!(text.contains("fsync is off"), "{text}");
}

#[test]
fn timescaledb_and_its_licence_are_named() {
    let Some(server) = Postgres::start_with_timescale(&["fsync=on"]) else {
        return;
    };
    let folder = folder();
    let data_dir = folder.path().join("data");
    let address = server.database();
    let store = ["--store", address.as_str()];
    assert!(
        Process::start("serve", &data_dir, &store)
            .terminate()
            .success()
    );
    let (code, findings) = examined(&data_dir, SMALL, &store);
    assert_eq!(code, Some(0), "{findings:#?}");
    let text = found(&findings, "timescaledb")["found"].as_str().unwrap();
    assert!(text.contains("licence"), "{text}");
}
