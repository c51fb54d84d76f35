//! The document of the moves, written from their table. With `UPDATE_DOCUMENTS=1` this test writes
//! the file; otherwise it compares.

use std::{fmt::Write as _, fs, path::PathBuf};

use geofence::case::{
    Stage,
    clock::ClockKind,
    moves::{Clocks, Deferral, Need, RULES, Role, Rule},
};

const HEAD: &str = "# Moves of cases

Written from the table in `geofence/src/case/moves.rs` by `geofence/tests/case_moves.rs`: run it with
`UPDATE_DOCUMENTS=1`. `GET /api/v1/case-moves` gives the same table, `GET /api/v1/cases/{id}` the rows that hold
now, and `POST /api/v1/cases/{id}/moves` makes a move.

```json
{\"move\": \"dispatch\", \"version\": 4, \"actor\": \"Li\", \"role\": \"dispatcher\", \"scope\": \"140105\",
 \"department\": \"Street cleaning, 2nd squad\"}
```

`version` is the one that was seen: when somebody has moved the case since, the answer is 409, and so it is for
every move that is not in the table; it says which are. New evidence and the notices of clocks make nobody's view
stale. `scope` is the code prefix of the actor's jurisdiction, empty for the city: he moves what is handled within
it. A move under a `key` is made once, however often it is sent.

A case that is put off (缓办) can be moved only where that is said.

| move | what | from | to | who | needs | clocks |
|---|---|---|---|---|---|---|
";

fn words<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> String {
    let words: Vec<_> = all.iter().map(|one| word(*one)).collect();
    words.join(", ")
}

fn clocks(rule: &Rule) -> String {
    match rule.clocks {
        Clocks::Kept => String::new(),
        Clocks::Next(over, next) => {
            format!(
                "{} stops, {} begins",
                words(over, ClockKind::as_str),
                next.as_str()
            )
        }
        Clocks::Begin(kinds) => format!("{} begin", words(kinds, ClockKind::as_str)),
        Clocks::Stop => "all stop".to_owned(),
        Clocks::Suspend => "all stand still".to_owned(),
        Clocks::Resume => "all run again".to_owned(),
        Clocks::Extend => "all that run get the minutes".to_owned(),
    }
}

fn row(rule: &Rule) -> String {
    let from = if rule.from.len() == Stage::ALL.len() {
        "every stage".to_owned()
    } else {
        words(rule.from, Stage::as_str)
    };
    let to = rule.to.map_or("the same", Stage::as_str);
    let put_off = match rule.deferral {
        Deferral::Not => "",
        Deferral::Only => " (only when put off)",
        Deferral::Any => " (also when put off)",
    };
    let who = if rule.by.len() == Role::ALL.len() {
        "everybody".to_owned()
    } else {
        words(rule.by, Role::as_str)
    };
    format!(
        "| `{}` | {} | {from}{put_off} | {to} | {who} | {} | {} |\n",
        rule.name.as_str(),
        rule.what,
        words(rule.needs, Need::as_str),
        clocks(rule)
    )
}

#[test]
fn the_document_says_what_the_table_says() {
    let mut document = HEAD.to_owned();
    for rule in RULES {
        document.push_str(&row(rule));
    }
    document.push_str("\n| stage | moves of people |\n|---|---|\n");
    for stage in Stage::ALL {
        let rules = RULES
            .iter()
            .filter(|rule| rule.is_for_people() && rule.from.contains(&stage));
        let names: Vec<_> = rules.map(|rule| rule.name.as_str()).collect();
        writeln!(document, "| {} | {} |", stage.as_str(), names.join(", ")).unwrap();
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../gateway/docs/case-moves.md");
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(&path, &document).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == document,
        "{} is not what the table says: run this test with UPDATE_DOCUMENTS=1",
        path.display()
    );
}
