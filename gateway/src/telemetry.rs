//! Log lines of the process itself: levels and format.

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::{LineFormat, Telemetry};

/// Starts logging to standard error; does nothing where a subscriber is there already.
///
/// # Errors
/// When the level text is not one.
pub fn start(config: &Telemetry) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.level)
        .map_err(|error| format!("telemetry.level: `{}`: {error}", config.level))?;
    let registry = tracing_subscriber::registry().with(filter);
    let started = match config.format {
        LineFormat::Text => {
            let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry
                .with(fmt::layer().with_writer(std::io::stderr).with_ansi(ansi))
                .try_init()
        }
        LineFormat::Json => registry
            .with(fmt::layer().json().with_writer(std::io::stderr))
            .try_init(),
    };
    if started.is_err() {
        tracing::debug!("a subscriber is there already");
    }
    Ok(())
}
