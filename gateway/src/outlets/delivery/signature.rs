//! Signatures as Standard Webhooks say: `v1,` and the base64 of HMAC-SHA-256 over
//! `id.timestamp.body`, the time in whole seconds since 1970. The id is the idempotency key, so
//! nobody can send a signed body again under another one.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use geofence::units::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::config::Secret;

/// The header with the id of the message.
pub const ID: &str = "webhook-id";
/// The header with the time of sending.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures, separated by spaces.
pub const SIGNATURE: &str = "webhook-signature";

/// Signatures that are looked at: a sender that changes its key sends two.
const SIGNATURES_MAX: usize = 8;

/// Why a message is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// A header is missing or cannot be read.
    #[error("webhook-id, webhook-timestamp and webhook-signature are needed")]
    Incomplete,
    /// No signature is right.
    #[error("no signature is right")]
    BadSignature,
    /// The time is too far from ours.
    #[error("the time of the message is too far from ours")]
    Stale,
}

impl Untrusted {
    /// The word that metrics use.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::BadSignature => "bad_signature",
            Self::Stale => "stale",
        }
    }
}

/// The signature of a message.
#[must_use]
pub fn sign(secret: &Secret, id: &str, seconds: i64, body: &[u8]) -> String {
    format!("v1,{}", STANDARD.encode(digest(secret, id, seconds, body)))
}

/// Whether a message is from who knows the secret, and of now. The signature is looked at first:
/// who cannot sign learns nothing about our clock.
///
/// # Errors
/// Why not.
pub fn verify(
    secret: &Secret,
    headers: (&str, &str, &str),
    body: &[u8],
    now: Timestamp,
    window: Duration,
) -> Result<(), Untrusted> {
    let (id, timestamp, signatures) = headers;
    let seconds: i64 = timestamp.parse().map_err(|_| Untrusted::Incomplete)?;
    if id.is_empty() {
        return Err(Untrusted::Incomplete);
    }
    let right = digest(secret, id, seconds, body);
    let is_right = signatures
        .split(' ')
        .take(SIGNATURES_MAX)
        .filter_map(|one| one.strip_prefix("v1,"))
        .filter_map(|one| STANDARD.decode(one).ok())
        .any(|shown| bool::from(shown.ct_eq(&right)));
    if !is_right {
        return Err(Untrusted::BadSignature);
    }
    let distance = now.millis().div_euclid(1_000).abs_diff(seconds);
    if distance > window.as_secs() {
        return Err(Untrusted::Stale);
    }
    Ok(())
}

fn digest(secret: &Secret, id: &str, seconds: i64, body: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.bytes()) else {
        return [0; 32];
    };
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SECONDS: i64 = 1_614_265_330;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const NOW: Timestamp = Timestamp(SECONDS * 1_000);
    const WINDOW: Duration = Duration::from_secs(300);

    fn secret() -> Secret {
        Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
    }

    fn check(id: &str, at: &str, signatures: &str, body: &[u8]) -> Result<(), Untrusted> {
        verify(&secret(), (id, at, signatures), body, NOW, WINDOW)
    }

    /// The vector of the specification's own libraries.
    #[test]
    fn the_vector_of_standard_webhooks_is_met() {
        assert_eq!(sign(&secret(), ID, SECONDS, BODY), SIGNATURE);
        assert_eq!(check(ID, "1614265330", SIGNATURE, BODY), Ok(()));
    }

    /// Made with Python's `hmac`: the key as it is written, no base64.
    #[test]
    fn a_key_may_be_any_text() {
        let key = Secret::parse("一把足够长的钥匙abc").unwrap();
        let signature = "v1,2bHooBk/k4E9Qz8b0UQFiF+4EFmkA1Ml3vrmwxP3dqg=";
        assert_eq!(sign(&key, "键", 0, "{\"案件\":1}".as_bytes()), signature);
    }

    #[test]
    fn one_right_signature_of_several_is_enough() {
        let several = format!("v1,AAAA v2,x {SIGNATURE}");
        assert_eq!(check(ID, "1614265330", &several, BODY), Ok(()));
        let late = format!("{}{SIGNATURE}", "v1,AAAA ".repeat(8));
        let refused = Err(Untrusted::BadSignature);
        assert_eq!(check(ID, "1614265330", &late, BODY), refused);
    }

    #[test]
    fn whatever_is_altered_is_noticed() {
        let refused = Err(Untrusted::BadSignature);
        let unsigned = SIGNATURE.strip_prefix("v1,").unwrap();
        assert_eq!(check("msg_other", "1614265330", SIGNATURE, BODY), refused);
        assert_eq!(check(ID, "1614265331", SIGNATURE, BODY), refused);
        assert_eq!(check(ID, "1614265330", SIGNATURE, b"{}"), refused);
        for signature in [
            "",
            "v1,",
            unsigned,
            &SIGNATURE.replace("v1", "v2"),
            "v1,g0hM9SsE+OTPJTGt",
        ] {
            assert_eq!(
                check(ID, "1614265330", signature, BODY),
                refused,
                "{signature}"
            );
        }
        let other = Secret::parse("another-key-of-enough-length").unwrap();
        let headers = (ID, "1614265330", SIGNATURE);
        assert_eq!(verify(&other, headers, BODY, NOW, WINDOW), refused);
        for at in ["", "now", "1614265330.5", "99999999999999999999"] {
            let incomplete = Err(Untrusted::Incomplete);
            assert_eq!(check(ID, at, SIGNATURE, BODY), incomplete, "{at}");
        }
    }

    #[test]
    fn what_is_older_or_newer_than_the_window_is_stale() {
        let at = |seconds: i64| {
            let now = Timestamp((SECONDS + seconds) * 1_000);
            verify(&secret(), (ID, "1614265330", SIGNATURE), BODY, now, WINDOW)
        };
        assert_eq!((at(300), at(-300)), (Ok(()), Ok(())));
        assert_eq!(at(301), Err(Untrusted::Stale));
        assert_eq!(at(-301), Err(Untrusted::Stale));
    }
}
