//! Files of rules that the configuration names: profiles of terminals, the policy of cases, the
//! formulas of evaluations. Each is used whole, or refused with every mistake.

use std::{
    fmt::Display,
    fs, io,
    path::{Path, PathBuf},
};

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleFileError {
    /// The file cannot be read.
    #[error("{path}: {cause}")]
    File {
        /// Which one.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
    /// Mistakes of the file or the configuration, one a line.
    #[error("{}", .0.join("\n"))]
    Mistakes(Vec<String>),
}

impl RuleFileError {
    /// Mistakes, each with the place that it stands in.
    pub(crate) fn at(
        place: &impl Display,
        mistakes: impl IntoIterator<Item = impl Display>,
    ) -> Self {
        let told = mistakes.into_iter();
        Self::Mistakes(told.map(|mistake| format!("{place}: {mistake}")).collect())
    }
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> Result<String, RuleFileError> {
    fs::read_to_string(path).map_err(|cause| RuleFileError::File {
        path: path.to_owned(),
        cause,
    })
}
