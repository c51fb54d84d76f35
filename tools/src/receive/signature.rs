//! Signatures of Standard Webhooks.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A key.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl Secret {
    /// A key as the gateway is told it: base64 behind `whsec_`, else the text itself.
    ///
    /// # Errors
    /// When what is behind `whsec_` is no base64.
    pub fn new(text: &str) -> anyhow::Result<Self> {
        let key = match text.strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded)?,
            None => text.as_bytes().to_vec(),
        };
        Ok(Self(Hmac::new_from_slice(&key)?))
    }

    fn of(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

/// The signature of a message that is sent at so many seconds since 1970.
#[must_use]
pub fn sign(secret: &Secret, id: &str, seconds: u64, body: &[u8]) -> String {
    let mac = secret.of(id, &seconds.to_string(), body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// The id of a message that is signed and of now; else why it is not taken.
pub(super) fn verify<'a>(
    secret: &Secret,
    id: Option<&'a str>,
    timestamp: Option<&str>,
    signatures: Option<&str>,
    body: &[u8],
    now: u64,
    window: Duration,
) -> Result<&'a str, &'static str> {
    let (Some(id), Some(timestamp), Some(signatures)) = (id, timestamp, signatures) else {
        return Err("a header is missing");
    };
    let is_right = |one: &str| {
        let encoded = one.strip_prefix("v1,")?;
        let shown = STANDARD.decode(encoded).ok()?;
        secret.of(id, timestamp, body).verify_slice(&shown).ok()
    };
    if !signatures.split(' ').any(|one| is_right(one).is_some()) {
        return Err("no signature is right");
    }
    let sent: u64 = timestamp.parse().map_err(|_| "the time is no number")?;
    if now.abs_diff(sent) > window.as_secs() {
        return Err("the message is stale");
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const NOW: u64 = 1_614_265_330;

    #[test]
    fn the_vector_of_standard_webhooks_is_met_and_nothing_else() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(sign(&secret, ID, NOW, BODY), SIGNATURE);
        let check = |id, time, signature, body, now| {
            let window = Duration::from_secs(300);
            verify(
                &secret,
                Some(id),
                Some(time),
                Some(signature),
                body,
                now,
                window,
            )
        };
        assert_eq!(check(ID, "1614265330", SIGNATURE, BODY, NOW + 300), Ok(ID));
        assert!(check(ID, "1614265330", SIGNATURE, BODY, NOW + 301).is_err());
        assert!(check(ID, "1614265331", SIGNATURE, BODY, NOW).is_err());
        assert!(check(ID, "1614265330", SIGNATURE, b"{}", NOW).is_err());
        assert!(check("other", "1614265330", SIGNATURE, BODY, NOW).is_err());
        assert!(check(ID, "1614265330", "v1,", BODY, NOW).is_err());
        assert!(Secret::new("whsec_?").is_err());
    }
}
