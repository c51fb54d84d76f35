//! The operator's commands, as people start them.

mod backup;
mod doctor;
mod evaluator;
mod log;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
    process::{Command, Output},
};

use harness::process::binary;

fn gridtrace(arguments: &[&str]) -> Output {
    Command::new(binary("gridtrace"))
        .args(arguments)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// `serve` on free ports, which must end by itself; its exit code and what it said.
fn serve(data_dir: &Path, more: &[&str]) -> (Option<i32>, String) {
    let data_dir = data_dir.to_str().unwrap();
    // Not every process of a test may have the port of MQTT.
    let mut arguments = vec!["serve", "--data-dir", data_dir, "--mqtt", "off"];
    arguments.extend(["--tcp", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    arguments.extend(more);
    let output = gridtrace(&arguments);
    (output.status.code(), said(&output))
}

/// Every file below a directory: its path, its size, and a digest of its content. Not the shared
/// memory of SQLite, in which readers note that they read.
fn content(directory: &Path) -> Vec<(std::path::PathBuf, usize, u64)> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if !path.to_string_lossy().ends_with("-shm") {
                let content = std::fs::read(&path).unwrap();
                let mut hasher = DefaultHasher::new();
                content.hash(&mut hasher);
                found.push((path, content.len(), hasher.finish()));
            }
        }
    }
    found.sort();
    found
}
