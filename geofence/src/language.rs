//! The languages that people are told things in.

/// Chinese is for the city, English for everybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Simplified Chinese.
    Chinese,
    /// English.
    English,
}

impl Language {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Chinese, Self::English];

    /// From `zh` or `en`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "zh" => Some(Self::Chinese),
            "en" => Some(Self::English),
            _ => None,
        }
    }
}
