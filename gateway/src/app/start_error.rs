//! Why the gateway does not start, and with which exit code.

use std::io;

use storage::{log::LogError, media::MediaError, store::StoreError};

use crate::{
    EXIT_CONFIG, EXIT_DAMAGED, EXIT_NEWER, catalog::CatalogError, listen::ListenError,
    outlets::delivery::webhook::WebhookError, platform_key::PlatformKeyError,
    rule_file::RuleFileError,
};

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing to do with the configuration's text: the catalog it names.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The profiles of terminals.
    #[error(transparent)]
    Profiles(RuleFileError),
    /// What is to become of violations.
    #[error("cases.policy: {0}")]
    Policy(#[source] RuleFileError),
    /// The formulas of evaluations.
    #[error("evaluation.formulas: {0}")]
    Formulas(#[source] RuleFileError),
    /// The log.
    #[error("log: {0}")]
    Log(#[from] LogError),
    /// The store, or one of the files beside it.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// The media.
    #[error("media: {0}")]
    Media(#[from] MediaError),
    /// A receiver of cases.
    #[error(transparent)]
    Receiver(#[from] WebhookError),
    /// A file or a socket.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried.
        what: String,
        /// The cause.
        cause: io::Error,
    },
    /// A listener for terminals.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The key that terminals encrypt with.
    #[error("terminals.rsa_key: {0}")]
    PlatformKey(#[from] PlatformKeyError),
    /// The exporter.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

impl StartError {
    /// The exit code of the process: what a person must mend has a code of its own.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Log(LogError::Damaged(_)) => EXIT_DAMAGED,
            Self::Log(LogError::Version { .. })
            | Self::Catalog(CatalogError::Versions(StoreError::Newer { .. }))
            | Self::Store(StoreError::Newer { .. })
            | Self::Media(MediaError::Index(StoreError::Newer { .. })) => EXIT_NEWER,
            Self::Catalog(_)
            | Self::Profiles(_)
            | Self::Policy(_)
            | Self::Formulas(_)
            | Self::Receiver(_) => EXIT_CONFIG,
            _ => 1,
        }
    }
}
