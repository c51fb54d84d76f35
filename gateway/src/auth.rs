//! Authentication codes (鉴权码): bound to one terminal, never empty, not to be guessed.
//!
//! A code is HMAC-SHA-256 of the phone number under a key of this installation, cut to 120 bits
//! and written as 20 ASCII characters, which every revision can carry. So a terminal that
//! registers on each power-up gets the same code again, nothing has to be synced before the
//! response to a registration, and several nodes that share the key accept each other's codes.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use geofence::identity::TerminalId;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

const KEY_BYTES: usize = 32;
const CODE_BYTES: usize = 15;

/// The key of this installation. Its `Debug` shows nothing.
pub struct AuthKey([u8; KEY_BYTES]);

impl std::fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthKey(***)")
    }
}

impl AuthKey {
    /// Reads the key file, or makes one that only this user can read.
    ///
    /// # Errors
    /// When the file cannot be read or made, or has another length than 32 bytes.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => bytes.try_into().map(Self).map_err(|_| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the key file must have 32 bytes",
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = [0; KEY_BYTES];
                getrandom::fill(&mut key).map_err(io::Error::other)?;
                let temporary = path.with_extension("new");
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&temporary)?;
                file.write_all(&key)?;
                file.sync_all()?;
                fs::rename(&temporary, path)?;
                Ok(Self(key))
            }
            Err(error) => Err(error),
        }
    }

    /// The code of a terminal.
    #[must_use]
    pub fn code(&self, terminal: TerminalId) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        mac.update(b"gridtrace authentication code 1\0");
        mac.update(terminal.as_str().as_bytes());
        let digest = mac.finalize().into_bytes();
        URL_SAFE_NO_PAD.encode(digest.get(..CODE_BYTES).unwrap_or_default())
    }

    /// Whether a terminal showed its own code. Takes the same time for every wrong code; padding
    /// that terminals of the 2011 revision echo is ignored.
    #[must_use]
    pub fn accepts(&self, terminal: TerminalId, shown: &[u8]) -> bool {
        let is_padding = |b: &u8| matches!(b, 0 | b' ');
        let end = shown
            .iter()
            .rposition(|b| !is_padding(b))
            .map_or(0, |last| last + 1);
        let code = self.code(terminal);
        !code.is_empty()
            && code
                .as_bytes()
                .ct_eq(shown.get(..end).unwrap_or_default())
                .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(phone: &str) -> TerminalId {
        phone.parse().unwrap()
    }

    #[test]
    fn a_code_opens_for_its_own_terminal_only() {
        let folder = tempfile::tempdir().unwrap();
        let key = AuthKey::load_or_create(&folder.path().join("key")).unwrap();
        let code = key.code(terminal("13800138000"));
        assert_eq!(code.len(), 20);
        assert!(key.accepts(terminal("13800138000"), code.as_bytes()));
        assert!(key.accepts(terminal("13800138000"), format!("{code}\0").as_bytes()));
        assert!(!key.accepts(terminal("13800138001"), code.as_bytes()));
        assert!(!key.accepts(terminal("13800138000"), b""));
        assert!(!key.accepts(terminal("13800138000"), b"authentication"));
    }

    #[test]
    fn the_key_survives_a_restart_and_a_damaged_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let code = AuthKey::load_or_create(&path).unwrap().code(terminal("1"));
        assert_eq!(
            AuthKey::load_or_create(&path).unwrap().code(terminal("1")),
            code
        );
        fs::write(&path, b"short").unwrap();
        assert!(AuthKey::load_or_create(&path).is_err());
    }
}
