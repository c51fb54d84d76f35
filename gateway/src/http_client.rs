//! The little of HTTP that asking a gateway takes.

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, body::Bytes, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Status and body of a `GET`, over a connection of its own.
///
/// # Errors
/// When nobody listens on `address` (`127.0.0.1:8080`) or the answer is no HTTP.
pub async fn get(address: &str, path: &str) -> anyhow::Result<(u16, Bytes)> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("no gateway on {address}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::get(path)
        .header(HOST, address)
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    drop(sender);
    driver.await??;
    Ok((status, body))
}
