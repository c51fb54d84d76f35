//! The real binary as a child process.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use crate::http_client;

use crate::Books;

/// A running `gridtrace`, killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where terminals connect.
    pub tcp: String,
    /// Where people look.
    pub http: String,
}

/// The binary of this name that was built together with the running test; for the gateway the one that
/// `GRIDTRACE_BIN` names, where it names one.
///
/// # Panics
/// When it was not built: `cargo build --workspace` makes it.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os("GRIDTRACE_BIN").filter(|_| name == "gridtrace") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo build --workspace` first",
        path.display()
    );
    path
}

impl Process {
    /// Starts `serve` or `demo` on free ports of loopback and waits until it says where it is.
    #[must_use]
    pub fn start(command: &str, data_dir: &Path, more: &[&str]) -> Self {
        Self::start_with(command, data_dir, more, &[])
    }

    /// The same with settings as variables (`GRIDTRACE__LOG__SIZE_BYTES_MAX`).
    #[must_use]
    pub fn start_with(
        command: &str,
        data_dir: &Path,
        more: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        // Not every process of a test may have the port of MQTT.
        let mqtt = if more.contains(&"--mqtt") {
            &[][..]
        } else {
            &["--mqtt", "off"]
        };
        let mut child = Command::new(binary("gridtrace"))
            .arg(command)
            .arg("--data-dir")
            .arg(data_dir)
            .args(["--tcp", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .args(mqtt)
            .args(more)
            .env("GRIDTRACE__LOG__FREE_BYTES_MIN", "0B")
            // It runs beside other tests, what builds and what they start.
            .env("GRIDTRACE__BULK_PRIORITY", "low")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let (tcp, http) = line
            .trim_end()
            .strip_prefix("gridtrace: terminals on ")
            .and_then(|rest| rest.strip_suffix('/'))
            .and_then(|rest| rest.split_once(", map on http://"))
            .unwrap_or_else(|| panic!("gridtrace said: {line:?}"));
        Self {
            tcp: tcp.to_owned(),
            http: http.to_owned(),
            child,
        }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where MQTT clients connect; it must have been started with `--mqtt`.
    ///
    /// # Panics
    /// When it does not listen for them.
    #[must_use]
    pub fn mqtt(&self) -> SocketAddr {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let asked = http_client::get(&self.http, "/readyz");
        let (_, body) = runtime.unwrap().block_on(asked).unwrap();
        let ready: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let listeners = ready["listeners"].as_array().unwrap();
        let mut mqtt = listeners.iter().filter(|one| one["transport"] == "mqtt");
        let address = mqtt.next().unwrap()["address"].as_str().unwrap();
        address.parse().unwrap()
    }

    /// What it has counted.
    ///
    /// # Panics
    /// When it does not say.
    #[must_use]
    pub fn books(&self) -> Books {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let asked = Books::scraped(&self.http);
        runtime.unwrap().block_on(asked).unwrap()
    }

    /// JSON of a path that must answer with 200.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn json(&self, path: &str) -> serde_json::Value {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let asked = http_client::get(&self.http, path);
        let (status, body) = runtime.unwrap().block_on(asked).unwrap();
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// The items of all pages of a list. `path` has a `?`.
    ///
    /// # Panics
    /// When a page does not come.
    #[must_use]
    pub fn all(&self, path: &str) -> Vec<serde_json::Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.json(&format!("{path}{cursor}"));
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name (`TERM`, `STOP`, `CONT`).
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.id().to_string())
            .status();
        assert!(sent.unwrap().success());
    }

    /// SIGTERM, and how it ended.
    #[must_use]
    pub fn terminate(mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
