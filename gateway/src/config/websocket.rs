//! The WebSocket listeners of MQTT.

use std::{net::SocketAddr, time::Duration};

use super::{KIB, MIB, Mqtt, Raw, seconds};

/// `[mqtt.websocket]`: MQTT in frames of WebSocket. All other limits are those of `[mqtt]`.
#[derive(Clone, Debug)]
pub struct WebSocket {
    /// Off by default.
    pub listen: Option<SocketAddr>,
    /// Over TLS, with the files and limits of `[tls]`; off by default.
    pub tls_listen: Option<SocketAddr>,
    /// Of the request. Default `/mqtt`.
    pub path: String,
    /// Origins of pages that may come, such as `https://city.example`; without any, all may. Programs,
    /// which have none, always may.
    pub origins: Vec<String>,
    /// From accept (over TLS: from the end of its handshake) to the end of the request. Default 10 s.
    pub handshake_timeout: Duration,
    /// The longest request. Default 8 KiB.
    pub handshake_bytes_max: u64,
    /// The longest message, and frame, once the client has shown its password; before that it is
    /// `mqtt.connect_bytes_max`. Default 64 KiB.
    pub message_bytes_max: u64,
}

impl WebSocket {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let path = raw.text("mqtt.websocket.path", "/mqtt", str::to_owned);
        let is_path = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic());
        if !is_path || path.contains(['?', '#']) {
            raw.mistake(
                "mqtt.websocket.path",
                "expected the path of a URL, such as \"/mqtt\"",
            );
        }
        Self {
            listen: raw.optional_address("mqtt.websocket.listen"),
            tls_listen: raw.optional_address("mqtt.websocket.tls_listen"),
            path,
            origins: raw.list("mqtt.websocket.origins", origin),
            handshake_timeout: raw.duration(
                "mqtt.websocket.handshake_timeout",
                seconds(10),
                seconds(1)..=seconds(600),
            ),
            handshake_bytes_max: raw.bytes(
                "mqtt.websocket.handshake_bytes_max",
                8 * KIB,
                KIB..=64 * KIB,
            ),
            message_bytes_max: raw.bytes(
                "mqtt.websocket.message_bytes_max",
                64 * KIB,
                KIB..=4 * MIB,
            ),
        }
    }

    pub(super) const fn is_on(&self) -> bool {
        self.listen.is_some() || self.tls_listen.is_some()
    }

    pub(super) fn check(&self, mqtt: &Mqtt, raw: &mut Raw) {
        if self.is_on() && self.message_bytes_max < mqtt.packet_bytes_max {
            raw.mistake(
                "mqtt.websocket.message_bytes_max",
                "smaller than mqtt.packet_bytes_max: clients send a packet as one message",
            );
        }
    }
}

/// An origin as browsers send it: scheme and host, and a port that is not the usual one.
fn origin(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let is_origin = host.is_some_and(|host| {
        let is_lower = |b: u8| b.is_ascii_graphic() && !b.is_ascii_uppercase();
        !host.is_empty() && host.bytes().all(|b| is_lower(b) && b != b'/')
    });
    if is_origin {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is no origin, such as \"https://city.example\" in small letters"
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::Config;

    fn mistakes(text: &str) -> Vec<String> {
        let mut raw = Raw::default();
        raw.add_file(PathBuf::from("test.toml"), text);
        let mistakes = Config::from_raw(raw).err().unwrap_or_default();
        let places = mistakes.into_iter().map(|mistake| mistake.place);
        places
            .map(|place| place.split(' ').next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn what_cannot_be_served_is_a_mistake() {
        for (text, place) in [
            ("path = \"mqtt\"", "mqtt.websocket.path"),
            ("path = \"/mqtt?x\"", "mqtt.websocket.path"),
            ("origins = \"city.example\"", "mqtt.websocket.origins"),
            (
                "origins = \"https://city.example/\"",
                "mqtt.websocket.origins",
            ),
            (
                "origins = \"https://City.example\"",
                "mqtt.websocket.origins",
            ),
            (
                "listen = \"127.0.0.1:0\"\nmessage_bytes_max = \"16KiB\"",
                "mqtt.websocket.message_bytes_max",
            ),
        ] {
            assert_eq!(mistakes(&format!("[mqtt.websocket]\n{text}\n")), [place]);
        }
        let tls = "[mqtt.websocket]\ntls_listen = \"127.0.0.1:0\"\n";
        assert_eq!(mistakes(tls), ["tls.certificate", "tls.key"]);
        let good = "[mqtt.websocket]\norigins = \"https://a.example, http://b.example:8080\"\n";
        assert_eq!(mistakes(good), [] as [&str; 0]);
    }
}
