//! Reading rules of work from JSON: `{"rules": [{…}, …]}`. Every mistake is noted with its place, and
//! reading goes on.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    super::{
        features::{Feature, Notes, unknown_keys},
        fence::{audience, fingerprint, windows},
        mistake::{Place, Problem},
        vehicle::Vehicle,
    },
    AlarmPolicy, AllowedSites, Demand, Machine, SignalSource, StopDemand, UnknownWork,
    UnloadingDemand, WorkRule, WorkSignal, WorkSpeed,
};
use crate::checks::{Parameters, WorkParameters, millis};

const COMMON: [&str; 6] = ["id", "name", "kind", "version", "applies_to", "windows"];
const OFF: &str = "off";
/// Seconds.
const DAY: std::ops::RangeInclusive<f64> = 0.0..=86_400.0;

/// Reads the rules; `sites` are the ids of all sites, where these are known.
pub(in super::super) fn read(
    root: &Value,
    vehicles: Option<&[Vehicle]>,
    sites: Option<&[&str]>,
    notes: &mut Notes<'_>,
) -> Vec<WorkRule> {
    let Some(members) = root.get("rules").and_then(Value::as_array) else {
        notes.add(&Place::Whole, Problem::NoRules);
        return Vec::new();
    };
    let mut seen = HashMap::new();
    let mut rules = Vec::with_capacity(members.len());
    for (index, member) in members.iter().enumerate() {
        let Some(properties) = member.as_object() else {
            notes.add(&Place::Rule { index, id: None }, Problem::NotARule);
            continue;
        };
        let id = properties.get("id").and_then(Value::as_str);
        let feature = Feature {
            place: Place::Rule {
                index,
                id: id.map(str::to_owned),
            },
            properties,
            geometry: &Value::Null,
        };
        rules.extend(rule(&feature, vehicles, sites, &mut seen, notes));
    }
    rules
}

fn rule(
    feature: &Feature<'_>,
    vehicles: Option<&[Vehicle]>,
    sites: Option<&[&str]>,
    seen: &mut HashMap<String, Place>,
    notes: &mut Notes<'_>,
) -> Option<WorkRule> {
    let id = feature.text("id", notes);
    if !id.is_empty() {
        notes.unique(seen, "id", &id, &feature.place);
    }
    let name = match feature.properties.get("name") {
        Some(_) => feature.text("name", notes),
        None => id.clone(),
    };
    let version = feature.number("version", 0.0..=1e9, notes).unwrap_or(1.0);
    let applies_to = audience(feature, vehicles, notes);
    let schedule = windows(feature, notes);
    let demand = demand(feature, sites, notes)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked"
    )]
    let version = version as u32;
    Some(WorkRule {
        id,
        name,
        version,
        applies_to,
        schedule,
        demand,
        fingerprint: fingerprint(feature),
    })
}

fn demand(feature: &Feature<'_>, sites: Option<&[&str]>, notes: &mut Notes<'_>) -> Option<Demand> {
    let word = feature.text("kind", notes);
    let own: &[&str] = match word.as_str() {
        "long_stop" | "idling" => &["stop_s", "sites"],
        "work_speed" => &["speed_kmh", "unknown"],
        "unloading" => &["dwell_s", "sites"],
        "speed_limit" => &["speed_limit_kmh", "priority"],
        "terminal_alarms" => &["alarms"],
        "work_signals" => &["signals"],
        _ => {
            if !word.is_empty() {
                let expected = format!("one of {}", Demand::WORDS.join(", "));
                feature.wrong("kind", &Value::String(word), &expected, notes);
            }
            return None;
        }
    };
    let speeds: &[&str] = match word.as_str() {
        "work_speed" | "speed_limit" => &Parameters::SPEED_KEYS,
        _ => &[],
    };
    feature.only(&[&COMMON, own, speeds].concat(), notes);
    let seconds = |key, notes: &mut Notes<'_>| feature.number(key, DAY, notes).map(millis);
    Some(match word.as_str() {
        "long_stop" | "idling" => {
            let stop = StopDemand {
                stop_ms: seconds("stop_s", notes),
                sites: allowed(feature, sites, notes),
            };
            if word == "idling" {
                Demand::Idling(stop)
            } else {
                Demand::LongStop(stop)
            }
        }
        "work_speed" => Demand::WorkSpeed(WorkSpeed {
            limit_kmh: feature.number("speed_kmh", 1.0..=100.0, notes),
            unknown: unknown(feature, notes),
            parameters: speed_parameters(feature, WorkParameters::WORK_SPEED, notes),
        }),
        "unloading" => Demand::Unloading(UnloadingDemand {
            dwell_ms: seconds("dwell_s", notes).unwrap_or(WorkParameters::UNLOADING_MS),
            sites: allowed(feature, sites, notes),
        }),
        "speed_limit" => speed_limit(feature, notes)?,
        "terminal_alarms" => Demand::TerminalAlarms(Box::new(alarms(feature, notes))),
        _ => Demand::WorkSignals(signals(feature, notes)),
    })
}

fn speed_limit(feature: &Feature<'_>, notes: &mut Notes<'_>) -> Option<Demand> {
    const KEY: &str = "speed_limit_kmh";
    if !feature.properties.contains_key(KEY) {
        notes.add(&feature.place, Problem::Missing(KEY));
    }
    let limit_kmh = feature.number(KEY, 1.0..=250.0, notes);
    let priority = feature.number("priority", -1e6..=1e6, notes).unwrap_or(0.0);
    let parameters = speed_parameters(feature, Parameters::DEFAULT, notes);
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    let priority = priority as i32;
    Some(Demand::SpeedLimit {
        limit_kmh: limit_kmh?,
        priority,
        parameters,
    })
}

fn speed_parameters(
    feature: &Feature<'_>,
    mut parameters: Parameters,
    notes: &mut Notes<'_>,
) -> Parameters {
    // The others are unknown keys, and noted as such.
    let is_own = |key| Parameters::SPEED_KEYS.contains(&key);
    let number = |key, range| is_own(key).then(|| feature.number(key, range, notes))?;
    parameters.read(number, None);
    parameters
}

fn unknown(feature: &Feature<'_>, notes: &mut Notes<'_>) -> UnknownWork {
    let Some(value) = feature.properties.get("unknown") else {
        return UnknownWork::default();
    };
    match value.as_str() {
        Some("idle") => UnknownWork::Idle,
        Some("on_route") => UnknownWork::OnRoute,
        Some("working") => UnknownWork::Working,
        _ => {
            feature.wrong("unknown", value, "one of idle, on_route, working", notes);
            UnknownWork::default()
        }
    }
}

fn allowed(feature: &Feature<'_>, sites: Option<&[&str]>, notes: &mut Notes<'_>) -> AllowedSites {
    let Some(value) = feature.properties.get("sites") else {
        return AllowedSites::All;
    };
    let words = value.as_array().map(|list| {
        list.iter()
            .map(|word| word.as_str().map(str::to_owned))
            .collect::<Option<Vec<String>>>()
    });
    let Some(ids) = words.flatten() else {
        feature.wrong("sites", value, "an array of ids of sites", notes);
        return AllowedSites::All;
    };
    for id in &ids {
        if sites.is_some_and(|sites| !sites.contains(&id.as_str())) {
            let value = Value::String(id.clone());
            feature.wrong("sites", &value, "the id of a site", notes);
        }
    }
    AllowedSites::Only(ids)
}

/// An object of bits: `{"0": 0, "8": 60, "26": "off"}`. Those that it does not name are as by
/// default.
fn alarms(feature: &Feature<'_>, notes: &mut Notes<'_>) -> AlarmPolicy {
    let mut policy = AlarmPolicy::DEFAULT;
    let Some(value) = feature.properties.get("alarms") else {
        notes.add(&feature.place, Problem::Missing("alarms"));
        return policy;
    };
    let Some(bits) = value.as_object() else {
        feature.wrong("alarms", value, "an object of bits", notes);
        return policy;
    };
    for (key, value) in bits {
        let bit = key.parse::<usize>().ok();
        let Some(place) = bit.and_then(|bit| policy.after_ms.get_mut(bit)) else {
            let key = Value::String(key.clone());
            feature.wrong("alarms", &key, "a bit from 0 to 31", notes);
            continue;
        };
        let seconds = value.as_f64().filter(|seconds| DAY.contains(seconds));
        match (seconds, value.as_str()) {
            (Some(seconds), _) => *place = Some(millis(seconds)),
            (None, Some(OFF)) => *place = None,
            _ => {
                let key = format!("alarms.{key}");
                let expected = "seconds from 0 to 86400, or \"off\"";
                feature.wrong(&key, value, expected, notes);
            }
        }
    }
    policy
}

fn signals(feature: &Feature<'_>, notes: &mut Notes<'_>) -> Vec<WorkSignal> {
    let Some(value) = feature.properties.get("signals") else {
        notes.add(&feature.place, Problem::Missing("signals"));
        return Vec::new();
    };
    let Some(list) = value.as_array().filter(|list| !list.is_empty()) else {
        feature.wrong("signals", value, "an array of objects", notes);
        return Vec::new();
    };
    let objects = list.iter().filter_map(|value| match value.as_object() {
        Some(object) => signal(feature, object, notes),
        None => {
            feature.wrong("signals", value, "an object", notes);
            None
        }
    });
    objects.collect()
}

fn signal(
    feature: &Feature<'_>,
    object: &Map<String, Value>,
    notes: &mut Notes<'_>,
) -> Option<WorkSignal> {
    let known = ["machine", "source", "bit", "inverted"];
    unknown_keys(object, &known, &feature.place, notes);
    let null = Value::Null;
    let value = |key: &str| object.get(key).unwrap_or(&null);
    let machines = Machine::ALL.map(|machine| (machine.as_str(), machine));
    let machine = chosen(
        feature,
        "signals.machine",
        value("machine"),
        &machines,
        notes,
    );
    let sources = SignalSource::ALL.map(|source| (source.as_str(), source));
    let source = chosen(feature, "signals.source", value("source"), &sources, notes);
    // A load has two bits, of which this is the lower one.
    let is_load = machine == Some(Machine::Load);
    let bits = source.map_or(32, SignalSource::bits) - u8::from(is_load);
    let bit = value("bit").as_u64().and_then(|bit| u8::try_from(bit).ok());
    let bit = bit.filter(|bit| *bit < bits);
    if bit.is_none() {
        let expected = format!("a whole number from 0 to {}", bits - 1);
        feature.wrong("signals.bit", value("bit"), &expected, notes);
    }
    let is_inverted = match object.get("inverted") {
        None => Some(false),
        Some(value) => {
            if !value.is_boolean() {
                feature.wrong("signals.inverted", value, "true or false", notes);
            }
            value.as_bool()
        }
    };
    if is_load && is_inverted == Some(true) {
        let value = Value::Bool(true);
        feature.wrong("signals.inverted", &value, "false, for a load", notes);
    }
    Some(WorkSignal {
        machine: machine?,
        source: source?,
        bit: bit?,
        is_inverted: is_inverted?,
    })
}

fn chosen<T: Copy>(
    feature: &Feature<'_>,
    key: &str,
    value: &Value,
    words: &[(&str, T)],
    notes: &mut Notes<'_>,
) -> Option<T> {
    let found = words.iter().find(|(word, _)| value.as_str() == Some(word));
    if found.is_none() {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let expected = format!("one of {}", all.join(", "));
        feature.wrong(key, value, &expected, notes);
    }
    found.map(|(_, choice)| *choice)
}
