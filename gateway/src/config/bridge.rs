//! The outer broker that positions, and who is online, are passed on to.

use std::time::Duration;

use super::{Broker, Raw, seconds};

/// `[bridge]`: what happens to terminals to another MQTT broker (3.1.1), with quality 1. Cases and
/// violations go to a broker that is a receiver of [`super::Delivery`].
#[derive(Clone, Debug)]
pub struct Bridge {
    /// Off by default. Default client id `gridtrace`; 100 messages wait for their acknowledgement.
    pub broker: Option<Broker>,
    /// What is passed on. Default [`BridgeKind::Positions`] alone.
    pub kinds: Vec<BridgeKind>,
    /// The beginning of the topics. Default `gridtrace`.
    pub topic_prefix: String,
    /// Without an acknowledgement for so long the connection is given up. Default 30 s.
    pub ack_timeout: Duration,
    /// Records that the broker may be behind; elder ones are passed over, and counted, so that the log
    /// does not reach its limit for its sake. Default 10,000,000.
    pub records_behind_max: u32,
}

/// What the bridge passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgeKind {
    /// Every stored position.
    Positions,
    /// Sessions that begin and end.
    Online,
}

impl BridgeKind {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Positions, Self::Online];

    /// The word of the configuration, the topics and the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Positions => "positions",
            Self::Online => "online",
        }
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
        let is_on = parsed.is_some();
        let is_tls = raw.choice("bridge.tls", false, &[("true", true), ("false", false)]);
        let inflight_max = raw.count("bridge.inflight_max", 100, 1..=65_535);
        let broker = Broker::from_raw(
            raw,
            "bridge.",
            parsed.unwrap_or_default(),
            "gridtrace",
            is_tls,
            u16::try_from(inflight_max).unwrap_or(u16::MAX),
        );
        Self {
            broker: Some(broker).filter(|_| is_on),
            kinds: kinds(raw),
            topic_prefix,
            ack_timeout: raw.duration("bridge.ack_timeout", seconds(30), seconds(1)..=seconds(600)),
            records_behind_max: raw.count(
                "bridge.records_behind_max",
                10_000_000,
                1_000..=u32::MAX,
            ),
        }
    }

    /// Whether it passes on such things.
    #[must_use]
    pub fn has(&self, kind: BridgeKind) -> bool {
        self.broker.is_some() && self.kinds.contains(&kind)
    }
}

fn kinds(raw: &mut Raw) -> Vec<BridgeKind> {
    let text = raw.text("bridge.kinds", "positions", str::to_owned);
    let mut found = Vec::new();
    for word in text.split(',').map(str::trim) {
        match BridgeKind::ALL.iter().find(|kind| kind.as_str() == word) {
            Some(kind) => found.push(*kind),
            None => raw.mistake(
                "bridge.kinds",
                format!("{word:?}: expected \"positions\", \"online\" or both"),
            ),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

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
        assert_eq!(read("").0.broker, None);
        for (text, host) in [("broker:1883", "broker"), ("[::1]:1883", "::1")] {
            let (bridge, mistakes) = read(&format!("address = \"{text}\""));
            assert!(mistakes.is_empty(), "{mistakes:?}");
            let broker = bridge.broker.unwrap();
            assert_eq!((broker.host.as_str(), broker.port), (host, 1883));
        }
        for wrong in ["broker", ":1883", "broker:x", "broker:70000"] {
            let (_, mistakes) = read(&format!("address = \"{wrong}\""));
            assert!(mistakes[0].starts_with("bridge.address"), "{mistakes:?}");
        }
    }

    #[test]
    fn what_cannot_work_is_a_mistake() {
        for (text, key) in [
            ("kinds = \"positions, cases\"", "bridge.kinds"),
            ("kinds = \"\"", "bridge.kinds"),
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
