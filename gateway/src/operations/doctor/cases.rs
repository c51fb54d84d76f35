//! Cases: the policy, and the receivers that hear of them.

use std::{collections::BTreeMap, time::Duration};

use tokio::{task::JoinSet, time::timeout};

use super::Findings;
use crate::{
    case_desk::CaseDesk,
    config::{Config, Delivery, Receiver},
    outlets::delivery::{address, verdict::Failure, webhook::Webhook},
};

/// A receiver that has not taken a connection within this time is away.
const CONNECTED_WITHIN: Duration = Duration::from_secs(3);
const POLICY: &str = "mend the file, or cases.policy, which names it";

pub(super) fn policy(config: &Config, findings: &mut Findings) {
    match CaseDesk::load(&config.cases) {
        Ok(_) if config.cases.policy.is_none() => findings.ok("policy", "the default one"),
        Ok(_) => findings.ok("policy", "every word of it is known"),
        Err(error) => {
            for line in error.to_string().lines() {
                findings.bad("policy", line, POLICY);
            }
        }
    }
}

/// Asks all of them at one time for a connection; nothing is sent.
pub(super) async fn receivers(delivery: &Delivery, findings: &mut Findings) {
    for line in doubtful(delivery) {
        findings.warn("receiver", line, "mend it in [[delivery.receivers]]");
    }
    let mut asked = JoinSet::new();
    for (index, receiver) in delivery.receivers.iter().enumerate() {
        let place = format!("{} at {}", receiver.name, receiver.url);
        match Webhook::new(receiver, delivery.answer_bytes_max) {
            Ok(webhook) => {
                asked.spawn(async move {
                    let reached = timeout(CONNECTED_WITHIN, webhook.reach()).await;
                    (index, place, reached.unwrap_or(Err(Failure::Timeout)))
                });
            }
            Err(error) => findings.bad("receiver", error.to_string(), "mend its key `ca`"),
        }
    }
    let mut said = BTreeMap::new();
    while let Some(Ok((index, place, reached))) = asked.join_next().await {
        said.insert(index, (place, reached));
    }
    for (place, reached) in said.into_values() {
        match reached {
            Ok(()) => findings.ok("receiver", format!("{place} takes connections")),
            Err(Failure::Address(what)) if what.contains(address::FORBIDDEN) => findings.bad(
                "receiver",
                format!("{place}: {what}"),
                "name its public address, or set allow_private where it is yours",
            ),
            Err(failure) => findings.warn(
                "receiver",
                format!("{place}: {failure}"),
                "deliveries wait for it; see its key `url`, the network, and its certificate",
            ),
        }
    }
}

/// What is odd about the receivers without asking any: one place under two names, which hears of
/// everything twice; an address where webhooks must not go.
#[must_use]
pub fn doubtful(delivery: &Delivery) -> Vec<String> {
    let mut said = Vec::new();
    let mut places: BTreeMap<String, &Receiver> = BTreeMap::new();
    for receiver in &delivery.receivers {
        let name = &receiver.name;
        if let Some(other) = places.insert(receiver.url.to_string(), receiver) {
            let url = &receiver.url;
            said.push(format!("{} and {name} are both {url}", other.name));
        }
        let host = receiver.url.host().unwrap_or_default();
        if !address::may_be(host, receiver.allow_private) {
            said.push(format!("{name}: {host} is {}", address::FORBIDDEN));
        }
    }
    said
}
