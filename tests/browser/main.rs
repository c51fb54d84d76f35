//! The page in a real browser against the real demo: one command, vehicles that move, a case, details
//! behind every click.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod desk;
mod due;

use std::time::Duration;

use fantoccini::Locator;
use harness::{
    browser::{Browser, Colors},
    process::Process,
};
use tools::{
    terminal::{Identity, Terminal},
    wire::Revision,
};

/// A new user is promised vehicles that move within ten seconds, and a case within two minutes. Here the
/// browser draws without a graphics card, beside the demo and whatever else the machine does.
const VEHICLES: Duration = Duration::from_secs(60);
const FIRST_CASE: Duration = Duration::from_secs(240);
/// For what only has to be drawn.
const DRAWN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_a_city_at_work() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let demo = Process::start("demo", folder.path(), &[]);
    browser
        .client
        .goto(&format!("http://{}/", demo.http))
        .await
        .unwrap();

    vehicles_move(&browser).await;
    a_case_appears_and_opens(&browser).await;
    a_vehicle_opens(&browser).await;
    the_language_changes(&browser).await;
    a_case_on_paper_says_why_in_both_languages(&browser, &demo).await;

    let errors = browser.console_errors();
    assert!(errors.is_empty(), "the console says: {errors:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_track_is_open_at_its_gap_and_marks_its_stop() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let gateway = Process::start("serve", folder.path(), &[]);
    let identity = Identity::new("13800000001", Revision::V2013).unwrap();
    let mut terminal = Terminal::connect(&gateway.tcp, identity, harness::PATIENCE)
        .await
        .unwrap();
    terminal.log_in().await.unwrap();
    // Half an hour of a curve with a stop of three minutes, and a gap of ten.
    let start = harness::now_s() - 1_800;
    let seconds = (0..1_800_i64)
        .filter(|s| !(1_000..1_600).contains(s))
        .step_by(5);
    let reports: Vec<_> = seconds
        .map(|second| {
            let is_standing = (400..580).contains(&second);
            let turn = if is_standing { 400 } else { second } as f64 / 900.0;
            let (lat, lon) = (37.87 + turn.sin() / 500.0, 112.55 + turn.cos() / 500.0);
            let mut report = harness::report(lat, lon, start + second);
            report.speed_dkmh = if is_standing { 0 } else { 300 };
            report
        })
        .collect();
    for portion in reports.chunks(20) {
        let serial = terminal.send_batch(false, portion).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    let path = "/api/v1/terminals/13800000001/track?simplify=1000";
    harness::until("all fixes are stored", async || {
        let (_, body) = harness::http_client::get(&gateway.http, path)
            .await
            .unwrap();
        let track: serde_json::Value = serde_json::from_slice(&body).unwrap();
        (track["simplified"]["fixes"] == reports.len()).then_some(())
    })
    .await;
    let page = format!("http://{}/", gateway.http);
    browser.client.goto(&page).await.unwrap();
    let ready = "return document.body.dataset.ready === 'true' && gridtrace.phones().length === 1";
    browser.wait("the vehicle", DRAWN, ready).await;
    let search = browser.client.find(Locator::Id("search")).await.unwrap();
    search.send_keys("13800000001").await.unwrap();
    search.send_keys("\u{e007}").await.unwrap();
    let track = browser
        .wait("the track", DRAWN, "return gridtrace.track()")
        .await;
    assert_eq!(track["fixes"], reports.len(), "{track}");
    assert_eq!(
        (&track["lines"], &track["gaps"], &track["stops"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert!(track["points"].as_u64().unwrap() < 100, "{track}");
    browser
        .wait("the flight's end", DRAWN, "return gridtrace.isStill()")
        .await;
    browser.screenshot("track").await;
    let errors = browser.console_errors();
    assert!(errors.is_empty(), "the console says: {errors:#?}");
}

async fn vehicles_move(browser: &Browser) {
    let body = "const d = document.body.dataset; return d.connection === 'live' && ";
    browser
        .wait(
            "vehicles",
            VEHICLES,
            &format!("{body} Number(d.moving) > 0"),
        )
        .await;
    // Where all are now, kept in the page; then how many are elsewhere.
    browser
        .run("window.before = new Map(gridtrace.phones().map((p) => [p, gridtrace.place(p).join()]))")
        .await;
    let elsewhere =
        "return [...before].filter(([p, at]) => gridtrace.place(p)?.join() !== at).length > 20";
    browser
        .wait("twenty vehicles elsewhere", VEHICLES, elsewhere)
        .await;
    browser
        .wait(
            "the map",
            DRAWN,
            "return document.body.dataset.ready === 'true'",
        )
        .await;
    browser
        .wait("frames", DRAWN, "return gridtrace.counts().frames > 3")
        .await;
    assert_drawn(browser.screenshot("vehicles").await);
}

async fn a_case_appears_and_opens(browser: &Browser) {
    browser
        .wait(
            "a case",
            FIRST_CASE,
            "return Number(document.body.dataset.cases) > 0",
        )
        .await;
    // One of a fence, so that there is something to be seen around it.
    let of_fence = "#case-list li[data-kind=keep_out]";
    let is_there = format!("return document.querySelector('{of_fence}') !== null");
    browser
        .wait("a case of a fence", FIRST_CASE, &is_there)
        .await;
    let first = browser
        .client
        .find(Locator::Css(&format!("{of_fence} button")))
        .await
        .unwrap();
    let id = first.find(Locator::XPath("..")).await.unwrap();
    let id = id.attr("data-id").await.unwrap();
    let id = serde_json::json!(id);
    // New cases may push it down at any moment; it stays the same element.
    first.click().await.unwrap();
    let shown = browser.wait("the case's card", DRAWN, &card("case")).await;
    assert_eq!(shown["id"], id);
    assert!(shown["facts"].as_u64().unwrap() >= 10, "{shown}");
    assert!(
        shown["fixes"].as_u64().unwrap() > 0,
        "a case without evidence: {shown}"
    );
    browser
        .wait("the flight's end", DRAWN, "return gridtrace.isStill()")
        .await;
    assert_drawn(browser.screenshot("case").await);
    the_case_says_why(browser).await;
    escape_closes(browser).await;
}

async fn the_case_says_why(browser: &Browser) {
    browser
        .run("document.querySelector('.explain .ask').click()")
        .await;
    let told = browser.wait("why", DRAWN, EXPLANATION).await;
    let checks = told["checks"].as_array().unwrap();
    assert!(checks.iter().any(|stage| stage == "open"), "{told}");
    for part in ["facts", "fixes", "numbers"] {
        assert!(told[part].as_u64().unwrap() > 0, "no {part}: {told}");
    }
    browser
        .run("document.querySelector('.explanation').scrollIntoView()")
        .await;
    browser.screenshot("why").await;
}

async fn a_case_on_paper_says_why_in_both_languages(browser: &Browser, demo: &Process) {
    let json = async |path: &str| {
        let (status, body) = harness::http_client::get(&demo.http, path).await.unwrap();
        assert_eq!(status, 200, "{path}");
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()
    };
    let cases = json("/api/v1/cases?limit=1").await;
    let id = cases["items"][0]["id"].as_str().unwrap();
    let evidence = format!("/api/v1/cases/{id}/evidence");
    let why = "return document.querySelector('section.explanation p').textContent";
    let mut told = Vec::new();
    for (language, key) in [("en", "sentence"), ("zh", "sentence_zh")] {
        let page = format!("http://{}/cases/{id}/print?lang={language}", demo.http);
        // The city goes on: both are asked until they are of the same moment.
        let why = harness::until_within(DRAWN, "both say the same", async || {
            browser.client.goto(&page).await.unwrap();
            let why = browser.run(why).await;
            (why == json(&evidence).await["explanation"][key]).then_some(why)
        })
        .await;
        told.push(why);
        browser
            .run("document.querySelector('section.explanation').scrollIntoView()")
            .await;
        browser.screenshot(&format!("print-why-{language}")).await;
    }
    assert_ne!(told[0], told[1]);
}

/// Asks of the chosen vehicle about a rule, and gives what the card says.
async fn why_not(browser: &Browser, rule: &str) -> serde_json::Value {
    let choose = format!(
        "const list = document.querySelector('.explain-rule'); list.value = '{rule}'; \
         if (list.value !== '{rule}') return false; list.dispatchEvent(new Event('change')); \
         document.querySelector('.explain .ask').click(); return true"
    );
    browser.wait("the rule in the list", DRAWN, &choose).await;
    browser.wait("why not", DRAWN, EXPLANATION).await
}

/// What the open card explains.
const EXPLANATION: &str = "const box = document.querySelector('.explanation'); \
    if (box?.dataset.state !== 'answered') return false; const count = (all) => \
    box.querySelectorAll(all).length; return { checks: [...box.querySelectorAll('.check')].map((c) => \
    c.dataset.stage), why: box.querySelector('.check-why').textContent, facts: count('.facts dd'), \
    fixes: count('.fixes tbody tr'), numbers: count('.check .facts dd') };";

#[tokio::test(flavor = "multi_thread")]
async fn a_vehicle_is_asked_why_a_rule_has_found_nothing() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let demo = Process::start("demo", folder.path(), &["--vehicles", "60"]);
    let page = format!("http://{}/", demo.http);
    browser.client.goto(&page).await.unwrap();
    // The first sweeper that does not act has a route and turns its brush.
    let ready = "return document.body.dataset.ready === 'true' && gridtrace.place('13800000007')";
    browser.wait("the sweeper", VEHICLES, ready).await;
    let search = browser.client.find(Locator::Id("search")).await.unwrap();
    search.send_keys("13800000007").await.unwrap();
    search.send_keys("\u{e007}").await.unwrap();
    browser.wait("its card", DRAWN, &card("vehicle")).await;
    // Rules are judged from what is stored: not of its very first moments.
    let told = harness::until_within(DRAWN, "the rule is quiet", async || {
        let told = why_not(&browser, "duty-140105").await;
        let is_quiet = told["checks"] == serde_json::json!(["quiet"]);
        (is_quiet && told["fixes"].as_u64() > Some(0)).then_some(told)
    })
    .await;
    // Its card is redrawn each second; what was asked stays.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(browser.run(EXPLANATION).await["why"], told["why"]);
    browser
        .run("document.querySelector('.explanation').scrollIntoView()")
        .await;
    browser.screenshot("why-not").await;

    // Yesterday it was not there.
    let yesterday = "const at = document.querySelector('.explain-at'); \
        const day = new Date(Date.now() - 864e5 - new Date().getTimezoneOffset() * 6e4); \
        at.value = day.toISOString().slice(0, 19); at.dispatchEvent(new Event('input'))";
    browser.run(yesterday).await;
    let told = why_not(&browser, "duty-140105").await;
    assert_eq!(told["checks"], serde_json::json!(["unjudged"]), "{told}");

    the_language_changes(&browser).await;
    let told = browser
        .wait("why not, in Chinese", DRAWN, EXPLANATION)
        .await;
    assert_eq!(told["why"], "此刻之前没有可用的定位点。", "{told}");
    browser
        .run("document.querySelector('.explanation').scrollIntoView()")
        .await;
    browser.screenshot("why-not-zh").await;
    let errors = browser.console_errors();
    assert!(errors.is_empty(), "the console says: {errors:#?}");
}

async fn a_vehicle_opens(browser: &Browser) {
    // By search and keyboard first: it brings the vehicle to where it can be clicked.
    // The lowest number and not the first to arrive: every run then sees the same place, a fence.
    let phone = browser.run("return gridtrace.phones().toSorted()[0]").await;
    let phone = phone.as_str().unwrap();
    let search = browser.client.find(Locator::Id("search")).await.unwrap();
    search.send_keys(phone).await.unwrap();
    search.send_keys("\u{e007}").await.unwrap();
    let shown = browser
        .wait("the vehicle's card", DRAWN, &card("vehicle"))
        .await;
    assert_eq!(shown["id"], phone);
    assert!(shown["facts"].as_u64().unwrap() >= 10, "{shown}");
    browser
        .wait("the flight's end", DRAWN, "return gridtrace.isStill()")
        .await;
    assert_drawn(browser.screenshot("vehicle").await);
    escape_closes(browser).await;

    let pixel = browser
        .run(&format!("return gridtrace.pixel('{phone}')"))
        .await;
    let at = |index: usize| pixel[index].as_f64().unwrap().round();
    browser.click_at(at(0), at(1)).await;
    browser
        .wait("the card after a click on the map", DRAWN, &card("vehicle"))
        .await;
    escape_closes(browser).await;
}

async fn the_language_changes(browser: &Browser) {
    let title = "return document.querySelector('.cases h2').textContent.includes";
    let before = browser.run(&format!("{title}('Cases')")).await;
    assert_eq!(before, true, "the browser's language is English");
    browser
        .client
        .find(Locator::Id("language"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    let is_chinese = format!("{title}('案件') && document.documentElement.lang === 'zh-CN'");
    browser.wait("Chinese", DRAWN, &is_chinese).await;
}

async fn escape_closes(browser: &Browser) {
    browser
        .client
        .find(Locator::Css("body"))
        .await
        .unwrap()
        .send_keys("\u{e00c}")
        .await
        .unwrap();
    browser
        .wait(
            "no card",
            DRAWN,
            "return document.getElementById('details').hidden",
        )
        .await;
}

/// Gives what the open card of this type shows.
fn card(kind: &str) -> String {
    format!(
        "const card = document.getElementById('details'); \
         if (card.hidden || card.dataset.type !== '{kind}') return false; \
         return {{ id: card.dataset.id, facts: card.querySelectorAll('.facts dd').length, \
         fixes: card.querySelectorAll('.fixes tbody tr').length }};"
    )
}

/// A page that failed to draw is one colour, or few.
fn assert_drawn(colors: Colors) {
    assert!(
        colors.distinct > 60 && colors.largest_share < 0.8,
        "nothing is seen: {colors:?}"
    );
}
