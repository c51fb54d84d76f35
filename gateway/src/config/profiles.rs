//! What makers of terminals do otherwise, and for which terminals it holds.

use std::{collections::HashSet, fmt, path::PathBuf};

use geofence::identity::TerminalId;

use super::Raw;

/// `[profiles]`. By default no profile is chosen for any terminal, and nothing is changed.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    /// TOML of profiles that are asked before the known ones; none by default.
    pub file: Option<PathBuf>,
    /// Choose by the maker and model of 0x0100 where a terminal is not in `terminals`. Default
    /// false.
    pub by_model: bool,
    /// Terminals with the names of their profiles; none by default.
    pub terminals: Vec<Choice>,
}

/// `phone=profile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which terminal.
    pub terminal: TerminalId,
    /// Name of its profile.
    pub profile: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.terminal, self.profile)
    }
}

impl Profiles {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let config = Self {
            file: raw.path("profiles.file", ""),
            by_model: raw.choice(
                "profiles.by_model",
                false,
                &[("true", true), ("false", false)],
            ),
            terminals: raw.list("profiles.terminals", choice),
        };
        let mut seen = HashSet::new();
        for Choice { terminal, .. } in &config.terminals {
            if !seen.insert(terminal) {
                raw.mistake("profiles.terminals", format!("{terminal} is there twice"));
            }
        }
        config
    }
}

fn choice(text: &str) -> Result<Choice, String> {
    let Some((phone, profile)) = text.split_once('=') else {
        return Err(format!("{text:?} is not of the form phone=profile"));
    };
    let phone = phone.trim().trim_start_matches('0').to_ascii_lowercase();
    let terminal = phone.parse().map_err(|error| format!("{text}: {error}"))?;
    Ok(Choice {
        terminal,
        profile: profile.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(terminals: &str) -> (Profiles, Vec<String>) {
        let mut raw = Raw::default();
        raw.add_file(
            PathBuf::from("f"),
            &format!("[profiles]\nterminals = {terminals}\n"),
        );
        let config = Profiles::from_raw(&mut raw);
        let mistakes = raw.finish().err().unwrap_or_default();
        (config, mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn terminals_are_named_with_or_without_padding_and_over_several_lines() {
        let (config, mistakes) = read("\"\"\"\n013800000001 = utc,\n1380000000a=obd,\n\"\"\"");
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let texts: Vec<_> = config.terminals.iter().map(Choice::to_string).collect();
        assert_eq!(texts, ["13800000001=utc", "1380000000a=obd"]);
        assert_eq!(read("\"\"").0.terminals, []);
    }

    #[test]
    fn a_terminal_without_a_profile_or_with_two_is_a_mistake() {
        assert!(read("\"13800000001\"").1[0].contains("phone=profile"));
        assert!(read("\"=utc\"").1[0].starts_with("profiles.terminals (f)"));
        let twice = "profiles.terminals: 1 is there twice";
        assert_eq!(read("\"1=utc, 01=obd\"").1, [twice]);
    }
}
