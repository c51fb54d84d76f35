//! What the formats before the present one wrote is read, and goes on where it was: bytes that the
//! programs of then wrote (`fixtures/geofence/snapshot-N.txt`).

use std::collections::BTreeMap;

use super::{
    routes::{sweeping, works, works_with},
    *,
};

/// What was handed over stands among the keys.
const HANDED_OVER: &str = "handed_over";

/// The bytes by key.
pub(super) fn written(text: &str) -> BTreeMap<&str, Vec<u8>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let bytes = |hex: &str| -> Vec<u8> {
        let digits = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8);
        let digits: Vec<u8> = digits.collect();
        let pairs = digits.chunks(2);
        pairs.map(|pair| pair[0] << 4 | pair[1]).collect()
    };
    let entries = lines.map(|line| line.split_once(' ').unwrap());
    entries.map(|(key, hex)| (key, bytes(hex))).collect()
}

/// How the state of then reaches the program of now.
#[derive(Clone, Copy, Debug)]
enum Way {
    Snapshots,
    HandOver,
}

/// The vehicle of the seed was judged by the first catalog for so many fixes, by the second one up to the
/// cut, and there the bytes were written.
fn goes_on(text: &str, version: u8, (elder, edited): (&Catalog, usize), (seed, cut): (u64, usize)) {
    let newest = works();
    let track = sweeping(seed, 1_000);
    let mut rest = track[cut..].to_vec();
    // A late fix of the first chunk, so that its checkpoint is read as well.
    let late = &track[20];
    rest.push(Position {
        fixed_at: late.fixed_at.plus_millis(500),
        received_at: track.last().unwrap().received_at,
        digest: 7,
        ..late.clone()
    });
    let finish = |evaluator: &mut Evaluator| {
        evaluator.observe_batch(&newest, &rest);
        evaluator.tick(&newest, Timestamp(START_MS + 40 * 3_600_000));
        assert!(evaluator.take_counts().rerun > 0);
        evaluator.violations(&terminal())
    };
    let mut alone = Evaluator::new(EvaluatorOptions::default());
    alone.observe_batch(elder, &track[..edited]);
    alone.observe_batch(&newest, &track[edited..cut]);
    let going_on = |evaluator: &Evaluator| {
        let found = evaluator.violations(&terminal()).into_iter();
        let open = found.filter(|v| v.ended_at.is_none());
        open.map(|v| (v.kind, v.id)).collect::<Vec<_>>()
    };
    let open = going_on(&alone);
    assert!(open.len() >= 2, "{open:?}");
    let expected = finish(&mut alone);
    for way in [Way::Snapshots, Way::HandOver] {
        let written = written(text);
        assert!(written.values().all(|bytes| bytes[0] == version));
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        match way {
            Way::Snapshots => {
                let kept = written.iter().filter(|(key, _)| **key != HANDED_OVER);
                kept.for_each(|(_, bytes)| evaluator.restore(bytes).unwrap());
            }
            Way::HandOver => assert_eq!(evaluator.take_over(&written[HANDED_OVER]), Ok(7)),
        }
        assert_eq!(going_on(&evaluator), open, "{way:?}");
        for missing in evaluator.missing_catalogs() {
            assert!(
                [elder, &newest]
                    .iter()
                    .any(|catalog| evaluator.supply(missing.since, catalog)),
                "{way:?}: {missing:?}"
            );
        }
        assert_eq!(finish(&mut evaluator), expected, "{way:?}");
        // What was read is written as this program writes it.
        let again = evaluator.take_dirty_snapshots();
        let again = again.values().filter_map(|bytes| bytes.first());
        assert!(again.clone().count() > 3 && again.clone().all(|own| *own > version));
    }
}

#[test]
fn the_state_of_format_4_goes_on_where_it_was() {
    let text = include_str!("../../../../fixtures/geofence/snapshot-4.txt");
    goes_on(text, 4, (&works(), 100), (8, 380));
}

#[test]
fn the_state_of_format_5_goes_on_where_it_was_and_knows_the_elder_catalog() {
    let text = include_str!("../../../../fixtures/geofence/snapshot-5.txt");
    let elder = works_with(r#""coverage_grace_s":90"#);
    goes_on(text, 5, (&elder, 100), (8, 380));
}
