//! The gateway's own client, with every answer held against the description of the API.

pub use gateway::http_client::Method;
use gateway::http_client::{Answer, exchange};
use serde_json::Value;

use crate::described;

/// Status and body, as of the gateway's client.
type Told = anyhow::Result<(u16, bytes::Bytes)>;

/// Status and body of a `GET`.
///
/// # Errors
/// When nobody listens there, or the answer is no HTTP.
///
/// # Panics
/// When the answer is not what is described.
pub async fn get(address: &str, path: &str) -> Told {
    ask_with_text(address, Method::GET, path, &[], String::new()).await
}

/// Status and body of a request with a JSON document, or without one.
///
/// # Errors
/// As [`get`].
///
/// # Panics
/// As [`get`].
pub async fn ask(address: &str, method: Method, path: &str, document: Option<&Value>) -> Told {
    let headers = [("content-type", "application/json")];
    let text = document.map(ToString::to_string).unwrap_or_default();
    ask_with_text(address, method, path, &headers, text).await
}

/// Status and body of a request with a text, under headers of one's own.
///
/// # Errors
/// As [`get`].
///
/// # Panics
/// As [`get`].
pub async fn ask_with_text(
    address: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    text: String,
) -> Told {
    let answer = exchange(address, method.clone(), path, headers, text.into()).await?;
    if let Err(what) = described::check(method.as_str(), path, &answer) {
        let Answer { status, body, .. } = &answer;
        let body = String::from_utf8_lossy(body);
        let body: String = body.chars().take(2_000).collect();
        panic!("{method} {path}: {status}: not what is described: {what}\n{body}");
    }
    Ok((answer.status, answer.body))
}
