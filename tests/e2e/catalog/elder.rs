//! What comes late from before an edit is judged by the version that was in force then.

use std::path::Path;

use super::*;

/// Where there is no fence at first, and where there is one that will be deleted.
const NEW: f64 = 37.92;
const DELETED: f64 = 37.97;

/// What happens between the edits and the backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    Nothing,
    /// Killed when the newest snapshot knows of the edits.
    KilledBehindASnapshot,
    /// Killed when no snapshot knows of the edits: they are judged again, from the log.
    KilledWithoutASnapshot,
    /// As the first, and the version from before the edits is gone.
    FirstVersionLost,
    /// Nothing, and there is no room for elder versions.
    NoRoom,
}

fn school(latitude: f64, version: u64, dwell_s: u64) -> Value {
    let mut school = circle("school", latitude);
    school["properties"]["version"] = json!(version);
    school["properties"]["dwell_s"] = json!(dwell_s);
    school
}

async fn asked(process: &Process, path: &str) -> Value {
    let (status, body) = http_client::get(&process.http, path).await.unwrap();
    let body = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// So many positions are evaluated since the start, and all of it is in the store.
async fn settled(process: &Process, evaluated: u64) {
    until("all is evaluated", async || {
        let books = books(process).await;
        let judged = books.value("gridtrace_positions_evaluated_total");
        (judged >= evaluated).then_some(())
    })
    .await;
}

/// The cases by rule and its version, with their ids and stages.
async fn cases(process: &Process) -> Vec<(String, u64, String)> {
    let list = asked(process, "/api/v1/cases").await;
    let items = list["items"].as_array().unwrap().iter();
    let of = |case: &Value| {
        assert_ne!(case["stage"], "withdrawn", "{case}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let rule = &case["rule"];
        (
            text(&rule["id"]),
            rule["version"].as_u64().unwrap(),
            text(&case["id"]),
        )
    };
    let mut cases: Vec<_> = items.map(of).collect();
    cases.sort();
    cases
}

fn lose_first_version(data_dir: &Path) {
    let versions = rusqlite::Connection::open(data_dir.join("catalog.sqlite")).unwrap();
    let removed = versions.execute("DELETE FROM versions WHERE number = 1", []);
    assert_eq!(removed.unwrap(), 1);
}

async fn story(between: Between) {
    let (folder, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = json!({
        "type": "FeatureCollection",
        "features": [school(HERE, 1, 10), circle("dump", DELETED)],
    });
    let files = harness::catalog(files.path(), &first.to_string(), VEHICLES);
    let interval = match between {
        Between::KilledWithoutASnapshot => "1h",
        _ => "1s",
    };
    let room = match between {
        Between::NoRoom => "0B",
        _ => "1GiB",
    };
    let settings = [
        ("GRIDTRACE__EVALUATE__ELDER_CATALOGS_BYTES_MAX", room),
        ("GRIDTRACE__EVALUATE__SNAPSHOT_INTERVAL", interval),
        ("GRIDTRACE__CATALOG__FENCES", files[0].1.as_str()),
        ("GRIDTRACE__CATALOG__VEHICLES", files[1].1.as_str()),
    ];
    let start = || Process::start_with("serve", folder.path(), &[], &settings);
    let mut process = start();
    let mut terminal = connect(&process, PHONE).await;
    let begin = now_s();
    stand(&mut terminal, ELSEWHERE, begin - 2_000, 3).await;
    settled(&process, 3).await;

    // The school moves away, the dump is deleted, a yard is new; each is a version.
    let edits = [
        (Method::PUT, "school", Some(school(38.02, 2, 10))),
        (Method::DELETE, "dump", None),
        (Method::PUT, "yard", Some(circle("yard", NEW))),
    ];
    for (method, id, thing) in edits {
        let path = format!("/api/v1/catalog/fences/{id}");
        let edited = http_client::ask(&process.http, method, &path, thing.as_ref());
        assert_eq!(edited.await.unwrap().0, 200, "{id}");
    }
    if !matches!(between, Between::Nothing | Between::NoRoom) {
        if between != Between::KilledWithoutASnapshot {
            until("the snapshot knows the edits", async || {
                let books = books(&process).await;
                (books.lag() == Some(0)).then_some(())
            })
            .await;
        }
        drop(terminal);
        process.kill();
        if between == Between::FirstVersionLost {
            lose_first_version(folder.path());
        }
        process = start();
        terminal = connect(&process, PHONE).await;
    }

    // The vehicle drives on, by the newest version.
    stand(&mut terminal, ELSEWHERE, now_s(), 3).await;
    // The backlog: at the school that was there, the dump that was there, the yard that was not.
    let at_school = arrive(&mut terminal, HERE, begin - 1_500).await;
    arrive(&mut terminal, DELETED, begin - 1_200).await;
    arrive(&mut terminal, NEW, begin - 900).await;
    settled(&process, 3 * 85 + 3).await;
    let told = books(&process).await;
    let lost = told.sum("gridtrace_elder_catalogs_lost_total");
    let bytes = told.value("gridtrace_elder_catalog_bytes");
    if between == Between::NoRoom {
        // What was edited or deleted since judges nothing, and what is new is too new.
        let too_large = "gridtrace_elder_catalogs_lost_total{reason=\"too_large\"}";
        assert_eq!((told.value(too_large), lost, bytes), (3, 3, 0));
        assert!(cases(&process).await.is_empty());
        assert!(process.terminate().success());
        return;
    }
    assert!(bytes > 0);
    if between == Between::FirstVersionLost {
        // Only what was not edited with the version that followed still judges that time.
        let opened = until("the case is there", async || {
            let cases = cases(&process).await;
            (!cases.is_empty()).then_some(cases)
        })
        .await;
        assert_eq!(opened.len(), 1, "{opened:?}");
        assert_eq!((&*opened[0].0, lost), ("dump", 1));
        assert!(process.terminate().success());
        return;
    }
    let opened = until("the cases are there", async || {
        let cases = cases(&process).await;
        (cases.len() >= 2).then_some(cases)
    })
    .await;
    let rules: Vec<(&str, u64)> = opened.iter().map(|case| (&*case.0, case.1)).collect();
    assert_eq!(rules, [("dump", 1), ("school", 1)], "{between:?}");
    assert_eq!(lost, 0);

    // It is explained by the version of then, and the time behind the edit by that of now.
    let path = format!("/api/v1/cases/{}/explain", opened[1].2);
    let why = asked(&process, &path).await;
    assert_eq!(
        (&why["version"], &why["rule"]["version"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(why["checks"][0]["stage"], "open", "{why}");
    assert_eq!(why["checks"][0]["thresholds"]["dwell_s"], 10.0);
    let moment = |seconds: i64| {
        gateway::clock::rfc3339(geofence::units::Timestamp::from_seconds(seconds))
            .replace('+', "%2B")
    };
    let ask = |rule: &str, at: i64| {
        format!(
            "/api/v1/explain?terminal={PHONE}&rule={rule}&at={}",
            moment(at)
        )
    };
    let why = asked(&process, &ask("school", at_school)).await;
    assert_eq!(
        (&why["version"], &why["rule"]["version"]),
        (&json!(1), &json!(1))
    );
    let why = asked(&process, &ask("school", now_s())).await;
    assert_eq!(
        (&why["version"], &why["rule"]["version"]),
        (&json!(4), &json!(2))
    );
    let unknown = http_client::get(&process.http, &ask("yard", at_school)).await;
    assert_eq!(unknown.unwrap().0, 404, "there was no yard");

    // Replayed once more, nothing opens twice and nothing goes.
    process.kill();
    let process = start();
    let mut terminal = connect(&process, PHONE).await;
    stand(&mut terminal, ELSEWHERE, now_s(), 1).await;
    settled(&process, 1).await;
    assert_eq!(cases(&process).await, opened);
    assert!(process.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_from_before_edits_is_judged_by_what_was_in_force_then() {
    story(Between::Nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_from_before_edits_finds_the_elder_versions_behind_a_snapshot() {
    story(Between::KilledBehindASnapshot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_from_before_edits_finds_the_elder_versions_without_a_snapshot() {
    story(Between::KilledWithoutASnapshot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_gone_judges_nothing_and_is_counted() {
    story(Between::FirstVersionLost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_there_is_no_room_for_judge_nothing_and_are_counted() {
    story(Between::NoRoom).await;
}
