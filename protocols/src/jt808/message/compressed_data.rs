//! 0x0901 compressed data (数据压缩上报): terminal -> platform, answered by 0x8001.
//!
//! | offset | field  | wire   | notes                                                        |
//! |--------|--------|--------|--------------------------------------------------------------|
//! |      0 | length | DWORD  | of the compressed message, in bytes                          |
//! |      4 | data   | BYTE\[\] | GZIP, to the end of the body, whatever the length says     |
//!
//! The standard does not say whether a body or a whole message was compressed, so what comes out is
//! looked at by whoever takes it out, with a bound on its size.

use super::field::{Data, layout};

layout! {
    /// A message that the terminal compressed.
    pub struct CompressedData {
        /// Length by the terminal, in bytes.
        pub length as "data_len": u32,
        /// The GZIP stream.
        pub data: Data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hex,
        jt808::{
            Revision,
            message::{Message, MessageId},
        },
    };

    #[test]
    fn the_stream_is_handed_on_as_it_is() {
        let body = hex::bytes("00000004 1F8B0800");
        let message =
            Message::decode(MessageId::COMPRESSED_DATA, body.clone(), Revision::V2013).unwrap();
        let data = Data::new(hex::bytes("1F8B0800"));
        assert_eq!(
            message,
            Message::CompressedData(CompressedData { length: 4, data })
        );
        assert_eq!(message.encode(Revision::V2013), Ok(body));
    }

    #[test]
    fn a_prefix_of_the_fixed_part_is_truncated() {
        for length in 0..4 {
            let body = hex::bytes("00000000").slice(..length);
            let decoded = Message::decode(MessageId::COMPRESSED_DATA, body, Revision::V2019);
            assert_eq!(decoded.unwrap_err().reason(), "truncated");
        }
    }
}
