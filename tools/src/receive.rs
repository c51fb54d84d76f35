//! A case system as small as it can be: it takes signed webhooks of a gateway, keeps each case
//! once, and misbehaves by a seed.
//!
//! It verifies signatures by itself (Standard Webhooks, `signature.rs`), apart from the gateway's
//! code. What it has done is in a file of lines, synced before it answers, so that it may die at
//! any time: a request that comes again under its key is answered and not done again.

mod caller;
mod ledger;
mod signature;

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use self::caller::Caller;
pub use self::{
    caller::{Called, Calls},
    ledger::{Entry, Ledger, Summary},
    signature::{Secret, sign},
};
use crate::random::Random;

/// A longer request is refused.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How often it misbehaves, in a hundred requests; they add up to 100 at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The connection ends before the work.
    pub refuse: u32,
    /// The work is done, and the connection ends without an answer.
    pub lose: u32,
    /// Status 500, before the work or after it.
    pub fail: u32,
    /// Status 200 and no number, after the work.
    pub nonsense: u32,
    /// The process ends, before the work or after it.
    pub die: u32,
}

impl Faults {
    /// Of a hundred requests, so many go wrong.
    #[must_use]
    pub const fn sum(self) -> u32 {
        self.refuse + self.lose + self.fail + self.nonsense + self.die
    }
}

/// What a receiver is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// The key that both sides sign with.
    pub secret: Secret,
    /// The file of what was done; in memory only without one.
    pub file: Option<PathBuf>,
    /// Decides what goes wrong.
    pub seed: u64,
    /// What goes wrong.
    pub faults: Faults,
    /// Each answer waits for up to so long.
    pub delay: Duration,
    /// A request whose time is further away is refused.
    pub window: Duration,
}

/// A receiver. Clones are the same one.
#[derive(Clone)]
pub struct Receiver {
    options: Arc<Options>,
    state: Arc<Mutex<State>>,
    /// Called where it dies.
    die: Arc<dyn Fn() + Send + Sync>,
}

struct State {
    ledger: Ledger,
    random: Random,
    faults: Faults,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Good,
    Refused,
    Lost,
    FailedBefore,
    FailedAfter,
    Nonsense,
    DeadBefore,
    DeadAfter,
}

impl Receiver {
    /// A receiver that knows what its file says. `die` is called where it is to die; it goes on as
    /// one that lost the answer if that returns.
    ///
    /// # Errors
    /// When the file cannot be read, or is none of its own.
    pub fn open(options: Options, die: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        let state = State {
            ledger: Ledger::open(options.file.as_deref())?,
            random: Random::new(options.seed),
            faults: options.faults,
        };
        Ok(Self {
            options: Arc::new(options),
            state: Arc::new(Mutex::new(state)),
            die: Arc::new(die),
        })
    }

    /// From now on, what goes wrong.
    pub fn set_faults(&self, faults: Faults) {
        self.with(|state| state.faults = faults);
    }

    /// From now on, moves cases as an outer system does: asks the gateway to lead each to its end,
    /// one move at an event.
    ///
    /// # Errors
    /// When there is no key to forge signatures with.
    pub fn call_back(&self, calls: Calls) -> anyhow::Result<()> {
        let caller = Caller::new(calls, self.options.secret.clone(), self.options.seed)?;
        let (asking, telling) = (self.clone(), self.clone());
        tokio::spawn(caller.run(
            move || asking.with(|state| state.ledger.due()),
            move |change| telling.with(|state| state.ledger.call(change)),
        ));
        Ok(())
    }

    /// What it has.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.with(|state| state.ledger.summary())
    }

    /// Serves until the listener fails. It never does by itself.
    ///
    /// # Errors
    /// What the listener says.
    pub async fn serve(self, listener: TcpListener) -> io::Result<Infallible> {
        loop {
            let (stream, peer) = listener.accept().await?;
            tokio::spawn(self.clone().talk(stream, peer));
        }
    }

    async fn talk(self, stream: TcpStream, peer: SocketAddr) {
        let service = service_fn(|request| self.answer(request));
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.await {
            tracing::debug!(%peer, %error, "a connection ended");
        }
    }

    /// An error ends the connection without an answer.
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        if request.method() == Method::GET {
            let text = serde_json::to_string(&self.summary()).map_err(io::Error::other)?;
            return Ok(response(StatusCode::OK, text));
        }
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
            return Ok(response(StatusCode::PAYLOAD_TOO_LARGE, "too long".into()));
        };
        let (fate, wait) = self.with(State::fate);
        tokio::time::sleep(self.options.delay.mul_f64(wait)).await;
        let broken = || io::Error::other("a fault by the seed");
        match fate {
            Fate::Refused => return Err(broken()),
            Fate::FailedBefore => return Ok(failed()),
            Fate::DeadBefore => {
                (self.die)();
                return Err(broken());
            }
            _ => {}
        }
        let answer = self.take(&head.headers, &body.to_bytes())?;
        match fate {
            Fate::Lost => Err(broken()),
            Fate::FailedAfter => Ok(failed()),
            Fate::Nonsense => Ok(response(StatusCode::OK, "<html>OK</html>".into())),
            Fate::DeadAfter => {
                (self.die)();
                Err(broken())
            }
            _ => Ok(answer),
        }
    }

    fn take(&self, headers: &hyper::HeaderMap, body: &[u8]) -> io::Result<Response<Full<Bytes>>> {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since.map_or(0, |since| since.as_secs());
        let verified = signature::verify(
            &self.options.secret,
            text("webhook-id"),
            text("webhook-timestamp"),
            text("webhook-signature"),
            body,
            now,
            self.options.window,
        );
        let id = match verified {
            Ok(id) => id,
            Err(why) => {
                self.with(|state| state.ledger.refuse());
                return Ok(response(StatusCode::UNAUTHORIZED, why.into()));
            }
        };
        let done = self.with(|state| state.ledger.take(id, body))?;
        Ok(match done {
            Some(number) => {
                let text = serde_json::json!({ "number": number }).to_string();
                response(StatusCode::OK, text)
            }
            None => response(StatusCode::UNPROCESSABLE_ENTITY, "not a case".into()),
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// What happens to the next request, and which share of the delay it waits.
    fn fate(&mut self) -> (Fate, f64) {
        let wait = self.random.unit();
        let mut left = self.random.next_u64() % 100;
        let is_after = self.random.next_u64().is_multiple_of(2);
        let faults = self.faults;
        let either = |before, after| if is_after { after } else { before };
        for (often, fate) in [
            (faults.refuse, Fate::Refused),
            (faults.lose, Fate::Lost),
            (faults.fail, either(Fate::FailedBefore, Fate::FailedAfter)),
            (faults.nonsense, Fate::Nonsense),
            (faults.die, either(Fate::DeadBefore, Fate::DeadAfter)),
        ] {
            match left.checked_sub(u64::from(often)) {
                None => return (fate, wait),
                Some(rest) => left = rest,
            }
        }
        (Fate::Good, wait)
    }
}

fn failed() -> Response<Full<Bytes>> {
    response(StatusCode::INTERNAL_SERVER_ERROR, "out of order".into())
}

fn response(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_misfortune() {
        let fates = |seed| -> Vec<Fate> {
            let faults = Faults {
                refuse: 10,
                lose: 10,
                fail: 10,
                nonsense: 10,
                die: 10,
            };
            let mut state = State {
                ledger: Ledger::open(None).unwrap(),
                random: Random::new(seed),
                faults,
            };
            (0..500).map(|_| state.fate().0).collect()
        };
        assert_eq!(fates(1), fates(1));
        assert_ne!(fates(1), fates(2));
        let all = fates(1);
        let good = all.iter().filter(|fate| **fate == Fate::Good).count();
        assert!((200..300).contains(&good), "{good}");
        for fate in [Fate::Refused, Fate::Lost, Fate::DeadBefore, Fate::DeadAfter] {
            assert!(all.contains(&fate), "{fate:?}");
        }
    }
}
