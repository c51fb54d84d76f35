//! What fuzzing found worth keeping, `fixtures/fuzz`, input by input.

use std::{
    collections::BTreeSet,
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use protocols::{
    fuzzing,
    jt808::{
        Revision,
        message::{Message, MessageId},
    },
};

/// Panics where it does not hold for the bytes.
type Property = fn(&[u8]);

/// The targets of `protocols/fuzz`, and the properties that they call.
const TARGETS: &[(&str, Property)] = &[
    ("attachments", fuzzing::attachments),
    ("message", fuzzing::message),
    ("reassembly", fuzzing::reassembly),
    ("round_trip", fuzzing::round_trip),
    ("stream", fuzzing::stream),
];

/// What is in a folder of the repository.
fn paths(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

fn inputs(target: &str) -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
    let paths = paths(&format!("fixtures/fuzz/{target}"));
    paths.into_iter().map(|path| {
        let input = fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        (path, input)
    })
}

#[test]
fn the_property_of_each_target_holds_for_every_input_that_was_kept() {
    for (target, property) in TARGETS {
        let mut replayed = 0;
        for (path, input) in inputs(target) {
            let outcome = catch_unwind(|| property(&input));
            assert!(outcome.is_ok(), "{target} fails for {path:?}");
            replayed += 1;
        }
        assert!(replayed > 10, "{replayed} inputs of {target}");
    }
}

#[test]
fn every_target_has_inputs_and_a_property() {
    let stems = |folder| -> BTreeSet<String> {
        let mut paths = paths(folder);
        paths.retain(|path| path.is_dir() || path.extension().is_some_and(|end| end == "rs"));
        let stem = |path: PathBuf| path.file_stem().map(|stem| stem.display().to_string());
        paths.into_iter().filter_map(stem).collect()
    };
    let known: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(stems("protocols/fuzz/fuzz_targets"), known);
    assert_eq!(stems("fixtures/fuzz"), known);
}

#[test]
fn the_inputs_have_a_body_of_every_message() {
    // Each by its own number, which stays when the table grows.
    let mut decoded = BTreeSet::new();
    for (_, input) in inputs("message") {
        let Some((&id, body)) = input.split_first_chunk() else {
            continue;
        };
        let id = MessageId(u16::from_be_bytes(id));
        let body = Bytes::copy_from_slice(body);
        let decodes = |revision| Message::decode(id, body.clone(), revision).is_ok();
        if [Revision::V2011, Revision::V2013, Revision::V2019]
            .into_iter()
            .any(decodes)
        {
            decoded.insert(id);
        }
    }
    let without: Vec<_> = MessageId::ALL
        .iter()
        .filter(|id| !decoded.contains(id))
        .collect();
    assert!(without.is_empty(), "no input is a body of {without:?}");
}
