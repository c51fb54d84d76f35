//! Inspectors, their tasks and what they report.

use std::{fmt, time::Duration};

use super::{ItemId, Raw, seconds};

/// `[inspectors]`
#[derive(Clone, Debug)]
pub struct Inspectors {
    /// What an inspector may report at the push of a button (0x0301): set on his terminal with 0x8301
    /// where its revision has that. None by default.
    pub events: Vec<ReportedEvent>,
    /// The event that says "it is so" or "it is done" of his only open task; 0 is none, the default.
    pub pass_event: u8,
    /// The event that says that it is not. Default 0.
    pub fail_event: u8,
    /// The event that says that he cannot tell. Default 0.
    pub unclear_event: u8,
    /// Event codes of pictures (0x0801) that a person took, each of which is a case. None is the
    /// default: those that the standard leaves open, from 8 on.
    pub photo_events: Vec<ItemId>,
    /// A report is placed at the inspector's newest position when that is so old at most. Default
    /// 10 min.
    pub position_age_max: Duration,
    /// New tasks are looked for so often. Default 2 s.
    pub interval: Duration,
    /// Pictures that wait to become cases. Default 256.
    pub photos_queued_max: u32,
}

/// An event that means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedEvent {
    /// Its number in 0x0301.
    pub id: u8,
    /// Code of the category; may be empty.
    pub category: String,
    /// What the terminal shows, and the case says.
    pub text: String,
}

impl ReportedEvent {
    fn read(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':').map(str::trim);
        let id = parts.next().and_then(|id| id.parse().ok());
        let (category, words) = (parts.next(), parts.next().filter(|words| !words.is_empty()));
        match (id, category, words) {
            (Some(id), Some(category), Some(words)) if id > 0 => Ok(Self {
                id,
                category: category.to_owned(),
                text: words.to_owned(),
            }),
            _ => Err(format!(
                "\"{text}\" is no event: a number from 1 to 255, a category and words, such as \
                 1:0102:暴露垃圾"
            )),
        }
    }
}

impl fmt::Display for ReportedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.id, self.category, self.text)
    }
}

impl Inspectors {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let mut event = |key| {
            let id = raw.count(key, 0, 0..=255);
            u8::try_from(id).unwrap_or_default()
        };
        let pass_event = event("inspectors.pass_event");
        let fail_event = event("inspectors.fail_event");
        let unclear_event = event("inspectors.unclear_event");
        Self {
            events: raw.list("inspectors.events", ReportedEvent::read),
            pass_event,
            fail_event,
            unclear_event,
            photo_events: raw.list("inspectors.photo_events", ItemId::read),
            position_age_max: raw.duration(
                "inspectors.position_age_max",
                seconds(600),
                seconds(1)..=seconds(86_400),
            ),
            interval: raw.duration(
                "inspectors.interval",
                seconds(2),
                Duration::from_millis(100)..=seconds(3_600),
            ),
            photos_queued_max: raw.count("inspectors.photos_queued_max", 256, 1..=100_000),
        }
    }

    /// A picture with this event code was taken by a person.
    #[must_use]
    pub fn is_by_hand(&self, event: u8) -> bool {
        // 0 to 7 are the platform, timers, alarms, doors and distances (JT/T 808, 0x0800).
        if self.photo_events.is_empty() {
            event >= 8
        } else {
            self.photo_events.contains(&ItemId(event))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_number_a_category_and_words() {
        let event = ReportedEvent::read("1:0102: 暴露垃圾: 大量").unwrap();
        assert_eq!(
            (event.id, event.text.as_str(), event.category.as_str()),
            (1, "暴露垃圾: 大量", "0102")
        );
        assert_eq!(event.to_string(), "1:0102:暴露垃圾: 大量");
        for wrong in ["", "1", "1:0102", "0:0102:x", "256:0102:x", "1:0102: "] {
            assert!(ReportedEvent::read(wrong).is_err(), "{wrong}");
        }
    }
}
