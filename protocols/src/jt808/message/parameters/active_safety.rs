//! Parameters 0xF364 to 0xF367 of the active-safety supplements: T/JSATL 12 (苏标), and T/GDRTA 002
//! (粤标), which has more fields at the end. A field that is not in JSON leaves what the terminal
//! has: it is sent as all ones.

use super::structure::{Extension, Group, Reserved, Setting};
use crate::jt808::message::field::{Text, Width, layout};

layout! {
    /// What a kind of alarm does.
    pub struct AlarmSettings {
        /// Speed in km/h above which it is of level 2, 0 to 220; 50 by default.
        pub speed_kmh: Setting<u8>,
        /// Seconds of video before and after, 0 to 60; 5 by default.
        pub video_s: Setting<u8>,
        /// Photos, 0 to 10; 3 by default.
        pub photos: Setting<u8>,
        /// Time between them in 100 ms, 1 to 10.
        pub photo_interval_100ms: Setting<u8>,
    }
}

layout! {
    /// The same for an alarm on what is near.
    pub struct ApproachSettings {
        /// Time to the collision in 100 ms.
        pub threshold_100ms: Setting<u8>,
        /// As in [`AlarmSettings`].
        pub speed_kmh: Setting<u8>,
        /// As in [`AlarmSettings`].
        pub video_s: Setting<u8>,
        /// As in [`AlarmSettings`].
        pub photos: Setting<u8>,
        /// As in [`AlarmSettings`].
        pub photo_interval_100ms: Setting<u8>,
    }
}

layout! {
    /// The same for an alarm on something that is done too often.
    pub struct RepetitionSettings {
        /// Period in seconds.
        pub period_s: Setting<u8>,
        /// Times in the period.
        pub times: Setting<u8>,
        /// As in [`AlarmSettings`].
        pub speed_kmh: Setting<u8>,
        /// As in [`AlarmSettings`].
        pub video_s: Setting<u8>,
        /// As in [`AlarmSettings`].
        pub photos: Setting<u8>,
        /// As in [`AlarmSettings`].
        pub photo_interval_100ms: Setting<u8>,
    }
}

layout! {
    /// What a camera does of itself.
    pub struct CameraSettings {
        /// Speed in km/h from which on alarms are raised, 0 to 60; 30 by default.
        pub enabling_speed_kmh: Setting<u8>,
        /// Volume of its voice, 0 to 8; 6 by default.
        pub volume: Setting<u8>,
        /// When it takes photos: 0 never, 1 by timer, 2 by distance, 3 on a driver's card (DSM).
        pub photo_strategy: Setting<u8>,
        /// The timer in seconds; 60 by default, 3600 for DSM.
        pub photo_timer_s: Setting<u16>,
        /// The distance in metres; 200 by default.
        pub photo_distance_m: Setting<u16>,
        /// Photos each time, 1 to 10; 3 by default.
        pub photos: Setting<u8>,
        /// Time between them in 100 ms, 1 to 5; 2 by default.
        pub photo_interval_100ms: Setting<u8>,
        /// 1 352x288, 2 704x288, 3 704x576, 4 640x480, 5 1280x720, 6 1920x1080.
        pub photo_resolution: Setting<u8>,
        /// 1 CIF, 2 HD1, 3 D1, 4 WD1, 5 VGA, 6 720P, 7 1080P.
        pub video_resolution: Setting<u8>,
        /// Alarms that are on, bits.
        pub alarms: Setting<u32>,
        /// Events that are on, bits: 0 road sign or change of driver, 1 photo.
        pub events: Setting<u32>,
    }
}

layout! {
    /// 0xF364: advanced driver assistance, 56 bytes, or 64.
    ///
    /// Bits of the alarms, for levels 1 and 2: 0 and 1 obstacle, 2 and 3 frequent lane change, 4 and
    /// 5 lane departure, 6 and 7 forward collision, 8 and 9 pedestrian, 10 and 11 distance; 16 limit
    /// of a sign; in Guangdong 17 and 18 solid line, 19 aisle.
    pub struct DriverAssistance {
        /// The camera.
        pub camera: Group<CameraSettings>,
        /// Reserved.
        pub reserved: Reserved<1>,
        /// Obstacle.
        pub obstacle: Group<ApproachSettings>,
        /// Frequent lane change.
        pub lane_changes: Group<RepetitionSettings>,
        /// Lane departure.
        pub lane_departure: Group<AlarmSettings>,
        /// Forward collision.
        pub forward_collision: Group<ApproachSettings>,
        /// Pedestrian.
        pub pedestrian: Group<ApproachSettings>,
        /// Distance to the vehicle in front.
        pub distance: Group<ApproachSettings>,
        /// Photos of a road sign.
        pub sign_photos: Setting<u8>,
        /// Time between them in 100 ms.
        pub sign_photo_interval_100ms: Setting<u8>,
        /// What T/GDRTA 002 adds.
        pub guangdong: Extension<DriverAssistanceExtension>,
        /// Reserved.
        pub reserved_end: Reserved<4>,
    }
}

layout! {
    /// What T/GDRTA 002 adds to [`DriverAssistance`].
    pub struct DriverAssistanceExtension {
        /// Lane change over a solid line.
        pub solid_line: Group<AlarmSettings>,
        /// Pedestrian in the aisle.
        pub aisle: Group<AlarmSettings>,
    }
}

layout! {
    /// 0xF365: monitoring of the driver's state, 49 bytes, of which some leave out the last two, or
    /// 66.
    ///
    /// Bits of the alarms, for levels 1 and 2: 0 and 1 fatigue, 2 and 3 phone, 4 and 5 smoking, 6
    /// and 7 distraction, 8 and 9 abnormal; in Guangdong 10 and 11 lens, 12 and 13 belt, 14 and 15
    /// glasses, 16 and 17 hands off, 18 and 19 playing with the phone.
    pub struct DriverMonitoring {
        /// The camera.
        pub camera: Group<CameraSettings>,
        /// Seconds between two alarms on smoking.
        pub smoking_interval_s: Setting<u16>,
        /// Seconds between two alarms on the phone.
        pub phone_interval_s: Setting<u16>,
        /// Reserved.
        pub reserved: Reserved<3>,
        /// Fatigue.
        pub fatigue: Group<AlarmSettings>,
        /// Phone.
        pub phone: Group<AlarmSettings>,
        /// Smoking.
        pub smoking: Group<AlarmSettings>,
        /// Distraction.
        pub distraction: Group<AlarmSettings>,
        /// Driver abnormal, or absent.
        pub abnormal: Group<AlarmSettings>,
        /// When the driver's face is checked: 0 never, 1 by timer, 2 by distance, 3 on a card.
        pub identity_check: Setting<u8>,
        /// What T/GDRTA 002 adds.
        pub guangdong: Extension<DriverMonitoringExtension>,
        /// Reserved.
        pub reserved_end: Reserved<2>,
    }
}

layout! {
    /// What T/GDRTA 002 adds to [`DriverMonitoring`].
    pub struct DriverMonitoringExtension {
        /// Speed in km/h above which a covered lens is of level 2.
        pub lens_speed_kmh: Setting<u8>,
        /// Seat belt.
        pub belt: Group<AlarmSettings>,
        /// Glasses that infrared does not pass.
        pub glasses: Group<AlarmSettings>,
        /// Both hands off the wheel.
        pub hands_off: Group<AlarmSettings>,
        /// Playing with the phone.
        pub playing: Group<AlarmSettings>,
    }
}

layout! {
    /// 0xF366: monitoring of the tyres' pressure, 36 bytes. Pressures are in the unit below.
    pub struct TyreMonitoring {
        /// Size of the tyres, such as 900R20.
        pub tyre: Text<Width<12>>,
        /// 0 kg/cm², 1 bar, 2 kPa, 3 PSI.
        pub pressure_unit: Setting<u16>,
        /// Normal pressure; 140 by default.
        pub normal_pressure: Setting<u16>,
        /// Imbalance in percent; 20 by default.
        pub imbalance_percent: Setting<u16>,
        /// Slow leak in percent; 5 by default.
        pub slow_leak_percent: Setting<u16>,
        /// Low pressure; 110 by default.
        pub low_pressure: Setting<u16>,
        /// High pressure; 189 by default.
        pub high_pressure: Setting<u16>,
        /// Hot, in degrees Celsius; 80 by default.
        pub hot_c: Setting<u16>,
        /// Low battery in percent; 10 by default.
        pub low_battery_percent: Setting<u16>,
        /// Seconds between reports, 0 none; 60 by default.
        pub report_interval_s: Setting<u16>,
        /// Reserved.
        pub reserved: Reserved<6>,
    }
}

layout! {
    /// 0xF367: monitoring of blind spots, 2 bytes.
    pub struct BlindSpotMonitoring {
        /// Time to the collision behind, in seconds.
        pub rear_threshold_s: Setting<u8>,
        /// The same behind at the sides.
        pub side_rear_threshold_s: Setting<u8>,
    }
}
