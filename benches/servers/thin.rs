//! A tokio server, a task for each connection, that appends what it reads to a file, syncs it, and
//! then answers: what the gateway promises, without what the gateway is for.

use std::{
    fs::File,
    io::{self, Write as _},
    mem,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::watch,
};

use super::{announce, answers::answer_frames};

/// The gateway's default.
const SYNC_INTERVAL: Duration = Duration::from_millis(2);

/// Bytes that wait for the next sync.
#[derive(Default)]
struct Staged {
    bytes: Vec<u8>,
    /// The length of the file with them.
    end: u64,
}

#[derive(Default)]
struct Log {
    staged: Mutex<Staged>,
    has_bytes: Condvar,
}

pub(super) fn serve(folder: &Path) -> io::Result<()> {
    let file = File::create(folder.join("thin.log"))?;
    let log = Arc::new(Log::default());
    let (synced, durable) = watch::channel(0);
    std::thread::spawn({
        let log = Arc::clone(&log);
        move || log.sync_always(file, &synced)
    });
    Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            announce(listener.local_addr()?)?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::spawn(connection(stream, Arc::clone(&log), durable.clone()));
            }
        })
}

impl Log {
    fn append(&self, bytes: &[u8]) -> u64 {
        let mut staged = self.staged.lock();
        staged.bytes.extend(bytes);
        staged.end += bytes.len() as u64;
        self.has_bytes.notify_one();
        staged.end
    }

    /// Ends with the first error: nobody is answered then.
    fn sync_always(&self, mut file: File, synced: &watch::Sender<u64>) -> io::Result<()> {
        let mut bytes = Vec::new();
        loop {
            let began = Instant::now();
            let end = {
                let mut staged = self.staged.lock();
                self.has_bytes
                    .wait_while(&mut staged, |staged| staged.bytes.is_empty());
                mem::swap(&mut staged.bytes, &mut bytes);
                staged.end
            };
            file.write_all(&bytes)?;
            file.sync_data()?;
            bytes.clear();
            synced.send_replace(end);
            std::thread::sleep(SYNC_INTERVAL.saturating_sub(began.elapsed()));
        }
    }
}

async fn connection(mut stream: TcpStream, log: Arc<Log>, mut durable: watch::Receiver<u64>) {
    let mut received = Vec::new();
    let mut answers = Vec::new();
    // What was appended last; the answers may leave when it is durable.
    let mut end = 0;
    loop {
        received.reserve(2_048);
        tokio::select! {
            read = stream.read_buf(&mut received) => {
                let count = match read {
                    Ok(0) | Err(_) => return,
                    Ok(count) => count,
                };
                let before = received.len().saturating_sub(count);
                end = log.append(received.get(before..).unwrap_or_default());
                answer_frames(&mut received, &mut answers);
            }
            synced = durable.wait_for(|synced| *synced >= end), if !answers.is_empty() => {
                if synced.is_err() {
                    return;
                }
            }
        }
        if answers.is_empty() || *durable.borrow() < end {
            continue;
        }
        if stream.write_all(&answers).await.is_err() {
            return;
        }
        answers.clear();
    }
}
