//! A ZIP archive whose files are stored as they are: what a workbook needs, and no more.
//! (APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16.)

/// 2026-01-01, 00:00, as MS-DOS counts: the same tables give the same bytes.
const DATE: u16 = (2026 - 1980) << 9 | 1 << 5 | 1;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
const VERSION: u16 = 20;

/// The archive; `None` when it or a file is larger than 4 GiB.
pub(super) fn archive(files: &[(&str, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in files {
        let offset = u32::try_from(bytes.len()).ok()?;
        let size = u32::try_from(content.len()).ok()?;
        let mut entry = Vec::new();
        for word in [VERSION, FLAGS, 0, 0, DATE] {
            entry.extend(word.to_le_bytes());
        }
        for number in [crc32fast::hash(content), size, size] {
            entry.extend(number.to_le_bytes());
        }
        entry.extend(u16::try_from(name.len()).ok()?.to_le_bytes());
        entry.extend(0_u16.to_le_bytes());

        bytes.extend(*b"PK\x03\x04");
        bytes.extend(&entry);
        bytes.extend(name.as_bytes());
        bytes.extend(content);

        directory.extend(*b"PK\x01\x02");
        directory.extend(VERSION.to_le_bytes());
        directory.extend(&entry);
        // No comment, the first disk, no attributes.
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let count = u16::try_from(files.len()).ok()?;
    let size = u32::try_from(directory.len()).ok()?;
    let offset = u32::try_from(bytes.len()).ok()?;
    bytes.extend(directory);
    bytes.extend(*b"PK\x05\x06");
    bytes.extend([0; 4]);
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes.extend([0; 2]);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_byte_for_byte_what_the_standard_says() {
        let bytes = archive(&[("a", b"hi".to_vec())]).unwrap();
        let crc = crc32fast::hash(b"hi").to_le_bytes();
        let mut expected = b"PK\x03\x04\x14\0\0\x08\0\0\0\0\x21\x5c".to_vec();
        expected.extend(crc);
        expected.extend(b"\x02\0\0\0\x02\0\0\0\x01\0\0\0ahi");
        let directory = expected.len();
        expected.extend(b"PK\x01\x02\x14\0\x14\0\0\x08\0\0\0\0\x21\x5c");
        expected.extend(crc);
        expected.extend(b"\x02\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a");
        let size = u8::try_from(expected.len() - directory).unwrap();
        expected.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        expected.extend([
            size,
            0,
            0,
            0,
            u8::try_from(directory).unwrap(),
            0,
            0,
            0,
            0,
            0,
        ]);
        assert_eq!(bytes, expected);
    }
}
