//! Why, and why not: scenes of one vehicle, asked about one rule at one moment.

use super::*;
use crate::{
    catalog::CatalogSources,
    checks::Unjudged,
    track::explain::{Era, Explanation, Fate, Question, Stage, WhyNot, explain},
};

/// Asks about a rule `at_s` seconds into the scene.
fn ask(catalog: &Catalog, track: &[Position], rule: &str, at_s: i64) -> Explanation {
    let era = Era {
        from: Timestamp(0),
        catalog,
    };
    ask_eras(&[era], track, rule, at_s).unwrap()
}

fn ask_eras(eras: &[Era<'_>], track: &[Position], rule: &str, at_s: i64) -> Option<Explanation> {
    let question = Question {
        terminal: terminal(),
        rule,
        at: Timestamp(START_MS + at_s * 1_000),
    };
    explain(eras, track, &question)
}

/// In at 36 km/h, over the boundary at second 10, and 60 s inside.
fn visit() -> Vec<Position> {
    let mut track = drive(0, (-200.0, 0.0), (0.0, 0.0), 36.0);
    track.extend(stand(20, 60, (0.0, 0.0)));
    track
}

fn zone(properties: &str) -> Catalog {
    let properties = format!(r#""kind":"keep_out"{properties}"#);
    catalog(&[circle("zone", &properties, 0.0, 0.0, 100.0)])
}

#[test]
fn inside_and_the_dwell_is_not_reached() {
    let why = ask(&zone(""), &visit(), "zone", 20);
    let [check] = &why.checks[..] else {
        panic!("{why:#?}")
    };
    assert_eq!((check.why_not, check.stage), (None, Stage::Pending));
    assert_eq!(check.side, Some("inside"));
    assert_eq!(check.needed_ms, Some(20_000));
    let observed_ms = check.observed_ms.unwrap();
    assert!((9_000..12_000).contains(&observed_ms), "{observed_ms}");
    assert!((seconds(check.since.unwrap()) - 10.0).abs() <= 1.0);
    assert_eq!(check.thresholds["boundary_margin_m"], 4.0);
    assert_eq!(check.violation, None);
    assert!(
        check.sentence.starts_with("Observed inside for"),
        "{}",
        check.sentence
    );
    assert!(
        check.sentence_zh.starts_with("在边界内已 ")
            && check.sentence_zh.ends_with("秒；满 20 秒即构成违规。"),
        "{}",
        check.sentence_zh
    );
    assert_eq!(why.fixes.len(), 20);
    let last = why.fixes.last().unwrap();
    assert_eq!((last.fate, last.is_behind_gap), (Fate::Counted, false));
    assert!((last.distance_m.unwrap() - 100.0).abs() < 2.0, "{last:?}");
    assert_eq!(why.heard.last_at.map(seconds), Some(20.0));
    assert_eq!((why.form, why.rule.version), ("fence", 1));
    assert_eq!(why.vehicle.as_deref(), Some("V1"));
}

#[test]
fn what_is_open_is_the_violation_that_is_told() {
    let (town, track) = (town(), visit());
    let why = ask(&town, &track, "zone", 40);
    assert_eq!(why.checks[0].stage, Stage::Open, "{why:#?}");
    let (evaluator, _) = judged(&town, &track);
    let told = evaluator.violations(&terminal());
    let open = why.checks[0].violation.as_ref().unwrap();
    assert_eq!(open.id, told[0].id);
    assert!(
        why.sentence.contains("began 30 s before"),
        "{}",
        why.sentence
    );
    assert_eq!(why.sentence_zh, "违规正在进行：开始于此刻之前 30 秒。");
}

#[test]
fn what_has_ended_is_there_too() {
    let mut track = visit();
    track.extend(drive(80, (0.0, 0.0), (-400.0, 0.0), 36.0));
    let why = ask(&zone(""), &track, "zone", 115);
    assert_eq!(
        (why.checks[0].stage, why.checks[0].side),
        (Stage::Quiet, Some("outside"))
    );
    assert_eq!(why.violations.len(), 1);
    assert!((seconds(why.violations[0].ended_at.unwrap()) - 90.0).abs() < 2.0);
    assert!(
        why.sentence.contains("nothing is wrong"),
        "{}",
        why.sentence
    );
}

#[test]
fn outside_the_hours_of_the_fence() {
    let windows = r#","windows":[{"from":"22:00","to":"23:00"}]"#;
    let why = ask(&zone(windows), &visit(), "zone", 60);
    let check = &why.checks[0];
    assert_eq!(check.why_not, Some(WhyNot::OutsideHours));
    assert_eq!((check.side, why.window), (Some("inside"), None));
    assert_eq!(check.violation, None);
    assert!(
        check.sentence.contains("outside its windows"),
        "{}",
        check.sentence
    );
}

#[test]
fn found_inside_at_the_first_fix() {
    let why = ask(&zone(""), &stand(0, 300, (0.0, 0.0)), "zone", 200);
    let check = &why.checks[0];
    assert_eq!((check.why_not, check.stage), (None, Stage::NotArmed));
    assert_eq!((check.side, check.observed_ms), (Some("inside"), None));
    assert!(
        check.sentence.contains("was not seen to cross"),
        "{}",
        check.sentence
    );
}

#[test]
fn faster_than_the_limit_and_within_its_margin() {
    // 20 km/h and 5 km/h of margin; the vehicle itself may drive 60.
    let track = drive(0, (250.0, 0.0), (700.0, 0.0), 24.0);
    let why = ask(&town(), &track, "slow", 40);
    let check = &why.checks[0];
    assert_eq!(
        (check.why_not, check.stage),
        (None, Stage::Quiet),
        "{check:#?}"
    );
    assert_eq!(check.measured["median_kmh"], 24.0);
    assert_eq!(
        (
            check.thresholds["limit_kmh"],
            check.thresholds["threshold_kmh"]
        ),
        (20.0, 25.0)
    );
    assert!(
        check.sentence.contains("24 km/h, is not above 25 km/h"),
        "{}",
        check.sentence
    );
    // The limit of the vehicle is not the one that holds there.
    let own = ask(&town(), &track, "vehicle:V1", 40);
    assert_eq!(own.checks[0].why_not, Some(WhyNot::OtherRule));
    assert_eq!(own.checks[0].measured["limit_that_holds_kmh"], 20.0);
    // Too fast, and not for long enough.
    let fast = drive(0, (290.0, 0.0), (700.0, 0.0), 40.0);
    let pending = ask(&town(), &fast, "slow", 12);
    let check = &pending.checks[0];
    assert_eq!(
        (check.stage, check.needed_ms),
        (Stage::Pending, Some(10_000))
    );
    assert!(
        (1..10_000).contains(&check.observed_ms.unwrap()),
        "{check:#?}"
    );
}

#[test]
fn in_a_gap_clocks_stand_still() {
    let mut track = visit();
    track.truncate(18);
    track.extend(stand(900, 5, (0.0, 0.0)));
    let why = ask(&zone(""), &track, "zone", 600);
    let check = &why.checks[0];
    assert_eq!(check.why_not, Some(WhyNot::Unjudged(Unjudged::Unobserved)));
    assert_eq!((check.stage, check.side), (Stage::Pending, Some("inside")));
    assert!(check.observed_ms.unwrap() < 20_000, "{check:#?}");
    assert!(
        check
            .sentence
            .starts_with("Nothing usable was received for 9 min"),
        "{}",
        check.sentence
    );
    let behind = ask(&zone(""), &track, "zone", 902);
    let gaps: Vec<f64> = behind
        .fixes
        .iter()
        .filter(|fix| fix.is_behind_gap)
        .map(|fix| seconds(fix.fixed_at))
        .collect();
    assert_eq!(gaps, [900.0]);
}

#[test]
fn whoever_is_not_concerned() {
    let others = r#","applies_to":{"work_kinds":["inspector"]}"#;
    let why = ask(&zone(others), &visit(), "zone", 60);
    let check = &why.checks[0];
    assert_eq!(check.why_not, Some(WhyNot::NotConcerned));
    assert_eq!((check.stage, check.side), (Stage::Quiet, None));
    assert_eq!(check.sentence, "The fence does not concern vehicle V1.");
    assert_eq!(check.sentence_zh, "围栏不适用于车辆 V1。");
    assert_eq!(why.sentence_zh, check.sentence_zh);
    // The distances are there all the same.
    assert!(why.fixes.last().unwrap().distance_m.unwrap() > 90.0);
}

#[test]
fn suspects_are_shown_and_do_not_count() {
    let mut track = drive(0, (-300.0, 0.0), (-250.0, 0.0), 36.0);
    track.push(position(5_000, 0.0, 0.0, 36.0));
    track.extend(drive(6, (-245.0, 0.0), (-150.0, 0.0), 36.0));
    let why = ask(&zone(""), &track, "zone", 12);
    let fates: Vec<Fate> = why.fixes.iter().map(|fix| fix.fate).collect();
    let dropped = fates.iter().filter(|fate| **fate == Fate::Dropped).count();
    assert_eq!(
        (dropped, fates[5], why.heard.dropped),
        (1, Fate::Dropped, 1)
    );
    assert_eq!(why.checks[0].side, Some("outside"));
    let now = ask(&zone(""), &track, "zone", 5);
    assert_eq!(now.fixes.last().unwrap().fate, Fate::Suspect);
}

#[test]
fn a_fence_that_is_newer_than_the_moment_or_than_the_entry() {
    let (before, after) = (catalog(&[]), zone(""));
    let eras = |from_s: i64| {
        let from = Timestamp(START_MS + from_s * 1_000);
        [
            Era {
                from: Timestamp(0),
                catalog: &before,
            },
            Era {
                from,
                catalog: &after,
            },
        ]
    };
    assert_eq!(
        ask_eras(&eras(50), &visit(), "zone", 40),
        None,
        "no such rule yet"
    );
    let why = ask_eras(&eras(50), &visit(), "zone", 75).unwrap();
    assert_eq!(why.in_force_since.map(seconds), Some(50.0));
    assert_eq!(why.checks[0].stage, Stage::NotArmed, "{why:#?}");
    assert_eq!(
        ask(&after, &visit(), "zone", 75).checks[0].stage,
        Stage::Open
    );
}

#[test]
fn nothing_was_ever_received() {
    let why = ask(&zone(""), &[], "zone", 60);
    assert_eq!(
        why.checks[0].why_not,
        Some(WhyNot::Unjudged(Unjudged::NeverHeard))
    );
    assert_eq!(why.heard.fixes, 0);
}

#[test]
fn a_rule_of_work_has_its_clock() {
    let rules = r#"{"rules":[{"id":"stop","name":"stop","kind":"long_stop","stop_s":300}]}"#;
    let sources = CatalogSources {
        work_rules: Some(("rules".to_owned(), rules.to_owned())),
        ..CatalogSources::default()
    };
    let catalog = Catalog::load(&sources).unwrap();
    let mut track = drive(0, (0.0, 0.0), (200.0, 0.0), 36.0);
    track.extend(stand(20, 400, (200.0, 0.0)));
    let why = ask(&catalog, &track, "stop", 140);
    let check = &why.checks[0];
    assert_eq!(
        (check.stage, check.needed_ms),
        (Stage::Pending, Some(300_000))
    );
    assert!(
        (110_000..=121_000).contains(&check.observed_ms.unwrap()),
        "{check:#?}"
    );
    assert_eq!(
        ask(&catalog, &track, "stop", 400).checks[0].stage,
        Stage::Open
    );
}

#[test]
fn every_violation_of_a_noisy_day_is_explained_at_the_moment_when_it_was_sure() {
    let town = town();
    let mut explained = 0;
    for seed in 0..8 {
        let track = noisy(seed, 1_000);
        let (evaluator, _) = judged(&town, &track);
        for violation in evaluator.violations(&terminal()) {
            let question = Question {
                terminal: terminal(),
                rule: &violation.rule.id,
                at: violation.confirmed_at,
            };
            let era = Era {
                from: Timestamp(0),
                catalog: &town,
            };
            let why = explain(&[era], &track, &question).unwrap();
            let open = why.checks[0].violation.as_ref().map(|open| open.id);
            assert_eq!(open, Some(violation.id), "{violation:#?}\n{why:#?}");
            explained += 1;
        }
    }
    assert!(explained > 10, "{explained}");
}

#[test]
fn the_band_of_a_job_and_an_alarm_have_their_thresholds() {
    let rules = r#"{"rules":[
        {"id":"band","name":"band","kind":"work_speed","speed_kmh":8,"unknown":"working"},
        {"id":"alarms","name":"alarms","kind":"terminal_alarms","alarms":{"8":60}}]}"#;
    let sources = CatalogSources {
        work_rules: Some(("rules".to_owned(), rules.to_owned())),
        ..CatalogSources::default()
    };
    let catalog = Catalog::load(&sources).unwrap();
    let mut track = drive(0, (0.0, 0.0), (400.0, 0.0), 18.0);
    for position in &mut track {
        position.alarm_flags = 1 << 8;
    }
    let why = ask(&catalog, &track, "band", 10);
    let check = &why.checks[0];
    assert_eq!(
        (check.why_not, check.stage),
        (None, Stage::Pending),
        "{check:#?}"
    );
    assert_eq!(
        (check.observed_ms, check.needed_ms),
        (Some(10_000), Some(20_000))
    );
    assert_eq!(
        (
            check.measured["median_kmh"],
            check.thresholds["threshold_kmh"]
        ),
        (18.0, 9.0)
    );
    let why = ask(&catalog, &track, "alarms/power_lost", 30);
    let check = &why.checks[0];
    assert_eq!(
        (check.observed_ms, check.needed_ms),
        (Some(30_000), Some(60_000)),
        "{check:#?}"
    );
    assert_eq!(check.measured["alarm_bit"], 8.0);
}
