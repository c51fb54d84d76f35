//! `gridtrace doctor`: looks at everything that a gateway with this configuration needs, and says
//! what was found and what to do.
//!
//! It changes nothing: no directory is made, no store is opened as one (that would migrate it), and
//! the file that syncs are measured with has no name by the time it is written to. Only SQLite's
//! shared memory beside a store, where readers note that they read, is written to.

pub mod cases;
mod data;
mod database;
mod machine;
mod network;

use std::{
    io::Write,
    time::{Duration, Instant, SystemTime},
};

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::{
    catalog::Catalog,
    config::{Config, Mistake},
    evaluation::Evaluations,
    platform_key::PlatformKey,
    profiles::TerminalProfiles,
};

/// The clock is watched for at least so long.
const WATCHED: Duration = Duration::from_millis(300);

/// How findings are told.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct DoctorOptions {
    /// One JSON document.
    #[arg(long)]
    pub json: bool,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and something may become a trouble.
    Warn,
    /// A gateway does not start with it, or loses or refuses what it should keep.
    Bad,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at.
    pub subject: &'static str,
    /// What was found.
    pub found: String,
    /// What to do; nothing where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// What is found, in the order in which it was looked at.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, subject: &'static str, found: impl Into<String>) {
        self.add(Level::Ok, subject, found.into(), None);
    }

    fn warn(&mut self, subject: &'static str, found: impl Into<String>, advice: impl Into<String>) {
        self.add(Level::Warn, subject, found.into(), Some(advice.into()));
    }

    fn bad(&mut self, subject: &'static str, found: impl Into<String>, advice: impl Into<String>) {
        self.add(Level::Bad, subject, found.into(), Some(advice.into()));
    }

    fn add(&mut self, level: Level, subject: &'static str, found: String, advice: Option<String>) {
        self.0.push(Finding {
            level,
            subject,
            found,
            advice,
        });
    }
}

/// Looks, and writes what was found; gives the exit code: 0 when nothing is bad.
///
/// # Errors
/// When the output cannot be written.
pub fn run(
    config: Result<Config, Vec<Mistake>>,
    options: DoctorOptions,
    out: &mut dyn Write,
) -> anyhow::Result<u8> {
    let mut findings = Findings::default();
    match config {
        Ok(config) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(look(&config, &mut findings));
        }
        Err(mistakes) => {
            for mistake in mistakes {
                let advice = "mend it; `gridtrace print-config` shows every key with its default";
                findings.bad("configuration", mistake.to_string(), advice);
            }
        }
    }
    let findings = findings.0;
    let is_good = findings.iter().all(|finding| finding.level < Level::Bad);
    if options.json {
        let document = json!({"is_good": is_good, "findings": findings});
        writeln!(out, "{document:#}")?;
    } else {
        for finding in &findings {
            let level = match finding.level {
                Level::Ok => "ok  ",
                Level::Warn => "warn",
                Level::Bad => "bad ",
            };
            write!(out, "{level} {}: {}", finding.subject, finding.found)?;
            match &finding.advice {
                Some(advice) => writeln!(out, " -> {advice}")?,
                None => writeln!(out)?,
            }
        }
    }
    Ok(u8::from(!is_good))
}

async fn look(config: &Config, findings: &mut Findings) {
    let watched = (Instant::now(), SystemTime::now());
    files(config, findings);
    let disk = data::directory(config, findings);
    machine::open_files(config, findings);
    let gateway = network::ports(config, findings).await;
    cases::receivers(&config.delivery, findings).await;
    let log = data::log(config, findings);
    let cursors = database::store(config, findings).await;
    if let (Some(log), Some(cursors)) = (&log, &cursors) {
        data::consumers(log, cursors, findings);
    }
    if let Some(disk) = disk {
        data::space(config, &disk, log.as_ref(), findings);
    }
    if let Some(rest) = WATCHED.checked_sub(watched.0.elapsed()) {
        tokio::time::sleep(rest).await;
    }
    machine::clock(watched, log.as_ref(), findings);
    if let Some(gateway) = gateway {
        findings.0.push(gateway);
    }
}

/// Configuration and what it names.
fn files(config: &Config, findings: &mut Findings) {
    findings.ok("configuration", "every key is known and in its range");
    match Catalog::load(&config.catalog) {
        Ok(catalog) => {
            let catalog = catalog.current();
            let found = format!(
                "{} unit grids, {} fences, {} routes, {} vehicles",
                catalog.unit_grids().len(),
                catalog.fences().len(),
                catalog.routes().len(),
                catalog.vehicles().len()
            );
            findings.ok("catalog", found);
            let gaps = catalog.unit_grid_gaps();
            if let Some(largest) = gaps.first() {
                let found = format!("{} holes between the unit grids; {largest}", gaps.len());
                findings.warn("catalog", found, "see check-config for all of them");
            }
            let faults = catalog.community_faults();
            if let Some(first) = faults.first() {
                let found = format!("{} odd communities; {first}", faults.len());
                findings.warn("catalog", found, "see check-config for all of them");
            }
        }
        Err(error) => {
            for line in error.to_string().lines() {
                findings.bad("catalog", line, "mend the file, or the key that names it");
            }
        }
    }
    if let Err(error) = TerminalProfiles::load(&config.profiles) {
        for line in error.to_string().lines() {
            findings.bad("profiles", line, "mend the file, or the key that names it");
        }
    }
    if let Err(error) = Evaluations::load(&config.evaluation) {
        for line in error.to_string().lines() {
            findings.bad(
                "evaluation",
                line,
                "mend the file, or the key that names it",
            );
        }
    }
    cases::policy(config, findings);
    if let Some(path) = &config.terminals.rsa_key
        && let Err(error) = PlatformKey::load(path)
    {
        let found = format!("terminals.rsa_key: {error}");
        findings.bad(
            "keys",
            found,
            "name a PEM file with an RSA key of 1024 bits",
        );
    }
    if config.needs_tls() {
        match crate::listen::Tls::load(&config.tls) {
            Ok(_) => findings.ok("tls", "certificate and key can be read and belong together"),
            Err(error) => findings.bad("tls", error.to_string(), "mend the files of [tls]"),
        }
    }
}
