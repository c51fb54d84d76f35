//! Terminals that come and go, to the outer broker: from the events that the registry keeps, with a
//! cursor of its own. Each arrives at least once and in order, as long as it is kept.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use storage::{registry::events::TerminalEvent, store::StoreError};
use tokio_util::sync::CancellationToken;

use super::{BridgeError, Outer, cursor::CursorFile};
use crate::{
    Gateway,
    catalog::unit_grid_code,
    clock::rfc3339,
    config::BridgeKind,
    outlets::{RETRY_FIRST, RETRY_LAST, broker, fanout::topic, jittered},
};

/// Events that are passed on at once.
const EVENTS_AT_ONCE: u32 = 500;
/// Events reach the registry about as often.
const INTERVAL: Duration = Duration::from_secs(1);

/// A terminal that came or went.
#[derive(Serialize)]
struct Message {
    id: String,
    phone: String,
    online: bool,
    at: String,
    /// The transport, or why the session ended.
    detail: String,
}

struct Follower {
    gateway: Arc<Gateway>,
    outer: Outer,
    cursor: CursorFile,
    log: String,
    /// The newest event that is done with, once it is known.
    done: Option<i64>,
}

impl Follower {
    /// How many were passed on.
    async fn step(&mut self) -> Result<usize, StoreError> {
        let done = match self.done {
            Some(done) => done,
            None => {
                let kept = self.cursor.read(&self.log).map_err(BridgeError::from)?;
                kept.and_then(|number| i64::try_from(number).ok())
                    .unwrap_or(0)
            }
        };
        self.done = Some(done);
        let registry = &self.gateway.registry;
        let events = tokio::task::block_in_place(|| registry.sessions(done, EVENTS_AT_ONCE))?;
        let Some((last, _)) = events.last() else {
            return Ok(0);
        };
        let (last, count) = (*last, events.len());
        let messages = events
            .iter()
            .map(|(number, event)| self.message(*number, event));
        let messages: Vec<_> = messages.collect();
        self.outer.publish(&self.gateway.metrics, messages).await?;
        let number = u64::try_from(last).unwrap_or(0);
        self.cursor
            .write(&self.log, number)
            .map_err(BridgeError::from)?;
        self.done = Some(last);
        Ok(count)
    }

    /// Under the jurisdiction that the vehicle was seen in last.
    fn message(&self, number: i64, event: &TerminalEvent) -> broker::Message {
        let newest = self.gateway.live.newest(event.terminal);
        let grid = newest.and_then(|position| {
            let catalog = &self.gateway.catalog;
            catalog.with(|snapshot| unit_grid_code(snapshot, &position))
        });
        let area = topic::area(grid.as_deref());
        let phone = event.terminal.to_string();
        let prefix = &self.outer.config.topic_prefix;
        let topic = format!("{prefix}/online/{area}/{phone}");
        let message = Message {
            id: format!("{}-online-{number}", self.log),
            phone,
            online: event.kind.is_online(),
            at: rfc3339(event.at),
            detail: event.detail.to_string(),
        };
        broker::Message {
            topic,
            payload: serde_json::to_vec(&message).unwrap_or_default(),
            is_retained: false,
        }
    }
}

/// Passes on what happens until told to stop.
pub async fn run(gateway: Arc<Gateway>, stop: CancellationToken) {
    let Some(outer) = Outer::new(&gateway.config.bridge, BridgeKind::Online) else {
        return;
    };
    let mut follower = Follower {
        cursor: CursorFile::new(gateway.config.data_dir.join("bridge-online.cursor")),
        log: gateway.log.id().to_string(),
        outer,
        gateway,
        done: None,
    };
    let mut pause = RETRY_FIRST;
    loop {
        let step = tokio::select! {
            () = stop.cancelled() => return,
            step = follower.step() => step,
        };
        let rest = match step {
            Ok(count) => {
                follower.outer.succeeded(count > 0);
                pause = RETRY_FIRST;
                let is_full = count >= EVENTS_AT_ONCE as usize;
                if is_full { Duration::ZERO } else { INTERVAL }
            }
            Err(error) => {
                follower.outer.failed(&follower.gateway.metrics, &error);
                let rest = jittered(pause);
                pause = (pause * 2).min(RETRY_LAST);
                rest
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}
