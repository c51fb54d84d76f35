//! The server of attachments: where terminals bring the files of their alarms.

use std::{net::SocketAddr, time::Duration};

use super::{GIB, KIB, MIB, Raw, seconds};

/// The server's name in 0x9208 is counted in a byte.
const HOST_BYTES_MAX: usize = 255;

/// `[attachments]`: T/JSATL 12 over TCP on a port of its own.
#[derive(Clone, Debug)]
pub struct Attachments {
    /// Off by default.
    pub listen: Option<SocketAddr>,
    /// What terminals are told to connect to. Default: the address of `listen`.
    pub advertised_host: String,
    /// Likewise; 0, which is the default, is the port of `listen`.
    pub advertised_port: u16,
    /// Connections in all; further ones are closed at once. Default 256.
    pub connections_max: u32,
    /// Connections of one address. Default 64.
    pub connections_per_address_max: u32,
    /// Without a valid message or data of a file; from accept to the first alarm that is taken, in
    /// all. Default 60 s.
    pub idle_timeout: Duration,
    /// Files of one alarm. Default 64.
    pub files_per_alarm_max: u32,
    /// Files of one connection that are being received at once. Default 4.
    pub files_open_max: u32,
    /// Frames that are refused, in a row, before the connection ends. Default 16.
    pub refusals_max: u32,
    /// Data of one packet, in bytes. Default 1 MiB.
    pub packet_bytes_max: u32,
    /// Files of alarms are asked for without anybody's doing. Default on.
    pub requests_files: bool,
    /// Alarms whose files are to be asked for, in memory. Default 1,024.
    pub requests_queued_max: u32,
    /// Files that nobody asked for are taken as well. Default off.
    pub accepts_unasked: bool,
}

impl Attachments {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        const SWITCH: &[(&str, bool)] = &[("on", true), ("off", false)];
        let attachments = Self {
            listen: raw.optional_address("attachments.listen"),
            advertised_host: raw.text("attachments.advertised_host", "", str::to_owned),
            advertised_port: u16::try_from(raw.count("attachments.advertised_port", 0, 0..=65_535))
                .unwrap_or_default(),
            connections_max: raw.count("attachments.connections_max", 256, 1..=100_000),
            connections_per_address_max: raw.count(
                "attachments.connections_per_address_max",
                64,
                1..=100_000,
            ),
            idle_timeout: raw.duration(
                "attachments.idle_timeout",
                seconds(60),
                seconds(1)..=seconds(3600),
            ),
            files_per_alarm_max: raw.count("attachments.files_per_alarm_max", 64, 1..=255),
            files_open_max: raw.count("attachments.files_open_max", 4, 1..=255),
            refusals_max: raw.count("attachments.refusals_max", 16, 1..=65_535),
            packet_bytes_max: u32::try_from(raw.bytes(
                "attachments.packet_bytes_max",
                MIB,
                KIB..=GIB,
            ))
            .unwrap_or(u32::MAX),
            requests_files: raw.choice("attachments.request", true, SWITCH),
            requests_queued_max: raw.count("attachments.requests_queued_max", 1_024, 1..=1_000_000),
            accepts_unasked: raw.choice("attachments.accept_unasked", false, SWITCH),
        };
        attachments.check(raw);
        attachments
    }

    fn check(&self, raw: &mut Raw) {
        let host = &self.advertised_host;
        if host.len() > HOST_BYTES_MAX || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
            raw.mistake(
                "attachments.advertised_host",
                "expected a name or an address of up to 255 ASCII characters",
            );
        }
        let is_anywhere = self.listen.is_some_and(|at| at.ip().is_unspecified());
        if is_anywhere && self.requests_files && host.is_empty() {
            raw.mistake(
                "attachments.advertised_host",
                "attachments.listen names no address that terminals could be told: give one here",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        let mut raw = Raw::default();
        raw.add_file(PathBuf::from("test.toml"), text);
        Attachments::from_raw(&mut raw);
        let found = raw.finish().err().unwrap_or_default();
        found.into_iter().map(|mistake| mistake.place).collect()
    }

    #[test]
    fn terminals_are_told_an_address_that_they_can_reach() {
        let anywhere = "[attachments]\nlisten = \"0.0.0.0:6811\"\n";
        assert_eq!(mistakes(anywhere), ["attachments.advertised_host"]);
        for right in ["advertised_host = \"10.1.2.3\"", "request = \"off\""] {
            assert_eq!(mistakes(&format!("{anywhere}{right}\n")), [""; 0]);
        }
        let long = format!("[attachments]\nadvertised_host = \"{}\"\n", "a".repeat(256));
        assert_eq!(mistakes(&long), ["attachments.advertised_host"]);
    }
}
