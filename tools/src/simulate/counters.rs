//! What the fleet has done, counted while it goes on.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::truth::TrueViolation;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Live counts of a fleet, shared by all its terminals.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: AtomicU64,)+
        }

        /// The counts at one moment.
        #[derive(Clone, Debug, Default, PartialEq, Serialize)]
        pub struct Report {
            $($(#[doc = $doc])+ pub $name: u64,)+
            /// Positions that were neither acknowledged nor given up when the fleet stopped.
            pub unacknowledged: u64,
            /// The violations that truly happened, in the order of their ends; those that were
            /// still going on at the end come last. The oldest are left out beyond 100,000.
            pub violations: Vec<TrueViolation>,
        }

        impl Counters {
            /// The counts now, without violations.
            #[must_use]
            pub fn report(&self) -> Report {
                Report {
                    $($name: self.$name.load(Ordering::Relaxed),)+
                    unacknowledged: 0,
                    violations: Vec::new(),
                }
            }
        }
    };
}

counters! {
    /// Fixes taken. At the end: acknowledged + dropped + rejected + unacknowledged.
    fixes,
    /// Positions sent in a 0x0200 of their own, resends not counted.
    sent,
    /// Positions answered with result 0 (or 4), each once.
    acknowledged,
    /// Frames sent again with the same serial number.
    resent,
    /// Batches (0x0704 type 1) of stored positions.
    backlog_batches,
    /// Positions in them.
    backlog_positions,
    /// Positions that were put back into the store because the connection ended first.
    stored_again,
    /// Positions answered with result 2 or 3, and given up.
    rejected,
    /// Positions dropped because the terminal's store was full.
    dropped,
    /// Responses that got lost on purpose.
    responses_lost,
    /// Responses to nothing that is waiting: second ones, after a resend.
    responses_unexpected,
    /// Connections opened and authenticated.
    connects,
    /// Of these, over MQTT.
    mqtt_connects,
    /// Attempts to connect, register or authenticate that failed.
    connect_failures,
    /// Registrations or authentications that were answered with another result than 0.
    refused,
    /// Connections that ended without the terminal's doing.
    disconnects,
    /// Registrations (0x0100) that succeeded.
    registrations,
    /// Heartbeats sent.
    heartbeats,
    /// Planned disconnects.
    log_outs,
    /// Dead zones entered.
    outages,
    /// Commands of the platform that were answered.
    commands,
    /// Lines that could not be written to the outputs.
    output_failures,
}

impl Counters {
    /// Adds to one of the counts.
    pub(super) fn add(count: &AtomicU64, more: usize) {
        count.fetch_add(u64::try_from(more).unwrap_or(0), Ordering::Relaxed);
    }

    /// Adds one.
    pub(super) fn one(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}
