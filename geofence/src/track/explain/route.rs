//! Routes: how far from the line, how far along it, and what of it is done.

use super::{Check, Scene, Stage, Timestamp, Unjudged, WhyNot, target::Target};
use crate::{
    catalog::Route,
    checks::{
        RouteParameters,
        collection::PointWatch,
        deviation,
        draft::rounded,
        presence::seconds,
        route::{Run, meters},
    },
    violation::ViolationKind,
};

pub(super) fn checks(
    scene: &Scene<'_>,
    target: &Target<'_>,
    route: &Route,
    point: Option<usize>,
) -> Vec<Check> {
    let watches = &scene.state().routes;
    let watch = watches.iter().find(|w| w.fingerprint == route.fingerprint);
    let run = watch.and_then(|watch| watch.run.as_deref());
    let why_not = target.why_not(scene);
    let asked = [
        (ViolationKind::RouteDeviation, route.checks.deviation),
        (
            ViolationKind::WrongOrder,
            route.checks.points && route.checks.order,
        ),
        (ViolationKind::MissedPoint, route.checks.points),
        (ViolationKind::Coverage, route.checks.coverage),
    ];
    let is_of_points =
        |kind| matches!(kind, ViolationKind::WrongOrder | ViolationKind::MissedPoint);
    let asked = asked
        .into_iter()
        .filter(|(kind, _)| point.is_none() || is_of_points(*kind));
    let check = |(kind, is_asked): (ViolationKind, bool)| {
        let mut check = Check::new(kind);
        let not_asked = (!is_asked).then_some(WhyNot::Unjudged(Unjudged::NotAsked));
        check.why_not = match (why_not, run) {
            // Points and coverage are judged behind the window too.
            (Some(WhyNot::OutsideHours), Some(_)) if kind != ViolationKind::RouteDeviation => {
                not_asked
            }
            (Some(why), _) => Some(why),
            (None, None) => not_asked.or_else(|| Some(WhyNot::Unjudged(without_run(scene, route)))),
            (None, Some(_)) => not_asked,
        };
        thresholds(&mut check, route);
        if let Some(run) = run.filter(|_| is_asked) {
            read(scene, &mut check, route, run, point);
        }
        check
    };
    asked.map(check).collect()
}

/// Why a window that holds is not judged.
fn without_run(scene: &Scene<'_>, route: &Route) -> Unjudged {
    let window = route.schedule.window_at(scene.at);
    let since = scene.since(route.fingerprint);
    if scene.state().last.is_none() {
        Unjudged::NeverHeard
    } else if window.is_some_and(|(from, _)| since > from.0) {
        Unjudged::TooNew
    } else {
        Unjudged::Unobserved
    }
}

fn thresholds(check: &mut Check, route: &Route) {
    let parameters = &route.parameters;
    let numbers: &[(&'static str, f64)] = match check.kind {
        ViolationKind::RouteDeviation => &[
            ("half_width_m", parameters.half_width_mm / 1e3),
            ("deviation_s", seconds(parameters.deviation_ms)),
            ("deviation_m", meters(parameters.deviation_mm)),
            ("deviation_long_s", seconds(parameters.deviation_long_ms)),
            ("return_s", seconds(parameters.return_ms)),
            ("armed_s", seconds(RouteParameters::ARMED_MS)),
            ("armed_m", meters(RouteParameters::ARMED_MM)),
        ],
        ViolationKind::Coverage => &[
            ("good_percent", parameters.good_percent),
            ("fail_percent", parameters.fail_percent),
            ("coverage_grace_s", seconds(parameters.coverage_grace_ms)),
        ],
        _ => &[("point_grace_s", seconds(parameters.point_grace_ms))],
    };
    check.thresholds.extend(numbers.iter().copied());
}

fn read(scene: &Scene<'_>, check: &mut Check, route: &Route, run: &Run, point: Option<usize>) {
    match check.kind {
        ViolationKind::RouteDeviation => {
            check.why_not = check.why_not.or_else(|| scene.blind());
            off_the_route(scene, check, route, run);
        }
        ViolationKind::Coverage => {
            let (planned_m, swept_m, unobserved_m) = run.coverage.progress_m(route);
            check.measured.insert("planned_m", rounded(planned_m));
            check.measured.insert("swept_m", rounded(swept_m));
            check.measured.insert("unobserved_m", rounded(unobserved_m));
            if planned_m > 0.0 {
                let percent = rounded(100.0 * swept_m / planned_m);
                check.measured.insert("swept_percent", percent);
            }
            if !run.coverage.is_decided {
                check.why_not = check.why_not.or(Some(WhyNot::Unjudged(Unjudged::AtTheEnd)));
            }
        }
        kind => points(check, route, run, point, kind == ViolationKind::MissedPoint),
    }
}

fn off_the_route(scene: &Scene<'_>, check: &mut Check, route: &Route, run: &Run) {
    let deviation = &run.deviation;
    check.stage = match (deviation.stage, &deviation.draft) {
        (_, Some(_)) if deviation.back_since.is_some() => Stage::Closing,
        (_, Some(_)) => Stage::Open,
        (deviation::Stage::Waiting, None) => Stage::NotArmed,
        (deviation::Stage::On, None) => Stage::Quiet,
        (deviation::Stage::Off, None) => Stage::Pending,
    };
    if let Some(clock) = deviation.clock {
        let needed_ms = route.parameters.deviation_ms;
        check.clock(clock.onset, clock.observed, needed_ms);
        let travelled_m = meters(deviation.travelled_mm);
        check.measured.insert("travelled_m", travelled_m);
    }
    if let Some(fix) = &scene.state().last {
        let spot = route.line.nearest(fix.point);
        check
            .measured
            .insert("distance_m", rounded(spot.distance_mm / 1e3));
        let corridor_m = route.parameters.corridor_mm(fix.sigma_mm()) / 1e3;
        check.thresholds.insert("corridor_m", corridor_m);
    }
    let length_m = rounded(route.line.length_mm() / 1e3);
    check.measured.insert("length_m", length_m);
    if let Some(along_mm) = run.cursor.along_mm {
        check.measured.insert("along_m", meters(along_mm));
    }
}

fn points(check: &mut Check, route: &Route, run: &Run, point: Option<usize>, is_missed: bool) {
    let watches = &run.points.watches;
    if let Some((place, watch)) = point.and_then(|place| Some((place, watches.get(place)?))) {
        let plan = route.points.get(place);
        if let Some(plan) = plan {
            check.thresholds.insert("radius_m", plan.radius_mm / 1e3);
            check.thresholds.insert("stay_s", seconds(plan.stay_ms));
            check.needed_ms = Some(plan.stay_ms);
            if !plan.is_mandatory {
                check.why_not = check.why_not.or(Some(WhyNot::Unjudged(Unjudged::NotAsked)));
            }
        }
        check.observed_ms = Some(watch.stay_ms);
        check.measured.insert("stay_s", seconds(watch.stay_ms));
        if let Some(nearest_mm) = watch.nearest_mm {
            check.measured.insert("nearest_m", meters(nearest_mm));
        }
        check.since = watch.visited_at.map(Timestamp);
    }
    let is_it = |place: usize| point.is_none_or(|asked| asked == place);
    let own = || {
        let all = watches.iter().enumerate();
        all.filter(|(place, _)| is_it(*place))
            .map(|(_, watch)| watch)
    };
    let is_visited = |watch: &PointWatch| watch.visited_at.is_some();
    check.measured.insert("points", number(own().count()));
    let visited = own().filter(|watch| is_visited(watch)).count();
    check.measured.insert("visited", number(visited));
    let unobserved = own().filter(|watch| run.points.is_unobserved(watch));
    let unobserved = number(unobserved.count());
    check.measured.insert("unobserved", unobserved);
    let is_decided = own().all(|watch| watch.is_decided || is_visited(watch));
    if is_missed && !is_decided {
        check.why_not = check.why_not.or(Some(WhyNot::Unjudged(Unjudged::AtTheEnd)));
    }
}

#[expect(clippy::cast_precision_loss, reason = "points of a route")]
const fn number(count: usize) -> f64 {
    count as f64
}
