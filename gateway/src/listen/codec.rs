//! The splitter of `protocols` as a codec.

use std::io;

use bytes::BytesMut;
use protocols::jt808::frame::{Split, Splitter};
use tokio_util::codec::Decoder;

/// Splits a byte stream at each 0x7E.
#[derive(Debug)]
pub(super) struct FrameCodec(Splitter);

impl FrameCodec {
    /// `join_cut_frames`: whether candidates that a raw 0x7E has cut are joined again.
    #[must_use]
    pub(super) fn new(join_cut_frames: bool) -> Self {
        Self(Splitter::new().with_joining(join_cut_frames))
    }

    /// The end of a datagram: what is unfinished in it.
    pub(super) fn finish(&mut self, buffer: &mut BytesMut) -> Option<Split> {
        self.0.finish(buffer)
    }
}

impl Decoder for FrameCodec {
    type Item = Split;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Split>> {
        Ok(self.0.next(buffer))
    }
}
