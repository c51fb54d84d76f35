//! Arguments, exit codes, nothing else.

use std::{io, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use gateway::{
    App, EXIT_CONFIG, EXIT_UNCLEAN,
    config::{Config, Mistake, Raw},
    demo, export, operations,
    outlets::delivery::webhook::Webhook,
    telemetry,
};

/// Gateway for a city's sanitation fleet: JT/T 808 terminals in; durable positions, checks against
/// fences, cases and a live map out.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Serve(Settings),
    /// Run the gateway with a synthetic city and a simulated fleet on real sockets.
    Demo {
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        fleet: demo::FleetOptions,
    },
    /// Read configuration and catalog, name every mistake, start nothing.
    CheckConfig(Settings),
    /// Print the effective configuration as TOML, secrets masked.
    PrintConfig(Settings),
    /// Write stored data to a file.
    #[command(subcommand)]
    Export(export::Export),
    /// Look at the durable log, check it, write a new one of what can be read.
    #[command(subcommand)]
    Log(operations::log::LogCommand),
    /// Copy the data directory while the gateway runs, or when it does not.
    Backup(operations::backup::BackupOptions),
    /// Make a data directory of a backup.
    Restore(operations::backup::RestoreOptions),
    /// Try a catalog on the stored tracks of a period: what it would have found, by day. No case
    /// changes.
    Backtest {
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        options: operations::backtest::BacktestOptions,
    },
    /// Hand vehicles over to the evaluator of another gateway, with all that is known of them; both
    /// gateways must not be running.
    #[command(subcommand)]
    Evaluator(HandOver),
    /// Look at everything that `serve` needs with the same options: say what is found and what to
    /// do, change nothing.
    Doctor {
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        options: operations::doctor::DoctorOptions,
    },
    /// Move everything from the embedded store into a database; the gateway must not be running.
    Move(operations::transfer::Move),
}

#[derive(Debug, Subcommand)]
enum HandOver {
    /// Take vehicles out, into a file; this gateway does not judge them any more.
    Export {
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        options: operations::evaluator::ExportOptions,
    },
    /// Take vehicles in that another gateway has exported.
    Import {
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        options: operations::evaluator::ImportOptions,
    },
}

/// Later sources win: FILE, environment GRIDTRACE__SECTION__KEY, these options.
#[derive(Debug, Args)]
struct Settings {
    /// Configuration file (TOML); `print-config` shows every key with its default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where log, embedded store, registry and keys live [default: gridtrace-data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Where JT/T 808 terminals connect [default: 0.0.0.0:6808].
    #[arg(long, value_name = "ADDR")]
    tcp: Option<String>,
    /// Where people look; loopback only [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
    /// Where MQTT terminals connect, or `off` [default: 0.0.0.0:1883].
    #[arg(long, value_name = "ADDR|off")]
    mqtt: Option<String>,
    /// `embedded` or `postgres://user:password@host/database` [default: embedded].
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
}

impl Settings {
    fn raw(&self) -> Raw {
        let mut raw = Raw::default();
        if let Some(path) = &self.config {
            match std::fs::read_to_string(path) {
                Ok(text) => raw.add_file(path.clone(), &text),
                Err(error) => raw.mistake(path.display().to_string(), error.to_string()),
            }
        }
        raw.add_environment(std::env::vars());
        raw.add_flag("--data-dir", "data_dir", self.data_dir.clone());
        raw.add_flag("--tcp", "tcp.listen", self.tcp.clone());
        raw.add_flag("--http", "http.listen", self.http.clone());
        raw.add_flag("--mqtt", "mqtt.listen", self.mqtt.clone());
        raw.add_flag("--store", "store.url", self.store.clone());
        raw
    }

    fn read(&self) -> Result<Config, ExitCode> {
        Config::from_raw(self.raw()).map_err(|mistakes| refuse(&mistakes))
    }
}

fn refuse(mistakes: &[Mistake]) -> ExitCode {
    for mistake in mistakes {
        eprintln!("gridtrace: {mistake}");
    }
    ExitCode::from(EXIT_CONFIG)
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(settings) => run(&settings, None),
        Command::Demo { settings, fleet } => run(&settings, Some(fleet)),
        Command::CheckConfig(settings) => check(&settings),
        Command::PrintConfig(settings) => match settings.read() {
            Ok(config) => {
                show(&config.to_toml());
                ExitCode::SUCCESS
            }
            Err(code) => code,
        },
        Command::Export(command) => summed_up(export::run(command, tell)),
        Command::Move(command) => summed_up(operations::transfer::run(&command, tell)),
        Command::Backtest { settings, options } => match settings.read() {
            Ok(config) => ended(operations::backtest::run(
                config,
                options,
                &mut io::stdout().lock(),
            )),
            Err(code) => code,
        },
        Command::Evaluator(command) => hand_over(command),
        Command::Doctor { settings, options } => {
            let config = Config::from_raw(settings.raw());
            ended(operations::doctor::run(
                config,
                options,
                &mut io::stdout().lock(),
            ))
        }
        Command::Backup(options) => ended(operations::backup::backup(
            &options,
            &mut io::stdout().lock(),
        )),
        Command::Restore(options) => ended(operations::backup::restore(
            &options,
            &mut io::stdout().lock(),
        )),
        Command::Log(command) => ended(operations::log::run(command, &mut io::stdout().lock())),
    }
}

fn hand_over(command: HandOver) -> ExitCode {
    use operations::evaluator::{export, import};
    let mut out = io::stdout().lock();
    let done = match command {
        HandOver::Export { settings, options } => settings
            .read()
            .map(|config| export(&config, &options, &mut out)),
        HandOver::Import { settings, options } => settings
            .read()
            .map(|config| import(&config, &options, &mut out)),
    };
    done.map_or_else(|code| code, ended)
}

/// A command that ends with a line for people.
fn summed_up(result: anyhow::Result<String>) -> ExitCode {
    ended(result.map(|summary| {
        eprintln!("gridtrace: {summary}");
        0
    }))
}

/// How a command of the operator ended.
fn ended(result: anyhow::Result<u8>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("gridtrace: {error:#}");
            ExitCode::from(operations::exit_code(&error))
        }
    }
}

/// How far a command has come.
fn tell(progress: &str) {
    eprintln!("gridtrace: {progress}");
}

#[expect(clippy::print_stdout, reason = "what the user asked for belongs there")]
fn show(text: &str) {
    print!("{text}");
}

fn check(settings: &Settings) -> ExitCode {
    let config = match settings.read() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let catalog = gateway::catalog::Catalog::load(&config.catalog);
    let profiles = gateway::profiles::TerminalProfiles::load(&config.profiles);
    let formulas = gateway::evaluation::Evaluations::load(&config.evaluation);
    let policy = gateway::case_desk::CaseDesk::load(&config.cases);
    let receivers = config.delivery.receivers.iter();
    let ways: Vec<_> = receivers
        .filter_map(|one| Webhook::new(one, config.delivery.answer_bytes_max).err())
        .map(|error| error.to_string())
        .collect();
    for error in [
        catalog.as_ref().err().map(ToString::to_string),
        profiles.as_ref().err().map(ToString::to_string),
        formulas.as_ref().err().map(ToString::to_string),
        policy.as_ref().err().map(ToString::to_string),
    ]
    .into_iter()
    .flatten()
    .chain(ways.iter().cloned())
    {
        eprintln!("{error}");
    }
    let (Ok(catalog), Ok(_), Ok(_), Ok(_), true) =
        (catalog, profiles, formulas, policy, ways.is_empty())
    else {
        return ExitCode::from(EXIT_CONFIG);
    };
    for line in operations::doctor::cases::doubtful(&config.delivery) {
        eprintln!("warning: receiver {line}");
    }
    let catalog = catalog.current();
    for gap in catalog.unit_grid_gaps() {
        eprintln!("warning: {gap}");
    }
    for fault in catalog.community_faults() {
        eprintln!("warning: {fault}");
    }
    show(&format!(
        "the configuration is good: {} unit grids, {} fences, {} routes, {} rules of work, {} vehicles, \
         {} assignments\n",
        catalog.unit_grids().len(),
        catalog.fences().len(),
        catalog.routes().len(),
        catalog.work_rules().len(),
        catalog.vehicles().len(),
        catalog.duties().assignments().len()
    ));
    ExitCode::SUCCESS
}

fn run(settings: &Settings, fleet: Option<demo::FleetOptions>) -> ExitCode {
    let prepared = match &fleet {
        None => settings.read().map(|config| (config, None)),
        Some(options) => match demo::prepare(settings.raw(), options) {
            Ok((config, city)) => Ok((config, Some(city))),
            Err(demo::PrepareError::Config(mistakes)) => Err(refuse(&mistakes)),
            Err(demo::PrepareError::Io { path, cause }) => {
                eprintln!("gridtrace: {}: {cause}", path.display());
                Err(ExitCode::FAILURE)
            }
        },
    };
    let (config, city) = match prepared {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    if let Err(error) = telemetry::start(&config.telemetry) {
        eprintln!("gridtrace: {error}");
        return ExitCode::from(EXIT_CONFIG);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("gridtrace: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        // Before anybody is told that the gateway runs: from then on it may be asked to stop.
        let signals = Signals::catch();
        let app = match App::start(config).await {
            Ok(app) => app,
            Err(error) => {
                eprintln!("gridtrace: {error}");
                return ExitCode::from(error.exit_code());
            }
        };
        let line = format!(
            "gridtrace: terminals on {}, map on http://{}/\n",
            app.tcp_address(),
            app.http_address()
        );
        show(&line);
        let demo = city.map(|city| demo::start(&app, city, fleet.unwrap_or_default()));
        let failed = tokio::select! {
            () = signals.any() => false,
            () = app.failed() => true,
        };
        if let Some(demo) = demo {
            demo.stop().await;
        }
        if failed {
            // Nothing that is in memory can be made durable any more.
            return ExitCode::from(app.gateway().failure_code());
        }
        if app.stop().await {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(EXIT_UNCLEAN)
        }
    });
    runtime.shutdown_background();
    code
}

/// SIGTERM and SIGINT, from the moment that they are caught.
struct Signals(Vec<tokio::signal::unix::Signal>);

impl Signals {
    fn catch() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
        let caught = kinds.into_iter().filter_map(|kind| {
            signal(kind)
                .inspect_err(|error| tracing::error!(%error, ?kind, "a signal cannot be caught"))
                .ok()
        });
        Self(caught.collect())
    }

    async fn any(mut self) {
        match self.0.as_mut_slice() {
            [terminate, interrupt] => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            [one] => {
                one.recv().await;
            }
            _ => std::future::pending().await,
        }
    }
}
