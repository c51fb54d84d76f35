//! The disk of the log, or of the store, is full for a while.

use std::time::Duration;

use harness::{PATIENCE, process::Process, tmpfs::Tmpfs};
use tools::load::LoadConfig;

use crate::{Ledger, alone, begin, books, readiness, text, wait_until, wait_until_drained};

/// Several segments fit into the file system, so that old ones make room.
const SETTINGS: [(&str, &str); 1] = [("GRIDTRACE__LOG__SEGMENT_BYTES_MAX", "1MiB")];

fn load(ledger: &Ledger, tcp: &str, seconds: u64) -> LoadConfig {
    LoadConfig {
        connections: 50,
        in_flight: 4,
        rate: Some(1_000.0),
        duration: Duration::from_secs(seconds),
        drain: Duration::from_secs(20),
        ..ledger.load(tcp)
    }
}

#[test]
fn nothing_is_acknowledged_while_the_disk_of_the_log_is_full() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::mount(&folder.path().join("log"), 24) else {
        return;
    };
    let mut ledger = Ledger::default();
    let gateway = Process::start_with("serve", folder.path(), &[], &SETTINGS);
    let http = gateway.http.clone();
    let running = begin(load(&ledger, &gateway.tcp, 8));
    std::thread::sleep(Duration::from_secs(2));
    let acknowledged = || {
        let books = books(&http);
        let durable = books.sum("gridtrace_log_durable_records_total");
        (
            books.value("gridtrace_responses_total{result=\"0\"}"),
            durable,
        )
    };
    // What was durable is still answered, and segments that are done with make room once more; then it
    // stays full, and nobody is answered.
    wait_until("no acknowledgement on a full disk", PATIENCE, || {
        disk.fill_until(|| !readiness(&http).0);
        let before = acknowledged();
        std::thread::sleep(Duration::from_secs(1));
        let (is_ready, said) = readiness(&http);
        let is_full = !is_ready && said["reasons"].to_string().contains("no room");
        is_full && acknowledged() == before
    });
    assert!(acknowledged().1 > 0);
    disk.make_room();
    wait_until("it goes on by itself", PATIENCE, || readiness(&http).0);
    let report = running.join().unwrap();
    ledger.add(&report);
    assert_eq!(
        (report.closed, report.refused, report.unanswered),
        (0, 0, 0)
    );
    wait_until_drained(&http);
    assert!(gateway.terminate().success());
    ledger.compare(["--data-dir", text(folder.path())]);
}

#[test]
fn a_full_disk_of_the_store_concerns_no_terminal() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::mount(&folder.path().join("store"), 24) else {
        return;
    };
    let mut ledger = Ledger::default();
    let gateway = Process::start_with("serve", folder.path(), &[], &SETTINGS);
    let http = gateway.http.clone();
    let running = begin(load(&ledger, &gateway.tcp, 15));
    std::thread::sleep(Duration::from_secs(2));
    let is_away = || readiness(&http).1["degraded"].to_string().contains("store");
    disk.fill_until(is_away);
    let acknowledged = || books(&http).value("gridtrace_responses_total{result=\"0\"}");
    let before = acknowledged();
    wait_until("terminals are answered meanwhile", PATIENCE, || {
        acknowledged() > before + 500
    });
    let (is_ready, said) = readiness(&http);
    assert!(is_ready, "{said}");
    assert!(is_away(), "{said}");
    disk.make_room();
    let report = running.join().unwrap();
    ledger.add(&report);
    assert_eq!(
        (report.closed, report.refused, report.unanswered),
        (0, 0, 0)
    );
    wait_until_drained(&http);
    assert!(!is_away());
    assert!(gateway.terminate().success());
    ledger.compare(["--data-dir", text(folder.path())]);
}
