//! The database is gone, silent or slow for a while, under load.

use std::time::Duration;

use harness::{
    postgres::Postgres,
    process::Process,
    proxy::{Proxy, Way},
};
use tools::load::{LoadConfig, LoadReport};

use crate::{Ledger, alone, begin, books, readiness, setting, wait_until, wait_until_drained};

const HEALTHY: Duration = Duration::from_secs(3);
/// For the gateway to notice, and for terminals to be answered meanwhile.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);

/// A gateway in front of a database that can be taken away.
struct Scene {
    postgres: Postgres,
    proxy: Proxy,
    database: String,
    gateway: Process,
    _folder: tempfile::TempDir,
    ledger: Ledger,
}

impl Scene {
    fn start() -> Option<Self> {
        let postgres = Postgres::start()?;
        let proxy = Proxy::start(postgres.socket());
        let database = postgres.database();
        let through =
            database.replace(&postgres.socket().to_string(), &proxy.address().to_string());
        assert_ne!(through, database);
        let folder = tempfile::tempdir().unwrap();
        let gateway = Process::start("serve", folder.path(), &["--store", &through]);
        Some(Self {
            postgres,
            proxy,
            database,
            gateway,
            _folder: folder,
            ledger: Ledger::default(),
        })
    }

    /// Load for a while, and something in the midst of it.
    fn load(&mut self, duration: Duration, meanwhile: impl FnOnce(&mut Self)) -> LoadReport {
        let running = begin(LoadConfig {
            connections: 200,
            in_flight: 2,
            rate: Some(f64::from(setting("GRIDTRACE_OUTAGE_RATE", 1_000))),
            duration,
            drain: Duration::from_secs(20),
            ..self.ledger.load(&self.gateway.tcp)
        });
        meanwhile(self);
        let report = running.join().unwrap();
        self.ledger.add(&report);
        let missed = (report.closed, report.refused, report.unanswered);
        assert_eq!(missed, (0, 0, 0), "a terminal noticed");
        report
    }

    /// Nobody but the readiness page notices that the store is away.
    fn assert_away(&self) {
        wait_until("it is noticed", NOTICED_WITHIN, || {
            let (is_ready, said) = readiness(&self.gateway.http);
            assert!(is_ready, "{said}");
            said["degraded"].to_string().contains("store")
        });
        self.assert_answered();
    }

    /// Acknowledgements go on.
    fn assert_answered(&self) {
        let answered =
            || books(&self.gateway.http).value("gridtrace_responses_total{result=\"0\"}");
        let before = answered();
        wait_until("terminals are answered meanwhile", NOTICED_WITHIN, || {
            answered() > before + 500
        });
        assert!(readiness(&self.gateway.http).0);
    }

    fn compare(self, healthy: &LoadReport, outage: &LoadReport) {
        wait_until_drained(&self.gateway.http);
        let books = books(&self.gateway.http);
        assert_eq!(books.imbalance(), None);
        // Who had nothing to write pauses before it asks again.
        wait_until("nothing is degraded", Duration::from_secs(30), || {
            readiness(&self.gateway.http).1["degraded"] == serde_json::json!([])
        });
        assert!(self.gateway.terminate().success());
        self.ledger.compare(["--store", &self.database]);
        let (before, during) = (&healthy.latency, &outage.latency);
        println!(
            "p50 {:.1} ms, p99 {:.1} ms before; {:.1} ms, {:.1} ms during the outage",
            before.p50_ms, before.p99_ms, during.p50_ms, during.p99_ms
        );
        // How long they take says as much of the machine as of the gateway: that is held to limits where
        // they are given.
        let added_ms_max = setting("GRIDTRACE_OUTAGE_ADDED_MS", u32::MAX);
        assert!(during.p50_ms <= 2.0 * before.p50_ms + f64::from(added_ms_max));
        let p99_ms_max = setting("GRIDTRACE_OUTAGE_P99_MS", u32::MAX);
        assert!(during.p99_ms <= f64::from(p99_ms_max));
    }
}

fn outage() -> Duration {
    Duration::from_secs(setting("GRIDTRACE_OUTAGE_SECONDS", 20).into())
}

#[test]
fn a_database_that_crashed_and_comes_back_gets_all_of_it_once() {
    let _alone = alone();
    let Some(mut scene) = Scene::start() else {
        return;
    };
    let healthy = scene.load(HEALTHY, |_| ());
    let during = scene.load(outage(), |scene| {
        std::thread::sleep(outage() / 10);
        scene.postgres.crash();
        std::thread::sleep(outage() / 2);
        scene.assert_away();
        std::thread::sleep(outage() / 4);
        scene.postgres.restart();
    });
    scene.compare(&healthy, &during);
}

#[test]
fn a_database_that_is_silent_and_then_unreachable_gets_all_of_it_once() {
    let _alone = alone();
    let Some(mut scene) = Scene::start() else {
        return;
    };
    let healthy = scene.load(HEALTHY, |_| ());
    let during = scene.load(outage(), |scene| {
        std::thread::sleep(outage() / 20);
        scene.proxy.set(Way::Silent);
        std::thread::sleep(outage() / 4);
        scene.assert_answered();
        scene.proxy.set(Way::Cut);
        scene.assert_away();
        scene.proxy.set(Way::Open);
    });
    scene.compare(&healthy, &during);
}

#[test]
fn a_database_far_away_is_slow_and_gets_all_of_it_once() {
    let _alone = alone();
    let Some(mut scene) = Scene::start() else {
        return;
    };
    let healthy = scene.load(HEALTHY, |_| ());
    scene.proxy.set(Way::Slow(Duration::from_millis(100)));
    let during = scene.load(outage() / 2, |_| ());
    scene.compare(&healthy, &during);
}
