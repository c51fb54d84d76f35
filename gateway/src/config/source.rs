//! File, environment and command line into one table of dotted keys; the last one wins. Mistakes
//! are collected, so that one run shows them all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use toml::Value;

use super::network::Network;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A TOML file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// An option of the command line.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "{name}"),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Key and source: `tcp.listen (gridtrace.toml)`.
    pub place: String,
    /// What is wrong and what would be right.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// The raw table: keys with values and sources, taken out one by one by the validated form.
#[derive(Debug, Default)]
pub struct Raw {
    values: BTreeMap<String, (Value, Source)>,
    known: BTreeSet<String>,
    effective: BTreeMap<String, String>,
    mistakes: Vec<Mistake>,
}

impl Raw {
    /// Adds a TOML text; a syntax error is a mistake.
    pub fn add_file(&mut self, path: PathBuf, text: &str) {
        match text.parse::<toml::Table>() {
            Ok(table) => self.add_table("", table, &Source::File(path)),
            Err(error) => self.mistakes.push(Mistake {
                place: path.display().to_string(),
                what: error.to_string().trim_end().replace('\n', "\n  "),
            }),
        }
    }

    fn add_table(&mut self, prefix: &str, table: toml::Table, source: &Source) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}.{name}")
            };
            match value {
                Value::Table(inner) => self.add_table(&key, inner, source),
                value => self.set(key, value, source.clone()),
            }
        }
    }

    /// Adds variables named `GRIDTRACE__SECTION__KEY`.
    pub fn add_environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        for (name, value) in variables {
            if let Some(rest) = name.strip_prefix("GRIDTRACE__") {
                let key = rest.to_ascii_lowercase().replace("__", ".");
                self.set(key, Value::String(value), Source::Environment(name));
            }
        }
    }

    /// Adds an option of the command line, when it was given.
    pub fn add_flag(&mut self, flag: &'static str, key: &str, value: Option<String>) {
        if let Some(value) = value {
            self.set(key.to_owned(), Value::String(value), Source::Flag(flag));
        }
    }

    /// Another default than the usual one, for a command that has its own.
    pub fn set_default(&mut self, key: &str, value: &str) {
        let given = (
            Value::String(value.to_owned()),
            Source::Flag("this command"),
        );
        self.values.entry(key.to_owned()).or_insert(given);
    }

    fn set(&mut self, key: String, value: Value, source: Source) {
        self.values.insert(key, (value, source));
    }

    /// A mistake that was found elsewhere.
    pub fn mistake(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.mistakes.push(Mistake {
            place: place.into(),
            what: what.into(),
        });
    }

    /// Whether anybody has said something for a key.
    #[must_use]
    pub fn is_given(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    fn parsed<T>(
        &mut self,
        key: &str,
        default: T,
        show: impl Fn(&T) -> String,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.known.insert(key.to_owned());
        let value = match self.values.remove(key) {
            None => default,
            Some((value, source)) => {
                let text = match value {
                    Value::String(text) => text,
                    // A list of texts is the same as one text with commas.
                    Value::Array(items) if items.iter().all(Value::is_str) => {
                        let texts: Vec<_> = items.iter().filter_map(Value::as_str).collect();
                        texts.join(", ")
                    }
                    other => other.to_string(),
                };
                match parse(&text) {
                    Ok(value) => value,
                    Err(what) => {
                        self.mistake(format!("{key} ({source})"), format!("`{text}`: {what}"));
                        default
                    }
                }
            }
        };
        self.effective.insert(key.to_owned(), show(&value));
        value
    }

    /// An address to listen on.
    pub fn address(&mut self, key: &str, default: SocketAddr) -> SocketAddr {
        self.parsed(
            key,
            default,
            |v| format!("\"{v}\""),
            |text| {
                text.parse()
                    .map_err(|_| "expected an address such as \"0.0.0.0:6808\"".into())
            },
        )
    }

    /// An address to listen on; the empty text, which is the default, is "off".
    pub fn optional_address(&mut self, key: &str) -> Option<SocketAddr> {
        self.parsed(
            key,
            None,
            |v| {
                format!(
                    "\"{}\"",
                    v.map_or_else(String::new, |v: SocketAddr| v.to_string())
                )
            },
            |text| match text {
                "" => Ok(None),
                text => text.parse().map(Some).map_err(|_| {
                    "expected an address such as \"0.0.0.0:6809\", or \"\" for off".into()
                }),
            },
        )
    }

    /// An address to listen on; the empty text and `off` are "off".
    pub fn address_or_off(&mut self, key: &str, default: SocketAddr) -> Option<SocketAddr> {
        self.parsed(
            key,
            Some(default),
            |v| {
                let text = v.map_or_else(String::new, |v| v.to_string());
                format!("\"{text}\"")
            },
            |text| match text {
                "" | "off" => Ok(None),
                text => text.parse().map(Some).map_err(|_| {
                    "expected an address such as \"0.0.0.0:1883\", or \"\" for off".into()
                }),
            },
        )
    }

    /// A duration with its unit, within a range.
    pub fn duration(
        &mut self,
        key: &str,
        default: Duration,
        range: std::ops::RangeInclusive<Duration>,
    ) -> Duration {
        self.parsed(
            key,
            default,
            |v| format!("\"{}\"", humantime::format_duration(*v)),
            |text| {
                let value: Duration = humantime::parse_duration(text)
                    .map_err(|_| "expected a duration with its unit, such as \"30s\"".to_owned())?;
                within(value, &range, |v| {
                    humantime::format_duration(*v).to_string()
                })
            },
        )
    }

    /// A duration with its unit, within a range; the empty text is "never".
    pub fn optional_duration(
        &mut self,
        key: &str,
        default: Option<Duration>,
        range: std::ops::RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let show = |v: &Option<Duration>| format!("\"{}\"", v.map_or_else(String::new, in_days));
        self.parsed(key, default, show, |text| {
            if text.is_empty() {
                return Ok(None);
            }
            let value = humantime::parse_duration(text).map_err(|_| {
                "expected a duration with its unit, such as \"400days\", or \"\"".to_owned()
            })?;
            within(value, &range, |v| in_days(*v)).map(Some)
        })
    }

    /// A size with its unit, within a range.
    pub fn bytes(&mut self, key: &str, default: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        let show = |v: &u64| {
            bytesize::ByteSize(*v)
                .display()
                .iec()
                .to_string()
                .replace(' ', "")
        };
        self.parsed(
            key,
            default,
            |v| format!("\"{}\"", show(v)),
            |text| {
                let value: bytesize::ByteSize = text
                    .parse()
                    .map_err(|_| "expected a size with its unit, such as \"64MiB\"".to_owned())?;
                within(value.as_u64(), &range, show)
            },
        )
    }

    /// A whole number within a range.
    pub fn count(&mut self, key: &str, default: u32, range: std::ops::RangeInclusive<u32>) -> u32 {
        self.parsed(key, default, ToString::to_string, |text| {
            let value = text
                .parse()
                .map_err(|_| "expected a whole number".to_owned())?;
            within(value, &range, ToString::to_string)
        })
    }

    /// One of some words.
    pub fn choice<T: Copy + PartialEq>(
        &mut self,
        key: &str,
        default: T,
        words: &[(&'static str, T)],
    ) -> T {
        let word = |v: &T| {
            words
                .iter()
                .find(|(_, w)| w == v)
                .map_or("", |(name, _)| name)
        };
        self.parsed(
            key,
            default,
            |v| format!("\"{}\"", word(v)),
            |text| {
                words
                    .iter()
                    .find(|(name, _)| *name == text)
                    .map(|(_, v)| *v)
                    .ok_or_else(|| {
                        let names: Vec<_> = words
                            .iter()
                            .map(|(name, _)| format!("\"{name}\""))
                            .collect();
                        format!("expected {}", names.join(" or "))
                    })
            },
        )
    }

    /// A text; the empty text is "not set". `show` may mask a secret.
    pub fn text(&mut self, key: &str, default: &str, show: impl Fn(&str) -> String) -> String {
        self.parsed(
            key,
            default.to_owned(),
            |v| format!("{}", Value::String(show(v))),
            |text| Ok(text.to_owned()),
        )
    }

    /// Networks, separated by commas; none by default.
    pub fn networks(&mut self, key: &str) -> Vec<Network> {
        self.list(key, |part| part.parse().map_err(|error| format!("{error}")))
    }

    /// Values separated by commas; none by default.
    pub fn list<T: fmt::Display>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let show = |values: &Vec<T>| {
            let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
            format!("\"{}\"", texts.join(", "))
        };
        self.parsed(key, Vec::new(), show, |text| {
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(&parse)
                .collect()
        })
    }

    /// An array of tables (`[[key]]`), each read on its own; where it comes from the environment or
    /// the command line, a text of TOML. None by default.
    pub fn tables<T>(&mut self, key: &str, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        self.known.insert(key.to_owned());
        let (value, source) = match self.values.remove(key) {
            Some((Value::String(text), source)) => {
                let table = format!("tables = {text}").parse::<toml::Table>();
                let value = table.ok().and_then(|mut table| table.remove("tables"));
                (value.unwrap_or(Value::Boolean(false)), source)
            }
            Some(given) => given,
            None => (Value::Array(Vec::new()), Source::Flag("default")),
        };
        let is_table = |item: &Value| matches!(item, Value::Table(_));
        let (mut found, mut shown) = (Vec::new(), Vec::new());
        match value {
            Value::Array(items) if items.iter().all(is_table) => {
                for (index, item) in items.into_iter().enumerate() {
                    let Value::Table(table) = item else { continue };
                    let mut inner = Self::default();
                    inner.add_table("", table, &source);
                    found.push(read(&mut inner));
                    match inner.finish() {
                        Ok(effective) => {
                            let pairs: Vec<_> = effective
                                .iter()
                                .map(|(k, v)| format!("{k} = {v}"))
                                .collect();
                            shown.push(format!("{{ {} }}", pairs.join(", ")));
                        }
                        Err(mistakes) => {
                            for Mistake { place, what } in mistakes {
                                self.mistake(format!("{key}[{index}].{place}"), what);
                            }
                        }
                    }
                }
            }
            _ => self.mistake(format!("{key} ({source})"), "expected an array of tables"),
        }
        let shown = format!("[{}]", shown.join(", "));
        self.effective.insert(key.to_owned(), shown);
        found
    }

    /// Names that must not be there twice.
    pub fn once<'a>(&mut self, key: &str, names: impl Iterator<Item = &'a str>) {
        let mut seen = BTreeSet::new();
        for name in names {
            if !seen.insert(name) {
                self.mistake(key, format!("{name} is there twice"));
            }
        }
    }

    /// A path; the empty path is "not set".
    pub fn path(&mut self, key: &str, default: &str) -> Option<PathBuf> {
        let text = self.text(key, default, str::to_owned);
        (!text.is_empty()).then(|| PathBuf::from(text))
    }

    /// Ends the reading: keys that nobody took are mistakes. Gives the effective values by key.
    pub fn finish(mut self) -> Result<BTreeMap<String, String>, Vec<Mistake>> {
        for (key, (_, source)) in std::mem::take(&mut self.values) {
            let near = nearest(&key, &self.known);
            self.mistake(format!("{key} ({source})"), format!("unknown key{near}"));
        }
        if self.mistakes.is_empty() {
            Ok(self.effective)
        } else {
            Err(self.mistakes)
        }
    }
}

/// Whole days as such: their months and years are of odd lengths.
fn in_days(duration: Duration) -> String {
    const DAY_SECONDS: u64 = 86_400;
    if duration.as_secs() >= DAY_SECONDS
        && duration.as_secs().is_multiple_of(DAY_SECONDS)
        && duration.subsec_nanos() == 0
    {
        format!("{}days", duration.as_secs() / DAY_SECONDS)
    } else {
        humantime::format_duration(duration).to_string()
    }
}

fn within<T: PartialOrd>(
    value: T,
    range: &std::ops::RangeInclusive<T>,
    show: impl Fn(&T) -> String,
) -> Result<T, String> {
    if range.contains(&value) {
        Ok(value)
    } else {
        Err(format!(
            "out of range: {} to {}",
            show(range.start()),
            show(range.end())
        ))
    }
}

/// A known key that the unknown one may have meant: same section, or same last word.
fn nearest(key: &str, known: &BTreeSet<String>) -> String {
    let section = key.rsplit_once('.').map_or("", |(section, _)| section);
    let last = key.rsplit('.').next().unwrap_or_default();
    let candidates: Vec<_> = known
        .iter()
        .filter(|k| {
            k.rsplit('.').next() == Some(last)
                || (!section.is_empty() && k.rsplit_once('.').map(|(s, _)| s) == Some(section))
        })
        .map(String::as_str)
        .collect();
    if candidates.is_empty() {
        String::new()
    } else {
        format!("; known: {}", candidates.join(", "))
    }
}
