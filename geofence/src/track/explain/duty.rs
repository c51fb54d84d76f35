//! Duty: the shift of the moment, the duty area, and the clocks of the shift.

use super::{Check, Question, Scene, Stage, Timestamp, Unjudged, WhyNot, fence};
use crate::{
    catalog::{Catalog, Duty, DutyArea, Shift, Standing},
    checks::{
        DutyParameters,
        draft::rounded,
        duty::{Post, Run},
        presence::seconds,
        unjudged::unjudged,
    },
    track::subject,
    violation::ViolationKind,
};

/// The shift that the vehicle is on at the moment.
pub(super) fn standing<'a>(scene: &Scene<'a>) -> Option<Duty<'a>> {
    match scene.catalog.standing(&scene.terminal, scene.at) {
        Standing::On(duty) => Some(duty),
        _ => None,
    }
}

/// The duty area of this id, or that of the shift of the moment.
pub(super) fn area<'a>(scene: &Scene<'a>, id: Option<&str>) -> Option<&'a DutyArea> {
    let Some(id) = id else {
        return standing(scene)?.area;
    };
    let areas = scene.catalog.duties().areas();
    areas.iter().find(|area| area.id == id)
}

/// When the newest shift began that is judged at the moment.
pub(super) fn judged_from(
    catalog: &Catalog,
    question: &Question<'_>,
    first: Timestamp,
) -> Option<Timestamp> {
    let duties = catalog.duties();
    let roster = duties.roster_of(catalog.vehicle_of(&question.terminal)?)?;
    let all = std::iter::successors(duties.next_duty(roster, first), |duty| {
        duties.next_duty(roster, duty.from)
    });
    let begun = all.take_while(|duty| duty.from <= question.at);
    let is_judged = |duty: &Duty<'_>| {
        let grace_ms = duty.shift.parameters.patrol_grace_ms;
        duty.to.plus_millis(grace_ms) >= question.at
    };
    begun.filter(is_judged).map(|duty| duty.from).last()
}

fn reasons(scene: &Scene<'_>) -> Vec<(ViolationKind, Unjudged)> {
    let subject = subject(scene.catalog, scene.terminal);
    let last = scene.state().last.as_ref();
    let since = |fingerprint| scene.since(fingerprint);
    unjudged(&subject, last, &since, scene.at)
}

pub(super) fn of_shift(
    scene: &Scene<'_>,
    kinds: &[ViolationKind],
    shift: &Shift,
    area: Option<&str>,
) -> Vec<Check> {
    let reasons = reasons(scene);
    let is_other = standing(scene).is_some_and(|duty| {
        let place = duty.area.map(|area| &*area.id);
        duty.shift.id != shift.id || area.is_some() && place != area
    });
    let subject = subject(scene.catalog, scene.terminal);
    let run = scene.state().duty.runs.iter().rev().find_map(|run| {
        let post = run.post(&subject)?;
        let place = post.area.map(|area| &*area.id);
        let is_it = post.shift.id == shift.id && (area.is_none() || place == area);
        is_it.then_some((run, post))
    });
    let check = |kind: &ViolationKind| {
        let mut check = Check::new(*kind);
        let reason = reasons.iter().find(|(of, _)| of == kind);
        let reason = reason.map(|(_, why)| WhyNot::Unjudged(*why));
        check.why_not = if is_other {
            Some(WhyNot::OtherShift)
        } else {
            reason
        };
        thresholds(&mut check, &shift.parameters);
        if let Some((run, post)) = &run {
            read(scene, &mut check, run, post);
        }
        check
    };
    kinds.iter().map(check).collect()
}

fn thresholds(check: &mut Check, parameters: &DutyParameters) {
    let (name, needed_ms) = match check.kind {
        ViolationKind::LateStart => ("late_start_s", parameters.late_start_ms),
        ViolationKind::EarlyEnd => ("early_end_s", parameters.early_end_ms),
        ViolationKind::OffPost => ("off_post_s", parameters.off_post_ms),
        ViolationKind::Silence => ("silence_s", parameters.silence_ms),
        _ => {
            let percent = parameters.patrol_percent;
            check.thresholds.insert("patrol_percent", percent);
            ("patrol_stay_s", parameters.patrol_stay_ms)
        }
    };
    check.thresholds.insert(name, seconds(needed_ms));
    if check.kind != ViolationKind::Silence {
        let margin_m = parameters.post_margin_mm / 1e3;
        check.thresholds.insert("post_margin_m", margin_m);
    }
}

fn read(scene: &Scene<'_>, check: &mut Check, run: &Run, post: &Post<'_>) {
    let parameters = post.parameters();
    if let (Some(area), Some(fix)) = (post.area, scene.state().last) {
        let grids = scene.catalog.unit_grids();
        let distance_m = area.signed_distance_mm(fix.point, grids) / 1e3;
        check.measured.insert("distance_m", rounded(distance_m));
        check.side = Some(fence::word(run.side));
    }
    match check.kind {
        ViolationKind::LateStart if run.attendance.is_there => {
            check.measured.insert("was_there", 1.0);
        }
        ViolationKind::LateStart if run.attendance.awaited_ms > 0 => {
            let awaited_ms = run.attendance.awaited_ms;
            check.clock(run.from, awaited_ms, parameters.late_start_ms);
            check.stage = Stage::Pending;
        }
        ViolationKind::EarlyEnd => {
            if let Some(gone) = run.attendance.gone {
                check.clock(gone.onset, gone.observed, parameters.early_end_ms);
                check.stage = Stage::Pending;
            }
        }
        ViolationKind::OffPost => {
            let off_post = &run.off_post;
            if let Some(clock) = off_post.clock {
                check.clock(clock.onset, clock.observed, parameters.off_post_ms);
                check.stage = Stage::Pending;
            }
            if off_post.draft.is_some() && off_post.back_since.is_some() {
                check.stage = Stage::Closing;
            }
            check
                .measured
                .insert("break_used_s", seconds(off_post.break_ms));
        }
        ViolationKind::PatrolCoverage => {
            let stays = &run.patrol.stays;
            let is_visit = |stay: &&i64| **stay >= parameters.patrol_stay_ms;
            let visited = number(stays.iter().filter(is_visit).count());
            check.measured.insert("unit_grids", number(stays.len()));
            check.measured.insert("visited", visited);
            let unseen_s = seconds(run.patrol.unseen_ms);
            check.measured.insert("unobserved_s", unseen_s);
        }
        ViolationKind::Silence if scene.at.0 < run.to => {
            if let Some(heard_at) = run.silence.heard_at {
                let silent_ms = scene.at.0 - heard_at;
                check.clock(heard_at, silent_ms, parameters.silence_ms);
            }
        }
        _ => {}
    }
}

pub(super) fn of_hours(scene: &Scene<'_>, name: &str) -> Check {
    let mut check = Check::new(ViolationKind::OutsideHours);
    let is_it = scene.vehicle.is_some_and(|vehicle| vehicle.id == name);
    if !is_it {
        check.why_not = Some(WhyNot::NotConcerned);
        return check;
    }
    let reasons = reasons(scene);
    let reason = reasons.iter().find(|(kind, _)| *kind == check.kind);
    check.why_not = reason.map(|(_, why)| WhyNot::Unjudged(*why));
    let duties = scene.catalog.duties();
    let roster = scene.vehicle.and_then(|vehicle| duties.roster_of(vehicle));
    let first = roster.and_then(crate::catalog::Roster::first);
    if let Some((_, shift)) = first.and_then(|first| duties.resolve(first)) {
        let parameters = &shift.parameters;
        for (name, value) in [
            ("moved_m", parameters.hours_m),
            ("motion_s", seconds(parameters.hours_motion_ms)),
            ("close_s", seconds(parameters.hours_close_ms)),
            ("margin_s", seconds(parameters.hours_margin_ms)),
        ] {
            check.thresholds.insert(name, value);
        }
        let hours = &scene.state().duty.hours;
        if let Some(onset) = hours.onset {
            check.clock(onset, hours.motion_ms, parameters.hours_motion_ms);
            check
                .measured
                .insert("moved_m", rounded(seconds(hours.moved_mm)));
            check.stage = if hours.draft.is_some() && hours.stopped_since.is_some() {
                Stage::Closing
            } else {
                Stage::Pending
            };
        }
    }
    check
}

#[expect(clippy::cast_precision_loss, reason = "unit grids of a city at most")]
const fn number(count: usize) -> f64 {
    count as f64
}
