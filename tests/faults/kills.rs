//! The process is killed at full load again and again, or stopped for a while.

use std::time::Duration;

use harness::process::Process;
use tools::{
    load::{LoadConfig, LoadReport, MqttLoad},
    mqtt::PayloadKind,
};

use crate::{Ledger, alone, begin, setting, text, wait_until, wait_until_drained};

const TERMINALS: usize = 100;
const IN_FLIGHT: usize = 8;
/// For all terminals to come in, and for the first acknowledgements.
const BEGUN_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn kills_at_full_load_lose_nothing_and_double_nothing() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    for round in 0..setting("GRIDTRACE_KILLS", 10) {
        // As it is shipped: at full load what follows the log makes way.
        let settings = [("GRIDTRACE__BULK_PRIORITY", "idle")];
        let gateway = Process::start_with("serve", folder.path(), &[], &settings);
        let report = load_until_killed(gateway, &ledger, round);
        assert!(
            report.acknowledged > 0,
            "round {round}: nothing was acknowledged"
        );
        ledger.add(&report);
    }
    let gateway = Process::start("serve", folder.path(), &[]);
    wait_until_drained(&gateway.http);
    assert!(gateway.terminate().success());
    ledger.compare(["--data-dir", text(folder.path())]);
}

/// Full load on a thread; the process is killed in the midst of it.
fn load_until_killed(gateway: Process, ledger: &Ledger, round: u32) -> LoadReport {
    let running = begin(LoadConfig {
        connections: TERMINALS,
        in_flight: IN_FLIGHT,
        duration: Duration::from_secs(60),
        drain: Duration::ZERO,
        ..ledger.load(&gateway.tcp)
    });
    // More than may be in flight: some were acknowledged.
    wait_until("there are acknowledgements", BEGUN_WITHIN, || {
        let recorded = gateway.books().value("gridtrace_positions_recorded_total");
        recorded > (TERMINALS * IN_FLIGHT) as u64
    });
    // Another moment in each round, from the first acknowledgements on.
    std::thread::sleep(Duration::from_millis(u64::from(round % 20) * 97));
    gateway.kill();
    running.join().unwrap()
}

#[test]
fn kills_under_mqtt_load_lose_nothing_and_double_nothing() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    let start = || {
        // Full load is more than a client may send.
        let settings = [("GRIDTRACE__MQTT__PACKETS_PER_SECOND_MAX", "100000")];
        let more = ["--mqtt", "127.0.0.1:0"];
        Process::start_with("serve", folder.path(), &more, &settings)
    };
    for round in 0..setting("GRIDTRACE_KILLS", 10) {
        let gateway = start();
        let target = gateway.mqtt();
        let loads: Vec<_> = [PayloadKind::Json, PayloadKind::Jt808]
            .into_iter()
            .zip([13_900_000_000, 13_900_100_000])
            .map(|(payload, first_phone)| {
                begin(LoadConfig {
                    mqtt: Some(MqttLoad { target, payload }),
                    connections: TERMINALS / 2,
                    in_flight: IN_FLIGHT,
                    duration: Duration::from_secs(60),
                    drain: Duration::ZERO,
                    first_phone,
                    ..ledger.load(&gateway.tcp)
                })
            })
            .collect();
        // More than may be in flight: some were acknowledged.
        wait_until("both have acknowledgements", BEGUN_WITHIN, || {
            let books = gateway.books();
            ["json", "jt808"].iter().all(|result| {
                let name = format!("gridtrace_mqtt_publishes_total{{result=\"{result}\"}}");
                books.value(&name) > (TERMINALS / 2 * IN_FLIGHT) as u64
            })
        });
        // Another moment in each round, from the first acknowledgements on.
        std::thread::sleep(Duration::from_millis(u64::from(round % 20) * 97));
        gateway.kill();
        for load in loads {
            let report = load.join().unwrap();
            assert_eq!(report.refused, 0, "round {round}");
            assert!(
                report.acknowledged > 0,
                "round {round}: nothing was acknowledged"
            );
            ledger.add(&report);
        }
    }
    let gateway = start();
    wait_until_drained(&gateway.http);
    assert!(gateway.terminate().success());
    ledger.compare(["--data-dir", text(folder.path())]);
}

#[test]
fn a_process_that_stood_still_goes_on_with_the_same_terminals() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    let gateway = Process::start("serve", folder.path(), &[]);
    let running = begin(LoadConfig {
        connections: TERMINALS,
        in_flight: 2,
        rate: Some(1_000.0),
        duration: Duration::from_secs(8),
        drain: Duration::from_secs(20),
        ..ledger.load(&gateway.tcp)
    });
    wait_until("all are logged in", BEGUN_WITHIN, || {
        gateway.books().sum("gridtrace_sessions_opened_total") == TERMINALS as u64
    });
    for _ in 0..3 {
        std::thread::sleep(Duration::from_secs(1));
        gateway.signal("STOP");
        std::thread::sleep(Duration::from_millis(1_300));
        gateway.signal("CONT");
    }
    let report = running.join().unwrap();
    ledger.add(&report);
    assert_eq!(
        (report.closed, report.refused, report.unanswered),
        (0, 0, 0),
        "every report is answered, late as some are"
    );
    assert!(report.latency.max_ms > 1_000.0, "it stood still");
    wait_until_drained(&gateway.http);
    assert!(gateway.terminate().success());
    ledger.compare(["--data-dir", text(folder.path())]);
}
