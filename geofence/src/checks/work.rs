//! Whether a vehicle works, by the bits that its terminal sends and the signal rule that says what
//! they mean.
//!
//! | machines of the rule | work |
//! |---|---|
//! | one of them runs | on |
//! | none runs, and the bit of each is there | off |
//! | none runs, and a bit was not sent; or the rule names no such machine | unknown |
//!
//! Cleaning asks brush, pump and power take-off, unloading lift and bucket, collecting the lift of
//! bins. Terminals do not send
//! every bit with every report: what was known last counts for another minute. What follows from
//! unknown behind it is for each check to say.

use super::WorkParameters;
use crate::{
    catalog::{Machine, SignalSource, WorkSignal},
    track::fix::Fix,
};

/// What was known last of a kind of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastKnown(pub(crate) Option<(bool, i64)>);

impl LastKnown {
    /// Takes what one more fix says; gives what counts.
    pub(crate) fn follow(&mut self, work: Work, at: i64) -> Work {
        match work {
            Work::On => self.0 = Some((true, at)),
            Work::Off => self.0 = Some((false, at)),
            Work::Unknown => {
                let is_fresh = |known: &(bool, i64)| at - known.1 <= WorkParameters::SIGNAL_HOLD_MS;
                self.0 = self.0.filter(is_fresh);
            }
        }
        match self.0 {
            Some((true, _)) => Work::On,
            Some((false, _)) => Work::Off,
            None => Work::Unknown,
        }
    }
}

/// What is known of a kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    On,
    Off,
    Unknown,
}

impl Work {
    /// Of the machines that `is_asked` chooses.
    pub(crate) fn of(
        signals: &[WorkSignal],
        fix: &Fix,
        is_asked: impl Fn(Machine) -> bool,
    ) -> Self {
        let mut work = Self::Unknown;
        let mut is_certain = true;
        for signal in signals.iter().filter(|signal| is_asked(signal.machine)) {
            match runs(signal, fix) {
                Some(true) => return Self::On,
                Some(false) => work = Self::Off,
                None => is_certain = false,
            }
        }
        if is_certain { work } else { Self::Unknown }
    }
}

/// How much a vehicle carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    Empty,
    Half,
    Full,
}

impl Load {
    /// By the signal that tells it; `None` without one, or where it says nothing.
    pub(crate) fn of(signals: &[WorkSignal], fix: &Fix) -> Option<Self> {
        let mut signals = signals.iter();
        let signal = signals.find(|signal| signal.machine == Machine::Load)?;
        match bits(signal, fix)? >> (signal.bit & 31) & 3 {
            0 => Some(Self::Empty),
            1 => Some(Self::Half),
            3 => Some(Self::Full),
            _ => None,
        }
    }
}

fn bits(signal: &WorkSignal, fix: &Fix) -> Option<u32> {
    match signal.source {
        SignalSource::Status => Some(fix.status_flags),
        SignalSource::VehicleSignals => fix.inputs.vehicle_signals,
        SignalSource::Io => fix.inputs.io.map(u32::from),
        SignalSource::Vendor => fix.inputs.vendor,
    }
}

/// Whether the machine of a signal runs; `None` where its bit was not sent.
fn runs(signal: &WorkSignal, fix: &Fix) -> Option<bool> {
    let bits = bits(signal, fix);
    bits.map(|bits| (bits >> (signal.bit & 31) & 1 == 1) != signal.is_inverted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRUSH: WorkSignal = WorkSignal {
        machine: Machine::Brush,
        source: SignalSource::VehicleSignals,
        bit: 15,
        is_inverted: false,
    };
    const PUMP: WorkSignal = WorkSignal {
        machine: Machine::Pump,
        source: SignalSource::Io,
        bit: 2,
        is_inverted: true,
    };

    fn work(signals: &[WorkSignal], vehicle_signals: Option<u32>, io: Option<u16>) -> Work {
        let mut fix = Fix::default();
        fix.inputs.vehicle_signals = vehicle_signals;
        fix.inputs.io = io;
        Work::of(signals, &fix, Machine::is_cleaning)
    }

    #[test]
    fn one_machine_that_runs_is_work_whatever_the_others_say() {
        assert_eq!(work(&[BRUSH, PUMP], Some(1 << 15), None), Work::On);
        assert_eq!(work(&[BRUSH, PUMP], None, Some(0)), Work::On, "inverted");
    }

    #[test]
    fn no_work_is_certain_only_when_every_bit_is_there() {
        assert_eq!(work(&[BRUSH, PUMP], Some(0), Some(1 << 2)), Work::Off);
        assert_eq!(work(&[BRUSH, PUMP], Some(0), None), Work::Unknown);
        assert_eq!(work(&[], Some(0), Some(0)), Work::Unknown);
    }

    #[test]
    fn what_was_known_last_counts_for_a_minute() {
        let mut last = LastKnown::default();
        assert_eq!(last.follow(Work::Unknown, 0), Work::Unknown);
        assert_eq!(last.follow(Work::On, 1_000), Work::On);
        assert_eq!(last.follow(Work::Unknown, 61_000), Work::On);
        assert_eq!(last.follow(Work::Unknown, 61_001), Work::Unknown);
        assert_eq!(last.follow(Work::Unknown, 61_002), Work::Unknown);
    }

    #[test]
    fn unloading_asks_other_machines() {
        let fix = Fix::default();
        assert_eq!(
            Work::of(&[BRUSH], &fix, Machine::is_unloading),
            Work::Unknown
        );
    }

    #[test]
    fn the_load_is_in_two_bits_of_the_status() {
        let signal = WorkSignal {
            machine: Machine::Load,
            source: SignalSource::Status,
            bit: 8,
            is_inverted: false,
        };
        let load = |status_flags| {
            let fix = Fix {
                status_flags,
                ..Fix::default()
            };
            Load::of(&[BRUSH, signal], &fix)
        };
        assert_eq!(load(0x003), Some(Load::Empty));
        assert_eq!(load(0x103), Some(Load::Half));
        assert_eq!(load(0x203), None, "reserved");
        assert_eq!(load(0x303), Some(Load::Full));
        assert_eq!(Load::of(&[BRUSH], &Fix::default()), None);
    }
}
