//! Our own rules as tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Longer files are to be split when a second idea moves in; today's exceptions may not grow.
const LINES_MAX: usize = 600;
const LONGER_FILES: &[(&str, usize)] = &[
    ("geofence/src/track/tests.rs", 859),
    ("storage/src/file_system/faulty.rs", 655),
];
const BYTES_MAX: u64 = 1_048_576;

/// Files of the messages' folder that are no message: what all of them are built of.
const SHARED_BY_MESSAGES: &[&str] = &[
    "answer",
    "arbitrary",
    "area",
    "field",
    "json",
    "list_change",
];

const FOLDERS: &[&str] = &[
    "gateway",
    "protocols",
    "geofence",
    "storage",
    "tools",
    "fixtures",
    "benches",
    "tests",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn files() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    walk(&path, found);
                }
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for folder in FOLDERS {
        walk(&root().join(folder), &mut found);
    }
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Names of the ordinary dependencies of a package.
fn dependencies(metadata: &Value, package: &str) -> BTreeSet<String> {
    let packages = metadata["packages"].as_array().unwrap();
    let found = packages.iter().find(|p| p["name"] == package).unwrap();
    found["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|d| d["kind"].is_null())
        .map(|d| d["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn dependencies_point_along_the_datas_way() {
    let metadata = metadata();
    let ours = |package: &str| -> Vec<String> {
        dependencies(&metadata, package)
            .into_iter()
            .filter(|d| d.starts_with("gridtrace"))
            .collect()
    };
    assert!(ours("gridtrace-protocols").is_empty());
    assert!(ours("gridtrace-geofence").is_empty());
    assert_eq!(ours("gridtrace-storage"), ["gridtrace-geofence"]);
    assert_eq!(ours("gridtrace-tools"), ["gridtrace-protocols"]);
}

#[test]
fn what_decides_is_pure() {
    let metadata = metadata();
    for package in ["gridtrace-protocols", "gridtrace-geofence"] {
        for impure in [
            "tokio",
            "tracing",
            "log",
            "metrics",
            "time",
            "rand",
            "getrandom",
        ] {
            assert!(
                !dependencies(&metadata, package).contains(impure),
                "{package} uses {impure}"
            );
        }
    }
    let pure = ["protocols/src", "geofence/src"];
    for path in files() {
        let name = relative(&path);
        if !pure.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for word in [
            "std::fs",
            "std::net",
            "std::thread",
            "SystemTime",
            "Instant::now",
        ] {
            assert!(!text.contains(word), "{name} has {word}");
        }
    }
}

#[test]
fn the_top_level_is_the_one_that_was_agreed() {
    for entry in fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_known = FOLDERS.contains(&name.as_str())
            || name.starts_with('.')
            || matches!(name.as_str(), "target" | "artifacts" | "gridtrace-data");
        assert!(
            !entry.path().is_dir() || is_known,
            "{name} is no folder of the top level"
        );
    }
}

#[test]
fn files_stay_readable() {
    for path in files() {
        let name = relative(&path);
        let bytes = fs::metadata(&path).unwrap().len();
        assert!(bytes <= BYTES_MAX, "{name} has {bytes} bytes");
        if path.extension().is_some_and(|e| e == "rs") {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            let max = LONGER_FILES
                .iter()
                .find(|(f, _)| *f == name)
                .map_or(LINES_MAX, |(_, n)| *n);
            assert!(lines <= max, "{name} has {lines} lines, more than {max}");
        }
    }
}

#[test]
fn every_message_of_the_table_has_its_file_and_every_file_its_place_in_the_table() {
    let folder = root().join("protocols/src/jt808/message");
    let table = fs::read_to_string(folder.with_extension("rs")).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "rs") {
            let module = path.file_stem().unwrap().to_str().unwrap();
            if SHARED_BY_MESSAGES.contains(&module) {
                continue;
            }
            assert!(
                table.contains(&format!("mod {module};")),
                "{module} is not in the table"
            );
            let text = fs::read_to_string(&path).unwrap();
            let first = text.lines().next().unwrap();
            assert!(
                first.starts_with("//! 0x"),
                "{module}: its first line names no message id"
            );
        }
    }
}
