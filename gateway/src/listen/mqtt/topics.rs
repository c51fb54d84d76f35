//! What a terminal may publish and read. Everything that is not named here is refused.

use protocols::mqtt::TOPIC_ROOT;

/// What it publishes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Up {
    Json,
    Jt808,
}

/// What it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Down {
    Jt808,
    Json,
    Errors,
}

impl Down {
    /// The label, and with other signs the end of the topic.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Jt808 => "down_jt808",
            Self::Json => "down_json",
            Self::Errors => "errors",
        }
    }

    const fn leaf(self) -> &'static str {
        match self {
            Self::Jt808 => "down/jt808",
            Self::Json => "down/json",
            Self::Errors => "errors",
        }
    }
}

/// A filter that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// `down/#` or `down/+`.
    AllDown,
    One(Down),
}

impl Filter {
    const fn covers(self, topic: Down) -> bool {
        match self {
            Self::AllDown => !matches!(topic, Down::Errors),
            Self::One(one) => one as u8 == topic as u8,
        }
    }
}

/// The topics of one terminal.
#[derive(Debug)]
pub(super) struct Topics {
    /// `gridtrace/terminals/{name}/`
    prefix: String,
}

impl Topics {
    /// `name` is the phone number as the client writes it: digits alone.
    pub(super) fn of(name: &str) -> Self {
        Self {
            prefix: format!("{TOPIC_ROOT}{name}/"),
        }
    }

    /// Those of somebody who is no terminal: none.
    pub(super) fn of_nobody() -> Self {
        Self {
            prefix: "\0".to_owned(),
        }
    }

    pub(super) fn up(&self, topic: &str) -> Option<Up> {
        match topic.strip_prefix(&self.prefix)? {
            "up/json" => Some(Up::Json),
            "up/jt808" => Some(Up::Jt808),
            _ => None,
        }
    }

    pub(super) fn filter(&self, filter: &str) -> Option<Filter> {
        match filter.strip_prefix(&self.prefix)? {
            "down/#" | "down/+" => Some(Filter::AllDown),
            "down/jt808" => Some(Filter::One(Down::Jt808)),
            "down/json" => Some(Filter::One(Down::Json)),
            "errors" => Some(Filter::One(Down::Errors)),
            _ => None,
        }
    }

    pub(super) fn down(&self, topic: Down) -> String {
        format!("{}{}", self.prefix, topic.leaf())
    }
}

/// Levels of a topic or filter.
pub(super) fn levels(topic: &str) -> usize {
    topic.split('/').count()
}

/// What a client has subscribed to.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(Vec<(String, Filter, bool)>);

impl Subscriptions {
    /// One more, or another quality for one that is there. False when that would be too many.
    pub(super) fn add(
        &mut self,
        text: &str,
        filter: Filter,
        is_acknowledged: bool,
        max: u32,
    ) -> bool {
        if let Some(known) = self.0.iter_mut().find(|(known, ..)| known == text) {
            known.2 = is_acknowledged;
            return true;
        }
        let has_room = self.0.len() < max as usize;
        if has_room {
            self.0.push((text.to_owned(), filter, is_acknowledged));
        }
        has_room
    }

    /// False when it was not there.
    pub(super) fn remove(&mut self, text: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(known, ..)| known != text);
        self.0.len() < before
    }

    /// Whether messages of a topic are acknowledged; `None` where nobody reads it.
    pub(super) fn quality(&self, topic: Down) -> Option<bool> {
        let covering = self.0.iter().filter(|(_, filter, _)| filter.covers(topic));
        covering.map(|(.., is_acknowledged)| *is_acknowledged).max()
    }

    /// How commands go down: as frames where the client reads them, else as JSON.
    pub(super) fn commands(&self) -> Option<(Down, bool)> {
        [Down::Jt808, Down::Json]
            .into_iter()
            .find_map(|topic| Some((topic, self.quality(topic)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "13800138000";
    const LEAVES: [&str; 26] = [
        "",
        "#",
        "+",
        "up",
        "up/",
        "up/#",
        "up/+",
        "up/json",
        "up/jt808",
        "up/json/",
        "up/JSON",
        "up/json/x",
        "up//json",
        "down",
        "down/",
        "down/#",
        "down/+",
        "down/json",
        "down/jt808",
        "down/x",
        "down/+/x",
        "DOWN/#",
        "errors",
        "errors/",
        "errors/#",
        "+/json",
    ];
    const NAMES: [&str; 13] = [
        OWN,
        "013800138000",
        "13800138001",
        "1380013800",
        "138001380000",
        "+",
        "#",
        "",
        " 13800138000",
        "13800138000 ",
        "１３８００１３８０００",
        "13800138000\u{0}",
        "*",
    ];
    const ROOTS: [&str; 8] = [
        "gridtrace/terminals/",
        "/gridtrace/terminals/",
        "Gridtrace/terminals/",
        "gridtrace/terminals//",
        "$share/g/gridtrace/terminals/",
        "$SYS/",
        "+/terminals/",
        "gridtrace/+/",
    ];

    #[test]
    fn of_every_topic_and_filter_a_terminal_has_its_own_and_no_other() {
        let topics = Topics::of(OWN);
        let (mut cases, mut writes, mut reads) = (0, Vec::new(), Vec::new());
        for root in ROOTS {
            for name in NAMES {
                for leaf in LEAVES {
                    let topic = format!("{root}{name}/{leaf}");
                    cases += 1;
                    if topics.up(&topic).is_some() {
                        writes.push(topic.clone());
                    }
                    if topics.filter(&topic).is_some() {
                        reads.push(topic);
                    }
                }
            }
        }
        for bare in [
            "#",
            "+",
            "+/#",
            "gridtrace/#",
            "gridtrace/terminals",
            "gridtrace/terminals/#",
            "",
        ] {
            assert_eq!(
                (topics.up(bare), topics.filter(bare)),
                (None, None),
                "{bare}"
            );
        }
        assert!(cases >= 400, "{cases}");
        let own = |leaves: &[&str]| -> Vec<String> {
            leaves
                .iter()
                .map(|leaf| format!("gridtrace/terminals/{OWN}/{leaf}"))
                .collect()
        };
        assert_eq!(writes, own(&["up/json", "up/jt808"]));
        assert_eq!(
            reads,
            own(&["down/#", "down/+", "down/json", "down/jt808", "errors"])
        );
    }

    #[test]
    fn commands_go_as_frames_where_they_are_read_and_as_json_else() {
        let topics = Topics::of(OWN);
        let mut subscriptions = Subscriptions::default();
        let mut add = |leaf: &str, is_acknowledged| {
            let text = format!("gridtrace/terminals/{OWN}/{leaf}");
            let filter = topics.filter(&text).unwrap();
            let added = subscriptions.add(&text, filter, is_acknowledged, 3);
            (
                added,
                subscriptions.commands(),
                subscriptions.quality(Down::Errors),
            )
        };
        assert_eq!(add("errors", false), (true, None, Some(false)));
        assert_eq!(
            add("down/json", true),
            (true, Some((Down::Json, true)), Some(false))
        );
        let all = Some((Down::Jt808, false));
        assert_eq!(add("down/#", false), (true, all, Some(false)));
        assert_eq!(add("errors", true), (true, all, Some(true)));
        assert_eq!(
            add("down/+", true),
            (false, all, Some(true)),
            "one too many"
        );
        let text = format!("gridtrace/terminals/{OWN}/down/#");
        assert!(subscriptions.remove(&text) && !subscriptions.remove(&text));
        assert_eq!(subscriptions.commands(), Some((Down::Json, true)));
    }
}
