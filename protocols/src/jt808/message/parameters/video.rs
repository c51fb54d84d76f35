//! Values of several fields: those of JT/T 1078-2016 (0x0075 to 0x0079, 0x007B, 0x007C), and two of
//! JT/T 808 itself, the driving window and the CAN ids.

use super::structure::ClockTime;
use crate::{
    jt808::{
        Revision,
        message::{
            Body,
            field::{Field as _, List, Raw, decode_entries, layout, take_entries},
            json::{self, JsonError, JsonProblem, Object},
        },
    },
    wire::{DecodeError, EncodeError, EncodeErrorKind, Reader, Writer},
};

layout! {
    /// 0x0032: from when to when driving is a violation; over midnight where it starts later than
    /// it ends. Numbers, not BCD.
    pub struct DrivingWindow {
        /// 0 to 23.
        pub start_hour: u8,
        /// 0 to 59.
        pub start_minute: u8,
        /// 0 to 23.
        pub end_hour: u8,
        /// 0 to 59.
        pub end_minute: u8,
    }
}

/// 0x0110 to 0x01FF: how one id on the CAN bus is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanCollection {
    /// Interval in ms; 0 is off.
    pub interval_ms: u32,
    /// Bits: 31 channel, 30 extended frame, 29 averaged and not as collected, 0 to 28 the id.
    pub bits: u32,
}

impl CanCollection {
    const ID: u32 = 0x1FFF_FFFF;
    /// The names of the bits above the id, from the highest.
    const FLAGS: [(&str, u32); 3] = [("channel", 31), ("extended", 30), ("averaged", 29)];
}

impl Body for CanCollection {
    fn decode(r: &mut Reader, _: Revision) -> Result<Self, DecodeError> {
        Ok(Self {
            interval_ms: r.dword("interval_ms")?,
            bits: r.dword("can_id")?,
        })
    }

    fn encode(&self, w: &mut Writer, _: Revision) -> Result<(), EncodeError> {
        w.dword(self.interval_ms);
        w.dword(self.bits);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        self.interval_ms.put(object, "interval_ms");
        for (name, bit) in Self::FLAGS {
            json::put(object, name, self.bits >> bit & 1);
        }
        json::put(object, "can_id", self.bits & Self::ID);
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        let interval_ms = u32::take(object, "interval_ms")?;
        let mut bits = u32::take(object, "can_id")?;
        if bits > Self::ID {
            let expected = JsonProblem::Expected("a CAN id of 29 bits");
            return Err(JsonError::new("can_id", expected));
        }
        for (name, bit) in Self::FLAGS {
            let flag: u32 = match object.remove(name) {
                Some(value) => json::integer(&value, name, "0 or 1")?,
                None => 0,
            };
            if flag > 1 {
                return Err(JsonError::new(name, JsonProblem::Expected("0 or 1")));
            }
            bits |= flag << bit;
        }
        Ok(Self { interval_ms, bits })
    }
}

layout! {
    /// How one stream is encoded.
    pub struct StreamEncoding {
        /// 0 CBR, 1 VBR, 2 ABR, 100 to 127 by the maker.
        pub encoding: u8,
        /// 0 QCIF, 1 CIF, 2 WCIF, 3 D1, 4 WD1, 5 720P, 6 1080P.
        pub resolution: u8,
        /// Frames from one key frame to the next.
        pub key_frame_interval: u16,
        /// Frames a second.
        pub frame_rate: u8,
        /// kbit/s.
        pub bit_rate_kbps: u32,
    }
}

layout! {
    /// 0x0075: audio and video of every channel that 0x0077 does not name.
    pub struct VideoParameters {
        /// The stream that is watched.
        pub live: StreamEncoding,
        /// The stream that is stored.
        pub storage: StreamEncoding,
        /// Text on the picture, bits: 0 time, 1 plate, 2 channel, 3 position, 4 speed of the
        /// recorder, 5 speed of the receiver, 6 driving time.
        pub on_screen_text: u16,
        /// 0 no sound, 1 sound.
        pub audio_output: u8,
    }
}

layout! {
    /// Video of one channel.
    pub struct ChannelVideo {
        /// Logical channel.
        pub channel: u8,
        /// The stream that is watched.
        pub live: StreamEncoding,
        /// The stream that is stored.
        pub storage: StreamEncoding,
        /// Text on the picture, as in [`VideoParameters`].
        pub on_screen_text: u16,
    }
}

layout! {
    /// 0x0077: video channel by channel.
    pub struct ChannelVideos {
        /// The channels.
        pub channels: List<u8, ChannelVideo>,
    }
}

layout! {
    /// A camera or a microphone, and the number it has in messages.
    pub struct Channel {
        /// Number of the plug, from 1.
        pub physical_channel: u8,
        /// Number in messages, by JT/T 1076.
        pub channel: u8,
        /// 0 audio and video, 1 audio, 2 video.
        pub channel_type: u8,
        /// 1 where the camera turns.
        pub has_ptz: u8,
    }
}

/// 0x0076: the channels that are connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelTable {
    /// Channels by the terminal's counts: of audio and video, of audio, of video.
    pub counts: [u8; 3],
    /// The channels, as many as the counts say together.
    pub channels: Vec<Channel>,
}

impl ChannelTable {
    const COUNTS: [&str; 3] = ["av_count", "audio_count", "video_count"];

    fn count(&self) -> usize {
        self.counts.iter().copied().map(usize::from).sum()
    }
}

impl Body for ChannelTable {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let mut table = Self {
            counts: Raw::read(r, "counts", revision)?.0,
            channels: Vec::new(),
        };
        table.channels = decode_entries(r, "channels", table.count(), revision)?;
        Ok(table)
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        let (count, count_max) = (self.channels.len(), self.count());
        if count != count_max {
            let kind = EncodeErrorKind::TooMany { count, count_max };
            let field = "channels";
            return Err(EncodeError { field, kind });
        }
        w.bytes(&self.counts);
        self.channels
            .iter()
            .try_for_each(|channel| channel.encode(w, revision))
    }

    fn to_json(&self, object: &mut Object) {
        for (name, count) in Self::COUNTS.iter().zip(self.counts) {
            json::put(object, name, count);
        }
        let channels = self.channels.iter().map(Channel::to_value);
        json::put(object, "channels", channels.collect::<Vec<_>>());
    }

    /// Counts that are not there are those of the channels' types.
    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        let channels: Vec<Channel> = take_entries(object, "channels")?;
        let mut table = Self {
            counts: [0; 3],
            channels,
        };
        for ((name, of_type), count) in Self::COUNTS.iter().zip(0..).zip(&mut table.counts) {
            let of_type = |channel: &&Channel| channel.channel_type == of_type;
            *count = match object.remove(*name) {
                Some(value) => u8::from_value(value, name)?,
                // More do not fit into a parameter, and are refused for that.
                None => u8::try_from(table.channels.iter().filter(of_type).count()).unwrap_or(0),
            };
        }
        if table.count() != table.channels.len() {
            let expected = JsonProblem::Expected("as many as the counts or types say");
            return Err(JsonError::new("channels", expected));
        }
        Ok(table)
    }
}

layout! {
    /// 0x0079: recording on special alarms.
    pub struct AlarmRecording {
        /// Share of the storage, 1 to 99 percent; 20 by default.
        pub storage_percent: u8,
        /// Longest recording in minutes; 5 by default.
        pub duration_min: u8,
        /// Minutes kept from before the alarm; 1 by default.
        pub pre_record_min: u8,
    }
}

layout! {
    /// 0x007B: what the analysis of the picture takes for an alarm.
    pub struct VideoAnalysis {
        /// Passengers that are allowed.
        pub passenger_limit: u8,
        /// From which score on a driver is tired.
        pub fatigue_threshold: u8,
    }
}

layout! {
    /// A part of the day.
    pub struct WakePeriod {
        /// When the terminal wakes.
        pub wake: ClockTime,
        /// When it sleeps.
        pub sleep: ClockTime,
    }
}

layout! {
    /// 0x007C: when a sleeping terminal wakes.
    pub struct WakeSchedule {
        /// Bits: 0 on conditions, 1 by timer, 2 by hand.
        pub modes: u8,
        /// Conditions, bits: 0 emergency, 1 collision or rollover, 2 door.
        pub conditions: u8,
        /// Days of the timer, bits: 0 Monday to 6 Sunday.
        pub weekdays: u8,
        /// Periods of the timer that hold, bits 0 to 3.
        pub periods: u8,
        /// First period.
        pub period_1: WakePeriod,
        /// Second period.
        pub period_2: WakePeriod,
        /// Third period.
        pub period_3: WakePeriod,
        /// Fourth period.
        pub period_4: WakePeriod,
    }
}
