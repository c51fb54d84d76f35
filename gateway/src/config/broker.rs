//! MQTT brokers that are not ours: how one of them is spoken to, and under which topics.

use std::{fmt, fs, path::PathBuf, time::Duration};

use super::{KIB, Raw, seconds};

/// An outer broker (3.1.1, quality 1).
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    /// A name or an address, without brackets.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// One connection has it at a time.
    pub client_id: String,
    /// Empty: nobody.
    pub user: String,
    /// What was in `password_file`.
    pub password: String,
    /// Speak TLS.
    pub is_tls: bool,
    /// PEM: who signs its certificate; those that the system trusts, where there is none.
    pub ca: Option<PathBuf>,
    /// Messages that wait for their acknowledgement.
    pub inflight_max: u16,
    /// Default 30 s.
    pub keep_alive: Duration,
    /// A longer message is not sent. Default 1 MiB.
    pub packet_bytes_max: usize,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Broker {
    /// What `[bridge]` and receivers have alike, under keys that begin with `prefix`.
    pub(super) fn from_raw(
        raw: &mut Raw,
        prefix: &str,
        (host, port): (String, u16),
        client_id: &str,
        is_tls: bool,
        inflight_max: u16,
    ) -> Self {
        let key = |name: &str| format!("{prefix}{name}");
        let password_file = raw.path(&key("password_file"), "");
        let password = password_file.map_or_else(String::new, |path| {
            fs::read_to_string(&path).unwrap_or_else(|error| {
                let what = format!("{}: {error}", path.display());
                raw.mistake(key("password_file"), what);
                String::new()
            })
        });
        let client_id = raw.text(&key("client_id"), client_id, str::to_owned);
        if client_id.is_empty() {
            raw.mistake(key("client_id"), "expected a name");
        }
        let packet_bytes_max = raw.bytes(
            &key("packet_bytes_max"),
            KIB * KIB,
            4 * KIB..=256 * KIB * KIB,
        );
        Self {
            host,
            port,
            client_id,
            user: raw.text(&key("user"), "", str::to_owned),
            password: password.trim_end_matches(['\r', '\n']).to_owned(),
            is_tls,
            ca: raw.path(&key("ca"), ""),
            inflight_max,
            keep_alive: raw.duration(&key("keep_alive"), seconds(30), seconds(5)..=seconds(3_600)),
            packet_bytes_max: usize::try_from(packet_bytes_max).unwrap_or(usize::MAX),
        }
    }
}

/// A topic with places to fill in: `{county}`, `{street}`, `{community}`, and `{case}` or
/// `{violation}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicTemplate(String);

const AREA: [&str; 3] = ["{county}", "{street}", "{community}"];

impl TopicTemplate {
    /// A template whose last place is called `id`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str, id: &str) -> Result<Self, String> {
        let mut rest = text.replace(id, "");
        for place in AREA {
            rest = rest.replace(place, "");
        }
        if text.is_empty() || rest.contains(['+', '#', '{', '}', '\0']) {
            let places = AREA.join(", ");
            return Err(format!(
                "expected a topic, in which {places} and {id} may be"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The topic for an area of three levels, such as `140105/001/002`.
    #[must_use]
    pub fn fill(&self, area: &str, id: &str) -> String {
        let mut topic = self.0.replace("{case}", id).replace("{violation}", id);
        for (place, level) in AREA.iter().zip(area.split('/')) {
            topic = topic.replace(place, level);
        }
        topic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_with_area_and_id() {
        let topic = "city/{county}/{street}/x{community}/{case}";
        let topic = TopicTemplate::parse(topic, "{case}").unwrap();
        assert_eq!(topic.fill("140105/001/002", "7"), "city/140105/001/x002/7");
        let same = TopicTemplate::parse("all", "{case}").unwrap();
        assert_eq!(same.fill("none/none/none", "7"), "all");
        for wrong in ["", "a/#", "a/+/b", "{plate}", "{violation}", "{county"] {
            assert!(TopicTemplate::parse(wrong, "{case}").is_err(), "{wrong}");
        }
    }
}
