//! What a profile says of the items of makers, beside a decoded message.

use std::{fs, io, sync::Arc};

use protocols::jt808::{
    message::{Message, json::Object, location_report::LocationReport},
    profile::{Profile, ProfileError, Profiles},
};
use serde_json::Value;

/// A profile that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// Neither a name that is known nor a file.
    #[error("{choice}: neither a profile ({known}) nor a file: {cause}")]
    Unknown {
        /// What was asked for.
        choice: String,
        /// Names of the known ones.
        known: String,
        /// Why it is no file.
        cause: io::Error,
    },
    /// The file has mistakes.
    #[error("{file}:\n{mistakes}")]
    Mistakes {
        /// Which file.
        file: String,
        /// What is wrong.
        mistakes: ProfileError,
    },
    /// The file does not say which one.
    #[error("{file}: one of its profiles is needed, as {file}:NAME ({names})")]
    NotOne {
        /// Which file.
        file: String,
        /// Names of its profiles.
        names: String,
    },
}

/// The profile of a name; of a file that has one; or of a file and a name in it, as `FILE:NAME`.
///
/// # Errors
/// When it is none of these.
pub fn choose(choice: &str) -> Result<Arc<Profile>, ChoiceError> {
    let known = Profiles::builtin();
    if let Some(profile) = known.by_name(choice) {
        return Ok(Arc::clone(profile));
    }
    let (file, name, text) = read(choice).map_err(|cause| ChoiceError::Unknown {
        choice: choice.to_owned(),
        known: names(&known.iter().collect::<Vec<_>>()),
        cause,
    })?;
    let all = Profiles::parse(&text).map_err(|mistakes| ChoiceError::Mistakes {
        file: file.to_owned(),
        mistakes,
    })?;
    let is_own = |profile: &&Profile| {
        let known = known.by_name(profile.name());
        known.is_none_or(|known| **known != **profile)
    };
    let own: Vec<_> = all.iter().filter(is_own).collect();
    let chosen = match (name, &own[..]) {
        (Some(name), _) => all.by_name(name),
        (None, [one]) => all.by_name(one.name()),
        (None, _) => None,
    };
    chosen.cloned().ok_or_else(|| ChoiceError::NotOne {
        file: file.to_owned(),
        names: names(&own),
    })
}

fn names(profiles: &[&Profile]) -> String {
    let names: Vec<_> = profiles.iter().map(|profile| profile.name()).collect();
    names.join(", ")
}

/// File, name in it, and text.
fn read(choice: &str) -> io::Result<(&str, Option<&str>, String)> {
    match (fs::read_to_string(choice), choice.rsplit_once(':')) {
        (Err(_), Some((file, name))) => Ok((file, Some(name), fs::read_to_string(file)?)),
        (text, _) => Ok((choice, None, text?)),
    }
}

/// Adds `vendor_items` to each location report of a message in its JSON form.
pub(super) fn add_vendor_items(object: &mut Object, message: &Message, profile: &Profile) {
    match message {
        Message::LocationReport(report) => add(object, report, profile),
        Message::LocationQueryResponse(response) => add(object, &response.report, profile),
        Message::VehicleControlResponse(response) => add(object, &response.report, profile),
        Message::LocationBatch(batch) => {
            let Some(Value::Array(locations)) = object.get_mut("locations") else {
                return;
            };
            for (location, entry) in locations.iter_mut().zip(&batch.entries) {
                if let (Value::Object(location), Ok(entry)) = (location, entry) {
                    add(location, &entry.report, profile);
                }
            }
        }
        _ => {}
    }
}

fn add(object: &mut Object, report: &LocationReport, profile: &Profile) {
    let readings = profile
        .known_items(report.items.as_bytes())
        .flat_map(|item| profile.readings(item.id, item.value))
        .filter_map(|reading| serde_json::to_value(reading).ok());
    object.insert("vendor_items".to_owned(), readings.collect());
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "[[profile]]\nname = \"one\"\n";

    fn choose_in(text: &str, name: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.toml");
        fs::write(&file, text).unwrap();
        let chosen = choose(&format!("{}{name}", file.display()));
        chosen
            .map(|profile| profile.name().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_profile_is_chosen_by_its_name_or_its_file() {
        assert_eq!(choose("obd").unwrap().name(), "obd");
        assert_eq!(choose_in(ONE, "").unwrap(), "one");
        let two = format!("{ONE}[[profile]]\nname = \"utc\"\nutc_offset_minutes = 60\n");
        assert_eq!(choose_in(&two, ":utc").unwrap(), "utc");
        let error = choose_in(&two, "").unwrap_err();
        assert!(error.ends_with("(one, utc)"), "{error}");
        assert!(choose_in(&two, ":none").is_err());
    }

    #[test]
    fn what_is_no_profile_says_why() {
        let error = choose("odb").unwrap_err().to_string();
        assert!(error.contains("(standard, utc,"), "{error}");
        let error = choose_in("[[profile]]\nname = 1\n", "").unwrap_err();
        assert!(error.contains("own.toml:\nline 2: "), "{error}");
    }
}
