//! One sentence for people, in plain words. The words themselves are data: `texts`.

mod texts;

use self::texts::Text;
use super::{Check, Scene, Stage, Timestamp, Unjudged, WhyNot, target::Target};
use crate::{language::Language, violation::ViolationKind as Kind};

/// The most important of all checks: what is open, then what is pending, then the first that is
/// judged, then the first.
pub(super) fn whole(checks: &[Check], language: Language) -> String {
    let rank = |check: &&Check| match (check.stage, check.why_not) {
        (Stage::Open | Stage::Closing, _) => 0,
        (Stage::Pending, None) => 1,
        (_, None) => 2,
        _ => 3,
    };
    let first = checks.iter().min_by_key(rank);
    first.map_or_else(
        || texts::NOTHING_ASKED.of(language).to_owned(),
        |check| check.told(language).to_owned(),
    )
}

pub(super) fn sentence(
    check: &Check,
    target: &Target<'_>,
    scene: &Scene<'_>,
    language: Language,
) -> String {
    let words = Words {
        check,
        scene,
        language,
    };
    let stage = words.state();
    let Some(why) = check.why_not else {
        return stage;
    };
    let why = words.reason(why, target);
    let says_more = matches!(
        why_form(check.why_not),
        Form::Blind | Form::AtTheEnd | Form::Hours
    );
    if check.stage != Stage::Quiet || says_more && has_state(check) {
        words.both(&why, &stage)
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

/// What one check says, in one language.
#[derive(Clone, Copy)]
struct Words<'a> {
    check: &'a Check,
    scene: &'a Scene<'a>,
    language: Language,
}

impl Words<'_> {
    fn plain(self, text: Text) -> String {
        text.of(self.language).to_owned()
    }

    fn fill(self, text: Text, places: &[(&str, &str)]) -> String {
        text.fill(self.language, places)
    }

    /// Two sentences; Chinese has no space between them.
    fn both(self, first: &str, second: &str) -> String {
        match self.language {
            Language::English => format!("{first} {second}"),
            Language::Chinese => format!("{first}{second}"),
        }
    }

    fn reason(self, why: WhyNot, target: &Target<'_>) -> String {
        let who = self.scene.vehicle.map_or_else(
            || self.plain(texts::THIS_TERMINAL),
            |vehicle| self.fill(texts::VEHICLE, &[("id", &vehicle.id)]),
        );
        let what = match target.form() {
            "fence" => texts::FORM_FENCE,
            "route" => texts::FORM_ROUTE,
            "shift" => texts::FORM_SHIFT,
            "hours" => texts::FORM_HOURS,
            "vehicle" => texts::FORM_VEHICLE,
            _ => texts::FORM_RULE,
        };
        let what = what.of(self.language);
        let places = [("what", what), ("who", who.as_str())];
        let text = match why {
            WhyNot::NotConcerned => texts::NOT_CONCERNED,
            WhyNot::OutsideHours => texts::OUTSIDE_HOURS,
            WhyNot::OtherRule => match self.check.measured.get("limit_that_holds_kmh") {
                Some(kmh) => return self.fill(texts::OTHER_LIMIT, &[("kmh", &kmh.to_string())]),
                None => texts::OTHER_RULE,
            },
            WhyNot::OtherShift => texts::OTHER_SHIFT,
            WhyNot::Unjudged(Unjudged::Unobserved) => match self.scene.silent_ms() {
                Some(ms) => {
                    return self.fill(texts::UNOBSERVED_FOR, &[("silent", &self.span(ms))]);
                }
                None => texts::UNOBSERVED,
            },
            WhyNot::Unjudged(why) => unjudged(why),
        };
        self.fill(text, &places)
    }

    /// What the state machine of the check says.
    fn state(self) -> String {
        let check = self.check;
        if let Some(violation) = &check.violation {
            let text = match check.stage {
                Stage::Closing => texts::IS_CLOSING,
                _ => texts::IS_OPEN,
            };
            let ago = self.ago(violation.started_at);
            return self.fill(text, &[("span", &ago)]);
        }
        match check.kind {
            Kind::StayIn | Kind::KeepOut => self.presence(),
            Kind::Speeding | Kind::TooFastToClean => self.speed(),
            Kind::RouteDeviation => self.deviation(),
            Kind::Coverage => {
                let swept = self.metres("swept_m");
                let planned = self.metres("planned_m");
                self.fill(
                    texts::SWEPT,
                    &[("swept", swept.trim()), ("planned", planned.trim())],
                )
            }
            Kind::MissedPoint | Kind::WrongOrder | Kind::PatrolCoverage => self.visits(),
            // Heartbeats and other messages are no reports.
            Kind::Silence => self.counted(texts::NO_REPORT),
            Kind::LateStart => self.counted(texts::SEEN_SINCE_BEGIN),
            Kind::EarlyEnd => self.counted(texts::GONE),
            Kind::OffPost => self.counted(texts::SEEN_OUTSIDE),
            Kind::OutsideHours => self.counted(texts::MOVED),
            Kind::LongStop | Kind::Idling if check.stage == Stage::NotArmed => {
                self.plain(texts::NEAR_A_SITE)
            }
            Kind::LongStop | Kind::Idling => self.counted(texts::STOOD),
            Kind::Unloading => self.counted(texts::UNLOADING),
            Kind::TerminalAlarm => self.counted(texts::ALARM_SET),
        }
    }

    fn visits(self) -> String {
        let check = self.check;
        let all = check
            .measured
            .get("points")
            .or_else(|| check.measured.get("unit_grids"));
        let visited = check.measured.get("visited").unwrap_or(&0.0).to_string();
        let all = all.unwrap_or(&0.0).to_string();
        let told = self.fill(texts::VISITED, &[("visited", &visited), ("all", &all)]);
        let Some((ms, needed)) = check.observed_ms.zip(check.needed_ms) else {
            return told;
        };
        let (stay, needed) = (self.span(ms), self.span(needed));
        let stay = self.fill(texts::STAYED, &[("span", &stay), ("needed", &needed)]);
        self.both(&told, &stay)
    }

    fn counted(self, what: Text) -> String {
        self.counted_words(what.of(self.language))
    }

    /// How long something has been observed, of how long it may be.
    fn counted_words(self, what: &str) -> String {
        match (self.check.observed_ms, self.check.needed_ms) {
            (None, _) => self.plain(texts::NOTHING_COUNTED),
            (Some(ms), Some(needed)) => {
                let (span, needed) = (self.span(ms), self.span(needed));
                let places = [("what", what), ("span", &span), ("needed", &needed)];
                self.fill(texts::COUNTED_OF, &places)
            }
            (Some(ms), None) => {
                self.fill(texts::COUNTED, &[("what", what), ("span", &self.span(ms))])
            }
        }
    }

    fn presence(self) -> String {
        let check = self.check;
        let wrong = match check.kind {
            Kind::KeepOut => texts::INSIDE,
            _ => texts::OUTSIDE,
        };
        let wrong = wrong.of(self.language);
        let distance = self.metres("distance_m");
        let margin = number(check.thresholds.get("boundary_margin_m"));
        let side = check.side.and_then(side);
        let said = side.map_or("", |side| side.of(self.language));
        let is_moving = matches!(check.side, Some("entering" | "leaving"));
        let text = match check.stage {
            Stage::NotArmed => texts::FOUND_WRONG,
            Stage::Pending if is_moving => texts::SEEMS_TO_BE,
            Stage::Pending => {
                return self.counted_words(&self.fill(texts::OBSERVED, &[("side", wrong)]));
            }
            _ if side.is_none() => texts::SIDE_UNSURE,
            _ if is_moving => texts::SIDE_MOVING,
            _ => texts::SIDE_RIGHT,
        };
        let confirm = number(check.thresholds.get("confirm_s"));
        let side = match check.stage {
            Stage::NotArmed => wrong,
            _ => said,
        };
        let places = [
            ("side", side),
            ("distance", distance.as_str()),
            ("margin", margin.as_str()),
            ("confirm", confirm.as_str()),
        ];
        self.fill(text, &places)
    }

    fn speed(self) -> String {
        let check = self.check;
        let Some(median) = check.measured.get("median_kmh") else {
            return self.plain(texts::NO_SPEED);
        };
        if check.side == Some("outside") {
            let distance = self.metres("distance_m");
            return self.fill(texts::LIMIT_OUTSIDE, &[("distance", &distance)]);
        }
        let median = median.to_string();
        let Some(threshold) = check.thresholds.get("threshold_kmh") else {
            return self.counted_words(&self.fill(texts::TOO_FAST, &[("median", &median)]));
        };
        let threshold = threshold.to_string();
        let limit = number(check.thresholds.get("limit_kmh"));
        let places = [
            ("median", median.as_str()),
            ("threshold", threshold.as_str()),
            ("limit", limit.as_str()),
        ];
        if check.stage == Stage::Pending {
            return self.counted_words(&self.fill(texts::ABOVE, &places));
        }
        self.fill(texts::NOT_ABOVE, &places)
    }

    fn deviation(self) -> String {
        let check = self.check;
        let distance = self.metres("distance_m");
        let text = match check.stage {
            Stage::NotArmed => texts::NOT_ON_ROUTE,
            Stage::Pending => texts::OFF_ROUTE,
            _ => texts::ON_ROUTE,
        };
        let span = self.span(check.observed_ms.unwrap_or(0));
        let travelled = self.metres("travelled_m");
        let needed_s = number(check.thresholds.get("deviation_s"));
        let needed_m = number(check.thresholds.get("deviation_m"));
        let long_s = number(check.thresholds.get("deviation_long_s"));
        let places = [
            ("distance", distance.as_str()),
            ("span", span.as_str()),
            ("travelled", travelled.trim()),
            ("needed_s", needed_s.as_str()),
            ("needed_m", needed_m.as_str()),
            ("long_s", long_s.as_str()),
        ];
        self.fill(text, &places)
    }

    /// A measured distance, without its sign. In Chinese a space goes before a number.
    fn metres(self, name: &str) -> String {
        let meters = self.check.measured.get(name);
        meters.map_or_else(
            || self.plain(texts::UNKNOWN_DISTANCE),
            |m| self.fill(texts::METRES, &[("number", &format!("{:.0}", m.abs()))]),
        )
    }

    fn ago(self, since: Timestamp) -> String {
        self.span(self.scene.at.0 - since.0)
    }

    /// A time in the unit that suits it: `45 s`, `12 min`, `3 h 20 min`.
    fn span(self, ms: i64) -> String {
        let seconds = ms.max(0) / 1_000;
        let minutes = (seconds / 60).to_string();
        match seconds {
            0..180 => self.fill(texts::SECONDS, &[("s", &seconds.to_string())]),
            180..7_200 => self.fill(texts::MINUTES, &[("min", &minutes)]),
            _ => {
                let hours = (seconds / 3_600).to_string();
                let minutes = (seconds / 60 % 60).to_string();
                self.fill(texts::HOURS, &[("h", &hours), ("min", &minutes)])
            }
        }
    }
}

const fn unjudged(why: Unjudged) -> Text {
    match why {
        Unjudged::NoVehicle => texts::NO_VEHICLE,
        Unjudged::NoAssignment => texts::NO_ASSIGNMENT,
        Unjudged::OffShift => texts::OFF_SHIFT,
        Unjudged::OnShift => texts::ON_SHIFT,
        Unjudged::NotAsked => texts::NOT_ASKED,
        Unjudged::NoDutyArea => texts::NO_DUTY_AREA,
        Unjudged::NoUnitGrids => texts::NO_UNIT_GRIDS,
        Unjudged::TooNew => texts::TOO_NEW,
        Unjudged::NeverHeard => texts::NEVER_HEARD,
        Unjudged::Lost => texts::LOST,
        Unjudged::Unobserved => texts::UNOBSERVED,
        Unjudged::AtTheEnd => texts::AT_THE_END,
    }
}

/// A side of a boundary; `None` when it is not sure.
fn side(word: &str) -> Option<Text> {
    match word {
        "inside" => Some(texts::INSIDE),
        "outside" => Some(texts::OUTSIDE),
        "entering" => Some(texts::ENTERING),
        "leaving" => Some(texts::LEAVING),
        _ => None,
    }
}

fn number(value: Option<&f64>) -> String {
    value.map_or_else(|| "?".to_owned(), ToString::to_string)
}
