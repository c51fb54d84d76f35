//! Why a rule has found something about a vehicle at a moment, or why it has not.
//!
//! The fixes before the moment are judged once more, from nothing, as a backtest does; then the state
//! of the one rule is read out: whether it concerns the vehicle, holds and is judged, its side, its
//! clocks, what it measured against which thresholds, and the fixes that decided. Nothing of it
//! touches what the evaluation tells. What lies before the first fix that is given is not known: a
//! vehicle that was inside then is found there, not seen to enter.

mod duty;
mod fence;
mod replay;
mod route;
mod target;
mod words;
mod work;

use std::collections::BTreeMap;

use self::{replay::Replay, target::Target};
use super::state::State;
use crate::{
    catalog::{Catalog, Vehicle},
    checks::{Unjudged, presence::Clock},
    identity::TerminalId,
    language::Language,
    position::Position,
    units::{Latitude, Longitude, Timestamp},
    violation::{Rule, Violation, ViolationKind},
};

/// Fixes that an explanation shows.
pub const FIXES_MAX: usize = 20;
/// Violations of the rule that ended before the moment and are shown.
pub const VIOLATIONS_MAX: usize = 20;

/// A catalog, and since when it has been in force.
#[derive(Clone, Copy, Debug)]
pub struct Era<'a> {
    /// Fixes from this moment on are judged with it; the first one also judges those before.
    pub from: Timestamp,
    /// What judges.
    pub catalog: &'a Catalog,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Of whom.
    pub terminal: TerminalId,
    /// Of which rule: an id as in [`Rule::id`]. Where things of several kinds have the same one, a
    /// fence goes before a route, then a rule of work, then a shift.
    pub rule: &'a str,
    /// When.
    pub at: Timestamp,
}

/// Why a check says nothing about the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// The rule concerns others.
    NotConcerned,
    /// The moment is outside its windows.
    OutsideHours,
    /// Another limit or rule of the same kind goes before it.
    OtherRule,
    /// The vehicle is on another shift, or at another place.
    OtherShift,
    /// What holds for every rule: no fix, no vehicle, too new, and so on.
    Unjudged(Unjudged),
}

impl WhyNot {
    /// The word that JSON uses.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotConcerned => "not_concerned",
            Self::OutsideHours => "outside_hours",
            Self::OtherRule => "other_rule",
            Self::OtherShift => "other_shift",
            Self::Unjudged(why) => why.reason(),
        }
    }
}

/// Where the state machine of a check stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is wrong.
    #[default]
    Quiet,
    /// Something would be wrong, and was not seen to begin: nothing opens.
    NotArmed,
    /// Something is wrong, not yet for long enough or not yet sure.
    Pending,
    /// A violation is open.
    Open,
    /// A violation is open, and its end is not yet sure.
    Closing,
}

impl Stage {
    /// The word that JSON uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::NotArmed => "not_armed",
            Self::Pending => "pending",
            Self::Open => "open",
            Self::Closing => "closing",
        }
    }
}

/// Numbers by name with unit.
pub type Numbers = BTreeMap<&'static str, f64>;

/// One check of the rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What it would find.
    pub kind: ViolationKind,
    /// Why it says nothing; `None` when it is judged.
    pub why_not: Option<WhyNot>,
    /// Where it stands.
    pub stage: Stage,
    /// `inside`, `outside`, `entering` or `leaving` (not yet sure), `unknown`; of fences and duty
    /// areas.
    pub side: Option<&'static str>,
    /// Since when something is wrong.
    pub since: Option<Timestamp>,
    /// The clock: how much of that was observed, milliseconds.
    pub observed_ms: Option<i64>,
    /// What the clock must reach, milliseconds.
    pub needed_ms: Option<i64>,
    /// What was measured last.
    pub measured: Numbers,
    /// What it was compared with.
    pub thresholds: Numbers,
    /// The violation that is open.
    pub violation: Option<Violation>,
    /// All this for people, in English.
    pub sentence: String,
    /// The same in Chinese.
    pub sentence_zh: String,
}

impl Check {
    const fn new(kind: ViolationKind) -> Self {
        Self {
            kind,
            why_not: None,
            stage: Stage::Quiet,
            side: None,
            since: None,
            observed_ms: None,
            needed_ms: None,
            measured: Numbers::new(),
            thresholds: Numbers::new(),
            violation: None,
            sentence: String::new(),
            sentence_zh: String::new(),
        }
    }

    /// The sentence in a language.
    #[must_use]
    pub fn told(&self, language: Language) -> &str {
        match language {
            Language::English => &self.sentence,
            Language::Chinese => &self.sentence_zh,
        }
    }

    /// Something is pending, by this clock.
    const fn count(&mut self, clock: Clock) {
        self.since = Some(Timestamp(clock.onset));
        self.observed_ms = Some(clock.observed);
        self.stage = Stage::Pending;
    }

    /// Takes over how long something has been wrong, and how long it may be.
    fn clock(&mut self, onset: i64, observed_ms: i64, needed_ms: i64) {
        self.since = Some(Timestamp(onset));
        self.observed_ms = Some(observed_ms);
        self.needed_ms = Some(needed_ms);
    }
}

/// What became of a fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was judged.
    Counted,
    /// Impossibly far from the one before; more must agree before it counts.
    Suspect,
    /// Impossibly far from the one before, and no other agreed: it never counted.
    Dropped,
    /// It has no place that can be used, and was heard for its alarms alone.
    Placeless,
}

impl Fate {
    /// The word that JSON uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Suspect => "suspect",
            Self::Dropped => "dropped",
            Self::Placeless => "placeless",
        }
    }
}

/// One of the last fixes.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenFix {
    /// When.
    pub fixed_at: Timestamp,
    /// Where it counts, WGS-84: a vehicle that stands counts at the mean of its stop.
    pub latitude: Latitude,
    /// Where it counts, WGS-84.
    pub longitude: Longitude,
    /// Tenths of km/h.
    pub speed_dkmh: u16,
    /// The median of the last three speeds, km/h, which is what limits are compared with.
    pub median_kmh: Option<f64>,
    /// One deviation, metres.
    pub accuracy_m: f64,
    /// Metres to the boundary of the fence or duty area, positive inside; from the line of the route;
    /// from the collection point.
    pub distance_m: Option<f64>,
    /// Nothing is known of the time before it: a gap, or a jump.
    pub is_behind_gap: bool,
    /// What became of it.
    pub fate: Fate,
    /// The record that proves it.
    pub log_offset: u64,
}

/// What was judged, of the fixes that were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// All of them, without repetitions.
    pub fixes: usize,
    /// Those without a usable place.
    pub placeless: usize,
    /// Suspects that never counted.
    pub dropped: usize,
    /// The first one.
    pub first_at: Option<Timestamp>,
    /// The newest one that counted.
    pub last_at: Option<Timestamp>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The rule, in its version.
    pub rule: Rule,
    /// What it is: `fence`, `route`, `work_rule`, `shift`, `hours` or `vehicle`.
    pub form: &'static str,
    /// The vehicle of the catalog.
    pub vehicle: Option<String>,
    /// The digest of the catalog that judged.
    pub catalog_version: u32,
    /// Since when the rule has been in force; `None` is since before everything that was given.
    pub in_force_since: Option<Timestamp>,
    /// The window that the moment lies in, or the shift.
    pub window: Option<(Timestamp, Timestamp)>,
    /// Each check of the rule. Empty where the rule asks for nothing.
    pub checks: Vec<Check>,
    /// Violations of the rule that ended before the moment, as far as the fixes reach; the newest.
    pub violations: Vec<Violation>,
    /// What was judged.
    pub heard: Heard,
    /// The last fixes.
    pub fixes: Vec<SeenFix>,
    /// The most important of it for people, in English.
    pub sentence: String,
    /// The same in Chinese.
    pub sentence_zh: String,
}

/// Explains a rule; `None` when the catalog of the moment has none of this id. Only positions of the
/// terminal up to the moment are looked at, in any order.
#[must_use]
pub fn explain(
    eras: &[Era<'_>],
    positions: &[Position],
    question: &Question<'_>,
) -> Option<Explanation> {
    let catalog = era_of(eras, question.at)?.catalog;
    let target = Target::find(catalog, question)?;
    let mut replay = Replay::new(question.terminal);
    let begin = target.needed_from(catalog, question);
    replay.run(eras, positions, (begin, question.at), |violation| {
        target.owns(question.rule, violation)
    });
    let scene = Scene {
        catalog,
        terminal: question.terminal,
        vehicle: catalog.vehicle_of(&question.terminal),
        replay: &replay,
        at: question.at,
    };
    let mut checks = target.checks(&scene);
    for check in &mut checks {
        let open = replay.state.drafts().find(|draft| {
            draft.violation.kind == check.kind && target.owns(question.rule, &draft.violation)
        });
        check.violation = open.map(|draft| draft.violation.clone());
        if open.is_some() && check.stage != Stage::Closing {
            check.stage = Stage::Open;
        }
        check.sentence = words::sentence(check, &target, &scene, Language::English);
        check.sentence_zh = words::sentence(check, &target, &scene, Language::Chinese);
    }
    let fixes = replay.fixes(catalog.plane(), |fix| target.distance_m(&scene, fix));
    Some(Explanation {
        rule: target.rule(&scene),
        form: target.form(),
        vehicle: scene.vehicle.map(|vehicle| vehicle.id.clone()),
        catalog_version: catalog.version(),
        in_force_since: target.since(&scene).filter(|since| since.0 != i64::MIN),
        window: target.window(&scene),
        sentence: words::whole(&checks, Language::English),
        sentence_zh: words::whole(&checks, Language::Chinese),
        checks,
        violations: replay.violations.iter().cloned().collect(),
        heard: replay.heard,
        fixes,
    })
}

/// From when on fixes are needed to explain a rule at a moment: from the beginning of the window or
/// shift that it is about. `None` when there is no such rule.
#[must_use]
pub fn needed_from(catalog: &Catalog, question: &Question<'_>) -> Option<Timestamp> {
    Target::find(catalog, question).map(|target| target.needed_from(catalog, question))
}

fn era_of<'a>(eras: &[Era<'a>], at: Timestamp) -> Option<Era<'a>> {
    let before = eras.iter().rev().find(|era| era.from <= at);
    before.or_else(|| eras.first()).copied()
}

/// What checks read their state from.
struct Scene<'a> {
    catalog: &'a Catalog,
    terminal: TerminalId,
    vehicle: Option<&'a Vehicle>,
    replay: &'a Replay,
    at: Timestamp,
}

impl<'a> Scene<'a> {
    const fn state(&self) -> &'a State {
        &self.replay.state
    }

    /// Since when the rule of a fingerprint is in force.
    fn since(&self, fingerprint: u64) -> i64 {
        let since = self.replay.in_force.since.as_ref();
        let since = since.and_then(|since| since.get(&fingerprint));
        since.copied().unwrap_or(i64::MIN)
    }

    /// How long ago the newest fix was that counted.
    fn silent_ms(&self) -> Option<i64> {
        let last = self.state().last?;
        Some(self.at.0 - last.at)
    }

    /// Why nothing that asks where the vehicle is can be judged now.
    fn blind(&self) -> Option<WhyNot> {
        match self.silent_ms() {
            None => Some(WhyNot::Unjudged(Unjudged::NeverHeard)),
            Some(silent_ms) if silent_ms > self.state().input.gap_ms() => {
                Some(WhyNot::Unjudged(Unjudged::Unobserved))
            }
            Some(_) => None,
        }
    }
}
