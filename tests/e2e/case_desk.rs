//! People move cases through the API.

use harness::{TestGateway, http_client::Method};

use serde_json::{Value, json};

fn with(mut base: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    base.as_object_mut().unwrap().extend(more);
    base
}

fn by_hand(more: Value) -> Value {
    let body = json!({
        "actor": "Wang", "role": "operator", "source": "citizen", "category": "0104",
        "description": "<b>leaves</b> =cmd", "unit_grid": "140105001001001", "key": "call 1",
    });
    with(body, more)
}

async fn post(gateway: &TestGateway, path: &str, body: &Value) -> (u16, Value) {
    gateway.ask(Method::POST, path, Some(body)).await
}

/// Asks for a move of what is stored now.
async fn make(
    gateway: &TestGateway,
    id: &str,
    name: &str,
    role: &str,
    more: Value,
) -> (u16, Value) {
    let path = format!("/api/v1/cases/{id}");
    let version = gateway.json(&path).await["version"].clone();
    let body = json!({"move": name, "version": version, "actor": "Li", "role": role});
    post(gateway, &format!("{path}/moves"), &with(body, more)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_by_hand_goes_its_whole_way() {
    let gateway = TestGateway::start(&[]).await;
    let (status, case) = post(&gateway, "/api/v1/cases", &by_hand(json!({}))).await;
    assert_eq!(status, 201, "{case:#}");
    assert_eq!(case["stage"], "collected");
    assert_eq!(case["handler"], "140105");
    assert_eq!(case["history"][0]["actor"], "Wang");
    assert_eq!(case["number"].as_str().unwrap().len(), 19);
    let clocks = case["clocks"].as_array().unwrap();
    assert_eq!(clocks[0]["limit"], "4 work hours");
    assert!(clocks[0]["remaining_s"].as_i64().unwrap() > 0);
    let id = case["id"].as_str().unwrap().to_owned();
    // The same call again is the same case.
    let (status, again) = post(&gateway, "/api/v1/cases", &by_hand(json!({}))).await;
    assert_eq!((status, &again["id"]), (200, &case["id"]));

    let (status, refused) = make(&gateway, &id, "close", "operator", json!({})).await;
    assert_eq!(status, 409, "{refused:#}");
    let allowed = refused["allowed_moves"].as_array().unwrap();
    assert!(
        allowed.iter().any(|row| row["move"] == "accept"),
        "{refused:#}"
    );
    let (status, _) = make(&gateway, &id, "accept", "department", json!({})).await;
    assert_eq!(status, 409);
    let (status, _) = make(
        &gateway,
        &id,
        "accept",
        "operator",
        json!({"scope": "140106"}),
    )
    .await;
    assert_eq!(status, 403);
    let (status, _) = make(&gateway, &id, "decline", "operator", json!({})).await;
    assert_eq!(status, 422, "a refusal needs words");

    for (name, role, more) in [
        ("accept", "operator", json!({"scope": "140105"})),
        ("file", "operator", json!({})),
        ("dispatch", "dispatcher", json!({"department": "squad 2"})),
        (
            "handle",
            "department",
            json!({"actor_department": "squad 2"}),
        ),
        ("verify_fail", "inspector", json!({"remark": "still there"})),
        ("handle", "department", json!({})),
        ("verify_pass", "inspector", json!({})),
        ("close", "operator", json!({})),
    ] {
        let (status, made) = make(&gateway, &id, name, role, more).await;
        assert_eq!(status, 200, "{name}: {made:#}");
    }
    let case = gateway.json(&format!("/api/v1/cases/{id}")).await;
    assert_eq!(
        (&case["stage"], &case["rework"]),
        (&json!("closed"), &json!(1))
    );
    assert_eq!(case["history"].as_array().unwrap().len(), 9);
    assert_eq!(case["version"], 9);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_version_is_refused_and_a_key_is_used_once() {
    let gateway = TestGateway::start(&[]).await;
    let (_, case) = post(&gateway, "/api/v1/cases", &by_hand(json!({}))).await;
    let path = format!("/api/v1/cases/{}/moves", case["id"].as_str().unwrap());
    let accept =
        json!({"move": "accept", "version": 1, "actor": "Li", "role": "operator", "key": "k"});
    let (status, made) = post(&gateway, &path, &accept).await;
    assert_eq!((status, &made["repeated"]), (200, &json!(false)));
    let (status, made) = post(&gateway, &path, &accept).await;
    assert_eq!((status, &made["repeated"]), (200, &json!(true)));
    let stale = json!({"move": "file", "version": 1, "actor": "Zhao", "role": "operator"});
    let (status, refused) = post(&gateway, &path, &stale).await;
    assert_eq!(
        (status, &refused["version"]),
        (409, &json!(2)),
        "{refused:#}"
    );
    for (wrong, expected) in [
        (
            json!({"move": "fly", "version": 2, "actor": "Li", "role": "operator"}),
            400,
        ),
        (
            json!({"move": "file", "version": 2, "actor": "Li", "role": "system"}),
            400,
        ),
        (
            json!({"move": "file", "version": 2, "actor": " ", "role": "operator"}),
            400,
        ),
        (
            json!({"move": "file", "version": 2, "actor": "Li", "role": "operator", "category": "x"}),
            422,
        ),
    ] {
        let (status, problem) = post(&gateway, &path, &wrong).await;
        assert_eq!(status, expected, "{problem:#}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_jurisdiction_lists_its_own() {
    let gateway = TestGateway::start(&[]).await;
    for (key, grid) in [("1", "140105001001001"), ("2", "140106001001001")] {
        let body = by_hand(json!({"key": key, "unit_grid": grid}));
        assert_eq!(post(&gateway, "/api/v1/cases", &body).await.0, 201);
    }
    for (filter, count) in [
        ("", 2),
        ("?scope=140105", 1),
        ("?scope=140105&jurisdiction=140105001", 1),
        ("?scope=1401&jurisdiction=140106", 1),
        ("?source=citizen&category=0104&sort=due", 2),
        ("?overdue=true", 0),
        ("?stage=closed", 0),
        ("?department=nobody", 0),
    ] {
        let found = gateway.items(&format!("/api/v1/cases{filter}")).await;
        assert_eq!(found.len(), count, "{filter}");
    }
    let outside = "/api/v1/cases?scope=140105&jurisdiction=140106";
    assert_eq!(gateway.ask(Method::GET, outside, None).await.0, 403);
    let moves = gateway.items("/api/v1/case-moves").await;
    assert!(moves.iter().any(|row| row["move"] == "hand_over"));
    gateway.stop().await;
}
