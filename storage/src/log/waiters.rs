//! Who waits for which record to be durable.
//!
//! Ordered by number: a sync takes those it concerns off the front under a short lock, and wakes
//! them after it. The others, be they ten thousand, are not touched. Who waits for nothing costs
//! nothing.
//!
//! Readers that follow the log are not in the list. They run when nobody else wants to, and one that
//! is put aside with the lock would keep it from the writer and from all who wait: each has a place
//! of its own, which needs none.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering, fence},
    },
    task::{Context, Poll, Waker},
};

use arc_swap::ArcSwap;
use futures_util::task::AtomicWaker;
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
    followers: ArcSwap<Vec<Arc<AtomicWaker>>>,
    end: OnceLock<WaitError>,
}

#[derive(Debug, Default)]
struct List {
    /// By number and ticket.
    waiting: BTreeMap<(u64, u64), Waker>,
    tickets: u64,
}

impl Waiters {
    pub(super) fn new(durable: u64) -> Self {
        Self {
            durable: AtomicU64::new(durable),
            list: Mutex::default(),
            followers: ArcSwap::default(),
            end: OnceLock::new(),
        }
    }

    /// A place for one that follows the log.
    pub(super) fn follow(&self) -> Arc<AtomicWaker> {
        let place = Arc::<AtomicWaker>::default();
        self.followers.rcu(|all| {
            let mut all = Vec::clone(all);
            all.push(Arc::clone(&place));
            all
        });
        // Either a sync finds the place, or whoever polls it finds the sync.
        fence(Ordering::SeqCst);
        place
    }

    /// It follows no longer.
    pub(super) fn forget(&self, place: &Arc<AtomicWaker>) {
        self.followers.rcu(|all| {
            let mut all = Vec::clone(all);
            all.retain(|other| !Arc::ptr_eq(other, place));
            all
        });
    }

    /// Whether all records before a number are durable; who has this place is woken when more are.
    pub(super) fn poll_followed(
        &self,
        place: &AtomicWaker,
        number: u64,
        context: &Context<'_>,
    ) -> Poll<Result<(), WaitError>> {
        if self.durable() >= number {
            return Poll::Ready(Ok(()));
        }
        place.register(context.waker());
        // What happened before the place was taken woke nobody.
        if self.durable() >= number {
            return Poll::Ready(Ok(()));
        }
        match self.end.get() {
            Some(error) => Poll::Ready(Err(*error)),
            None => Poll::Pending,
        }
    }

    fn wake_followers(&self) {
        fence(Ordering::SeqCst);
        self.followers.load().iter().for_each(|place| place.wake());
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
        self.wake_followers();
    }

    /// Nothing more will become durable.
    pub(super) fn end(&self, error: WaitError) {
        // Before the list is locked, as with a number.
        self.end.get_or_init(|| error);
        let waiting = std::mem::take(&mut self.list.lock().waiting);
        waiting.into_values().for_each(Waker::wake);
        self.wake_followers();
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
        if let Some(error) = this.waiters.end.get() {
            return Poll::Ready(Err(*error));
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
    fn a_follower_is_woken_by_every_sync_and_by_the_end() {
        let waiters = Waiters::new(10);
        let (place, woken) = (waiters.follow(), Arc::<Woken>::default());
        let waker = Waker::from(Arc::clone(&woken));
        let poll = |number| waiters.poll_followed(&place, number, &Context::from_waker(&waker));
        assert_eq!(poll(10), Poll::Ready(Ok(())));
        assert!(poll(12).is_pending());
        waiters.reached(11);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(poll(12).is_pending());
        waiters.reached(12);
        assert_eq!(poll(12), Poll::Ready(Ok(())));
        assert!(poll(13).is_pending());
        waiters.end(WaitError::Closed);
        assert_eq!(woken.0.load(Ordering::Relaxed), 3);
        assert_eq!(poll(13), Poll::Ready(Err(WaitError::Closed)));
        assert_eq!(poll(12), Poll::Ready(Ok(())), "durable stays so");
        waiters.forget(&place);
        waiters.reached(20);
        assert_eq!(woken.0.load(Ordering::Relaxed), 3);
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
