//! Commands reach terminals over MQTT, as frames or as JSON, and end as over TCP.

use harness::{TestGateway, http_client::Method, until};
use rumqttc::QoS;
use serde_json::{Value, json};
use tools::wire::{Incoming, Phone, Revision, frame, message_id};

use super::{Device, PHONE, start, topic};

async fn queue(gateway: &TestGateway) -> String {
    let path = format!("/api/v1/terminals/{PHONE}/commands");
    let text = json!({"message": "text_message", "body": {"flag": 1, "text": "请绕行汾河桥"}});
    let (status, answer) = gateway.ask(Method::POST, &path, Some(&text)).await;
    assert_eq!(status, 202, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

async fn in_state(gateway: &TestGateway, id: &str, state: &str) -> Value {
    until(&format!("{id} is {state}"), async || {
        let command = gateway.json(&format!("/api/v1/commands/{id}")).await;
        (command["state"] == state).then_some(command)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_goes_down_as_a_frame_and_its_answer_comes_up_as_one() {
    let gateway = start(&[]).await;
    let mut device = Device::connect(&gateway, PHONE).await;
    // It waits for who reads it.
    let id = queue(&gateway).await;
    in_state(&gateway, &id, "sent").await;
    device
        .subscribe(&topic("down/jt808"), QoS::AtLeastOnce)
        .await;
    let message = device.message().await;
    assert_eq!(
        (message.topic.as_str(), message.qos),
        (&*topic("down/jt808"), QoS::AtLeastOnce)
    );
    let payload = &message.payload[..];
    let asked = Incoming::parse(&payload[1..payload.len() - 1]).unwrap();
    assert_eq!(asked.id, 0x8300);
    let phone = Phone::from_digits(PHONE, Revision::V2019).unwrap();
    let body = [
        &asked.serial.to_be_bytes()[..],
        &asked.id.to_be_bytes(),
        &[0],
    ]
    .concat();
    let answer = frame(message_id::TERMINAL_RESPONSE, &phone, 1, &body).unwrap();
    device.send(&topic("up/jt808"), answer).await;
    in_state(&gateway, &id, "answered").await;
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_goes_down_as_json_to_who_reads_that_alone() {
    let gateway = start(&[]).await;
    let mut device = Device::connect(&gateway, PHONE).await;
    device.subscribe(&topic("down/json"), QoS::AtMostOnce).await;
    for (result, state) in [(0, "answered"), (3, "failed")] {
        let id = queue(&gateway).await;
        let message = device.message().await;
        assert_eq!(message.topic, topic("down/json"));
        let command: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(
            (&command["type"], &command["message_id"]),
            (&"command".into(), &0x8300.into())
        );
        assert_eq!(command["body"]["text"], "请绕行汾河桥");
        let answer = json!({"type": "answer", "serial": command["serial"], "message_id": 0x8300, "result": result});
        device.send(&topic("up/json"), answer.to_string()).await;
        let command = in_state(&gateway, &id, state).await;
        assert_eq!(command["result"], result);
    }
    gateway.drained().await;
    gateway.stop().await;
}
