//! What holds for every route: written once into the description, for all of them.
#![expect(
    clippy::indexing_slicing,
    reason = "the document is the code's own, the same at every start, and tests build it"
)]

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::super::api::{LIMIT_DEFAULT, LIMIT_MAX};

/// The name of the problem document's schema.
pub(super) const PROBLEM: &str = "Problem";
const PROBLEM_TYPE: &str = "application/problem+json";

/// Parameters that mean the same wherever they are. A description of their own goes before.
const PARAMETERS: &[(&str, &str)] = &[
    ("at", "The moment."),
    (
        "box",
        "`west,south,east,north` in degrees: only what lies in there.",
    ),
    ("cursor", "Where to go on: `next` of the page before."),
    ("from", "The first moment."),
    ("id", "Of what is meant."),
    ("kind", "What a check found."),
    (
        "jurisdiction",
        "The first digits of a unit grid's code; nothing is the city.",
    ),
    ("limit", "So many items at most."),
    (
        "phone",
        "The phone number of a terminal, with or without padding zeros.",
    ),
    (
        "sort",
        "By when they were opened or changed, the newest first, or are due, the soonest first.",
    ),
    ("source", "Who brought it."),
    ("stage", "Where the case stands."),
    ("state", "Where it stands."),
    (
        "terminal",
        "The phone number of a terminal, with or without padding zeros.",
    ),
    ("to", "The moment behind the last one."),
];
const MOMENTS: [&str; 3] = ["at", "from", "to"];

/// The description with everything in it.
pub(super) fn completed(api: &OpenApi) -> Value {
    let mut document = serde_json::to_value(api).unwrap_or_default();
    for (path, item) in members_mut(&mut document, "paths") {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            operation["operationId"] = operation_id(method, path).into();
            items_mut(operation, "parameters").for_each(parameter);
            responses(operation);
        }
    }
    schemas(&mut document);
    document
}

/// Path, method and description of each operation.
pub(super) fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn members_mut<'a>(
    value: &'a mut Value,
    name: &str,
) -> impl Iterator<Item = (&'a String, &'a mut Value)> {
    let members = value.get_mut(name).and_then(Value::as_object_mut);
    members.into_iter().flatten()
}

fn items_mut<'a>(value: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    let items = value.get_mut(name).and_then(Value::as_array_mut);
    items.into_iter().flatten()
}

/// `get_terminals_phone_events`.
fn operation_id(method: &str, path: &str) -> String {
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let words = path.split(|c: char| !c.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    let words: Vec<_> = [method].into_iter().chain(words).collect();
    words.join("_")
}

fn parameter(parameter: &mut Value) {
    let name = parameter["name"].as_str().unwrap_or_default().to_owned();
    let common = PARAMETERS.iter().find(|(known, _)| *known == name);
    if let Some((_, what)) = common.filter(|_| parameter["description"].is_null()) {
        parameter["description"] = (*what).into();
    }
    // What is not given is left out: there is no null behind `?`.
    let kinds = parameter["schema"]["type"].as_array();
    let kind = kinds.and_then(|kinds| kinds.iter().find(|kind| *kind != "null").cloned());
    if let Some(kind) = kind {
        parameter["schema"]["type"] = kind;
    }
    if parameter["in"] != "query" {
        return;
    }
    if name == "limit" {
        parameter["schema"] = json!({
            "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT,
        });
    } else if MOMENTS.contains(&name.as_str()) && parameter["schema"]["format"].is_null() {
        parameter["schema"]["format"] = "date-time".into();
    }
}

/// Everything that is refused is a problem document, told of or not.
fn responses(operation: &mut Value) {
    let takes_input = !operation["parameters"].is_null() || !operation["requestBody"].is_null();
    let takes_json = !operation["requestBody"]["content"]["application/json"].is_null();
    let Some(responses) = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let mut also = |status: &str, what: &str| {
        let told = responses.entry(status.to_owned());
        told.or_insert_with(|| json!({"description": what}));
    };
    if takes_input {
        also("400", "A parameter or the body is not what is described.");
    }
    if takes_json {
        also("422", "The body is JSON, and not what is described.");
    }
    also("default", "Anything else that is wrong.");
    for (status, response) in responses {
        // What is refused before it is understood has nothing more to say.
        let is_early = takes_json && matches!(status.as_str(), "403" | "422");
        let shape = response.pointer_mut("/content/application~1problem+json/schema");
        if let Some(shape) = shape.filter(|_| is_early) {
            let problem = format!("#/components/schemas/{PROBLEM}");
            *shape = json!({"anyOf": [shape.take(), {"$ref": problem}]});
        }
        let status = status.parse::<u16>().ok();
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        if response["description"].as_str().is_none_or(str::is_empty) {
            let words = status.and_then(|status| status.canonical_reason());
            response["description"] = words.unwrap_or_default().into();
        }
        let is_refusal = status.is_none_or(|status| status.as_u16() >= 400);
        if is_refusal && response["content"].is_null() {
            let schema = format!("#/components/schemas/{PROBLEM}");
            response["content"] = json!({PROBLEM_TYPE: {"schema": {"$ref": schema}}});
        }
    }
}

fn schemas(document: &mut Value) {
    let asked = asked(document);
    let Some(components) = document.get_mut("components") else {
        return;
    };
    let known: BTreeSet<String> = members_mut(components, "schemas")
        .map(|(name, _)| name.clone())
        .collect();
    for (name, schema) in members_mut(components, "schemas") {
        if let Some(item) = name.strip_prefix("Page_")
            && known.contains(item)
        {
            let item = format!("#/components/schemas/{item}");
            schema["properties"]["items"]["items"] = json!({"$ref": item});
        }
        items_mut(schema, "allOf").for_each(optional_part);
        moments(schema);
        any_of(schema);
        // Answers have all their members, `null` where there is nothing.
        if name != PROBLEM && !asked.contains(name) {
            all_required(schema);
        }
    }
}

/// A part that is not there is no `null`: its members are missing.
fn optional_part(part: &mut Value) {
    for shape in items_mut(part, "oneOf") {
        if shape["type"] == "null" {
            *shape = json!({"type": "object"});
        }
    }
    any_of(part);
}

/// Members whose names end in `_at` are moments.
fn moments(schema: &mut Value) {
    for (name, property) in members_mut(schema, "properties") {
        let is_moment = name == "at" || name.ends_with("_at");
        let kind = &property["type"];
        if is_moment && (kind == "string" || *kind == json!(["string", "null"])) {
            property["format"] = "date-time".into();
        }
    }
    items_mut(schema, "allOf").for_each(moments);
}

/// Shapes without a word that says which one it is: more than one of them may fit.
fn any_of(schema: &mut Value) {
    if let Some(members) = schema.as_object_mut()
        && let Some(shapes) = members.remove("oneOf")
    {
        members.insert("anyOf".to_owned(), shapes);
    }
}

fn all_required(schema: &mut Value) {
    items_mut(schema, "allOf").for_each(all_required);
    if let Some(properties) = schema["properties"].as_object() {
        let names: Vec<_> = properties.keys().cloned().collect();
        schema["required"] = names.into();
    }
}

/// The names of the schemas that bodies of requests have.
fn asked(document: &Value) -> BTreeSet<String> {
    let none = Map::new();
    let schemas = &document["components"]["schemas"];
    let schemas = schemas.as_object().unwrap_or(&none);
    let mut names = BTreeSet::new();
    let mut waiting: Vec<&Value> = operations(document)
        .map(|(_, _, operation)| &operation["requestBody"])
        .collect();
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(members) => {
                let name = members.get("$ref").and_then(Value::as_str);
                let name = name.and_then(|text| text.rsplit('/').next());
                if let Some(name) = name
                    && names.insert(name.to_owned())
                {
                    waiting.extend(schemas.get(name));
                }
                waiting.extend(members.values());
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    names
}
