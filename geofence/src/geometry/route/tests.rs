use geo::{Distance, Euclidean};
use proptest::prelude::*;

use super::*;

fn p(x: i32, y: i32) -> Point {
    Point { x, y }
}

fn line(points: &[(i32, i32)]) -> RouteLine {
    let points = points
        .iter()
        .map(|(x, y)| p(x * 1_000, y * 1_000))
        .collect();
    RouteLine::new(&[points]).unwrap()
}

fn fix(x: i32, y: i32) -> RouteFix {
    RouteFix {
        point: p(x * 1_000, y * 1_000),
        sigma_mm: 4_000.0,
        width_mm: 25_000.0,
        hysteresis_mm: 4_000.0,
        reach_mm: 35_000.0,
        direction: None,
    }
}

/// Metres along the route, or what else was found.
fn found(whereabouts: Whereabouts) -> Result<f64, &'static str> {
    match whereabouts {
        Whereabouts::On(spot) => Ok((spot.along_mm / 1e3).round()),
        Whereabouts::Unclear(_) => Err("unclear"),
        Whereabouts::Off(_) => Err("off"),
    }
}

#[test]
fn a_place_has_a_way_a_distance_and_a_side() {
    //  (0,0) ──────────▶ (100,0)
    //                      │
    //                      ▼ (100,-50)
    let corner = line(&[(0, 0), (100, 0), (100, -50)]);
    assert!((corner.length_mm() - 150e3).abs() < 1e-6);
    let left = corner.nearest(p(40_000, 3_000));
    assert!((left.along_mm - 40e3).abs() < 1e-6 && (left.distance_mm - 3e3).abs() < 1e-6);
    assert!(left.is_left);
    let right = corner.nearest(p(96_000, -20_000));
    assert!((right.along_mm - 120e3).abs() < 1e-6 && !right.is_left);
    assert_eq!(corner.leg_at(120e3, false), (1, 0.4));
    assert_eq!(corner.leg_at(1e9, false), (1, 1.0));
    assert_eq!(corner.leg_at(100e3, false), (1, 0.0));
    assert_eq!(corner.leg_at(100e3, true), (0, 1.0));
}

#[test]
fn a_way_crosses_a_line_when_its_ends_are_on_both_sides_of_it() {
    let corner = line(&[(0, 0), (100, 0), (100, -50)]);
    let crossing = |(ax, ay): (i32, i32), (bx, by): (i32, i32)| {
        let at = corner.crossing_mm(p(ax * 1_000, ay * 1_000), p(bx * 1_000, by * 1_000));
        at.map(f64::round)
    };
    assert_eq!(crossing((40, -30), (40, 30)), Some(40e3));
    assert_eq!(crossing((30, 40), (50, -40)), Some(40e3));
    // Over both legs: the first of them. At the very corner: once.
    assert_eq!(crossing((60, 20), (120, -40)), Some(80e3));
    assert_eq!(crossing((80, -20), (120, 20)), Some(100e3));
    // Beside it, around its end, and from it.
    assert_eq!(crossing((40, 10), (60, 10)), None);
    assert_eq!(crossing((-10, -30), (-10, 30)), None);
    assert_eq!(crossing((40, 0), (40, 30)), None);
    assert_eq!(crossing((120, 20), (120, -40)), None);
}

#[test]
fn lines_that_do_not_touch_are_one_route_without_the_way_between() {
    let there = vec![p(0, 0), p(10_000, 0)];
    let elsewhere = vec![p(90_000, 0), p(100_000, 0)];
    let route = RouteLine::new(&[there, elsewhere]).unwrap();
    assert!((route.length_mm() - 20e3).abs() < 1e-6);
    assert!((route.nearest(p(95_000, 0)).along_mm - 15e3).abs() < 1e-6);
    assert!((route.nearest(p(40_000, 0)).along_mm - 10e3).abs() < 1e-6);
}

#[test]
fn a_line_without_length_is_none() {
    assert_eq!(RouteLine::new(&[vec![p(5, 5), p(5, 5)]]), None);
    assert_eq!(RouteLine::new(&[]), None);
}

#[test]
fn between_on_and_off_nothing_changes() {
    let street = line(&[(0, 0), (1_000, 0)]);
    let mut cursor = RouteCursor::default();
    let along = |y: i32, cursor: &mut RouteCursor| found(cursor.follow(&street, &fix(100, y)));
    assert_eq!(along(27, &mut cursor), Err("off"), "not on it yet");
    assert_eq!(along(24, &mut cursor), Ok(100.0));
    assert_eq!(along(28, &mut cursor), Ok(100.0), "not surely off");
    assert_eq!(along(30, &mut cursor), Err("off"));
    assert_eq!(along(28, &mut cursor), Err("off"), "not surely on");
}

#[test]
fn where_a_route_passes_itself_the_cursor_keeps_its_leg() {
    //   (400,10) ◀────────────── (800,10)     out along y = 0, back along y = 10
    //   (0,0)    ──────────────▶ (800,0)
    let out_and_back = line(&[(0, 0), (800, 0), (800, 10), (400, 10)]);
    let mut cursor = RouteCursor::default();
    assert_eq!(found(cursor.follow(&out_and_back, &fix(100, 0))), Ok(100.0));
    for x in (120..=600).step_by(20) {
        // Noise puts it nearer to the way back.
        let on = cursor.follow(&out_and_back, &fix(x, 7));
        assert_eq!(found(on), Ok(f64::from(x)));
    }
}

#[test]
fn whoever_comes_upon_two_parts_of_a_route_is_placed_when_three_fixes_agree() {
    let out_and_back = line(&[(0, 0), (800, 0), (800, 10), (400, 10)]);
    let mut cursor = RouteCursor::default();
    assert_eq!(
        found(cursor.follow(&out_and_back, &fix(500, 8))),
        Err("unclear")
    );
    assert_eq!(
        found(cursor.follow(&out_and_back, &fix(490, 8))),
        Err("unclear")
    );
    assert_eq!(
        found(cursor.follow(&out_and_back, &fix(480, 8))),
        Ok(1_130.0)
    );
    // A heading tells at once.
    let mut cursor = RouteCursor::default();
    let eastwards = RouteFix {
        direction: Some((1.0, 0.0)),
        ..fix(500, 8)
    };
    assert_eq!(found(cursor.follow(&out_and_back, &eastwards)), Ok(500.0));
}

#[test]
fn whoever_returns_far_from_where_he_left_is_found_again() {
    let street = line(&[(0, 0), (3_000, 0)]);
    let mut cursor = RouteCursor::default();
    assert_eq!(found(cursor.follow(&street, &fix(2_000, 0))), Ok(2_000.0));
    assert_eq!(found(cursor.follow(&street, &fix(2_000, 300))), Err("off"));
    assert_eq!(found(cursor.follow(&street, &fix(200, 5))), Ok(200.0));
}

fn lines() -> impl Strategy<Value = Vec<Vec<Point>>> {
    let point = (-500_000..500_000_i32, -500_000..500_000_i32).prop_map(|(x, y)| p(x, y));
    proptest::collection::vec(proptest::collection::vec(point, 2..60), 1..4)
}

proptest! {
    #[test]
    fn the_nearest_place_is_that_of_geo(
        lines in lines(),
        x in -700_000..700_000_i32,
        y in -700_000..700_000_i32,
    ) {
        let route = RouteLine::new(&lines).unwrap();
        let spot = route.nearest(p(x, y));
        let at = geo::Point::new(f64::from(x), f64::from(y));
        let strings: Vec<geo::LineString<f64>> = lines
            .iter()
            .map(|line| line.iter().map(|p| (f64::from(p.x), f64::from(p.y))).collect())
            .collect();
        let oracle = geo::MultiLineString::new(strings);
        let distance = Euclidean.distance(&at, &oracle);
        prop_assert!((spot.distance_mm - distance).abs() < 1e-3, "{} {distance}", spot.distance_mm);
        // The place that the way names is as near.
        let leg = spot.leg;
        let share = (spot.along_mm - route.legs[leg].along) / route.legs[leg].length;
        let pairs: Vec<(Point, Point)> = lines
            .iter()
            .flat_map(|line| line.windows(2))
            .filter(|pair| pair[0] != pair[1])
            .map(|pair| (pair[0], pair[1]))
            .collect();
        let (a, b) = pairs[leg];
        let between = |a: i32, b: i32| f64::from(a) + (f64::from(b) - f64::from(a)) * share;
        let place = geo::Point::new(between(a.x, b.x), between(a.y, b.y));
        prop_assert!((Euclidean.distance(&at, &place) - distance).abs() < 1.0);
    }

    #[test]
    fn a_cursor_finds_the_cheapest_of_all_legs_within_reach(
        lines in lines(),
        along in 0.0..1.0_f64,
        reach in 0.0..300e3_f64,
        hint in 0..200_usize,
        heading in 0.0..std::f64::consts::TAU,
        is_moving: bool,
        x in -500_000..500_000_i32,
        y in -500_000..500_000_i32,
    ) {
        let route = RouteLine::new(&lines).unwrap();
        let along_mm = (along * route.length_mm()).round();
        let fix = RouteFix {
            reach_mm: reach,
            direction: is_moving.then(|| (heading.cos(), heading.sin())),
            width_mm: 1e9,
            point: p(x, y),
            ..fix(0, 0)
        };
        let at = (f64::from(x), f64::from(y));
        // The definition, leg by leg, without an order or a hint.
        let costs = route.legs.iter().filter_map(|leg| {
            let is_reached = leg.along + leg.length >= along_mm - 50e3
                && leg.along <= along_mm + reach + 50e3;
            let (share, square) = leg.nearest(at);
            let back = (along_mm - leg.along - share * leg.length).max(0.0) / 20e3;
            let turned = fix.direction.is_some_and(|(e, n)| {
                (leg.way.0 * e + leg.way.1 * n) / leg.length < 0.5
            });
            is_reached.then(|| square / 16e6 + back * back + if turned { 4.0 } else { 0.0 })
        });
        let least = costs.fold(f64::INFINITY, f64::min);
        let (spot, first) = within_reach(&route, &fix, at, along_mm, hint).unwrap();
        prop_assert!(first <= spot.leg);
        let leg = route.legs[spot.leg];
        let back = (along_mm - spot.along_mm).max(0.0) / 20e3;
        let turned = if leg.differs_from(fix.direction) { 4.0 } else { 0.0 };
        let cost = spot.distance_mm * spot.distance_mm / 16e6 + back * back + turned;
        prop_assert!((cost - least).abs() <= 1e-9 * least.max(1.0), "{} {}", cost, least);
    }
}
