//! The state of duty as bytes.

use super::{Read, Reader, Writer};
use crate::checks::{
    attendance::Attendance,
    duty::{DutyWatch, Run},
    off_post::OffPost,
    outside_hours::OutsideHours,
    patrol::Patrol,
    silence::Silence,
};

impl Writer {
    pub(super) fn duty(&mut self, watch: &DutyWatch) {
        let is_default = *watch
            == DutyWatch {
                next: watch.next,
                ..DutyWatch::default()
            };
        self.byte(u8::from(!is_default));
        if is_default {
            return;
        }
        self.optional_signed(watch.began);
        self.optional_signed(watch.awaited_since);
        self.optional_signed(watch.first_shift);
        self.optional(watch.roster, Self::number);
        self.hours(&watch.hours);
        self.number(watch.runs.len() as u64);
        for run in &watch.runs {
            self.number(run.fingerprint);
            self.signed(run.from);
            self.signed(run.to - run.from);
            self.byte(u8::from(run.is_over));
            self.side(run.side);
            self.off_post(&run.off_post);
            self.attendance(&run.attendance);
            self.patrol(&run.patrol, run.from);
            self.optional_signed(run.silence.heard_at);
            self.draft(run.silence.draft.as_deref());
        }
    }

    fn hours(&mut self, hours: &OutsideHours) {
        self.optional_signed(hours.onset);
        self.signed(hours.moved_mm);
        self.signed(hours.motion_ms);
        self.optional_signed(hours.stopped_since);
        self.signed(hours.stopped_ms);
        self.evidence(&hours.onset_fixes);
        self.draft(hours.draft.as_deref());
    }

    fn off_post(&mut self, off_post: &OffPost) {
        self.clock(off_post.clock);
        self.optional_signed(off_post.back_since);
        self.signed(off_post.back_ms);
        self.signed(off_post.break_ms);
        self.evidence(&off_post.onset_fixes);
        self.draft(off_post.draft.as_deref());
    }

    fn attendance(&mut self, attendance: &Attendance) {
        self.byte(u8::from(attendance.is_there));
        self.signed(attendance.awaited_ms);
        self.clock(attendance.gone);
        self.signed(attendance.outside_at);
        self.evidence(&attendance.onset_fixes);
        self.draft(attendance.late.as_deref());
    }

    fn patrol(&mut self, patrol: &Patrol, from: i64) {
        self.number(patrol.stays.len() as u64);
        patrol.stays.iter().for_each(|stay| self.signed(*stay));
        self.optional(patrol.grid, |w, grid| w.number(u64::from(grid)));
        self.signed(patrol.seen_until - from);
        self.signed(patrol.unseen_ms);
    }
}

impl Reader<'_> {
    pub(super) fn duty(&mut self) -> Read<DutyWatch> {
        if !self.flag()? {
            return Ok(DutyWatch::default());
        }
        let began = self.optional(Self::signed)?;
        let (awaited_since, first_shift) = (self.later_moment()?, self.later_moment()?);
        let roster = self.optional(Self::number)?;
        let hours = self.hours()?;
        let count: usize = self.small()?;
        let mut runs = Vec::new();
        for _ in 0..count {
            runs.push(self.duty_run()?);
        }
        Ok(DutyWatch {
            began,
            awaited_since,
            first_shift,
            runs,
            hours,
            roster,
            next: None,
        })
    }

    fn duty_run(&mut self) -> Read<Run> {
        let (fingerprint, from) = (self.number()?, self.signed()?);
        let mut moment = || Ok(from.wrapping_add(self.signed()?));
        let to = moment()?;
        Ok(Run {
            assignment: u32::MAX,
            fingerprint,
            from,
            to,
            is_over: self.flag()?,
            side: self.side()?,
            off_post: self.off_post()?,
            attendance: self.attendance()?,
            patrol: self.patrol(from)?,
            silence: Silence {
                heard_at: self.optional(Self::signed)?,
                draft: self.draft()?,
            },
        })
    }

    fn hours(&mut self) -> Read<OutsideHours> {
        Ok(OutsideHours {
            onset: self.optional(Self::signed)?,
            moved_mm: self.signed()?,
            motion_ms: self.signed()?,
            stopped_since: self.optional(Self::signed)?,
            stopped_ms: self.signed()?,
            onset_fixes: self.json()?,
            draft: self.draft()?,
        })
    }

    fn off_post(&mut self) -> Read<OffPost> {
        Ok(OffPost {
            clock: self.clock()?,
            back_since: self.optional(Self::signed)?,
            back_ms: self.signed()?,
            break_ms: self.signed()?,
            onset_fixes: self.json()?,
            draft: self.draft()?,
        })
    }

    fn attendance(&mut self) -> Read<Attendance> {
        Ok(Attendance {
            is_there: self.flag()?,
            awaited_ms: self.signed()?,
            gone: self.clock()?,
            outside_at: self.signed()?,
            onset_fixes: self.json()?,
            late: self.draft()?,
        })
    }

    fn patrol(&mut self, from: i64) -> Read<Patrol> {
        let count: usize = self.small()?;
        let mut stays = Vec::new();
        for _ in 0..count {
            stays.push(self.signed()?);
        }
        Ok(Patrol {
            stays,
            grid: self.optional(Self::small)?,
            seen_until: from.wrapping_add(self.signed()?),
            unseen_ms: self.signed()?,
        })
    }
}
