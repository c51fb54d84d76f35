use proptest::prelude::*;

use super::*;

/// CONNECT of 3.1.1: client id, user name and password are "1", "1" and "pw".
const CONNECT_3: &[u8] = b"\x10\x14\x00\x04MQTT\x04\xC2\x00\x3C\x00\x011\x00\x011\x00\x02pw";
/// The same of 5, with a receive maximum of 7.
const CONNECT_5: &[u8] =
    b"\x10\x18\x00\x04MQTT\x05\xC2\x00\x3C\x03\x21\x00\x07\x00\x011\x00\x011\x00\x02pw";

#[test]
fn a_connect_of_both_versions_says_who_it_is() {
    for (bytes, version, receive_max) in [
        (CONNECT_3, Version::V3, u16::MAX),
        (CONNECT_5, Version::V5, 7),
    ] {
        let Ok(connect) = connect(bytes) else {
            panic!("refused")
        };
        assert_eq!(
            (connect.version, connect.receive_max),
            (version, receive_max)
        );
        assert_eq!(
            (&*connect.client_id, connect.user_name.as_deref()),
            ("1", Some("1"))
        );
        assert_eq!(connect.password.as_deref(), Some(&b"pw"[..]));
        assert_eq!((connect.keep_alive_s, connect.will.is_none()), (60, true));
    }
}

#[test]
fn what_is_no_connect_of_ours_is_refused() {
    let refused = |bytes: &[u8]| connect(bytes).err();
    assert_eq!(
        refused(b"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x011"),
        Some(Bad::Version)
    );
    assert_eq!(
        refused(b"\x10\x0D\x00\x04MQTT\x06\x02\x00\x3C\x00\x011"),
        Some(Bad::Version)
    );
    let longer = [&[0x10, 0x16], &CONNECT_3[2..], b"xx"].concat();
    assert_eq!(
        refused(&longer),
        Some(Bad::Malformed),
        "bytes behind the password"
    );
    assert_eq!(refused(&CONNECT_3[..20]), Some(Bad::Malformed));
    assert_eq!(
        refused(b"\xC0\x00"),
        Some(Bad::Malformed),
        "a ping comes first"
    );
    let mut flagged = CONNECT_5.to_vec();
    flagged[9] |= 1;
    assert_eq!(refused(&flagged), Some(Bad::Malformed), "a reserved flag");
}

#[test]
fn a_packet_that_is_too_long_is_refused_at_its_length() {
    let take_of = |bytes: &[u8]| {
        let mut buffer = BytesMut::from(bytes);
        take(&mut buffer, 100).map(|packet| (packet, buffer))
    };
    // 98 bytes behind two of the header are allowed; one more is not, and none of them is there yet.
    assert_eq!(take_of(b"\x30\x62").unwrap().0, None);
    assert_eq!(take_of(b"\x30\x63").unwrap_err(), Bad::Oversize);
    assert_eq!(take_of(b"\x30\xFF\xFF\xFF\x7F").unwrap_err(), Bad::Oversize);
    assert_eq!(
        take_of(b"\x30\xFF\xFF\xFF\xFF").unwrap_err(),
        Bad::Malformed
    );
    assert_eq!(take_of(b"\x30\xFF\xFF\xFF").unwrap().0, None);
    assert_eq!(take_of(b"\x30").unwrap().0, None);
    assert_eq!(take_of(b"").unwrap().0, None);
    let (packet, rest) = take_of(b"\xC0\x00\xE0\x00").unwrap();
    assert_eq!(
        (&packet.unwrap()[..], &rest[..]),
        (&b"\xC0\x00"[..], &b"\xE0\x00"[..])
    );
}

#[test]
fn refusals_are_written_as_the_standard_says() {
    let suback = |version| {
        suback(
            version,
            7,
            &[Granted::Acknowledged, Granted::NotAllowed, Granted::Plain],
        )
    };
    assert_eq!(suback(Version::V3), b"\x90\x05\x00\x07\x01\x80\x00");
    assert_eq!(suback(Version::V5), b"\x90\x06\x00\x07\x00\x01\x87\x00");
    let refused = |version| connack_refused(version, ConnectRefusal::Credential);
    assert_eq!(refused(Version::V3), b"\x20\x02\x00\x04");
    assert_eq!(refused(Version::V5)[..4], *b"\x20\x03\x00\x86");
    assert_eq!(
        puback(Version::V3, 7, PublishResult::NotAllowed),
        b"\x40\x02\x00\x07"
    );
    assert_eq!(
        puback(Version::V5, 7, PublishResult::Taken),
        b"\x40\x02\x00\x07"
    );
    let not_allowed = puback(Version::V5, 7, PublishResult::NotAllowed);
    assert_eq!(not_allowed[2..5], *b"\x00\x07\x87");
    assert_eq!(pingresp(), b"\xD0\x00");
}

#[test]
fn a_message_is_written_as_it_is_read() {
    for version in [Version::V3, Version::V5] {
        for pid in [None, Some(9)] {
            let bytes = publish(version, "a/b", Bytes::from_static(b"payload"), pid, false);
            let expected = Publish {
                topic: "a/b".to_owned(),
                payload: Bytes::from_static(b"payload"),
                pid,
                is_exactly_once: false,
                is_retained: false,
                has_alias: false,
            };
            assert_eq!(decode(version, &bytes), Ok(Incoming::Publish(expected)));
        }
    }
}

#[test]
fn what_a_client_may_not_write_is_malformed() {
    for (version, bytes) in [
        (Version::V3, &b"\x36\x05\x00\x01a\x00\x01"[..]),
        (Version::V3, b"\x32\x05\x00\x01a\x00\x00"),
        (Version::V3, b"\x30\x03\x00\x01#"),
        (Version::V3, b"\x30\x03\x00\x01\x00"),
        (Version::V3, b"\x30\x04\x00\x02\xC0\x80"),
        (Version::V3, b"\x80\x06\x00\x01\x00\x01a\x00"),
        (Version::V3, b"\x82\x02\x00\x01"),
        (Version::V3, b"\x82\x06\x00\x01\x00\x01a\x03"),
        (Version::V3, b"\x82\x09\x00\x01\x00\x04a/#b\x00"),
        (Version::V3, b"\xC1\x00"),
        (Version::V5, b"\x30\x07\x00\x01a\x03\x23\x00\x00"),
        (Version::V5, b"\x30\x05\x00\x01a\x7F\x01"),
        (Version::V5, b"\x30\x08\x00\x01a\x80\x80\x80\x80\x01"),
    ] {
        let decoded = decode(version, bytes);
        let is_alias = matches!(&decoded, Ok(Incoming::Publish(publish)) if publish.has_alias);
        assert!(
            decoded == Err(Bad::Malformed) || is_alias,
            "{bytes:02x?}: {decoded:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        first in prop::sample::select(vec![0x10_u8, 0x20, 0x30, 0x32, 0x34, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0, 0xF0]),
        body in proptest::collection::vec(prop_oneof![0_u8..8, any::<u8>()], 0..96),
    ) {
        let length = u8::try_from(body.len()).unwrap();
        let packet = [&[first, length], &body[..]].concat();
        drop(connect(&packet));
        for version in [Version::V3, Version::V5] {
            drop(decode(version, &packet));
        }
    }

    #[test]
    fn damaged_connects_are_read_without_a_panic(
        at in 0_usize..26, byte: u8, is_5: bool,
    ) {
        let mut packet = if is_5 { CONNECT_5 } else { CONNECT_3 }.to_vec();
        if let Some(place) = packet.get_mut(at) {
            *place = byte;
        }
        drop(connect(&packet));
    }

    #[test]
    fn packets_do_not_depend_on_how_the_stream_was_cut(
        cuts in proptest::collection::vec(1_usize..9, 1..20),
    ) {
        let stream = [CONNECT_3, b"\xC0\x00", b"\x30\x05\x00\x01axy", b"\xE0\x00"].concat();
        let mut buffer = BytesMut::new();
        let mut packets = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            let (part, more) = rest.split_at((*cut).min(rest.len()));
            buffer.extend_from_slice(part);
            rest = more;
            while let Some(packet) = take(&mut buffer, 1_000).unwrap() {
                packets.push(packet);
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(packets.len(), 4);
        prop_assert_eq!(packets.concat(), stream);
    }
}
