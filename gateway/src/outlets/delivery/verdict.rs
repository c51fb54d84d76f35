//! What an answer means for a delivery.

use std::time::Duration;

use geofence::units::Timestamp;
use serde_json::Value;
use storage::outbox::{Delivery, DeliveryState};

use crate::config::Receiver;

/// The longest number of a receiver that is taken for one.
const NUMBER_CHARS_MAX: usize = 128;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status; 200 where a broker has acknowledged.
    pub status: u16,
    /// The body, within its bound.
    pub body: Vec<u8>,
    /// What `Retry-After` asks for.
    pub retry_after: Option<Duration>,
}

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no address, or none that webhooks may go to.
    Address(String),
    /// No connection.
    Connect(String),
    /// No TLS.
    Tls(String),
    /// Not in time.
    Timeout,
    /// No HTTP, or too much of it.
    Nonsense(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl Failure {
    fn text(&self) -> &str {
        match self {
            Self::Address(text) | Self::Connect(text) | Self::Tls(text) | Self::Nonsense(text) => {
                text
            }
            Self::Timeout => "no answer in time",
        }
    }
}

/// What became of an attempt, for the store, the breaker and the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How far the delivery is.
    pub state: DeliveryState,
    /// When it is tried again, if it is pending.
    pub pause: Duration,
    /// The receiver does its work, whatever it said of this delivery.
    pub is_well: bool,
    /// The word that metrics use, out of [`OUTCOMES`].
    pub outcome: &'static str,
    /// The HTTP status.
    pub status: Option<u16>,
    /// What was said, bounded.
    pub said: String,
    /// The receiver's own number.
    pub number: Option<String>,
}

/// The words of [`Verdict::outcome`].
pub const OUTCOMES: [&str; 9] = [
    "delivered",
    "refused",
    "status",
    "redirect",
    "nonsense",
    "timeout",
    "connect",
    "tls",
    "address",
];

/// Judges an attempt that ended `now`. `dice` is a number below 1,024 for the jitter.
///
/// * 2xx is delivered, if the number is where it should be;
/// * 4xx that blames the request is final: sent again, it would be refused again;
/// * all else is tried again, until the delivery is too old. That goes for 401, 403, 404 and 405
///   too, and for redirects, which are never followed: these say that the receiver or our
///   configuration is not as it should be, and a person mends that.
#[must_use]
pub fn judge(
    receiver: &Receiver,
    delivery: &Delivery,
    result: &Result<Answer, Failure>,
    now: Timestamp,
    said_bytes_max: usize,
    dice: u32,
) -> Verdict {
    let pause = pause(receiver, delivery.attempts, dice);
    let mut verdict = Verdict {
        state: DeliveryState::Pending,
        pause,
        is_well: false,
        outcome: "status",
        status: None,
        said: String::new(),
        number: None,
    };
    match result {
        Err(failure) => {
            verdict.said = bounded(failure.text().as_bytes(), said_bytes_max);
            verdict.outcome = match failure {
                Failure::Address(_) => "address",
                Failure::Connect(_) => "connect",
                Failure::Tls(_) => "tls",
                Failure::Timeout => "timeout",
                Failure::Nonsense(_) => "nonsense",
            };
        }
        Ok(answer) => {
            // That of a broker is none that anybody sent.
            verdict.status = Some(answer.status).filter(|_| receiver.publication.is_none());
            verdict.said = bounded(&answer.body, said_bytes_max);
            if let Some(asked) = answer.retry_after {
                verdict.pause = asked.min(receiver.retry_last).max(pause);
            }
            match answer.status {
                200..=299 => match number(receiver, &answer.body) {
                    Ok(number) => {
                        verdict.state = DeliveryState::Delivered;
                        verdict.number = number;
                        verdict.outcome = "delivered";
                        verdict.is_well = true;
                    }
                    Err(()) => verdict.outcome = "nonsense",
                },
                300..=399 => verdict.outcome = "redirect",
                401 | 403 | 404 | 405 | 407 | 408 | 409 | 421 | 423 | 425 | 429 => {}
                400..=499 => {
                    verdict.state = DeliveryState::Dead;
                    verdict.outcome = "refused";
                    verdict.is_well = true;
                }
                _ => {}
            }
        }
    }
    let is_too_old = now >= delivery.since.after(receiver.max_age);
    if verdict.state == DeliveryState::Pending && is_too_old {
        verdict.state = DeliveryState::Dead;
    }
    verdict
}

/// Twice as long each time up to the longest one, of which between half and the whole.
fn pause(receiver: &Receiver, attempts: u32, dice: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempts.min(31)).unwrap_or(u32::MAX);
    let whole = receiver
        .retry_first
        .saturating_mul(factor)
        .min(receiver.retry_last);
    whole / 2 + (whole / 2).saturating_mul(dice.min(1_023)) / 1_023
}

/// The number in an answer; an error where it should be and is not.
fn number(receiver: &Receiver, body: &[u8]) -> Result<Option<String>, ()> {
    let Some(field) = &receiver.number_field else {
        return Ok(None);
    };
    let document: Value = serde_json::from_slice(body).map_err(|_| ())?;
    let found = field
        .split('.')
        .try_fold(&document, |value, name| value.get(name));
    let number = match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err(()),
    };
    let is_number = (1..=NUMBER_CHARS_MAX).contains(&number.chars().count());
    is_number.then_some(Some(number)).ok_or(())
}

/// The beginning of what was said, as text, in so many bytes at most.
fn bounded(bytes: &[u8], max: usize) -> String {
    let text = String::from_utf8_lossy(bytes.get(..max).unwrap_or(bytes));
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use geofence::identity::CaseId;
    use storage::outbox::EventKind;
    use uuid::Uuid;

    use super::*;
    use crate::config::{Config, Raw};

    fn receiver(more: &str) -> Receiver {
        let mut raw = Raw::default();
        let text = format!(
            "[[delivery.receivers]]\nname = \"a\"\nurl = \"http://h/\"\n\
             secret = \"a-key-of-enough-characters\"\n{more}"
        );
        raw.add_file(PathBuf::from("f"), &text);
        Config::from_raw(raw).unwrap().delivery.receivers.remove(0)
    }

    fn delivery(attempts: u32) -> Delivery {
        Delivery {
            id: Uuid::nil(),
            receiver: "a".into(),
            case: CaseId(Uuid::nil()),
            sequence: 1,
            kind: EventKind::Opened,
            state: DeliveryState::Pending,
            since: Timestamp(0),
            attempts,
            next_at: Timestamp(0),
            finished_at: None,
            status: None,
            said: String::new(),
        }
    }

    fn answer(status: u16, body: &str) -> Result<Answer, Failure> {
        Ok(Answer {
            status,
            body: body.into(),
            retry_after: None,
        })
    }

    fn judged(receiver: &Receiver, result: &Result<Answer, Failure>) -> Verdict {
        judge(receiver, &delivery(0), result, Timestamp(1), 8, 0)
    }

    #[test]
    fn each_status_means_what_the_table_says() {
        use DeliveryState::{Dead, Delivered, Pending};
        let receiver = receiver("");
        for (status, state, outcome, is_well) in [
            (200, Delivered, "delivered", true),
            (204, Delivered, "delivered", true),
            (301, Pending, "redirect", false),
            (307, Pending, "redirect", false),
            (400, Dead, "refused", true),
            (401, Pending, "status", false),
            (404, Pending, "status", false),
            (409, Pending, "status", false),
            (410, Dead, "refused", true),
            (422, Dead, "refused", true),
            (429, Pending, "status", false),
            (500, Pending, "status", false),
            (503, Pending, "status", false),
            (99, Pending, "status", false),
        ] {
            let verdict = judged(&receiver, &answer(status, "x"));
            let found = (verdict.state, verdict.outcome, verdict.is_well);
            assert_eq!(found, (state, outcome, is_well), "{status}");
            assert!(OUTCOMES.contains(&verdict.outcome));
        }
    }

    #[test]
    fn an_answer_without_the_number_is_nonsense() {
        let receiver = receiver("number_field = \"data.number\"\n");
        let number = |body: &str| {
            let verdict = judged(&receiver, &answer(200, body));
            (verdict.number, verdict.outcome)
        };
        let good = |text: &str| (Some(text.to_owned()), "delivered");
        assert_eq!(number(r#"{"data":{"number":"TY-7"}}"#), good("TY-7"));
        assert_eq!(number(r#"{"data":{"number":7}}"#), good("7"));
        let long = format!(r#"{{"data":{{"number":"{}"}}}}"#, "7".repeat(129));
        for nonsense in [
            "",
            "ok",
            "{}",
            r#"{"data":7}"#,
            r#"{"data":{"number":""}}"#,
            &long,
        ] {
            assert_eq!(number(nonsense), (None, "nonsense"), "{nonsense}");
        }
    }

    #[test]
    fn what_was_said_is_bounded() {
        let receiver = receiver("");
        let said = |body: &str| judged(&receiver, &answer(500, body)).said;
        assert_eq!(said("12345678901"), "12345678");
        assert!(said("一二三四").len() <= 8);
        assert_eq!(judged(&receiver, &Err(Failure::Timeout)).said, "no answe");
    }

    #[test]
    fn pauses_double_up_to_the_longest_with_jitter_below() {
        let receiver = receiver("retry_first = \"1s\"\nretry_last = \"1m\"\n");
        let pauses = |dice| [0, 1, 5, 6, 40, u32::MAX].map(|n| pause(&receiver, n, dice));
        let seconds = |all: [u64; 6]| all.map(Duration::from_secs);
        assert_eq!(pauses(1_023), seconds([1, 2, 32, 60, 60, 60]));
        assert_eq!(pauses(0)[1..], seconds([0, 1, 16, 30, 30, 30])[1..]);
    }

    #[test]
    fn a_wish_to_be_asked_later_is_met_within_the_longest_pause() {
        let receiver = receiver("retry_last = \"1m\"\n");
        let mut busy = answer(429, "").unwrap();
        let mut asked = |seconds| {
            busy.retry_after = Some(Duration::from_secs(seconds));
            judged(&receiver, &Ok(busy.clone())).pause
        };
        assert_eq!(asked(30), Duration::from_secs(30));
        assert_eq!(asked(3_600), Duration::from_secs(60));
        assert_eq!(asked(0), Duration::from_millis(500));
    }

    #[test]
    fn what_is_too_old_is_given_up_at_the_next_failure() {
        let receiver = receiver("max_age = \"1h\"\n");
        let state = |at, result: &Result<Answer, Failure>| {
            judge(&receiver, &delivery(9), result, Timestamp(at), 8, 0).state
        };
        let failed = Err(Failure::Timeout);
        assert_eq!(state(3_599_999, &failed), DeliveryState::Pending);
        assert_eq!(state(3_600_000, &failed), DeliveryState::Dead);
        assert_eq!(state(3_600_000, &answer(200, "")), DeliveryState::Delivered);
    }
}
