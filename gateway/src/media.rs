//! Pictures, sound and video that terminals upload (多媒体数据, 0x0801): from whole messages to
//! files.

use std::sync::Arc;

use bytes::Bytes;
use geofence::{
    identity::TerminalId,
    units::{Latitude, Longitude, Timestamp},
};
use protocols::jt808::{
    message::{
        Message,
        multimedia_data::{MediaContext, MultimediaData},
    },
    reassembly::Incomplete,
};
use storage::media::{MediaError, MediaSource, NewMedia, Outcome, Stored};

use crate::{
    Gateway, clock,
    ingest::zone,
    metrics::Metrics,
    session::{directory::Directory, terminal_of},
};

/// What is known of an upload, and its content. `utc_offset_minutes` is that of the terminal's
/// clock.
#[must_use]
pub fn medium_of(
    terminal: TerminalId,
    upload: &MultimediaData,
    is_complete: bool,
    utc_offset_minutes: i16,
    now: Timestamp,
) -> (NewMedia, Bytes) {
    let prefix = upload.prefix.as_ref();
    let report = prefix.and_then(|prefix| match &prefix.context {
        MediaContext::Location(report) => Some(report),
        MediaContext::Packet { .. } | MediaContext::None => None,
    });
    let place = report.and_then(|report| {
        let latitude = Latitude::from_micro_degrees(report.latitude_micro_degrees()?)?;
        let longitude = Longitude::from_micro_degrees(report.longitude_micro_degrees()?)?;
        let is_somewhere = latitude.micro_degrees() != 0 || longitude.micro_degrees() != 0;
        is_somewhere.then_some((latitude, longitude))
    });
    let taken_at =
        report.and_then(|report| zone::at_gmt8(report.time, utc_offset_minutes).unix_seconds());
    let medium = NewMedia {
        terminal,
        received_at: now,
        taken_at: taken_at.map(Timestamp::from_seconds),
        media_id: prefix.map_or(0, |prefix| prefix.media_id),
        media_type: prefix.map_or(0, |prefix| prefix.media_type),
        format: prefix.map_or(0, |prefix| prefix.media_format),
        event: prefix.map_or(0, |prefix| prefix.event),
        channel: prefix.map_or(0, |prefix| prefix.channel),
        latitude: place.map(|(latitude, _)| latitude),
        longitude: place.map(|(_, longitude)| longitude),
        is_complete,
        source: MediaSource::Multimedia,
        alarm_number: None,
        original_name: None,
        label: None,
    };
    (medium, upload.data.clone())
}

/// Stores a medium. It is on disk when this returns true.
pub async fn store(gateway: &Arc<Gateway>, medium: NewMedia, content: Bytes) -> bool {
    let store = gateway.media.clone();
    let stored = tokio::task::spawn_blocking(move || store.add(medium, &content)).await;
    let stored = match stored {
        Ok(stored) => stored,
        Err(error) => {
            tracing::error!(%error, "storing a medium ended badly");
            return false;
        }
    };
    count_stored(&gateway.metrics, &stored);
    match &stored {
        Ok(stored) => {
            let config = &gateway.config.inspectors;
            gateway
                .photos
                .notice(&stored.media, config, &gateway.metrics);
        }
        Err(error) => tracing::warn!(%error, "a medium is not stored"),
    }
    stored.is_ok()
}

/// Counts what became of a medium, and what had to go for it.
pub fn count_stored(metrics: &Metrics, stored: &Result<Stored, MediaError>) {
    let stored = match stored {
        Ok(stored) => stored,
        Err(error) => return metrics.count("media_refused_total", "reason", error.reason(), 1),
    };
    let word = match stored.outcome {
        Outcome::Added => "added",
        Outcome::Completed => "completed",
        Outcome::Duplicate => "duplicate",
    };
    metrics.count("media_stored_total", "result", word, 1);
    let removed = stored.removed.files;
    if removed > 0 {
        metrics.count("media_removed_total", "reason", "room", removed);
    }
}

/// Removes media that are too old, and the oldest where the disk is short of space.
pub async fn make_room(gateway: &Gateway) {
    let before = clock::now().before(gateway.config.media.kept_for);
    let store = gateway.media.clone();
    let removed = tokio::task::spawn_blocking(move || {
        let old = store.delete_older_than(before)?;
        Ok::<_, MediaError>((old, store.keep_space()?))
    });
    match removed.await {
        Ok(Ok((old, room))) => {
            for (reason, removed) in [("age", old), ("space", room)] {
                if removed.files > 0 {
                    gateway
                        .metrics
                        .count("media_removed_total", "reason", reason, removed.files);
                }
            }
        }
        Ok(Err(error)) => tracing::warn!(%error, "old media cannot be removed"),
        Err(error) => tracing::error!(%error, "removing media ended badly"),
    }
}

/// Messages that will not be whole. Of media that begin, the beginning is kept: the upper part of a
/// picture can be seen.
pub fn give_up(gateway: &Arc<Gateway>, messages: Vec<Incomplete>) {
    for message in messages {
        let cause = message.cause.reason();
        gateway
            .metrics
            .count("messages_given_up_total", "cause", cause, 1);
        let Some((medium, content)) = beginning_of(&gateway.directory, &message) else {
            continue;
        };
        let gateway = Arc::clone(gateway);
        tokio::spawn(async move { store(&gateway, medium, content).await });
    }
}

fn beginning_of(directory: &Directory, message: &Incomplete) -> Option<(NewMedia, Bytes)> {
    let body = message.prefix.as_ref()?.body.clone();
    let terminal = terminal_of(&message.header.phone)?;
    let revision = message.header.revision();
    match Message::decode(message.header.message_id, body, revision) {
        Ok(Message::MultimediaData(upload)) => {
            let profile = directory.profile_of(terminal);
            let minutes = zone::utc_offset_minutes(profile.as_deref());
            let now = clock::now();
            Some(medium_of(terminal, &upload, false, minutes, now))
        }
        _ => None,
    }
}
