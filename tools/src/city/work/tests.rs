use super::*;

const START: i64 = 1_767_600_007;

fn city(vehicles: u32, actors: usize) -> City {
    let options = CityOptions {
        vehicles,
        ..CityOptions::SMALL
    };
    working_city(1, &options, START, actors)
}

#[test]
fn every_play_finds_a_stage() {
    for seed in 0..3 {
        let options = CityOptions {
            vehicles: 60,
            ..CityOptions::SMALL
        };
        let city = working_city(seed, &options, START, plays_max());
        let work = city.work.as_ref().unwrap();
        assert_eq!(work.acts.len(), plays_max(), "seed {seed}");
        // Fences tell their own truth.
        let is_told_by_fence = |act: &Act| {
            use crate::simulate::truth::BrokenRule::{KeepOut, StayIn};
            matches!(act.kind, KeepOut | StayIn)
        };
        for act in work.acts.values() {
            let is_told = act.expected.is_some();
            assert_eq!(is_told, act.violates && !is_told_by_fence(act), "{act:?}");
        }
    }
}

#[test]
fn sweepers_and_half_of_the_trucks_have_a_round_and_inspectors_have_grids() {
    let city = city(120, 20);
    let work = city.work.as_ref().unwrap();
    for (index, vehicle) in city.vehicle_list.iter().enumerate().take(100) {
        let has_round = work.rounds.contains_key(&index);
        match vehicle.work_kind {
            WorkKind::Sweeper | WorkKind::Inspector => assert!(has_round, "{vehicle:?}"),
            WorkKind::RefuseTruck | WorkKind::Sprinkler => {}
        }
    }
    let trucks = work.rounds.values().filter(|round| !round.stops.is_empty());
    assert!(trucks.count() >= 5);
    for round in work.rounds.values() {
        for (from, to) in round.nodes.iter().zip(round.nodes.iter().cycle().skip(1)) {
            let street = city.network.edge(*from, *to).unwrap();
            assert!(street.safe_for.is_some() && street.limit_kmh.is_none());
        }
    }
}

#[test]
fn everybody_who_does_not_act_is_on_shift() {
    let city = city(120, 20);
    let work = city.work.as_ref().unwrap();
    for (index, vehicle) in city.vehicle_list.iter().enumerate().take(100) {
        let is_inspector = vehicle.work_kind == WorkKind::Inspector;
        let shift = if is_inspector {
            INSPECTORS_SHIFT
        } else {
            CREWS_SHIFT
        };
        let id = &vehicle.vehicle;
        let has_round = work.rounds.contains_key(&index);
        let area = if has_round {
            format!("area-{id}")
        } else {
            String::new()
        };
        let row = format!("{id}-{shift},{id},{shift},{area}\n");
        assert!(work.assignments.contains(&row), "{row}");
        let is_area_there = work.responsibility_grids.contains(&format!("\"{area}\""));
        assert_eq!(is_area_there, has_round, "{area}");
    }
}

#[test]
fn work_changes_no_vehicle_that_does_not_act() {
    let plain = demo_city(
        1,
        &CityOptions {
            vehicles: 60,
            ..CityOptions::SMALL
        },
    );
    let working = city(60, 12);
    assert_eq!(plain.vehicle_list[..48], working.vehicle_list[..48]);
    assert_eq!(plain.unit_grids, working.unit_grids);
    assert_eq!(working.vehicle_list.len(), 60);
    assert_eq!(working.work.unwrap().acts.len(), 12);
}
