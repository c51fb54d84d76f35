//! What a content is, by its first bytes: terminals give wrong formats (JT/T 808 §12.2), and what a
//! browser is told must not be for a peer to choose.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// JPEG picture.
    Jpeg,
    /// PNG picture.
    Png,
    /// TIFF picture.
    Tiff,
    /// WAVE sound.
    Wav,
    /// MPEG layer III sound.
    Mp3,
    /// ISO base media: MP4 video or sound.
    Mp4,
    /// H.264 byte stream (Annex B).
    H264,
    /// Microsoft's ASF: WMV or WMA.
    Asf,
    /// Anything else.
    Unknown,
}

/// The word is none of [`MediaKind::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no kind of media")]
pub struct NotAMediaKind;

impl MediaKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Jpeg,
        Self::Png,
        Self::Tiff,
        Self::Wav,
        Self::Mp3,
        Self::Mp4,
        Self::H264,
        Self::Asf,
        Self::Unknown,
    ];

    /// How many bytes [`sniffed`](Self::sniffed) looks at.
    pub(super) const HEAD_BYTES: usize = 16;

    /// The kind of a content that begins with these bytes.
    #[must_use]
    pub fn sniffed(head: &[u8]) -> Self {
        const ASF: [u8; 8] = [0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11];
        match head {
            [0xFF, 0xD8, 0xFF, ..] => Self::Jpeg,
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Self::Png,
            [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Self::Tiff,
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'A',
                b'V',
                b'E',
                ..,
            ] => Self::Wav,
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => Self::Mp4,
            [b'I', b'D', b'3', ..] => Self::Mp3,
            [0, 0, 0, 1, unit, ..] | [0, 0, 1, unit, ..] if begins_a_stream(*unit) => Self::H264,
            [0xFF, sync, rates, ..] if is_layer_three(*sync, *rates) => Self::Mp3,
            _ if head.starts_with(&ASF) => Self::Asf,
            _ => Self::Unknown,
        }
    }

    /// The word that rows and JSON use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Tiff => "tiff",
            Self::Wav => "wav",
            Self::Mp3 => "mp3",
            Self::Mp4 => "mp4",
            Self::H264 => "h264",
            Self::Asf => "asf",
            Self::Unknown => "unknown",
        }
    }

    /// The end of its file names, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Tiff => "tif",
            Self::Wav => "wav",
            Self::Mp3 => "mp3",
            Self::Mp4 => "mp4",
            Self::H264 => "h264",
            Self::Asf => "wmv",
            Self::Unknown => "bin",
        }
    }

    /// The media type to serve it with; `X-Content-Type-Options: nosniff` belongs to it.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Tiff => "image/tiff",
            Self::Wav => "audio/wav",
            Self::Mp3 => "audio/mpeg",
            Self::Mp4 => "video/mp4",
            Self::H264 => "video/h264",
            Self::Asf => "video/x-ms-asf",
            Self::Unknown => "application/octet-stream",
        }
    }
}

/// A unit that a stream can begin with: a slice, an access unit's begin, or what describes them.
const fn begins_a_stream(unit: u8) -> bool {
    let is_forbidden = unit & 0x80 != 0;
    !is_forbidden && matches!(unit & 0x1F, 1 | 5 | 6 | 7 | 8 | 9)
}

/// The header of a frame: layer III, no version, bit rate or sampling rate that is reserved.
const fn is_layer_three(sync: u8, rates: u8) -> bool {
    let is_synced = sync & 0xE0 == 0xE0;
    let (version, layer) = (sync >> 3 & 3, sync >> 1 & 3);
    let (bit_rate, sampling_rate) = (rates >> 4, rates >> 2 & 3);
    is_synced && version != 1 && layer == 1 && bit_rate != 15 && sampling_rate != 3
}

impl FromStr for MediaKind {
    type Err = NotAMediaKind;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or(NotAMediaKind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_what_its_first_bytes_say() {
        let cases: [(&[u8], MediaKind); 18] = [
            (b"\xFF\xD8\xFF\xE0\x00\x10JFIF", MediaKind::Jpeg),
            (b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR", MediaKind::Png),
            (b"II*\0\x08\0\0\0", MediaKind::Tiff),
            (b"MM\0*\0\0\0\x08", MediaKind::Tiff),
            (b"RIFF\x24\x08\0\0WAVEfmt ", MediaKind::Wav),
            (b"RIFF\x24\x08\0\0AVI LIST", MediaKind::Unknown),
            (b"ID3\x04\0\0", MediaKind::Mp3),
            (b"\xFF\xFB\x90\x64", MediaKind::Mp3),
            (b"\xFF\xF3\x48\xC4", MediaKind::Mp3),
            (b"\xFF\xFF\xFF\xFF", MediaKind::Unknown),
            (b"\0\0\0\x18ftypmp42", MediaKind::Mp4),
            (b"\0\0\0\x01\x67\x42\0\x1E", MediaKind::H264),
            (b"\0\0\x01\x09\x10", MediaKind::H264),
            (b"\0\0\0\x01\xE7", MediaKind::Unknown),
            (
                b"\x30\x26\xB2\x75\x8E\x66\xCF\x11\xA6\xD9\0\xAA\0\x62\xCE\x6C",
                MediaKind::Asf,
            ),
            (b"<html><script>", MediaKind::Unknown),
            (b"\xFF\xD8", MediaKind::Unknown),
            (b"", MediaKind::Unknown),
        ];
        for (head, kind) in cases {
            assert_eq!(MediaKind::sniffed(head), kind, "{head:x?}");
        }
    }

    #[test]
    fn words_lead_back_to_their_kinds_and_extensions_are_each_ones_own() {
        let mut extensions = std::collections::BTreeSet::new();
        for kind in MediaKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert!(extensions.insert(kind.extension()));
        }
        assert_eq!("exe".parse::<MediaKind>(), Err(NotAMediaKind));
    }
}
