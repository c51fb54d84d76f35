use std::collections::HashSet;

use super::*;
use crate::test_server::{TestServer, Whims};

fn config(server: &TestServer) -> LoadConfig {
    LoadConfig {
        connections: 5,
        in_flight: 3,
        warm_up: Duration::ZERO,
        duration: Duration::from_millis(200),
        keeps_acknowledged: true,
        ..LoadConfig::new(server.address)
    }
}

/// Place of a report's body, millionths of a degree.
fn place_of(body: &[u8]) -> (i32, i32) {
    let number = |at: usize| i32::from_be_bytes(body[at..at + 4].try_into().unwrap());
    (number(8), number(12))
}

#[test]
fn every_acknowledged_position_is_another_one_and_has_arrived() {
    let server = TestServer::start(Whims::default());
    let report = run(&config(&server)).unwrap();
    assert_eq!(
        (report.connections, report.closed, report.refused),
        (5, 0, 0)
    );
    assert_eq!((report.unanswered, report.sent), (0, report.acknowledged));
    assert!(report.latency.p50_ms <= report.latency.max_ms);
    let listed: Vec<_> = report.acknowledged_positions().collect();
    assert_eq!(listed.len() as u64, report.acknowledged);
    assert!(
        listed.len() >= 15,
        "each terminal has three in flight at once"
    );
    let distinct: HashSet<_> = listed.iter().collect();
    assert_eq!(distinct.len(), listed.len());
    let seen = server.seen.lock().unwrap();
    for position in &listed {
        let bodies = &seen.reports[&position.phone];
        let place = (position.latitude, position.longitude);
        let body = bodies.iter().find(|body| place_of(body) == place).unwrap();
        assert_eq!(body[22..28], crate::wire::bcd_time(position.fixed_at));
    }
    let mut csv = Vec::new();
    report.write_acknowledged(&mut csv).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    assert_eq!(csv.lines().count(), listed.len() + 1);
    assert!(csv.lines().nth(1).unwrap().starts_with("139000000"));
}

#[test]
fn a_batch_counts_as_the_reports_in_it() {
    let server = TestServer::start(Whims::default());
    let report = run(&LoadConfig {
        batch: 20,
        ..config(&server)
    })
    .unwrap();
    assert_eq!((report.unanswered, report.sent), (0, report.acknowledged));
    let listed: HashSet<_> = report.acknowledged_positions().collect();
    assert_eq!(listed.len() as u64, report.acknowledged);
    assert!(listed.len() >= 300 && listed.len().is_multiple_of(20));
    assert!(
        run(&LoadConfig {
            batch: 21,
            ..config(&server)
        })
        .is_err()
    );
}

#[test]
fn a_server_that_dies_ends_the_load_and_what_it_acknowledged_is_known() {
    let server = TestServer::start(Whims {
        hangs_up_every: 10,
        ..Whims::default()
    });
    let long = Duration::from_secs(600);
    let report = run(&LoadConfig {
        duration: long,
        ..config(&server)
    })
    .unwrap();
    assert_eq!(report.closed, 5);
    assert!(report.unanswered > 0);
    let listed: Vec<_> = report.acknowledged_positions().collect();
    assert_eq!(listed.len() as u64, report.acknowledged);
    let seen = server.seen.lock().unwrap();
    for position in listed {
        let place = (position.latitude, position.longitude);
        assert!(
            seen.reports[&position.phone]
                .iter()
                .any(|body| place_of(body) == place)
        );
    }
}

#[test]
fn an_open_loop_sends_no_more_than_was_asked_for() {
    let server = TestServer::start(Whims::default());
    let open = LoadConfig {
        rate: Some(40.0),
        duration: Duration::from_secs(1),
        ..config(&server)
    };
    let report = run(&open).unwrap();
    assert!((1..=40).contains(&report.sent), "{}", report.sent);
    // An interval is 25 ms: nobody waits for a whole one.
    assert!(report.lateness.p50_ms < 20.0, "{:?}", report.lateness);
    assert_eq!(report.acknowledged, report.sent);
}

#[test]
fn idle_connections_stand_until_they_are_dropped() {
    let server = TestServer::start(Whims::default());
    let mut idle = Idle::open(&config(&server), true).unwrap();
    assert_eq!(idle.alive().unwrap(), 5);
    assert_eq!(server.seen.lock().unwrap().registrations.len(), 5);
}

#[test]
fn terminals_that_cannot_connect_are_told_about() {
    // A port that is given to nobody by chance.
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let refused = run(&LoadConfig::new(nobody)).unwrap_err();
    assert!(
        matches!(
            refused,
            LoadError::LogIn {
                done: 0,
                wanted: 1_000,
                ..
            }
        ),
        "{refused}"
    );
}

#[test]
fn a_fleet_loads_again_without_logging_in_again_and_by_the_clock() {
    let server = TestServer::start(Whims::default());
    let config = LoadConfig {
        fix_times: FixTimes::Clock,
        ..config(&server)
    };
    let mut fleet = Fleet::connect(&config).unwrap();
    let pace = Pace {
        rate: Some(100.0),
        warm_up: Duration::ZERO,
        duration: Duration::from_millis(200),
    };
    let mut listed = HashSet::new();
    let mut sent = 0;
    for _ in 0..2 {
        let report = fleet.load(&pace).unwrap();
        assert_eq!(report.acknowledged, report.sent);
        sent += report.sent;
        listed.extend(report.acknowledged_positions());
    }
    assert!(sent >= 20 && listed.len() as u64 == sent, "{sent}");
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen.registrations.len(), 5);
    for position in listed {
        let altitude = u16::try_from(position.sent_at_ms % ALTITUDE_MS).unwrap();
        assert_eq!(
            i64::try_from(position.sent_at_ms / 1_000).unwrap(),
            position.fixed_at
        );
        let bodies = &seen.reports[&position.phone];
        assert!(
            bodies
                .iter()
                .any(|body| body[16..18] == altitude.to_be_bytes())
        );
    }
}
