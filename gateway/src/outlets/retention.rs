//! Now and then, what is too old goes from the store. It runs beside the consumers, at their
//! priority: it is not urgent, and a round that fails is made up for by the next one.

use std::sync::Arc;

use storage::store::{Retained, Retention};
use tokio_util::sync::CancellationToken;

use super::every;
use crate::{Gateway, clock};

/// Removes at once and then every `store.retain_interval`, until told to stop.
pub async fn run(gateway: Arc<Gateway>, stop: CancellationToken) {
    let rules = &gateway.config.store_rules;
    if rules.positions_kept_for.is_none() && rules.quarantine_kept_for.is_none() {
        return;
    }
    every(rules.retain_interval, &stop, || {
        remove(Arc::clone(&gateway))
    })
    .await;
}

async fn remove(gateway: Arc<Gateway>) {
    let rules = &gateway.config.store_rules;
    let now = clock::now();
    let before = |kept: Option<_>| kept.map(|kept| now.before(kept));
    let retention = Retention {
        positions_before: before(rules.positions_kept_for),
        quarantined_before: before(rules.quarantine_kept_for),
    };
    match gateway.store.retain(&retention).await {
        Ok(Retained { days, quarantined }) => {
            for (what, count) in [("days", days), ("quarantine", quarantined)] {
                gateway
                    .metrics
                    .count("store_removed_total", "what", what, count);
            }
            if days > 0 || quarantined > 0 {
                tracing::info!(days, quarantined, "what was too old is removed");
            }
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            gateway.metrics.store_failed(&error);
            tracing::warn!(%error, cause, "what is too old cannot be removed; later again");
        }
    }
}
