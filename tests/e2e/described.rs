//! Every answer that a test gets is held against `gateway/docs/openapi.json` by the harness. Here:
//! that this finds what is wrong.

use gateway::http_client::Answer;
use harness::{TestGateway, described::check, http_client::get};
use serde_json::{Value, json};

const PROBLEM: &str = "application/problem+json";

fn answer(status: u16, kind: &str, body: &Value) -> Answer {
    Answer {
        status,
        kind: kind.to_owned(),
        body: body.to_string().into(),
    }
}

fn wrong(method: &str, path: &str, answer: &Answer, what: &str) {
    let said = check(method, path, answer).unwrap_err();
    assert!(said.contains(what), "{method} {path}: {said}");
}

#[test]
fn an_answer_that_is_not_described_is_found() {
    let json = |status, body: &Value| answer(status, "application/json", body);
    let path = "/api/v1/receivers?x=y";
    let empty = json!({"items": [], "next": null});
    check("GET", path, &json(200, &empty)).unwrap();
    wrong("GET", path, &json(200, &json!({"items": []})), "next");
    wrong(
        "GET",
        path,
        &json(200, &json!({"items": {}, "next": null})),
        "items",
    );
    let more = json!({"items": [], "next": null, "total": 0});
    wrong("GET", path, &json(200, &more), "total");
    wrong(
        "GET",
        path,
        &json(200, &json!({"items": [{}], "next": null})),
        "/items/0",
    );
    wrong("GET", path, &json(206, &empty), "no such status");
    wrong(
        "GET",
        "/api/v1/recivers",
        &json(404, &empty),
        "no such path",
    );
    wrong("POST", path, &json(200, &empty), "no such method");
    wrong("GET", path, &answer(200, "text/html", &empty), "text/html");
    let torn = Answer {
        body: "{".into(),
        ..json(200, &empty)
    };
    wrong("GET", path, &torn, "EOF");
    let gone = Answer {
        body: "x".into(),
        ..answer(204, "", &Value::Null)
    };
    wrong("DELETE", "/api/v1/backtests/1", &gone, "a body");
}

#[test]
fn a_problem_that_is_none_is_found() {
    let path = "/api/v1/cases/0/moves";
    let problem =
        json!({"type": "about:blank", "title": "Not Found", "status": 404, "detail": "x"});
    check("POST", path, &answer(404, PROBLEM, &problem)).unwrap();
    wrong(
        "POST",
        path,
        &answer(404, "application/json", &problem),
        "media type",
    );
    wrong(
        "POST",
        path,
        &answer(418, PROBLEM, &problem),
        "no such status",
    );
    // A move that is refused says what may be done instead.
    wrong(
        "POST",
        path,
        &answer(409, PROBLEM, &problem),
        "allowed_moves",
    );
    let mut more = problem.clone();
    more["cause"] = "y".into();
    wrong("POST", path, &answer(404, PROBLEM, &more), "cause");
    let mut no_moment = problem;
    no_moment["status"] = "404".into();
    wrong("POST", path, &answer(404, PROBLEM, &no_moment), "/status");
}

#[test]
fn a_moment_that_is_none_is_found() {
    let path = "/api/v1/rejected-frames";
    let frames = |at: &str| {
        let frame = json!({"reason": "r", "received_at": at, "phone": null, "frame_hex": ""});
        answer(
            200,
            "application/json",
            &json!({"items": [frame], "next": null}),
        )
    };
    check("GET", path, &frames("2026-11-24T08:00:00Z")).unwrap();
    wrong("GET", path, &frames("yesterday"), "/received_at");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_asks_for_a_path_that_is_not_described_fails() {
    let gateway = TestGateway::start(&[]).await;
    let address = gateway.http();
    let asked = tokio::spawn(async move { get(&address, "/api/v1/nothing").await.is_ok() });
    let said = asked.await.unwrap_err().into_panic();
    let said = said.downcast::<String>().unwrap();
    assert!(said.contains("no such path"), "{said}");
    gateway.stop().await;
}
