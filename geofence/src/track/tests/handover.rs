//! Vehicles that go from one evaluator to another and back, at any moment.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

type Stored = BTreeMap<String, Vec<u8>>;

/// Two evaluators of one log, each with the store of its snapshots.
struct Pair {
    evaluators: [Evaluator; 2],
    stored: [Stored; 2],
    /// The second one has these vehicles, the first one all others.
    moved: BTreeSet<TerminalId>,
    findings: Vec<Finding>,
}

/// The second of two is given its vehicles by the first, and awaits none itself.
fn waiting(is_awaiting: bool) -> Evaluator {
    Evaluator::new(EvaluatorOptions {
        is_awaiting,
        ..EvaluatorOptions::default()
    })
}

impl Pair {
    fn new() -> Self {
        Self {
            evaluators: [true, false].map(waiting),
            stored: Default::default(),
            moved: BTreeSet::new(),
            findings: Vec::new(),
        }
    }

    /// A record of the log: the position for its owner, its time for both.
    fn observe(&mut self, catalog: &Catalog, position: &Position) {
        let owner = usize::from(self.moved.contains(&position.terminal));
        for (index, evaluator) in self.evaluators.iter_mut().enumerate() {
            let own = if index == owner {
                std::slice::from_ref(position)
            } else {
                &[]
            };
            self.findings.extend(evaluator.observe_batch(catalog, own));
            let found = evaluator.tick(catalog, position.received_at);
            self.findings.extend(found);
        }
    }

    fn snapshot(&mut self) {
        for (evaluator, stored) in self.evaluators.iter_mut().zip(&mut self.stored) {
            for (key, bytes) in evaluator.take_dirty_snapshots() {
                if bytes.is_empty() {
                    stored.remove(&key);
                } else {
                    stored.insert(key, bytes);
                }
            }
        }
    }

    /// These vehicles go to the other evaluator.
    fn hand_over(&mut self, terminals: &[TerminalId], cursor: u64) {
        let is_moved = |terminal: &TerminalId| self.moved.contains(terminal);
        let (back, there): (Vec<_>, Vec<_>) = terminals.iter().copied().partition(is_moved);
        let [first, second] = &mut self.evaluators;
        let bytes = first.hand_over(&there, cursor);
        assert_eq!(second.take_over(&bytes), Ok(cursor));
        let bytes = second.hand_over(&back, cursor);
        assert_eq!(first.take_over(&bytes), Ok(cursor));
        self.moved.extend(there);
        self.moved.retain(|terminal| !back.contains(terminal));
    }
}

/// Whether one vehicle that is handed over behind the positions of these numbers, to and fro, ends
/// in the same books as one that never was.
pub(super) fn same_books(
    catalog: &Catalog,
    positions: &[Position],
    moves: &[usize],
) -> Result<(), TestCaseError> {
    let moves: Vec<_> = moves.iter().map(|index| (*index, 1)).collect();
    compare(catalog, positions, &[terminal()], &moves)
}

/// `moves` are numbers of positions and which of the terminals move behind them, a bit for each.
fn compare(
    catalog: &Catalog,
    positions: &[Position],
    terminals: &[TerminalId],
    moves: &[(usize, u8)],
) -> Result<(), TestCaseError> {
    let end = Timestamp(START_MS + 40 * 3_600_000);
    let (mut alone, mut expected) = (Evaluator::new(EvaluatorOptions::default()), Vec::new());
    let mut pair = Pair::new();
    for (index, position) in positions.iter().enumerate() {
        expected.extend(alone.observe_batch(catalog, std::slice::from_ref(position)));
        expected.extend(alone.tick(catalog, position.received_at));
        pair.observe(catalog, position);
        if index % 170 == 0 {
            pair.snapshot();
        }
        for (_, mask) in moves.iter().filter(|(at, _)| *at == index) {
            let go = |place: usize| mask >> place & 1 == 1;
            let chosen: Vec<_> = (0..)
                .zip(terminals)
                .filter(|(place, _)| go(*place))
                .collect();
            let chosen: Vec<_> = chosen.into_iter().map(|(_, terminal)| *terminal).collect();
            pair.hand_over(&chosen, index as u64 + 1);
        }
    }
    // Both start anew from what their stores have; nothing is lost and nothing is there twice.
    pair.snapshot();
    let mut owners = BTreeMap::new();
    for (owner, stored) in pair.stored.iter().enumerate() {
        for key in stored.keys().filter(|key| *key != "clock") {
            let terminal = key.split('/').next().unwrap().to_owned();
            let known = owners.insert(terminal, owner);
            prop_assert!(known.is_none_or(|known| known == owner), "{}", key);
        }
        let evaluator = &mut pair.evaluators[owner];
        *evaluator = waiting(owner == 0);
        for bytes in stored.values() {
            evaluator.restore(bytes).unwrap();
        }
    }
    expected.extend(alone.tick(catalog, end));
    for evaluator in &mut pair.evaluators {
        pair.findings.extend(evaluator.tick(catalog, end));
    }
    for terminal in terminals {
        let own = |findings: &[Finding]| -> Vec<Finding> {
            let is_own = |finding: &&Finding| match finding {
                Finding::Opened(v) | Finding::Updated(v) => v.terminal == *terminal,
                Finding::Withdrawn(..) => terminals.len() == 1,
            };
            findings.iter().filter(is_own).cloned().collect()
        };
        prop_assert_eq!(own(&pair.findings), own(&expected));
        let owner = usize::from(pair.moved.contains(terminal));
        let other = &pair.evaluators[1 - owner];
        prop_assert_eq!(other.violations(terminal), [] as [Violation; 0]);
        prop_assert_eq!(
            pair.evaluators[owner].violations(terminal),
            alone.violations(terminal)
        );
    }
    let withdrawn = |findings: &[Finding]| -> BTreeSet<String> {
        let is_it = |finding: &&Finding| matches!(finding, Finding::Withdrawn(..));
        let texts = findings
            .iter()
            .filter(is_it)
            .map(|finding| format!("{finding:?}"));
        texts.collect()
    };
    prop_assert_eq!(withdrawn(&pair.findings), withdrawn(&expected));
    Ok(())
}

fn fleet() -> [TerminalId; 4] {
    [1, 2, 3, 4].map(|number| format!("1380000000{number}").parse().unwrap())
}

/// Four vehicles that come in turn.
fn positions_of_fleet(seed: u64, order: &[u64]) -> Vec<Position> {
    let mut positions: Vec<Position> = (0..)
        .zip(fleet())
        .flat_map(|(number, terminal)| {
            let track = noisy(seed + number, 500);
            // The first two come as they drive, the others in any order.
            let track = if number < 2 {
                track
            } else {
                arrived(track, order, &[3])
            };
            let own = move |position| Position {
                terminal,
                ..position
            };
            track.into_iter().map(own)
        })
        .collect();
    positions.sort_by_key(|position| position.received_at);
    positions
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_a_fleet_at_any_moment_ends_in_the_same_books(
        seed in 0..1_000_u64,
        order in proptest::collection::vec(any::<u64>(), 1..20),
        moves in proptest::collection::vec((0..2_000_usize, any::<u8>()), 1..6),
    ) {
        let positions = positions_of_fleet(seed, &order);
        compare(&town(), &positions, &fleet(), &moves)?;
    }

    #[test]
    fn damaged_bytes_of_a_hand_over_leave_the_other_as_it_was(
        cut in 0..4_000_usize,
        flip in any::<(usize, u8)>(),
    ) {
        let town = town();
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        evaluator.observe_batch(&town, &noisy(1, 300));
        let whole = evaluator.hand_over(&[terminal()], 300);
        let mut bytes = whole.clone();
        let index = flip.0 % bytes.len();
        bytes[index] ^= flip.1;
        bytes.truncate(cut.max(1));
        let mut other = Evaluator::new(EvaluatorOptions::default());
        if other.take_over(&bytes).is_err() {
            prop_assert_eq!(other.tracks(), 0);
            prop_assert_eq!(other.take_over(&whole), Ok(300));
        }
    }
}

#[test]
fn vehicles_are_taken_over_once_and_only_at_the_same_place_of_the_log() {
    let town = town();
    let [mut from, mut to] = [(); 2].map(|()| Evaluator::new(EvaluatorOptions::default()));
    let track = noisy(1, 300);
    from.observe_batch(&town, &track);
    // The other has vehicles, and is a record behind.
    let [.., last] = fleet();
    let own = |position: &Position| Position {
        terminal: last,
        ..position.clone()
    };
    let (newest, before) = track.split_last().unwrap();
    let others: Vec<Position> = before.iter().map(own).collect();
    to.observe_batch(&town, &others);
    let bytes = from.hand_over(&[terminal()], 300);
    assert_eq!(from.tracks(), 0);
    assert_eq!(to.take_over(&bytes), Err(HandOverError::Place));
    to.tick(&town, newest.received_at);
    assert_eq!(to.take_over(&bytes), Ok(300));
    assert_eq!(to.take_over(&bytes), Err(HandOverError::Known(terminal())));
    assert_eq!(to.tracks(), 2);
    // What the store could not take is offered again.
    let gone = from.take_dirty_snapshots();
    assert!(gone[&format!("{}/head", terminal())].is_empty());
    assert_eq!(from.take_dirty_snapshots(), BTreeMap::new());
    from.mark_dirty(gone.keys());
    assert_eq!(from.take_dirty_snapshots(), gone);
}
