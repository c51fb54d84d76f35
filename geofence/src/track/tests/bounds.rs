//! What is kept of a vehicle has an end.

use super::*;

#[test]
fn a_vehicle_keeps_no_more_fixes_than_allowed() {
    let town = town();
    let options = EvaluatorOptions {
        fixes_max: 1_000,
        ..EvaluatorOptions::default()
    };
    let mut evaluator = Evaluator::new(options);
    evaluator.observe_batch(&town, &stand(0, 5_000, (400.0, 400.0)));
    let mut stored = std::collections::BTreeMap::new();
    for (key, bytes) in evaluator.take_dirty_snapshots() {
        if !bytes.is_empty() {
            stored.insert(key, bytes);
        }
    }
    assert!(stored.keys().filter(|key| key.contains("/chunk/")).count() <= 9);
    let early = Position {
        digest: 9,
        received_at: Timestamp(START_MS + 5_000_000),
        ..stand(10, 1, (0.0, 0.0))[0].clone()
    };
    evaluator.take_counts();
    evaluator.observe_batch(&town, &[early]);
    assert!(
        evaluator
            .take_counts()
            .skipped()
            .any(|skip| skip == ("late", 1))
    );
}
