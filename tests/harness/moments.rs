//! Moments at which a count or a day begins anew: a test that may not meet one waits until it is over.

use std::time::Duration;

use gateway::clock;

/// Of the product: GMT+8.
const OFFSET_MS: i64 = 8 * 3_600_000;
const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

/// Returns with more than a minute left of the local day, for what has to happen on one day.
pub async fn early_in_the_day() {
    turned(DAY_MS, MINUTE_MS).await;
}

/// Returns with more than ten seconds left of the minute, for what is counted by minutes.
pub async fn early_in_the_minute() {
    turned(MINUTE_MS, 10_000).await;
}

async fn turned(period_ms: i64, needed_ms: i64) {
    let left_ms = || period_ms - (clock::now().millis() + OFFSET_MS).rem_euclid(period_ms);
    while left_ms() <= needed_ms {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
