//! Why a check of a route has found something, or why not.

use super::*;
use crate::track::explain::{Era, Question, Stage, WhyNot, explain};

#[test]
fn a_route_is_explained_by_its_distance_and_progress() {
    let works = works();
    // The lower side of the round, from 09:02:30 on, then away from it for 8 s.
    let mut track = drive(150, ROUND[0], ROUND[1], 18.0);
    track.extend(drive(210, ROUND[1], (380.0, 0.0), 36.0));
    let ask = |rule, at_s: i64| {
        let era = Era {
            from: Timestamp(0),
            catalog: &works,
        };
        let question = Question {
            terminal: terminal(),
            rule,
            at: Timestamp(START_MS + at_s * 1_000),
        };
        explain(&[era], &track, &question).unwrap()
    };
    let on = ask("round", 200);
    let [deviation, order, missed, coverage] = &on.checks[..] else {
        panic!("{on:#?}")
    };
    assert_eq!((deviation.why_not, deviation.stage), (None, Stage::Quiet));
    assert!(deviation.measured["distance_m"] < 1.0, "{deviation:#?}");
    assert!((deviation.measured["along_m"] - 250.0).abs() < 15.0);
    assert_eq!((order.why_not, order.measured["visited"]), (None, 0.0));
    assert_eq!(missed.measured["points"], 4.0);
    assert_eq!(coverage.why_not.map(WhyNot::reason), Some("at_the_end"));
    assert!(coverage.measured["planned_m"] > 1_000.0);
    let off = ask("round", 217);
    assert_eq!(off.checks[0].stage, Stage::Pending, "{off:#?}");
    assert!(off.checks[0].measured["distance_m"] > 50.0);
    let point = ask("round/b", 217);
    let nearest = point.checks[1].measured["nearest_m"];
    assert!((nearest - 50.0).abs() < 3.0, "{point:#?}");
    assert_eq!(point.checks[1].observed_ms, Some(0));
    let between = ask("round", 15 * 60);
    assert_eq!(between.checks[0].why_not, Some(WhyNot::OutsideHours));
}

#[test]
fn every_violation_is_explained_at_the_moment_when_it_was_sure() {
    let works = works();
    let mut explained = 0;
    for seed in 0..6 {
        let track = sweeping(seed, 1_000);
        let (evaluator, _) = judged(&works, &track);
        for violation in evaluator.violations(&terminal()) {
            let question = Question {
                terminal: terminal(),
                rule: &violation.rule.id,
                at: violation.confirmed_at,
            };
            let era = Era {
                from: Timestamp(0),
                catalog: &works,
            };
            let why = explain(&[era], &track, &question).unwrap();
            let open = why.checks.iter().filter_map(|c| c.violation.as_ref());
            let ids: Vec<_> = open.chain(&why.violations).map(|v| v.id).collect();
            assert!(ids.contains(&violation.id), "{violation:#?}\n{why:#?}");
            assert_eq!(why.rule.version, violation.rule.version);
            explained += 1;
        }
    }
    assert!(explained > 20, "{explained}");
}
