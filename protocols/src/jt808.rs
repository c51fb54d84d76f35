//! JT/T 808 (道路运输车辆卫星定位系统 终端通讯协议及数据格式): terminals of vehicles over TCP.
//!
//! The order of the steps: [`frame`] cuts the stream, undoes the escapes and checks the check
//! code; [`header`] finds out the header's form and reads it; [`reassembly`] joins a message that
//! came in several frames; [`message`] reads the body. On the way out, [`series`] splits a body that
//! is too long for one frame.

pub mod frame;
pub mod header;
pub mod message;
pub mod profile;
pub mod reassembly;
pub mod series;

/// The revision of the standard that a body follows.
///
/// The header shows only whether it is that of 2019. 2011 and 2013 are told apart by the length of
/// the registration, and the terminal keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Revision {
    /// JT/T 808-2011.
    V2011,
    /// The specification for BeiDou terminals of January 2013, known as 808-2013.
    V2013,
    /// JT/T 808-2019.
    V2019,
}

impl Revision {
    /// 2011, 2013 or 2019.
    #[must_use]
    pub const fn year(self) -> u16 {
        match self {
            Self::V2011 => 2011,
            Self::V2013 => 2013,
            Self::V2019 => 2019,
        }
    }

    /// The revision of a year; `None` for years without one.
    #[must_use]
    pub const fn of_year(year: u16) -> Option<Self> {
        match year {
            2011 => Some(Self::V2011),
            2013 => Some(Self::V2013),
            2019 => Some(Self::V2019),
            _ => None,
        }
    }
}
