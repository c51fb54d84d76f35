//! The little of HTTP that asking a gateway takes.

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
pub use hyper::Method;
use hyper::{
    Request,
    body::Bytes,
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its media type; empty where it has none.
    pub kind: String,
    /// All of its body.
    pub body: Bytes,
}

/// Status and body of a `GET`, over a connection of its own.
///
/// # Errors
/// When nobody listens on `address` (`127.0.0.1:8080`) or the answer is no HTTP.
pub async fn get(address: &str, path: &str) -> anyhow::Result<(u16, Bytes)> {
    let answer = exchange(address, Method::GET, path, &[], Bytes::new()).await?;
    Ok((answer.status, answer.body))
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
    let headers = [(CONTENT_TYPE.as_str(), "application/json")];
    let body = document.map(ToString::to_string).unwrap_or_default();
    let answer = exchange(address, method, path, &headers, body.into()).await?;
    Ok((answer.status, answer.body))
}

/// The answer to a request with a body, under headers of one's own, over a connection of its own.
///
/// # Errors
/// As [`get`].
pub async fn exchange(
    address: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> anyhow::Result<Answer> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("no gateway on {address}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.header(HOST, address).body(Full::new(body))?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let kind = response.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().to_owned();
    let body = response.into_body().collect().await?.to_bytes();
    drop(sender);
    driver.await??;
    Ok(Answer { status, kind, body })
}
