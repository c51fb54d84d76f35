//! A PostgreSQL server of its own for a suite: in a temporary directory, on a loopback port.
//!
//! It comes from Debian's package `postgresql` (`/usr/lib/postgresql/*/bin`) or from where
//! `GRIDTRACE_POSTGRES_BIN` points. Where there is none, tests say loudly that they were skipped;
//! with `GRIDTRACE_REQUIRE_POSTGRES=1` they fail instead.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use crate::ports;

/// Runs the server until its own input ends, which it does however this process ends, and removes
/// the directory unless told to keep it. PostgreSQL refuses to run as root.
const GUARD: &str = r#"
"$@" & server=$!
cat > /dev/null
kill -INT $server 2> /dev/null
wait $server
[ -e "$DIRECTORY/keep" ] || rm -rf "$DIRECTORY"
"#;

const START_WITHIN: Duration = Duration::from_secs(60);

/// A running server. It is stopped when this is dropped, or when the process ends.
#[derive(Debug)]
pub struct Postgres {
    binaries: PathBuf,
    directory: PathBuf,
    listen: SocketAddr,
    settings: Vec<String>,
    guard: Option<Child>,
    databases: AtomicU32,
}

impl Postgres {
    /// A server without extensions; `None`, with a word on standard error, where there is no
    /// PostgreSQL.
    ///
    /// # Panics
    /// When there is one and it does not start, or there is none and it is required.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&["fsync=off"])
    }

    /// A server with TimescaleDB, where its library is installed.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    #[must_use]
    pub fn start_with_timescale(settings: &[&str]) -> Option<Self> {
        let binaries = binaries()?;
        if !binaries
            .with_file_name("lib")
            .join("timescaledb.so")
            .exists()
        {
            complain("SKIPPED: TimescaleDB is not installed");
            return None;
        }
        let mut all = vec![
            "fsync=off",
            "shared_preload_libraries=timescaledb",
            "timescaledb.telemetry_level=off",
        ];
        all.extend(settings);
        Self::start_with(&all)
    }

    /// A server with settings, each `name=value`.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    #[must_use]
    pub fn start_with(settings: &[&str]) -> Option<Self> {
        let Some(binaries) = binaries() else {
            let is_required = std::env::var("GRIDTRACE_REQUIRE_POSTGRES").is_ok_and(|v| v == "1");
            assert!(!is_required, "PostgreSQL is required and not installed");
            complain("SKIPPED: PostgreSQL is not installed (apt-get install postgresql)");
            return None;
        };
        let directory = tempfile::tempdir().expect("a temporary directory").keep();
        if is_root() {
            let owned = Command::new("chown")
                .arg("postgres")
                .arg(&directory)
                .status();
            assert!(
                owned.is_ok_and(|status| status.success()),
                "chown {}",
                directory.display()
            );
        }
        let mut server = Self {
            listen: ports::own(),
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            guard: None,
            databases: AtomicU32::new(0),
            binaries,
            directory,
        };
        let made = server
            .command("initdb")
            .args([
                "--auth=trust",
                "--username=gridtrace",
                "--encoding=UTF8",
                "--no-locale",
            ])
            .args(["--no-sync", "--pgdata"])
            .arg(server.directory.join("data"))
            .output()
            .expect("initdb runs");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        server.run();
        Some(server)
    }

    /// An address of a new, empty database.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE template0"),
        );
        self.address(&name)
    }

    /// The address of a database.
    #[must_use]
    pub fn address(&self, database: &str) -> String {
        format!("postgres://gridtrace@{}/{database}", self.listen)
    }

    /// Where it listens.
    #[must_use]
    pub const fn socket(&self) -> SocketAddr {
        self.listen
    }

    /// Runs a statement in a database given by name or address, by `psql`.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn execute(&self, database: &str, sql: &str) -> String {
        let (ok, output) = self.psql(database, sql);
        assert!(ok, "{sql}: {output}");
        output
    }

    fn psql(&self, database: &str, sql: &str) -> (bool, String) {
        let address = if database.contains("://") {
            database.to_owned()
        } else {
            self.address(database)
        };
        let output = Command::new(self.binaries.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--command", sql, &address])
            .output()
            .expect("psql runs");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).trim().to_owned(),
        )
    }

    /// Ends the server at once, as a crash would; its data stay.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub fn crash(&mut self) {
        std::fs::write(self.directory.join("keep"), "").expect("a file can be written");
        let pid = std::fs::read_to_string(self.directory.join("data/postmaster.pid"))
            .expect("the server runs");
        let pid = pid
            .lines()
            .next()
            .expect("the first line is the process id");
        let ended = Command::new("kill").args(["-QUIT", pid]).status();
        assert!(
            ended.is_ok_and(|status| status.success()),
            "kill -QUIT {pid}"
        );
        self.end_guard();
    }

    /// Another setting, `name=value`, from the next start on.
    pub fn set(&mut self, setting: &str) {
        self.settings.push(setting.to_owned());
    }

    /// Starts it again on the same port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        std::fs::remove_file(self.directory.join("keep")).expect("it had crashed");
        self.run();
    }

    fn end_guard(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            if let Err(error) = guard.wait() {
                complain(&format!("the guard of PostgreSQL: {error}"));
            }
        }
    }

    fn run(&mut self) {
        let log = std::fs::File::create(self.directory.join("log")).expect("a file");
        let mut guard = Command::new("sh");
        guard
            .env("DIRECTORY", &self.directory)
            .args(["-c", GUARD, "postgres-guard"]);
        let server = self.command("postgres");
        guard.arg(server.get_program()).args(server.get_args());
        guard
            .arg("-D")
            .arg(self.directory.join("data"))
            .args(["-p", &self.listen.port().to_string()]);
        guard
            .args(["-c", &format!("listen_addresses={}", self.listen.ip())])
            .args(["-c", "unix_socket_directories="]);
        for setting in &self.settings {
            guard.args(["-c", setting]);
        }
        guard
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log);
        self.guard = Some(guard.spawn().expect("sh runs"));
        let deadline = Instant::now() + START_WITHIN;
        while !self.psql("postgres", "SELECT 1").0 {
            let mut log = String::new();
            if let Ok(mut file) = std::fs::File::open(self.directory.join("log")) {
                file.read_to_string(&mut log).unwrap_or_default();
            }
            assert!(
                Instant::now() < deadline,
                "PostgreSQL does not start: {log}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A program of PostgreSQL, as a user that it accepts.
    fn command(&self, name: &str) -> Command {
        let program = self.binaries.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
                "--",
            ]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(&self.directory);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end_guard();
    }
}

/// The newest installed version.
fn binaries() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("GRIDTRACE_POSTGRES_BIN") {
        return Some(PathBuf::from(path));
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    versions
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse::<u32>().ok()?,
                entry.path(),
            ))
        })
        .map(|(version, path)| (version, path.join("bin")))
        .filter(|(_, path)| path.join("initdb").exists() && path.join("postgres").exists())
        .max()
        .map(|(_, path)| path)
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|metadata| metadata.uid() == 0)
}

/// Past the capture of the test runner: a skipped test must be seen.
fn complain(text: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{text}").unwrap_or_default();
}
