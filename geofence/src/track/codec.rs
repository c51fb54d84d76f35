//! The bytes of snapshots: variable-length integers, fixes as differences. Written by hand, because
//! a fix kept for 72 hours must cost 15 bytes, not 100.

mod duty;
mod motion;
mod routes;

use super::{
    fix::Fix,
    input::{Input, Stop},
    state::State,
};
use crate::{
    checks::{
        draft::Draft,
        duty::DutyWatch,
        membership::{Pending, Side},
        motion::Motion,
        presence::{Clock, Watch},
        speeding::Speeding,
    },
    geometry::Point,
    units::{Latitude, Longitude},
    violation::EvidenceFix,
};

/// The version of the format that is written.
pub(crate) const VERSION: u8 = 6;
/// The first version whose points tell how fast they may have been reached unseen.
const WITH_REACH: u8 = 6;
/// The first version whose states say which catalog has judged them.
const WITH_ERAS: u8 = 5;
/// The first version with vehicles that are awaited, work on routes, and loads.
const WITH_LATER: u8 = 4;
/// The first version whose states have duty.
const WITH_DUTY: u8 = 3;
/// The first version whose states have routes.
const WITH_ROUTES: u8 = 2;
/// The first version whose fixes have flags and whose states have [`crate::checks::motion`].
const WITH_MOTION: u8 = 3;

/// What a writer wrote cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

type Read<T> = Result<T, Damaged>;

#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push((value & 0x7F) as u8);
    }

    pub(crate) fn signed(&mut self, value: i64) {
        // Zigzag: small magnitudes of either sign are short.
        self.number((value << 1 ^ value >> 63).cast_unsigned());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.number(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.byte(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(crate) fn optional_signed(&mut self, value: Option<i64>) {
        self.optional(value, Self::signed);
    }

    /// A fix as the difference to the one before.
    pub(crate) fn fix(&mut self, fix: &Fix, before: &Fix) {
        self.signed(fix.at.wrapping_sub(before.at));
        let micro = |a: i32, b: i32| i64::from(a) - i64::from(b);
        self.signed(micro(
            fix.latitude.micro_degrees(),
            before.latitude.micro_degrees(),
        ));
        self.signed(micro(
            fix.longitude.micro_degrees(),
            before.longitude.micro_degrees(),
        ));
        self.signed(i64::from(fix.speed_dkmh) - i64::from(before.speed_dkmh));
        self.signed(i64::from(fix.heading_deg) - i64::from(before.heading_deg));
        self.signed(fix.log_offset.wrapping_sub(before.log_offset).cast_signed());
        let satellites = fix
            .satellites
            .map_or(NO_SATELLITES, |count| count.min(NO_SATELLITES - 1));
        let is_other = motion::differ(fix, before);
        self.byte(satellites << 1 | u8::from(is_other));
        if is_other {
            self.flags(fix);
        }
        self.0.extend_from_slice(&fix.digest.to_le_bytes());
    }

    pub(crate) fn fixes(&mut self, fixes: &[Fix]) {
        self.number(fixes.len() as u64);
        let mut before = Fix::default();
        for fix in fixes {
            self.fix(fix, &before);
            before = *fix;
        }
    }

    fn evidence(&mut self, fixes: &[EvidenceFix]) {
        self.json(&fixes);
    }

    fn json(&mut self, value: &impl serde::Serialize) {
        // Our own types with text keys: writing them into memory cannot fail.
        self.bytes(&serde_json::to_vec(value).unwrap_or_default());
    }

    fn clock(&mut self, clock: Option<Clock>) {
        self.optional(clock, |w, clock| {
            w.signed(clock.onset);
            w.signed(clock.observed);
        });
    }

    fn draft(&mut self, draft: Option<&Draft>) {
        self.optional(draft, |w, draft| {
            w.json(&draft.violation);
            w.number(draft.fingerprint);
            w.optional(draft.worst_at, |w, at| w.number(at as u64));
            w.byte(u8::from(draft.is_published));
        });
    }

    fn side(&mut self, side: Side) {
        let (word, pending) = match side {
            Side::Unknown => (0, None),
            Side::Out => (1, None),
            Side::PendingIn(pending) => (2, Some(pending)),
            Side::In => (3, None),
            Side::PendingOut(pending) => (4, Some(pending)),
        };
        self.byte(word);
        if let Some(pending) = pending {
            self.signed(pending.first);
            self.signed(pending.crossed);
            self.byte(pending.fixes);
        }
    }

    fn speeding(&mut self, speeding: &Speeding) {
        self.optional(speeding.target, Self::number);
        self.clock(speeding.clock);
        self.optional_signed(speeding.kept_since);
        self.evidence(&speeding.onset_fixes);
        self.draft(speeding.draft.as_deref());
    }

    pub(crate) fn state(&mut self, state: &State) {
        let origin = Fix::default();
        let input = &state.input;
        let fixes = [&state.last, &input.accepted]
            .into_iter()
            .chain(&input.suspects);
        for fix in fixes {
            self.optional(fix.as_ref(), |w, fix| w.fix(fix, &origin));
        }
        input
            .speeds
            .iter()
            .for_each(|speed| self.number(u64::from(*speed)));
        input
            .intervals
            .iter()
            .for_each(|interval| self.signed(*interval));
        let stop = &input.stop;
        self.optional_signed(stop.since);
        self.byte(u8::from(stop.is_stopped));
        self.byte(stop.moving);
        self.signed(stop.latitude_sum);
        self.signed(stop.longitude_sum);
        self.signed(stop.count);
        self.number(state.watches.len() as u64);
        for watch in &state.watches {
            self.number(watch.fingerprint);
            self.side(watch.side);
            self.byte(u8::from(watch.is_armed));
            self.clock(watch.clock);
            self.evidence(&watch.onset_fixes);
            self.draft(watch.draft.as_deref());
        }
        self.speeding(&state.speeding);
        self.routes(&state.routes);
        self.motion(&state.motion);
        self.duty(&state.duty);
        self.optional_signed(state.era);
    }
}

/// No count of satellites; no terminal reports so many.
const NO_SATELLITES: u8 = 127;

#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    /// Of the format of the bytes.
    version: u8,
}

impl<'a> Reader<'a> {
    /// Of what this version wrote.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self::of_version(bytes, VERSION)
    }

    pub(crate) const fn version(&self) -> u8 {
        self.version
    }

    pub(crate) const fn of_version(bytes: &'a [u8], version: u8) -> Self {
        Self { bytes, version }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Read<u8> {
        let (first, rest) = self.bytes.split_first().ok_or(Damaged)?;
        self.bytes = rest;
        Ok(*first)
    }

    pub(crate) fn number(&mut self) -> Read<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damaged)
    }

    pub(crate) fn signed(&mut self) -> Read<i64> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Read<T> {
        T::try_from(self.number()?).map_err(|_| Damaged)
    }

    pub(crate) fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.small()?;
        let (bytes, rest) = self.bytes.split_at_checked(length).ok_or(Damaged)?;
        self.bytes = rest;
        Ok(bytes)
    }

    fn flag(&mut self) -> Read<bool> {
        Ok(self.byte()? == 1)
    }

    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        if self.flag()? {
            read(self).map(Some)
        } else {
            Ok(None)
        }
    }

    /// A moment that older versions did not know.
    pub(crate) fn later_moment(&mut self) -> Read<Option<i64>> {
        if self.version < WITH_LATER {
            return Ok(None);
        }
        self.optional(Self::signed)
    }

    /// What is in force is written with its eras.
    pub(crate) const fn has_eras(&self) -> bool {
        self.version >= WITH_ERAS
    }

    pub(crate) fn fix(&mut self, before: &Fix) -> Read<Fix> {
        let at = before.at.wrapping_add(self.signed()?);
        let mut micro = |before: i32| -> Read<i32> {
            let value = i64::from(before)
                .checked_add(self.signed()?)
                .ok_or(Damaged)?;
            i32::try_from(value).map_err(|_| Damaged)
        };
        let latitude = micro(before.latitude.micro_degrees())?;
        let longitude = micro(before.longitude.micro_degrees())?;
        let mut small = |before: u16| -> Read<u16> {
            let value = i64::from(before)
                .checked_add(self.signed()?)
                .ok_or(Damaged)?;
            u16::try_from(value).map_err(|_| Damaged)
        };
        let (speed_dkmh, heading_deg) = (small(before.speed_dkmh)?, small(before.heading_deg)?);
        let log_offset = before
            .log_offset
            .wrapping_add(self.signed()?.cast_unsigned());
        let packed = self.byte()?;
        let mut flagged = *before;
        if self.version < WITH_MOTION {
            flagged.set_old_flags(packed & 1);
        } else if packed & 1 == 1 {
            self.flags(&mut flagged)?;
        }
        let (digest, rest) = self.bytes.split_first_chunk().ok_or(Damaged)?;
        self.bytes = rest;
        Ok(Fix {
            at,
            digest: u32::from_le_bytes(*digest),
            latitude: Latitude::from_micro_degrees(latitude).ok_or(Damaged)?,
            longitude: Longitude::from_micro_degrees(longitude).ok_or(Damaged)?,
            speed_dkmh,
            heading_deg,
            satellites: Some(packed >> 1).filter(|count| *count != NO_SATELLITES),
            is_acc_on: flagged.status_flags & 1 == 1,
            log_offset,
            is_placed: flagged.is_placed,
            alarm_flags: flagged.alarm_flags,
            status_flags: flagged.status_flags,
            inputs: flagged.inputs,
            point: Point::default(),
        })
    }

    pub(crate) fn fixes(&mut self) -> Read<Vec<Fix>> {
        let count: usize = self.small()?;
        let mut fixes = Vec::new();
        let mut before = Fix::default();
        for _ in 0..count {
            before = self.fix(&before)?;
            fixes.push(before);
        }
        Ok(fixes)
    }

    fn json<T: serde::de::DeserializeOwned>(&mut self) -> Read<T> {
        serde_json::from_slice(self.bytes()?).map_err(|_| Damaged)
    }

    fn clock(&mut self) -> Read<Option<Clock>> {
        self.optional(|r| {
            Ok(Clock {
                onset: r.signed()?,
                observed: r.signed()?,
            })
        })
    }

    fn draft(&mut self) -> Read<Option<Box<Draft>>> {
        self.optional(|r| {
            Ok(Box::new(Draft {
                violation: r.json()?,
                fingerprint: r.number()?,
                worst_at: r.optional(Self::small)?,
                is_published: r.flag()?,
            }))
        })
    }

    fn side(&mut self) -> Read<Side> {
        let pending = |r: &mut Self| {
            Ok(Pending {
                first: r.signed()?,
                crossed: r.signed()?,
                fixes: r.byte()?,
            })
        };
        Ok(match self.byte()? {
            0 => Side::Unknown,
            1 => Side::Out,
            2 => Side::PendingIn(pending(self)?),
            3 => Side::In,
            4 => Side::PendingOut(pending(self)?),
            _ => return Err(Damaged),
        })
    }

    fn speeding(&mut self) -> Read<Speeding> {
        Ok(Speeding {
            target: self.optional(Self::number)?,
            clock: self.clock()?,
            kept_since: self.optional(Self::signed)?,
            onset_fixes: self.json()?,
            draft: self.draft()?,
        })
    }

    pub(crate) fn state(&mut self) -> Read<State> {
        let origin = Fix::default();
        let mut fix = || self.optional(|r| r.fix(&origin));
        let (last, accepted, suspects) = (fix()?, fix()?, [fix()?, fix()?]);
        let speeds = [self.small()?, self.small()?, self.small()?];
        let intervals = [self.signed()?, self.signed()?, self.signed()?];
        let since = self.optional(Self::signed)?;
        let (is_stopped, moving) = (self.flag()?, self.byte()?);
        let stop = Stop {
            since,
            is_stopped,
            moving,
            latitude_sum: self.signed()?,
            longitude_sum: self.signed()?,
            count: self.signed()?,
        };
        let count: usize = self.small()?;
        let mut watches = Vec::new();
        for _ in 0..count {
            watches.push(Watch {
                fence: u32::MAX,
                fingerprint: self.number()?,
                side: self.side()?,
                is_armed: self.flag()?,
                clock: self.clock()?,
                onset_fixes: self.json()?,
                draft: self.draft()?,
            });
        }
        let speeding = self.speeding()?;
        let input = Input {
            accepted,
            suspects,
            speeds,
            intervals,
            stop,
            dropped: 0,
        };
        let routes = if self.version < WITH_ROUTES {
            Vec::new()
        } else {
            self.routes()?
        };
        let motion = if self.version < WITH_MOTION {
            Motion::default()
        } else {
            self.motion()?
        };
        let duty = if self.version < WITH_DUTY {
            DutyWatch::default()
        } else {
            self.duty()?
        };
        let era = if self.has_eras() {
            self.optional(Self::signed)?
        } else {
            None
        };
        Ok(State {
            input,
            last,
            watches,
            speeding,
            routes,
            motion,
            duty,
            era,
            is_bound: false,
        })
    }
}

/// A state as bytes: a checkpoint.
pub(crate) fn checkpoint(state: &State) -> Box<[u8]> {
    let mut writer = Writer::default();
    writer.state(state);
    writer.0.into_boxed_slice()
}
