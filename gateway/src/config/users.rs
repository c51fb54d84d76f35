//! Who reads over MQTT what the gateway publishes, and of which jurisdictions.

use std::{fmt, fs, path::Path};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Raw;

const KEY: &str = "mqtt.users";
const NAME_MAX: usize = 64;
const SALT_MIN: usize = 8;
/// A jurisdiction is at most a community: topics do not name the grid.
const PREFIX_MAX: usize = 12;
/// In place of prefixes.
const EVERYWHERE: &str = "*";

/// One of `[[mqtt.users]]`.
#[derive(Clone, Debug)]
pub struct MqttUser {
    /// Never digits alone, which would be a terminal.
    pub name: String,
    /// What opens.
    pub password: PasswordHash,
    /// What the user may read.
    pub scope: Scope,
}

/// A salted digest of a password: SHA-256 of salt and password. Its `Debug` shows nothing.
///
/// Programs show these passwords, and they are to be long and random; the digest does not protect a
/// short one from whoever reads the configuration.
#[derive(Clone)]
pub struct PasswordHash {
    salt: Vec<u8>,
    digest: [u8; 32],
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}

impl PasswordHash {
    fn new(salt: Vec<u8>, password: &[u8]) -> Self {
        let digest = digest(&salt, password);
        Self { salt, digest }
    }

    /// `SALT:HEX`, where `HEX` is `printf %s SALTPASSWORD | sha256sum`.
    fn parse(text: &str) -> Option<Self> {
        let (salt, hex) = text.split_once(':')?;
        if salt.len() < SALT_MIN || hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        let salt = salt.as_bytes().to_vec();
        Some(Self { salt, digest })
    }

    /// Whether a password opens; takes as long either way.
    #[must_use]
    pub fn opens(&self, password: &[u8]) -> bool {
        digest(&self.salt, password).ct_eq(&self.digest).into()
    }
}

fn digest(salt: &[u8], password: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(salt)
        .chain_update(password)
        .finalize()
        .into()
}

/// Jurisdictions: prefixes of the codes of unit grids. What lies in no grid has the empty code, and
/// only who may read everything reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// None is everything.
    prefixes: Option<Vec<String>>,
}

impl Scope {
    /// Prefixes of digits, or `*`.
    ///
    /// # Errors
    /// The text that is neither.
    pub fn new(texts: &[String]) -> Result<Self, String> {
        if texts.iter().any(|text| text == EVERYWHERE) {
            return Ok(Self { prefixes: None });
        }
        let is_prefix = |text: &String| {
            (1..=PREFIX_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
        };
        match texts.iter().find(|text| !is_prefix(text)) {
            Some(wrong) => Err(format!(
                "{wrong:?} is no jurisdiction: 1 to {PREFIX_MAX} digits, or \"{EVERYWHERE}\""
            )),
            None => Ok(Self {
                prefixes: Some(texts.to_vec()),
            }),
        }
    }

    /// The prefixes; none where everything is allowed.
    #[must_use]
    pub fn prefixes(&self) -> Option<&[String]> {
        self.prefixes.as_deref()
    }

    /// Whether it has the place with this code (county, street, community; empty outside all grids).
    #[must_use]
    pub fn covers(&self, code: &str) -> bool {
        self.prefixes
            .as_ref()
            .is_none_or(|prefixes| prefixes.iter().any(|prefix| code.starts_with(prefix)))
    }
}

/// All users. Mistakes are noted, and the user left out.
pub(super) fn from_raw(raw: &mut Raw) -> Vec<MqttUser> {
    let users: Vec<MqttUser> = raw.tables(KEY, user).into_iter().flatten().collect();
    raw.once(KEY, users.iter().map(|user| user.name.as_str()));
    users
}

fn user(raw: &mut Raw) -> Option<MqttUser> {
    let name = name(raw);
    let password = password(raw);
    // An empty list is a user of nothing; none may be an oversight.
    let scope = if raw.is_given("jurisdictions") {
        Scope::new(&raw.list("jurisdictions", |part| Ok(part.to_owned())))
    } else {
        Err("expected a list such as [\"140105\"]".to_owned())
    };
    let scope = scope
        .map_err(|what| raw.mistake("jurisdictions", what))
        .ok();
    Some(MqttUser {
        name: name?,
        password: password?,
        scope: scope?,
    })
}

fn name(raw: &mut Raw) -> Option<String> {
    let name = raw.text("name", "", str::to_owned);
    let is_name = (1..=NAME_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if is_name && !name.bytes().all(|b| b.is_ascii_digit()) {
        return Some(name);
    }
    let what =
        format!("{name:?}: 1 to {NAME_MAX} letters, digits, '-', '_' or '.', and not digits alone");
    raw.mistake("name", what);
    None
}

fn password(raw: &mut Raw) -> Option<PasswordHash> {
    let masked = |text: &str| if text.is_empty() { "" } else { "***" }.to_owned();
    let hash = raw.text("password_sha256", "", masked);
    let file = raw.path("password_file", "");
    let (place, read) = match (hash.as_str(), file) {
        ("", Some(path)) => ("password_file", read_password(&path)),
        (hash, None) if !hash.is_empty() => {
            let what = || format!("expected SALT:HEX with a salt of {SALT_MIN} characters or more");
            (
                "password_sha256",
                PasswordHash::parse(hash).ok_or_else(what),
            )
        }
        _ => {
            let what = "one of password_sha256 and password_file is needed";
            ("password_sha256", Err(what.to_owned()))
        }
    };
    read.map_err(|what| raw.mistake(place, what)).ok()
}

fn read_password(path: &Path) -> Result<PasswordHash, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(format!("{}: no password in it", path.display()));
    }
    let mut salt = vec![0; 16];
    getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
    Ok(PasswordHash::new(salt, password.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn read(text: &str) -> (Vec<MqttUser>, Vec<String>) {
        let mut raw = Raw::default();
        raw.add_file(PathBuf::from("f"), text);
        let users = from_raw(&mut raw);
        let mistakes = raw.finish().err().unwrap_or_default();
        (users, mistakes.iter().map(ToString::to_string).collect())
    }

    fn one(lines: &str) -> String {
        let (_, mistakes) = read(&format!("[[mqtt.users]]\n{lines}\n"));
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        mistakes[0].clone()
    }

    /// `printf %s saltsaltopen | sha256sum`
    const HASH: &str = "saltsalt:79577ee8d22e7105b636d8e24826f293b5581302391268138a07d8e2a8f3127d";

    #[test]
    fn a_user_is_read_and_only_the_password_opens() {
        let (users, mistakes) = read(&format!(
            "[[mqtt.users]]\nname = \"map\"\npassword_sha256 = \"{HASH}\"\njurisdictions = [\"140105\", \"140106001\"]\n"
        ));
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let user = &users[0];
        assert!(user.password.opens(b"open"));
        for wrong in [&b""[..], b"Open", b"open ", b"saltsaltopen"] {
            assert!(!user.password.opens(wrong));
        }
        assert!(!format!("{user:?}").contains("salt"), "{user:?}");
        let covered = ["140105", "140105001002", "140106001003"];
        assert!(covered.iter().all(|code| user.scope.covers(code)));
        let others = ["", "14010", "140106", "140106002001", "140107001001"];
        assert!(!others.iter().any(|code| user.scope.covers(code)));
    }

    #[test]
    fn everything_is_asked_for_with_a_star_and_nothing_is_nothing() {
        assert!(Scope::new(&["*".to_owned()]).unwrap().covers(""));
        let nothing = Scope::new(&[]).unwrap();
        assert!(!nothing.covers("") && !nothing.covers("140105"));
        for wrong in ["", "1401x5", "+", "#", "1401050010021", "１４"] {
            assert!(Scope::new(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn mistakes_name_the_user_and_what_would_be_right() {
        let rest = format!("password_sha256 = \"{HASH}\"\njurisdictions = [\"1\"]");
        for name in ["", "13800138000", "a b", "a/b", "a+", "#"] {
            let mistake = one(&format!("name = \"{name}\"\n{rest}"));
            assert!(mistake.starts_with("mqtt.users[0].name"), "{mistake}");
        }
        assert!(one("name = \"a\"\njurisdictions = [\"1\"]").contains("one of password_sha256"));
        let no_scope = format!("name = \"a\"\npassword_sha256 = \"{HASH}\"");
        assert!(one(&no_scope).contains("expected a list"));
        let short = "name = \"a\"\njurisdictions = [\"1\"]\npassword_sha256 = \"salt:00\"";
        assert!(one(short).contains("SALT:HEX"));
        let scope = format!("name = \"a\"\npassword_sha256 = \"{HASH}\"\njurisdictions = [\"x\"]");
        assert!(one(&scope).contains("no jurisdiction"));
        assert!(
            one(&format!("name = \"a\"\nadmin = true\n{rest}")).contains("mqtt.users[0].admin")
        );
        let user = format!("[[mqtt.users]]\nname = \"a\"\n{rest}\n");
        let (_, mistakes) = read(&format!("{user}{user}"));
        assert!(mistakes[0].contains("twice"), "{mistakes:?}");
    }

    #[test]
    fn a_user_is_shown_without_the_password() {
        let mut raw = Raw::default();
        let text = format!(
            "[{{name = \"map\", password_sha256 = \"{HASH}\", jurisdictions = [\"140105\", \"1\"]}}]"
        );
        raw.add_flag("test", KEY, Some(text));
        assert_eq!(from_raw(&mut raw).len(), 1);
        let shown = raw.finish().unwrap().remove(KEY).unwrap();
        assert!(shown.contains("password_sha256 = \"***\""), "{shown}");
        assert!(shown.contains("jurisdictions = \"140105, 1\""), "{shown}");
    }

    #[test]
    fn a_password_may_lie_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let text = format!(
            "[[mqtt.users]]\nname = \"a\"\npassword_file = \"{}\"\njurisdictions = [\"*\"]\n",
            path.display()
        );
        assert!(read(&text).1[0].contains("password"), "it is not there");
        fs::write(&path, "long and random\n").unwrap();
        let (users, mistakes) = read(&text);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        assert!(users[0].password.opens(b"long and random"));
    }
}
