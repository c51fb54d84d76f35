//! Servers to be measured, each in a process of its own: the gateway, and two that do next to
//! nothing, which say what the machine, the load and the loopback cost.
//!
//! A benchmark that starts one of the two executes itself again with an argument.

mod answers;
mod floor;
mod thin;

use std::{
    env,
    ffi::OsStr,
    fmt, fs,
    io::{self, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

/// The argument with which a benchmark executes itself.
const SERVE: &str = "--serve";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The `gridtrace` binary, as it is installed.
    Gateway,
    /// A tokio server that appends the bytes to a file, syncs it every 2 ms, and then answers,
    /// without decoding, checking or storing.
    Thin,
    /// A bare event loop that appends the bytes to a file, syncs it every 5 ms, and then answers.
    Floor,
}

impl Kind {
    /// Its name in arguments and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gridtrace",
            Self::Thin => "thin",
            Self::Floor => "floor",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether all of it is to be measured (`cargo bench`), or only tried once (`cargo test`).
#[must_use]
pub fn is_measuring() -> bool {
    env::args().any(|argument| argument == "--bench")
}

/// The number of an argument `NAME=NUMBER`, where there is one.
#[must_use]
pub fn number_of(name: &str) -> Option<f64> {
    env::args().find_map(|argument| {
        let (key, value) = argument.split_once('=')?;
        (key == name).then(|| value.parse().ok())?
    })
}

/// Serves, and never comes back, if this process was started to be one of the small servers.
/// Must be called first in `main`.
///
/// # Errors
/// When the server cannot start.
pub fn serve_if_asked() -> io::Result<()> {
    let mut arguments = env::args().skip_while(|argument| argument != SERVE).skip(1);
    let kind = arguments.next();
    let folder = arguments.next().unwrap_or_default();
    match kind.as_deref() {
        Some("thin") => thin::serve(Path::new(&folder)),
        Some("floor") => floor::serve(Path::new(&folder)),
        _ => Ok(()),
    }
}

/// Tells the parent process where a small server listens.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "terminals on {address}, ready")?;
    out.flush()
}

/// A server in a process of its own; dropping it kills the process and removes its files.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Dropped after the process was killed.
    _folder: Folder,
    /// Where terminals connect.
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server on a free port, and waits until it listens.
    ///
    /// # Errors
    /// When it cannot be started or does not say where it listens.
    pub fn start(kind: Kind) -> io::Result<Self> {
        let here = env::current_exe()?;
        // Beside the binaries: on a disk, which a folder for temporary files may not be.
        let folder = here.with_file_name(format!("bench-data-{}-{kind}", std::process::id()));
        let folder = Folder::create(folder)?;
        let mut command = match kind {
            Kind::Gateway => {
                let mut command = Command::new(gateway_binary(&here)?);
                command.args([
                    "serve",
                    "--tcp",
                    "127.0.0.1:0",
                    "--http",
                    "127.0.0.1:0",
                    "--mqtt",
                    "off",
                ]);
                command.arg("--data-dir").arg(&folder.0);
                command.env("GRIDTRACE__TELEMETRY__LEVEL", "warn");
                command
            }
            Kind::Thin | Kind::Floor => {
                let mut command = Command::new(&here);
                command.args([
                    OsStr::new(SERVE),
                    OsStr::new(kind.name()),
                    folder.0.as_os_str(),
                ]);
                command
            }
        };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let address = child
            .stdout
            .take()
            .map(BufReader::new)
            .and_then(listening_address);
        let address = address.ok_or_else(|| {
            // It has ended or will be of no use; either way nobody waits for it.
            _ = child.kill();
            _ = child.wait();
            io::Error::other(format!("{kind} did not say where it listens"))
        })?;
        Ok(Self {
            child,
            _folder: folder,
            address,
        })
    }

    /// Resident memory of the process, bytes.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        resident_bytes_of(&self.child.id().to_string())
    }

    /// CPU time that the process has used, user and system, seconds.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn cpu_s(&self) -> io::Result<f64> {
        cpu_s_of(&self.child.id().to_string())
    }
}

/// Resident memory of the process of that number, bytes.
///
/// # Errors
/// When the system does not say.
pub fn resident_bytes_of(process: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .trim()
                .strip_suffix("kB")?
                .trim()
                .parse()
                .ok()
        })
        .map(|kib: u64| kib * 1_024)
        .ok_or_else(|| io::Error::other("no VmRSS in the status of the process"))
}

/// CPU time that this process has used, user and system, seconds.
///
/// # Errors
/// When the system does not say.
pub fn own_cpu_s() -> io::Result<f64> {
    cpu_s_of("self")
}

/// CPU time that a process of that number has used, user and system, seconds.
///
/// # Errors
/// When the system does not say.
pub fn cpu_s_of(process: &str) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Fields 14 and 15, counted behind the name, which may hold anything; ticks of 10 ms.
    let ticks = stat.rsplit_once(')').map(|(_, fields)| {
        let ticks = fields.split_whitespace().skip(11).take(2);
        ticks
            .filter_map(|ticks| ticks.parse::<f64>().ok())
            .sum::<f64>()
    });
    ticks
        .map(|ticks| ticks / 100.0)
        .ok_or_else(|| io::Error::other("no CPU time"))
}

/// A folder that is removed when dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn create(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Best effort: a benchmark has nobody to tell.
        _ = fs::remove_dir_all(&self.0);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Best effort: a process that is gone already is as good.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Finds `terminals on ADDR,` in what a server prints.
fn listening_address(output: impl io::BufRead) -> Option<SocketAddr> {
    output.lines().map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("terminals on ")?;
        rest.split(',').next()?.trim().parse().ok()
    })
}

/// The binary: `GRIDTRACE_BIN`, else `gridtrace` above the benchmark's own folder, which is built
/// first, in the same profile, so that it is never an old one.
fn gateway_binary(here: &Path) -> io::Result<&'static Path> {
    static BINARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let binary = BINARY.get_or_init(|| {
        if let Some(path) = env::var_os("GRIDTRACE_BIN") {
            return Some(PathBuf::from(path));
        }
        let binary = here.parent()?.parent()?.join("gridtrace");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "-p", "gridtrace", "--bin", "gridtrace"]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        (built.is_ok_and(|status| status.success()) && binary.exists()).then_some(binary)
    });
    binary
        .as_deref()
        .ok_or_else(|| io::Error::other("the binary `gridtrace` cannot be built"))
}
