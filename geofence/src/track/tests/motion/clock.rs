//! What opens by the clock, and what the last fix does not speak for.

use super::*;

/// Judges a track, then lets the clock pass for so many seconds behind its last fix, a tick a second.
/// Gives the seconds at which something opened.
fn opened(catalog: &Catalog, track: &[Position], pass_s: i64) -> Vec<(i64, Violation)> {
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let findings = evaluator.observe_batch(catalog, track);
    assert!(findings.is_empty(), "{findings:#?}");
    let last = track.last().unwrap().received_at;
    let mut opened = Vec::new();
    for second in 1..=pass_s {
        let findings = evaluator.tick(catalog, last.plus_millis(second * 1_000));
        opened.extend(findings.into_iter().filter_map(|finding| match finding {
            Finding::Opened(violation) => Some((second, violation)),
            _ => None,
        }));
    }
    opened
}

/// A report every ten seconds.
fn sparse(track: Vec<Position>) -> Vec<Position> {
    track.into_iter().step_by(10).collect()
}

#[test]
fn a_long_stop_opens_by_the_clock() {
    let works = works(STOPS);
    // 594 s are seen at the last fix; it speaks for the rest, and may be on its way for 5 s more.
    let found = opened(&works, &stand(0, 595, ANYWHERE), 60);
    assert_eq!(found.len(), 1, "{found:#?}");
    let (second, violation) = &found[0];
    assert_eq!((*second, violation.kind), (11, ViolationKind::LongStop));
    near(seconds(violation.confirmed_at), 600.0, 0.1);
    // With more than ten seconds to go nobody knows.
    assert_eq!(opened(&works, &stand(0, 589, ANYWHERE), 3_600), []);
}

#[test]
fn a_stop_that_the_next_fix_ends_in_time_opens_nothing() {
    let mut track = stand(0, 595, ANYWHERE);
    track.extend(drive(595, ANYWHERE, (0.0, 900.0), 36.0));
    assert_eq!(found(&works(STOPS), &track), []);
}

#[test]
fn unloading_opens_by_the_clock() {
    let works = works(SIGNALS);
    let lifted = |count: i64| {
        let mut track = stand(0, count, ANYWHERE);
        for position in &mut track {
            position.inputs.io = Some(1 << 2);
        }
        track
    };
    let found = opened(&works, &lifted(7), 60);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].1.kind, ViolationKind::Unloading);
    near(seconds(found[0].1.confirmed_at), 10.0, 0.1);
    assert_eq!(
        opened(&works, &lifted(1), 60),
        [],
        "one report proves nothing"
    );
}

#[test]
fn a_terminal_alarm_opens_by_the_clock() {
    let works = works("");
    let cut = |seconds: i64| {
        let mut track = sparse(stand(0, seconds, ANYWHERE));
        for position in &mut track {
            position.alarm_flags = 1 << 8;
        }
        track
    };
    // Reports at 0 … 50 s; the last one speaks for ten seconds.
    let found = opened(&works, &cut(51), 60);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].0, 15);
    near(seconds(found[0].1.confirmed_at), 60.0, 0.1);
    assert_eq!(opened(&works, &cut(41), 3_600), []);
}

#[test]
fn the_clock_and_the_next_fix_agree() {
    let works = works(STOPS);
    let mut track = stand(0, 595, ANYWHERE);
    track.extend(stand(598, 200, ANYWHERE));
    track.extend(drive(798, ANYWHERE, (0.0, 900.0), 36.0));
    let in_time = found(&works, &track);
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    for position in &track {
        evaluator.observe_batch(&works, std::slice::from_ref(position));
        let after = position.received_at.plus_millis(900);
        evaluator.tick(&works, after);
    }
    let ticked = evaluator.violations(&terminal());
    assert_eq!((in_time.len(), ticked.len()), (1, 1));
    near(seconds(ticked[0].confirmed_at), in_time[0].2, 0.001);
}
