//! Figures, indicators, exports, and the cases behind each figure.

use geofence::units::Timestamp;
use harness::{
    TestGateway,
    http_client::{self, Method},
    moments,
};
use serde_json::{Value, json};

/// A case by hand that goes so far.
async fn case(gateway: &TestGateway, key: &str, grid: &str, moves: &[(&str, &str, Value)]) {
    let body = json!({
        "actor": "Wang", "role": "operator", "source": "citizen", "category": "0104",
        "description": "<b>leaves</b>", "unit_grid": grid, "key": key,
    });
    let (status, opened) = gateway
        .ask(Method::POST, "/api/v1/cases", Some(&body))
        .await;
    assert_eq!(status, 201, "{opened:#}");
    let path = format!("/api/v1/cases/{}/moves", opened["id"].as_str().unwrap());
    let mut version = opened["version"].clone();
    for (name, role, more) in moves {
        let mut body = json!({"move": name, "version": version, "actor": "Li", "role": role,
                              "remark": "so"});
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        let (status, made) = gateway.ask(Method::POST, &path, Some(&body)).await;
        assert_eq!(status, 200, "{name}: {made:#}");
        version = made["version"].clone();
        if version.is_null() {
            version = made["case"]["version"].clone();
        }
    }
}

fn department(name: &str) -> Value {
    json!({ "department": name })
}

/// Two cases of one district, one of which a department with an unkind name has closed.
async fn three_cases(gateway: &TestGateway) {
    // Figures are of a day, or of a month.
    moments::early_in_the_day().await;
    let none = || json!({});
    let whole = [
        ("accept", "operator", none()),
        ("file", "operator", none()),
        ("dispatch", "dispatcher", department("=cmd|' /C calc'!A0")),
        ("handle", "department", none()),
        ("verify_fail", "inspector", none()),
        ("handle", "department", none()),
        ("verify_pass", "inspector", none()),
        ("close", "operator", none()),
    ];
    case(gateway, "1", "140105001001001", &whole).await;
    let filed = [
        ("accept", "operator", none()),
        ("file", "operator", none()),
        ("dispatch", "dispatcher", department("<i>squad</i> & 2")),
        ("extend", "dispatcher", json!({"minutes": 60})),
    ];
    case(gateway, "2", "140105002001001", &filed).await;
    let declined = [("decline", "operator", none())];
    case(gateway, "3", "140106001001001", &declined).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_open_into_their_cases() {
    let gateway = TestGateway::start(&[]).await;
    three_cases(&gateway).await;
    let path = "/api/v1/evaluation?level=district&period=month";
    let table = gateway.json(path).await;
    assert_eq!(table["formulas"], "gridtrace 1");
    assert_eq!(table["versions"]["on_time_closing_rate"], 1);
    let items = table["items"].as_array().unwrap();
    let subjects: Vec<_> = items.iter().map(|row| &row["subject"]).collect();
    assert_eq!(subjects, ["140105", "140106"]);
    let (first, second) = (&items[0], &items[1]);
    for (name, here, there) in [
        ("reported", 2., 1.),
        ("filed", 2., 0.),
        ("closed", 1., 0.),
        ("on_time", 1., 0.),
        ("due", 1., 0.),
        ("rework", 1., 0.),
        ("extended", 1., 0.),
        ("declined", 0., 1.),
        ("withdrawn", 0., 0.),
    ] {
        assert_eq!(first["figures"][name], here, "{name}");
        assert_eq!(second["figures"][name], there, "{name}");
    }
    assert_eq!(first["indicators"]["on_time_closing_rate"], 100.);
    assert_eq!(first["indicators"]["extension_rate"], 50.);
    assert_eq!(second["indicators"]["on_time_closing_rate"], Value::Null);
    // 50 for closing on time, 20 for closing, a fifth of a point less for the rework.
    assert_eq!((&first["score"], &first["rank"]), (&json!(69.8), &json!(1)));
    for row in items {
        let template = row["cases"].as_str().unwrap();
        for (name, count) in row["figures"].as_object().unwrap() {
            if name.ends_with("minutes") || name.ends_with("swept") {
                continue;
            }
            let address = template.replace("{&figure}", &format!("&figure={name}"));
            let (status, cases) = gateway.ask(Method::GET, &address, None).await;
            let is_of_cases = !["duties", "duties_attended", "driven_km", "reporting_hours"]
                .contains(&name.as_str());
            if !is_of_cases {
                assert_eq!(status, 400, "{name}");
                continue;
            }
            let found = cases["items"].as_array().unwrap().len();
            assert_eq!(
                count.as_f64().unwrap().to_string(),
                found.to_string(),
                "{name}"
            );
        }
    }
    // The same for a department whose name has to be encoded, within a jurisdiction.
    let path = "/api/v1/evaluation?level=department&jurisdiction=140105";
    let rows = gateway.items(path).await;
    let row = rows
        .iter()
        .find(|row| row["figures"]["closed"] == 1.)
        .unwrap();
    assert_eq!(row["subject"], "=cmd|' /C calc'!A0");
    let template = row["cases"].as_str().unwrap();
    let address = template.replace("{&figure}", "&figure=closed");
    assert_eq!(gateway.items(&address).await.len(), 1);
    let address = address.replace("140105", "140106");
    assert_eq!(gateway.items(&address).await.len(), 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_hold_no_formula_and_no_markup() {
    let gateway = TestGateway::start(&[]).await;
    three_cases(&gateway).await;
    let get = async |format: &str| {
        let path = format!("/api/v1/evaluation?level=department&period=day&format={format}");
        let (status, body) = http_client::get(&gateway.http(), &path).await.unwrap();
        assert_eq!(status, 200);
        body.to_vec()
    };
    let text = String::from_utf8(get("csv").await).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("period,from,to,level,subject,name,reported,"));
    assert!(lines[0].ends_with(",score,rank,formulas"));
    assert!(text.contains(",department,'=cmd|' /C calc'!A0,,"), "{text}");
    assert!(text.contains(",department,<i>squad</i> & 2,,"), "{text}");
    let book = String::from_utf8_lossy(&get("xlsx").await).into_owned();
    assert!(book.starts_with("PK\u{3}\u{4}"));
    for part in [
        ">=cmd|&apos; /C calc&apos;!A0</t>",
        ">&lt;i&gt;squad&lt;/i&gt; &amp; 2</t>",
        ">on_time ÷ due × 100</t>",
    ] {
        assert!(book.contains(part), "{part}");
    }
    assert!(!book.contains("<f>") && !book.contains("<i>"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_evaluated_is_said() {
    let gateway = TestGateway::start(&[("evaluation.days_max", "31")]).await;
    for (query, expected) in [
        ("level=planet", "level: one of city, district"),
        ("period=year", "period: one of day, week, month"),
        ("format=pdf", "format: one of json, csv, xlsx"),
        ("from=2026-02-30", "from: expected a day"),
        ("to=yesterday", "to: expected a day"),
        ("to=9999-12-31", "to: expected a day"),
        (
            "from=2026-03-02&to=2026-03-01&period=day",
            "from: not after to",
        ),
        (
            "from=2026-01-31&to=2026-02-01",
            "at most 31 days in whole periods",
        ),
        ("jurisdiction=1401%27", "jurisdiction: it is the beginning"),
    ] {
        let path = format!("/api/v1/evaluation?{query}");
        let (status, problem) = gateway.ask(Method::GET, &path, None).await;
        assert_eq!(status, 400, "{query}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(expected), "{query}: {detail}");
    }
    // Long before there was anything.
    let path = "/api/v1/evaluation?from=0100-01-01&to=0100-01-31";
    assert_eq!(gateway.ask(Method::GET, path, None).await.0, 200);
    let (status, _) = gateway
        .ask(
            Method::GET,
            "/api/v1/evaluation/cases?day=2026-01-01&figure=nothing",
            None,
        )
        .await;
    assert_eq!(status, 400);
    let formulas = gateway.json("/api/v1/evaluation/formulas").await;
    assert_eq!(formulas["indicators"][0]["formula"], "on_time ÷ due × 100");
    gateway.stop().await;
}

/// What is added up of duties and positions is in the same table.
#[tokio::test(flavor = "multi_thread")]
async fn a_vehicle_that_reports_attends_its_duty() {
    use harness::{now_s, report, until};
    use tools::wire::Revision;

    let folder = tempfile::tempdir().unwrap();
    let vehicles = "vehicle,phone,plate,work_kind,crew\nV1,13800000001,晋A1,sweeper,C1\n\
                    V2,13800000002,晋A2,sweeper,C1\n";
    let mut settings = harness::catalog(
        folder.path(),
        r#"{"type":"FeatureCollection","features":[]}"#,
        vehicles,
    );
    for (key, text) in [
        ("shifts", "shift,days,from,to\nwhole,daily,00:00,24:00\n"),
        ("assignments", "crew,shift\nC1,whole\n"),
    ] {
        let path = folder.path().join(key);
        std::fs::write(&path, text).unwrap();
        settings.push((format!("catalog.{key}"), path.display().to_string()));
    }
    let settings: Vec<_> = settings
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let gateway = TestGateway::start(&settings).await;
    moments::early_in_the_day().await;
    let now = now_s();
    let mut terminal = gateway.terminal("13800000001", Revision::V2019).await;
    let fix = report(37.87, 112.55, now);
    let serial = terminal.send_location(&fix).await.unwrap();
    assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    let path = "/api/v1/evaluation?level=vehicle&period=day";
    let rows = until("a reporting hour", async || {
        let rows = gateway.items(path).await;
        let there = rows
            .iter()
            .any(|row| row["figures"]["reporting_hours"] == 1.);
        there.then_some(rows)
    })
    .await;
    let today = Timestamp(now * 1_000);
    let (day, _) = storage::evaluation::hour_of(today);
    let of = |id: &str| {
        let mut found = rows.iter().filter(|row| row["subject"] == id);
        let row = found.next().unwrap();
        assert_eq!(row["from"], gateway::evaluation::date(day));
        let indicators = &row["indicators"];
        (row["name"].clone(), indicators["attendance_rate"].clone())
    };
    assert_eq!(of("V1"), (json!("晋A1"), json!(100.)));
    assert_eq!(of("V2"), (json!("晋A2"), json!(0.)));
    let crews = gateway
        .items("/api/v1/evaluation?level=crew&period=day")
        .await;
    assert_eq!(crews[0]["subject"], "C1");
    assert_eq!(crews[0]["indicators"]["attendance_rate"], 50.);
    gateway.stop().await;
}
