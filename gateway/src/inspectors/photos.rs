//! Pictures that inspectors took: each becomes a case.
//!
//! Those that come packet by packet are in the media store and not in the log, so the store is what
//! tells of them: each when it has come, and at a start those of the last day again. The case's id
//! follows from the content, so none opens twice.

use std::{sync::Arc, time::Duration};

use geofence::{
    case::{Place, Severity},
    units::Timestamp,
};
use storage::media::{Media, MediaQuery};
use tokio::sync::mpsc;

use super::{Report, count_report, inspector_with, report};
use crate::{Gateway, clock, config::Inspectors, metrics::Metrics, outlets::follower::Workplace};

/// How far back a start looks.
const LOOK_BACK: Duration = Duration::from_secs(86_400);
/// Pictures of one terminal that a start looks at.
const PICTURES_MAX: u32 = 1_000;
const PICTURE: u8 = 0;
const RETRY: Duration = Duration::from_secs(2);

/// Takes note of pictures.
#[derive(Debug)]
pub struct Photos(mpsc::Sender<Media>);

/// The pictures, for the task that makes cases of them.
#[derive(Debug)]
pub struct PhotoInbox(mpsc::Receiver<Media>);

impl Photos {
    /// With a bounded queue.
    #[must_use]
    pub fn new(config: &Inspectors) -> (Self, PhotoInbox) {
        let (photos, inbox) = mpsc::channel(config.photos_queued_max as usize);
        (Self(photos), PhotoInbox(inbox))
    }

    /// A medium was stored. Never waits: what does not fit is found at the next start.
    pub fn notice(&self, medium: &Media, config: &Inspectors, metrics: &Metrics) {
        if is_by_hand(medium, config) && self.0.try_send(medium.clone()).is_err() {
            count_report(metrics, "photo_queue_full");
        }
    }
}

fn is_by_hand(medium: &Media, config: &Inspectors) -> bool {
    medium.facts.media_type == PICTURE && config.is_by_hand(medium.facts.event)
}

/// Makes cases of pictures for as long as it is asked.
pub(super) async fn run(gateway: Arc<Gateway>, mut inbox: PhotoInbox) {
    for medium in of_last_day(&gateway).await {
        take(&gateway, &medium).await;
    }
    while let Some(medium) = inbox.0.recv().await {
        take(&gateway, &medium).await;
    }
}

async fn of_last_day(gateway: &Gateway) -> Vec<Media> {
    let config = gateway.config.inspectors.clone();
    let in_force = gateway.catalog.in_force();
    let terminals = in_force.snapshot.vehicles().iter().map(|v| v.terminal);
    let terminals: Vec<_> = terminals
        .filter(|terminal| inspector_with(&in_force.snapshot, terminal).is_some())
        .collect();
    let store = gateway.media.clone();
    let from = clock::now().before(LOOK_BACK);
    let read = tokio::task::spawn_blocking(move || {
        let mut found = Vec::new();
        for terminal in terminals {
            let media = store.list(&MediaQuery {
                terminal: Some(terminal),
                from: Some(from),
                limit: PICTURES_MAX,
                ..MediaQuery::default()
            });
            match media {
                Ok(media) => found.extend(media.into_iter().filter(|m| is_by_hand(m, &config))),
                Err(error) => tracing::warn!(%error, "pictures of an inspector cannot be listed"),
            }
        }
        found
    });
    read.await.unwrap_or_else(|error| {
        tracing::error!(%error, "listing the pictures of inspectors ended badly");
        Vec::new()
    })
}

/// Tries until the store takes it: pictures that come meanwhile wait in the queue.
async fn take(gateway: &Gateway, medium: &Media) {
    let place = Workplace::of(gateway);
    let in_force = gateway.catalog.in_force();
    let facts = &medium.facts;
    let Some(inspector) = inspector_with(&in_force.snapshot, &facts.terminal) else {
        return;
    };
    let own = facts.latitude.zip(facts.longitude);
    let is_near = |fixed_at: Timestamp| {
        let age = i64::try_from(gateway.config.inspectors.position_age_max.as_millis());
        let gap = medium.at.millis_since(fixed_at).abs();
        age.is_ok_and(|age| gap <= age)
    };
    let newest = gateway.live.newest(facts.terminal);
    let newest = newest.filter(|position| position.is_positioned && is_near(position.fixed_at));
    let at = own.or_else(|| newest.map(|newest| (newest.latitude, newest.longitude)));
    let digest: String = medium.sha256.iter().map(|b| format!("{b:02x}")).collect();
    let said = Report {
        inspector,
        kind: "photo",
        name: digest,
        occurred_at: medium.at,
        received_at: facts.received_at,
        place: at.map(|(latitude, longitude)| Place {
            latitude,
            longitude,
        }),
        description: "监督员拍照上报".to_owned(),
        category: String::new(),
        severity: Severity::Normal,
        media: vec![medium.id.to_string()],
    };
    while let Err(error) = report(&place, said.clone()).await {
        gateway.metrics.store_failed(&error);
        tracing::warn!(%error, "the picture of an inspector is no case yet; it is tried again");
        tokio::time::sleep(RETRY).await;
    }
}
