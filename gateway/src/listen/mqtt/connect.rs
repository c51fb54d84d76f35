//! CONNECT: who it is. The user name is a terminal's phone number, the client id is the same, and the
//! password is the code that 0x0102 would show. Everybody else is refused.

use std::time::Duration;

use geofence::identity::TerminalId;

use super::{
    client::{Client, Established},
    downlink::Outbox,
    packet::{self, Bad, Connect, ConnectRefusal, Limits, Version},
    topics::{Subscriptions, Topics, Up},
};
use crate::{
    clock,
    config::Mqtt,
    listen::{connection::Closed, transport::Transport},
    session::handshake::AuthenticationRefusal,
};

impl<T: Transport> Client<T> {
    pub(super) async fn on_connect(&mut self, packet: &[u8]) -> Result<(), Closed> {
        let connect = match packet::connect(packet) {
            Ok(connect) => connect,
            Err(Bad::Version) => {
                return Err(self.refuse_connect(Version::V3, ConnectRefusal::Version));
            }
            Err(Bad::Malformed | Bad::Oversize) => {
                self.count_connect("malformed");
                return Err(Closed::Protocol);
            }
        };
        let version = connect.version;
        let judged = match self.user_of(&connect) {
            Some(user) => self.judge_user(connect, user).await,
            None => self.judge(connect),
        };
        match judged {
            Ok((established, limits)) => {
                self.count_connect("ok");
                if let Some(terminal) = self.session.terminal() {
                    self.gateway.live.set_online(terminal, true);
                }
                self.established = Some(established);
                let packet = packet::connack(version, &limits);
                self.responses.push_packet(&packet, None, None);
                self.transport.on_authenticated();
                self.expect_downlinks();
                Ok(())
            }
            Err(refusal) => Err(self.refuse_connect(version, refusal)),
        }
    }

    fn refuse_connect(&mut self, version: Version, refusal: ConnectRefusal) -> Closed {
        self.count_connect(refusal.as_str());
        let packet = packet::connack_refused(version, refusal);
        self.responses.push_packet(&packet, None, None);
        Closed::Refused
    }

    fn count_connect(&self, result: &'static str) {
        self.gateway
            .metrics
            .count("mqtt_connects_total", "result", result, 1);
    }

    /// The session is opened last: nothing else can refuse the client any more.
    fn judge(&mut self, connect: Connect) -> Result<(Established, Limits), ConnectRefusal> {
        if connect.wants_exchange {
            return Err(ConnectRefusal::Exchange);
        }
        let (Some(name), Some(password)) = (&connect.user_name, &connect.password) else {
            return Err(ConnectRefusal::Credential);
        };
        let terminal = terminal_of(name).ok_or(ConnectRefusal::Credential)?;
        if connect.client_id != *name {
            return Err(ConnectRefusal::Identifier);
        }
        if password.is_empty() {
            return Err(ConnectRefusal::Credential);
        }
        let topics = Topics::of(name);
        if let Some(will) = &connect.will {
            if will.is_retained {
                return Err(ConnectRefusal::RetainedWill);
            }
            if will.is_exactly_once {
                return Err(ConnectRefusal::ExactlyOnce);
            }
            if topics.up(&will.topic) != Some(Up::Json) {
                return Err(ConnectRefusal::Will);
            }
        }
        let directory = &self.gateway.directory;
        self.session
            .log_in(terminal, password, directory, clock::now())
            .map_err(|refusal| match refusal {
                AuthenticationRefusal::Wrong => ConnectRefusal::Credential,
                AuthenticationRefusal::TooMany | AuthenticationRefusal::TakeOver => {
                    ConnectRefusal::TooMany
                }
            })?;
        let config = &self.gateway.config.mqtt;
        let keep_alive_s = keep_alive(connect.keep_alive_s, config);
        let limits = Limits {
            receive_max: u16::try_from(config.inflight_max).unwrap_or(u16::MAX),
            packet_bytes_max: u32::try_from(config.packet_bytes_max).unwrap_or(u32::MAX),
            keep_alive_s: (keep_alive_s != connect.keep_alive_s).then_some(keep_alive_s),
            has_retained: false,
        };
        let established = Established {
            version: connect.version,
            reader: None,
            topics,
            silence_max: Duration::from_secs(u64::from(keep_alive_s)) * 3 / 2,
            will: connect.will,
            subscriptions: Subscriptions::default(),
            outbox: Outbox::new(
                usize::from(connect.receive_max.min(limits.receive_max)),
                connect.packet_bytes_max,
            ),
        };
        Ok((established, limits))
    }
}

/// Digits alone, with zeros in front or without: neither signs of topics nor anything that looks like
/// a digit passes.
fn terminal_of(name: &str) -> Option<TerminalId> {
    let is_number = (1..=TerminalId::LENGTH_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| name.trim_start_matches('0').parse().ok())?
}

/// Seconds.
pub(super) fn keep_alive(asked: u16, config: &Mqtt) -> u16 {
    let max = u16::try_from(config.keep_alive_max.as_secs()).unwrap_or(u16::MAX);
    if asked == 0 { max } else { asked.min(max) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_phone_number_and_nothing_else() {
        for name in ["13800138000", "013800138000", "1", "00000000000000000001"] {
            assert!(terminal_of(name).is_some(), "{name}");
        }
        for name in [
            "",
            "0",
            "000",
            "13800138000+",
            "#",
            "+",
            "1/2",
            "$SYS",
            "1 2",
            " 1",
            "1\n",
            "1\u{0}",
            "１２",
            "4eb6fb4af2c1",
            "-1",
            "123456789012345678901",
        ] {
            assert_eq!(terminal_of(name), None, "{name:?}");
        }
    }
}
