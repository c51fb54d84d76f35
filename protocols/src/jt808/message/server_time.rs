//! 0x0004 query of the server's time (查询服务器时间请求): terminal -> platform, answered by
//! 0x8004 server time (查询服务器时间应答): platform -> terminal. Since 2019.
//!
//! The query's body is empty. The answer's:
//!
//! | offset | field | wire     | unit                                                  |
//! |--------|-------|----------|-------------------------------------------------------|
//! |      0 | time  | BCD\[6\] | YYMMDDhhmmss, in UTC as no other time of the protocol |

use bytes::Bytes;

use super::field::{BcdTime, Rest, layout};
use crate::wire::bcd::Gmt8Time;

layout! {
    /// The terminal asks what time it is.
    #[derive(Default)]
    pub struct ServerTimeQuery {
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

layout! {
    /// What time it is.
    pub struct ServerTime {
        /// The digits of a time in UTC. As [`Gmt8Time`] they would be eight hours too early.
        pub time: BcdTime,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

impl ServerTime {
    /// Seconds by which GMT+8 is ahead of UTC.
    const GMT8_S: i64 = 8 * 3600;

    /// The answer at a Unix time, in seconds; `None` outside the years 2000 to 2099.
    #[must_use]
    pub fn at_unix_seconds(seconds: i64) -> Option<Self> {
        let shifted = seconds.checked_sub(Self::GMT8_S)?;
        Some(Self {
            time: BcdTime(Gmt8Time::from_unix_seconds(shifted)?),
            rest: Rest(Bytes::new()),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jt808::{
        Revision,
        message::{
            Message, MessageId,
            arbitrary::{check, check_truncated},
        },
    };

    #[test]
    fn the_query_is_empty() {
        let id = MessageId::SERVER_TIME_QUERY;
        check(id, Revision::V2019, "", &json!({}));
        check(id, Revision::V2019, "01", &json!({ "trailing_hex": "01" }));
    }

    #[test]
    fn the_answer_is_in_utc() {
        let json = json!({ "time_bcd": "170315170923" });
        let id = MessageId::SERVER_TIME;
        let message = check(id, Revision::V2019, "170315170923", &json);
        // 2017-03-15 17:09:23 UTC.
        let time = ServerTime::at_unix_seconds(1_489_597_763).unwrap();
        assert_eq!(message, Message::ServerTime(time));
        assert_eq!(ServerTime::at_unix_seconds(i64::MIN), None);
        check_truncated(id, Revision::V2019, "170315170923", 6);
    }
}
