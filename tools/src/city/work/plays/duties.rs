//! Plays of shifts: away from the post, silent, at work outside all hours, late.

use super::{EASY_MPS, Expected, Stage, Way};
use crate::simulate::truth::BrokenRule;

/// The pace of inspectors, m/s.
const WALK_MPS: f64 = 3.0;

pub(super) fn off_post(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let rule = stage.shift("off_post", (-60, 240), "off_post_s=90", &[]);
    let mut way = stage.begins();
    way.stand(10);
    stage.circuit.drive(&mut way, 0.0, 150.0, WALK_MPS);
    // The last 60 of 150 metres are beyond the margin.
    let start_s = way.at_s() - 20;
    way.stand(stage.either(120, 15));
    let end_s = way.at_s() + 20;
    way.go(stage.circuit.place(0.0, 0.0), WALK_MPS);
    let told = stage.told(
        BrokenRule::OffPost,
        rule,
        (start_s, start_s + 90),
        Some(end_s),
    );
    (way, told)
}

pub(super) fn silence(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let rule = stage.shift("silence", (-60, 240), "silence_s=90", &[]);
    let mut way = stage.begins();
    way.stand(20);
    let start_s = way.at_s();
    way.now.is_dark = true;
    way.stand(stage.either(150, 50));
    way.now.is_dark = false;
    let end_s = way.at_s();
    way.stand(20);
    let told = stage.told(
        BrokenRule::Silence,
        rule,
        (start_s, start_s + 90),
        Some(end_s),
    );
    (way, told)
}

/// Moves 600 m when the shift is over; nearly: 200 m.
pub(super) fn outside_hours(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    stage.shift("outside_hours", (-60, 1), "", &[]);
    let rule = format!("hours:{}", stage.vehicle);
    let mut way = stage.begins();
    way.stand_until(stage.curtain_s() + 75);
    let start_s = way.at_s();
    let meters = if stage.violates { 600.0 } else { 200.0 };
    stage.circuit.drive(&mut way, 0.0, meters, EASY_MPS);
    let told = stage.told(
        BrokenRule::OutsideHours,
        rule,
        (start_s, start_s + 38),
        None,
    );
    (way, told)
}

pub(super) fn late_start(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let rule = stage.shift("late_start", (0, 240), "late_start_s=120", &[]);
    let mut way = Way::begins(stage.circuit.place(150.0, 0.0));
    let curtain_s = stage.curtain_s();
    way.stand_until(curtain_s + stage.either(190, 60));
    way.go(stage.circuit.place(0.0, 0.0), WALK_MPS);
    let told = stage.told(
        BrokenRule::LateStart,
        rule,
        (curtain_s, curtain_s + 120),
        Some(curtain_s + 210),
    );
    (way, told)
}

pub(super) fn early_end(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let rule = stage.shift("early_end", (0, 5), "early_end_s=60", &[]);
    let mut way = stage.begins();
    let over_s = stage.curtain_s() + 300;
    way.stand_until(over_s - stage.either(180, 50));
    stage.circuit.drive(&mut way, 0.0, 150.0, WALK_MPS);
    let start_s = way.at_s() - 20;
    let told = stage.told(BrokenRule::EarlyEnd, rule, (start_s, over_s), Some(over_s));
    (way, told)
}

/// Two of five grids; nearly: four, which are 80 %.
pub(super) fn patrol_coverage(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let grids: Vec<String> = stage
        .grids
        .iter()
        .take(5)
        .map(|grid| grid.0.clone())
        .collect();
    let thresholds = "patrol_stay_s=30;patrol_grace_s=60";
    let rule = stage.shift("patrol_coverage", (0, 6), thresholds, &grids);
    let curtain_s = stage.curtain_s();
    let mut way = stage.begins();
    way.stand_until(curtain_s + 5);
    let visits = if stage.violates { 2 } else { 4 };
    let mut from = 0.0;
    for (_, along) in stage.grids.iter().take(visits) {
        stage.circuit.drive(&mut way, from, *along, 4.0);
        way.stand(40);
        from = *along;
    }
    let over_s = curtain_s + 360;
    let told = stage.told(
        BrokenRule::PatrolCoverage,
        rule,
        (curtain_s, over_s + 60),
        Some(over_s),
    );
    (way, told)
}
