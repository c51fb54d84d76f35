use super::*;
use crate::{
    city::{CityOptions, FenceKind, SAFETY_MARGIN_M, demo_city},
    simulate::truth::Judge,
};

/// An hour, second by second.
fn drive(driver: &mut Driver, mut see: impl FnMut(f64, Truth)) {
    for second in 0..3_600 {
        driver.advance(1.0);
        see(f64::from(second), driver.truth());
    }
}

#[test]
fn vehicles_without_a_script_keep_every_rule_with_a_margin_for_an_hour() {
    for seed in [1, 2] {
        let city = Arc::new(demo_city(seed, &CityOptions::SMALL));
        // All kinds of work in all districts.
        for vehicle in 0..60 {
            let mut driver = Driver::new(Arc::clone(&city), vehicle, None, seed).unwrap();
            let mut judge = Judge::new(&city, vehicle);
            let duty = &city.fence_list[city.fleets[driver.fleet].duty_area].shape;
            let zones: Vec<_> = city
                .fence_list
                .iter()
                .filter(|fence| fence.kind == FenceKind::KeepOut)
                .collect();
            drive(&mut driver, |at_s, truth| {
                assert_eq!(judge.observe(at_s, truth.point, truth.speed_mps), []);
                assert!(duty.signed_distance(truth.point) >= SAFETY_MARGIN_M);
                for zone in &zones {
                    let (center, radius) = zone.shape.bounding_circle();
                    if truth.point.distance(center) < radius + SAFETY_MARGIN_M {
                        let distance = zone.shape.signed_distance(truth.point);
                        assert!(distance <= -SAFETY_MARGIN_M, "{distance} m of {}", zone.id);
                    }
                }
                for fence in city.fence_list.iter() {
                    if let Some(limit) = fence.speed_limit_kmh
                        && fence.shape.signed_distance(truth.point) > 0.0
                    {
                        assert!(truth.speed_mps * 3.6 <= limit * 0.85, "too fast");
                    }
                }
            });
            assert_eq!(judge.open(), []);
        }
    }
}

#[test]
fn each_kind_of_work_moves_at_its_own_pace() {
    let city = Arc::new(demo_city(4, &CityOptions::SMALL));
    for (kind, low_kmh, high_kmh) in [
        (WorkKind::Sweeper, 5.5, 8.6),
        (WorkKind::Sprinkler, 11.0, 20.1),
        (WorkKind::RefuseTruck, 16.0, 40.1),
        (WorkKind::Inspector, 3.4, 5.1),
    ] {
        let vehicle = city
            .vehicle_list
            .iter()
            .position(|v| v.work_kind == kind)
            .unwrap();
        let mut driver = Driver::new(Arc::clone(&city), vehicle, None, 4).unwrap();
        let mut moving = Vec::new();
        let mut last: Option<Truth> = None;
        drive(&mut driver, |_, truth| {
            if let Some(last) = last {
                // On the map it moves as far as its speed says, but for cut corners.
                assert!(truth.point.distance(last.point) <= truth.driven_m - last.driven_m + 0.01);
            }
            last = Some(truth);
            if truth.speed_mps > 0.5 {
                moving.push(truth.speed_mps * 3.6);
            }
        });
        let mean = moving.iter().sum::<f64>() / moving.len() as f64;
        assert!(
            moving.len() > 900,
            "{kind:?} moved for {} s only",
            moving.len()
        );
        assert!(
            (low_kmh..high_kmh).contains(&mean),
            "{kind:?} at {mean} km/h"
        );
        assert!(moving.iter().all(|speed| *speed <= high_kmh));
    }
}

#[test]
fn a_violator_breaks_its_first_rule_within_a_minute_and_a_half_and_only_what_it_set_out_to() {
    for seed in 0..6 {
        let city = Arc::new(demo_city(seed, &CityOptions::SMALL));
        for (vehicle, first, within_s) in [
            (0, FenceRule::KeepOut, 50.0),
            (1, FenceRule::Speeding, 60.0),
            (2, FenceRule::StayIn, 60.0),
        ] {
            let script = Script {
                first,
                begins_s: 2.0,
            };
            let mut driver = Driver::new(Arc::clone(&city), vehicle, Some(script), seed).unwrap();
            let mut judge = Judge::new(&city, vehicle);
            let mut found = Vec::new();
            drive(&mut driver, |at_s, truth| {
                found.extend(judge.observe(at_s, truth.point, truth.speed_mps));
            });
            let first_found = found
                .first()
                .unwrap_or_else(|| panic!("seed {seed} {first:?}"));
            assert_eq!(first_found.kind, first.broken(), "seed {seed}");
            assert!(
                first_found.start_s < within_s,
                "seed {seed}: {first_found:?}"
            );
            assert!(found.len() >= 3, "seed {seed}: {} in an hour", found.len());
        }
    }
}

#[test]
fn a_seed_gives_the_same_drive_and_another_seed_another() {
    let city = Arc::new(demo_city(1, &CityOptions::SMALL));
    let end = |seed| {
        let mut driver = Driver::new(Arc::clone(&city), 5, None, seed).unwrap();
        drive(&mut driver, |_, _| ());
        driver.truth()
    };
    assert_eq!(end(1), end(1));
    assert_ne!(end(1), end(2));
}
