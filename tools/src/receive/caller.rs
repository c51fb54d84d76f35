//! Moves that the receiver makes in its own system and asks the gateway for, signed: it leads each
//! case to its end, and misbehaves by a seed.
//!
//! The key of a move follows from the event that it answers, so one that is asked for again after a
//! death is the same move.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Uri, header::HOST};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpStream, time::timeout};

use super::signature::{Secret, sign};
use crate::random::Random;

/// Looked for new events so often, and tried again after so long.
const PAUSE: Duration = Duration::from_millis(50);
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// How far away the time of a stale request is.
const STALE_SECONDS: u64 = 86_400;
const DEPARTMENT: &str = "Receiver's department";

/// Where moves are asked for, and what goes wrong with it, each in so many of a hundred moves.
#[derive(Clone, Debug)]
pub struct Calls {
    /// `http://127.0.0.1:8080/api/v1/callbacks/NAME`.
    pub url: Uri,
    /// Before the move, a request that is signed with another key.
    pub forge: u32,
    /// Before the move, a request of long ago.
    pub stale: u32,
    /// After it, the same request once more.
    pub replay: u32,
    /// After it, the same move signed anew.
    pub repeat: u32,
}

/// What became of what was asked for, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Called {
    /// Moves that were made.
    pub moved: u64,
    /// The gateway had made them before.
    pub repeated: u64,
    /// Moves that the gateway refused: somebody was faster.
    pub refused: u64,
    /// Requests that were forged or stale, and refused for it.
    pub untrusted: u64,
    /// Requests that came twice, and were refused for it.
    pub replayed: u64,
    /// Faults that the gateway took for good.
    pub wrongly_taken: u64,
    /// Requests without an answer, or with one of no use; they were tried again.
    pub unanswered: u64,
}

/// An event that asks for a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) case: String,
    pub(super) sequence: u64,
    pub(super) stage: String,
}

/// The move that brings a case further from a stage, with who makes it; none from the last.
fn next(stage: &str) -> Option<(&'static str, &'static str)> {
    Some(match stage {
        "collected" => ("accept", "operator"),
        "accepted" => ("file", "operator"),
        "filed" => ("dispatch", "dispatcher"),
        "dispatched" => ("handle", "department"),
        "handled" => ("verify_pass", "operator"),
        "verified" => ("close", "operator"),
        _ => return None,
    })
}

pub(super) struct Caller {
    calls: Calls,
    secret: Secret,
    other: Secret,
    random: Random,
}

impl Caller {
    pub(super) fn new(calls: Calls, secret: Secret, seed: u64) -> anyhow::Result<Self> {
        Ok(Self {
            calls,
            secret,
            other: Secret::new("nobody-has-agreed-on-this-key")?,
            random: Random::new(seed),
        })
    }

    /// Answers events as they come. `due` gives the next one, `tell` takes what became of it.
    pub(super) async fn run(
        mut self,
        due: impl Fn() -> Option<Due>,
        tell: impl Fn(&dyn Fn(&mut Called)),
    ) {
        loop {
            match due() {
                Some(event) => self.answer(&event, &tell).await,
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn answer(&mut self, event: &Due, tell: &impl Fn(&dyn Fn(&mut Called))) {
        let Some((name, role)) = next(&event.stage) else {
            return;
        };
        let key = format!("{}/{}", event.case, event.sequence);
        let body = serde_json::json!({
            "case": event.case, "move": name, "actor": "receiver", "role": role,
            "remark": "", "department": DEPARTMENT,
        });
        let body = Bytes::from(body.to_string());
        let mut happens = |percent: u32| self.random.next_u64() % 100 < u64::from(percent);
        let calls = &self.calls;
        let [forged, stale, replayed, repeated] =
            [calls.forge, calls.stale, calls.replay, calls.repeat].map(&mut happens);
        let mut seconds = now();
        let long_ago = seconds.saturating_sub(STALE_SECONDS);
        for (is_wanted, secret, at) in [
            (forged, &self.other, seconds),
            (stale, &self.secret, long_ago),
        ] {
            let status = match is_wanted {
                true => self.post(secret, &key, at, &body).await.ok(),
                false => None,
            };
            tell(&|called| match status {
                None => {}
                Some((401, _)) => called.untrusted += 1,
                Some(_) => called.wrongly_taken += 1,
            });
        }
        loop {
            let asked = self.post(&self.secret, &key, seconds, &body).await;
            let is_answered = matches!(asked, Ok((200 | 404 | 409 | 422, _)));
            tell(&|called| match asked {
                Ok((200, false)) => called.moved += 1,
                Ok((200, true)) => called.repeated += 1,
                Ok((404 | 409 | 422, _)) => called.refused += 1,
                Ok(_) | Err(_) => called.unanswered += 1,
            });
            if is_answered {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            // Signed anew: the same signature again would be a replay.
            seconds = now().max(seconds + 1);
        }
        if replayed {
            let asked = self.post(&self.secret, &key, seconds, &body).await.ok();
            tell(&|called| match asked {
                None => {}
                Some((409, _)) => called.replayed += 1,
                Some(_) => called.wrongly_taken += 1,
            });
        }
        if repeated {
            let asked = self.post(&self.secret, &key, seconds + 1, &body).await.ok();
            tell(&|called| match asked {
                Some((200, true)) => called.repeated += 1,
                Some((200, false)) => called.wrongly_taken += 1,
                Some((404 | 409 | 422, _)) => called.refused += 1,
                _ => {}
            });
        }
    }

    /// The status of the answer, and whether it says that nothing was done.
    async fn post(
        &self,
        secret: &Secret,
        key: &str,
        seconds: u64,
        body: &Bytes,
    ) -> anyhow::Result<(u16, bool)> {
        let url = &self.calls.url;
        let authority = url.authority().context("no host")?.as_str();
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::post(path)
            .header(HOST, authority)
            .header("content-type", "application/json")
            .header("webhook-id", key)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", sign(secret, key, seconds, body))
            .body(Full::new(body.clone()))?;
        let exchange = async {
            let stream = TcpStream::connect(authority).await?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let driver = tokio::spawn(connection);
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            drop(sender);
            driver.await??;
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let is_repeated = body.get("repeated").and_then(serde_json::Value::as_bool);
            anyhow::Ok((status, is_repeated.unwrap_or_default()))
        };
        timeout(ANSWERED_WITHIN, exchange).await?
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
