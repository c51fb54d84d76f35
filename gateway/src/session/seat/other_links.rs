//! A seat on a link that is no stream of frames: the terminal shows its code in another way, and says
//! things that are no messages.

use geofence::{identity::TerminalId, units::Timestamp};
use protocols::jt808::{
    Revision,
    header::{Header, HeaderForm, TerminalPhone},
    message::MessageId,
};

use super::Seat;
use crate::session::{
    Link,
    directory::Directory,
    downlink::Downlink,
    handshake::{AuthenticationRefusal, State},
};

impl Seat {
    pub(in crate::session) fn log_in(
        &mut self,
        terminal: TerminalId,
        code: &[u8],
        link: &Link,
        directory: &Directory,
        now: Timestamp,
    ) -> Result<(), AuthenticationRefusal> {
        let record = directory.registration_of(terminal);
        self.terminal = Some(terminal);
        self.profile = directory.profile_of(terminal);
        self.revision = record.and_then(|record| Revision::of_year(record.revision));
        let address = address_of(terminal, self.revision).ok_or(AuthenticationRefusal::Wrong)?;
        let downlink = Downlink::new(
            address,
            self.revision.unwrap_or_else(|| address.revision()),
            self.text_encoding(),
            self.serial,
        );
        let presence = directory.log_in(terminal, code, link, State::Connected, downlink, now)?;
        self.presence = Some(presence);
        self.state = State::Authenticated;
        Ok(())
    }

    pub(in crate::session) fn heard(
        &mut self,
        live_fix: Option<(bool, Timestamp)>,
        now: Timestamp,
    ) {
        let Some(presence) = &self.presence else {
            return;
        };
        presence.seen(now);
        if let Some((has_fix, fixed_at)) = live_fix {
            let fixed_at_s = Some(fixed_at.millis().div_euclid(1_000));
            presence.reported(has_fix, fixed_at_s, now, &mut self.clock);
        }
    }
}

/// The header that frames to a terminal have which has sent none. Who never registered is taken for
/// one of 2019: MQTT is younger than the revisions before.
fn address_of(terminal: TerminalId, revision: Option<Revision>) -> Option<Header> {
    let form = match revision {
        Some(Revision::V2011 | Revision::V2013) => HeaderForm::Form2013,
        Some(Revision::V2019) | None => HeaderForm::Form2019,
    };
    let phone = TerminalPhone::from_key(terminal.as_str(), form)
        .or_else(|| TerminalPhone::from_key(terminal.as_str(), HeaderForm::Form2019))?;
    Some(Header::new(MessageId::HEARTBEAT, phone, 0))
}
