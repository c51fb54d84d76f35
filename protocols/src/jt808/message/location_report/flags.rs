//! Alarm flags (报警标志) and status flags (状态): 32 bits each. Bits without a name are kept.

/// Alarms that the terminal raised. Revisions in brackets where not all have the bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AlarmFlags(pub u32);

/// The state of vehicle and terminal. Revisions in brackets where not all have the bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StatusFlags(pub u32);

macro_rules! bits {
    ($flags:ident { $($bit:literal $name:ident $doc:literal;)* }) => {
        impl $flags {
            $(#[doc = $doc] pub const $name: Self = Self(1 << $bit);)*

            /// The bits that have a name, and the name.
            pub const NAMED: &[(Self, &str)] = &[$((Self::$name, stringify!($name))),*];

            /// Whether all bits of `other` are set.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }

        impl std::ops::BitOr for $flags {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
    };
}

bits! { AlarmFlags {
    0 EMERGENCY "Emergency button (紧急报警).";
    1 OVERSPEED "Overspeed (超速报警).";
    2 FATIGUE "Fatigue driving (疲劳驾驶).";
    3 DANGER "Warning (2011), danger (2013), dangerous driving behaviour (2019).";
    4 GNSS_FAULT "GNSS module fault.";
    5 GNSS_ANTENNA_CUT "GNSS antenna missing or cut.";
    6 GNSS_ANTENNA_SHORT "GNSS antenna short circuit.";
    7 POWER_LOW "Main power undervoltage (主电源欠压).";
    8 POWER_LOST "Main power lost (主电源掉电).";
    9 DISPLAY_FAULT "Display fault.";
    10 SPEECH_FAULT "Speech module fault.";
    11 CAMERA_FAULT "Camera fault (摄像头故障).";
    12 CARD_READER_FAULT "IC card module fault (2013, 2019).";
    13 OVERSPEED_WARNING "Overspeed is near (超速预警; 2013, 2019).";
    14 FATIGUE_WARNING "Fatigue driving is near (2013, 2019).";
    15 VIOLATION_DRIVING "Driving at a forbidden time (违规行驶; 2019).";
    16 TYRE_PRESSURE "Tyre pressure (胎压预警; 2019).";
    17 RIGHT_TURN_BLIND_SPOT "Right-turn blind spot (右转盲区异常; 2019).";
    18 DRIVING_TIME "The day's driving time is exceeded (当天累计驾驶超时).";
    19 PARKING_TIME "Parked for too long (超时停车).";
    20 AREA "Into or out of an area (进出区域).";
    21 ROUTE "Into or out of a route (进出路线).";
    22 SEGMENT_TIME "Too short or too long on a segment (路段行驶时间).";
    23 ROUTE_DEVIATION "Off the route (路线偏离).";
    24 SPEED_SENSOR_FAULT "Speed sensor fault.";
    25 FUEL "Fuel level abnormal (油量异常).";
    26 STOLEN "Vehicle stolen (被盗).";
    27 ILLEGAL_IGNITION "Illegal ignition (非法点火).";
    28 ILLEGAL_MOVEMENT "Illegal displacement (非法位移).";
    29 COLLISION "Collision (碰撞; 2013 warning, 2019 with rollover).";
    30 ROLLOVER_WARNING "Rollover is near (侧翻预警; 2013, 2019).";
    31 ILLEGAL_DOOR "Illegal door opening (非法开门; 2013, 2019).";
} }

bits! { StatusFlags {
    0 ACC_ON "ACC is on.";
    1 POSITIONED "The receiver has a fix (定位).";
    2 SOUTH "South latitude.";
    3 WEST "West longitude.";
    4 OUT_OF_SERVICE "Out of service (停运).";
    5 ENCRYPTED "Coordinates are encrypted by a plug-in.";
    6 FORWARD_COLLISION "Forward collision warning (2019).";
    7 LANE_DEPARTURE "Lane departure warning (2019).";
    8 LOAD_LOW "Low bit of the load: 0 empty, 1 half, 3 full (2013, 2019).";
    9 LOAD_HIGH "High bit of the load (2013, 2019).";
    10 FUEL_CUT "Fuel line is cut (油路断开).";
    11 CIRCUIT_CUT "Electrical circuit is cut.";
    12 DOORS_LOCKED "Doors are locked (车门加锁).";
    13 DOOR_1_OPEN "Front door is open (2013, 2019).";
    14 DOOR_2_OPEN "Middle door is open (2013, 2019).";
    15 DOOR_3_OPEN "Rear door is open (2013, 2019).";
    16 DOOR_4_OPEN "Driver's door is open (2013, 2019).";
    17 DOOR_5_OPEN "Custom door is open (2013, 2019).";
    18 GPS "The fix uses GPS (2013, 2019).";
    19 BEIDOU "The fix uses BeiDou (2013, 2019).";
    20 GLONASS "The fix uses GLONASS (2013, 2019).";
    21 GALILEO "The fix uses Galileo (2013, 2019).";
    22 MOVING "The vehicle moves (2019).";
} }

impl StatusFlags {
    /// Load of the vehicle: 0 empty, 1 half full, 2 reserved, 3 full (2013, 2019).
    #[must_use]
    pub const fn load(self) -> u8 {
        self.contains(Self::LOAD_LOW) as u8 + 2 * self.contains(Self::LOAD_HIGH) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_has_one_name_at_most() {
        let alarms = AlarmFlags::NAMED.iter().fold(0_u32, |all, (flag, _)| {
            assert_eq!(all & flag.0, 0);
            all | flag.0
        });
        assert_eq!(alarms, u32::MAX);
        let status = StatusFlags::NAMED.iter().fold(0_u32, |all, (flag, _)| {
            assert_eq!(all & flag.0, 0);
            all | flag.0
        });
        assert_eq!(status, 0x007F_FFFF);
    }

    #[test]
    fn bits_are_counted_from_the_least() {
        let status = StatusFlags(0x000C_0003);
        assert!(status.contains(StatusFlags::ACC_ON | StatusFlags::POSITIONED));
        assert!(status.contains(StatusFlags::GPS | StatusFlags::BEIDOU));
        assert!(!status.contains(StatusFlags::SOUTH));
        assert_eq!(StatusFlags(0x300).load(), 3);
        assert_eq!(StatusFlags(0x200).load(), 2);
        assert!(AlarmFlags(2).contains(AlarmFlags::OVERSPEED));
    }
}
