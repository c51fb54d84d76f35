//! The outer broker that positions are passed on to.

use std::{fs, path::PathBuf, time::Duration};

use super::{Raw, seconds};

/// `[bridge]`: every stored position to another MQTT broker (3.1.1), with quality 1.
#[derive(Clone)]
pub struct Bridge {
    /// Host and port; off by default.
    pub address: Option<(String, u16)>,
    /// Default `gridtrace`.
    pub client_id: String,
    /// None by default.
    pub user: String,
    /// What was in `bridge.password_file`.
    pub password: String,
    /// Speak TLS. Default false.
    pub tls: bool,
    /// PEM: who signs the broker's certificate.
    pub ca: Option<PathBuf>,
    /// The beginning of the topics. Default `gridtrace`.
    pub topic_prefix: String,
    /// Messages that wait for their acknowledgement. Default 100.
    pub inflight_max: u32,
    /// Without an acknowledgement for so long the connection is given up. Default 30 s.
    pub ack_timeout: Duration,
    /// Default 30 s.
    pub keep_alive: Duration,
    /// Records that the broker may be behind; elder ones are passed over, and counted, so that the log
    /// does not reach its limit for its sake. Default 10,000,000.
    pub records_behind_max: u32,
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bridge")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Bridge {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let address = raw.text("bridge.address", "", str::to_owned);
        let parsed = address.rsplit_once(':').and_then(|(host, port)| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Some((host.to_owned(), port.parse().ok()?))
        });
        let parsed = parsed.filter(|(host, _)| !host.is_empty());
        if parsed.is_none() && !address.is_empty() {
            raw.mistake(
                "bridge.address",
                "expected host and port, such as \"broker:1883\"",
            );
        }
        let topic_prefix = raw.text("bridge.topic_prefix", "gridtrace", str::to_owned);
        let is_topic = !topic_prefix.is_empty() && !topic_prefix.contains(['+', '#', '\0']);
        if !is_topic {
            raw.mistake("bridge.topic_prefix", "expected the beginning of a topic");
        }
        let password_file = raw.path("bridge.password_file", "");
        let password = password_file.map_or_else(String::new, |path| {
            fs::read_to_string(&path).unwrap_or_else(|error| {
                let what = format!("{}: {error}", path.display());
                raw.mistake("bridge.password_file", what);
                String::new()
            })
        });
        let bridge = Self {
            address: parsed,
            client_id: raw.text("bridge.client_id", "gridtrace", str::to_owned),
            user: raw.text("bridge.user", "", str::to_owned),
            password: password.trim_end_matches(['\r', '\n']).to_owned(),
            tls: raw.choice("bridge.tls", false, &[("true", true), ("false", false)]),
            ca: raw.path("bridge.ca", ""),
            topic_prefix,
            inflight_max: raw.count("bridge.inflight_max", 100, 1..=65_535),
            ack_timeout: raw.duration("bridge.ack_timeout", seconds(30), seconds(1)..=seconds(600)),
            keep_alive: raw.duration(
                "bridge.keep_alive",
                seconds(30),
                seconds(5)..=seconds(3_600),
            ),
            records_behind_max: raw.count(
                "bridge.records_behind_max",
                10_000_000,
                1_000..=u32::MAX,
            ),
        };
        if bridge.client_id.is_empty() {
            raw.mistake("bridge.client_id", "expected a name");
        }
        if bridge.tls && bridge.ca.is_none() {
            raw.mistake(
                "bridge.ca",
                "bridge.tls is set, so a PEM file is needed here",
            );
        }
        bridge
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Bridge, Vec<String>) {
        let mut raw = Raw::default();
        raw.add_file(PathBuf::from("f"), &format!("[bridge]\n{text}\n"));
        let bridge = Bridge::from_raw(&mut raw);
        let mistakes = raw.finish().err().unwrap_or_default();
        (bridge, mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert_eq!(read("").0.address, None);
        for (text, host) in [("broker:1883", "broker"), ("[::1]:1883", "::1")] {
            let (bridge, mistakes) = read(&format!("address = \"{text}\""));
            assert!(mistakes.is_empty(), "{mistakes:?}");
            assert_eq!(bridge.address, Some((host.to_owned(), 1883)));
        }
        for wrong in ["broker", ":1883", "broker:x", "broker:70000"] {
            let (_, mistakes) = read(&format!("address = \"{wrong}\""));
            assert!(mistakes[0].starts_with("bridge.address"), "{mistakes:?}");
        }
    }

    #[test]
    fn what_cannot_work_is_a_mistake() {
        for (text, key) in [
            ("tls = true", "bridge.ca"),
            ("topic_prefix = \"a/#\"", "bridge.topic_prefix"),
            ("client_id = \"\"", "bridge.client_id"),
            (
                "password_file = \"/nowhere/at/all\"",
                "bridge.password_file",
            ),
        ] {
            assert!(read(text).1[0].starts_with(key), "{text}");
        }
    }
}
