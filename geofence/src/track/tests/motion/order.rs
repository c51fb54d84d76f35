//! Tracks on which every rule is broken, in any order of arrival and with restarts.

use super::*;

/// All rules at once.
fn everything() -> Catalog {
    let load = r#""signals":[{"machine":"load","source":"status","bit":8},"#;
    let signals = SIGNALS.replace(r#""signals":["#, load);
    works(&format!(
        r#"{{"id":"stops","kind":"long_stop","stop_s":60}},
           {{"id":"idle","kind":"idling","stop_s":45}},{signals},
           {{"id":"band","kind":"work_speed","speed_kmh":15,"unknown":"working"}},
           {{"id":"tip","kind":"unloading","dwell_s":10}},
           {{"id":"alarms","kind":"terminal_alarms","alarms":{{"2":20,"26":5}}}},
           {{"id":"sweepers","kind":"speed_limit","speed_limit_kmh":25}}"#
    ))
}

/// A noisy track whose machines, ignition and alarms go on and off, with reports without a fix.
pub(in crate::track::tests) fn busy(seed: u64, seconds: usize) -> Vec<Position> {
    let mut random = Random(seed.wrapping_mul(77));
    let mut track = noisy(seed, seconds);
    let (mut alarms, mut signals, mut io, mut status) = (0, Some(0), Some(0), 3);
    let mut is_lost = false;
    for position in &mut track {
        if random.unit() < 0.02 {
            alarms = [0, 1, 1 << 8, 1 << 2 | 1 << 26][random.below(4)];
            signals = [None, Some(0), BRUSH, BRUSH][random.below(4)];
            io = [None, Some(0), Some(1 << 2)][random.below(3)];
            status = [2, 3, 3, 3][random.below(4)] | [0, 0x100, 0x300][random.below(3)];
            is_lost = random.unit() < 0.1;
        }
        position.alarm_flags = alarms;
        position.inputs.vehicle_signals = signals;
        position.inputs.io = io;
        position.status_flags = status;
        position.is_positioned = !is_lost;
    }
    track
}

#[test]
fn a_busy_track_breaks_every_rule() {
    let catalog = everything();
    let mut kinds: Vec<ViolationKind> = Vec::new();
    for seed in 0..6 {
        let (evaluator, _) = judged(&catalog, &busy(seed, 3_000));
        kinds.extend(evaluator.violations(&terminal()).iter().map(|v| v.kind));
    }
    for kind in [
        ViolationKind::Speeding,
        ViolationKind::LongStop,
        ViolationKind::Idling,
        ViolationKind::TooFastToClean,
        ViolationKind::Unloading,
        ViolationKind::TerminalAlarm,
    ] {
        let count = kinds.iter().filter(|found| **found == kind).count();
        assert!(count >= 3, "{kind:?}: {count}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_arrival_gives_the_same_stops_work_and_alarms(
        seed in 0..1_000_u64,
        order in proptest::collection::vec(any::<u64>(), 1..50),
        duplicates in proptest::collection::vec(any::<usize>(), 0..20),
        cut in 1..400_usize,
    ) {
        let catalog = everything();
        let track = busy(seed, 1_000);
        let (expected, _) = judged(&catalog, &track);
        let shuffled = arrived(track, &order, &duplicates);
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        for batch in shuffled.chunks(cut) {
            evaluator.observe_batch(&catalog, batch);
        }
        evaluator.tick(&catalog, Timestamp(START_MS + 40 * 3_600_000));
        prop_assert_eq!(stripped(&evaluator), stripped(&expected));
    }

    #[test]
    fn a_restart_in_the_middle_of_anything_changes_nothing(
        seed in 0..1_000_u64,
        order in proptest::collection::vec(any::<u64>(), 1..20),
        is_in_order: bool,
        restarts in proptest::collection::vec(1..1_000_usize, 1..6),
    ) {
        let catalog = everything();
        let track = busy(seed, 1_000);
        let positions = if is_in_order { track } else { arrived(track, &order, &[3, 5]) };
        let (undisturbed, expected) = judged(&catalog, &positions);
        let end = Timestamp(START_MS + 40 * 3_600_000);
        let (evaluator, findings) = restarted(&catalog, &positions, &restarts, positions.len(), end);
        prop_assert_eq!(findings, expected);
        prop_assert_eq!(
            evaluator.violations(&terminal()),
            undisturbed.violations(&terminal())
        );
    }
}
