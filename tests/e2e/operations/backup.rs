//! `gridtrace backup` of a gateway that works, and `gridtrace restore`.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use harness::{Books, postgres::Postgres, process::Process};
use serde_json::Value;
use tools::{
    terminal::{Identity, Terminal},
    wire::Revision,
};

use super::{content, gridtrace, said};

/// Terminals that report without a pause until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    /// The newest fix of each terminal that was acknowledged; they are numbered by seconds.
    acknowledged: Vec<Arc<AtomicI64>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    begin: i64,
}

const TERMINALS: usize = 4;

fn phone(index: usize) -> String {
    format!("1390000000{index}")
}

impl Load {
    async fn start(tcp: &str) -> Self {
        let begin = harness::now_s() - 40_000;
        let stop = Arc::new(AtomicBool::new(false));
        let mut load = Self {
            stop,
            acknowledged: Vec::new(),
            tasks: Vec::new(),
            begin,
        };
        for index in 0..TERMINALS {
            let identity = Identity::new(&phone(index), Revision::V2013).unwrap();
            let mut terminal = Terminal::connect(tcp, identity, harness::PATIENCE)
                .await
                .unwrap();
            terminal.log_in().await.unwrap();
            let acknowledged = Arc::new(AtomicI64::new(begin));
            load.acknowledged.push(Arc::clone(&acknowledged));
            let stop = Arc::clone(&load.stop);
            load.tasks.push(tokio::spawn(async move {
                let mut at = begin;
                while !stop.load(Ordering::SeqCst) {
                    at += 1;
                    let report = harness::report(37.87, 112.55, at);
                    let serial = terminal.send_location(&report).await.unwrap();
                    assert_eq!(terminal.response(serial).await.unwrap().result, 0);
                    acknowledged.store(at, Ordering::SeqCst);
                }
            }));
        }
        load
    }

    /// Each terminal has gone on since these.
    async fn goes_on(&self, before: &[i64]) {
        harness::until("every terminal is acknowledged more", async || {
            let now = self.acknowledged();
            now.iter()
                .zip(before)
                .all(|(now, then)| now > then)
                .then_some(())
        })
        .await;
    }

    fn acknowledged(&self) -> Vec<i64> {
        let newest = self.acknowledged.iter();
        newest.map(|at| at.load(Ordering::SeqCst)).collect()
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Fix times by terminal, and how often each is there.
async fn positions(http: &str) -> Vec<Vec<i64>> {
    let mut found = vec![Vec::new(); TERMINALS];
    for (index, times) in found.iter_mut().enumerate() {
        let mut path = format!("/api/v1/positions?limit=5000&terminal={}", phone(index));
        loop {
            let (status, body) = harness::http_client::get(http, &path).await.unwrap();
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
            let page: Value = serde_json::from_slice(&body).unwrap();
            for item in page["items"].as_array().unwrap() {
                let at = item["fixed_at"].as_str().unwrap();
                times.push(gateway::clock::parse_rfc3339(at).unwrap().millis() / 1_000);
            }
            let Some(cursor) = page["next"].as_str() else {
                break;
            };
            path = format!(
                "/api/v1/positions?limit=5000&terminal={}&cursor={cursor}",
                phone(index)
            );
        }
    }
    found
}

async fn drained(http: &str) {
    let books = async || Books::scraped(http).await.unwrap();
    let is_done = |books: &Books| books.lag() == Some(0);
    let done = harness::done(books, is_done).await;
    done.expect("the consumers are not at the end");
}

/// Every fix up to the acknowledged ones is there, and each once.
fn assert_whole(found: &[Vec<i64>], begin: i64, acknowledged: &[i64]) {
    for (index, (times, newest)) in found.iter().zip(acknowledged).enumerate() {
        let once: BTreeSet<_> = times.iter().copied().collect();
        assert_eq!(
            once.len(),
            times.len(),
            "terminal {index}: a fix is there twice"
        );
        for at in begin + 1..=*newest {
            assert!(
                once.contains(&at),
                "terminal {index}: {at} of {newest} is missing"
            );
        }
    }
}

fn backed_up(data_dir: &Path, out: &Path, more: &[&str]) -> String {
    let (data_dir, out) = (data_dir.to_str().unwrap(), out.to_str().unwrap());
    let arguments = ["backup", "--data-dir", data_dir, "--out", out];
    let output = gridtrace(&[&arguments, more].concat());
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

fn restored(from: &Path, data_dir: &Path, more: &[&str]) -> (Option<i32>, String) {
    let (from, data_dir) = (from.to_str().unwrap(), data_dir.to_str().unwrap());
    let arguments = ["restore", "--from", from, "--data-dir", data_dir];
    let output = gridtrace(&[&arguments, more].concat());
    (output.status.code(), said(&output))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_goes_on_where_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let gateway = Process::start("serve", &path("data"), &[]);
    let load = Load::start(&gateway.tcp).await;
    for round in 0..3 {
        load.goes_on(&load.acknowledged()).await;
        let before = load.acknowledged();
        let (backup, data) = (
            path(&format!("backup{round}")),
            path(&format!("new{round}")),
        );
        let (from, to) = (path("data"), backup.clone());
        // While it holds the log the load goes on: it waits for that, a minute at most.
        let (held, seen) = (path(&format!("held{round}")), path(&format!("seen{round}")));
        let during = format!(
            "touch {held:?}; for i in $(seq 1200); do [ -e {seen:?} ] && exit; sleep 0.05; done"
        );
        // Beside the terminals, which share this runtime.
        let made =
            tokio::task::spawn_blocking(move || backed_up(&from, &to, &["--during", &during]));
        harness::until("the log is held", async || held.exists().then_some(())).await;
        load.goes_on(&load.acknowledged()).await;
        fs::write(seen, "").unwrap();
        let text = made.await.unwrap();
        assert!(text.contains("records 0 to"), "{text}");
        let (code, text) = restored(&backup, &data, &[]);
        assert_eq!(code, Some(0), "{text}");
        let second = Process::start("serve", &data, &[]);
        drained(&second.http).await;
        assert_whole(&positions(&second.http).await, load.begin, &before);
        // A terminal is known there with its code of before, and what it sends now is stored.
        let identity = Identity::new(&phone(0), Revision::V2013).unwrap();
        let mut terminal = Terminal::connect(&second.tcp, identity, harness::PATIENCE)
            .await
            .unwrap();
        terminal.log_in().await.unwrap();
        let newest = harness::now_s();
        let report = harness::report(37.87, 112.55, newest);
        let serial = terminal.send_location(&report).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
        drained(&second.http).await;
        let found = positions(&second.http).await;
        assert!(found[0].contains(&newest));
        assert_whole(&found, load.begin, &before);
        assert!(second.terminate().success());
    }
    let begin = load.begin;
    load.stop().await;
    drained(&gateway.http).await;
    let found = positions(&gateway.http).await;
    assert!(found.iter().all(|times| times[0] == begin + 1));
    assert!(gateway.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_not_as_it_was_made_is_refused_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let gateway = Process::start("serve", &path("data"), &[]);
    let load = Load::start(&gateway.tcp).await;
    load.goes_on(&load.acknowledged()).await;
    load.stop().await;
    assert!(gateway.terminate().success());
    backed_up(&path("data"), &path("backup"), &[]);
    let manifest: Value =
        serde_json::from_slice(&fs::read(path("backup/manifest.json")).unwrap()).unwrap();
    let files: Vec<_> = manifest["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["path"].as_str().unwrap().to_owned())
        .collect();
    for name in [
        "authentication.key",
        "commands.sqlite",
        "log/00000000000000000000.log",
        "media/media.sqlite",
        "registry.sqlite",
        "store/main.sqlite",
    ] {
        assert!(files.iter().any(|file| file == name), "{name}: {files:?}");
    }
    let again = gridtrace(&[
        "backup",
        "--data-dir",
        path("data").to_str().unwrap(),
        "--out",
        path("backup").to_str().unwrap(),
    ]);
    assert!(!again.status.success() && said(&again).contains("is there already"));

    let before = content(&path("data"));
    let (code, text) = restored(&path("backup"), &path("data"), &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("is there already"), "{text}");
    assert_eq!(content(&path("data")), before);

    for name in ["registry.sqlite", "log/00000000000000000000.log"] {
        let file = path("backup").join(name);
        let good = fs::read(&file).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(&file, bad).unwrap();
        let (code, text) = restored(&path("backup"), &path("new"), &[]);
        assert_eq!(code, Some(1));
        assert!(
            text.contains(name) && text.contains("not as the backup was made"),
            "{text}"
        );
        assert!(!path("new").exists() && !path("new.unfinished").exists());
        fs::write(&file, good).unwrap();
    }
    fs::rename(path("backup/manifest.json"), path("manifest")).unwrap();
    let (code, text) = restored(&path("backup"), &path("new"), &[]);
    assert_eq!(
        (code, text.contains("no whole backup")),
        (Some(1), true),
        "{text}"
    );
    fs::rename(path("manifest"), path("backup/manifest.json")).unwrap();
    let (code, text) = restored(&path("backup"), &path("new"), &[]);
    assert_eq!(code, Some(0), "{text}");
    let verified = gridtrace(&["log", "verify", "--data-dir", path("new").to_str().unwrap()]);
    assert!(verified.status.success(), "{}", said(&verified));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_ahead_of_the_restored_log_gets_no_number_twice() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let address = server.database();
    let store = ["--store", address.as_str()];
    let gateway = Process::start("serve", &path("data"), &store);
    let load = Load::start(&gateway.tcp).await;
    load.goes_on(&load.acknowledged()).await;
    let before = load.acknowledged();
    // The command of the operator runs while the log is held, and its file is in the manifest.
    let during = "echo dump > \"$GRIDTRACE_BACKUP_EXTRA/db.dump\"";
    backed_up(&path("data"), &path("backup"), &["--during", during]);
    let manifest = fs::read_to_string(path("backup/manifest.json")).unwrap();
    assert!(manifest.contains("extra/db.dump"), "{manifest}");
    // The database lives on, the data directory is lost.
    load.goes_on(&load.acknowledged()).await;
    let begin = load.begin;
    load.stop().await;
    drained(&gateway.http).await;
    gateway.kill();
    let (code, text) = restored(&path("backup"), &path("same"), &[]);
    assert_eq!(code, Some(0), "{text}");
    let doctor = |data: &Path| {
        let data = data.to_str().unwrap();
        let arguments = [
            "doctor",
            "--data-dir",
            data,
            "--tcp",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
        ];
        said(&gridtrace(&[&arguments, &store[..]].concat()))
    };
    let text = doctor(&path("same"));
    assert!(text.contains("the log is older than the store"), "{text}");

    let (code, text) = restored(&path("backup"), &path("new"), &["--new-log-id"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("new id") && text.contains("extra"), "{text}");
    assert!(!path("new/extra").exists());
    let text = doctor(&path("new"));
    assert!(!text.contains("the log is older"), "{text}");
    let gateway = Process::start("serve", &path("new"), &store);
    drained(&gateway.http).await;
    assert_whole(&positions(&gateway.http).await, begin, &before);
    assert!(gateway.terminate().success());

    let failed = gridtrace(&[
        "backup",
        "--data-dir",
        path("new").to_str().unwrap(),
        "--out",
        path("second").to_str().unwrap(),
        "--during",
        "exit 3",
    ]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(
        said(&failed).contains("--during failed"),
        "{}",
        said(&failed)
    );
    assert!(
        !path("second").exists(),
        "what is not whole has not its name"
    );
}
