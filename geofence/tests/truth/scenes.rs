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
    pub(crate) scene: fn(&mut Random) -> Scene,
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
}

impl Event {
    fn new(rule: &str, span: Span, sure: i64) -> Self {
        Self {
            rule: rule.to_owned(),
            span,
            sure,
        }
    }

    /// Of the spans those that last for so long.
    fn lasting(rule: &str, spans: Vec<Span>, dwell_s: i64) -> Vec<Self> {
        let long = spans.into_iter().filter(|span| span.seconds() >= dwell_s);
        long.map(|span| Self::new(rule, span, span.from + dwell_s))
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

    /// A time against a rule that asks for so long: from 115 % to 250 %, or from 35 % to 85 %.
    fn seconds(self, random: &mut Random, dwell_s: i64) -> i64 {
        let dwell_s = dwell_s as f64;
        let seconds = if self == Self::Violates {
            random.between(1.15, 2.5)
        } else {
            random.between(0.35, 0.85)
        };
        (dwell_s * seconds).round() as i64
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
