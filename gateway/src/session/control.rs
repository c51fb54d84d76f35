//! What others may tell a connection. Asking costs a connection two atomic reads a turn: a thousand
//! connections that shared a token or a channel for it would meet at its lock instead.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

/// What a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Order {
    /// Take nothing more, answer what was taken, end.
    Stop = 1,
    /// End: a newer connection has the terminal.
    Replaced = 2,
    /// Take what waits in the downlinks of its terminals.
    Send = 4,
    /// End: messages that cannot be made good did not reach the subscriber.
    Behind = 8,
}

/// The place where one connection is told.
#[derive(Debug, Default)]
pub struct Control {
    orders: AtomicU8,
    waker: AtomicWaker,
}

impl Control {
    /// Tells the connection; it stays told, but for `Send`, which is heard once.
    pub fn tell(&self, order: Order) {
        self.orders.fetch_or(order as u8, Ordering::Release);
        self.waker.wake();
    }

    /// The connection was told this.
    #[must_use]
    pub fn is_told(&self, order: Order) -> bool {
        self.orders.load(Ordering::Acquire) & order as u8 != 0
    }

    /// Ready when the connection is told `Replaced`, or `Stop` or `Send` unless it `is_stopping`
    /// already.
    pub fn poll_told(&self, context: &Context<'_>, is_stopping: bool) -> Poll<Order> {
        self.waker.register(context.waker());
        if self.is_told(Order::Replaced) {
            Poll::Ready(Order::Replaced)
        } else if !is_stopping && self.is_told(Order::Stop) {
            Poll::Ready(Order::Stop)
        } else if !is_stopping && self.is_told(Order::Behind) {
            Poll::Ready(Order::Behind)
        } else if !is_stopping && self.is_told(Order::Send) {
            self.orders
                .fetch_and(!(Order::Send as u8), Ordering::AcqRel);
            Poll::Ready(Order::Send)
        } else {
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_heard_whether_it_came_before_or_while_one_waits() {
        let control = Control::default();
        let context = Context::from_waker(std::task::Waker::noop());
        assert_eq!(control.poll_told(&context, false), Poll::Pending);
        control.tell(Order::Send);
        assert_eq!(control.poll_told(&context, true), Poll::Pending);
        assert_eq!(control.poll_told(&context, false), Poll::Ready(Order::Send));
        assert_eq!(control.poll_told(&context, false), Poll::Pending, "heard");
        control.tell(Order::Stop);
        assert_eq!(control.poll_told(&context, false), Poll::Ready(Order::Stop));
        assert_eq!(control.poll_told(&context, true), Poll::Pending);
        control.tell(Order::Replaced);
        assert_eq!(
            control.poll_told(&context, true),
            Poll::Ready(Order::Replaced)
        );
    }
}
