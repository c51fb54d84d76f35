//! What goes on by itself beside the stages.

use std::{sync::Arc, time::Duration};

use geofence::case::{Case, Stage};
use storage::store::CaseQuery;

use crate::{Gateway, clock, ingest::record, media};

const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// A city's terminals at once: the database gives 10,000 in one piece sooner than in two, which it sorts.
const LATEST_PAGE: u32 = 20_000;
const CASES_PAGE: u32 = 5_000;

/// Shows what the store knows until the terminals report again.
pub(super) async fn preload(gateway: Arc<Gateway>) {
    let mut after = None;
    loop {
        let page = match gateway.store.latest_positions(after, LATEST_PAGE).await {
            Ok(page) => page,
            Err(error) => return tracing::warn!(%error, "the live map begins empty"),
        };
        let Some(last) = page.last() else { return };
        after = Some(last.position.terminal);
        for row in page {
            let is_online = gateway.directory.is_online(row.position.terminal);
            gateway.live.preload(row.position, is_online);
        }
    }
}

/// Open cases of before, for newcomers among the MQTT subscribers. Eldest first, as they came.
pub(super) async fn preload_cases(gateway: Arc<Gateway>) {
    if gateway.config.mqtt.users.is_empty() {
        return;
    }
    let max = gateway.config.mqtt.retained_cases_max as usize;
    let mut query = CaseQuery {
        limit: CASES_PAGE,
        ..CaseQuery::default()
    };
    let mut cases: Vec<Case> = Vec::new();
    while cases.len() < max {
        let page = match gateway.store.cases(&query).await {
            Ok(page) => page,
            Err(error) => return tracing::warn!(%error, "newcomers get no cases of before"),
        };
        let Some(last) = page.last() else { break };
        query.after = query.key(last);
        cases.extend(page.into_iter().filter(|case| !case.stage.is_final()));
    }
    cases.truncate(max);
    cases.reverse();
    gateway.live.tell_subscribers(&cases);
}

pub(super) async fn publish(gateway: Arc<Gateway>) {
    let mut interval = tokio::time::interval(gateway.config.http.live_interval);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = gateway.stop.cancelled() => return,
            _ = interval.tick() => gateway.live.publish_positions(),
        }
    }
}

/// Tells the checks the time when nothing arrives.
pub(super) async fn tick(gateway: Arc<Gateway>) {
    let mut seen = gateway.log.status().next;
    loop {
        tokio::select! {
            () = gateway.stop.cancelled() => return,
            () = tokio::time::sleep(gateway.config.ingest.tick_interval) => {}
        }
        if gateway.log.status().next == seen
            && let Err(error) = gateway
                .log
                .append_parts(record::TICK, clock::now().millis(), &[])
        {
            tracing::debug!(%error, "no room for a tick");
        }
        seen = gateway.log.status().next;
    }
}

pub(super) async fn upkeep(gateway: Arc<Gateway>) {
    let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        tokio::select! {
            () = gateway.stop.cancelled() => return,
            _ = interval.tick() => {}
        }
        gateway.metrics.upkeep();
        if let Err(error) = tokio::task::block_in_place(|| gateway.log.retain()) {
            tracing::warn!(%error, "old segments cannot be removed");
        }
        media::make_room(&gateway).await;
        if let Ok(stages) = gateway.store.cases_by_stage().await {
            for stage in Stage::ALL {
                let count = stages.get(&stage).copied().unwrap_or_default();
                let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
                gateway
                    .metrics
                    .gauge("cases_open", &[("stage", stage.as_str())], count);
            }
        }
    }
}
