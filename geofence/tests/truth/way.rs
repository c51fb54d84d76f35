//! The true way of a vehicle, second by second, and what a rule finds in it that knows everything.

/// What is true of one second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Second {
    /// Metres east and north of the middle of the town.
    pub(crate) at: (f64, f64),
    pub(crate) mps: f64,
    /// East and north, of length 1; nothing while it stands.
    pub(crate) direction: Option<(f64, f64)>,
    pub(crate) is_acc_on: bool,
    /// Its brush turns.
    pub(crate) is_working: bool,
    /// Its terminal is switched off.
    pub(crate) is_dark: bool,
}

/// A way from its beginning on.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) seconds: Vec<Second>,
    pub(crate) at: (f64, f64),
    pub(crate) is_working: bool,
}

impl Way {
    pub(crate) const fn begins(at: (f64, f64)) -> Self {
        Self {
            seconds: Vec::new(),
            at,
            is_working: false,
        }
    }

    /// Second of the way.
    pub(crate) fn now(&self) -> i64 {
        self.seconds.len() as i64
    }

    /// In a straight line.
    pub(crate) fn go(&mut self, to: (f64, f64), mps: f64) {
        let from = self.at;
        let (east, north) = (to.0 - from.0, to.1 - from.1);
        let meters = east.hypot(north);
        let steps = (meters / mps).round().max(1.0);
        for step in 1..=steps as i64 {
            let share = step as f64 / steps;
            self.second(Second {
                at: (from.0 + east * share, from.1 + north * share),
                mps: meters / steps,
                direction: (meters > 0.0).then(|| (east / meters, north / meters)),
                is_acc_on: true,
                is_working: self.is_working,
                is_dark: false,
            });
        }
    }

    /// With the ignition on.
    pub(crate) fn stand(&mut self, seconds: i64) {
        self.stay(seconds, true, false);
    }

    /// With the ignition off.
    pub(crate) fn park(&mut self, seconds: i64) {
        self.stay(seconds, false, false);
    }

    /// Nothing is reported.
    pub(crate) fn be_dark(&mut self, seconds: i64) {
        self.stay(seconds, true, true);
    }

    fn stay(&mut self, seconds: i64, is_acc_on: bool, is_dark: bool) {
        for _ in 0..seconds {
            self.second(Second {
                at: self.at,
                mps: 0.0,
                direction: None,
                is_acc_on,
                is_working: self.is_working,
                is_dark,
            });
        }
    }

    fn second(&mut self, second: Second) {
        self.at = second.at;
        self.seconds.push(second);
    }

    /// The spans of seconds in which something is true; breaks of less than `merge` are none.
    pub(crate) fn spans(&self, merge: i64, is: impl Fn(&Second) -> bool) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for (second, _) in (0..).zip(&self.seconds).filter(|(_, second)| is(second)) {
            match spans.last_mut() {
                Some(last) if second - last.to <= merge.max(1) => last.to = second,
                _ => spans.push(Span {
                    from: second,
                    to: second,
                }),
            }
        }
        spans
    }

    /// Metres that were driven within a span.
    pub(crate) fn meters(&self, span: Span) -> f64 {
        let range = span.from as usize..=span.to as usize;
        self.seconds[range].iter().map(|second| second.mps).sum()
    }
}

/// From a second to a second of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Span {
    pub(crate) const fn seconds(self) -> i64 {
        self.to - self.from
    }
}

/// A line of straight pieces.
#[derive(Clone, Debug)]
pub(crate) struct Line(pub(crate) Vec<(f64, f64)>);

impl Line {
    pub(crate) fn length(&self) -> f64 {
        self.pieces().map(|(a, b)| distance(a, b)).sum()
    }

    fn pieces(&self) -> impl Iterator<Item = ((f64, f64), (f64, f64))> {
        self.0.iter().copied().zip(self.0.iter().copied().skip(1))
    }

    /// The place so far along, and so far to the right of it.
    pub(crate) fn place(&self, along: f64, right: f64) -> (f64, f64) {
        let mut left = along;
        let mut place = (0.0, 0.0);
        for (a, b) in self.pieces() {
            let length = distance(a, b);
            let (east, north) = ((b.0 - a.0) / length, (b.1 - a.1) / length);
            place = (
                a.0 + east * left + north * right,
                a.1 + north * left - east * right,
            );
            if left <= length {
                break;
            }
            left -= length;
        }
        place
    }

    /// How far along the nearest place of the line is, and how far away.
    pub(crate) fn nearest(&self, at: (f64, f64)) -> (f64, f64) {
        let mut before = 0.0;
        let mut best = (0.0, f64::INFINITY);
        for (a, b) in self.pieces() {
            let length = distance(a, b);
            let (east, north) = ((b.0 - a.0) / length, (b.1 - a.1) / length);
            let along = ((at.0 - a.0) * east + (at.1 - a.1) * north).clamp(0.0, length);
            let away = distance(at, (a.0 + east * along, a.1 + north * along));
            if away < best.1 {
                best = (before + along, away);
            }
            before += length;
        }
        best
    }
}

pub(crate) fn distance(a: (f64, f64), b: (f64, f64)) -> f64 {
    (b.0 - a.0).hypot(b.1 - a.1)
}
