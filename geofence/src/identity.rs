//! Who is who. Ids are short texts that can be copied like numbers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{units::Timestamp, violation::ViolationKind};

/// A terminal: its phone number without leading zeros (JT/T 808 §5, 终端手机号), or the lower-case
/// hex of the field where it is no decimal number. 1 to 20 characters of `[0-9a-f]`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TerminalId {
    digits: [u8; Self::LENGTH_MAX],
    length: u8,
}

/// A text that is no terminal id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a terminal id has 1 to 20 characters of 0-9 and a-f, and does not start with 0")]
pub struct NotATerminalId;

impl TerminalId {
    /// The longest id, in characters: the 10-byte field of the 2019 revision.
    pub const LENGTH_MAX: usize = 20;

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let digits = self
            .digits
            .get(..usize::from(self.length))
            .unwrap_or_default();
        std::str::from_utf8(digits).unwrap_or_default()
    }
}

impl FromStr for TerminalId {
    type Err = NotATerminalId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        let allowed = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if bytes.first().is_none_or(|b| *b == b'0') || !bytes.iter().all(allowed) {
            return Err(NotATerminalId);
        }
        let mut digits = [0; Self::LENGTH_MAX];
        digits
            .get_mut(..bytes.len())
            .ok_or(NotATerminalId)?
            .copy_from_slice(bytes);
        let length = u8::try_from(bytes.len()).map_err(|_| NotATerminalId)?;
        Ok(Self { digits, length })
    }
}

impl fmt::Display for TerminalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for TerminalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TerminalId({})", self.as_str())
    }
}

impl Serialize for TerminalId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TerminalId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A violation: derived from rule, subject, target and onset, so that a replay finds the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ViolationId(pub uuid::Uuid);

/// A case: derived from the violation that opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseId(pub uuid::Uuid);

impl ViolationId {
    /// The id of what was found by this check, under this rule, about this terminal, from this
    /// moment on.
    #[must_use]
    pub fn derive(
        kind: ViolationKind,
        rule: &str,
        terminal: &TerminalId,
        onset: Timestamp,
    ) -> Self {
        // Any constant serves as name space; this one says whose ids these are.
        const NAMESPACE: uuid::Uuid = uuid::Uuid::from_bytes(*b"gridtrace/ids/v1");
        let name = format!("{}\n{rule}\n{terminal}\n{}", kind.as_str(), onset.0);
        Self(uuid::Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }

    /// Another id for a violation whose own one is taken.
    #[must_use]
    pub(crate) fn next(self) -> Self {
        Self(uuid::Uuid::new_v5(&self.0, b"next"))
    }
}

impl fmt::Display for ViolationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_id_is_its_phone_number_without_leading_zeros() {
        let id: TerminalId = "13800138000".parse().unwrap();
        assert_eq!(id.to_string(), "13800138000");
        for wrong in ["", "013800138000", "123456789012345678901", "138x", "ABC"] {
            assert_eq!(wrong.parse::<TerminalId>(), Err(NotATerminalId), "{wrong}");
        }
    }
}
