//! The table of the terminal's parameters (终端参数): one line for each id.
//!
//! JT/T 808 tables 12 (2013) and 11 (2019), JT/T 1078 table 1, and the active-safety supplements. A
//! unit stands at the end of the name: `_s` seconds, `_m` metres, `_km`, `_kmh`, `_ms`, `_deg`. Ids
//! that are not here are reserved or a maker's own, and keep their bytes.

use super::{
    ParameterId, active_safety,
    structure::Structure,
    value::{Kind, Width},
    video,
};
use crate::jt808::Revision;

/// One line of the table: what is known of a parameter.
#[derive(Clone, Copy, Debug)]
pub struct ParameterInfo {
    /// Its id; the first of those in CAN.
    pub id: ParameterId,
    /// Its name in JSON.
    pub name: &'static str,
    /// The type of its value.
    pub kind: Kind,
    /// The first revision that has it.
    pub since: Revision,
    /// What it is, with values and unit.
    pub title: &'static str,
}

impl ParameterInfo {
    /// The name of one of its ids. Only the line of CAN ids has several: `can_collection`,
    /// `can_collection_2` to `can_collection_240`.
    #[must_use]
    pub fn name_of(&self, id: ParameterId) -> String {
        match id.0.checked_sub(self.id.0) {
            None | Some(0) => self.name.to_owned(),
            Some(index) => format!("{}_{}", self.name, index.saturating_add(1)),
        }
    }
}

/// The first of the parameters that are each one id on the CAN bus, and the last.
const CAN_COLLECTION: ParameterId = ParameterId(0x0110);
const CAN_COLLECTION_LAST: ParameterId = ParameterId(0x01FF);

/// The line of an id.
pub(super) fn find(id: ParameterId) -> Option<&'static ParameterInfo> {
    let line = if (CAN_COLLECTION..=CAN_COLLECTION_LAST).contains(&id) {
        CAN_COLLECTION
    } else {
        id
    };
    let index = PARAMETERS
        .binary_search_by_key(&line, |info| info.id)
        .ok()?;
    PARAMETERS.get(index)
}

/// The id of a name.
pub(super) fn of_name(name: &str) -> Option<ParameterId> {
    if let Some(info) = PARAMETERS.iter().find(|info| info.name == name) {
        return Some(info.id);
    }
    let can = find(CAN_COLLECTION)?;
    let number = name.strip_prefix(can.name)?.strip_prefix('_')?;
    let index = number.parse::<u32>().ok()?.checked_sub(1)?;
    let id = ParameterId(can.id.0.checked_add(index)?);
    // One way of writing each: 2 is not 02.
    (id <= CAN_COLLECTION_LAST && can.name_of(id) == name).then_some(id)
}

const BYTE: Kind = Kind::Number(Width::Byte);
const WORD: Kind = Kind::Number(Width::Word);
const DWORD: Kind = Kind::Number(Width::Dword);
const WORD_TENTHS: Kind = Kind::Tenths(Width::Word);
const DWORD_TENTHS: Kind = Kind::Tenths(Width::Dword);
const STRING: Kind = Kind::Text;

macro_rules! parameters {
    (@kind $kind:ident) => { $kind };
    (@kind $module:ident::$body:ident) => {
        Kind::Structure(Structure::of::<$module::$body>())
    };
    ($($id:literal $name:literal $($kind:ident)::+, $since:ident $title:literal;)*) => {
        /// All parameters with a name, sorted by id.
        pub static PARAMETERS: &[ParameterInfo] = &[$(ParameterInfo {
            id: ParameterId($id),
            name: $name,
            kind: parameters!(@kind $($kind)::+),
            since: Revision::$since,
            title: $title,
        }),*];
    };
}

parameters! {
    0x0001 "heartbeat_interval_s" DWORD, V2011 "Interval of heartbeats, s.";
    0x0002 "tcp_answer_timeout_s" DWORD, V2011 "Time to wait for an answer over TCP, s.";
    0x0003 "tcp_retransmissions" DWORD, V2011 "Repeats over TCP.";
    0x0004 "udp_answer_timeout_s" DWORD, V2011 "Time to wait for an answer over UDP, s.";
    0x0005 "udp_retransmissions" DWORD, V2011 "Repeats over UDP.";
    0x0006 "sms_answer_timeout_s" DWORD, V2011 "Time to wait for an answer by SMS, s.";
    0x0007 "sms_retransmissions" DWORD, V2011 "Repeats by SMS.";
    0x0010 "main_server_apn" STRING, V2011 "APN of the main server; the dial number with CDMA.";
    0x0011 "main_server_user" STRING, V2011 "Dial-up user of the main server.";
    0x0012 "main_server_password" STRING, V2011 "Dial-up password of the main server.";
    0x0013 "main_server_address" STRING, V2011 "Main server: IP or name; 2019: host:port, several separated by semicolons.";
    0x0014 "backup_server_apn" STRING, V2011 "APN of the backup server.";
    0x0015 "backup_server_user" STRING, V2011 "Dial-up user of the backup server.";
    0x0016 "backup_server_password" STRING, V2011 "Dial-up password of the backup server.";
    0x0017 "backup_server_address" STRING, V2011 "Backup server, as 0x0013.";
    0x0018 "server_tcp_port" DWORD, V2011 "TCP port of the servers; reserved in 2019, where 0x0013 has it.";
    0x0019 "server_udp_port" DWORD, V2011 "UDP port of the servers; reserved in 2019, where 0x0013 has it.";
    0x001A "card_server_address" STRING, V2013 "Server that authenticates IC cards: IP or name.";
    0x001B "card_server_tcp_port" DWORD, V2013 "Its TCP port.";
    0x001C "card_server_udp_port" DWORD, V2013 "Its UDP port.";
    0x001D "card_backup_server_address" STRING, V2013 "Its backup, on the same ports.";
    0x0020 "report_strategy" DWORD, V2011 "When positions are reported: 0 by time, 1 by distance, 2 by both.";
    0x0021 "report_scheme" DWORD, V2011 "What chooses the interval: 0 ACC, 1 whether a driver is logged in, then ACC.";
    0x0022 "report_interval_no_driver_s" DWORD, V2011 "Interval without a driver logged in, s, above 0.";
    0x0023 "slave_server_apn" STRING, V2019 "APN of the slave server; empty: the main server's.";
    0x0024 "slave_server_user" STRING, V2019 "Dial-up user of the slave server; empty: the main server's.";
    0x0025 "slave_server_password" STRING, V2019 "Dial-up password of the slave server; empty: the main server's.";
    0x0026 "slave_server_address" STRING, V2019 "Slave server: host:port, several separated by semicolons.";
    0x0027 "report_interval_sleep_s" DWORD, V2011 "Interval asleep, s, above 0.";
    0x0028 "report_interval_emergency_s" DWORD, V2011 "Interval on emergency, s, above 0.";
    0x0029 "report_interval_s" DWORD, V2011 "Interval otherwise, s, above 0.";
    0x002C "report_distance_m" DWORD, V2011 "Distance between reports, m, above 0.";
    0x002D "report_distance_no_driver_m" DWORD, V2011 "The same without a driver logged in, m, above 0.";
    0x002E "report_distance_sleep_m" DWORD, V2011 "The same asleep, m, above 0.";
    0x002F "report_distance_emergency_m" DWORD, V2011 "The same on emergency, m, above 0.";
    0x0030 "corner_angle_deg" DWORD, V2011 "Change of direction that is reported at once, degrees, below 180.";
    0x0031 "fence_radius_m" WORD, V2013 "Way a parked vehicle may move without an alarm, m.";
    0x0032 "forbidden_driving_window" video::DrivingWindow, V2019 "Time of day when driving is a violation.";
    0x0040 "platform_phone" STRING, V2011 "Phone number of the platform.";
    0x0041 "reset_phone" STRING, V2011 "Phone number whose call resets the terminal.";
    0x0042 "factory_reset_phone" STRING, V2011 "Phone number whose call restores the factory's settings.";
    0x0043 "platform_sms_phone" STRING, V2011 "Phone number of the platform for SMS.";
    0x0044 "alarm_sms_phone" STRING, V2011 "Phone number that receives alarms by SMS.";
    0x0045 "call_policy" DWORD, V2011 "How calls are taken: 0 at once, 1 at once with ACC on, by hand with ACC off.";
    0x0046 "call_longest_s" DWORD, V2011 "Longest call, s; 0 none, 4294967295 without limit.";
    0x0047 "call_month_longest_s" DWORD, V2011 "Calls in a month, s; 0 none, 4294967295 without limit.";
    0x0048 "listen_in_phone" STRING, V2011 "Phone number that listens in.";
    0x0049 "privileged_sms_phone" STRING, V2011 "Phone number of the platform for privileged SMS.";
    0x0050 "alarm_mask" DWORD, V2011 "Alarms that are suppressed: the alarm bits of 0x0200.";
    0x0051 "alarm_sms_mask" DWORD, V2011 "Alarms that send an SMS: the alarm bits of 0x0200.";
    0x0052 "alarm_photo_mask" DWORD, V2011 "Alarms that take a photo: the alarm bits of 0x0200.";
    0x0053 "alarm_photo_store_mask" DWORD, V2011 "Alarms whose photo is stored and not sent at once: the alarm bits of 0x0200.";
    0x0054 "alarm_critical_mask" DWORD, V2011 "Alarms that are critical: the alarm bits of 0x0200.";
    0x0055 "speed_limit_kmh" DWORD, V2011 "Highest speed, km/h.";
    0x0056 "overspeed_duration_s" DWORD, V2011 "How long it is exceeded before it is an alarm, s.";
    0x0057 "continuous_driving_limit_s" DWORD, V2011 "Longest driving without a rest, s.";
    0x0058 "day_driving_limit_s" DWORD, V2011 "Longest driving in a day, s.";
    0x0059 "rest_shortest_s" DWORD, V2011 "Shortest rest, s.";
    0x005A "parking_longest_s" DWORD, V2011 "Longest parking, s.";
    0x005B "overspeed_warning_margin_kmh" WORD_TENTHS, V2013 "Below the highest speed by so much the driver is warned, km/h; 0.1 km/h on the wire.";
    0x005C "fatigue_warning_margin_s" WORD, V2013 "Before the longest driving by so much the driver is warned, s, above 0.";
    0x005D "collision_alarm" WORD, V2013 "Collision: bits 0 to 7 time (2013: 4 ms, 2019: ms), 8 to 15 acceleration in 0.1 g, 0 to 79.";
    0x005E "rollover_angle_deg" WORD, V2013 "Rollover, degrees; 30 by default.";
    0x0064 "timed_photo" DWORD, V2013 "Photos by time: bits 0 to 4 channels on, 8 to 12 stored (0) or sent (1), 16 unit (0 s, 1 min), 17 to 31 interval.";
    0x0065 "distance_photo" DWORD, V2013 "Photos by distance: bits as 0x0064, unit 0 m, 1 km.";
    0x0070 "image_quality" DWORD, V2011 "Quality of photos, 1 (best) to 10.";
    0x0071 "image_brightness" DWORD, V2011 "Brightness, 0 to 255.";
    0x0072 "image_contrast" DWORD, V2011 "Contrast, 0 to 127.";
    0x0073 "image_saturation" DWORD, V2011 "Saturation, 0 to 127.";
    0x0074 "image_chroma" DWORD, V2011 "Chroma, 0 to 255.";
    0x0075 "video" video::VideoParameters, V2013 "Audio and video of all channels (JT/T 1078).";
    0x0076 "channel_table" video::ChannelTable, V2013 "Channels that are connected (JT/T 1078).";
    0x0077 "channel_video" video::ChannelVideos, V2013 "Video channel by channel (JT/T 1078).";
    0x0079 "alarm_recording" video::AlarmRecording, V2013 "Recording on special alarms (JT/T 1078).";
    0x007A "video_alarm_mask" DWORD, V2013 "Video alarms that are suppressed: the bits of item 0x14 (JT/T 1078).";
    0x007B "video_analysis" video::VideoAnalysis, V2013 "Analysis of the picture (JT/T 1078).";
    0x007C "wake_schedule" video::WakeSchedule, V2013 "When a sleeping terminal wakes (JT/T 1078).";
    0x0080 "odometer_km" DWORD_TENTHS, V2011 "Reading of the odometer, km; 0.1 km on the wire.";
    0x0081 "province" WORD, V2011 "Province where the vehicle is registered.";
    0x0082 "city" WORD, V2011 "City where the vehicle is registered.";
    0x0083 "plate" STRING, V2011 "Number plate.";
    0x0084 "plate_color" BYTE, V2011 "Colour of the plate: JT/T 415, 2019: JT/T 697.7.";
    0x0090 "gnss_mode" BYTE, V2013 "Satellite systems, bits: 0 GPS, 1 BeiDou, 2 GLONASS, 3 Galileo.";
    0x0091 "gnss_baud_rate" BYTE, V2013 "Baud rate of the receiver: 0 4800, 1 9600, 2 19200, 3 38400, 4 57600, 5 115200.";
    0x0092 "gnss_output_interval" BYTE, V2013 "How often it gives positions: 0 500 ms, 1 1 s, 2 2 s, 3 3 s, 4 4 s.";
    0x0093 "gnss_sampling_interval_s" DWORD, V2013 "How often its data are collected, s; 1 by default.";
    0x0094 "gnss_upload_mode" BYTE, V2013 "When its data are sent: 0 never, 1 by time, 2 by distance, 11 on so much time, 12 distance, 13 count.";
    0x0095 "gnss_upload_setting" DWORD, V2013 "The amount for 0x0094: s, m, s, m, count.";
    0x0100 "can_1_collection_interval_ms" DWORD, V2013 "Interval of collection on CAN channel 1, ms; 0 is off.";
    0x0101 "can_1_upload_interval_s" WORD, V2013 "Interval of upload of CAN channel 1, s; 0 is off.";
    0x0102 "can_2_collection_interval_ms" DWORD, V2013 "Interval of collection on CAN channel 2, ms; 0 is off.";
    0x0103 "can_2_upload_interval_s" WORD, V2013 "Interval of upload of CAN channel 2, s; 0 is off.";
    0x0110 "can_collection" video::CanCollection, V2013 "How one CAN id is collected; the ids to 0x01FF are for others.";
    0xF364 "driver_assistance" active_safety::DriverAssistance, V2011 "Advanced driver assistance (ADAS).";
    0xF365 "driver_monitoring" active_safety::DriverMonitoring, V2011 "Monitoring of the driver's state (DSM).";
    0xF366 "tyre_monitoring" active_safety::TyreMonitoring, V2011 "Monitoring of the tyres' pressure (TPMS).";
    0xF367 "blind_spot_monitoring" active_safety::BlindSpotMonitoring, V2011 "Monitoring of blind spots (BSD).";
    0xF370 "smart_video_version" BYTE, V2019 "Version of the smart video protocol, from 1; not to be set.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_found_by_its_id_and_by_its_name() {
        assert!(PARAMETERS.is_sorted_by(|a, b| a.id < b.id));
        for info in PARAMETERS {
            assert_eq!(info.id.info().unwrap().name, info.name);
            assert_eq!(ParameterId::of_name(info.name), Some(info.id));
            assert_eq!(info.name_of(info.id), info.name);
        }
    }

    #[test]
    fn each_can_id_has_its_number() {
        for (id, name) in [
            (0x0110, "can_collection"),
            (0x0111, "can_collection_2"),
            (0x01FF, "can_collection_240"),
        ] {
            let id = ParameterId(id);
            assert_eq!(id.info().unwrap().name_of(id), name);
            assert_eq!(ParameterId::of_name(name), Some(id));
        }
        for name in [
            "can_collection_0",
            "can_collection_1",
            "can_collection_02",
            "can_collection_241",
            "can_collection_4294967296",
            "can_collection_",
            "0x00000001",
            "",
        ] {
            assert_eq!(ParameterId::of_name(name), None, "{name}");
        }
        assert!(ParameterId(0x0200).info().is_none());
    }
}
