//! One sentence for people, in plain English.

use super::{Check, Scene, Stage, Timestamp, Unjudged, WhyNot, target::Target};
use crate::violation::ViolationKind as Kind;

/// The most important of all checks: what is open, then what is pending, then the first that is
/// judged, then the first.
pub(super) fn whole(checks: &[Check]) -> String {
    let rank = |check: &&Check| match (check.stage, check.why_not) {
        (Stage::Open | Stage::Closing, _) => 0,
        (Stage::Pending, None) => 1,
        (_, None) => 2,
        _ => 3,
    };
    let first = checks.iter().min_by_key(rank);
    first.map_or_else(
        || "The rule asks for nothing by itself.".to_owned(),
        |check| check.sentence.clone(),
    )
}

pub(super) fn sentence(check: &Check, target: &Target<'_>, scene: &Scene<'_>) -> String {
    let stage = state(check, scene);
    let Some(why) = check.why_not else {
        return stage;
    };
    let why = reason(why, check, target, scene);
    let says_more = matches!(
        why_form(check.why_not),
        Form::Blind | Form::AtTheEnd | Form::Hours
    );
    if check.stage != Stage::Quiet || says_more && has_state(check) {
        format!("{why} {stage}")
    } else {
        why
    }
}

#[derive(PartialEq, Eq)]
enum Form {
    Blind,
    AtTheEnd,
    Hours,
    Other,
}

const fn why_form(why: Option<WhyNot>) -> Form {
    match why {
        Some(WhyNot::Unjudged(Unjudged::Unobserved)) => Form::Blind,
        Some(WhyNot::Unjudged(Unjudged::AtTheEnd)) => Form::AtTheEnd,
        Some(WhyNot::OutsideHours) => Form::Hours,
        _ => Form::Other,
    }
}

fn has_state(check: &Check) -> bool {
    check.side.is_some() || !check.measured.is_empty()
}

fn reason(why: WhyNot, check: &Check, target: &Target<'_>, scene: &Scene<'_>) -> String {
    let who = scene.vehicle.map_or_else(
        || "this terminal".to_owned(),
        |v| format!("vehicle {}", v.id),
    );
    let what = match target.form() {
        "work_rule" => "rule",
        form => form,
    };
    match why {
        WhyNot::NotConcerned => format!("The {what} does not concern {who}."),
        WhyNot::OutsideHours => {
            format!("The {what} does not hold at this moment: it is outside its windows.")
        }
        WhyNot::OtherRule => match check.measured.get("limit_that_holds_kmh") {
            Some(kmh) => format!("Another limit goes before this one: {kmh} km/h."),
            None => "Another rule goes before this one.".to_owned(),
        },
        WhyNot::OtherShift => {
            format!("At this moment {who} is on another shift, or has another duty area.")
        }
        WhyNot::Unjudged(why) => unjudged(why, what, &who, scene),
    }
}

fn unjudged(why: Unjudged, what: &str, who: &str, scene: &Scene<'_>) -> String {
    let text = match why {
        Unjudged::NoVehicle => "No vehicle of the catalog carries the terminal.",
        Unjudged::NoAssignment => return format!("No assignment concerns {who}."),
        Unjudged::OffShift => return format!("No shift of {who} holds at this moment."),
        Unjudged::OnShift => {
            "A shift holds at this moment, and the rule is about the time outside."
        }
        Unjudged::NotAsked => return format!("The {what} does not ask for this check."),
        Unjudged::NoDutyArea => "The assignment names no duty area.",
        Unjudged::NoUnitGrids => "The duty area has no unit grids to visit.",
        Unjudged::TooNew => return format!("The {what} is newer than what it would judge."),
        Unjudged::NeverHeard => "No usable fix is known from before this moment.",
        Unjudged::Lost => {
            return format!(
                "Nothing was received for so long that {who} is not expected any more."
            );
        }
        Unjudged::Unobserved => {
            let silent = scene
                .silent_ms()
                .map_or_else(String::new, |ms| format!(" for {}", span(ms)));
            return format!(
                "Nothing usable was received{silent}: clocks stand still, and nothing opens."
            );
        }
        Unjudged::AtTheEnd => "It is decided at the end, not at this moment.",
    };
    text.to_owned()
}

/// What the state machine of the check says.
fn state(check: &Check, scene: &Scene<'_>) -> String {
    let ago = |since: Timestamp| format!("{} before this moment", span(scene.at.0 - since.0));
    if let Some(violation) = &check.violation {
        let closing = match check.stage {
            Stage::Closing => "; it seems to be ending, which is not sure yet",
            _ => "",
        };
        let began = ago(violation.started_at);
        return format!("A violation has been open: it began {began}{closing}.");
    }
    match check.kind {
        Kind::StayIn | Kind::KeepOut => presence(check),
        Kind::Speeding | Kind::TooFastToClean => speed(check),
        Kind::RouteDeviation => deviation(check),
        Kind::Coverage => {
            let swept = metres(check, "swept_m");
            let planned = metres(check, "planned_m");
            format!("Swept so far: {swept} of {planned}.")
        }
        Kind::MissedPoint | Kind::WrongOrder | Kind::PatrolCoverage => {
            let all = check
                .measured
                .get("points")
                .or_else(|| check.measured.get("unit_grids"));
            let visited = check.measured.get("visited").unwrap_or(&0.0);
            let all = all.unwrap_or(&0.0);
            let stay = check.observed_ms.zip(check.needed_ms);
            let stay = stay.map_or_else(String::new, |(ms, needed)| {
                format!(" Stayed for {} of {}.", span(ms), span(needed))
            });
            format!("Visited: {visited} of {all}.{stay}")
        }
        // Heartbeats and other messages are no reports.
        Kind::Silence => counted(check, "No location report was received"),
        Kind::LateStart => counted(check, "Seen outside the duty area since the shift began,"),
        Kind::EarlyEnd => counted(check, "Gone from the duty area"),
        Kind::OffPost => counted(check, "Seen outside the duty area"),
        Kind::OutsideHours => counted(check, "Moved"),
        Kind::LongStop | Kind::Idling if check.stage == Stage::NotArmed => {
            "The vehicle stands so near to a site that it may be in it: the stop is not counted."
                .to_owned()
        }
        Kind::LongStop | Kind::Idling => counted(check, "Stood"),
        Kind::Unloading => counted(check, "Unloading"),
        Kind::TerminalAlarm => counted(check, "The alarm was set"),
    }
}

/// How long something has been observed, of how long it may be.
fn counted(check: &Check, what: &str) -> String {
    match (check.observed_ms, check.needed_ms) {
        (None, _) => "Nothing is wrong, and nothing is being counted.".to_owned(),
        (Some(ms), Some(needed)) => {
            format!(
                "{what} for {}; {} make a violation.",
                span(ms),
                span(needed)
            )
        }
        (Some(ms), None) => format!("{what} for {} so far.", span(ms)),
    }
}

fn presence(check: &Check) -> String {
    let is_keep_out = check.kind == Kind::KeepOut;
    let distance = metres(check, "distance_m");
    let wrong = if is_keep_out { "inside" } else { "outside" };
    match check.stage {
        Stage::NotArmed => format!(
            "The vehicle was found {wrong} and was not seen to cross the boundary: nothing opens \
             until it was seen on the other side. ({distance} from the boundary.)"
        ),
        Stage::Pending
            if check
                .side
                .is_some_and(|side| side == "entering" || side == "leaving") =>
        {
            format!(
                "The vehicle seems to be {}, which is not sure yet: two fixes and {} s beyond {} m \
                 are asked for. ({distance} from the boundary.)",
                check.side.unwrap_or_default(),
                number(check.thresholds.get("confirm_s")),
                number(check.thresholds.get("boundary_margin_m")),
            )
        }
        Stage::Pending => counted(check, &format!("Observed {wrong}")),
        _ => match check.side {
            None | Some("unknown") => {
                let margin = number(check.thresholds.get("boundary_margin_m"));
                format!(
                    "It is not sure on which side the vehicle is: {distance} from the boundary, {margin} m are asked for."
                )
            }
            Some(side) => {
                format!("The vehicle is {side}, {distance} from the boundary: nothing is wrong.")
            }
        },
    }
}

fn speed(check: &Check) -> String {
    let Some(median) = check.measured.get("median_kmh") else {
        return "No speed is known.".to_owned();
    };
    if check.side == Some("outside") {
        let distance = metres(check, "distance_m");
        return format!(
            "The vehicle is outside the fence, {distance} from its boundary: its limit does not hold there."
        );
    }
    let Some(threshold) = check.thresholds.get("threshold_kmh") else {
        return counted(check, &format!("At {median} km/h, too fast"));
    };
    let limit = number(check.thresholds.get("limit_kmh"));
    if check.stage == Stage::Pending {
        let what = format!(
            "At {median} km/h, above {threshold} km/h (the limit of {limit} and its margin),"
        );
        return counted(check, &what);
    }
    format!(
        "The median of the last speeds, {median} km/h, is not above {threshold} km/h: the limit of {limit} and its margin."
    )
}

fn deviation(check: &Check) -> String {
    let distance = metres(check, "distance_m");
    match check.stage {
        Stage::NotArmed => format!(
            "The vehicle has not been on the route for long enough to leave it. ({distance} from its line.)"
        ),
        Stage::Pending => format!(
            "Off the corridor for {}, {} driven; {} s and {} m make a violation, or {} s. ({distance} from the line.)",
            span(check.observed_ms.unwrap_or(0)),
            metres(check, "travelled_m"),
            number(check.thresholds.get("deviation_s")),
            number(check.thresholds.get("deviation_m")),
            number(check.thresholds.get("deviation_long_s")),
        ),
        _ => format!("The vehicle is on the route, {distance} from its line."),
    }
}

fn number(value: Option<&f64>) -> String {
    value.map_or_else(|| "?".to_owned(), ToString::to_string)
}

/// A measured distance, without its sign.
fn metres(check: &Check, name: &str) -> String {
    let meters = check.measured.get(name);
    meters.map_or_else(
        || "at an unknown distance".to_owned(),
        |m| format!("{:.0} m", m.abs()),
    )
}

/// A time in the unit that suits it: `45 s`, `12 min`, `3 h 20 min`.
fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1_000;
    match seconds {
        0..180 => format!("{seconds} s"),
        180..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}
