//! What the clocks of cases say reaches the receiver, and is counted.

use gateway::clock;
use geofence::{
    case::{Case, Source, desk::Actor, moves::Role},
    identity::CaseId,
};
use harness::{TestGateway, until};
use storage::store::Opening;
use tools::receive::Faults;

use super::{receiver, receivers, settled};

/// Of a citizen, opened so many minutes ago: there may be nobody to ask about the time between.
async fn opened_before(gateway: &TestGateway, number: u128, minutes: i64) -> String {
    let running = gateway.gateway();
    let at = clock::now().plus_millis(-minutes * 60_000);
    let id = CaseId(uuid::Uuid::from_u128(number));
    let opening = Opening {
        case: Case::blank(id, Source::Citizen, at),
        by: Actor {
            name: "Wang".to_owned(),
            role: Role::Operator,
            scope: String::new(),
            department: None,
        },
        remark: String::new(),
        desk: running.cases.desk(&running.catalog.in_force()),
    };
    running.store.open_case(&opening).await.unwrap();
    id.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn warnings_and_overdue_clocks_reach_the_receiver_and_the_metrics() {
    let (receiver, address) = receiver(Faults::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    let text = "warning_percent = 50\n[defaults.limits]\nfiling = \"40 minutes\"\n";
    std::fs::write(&policy, text).unwrap();
    let to = receivers(&format!("http://{address}/in"), ", allow_private = true");
    let gateway = TestGateway::start(&[
        ("cases.policy", policy.to_str().unwrap()),
        ("cases.clock_interval", "1s"),
        ("delivery.receivers", &to),
    ])
    .await;
    let warned = opened_before(&gateway, 1, 30).await;
    let late = opened_before(&gateway, 2, 50).await;
    let quiet = opened_before(&gateway, 3, 10).await;
    let told = |case: &str| {
        let done = receiver.summary().done.into_iter();
        let moves = done
            .filter(|one| one.case == case)
            .flat_map(|one| one.moves);
        moves.collect::<Vec<_>>()
    };
    until("both notices are told", async || {
        let told = |case, word: &str| told(case).iter().any(|one| one == word);
        (told(&warned, "warn") && told(&late, "overdue") && told(&quiet, "open")).then_some(())
    })
    .await;
    settled(&gateway).await;
    assert_eq!(told(&warned), ["open", "warn"]);
    assert_eq!(told(&late), ["open", "overdue"]);
    assert_eq!(told(&quiet), ["open"]);

    let name = |notice: &str| {
        format!(
            "gridtrace_case_clock_notices_total{{notice=\"{notice}\",clock=\"filing\",stage=\"collected\"}}"
        )
    };
    let books = until("what is overdue is counted", async || {
        let books = gateway.metrics().await;
        let late = books.value("gridtrace_cases_overdue{stage=\"collected\"}");
        (late == 1 && books.sum("gridtrace_tasks_overdue") == 1).then_some(books)
    })
    .await;
    assert_eq!(
        ["warn", "overdue"].map(|one| books.value(&name(one))),
        [1, 1]
    );
    assert_eq!(books.sum("gridtrace_case_clock_notices_total"), 2);
    assert_eq!(books.sum("gridtrace_cases_overdue"), 1);
    let kind = "gridtrace_tasks_overdue{kind=\"verification\"}";
    assert_eq!(books.value(kind), 1);

    let tasks = gateway.items("/api/v1/tasks").await;
    let overdue = |case: &str| {
        let task = tasks.iter().find(|task| task["case"] == case).unwrap();
        task["overdue"].as_bool().unwrap()
    };
    assert_eq!(
        [&warned, &late, &quiet].map(|id| overdue(id)),
        [false, true, false]
    );
    gateway.stop().await;
}
