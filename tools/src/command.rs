//! The subcommands: from arguments to the library, and what they print. `Ok(false)`: done, but
//! not all went as it should.

pub(crate) mod load;
pub(crate) mod receive;
pub(crate) mod replay;
pub(crate) mod simulate;

use std::{future::Future, io};

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;
use tokio::runtime::Builder;
use tools::mqtt::PayloadKind;

/// A payload over MQTT.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum PayloadName {
    /// JSON of the published schema.
    #[default]
    Json,
    /// JT/T 808 frames.
    Jt808,
}

impl From<PayloadName> for PayloadKind {
    fn from(name: PayloadName) -> Self {
        match name {
            PayloadName::Json => Self::Json,
            PayloadName::Jt808 => Self::Jt808,
        }
    }
}

/// Decodes stdin to stdout, with the items of makers that a profile knows.
pub(crate) fn decode(profile: Option<&str>) -> anyhow::Result<bool> {
    let profile = profile.map(tools::decode::profile::choose).transpose()?;
    let output = io::BufWriter::new(io::stdout().lock());
    match tools::decode::run(io::stdin().lock(), output, profile.as_deref()) {
        Ok(_) => Ok(true),
        // Whoever read our lines has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(error).context("cannot decode"),
    }
}

/// Prints a value as one line of JSON.
fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    use io::Write as _;
    let line = serde_json::to_string(value)?;
    writeln!(io::stdout().lock(), "{line}").context("cannot write to stdout")
}

/// Runs something asynchronous to its end.
fn block_on<T>(task: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let done = runtime.block_on(task);
    runtime.shutdown_background();
    Ok(done)
}
