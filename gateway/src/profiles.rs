//! Which terminals have a profile ([`protocols::jt808::profile`]): those that the configuration
//! names, and, where it says so, those that are known by their maker and model.

use std::{collections::HashMap, sync::Arc};

use geofence::identity::TerminalId;
use protocols::jt808::profile::{Profile, Profiles};

use crate::{
    config,
    rule_file::{self, RuleFileError},
};

/// The profiles of terminals.
#[derive(Debug)]
pub struct TerminalProfiles {
    known: Profiles,
    by_terminal: HashMap<TerminalId, Arc<Profile>>,
    by_model: bool,
}

impl TerminalProfiles {
    /// Reads the file, and finds the profiles that the configuration names.
    ///
    /// # Errors
    /// Every mistake of the file, with its line; and every name that no profile has.
    pub fn load(config: &config::Profiles) -> Result<Self, RuleFileError> {
        let known = match &config.file {
            None => Profiles::builtin(),
            Some(path) => {
                let text = rule_file::read(path)?;
                Profiles::parse(&text)
                    .map_err(|error| RuleFileError::at(&path.display(), &error.mistakes))?
            }
        };
        let mut by_terminal = HashMap::with_capacity(config.terminals.len());
        let mut mistakes = Vec::new();
        for choice in &config.terminals {
            match known.by_name(&choice.profile) {
                Some(profile) => {
                    by_terminal.insert(choice.terminal, Arc::clone(profile));
                }
                None => mistakes.push(format!("profiles.terminals: {choice}: no such profile")),
            }
        }
        if !mistakes.is_empty() {
            let names: Vec<_> = known.iter().map(Profile::name).collect();
            mistakes.push(format!("profiles that there are: {}", names.join(", ")));
            return Err(RuleFileError::Mistakes(mistakes));
        }
        Ok(Self {
            known,
            by_terminal,
            by_model: config.by_model,
        })
    }

    /// The profile of a terminal. `said` is asked for maker and model where these decide.
    pub fn of(
        &self,
        terminal: TerminalId,
        said: impl FnOnce() -> Option<(String, String)>,
    ) -> Option<Arc<Profile>> {
        let named = self.by_terminal.get(&terminal);
        let by_model = || {
            let (maker, model) = self.by_model.then(said).flatten()?;
            self.known.for_terminal(&maker, &model)
        };
        named.or_else(by_model).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Choice;

    const OWN: &str = "[[profile]]\nname = \"ours\"\nfits = [{ maker = \"70111\" }]\n";

    fn choice(phone: &str, profile: &str) -> Choice {
        Choice {
            terminal: phone.parse().unwrap(),
            profile: profile.to_owned(),
        }
    }

    fn load(
        text: &str,
        by_model: bool,
        terminals: Vec<Choice>,
    ) -> Result<TerminalProfiles, RuleFileError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.toml");
        std::fs::write(&file, text).unwrap();
        TerminalProfiles::load(&config::Profiles {
            file: Some(file),
            by_model,
            terminals,
        })
    }

    fn name_of(profiles: &TerminalProfiles, phone: &str) -> Option<String> {
        let said = || Some(("70111".to_owned(), "M".to_owned()));
        let profile = profiles.of(phone.parse().unwrap(), said);
        profile.map(|profile| profile.name().to_owned())
    }

    #[test]
    fn a_terminal_has_the_profile_that_is_named_for_it_before_the_one_of_its_model() {
        let named = vec![choice("1", "utc"), choice("2", "standard")];
        let profiles = load(OWN, true, named.clone()).unwrap();
        assert_eq!(name_of(&profiles, "1").unwrap(), "utc");
        assert_eq!(name_of(&profiles, "2").unwrap(), "standard");
        assert_eq!(name_of(&profiles, "3").unwrap(), "ours");
        let profiles = load(OWN, false, named).unwrap();
        assert_eq!(name_of(&profiles, "3"), None);
    }

    #[test]
    fn nothing_is_chosen_by_default() {
        let profiles = TerminalProfiles::load(&config::Profiles::default()).unwrap();
        assert_eq!(name_of(&profiles, "1"), None);
    }

    #[test]
    fn a_mistake_names_its_file_and_line_and_an_unknown_name_the_known_ones() {
        let wrong = format!("{OWN}utc_offset_minutes = 999\n");
        let error = load(&wrong, false, Vec::new()).unwrap_err().to_string();
        assert!(error.contains("own.toml: line 4: profile ours"), "{error}");
        let error = load(OWN, false, vec![choice("1", "oars")]).unwrap_err();
        let lines: Vec<_> = error.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "profiles.terminals: 1=oars: no such profile");
        assert!(lines[1].contains("ours, standard"), "{}", lines[1]);
    }
}
