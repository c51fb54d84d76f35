//! Moves that an outer system asks for: signed as deliveries are, under the same secret.
//!
//! | what comes | what it gets |
//! |---|---|
//! | no signature, a wrong one, or a time outside the window | refused |
//! | a key that is known, signed at the same time or earlier | refused: a replay |
//! | a key that is known, signed anew | what became of it; nothing is done again |
//! | a key that is known, with another text | refused: a mistake of the sender |
//! | a key that is known, and nobody knows what became of it | done, under the same key |
//! | a move that the table forbids | refused; the key may come again |
//!
//! The key is noted before the move and the outcome after it. Between the two a crash leaves a key
//! without an outcome; the move itself is made once by the store, which knows it by its key.

use async_trait::async_trait;
use geofence::{identity::CaseId, units::Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use storage::{
    outbox::{Begun, Callback, Outbox},
    store::StoreError,
};

use super::signature::{self, Untrusted};
use crate::{
    config::{Delivery, Receiver},
    http::view::hex,
};

/// Longer keys are none.
const KEY_BYTES_MAX: usize = 256;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CallbackMove)]
pub struct Asked {
    /// Which case.
    #[schema(value_type = String)]
    pub case: CaseId,
    /// The word of the move.
    #[serde(rename = "move")]
    pub name: String,
    /// The version of the case that was seen; none is whatever it is now.
    pub version: Option<u32>,
    /// Who, in the outer system.
    pub actor: String,
    /// In which part, as the table of moves calls it: `operator`, `department`.
    pub role: String,
    /// Why.
    #[serde(default)]
    pub remark: String,
    /// To which department, where the move needs one.
    pub department: Option<String>,
    /// To which jurisdiction, where the move needs one.
    pub jurisdiction: Option<String>,
}

/// What became of a move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The stage of the case afterwards.
    pub stage: String,
    /// Its version afterwards.
    pub version: u32,
}

/// What a mover says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// It is made, now or before under the same key.
    Done(Outcome),
    /// It may not be made, for this reason.
    Refused(String),
    /// There is no such case.
    Unknown,
}

/// Who moves cases.
#[async_trait]
pub trait Mover: Send + Sync {
    /// Makes a move for a receiver. What has been done under a key is not done again.
    async fn make(
        &self,
        receiver: &Receiver,
        asked: &Asked,
        key: &str,
        at: Timestamp,
    ) -> Result<Made, StoreError>;
}

/// What came.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `webhook-id`, `webhook-timestamp` and `webhook-signature`; empty where they are missing.
    pub headers: (&'a str, &'a str, &'a str),
    /// The body.
    pub body: &'a [u8],
    /// When it came.
    pub at: Timestamp,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The move is made.
    Moved(Outcome),
    /// It had been made, and nothing was done.
    Repeated(Outcome),
    /// Nobody who knows the secret has just sent it.
    Untrusted(Untrusted),
    /// The same request came before.
    Replayed,
    /// The same key came before with another text.
    KeyReused,
    /// The text is none that is understood.
    Malformed(String),
    /// The move may not be made.
    Refused(String),
    /// There is no such case.
    Unknown,
}

impl Taken {
    /// The word that metrics use.
    #[must_use]
    pub const fn result(&self) -> &'static str {
        match self {
            Self::Moved(_) => "moved",
            Self::Repeated(_) => "repeated",
            Self::Untrusted(why) => why.reason(),
            Self::Replayed => "replayed",
            Self::KeyReused => "key_reused",
            Self::Malformed(_) => "malformed",
            Self::Refused(_) => "refused",
            Self::Unknown => "unknown_case",
        }
    }
}

/// Takes a request of a receiver.
///
/// # Errors
/// When the store does not answer: it may come again.
pub async fn take(
    outbox: &dyn Outbox,
    mover: &dyn Mover,
    config: &Delivery,
    receiver: &Receiver,
    request: Request<'_>,
) -> Result<Taken, StoreError> {
    let Request { headers, body, at } = request;
    let (key, timestamp, _) = headers;
    let verified = signature::verify(&receiver.secret, headers, body, at, config.callback_window);
    if let Err(why) = verified {
        return Ok(Taken::Untrusted(why));
    }
    if key.len() > KEY_BYTES_MAX {
        return Ok(Taken::Malformed("webhook-id is too long".into()));
    }
    let asked: Asked = match serde_json::from_slice(body) {
        Ok(asked) => asked,
        Err(error) => return Ok(Taken::Malformed(error.to_string())),
    };
    let callback = Callback {
        receiver: receiver.name.clone(),
        key: key.to_owned(),
        case: asked.case,
        at,
        digest: hex(&Sha256::digest(body)),
        sent: timestamp.parse().unwrap_or_default(),
        outcome: None,
    };
    if let Begun::Known(known) = outbox.begin_callback(&callback).await? {
        if known.digest != callback.digest {
            return Ok(Taken::KeyReused);
        }
        let outcome = known.outcome.as_deref().map(serde_json::from_str);
        match outcome {
            Some(_) if callback.sent <= known.sent => return Ok(Taken::Replayed),
            Some(Ok(outcome)) => return Ok(Taken::Repeated(outcome)),
            // Nobody knows what became of it: the mover does, by the key.
            Some(Err(_)) | None => {}
        }
    }
    let made = mover.make(receiver, &asked, key, at).await?;
    let name = &receiver.name;
    Ok(match made {
        Made::Done(outcome) => {
            let text = serde_json::to_string(&outcome).unwrap_or_default();
            outbox.finish_callback(name, key, Some(&text)).await?;
            Taken::Moved(outcome)
        }
        Made::Refused(why) => {
            outbox.finish_callback(name, key, None).await?;
            Taken::Refused(why)
        }
        Made::Unknown => {
            outbox.finish_callback(name, key, None).await?;
            Taken::Unknown
        }
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use parking_lot::Mutex;
    use storage::store::memory::MemoryStore;

    use super::*;
    use crate::config::{Config, Raw};

    const SECONDS: i64 = 1_764_028_800;
    const BODY: &str = r#"{"case":"00000000-0000-0000-0000-000000000007","move":"accept",
                           "actor":"王","role":"operator"}"#;

    /// Accepts a case once; knows keys, as the store does.
    #[derive(Default)]
    struct Stages {
        keys: Mutex<Vec<String>>,
        is_away: Mutex<bool>,
    }

    #[async_trait]
    impl Mover for Stages {
        async fn make(
            &self,
            _: &Receiver,
            asked: &Asked,
            key: &str,
            _: Timestamp,
        ) -> Result<Made, StoreError> {
            let mut keys = self.keys.lock();
            let is_known = keys.iter().any(|known| known == key);
            if asked.case.0.is_nil() {
                return Ok(Made::Unknown);
            }
            if !is_known && (asked.name != "accept" || !keys.is_empty()) {
                return Ok(Made::Refused("not possible".into()));
            }
            if !is_known {
                keys.push(key.to_owned());
            }
            if *self.is_away.lock() {
                return Err(StoreError::Unavailable {
                    action: "move a case",
                    cause: "the answer is lost".into(),
                });
            }
            Ok(Made::Done(Outcome {
                stage: "accepted".into(),
                version: 2,
            }))
        }
    }

    struct Scene {
        config: Delivery,
        store: MemoryStore,
        mover: Stages,
    }

    impl Scene {
        fn new() -> Self {
            let mut raw = Raw::default();
            let text = "[[delivery.receivers]]\nname = \"a\"\nurl = \"http://h/\"\n\
                        secret = \"a-key-of-enough-characters\"\n";
            raw.add_file(PathBuf::from("f"), text);
            Self {
                config: Config::from_raw(raw).unwrap().delivery,
                store: MemoryStore::default(),
                mover: Stages::default(),
            }
        }

        async fn send(&self, key: &str, sent: i64, body: &str) -> Result<Taken, StoreError> {
            let secret = &self.config.receivers[0].secret;
            let signature = signature::sign(secret, key, sent, body.as_bytes());
            self.bring(key, &sent.to_string(), &signature, body).await
        }

        async fn bring(
            &self,
            key: &str,
            sent: &str,
            signature: &str,
            body: &str,
        ) -> Result<Taken, StoreError> {
            let request = Request {
                headers: (key, sent, signature),
                body: body.as_bytes(),
                at: Timestamp(SECONDS * 1_000),
            };
            let receiver = &self.config.receivers[0];
            take(&self.store, &self.mover, &self.config, receiver, request).await
        }
    }

    fn done() -> Outcome {
        Outcome {
            stage: "accepted".into(),
            version: 2,
        }
    }

    #[tokio::test]
    async fn a_move_is_made_once_and_its_repetition_is_told_so() {
        let scene = Scene::new();
        let sent = |seconds, body| scene.send("k", seconds, body);
        assert_eq!(sent(SECONDS, BODY).await.unwrap(), Taken::Moved(done()));
        assert_eq!(sent(SECONDS, BODY).await.unwrap(), Taken::Replayed);
        assert_eq!(sent(SECONDS - 1, BODY).await.unwrap(), Taken::Replayed);
        assert_eq!(
            sent(SECONDS + 1, BODY).await.unwrap(),
            Taken::Repeated(done())
        );
        // That one was signed anew once.
        assert_eq!(sent(SECONDS + 1, BODY).await.unwrap(), Taken::Replayed);
        let other = BODY.replace("accept", "close");
        assert_eq!(sent(SECONDS + 2, &other).await.unwrap(), Taken::KeyReused);
        assert_eq!(scene.mover.keys.lock().len(), 1);
    }

    #[tokio::test]
    async fn what_is_not_signed_or_not_of_now_is_refused() {
        let scene = Scene::new();
        let forged = scene
            .bring("k", &SECONDS.to_string(), "v1,AAAA", BODY)
            .await;
        let untrusted = |why| Taken::Untrusted(why);
        assert_eq!(forged.unwrap(), untrusted(Untrusted::BadSignature));
        let bare = scene.bring("", "", "", BODY).await.unwrap();
        assert_eq!(bare, untrusted(Untrusted::Incomplete));
        for seconds in [SECONDS - 301, SECONDS + 301] {
            let stale = scene.send("k", seconds, BODY).await.unwrap();
            assert_eq!(stale, untrusted(Untrusted::Stale));
        }
        assert_eq!(scene.store.tally_outbox().await.unwrap().callbacks, 0);
        assert!(scene.mover.keys.lock().is_empty());
    }

    #[tokio::test]
    async fn what_may_not_be_done_now_may_come_again() {
        let scene = Scene::new();
        let close = BODY.replace("accept", "close");
        let refused = Taken::Refused("not possible".into());
        for seconds in [SECONDS, SECONDS] {
            assert_eq!(scene.send("k", seconds, &close).await.unwrap(), refused);
        }
        let nil = BODY.replace("000000000007", "000000000000");
        assert_eq!(
            scene.send("k", SECONDS, &nil).await.unwrap(),
            Taken::Unknown
        );
        for wrong in ["", "[]", "{}", &BODY.replace("actor", "acter")] {
            let taken = scene.send("k", SECONDS, wrong).await.unwrap();
            assert!(matches!(taken, Taken::Malformed(_)), "{taken:?}");
        }
        let taken = scene.send("k", SECONDS, BODY).await.unwrap();
        assert_eq!(taken, Taken::Moved(done()));
    }

    #[tokio::test]
    async fn a_move_whose_answer_was_lost_is_not_made_twice() {
        let scene = Scene::new();
        *scene.mover.is_away.lock() = true;
        assert!(scene.send("k", SECONDS, BODY).await.is_err());
        *scene.mover.is_away.lock() = false;
        // The very same request: nobody knows yet what became of it.
        let taken = scene.send("k", SECONDS, BODY).await.unwrap();
        assert_eq!(taken, Taken::Moved(done()));
        assert_eq!(scene.mover.keys.lock().len(), 1);
        assert_eq!(
            scene.send("k", SECONDS, BODY).await.unwrap(),
            Taken::Replayed
        );
    }
}
