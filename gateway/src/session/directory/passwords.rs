//! Codes that nobody asked for with 0x0100: a person gives them to terminals that speak MQTT.

use std::net::IpAddr;

use geofence::{identity::TerminalId, units::Timestamp};
use protocols::jt808::Revision;
use storage::registry::{CodeHashes, TerminalRecord};

use super::{Directory, Welcome};
use crate::session::handshake::RegistrationRefusal;

impl Directory {
    /// A new code for a terminal, which is registered with it if it was not. Codes of before go on to
    /// open until a newer one was used. `Ok(None)` means that there is no randomness to make one of.
    ///
    /// # Errors
    /// Why it may not register.
    pub fn issue_password(
        &self,
        terminal: TerminalId,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Option<Welcome>, RegistrationRefusal> {
        let known = self.registration_of(terminal);
        let record = known.unwrap_or_else(|| TerminalRecord {
            terminal,
            revision: Revision::V2019.year(),
            manufacturer: String::new(),
            model: String::new(),
            terminal_id: String::new(),
            plate: String::new(),
            plate_color: 0,
            registered_at: now,
            deregistered_at: None,
            codes: CodeHashes::default(),
        });
        self.register(record, address, now)
    }
}
