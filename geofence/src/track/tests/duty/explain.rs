//! Why a check of a shift has found something, or why not.

use super::*;
use crate::track::explain::{Era, Explanation, Question, Stage, WhyNot, explain, needed_from};

#[test]
fn a_shift_is_explained_by_its_area_and_clocks() {
    let city = city("workdays,08:00,17:00,,,,");
    // At the post from 07:55 on, away from 09:00 on.
    let day = Day::begins("07:55", 250.0).stays("09:00").goes(900.0, 36.0);
    let track = day.stays("09:05").fixes;
    let at = |time: &str| Timestamp(MIDNIGHT_MS + ms(time));
    let question = |rule, time| Question {
        terminal: terminal(),
        rule,
        at: at(time),
    };
    let ask = |rule, time| -> Explanation {
        let era = Era {
            from: Timestamp(0),
            catalog: &city,
        };
        explain(&[era], &track, &question(rule, time)).unwrap()
    };
    let of = |why: &Explanation, kind| why.checks.iter().find(|c| c.kind == kind).unwrap().clone();
    let away = ask("A/R1", "09:05");
    let off_post = of(&away, ViolationKind::OffPost);
    assert_eq!(
        (off_post.why_not, off_post.stage),
        (None, Stage::Pending),
        "{away:#?}"
    );
    assert_eq!(
        (off_post.side, off_post.needed_ms),
        (Some("outside"), Some(600_000))
    );
    assert!((150_000..300_000).contains(&off_post.observed_ms.unwrap()));
    assert!((off_post.measured["distance_m"] + 400.0).abs() < 2.0);
    assert_eq!(away.window, Some((at("08:00"), at("17:00"))));
    let patrol = of(&away, ViolationKind::PatrolCoverage);
    assert_eq!(patrol.why_not.map(WhyNot::reason), Some("at_the_end"));
    assert_eq!(patrol.measured["unit_grids"], 5.0);
    let late = of(&away, ViolationKind::LateStart);
    assert_eq!(
        (late.stage, late.measured["was_there"]),
        (Stage::Quiet, 1.0)
    );
    let before = ask("A", "07:58");
    assert_eq!(
        before.checks[0].why_not.map(WhyNot::reason),
        Some("off_shift")
    );
    assert_eq!(
        ask("hours:I1", "09:05").checks[0]
            .why_not
            .map(WhyNot::reason),
        Some("on_shift")
    );
    let silent = ask("A", "09:30");
    assert_eq!(of(&silent, ViolationKind::Silence).stage, Stage::Open);
    assert_eq!(
        of(&silent, ViolationKind::OffPost)
            .why_not
            .map(WhyNot::reason),
        Some("unobserved")
    );
    // Fixes are needed from a little before the shift on.
    let from = needed_from(&city, &question("A/R1", "16:00")).unwrap();
    assert_eq!(from, at("07:50"));
}

#[test]
fn who_was_never_heard_is_explained_as_the_evaluation_has_it() {
    let city = city("workdays,08:00,17:00,,,,");
    let at = |time: &str| Timestamp(MIDNIGHT_MS + ms(time));
    let ask = |time| {
        let era = Era {
            from: Timestamp(i64::MIN),
            catalog: &city,
        };
        let question = Question {
            terminal: terminal(),
            rule: "A",
            at: at(time),
        };
        explain(&[era], &[], &question).unwrap()
    };
    let of = |why: &Explanation, kind| why.checks.iter().find(|c| c.kind == kind).unwrap().clone();
    let early = of(&ask("08:05"), ViolationKind::Silence);
    assert_eq!(
        (early.why_not, early.stage),
        (None, Stage::Quiet),
        "{early:#?}"
    );
    assert_eq!(
        (early.since, early.observed_ms, early.needed_ms),
        (Some(at("08:00")), Some(300_000), Some(600_000))
    );
    assert!(
        early.sentence.starts_with("No location report"),
        "{early:#?}"
    );
    let late = ask("09:00");
    let silence = of(&late, ViolationKind::Silence);
    assert_eq!((silence.why_not, silence.stage), (None, Stage::Open));
    assert_eq!(silence.violation.unwrap().started_at, at("08:00"));
    // Where he is nobody knows.
    let off_post = of(&late, ViolationKind::OffPost);
    let reason = off_post.why_not.map(WhyNot::reason);
    assert_eq!(
        (reason, off_post.stage),
        (Some("never_heard"), Stage::Quiet)
    );
    let before = of(&ask("07:55"), ViolationKind::Silence);
    assert_eq!(before.why_not.map(WhyNot::reason), Some("off_shift"));
}
