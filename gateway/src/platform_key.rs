//! The platform's RSA key (平台RSA公钥, 0x8A00): terminals that were told it may encrypt their bodies
//! with it.
//!
//! The standard gives exponent and modulus and nothing else: neither a padding nor a rule when
//! encryption begins. Read here is PKCS #1 v1.5, block by block of 128 bytes, which is what the
//! sizes suggest.
//!
//! The padding is checked here. The library's own reading of it turns a block that is not padded
//! into random bytes, so that nobody can ask it whether a padding was right; but random bytes can
//! be a report, and a vehicle would be where it never was. Who asks here has a session, and learns
//! that its message was not taken, as of any other.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use protocols::jt808::message::{
    field::{Raw, Rest},
    rsa_key::RsaKey,
};
use rsa::{
    BoxedUint, PrivateKey, hazmat::rsa_decrypt_and_check, pkcs1::DecodeRsaPrivateKey as _,
    pkcs8::DecodePrivateKey as _, traits::PublicKeyParts as _,
};

/// Bytes of the modulus, and of each block.
const BLOCK_BYTES: usize = 128;

/// Why a file is no key for terminals.
#[derive(Debug, thiserror::Error)]
pub enum PlatformKeyError {
    /// It cannot be read.
    #[error("{}: {cause}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
    /// It holds no private key.
    #[error("{}: no RSA private key in PEM (PKCS #1 or PKCS #8) in it", .path.display())]
    NoKey {
        /// Which.
        path: PathBuf,
    },
    /// 0x8A00 has room for one size.
    #[error("{}: a key of {bits} bits; 0x8A00 has room for 1024, and for an exponent of 32", .path.display())]
    Size {
        /// Which.
        path: PathBuf,
        /// What it has.
        bits: usize,
    },
}

/// The private key, and the public one as terminals are told it. Its `Debug` shows nothing.
pub struct PlatformKey {
    private: PrivateKey,
    public: RsaKey,
}

impl std::fmt::Debug for PlatformKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlatformKey(***)")
    }
}

impl PlatformKey {
    /// Reads a file.
    ///
    /// # Errors
    /// When it holds no key that 0x8A00 can carry.
    pub fn load(path: &Path) -> Result<Self, PlatformKeyError> {
        let text = fs::read_to_string(path).map_err(|cause| PlatformKeyError::File {
            path: path.to_owned(),
            cause,
        })?;
        let private = PrivateKey::from_pkcs8_pem(&text)
            .or_else(|_| PrivateKey::from_pkcs1_pem(&text))
            .map_err(|_| PlatformKeyError::NoKey {
                path: path.to_owned(),
            })?;
        let modulus: Box<[u8]> = private.n_bytes();
        let exponent = private.e_bytes().iter().try_fold(0_u32, |value, byte| {
            value.checked_mul(256).map(|value| value + u32::from(*byte))
        });
        let (Ok(modulus), Some(exponent)) = (modulus.as_ref().try_into(), exponent) else {
            return Err(PlatformKeyError::Size {
                path: path.to_owned(),
                bits: modulus.len() * 8,
            });
        };
        Ok(Self {
            private,
            public: RsaKey {
                exponent,
                modulus: Raw(modulus),
                rest: Rest::default(),
            },
        })
    }

    /// What terminals are told.
    #[must_use]
    pub const fn public(&self) -> &RsaKey {
        &self.public
    }

    /// The body under an encrypted one; `None` when it is not of whole blocks, or one of them is
    /// not for this key. It costs some hundred microseconds a block.
    #[must_use]
    pub fn decrypt(&self, body: &[u8]) -> Option<Bytes> {
        let (blocks, []) = body.as_chunks::<BLOCK_BYTES>() else {
            return None;
        };
        let mut clear = Vec::with_capacity(body.len());
        for block in blocks {
            let block = BoxedUint::from_be_slice(block, self.private.n_bits_precision()).ok()?;
            let padded =
                rsa_decrypt_and_check(&self.private, Some(&mut getrandom::SysRng), &block).ok()?;
            clear.extend_from_slice(unpadded(&padded.to_be_bytes())?);
        }
        Some(clear.into())
    }
}

/// What stands behind the padding: 0x00 0x02, eight bytes or more that are not zero, 0x00
/// (RFC 8017 §7.2.2).
fn unpadded(block: &[u8]) -> Option<&[u8]> {
    const PADDING_BYTES_MIN: usize = 8;
    let [0, 2, rest @ ..] = block else {
        return None;
    };
    let end = rest.iter().position(|byte| *byte == 0)?;
    rest.get(end + 1..).filter(|_| end >= PADDING_BYTES_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_without_the_whole_padding_says_nothing() {
        assert_eq!(unpadded(b"\x00\x0212345678\x00abc"), Some(&b"abc"[..]));
        assert_eq!(unpadded(b"\x00\x0212345678\x00"), Some(&b""[..]));
        for block in [
            &b"\x00\x021234567\x00abc"[..],
            b"\x00\x0112345678\x00abc",
            b"\x01\x0212345678\x00abc",
            b"\x00\x0212345678abc",
            b"\x00",
            b"",
        ] {
            assert_eq!(unpadded(block), None, "{block:?}");
        }
    }

    #[test]
    fn a_file_without_a_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let error = PlatformKey::load(&path).unwrap_err().to_string();
        assert!(error.contains("key.pem"), "{error}");
        fs::write(&path, "no key").unwrap();
        let error = PlatformKey::load(&path).unwrap_err().to_string();
        assert!(error.contains("no RSA private key"), "{error}");
    }
}
