//! T/JSATL 12 (苏标) and T/GDRTA 002 (粤标): the connection over which a terminal uploads the files
//! of an alarm.
//!
//! ```text
//! 0x7E | escaped frame | 0x7E                      0x1210, 0x1211, 0x1212 as in JT/T 808
//! 30 31 63 64 | name BYTE[50] | offset DWORD | length DWORD | data       neither escaped nor checked
//! ```
//!
//! Frames and packets of data follow each other as they like. [`AttachmentSplitter`] tells them
//! apart, and [`FileName`] reads what a terminal calls its files.

mod file_name;
mod splitter;

pub use self::{
    file_name::{AlarmCode, Extension, FILE_NAME_BYTES, FileKind, FileName, FileNameParts},
    splitter::{
        AttachmentSplitter, DropReason, PACKET_BYTES_MAX, PACKET_HEADER_BYTES, PACKET_MARK, Piece,
    },
};
