//! A tokio server, a task for each connection, that answers what it reads.

use std::io;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};

use super::{announce, answers::answer_frames};

pub(super) fn serve() -> io::Result<()> {
    Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            announce(listener.local_addr()?)?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::spawn(connection(stream));
            }
        })
}

async fn connection(mut stream: TcpStream) {
    let mut received = Vec::new();
    let mut answers = Vec::new();
    loop {
        received.reserve(2_048);
        match stream.read_buf(&mut received).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        answer_frames(&mut received, &mut answers);
        if stream.write_all(&answers).await.is_err() {
            return;
        }
        answers.clear();
    }
}
