use std::{collections::HashMap, fs};

use super::{truth::BrokenRule, *};
use crate::{
    city::{CityOptions, demo_city},
    output::Output,
    test_server::{TestServer, Whims},
    wire::{bcd_time, message_id},
};

fn city(vehicles: u32) -> Arc<City> {
    Arc::new(demo_city(
        1,
        &CityOptions {
            vehicles,
            ..CityOptions::SMALL
        },
    ))
}

/// Simulated time runs a thousand times as fast as the clock.
fn fast(server: &TestServer) -> FleetConfig {
    FleetConfig {
        time_scale: 1_000.0,
        response_timeout: Duration::from_secs(30),
        drain: Duration::from_secs(60),
        ..FleetConfig::steady(server.target(), 1)
    }
}

/// Drives until something has happened.
async fn drive_until(
    config: FleetConfig,
    vehicles: u32,
    mut has_happened: impl FnMut(&Fleet) -> bool,
) -> Report {
    let fleet = Fleet::start(config, city(vehicles));
    let waited = async {
        while !has_happened(&fleet) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited)
        .await
        .expect("it never happened");
    fleet.stop().await
}

fn count(of: &std::sync::atomic::AtomicU64) -> u64 {
    of.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn the_demo_s_first_three_violators_are_convicted_early() {
    // The moment when the truth is sure, counted from the start; the gateway adds some seconds.
    for seed in 0..8 {
        let city = Arc::new(demo_city(seed, &CityOptions::SMALL));
        let violators = violators(&city, 200, FleetConfig::demo("localhost:1", seed).violators);
        assert_eq!(violators.len(), 10);
        for (order, kind, within_s) in [
            (0, BrokenRule::KeepOut, 80),
            (1, BrokenRule::Speeding, 90),
            (2, BrokenRule::StayIn, 140),
        ] {
            let vehicle = violators[order];
            let script = Some(script_of(order));
            let mut driver = Driver::new(Arc::clone(&city), vehicle, script, seed).unwrap();
            let mut judge = Judge::new(&city, vehicle);
            let convicted = (1..=within_s).find_map(|second| {
                driver.advance(1.0);
                let truth = driver.truth();
                let ended = judge.observe(f64::from(second), truth.point, truth.speed_mps);
                assert_eq!(ended, []);
                judge.open().first().map(|violation| violation.kind)
            });
            assert_eq!(convicted, Some(kind), "seed {seed}");
        }
    }
}

#[test]
fn the_demo_has_trucks_and_inspectors_of_every_district() {
    let city = city(200);
    let inspectors = city
        .vehicle_list
        .iter()
        .filter(|v| v.work_kind == WorkKind::Inspector)
        .collect::<Vec<_>>();
    assert!(
        (45..=55).contains(&inspectors.len()),
        "{}",
        inspectors.len()
    );
    assert!(inspectors.iter().all(|v| v.plate.is_empty()));
    let mut by_fleet: HashMap<usize, u32> = HashMap::new();
    for vehicle in &city.vehicle_list {
        *by_fleet.entry(vehicle.fleet).or_default() += 1;
        assert_eq!(
            vehicle.plate.is_empty(),
            vehicle.work_kind == WorkKind::Inspector
        );
        assert!(vehicle.plate.is_empty() || vehicle.plate.starts_with("晋A"));
    }
    assert_eq!(by_fleet.len(), 6);
    assert!(by_fleet.values().all(|count| *count >= 33));
}

#[tokio::test]
async fn every_fix_of_a_steady_fleet_is_acknowledged_once_and_written_down() {
    let server = TestServer::start(Whims::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acknowledged.csv");
    let config = FleetConfig {
        acknowledged: Some(Output::create(&path).unwrap()),
        ..fast(&server)
    };
    let report = drive_until(config, 12, |fleet| {
        count(&fleet.counters().fixes) >= 100 && count(&fleet.counters().connects) == 12
    })
    .await;
    assert_eq!(
        (report.acknowledged, report.unacknowledged),
        (report.fixes, 0)
    );
    assert_eq!(
        (report.connects, report.registrations, report.resent),
        (12, 12, 0)
    );
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written.lines().count() as u64, report.acknowledged);
    let seen = server.seen.lock().unwrap();
    assert_eq!(
        seen.reports.values().map(Vec::len).sum::<usize>() as u64,
        report.fixes
    );
    let lat_of = |body: &[u8]| f64::from(u32::from_be_bytes(body[8..12].try_into().unwrap())) / 1e6;
    for line in written.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let has_arrived = seen.reports[fields[0]]
            .iter()
            .any(|body| format!("{:.6}", lat_of(body)) == fields[2]);
        assert!(has_arrived, "{line}");
    }
}

#[tokio::test]
async fn a_fleet_with_bad_links_loses_no_fix_and_uploads_its_backlog() {
    let server = TestServer::start(Whims {
        forgets_answer_every: 17,
        hangs_up_every: 101,
    });
    let config = FleetConfig {
        interval_s: (1, 3),
        outages_per_hour: 60.0,
        outage_s: (20.0, 60.0),
        lost_responses: 0.02,
        response_timeout: Duration::from_millis(50),
        reconnect_max: Duration::from_millis(20),
        ..fast(&server)
    };
    let report = drive_until(config, 12, |fleet| {
        let counters = fleet.counters();
        count(&counters.resent) > 0 && count(&counters.backlog_batches) > 3
    })
    .await;
    assert_eq!(
        (report.unacknowledged, report.dropped, report.rejected),
        (0, 0, 0)
    );
    assert_eq!(report.acknowledged, report.fixes);
    assert!(
        report.resent > 0 && report.backlog_batches > 0,
        "{report:?}"
    );
    let seen = server.seen.lock().unwrap();
    let distinct: std::collections::HashSet<(&String, &[u8])> = seen
        .reports
        .iter()
        .flat_map(|(phone, bodies)| bodies.iter().map(move |body| (phone, body.as_slice())))
        .collect();
    assert_eq!(
        distinct.len() as u64,
        report.fixes,
        "what was lost or resent is the same report"
    );
    let batches: Vec<_> = seen
        .frames
        .iter()
        .filter(|frame| frame.id == message_id::LOCATION_BATCH)
        .collect();
    assert!(!batches.is_empty() && batches.iter().all(|frame| frame.body[2] == 1));
}

#[tokio::test]
async fn a_seed_gives_the_same_fixes_whatever_the_links_do() {
    let mut runs = Vec::new();
    for (whims, lost_responses) in [
        (Whims::default(), 0.0),
        (
            Whims {
                forgets_answer_every: 5,
                hangs_up_every: 0,
            },
            0.1,
        ),
    ] {
        let server = TestServer::start(whims);
        let config = FleetConfig {
            start_unix_s: Some(1_772_380_799),
            response_timeout: Duration::from_millis(20),
            resends_max: 100,
            lost_responses,
            ..fast(&server)
        };
        drive_until(config, 6, |_| {
            let reports = &server.seen.lock().unwrap().reports;
            reports.len() == 6 && reports.values().all(|bodies| bodies.len() >= 10)
        })
        .await;
        let mut reports = std::mem::take(&mut server.seen.lock().unwrap().reports);
        for bodies in reports.values_mut() {
            bodies.sort_by_key(|body| body[22..28].to_vec());
            bodies.dedup();
        }
        runs.push(reports);
    }
    let [first, second] = runs.as_slice() else {
        panic!("two runs")
    };
    assert_eq!(first.len(), 6);
    for (phone, bodies) in first {
        let both = bodies.len().min(second[phone].len());
        assert!(both >= 2, "{both} fixes");
        assert_eq!(bodies[..both], second[phone][..both], "{phone}");
        assert!(
            bodies
                .iter()
                .any(|body| body[22..28] == bcd_time(1_772_380_802))
        );
    }
}

#[tokio::test]
async fn the_truth_is_written_down_as_it_is_reported() {
    let server = TestServer::start(Whims::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.jsonl");
    let config = FleetConfig {
        interval_s: (10, 10),
        violators: 0.2,
        truth: Some(Output::create(&path).unwrap()),
        truth_path: true,
        ..fast(&server)
    };
    let all = [
        BrokenRule::KeepOut,
        BrokenRule::Speeding,
        BrokenRule::StayIn,
    ];
    let report = drive_until(config, 12, |fleet| {
        let violations = fleet.report().violations;
        all.iter()
            .all(|kind| violations.iter().any(|violation| violation.kind == *kind))
    })
    .await;
    let lines: Vec<serde_json::Value> = fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let written = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    assert_eq!(written("violation"), report.violations.len());
    // A fix every ten seconds, and the truth every second.
    let seconds = 10 * (report.fixes - 12);
    assert!(written("position") as u64 >= seconds, "less than {seconds}");
}
