//! Ports that are chosen before somebody listens on them, or that somebody listens on again.
//!
//! On 127.0.0.1 anybody may get such a port meanwhile who asks for a free one, and so may the near end of
//! any connection. So these are ports of another address of loopback, which a process has for itself.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the ports that systems give away by themselves.
static NEXT: AtomicU16 = AtomicU16::new(20_000);

/// An address on which nobody listens but who asked for it.
///
/// # Panics
/// When this process has no port left.
#[must_use]
pub fn own() -> SocketAddr {
    // Linux has ids of 22 bits at most; with the 1, none of these is in 127.0.0.0/16.
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, high + 1, middle, low);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(port < 32_000, "no port is left");
        // Who listens on every address has this one as well.
        if TcpListener::bind((address, port)).is_ok() {
            return (address, port).into();
        }
    }
}
