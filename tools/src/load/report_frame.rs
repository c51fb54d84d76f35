//! A report that is built once and patched for each position.

use crate::wire::{bcd_time, check_code, escape_into};

/// Reports that fit into one message.
pub(super) const IN_A_BATCH_MAX: u32 = 20;

/// Header 12, body 28, items 16, check code 1.
const BYTES: usize = 57;
const PHONE: usize = 4;
const SERIAL: usize = 10;
const LATITUDE: usize = 20;
const LONGITUDE: usize = 24;
const ALTITUDE: usize = 28;
const TIME: usize = 34;
const CHECK: usize = BYTES - 1;
const BODY: usize = 12;

/// What a report says of its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fix {
    /// Seconds since 1970 in UTC.
    pub at: u32,
    /// `(latitude, longitude)`, millionths of a degree.
    pub place: (i32, i32),
    /// Metres.
    pub altitude_m: u16,
}

/// Of fixes that have nothing to tell by it.
pub(super) const ALTITUDE_M: u16 = 790;

/// A 0x0200 with the header of 2013 and four additional items.
#[derive(Debug)]
pub(super) struct ReportFrame {
    bytes: [u8; BYTES],
    fixed_at: u32,
}

impl ReportFrame {
    /// With phone, serial number, place and time still zero.
    pub(super) const fn new() -> Self {
        let mut bytes = [0; BYTES];
        bytes[0] = 0x02;
        bytes[3] = 44;
        // ACC on, positioned, by GPS and BeiDou; 790 m, 30.0 km/h, east.
        (bytes[17], bytes[19]) = (0x0C, 0x03);
        (bytes[28], bytes[29]) = (0x03, 0x16);
        (bytes[30], bytes[31], bytes[33]) = (0x01, 0x2C, 0x5A);
        // Mileage 12,345.6 km, speed by the recorder, signal 25, 11 satellites.
        (bytes[40], bytes[41], bytes[43], bytes[44], bytes[45]) = (0x01, 4, 0x01, 0xE2, 0x40);
        (bytes[46], bytes[47], bytes[48], bytes[49]) = (0x03, 2, 0x01, 0x2C);
        (bytes[50], bytes[51], bytes[52]) = (0x30, 1, 25);
        (bytes[53], bytes[54], bytes[55]) = (0x31, 1, 11);
        Self { bytes, fixed_at: 0 }
    }

    /// Seconds since 1970 in UTC.
    fn set_time(&mut self, fixed_at: u32) {
        if fixed_at == self.fixed_at {
            return;
        }
        self.fixed_at = fixed_at;
        self.bytes[TIME..TIME + 6].copy_from_slice(&bcd_time(i64::from(fixed_at)));
    }

    /// Appends the frame of some positions: a 0x0200 of one, a 0x0704 of more.
    pub(super) fn write_all(
        &mut self,
        phone: [u8; 6],
        serial: u16,
        numbers: std::ops::Range<u32>,
        fix: impl Fn(u32) -> Fix,
        out: &mut Vec<u8>,
    ) {
        if numbers.len() == 1 {
            self.set(fix(numbers.start));
            return self.write(phone, serial, out);
        }
        let report_bytes = CHECK - BODY;
        let count = u16::try_from(numbers.len()).unwrap_or(u16::MAX);
        let length = u16::try_from(3 + numbers.len() * (2 + report_bytes)).unwrap_or(u16::MAX);
        let mut content = Vec::with_capacity(1_024);
        content.extend([0x07, 0x04]);
        content.extend(length.to_be_bytes());
        content.extend(phone);
        content.extend(serial.to_be_bytes());
        content.extend(count.to_be_bytes());
        content.push(0);
        for number in numbers {
            self.set(fix(number));
            content.extend([0, u8::try_from(report_bytes).unwrap_or(u8::MAX)]);
            content.extend(&self.bytes[BODY..CHECK]);
        }
        content.push(check_code(&content));
        escape_into(&content, out);
    }

    fn set(&mut self, fix: Fix) {
        self.set_time(fix.at);
        let (latitude, longitude) = fix.place;
        self.bytes[LATITUDE..LATITUDE + 4].copy_from_slice(&latitude.to_be_bytes());
        self.bytes[LONGITUDE..LONGITUDE + 4].copy_from_slice(&longitude.to_be_bytes());
        self.bytes[ALTITUDE..ALTITUDE + 2].copy_from_slice(&fix.altitude_m.to_be_bytes());
    }

    /// Appends the frame of the position that was set.
    fn write(&mut self, phone: [u8; 6], serial: u16, out: &mut Vec<u8>) {
        self.bytes[PHONE..PHONE + 6].copy_from_slice(&phone);
        self.bytes[SERIAL..SERIAL + 2].copy_from_slice(&serial.to_be_bytes());
        self.bytes[CHECK] = check_code(&self.bytes[..CHECK]);
        escape_into(&self.bytes, out);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::course::corner, *};
    use crate::wire::{Report, frame, from_hex, message_id};

    fn fix(number: u32, at: u32) -> Fix {
        Fix {
            at,
            place: corner(0, number),
            altitude_m: 790,
        }
    }

    #[test]
    fn a_patched_frame_is_what_the_encoder_writes() {
        let phone = crate::wire::Phone::from_bytes(&from_hex("013900000007").unwrap()).unwrap();
        let mut template = ReportFrame::new();
        for number in [0, 0x7D7E, 19_999, 20_000, u32::MAX] {
            let serial = 0x7E00 | (number & 0xFF) as u16;
            let mut out = Vec::new();
            template.set(fix(number, 1_772_380_799));
            template.write([0x01, 0x39, 0, 0, 0, 0x07], serial, &mut out);
            let (latitude, longitude) = corner(0, number);
            let report = Report {
                status: Report::status_of(true),
                latitude,
                longitude,
                altitude_m: 790,
                speed_dkmh: 300,
                heading_deg: 90,
                fixed_at: 1_772_380_799,
                items: vec![
                    (0x01, 123_456_u32.to_be_bytes().to_vec()),
                    (0x03, 300_u16.to_be_bytes().to_vec()),
                    (0x30, vec![25]),
                    (0x31, vec![11]),
                ],
                ..Report::default()
            };
            let expected = frame(message_id::LOCATION_REPORT, &phone, serial, &report.body());
            assert_eq!(Some(out), expected);
        }
    }

    #[test]
    fn a_batch_is_what_the_encoder_writes() {
        let phone = crate::wire::Phone::from_bytes(&from_hex("013900000007").unwrap()).unwrap();
        let numbers = 19_990..20_010;
        let fix = |number: u32| fix(number, 1_772_360_000 + number);
        let mut out = Vec::new();
        let bytes = [0x01, 0x39, 0, 0, 0, 0x07];
        ReportFrame::new().write_all(bytes, 0x7D01, numbers.clone(), fix, &mut out);
        let bodies: Vec<_> = numbers
            .map(|number| {
                let mut alone = ReportFrame::new();
                alone.set(fix(number));
                alone.bytes[BODY..CHECK].to_vec()
            })
            .collect();
        assert_eq!(bodies.len(), IN_A_BATCH_MAX as usize);
        let body = crate::wire::batch_body(false, &bodies).unwrap();
        assert_eq!(
            Some(out),
            frame(message_id::LOCATION_BATCH, &phone, 0x7D01, &body)
        );
    }
}
