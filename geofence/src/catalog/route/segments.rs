//! The segments of a route: which hand, how often, how fast.

use super::{
    super::features::{Feature, Notes},
    plan::{Kerb, Segment, Strip},
    read::route_fault,
    text::{Member, choice, members},
};
use crate::{
    checks::RouteParameters,
    geometry::{Point, RouteLine},
};

/// A segment before there is a plane.
#[derive(Clone)]
pub(super) struct SegmentDraft {
    name: String,
    kerbs: &'static [Kerb],
    is_one_way: bool,
    passes: u8,
    speed_limit_kmh: Option<f64>,
    priority: i32,
}

const SIDES: [(&str, &[Kerb]); 4] = [
    ("any", &[]),
    ("left", &[Kerb::Left]),
    ("right", &[Kerb::Right]),
    ("both", &[Kerb::Left, Kerb::Right]),
];
const DIRECTIONS: [(&str, bool); 2] = [("forward", true), ("any", false)];
const PASSES: std::ops::RangeInclusive<f64> = 1.0..=20.0;
/// Of a segment, km/h.
const LIMITS: std::ops::RangeInclusive<f64> = 1.0..=250.0;
const PRIORITIES: std::ops::RangeInclusive<f64> = -1e6..=1e6;
/// Segments that are nearer to each other than this are joined, metres.
const JOINT_M: f64 = 50.0;

pub(super) fn segments(
    feature: &Feature<'_>,
    count: Option<usize>,
    notes: &mut Notes<'_>,
) -> Vec<SegmentDraft> {
    let own = |key: &str| feature.properties.get(key);
    let passes = feature.number("passes", PASSES, notes).map_or(1, whole);
    let kerbs = choice(own("side"), &SIDES, |value, expected| {
        feature.wrong("side", value, expected, notes);
    });
    let is_one_way = choice(own("direction"), &DIRECTIONS, |value, expected| {
        feature.wrong("direction", value, expected, notes);
    });
    let common = SegmentDraft {
        name: String::new(),
        kerbs: kerbs.unwrap_or_default(),
        is_one_way: is_one_way.unwrap_or_default(),
        passes,
        speed_limit_kmh: feature.number("speed_limit_kmh", LIMITS, notes),
        priority: feature
            .number("priority", PRIORITIES, notes)
            .map_or(0, priority),
    };
    let known = [
        "name",
        "side",
        "direction",
        "passes",
        "speed_limit_kmh",
        "priority",
    ];
    let Some(members) = members(feature, "segments", &known, notes) else {
        return vec![common; count.unwrap_or(0)];
    };
    if let Some(count) = count.filter(|count| *count != members.len()) {
        let fault = format!("{} segments, but {count} lines", members.len());
        route_fault(feature, &fault, notes);
    }
    let segment = |member: &Member<'_, '_>| {
        let kerbs = choice(member.object.get("side"), &SIDES, |value, expected| {
            member.wrong("side", value, expected, notes);
        });
        let direction = member.object.get("direction");
        let is_one_way = choice(direction, &DIRECTIONS, |value, expected| {
            member.wrong("direction", value, expected, notes);
        });
        let passes = member.number("passes", PASSES, notes).map(whole);
        let limit = member.number("speed_limit_kmh", LIMITS, notes);
        let own = member.number("priority", PRIORITIES, notes).map(priority);
        SegmentDraft {
            name: member.text("name", notes).unwrap_or_default(),
            kerbs: kerbs.unwrap_or(common.kerbs),
            is_one_way: is_one_way.unwrap_or(common.is_one_way),
            passes: passes.unwrap_or(common.passes),
            speed_limit_kmh: limit.or(common.speed_limit_kmh),
            priority: own.unwrap_or(common.priority),
        }
    };
    members.iter().map(segment).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range was checked: 1 to 20"
)]
const fn whole(number: f64) -> u8 {
    number as u8
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the range was checked: within a million"
)]
const fn priority(number: f64) -> i32 {
    number as i32
}

pub(super) fn laid_segments(
    drafts: &[SegmentDraft],
    lines: &[Vec<Point>],
    line: &RouteLine,
) -> Vec<Segment> {
    let mut before: Option<Point> = None;
    let mut segments = Vec::with_capacity(lines.len());
    for ((draft, points), (start_mm, end_mm)) in drafts.iter().zip(lines).zip(line.parts_mm()) {
        let is_joined = before
            .zip(points.first())
            .is_some_and(|(end, start)| end.distance_mm(*start) <= JOINT_M * 1e3);
        before = points.last().copied();
        segments.push(Segment {
            name: draft.name.clone(),
            start_mm: *start_mm,
            end_mm: *end_mm,
            kerbs: draft.kerbs.to_vec(),
            is_one_way: draft.is_one_way,
            passes: draft.passes,
            is_joined,
            speed_limit_kmh: draft.speed_limit_kmh,
            priority: draft.priority,
        });
    }
    segments
}

pub(super) fn strips(segments: &[Segment]) -> Vec<Strip> {
    let mut strips: Vec<Strip> = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let kerbs = segment.kerbs.iter().copied().map(Some);
        let any = segment.kerbs.is_empty().then_some(None);
        for kerb in kerbs.chain(any) {
            let first = strips.last().map_or(0, |strip| strip.bins.end);
            let pieces = (segment.end_mm - segment.start_mm) / RouteParameters::BIN_MM;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a route is at most 200 km long"
            )]
            let count = pieces.ceil() as usize;
            strips.push(Strip {
                segment: index,
                kerb,
                start_mm: segment.start_mm,
                end_mm: segment.end_mm,
                is_one_way: segment.is_one_way,
                passes: segment.passes,
                bins: first..first + count,
            });
        }
    }
    strips
}
