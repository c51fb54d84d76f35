//! The responses of one connection, in the order of their requests. Each waits for its record to
//! be durable, and for those before it.
//!
//! ```text
//!            ready           pending
//! unsent  |-----------|---|-----|---|-----|
//!  leaves in one write ^   durable 17  18  21
//! ```

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::{metrics::Metrics, session::Response};

/// An idle connection keeps so much of its own.
const UNSENT_BYTES_KEPT: usize = 256;
const PENDING_KEPT: usize = 8;

/// A response that waits for its record.
#[derive(Debug)]
struct Pending {
    /// Durable once this many records are.
    durable: u64,
    /// Length in `Responses::unsent`.
    bytes: usize,
    /// None of a frame that is no response.
    result: Option<u8>,
    /// When its request was read; none for messages that are no reports.
    read_at: Option<Instant>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Responses {
    /// The first `ready` bytes may leave.
    unsent: Vec<u8>,
    ready: usize,
    pending: VecDeque<Pending>,
}

impl Responses {
    /// Queues a response behind the record with this number, or behind those before it.
    pub(super) fn push(
        &mut self,
        response: &Response,
        offset: Option<u64>,
        read_at: Option<Instant>,
    ) {
        let durable = offset.map(|offset| offset + 1);
        self.add(&response.frame, durable, Some(response.result), read_at);
    }

    /// Queues a frame that is no response behind those that are there.
    pub(super) fn push_unasked(&mut self, frame: &[u8]) {
        self.add(frame, None, None, None);
    }

    /// Queues a packet that is no frame behind the record with this number, or behind those before.
    pub(super) fn push_packet(
        &mut self,
        packet: &[u8],
        offset: Option<u64>,
        read_at: Option<Instant>,
    ) {
        self.add(packet, offset.map(|offset| offset + 1), None, read_at);
    }

    fn add(
        &mut self,
        frame: &[u8],
        durable: Option<u64>,
        result: Option<u8>,
        read_at: Option<Instant>,
    ) {
        self.unsent.extend_from_slice(frame);
        // What waits for nothing still waits for what is before it.
        let before = || self.pending.back().map(|pending| pending.durable);
        let durable = durable.or_else(before).unwrap_or_default();
        self.pending.push_back(Pending {
            durable,
            bytes: frame.len(),
            result,
            read_at,
        });
    }

    /// Responses whose records are durable become ready.
    pub(super) fn release(&mut self, durable: u64, metrics: &Metrics) {
        while let Some(pending) = self.pending.pop_front_if(|first| first.durable <= durable) {
            self.ready += pending.bytes;
            if let Some(result) = pending.result {
                metrics.responded(result);
            }
            if let Some(read_at) = pending.read_at {
                metrics
                    .response_duration
                    .record(read_at.elapsed().as_secs_f64());
            }
        }
    }

    /// How many records must be durable for the first that waits.
    pub(super) fn awaited(&self) -> Option<u64> {
        self.pending.front().map(|first| first.durable)
    }

    /// What may leave now.
    pub(super) fn ready(&self) -> &[u8] {
        self.unsent.get(..self.ready).unwrap_or_default()
    }

    /// So many bytes have left.
    pub(super) fn on_sent(&mut self, count: usize) {
        self.unsent.drain(..count.min(self.ready));
        self.ready = self.ready.saturating_sub(count);
    }

    /// Responses that wait for their records.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Bytes that have not left, ready or not.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.unsent.len()
    }

    /// The small ones are kept: asking for them again would cost more than they take.
    pub(super) fn give_buffers_back(&mut self) {
        if self.unsent.is_empty() && self.unsent.capacity() > UNSENT_BYTES_KEPT {
            self.unsent = Vec::new();
        }
        if self.pending.is_empty() && self.pending.capacity() > PENDING_KEPT {
            self.pending = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn response(text: &'static str) -> Response {
        Response {
            frame: Bytes::from_static(text.as_bytes()),
            result: 0,
        }
    }

    #[test]
    fn responses_leave_in_order_once_their_records_are_durable() {
        let metrics = Metrics::new().unwrap();
        let mut responses = Responses::default();
        responses.push(&response("one"), Some(4), None);
        responses.push(&response("two"), None, None);
        responses.push(&response("three"), Some(5), None);
        responses.release(4, &metrics);
        assert_eq!((responses.ready(), responses.pending()), (&b""[..], 3));
        assert_eq!(responses.awaited(), Some(5));
        responses.release(5, &metrics);
        assert_eq!(
            (responses.ready(), responses.pending()),
            (&b"onetwo"[..], 1)
        );
        responses.on_sent(2);
        assert_eq!(responses.ready(), b"etwo");
        responses.release(6, &metrics);
        assert_eq!(responses.ready(), b"etwothree");
        responses.on_sent(9);
        assert_eq!((responses.unsent_bytes(), responses.awaited()), (0, None));
    }

    #[test]
    fn what_is_no_response_keeps_its_place_and_counts_as_none() {
        let metrics = Metrics::new().unwrap();
        let mut responses = Responses::default();
        responses.push(&response("one"), Some(4), None);
        responses.push_unasked(b"down");
        responses.release(4, &metrics);
        assert_eq!(responses.ready(), b"");
        responses.release(5, &metrics);
        assert_eq!(responses.ready(), b"onedown");
        let counted = "gridtrace_responses_total{result=\"0\"} 1\n";
        assert!(metrics.render().contains(counted), "{}", metrics.render());
    }

    #[test]
    fn a_response_that_waits_for_nothing_is_ready_at_once() {
        let metrics = Metrics::new().unwrap();
        let mut responses = Responses::default();
        responses.push(&response("now"), None, None);
        responses.release(0, &metrics);
        assert_eq!(responses.ready(), b"now");
    }
}
