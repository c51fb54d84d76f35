use super::*;
use crate::wire::hex;

#[test]
fn a_connect_is_what_the_standard_draws() {
    let bytes = connect("138", b"pw", false);
    assert_eq!(
        hex(&bytes),
        "1019\
         0004 4d515454 05 c2 0000 00\
         0003 313338 0003 313338 0002 7077"
            .replace(' ', "")
    );
    let with_will = connect("138", b"pw", true);
    assert_eq!(with_will[9], 0xCE);
    let text = String::from_utf8_lossy(&with_will).into_owned();
    assert!(text.contains("gridtrace/terminals/138/up/json") && text.contains(WILL));
}

#[test]
fn publishes_and_subscriptions_are_what_the_standard_draws() {
    let mut out = Vec::new();
    publish("a/b", 0x0102, b"xy", &mut out);
    assert_eq!(hex(&out), "320a0003612f62010200 7879".replace(' ', ""));
    let filters = ["a".to_owned(), "b".to_owned()];
    assert_eq!(hex(&subscribe(1, &filters)), "820b0001000001610000016200");
    assert_eq!(hex(&acknowledge(7)), "40020007");
}

#[test]
fn a_long_packet_has_a_long_length_and_is_read_when_it_is_whole() {
    let payload = vec![b'x'; 20_000];
    let mut bytes = Vec::new();
    publish("t", 9, &payload, &mut bytes);
    for cut in [0, 1, 2, 3, 4, 100, bytes.len() - 1] {
        assert_eq!(split(&bytes[..cut]), Ok(None), "{cut}");
    }
    let length = bytes.len();
    bytes.push(0xD0);
    let published = Packet::Published {
        topic: b"t",
        id: Some(9),
        payload: &payload,
    };
    assert_eq!(split(&bytes), Ok(Some((published, length))));
}

#[test]
fn answers_are_understood_short_and_long() {
    let packet = |bytes: &'static [u8]| split(bytes).unwrap().unwrap().0;
    let acknowledged = |reason| Packet::Acknowledged { id: 5, reason };
    assert_eq!(packet(b"\x40\x02\x00\x05"), acknowledged(0));
    assert_eq!(packet(b"\x40\x03\x00\x05\x99"), acknowledged(0x99));
    assert_eq!(packet(b"\x40\x04\x00\x05\x10\x00"), acknowledged(0x10));
    assert_eq!(
        packet(b"\x20\x03\x00\x86\x00"),
        Packet::Connected { reason: 0x86 }
    );
    assert_eq!(
        packet(b"\x90\x05\x00\x01\x00\x00\x87"),
        Packet::Subscribed { reason: 0x87 }
    );
    assert_eq!(
        packet(b"\xE0\x01\x8E"),
        Packet::Disconnected { reason: 0x8E }
    );
    assert_eq!(packet(b"\xD0\x00"), Packet::Other);
}

#[test]
fn what_is_no_packet_is_an_error() {
    for bytes in [
        &b"\x30\xFF\xFF\xFF\xFF\x01"[..],
        b"\x30\x02\x00\x05",
        b"\x40\x01\x00",
        b"\x20\x01\x00",
    ] {
        assert_eq!(split(bytes), Err(Malformed), "{bytes:02x?}");
    }
}

#[test]
fn packet_ids_are_never_0() {
    assert_eq!((next_id(0), next_id(1), next_id(u16::MAX)), (1, 2, 1));
}
