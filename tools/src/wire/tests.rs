use super::*;

#[test]
fn the_heartbeat_of_the_standard_comes_out_byte_for_byte() {
    let phone = Phone::from_digits("13812345678", Revision::V2013).unwrap();
    let frame = frame(message_id::HEARTBEAT, &phone, 1, &[]).unwrap();
    assert_eq!(hex(&frame), "7e000200000138123456780001327e");
}

#[test]
fn delimiters_in_the_body_are_escaped_and_come_back() {
    for (revision, digits) in [(Revision::V2013, "13800000001"), (Revision::V2019, "7")] {
        let phone = Phone::from_digits(digits, revision).unwrap();
        let body = [0x30, 0x7E, 0x08, 0x7D, 0x55];
        let frame = frame(0x0900, &phone, 0x7E7D, &body).unwrap();
        assert_eq!(frame.iter().filter(|byte| **byte == DELIMITER).count(), 2);
        let mut stream = [frame.as_slice(), &frame, &[0x7E, 1, 2]].concat();
        for _ in 0..2 {
            let incoming = next_frame(&mut stream).unwrap();
            assert_eq!(incoming.body, body);
            assert_eq!(
                (incoming.serial, incoming.phone.digits()),
                (0x7E7D, digits.to_owned())
            );
        }
        assert_eq!(next_frame(&mut stream), None);
        assert_eq!(stream, [0x7E, 1, 2], "an unfinished frame stays");
    }
}

#[test]
fn the_time_is_written_at_gmt_plus_8() {
    assert_eq!(
        bcd_time(1_772_380_799),
        [0x26, 0x03, 0x01, 0x23, 0x59, 0x59]
    );
}

#[test]
fn registrations_have_the_length_of_their_revision() {
    for (revision, fixed) in [
        (Revision::V2011, 26),
        (Revision::V2013, 37),
        (Revision::V2019, 76),
    ] {
        let body = registration_body(revision, "T000001", "晋AS0001");
        assert_eq!(
            body.len(),
            fixed + 8,
            "the Chinese character takes two bytes"
        );
    }
}

fn digits(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace())
        .collect::<String>()
        .to_lowercase()
}

/// 22.546000 north, 114.057900 east at 2024-07-15 08:30:15 (GMT+8), eight items.
fn report() -> Report {
    Report {
        alarms: 2,
        status: Report::status_of(true),
        latitude: 22_546_000,
        longitude: 114_057_900,
        altitude_m: 35,
        speed_dkmh: 355,
        heading_deg: 90,
        fixed_at: 1_721_003_415,
        items: vec![
            (0x01, vec![0x00, 0x01, 0xE2, 0x40]),
            (0x02, vec![0x00, 0x7D]),
            (0x03, vec![0x01, 0x68]),
            (0x25, vec![0x00, 0x00, 0x00, 0x11]),
            (0x2A, vec![0x00, 0x00]),
            (0x2B, vec![0x01, 0x23, 0x04, 0x56]),
            (0x30, vec![0x1F]),
            (0x31, vec![0x0C]),
        ],
    }
}

#[test]
fn a_report_comes_out_byte_for_byte() {
    let phone = Phone::from_digits("13800138000", Revision::V2013).unwrap();
    let frame = frame(message_id::LOCATION_REPORT, &phone, 0x7E, &report().body()).unwrap();
    let expected = "7E 02 00 00 40 01 38 00 13 80 00 00 7D 02 \
                    00 00 00 02 00 0C 00 03 01 58 06 50 06 CC 62 AC 00 23 01 63 00 5A \
                    24 07 15 08 30 15 01 04 00 01 E2 40 02 02 00 7D 01 03 02 01 68 \
                    25 04 00 00 00 11 2A 02 00 00 2B 04 01 23 04 56 30 01 1F 31 01 0C 76 7E";
    assert_eq!(hex(&frame), digits(expected));
}

#[test]
fn south_and_west_are_status_bits_and_the_numbers_magnitudes() {
    let report = Report {
        latitude: -22_546_000,
        longitude: -114_057_900,
        ..report()
    };
    let body = report.body();
    assert_eq!(
        hex(&body[4..16]),
        digits("00 0C 00 0F 01 58 06 50 06 CC 62 AC")
    );
}

#[test]
fn a_batch_says_how_many_and_how_long() {
    let body = batch_body(true, &[vec![0xAA; 28], vec![0xBB; 2]]).unwrap();
    let expected = format!("0002 01 001c {} 0002 bbbb", "aa".repeat(28));
    assert_eq!(hex(&body), digits(&expected));
    assert_eq!(
        batch_body(true, &vec![vec![0; 50]; 20]),
        None,
        "no frame holds it"
    );
}

#[test]
fn the_authentication_of_2019_carries_imei_and_version() {
    let body = authentication_body(Revision::V2019, b"A1B2C3");
    let expected = "06 41 31 42 32 43 33 38 36 30 30 30 30 30 30 30 30 30 30 30 30 30 \
                    31 2E 30 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00";
    assert_eq!(hex(&body), digits(expected));
    assert_eq!(authentication_body(Revision::V2013, b"A1"), b"A1");
}

#[test]
fn a_response_in_the_form_of_2019_is_understood() {
    let mut stream =
        from_hex("7E 80 01 40 05 01 00 00 00 00 01 38 00 13 80 00 00 02 00 7D 02 02 00 00 11 7E")
            .unwrap();
    let incoming = next_frame(&mut stream).unwrap();
    assert!(incoming.phone.is_2019());
    assert_eq!(
        incoming.answer(),
        Some(Answer {
            serial: 0x7E,
            id: 0x0200,
            result: 0
        })
    );
}

#[test]
fn a_damaged_frame_is_skipped_and_its_last_delimiter_begins_the_next() {
    let good = "000200000138001380000001a9";
    let mut stream = from_hex(&format!("7e000200000138001380000001a87e{good}7e")).unwrap();
    assert_eq!(next_frame(&mut stream).unwrap().serial, 1);
    assert_eq!(next_frame(&mut stream), None);
}
