//! What vehicles do: some break the rule of their family, some nearly do, some do nothing of the
//! kind. What is true is read from the way by the text of the rule, without any tolerance for noise.

mod duties;
mod fences;
mod routes;
mod works;

use geofence::{catalog::Catalog, violation::ViolationKind};

use crate::{
    receiver::Random,
    town::MONDAY_MS,
    way::{Span, Way},
};

/// Ways of one kind, and the catalog that they are judged by.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) kind: ViolationKind,
    pub(crate) catalog: Catalog,
    pub(crate) runs: u64,
    /// When its ways begin, seconds of Monday.
    pub(crate) start_s: i64,
    /// For terminals that report every so many seconds: those who break the rule do it for longer
    /// where the reports are rare.
    pub(crate) scene: fn(&mut Random, i64) -> Scene,
}

impl Family {
    pub(crate) const fn start_ms(&self) -> i64 {
        MONDAY_MS + self.start_s * 1_000
    }
}

/// One way, and what is true of it.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) way: Way,
    pub(crate) truth: Vec<Event>,
    /// The share of the route that was swept.
    pub(crate) swept: Option<f64>,
}

/// A violation, in seconds of the way.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) rule: String,
    pub(crate) span: Span,
    /// When the rule's time or way was over: nobody could have told it before.
    pub(crate) sure: i64,
    /// How long it lasts against the time of its rule, where that says whether it can be seen at all;
    /// seconds.
    pub(crate) lasts: Option<(i64, i64)>,
    /// Why it is not seen for sure however long it lasts.
    pub(crate) hidden: Option<Hidden>,
}

/// Why nobody sees for sure what lasts for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// The end of the one before is not seen: it is told as one with that.
    Joined,
    /// It may be another thing for all that is reported.
    Ambiguous,
}

/// What a rule that asks for so long must last to be seen for sure by a terminal that reports every so
/// many seconds: its time in whole intervals, and one more, for the first report may come as late as
/// that. So nothing shorter than two intervals is seen for sure.
pub(crate) fn seen_s(dwell_s: i64, every_s: i64) -> i64 {
    if every_s == 1 {
        return 0;
    }
    (dwell_s + every_s - 1) / every_s * every_s + every_s
}

impl Event {
    fn new(rule: &str, span: Span, sure: i64) -> Self {
        Self {
            rule: rule.to_owned(),
            span,
            sure,
            lasts: None,
            hidden: None,
        }
    }

    /// It lasts so long against a rule that asks for `dwell_s`.
    fn against(self, lasts_s: i64, dwell_s: i64) -> Self {
        Self {
            lasts: Some((lasts_s, dwell_s)),
            ..self
        }
    }

    /// Those that follow the one before so soon that a terminal that reports so often may not see it end
    /// are not seen for sure: it may be told as one.
    fn apart(mut events: Vec<Self>, close_s: i64, every_s: i64) -> Vec<Self> {
        let mut before = i64::MIN / 2;
        for event in &mut events {
            if event.span.from - before < seen_s(close_s, every_s) {
                event.hidden = Some(Hidden::Joined);
            }
            before = event.span.to;
        }
        events
    }

    /// A terminal that reports so often must see it.
    pub(crate) fn is_visible(&self, every_s: i64) -> bool {
        self.hidden.is_none() && self.is_long(every_s)
    }

    /// It lasts for long enough to be seen by a terminal that reports so often.
    pub(crate) fn is_long(&self, every_s: i64) -> bool {
        let lasts = self.lasts;
        lasts.is_none_or(|(lasts_s, dwell_s)| lasts_s >= seen_s(dwell_s, every_s))
    }

    /// Of the spans those that last for so long.
    fn lasting(rule: &str, spans: Vec<Span>, dwell_s: i64) -> Vec<Self> {
        let long = spans.into_iter().filter(|span| span.seconds() >= dwell_s);
        long.map(|span| {
            let event = Self::new(rule, span, span.from + dwell_s);
            event.against(span.seconds(), dwell_s)
        })
        .collect()
    }
}

/// What a vehicle is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Violates,
    Nearly,
    Innocent,
}

impl Role {
    fn any(random: &mut Random) -> Self {
        match random.unit() {
            ..0.45 => Self::Violates,
            ..0.8 => Self::Nearly,
            _ => Self::Innocent,
        }
    }

    /// A time against a rule that asks for so long: from 115 % to 250 %, or from 35 % to 85 %. Where
    /// reports are rare three of four that break it do so for long enough to be seen.
    fn seconds(self, random: &mut Random, dwell_s: i64, every_s: i64) -> i64 {
        let share = if self == Self::Violates {
            random.between(1.15, 2.5)
        } else {
            random.between(0.35, 0.85)
        };
        let seconds = (dwell_s as f64 * share).round() as i64;
        let is_long = every_s > 1 && self == Self::Violates && random.chance(0.75);
        if is_long {
            seconds.max(random.seconds(0, dwell_s) + seen_s(dwell_s, every_s) + 2)
        } else {
            seconds
        }
    }
}

fn clock(hours: i64, minutes: i64) -> i64 {
    hours * 3_600 + minutes * 60
}

pub(crate) fn families() -> Vec<Family> {
    let all = [
        fences::families(),
        routes::families(),
        works::families(),
        duties::families(),
    ];
    all.into_iter().flatten().collect()
}

pub(crate) use fences::parked;
