//! What goes on by itself beside the stages.

use std::{sync::Arc, time::Duration};

use geofence::case::{Case, Stage};
use storage::store::{CaseQuery, StoreError};

use crate::{
    Gateway,
    case_pages::CasePages,
    clock,
    ingest::record,
    media,
    outlets::{RETRY_FIRST, RETRY_LAST, jittered},
};

const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// A city's terminals at once: the database gives 10,000 in one piece sooner than in two, which it sorts.
const LATEST_PAGE: u32 = 20_000;
const CASES_PAGE: u32 = 5_000;

/// Names of what is loaded at the start, as readiness gives them.
const LIVE_MAP: &str = "live map";
const OPEN_CASES: &str = "open cases";

/// Shows what the store knows until the terminals report again.
pub(super) async fn preload(gateway: Arc<Gateway>) {
    let mut loading = Loading::of(&gateway, LIVE_MAP);
    let mut after = None;
    loop {
        let read = gateway.store.latest_positions(after, LATEST_PAGE);
        let page = match gateway.stop.run_until_cancelled(read).await {
            None => return,
            Some(Ok(page)) => page,
            Some(Err(error)) => match loading.pause(&error).await {
                true => continue,
                false => return,
            },
        };
        let Some(last) = page.last() else {
            return loading.finish();
        };
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
    let mut loading = Loading::of(&gateway, OPEN_CASES);
    loop {
        // From the beginning each time: what changes meanwhile is remembered for one reading.
        gateway.live.expect_cases_of_before();
        let read = open_cases(&gateway);
        match gateway.stop.run_until_cancelled(read).await {
            None => return,
            Some(Ok(cases)) => {
                gateway.live.tell_cases_of_before(&cases);
                return loading.finish();
            }
            Some(Err(error)) => {
                if !loading.pause(&error).await {
                    return;
                }
            }
        }
    }
}

async fn open_cases(gateway: &Gateway) -> Result<Vec<Case>, StoreError> {
    let max = gateway.config.mqtt.retained_cases_max as usize;
    let query = CaseQuery {
        limit: CASES_PAGE,
        ..CaseQuery::default()
    };
    let mut pages = CasePages::new(&*gateway.store, query);
    let mut cases: Vec<Case> = Vec::new();
    while cases.len() < max {
        let Some(page) = pages.next().await? else {
            break;
        };
        cases.extend(page.into_iter().filter(|case| !case.stage.is_final()));
    }
    cases.truncate(max);
    cases.reverse();
    Ok(cases)
}

/// Something that is loaded from the store at the start, in as many attempts as it takes. Until it is
/// done readiness says that it is missing.
struct Loading<'a> {
    gateway: &'a Gateway,
    what: &'static str,
    pause: Duration,
    failures: u32,
}

impl<'a> Loading<'a> {
    fn of(gateway: &'a Gateway, what: &'static str) -> Self {
        let missing = "what the store has is not loaded yet".to_owned();
        gateway.store_is_away.insert(what, missing);
        Self {
            gateway,
            what,
            pause: RETRY_FIRST,
            failures: 0,
        }
    }

    /// Before the next attempt, longer each time; false when the gateway stops.
    async fn pause(&mut self, error: &StoreError) -> bool {
        let Self { gateway, what, .. } = *self;
        gateway.metrics.store_failed(error);
        if self.failures == 0 {
            tracing::warn!(what, %error, "the store is not there to be loaded from; it is tried again");
        }
        let missing = format!("what the store has is not loaded yet: {error}");
        gateway.store_is_away.insert(what, missing);
        self.failures = self.failures.saturating_add(1);
        let slept = tokio::time::sleep(jittered(self.pause));
        self.pause = (self.pause * 2).min(RETRY_LAST);
        gateway.stop.run_until_cancelled(slept).await.is_some()
    }

    fn finish(self) {
        self.gateway.store_is_away.remove(self.what);
        if self.failures > 0 {
            tracing::info!(
                what = self.what,
                failures = self.failures,
                "what the store has is loaded"
            );
        }
    }
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
