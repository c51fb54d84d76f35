use std::{fs, path::PathBuf};

use serde_json::json;

use super::*;

const HOW: &str = "write `.routes(routes!(handler))` in place of `.route(..)`, and describe the \
     handler with #[utoipa::path(..)]: method, path, tag, parameters, responses";

const HOW_AXUM: &str = "axum tells it otherwise now";
const METHODS: [&str; 7] = ["get", "head", "delete", "options", "patch", "post", "put"];

/// `get /path` of every route that the router knows, as axum tells it to those who debug.
fn routed() -> BTreeSet<String> {
    let (router, _) = super::super::described(1).split_for_parts();
    let text = format!("{router:?}");
    let (routes, _) = text.split_once("fallback_router: ").unwrap();
    let (endpoints, paths) = routes.split_once("node: Node").unwrap();
    let numbered = |text: &'_ str| -> BTreeMap<u32, String> {
        let parts = text.split("RouteId(").skip(1);
        let parts = parts.filter_map(|part| part.split_once("): "));
        parts
            .map(|(number, rest)| (number.parse().unwrap(), rest.to_owned()))
            .collect()
    };
    let (endpoints, paths) = (numbered(endpoints), numbered(paths));
    assert!(endpoints.keys().eq(paths.keys()), "{HOW_AXUM}: {text}");
    let methods = |endpoint: &str| {
        let has = |method: &&str| {
            let told = endpoint.contains(&format!(" {method}: "));
            assert!(told, "{HOW_AXUM}: {endpoint}");
            !endpoint.contains(&format!(" {method}: None"))
        };
        METHODS.into_iter().filter(has).collect::<Vec<_>>()
    };
    let routes = endpoints.values().zip(paths.values());
    let routes = routes.flat_map(|(endpoint, path)| {
        let path = path.split('"').nth(1).unwrap();
        let methods = methods(endpoint).into_iter();
        methods.map(move |method| format!("{method} {path}"))
    });
    routes.collect()
}

#[test]
fn every_route_is_described_and_the_reverse() {
    let described: BTreeSet<String> = complete::operations(&DESCRIBED)
        .map(|(path, method, _)| format!("{method} {path}"))
        .collect();
    let routed = routed();
    let missing: Vec<_> = routed.difference(&described).collect();
    assert!(
        missing.is_empty(),
        "not in the description: {missing:?}; {HOW}"
    );
    let gone: Vec<_> = described.difference(&routed).collect();
    assert!(gone.is_empty(), "described, but no route: {gone:?}");
    assert!(described.len() > 40, "{described:?}");
}

#[test]
fn what_is_described_is_told_in_words() {
    let tags: BTreeSet<&str> = TAGS.iter().map(|(name, _)| *name).collect();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in complete::operations(&DESCRIBED) {
        let what = format!("{method} {path}");
        let has_words = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        let summary = &operation["summary"];
        assert!(has_words(summary), "{what}: the handler has no doc comment");
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{what}: twice");
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        assert!(tags.contains(tag), "{what}: the tag {tag:?} is not in TAGS");
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.clone() {
            let name = &parameter["name"];
            let words = &parameter["description"];
            assert!(has_words(words), "{what}: {name} has no doc comment");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(has_words(&response["description"]), "{what}: {status}");
        }
        // Each `{name}` of the path is a parameter, and the reverse.
        let named = path.split('{').skip(1);
        let named: BTreeSet<&str> = named
            .filter_map(|rest| Some(rest.split_once('}')?.0))
            .collect();
        let parameters = parameters.filter(|parameter| parameter["in"] == "path");
        let parameters: BTreeSet<&str> = parameters.filter_map(|p| p["name"].as_str()).collect();
        assert_eq!(named, parameters, "{what}");
    }
}

/// Lists have one form, and those with pages have them in one way.
#[test]
fn lists_and_their_pages_are_alike() {
    let mut pages = 0;
    for (path, method, operation) in complete::operations(&DESCRIBED) {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let find = |name: &str| parameters.clone().find(|one| one["name"] == name);
        let is_file = path.contains("/track.");
        let Some(cursor) = find("cursor").filter(|_| !is_file) else {
            continue;
        };
        pages += 1;
        assert_eq!((method, &cursor["required"]), ("get", &json!(false)));
        let limit = find("limit").unwrap_or_else(|| panic!("{path}: a cursor without a limit"));
        assert_eq!(limit["schema"]["maximum"], 10_000, "{path}");
        let content = &operation["responses"]["200"]["content"]["application/json"];
        let reference = content["schema"]["$ref"].as_str().unwrap();
        let mut schema = DESCRIBED
            .pointer(reference.trim_start_matches('#'))
            .unwrap();
        if let Some(first) = schema["anyOf"][0]["$ref"].as_str() {
            schema = DESCRIBED.pointer(first.trim_start_matches('#')).unwrap();
        }
        assert_eq!(schema["required"], json!(["items", "next"]), "{path}");
    }
    assert!(pages >= 8, "{pages}");
}

#[test]
fn references_lead_somewhere() {
    for part in TEXT.split("\"$ref\": \"#").skip(1) {
        let pointer = part.split_once('"').unwrap().0;
        assert!(DESCRIBED.pointer(pointer).is_some(), "{pointer}");
    }
}

#[test]
fn the_copy_in_the_manual_is_what_the_code_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(&path, TEXT.as_str()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == *TEXT,
        "{} is not what the code says: run this test with UPDATE_DOCUMENTS=1",
        path.display()
    );
}
