//! The topics that subscribers see, and which of them are whose.
//!
//! ```text
//! gridtrace/live/{county}/{street}/{community}/{phone}/position
//! gridtrace/live/{county}/{street}/{community}/{phone}/online
//! gridtrace/violations/{county}/{street}/{community}/{violation}
//! gridtrace/cases/{county}/{street}/{community}/{case}
//! ```
//!
//! The three levels are the first 6, 3 and 3 digits of the unit grid's code; outside all grids each is
//! `none`. So a filter follows a county, a street or a community: `gridtrace/live/140105/001/#`.

use crate::config::Scope;

const ROOT: &str = "gridtrace";
const WIDTHS: [usize; 3] = [6, 3, 3];
const NONE: &str = "none";

/// The last level of a vehicle's position.
pub const POSITION: &str = "position";
/// The last level of a terminal's coming and going.
pub const ONLINE: &str = "online";
/// Both.
pub const LEAVES: [&str; 2] = [POSITION, ONLINE];

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Vehicles.
    Live,
    /// Violations.
    Violations,
    /// Cases.
    Cases,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Live, Self::Violations, Self::Cases];

    /// The level of the topic, and the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Violations => "violations",
            Self::Cases => "cases",
        }
    }

    fn of(level: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == level)
    }
}

/// The three levels of a unit grid's code.
#[must_use]
pub fn area(code: Option<&str>) -> String {
    let levels = code.and_then(|code| {
        let (county, rest) = code.split_at_checked(WIDTHS[0])?;
        let (street, rest) = rest.split_at_checked(WIDTHS[1])?;
        let (community, _) = rest.split_at_checked(WIDTHS[2])?;
        Some(format!("{county}/{street}/{community}"))
    });
    levels.unwrap_or_else(|| [NONE; 3].join("/"))
}

/// A topic of a vehicle.
#[must_use]
pub fn live_topic(area: &str, phone: &str, leaf: &str) -> String {
    of(Kind::Live, area, &format!("{phone}/{leaf}"))
}

/// A topic of something with an id.
#[must_use]
pub fn of(kind: Kind, area: &str, rest: &str) -> String {
    format!("{ROOT}/{}/{area}/{rest}", kind.as_str())
}

/// The county of a topic of ours.
#[must_use]
pub fn county(topic: &str) -> &str {
    topic.split('/').nth(2).unwrap_or_default()
}

/// Whether a user of this scope reads a topic.
#[must_use]
pub fn is_allowed(scope: &Scope, topic: &str) -> bool {
    let mut levels = topic.split('/');
    if levels.next() != Some(ROOT) || levels.next().and_then(Kind::of).is_none() {
        return false;
    }
    let area: Vec<_> = levels.take(WIDTHS.len()).collect();
    match &area[..] {
        [NONE, ..] => scope.covers(""),
        [_, _, _] => scope.covers(&area.concat()),
        _ => false,
    }
}

/// A filter that is granted. What it matches outside the scope is not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// As it was asked for.
    pub text: String,
    /// What it is about.
    pub kind: Kind,
    /// The counties that it can match; none is any.
    pub counties: Option<Vec<String>>,
}

impl Filter {
    /// None where the filter matches nothing that a user of this scope may read. The kind must be
    /// named: `gridtrace/#` would be about terminals' topics as well.
    #[must_use]
    pub fn granted(text: &str, scope: &Scope) -> Option<Self> {
        let levels: Vec<_> = text.split('/').collect();
        let (kind, area) = match &levels[..] {
            [ROOT, kind, area @ ..] if !area.is_empty() => (Kind::of(kind)?, area),
            _ => return None,
        };
        let named = area.first().copied().filter(|level| !is_wild(level));
        let counties = match (scope.prefixes(), named) {
            (_, Some(county)) => Some(vec![county.to_owned()]),
            (None, None) => None,
            (Some(prefixes), None) => prefixes
                .iter()
                .map(|prefix| prefix.get(..WIDTHS[0]).map(str::to_owned))
                .collect(),
        };
        let is_within = scope
            .prefixes()
            .is_none_or(|prefixes| prefixes.iter().any(|prefix| may_match(area, prefix)));
        is_within.then(|| Self {
            text: text.to_owned(),
            kind,
            counties,
        })
    }

    /// Whether it matches a topic.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        matches(&self.text, topic)
    }
}

fn is_wild(level: &str) -> bool {
    matches!(level, "+" | "#")
}

/// Whether levels of a filter can match an area that begins with a prefix.
fn may_match(levels: &[&str], mut prefix: &str) -> bool {
    for (width, level) in WIDTHS.into_iter().zip(levels) {
        if *level == "#" || prefix.is_empty() {
            return true;
        }
        let (part, rest) = prefix.split_at_checked(width).unwrap_or((prefix, ""));
        if *level != "+" && !(level.len() == width && level.starts_with(part)) {
            return false;
        }
        prefix = rest;
    }
    true
}

fn matches(filter: &str, topic: &str) -> bool {
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        match (level, topic.next()) {
            // Also the level above: `a/#` matches `a`.
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(own)) if level == own => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(prefixes: &[&str]) -> Scope {
        let texts: Vec<_> = prefixes.iter().map(|text| (*text).to_owned()).collect();
        Scope::new(&texts).unwrap()
    }

    #[test]
    fn an_area_is_the_first_twelve_digits_of_a_code() {
        assert_eq!(area(Some("140105001002003")), "140105/001/002");
        assert_eq!(area(Some("14010500100203")), "140105/001/002");
        for code in [None, Some(""), Some("140105")] {
            assert_eq!(area(code), "none/none/none");
        }
    }

    /// Every filter over every scope: what is granted and matches is within the scope, and what is
    /// refused matches nothing within it.
    #[test]
    fn no_filter_reaches_beyond_a_scope_and_none_within_is_refused() {
        let counties = ["140105", "140106", "none"];
        let codes = ["001", "002"];
        let mut topics = Vec::new();
        for county in counties {
            for street in codes {
                for community in codes {
                    let area = match county {
                        "none" => area(None),
                        _ => format!("{county}/{street}/{community}"),
                    };
                    topics.push(live_topic(&area, "1", POSITION));
                    topics.push(of(Kind::Cases, &area, "c"));
                }
            }
        }
        let scopes = [
            scope(&[]),
            scope(&["*"]),
            scope(&["1401"]),
            scope(&["140105"]),
            scope(&["140106001"]),
            scope(&["140105001002", "140106002"]),
            scope(&["1401050"]),
        ];
        let firsts = ["140105", "140106", "none", "+", "140107", "14010", "#", ""];
        let seconds = ["", "/001", "/002", "/+", "/#", "/00"];
        let thirds = ["", "/001", "/002", "/+", "/#"];
        let ends = ["", "/#", "/+", "/1/position", "/1/+", "/+/online", "/c"];
        let (mut cases, mut delivered, mut refused) = (0, 0, 0);
        for scope in &scopes {
            for root in [
                "gridtrace/live",
                "gridtrace/cases",
                "gridtrace/+",
                "+/live",
                "$share/g/gridtrace/live",
            ] {
                for first in firsts {
                    for second in seconds {
                        for third in thirds {
                            for end in ends {
                                let text = format!("{root}/{first}{second}{third}{end}");
                                cases += 1;
                                let granted = Filter::granted(&text, scope);
                                for topic in &topics {
                                    let is_own = is_allowed(scope, topic);
                                    if let Some(filter) = &granted {
                                        let is_delivered = filter.matches(topic) && is_own;
                                        delivered += u32::from(is_delivered);
                                        let county = county(topic);
                                        let is_routed =
                                            filter.counties.as_ref().is_none_or(|names| {
                                                names.iter().any(|name| name == county)
                                            });
                                        assert!(!is_delivered || is_routed, "{text} {topic}");
                                    } else if root.starts_with("gridtrace/")
                                        && root != "gridtrace/+"
                                    {
                                        let has_hash = text.trim_end_matches("/#").contains('#');
                                        refused += 1;
                                        assert!(
                                            !(is_own && matches(&text, topic)) || has_hash,
                                            "{text} refused for {scope:?}"
                                        );
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        assert!(
            cases > 10_000 && delivered > 1_000 && refused > 1_000,
            "{cases} {delivered} {refused}"
        );
        assert!(Filter::granted("gridtrace/#", &scope(&["*"])).is_none());
        assert!(Filter::granted("#", &scope(&["*"])).is_none());
        assert!(Filter::granted("gridtrace/terminals/1/down/#", &scope(&["*"])).is_none());
    }

    #[test]
    fn wildcards_are_those_of_the_standard() {
        let topic = "gridtrace/live/140105/001/002/1/position";
        for filter in [
            topic,
            "gridtrace/live/#",
            "gridtrace/live/140105/#",
            "gridtrace/live/+/001/#",
            "gridtrace/live/140105/001/002/+/position",
            "gridtrace/live/140105/001/002/1/position/#",
        ] {
            assert!(matches(filter, topic), "{filter}");
        }
        for filter in [
            "gridtrace/live",
            "gridtrace/live/+",
            "gridtrace/live/140105/001/002/+",
            "gridtrace/live/140105/001/002/1/position/+",
            "gridtrace/live/140106/#",
            "Gridtrace/live/#",
        ] {
            assert!(!matches(filter, topic), "{filter}");
        }
    }
}
