//! The figures as a document.

use std::{fmt::Write as _, fs, path::PathBuf};

use crate::{
    Check, PERIODS_S, SIGMAS_M,
    receiver::Receiver,
    score::{Score, quantile},
};

const INTRODUCTION: &str = "\
# Checks against the truth

How right the checks are, measured in a simulation that knows what truly happened. Vehicles and
inspectors break each rule, nearly break it, or do nothing of the kind; terminals of three qualities
report it at three rates. The ways are the same for all of them. This file is written by the test
`geofence/tests/truth` with `UPDATE_DOCUMENTS=1`, and compared with what it measures otherwise.

* **True** is what the text of the rule says about the true way: no tolerance, no hysteresis. Those that
  break a rule exceed its time by 15 to 150 %, or its speed by 15 to 80 %. Those that nearly do reach 35
  to 85 % of its time, or 80 to 90 % of its speed or corridor. The others drive, or stand for up to
  40 minutes: beside boundaries, in queues, in the depot.
* **Terminals** have an error that wanders (AR(1) by the second, rho 0.97) with the deviation σ of the
  column, and tell satellites to match; 0.3 m of white noise; 0.3 m/s of error in speed; a jump of 30 to
  150 m in one fix of 1,000; multipath of 20 to 60 m for 3 to 8 s once an hour; tunnels of 20 to 60 s;
  dead zones of 2 to 10 min that are sent behind it newest first; one report of 200 sent twice; a clock
  that is up to 2 s off.
* A violation that is told counts for one true one of the same rule, if it overlaps with it, 15 s before
  and 60 s behind. Precision is the share of told ones that are true, recall that of true ones that were
  told.
* Each cell: **precision / recall · latency**, its median and 95th percentile: from the moment at which
  the rule was broken to the one at which the check was sure. Below zero the fixes let it look broken
  earlier.

Asked for, with a fix a second and σ of 6 m at most: precision 0.98, recall 0.97, latency 15 s, at most 3
false crossings in a parked hour. All of it is met, and the test insists on it. Coverage within 2 points
is met by the median day, not by every day; see there.
";

const COVERAGE: &str = "
## Coverage

What was swept of the route against what was found, percentage points: median, and 95th percentile of
the days. What nobody saw counts neither way. Routes are 3.5 km long; one stretch in each half is left
out, driven by another street or too fast.

";

const PARKED: &str = "
## Parked

Crossings that were told of vehicles that stand within 30 m of a boundary, ignition on, in an hour. All
of them are false. The fences are set to tell every crossing, without a time.

";

const BEHIND: &str = "
## Where it falls short

* **Every 10 s, `speeding` and `too_fast_to_clean`.** The median of three speeds needs two fast fixes, so
  that what lasts less than 20 s can pass unseen.
* **Every 30 s** rules of 10 and 20 s cannot be judged: `keep_out`, `speeding`, `too_fast_to_clean` and the
  stay of `missed_point` mostly find nothing, or what is not there. Rules of minutes do not suffer.
* **`missed_point` and `coverage` at 10 m.** Twice the deviation is nearly the radius of a point, and more
  than the reach of a sweeper.
* **Coverage is found too low rather than too high**: a fix farther from the line than 12 m and one
  deviation sweeps nothing, and with a fix every 10 s it takes 20 s with it. Sweepers here keep up to 6 m
  beside the line. A route that is drawn where the sweeper drives, or a larger `sweep_reach_m`, loses
  less.
* What nobody saw is nobody's fault: a point that may have been visited in a tunnel is not told to be
  missed, and speeding in a tunnel is not told at all.
* Multipath of more than 50 m for six seconds looks like another stop, and ends a `long_stop` too early.
";

fn cell(score: &Score) -> String {
    let figures = format!("{:.3} / {:.3}", score.precision(), score.recall());
    if score.latencies.is_empty() {
        return figures;
    }
    // No minus before a zero.
    let whole = |share| score.latency(share).round() + 0.0;
    format!("{figures} · {:.0}, {:.0} s", whole(0.5), whole(0.95))
}

fn row(document: &mut String, first: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    writeln!(document, "| {first} | {} |", cells.join(" | ")).unwrap();
}

fn head(document: &mut String, first: &str) {
    let sigmas = SIGMAS_M.iter().map(|sigma| format!("σ {sigma} m"));
    row(document, first, sigmas);
    let columns = first.split('|').count() - 1 + SIGMAS_M.len();
    row(document, "---", (0..columns).map(|_| "---".to_owned()));
}

pub(crate) fn write(checks: &[Check], crossings: &[(Receiver, f64)]) -> String {
    let mut document = INTRODUCTION.to_owned();
    for every_s in PERIODS_S {
        writeln!(document, "\n## A fix every {every_s} s\n").unwrap();
        head(&mut document, "check | true");
        for check in checks {
            let truth = check.at(every_s).map(|seen| seen.score.truth).max();
            let first = format!("`{}` | {}", check.kind.as_str(), truth.unwrap_or(0));
            let cells = check.at(every_s).map(|seen| cell(&seen.score));
            row(&mut document, &first, cells);
        }
    }
    document.push_str(COVERAGE);
    head(&mut document, "a fix every");
    for every_s in PERIODS_S {
        let of_routes = checks.iter().flat_map(|check| check.at(every_s));
        let cells = of_routes
            .map(|seen| &seen.score.coverage_errors)
            .filter(|errors| !errors.is_empty())
            .map(|errors| {
                let (p50, p95) = (quantile(errors, 0.5), quantile(errors, 0.95));
                format!("{p50:.1}, {p95:.1}")
            });
        row(&mut document, &format!("{every_s} s"), cells);
    }
    document.push_str(PARKED);
    head(&mut document, "a fix every");
    for every_s in PERIODS_S {
        let cells = crossings
            .iter()
            .filter(|(receiver, _)| receiver.every_s == every_s)
            .map(|(_, rate)| format!("{rate:.2}"));
        row(&mut document, &format!("{every_s} s"), cells);
    }
    document.push_str(BEHIND);
    document
}

pub(crate) fn compare(document: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../gateway/docs/truth.md");
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(&path, document).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == document,
        "{} is not what was measured: run this test with UPDATE_DOCUMENTS=1",
        path.display()
    );
}
