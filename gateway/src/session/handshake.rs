//! Registration and authentication as tables: pure functions of the state, the message, and what
//! the directory says about it.
//!
//! # What a link does
//!
//! | message                              | answer        | connected     | registered    | authenticated |
//! |--------------------------------------|---------------|---------------|---------------|---------------|
//! | 0x0100, welcome                      | 0x8100 0      | registered    | registered    | authenticated |
//! | 0x0100, refused                      | 0x8100 1 to 4 | connected     | registered    | authenticated |
//! | 0x0102, its code                     | 0x8001 0      | authenticated | authenticated | authenticated |
//! | 0x0102, wrong, unknown, too often    | 0x8001 1      | connected     | registered    | authenticated |
//! | 0x0102, too many take-overs          | 0x8001 1      | connected     | registered    | authenticated |
//! | 0x0003, 0x0101 with an empty body    | 0x8001 0 or 1 | 1: connected  | 1: registered | 0: connected  |
//! | another, the phone alone is trusted  | by its table  | authenticated | authenticated | authenticated |
//! | another, the phone is not trusted    | 0x8001 1      | connected     | registered    | as its table  |
//!
//! A wrong code ends no session: else anybody could end anybody's. Wrong and unknown look alike.
//!
//! # What a registration gets (0x8100)
//!
//! The first line that fits decides. The catalog is right wherever it says something; an `open`
//! registration admits those about whom it says nothing.
//!
//! | what is so                                                             | open | known |
//! |------------------------------------------------------------------------|------|-------|
//! | the phone number is all zeros                                          |    4 |     4 |
//! | the catalog has no vehicle with this phone number                      |    - |     4 |
//! | neither catalog nor registry know it, and `registered_max` is reached  |    4 |     - |
//! | another terminal (maker, terminal id) has registered under the number  |    3 |     3 |
//! | the plate is that of a vehicle with another terminal in the catalog    |    1 |     1 |
//! | the plate is in no catalog, and the catalog has another one for it     |    3 |     2 |
//! | none of these, also again and again                                    |    0 |     0 |
//!
//! A terminal that sends no plate, or a vehicle's identification number (colour 0), claims no
//! vehicle. A terminal that gets 3 because its device was exchanged is let in by releasing the
//! old one: `POST /api/v1/terminals/{phone}/release`.

use storage::registry::events::TerminalEventKind;

use crate::config::Registration;

/// How far a terminal has come on its link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It has said nothing that was welcome.
    #[default]
    Connected,
    /// 0x0100 was answered with 0 on this link.
    Registered,
    /// It has a session.
    Authenticated,
}

/// Why a registration is refused; the numbers are the result codes of 0x8100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationRefusal {
    /// The vehicle has another terminal.
    VehicleTaken = 1,
    /// The vehicle is not in the catalog.
    VehicleUnknown = 2,
    /// Another device, or another vehicle, has this phone number.
    TerminalTaken = 3,
    /// The terminal is not of this city, or there is no room for more.
    TerminalUnknown = 4,
}

impl RegistrationRefusal {
    /// A word for labels and events.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::VehicleTaken => "vehicle_taken",
            Self::VehicleUnknown => "vehicle_unknown",
            Self::TerminalTaken => "terminal_taken",
            Self::TerminalUnknown => "terminal_unknown",
        }
    }

    /// What an operator may do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::VehicleTaken => "the catalog has another terminal for the plate that it sends",
            Self::VehicleUnknown => "the catalog does not have the plate that it sends",
            Self::TerminalTaken => {
                "another device, or another plate in the catalog, has this phone number: release \
                 it if the device was exchanged"
            }
            Self::TerminalUnknown => {
                "the catalog has no vehicle with this phone number, or too many have registered"
            }
        }
    }
}

/// Why a code gives no session. From outside all look alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationRefusal {
    /// Not its code, or nobody's.
    Wrong,
    /// Too many wrong ones in a minute: this one was not looked at.
    TooMany,
    /// The session went from connection to connection too often in a minute.
    TakeOver,
}

impl AuthenticationRefusal {
    /// A word for labels and events.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Wrong => "refused",
            Self::TooMany => "too_many",
            Self::TakeOver => "take_over",
        }
    }
}

/// Why a phone number alone gives no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhoneRefusal {
    /// It has to show its code.
    CodeNeeded,
    /// The session went from connection to connection too often in a minute.
    TakeOver,
}

/// A message, with what the directory says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// 0x0100.
    Registration(Result<(), RegistrationRefusal>),
    /// 0x0102.
    Authentication(Result<(), AuthenticationRefusal>),
    /// 0x0003, or 0x0101 with an empty body.
    LogOut,
    /// Any other message.
    Other(Result<(), PhoneRefusal>),
}

/// How a message is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 0x8100 with this result.
    Registration(u8),
    /// 0x8001 with this result.
    General(u8),
    /// As its own meaning has it.
    ByMeaning,
}

/// What follows from a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The answer.
    pub answer: Answer,
    /// The state from then on.
    pub next: State,
    /// What is remembered of it.
    pub event: Option<TerminalEventKind>,
}

/// The table of links.
#[must_use]
pub const fn step(state: State, input: Input) -> Step {
    use TerminalEventKind as Kind;
    let is_authenticated = matches!(state, State::Authenticated);
    let online = if is_authenticated {
        None
    } else {
        Some(Kind::Online)
    };
    let (answer, next, event) = match input {
        Input::Registration(Ok(())) => {
            let next = if is_authenticated {
                state
            } else {
                State::Registered
            };
            (Answer::Registration(0), next, Some(Kind::Registered))
        }
        Input::Registration(Err(refusal)) => {
            let event = Some(Kind::RegistrationRefused);
            (Answer::Registration(refusal as u8), state, event)
        }
        Input::Authentication(Ok(())) => (Answer::General(0), State::Authenticated, online),
        Input::Authentication(Err(refusal)) => {
            let event = match refusal {
                AuthenticationRefusal::Wrong => Some(Kind::AuthenticationRefused),
                // Only counted: they would be as many as the peer likes.
                AuthenticationRefusal::TooMany => None,
                AuthenticationRefusal::TakeOver => Some(Kind::TakeOverRefused),
            };
            (Answer::General(1), state, event)
        }
        Input::LogOut if is_authenticated => {
            (Answer::General(0), State::Connected, Some(Kind::LogOut))
        }
        Input::LogOut => (Answer::General(1), state, None),
        Input::Other(_) if is_authenticated => (Answer::ByMeaning, state, None),
        Input::Other(Ok(())) => (Answer::ByMeaning, State::Authenticated, online),
        Input::Other(Err(PhoneRefusal::CodeNeeded)) => (Answer::General(1), state, None),
        Input::Other(Err(PhoneRefusal::TakeOver)) => {
            (Answer::General(1), state, Some(Kind::TakeOverRefused))
        }
    };
    Step {
        answer,
        next,
        event,
    }
}

/// The device that registers, beside the one that has registered under its phone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// None has.
    New,
    /// The same.
    Same,
    /// Another one.
    Other,
}

/// The vehicle that a terminal says it is in, beside what the catalog says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It says nothing that can be compared.
    Nothing,
    /// The catalog says the same.
    Own,
    /// A vehicle that has another terminal in the catalog.
    OfAnother,
    /// A vehicle that is not in the catalog.
    Unlisted,
}

/// What is known about a registration.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The catalog has a vehicle with this phone number.
    pub is_listed: bool,
    /// Less than `registered_max` terminals have registered.
    pub has_room: bool,
    /// The device.
    pub device: Device,
    /// The vehicle.
    pub claim: Claim,
}

/// The table of registrations.
///
/// # Errors
/// Why it is refused.
pub fn judge(policy: Registration, facts: &Facts) -> Result<(), RegistrationRefusal> {
    let is_known = policy == Registration::Known;
    let is_stranger = !facts.is_listed && facts.device == Device::New;
    if is_known && !facts.is_listed || is_stranger && !facts.has_room {
        return Err(RegistrationRefusal::TerminalUnknown);
    }
    if facts.device == Device::Other {
        return Err(RegistrationRefusal::TerminalTaken);
    }
    match facts.claim {
        Claim::OfAnother => Err(RegistrationRefusal::VehicleTaken),
        Claim::Unlisted if is_known => Err(RegistrationRefusal::VehicleUnknown),
        Claim::Unlisted if facts.is_listed => Err(RegistrationRefusal::TerminalTaken),
        Claim::Unlisted | Claim::Own | Claim::Nothing => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_the_table_of_links_is_as_the_reference_says() {
        use Answer::{ByMeaning, General, Registration as Registered};
        use AuthenticationRefusal as Code;
        use RegistrationRefusal as Refusal;
        use State::{Authenticated, Connected, Registered as R};
        use TerminalEventKind as Kind;
        /// Of each state: answer, next state, event.
        type Cells = [(Answer, State, Option<Kind>); 3];
        let same = |answer, event| -> Cells {
            [Connected, R, Authenticated].map(|state| (answer, state, event))
        };
        let (online, refused) = (Some(Kind::Online), Some(Kind::RegistrationRefused));
        let table: [(Input, Cells); 13] = [
            (
                Input::Registration(Ok(())),
                [R, R, Authenticated].map(|next| (Registered(0), next, Some(Kind::Registered))),
            ),
            (
                Input::Registration(Err(Refusal::VehicleTaken)),
                same(Registered(1), refused),
            ),
            (
                Input::Registration(Err(Refusal::VehicleUnknown)),
                same(Registered(2), refused),
            ),
            (
                Input::Registration(Err(Refusal::TerminalTaken)),
                same(Registered(3), refused),
            ),
            (
                Input::Registration(Err(Refusal::TerminalUnknown)),
                same(Registered(4), refused),
            ),
            (
                Input::Authentication(Ok(())),
                [online, online, None].map(|event| (General(0), Authenticated, event)),
            ),
            (
                Input::Authentication(Err(Code::Wrong)),
                same(General(1), Some(Kind::AuthenticationRefused)),
            ),
            (
                Input::Authentication(Err(Code::TooMany)),
                same(General(1), None),
            ),
            (
                Input::Authentication(Err(Code::TakeOver)),
                same(General(1), Some(Kind::TakeOverRefused)),
            ),
            (
                Input::LogOut,
                [
                    (General(1), Connected, None),
                    (General(1), R, None),
                    (General(0), Connected, Some(Kind::LogOut)),
                ],
            ),
            (
                Input::Other(Ok(())),
                [online, online, None].map(|event| (ByMeaning, Authenticated, event)),
            ),
            (
                Input::Other(Err(PhoneRefusal::CodeNeeded)),
                [
                    (General(1), Connected, None),
                    (General(1), R, None),
                    (ByMeaning, Authenticated, None),
                ],
            ),
            (
                Input::Other(Err(PhoneRefusal::TakeOver)),
                [
                    (General(1), Connected, Some(Kind::TakeOverRefused)),
                    (General(1), R, Some(Kind::TakeOverRefused)),
                    (ByMeaning, Authenticated, None),
                ],
            ),
        ];
        for (input, cells) in table {
            for (state, (answer, next, event)) in
                [Connected, R, Authenticated].into_iter().zip(cells)
            {
                let expected = Step {
                    answer,
                    next,
                    event,
                };
                assert_eq!(step(state, input), expected, "{state:?}, {input:?}");
            }
        }
    }

    #[test]
    fn every_cell_of_the_table_of_registrations_is_as_documented() {
        const CLAIMS: [Claim; 4] = [
            Claim::Nothing,
            Claim::Own,
            Claim::OfAnother,
            Claim::Unlisted,
        ];
        let (open, known) = (Registration::Open, Registration::Known);
        let (new, same, other) = (Device::New, Device::Same, Device::Other);
        // Policy, in the catalog, room, device; then the result for each claim.
        let table = [
            (open, false, true, new, [0, 0, 1, 0]),
            (open, false, true, same, [0, 0, 1, 0]),
            (open, false, true, other, [3, 3, 3, 3]),
            (open, false, false, new, [4, 4, 4, 4]),
            (open, false, false, same, [0, 0, 1, 0]),
            (open, false, false, other, [3, 3, 3, 3]),
            (open, true, true, new, [0, 0, 1, 3]),
            (open, true, true, same, [0, 0, 1, 3]),
            (open, true, true, other, [3, 3, 3, 3]),
            (open, true, false, new, [0, 0, 1, 3]),
            (open, true, false, same, [0, 0, 1, 3]),
            (open, true, false, other, [3, 3, 3, 3]),
            (known, false, true, new, [4, 4, 4, 4]),
            (known, false, true, same, [4, 4, 4, 4]),
            (known, false, true, other, [4, 4, 4, 4]),
            (known, false, false, new, [4, 4, 4, 4]),
            (known, false, false, same, [4, 4, 4, 4]),
            (known, false, false, other, [4, 4, 4, 4]),
            (known, true, true, new, [0, 0, 1, 2]),
            (known, true, true, same, [0, 0, 1, 2]),
            (known, true, true, other, [3, 3, 3, 3]),
            (known, true, false, new, [0, 0, 1, 2]),
            (known, true, false, same, [0, 0, 1, 2]),
            (known, true, false, other, [3, 3, 3, 3]),
        ];
        for (policy, is_listed, has_room, device, results) in table {
            for (claim, expected) in CLAIMS.into_iter().zip(results) {
                let facts = Facts {
                    is_listed,
                    has_room,
                    device,
                    claim,
                };
                let result = judge(policy, &facts).map_or_else(|refusal| refusal as u8, |()| 0);
                assert_eq!(result, expected, "{policy:?}, {facts:?}");
            }
        }
    }
}
