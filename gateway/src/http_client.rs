//! The little of HTTP that asking a gateway takes.

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
pub use hyper::Method;
use hyper::{
    Request,
    body::Bytes,
    header::{CONTENT_TYPE, HOST},
    http::request::Builder,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Status and body of a `GET`, over a connection of its own.
///
/// # Errors
/// When nobody listens on `address` (`127.0.0.1:8080`) or the answer is no HTTP.
pub async fn get(address: &str, path: &str) -> anyhow::Result<(u16, Bytes)> {
    send(address, Request::get(path), Bytes::new()).await
}

/// Status and body of a request with a JSON document, or without one.
///
/// # Errors
/// As [`get`].
pub async fn ask(
    address: &str,
    method: Method,
    path: &str,
    document: Option<&serde_json::Value>,
) -> anyhow::Result<(u16, Bytes)> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(CONTENT_TYPE, "application/json");
    let body = document.map(ToString::to_string).unwrap_or_default();
    send(address, request, body.into()).await
}

/// Status and body of a request with a text, under headers of one's own.
///
/// # Errors
/// As [`get`].
pub async fn ask_with_text(
    address: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    text: String,
) -> anyhow::Result<(u16, Bytes)> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(address, request, text.into()).await
}

async fn send(address: &str, request: Builder, body: Bytes) -> anyhow::Result<(u16, Bytes)> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("no gateway on {address}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = request.header(HOST, address).body(Full::new(body))?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    drop(sender);
    driver.await??;
    Ok((status, body))
}
