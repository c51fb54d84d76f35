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
    let history = &evaluator.tracks[&terminal()].history;
    let kept: usize = history.chunks.iter().map(|chunk| chunk.count).sum();
    let kept = (kept + history.tail.len()) as u64;
    let counts = evaluator.take_counts();
    assert_eq!(
        (counts.shed_by_count, counts.shed_by_bytes),
        (5_000 - kept, 0)
    );
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

#[test]
fn a_backlog_that_comes_newest_first_is_judged_a_few_times_and_ends_the_same() {
    let town = town();
    let track = noisy(7, 3_000);
    let (expected, _) = judged(&town, &track);
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let (late, live) = track.split_at(2_900);
    evaluator.observe_batch(&town, live);
    let mut clock = live[live.len() - 1].received_at;
    for batch in late.chunks(20).rev() {
        clock = clock.plus_millis(500);
        let mut batch = batch.to_vec();
        for position in &mut batch {
            position.received_at = clock;
        }
        evaluator.observe_batch(&town, &batch);
    }
    let end = Timestamp(START_MS + 40 * 3_600_000);
    evaluator.tick(&town, end);
    // 73 s of backlog: behind 2, 4, 8, 16 and 30 s, and once behind its end.
    let rerun = evaluator.take_counts().rerun;
    assert!((4..=6).contains(&rerun), "{rerun}");
    assert!(stripped(&expected).len() > 3);
    assert_eq!(stripped(&evaluator), stripped(&expected));
    // Behind a quiet time the next late fix waits no longer than the first did.
    let later = end.plus_millis(1_000);
    let mut fix = late[5].clone();
    (fix.digest, fix.received_at) = (fix.digest ^ 1, later);
    evaluator.observe_batch(&town, &[fix]);
    evaluator.tick(&town, later.plus_millis(2_000));
    assert_eq!(evaluator.take_counts().rerun, 1);
}

#[test]
fn a_backlog_alone_keeps_no_more_fixes_than_allowed() {
    let town = town();
    let options = EvaluatorOptions {
        fixes_max: 1_000,
        ..EvaluatorOptions::default()
    };
    let mut evaluator = Evaluator::new(options);
    let track = stand(0, 6_000, (400.0, 400.0));
    let mut clock = track[5_999].received_at;
    evaluator.observe_batch(&town, &track[5_999..]);
    for batch in track[..5_999].chunks(500).rev() {
        clock = clock.plus_millis(60_000);
        let mut batch = batch.to_vec();
        for position in &mut batch {
            position.received_at = clock;
        }
        evaluator.observe_batch(&town, &batch);
        evaluator.tick(&town, clock.plus_millis(59_000));
    }
    let history = &evaluator.tracks[&terminal()].history;
    let chunks: usize = history.chunks.iter().map(|chunk| chunk.count).sum();
    let kept = chunks + history.tail.len();
    assert!((500..=1_000).contains(&kept), "{kept}");
    let counts = evaluator.take_counts();
    let dropped = counts.evaluated - kept as u64;
    assert_eq!((counts.shed_by_count, counts.shed_by_bytes), (dropped, 0));
}

#[test]
fn a_vehicle_keeps_no_more_bytes_than_allowed() {
    let town = town();
    let options = EvaluatorOptions {
        history_bytes_max: 20_000,
        ..EvaluatorOptions::default()
    };
    let mut evaluator = Evaluator::new(options);
    let fixes = noisy(3, 5_000);
    evaluator.observe_batch(&town, &fixes);
    let history = &evaluator.tracks[&terminal()].history;
    let bytes = |chunk: &history::Chunk| chunk.fixes.len() + chunk.start.len();
    let bytes: usize = history.chunks.iter().map(bytes).sum();
    assert!((10_000..=20_000).contains(&bytes), "{bytes}");
    let kept: usize = history.chunks.iter().map(|chunk| chunk.count).sum();
    let kept = (kept + history.tail.len()) as u64;
    let counts = evaluator.take_counts();
    let dropped = counts.evaluated - kept;
    assert!(dropped > 1_000, "{dropped}");
    assert_eq!((counts.shed_by_count, counts.shed_by_bytes), (0, dropped));
    // What is kept is judged as before.
    assert_eq!(
        stripped(&evaluator).last(),
        stripped(&judged(&town, &fixes).0).last()
    );
}

#[test]
fn what_lies_beyond_the_horizon_goes_without_being_counted_as_dropped() {
    let town = town();
    let options = EvaluatorOptions {
        horizon_ms: 1_000_000,
        ..EvaluatorOptions::default()
    };
    let mut evaluator = Evaluator::new(options);
    evaluator.observe_batch(&town, &stand(0, 5_000, (400.0, 400.0)));
    let history = &evaluator.tracks[&terminal()].history;
    let kept: usize = history.chunks.iter().map(|chunk| chunk.count).sum();
    assert!(kept < 2_000, "{kept}");
    let counts = evaluator.take_counts();
    assert_eq!((counts.shed_by_count, counts.shed_by_bytes), (0, 0));
}
