//! `gridtrace-tools receive`.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use humantime::Duration;
use hyper::Uri;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tools::receive::{Calls, Faults, Options, Receiver, Secret};

use super::{block_on, print_json};

/// The exit code where `--die` strikes.
const DEAD: i32 = 3;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where to listen.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// The key that the gateway signs with.
    #[arg(long, env = "GRIDTRACE_RECEIVER_SECRET", hide_env_values = true)]
    secret: String,
    /// Keep what was done in this file: lines of JSON. Without it, in memory.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Decides which requests go wrong.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Of a hundred requests, end the connection of so many before the work.
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    refuse: u32,
    /// Do the work of so many and end the connection without an answer.
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    lose: u32,
    /// Answer so many with 500, before the work or after it.
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    fail: u32,
    /// Do the work of so many and answer without a number.
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    nonsense: u32,
    /// End with exit code 3 at so many, before the work or after it.
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    die: u32,
    /// Let each answer wait for up to so long.
    #[arg(long, value_name = "TIME", default_value = "0s")]
    delay: Duration,
    /// Refuse requests whose time is further away from ours.
    #[arg(long, value_name = "TIME", default_value = "5m")]
    window: Duration,
    /// Lead each case to its end by moves that are asked for there:
    /// `http://127.0.0.1:8080/api/v1/callbacks/NAME`.
    #[arg(long, value_name = "URL")]
    call_back: Option<Uri>,
    /// Before so many moves of a hundred, send a request that is signed with another key.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 0,
        requires = "call_back"
    )]
    forge: u32,
    /// Before so many, send a request of a day ago.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 0,
        requires = "call_back"
    )]
    stale: u32,
    /// After so many, send the same request once more.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 0,
        requires = "call_back"
    )]
    replay: u32,
    /// After so many, ask for the same move again, signed anew.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 0,
        requires = "call_back"
    )]
    repeat: u32,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let faults = Faults {
        refuse: arguments.refuse,
        lose: arguments.lose,
        fail: arguments.fail,
        nonsense: arguments.nonsense,
        die: arguments.die,
    };
    ensure!(
        faults.sum() <= 100,
        "more than all requests cannot go wrong"
    );
    let options = Options {
        secret: Secret::new(&arguments.secret).context("--secret")?,
        file: arguments.file.clone(),
        seed: arguments.seed,
        faults,
        delay: *arguments.delay,
        window: *arguments.window,
    };
    let receiver = Receiver::open(options, || std::process::exit(DEAD))
        .context("cannot read what was done")?;
    let calls = arguments.call_back.clone().map(|url| Calls {
        url,
        forge: arguments.forge,
        stale: arguments.stale,
        replay: arguments.replay,
        repeat: arguments.repeat,
    });
    block_on(serve(receiver, arguments.listen, calls))?
}

/// Until it is told to stop; then it says what it has.
async fn serve(
    receiver: Receiver,
    address: SocketAddr,
    calls: Option<Calls>,
) -> anyhow::Result<bool> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listening = serde_json::json!({ "listening": listener.local_addr()?.to_string() });
    print_json(&listening)?;
    if let Some(calls) = calls {
        receiver.call_back(calls)?;
    }
    tokio::select! {
        failed = receiver.clone().serve(listener) => {
            failed.context("cannot accept connections")?;
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    print_json(&receiver.summary())?;
    Ok(true)
}
