//! 0x8A00 RSA key of the platform (平台RSA公钥): platform -> terminal, answered by 0x0A00, and
//! 0x0A00 RSA key of the terminal (终端RSA公钥): terminal -> platform, answered by 0x8A00 unless
//! that went before.
//!
//! | offset | field | wire       | notes                          |
//! |--------|-------|------------|--------------------------------|
//! |      0 | e     | DWORD      | public exponent                |
//! |      4 | n     | BYTE\[128\] | modulus, greatest byte first  |

use super::field::{Raw, Rest, layout};

layout! {
    /// A public key: what is encrypted with it, only its owner reads.
    pub struct RsaKey {
        /// Public exponent.
        pub exponent as "rsa_e": u32,
        /// Modulus, greatest byte first.
        pub modulus as "rsa_n": Raw<128>,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::jt808::{
        Revision,
        message::{Message, MessageId},
    };

    #[test]
    fn a_key_is_exponent_and_modulus() {
        let mut bytes = vec![0, 1, 0, 1];
        bytes.extend([0xAB; 128]);
        let body = Bytes::from(bytes);
        let key = RsaKey {
            exponent: 65_537,
            modulus: Raw([0xAB; 128]),
            rest: Rest::default(),
        };
        for (id, message) in [
            (0x0A00, Message::TerminalRsaKey(Box::new(key.clone()))),
            (0x8A00, Message::PlatformRsaKey(Box::new(key.clone()))),
        ] {
            let decoded = Message::decode(MessageId(id), body.clone(), Revision::V2013);
            assert_eq!(decoded.as_ref(), Ok(&message));
            assert_eq!(message.encode(Revision::V2013), Ok(body.clone()));
            for length in 0..body.len() {
                let cut = body.slice(..length);
                assert!(Message::decode(MessageId(id), cut, Revision::V2013).is_err());
            }
        }
    }
}
