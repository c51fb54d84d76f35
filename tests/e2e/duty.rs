//! From shifts, duty areas and assignments to cases.

use harness::{TestGateway, now_s, report, until};
use serde_json::Value;
use tools::{terminal::Terminal, wire::Revision};

const PHONE: &str = "13800000001";
const NO_FENCES: &str = r#"{"type":"FeatureCollection","features":[]}"#;
/// Five kilometres east of where the stories play.
const AREAS: &str = r#"{"type":"FeatureCollection","features":[{"type":"Feature",
    "properties":{"id":"R1","name":"一号责任区"},"geometry":{"type":"Polygon","coordinates":
    [[[112.60,37.86],[112.61,37.86],[112.61,37.87],[112.60,37.87],[112.60,37.86]]]}}]}"#;

/// A local time of day so many minutes from now.
fn clock(minutes: i64) -> String {
    let minute = (now_s() + 8 * 3_600).div_euclid(60) + minutes;
    let minute = minute.rem_euclid(24 * 60);
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// A gateway where the terminal's vehicle works in the area from and to so many minutes from now.
async fn city(work_kind: &str, from: i64, to: i64) -> (TestGateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let vehicles = format!("vehicle,phone,work_kind,crew\nV1,{PHONE},{work_kind},C1\n");
    let mut settings = harness::catalog(folder.path(), NO_FENCES, &vehicles);
    let shift = format!("day,白班,daily,{},{}", clock(from), clock(to));
    for (key, file, text) in [
        (
            "shifts",
            "shifts.csv",
            format!("shift,name,days,from,to\n{shift}\n"),
        ),
        ("responsibility_grids", "areas.geojson", AREAS.to_owned()),
        (
            "calendar",
            "calendar.csv",
            "date,kind\n2026-01-01,holiday\n".to_owned(),
        ),
        (
            "assignments",
            "assignments.csv",
            "crew,shift,duty_area\nC1,day,R1\n".to_owned(),
        ),
    ] {
        let path = folder.path().join(file);
        std::fs::write(&path, text).unwrap();
        settings.push((format!("catalog.{key}"), path.display().to_string()));
    }
    let settings: Vec<_> = settings
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    (TestGateway::start(&settings).await, folder)
}

/// A fix every `period` seconds, the last one now, that goes north by so much each time.
async fn report_fixes(terminal: &mut Terminal, count: u32, period: i64, step: f64, kmh: u16) {
    let start = now_s() - i64::from(count) * period;
    for index in 0..count {
        let at = start + i64::from(index) * period;
        let mut fix = report(37.86 + step * f64::from(index), 112.55, at);
        fix.speed_dkmh = kmh * 10;
        let serial = terminal.send_location(&fix).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
}

async fn one_case(gateway: &TestGateway) -> Value {
    gateway.drained().await;
    let cases = until("a case is there", async || {
        let cases = gateway.items("/api/v1/cases").await;
        (!cases.is_empty()).then_some(cases)
    })
    .await;
    assert_eq!(cases.len(), 1, "{cases:#?}");
    cases[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inspector_away_from_his_area_on_shift_is_a_case_that_names_both() {
    let (gateway, _folder) = city("inspector", -60, 60).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    report_fixes(&mut terminal, 40, 20, 0.0, 0).await;
    let case = one_case(&gateway).await;
    assert_eq!(case["kind"], "off_post");
    assert_eq!(case["rule"]["id"], "day/R1");
    assert_eq!(case["rule"]["name"], "白班 · 一号责任区");
    assert_eq!(case["worst_unit"], "m");
    assert!(case["worst"].as_f64().unwrap() > 4_000.0);
    assert_eq!(case["evidence"]["thresholds"]["off_post_s"], 600.0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn driving_when_no_shift_holds_is_a_case_and_on_shift_it_is_none() {
    // 600 m north in a minute.
    let step = 10.0 / 111_195.0;
    let (gateway, _folder) = city("refuse_truck", 180, 240).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2019).await;
    report_fixes(&mut terminal, 60, 1, step, 36).await;
    let case = one_case(&gateway).await;
    assert_eq!(case["kind"], "outside_hours");
    assert_eq!(case["rule"]["id"], "hours:V1");
    let catalog = gateway.json("/api/v1/catalog").await;
    assert_eq!(
        (&catalog["duty_areas"], &catalog["assignments"]),
        (&1.into(), &1.into())
    );
    let areas = gateway.json("/api/v1/catalog/responsibility-grids").await;
    assert_eq!(areas["features"][0]["properties"]["id"], "R1");
    gateway.stop().await;

    let (gateway, _folder) = city("refuse_truck", -60, 60).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2019).await;
    report_fixes(&mut terminal, 60, 1, step, 36).await;
    gateway.drained().await;
    assert_eq!(gateway.items("/api/v1/cases").await, [] as [Value; 0]);
    gateway.stop().await;
}
