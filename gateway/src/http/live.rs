//! The live stream: a snapshot, then everything that changes, as numbered messages.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        State,
        ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use storage::store::CaseQuery;
use tokio::sync::broadcast::error::RecvError;

use super::Problem;
use crate::Gateway;

const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Pages send nothing but answers to pings.
const INCOMING_BYTES_MAX: usize = 4 * 1024;
const SNAPSHOT_CASES: u32 = 100;
/// A client that takes nothing for so long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// The live stream, over a WebSocket: a snapshot, then every change, numbered.
#[utoipa::path(
    get,
    path = "/live",
    tag = "live",
    responses(
        (status = 101, description = "The WebSocket begins."),
        (status = 503, description = "As many streams as `http.live_clients_max` are open."),
    ),
)]
pub(super) async fn stream(
    State(gateway): State<Arc<Gateway>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Some(place) = Place::take(&gateway) else {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many live streams");
        return problem.into_response();
    };
    upgrade
        .max_message_size(INCOMING_BYTES_MAX)
        .on_upgrade(async move |socket| {
            let gateway = Arc::clone(&place.0);
            // An error means that the page has gone, which ends the stream all the same.
            if let Err(error) = run(&gateway, socket).await {
                tracing::debug!(%error, "live stream ended");
            }
            drop(place);
        })
}

/// One of the allowed streams, given back when it is dropped.
struct Place(Arc<Gateway>);

impl Place {
    fn take(gateway: &Arc<Gateway>) -> Option<Self> {
        use std::sync::atomic::Ordering;
        let max = gateway.config.http.live_clients_max;
        let taken = gateway
            .live_clients
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| {
                (n < max).then_some(n + 1)
            });
        gateway
            .metrics
            .live_clients
            .set(f64::from(gateway.live_clients.load(Ordering::Relaxed)));
        taken.is_ok().then(|| Self(Arc::clone(gateway)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let before = self
            .0
            .live_clients
            .fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
        self.0
            .metrics
            .live_clients
            .set(f64::from(before.saturating_sub(1)));
    }
}

async fn run(gateway: &Gateway, mut socket: WebSocket) -> Result<(), axum::Error> {
    let mut updates = gateway.live.subscribe();
    let mut sent = send_snapshot(gateway, &mut socket).await?;
    let mut ping = tokio::time::interval(PING_INTERVAL);
    ping.reset();
    loop {
        tokio::select! {
            () = gateway.stop.cancelled() => {
                return send(&mut socket, Message::Close(None)).await;
            }
            update = updates.recv() => match update {
                Ok(update) if update.sequence <= sent => {}
                Ok(update) => {
                    sent = update.sequence;
                    send(&mut socket, Message::Text(Utf8Bytes::from(&*update.text))).await?;
                }
                Err(RecvError::Lagged(lost)) => {
                    gateway.metrics.live_dropped.increment(lost);
                    updates = updates.resubscribe();
                    sent = send_snapshot(gateway, &mut socket).await?;
                }
                Err(RecvError::Closed) => return Ok(()),
            },
            received = socket.recv() => match received {
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
            },
            _ = ping.tick() => send(&mut socket, Message::Ping(Default::default())).await?,
        }
    }
}

async fn send_snapshot(gateway: &Gateway, socket: &mut WebSocket) -> Result<u64, axum::Error> {
    let query = CaseQuery {
        limit: SNAPSHOT_CASES,
        ..CaseQuery::default()
    };
    // Without a store the map still lives; the list of cases is then empty.
    let cases = gateway.store.cases(&query).await.unwrap_or_default();
    let snapshot = gateway.live.snapshot(&cases);
    send(socket, Message::Text(Utf8Bytes::from(&*snapshot.text))).await?;
    Ok(snapshot.sequence)
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), axum::Error> {
    match tokio::time::timeout(SEND_TIMEOUT, socket.send(message)).await {
        Ok(sent) => sent,
        Err(elapsed) => Err(axum::Error::new(elapsed)),
    }
}
