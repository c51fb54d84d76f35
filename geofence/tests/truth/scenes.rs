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
    way::{Span, Way, distance},
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
    /// What would undo it, had it been done where reports are missing.
    pub(crate) undone: Option<Stop>,
    /// What has to be seen between the one before and this one.
    pub(crate) apart: Option<Apart>,
}

/// A speed that has to be kept for some time for one violation to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Apart {
    /// When the one before ended, second of the way.
    pub(crate) since: i64,
    pub(crate) kmh: f64,
    pub(crate) seconds: i64,
}

impl Apart {
    /// Reports in a row say that the speed is kept for so long.
    pub(crate) fn is_seen(&self, reports: &[Report], until: i64) -> bool {
        let mut kept_since = None;
        let mut between = reports
            .iter()
            .filter(|report| (self.since..=until).contains(&report.second));
        between.any(|report| {
            if report.kmh > self.kmh {
                kept_since = None;
                return false;
            }
            let since = *kept_since.get_or_insert(report.second);
            report.second - since >= self.seconds
        })
    }
}

/// What a terminal says of one second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) second: i64,
    pub(crate) kmh: f64,
}

/// A stay at a place, in metres and seconds, and how fast the vehicle drives at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    pub(crate) at: (f64, f64),
    pub(crate) radius_m: f64,
    pub(crate) stay_s: i64,
    pub(crate) mps: f64,
}

impl Stop {
    /// Who is at the one end of a tunnel and then at the other can have been there in between for so
    /// long, and driven no faster than anywhere on his way.
    pub(crate) fn fits(self, way: &Way, tunnel: Span) -> bool {
        let ends = [tunnel.from, tunnel.to].map(|second| way.seconds[second as usize].at);
        let meters = ends.map(|end| (distance(end, self.at) - self.radius_m).max(0.0));
        let seconds = meters.iter().sum::<f64>() / self.mps + self.stay_s as f64;
        seconds <= tunnel.seconds() as f64
    }
}

/// Why nobody sees it for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// It is too short, or what is reported of it.
    Short,
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
            undone: None,
            apart: None,
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
    /// are not seen for sure: it may be told as one. It ends when `kmh` is kept for so long.
    fn apart(mut events: Vec<Self>, (kmh, close_s): (f64, i64), every_s: i64) -> Vec<Self> {
        let mut before = i64::MIN / 2;
        for event in &mut events {
            event.apart = Some(Apart {
                since: before,
                kmh,
                seconds: close_s,
            });
            if event.span.from - before < seen_s(close_s, every_s) {
                event.hidden = Some(Hidden::Joined);
            }
            before = event.span.to;
        }
        events
    }

    /// What is reported of it, from the first report within it to the last, is as long as its rule asks
    /// for. Of silence nothing is.
    pub(crate) fn is_reported(&self, way: &Way, reports: &[Report]) -> bool {
        let Some((_, dwell_s)) = self.lasts else {
            return true;
        };
        let seconds = reports.iter().map(|report| report.second);
        let mut within = seconds.filter(|second| (self.span.from..=self.span.to).contains(second));
        let first = within.next();
        let last = within.next_back().or(first);
        let lasts_s = last.zip(first).map_or(0, |(last, first)| last - first);
        lasts_s >= dwell_s || way.seconds[self.span.from as usize].is_dark
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
