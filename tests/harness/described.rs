//! Answers of the API, held against `gateway/docs/openapi.json`.
//!
//! It is stricter than the document's words: a member that is not described is wrong too, for a
//! reader does not know what to make of it.

use std::{collections::BTreeMap, sync::LazyLock};

use boon::{Compiler, Draft, SchemaIndex, Schemas};
use gateway::http_client::Answer;
use serde_json::{Map, Value, json};

const TEXT: &str = include_str!("../../gateway/docs/openapi.json");
const PLACE: &str = "http://described/api.json";
const ANY: &str = "default";
/// What is answered before a handler is asked: to bodies that are too long or of a kind of their
/// own, and to strangers. These alone need no line of their own in the document.
const BEFORE_HANDLERS: [u16; 3] = [403, 413, 415];

static DESCRIBED: LazyLock<Described> = LazyLock::new(|| Described::of(TEXT));

/// Holds an answer to a request against the description. What lies outside of the API and is not
/// in the description is passed over, such as the page.
///
/// # Errors
/// What does not agree.
pub fn check(method: &str, path: &str, answer: &Answer) -> Result<(), String> {
    DESCRIBED.check(method, path, answer)
}

/// By method in small letters, and then by status.
type Methods = BTreeMap<String, BTreeMap<String, Kinds>>;
/// Schemas by media type.
type Kinds = BTreeMap<String, Option<SchemaIndex>>;

struct Described {
    schemas: Schemas,
    paths: Vec<(Vec<String>, Methods)>,
}

impl Described {
    fn of(text: &str) -> Self {
        let document: Value = serde_json::from_str(text).unwrap();
        let mut components = document["components"].clone();
        let named = components["schemas"].as_object_mut().unwrap();
        for schema in named.values_mut() {
            tighten(schema, true);
        }
        let mut resource = json!({"components": components, "answers": {}});
        // Every schema of an answer gets a number, under which it is compiled below.
        let mut answers = Vec::new();
        let mut paths = Vec::new();
        for (path, methods) in members(&document["paths"]) {
            let mut known = Methods::new();
            for (method, operation) in members(methods) {
                let statuses = known.entry(method.clone()).or_default();
                for (status, response) in members(&operation["responses"]) {
                    let kinds = statuses.entry(status.clone()).or_default();
                    for (kind, content) in members(&response["content"]) {
                        let mut schema = content["schema"].clone();
                        tighten(&mut schema, false);
                        let name = answers.len().to_string();
                        resource["answers"][&name] = schema;
                        answers.push((path.clone(), method.clone(), status.clone(), kind.clone()));
                        kinds.insert(kind.clone(), None);
                    }
                }
            }
            let parts = path.split('/').map(str::to_owned).collect();
            paths.push((parts, known));
        }
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        compiler.enable_format_assertions();
        compiler.add_resource(PLACE, resource).unwrap();
        let mut schemas = Schemas::new();
        for (number, (path, method, status, kind)) in answers.iter().enumerate() {
            let place = format!("{PLACE}#/answers/{number}");
            let index = compiler.compile(&place, &mut schemas).unwrap();
            let parts: Vec<&str> = path.split('/').collect();
            let (_, known) = paths.iter_mut().find(|(one, _)| *one == parts).unwrap();
            let kinds = known.get_mut(method).unwrap().get_mut(status).unwrap();
            kinds.insert(kind.clone(), Some(index));
        }
        Self { schemas, paths }
    }

    fn check(&self, method: &str, path: &str, answer: &Answer) -> Result<(), String> {
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        let Some(methods) = self.methods(path) else {
            let is_of_the_api = path.starts_with("/api/");
            return if is_of_the_api {
                Err("no such path".to_owned())
            } else {
                Ok(())
            };
        };
        let asked = match method {
            "HEAD" => "get".to_owned(),
            method => method.to_ascii_lowercase(),
        };
        let Some(statuses) = methods.get(&asked) else {
            let is_refused = answer.status == 405;
            return is_refused
                .then_some(())
                .ok_or_else(|| "no such method".into());
        };
        let status = answer.status;
        let kinds = match statuses.get(&status.to_string()) {
            Some(kinds) => kinds,
            None if BEFORE_HANDLERS.contains(&status) => statuses.get(ANY).ok_or("no default")?,
            None => return Err(format!("no such status: {status}")),
        };
        if method == "HEAD" {
            return Ok(());
        }
        if kinds.is_empty() {
            let is_empty = answer.body.is_empty();
            return is_empty
                .then_some(())
                .ok_or_else(|| "a body, and none is described".into());
        }
        let bare = |kind: &str| kind.split(';').next().unwrap_or_default().to_owned();
        let kind = bare(&answer.kind);
        let fits = |known: &str| match known.strip_suffix('*') {
            Some(range) => kind.starts_with(range),
            None => bare(known) == kind,
        };
        let found = kinds.iter().find(|(known, _)| fits(known));
        let (_, schema) = found.ok_or_else(|| format!("no such media type: {:?}", answer.kind))?;
        let Some(schema) = schema.filter(|_| kind.ends_with("json")) else {
            return Ok(());
        };
        let value: Value = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
        let result = self.schemas.validate(&value, schema);
        result.map_err(|error| format!("{error:#}"))
    }

    /// The path that fits; one that is written out goes before one with parameters.
    fn methods(&self, path: &str) -> Option<&Methods> {
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |pattern: &[String]| {
            let one = |known: &String, part: &&str| known == part || known.starts_with('{');
            pattern.len() == parts.len() && pattern.iter().zip(&parts).all(|(k, p)| one(k, p))
        };
        let fitting = self.paths.iter().filter(|(pattern, _)| fits(pattern));
        let names = |pattern: &[String]| pattern.iter().filter(|p| p.starts_with('{')).count();
        let best = fitting.min_by_key(|(pattern, _)| names(pattern))?;
        Some(&best.1)
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Lets no members through that are not described. A part of another schema stays open: the whole
/// is what is closed.
fn tighten(schema: &mut Value, is_part: bool) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    let has = |schema: &Map<String, Value>, names: &[&str]| {
        names.iter().any(|name| schema.contains_key(*name))
    };
    let says_members = ["properties", "allOf", "anyOf", "oneOf", "$ref"];
    if !has(schema, &says_members) && !has(schema, &["additionalProperties"]) {
        // Any members: that is described too, and must count as such in the whole.
        schema.insert("additionalProperties".to_owned(), true.into());
    }
    for (name, inner) in schema.iter_mut() {
        match name.as_str() {
            "properties" => {
                let inner = inner.as_object_mut().into_iter().flatten();
                inner.for_each(|(_, property)| tighten(property, false));
            }
            "items" | "additionalProperties" => tighten(inner, false),
            "allOf" | "anyOf" | "oneOf" => {
                let parts = inner.as_array_mut().into_iter().flatten();
                parts.for_each(|part| tighten(part, true));
            }
            _ => {}
        }
    }
    if !is_part && has(schema, &says_members) {
        schema.insert("unevaluatedProperties".to_owned(), false.into());
    }
}
