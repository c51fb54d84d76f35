//! The binary as people start it.

use std::process::{Command, Output};

use harness::process::{Process, binary};

fn gridtrace(arguments: &[&str]) -> Output {
    Command::new(binary("gridtrace"))
        .args(arguments)
        .output()
        .unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_mistake_of_a_configuration_is_named_at_once_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gridtrace.toml");
    let text = "data_dir = \"data\"\n[tcp]\nlisten = \"nowhere\"\nidle_timout = \"5s\"\n[log]\nsegment_bytes_max = \"1B\"\n";
    std::fs::write(&file, text).unwrap();
    for command in ["serve", "check-config", "print-config"] {
        let output = gridtrace(&[command, "--config", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(78), "{command}");
        let errors = errors(&output);
        for place in ["tcp.listen", "tcp.idle_timout", "log.segment_bytes_max"] {
            assert!(
                errors.contains(place),
                "{command} does not name {place}: {errors}"
            );
        }
    }
    assert!(!folder.path().join("data").exists());
}

#[test]
fn every_mistake_of_a_catalog_is_named_at_once_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    // A bow tie, and a fence without a name for what it asks.
    let fences = r#"{"type":"FeatureCollection","features":[
        {"type":"Feature","properties":{"id":"bow","name":"x","kind":"keep_out"},"geometry":
            {"type":"Polygon","coordinates":[[[112.5,37.8],[112.6,37.9],[112.6,37.8],[112.5,37.9],[112.5,37.8]]]}},
        {"type":"Feature","properties":{"id":"odd","name":"x","kind":"dance"},"geometry":
            {"type":"Polygon","coordinates":[[[112.5,37.8],[112.6,37.8],[112.6,37.9],[112.5,37.8]]]}}]}"#;
    std::fs::write(path("fences.geojson"), fences).unwrap();
    let config = format!(
        "data_dir = {:?}\n[catalog]\nfences = {:?}\n",
        path("data"),
        path("fences.geojson")
    );
    std::fs::write(path("gridtrace.toml"), config).unwrap();
    for command in ["serve", "check-config"] {
        let output = gridtrace(&[command, "--config", &path("gridtrace.toml")]);
        assert_eq!(
            output.status.code(),
            Some(78),
            "{command}: {}",
            errors(&output)
        );
        for word in ["fences.geojson", "bow", "odd"] {
            assert!(
                errors(&output).contains(word),
                "{command} does not name {word}: {}",
                errors(&output)
            );
        }
    }
}

#[test]
fn the_default_configuration_prints_and_checks() {
    let printed = gridtrace(&["print-config", "--store", "postgres://me:secret@db/city"]);
    assert!(printed.status.success());
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(
        text.contains("postgres://me:***@db/city") && !text.contains("secret"),
        "{text}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gridtrace.toml");
    std::fs::write(&file, include_str!("../../gateway/gridtrace.toml")).unwrap();
    let checked = gridtrace(&["check-config", "--config", file.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", errors(&checked));
    let help = String::from_utf8(gridtrace(&["--help"]).stdout).unwrap();
    for command in ["serve", "demo", "check-config", "print-config", "export"] {
        assert!(help.contains(command), "{help}");
    }
}

#[test]
fn two_processes_do_not_share_a_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Process::start("serve", folder.path(), &[]);
    let data_dir = folder.path().to_str().unwrap();
    let second = gridtrace(&[
        "serve",
        "--data-dir",
        data_dir,
        "--tcp",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--mqtt",
        "off",
    ]);
    assert!(!second.status.success());
    assert!(errors(&second).contains("log"), "{}", errors(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_is_an_ordered_stop_and_the_export_has_every_position() {
    use tools::{
        terminal::{Identity, Terminal},
        wire::Revision,
    };
    let folder = tempfile::tempdir().unwrap();
    let gateway = Process::start("serve", folder.path(), &[]);
    let identity = Identity::new("13800000001", Revision::V2013).unwrap();
    let mut terminal = Terminal::connect(&gateway.tcp, identity, harness::PATIENCE)
        .await
        .unwrap();
    terminal.log_in().await.unwrap();
    let now = harness::now_s();
    for i in 0..20 {
        let serial = terminal
            .send_location(&harness::report(37.87, 112.55, now - 20 + i))
            .await
            .unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    // One with a clock that is a year behind: acknowledged, so it must be found as well.
    let serial = terminal
        .send_location(&harness::report(37.87, 112.55, now - 366 * 86_400))
        .await
        .unwrap();
    assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    let http = gateway.http.clone();
    let export = |source: [&str; 2], name: &str| {
        let out = folder.path().join(name);
        let arguments = [
            "export",
            "positions",
            source[0],
            source[1],
            "--format",
            "csv",
            "--out",
            out.to_str().unwrap(),
        ];
        let output = gridtrace(&arguments);
        assert!(output.status.success(), "{}", errors(&output));
        std::fs::read_to_string(out).unwrap()
    };
    harness::until("the running gateway exports all", async || {
        let name = format!("live-{}.csv", gateway::clock::now().millis());
        let text = export(["--http", &http], &name);
        (text.lines().count() == 22).then_some(())
    })
    .await;
    assert!(gateway.terminate().success());
    let text = export(
        ["--data-dir", folder.path().to_str().unwrap()],
        "stopped.csv",
    );
    let mut lines = text.lines();
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("phone,event_time,lat,lon,")
    );
    assert!(lines.all(|line| line.starts_with("13800000001,20") && line.contains("37.870000,112.550000")));
    assert_eq!(text.lines().count(), 22);
}
