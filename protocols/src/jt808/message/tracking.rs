//! 0x8202 temporary tracking (临时位置跟踪控制): platform -> terminal, answered by 0x0001.
//!
//! | offset | field    | wire  | unit                                               |
//! |--------|----------|-------|----------------------------------------------------|
//! |      0 | interval | WORD  | second; 0 ends the tracking, and nothing need follow |
//! |      2 | duration | DWORD | second                                             |

use super::{
    Body,
    field::{Field, Rest},
    json::{JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, EncodeErrorKind, Reader, Writer},
};

/// Report your location often for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// Seconds between reports; 0 ends it.
    pub interval_s: u16,
    /// Seconds that it lasts; may be absent where the interval is 0.
    pub duration_s: Option<u32>,
    /// Bytes beyond the layout.
    pub rest: Rest,
}

impl Body for Tracking {
    fn decode(r: &mut Reader, _revision: Revision) -> Result<Self, DecodeError> {
        let interval_s = r.word("interval")?;
        let ends_here = interval_s == 0 && r.remaining() == 0;
        Ok(Self {
            interval_s,
            duration_s: if ends_here {
                None
            } else {
                Some(r.dword("duration")?)
            },
            rest: Rest(r.rest()),
        })
    }

    fn encode(&self, w: &mut Writer, _revision: Revision) -> Result<(), EncodeError> {
        w.word(self.interval_s);
        match self.duration_s {
            Some(duration_s) => w.dword(duration_s),
            None if self.interval_s == 0 => {}
            None => {
                return Err(EncodeError {
                    field: "duration",
                    kind: EncodeErrorKind::Missing,
                });
            }
        }
        w.bytes(&self.rest.0);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        self.interval_s.put(object, "interval_s");
        if let Some(duration_s) = self.duration_s {
            duration_s.put(object, "duration_s");
        }
        self.rest.put(object, "rest");
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        let interval_s = Field::take(object, "interval_s")?;
        let is_absent = interval_s == 0 && !object.contains_key("duration_s");
        Ok(Self {
            interval_s,
            duration_s: if is_absent {
                None
            } else {
                Some(Field::take(object, "duration_s")?)
            },
            rest: Field::take(object, "rest")?,
        })
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for Tracking {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        match c.any(revision) {
            0 => Self {
                interval_s: 0,
                duration_s: None,
                rest: Rest::default(),
            },
            interval_s => Self {
                interval_s,
                duration_s: Some(c.any(revision)),
                rest: c.any(revision),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jt808::message::{
        MessageId,
        arbitrary::{check, check_truncated, json_error},
    };

    const ID: MessageId = MessageId::TRACKING;

    #[test]
    fn tracking_has_an_interval_and_a_duration() {
        let json = json!({ "interval_s": 60, "duration_s": 3600 });
        check(ID, Revision::V2013, "003C 00000E10", &json);
        check_truncated(ID, Revision::V2013, "003C 00000E10", 6);
    }

    #[test]
    fn nothing_need_follow_what_ends_it() {
        check(ID, Revision::V2019, "0000", &json!({ "interval_s": 0 }));
        let json = json!({ "interval_s": 0, "duration_s": 0, "trailing_hex": "01" });
        check(ID, Revision::V2019, "0000 00000000 01", &json);
    }

    #[test]
    fn tracking_without_a_duration_is_not_sent() {
        let error = json_error(ID, json!({ "interval_s": 60 }));
        assert_eq!(error, "duration_s: is missing");
        let tracking = Tracking {
            interval_s: 60,
            duration_s: None,
            rest: Rest::default(),
        };
        let error = tracking.encode(&mut Writer::new(), Revision::V2013);
        assert_eq!(error.unwrap_err().reason(), "missing");
    }
}
