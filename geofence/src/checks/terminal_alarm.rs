//! Alarms that the terminal itself raises: a bit of the report set for as long as the policy says.
//!
//! ```text
//!  clear ── bit set ──▶ pending ── set for the policy's time ──▶ open ── two reports without ──▶ clear
//!    ▲                     │
//!    └─ two reports without┘
//! ```
//!
//! Every report is heard: whether it has a place or not, and whether its place is believed or not.
//! The violation is where the vehicle was last seen; failing that, where the report says. A terminal
//! reports at once when a bit changes: two reports with it speak for the time between them, up to
//! twenty minutes, and the last one for the ten seconds behind it; more is a gap, and does not count towards the policy's time. An alarm that the terminal takes back once it was
//! answered (the emergency button) was one all the same: it ends at the first report without it.
//!
//! The policy is the rule `terminal_alarms` that is nearest to the vehicle, while it holds. Where
//! there is none at all the emergency button counts at once and lost power after a minute, for every
//! terminal.

use super::{
    WorkParameters,
    draft::{Draft, Opening, Subject, evidence, rounded},
    motion::Rules,
    presence::{Clock, seconds},
};
use crate::{
    catalog::{AlarmPolicy, Demand, WorkRule},
    checks::Parameters,
    track::fix::Fix,
    violation::{EvidenceFix, Rule, ViolationKind},
};

/// The word of each alarm bit, and what people call it (JT/T 808 table 24).
const ALARMS: [(&str, &str); 32] = [
    ("emergency", "紧急报警 Emergency button"),
    ("overspeed", "超速报警 Overspeed"),
    ("fatigue", "疲劳驾驶 Fatigue driving"),
    ("danger", "危险驾驶行为 Dangerous driving"),
    ("gnss_fault", "GNSS模块故障 GNSS module fault"),
    ("gnss_antenna_cut", "GNSS天线未接或被剪断 GNSS antenna cut"),
    (
        "gnss_antenna_short",
        "GNSS天线短路 GNSS antenna short circuit",
    ),
    ("power_low", "主电源欠压 Main power low"),
    ("power_lost", "主电源掉电 Main power lost"),
    ("display_fault", "显示器故障 Display fault"),
    ("speech_fault", "TTS模块故障 Speech module fault"),
    ("camera_fault", "摄像头故障 Camera fault"),
    ("card_reader_fault", "IC卡模块故障 Card reader fault"),
    ("overspeed_warning", "超速预警 Overspeed is near"),
    ("fatigue_warning", "疲劳驾驶预警 Fatigue is near"),
    ("violation_driving", "违规行驶 Driving at a forbidden time"),
    ("tyre_pressure", "胎压预警 Tyre pressure"),
    (
        "right_turn_blind_spot",
        "右转盲区异常 Right-turn blind spot",
    ),
    ("driving_time", "当天累计驾驶超时 Driving time exceeded"),
    ("parking_time", "超时停车 Parked for too long"),
    ("area", "进出区域 Into or out of an area"),
    ("route", "进出路线 Into or out of a route"),
    ("segment_time", "路段行驶时间 Time on a segment"),
    ("route_deviation", "路线偏离 Off the route"),
    ("speed_sensor_fault", "VSS故障 Speed sensor fault"),
    ("fuel", "油量异常 Fuel level"),
    ("stolen", "车辆被盗 Vehicle stolen"),
    ("illegal_ignition", "非法点火 Illegal ignition"),
    ("illegal_movement", "非法位移 Illegal movement"),
    ("collision", "碰撞侧翻 Collision"),
    ("rollover_warning", "侧翻预警 Rollover is near"),
    ("illegal_door", "非法开门 Illegal door opening"),
];
/// The rule where the catalog has none.
const DEFAULT_RULE: &str = "terminal_alarms";

/// A report, and what is known about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard<'a> {
    pub(crate) fix: &'a Fix,
    /// The newest fix that counted.
    pub(crate) last: Option<&'a Fix>,
    pub(crate) rules: Rules<'a>,
}

/// The state of the check for one vehicle.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Alarms {
    /// The report before.
    pub(crate) heard_at: Option<i64>,
    /// The alarms that are not clear, by bit.
    pub(crate) watches: Vec<AlarmWatch>,
}

/// An alarm that is not clear.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AlarmWatch {
    pub(crate) bit: u8,
    pub(crate) clock: Clock,
    /// The first report without it, while it is the only one.
    pub(crate) clear_since: Option<i64>,
    pub(crate) onset_fixes: Vec<EvidenceFix>,
    pub(crate) draft: Option<Box<Draft>>,
}

impl Alarms {
    pub(crate) fn judge(
        &mut self,
        subject: &Subject<'_>,
        heard: &Heard<'_>,
        closed: &mut Vec<Draft>,
    ) {
        let (at, flags) = (heard.fix.at, heard.fix.alarm_flags);
        let before = self.heard_at.replace(at);
        if flags == 0 && self.watches.is_empty() {
            return;
        }
        let connected_ms = before
            .map(|before| at - before)
            .filter(|elapsed_ms| *elapsed_ms <= WorkParameters::ALARM_GAP_MS);
        let (policy, fingerprint, asked) = policy_at(heard.rules, at);
        let proof = proof(heard);
        self.watches.retain_mut(|watch| {
            let is_off = policy.after_ms(watch.bit).is_none();
            let draft = watch.draft.as_deref();
            let ends_at = if is_off || draft.is_some_and(|d| d.fingerprint != fingerprint) {
                Some(at)
            } else if flags >> watch.bit & 1 == 1 {
                watch.clear_since = None;
                None
            } else {
                watch.clear_since.replace(watch.clear_since.unwrap_or(at))
            };
            if let Some(ends_at) = ends_at {
                let lasted = seconds(ends_at - watch.clock.onset);
                closed.extend(watch.draft.take().map(|mut draft| {
                    draft.violation.worst = rounded(lasted);
                    draft.close(ends_at, Some(proof.clone()))
                }));
            }
            ends_at.is_none()
        });
        for bit in (0..32_u8).filter(|bit| flags >> bit & 1 == 1) {
            let Some(after_ms) = policy.after_ms(bit) else {
                continue;
            };
            let watch = self.watch(bit, at, &proof);
            if watch.clock.onset != at {
                watch.clock.observed += connected_ms.unwrap_or(0);
            }
            let rule = || rule_of(bit, asked.map(WorkRule::as_rule));
            watch.raise(subject, &proof, after_ms, (fingerprint, rule));
        }
    }

    /// When one opens without another report: the last one speaks for a little of the time behind it.
    pub(crate) fn due(&self, rules: Rules<'_>) -> Option<i64> {
        let heard_at = self.heard_at?;
        let open = |watch: &&AlarmWatch| {
            watch.draft.is_none() && watch.clear_since.is_none() && watch.clock.onset < heard_at
        };
        let mut waiting = self.watches.iter().filter(open).peekable();
        waiting.peek()?;
        let (policy, _, _) = policy_at(rules, heard_at);
        waiting
            .filter_map(|watch| {
                let left_ms = policy.after_ms(watch.bit)? - watch.clock.observed;
                (0..=Parameters::HOLD_MS)
                    .contains(&left_ms)
                    .then_some(heard_at + left_ms)
            })
            .min()
    }

    /// Opens what is due by a moment without another report.
    pub(crate) fn advance(&mut self, subject: &Subject<'_>, rules: Rules<'_>, until: i64) {
        let Some(heard_at) = self.heard_at else {
            return;
        };
        if self.due(rules).is_none_or(|due| due > until) {
            return;
        }
        let (policy, fingerprint, asked) = policy_at(rules, heard_at);
        for watch in &mut self.watches {
            let is_waiting = watch.draft.is_none() && watch.clear_since.is_none();
            let Some(after_ms) = policy.after_ms(watch.bit).filter(|_| is_waiting) else {
                continue;
            };
            let left_ms = after_ms - watch.clock.observed;
            let due = heard_at + left_ms;
            let is_held = (0..=Parameters::HOLD_MS).contains(&left_ms);
            if is_held && due <= until && watch.clock.onset < heard_at {
                let rule = rule_of(watch.bit, asked.map(WorkRule::as_rule));
                watch.open(subject, due, after_ms, (fingerprint, rule));
            }
        }
    }

    fn watch(&mut self, bit: u8, at: i64, proof: &EvidenceFix) -> &mut AlarmWatch {
        let place = match self.watches.binary_search_by_key(&bit, |watch| watch.bit) {
            Ok(place) => place,
            Err(place) => {
                let watch = AlarmWatch {
                    bit,
                    clock: Clock {
                        onset: at,
                        observed: 0,
                    },
                    clear_since: None,
                    onset_fixes: vec![proof.clone()],
                    draft: None,
                };
                self.watches.insert(place, watch);
                place
            }
        };
        #[expect(clippy::indexing_slicing, reason = "it was found or inserted there")]
        &mut self.watches[place]
    }
}

impl AlarmWatch {
    fn raise(
        &mut self,
        subject: &Subject<'_>,
        proof: &EvidenceFix,
        after_ms: i64,
        (fingerprint, rule): (u64, impl FnOnce() -> Rule),
    ) {
        let at = proof.fixed_at.0;
        let lasted = seconds(at - self.clock.onset);
        if let Some(draft) = self.draft.as_deref_mut() {
            if draft.has_grown(lasted) {
                draft.worsen(lasted, || proof.clone());
            }
            return;
        }
        if self.clock.observed < after_ms {
            return;
        }
        if !self.onset_fixes.contains(proof) {
            self.onset_fixes.push(proof.clone());
        }
        self.open(subject, at, after_ms, (fingerprint, rule()));
    }

    fn open(
        &mut self,
        subject: &Subject<'_>,
        confirmed: i64,
        after_ms: i64,
        (fingerprint, rule): (u64, Rule),
    ) {
        let lasted = seconds(confirmed - self.clock.onset);
        let proof = self.onset_fixes.last().cloned();
        let opening = Opening {
            kind: ViolationKind::TerminalAlarm,
            rule,
            fingerprint,
            onset: self.clock.onset,
            confirmed,
            onset_fixes: &self.onset_fixes,
            thresholds: &[
                ("alarm_bit", f64::from(self.bit)),
                ("after_s", seconds(after_ms)),
            ],
            place: None,
        };
        self.draft = Draft::open(subject, &opening)
            .zip(proof)
            .map(|(mut draft, proof)| {
                draft.worsen(lasted, || proof);
                Box::new(draft)
            });
    }
}

/// The policy that holds at a moment, its fingerprint, and its rule where it is none of ours.
fn policy_at<'a>(rules: Rules<'a>, at: i64) -> (&'a AlarmPolicy, u64, Option<&'a WorkRule>) {
    let asked = rules.first(at, |demand| match demand {
        Demand::TerminalAlarms(policy) => Some(&**policy),
        _ => None,
    });
    match asked {
        Some((rule, policy)) => (policy, rule.fingerprint, Some(rule)),
        None if rules.has_default_alarms(at) => {
            let fingerprint = rules.catalog.default_alarms();
            (&AlarmPolicy::DEFAULT, fingerprint, None)
        }
        None => (&AlarmPolicy::OFF, 0, None),
    }
}

fn rule_of(bit: u8, rule: Option<Rule>) -> Rule {
    let (word, name) = ALARMS.get(usize::from(bit)).copied().unwrap_or_default();
    let rule = rule.unwrap_or_else(|| Rule {
        id: DEFAULT_RULE.to_owned(),
        version: 1,
        name: String::new(),
    });
    Rule {
        id: format!("{}/{word}", rule.id),
        name: if rule.name.is_empty() {
            name.to_owned()
        } else {
            format!("{}: {name}", rule.name)
        },
        ..rule
    }
}

/// The report as evidence, at the place that is known best.
fn proof(heard: &Heard<'_>) -> EvidenceFix {
    let fix = heard.fix;
    let mut proof = evidence(fix, None);
    if let Some(last) = heard.last.filter(|_| !fix.is_placed) {
        (proof.latitude, proof.longitude) = (last.latitude, last.longitude);
    }
    proof
}
