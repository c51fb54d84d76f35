//! Attendance and patrol coverage, what is not judged, and what is edited.

use super::*;

const ATTENDANCE: &str = "daily,08:00,17:00,,,,late_start early_end";

#[test]
fn seen_outside_for_a_quarter_of_an_hour_is_a_late_start() {
    let late = |there: &str| {
        Day::begins("07:30", 800.0)
            .stays(there)
            .goes(250.0, 20.0)
            .stays("17:30")
    };
    expect(ATTENDANCE, late("08:13"), &[]);
    expect(
        ATTENDANCE,
        late("08:29"),
        &["late_start: 08:00, 08:15, 08:29, 30 min"],
    );
    let never = Day::begins("07:30", 800.0).stays("17:30");
    expect(
        ATTENDANCE,
        never,
        &["late_start: 08:00, 08:15, 17:00, 540 min"],
    );
}

#[test]
fn who_is_not_seen_is_not_late_and_who_is_seen_only_later_has_his_own_quarter() {
    let day = Day::begins("07:30", 800.0)
        .stays("07:50")
        .silent("08:40")
        .stays("08:50")
        .goes(250.0, 20.0)
        .stays("17:30");
    expect(ATTENDANCE, day, &[]);
    let day = Day::begins("07:30", 800.0)
        .stays("07:50")
        .silent("08:40")
        .stays("09:00")
        .goes(250.0, 20.0)
        .stays("17:30");
    expect(
        ATTENDANCE,
        day,
        &["late_start: 08:00, 08:55, 09:00, 61 min"],
    );
}

#[test]
fn leaving_for_good_before_the_last_quarter_is_an_early_end() {
    let leaves = |time: &str| Day::begins("07:30", 400.0).stays(time).goes(800.0, 20.0);
    expect(ATTENDANCE, leaves("16:46").stays("17:30"), &[]);
    let early = expect(
        ATTENDANCE,
        leaves("16:30").stays("17:30"),
        &["early_end: 16:30, 17:00, 17:00, 30 min"],
    );
    assert!(early[0].evidence.measured["seen_outside_min"] > 29.0);
    // Back once more, or not seen near the end: nobody knows.
    let back = leaves("15:00")
        .stays("16:50")
        .goes(400.0, 20.0)
        .stays("17:30");
    expect(ATTENDANCE, back, &[]);
    expect(
        ATTENDANCE,
        leaves("15:00")
            .stays("15:30")
            .silent("18:00")
            .stays("18:01"),
        &[],
    );
}

const PATROL: &str = "daily,08:00,17:00,,,,patrol_coverage";

#[test]
fn grids_that_were_not_visited_are_named_at_the_end_of_the_grace() {
    // Slowly through the first three grids, never in the others.
    let mut day = Day::begins("08:00", 10.0);
    for _ in 0..20 {
        day = day.goes(290.0, 4.0).goes(10.0, 4.0);
    }
    let violations = expect(
        PATROL,
        day.stays("17:30"),
        &["patrol_coverage: 08:00, 17:15, 17:00, 60 %"],
    );
    let v = &violations[0];
    assert_eq!(
        v.evidence.unit_grids,
        ["140105001001004", "140105001001005"]
    );
    assert_eq!(v.unit_grid.as_deref(), Some("140105001001004"));
    assert_eq!(v.evidence.measured["visited"], 3.0);
    assert_eq!(v.evidence.measured["unobserved_s"], 10.0);
}

#[test]
fn passing_at_speed_is_no_visit_and_four_of_five_are_enough() {
    let fast = Day::begins("08:00", 10.0)
        .stays("09:00")
        .goes(480.0, 20.0)
        .stays("17:30");
    let violations = expect(
        PATROL,
        fast,
        &["patrol_coverage: 08:00, 17:15, 17:00, 40 %"],
    );
    assert_eq!(violations[0].evidence.unit_grids.len(), 3);
    let four = Day::begins("08:00", 10.0).goes(350.0, 4.0).stays("17:30");
    expect(PATROL, four, &[]);
}

#[test]
fn in_a_gap_grids_may_have_been_visited() {
    let gap = |until: &str| {
        Day::begins("08:00", 10.0)
            .stays("10:00")
            .silent(until)
            .stays("17:30")
    };
    // One of five was visited, three lack, and each needs a minute and a half.
    expect(
        PATROL,
        gap("10:04"),
        &["patrol_coverage: 08:00, 17:15, 17:00, 20 %"],
    );
    expect(PATROL, gap("10:06"), &[]);
}

#[test]
fn a_backlog_that_shows_the_visits_withdraws_the_coverage() {
    let catalog = city(PATROL);
    let mut fixes = Day::begins("08:00", 10.0)
        .stays("12:00")
        .goes(480.0, 4.0)
        .stays("17:30")
        .fixes;
    let walk =
        |fix: &Position| (ms("12:00")..ms("12:07")).contains(&(fix.fixed_at.0 - MIDNIGHT_MS));
    let backlog: Vec<Position> = fixes.iter().filter(|fix| walk(fix)).cloned().collect();
    fixes.retain(|fix| !walk(fix));
    // The gap is short: it hides four grids, one less than lack.
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    evaluator.observe_batch(&catalog, &fixes);
    let decided = evaluator.tick(&catalog, Timestamp(MIDNIGHT_MS + ms("17:20")));
    let told_now = told(&evaluator.violations(&terminal()));
    let received_at = Timestamp(MIDNIGHT_MS + ms("19:00"));
    let backlog: Vec<Position> = backlog
        .into_iter()
        .map(|fix| Position { received_at, ..fix })
        .collect();
    evaluator.observe_batch(&catalog, &backlog);
    let settled = evaluator.tick(&catalog, received_at.plus_millis(60_000));
    assert_eq!(told(&evaluator.violations(&terminal())), [] as [&str; 0]);
    assert_eq!(
        (decided.len(), settled.len()),
        (told_now.len(), told_now.len())
    );
}

/// Why each rule of duty is not judged, without those that are.
fn why(catalog: &Catalog, evaluator: &Evaluator, time: &str) -> Vec<String> {
    let at = Timestamp(MIDNIGHT_MS + ms(time));
    let all = evaluator.unjudged(catalog, &terminal(), at).into_iter();
    all.map(|(kind, why)| format!("{} {}", kind.as_str(), why.reason()))
        .collect()
}

#[test]
fn what_is_not_judged_says_why() {
    let catalog = city("daily,08:00,17:00,,,,");
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    assert!(why(&catalog, &evaluator, "09:00").contains(&"silence never_heard".to_owned()));
    evaluator.observe_batch(&catalog, &Day::begins("07:30", 250.0).stays("09:00").fixes);
    let at_the_end = ["early_end at_the_end", "patrol_coverage at_the_end"];
    let on = ["outside_hours on_shift", at_the_end[0], at_the_end[1]];
    assert_eq!(why(&catalog, &evaluator, "09:00"), on);
    let gap = why(&catalog, &evaluator, "09:30");
    let unobserved = ["late_start unobserved", "off_post unobserved"];
    assert!(
        unobserved.iter().all(|line| gap.iter().any(|g| g == line)),
        "{gap:?}"
    );
    assert!(
        !gap.iter().any(|line| line.starts_with("silence")),
        "{gap:?}"
    );
    let off = why(&catalog, &evaluator, "18:00");
    assert_eq!(
        off.iter()
            .filter(|line| line.ends_with("off_shift"))
            .count(),
        5,
        "{off:?}"
    );
    assert_eq!(off[0], "outside_hours unobserved");
    let strangers = town();
    assert!(
        why(&strangers, &evaluator, "09:00")
            .iter()
            .all(|line| line.ends_with("no_assignment"))
    );
    let nowhere = catalog_of(
        &format!("{SHIFTS}\nA,,daily,08:00,17:00,,,,off_post\n"),
        "I1,A,,,",
    );
    let all = why(&nowhere, &evaluator, "09:00");
    assert!(all.contains(&"off_post no_duty_area".to_owned()), "{all:?}");
    assert!(all.contains(&"silence not_asked".to_owned()), "{all:?}");
}

#[test]
fn an_assignment_that_is_new_judges_from_its_next_shift_on() {
    let catalog = city(OFF_POST);
    let none = catalog_of(&format!("{SHIFTS}\nA,,daily,08:00,17:00,,,,off_post\n"), "");
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let away = Day::begins("07:30", 800.0).stays("11:00").fixes;
    let (before, after) = away.split_at(600);
    assert_eq!(evaluator.observe_batch(&none, before), []);
    assert_eq!(evaluator.observe_batch(&catalog, after), []);
    assert!(why(&catalog, &evaluator, "11:00").contains(&"off_post too_new".to_owned()));
    let next = Day::begins("1 08:00", 800.0).stays("1 08:20").fixes;
    assert!(matches!(
        &*evaluator.observe_batch(&catalog, &next),
        [Finding::Opened(_)]
    ));
}

#[test]
fn an_edited_shift_ends_what_is_open_and_a_new_date_of_another_does_not() {
    let off_post = format!("{SHIFTS}\nA,,daily,08:00,17:00,,,,off_post\n");
    let first = catalog_of(&off_post, "I1,A,R1,,");
    let dated = catalog_of(&off_post, "I1,A,R1,,2026-03-01\nI1,A,R1,2026-03-02,");
    let longer = catalog_of(&off_post.replace("17:00", "18:00"), "I1,A,R1,,");
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let away = Day::begins("08:00", 800.0).stays("09:00").fixes;
    let (before, rest) = away.split_at(120);
    assert!(matches!(
        &*evaluator.observe_batch(&first, before),
        [Finding::Opened(_)]
    ));
    let (between, after) = rest.split_at(100);
    let more = evaluator.observe_batch(&dated, between);
    assert!(
        more.iter()
            .all(|f| matches!(f, Finding::Updated(v) if v.ended_at.is_none()))
    );
    let ended = evaluator.observe_batch(&longer, after);
    assert!(
        matches!(&*ended, [Finding::Updated(v)] if v.ended_at.is_some()),
        "{ended:#?}"
    );
    assert_eq!(
        evaluator.tick(&longer, Timestamp(MIDNIGHT_MS + ms("10:00"))),
        []
    );
}
