//! Arguments and exit codes of the tools. 0: all went as it should; 1: something did not; 2: the
//! arguments or the input cannot be used.

mod command;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::command::{load, receive, replay, simulate};

/// Tools around a JT/T 808 gateway.
#[derive(Debug, Parser)]
#[command(name = "gridtrace-tools", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Drive a simulated fleet through a synthetic city, over real sockets.
    ///
    /// The fleet registers, authenticates, drives and reports until the duration is over or it is
    /// told to stop (Ctrl-C, SIGTERM); then it prints its counts as one line of JSON. The catalog
    /// that it drives in (--city) is the one that the gateway needs, with the same seed, size and
    /// number of vehicles. Exit code 1 if no terminal could connect or an output could not be
    /// written.
    Simulate(simulate::Arguments),
    /// Send recorded frames or a track to a gateway, and say what came back.
    ///
    /// Frames are hex, one a line, or JSON objects, one a line, with a field `hex` (as in a
    /// conformance corpus). Each terminal gets a connection of its own, registers and
    /// authenticates; then its frames are sent as they are. A track is a CSV file with a header.
    ///
    /// What became of each frame or fix is written to stdout as JSON lines, the summary last.
    /// Exit code 1 if something was not answered as it should be: a report with result 0, another
    /// whole message with any result, a frame with a wrong check code not at all.
    Replay(replay::Arguments),
    /// Decode frames: hex on stdin, one a line; a JSON object a line on stdout.
    Decode {
        /// Show what a profile knows of items of the maker, under `vendor_items`: its name, a file
        /// that has it, or both.
        #[arg(long, value_name = "NAME|FILE|FILE:NAME")]
        profile: Option<String>,
    },
    /// Load a gateway with reports, or hold idle connections, and measure.
    ///
    /// Every terminal registers and authenticates, then reports (0x0200 of 2013 with four
    /// additional items), each position another one. Prints acknowledged positions a second and
    /// the quantiles of the latency as one line of JSON. Exit code 1 if a connection ended or a
    /// report was refused.
    Load(load::Arguments),
    /// Take what a gateway delivers of cases, as a case system would, and misbehave by a seed.
    ///
    /// Verifies signatures (Standard Webhooks), does each request once by its key, and gives each
    /// case a number. Prints where it listens as a line of JSON, and what it has as another one
    /// when it is told to stop; GET answers with the same at any time.
    Receive(receive::Arguments),
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn")),
        )
        .init();
    let done = match Arguments::parse().command {
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Decode { profile } => command::decode(profile.as_deref()),
        Command::Load(arguments) => load::run(&arguments),
        Command::Receive(arguments) => receive::run(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("gridtrace-tools: {error:#}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_fit_together() {
        super::Arguments::command().debug_assert();
    }
}
