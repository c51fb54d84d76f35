//! A TCP proxy that can be slow, silent or gone: what lies between a gateway and its database.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Runtime,
    sync::watch,
};

/// What the proxy does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Hands them on.
    Open,
    /// Hands each piece of at most 64 KiB on after a pause.
    Slow(Duration),
    /// Accepts connections and bytes, and hands nothing on.
    Silent,
    /// Hands on what comes from the near side, and nothing of what is said to it.
    Deaf,
    /// Ends all connections, and new ones at once.
    Cut,
}

/// A running proxy, on threads of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
    _runtime: Runtime,
}

impl Proxy {
    /// Listens on a free port of loopback, in front of another address.
    #[must_use]
    pub fn start(target: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (way, seen) = watch::channel(Way::Open);
        runtime.spawn(accept(listener, target, seen));
        Self {
            address,
            way,
            _runtime: runtime,
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, for all connections.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, way: watch::Receiver<Way>) {
    while let Ok((near, _)) = listener.accept().await {
        if *way.borrow() == Way::Cut {
            continue;
        }
        tokio::spawn(connect(near, target, way.clone()));
    }
}

async fn connect(near: TcpStream, target: SocketAddr, way: watch::Receiver<Way>) {
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    if near.set_nodelay(true).is_err() || far.set_nodelay(true).is_err() {
        return;
    }
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    // When one direction ends, both do: dropping the halves closes the sockets.
    tokio::select! {
        () = pass(near_read, far_write, way.clone(), false) => {}
        () = pass(far_read, near_write, way, true) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
    is_back: bool,
) {
    let mut piece = vec![0; 64 * 1_024];
    loop {
        let count = tokio::select! {
            read = from.read(&mut piece) => match read {
                Ok(0) | Err(_) => return,
                Ok(count) => count,
            },
            changed = way.changed() => {
                if changed.is_err() || *way.borrow() == Way::Cut {
                    return;
                }
                continue;
            }
        };
        let now = *way.borrow_and_update();
        match now {
            Way::Open => {}
            // Lost for good.
            Way::Deaf if is_back => continue,
            Way::Deaf => {}
            Way::Slow(pause) => tokio::time::sleep(pause).await,
            Way::Silent => {
                if way.wait_for(|way| *way != Way::Silent).await.is_err() {
                    return;
                }
            }
            Way::Cut => return,
        }
        if to.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}
