//! Who waits for which record to be durable.
//!
//! Ordered by number: a sync takes those it concerns off the front under a short lock, and wakes
//! them after it. The others, be they ten thousand, are not touched. Who waits for nothing costs
//! nothing.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

/// Why a record will not become durable, as far as this process is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// A write or a sync failed: nothing is acknowledged any more.
    #[error("the log is poisoned: a write or a sync failed")]
    Poisoned,
    /// The log was closed, or its writer has ended.
    #[error("the log is closed")]
    Closed,
}

/// How far the log is durable, and who waits for more.
#[derive(Debug)]
pub(super) struct Waiters {
    durable: AtomicU64,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    /// By number and ticket.
    waiting: BTreeMap<(u64, u64), Waker>,
    tickets: u64,
    end: Option<WaitError>,
}

impl Waiters {
    pub(super) fn new(durable: u64) -> Self {
        Self {
            durable: AtomicU64::new(durable),
            list: Mutex::default(),
        }
    }

    /// The number behind the last durable record.
    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// All records before this number are durable.
    pub(super) fn reached(&self, durable: u64) {
        // Before the list is locked: whoever enters himself later sees it.
        self.durable.store(durable, Ordering::Release);
        let ready = {
            let mut list = self.list.lock();
            let later = list.waiting.split_off(&(durable.saturating_add(1), 0));
            std::mem::replace(&mut list.waiting, later)
        };
        ready.into_values().for_each(Waker::wake);
    }

    /// Nothing more will become durable.
    pub(super) fn end(&self, error: WaitError) {
        let waiting = {
            let mut list = self.list.lock();
            list.end.get_or_insert(error);
            std::mem::take(&mut list.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }
}

/// Resolves when all records before a number are durable; see
/// [`Log::wait_durable`](super::Log::wait_durable). Dropping it ends the wait.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct WaitDurable {
    waiters: Arc<Waiters>,
    number: u64,
    ticket: Option<u64>,
}

impl WaitDurable {
    pub(super) const fn new(waiters: Arc<Waiters>, number: u64) -> Self {
        Self {
            waiters,
            number,
            ticket: None,
        }
    }
}

impl Future for WaitDurable {
    type Output = Result<(), WaitError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.waiters.durable() >= this.number {
            return Poll::Ready(Ok(()));
        }
        let mut list = this.waiters.list.lock();
        if this.waiters.durable() >= this.number {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = list.end {
            return Poll::Ready(Err(error));
        }
        let ticket = this.ticket.unwrap_or(list.tickets);
        if this.ticket.is_none() {
            list.tickets += 1;
            this.ticket = Some(ticket);
        }
        list.waiting
            .entry((this.number, ticket))
            .and_modify(|waker| waker.clone_from(context.waker()))
            .or_insert_with(|| context.waker().clone());
        Poll::Pending
    }
}

impl Drop for WaitDurable {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let waker = self
                .waiters
                .list
                .lock()
                .waiting
                .remove(&(self.number, ticket));
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::AtomicUsize,
        task::{Wake, Waker},
    };

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll(wait: &mut WaitDurable, woken: &Arc<Woken>) -> Poll<Result<(), WaitError>> {
        let waker = Waker::from(Arc::clone(woken));
        Pin::new(wait).poll(&mut Context::from_waker(&waker))
    }

    #[test]
    fn a_sync_wakes_those_it_concerns_and_no_others() {
        let waiters = Arc::new(Waiters::new(10));
        let mut all: Vec<_> = (8..=14)
            .map(|number| {
                (
                    WaitDurable::new(Arc::clone(&waiters), number),
                    Arc::<Woken>::default(),
                )
            })
            .collect();
        let ready = |all: &mut Vec<(WaitDurable, Arc<Woken>)>| {
            all.iter_mut()
                .map(|(wait, woken)| poll(wait, woken).is_ready())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            ready(&mut all),
            [true, true, true, false, false, false, false]
        );
        assert_eq!(
            ready(&mut all),
            [true, true, true, false, false, false, false]
        );
        waiters.reached(12);
        let woken: Vec<_> = all
            .iter()
            .map(|(_, woken)| woken.0.load(Ordering::Relaxed))
            .collect();
        assert_eq!(woken, [0, 0, 0, 1, 1, 0, 0]);
        assert_eq!(
            ready(&mut all),
            [true, true, true, true, true, false, false]
        );
        assert_eq!(waiters.list.lock().waiting.len(), 2);
        waiters.end(WaitError::Poisoned);
        assert_eq!(
            poll(&mut all[6].0, &Arc::default()),
            Poll::Ready(Err(WaitError::Poisoned))
        );
        assert_eq!(
            poll(&mut all[4].0, &Arc::default()),
            Poll::Ready(Ok(())),
            "durable stays so"
        );
    }

    #[test]
    fn who_no_longer_waits_is_forgotten() {
        let waiters = Arc::new(Waiters::new(0));
        let mut wait = WaitDurable::new(Arc::clone(&waiters), 1);
        assert!(poll(&mut wait, &Arc::default()).is_pending());
        drop(wait);
        assert!(waiters.list.lock().waiting.is_empty());
    }

    #[test]
    fn the_first_reason_to_end_is_the_one_that_is_told() {
        let waiters = Arc::new(Waiters::new(0));
        waiters.end(WaitError::Poisoned);
        waiters.end(WaitError::Closed);
        let mut wait = WaitDurable::new(waiters, 1);
        assert_eq!(
            poll(&mut wait, &Arc::default()),
            Poll::Ready(Err(WaitError::Poisoned))
        );
    }
}
