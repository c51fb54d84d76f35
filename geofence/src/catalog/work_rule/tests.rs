use super::*;
use crate::catalog::{Catalog, CatalogSources};

const VEHICLES: &str =
    "vehicle,phone,work_kind,fleet\nV1,1,sweeper,F1\nV2,2,sweeper,F2\nV3,3,,F2\n";

fn load(rules: &str) -> Result<Catalog, Vec<String>> {
    let site = r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":
        {"id":"depot","kind":"site","radius_m":50},
        "geometry":{"type":"Point","coordinates":[112.55,37.87]}}]}"#;
    let sources = CatalogSources {
        fences: Some(("fences".to_owned(), site.to_owned())),
        vehicles: Some(("vehicles".to_owned(), VEHICLES.to_owned())),
        work_rules: Some(("rules".to_owned(), rules.to_owned())),
        ..CatalogSources::default()
    };
    Catalog::load(&sources).map_err(|all| all.iter().map(ToString::to_string).collect())
}

fn mistakes(rules: &str) -> Vec<String> {
    load(&format!(r#"{{"rules":[{rules}]}}"#)).unwrap_err()
}

#[test]
fn the_rule_that_names_a_vehicle_is_the_nearest_to_it() {
    let rule = |id: &str, whom: &str| format!(r#"{{"id":"{id}","kind":"long_stop"{whom}}}"#);
    let rules = [
        rule("all", ""),
        rule("kind", r#","applies_to":{"work_kinds":["sweeper"]}"#),
        rule("fleet", r#","applies_to":{"fleets":["F2"]}"#),
        rule("vehicle", r#","applies_to":{"vehicles":["V2"]}"#),
        rule("second", r#","applies_to":{"vehicles":["V2"]}"#),
    ];
    let catalog = load(&format!(r#"{{"rules":[{}]}}"#, rules.join(","))).unwrap();
    let of = |phone: &str| {
        let vehicle = catalog.vehicle_of(&phone.parse().unwrap());
        let rules = catalog.audience_of(vehicle).rules().iter();
        let ids = rules.map(|index| catalog.work_rule(*index).unwrap().id.as_str());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(of("1"), ["kind", "all"]);
    assert_eq!(of("2"), ["vehicle", "second", "fleet", "kind", "all"]);
    assert_eq!(of("3"), ["fleet", "all"]);
    assert_eq!(of("99"), ["all"], "a terminal without a vehicle");
}

#[test]
fn a_policy_changes_the_bits_that_it_names() {
    let rules = r#"{"rules":[{"id":"a","kind":"terminal_alarms","alarms":{"8":"off","26":1.5}}]}"#;
    let catalog = load(rules).unwrap();
    let Demand::TerminalAlarms(policy) = &catalog.work_rules()[0].demand else {
        panic!()
    };
    let after: Vec<_> = [0, 8, 26, 31].map(|bit| policy.after_ms(bit)).into();
    assert_eq!(after, [Some(0), None, Some(1_500), None]);
    assert_eq!(AlarmPolicy::DEFAULT.after_ms(8), Some(60_000));
}

#[test]
fn every_mistake_is_named_with_the_rule_it_is_in() {
    let found = mistakes(
        r#"{"id":"a","kind":"long_stop","stop_s":-1,"sites":["depot","shed"],"speed_kmh":3},
           {"id":"a","kind":"nap"},
           {"id":"b","kind":"work_speed","unknown":"perhaps","hysteresis_min_m":3},
           {"id":"c","kind":"terminal_alarms","alarms":{"32":1,"1":"soon"}},
           {"id":"d","kind":"work_signals","signals":[{"machine":"broom","source":"io","bit":16}]},
           {"id":"e","kind":"speed_limit","applies_to":{"vehicles":["V9"]}}, 7"#,
    );
    let expected = [
        r#"rules: rule 0 "a": unknown property "speed_kmh""#,
        r#"rules: rule 0 "a": property "stop_s": -1 is not"#,
        r#"rules: rule 0 "a": property "sites": "shed" is not the id of a site"#,
        r#"rules: rule 1 "a": id "a" is there twice; first in rule 0"#,
        r#"rules: rule 1 "a": property "kind": "nap" is not one of long_stop"#,
        r#"rules: rule 2 "b": unknown property "hysteresis_min_m""#,
        r#"rules: rule 2 "b": property "unknown": "perhaps" is not one of idle"#,
        r#"rules: rule 3 "c": property "alarms.1": "soon" is not seconds"#,
        r#"rules: rule 3 "c": property "alarms": "32" is not a bit"#,
        r#"rules: rule 4 "d": property "signals.machine": "broom" is not one of brush"#,
        r#"rules: rule 4 "d": property "signals.bit": 16 is not a whole number from 0 to 15"#,
        r#"rules: rule 5 "e": applies_to: there is no vehicle "V9""#,
        r#"rules: rule 5 "e": property "speed_limit_kmh" is missing"#,
        "rules: rule 6: no object",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
    let whole = load("{}").unwrap_err();
    assert_eq!(whole, [r#"rules: no object with an array "rules""#]);
}

#[test]
fn the_rules_of_the_manual_can_be_read() {
    let manual = include_str!("../../../../gateway/docs/work-rules.md");
    let (_, example) = manual.split_once("```json\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let catalog = load(example).unwrap();
    let kinds: Vec<&str> = catalog
        .work_rules()
        .iter()
        .map(|rule| rule.demand.as_str())
        .collect();
    for word in Demand::WORDS {
        assert!(kinds.contains(&word), "no example of {word}");
        assert!(
            manual.contains(&format!("| `{word}` |")),
            "{word} is not in the table"
        );
    }
}

#[test]
fn an_edited_rule_is_another_and_a_renamed_one_is_the_same() {
    let fingerprint = |properties: &str| {
        let rules = format!(r#"{{"rules":[{{"id":"a","kind":"long_stop"{properties}}}]}}"#);
        load(&rules).unwrap().work_rules()[0].fingerprint
    };
    assert_eq!(fingerprint(""), fingerprint(r#","name":"stops""#));
    assert_ne!(fingerprint(""), fingerprint(r#","stop_s":60"#));
}

#[test]
fn a_load_has_two_bits_and_no_inversion() {
    let rule = |signal: &str| format!(r#"{{"id":"a","kind":"work_signals","signals":[{signal}]}}"#);
    let load_of = |bit: u8| {
        rule(&format!(
            r#"{{"machine":"load","source":"io","bit":{bit}}}"#
        ))
    };
    assert!(load(&format!(r#"{{"rules":[{}]}}"#, load_of(14))).is_ok());
    let found = mistakes(&load_of(15));
    assert!(
        found[0].contains("a whole number from 0 to 14"),
        "{found:?}"
    );
    let inverted = r#"{"machine":"load","source":"status","bit":8,"inverted":true}"#;
    let found = mistakes(&rule(inverted));
    assert!(found[0].contains("signals.inverted"), "{found:?}");
}
