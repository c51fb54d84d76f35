//! From frames to records and positions.

pub mod json;
pub mod normalise;
pub mod record;
pub mod zone;

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use geofence::{identity::TerminalId, position::Position, units::Timestamp};
use parking_lot::Mutex;
use protocols::jt808::{message::location_report::LocationReport, profile::Profile};

use self::{
    normalise::{Window, normalise},
    record::Received,
};
use crate::{Gateway, session::Content};

/// A frame that was not taken.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// The word of the metric.
    pub reason: &'static str,
    /// When it came.
    pub received_at: Timestamp,
    /// The terminal of the connection, where it was authenticated.
    pub terminal: Option<TerminalId>,
    /// The bytes; empty for runs that were dropped unread.
    pub frame: Bytes,
}

/// The newest rejected frames, for people to look at. Bounded; older ones are forgotten, the
/// counters remember them.
#[derive(Debug)]
pub struct RejectedFrames {
    kept: Mutex<VecDeque<Rejected>>,
    kept_max: usize,
}

impl RejectedFrames {
    /// Keeps at most so many.
    #[must_use]
    pub fn new(kept_max: u32) -> Self {
        Self {
            kept: Mutex::default(),
            kept_max: kept_max as usize,
        }
    }

    /// One more.
    pub fn push(&self, rejected: Rejected) {
        if self.kept_max == 0 {
            return;
        }
        let mut kept = self.kept.lock();
        if kept.len() >= self.kept_max {
            kept.pop_front();
        }
        // A copy: the slice would hold the whole read buffer.
        kept.push_back(Rejected {
            frame: Bytes::copy_from_slice(&rejected.frame),
            ..rejected
        });
    }

    /// The newest first.
    #[must_use]
    pub fn newest(&self, limit: usize) -> Vec<Rejected> {
        self.kept.lock().iter().rev().take(limit).cloned().collect()
    }
}

/// Shows what a recorded message says on the live map, keeps what it says in items of its maker,
/// has the files of its alarms asked for, and counts its reports.
pub fn feed_live(
    gateway: &Gateway,
    received: &Received,
    profile: Option<&Arc<Profile>>,
    content: &Content,
    body: &Bytes,
) {
    let window = Window::from(&gateway.config.ingest);
    let keep_items = |report: &LocationReport, position: &Position| {
        if let Some(profile) = profile {
            gateway.vendor_items.update(profile, position, report);
        }
    };
    let notice_alarms = |report: &LocationReport| {
        gateway
            .attachments
            .notice(received, report, &gateway.metrics);
    };
    match content {
        Content::Other => {}
        Content::Report(report) => {
            gateway.metrics.positions_recorded.increment(1);
            notice_alarms(report);
            if let Ok(position) = normalise(report, body, received, false, &window) {
                keep_items(report, &position);
                gateway.live.update(&position);
            }
        }
        Content::Batch(batch) => {
            let mut newest = None;
            let mut recorded = 0;
            for entry in &batch.entries {
                match entry {
                    Err(_) => gateway.metrics.positions_rejected.increment(1),
                    Ok(entry) => {
                        recorded += 1;
                        notice_alarms(&entry.report);
                        let position = normalise(
                            &entry.report,
                            &entry.body,
                            received,
                            batch.is_backlog(),
                            &window,
                        );
                        let Ok(position) = position else { continue };
                        keep_items(&entry.report, &position);
                        let is_newest = |best: &Position| best.fixed_at < position.fixed_at;
                        if newest.as_ref().is_none_or(is_newest) {
                            newest = Some(position);
                        }
                    }
                }
            }
            gateway.metrics.positions_recorded.increment(recorded);
            if let Some(position) = newest {
                gateway.live.update(&position);
            }
        }
    }
}
