//! Cases are found by what people have in hand: a number, a plate, a word.

use std::time::Duration;

use harness::{TestGateway, http_client::Method, moments, until};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tools::receive::{Faults, Options, Receiver, Secret};

const SECRET: &str = "a-key-of-enough-characters";
const VEHICLES: &str = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
                        V1,13800000001,晋AR0001,refuse_truck,F1,one,60\n\
                        V2,13900000002,晋AR0002,refuse_truck,F1,two,60\n";

async fn city() -> (TestGateway, tempfile::TempDir) {
    let options = Options {
        secret: Secret::new(SECRET).unwrap(),
        file: None,
        seed: 1,
        faults: Faults::default(),
        delay: Duration::ZERO,
        window: Duration::from_secs(60),
    };
    let receiver = Receiver::open(options, || {}).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(receiver.serve(listener));
    let receivers = format!(
        "[{{name = \"city\", url = \"http://{address}/\", secret = \"{SECRET}\", \
         number_field = \"number\", allow_private = true}}]"
    );
    let folder = tempfile::tempdir().unwrap();
    let nowhere = json!({"type": "FeatureCollection", "features": []}).to_string();
    let mut settings = harness::catalog(folder.path(), &nowhere, VEHICLES);
    settings.push(("delivery.receivers".into(), receivers));
    let settings: Vec<_> = settings
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    (TestGateway::start(&settings).await, folder)
}

async fn open(gateway: &TestGateway, description: &str, terminal: Option<&str>) -> Value {
    let body = json!({
        "actor": "Wang", "role": "operator", "category": "0104", "description": description,
        "unit_grid": "140105001001001", "terminal": terminal,
    });
    let (status, case) = gateway
        .ask(Method::POST, "/api/v1/cases", Some(&body))
        .await;
    assert_eq!(status, 201, "{case:#}");
    case
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The descriptions of what is found, in the order of the alphabet.
async fn found(gateway: &TestGateway, text: &str) -> Vec<String> {
    let path = format!("/api/v1/cases?search={}", encoded(text));
    let items = gateway.items(&path).await;
    let mut found: Vec<String> = items
        .iter()
        .map(|case| case["description"].as_str().unwrap().to_owned())
        .collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_are_found_by_number_vehicle_and_words() {
    let (gateway, _folder) = city().await;
    // Their numbers begin with the day.
    moments::early_in_the_day().await;
    let leaves = open(&gateway, "Leaves on 平阳路, 100% wet", Some("13800000001")).await;
    let oil = open(&gateway, "oil_spill", Some("13900000002")).await;
    let bin = open(&gateway, "bin full", None).await;
    let all = ["Leaves on 平阳路, 100% wet", "bin full", "oil_spill"];

    let number = leaves["number"].as_str().unwrap();
    assert_eq!(found(&gateway, number).await, [all[0]]);
    let begin = |length: usize| number.get(..length).unwrap().to_owned();
    let padded = format!(" {} ", begin(17));
    assert_eq!(found(&gateway, &padded).await, [all[0]]);
    assert_eq!(found(&gateway, &begin(8)).await, all);
    assert_eq!(found(&gateway, &begin(4)).await, all);
    assert_eq!(found(&gateway, "19991231").await, [""; 0]);

    assert_eq!(found(&gateway, "晋ar0001").await, [all[0]]);
    assert_eq!(found(&gateway, "AR000").await, [all[0], all[2]]);
    assert_eq!(found(&gateway, "13900000002").await, [all[2]]);
    assert_eq!(found(&gateway, "0000001").await, [all[0]]);

    assert_eq!(found(&gateway, "平阳").await, [all[0]]);
    assert_eq!(found(&gateway, "LEAVES").await, [all[0]]);
    // What means something to the database is a character like others.
    assert_eq!(found(&gateway, "%").await, [all[0]]);
    assert_eq!(found(&gateway, "_").await, [all[2]]);
    assert_eq!(found(&gateway, "' OR 1=1 --").await, [""; 0]);
    assert_eq!(found(&gateway, " ").await, all, "nothing is looked for");

    let path = format!("/api/v1/cases/{}/receivers", bin["id"].as_str().unwrap());
    let theirs = until("the receiver gives a number", async || {
        let numbers = gateway.items(&path).await;
        Some(numbers.first()?["number"].as_str()?.to_owned())
    })
    .await;
    assert_eq!(found(&gateway, &theirs).await, ["bin full"]);
    assert_eq!(found(&gateway, &theirs.to_lowercase()).await, ["bin full"]);
    until("the receiver gives numbers to all", async || {
        (found(&gateway, "TY-").await == all).then_some(())
    })
    .await;

    // With other filters, and by pages.
    let other = gateway.items("/api/v1/cases?search=oil&stage=closed").await;
    assert_eq!(other.len(), 0);
    let page = gateway.json("/api/v1/cases?search=AR000&limit=1").await;
    assert_eq!(page["items"][0]["id"], oil["id"]);
    let next = page["next"].as_str().unwrap();
    let path = format!("/api/v1/cases?search=AR000&limit=1&cursor={next}");
    assert_eq!(gateway.json(&path).await["items"][0]["id"], leaves["id"]);
    let long = format!("/api/v1/cases?search={}", "x".repeat(201));
    assert_eq!(gateway.ask(Method::GET, &long, None).await.0, 400);
    gateway.stop().await;
}
