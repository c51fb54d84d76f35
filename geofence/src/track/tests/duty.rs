//! Duty: who should be where and when. Scenes are days of one person on a street of ten unit grids
//! of 100 m, of which the first five are his:
//!
//! ```text
//!   x =  0    100   200   300   400   500                        1000 m
//!        │ g1 │ g2  │ g3  │ g4  │ g5  │  not his                 │
//!        └────────── duty area ───────┘
//! ```

use super::*;

mod awaited;
mod explain;
pub(super) mod orders;
mod shifts;

/// Monday 2026-01-05 00:00 at local time.
const MIDNIGHT_MS: i64 = START_MS - 9 * 3_600_000;
const SHIFTS: &str = "shift,name,days,from,to,break_from,break_to,break_min,checks";

pub(super) fn grids() -> String {
    let feature = |index: i32| {
        let west = f64::from(index) * 100.0;
        let ring = [
            (0.0, -50.0),
            (100.0, -50.0),
            (100.0, 50.0),
            (0.0, 50.0),
            (0.0, -50.0),
        ];
        let ring: Vec<String> = ring.map(|(x, y)| lon_lat(west + x, y)).to_vec();
        format!(
            r#"{{"type":"Feature","properties":{{"code":"140105001001{:03}"}},
                "geometry":{{"type":"Polygon","coordinates":[[{}]]}}}}"#,
            index + 1,
            ring.join(",")
        )
    };
    (0..10).map(feature).collect::<Vec<_>>().join(",")
}

/// One inspector on a shift like `workdays,08:00,17:00,,,,silence`: days, hours, break, checks.
fn city(shift: &str) -> Catalog {
    catalog_of(&format!("{SHIFTS}\nA,,{shift}\n"), "I1,A,R1,,")
}

fn catalog_of(shifts: &str, assignments: &str) -> Catalog {
    let collection =
        |features: &str| format!(r#"{{"type":"FeatureCollection","features":[{features}]}}"#);
    let area = r#"{"type":"Feature","properties":{"id":"R1","unit_grids":["140105001001001",
        "140105001001002","140105001001003","140105001001004","140105001001005"]},"geometry":null}"#;
    let depot = circle("depot", r#""kind":"site""#, 2_000.0, 0.0, 100.0);
    let text = |file: &str, text: String| Some((file.to_owned(), text));
    let sources = CatalogSources {
        unit_grids: text("grids", collection(&grids())),
        fences: text("fences", collection(&depot)),
        vehicles: text(
            "vehicles",
            "vehicle,phone,work_kind\nI1,13800000001,inspector\n".to_owned(),
        ),
        shifts: text("shifts", shifts.to_owned()),
        responsibility_grids: text("areas", collection(area)),
        assignments: text(
            "assignments",
            format!("vehicle,shift,duty_area,from,to\n{assignments}\n"),
        ),
        ..CatalogSources::default()
    };
    Catalog::load(&sources).unwrap()
}

/// `08:30`, `08:30:15`, or `2 08:30`: two days later.
fn ms(time: &str) -> i64 {
    let (day, time) = time.split_once(' ').unwrap_or(("0", time));
    let parts: Vec<i64> = time.split(':').map(|part| part.parse().unwrap()).collect();
    let seconds = parts[0] * 3_600 + parts[1] * 60 + parts.get(2).unwrap_or(&0);
    (day.parse::<i64>().unwrap() * 86_400 + seconds) * 1_000
}

/// The way of the person: a fix every ten seconds.
struct Day {
    fixes: Vec<Position>,
    now: i64,
    at: f64,
}

impl Day {
    const EVERY_MS: i64 = 10_000;

    fn begins(time: &str, at: f64) -> Self {
        Self {
            fixes: Vec::new(),
            now: ms(time),
            at,
        }
    }

    fn fix(&mut self, kmh: f64) {
        let at_ms = self.now + MIDNIGHT_MS - START_MS;
        self.fixes.push(position(at_ms, self.at, 0.0, kmh));
        self.now += Self::EVERY_MS;
    }

    fn stays(mut self, until: &str) -> Self {
        while self.now < ms(until) {
            self.fix(0.0);
        }
        self
    }

    /// Goes along the street.
    fn goes(mut self, to: f64, kmh: f64) -> Self {
        let step = kmh / 3.6 * 10.0;
        while (to - self.at).abs() > step {
            self.fix(kmh);
            self.at += step * (to - self.at).signum();
        }
        self.at = to;
        self
    }

    /// Nothing is received until then.
    fn silent(mut self, until: &str) -> Self {
        self.now = ms(until);
        self
    }
}

fn clock(at: Timestamp) -> String {
    let minutes = (at.0 - MIDNIGHT_MS).div_euclid(60_000);
    let (day, minutes) = (minutes.div_euclid(1_440), minutes.rem_euclid(1_440));
    let day = if day == 0 {
        String::new()
    } else {
        format!("{day} ")
    };
    format!("{day}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// `kind: from, sure at, to, worst`, by onset.
fn told(violations: &[Violation]) -> Vec<String> {
    let line = |v: &Violation| {
        let ended = v.ended_at.map_or_else(|| "open".to_owned(), clock);
        format!(
            "{}: {}, {}, {ended}, {:.0} {}",
            v.kind.as_str(),
            clock(v.started_at),
            clock(v.confirmed_at),
            v.worst,
            v.kind.worst_unit()
        )
    };
    violations.iter().map(line).collect()
}

fn found(catalog: &Catalog, day: Day) -> Vec<Violation> {
    judged(catalog, &day.fixes).0.violations(&terminal())
}

#[track_caller]
fn expect(shift: &str, day: Day, expected: &[&str]) -> Vec<Violation> {
    let violations = found(&city(shift), day);
    assert_eq!(told(&violations), expected);
    violations
}

const OFF_POST: &str = "daily,08:00,17:00,,,,off_post";
const WITH_BREAK: &str = "daily,08:00,17:00,12:00,14:00,60,off_post";

#[test]
fn ten_minutes_outside_the_area_are_off_post_until_the_return() {
    let day = Day::begins("08:00", 250.0)
        .stays("09:00")
        .goes(800.0, 5.0)
        .stays("09:30")
        .goes(250.0, 5.0)
        .stays("17:30");
    // 280 m to the margin of the area at 5 km/h are 3 min 22 s.
    let violations = expect(OFF_POST, day, &["off_post: 09:03, 09:13, 09:33, 300 m"]);
    let v = &violations[0];
    assert_eq!(
        (v.rule.id.as_str(), v.vehicle.as_deref()),
        ("A/R1", Some("I1"))
    );
    assert_eq!(v.evidence.thresholds["off_post_s"], 600.0);
    assert_eq!(v.evidence.thresholds["post_margin_m"], 30.0);
    assert_eq!(v.evidence.measured["break_used_min"], 0.0);
    assert!(v.evidence.fixes.is_sorted_by_key(|fix| fix.fixed_at));
    assert!(
        v.evidence
            .fixes
            .iter()
            .any(|fix| fix.distance_m.is_some_and(|m| (m + 300.0).abs() < 0.1))
    );
    assert_eq!(v.unit_grid.as_deref(), Some("140105001001006"));
}

#[test]
fn the_far_kerb_is_no_absence_and_nine_minutes_are_none() {
    let beside = Day::begins("08:00", 250.0).goes(525.0, 5.0).stays("17:00");
    expect(OFF_POST, beside, &[]);
    let short = Day::begins("08:00", 250.0)
        .stays("09:00")
        .goes(800.0, 15.0)
        .stays("09:08")
        .goes(250.0, 15.0)
        .stays("17:00");
    expect(OFF_POST, short, &[]);
}

#[test]
fn a_short_return_does_not_end_an_absence_and_a_long_one_does() {
    // Away from 9:00 on, back for 40 s at 9:08, away again.
    let away = |back: &str, then: &str| {
        Day::begins("08:00", 480.0)
            .stays("09:00")
            .goes(800.0, 20.0)
            .stays("09:06")
            .goes(500.0, 20.0)
            .stays(back)
            .goes(800.0, 20.0)
            .stays(then)
            .goes(400.0, 20.0)
            .stays("17:00")
    };
    let short = found(&city(OFF_POST), away("09:07:20", "09:14"));
    assert_eq!(told(&short), ["off_post: 09:00, 09:10, 09:14, 300 m"]);
    expect(OFF_POST, away("09:09", "09:16"), &[]);
}

#[test]
fn no_data_is_never_off_post() {
    // Seen outside for 6 minutes, two hours of nothing, seen outside for 3 minutes.
    let day = Day::begins("08:00", 250.0)
        .stays("09:00")
        .goes(800.0, 20.0)
        .stays("09:06")
        .silent("11:00")
        .stays("11:03")
        .goes(250.0, 20.0)
        .stays("17:00");
    expect(OFF_POST, day, &[]);
    let home = Day::begins("08:00", 250.0)
        .stays("09:00")
        .silent("18:00")
        .stays("18:01");
    expect(OFF_POST, home, &[]);
}

#[test]
fn the_break_covers_its_budget_of_absence_and_not_more() {
    let lunch = |back: &str| {
        Day::begins("08:00", 480.0)
            .stays("12:10")
            .goes(800.0, 20.0)
            .stays(back)
            .goes(400.0, 20.0)
            .stays("17:00")
    };
    expect(WITH_BREAK, lunch("13:15"), &[]);
    // Gone since 12:10; the hour is used up at 13:10.
    let long = expect(
        WITH_BREAK,
        lunch("13:40"),
        &["off_post: 13:10, 13:20, 13:40, 300 m"],
    );
    assert_eq!(long[0].evidence.measured["break_used_min"], 60.0);
    // Before the break nothing covers him, and an absence goes on through it.
    let early = Day::begins("08:00", 480.0)
        .stays("11:55")
        .goes(800.0, 20.0)
        .stays("13:06")
        .goes(400.0, 20.0)
        .stays("17:00");
    expect(WITH_BREAK, early, &["off_post: 11:55, 13:05, 13:06, 300 m"]);
}

#[test]
fn off_post_ends_with_the_shift_and_off_shift_nobody_is() {
    let day = Day::begins("07:00", 800.0)
        .stays("07:50")
        .goes(480.0, 20.0)
        .stays("16:00")
        .goes(800.0, 20.0)
        .stays("19:00");
    expect(OFF_POST, day, &["off_post: 16:00, 16:10, 17:00, 300 m"]);
}

/// Mondays only, so that no other day is silent.
const SILENCE: &str = "mon,08:00,17:00,,,,silence";

#[test]
fn silence_is_ten_minutes_without_a_fix_on_shift_until_the_next_one() {
    let day = Day::begins("07:30", 250.0)
        .stays("09:00")
        .silent("09:09:45")
        .stays("10:00")
        .silent("11:30")
        .stays("16:55")
        .silent("18:30")
        .stays("18:31");
    let violations = expect(SILENCE, day, &["silence: 09:59, 10:09, 11:30, 90 min"]);
    assert_eq!(violations[0].evidence.thresholds["silence_s"], 600.0);
    assert_eq!(violations[0].evidence.fixes.len(), 2);
}

#[test]
fn silence_opens_by_the_clock_without_another_message_and_ends_with_the_shift() {
    let catalog = city("daily,08:00,17:00,,,,silence");
    let day = Day::begins("07:30", 250.0).stays("07:40");
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    assert_eq!(evaluator.observe_batch(&catalog, &day.fixes), []);
    let at = |time: &str| Timestamp(MIDNIGHT_MS + ms(time));
    assert_eq!(
        evaluator.tick(&catalog, at("08:10:04")),
        [],
        "it may be on its way"
    );
    let opened = evaluator.tick(&catalog, at("08:10:05"));
    assert!(
        matches!(&*opened, [Finding::Opened(v)] if clock(v.started_at) == "08:00"),
        "{opened:#?}"
    );
    assert_eq!(evaluator.tick(&catalog, at("16:59")), []);
    let ended = evaluator.tick(&catalog, at("17:01"));
    assert!(matches!(&*ended, [Finding::Updated(_)]), "{ended:#?}");
    // The next morning is silent too: that is another one.
    evaluator.tick(&catalog, at("1 09:00"));
    assert_eq!(
        told(&evaluator.violations(&terminal())),
        [
            "silence: 08:00, 08:10, 17:00, 540 min",
            "silence: 1 08:00, 1 08:10, open, 10 min"
        ]
    );
}

#[test]
fn who_speaks_without_a_place_is_not_silent_and_not_absent() {
    let catalog = city("mon,08:00,17:00,,,,silence off_post late_start");
    let mut day = Day::begins("07:30", 250.0).stays("09:00");
    let seen = day.fixes.len();
    day.at = 800.0;
    day = day.stays("11:00");
    for fix in &mut day.fixes[seen..] {
        fix.is_positioned = false;
    }
    let day = day.silent("11:20").stays("11:21");
    let violations = found(&catalog, day);
    assert_eq!(
        told(&violations),
        [
            "silence: 10:59, 11:09, 11:20, 20 min",
            "silence: 11:20, 11:30, 17:00, 339 min"
        ]
    );
}

#[test]
fn a_backlog_withdraws_the_silence_that_it_fills() {
    let catalog = city(SILENCE);
    let mut day = Day::begins("07:30", 250.0).stays("10:00").fixes;
    let backlog = day.split_off(300);
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    evaluator.observe_batch(&catalog, &day);
    let now = Timestamp(MIDNIGHT_MS + ms("10:00"));
    assert!(matches!(
        &*evaluator.tick(&catalog, now),
        [Finding::Opened(_)]
    ));
    let late: Vec<Position> = backlog
        .into_iter()
        .map(|fix| Position {
            received_at: now.plus_millis(1_000),
            ..fix
        })
        .collect();
    evaluator.observe_batch(&catalog, &late);
    let settled = evaluator.tick(&catalog, now.plus_millis(60_000));
    assert!(
        matches!(&*settled, [Finding::Withdrawn(..)]),
        "{settled:#?}"
    );
    assert_eq!(evaluator.violations(&terminal()), []);
}

#[test]
fn a_backlog_that_comes_in_order_opens_nothing_on_its_way() {
    // The whole shift comes at once, an hour behind its end.
    let catalog = catalog_of(&format!("{SHIFTS}\nA,,mon,08:00,17:00,,,,\n"), "I1,A,R1,,");
    let mut day = Day::begins("07:50", 10.0).stays("12:00");
    day = day.goes(480.0, 4.0).stays("17:10");
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let mut findings = Vec::new();
    let now = MIDNIGHT_MS + ms("18:00");
    for (index, fix) in (0..).zip(&day.fixes) {
        let received_at = Timestamp(now + index / 20 * 1_000);
        let fix = Position {
            received_at,
            ..fix.clone()
        };
        findings.extend(evaluator.observe_batch(&catalog, &[fix]));
        findings.extend(evaluator.tick(&catalog, received_at));
    }
    findings.extend(evaluator.tick(&catalog, Timestamp(now + 6 * 3_600_000)));
    assert_eq!(findings, []);
}

const HOURS: &str = "daily,08:00,17:00,,,,outside_hours";

#[test]
fn moving_outside_the_hours_is_work_until_the_vehicle_has_stood_for_ten_minutes() {
    let day = Day::begins("16:30", 0.0)
        .goes(800.0, 10.0)
        .stays("18:00")
        .goes(0.0, 10.0)
        .stays("18:10")
        .goes(300.0, 10.0)
        .stays("20:00");
    // 800 m at 10 km/h, a stop of five minutes, 300 m.
    let violations = expect(HOURS, day, &["outside_hours: 18:00, 18:01, 18:11, 1100 m"]);
    assert_eq!(violations[0].rule.id, "hours:I1");
    assert!(violations[0].evidence.measured["motion_s"] > 300.0);
}

#[test]
fn a_short_way_outside_the_hours_is_no_work_and_neither_is_one_in_the_depot() {
    let short = Day::begins("17:30", 0.0)
        .stays("18:00")
        .goes(200.0, 10.0)
        .stays("19:00")
        .goes(0.0, 10.0)
        .stays("20:00");
    expect(HOURS, short, &[]);
    let mut depot = Day::begins("17:30", 1_930.0);
    for _ in 0..10 {
        depot = depot.goes(2_070.0, 10.0).goes(1_930.0, 10.0);
    }
    expect(HOURS, depot, &[]);
}

#[test]
fn work_outside_the_hours_ends_where_the_hours_begin_and_a_gap_is_no_motion() {
    let day = Day::begins("07:50", 0.0).goes(2_000.0, 10.0).stays("09:00");
    expect(HOURS, day, &["outside_hours: 07:50, 07:51, 07:59, 1639 m"]);
    let gap = Day::begins("18:00", 0.0).stays("18:10");
    let mut gap = gap.silent("19:00");
    gap.at = 1_500.0;
    expect(HOURS, gap.stays("19:30"), &[]);
}
