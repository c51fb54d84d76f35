//! Authentication codes (鉴权码): bound to one terminal, never empty, not to be guessed.
//!
//! A code is 120 random bits, written as 20 ASCII characters, which every revision can carry. Only
//! its digest is kept: HMAC-SHA-256 of terminal and code under a key of this installation, so that
//! neither the registry alone nor another terminal's row helps anybody.
//!
//! Terminals that registered before codes were kept had theirs derived from the phone number under
//! the same key. That code goes on to open for them until they have used a newer one.

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
use storage::registry::{CodeHash, CodeHashes};
use subtle::ConstantTimeEq as _;

const KEY_BYTES: usize = 32;
const CODE_BYTES: usize = 15;

/// The key of this installation. Its `Debug` shows nothing.
pub struct AuthKey {
    mac: Hmac<Sha256>,
}

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
            Ok(bytes) => bytes
                .try_into()
                .map_err(|_| invalid())
                .and_then(|key| Self::new(&key)),
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
                Self::new(&key)
            }
            Err(error) => Err(error),
        }
    }

    fn new(key: &[u8; KEY_BYTES]) -> io::Result<Self> {
        let mac = Hmac::new_from_slice(key).map_err(|_| invalid())?;
        Ok(Self { mac })
    }

    /// What is kept of a code.
    #[must_use]
    pub fn hash(&self, terminal: TerminalId, code: &[u8]) -> CodeHash {
        let text = terminal.as_str().as_bytes();
        self.digest(&[b"gridtrace authentication code 2\0", text, b"\0", code])
    }

    /// The code of a terminal whose row has none.
    fn derived(&self, terminal: TerminalId) -> String {
        let text = terminal.as_str().as_bytes();
        let digest = self.digest(&[b"gridtrace authentication code 1\0", text]);
        URL_SAFE_NO_PAD.encode(digest.get(..CODE_BYTES).unwrap_or_default())
    }

    /// The digest of the code that a terminal showed, when it opens. `codes` are those of its row,
    /// `None` where it has no row: nothing opens then, after the same work. Padding that terminals
    /// of the 2011 revision echo is ignored.
    #[must_use]
    pub fn accepts(
        &self,
        terminal: TerminalId,
        codes: Option<&CodeHashes>,
        shown: &[u8],
    ) -> Option<CodeHash> {
        // No digest is all zeros.
        const NOTHING: CodeHash = [0; size_of::<CodeHash>()];
        let is_padding = |b: &u8| matches!(b, 0 | b' ');
        let end = shown
            .iter()
            .rposition(|b| !is_padding(b))
            .map_or(0, |last| last + 1);
        let shown = self.hash(terminal, shown.get(..end).unwrap_or_default());
        let derived = self.hash(terminal, self.derived(terminal).as_bytes());
        let nobody = CodeHashes {
            confirmed: Some(NOTHING),
            ..CodeHashes::default()
        };
        let CodeHashes { confirmed, issued } = codes.unwrap_or(&nobody);
        let [older, newest] = issued.map(|hash| hash.unwrap_or(NOTHING));
        let opens =
            shown.ct_eq(&confirmed.unwrap_or(derived)) | shown.ct_eq(&older) | shown.ct_eq(&newest);
        bool::from(opens).then_some(shown)
    }

    fn digest(&self, parts: &[&[u8]]) -> CodeHash {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

fn invalid() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the key file must have 32 bytes",
    )
}

/// A new code: 20 characters of base64's alphabet for file names.
///
/// # Errors
/// When the system has no randomness.
pub fn new_code() -> io::Result<String> {
    let mut bytes = [0; CODE_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
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
        let (mine, other) = (terminal("13800138000"), terminal("13800138001"));
        let code = new_code().unwrap();
        assert_eq!(code.len(), 20);
        assert_ne!(new_code().unwrap(), code);
        let hash = key.hash(mine, code.as_bytes());
        let codes = CodeHashes {
            confirmed: Some(hash),
            ..CodeHashes::default()
        };
        let accepts = |terminal, shown: &[u8]| key.accepts(terminal, Some(&codes), shown);
        assert_eq!(accepts(mine, code.as_bytes()), Some(hash));
        assert_eq!(accepts(mine, format!("{code}\0").as_bytes()), Some(hash));
        assert_eq!(accepts(other, code.as_bytes()), None);
        assert_eq!(key.accepts(mine, None, code.as_bytes()), None);
        for wrong in [
            &b""[..],
            b"\0",
            b"authentication",
            key.derived(mine).as_bytes(),
        ] {
            assert_eq!(accepts(mine, wrong), None);
        }
    }

    #[test]
    fn an_issued_code_opens_beside_the_one_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let key = AuthKey::load_or_create(&folder.path().join("key")).unwrap();
        let mine = terminal("13800138000");
        let mut codes = CodeHashes::default();
        let derived = key.derived(mine);
        codes.issue(key.hash(mine, b"second"));
        codes.issue(key.hash(mine, b"third"));
        for shown in [derived.as_bytes(), b"second", b"third"] {
            assert!(key.accepts(mine, Some(&codes), shown).is_some());
        }
        let used = key.accepts(mine, Some(&codes), b"third").unwrap();
        assert!(codes.confirm(&used));
        for shown in [derived.as_bytes(), b"second"] {
            assert_eq!(key.accepts(mine, Some(&codes), shown), None);
        }
    }

    #[test]
    fn a_code_of_the_scheme_before_is_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, [7; KEY_BYTES]).unwrap();
        let key = AuthKey::load_or_create(&path).unwrap();
        let mine = terminal("13800138000");
        let code = "RhEDtOrKVKRQFeyiKvme";
        assert_eq!(key.derived(mine), code);
        let row = CodeHashes::default();
        assert!(key.accepts(mine, Some(&row), code.as_bytes()).is_some());
    }

    #[test]
    fn the_key_survives_a_restart_and_a_damaged_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let hash = |code: &[u8]| {
            let key = AuthKey::load_or_create(&path).unwrap();
            key.hash(terminal("1"), code)
        };
        assert_eq!(hash(b"code"), hash(b"code"));
        fs::write(&path, b"short").unwrap();
        assert!(AuthKey::load_or_create(&path).is_err());
    }
}
