//! The figures as a document.

use std::{fmt::Write as _, fs, path::PathBuf};

use crate::{
    Check, Figures, PERIODS_S, SIGMAS_M,
    score::{Score, quantile},
};

const INTRODUCTION: &str = "\
# Checks against the truth

How right the checks are, measured in a simulation that knows what truly happened. Vehicles and
inspectors break each rule, nearly break it, or do nothing of the kind; terminals of three qualities
report it at three rates. The ways are the same for all that report as often. This file is written by the
test `geofence/tests/truth` with `UPDATE_DOCUMENTS=1`, and compared with what it measures otherwise.

* **True** is what the text of the rule says about the true way: no tolerance, no hysteresis. Those that
  break a rule exceed its time by 15 to 150 %, or its speed by 15 to 80 %. Those that nearly do reach 35
  to 85 % of its time, or 80 to 90 % of its speed or corridor. The others drive, or stand for up to
  40 minutes: beside boundaries, in queues, in the depot.
* **What can be seen at all.** Who reports every 10 or 30 s shows nothing of what happens in between. A
  rule that asks for some time is seen to be broken for sure when that lasts its time, in whole
  intervals, and one interval more: for the first report may come an interval late. So nothing that is
  shorter than two intervals is. Of a rule of 10 s it takes 20 s with a report every 10 s and 60 s with one
  every 30 s; of 20 s it takes 30 and 60 s; of 60 s, 70 and 90 s; of ten minutes, 10 and 30 s more than
  these. At these rates three of four violators of a rule of time break it for long enough, the fourth as
  it comes. The column **not for sure** is the share of the true ones that nobody could see for sure;
  recall is that of the others. What is told of them all the same is right, and counts for precision. They
  are **too short**, or so little of them is reported: where a tunnel takes reports, what counts is the
  time from the first report within them to the last, however long they are. Or they are **joined**: the
  end of the one before is not seen, so that both are told as one. That is so where speeding, or being off
  a route, is interrupted for so short that no report need show it (of a route: where the vehicle is not on
  it for 10 s that all can see); and where the reports in between do not say that the limit is kept for as
  long as it takes to end the one before (5 s, or 30 s of a band), be it for a tunnel or for the noise of a
  speed. Or they are **ambiguous**, for all that is reported they may be another thing. That is a stop at a
  point which, with an interval, may be one of 20 s; a point that, no faster than the vehicle drives
  anywhere on its way, it can have gone to, stopped at for 20 s, and come from between two reports that a
  tunnel parts; and who leaves a route so near to an end of it that, at the speed he drives at, he can have
  been there between two reports and come to where the second one shows him. With a fix a second nothing
  is left out: what a tunnel hides counts as missed.
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

Asked for, with σ of 6 m at most: precision 0.98, recall 0.97, coverage within 2 points; with a fix a second
latency 15 s, and at most 3 false crossings in a parked hour. The test insists on precision and recall of
every check at every rate, and on coverage by 95 of 100 days with a fix a second; with one every 10 and 30 s
by half of the days, and by 95 of 100 within 3 and 4.5 points.
";

const HIDDEN: &str = "
## What is not seen for sure

How many, and why, with σ of 6 m. Those that are told all the same lie within a violation that was told,
their own or that of the one before. Then those that should have been told and were not, and how many of
them have a tunnel within them or in the minute before.

| check | a fix every | true | too short | joined | ambiguous | told all the same | missed | of these, tunnels |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
";

const HELD_OUT: &str = "
## Seeds that nothing was chosen by

The rules, their parameters and what is taken to be seen for sure were made while looking at the figures
above. These are of other ways and other noise, with σ of 6 m; the test insists on the same of them.
Behind the figures of a cell are the number of true ones, and the share that is not seen for sure.
`TRUTH_SEEDS=123000000 cargo test -p gridtrace-geofence --test truth -- --nocapture` shows those of any
others.

| check | a fix every 1 s | every 10 s | every 30 s |
| --- | --- | --- | --- |
";

const COVERAGE: &str = "
## Coverage

What was swept of the route against what was found, percentage points: median, and 95th percentile of
the days. What nobody saw, or cannot tell for noise, counts neither way. Routes are 3.5 km long; one
stretch in each half is left out: driven by another street, too fast, or with the brush up. Behind it the
mean share of a route that is unobserved.

";

const PARKED: &str = "
## Parked

Crossings that were told of vehicles that stand within 30 m of a boundary, ignition on, in an hour. All
of them are false. The fences are set to tell every crossing, without a time.

";

const BEHIND: &str = "
## Where it falls short

* **Every 10 and 30 s** rules of 10 and 20 s see what lasts for two intervals and more; of what is shorter
  some is found, by the luck of the moment, and most is not. Three speeds have a median from the second
  fast fix on, so `speeding` and `too_fast_to_clean` are found an interval later than others. Rules of
  minutes do not suffer.
* **`route_deviation` every 30 s** is told, but not one by one: a fifth of the true ones and more are told
  as one with the one before, since no two reports show the vehicle on the route for 10 s in between. Some
  in a hundred begin so near to an end of the route that they may be the end of the work. What is missed
  beyond that are vehicles that left before two reports had shown them on the route (10 s and 50 m on it
  arm the check), and those whose first or last report on it was within the noise of its edge.
* **What is possible at all every 10 and 30 s**, whatever the check does: of a rule of 10 s nothing is seen
  for sure below 20 and 60 s, of 20 s below 30 and 60 s, of 60 s below 70 and 90 s. `speeding` (10 s) and
  `too_fast_to_clean` (20 s) can therefore tell a third and a quarter less every 30 s, `keep_out` (20 s) as
  well; `outside_hours` (3 min or 300 m) and `stay_in` (60 s) lose what lasts less than an interval longer
  than they ask for; `missed_point` cannot tell a stop of less than 20 s from one of 20 s every 30 s. Rules of
  ten minutes and more, `silence`, `late_start` and `coverage` have nothing that is too short. Whoever needs these rules to the
  second sets the terminals of such vehicles to report every 10 s or more often (0x8103, parameter 0x0029).
* **`coverage` every 30 s** is right to some 3 points of most days, and 5 of 100 of a route are unobserved:
  where between two reports work ended nobody knows. Where the brush is lifted between two reports, the way
  up to the second counts as swept, and where it is let down, as not: what is too much at the one end is
  too little at the other. A day that lacks little, and has a tunnel, is not told: of eight sets of 100 days
  the recall was 0.95 to 1, one day more or less of the 36 to 52 that are true.
* **`too_fast_to_clean` every 30 s** is told on two or three reports, whose speeds have an error of 1 km/h
  each, where the margin is 1 km/h: of eight sets of ways the precision was 0.974 to 0.994, and what is
  missed was driven at 10 to 11 km/h, where the margin ends at 9. A rule `work_speed` with a wider margin tells fewer
  that are not.
* **`missed_point`** is not told of what may have been visited unseen. What is possible unseen is bounded by
  the highest speed that the vehicle shows in the window, from 36 to 72 km/h in the mean and as the crow
  flies: who never drives faster than 36 km/h can have been at fewer points.
* **`missed_point` at 10 m.** Twice the deviation is nearly the radius of a point.
* **Coverage of who drives beside the line.** A fix farther from it than 12 m and one deviation sweeps
  nothing for sure, one nearer than 12 m and three deviations may have: in between nobody can tell, and
  the stretch is unobserved. So a street that is 20 m beside the route cannot be told from it, and whoever
  drives there is not told to have missed anything. A smaller `sweep_reach_m`, or a terminal with more
  satellites, tells more.
* What nobody saw is nobody's fault: a point that may have been visited in a tunnel is not told to be
  missed, and speeding in a tunnel is not told at all.
* Whoever stops anew within a minute, more than 50 m away, is waited for where no report told of motion:
  it may be an echo. With a report every 30 s that can be a short drive, and a stop that begins there is
  told up to a minute later.
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

pub(crate) fn write(known: &Figures, held_out: &Figures) -> String {
    format!(
        "{INTRODUCTION}{}{}{BEHIND}",
        tables(known),
        of_other_seeds(held_out)
    )
}

pub(crate) fn tables(Figures { checks, crossings }: &Figures) -> String {
    let mut document = String::new();
    for every_s in PERIODS_S {
        writeln!(document, "\n## A fix every {every_s} s\n").unwrap();
        head(&mut document, "check | true | not for sure");
        for check in checks {
            let truth = check.at(every_s).map(|seen| seen.score.truth).max();
            let hidden = check.at(every_s).map(|seen| seen.score.hidden_share());
            let hidden = 100.0 * hidden.fold(0.0, f64::max);
            let kind = check.kind.as_str();
            let first = format!("`{kind}` | {} | {hidden:.0} %", truth.unwrap_or(0));
            let cells = check.at(every_s).map(|seen| cell(&seen.score));
            row(&mut document, &first, cells);
        }
    }
    hidden(&mut document, checks);
    document.push_str(COVERAGE);
    head(&mut document, "a fix every");
    for every_s in PERIODS_S {
        let of_routes = checks.iter().flat_map(|check| check.at(every_s));
        let cells = of_routes.filter_map(|seen| coverage(&seen.score));
        row(&mut document, &format!("{every_s} s"), cells);
    }
    document.push_str(PARKED);
    head(&mut document, "a fix every");
    for every_s in PERIODS_S {
        let of_period = crossings
            .iter()
            .filter(|(receiver, _)| receiver.every_s == every_s);
        let cells = of_period.map(|(_, rate)| format!("{rate:.2}"));
        row(&mut document, &format!("{every_s} s"), cells);
    }
    document
}

/// Why some true ones are not seen for sure.
fn hidden(document: &mut String, checks: &[Check]) {
    document.push_str(HIDDEN);
    for every_s in PERIODS_S {
        for check in checks {
            let mut seen = check.at(every_s).map(|seen| &seen.score);
            let Some(score) = seen
                .nth(1)
                .filter(|score| score.hidden + score.missed() > 0)
            else {
                continue;
            };
            let short = score.hidden - score.joined - score.ambiguous;
            let counts = [
                score.truth,
                short,
                score.joined,
                score.ambiguous,
                score.hidden_told,
                score.missed(),
                score.lost,
            ];
            let first = format!("`{}` | {every_s} s", check.kind.as_str());
            row(document, &first, counts.iter().map(ToString::to_string));
        }
    }
}

/// With one deviation.
fn of_other_seeds(Figures { checks, crossings }: &Figures) -> String {
    let mut document = HELD_OUT.to_owned();
    for check in checks {
        let seen = PERIODS_S.into_iter().flat_map(|every_s| check.at(every_s));
        let cells = seen.map(|seen| {
            let score = &seen.score;
            let hidden = 100.0 * score.hidden_share();
            format!("{} · {} · {hidden:.0} %", cell(score), score.truth)
        });
        row(&mut document, &format!("`{}`", check.kind.as_str()), cells);
    }
    let seen = PERIODS_S
        .into_iter()
        .flat_map(|every_s| checks.iter().flat_map(move |check| check.at(every_s)));
    let points = seen.filter_map(|seen| coverage(&seen.score));
    row(&mut document, "coverage, points", points);
    let rates = crossings.iter().map(|(_, rate)| format!("{rate:.2}"));
    row(&mut document, "crossings, parked", rates);
    document
}

/// Median and 95th percentile of the errors, and what was not seen.
fn coverage(score: &Score) -> Option<String> {
    let errors = &score.coverage_errors;
    if errors.is_empty() {
        return None;
    }
    let (p50, p95) = (quantile(errors, 0.5), quantile(errors, 0.95));
    let unseen = score.coverage_unseen.iter().sum::<f64>() / errors.len() as f64;
    Some(format!("{p50:.1}, {p95:.1} · {unseen:.1} %"))
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
