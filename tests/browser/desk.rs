//! The case desk: a case is moved, a conflict is told, and nothing that people say becomes markup.

use fantoccini::Locator;
use harness::{
    browser::Browser,
    http_client::{self, Method},
    process::Process,
};
use serde_json::{Value, json};

use super::DRAWN;

/// Markup, quotes of both kinds, control characters, and marks that turn the writing about.
const HOSTILE: &str = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'\
                       </script>&amp;=cmd'\"`\u{1b}[31m\u{7}\u{202e}evil\u{202c}\u{2067}\u{200f}";

pub(crate) async fn post(gateway: &Process, path: &str, body: &Value) -> Value {
    let (status, body) = http_client::ask(&gateway.http, Method::POST, path, Some(body))
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!((200..300).contains(&status), "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

async fn report(gateway: &Process, key: &str, grid: &str) -> String {
    let body = json!({
        "actor": HOSTILE, "role": "operator", "source": "citizen", "category": "0104",
        "description": HOSTILE, "remark": HOSTILE, "department": HOSTILE, "unit_grid": grid,
        "lat": 37.87, "lon": 112.55, "key": key,
    });
    let case = post(gateway, "/api/v1/cases", &body).await;
    case["id"].as_str().unwrap().to_owned()
}

/// Nothing of what was said became an element, and none of it ran.
async fn assert_no_markup(browser: &Browser) {
    let found = browser
        .run("return [document.querySelectorAll('body img, body script').length, document.title]")
        .await;
    assert_eq!(found[0], 0, "{found}");
    assert_ne!(found[1], "taken");
}

async fn open_form(browser: &Browser, name: &str) {
    let click = format!(
        "const button = document.querySelector('button[data-move={name}]'); if (!button) return false; \
         button.click(); return true"
    );
    browser.wait(name, DRAWN, &click).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_moved_at_the_desk_and_a_conflict_is_told() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let gateway = Process::start("serve", folder.path(), &[]);
    let id = report(&gateway, "1", "140105001001001").await;
    report(&gateway, "2", "140106001001001").await;
    browser
        .client
        .goto(&format!("http://{}/desk", gateway.http))
        .await
        .unwrap();
    let rows =
        |count: usize| format!("return document.querySelectorAll('#rows tr').length === {count}");
    browser.wait("two cases", DRAWN, &rows(2)).await;
    assert_no_markup(&browser).await;
    browser.screenshot("desk-list").await;

    // A case is found by its number, and one with a digit too many is nobody's.
    let path = format!("/api/v1/cases/{id}");
    let (_, case) = http_client::get(&gateway.http, &path).await.unwrap();
    let case: Value = serde_json::from_slice(&case).unwrap();
    let number = case["number"].as_str().unwrap();
    let field = Locator::Id("filter-search");
    let field = browser.client.find(field).await.unwrap();
    field.send_keys(number).await.unwrap();
    browser.wait("the case", DRAWN, &rows(1)).await;
    let shown = browser.run("return document.getElementById('rows').textContent");
    assert!(shown.await.as_str().unwrap().contains(number));
    field.send_keys("0").await.unwrap();
    browser.wait("no case", DRAWN, &rows(0)).await;
    browser
        .run(
            "const field = document.getElementById('filter-search'); field.value = ''; \
              field.dispatchEvent(new Event('input', { bubbles: true }))",
        )
        .await;
    browser.wait("two cases again", DRAWN, &rows(2)).await;

    let area = Locator::Id("filter-jurisdiction");
    let area = browser.client.find(area).await.unwrap();
    area.send_keys("140105").await.unwrap();
    browser.wait("one case", DRAWN, &rows(1)).await;

    // Who acts is asked for before anything is done.
    browser
        .run(
            "const role = document.getElementById('role'); role.value = 'operator'; \
              role.dispatchEvent(new Event('input', { bubbles: true }))",
        )
        .await;
    browser
        .run("document.querySelector('#rows tr').click()")
        .await;
    let shown = format!("return document.getElementById('case').dataset.id === '{id}'");
    browser.wait("the case", DRAWN, &shown).await;
    // As it was said, and as nothing else.
    let text = "return document.getElementById('case').textContent";
    let text = browser.run(text).await;
    assert!(text.as_str().unwrap().contains(HOSTILE), "{text}");
    assert_no_markup(&browser).await;
    open_form(&browser, "accept").await;
    let submit = "document.querySelector('.move-form').requestSubmit()";
    browser.run(submit).await;
    let told = |kind: &str| format!("return document.querySelector('.told.{kind}')?.textContent");
    browser
        .wait("a name is missing", DRAWN, &told("problem"))
        .await;
    let actor = browser.client.find(Locator::Id("actor")).await.unwrap();
    actor.send_keys("Li").await.unwrap();
    browser.run(submit).await;
    let stage =
        |stage: &str| format!("return document.getElementById('case').dataset.stage === '{stage}'");
    browser.wait("accepted", DRAWN, &stage("accepted")).await;

    // While its form is open somebody else files it: what was typed stays, and nothing is done twice.
    open_form(&browser, "note").await;
    let remark = Locator::Css(".move-form textarea");
    let remark = browser.client.find(remark).await.unwrap();
    remark.send_keys("asked by telephone").await.unwrap();
    let path = format!("/api/v1/cases/{id}");
    let (_, now) = http_client::get(&gateway.http, &path).await.unwrap();
    let now: Value = serde_json::from_slice(&now).unwrap();
    let file =
        json!({"move": "file", "version": now["version"], "actor": "Zhao", "role": "leader"});
    post(&gateway, &format!("{path}/moves"), &file).await;
    browser.run(submit).await;
    browser.wait("the conflict", DRAWN, &told("conflict")).await;
    browser.wait("filed", DRAWN, &stage("filed")).await;
    let typed = "return document.querySelector('.move-form textarea').value";
    assert_eq!(browser.run(typed).await, "asked by telephone");
    browser.screenshot("desk-conflict").await;
    browser.run(submit).await;
    browser.wait("done", DRAWN, &told("good")).await;
    let noted = "return document.querySelector('.history li[data-move=note] .said')?.textContent";
    assert_eq!(
        browser.wait("the note", DRAWN, noted).await,
        "asked by telephone"
    );
    assert_no_markup(&browser).await;
    browser.screenshot("desk-case").await;

    let mut errors = browser.console_errors();
    // The browser itself says that a request was refused.
    errors.retain(|line| !line.contains("409"));
    assert!(errors.is_empty(), "the console says: {errors:#?}");

    for language in ["en", "zh"] {
        let page = format!("http://{}/cases/{id}/print?lang={language}", gateway.http);
        browser.client.goto(&page).await.unwrap();
        assert_no_markup(&browser).await;
        let text = browser.run("return document.body.textContent").await;
        assert!(text.as_str().unwrap().contains(HOSTILE), "{text}");
        let scale = "return document.querySelectorAll('svg.map .scale, svg.map .north').length";
        assert_eq!(browser.run(scale).await, 2);
        browser.screenshot(&format!("print-{language}")).await;
    }
    let errors = browser.console_errors();
    assert!(errors.is_empty(), "the console says: {errors:#?}");
}
