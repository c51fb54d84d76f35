//! The receiver moves cases back, and both ways misbehave.

use std::collections::BTreeMap;

use harness::{now_s, until_within};
use tools::receive::Calls;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_outer_system_leads_every_case_to_its_end_once_whatever_fails() {
    let faults = Faults {
        refuse: 10,
        lose: 15,
        fail: 10,
        nonsense: 10,
        die: 5,
    };
    let (receiver, address) = receiver(faults).await;
    let url = format!("http://{address}/");
    let (gateway, _folder) = city(&receivers(&url, ", allow_private = true")).await;
    let calls = Calls {
        url: format!("http://{}/api/v1/callbacks/city", gateway.http())
            .parse()
            .unwrap(),
        forge: 50,
        stale: 50,
        replay: 50,
        repeat: 50,
    };
    receiver.call_back(calls).unwrap();
    let start = now_s() - 1_000;
    for number in 1..=3 {
        let phone = format!("1380000000{number}");
        let mut terminal = gateway.terminal(&phone, Revision::V2013).await;
        enter(&mut terminal, start).await;
    }
    // Each lost answer costs a second or more, and there are many.
    let cases = until_within(9 * PATIENCE, "all cases are closed", async || {
        let cases = gateway.items("/api/v1/cases").await;
        let is_over = cases.len() == 3 && cases.iter().all(|case| case["stage"] == "closed");
        is_over.then_some(cases)
    })
    .await;
    settled(&gateway).await;
    until("the last answer is there", async || {
        let calls = receiver.summary().calls;
        (calls.moved + calls.repeated >= 18).then_some(())
    })
    .await;
    for case in &cases {
        let id = case["id"].as_str().unwrap();
        let history = gateway.json(&format!("/api/v1/cases/{id}")).await["history"].clone();
        let mut made = BTreeMap::new();
        for line in history.as_array().unwrap() {
            if line["actor"] == "city: receiver" {
                *made
                    .entry(line["move"].as_str().unwrap().to_owned())
                    .or_insert(0) += 1;
            }
        }
        let once = [
            "accept",
            "close",
            "dispatch",
            "file",
            "handle",
            "verify_pass",
        ];
        assert_eq!(
            made,
            once.map(|name| (name.to_owned(), 1)).into(),
            "{history:#}"
        );
    }
    let summary = until("the receiver knows of the end", async || {
        let summary = receiver.summary();
        let is_over = summary.stages.values().all(|stage| stage == "closed");
        (summary.cases == 3 && is_over).then_some(summary)
    })
    .await;
    assert_eq!(summary.out_of_order, 0);
    // Read before the books: whatever the receiver has heard of, the gateway has counted. Of what it sent
    // it may not have heard: an answer can be late.
    let calls = receiver.summary().calls;
    let books = gateway.metrics().await;
    let count =
        |result: &str| books.value(&format!("gridtrace_callbacks_total{{result=\"{result}\"}}"));
    assert_eq!(count("moved"), 18);
    assert!(calls.moved <= 18, "{calls:?}");
    assert_eq!(calls.wrongly_taken, 0, "{calls:?}");
    assert!(count("bad_signature") + count("stale") >= calls.untrusted);
    // The end of a violation may be an event of its own, at a stage that was left already: what is asked
    // for then is refused, and so is a replay of it.
    assert!(count("replayed") + count("refused") >= calls.replayed + calls.refused);
    assert!(count("repeated") >= calls.repeated);
    assert!(
        count("bad_signature") > 0 && count("stale") > 0,
        "{calls:?}"
    );
    assert!(calls.replayed > 0 && calls.repeated > 0, "{calls:?}");
    gateway.stop().await;
}
