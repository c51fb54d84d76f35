//! Until when something is due, and that it is late, is seen in the list and at the case.

use harness::{browser::Browser, process::Process};
use serde_json::json;

use super::{DRAWN, desk::post};

/// The limit of a minute, the clocks that are looked at every second, and the list that is read anew
/// every ten.
const LATE: std::time::Duration = std::time::Duration::from_secs(100);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_says_until_when_and_then_that_it_is_late() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    let limits = "[defaults]\nverifies = []\n[defaults.limits]\nfiling = \"1 minutes\"\n";
    std::fs::write(&policy, limits).unwrap();
    let settings = [
        ("GRIDTRACE__CASES__POLICY", policy.to_str().unwrap()),
        ("GRIDTRACE__CASES__CLOCK_INTERVAL", "1s"),
    ];
    let gateway = Process::start_with("serve", &folder.path().join("data"), &[], &settings);
    let body = json!({
        "actor": "Li", "role": "operator", "category": "0104", "description": "leaves",
        "unit_grid": "140105001001001",
    });
    let case = post(&gateway, "/api/v1/cases", &body).await;
    let (id, version) = (case["id"].as_str().unwrap(), &case["version"]);
    let accept = json!({"move": "accept", "version": version, "actor": "Li", "role": "operator"});
    post(&gateway, &format!("/api/v1/cases/{id}/moves"), &accept).await;

    let page = format!("http://{}/desk#{id}", gateway.http);
    browser.client.goto(&page).await.unwrap();
    // The last column, and the clock of the case that runs.
    let shown = "const due = document.querySelector('#rows tr td:last-child'); \
                 const clock = document.querySelector('#case [data-clock=filing]'); \
                 return due && clock && [due.textContent, due.classList.contains('overdue'), \
                 Boolean(due.querySelector('.late-mark')), clock.classList.contains('overdue'), \
                 clock.querySelector('.clock-left').textContent]";
    let due = browser.wait("the case with its clock", DRAWN, shown).await;
    let until = due[0].as_str().unwrap();
    assert!(until.contains(':'), "until when: {due}");
    assert_eq!(
        due.as_array().unwrap()[1..4],
        [false, false, false],
        "{due}"
    );
    let left = due[4].as_str().unwrap();
    assert!(left.contains(until), "{due}");
    browser.screenshot("desk-due").await;

    let is_late = "const due = document.querySelector('#rows td.overdue .late-mark'); \
                   return Boolean(due) && due.textContent.length > 0";
    browser.wait("late in the list", LATE, is_late).await;
    let is_late = "return Boolean(document.querySelector('#case .clock-line.overdue'))";
    browser.wait("late at the case", LATE, is_late).await;
    let late = browser.run(shown).await;
    assert_eq!(late.as_array().unwrap()[1..4], [true, true, true], "{late}");
    // A day may have begun in between, and then the date is shown, or no more.
    let (_, time) = until.split_at(until.len() - "23:59:59".len());
    assert!(late[0].as_str().unwrap().contains(time), "{late}");
    assert_ne!(late[4].as_str().unwrap(), left);
    browser.screenshot("desk-late").await;

    // Of two cases only the late one is there when nothing else is asked for.
    post(&gateway, "/api/v1/cases", &body).await;
    let rows =
        |count: usize| format!("return document.querySelectorAll('#rows tr').length === {count}");
    browser.wait("two cases", DRAWN, &rows(2)).await;
    browser
        .run("document.getElementById('filter-overdue').click()")
        .await;
    browser.wait("one case", DRAWN, &rows(1)).await;
    let own = "return document.querySelector('#rows tr').dataset.id";
    assert_eq!(browser.run(own).await, id);
    let errors = browser.console_errors();
    assert!(errors.is_empty(), "the console says: {errors:#?}");
}
