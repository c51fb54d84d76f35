//! A client library of another language: paho-mqtt in Python, which `test.sh` installs into
//! `target/python`. What it does is in `terminal.py`.

use std::path::{Path, PathBuf};

use harness::until;
use tokio::process::Command;

use super::{PHONE, password, start};

/// A Python that has paho-mqtt: that of `GRIDTRACE_PAHO_PYTHON`, else of `target/python`.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(super) async fn python() -> Option<PathBuf> {
    let path = std::env::var_os("GRIDTRACE_PAHO_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python"),
        PathBuf::from,
    );
    let asked = Command::new(&path)
        .args([
            "-c",
            "import paho.mqtt.client as c; c.CallbackAPIVersion.VERSION2",
        ])
        .output()
        .await;
    if asked.is_ok_and(|asked| asked.status.success()) {
        return Some(path);
    }
    assert!(
        std::env::var_os("GRIDTRACE_REQUIRE_PAHO").is_none(),
        "paho-mqtt is required and not installed: {}",
        path.display()
    );
    eprintln!("SKIPPED: {} has no paho-mqtt 2", path.display());
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn paho_of_python_is_a_terminal_of_mqtt_5() {
    let Some(python) = python().await else {
        return;
    };
    let gateway = start(&[("terminals.takeovers_per_minute_max", "100")]).await;
    let code = password(&gateway.http(), PHONE).await;
    let at = gateway.mqtt();
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    run(
        &python,
        "terminal.py",
        &[&host, &port, &gateway.http(), PHONE, &code],
    )
    .await;
    let books = gateway.drained().await;
    // The 1, 3, 4, 6 and 7; the others were refused.
    assert_eq!(
        books.value("gridtrace_positions_stored_total{result=\"inserted\"}"),
        5
    );
    let publishes = async |result: &str| {
        let books = gateway.metrics().await;
        books.value(&format!(
            "gridtrace_mqtt_publishes_total{{result=\"{result}\"}}"
        ))
    };
    // Five positions, an answer, and two wills: of who was lost, and of who was taken over.
    until("the wills are left", async || {
        (publishes("json").await >= 7).then_some(())
    })
    .await;
    assert_eq!(publishes("syntax").await, 1);
    assert_eq!(publishes("not_allowed").await, 1);
    assert_eq!(publishes("retained").await, 1);
    let books = gateway.metrics().await;
    let closed = |reason| {
        books.value(&format!(
            "gridtrace_connections_closed_total{{reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(closed("oversize"), 1);
    // The last one may come before it is seen that the one before it is lost.
    assert!((1..=2).contains(&closed("replaced")));
    gateway.stop().await;
}

/// Runs a script of this folder to its end.
pub(super) async fn run(python: &Path, script: &str, arguments: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/mqtt");
    let output = Command::new(python)
        .arg(folder.join(script))
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{failed}");
    assert!(said.ends_with("done\n"), "{said}\n{failed}");
}
