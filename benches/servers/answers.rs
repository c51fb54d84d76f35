//! The least that a terminal accepts as an answer: a 0x8001 with result 0, a 0x8100 with a code.

use tools::wire::{check_code, escape_into};

/// Takes the whole frames off the buffer and appends their answers; no body is read, nothing is
/// checked. Headers of 2013 only.
pub(super) fn answer_frames(buffer: &mut Vec<u8>, answers: &mut Vec<u8>) {
    let mut taken = 0;
    let mut content = Vec::with_capacity(64);
    while let Some(start) = buffer.iter().skip(taken).position(|byte| *byte == 0x7E) {
        let start = taken + start + 1;
        let rest = buffer.get(start..).unwrap_or_default();
        let Some(length) = rest.iter().position(|byte| *byte == 0x7E) else {
            break;
        };
        if length > 0 {
            unescape_header(rest.get(..length).unwrap_or_default(), &mut content);
            answer(&content, answers);
            taken = start + length + 1;
        } else {
            taken = start;
        }
    }
    buffer.drain(..taken);
}

fn unescape_header(escaped: &[u8], content: &mut Vec<u8>) {
    content.clear();
    let mut bytes = escaped.iter();
    while content.len() < 12
        && let Some(byte) = bytes.next()
    {
        content.push(
            match (*byte, *byte == 0x7D && bytes.next() == Some(&0x02)) {
                (_, true) => 0x7E,
                (byte, false) => byte,
            },
        );
    }
}

fn answer(header: &[u8], answers: &mut Vec<u8>) {
    let &[i0, i1, _, _, p0, p1, p2, p3, p4, p5, s0, s1] = header else {
        return;
    };
    let phone = [p0, p1, p2, p3, p4, p5];
    let mut content = [0; 18];
    let head: [u8; 4] = if (i0, i1) == (0x01, 0x00) {
        [0x81, 0, 0, 5]
    } else {
        [0x80, 0x01, 0, 5]
    };
    let body: [u8; 5] = if (i0, i1) == (0x01, 0x00) {
        [s0, s1, 0, b'o', b'k']
    } else {
        [s0, s1, i0, i1, 0]
    };
    let written = head.iter().chain(&phone).chain(&[0, 0]).chain(&body);
    content
        .iter_mut()
        .zip(written)
        .for_each(|(to, from)| *to = *from);
    let code = check_code(&content);
    if let Some(last) = content.last_mut() {
        *last = code;
    }
    escape_into(&content, answers);
}
