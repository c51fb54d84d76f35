//! Users of the configuration, and how often somebody may try to be one.

use std::net::IpAddr;

use geofence::units::Timestamp;

use crate::{
    config::{Config, MqttUser},
    session::per_minute::PerMinute,
};

/// See the module.
#[derive(Debug)]
pub struct Users {
    users: Vec<MqttUser>,
    /// By number of the user, so that names of strangers take no place.
    wrong: PerMinute<(usize, IpAddr)>,
    take_overs: PerMinute<(usize, String)>,
}

impl Users {
    /// Those of the configuration, under the limits of terminals.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let limits = &config.terminals;
        Self {
            users: config.mqtt.users.clone(),
            wrong: PerMinute::new(limits.wrong_codes_per_minute_max),
            take_overs: PerMinute::new(limits.takeovers_per_minute_max),
        }
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.users.iter().position(|user| user.name == name)
    }

    pub(super) fn user(&self, number: usize) -> Option<&MqttUser> {
        self.users.get(number)
    }

    /// Whether this password opens. `None` after too many wrong ones, unread.
    pub(super) fn opens(
        &self,
        number: usize,
        password: &[u8],
        peer: IpAddr,
        now: Timestamp,
    ) -> Option<bool> {
        let pair = (number, peer);
        if self.wrong.is_used_up(&pair, now) {
            return None;
        }
        let opens = self
            .user(number)
            .is_some_and(|user| user.password.opens(password));
        if !opens {
            self.wrong.take(pair, now);
        }
        Some(opens)
    }

    /// One more connection of a user and client id; false where they come too often.
    pub(super) fn may_come(&self, number: usize, client: &str, now: Timestamp) -> bool {
        self.take_overs.take((number, client.to_owned()), now)
    }
}
