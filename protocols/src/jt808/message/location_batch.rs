//! 0x0704 batch of location reports (定位数据批量上传): terminal -> platform, answered by one 0x8001.
//! Since 2013.
//!
//! | offset | field   | wire | notes                                                          |
//! |--------|---------|------|----------------------------------------------------------------|
//! |      0 | count   | WORD | entries                                                        |
//! |      2 | type    | BYTE | 0 normal, 1 backlog of a blind zone (盲区补报)                 |
//! |      3 | entries | length WORD, body of a location report: to the end of the body, whatever the count says |
//!
//! An entry that cannot be read does not spoil the others: its length says where the next begins.
//! One whose length overruns the body is what is left, where that is enough for a report.

use bytes::Bytes;

use super::{
    Body,
    field::Field as _,
    json::{self, JsonError, Object},
    location_report::LocationReport,
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

const BACKLOG: u8 = 1;
const LENGTH_BYTES: usize = 2;

/// Several reports at once: saved up while there was no link, or to save power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocationBatch {
    /// Entries by the terminal's count.
    pub count: u16,
    /// 0 normal, 1 backlog.
    pub batch_type: u8,
    /// What is there.
    pub entries: Vec<Result<BatchEntry, BadEntry>>,
    /// A byte behind the last entry that is none.
    pub rest: Bytes,
}

/// One report of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchEntry {
    /// Length that the terminal states; the body's, or more where it overruns the message.
    pub length: u16,
    /// The report.
    pub report: LocationReport,
    /// Its body as it came.
    pub body: Bytes,
}

/// An entry that is no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadEntry {
    /// Length that the terminal states.
    pub length: u16,
    /// Its body as it came.
    pub body: Bytes,
    /// What is wrong with it; the offset counts from the start of the entry's body.
    pub error: DecodeError,
}

impl LocationBatch {
    /// A batch that is sent.
    ///
    /// # Errors
    /// When there are more entries, or longer ones, than their WORDs can count.
    pub fn new(
        batch_type: u8,
        reports: impl IntoIterator<Item = LocationReport>,
        revision: Revision,
    ) -> Result<Self, EncodeError> {
        let mut entries = Vec::new();
        for report in reports {
            let mut writer = Writer::new();
            report.encode(&mut writer, revision)?;
            let body = writer.finish();
            entries.push(Ok(BatchEntry {
                length: word("entry", body.len())?,
                report,
                body,
            }));
        }
        Ok(Self {
            count: word("count", entries.len())?,
            batch_type,
            entries,
            rest: Bytes::new(),
        })
    }

    /// Whether the terminal saved these up while it had no link.
    #[must_use]
    pub const fn is_backlog(&self) -> bool {
        self.batch_type == BACKLOG
    }
}

fn word(field: &'static str, value: usize) -> Result<u16, EncodeError> {
    let too_long = EncodeError::too_long(field, value, u16::MAX.into());
    u16::try_from(value).map_err(|_| too_long)
}

fn entry(r: &mut Reader, revision: Revision) -> Result<Result<BatchEntry, BadEntry>, DecodeError> {
    let length = r.word("entry.length")?;
    let body = r.bytes("entry.body", usize::from(length).min(r.remaining()))?;
    Ok(
        match LocationReport::decode(&mut Reader::new(body.clone()), revision) {
            Ok(report) => Ok(BatchEntry {
                length,
                report,
                body,
            }),
            Err(error) => Err(BadEntry {
                length,
                body,
                error,
            }),
        },
    )
}

impl Body for LocationBatch {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let count = r.word("count")?;
        let batch_type = r.byte("type")?;
        // The peer's count reserves no more than what the body can hold.
        let entries_max = r.remaining() / (LENGTH_BYTES + LocationReport::FIXED_BYTES);
        let mut entries = Vec::with_capacity(usize::from(count).min(entries_max));
        while r.remaining() >= LENGTH_BYTES {
            entries.push(entry(r, revision)?);
        }
        Ok(Self {
            count,
            batch_type,
            entries,
            rest: r.rest(),
        })
    }

    fn encode(&self, w: &mut Writer, _revision: Revision) -> Result<(), EncodeError> {
        w.word(self.count);
        w.byte(self.batch_type);
        for entry in &self.entries {
            let (length, body) = match entry {
                Ok(entry) => (entry.length, &entry.body),
                Err(entry) => (entry.length, &entry.body),
            };
            w.word(length);
            w.bytes(body);
        }
        w.bytes(&self.rest);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        json::put(object, "count", self.count);
        json::put(object, "batch_type", self.batch_type);
        let locations = self.entries.iter().map(|entry| match entry {
            Ok(entry) => entry.report.to_value(),
            Err(entry) => {
                let mut object = Object::new();
                json::put_hex(&mut object, "body", &entry.body);
                object.into()
            }
        });
        json::put(object, "locations", locations.collect::<Vec<_>>());
        json::put_trailing(object, &self.rest);
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::uplink_only())
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for LocationBatch {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        let reports: Vec<LocationReport> = c.list(revision);
        Self::new(c.byte(), reports, revision).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hex,
        jt808::message::{Message, MessageId},
    };

    const FIRST: &str =
        "00000000 00000003 01580650 06CC62AC 0023 0163 005A 240715080000 0104 0001E208";
    const SECOND: &str =
        "00000000 00000003 015806B4 06CC6310 0023 0168 005A 240715080030 0104 0001E20B";

    fn decode(text: &str) -> LocationBatch {
        let body = hex::bytes(text);
        let message =
            Message::decode(MessageId::LOCATION_BATCH, body.clone(), Revision::V2013).unwrap();
        assert_eq!(message.encode(Revision::V2013), Ok(body));
        match message {
            Message::LocationBatch(batch) => batch,
            other => panic!("{other:?}"),
        }
    }

    fn latitudes(batch: &LocationBatch) -> Vec<Option<u32>> {
        let latitude = |entry: &Result<BatchEntry, BadEntry>| {
            entry.as_ref().ok().map(|entry| entry.report.latitude.0)
        };
        batch.entries.iter().map(latitude).collect()
    }

    #[test]
    fn a_backlog_is_read_entry_by_entry() {
        let batch = decode(&format!("0002 01 0022 {FIRST} 0022 {SECOND}"));
        assert!(batch.is_backlog());
        assert_eq!(batch.count, 2);
        assert_eq!(latitudes(&batch), [Some(22_546_000), Some(22_546_100)]);
        let first = batch.entries[0].as_ref().unwrap();
        assert_eq!(first.body, hex::bytes(FIRST));
        let reports = batch
            .entries
            .iter()
            .map(|entry| entry.as_ref().unwrap().report.clone());
        assert_eq!(
            LocationBatch::new(1, reports, Revision::V2013),
            Ok(batch.clone())
        );
    }

    #[test]
    fn an_entry_that_cannot_be_read_does_not_spoil_the_others() {
        let batch = decode(&format!("0003 00 0003 010203 0000 0022 {FIRST}"));
        assert!(!batch.is_backlog());
        assert_eq!(latitudes(&batch), [None, None, Some(22_546_000)]);
        let bad = batch.entries[0].as_ref().unwrap_err();
        assert_eq!((bad.length, bad.error.field), (3, "alarms"));
    }

    #[test]
    fn the_body_ends_the_list_and_not_the_count() {
        for count in ["0000", "0001", "FFFF"] {
            let batch = decode(&format!("{count} 00 0022 {FIRST} 0022 {SECOND} 07"));
            assert_eq!(latitudes(&batch), [Some(22_546_000), Some(22_546_100)]);
            assert_eq!(batch.rest, &[7][..]);
        }
        assert!(decode("0000 00").entries.is_empty());
    }

    #[test]
    fn a_length_that_overruns_takes_what_is_left() {
        let batch = decode(&format!("0001 00 0122 {FIRST}"));
        assert_eq!(latitudes(&batch), [Some(22_546_000)]);
        assert_eq!(batch.entries[0].as_ref().unwrap().length, 0x122);
        assert_eq!(latitudes(&decode("0001 00 0022 0000")), [None]);
    }

    #[test]
    fn a_prefix_of_the_fixed_part_is_truncated() {
        for length in 0..3 {
            let body = Bytes::from_static(&[0, 1, 0]).slice(..length);
            assert!(Message::decode(MessageId::LOCATION_BATCH, body, Revision::V2013).is_err());
        }
    }
}
