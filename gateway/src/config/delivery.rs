//! Who hears of cases, and how.

use std::{fmt, path::PathBuf, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use geofence::violation::ViolationKind;
use hyper::Uri;
use storage::outbox::EventKind;

use super::{Broker, KIB, Raw, TopicTemplate, seconds};

/// Keys shorter than this can be guessed.
const SECRET_BYTES_MIN: usize = 24;

/// `[delivery]`
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `[[delivery.receivers]]`; none by default.
    pub receivers: Vec<Receiver>,
    /// The outbox is looked at so often. Default 200 ms.
    pub poll_interval: Duration,
    /// What was delivered is kept for so long. Default 7 days.
    pub delivered_kept_for: Duration,
    /// What was given up is kept for so long. Default 90 days.
    pub dead_kept_for: Duration,
    /// A receiver's answer that is longer is nonsense. Default 64 KiB.
    pub answer_bytes_max: u64,
    /// So much of an answer is kept. Default 2 KiB.
    pub said_bytes_max: u64,
    /// A callback whose time is further away from ours is refused. Default 5 min.
    pub callback_window: Duration,
    /// Keys of callbacks are known for so long. Default 30 days.
    pub callbacks_kept_for: Duration,
    /// A longer callback is refused. Default 64 KiB.
    pub callback_bytes_max: u64,
}

/// One of `[[delivery.receivers]]`.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Its name in paths, metrics and ids of deliveries: 1 to 32 of `a-z`, `0-9`, `-`, `_`. Another
    /// name is another receiver, with nothing delivered yet.
    pub name: String,
    /// Where it listens: `https://host/path`, or `http://`; a broker: `mqtts://host`, or `mqtt://`.
    pub url: Uri,
    /// Where the URL is one of a broker: what is published there, and how.
    pub publication: Option<Publication>,
    /// The key that both sides sign with: `secret`, or the content of `secret_file`, or of the
    /// environment variable `secret_env`.
    pub secret: Secret,
    /// Only cases whose unit grid or handler begins with one of these; all by default.
    pub jurisdictions: Vec<String>,
    /// Only cases of these kinds; all by default.
    pub kinds: Vec<ViolationKind>,
    /// Only these events; all by default.
    pub events: Vec<EventKind>,
    /// The field of its JSON answer that has its own number of the case, inner ones behind dots.
    /// Then an answer without it is nonsense. None by default.
    pub number_field: Option<String>,
    /// From the look-up of the name to the end of the answer, or the acknowledgement of the broker.
    /// Default 10 s.
    pub timeout: Duration,
    /// Requests at one time, each of another case. Default 4.
    pub concurrency: u32,
    /// The first pause before trying again; each is twice as long. Default 1 s.
    pub retry_first: Duration,
    /// The longest pause. Default 15 min.
    pub retry_last: Duration,
    /// Then a delivery is given up. Default 3 days.
    pub max_age: Duration,
    /// Failures in a row after which the receiver is left alone for a while. Default 5.
    pub breaker_failures: u32,
    /// For how long; each time twice as long. Default 5 s.
    pub breaker_first: Duration,
    /// At most for so long. Default 5 min.
    pub breaker_last: Duration,
    /// It may be in this network, or on this machine. Default false.
    pub allow_private: bool,
    /// PEM: who signs its certificate; those that the system trusts, by default.
    pub ca: Option<PathBuf>,
}

/// Topics of a broker as a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Client id by default: `gridtrace-`, and the name of the receiver. As many messages are on
    /// their way as requests would be.
    pub broker: Broker,
    /// `topic`: where events of cases are published. Default
    /// `gridtrace/cases/{county}/{street}/{community}/{case}`.
    pub cases: TopicTemplate,
    /// `violations_topic`: where the violations of a case are published before it. Off by default.
    pub violations: Option<TopicTemplate>,
}

/// A key. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl Secret {
    /// The key of a text: base64 behind `whsec_`, else the bytes of the text themselves.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bytes = match text.strip_prefix("whsec_") {
            None => text.as_bytes().to_vec(),
            Some(encoded) => STANDARD
                .decode(encoded)
                .map_err(|_| "what follows whsec_ is no base64".to_owned())?,
        };
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(format!("a key has at least {SECRET_BYTES_MIN} bytes"));
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Delivery {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let hour = seconds(3600);
        let kept = hour..=438_000 * hour;
        let receivers = raw.tables("delivery.receivers", Receiver::from_raw);
        let receivers: Vec<Receiver> = receivers.into_iter().flatten().collect();
        let names = receivers.iter().map(|receiver| receiver.name.as_str());
        raw.once("delivery.receivers", names);
        Self {
            receivers,
            poll_interval: raw.duration(
                "delivery.poll_interval",
                Duration::from_millis(200),
                Duration::from_millis(10)..=seconds(60),
            ),
            delivered_kept_for: raw.duration(
                "delivery.delivered_kept_for",
                168 * hour,
                seconds(1)..=438_000 * hour,
            ),
            dead_kept_for: raw.duration("delivery.dead_kept_for", 2_160 * hour, kept.clone()),
            answer_bytes_max: raw.bytes(
                "delivery.answer_bytes_max",
                64 * KIB,
                KIB..=16 * KIB * KIB,
            ),
            said_bytes_max: raw.bytes("delivery.said_bytes_max", 2 * KIB, 64..=64 * KIB),
            callback_window: raw.duration(
                "delivery.callback_window",
                seconds(300),
                seconds(1)..=hour,
            ),
            callbacks_kept_for: raw.duration("delivery.callbacks_kept_for", 720 * hour, kept),
            callback_bytes_max: raw.bytes(
                "delivery.callback_bytes_max",
                64 * KIB,
                KIB..=16 * KIB * KIB,
            ),
        }
    }

    /// The receiver of that name.
    #[must_use]
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|one| one.name == name)
    }
}

impl Receiver {
    /// `None` where something is missing that has no default; a mistake says so.
    fn from_raw(raw: &mut Raw) -> Option<Self> {
        let hour = seconds(3600);
        let name = name(raw);
        let url = url(raw);
        let secret = secret(raw);
        let concurrency = raw.count("concurrency", 4, 1..=64);
        let publication = publication(raw, name.as_deref(), url.as_ref(), concurrency);
        let number_field = match publication {
            None => raw.text("number_field", "", str::to_owned),
            // A broker says nothing.
            Some(_) => String::new(),
        };
        let ca = match &publication {
            None => raw.path("ca", ""),
            Some(publication) => publication.broker.ca.clone(),
        };
        let rest = Self {
            name: name.clone().unwrap_or_default(),
            url: url.clone().unwrap_or_default(),
            secret: secret.clone().unwrap_or(Secret(Vec::new())),
            jurisdictions: raw.list("jurisdictions", |part| {
                let is_code = part.bytes().all(|b| b.is_ascii_digit());
                is_code
                    .then(|| part.to_owned())
                    .ok_or_else(|| format!("{part}: a code has digits only"))
            }),
            kinds: words(
                raw,
                "kinds",
                ViolationKind::from_word,
                ViolationKind::as_str,
            ),
            events: words(raw, "events", EventKind::from_word, EventKind::as_str),
            number_field: Some(number_field).filter(|field| !field.is_empty()),
            timeout: raw.duration(
                "timeout",
                seconds(10),
                Duration::from_millis(100)..=seconds(300),
            ),
            concurrency,
            retry_first: raw.duration("retry_first", seconds(1), Duration::from_millis(10)..=hour),
            retry_last: raw.duration(
                "retry_last",
                seconds(900),
                Duration::from_millis(10)..=24 * hour,
            ),
            max_age: raw.duration("max_age", 72 * hour, seconds(1)..=8_760 * hour),
            breaker_failures: raw.count("breaker_failures", 5, 1..=1_000),
            breaker_first: raw.duration(
                "breaker_first",
                seconds(5),
                Duration::from_millis(10)..=hour,
            ),
            breaker_last: raw.duration(
                "breaker_last",
                seconds(300),
                Duration::from_millis(10)..=24 * hour,
            ),
            allow_private: raw.choice("allow_private", false, &[("true", true), ("false", false)]),
            ca,
            publication,
        };
        name.and(url).and(secret).map(|_| rest)
    }

    /// Whether it hears of such an event.
    #[must_use]
    pub fn wants(&self, event: &storage::outbox::Event) -> bool {
        let case = &event.content.case;
        let places = &self.jurisdictions;
        (places.is_empty() || places.iter().any(|place| case.concerns(place)))
            && (self.kinds.is_empty() || case.kind().is_some_and(|kind| self.kinds.contains(&kind)))
            && (self.events.is_empty() || self.events.contains(&event.kind))
    }
}

fn name(raw: &mut Raw) -> Option<String> {
    let name = raw.text("name", "", str::to_owned);
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    if (1..=32).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Some(name);
    }
    raw.mistake("name", "expected 1 to 32 of a-z, 0-9, - and _");
    None
}

fn url(raw: &mut Raw) -> Option<Uri> {
    let text = raw.text("url", "", str::to_owned);
    let url: Option<Uri> = text.parse().ok();
    let url = url.filter(|url| {
        let is_topic = matches!(url.scheme_str(), Some("mqtt" | "mqtts"));
        (is_topic && matches!(url.path(), "" | "/") && url.query().is_none()
            || matches!(url.scheme_str(), Some("http" | "https")))
            && url.host().is_some_and(|host| !host.is_empty())
            && url
                .authority()
                .is_some_and(|whole| !whole.as_str().contains('@'))
    });
    if url.is_none() {
        raw.mistake(
            "url",
            "expected https://host/path, http://host/path, mqtts://host or mqtt://host, without a password",
        );
    }
    url
}

/// What is published, where the URL is one of a broker.
fn publication(
    raw: &mut Raw,
    name: Option<&str>,
    url: Option<&Uri>,
    concurrency: u32,
) -> Option<Publication> {
    let url = url?;
    let (is_tls, port) = match url.scheme_str()? {
        "mqtts" => (true, 8883),
        "mqtt" => (false, 1883),
        _ => return None,
    };
    let host = url.host().unwrap_or_default();
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let client_id = format!("gridtrace-{}", name.unwrap_or_default());
    let broker = Broker::from_raw(
        raw,
        "",
        (host, url.port_u16().unwrap_or(port)),
        &client_id,
        is_tls,
        u16::try_from(concurrency).unwrap_or(u16::MAX),
    );
    let cases = "gridtrace/cases/{county}/{street}/{community}/{case}";
    let cases = raw.text("topic", cases, str::to_owned);
    let cases = TopicTemplate::parse(&cases, "{case}").map_err(|what| raw.mistake("topic", what));
    let violations = raw.text("violations_topic", "", str::to_owned);
    let violations = (!violations.is_empty())
        .then(|| TopicTemplate::parse(&violations, "{violation}"))
        .transpose()
        .map_err(|what| raw.mistake("violations_topic", what));
    Some(Publication {
        broker,
        cases: cases.ok()?,
        violations: violations.ok()?,
    })
}

fn secret(raw: &mut Raw) -> Option<Secret> {
    let masked = |text: &str| if text.is_empty() { "" } else { "***" }.to_owned();
    let given = raw.text("secret", "", masked);
    let file = raw.path("secret_file", "");
    let variable = raw.text("secret_env", "", str::to_owned);
    let count = usize::from(!given.is_empty())
        + usize::from(file.is_some())
        + usize::from(!variable.is_empty());
    if count != 1 {
        raw.mistake(
            "secret",
            "one of secret, secret_file and secret_env is needed",
        );
        return None;
    }
    let text = match (file, variable.as_str()) {
        (Some(path), _) => std::fs::read_to_string(&path)
            .map(|text| text.trim().to_owned())
            .map_err(|error| format!("{}: {error}", path.display())),
        (None, "") => Ok(given),
        (None, variable) => {
            std::env::var(variable).map_err(|_| format!("the variable {variable} is not set"))
        }
    };
    let secret = text.and_then(|text| Secret::parse(&text));
    secret.map_err(|what| raw.mistake("secret", what)).ok()
}

fn words<T: Copy>(
    raw: &mut Raw,
    key: &str,
    from_word: fn(&str) -> Option<T>,
    to_word: fn(T) -> &'static str,
) -> Vec<T> {
    let read = |part: &str| match from_word(part) {
        Some(word) => Ok(Word(word, to_word)),
        None => Err(format!("{part}: no such word")),
    };
    raw.list(key, read).into_iter().map(|word| word.0).collect()
}

struct Word<T>(T, fn(T) -> &'static str);

impl<T: Copy> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str((self.1)(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Delivery, Vec<String>) {
        let mut raw = Raw::default();
        raw.add_file(PathBuf::from("f"), text);
        let config = Delivery::from_raw(&mut raw);
        let mistakes = raw.finish().err().unwrap_or_default();
        (config, mistakes.iter().map(ToString::to_string).collect())
    }

    const CITY: &str = "[[delivery.receivers]]\nname = \"city\"\nurl = \"https://case.example/in\"\n\
                        secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n";

    #[test]
    fn a_receiver_has_defaults_for_all_but_name_url_and_secret() {
        let (config, mistakes) = read(CITY);
        assert_eq!(mistakes, [""; 0]);
        let city = config.receiver("city").unwrap();
        assert_eq!((city.concurrency, city.allow_private), (4, false));
        assert_eq!(city.secret.bytes().len(), 24);
        assert!(!format!("{city:?}").contains("MfKQ"));
        let (_, mistakes) = read("[[delivery.receivers]]\nurl = \"ftp://x/\"\n");
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert!(mistakes[0].starts_with("delivery.receivers[0].name"));
    }

    #[test]
    fn what_is_wrong_with_a_receiver_is_said() {
        let wrong = |more: &str, what: &str| {
            let (_, mistakes) = read(&format!("{CITY}{more}"));
            assert_eq!(mistakes.len(), 1, "{mistakes:?}");
            assert!(mistakes[0].contains(what), "{mistakes:?}");
        };
        wrong("events = \"opened, closed\"\n", "closed");
        wrong("kinds = \"noise\"\n", "noise");
        wrong("timeot = \"1s\"\n", "unknown key");
        wrong("secret_env = \"GRIDTRACE_NO_SUCH\"\n", "one of");
        wrong(CITY, "twice");
        wrong("jurisdictions = \"14010x\"\n", "digits");
        let (_, mistakes) = read(&CITY.replace("https://", "https://user:pass@"));
        assert!(mistakes[0].contains("password"), "{mistakes:?}");
        let (_, mistakes) = read(&CITY.replace("MfKQ9r8G", ""));
        assert!(mistakes[0].contains("24 bytes"), "{mistakes:?}");
    }

    #[test]
    fn a_receiver_may_be_a_topic_of_a_broker() {
        let broker = |more: &str| read(&format!("{}{more}", CITY.replace("https", "mqtts")));
        let (_, mistakes) = broker("");
        assert!(mistakes[0].contains("mqtts://host"), "a path: {mistakes:?}");
        let broker = |more: &str| {
            let url = ("https://case.example/in", "mqtts://[::1]");
            read(&format!("{}{more}", CITY.replace(url.0, url.1)))
        };
        let (config, mistakes) = broker("ca = \"ca.pem\"\n");
        assert_eq!(mistakes, [""; 0]);
        let publication = config.receivers[0].publication.clone().unwrap();
        let (host, port) = (publication.broker.host, publication.broker.port);
        assert_eq!((host.as_str(), port), ("::1", 8883));
        assert_eq!(publication.broker.client_id, "gridtrace-city");
        assert_eq!(publication.broker.ca, config.receivers[0].ca);
        assert_eq!(publication.violations, None);
        for (more, what) in [
            ("number_field = \"number\"\n", "unknown key"),
            ("topic = \"a/#\"\n", "topic"),
            ("topic = \"\"\n", "topic"),
            ("violations_topic = \"{case}\"\n", "violations_topic"),
            ("password_file = \"/nowhere/at/all\"\n", "password_file"),
        ] {
            let (_, mistakes) = broker(more);
            assert_eq!(mistakes.len(), 1, "{mistakes:?}");
            assert!(mistakes[0].contains(what), "{mistakes:?}");
        }
        let (_, mistakes) = read(&format!("{CITY}topic = \"a\"\n"));
        assert!(mistakes[0].contains("unknown key"), "{mistakes:?}");
    }

    #[test]
    fn receivers_may_come_as_a_text_and_are_shown_without_their_secret() {
        let mut raw = Raw::default();
        let text = "[{name = \"a\", url = \"http://h/\", secret = \"a-key-of-enough-characters\", \
                    kinds = \"speeding\", events = \"opened,withdrawn\"}]";
        raw.add_flag("test", "delivery.receivers", Some(text.into()));
        let config = Delivery::from_raw(&mut raw);
        assert_eq!(config.receivers[0].kinds, [ViolationKind::Speeding]);
        let shown = raw.finish().unwrap().remove("delivery.receivers").unwrap();
        assert!(shown.contains("secret = \"***\""), "{shown}");
        assert!(shown.contains("events = \"opened, withdrawn\""), "{shown}");
        assert!(format!("x = {shown}").parse::<toml::Table>().is_ok());
    }

    #[test]
    fn a_secret_may_be_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "a-key-of-enough-characters\n").unwrap();
        let text = CITY.replace(
            "secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"",
            &format!("secret_file = {:?}", path.display().to_string()),
        );
        let (config, mistakes) = read(&text);
        assert_eq!(mistakes, [""; 0]);
        let secret = config.receivers[0].secret.bytes();
        assert_eq!(secret, b"a-key-of-enough-characters");
    }
}
