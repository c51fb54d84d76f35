//! The validated configuration. Every field says meaning, unit and default; the file
//! `gridtrace.toml` beside the crate is the complete default, and a test compares the two.
//!
//! Sources, later ones win: TOML file, environment `GRIDTRACE__SECTION__KEY`, command line.

mod attachments;
mod bridge;
mod broker;
mod cases;
mod catalog;
mod commands;
mod delivery;
mod evaluation;
mod http;
mod inspectors;
mod item_id;
mod listeners;
mod mqtt;
pub mod network;
mod packets;
mod profiles;
pub mod source;
mod store;
mod tracks;
mod users;
mod websocket;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

pub use attachments::Attachments;
pub use bridge::{Bridge, BridgeKind};
pub use broker::{Broker, TopicTemplate};
pub use cases::Cases;
pub use catalog::{Backtest, CatalogFiles, Evidence, Explain};
pub use commands::{CommandRules, Commands};
pub use delivery::{Delivery, Publication, Receiver, Secret};
pub use evaluation::Evaluation;
pub use http::Http;
pub use inspectors::{Inspectors, ReportedEvent};
pub use item_id::ItemId;
pub use listeners::{Tls, Udp};
pub use mqtt::Mqtt;
pub use network::Network;
pub use packets::Media;
pub use profiles::{Choice, Profiles};
use protocols::jt808::reassembly::ReassemblyLimits;
pub use source::{Mistake, Raw};
pub use store::{StoreChoice, StoreRules, mask_password};
pub use tracks::Tracks;
pub use users::{MqttUser, PasswordHash, Scope};
pub use websocket::WebSocket;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Everything the process is told at its start. It is not reloaded while it runs; the catalog is.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where log, embedded store, registry and keys live. Default `gridtrace-data`.
    pub data_dir: PathBuf,
    /// JT/T 808 over TCP.
    pub tcp: Tcp,
    /// JT/T 808 over TLS.
    pub tls: Tls,
    /// JT/T 808 over UDP.
    pub udp: Udp,
    /// MQTT.
    pub mqtt: Mqtt,
    /// The outer broker.
    pub bridge: Bridge,
    /// Who may be a terminal.
    pub terminals: Terminals,
    /// What some of them do otherwise.
    pub profiles: Profiles,
    /// Commands to terminals.
    pub commands: Commands,
    /// `[packets]`: messages that come in several packets.
    pub packets: ReassemblyLimits,
    /// Pictures, sound, video and attachments.
    pub media: Media,
    /// Where the files of alarms go.
    pub attachments: Attachments,
    /// Which fix times are believed.
    pub ingest: Ingest,
    /// The durable log.
    pub log: LogLimits,
    /// The store behind it.
    pub store: StoreChoice,
    /// Positions are gathered for so long before they are written to the store. Default 250 ms.
    pub store_batch_interval: Duration,
    /// How long it keeps what.
    pub store_rules: StoreRules,
    /// The city.
    pub catalog: CatalogFiles,
    /// Catalogs that are tried on stored tracks.
    pub backtest: Backtest,
    /// Verdicts that are explained.
    pub explain: Explain,
    /// What proves a case.
    pub evidence: Evidence,
    /// The checks.
    pub evaluate: Evaluate,
    /// Cases.
    pub cases: Cases,
    /// Who hears of cases.
    pub delivery: Delivery,
    /// Evaluations of cases.
    pub evaluation: Evaluation,
    /// Who looks after the city.
    pub inspectors: Inspectors,
    /// HTTP, page and live stream.
    pub http: Http,
    /// Tracks for readers.
    pub tracks: Tracks,
    /// The process's own log lines.
    pub telemetry: Telemetry,
    /// The ordered stop.
    pub shutdown_timeout: Duration,
    /// What goes over every position computes only when nothing else wants to, not at a low priority.
    pub is_bulk_idle: bool,
    /// Effective values by key, secrets masked, for `print-config`.
    pub effective: BTreeMap<String, String>,
}

/// `[tcp]`
#[derive(Clone, Debug)]
pub struct Tcp {
    /// Default `0.0.0.0:6808`.
    pub listen: SocketAddr,
    /// Connections in all; further ones are closed at once. Default 60,000.
    pub connections_max: u32,
    /// Connections of one address: carriers put whole fleets behind one. Default 60,000.
    pub connections_per_address_max: u32,
    /// From accept to a valid authentication. Default 60 s.
    pub authentication_timeout: Duration,
    /// Without any valid frame, afterwards. Default 10 min.
    pub idle_timeout: Duration,
    /// A response that the peer does not take. Default 30 s.
    pub write_timeout: Duration,
    /// Candidates in a row that are no frames, before the link ends. Default 32.
    pub bad_candidates_max: u32,
    /// Bytes in a row without a valid frame, before the link ends. Default 64 KiB.
    pub garbage_bytes_max: u64,
    /// Messages of one connection that wait for the log; then it is not read. Default 256.
    pub unanswered_max: u32,
    /// Join candidates that a raw 0x7E inside a body has cut (JT/T 808 reference §1.2).
    pub join_cut_frames: bool,
}

/// Who may register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Every terminal.
    Open,
    /// Only phone numbers of the catalog's vehicles.
    Known,
}

/// Whose reports are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Only after 0x0102 with the code that registration gave.
    Strict,
    /// Also with any code, when the phone number is of the catalog or has registered before.
    KnownPhone,
}

/// `[terminals]`
#[derive(Clone, Debug)]
pub struct Terminals {
    /// Default `open`.
    pub registration: Registration,
    /// Default `strict`.
    pub authentication: Authentication,
    /// Terminals that may register in all where registration is open. Default 200,000.
    pub registered_max: u32,
    /// Wrong codes of a terminal from one address in a minute; more are refused unread. Default 10.
    pub wrong_codes_per_minute_max: u32,
    /// Wrong codes from one address in a minute, of all terminals. Default 600.
    pub wrong_codes_per_address_max: u32,
    /// Times in a minute that a terminal's session may go to a newer connection. Default 6.
    pub takeovers_per_minute_max: u32,
    /// Terminals that were refused, kept for people to look at. Default 256.
    pub unknown_kept_max: u32,
    /// Peers that carry several terminals on one connection; none by default.
    pub forwarding_addresses: Vec<Network>,
    /// Terminals on one connection of such a peer. Default 256.
    pub per_link_max: u32,
    /// Registrations are gathered for so long: each batch must reach the disk. Default 5 ms.
    pub save_interval: Duration,
    /// A registration that is not on the disk by then gets no response: the terminal asks again.
    /// Default 10 s.
    pub save_timeout: Duration,
    /// PEM: the platform's RSA key of 1024 bits, which terminals are told (0x8A00) and encrypt
    /// with; none by default.
    pub rsa_key: Option<PathBuf>,
    /// Events of terminals are kept for so long. Default 90 days.
    pub events_kept_for: Duration,
    /// Events kept of one terminal. Default 200.
    pub events_per_terminal_max: u32,
    /// Events that wait to be written; more are lost, and counted. Default 20,000.
    pub events_queued_max: u32,
}

/// `[ingest]`
#[derive(Clone, Debug)]
pub struct Ingest {
    /// A fix further ahead of its receipt goes to quarantine. Default 10 min.
    pub future_max: Duration,
    /// A fix longer before its receipt goes to quarantine. Default 30 days.
    pub past_max: Duration,
    /// A fix longer before its receipt counts as backlog. Default 5 min.
    pub backlog_after: Duration,
    /// Rejected frames kept for people to look at. Default 256.
    pub rejected_kept_max: u32,
    /// A tick record is written when nothing arrived for so long. Default 10 s.
    pub tick_interval: Duration,
    /// The makers' items whose first four bytes are kept as bits, for rules `work_signals`: the
    /// first of them that a report has. None by default.
    pub signal_items: Vec<ItemId>,
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct LogLimits {
    /// A segment file ends at this size. Default 64 MiB.
    pub segment_bytes_max: u64,
    /// All segments together; at the limit nothing is acknowledged any more. Default 8 GiB.
    pub size_bytes_max: u64,
    /// Free space of the file system below which nothing is acknowledged. Default 256 MiB.
    pub free_bytes_min: u64,
    /// Bytes that wait for the next sync; then sockets are not read. Default 16 MiB.
    pub staged_bytes_max: u64,
    /// Zeros written ahead of the commits at a time. 0 for none; default 1 MiB.
    pub zero_ahead_bytes: u64,
    /// The least time between two syncs: later messages join the next one. Default 2 ms.
    pub commit_interval: Duration,
    /// A consumer takes so many bytes of records at once. Default 2 MiB.
    pub batch_bytes_max: u64,
}

/// `[evaluate]`
#[derive(Clone, Debug)]
pub struct Evaluate {
    /// Snapshots of the state are written so often. Default 5 s.
    pub snapshot_interval: Duration,
    /// How far back late fixes change verdicts. Default 72 h.
    pub horizon: Duration,
    /// Fixes kept of one vehicle for that. Default 65,536.
    pub fixes_max: u32,
    /// Bytes of these fixes and the checkpoints between them, of one vehicle. Default 2 MiB.
    pub history_bytes_max: u64,
    /// So many elder versions of the catalog judge what comes late from their time. Default 64.
    pub elder_catalogs_max: u32,
    /// Bytes of these versions beside the one in force, about. Default 1 GiB.
    pub elder_catalogs_bytes_max: u64,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[telemetry]`
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// Levels, as `info` or `info,gateway=debug`. Default `info`.
    pub level: String,
    /// Default `text`.
    pub format: LineFormat,
}

impl Config {
    /// Validates the raw table.
    ///
    /// # Errors
    /// Every mistake, with its key and source.
    pub fn from_raw(mut raw: Raw) -> Result<Self, Vec<Mistake>> {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let hour = seconds(3600);
        let config = Self {
            data_dir: raw
                .path("data_dir", "gridtrace-data")
                .unwrap_or_else(|| PathBuf::from(".")),
            tcp: Tcp {
                listen: raw.address("tcp.listen", SocketAddr::new(any, 6808)),
                connections_max: raw.count("tcp.connections_max", 60_000, 1..=1_000_000),
                connections_per_address_max: raw.count(
                    "tcp.connections_per_address_max",
                    60_000,
                    1..=1_000_000,
                ),
                authentication_timeout: raw.duration(
                    "tcp.authentication_timeout",
                    seconds(60),
                    seconds(1)..=hour,
                ),
                idle_timeout: raw.duration(
                    "tcp.idle_timeout",
                    seconds(600),
                    seconds(1)..=24 * hour,
                ),
                write_timeout: raw.duration("tcp.write_timeout", seconds(30), seconds(1)..=hour),
                bad_candidates_max: raw.count("tcp.bad_candidates_max", 32, 1..=1_000_000),
                garbage_bytes_max: raw.bytes("tcp.garbage_bytes_max", 64 * KIB, 4 * KIB..=GIB),
                unanswered_max: raw.count("tcp.unanswered_max", 256, 1..=65_535),
                join_cut_frames: raw.choice(
                    "tcp.join_cut_frames",
                    true,
                    &[("true", true), ("false", false)],
                ),
            },
            tls: Tls::from_raw(&mut raw),
            udp: Udp::from_raw(&mut raw),
            mqtt: Mqtt::from_raw(&mut raw),
            bridge: Bridge::from_raw(&mut raw),
            terminals: Terminals {
                registration: raw.choice(
                    "terminals.registration",
                    Registration::Open,
                    &[("open", Registration::Open), ("known", Registration::Known)],
                ),
                authentication: raw.choice(
                    "terminals.authentication",
                    Authentication::Strict,
                    &[
                        ("strict", Authentication::Strict),
                        ("known_phone", Authentication::KnownPhone),
                    ],
                ),
                registered_max: raw.count("terminals.registered_max", 200_000, 1..=10_000_000),
                wrong_codes_per_minute_max: raw.count(
                    "terminals.wrong_codes_per_minute_max",
                    10,
                    1..=1_000_000,
                ),
                wrong_codes_per_address_max: raw.count(
                    "terminals.wrong_codes_per_address_max",
                    600,
                    1..=1_000_000,
                ),
                takeovers_per_minute_max: raw.count(
                    "terminals.takeovers_per_minute_max",
                    6,
                    1..=1_000_000,
                ),
                unknown_kept_max: raw.count("terminals.unknown_kept_max", 256, 0..=100_000),
                forwarding_addresses: raw.networks("terminals.forwarding_addresses"),
                per_link_max: raw.count("terminals.per_link_max", 256, 1..=65_535),
                save_interval: raw.duration(
                    "terminals.save_interval",
                    Duration::from_millis(5),
                    seconds(0)..=seconds(1),
                ),
                save_timeout: raw.duration(
                    "terminals.save_timeout",
                    seconds(10),
                    seconds(1)..=hour,
                ),
                rsa_key: raw.path("terminals.rsa_key", ""),
                events_kept_for: raw.duration(
                    "terminals.events_kept_for",
                    2_160 * hour,
                    hour..=438_000 * hour,
                ),
                events_per_terminal_max: raw.count(
                    "terminals.events_per_terminal_max",
                    200,
                    1..=1_000_000,
                ),
                events_queued_max: raw.count("terminals.events_queued_max", 20_000, 1..=1_000_000),
            },
            profiles: Profiles::from_raw(&mut raw),
            commands: Commands::from_raw(&mut raw),
            packets: packets::reassembly_limits(&mut raw),
            media: Media::from_raw(&mut raw),
            attachments: Attachments::from_raw(&mut raw),
            ingest: Ingest {
                future_max: raw.duration("ingest.future_max", seconds(600), seconds(0)..=24 * hour),
                past_max: raw.duration("ingest.past_max", 720 * hour, hour..=438_000 * hour),
                backlog_after: raw.duration(
                    "ingest.backlog_after",
                    seconds(300),
                    seconds(1)..=24 * hour,
                ),
                rejected_kept_max: raw.count("ingest.rejected_kept_max", 256, 0..=100_000),
                tick_interval: raw.duration("ingest.tick_interval", seconds(10), seconds(1)..=hour),
                signal_items: raw.list("ingest.signal_items", ItemId::read),
            },
            log: LogLimits {
                segment_bytes_max: raw.bytes("log.segment_bytes_max", 64 * MIB, MIB..=4 * GIB),
                size_bytes_max: raw.bytes("log.size_bytes_max", 8 * GIB, MIB..=1024 * 1024 * GIB),
                free_bytes_min: raw.bytes("log.free_bytes_min", 256 * MIB, 0..=1024 * GIB),
                staged_bytes_max: raw.bytes("log.staged_bytes_max", 16 * MIB, MIB..=GIB),
                zero_ahead_bytes: raw.bytes("log.zero_ahead_bytes", MIB, 0..=64 * MIB),
                commit_interval: raw.duration(
                    "log.commit_interval",
                    Duration::from_millis(2),
                    seconds(0)..=seconds(1),
                ),
                batch_bytes_max: raw.bytes("log.batch_bytes_max", 2 * MIB, 64 * KIB..=64 * MIB),
            },
            store: StoreChoice::from_raw(&mut raw),
            store_batch_interval: raw.duration(
                "store.batch_interval",
                Duration::from_millis(250),
                seconds(0)..=seconds(10),
            ),
            store_rules: StoreRules::from_raw(&mut raw),
            catalog: CatalogFiles::from_raw(&mut raw),
            backtest: Backtest::from_raw(&mut raw),
            explain: Explain::from_raw(&mut raw),
            evidence: Evidence::from_raw(&mut raw),
            evaluate: Evaluate {
                snapshot_interval: raw.duration(
                    "evaluate.snapshot_interval",
                    seconds(5),
                    seconds(1)..=hour,
                ),
                horizon: raw.duration("evaluate.horizon", 72 * hour, hour..=720 * hour),
                fixes_max: raw.count("evaluate.fixes_max", 65_536, 1_024..=4_194_304),
                history_bytes_max: raw.bytes("evaluate.history_bytes_max", 2 * MIB, 64 * KIB..=GIB),
                elder_catalogs_max: raw.count("evaluate.elder_catalogs_max", 64, 0..=10_000),
                elder_catalogs_bytes_max: raw.bytes(
                    "evaluate.elder_catalogs_bytes_max",
                    GIB,
                    0..=1_024 * GIB,
                ),
            },
            cases: Cases::from_raw(&mut raw),
            delivery: Delivery::from_raw(&mut raw),
            evaluation: Evaluation::from_raw(&mut raw),
            inspectors: Inspectors::from_raw(&mut raw),
            http: Http::from_raw(&mut raw),
            tracks: Tracks::from_raw(&mut raw),
            telemetry: Telemetry {
                level: raw.text("telemetry.level", "info", str::to_owned),
                format: raw.choice(
                    "telemetry.format",
                    LineFormat::Text,
                    &[("text", LineFormat::Text), ("json", LineFormat::Json)],
                ),
            },
            shutdown_timeout: raw.duration("shutdown_timeout", seconds(10), seconds(1)..=hour),
            is_bulk_idle: raw.choice("bulk_priority", true, &[("idle", true), ("low", false)]),
            effective: BTreeMap::new(),
        };
        if config.log.size_bytes_max < config.log.segment_bytes_max {
            raw.mistake(
                "log.size_bytes_max",
                "smaller than one segment (log.segment_bytes_max)",
            );
        }
        config.store_rules.check(&config.ingest, &mut raw);
        config.mqtt.check(&config.tls, &mut raw);
        let effective = raw.finish()?;
        Ok(Self {
            effective,
            ..config
        })
    }

    /// Some listener needs the files of `[tls]`.
    #[must_use]
    pub const fn needs_tls(&self) -> bool {
        self.tls.listen.is_some()
            || self.mqtt.tls_listen.is_some()
            || self.mqtt.websocket.tls_listen.is_some()
    }

    /// The effective configuration as TOML, secrets masked.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let (top, sections): (Vec<_>, Vec<_>) = self
            .effective
            .iter()
            .partition(|(key, _)| !key.contains('.'));
        for (key, value) in top {
            text.push_str(&format!("{key} = {value}\n"));
        }
        let mut current = "";
        for (key, value) in sections {
            let (section, name) = key.split_once('.').unwrap_or(("", key));
            if section != current {
                text.push_str(&format!("\n[{section}]\n"));
                current = section;
            }
            text.push_str(&format!("{name} = {value}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT_FILE: &str = include_str!("../gridtrace.toml");

    fn read(text: &str) -> Result<Config, Vec<Mistake>> {
        let mut raw = Raw::default();
        raw.add_file(PathBuf::from("test.toml"), text);
        Config::from_raw(raw)
    }

    #[test]
    fn the_default_file_is_complete_and_says_what_the_code_does() {
        let written = read(DEFAULT_FILE).unwrap();
        let defaults = read("").unwrap();
        assert_eq!(written.effective, defaults.effective);
        let table: toml::Table = DEFAULT_FILE.parse().unwrap();
        for key in defaults.effective.keys() {
            let mut value = Some(&toml::Value::Table(table.clone())).cloned();
            for part in key.split('.') {
                value = value.and_then(|v| v.get(part).cloned());
            }
            assert!(value.is_some(), "gridtrace.toml lacks {key}");
        }
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        let printed = read("").unwrap().to_toml();
        assert_eq!(
            read(&printed).unwrap().effective,
            read("").unwrap().effective
        );
    }

    #[test]
    fn all_mistakes_are_named_at_once_with_their_place() {
        let mistakes = read(
            "[tcp]\nlisten = \"nowhere\"\nconections_max = 5\n[log]\nsegment_bytes_max = 12\n\
             [store]\nurl = \"mysql://x\"\n[http]\nlisten = \"0.0.0.0:80\"\n",
        )
        .unwrap_err();
        let places: Vec<_> = mistakes.iter().map(|m| m.place.as_str()).collect();
        assert_eq!(
            places,
            [
                "tcp.listen (test.toml)",
                "log.segment_bytes_max (test.toml)",
                "store.url",
                "http.listen",
                "tcp.conections_max (test.toml)",
            ]
        );
    }

    #[test]
    fn tls_without_a_certificate_is_a_mistake_and_without_an_address_is_off() {
        let mistakes = read("[tls]\nlisten = \"127.0.0.1:0\"\nkey = \"k.pem\"\n").unwrap_err();
        let places: Vec<_> = mistakes.iter().map(|m| m.place.as_str()).collect();
        assert_eq!(places, ["tls.certificate"]);
        let config = read("[tls]\nkey = \"k.pem\"\n[udp]\nlisten = \"0.0.0.0:6810\"\n").unwrap();
        assert_eq!(config.tls.listen, None);
        assert_eq!(config.udp.listen.unwrap().port(), 6810);
        let mistakes = read("[udp]\nlisten = \"6810\"\n").unwrap_err();
        assert!(mistakes[0].place.starts_with("udp.listen"));
    }

    #[test]
    fn flags_win_over_environment_and_environment_over_the_file() {
        let mut raw = Raw::default();
        raw.add_file(
            PathBuf::from("f"),
            "[tcp]\nidle_timeout = \"5s\"\nunanswered_max = 3\n",
        );
        let variables = [
            ("GRIDTRACE__TCP__IDLE_TIMEOUT", "6s"),
            ("GRIDTRACE__DATA_DIR", "/a"),
        ];
        raw.add_environment(
            variables
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned())),
        );
        raw.add_flag("--data-dir", "data_dir", Some("/b".to_owned()));
        let config = Config::from_raw(raw).unwrap();
        assert_eq!(config.tcp.idle_timeout, seconds(6));
        assert_eq!(config.tcp.unanswered_max, 3);
        assert_eq!(config.data_dir, PathBuf::from("/b"));
    }
}
