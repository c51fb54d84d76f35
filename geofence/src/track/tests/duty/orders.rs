//! Duty under any order of arrival, in any batches, across restarts.

use std::collections::BTreeMap;

use super::{
    super::routes::{differences, known, told},
    *,
};

/// Two short shifts, one at the end of the other, with thresholds of seconds.
fn works() -> Catalog {
    let thresholds = "late_start_s,early_end_s,off_post_s,off_post_close_s,post_margin_m,\
                      patrol_stay_s,patrol_grace_s,silence_s,hours_m,hours_motion_s,hours_close_s";
    let shift = |id: &str, from: &str, to: &str, rest: &str| {
        format!("{id},daily,{from},{to},{rest},60,40,30,10,10,15,100,45,60,25,30")
    };
    let shifts = [
        shift("A", "09:03", "09:11", "09:06,09:08,1"),
        shift("B", "09:11", "09:17", ",,"),
    ];
    let head = "shift,days,from,to,break_from,break_to,break_min";
    catalog_of(
        &format!("{head},{thresholds}\n{}\n", shifts.join("\n")),
        "I1,A,R1,,\nI1,B,R1,,",
    )
}

/// Somebody who walks up and down the street, stays at places, and at times is not heard.
pub(in crate::track::tests) fn walking(seed: u64) -> Vec<Position> {
    let mut random = Random(seed);
    let (mut truth, mut is_heard) = (Vec::new(), Vec::new());
    let mut at = -50.0 + random.unit() * 600.0;
    while truth.len() < 1_400 {
        truth.extend(std::iter::repeat_n((at, 0.0, 0.0), random.below(60)));
        let to = -50.0 + random.unit() * 700.0;
        let mps = 1.0 + random.unit() * 5.0;
        let steps = (f64::abs(to - at) / mps).ceil().max(1.0);
        for step in 0..steps as usize {
            truth.push((at + (to - at) * step as f64 / steps, 0.0, mps));
        }
        at = to;
        is_heard.resize(truth.len(), true);
        if random.unit() < 0.12 {
            // Long enough for a gap, or only for silence.
            let seconds = 50 + random.below(150);
            truth.extend(std::iter::repeat_n((at, 0.0, 0.0), seconds));
            is_heard.resize(truth.len(), false);
        }
    }
    let fixes = received(&mut random, &truth, 4.0);
    let heard = fixes.into_iter().zip(is_heard);
    heard.filter_map(|(fix, is)| is.then_some(fix)).collect()
}

fn end() -> Timestamp {
    Timestamp(START_MS + 10 * 3_600_000)
}

fn judged_to_the_end(catalog: &Catalog, positions: &[Position]) -> (Evaluator, Vec<Finding>) {
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let mut findings = evaluator.observe_batch(catalog, positions);
    findings.extend(evaluator.tick(catalog, end()));
    (evaluator, findings)
}

/// So that the properties below are about something.
#[test]
fn the_tracks_of_these_tests_violate_every_rule_of_duty() {
    let works = works();
    let mut kinds = BTreeMap::new();
    for seed in 0..40 {
        let (evaluator, _) = judged_to_the_end(&works, &walking(seed));
        for violation in evaluator.violations(&terminal()) {
            *kinds.entry(violation.kind).or_insert(0) += 1;
        }
    }
    for kind in crate::checks::DutyChecks::KINDS {
        let is_there = kinds.get(&kind).is_some_and(|count| *count >= 3);
        assert!(is_there, "{kind:?}: {kinds:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_arrival_gives_the_same_duty(
        seed in 0..1_000_u64,
        order in proptest::collection::vec(any::<u64>(), 1..50),
        duplicates in proptest::collection::vec(any::<usize>(), 0..20),
        cut in 1..400_usize,
    ) {
        let works = works();
        let track = walking(seed);
        let (expected, _) = judged_to_the_end(&works, &track);
        let shuffled = arrived(track, &order, &duplicates);
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        let mut findings = Vec::new();
        for batch in shuffled.chunks(cut) {
            findings.extend(evaluator.observe_batch(&works, batch));
        }
        findings.extend(evaluator.tick(&works, end()));
        prop_assert_eq!(differences(&evaluator, &expected), [] as [String; 0]);
        prop_assert_eq!(told(findings)?, known(&evaluator));
    }

    /// A stretch of fixes comes when silences have opened, shifts have ended and verdicts are given.
    #[test]
    fn a_backlog_gives_the_same_duty(
        seed in 0..1_000_u64,
        from in 0..1_300_i64,
        length in 1..800_i64,
        delay in 1..3_000_i64,
        ticks in 0..20_i64,
    ) {
        let works = works();
        let track = walking(seed);
        let (expected, _) = judged_to_the_end(&works, &track);
        let mut positions = track;
        for position in &mut positions {
            let second = (position.fixed_at.0 - START_MS) / 1_000;
            if (from..from + length).contains(&second) {
                position.received_at = Timestamp(START_MS + (from + length + delay) * 1_000);
            }
        }
        positions.sort_by_key(|position| position.received_at);
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        let mut findings = Vec::new();
        let mut ticked = START_MS;
        for position in &positions {
            for tick in 1..=ticks {
                let at = ticked + (position.received_at.0 - ticked) * tick / (ticks + 1);
                findings.extend(evaluator.tick(&works, Timestamp(at)));
            }
            ticked = position.received_at.0;
            findings.extend(evaluator.observe_batch(&works, std::slice::from_ref(position)));
        }
        findings.extend(evaluator.tick(&works, end()));
        prop_assert_eq!(differences(&evaluator, &expected), [] as [String; 0]);
        prop_assert_eq!(told(findings)?, known(&evaluator));
    }

    #[test]
    fn a_restart_on_duty_changes_nothing(
        seed in 0..1_000_u64,
        order in proptest::collection::vec(any::<u64>(), 1..20),
        is_in_order: bool,
        restarts in proptest::collection::vec(1..1_300_usize, 1..4),
    ) {
        let works = works();
        let track = walking(seed);
        let positions = if is_in_order { track } else { arrived(track, &order, &[3, 5]) };
        let (undisturbed, expected) = judged_to_the_end(&works, &positions);
        // At the end as well: what is due by the clock only is found after a restart too.
        let restarts = [restarts, vec![positions.len() - 1]].concat();
        let (evaluator, findings) = restarted(&works, &positions, &restarts, 150, end());
        prop_assert_eq!(findings, expected);
        prop_assert_eq!(evaluator.violations(&terminal()), undisturbed.violations(&terminal()));
    }

    #[test]
    fn handing_somebody_on_duty_over_changes_nothing(
        seed in 0..1_000_u64,
        order in proptest::collection::vec(any::<u64>(), 1..20),
        is_in_order: bool,
        moves in proptest::collection::vec(0..1_300_usize, 1..4),
    ) {
        let works = works();
        let track = walking(seed);
        let positions = if is_in_order { track } else { arrived(track, &order, &[3, 5]) };
        handover::same_books(&works, &positions, &moves)?;
    }

    #[test]
    fn damaged_snapshots_of_duty_never_panic(
        cut in 0..3_000_usize,
        flips in proptest::collection::vec(any::<(usize, u8)>(), 1..4),
    ) {
        let works = works();
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        evaluator.observe_batch(&works, &walking(1)[..500]);
        for (_, mut bytes) in evaluator.take_dirty_snapshots() {
            for (place, flip) in &flips {
                let index = place % bytes.len();
                bytes[index] ^= flip;
            }
            bytes.truncate(cut.max(1));
            _ = Evaluator::new(EvaluatorOptions::default()).restore(&bytes);
        }
    }
}
