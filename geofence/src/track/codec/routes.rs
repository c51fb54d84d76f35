//! The state of routes as bytes. Pieces of a route that are alike and neighbours are written once.

use super::{Damaged, Read, Reader, Writer};
use crate::{
    checks::{
        collection::{PointWatch, Points},
        coverage::{Bin, Coverage, Pass, Quality, Trace},
        deviation::{Along, Deviation, Stage},
        route::{RouteWatch, Run},
        work::Work,
    },
    geometry::RouteCursor,
    violation::EvidenceFix,
};

/// More pieces than a route of 200 km with two kerbs has: such a count is damage.
const BINS_MAX: usize = 100_000;

impl Writer {
    pub(super) fn routes(&mut self, routes: &[RouteWatch]) {
        self.number(routes.len() as u64);
        for watch in routes {
            self.number(watch.fingerprint);
            self.signed(watch.began);
            self.optional(watch.run.as_deref(), Self::run);
        }
    }

    fn run(&mut self, run: &Run) {
        self.signed(run.from);
        self.signed(run.to);
        self.signed(run.retire);
        self.byte(u8::from(run.is_over));
        self.optional_signed(run.cursor.along_mm);
        self.byte(u8::from(run.cursor.is_on));
        self.optional(run.cursor.guess, |w, (along_mm, count)| {
            w.signed(along_mm);
            w.byte(count);
        });
        self.signed(run.stood_at);
        self.deviation(&run.deviation);
        self.number(run.points.watches.len() as u64);
        run.points.watches.iter().for_each(|w| self.point(w));
        self.number(u64::from(run.points.fastest_dkmh));
        self.coverage(&run.coverage);
    }

    fn along(&mut self, along: Option<Along>) {
        self.optional(along, |w, (at, along_mm)| {
            w.signed(at);
            w.signed(along_mm);
        });
    }

    fn deviation(&mut self, deviation: &Deviation) {
        self.byte(match deviation.stage {
            Stage::Waiting => 0,
            Stage::On => 1,
            Stage::Off => 2,
        });
        self.along(deviation.on_since);
        self.along(deviation.last_on);
        self.clock(deviation.clock);
        self.signed(deviation.travelled_mm);
        self.optional_signed(deviation.back_since);
        self.evidence(&deviation.onset_fixes);
        self.evidence(deviation.farthest.as_slice());
        self.draft(deviation.draft.as_deref());
    }

    fn point(&mut self, point: &PointWatch) {
        self.signed(point.stay_ms);
        self.optional_signed(point.visited_at);
        self.optional_signed(point.nearest_mm);
        self.optional_signed(point.unseen_mmps);
        self.byte(u8::from(point.is_decided));
        self.draft(point.order.as_deref());
        self.draft(point.missed.as_deref());
    }

    fn coverage(&mut self, coverage: &Coverage) {
        self.number(coverage.bins.len() as u64);
        for alike in coverage.bins.chunk_by(|a, b| a == b) {
            let Some(bin) = alike.first() else { continue };
            self.number(alike.len() as u64);
            self.byte(bin.passes);
            self.byte(bin.flags);
        }
        self.optional(coverage.trace, |w, trace| {
            w.signed(trace.at);
            w.signed(trace.along_mm);
            w.signed(trace.offset_mm);
            w.number(u64::from(trace.speed_dkmh));
            w.byte(match trace.work {
                Work::Unknown => 0,
                Work::On => 1,
                Work::Off => 2,
            });
        });
        self.optional(coverage.pass, |w, pass| {
            w.signed(i64::from(pass.direction));
            w.signed(pass.extreme_mm);
            w.byte(match pass.quality {
                Quality::Work => 0,
                Quality::TooFast => 1,
                Quality::Nothing => 2,
                Quality::Unknown => 3,
                Quality::Idle => 4,
            });
        });
        self.signed(coverage.seen_at);
        self.byte(u8::from(coverage.is_parked) | u8::from(coverage.is_decided) << 1);
        self.signed(coverage.unseen_ms);
    }
}

impl Reader<'_> {
    pub(super) fn routes(&mut self) -> Read<Vec<RouteWatch>> {
        let count: usize = self.small()?;
        let mut routes = Vec::new();
        for _ in 0..count {
            routes.push(RouteWatch {
                route: u32::MAX,
                fingerprint: self.number()?,
                began: self.signed()?,
                run: self.optional(Self::run)?.map(Box::new),
                next: i64::MIN,
            });
        }
        Ok(routes)
    }

    fn run(&mut self) -> Read<Run> {
        let (from, to, retire) = (self.signed()?, self.signed()?, self.signed()?);
        let is_over = self.flag()?;
        let mut cursor = RouteCursor::default();
        cursor.along_mm = self.optional(Self::signed)?;
        cursor.is_on = self.flag()?;
        cursor.guess = self.optional(|r| Ok((r.signed()?, r.byte()?)))?;
        let stood_at = self.signed()?;
        let deviation = self.deviation()?;
        let count: usize = self.small()?;
        let mut watches = Vec::new();
        for _ in 0..count {
            watches.push(self.point()?);
        }
        let fastest_dkmh = if self.version < super::WITH_REACH {
            0
        } else {
            self.small()?
        };
        Ok(Run {
            from,
            to,
            retire,
            is_over,
            cursor,
            stood_at,
            deviation,
            points: Points {
                watches,
                fastest_dkmh,
            },
            coverage: self.coverage()?,
        })
    }

    fn along(&mut self) -> Read<Option<Along>> {
        self.optional(|r| Ok((r.signed()?, r.signed()?)))
    }

    fn deviation(&mut self) -> Read<Deviation> {
        let stage = match self.byte()? {
            0 => Stage::Waiting,
            1 => Stage::On,
            2 => Stage::Off,
            _ => return Err(Damaged),
        };
        Ok(Deviation {
            stage,
            on_since: self.along()?,
            last_on: self.along()?,
            clock: self.clock()?,
            travelled_mm: self.signed()?,
            back_since: self.optional(Self::signed)?,
            onset_fixes: self.json()?,
            farthest: self.json::<Vec<EvidenceFix>>()?.pop(),
            draft: self.draft()?,
        })
    }

    fn point(&mut self) -> Read<PointWatch> {
        let (stay_ms, visited_at) = (self.signed()?, self.optional(Self::signed)?);
        let nearest_mm = self.optional(Self::signed)?;
        let (unseen_mmps, is_decided) = if self.version < super::WITH_REACH {
            let flags = self.byte()?;
            // At whatever speed.
            ((flags & 1 == 1).then_some(0), flags & 2 == 2)
        } else {
            (self.optional(Self::signed)?, self.flag()?)
        };
        Ok(PointWatch {
            stay_ms,
            visited_at,
            nearest_mm,
            unseen_mmps,
            is_decided,
            order: self.draft()?,
            missed: self.draft()?,
        })
    }

    /// Before they were written nobody asked for them.
    fn work(&mut self) -> Read<Work> {
        if self.version < super::WITH_LATER {
            return Ok(Work::Unknown);
        }
        match self.byte()? {
            0 => Ok(Work::Unknown),
            1 => Ok(Work::On),
            2 => Ok(Work::Off),
            _ => Err(Damaged),
        }
    }

    fn coverage(&mut self) -> Read<Coverage> {
        let count: usize = self.small()?;
        if count > BINS_MAX {
            return Err(Damaged);
        }
        let mut bins = Vec::new();
        while bins.len() < count {
            let alike: usize = self.small()?;
            let bin = Bin {
                passes: self.byte()?,
                flags: self.byte()?,
            };
            if alike == 0 || alike > count - bins.len() {
                return Err(Damaged);
            }
            bins.extend(std::iter::repeat_n(bin, alike));
        }
        let trace = self.optional(|r| {
            Ok(Trace {
                at: r.signed()?,
                along_mm: r.signed()?,
                offset_mm: r.signed()?,
                speed_dkmh: r.small()?,
                work: r.work()?,
            })
        })?;
        let pass = self.optional(|r| {
            Ok(Pass {
                direction: match r.signed()? {
                    1 => 1,
                    0 => 0,
                    -1 => -1,
                    _ => return Err(Damaged),
                },
                extreme_mm: r.signed()?,
                quality: match r.byte()? {
                    0 => Quality::Work,
                    1 => Quality::TooFast,
                    2 => Quality::Nothing,
                    3 => Quality::Unknown,
                    4 => Quality::Idle,
                    _ => return Err(Damaged),
                },
            })
        })?;
        let seen_at = self.signed()?;
        let flags = self.byte()?;
        Ok(Coverage {
            bins,
            trace,
            pass,
            seen_at,
            is_parked: flags & 1 == 1,
            unseen_ms: self.signed()?,
            is_decided: flags & 2 == 2,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_unseen_in_an_older_version_is_so_at_any_speed() {
        let read = |flags: u8| {
            let mut old = Writer::default();
            old.signed(7_000);
            old.optional_signed(None);
            old.optional_signed(Some(12));
            old.byte(flags);
            old.draft(None);
            old.draft(None);
            Reader::of_version(&old.0, 4).point().unwrap()
        };
        let seen = PointWatch {
            stay_ms: 7_000,
            nearest_mm: Some(12),
            ..PointWatch::default()
        };
        let unseen = PointWatch {
            unseen_mmps: Some(0),
            is_decided: true,
            ..seen.clone()
        };
        assert_eq!(read(0), seen);
        assert_eq!(read(3), unseen);
        let fast = PointWatch {
            unseen_mmps: Some(13_750),
            ..unseen
        };
        let mut written = Writer::default();
        written.point(&fast);
        assert_eq!(Reader::new(&written.0).point().unwrap(), fast);
    }
}
