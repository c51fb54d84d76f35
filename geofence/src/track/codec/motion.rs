//! The flags of fixes and the state of the checks of motion as bytes.
//!
//! Flags are written where they differ from the fix before, which they hardly ever do: a byte that
//! says which are there, then these.

use super::{Damaged, Read, Reader, Writer};
use crate::{
    checks::{
        load_drop::LoadDrop,
        long_stop::{LongStop, Stay, StopWatch},
        motion::Motion,
        terminal_alarm::{AlarmWatch, Alarms},
        unloading::Unloading,
        work::LastKnown,
    },
    position::Inputs,
    track::fix::Fix,
    units::{Latitude, Longitude},
    violation::EvidenceFix,
};

const PLACED: u8 = 1;
const ALARMS: u8 = 1 << 1;
const VEHICLE_SIGNALS: u8 = 1 << 2;
const IO: u8 = 1 << 3;
const VENDOR: u8 = 1 << 4;

/// Whether the flags of a fix are other ones than those before.
pub(super) fn differ(fix: &Fix, before: &Fix) -> bool {
    let flags = |fix: &Fix| (fix.is_placed, fix.alarm_flags, fix.status_flags, fix.inputs);
    flags(fix) != flags(before)
}

impl Fix {
    /// What versions before the flags kept of them: the ignition. All their fixes had a place.
    pub(super) fn set_old_flags(&mut self, acc: u8) {
        const POSITIONED: u32 = 1 << 1;
        self.is_placed = true;
        self.status_flags = POSITIONED | u32::from(acc);
    }
}

impl Writer {
    pub(super) fn flags(&mut self, fix: &Fix) {
        let inputs = &fix.inputs;
        let bit = |is_there: bool, bit: u8| if is_there { bit } else { 0 };
        self.byte(
            bit(fix.is_placed, PLACED)
                | bit(fix.alarm_flags != 0, ALARMS)
                | bit(inputs.vehicle_signals.is_some(), VEHICLE_SIGNALS)
                | bit(inputs.io.is_some(), IO)
                | bit(inputs.vendor.is_some(), VENDOR),
        );
        self.number(u64::from(fix.status_flags));
        if fix.alarm_flags != 0 {
            self.number(u64::from(fix.alarm_flags));
        }
        let words = [
            inputs.vehicle_signals,
            inputs.io.map(u32::from),
            inputs.vendor,
        ];
        for word in words.into_iter().flatten() {
            self.number(u64::from(word));
        }
    }

    pub(super) fn motion(&mut self, motion: &Motion) {
        self.alarms(&motion.alarms);
        self.long_stop(&motion.long_stop);
        self.optional(motion.cleaning.0, |w, (is_on, at)| {
            w.byte(u8::from(is_on));
            w.signed(at);
        });
        self.speeding(&motion.too_fast);
        let unloading = &motion.unloading;
        self.clock(unloading.clock);
        self.optional_signed(unloading.off_since);
        self.evidence(&unloading.onset_fixes);
        self.draft(unloading.draft.as_deref());
        self.optional_signed(unloading.told_until);
        self.evidence(motion.load.loaded.as_slice());
        self.evidence(motion.load.emptied.as_slice());
    }

    fn alarms(&mut self, alarms: &Alarms) {
        self.optional_signed(alarms.heard_at);
        self.number(alarms.watches.len() as u64);
        for watch in &alarms.watches {
            self.byte(watch.bit);
            self.clock(Some(watch.clock));
            self.optional_signed(watch.clear_since);
            self.evidence(&watch.onset_fixes);
            self.draft(watch.draft.as_deref());
        }
    }

    fn long_stop(&mut self, stop: &LongStop) {
        self.clock(stop.slow);
        self.optional(stop.stay.as_ref(), |w, stay| {
            w.signed(stay.since);
            w.signed(stay.onset);
            w.signed(stay.last_at);
            w.signed(i64::from(stay.latitude.micro_degrees()));
            w.signed(i64::from(stay.longitude.micro_degrees()));
            w.byte(u8::from(stay.has_moved));
        });
        self.number(stop.watches.len() as u64);
        for watch in &stop.watches {
            self.number(watch.fingerprint);
            self.clock(Some(watch.clock));
            self.byte(u8::from(watch.is_spared));
            self.evidence(&watch.onset_fixes);
            self.draft(watch.draft.as_deref());
        }
    }
}

impl Reader<'_> {
    pub(super) fn flags(&mut self, fix: &mut Fix) -> Read<()> {
        let there = self.byte()?;
        let is_there = |bit: u8| there & bit != 0;
        fix.is_placed = is_there(PLACED);
        fix.status_flags = self.small()?;
        fix.alarm_flags = if is_there(ALARMS) { self.small()? } else { 0 };
        let mut word = |bit| is_there(bit).then(|| self.small::<u32>()).transpose();
        let (vehicle_signals, io, vendor) = (word(VEHICLE_SIGNALS)?, word(IO)?, word(VENDOR)?);
        let io = io.map(u16::try_from).transpose().map_err(|_| Damaged)?;
        fix.inputs = Inputs {
            vehicle_signals,
            io,
            vendor,
        };
        Ok(())
    }

    pub(super) fn motion(&mut self) -> Read<Motion> {
        Ok(Motion {
            alarms: self.alarms()?,
            long_stop: self.long_stop()?,
            cleaning: LastKnown(self.optional(|r| Ok((r.flag()?, r.signed()?)))?),
            too_fast: self.speeding()?,
            unloading: Unloading {
                clock: self.clock()?,
                off_since: self.optional(Self::signed)?,
                onset_fixes: self.json()?,
                draft: self.draft()?,
                told_until: self.later_moment()?,
            },
            load: self.load()?,
        })
    }

    fn load(&mut self) -> Read<LoadDrop> {
        if self.version < super::WITH_LATER {
            return Ok(LoadDrop::default());
        }
        Ok(LoadDrop {
            loaded: self.json::<Vec<EvidenceFix>>()?.pop(),
            emptied: self.json::<Vec<EvidenceFix>>()?.pop(),
        })
    }

    fn alarms(&mut self) -> Read<Alarms> {
        let heard_at = self.optional(Self::signed)?;
        let count: usize = self.small()?;
        let mut watches = Vec::new();
        for _ in 0..count {
            watches.push(AlarmWatch {
                bit: Some(self.byte()?).filter(|bit| *bit < 32).ok_or(Damaged)?,
                clock: self.clock()?.ok_or(Damaged)?,
                clear_since: self.optional(Self::signed)?,
                onset_fixes: self.json()?,
                draft: self.draft()?,
            });
        }
        Ok(Alarms { heard_at, watches })
    }

    fn long_stop(&mut self) -> Read<LongStop> {
        let slow = self.clock()?;
        let stay = self.optional(|r| {
            let (since, onset, last_at) = (r.signed()?, r.signed()?, r.signed()?);
            let mut micro = || i32::try_from(r.signed()?).map_err(|_| Damaged);
            Ok(Stay {
                since,
                onset,
                last_at,
                latitude: Latitude::from_micro_degrees(micro()?).ok_or(Damaged)?,
                longitude: Longitude::from_micro_degrees(micro()?).ok_or(Damaged)?,
                has_moved: r.version < super::WITH_LATER || r.flag()?,
            })
        })?;
        let count: usize = self.small()?;
        let mut watches = Vec::new();
        for _ in 0..count {
            watches.push(StopWatch {
                fingerprint: self.number()?,
                clock: self.clock()?.ok_or(Damaged)?,
                is_spared: self.flag()?,
                onset_fixes: self.json()?,
                draft: self.draft()?,
            });
        }
        Ok(LongStop {
            slow,
            stay,
            watches,
        })
    }
}
