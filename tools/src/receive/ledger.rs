//! What the receiver has done: a line for each, synced before the answer.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{File, OpenOptions},
    io::{self, BufRead as _, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::caller::{Called, Due};

/// One event that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The idempotency key.
    pub id: String,
    /// The case.
    pub case: String,
    /// The event's place within the case.
    pub sequence: u64,
    /// What happened.
    pub event: String,
    /// The stage of the case afterwards.
    pub stage: String,
    /// The moves that the event added to its history.
    #[serde(default)]
    pub moves: Vec<String>,
}

/// What the receiver has, as it prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Cases, each with its own number here.
    pub cases: u64,
    /// Events that were done, in order.
    pub done: Vec<Entry>,
    /// Requests that came again under their key, since the start.
    pub repeated: u64,
    /// Requests that were not signed as they should be, since the start.
    pub refused: u64,
    /// Events of a case that came behind a later one of it.
    pub out_of_order: u64,
    /// The newest stage of each case, by case.
    pub stages: BTreeMap<String, String>,
    /// What became of moves that were asked for.
    #[serde(default)]
    pub calls: Called,
}

/// The ledger.
#[derive(Debug)]
pub struct Ledger {
    file: Option<File>,
    done: Vec<Entry>,
    keys: HashMap<String, String>,
    /// Number and newest sequence of each case, with the stage that it told.
    cases: BTreeMap<String, (String, u64, String)>,
    repeated: u64,
    refused: u64,
    out_of_order: u64,
    called: BTreeMap<String, u64>,
    calls: Called,
}

impl Ledger {
    /// Reads what was done. A last line that is torn was never answered: it is cut off.
    ///
    /// # Errors
    /// When the file cannot be read, or another line of it is none of ours.
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let mut ledger = Self {
            file: None,
            done: Vec::new(),
            keys: HashMap::new(),
            cases: BTreeMap::new(),
            repeated: 0,
            refused: 0,
            out_of_order: 0,
            called: BTreeMap::new(),
            calls: Called::default(),
        };
        let Some(path) = path else { return Ok(ledger) };
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        let mut reader = io::BufReader::new(&file);
        let (mut line, mut whole) = (String::new(), 0);
        while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
            let entry: Entry = serde_json::from_str(&line)?;
            ledger.note(entry);
            whole += line.len() as u64;
            line.clear();
        }
        file.set_len(whole)?;
        ledger.file = Some(file);
        Ok(ledger)
    }

    /// Does what a body says, unless its key is known; gives the number of its case. `None` for a
    /// body that is no event of a case.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn take(&mut self, id: &str, body: &[u8]) -> io::Result<Option<String>> {
        if let Some(case) = self.keys.get(id) {
            self.repeated += 1;
            return Ok(self.cases.get(case).map(|(number, ..)| number.clone()));
        }
        let Some(entry) = entry(id, body) else {
            return Ok(None);
        };
        if let Some(file) = &mut self.file {
            let mut line = serde_json::to_vec(&entry)?;
            line.push(b'\n');
            file.write_all(&line)?;
            file.sync_data()?;
        }
        Ok(Some(self.note(entry)))
    }

    fn note(&mut self, entry: Entry) -> String {
        let next = self.cases.len() + 1;
        let stage = entry.stage.clone();
        let case = self
            .cases
            .entry(entry.case.clone())
            .or_insert_with(|| (format!("TY-{next:06}"), 0, stage.clone()));
        if entry.sequence > case.1 {
            case.1 = entry.sequence;
            case.2 = stage;
        } else {
            self.out_of_order += 1;
        }
        self.keys.insert(entry.id.clone(), entry.case.clone());
        self.done.push(entry);
        case.0.clone()
    }

    /// The newest event of a case that no move was asked for yet.
    pub(super) fn due(&mut self) -> Option<Due> {
        let called = &self.called;
        let is_due = |(case, (_, sequence, _)): &(&String, &(String, u64, String))| {
            called.get(*case).is_none_or(|before| before < sequence)
        };
        let (case, (_, sequence, stage)) = self.cases.iter().find(is_due)?;
        let due = Due {
            case: case.clone(),
            sequence: *sequence,
            stage: stage.clone(),
        };
        self.called.insert(due.case.clone(), due.sequence);
        Some(due)
    }

    /// Something became of a move.
    pub(super) fn call(&mut self, change: &dyn Fn(&mut Called)) {
        change(&mut self.calls);
    }

    /// A request was not believed.
    pub const fn refuse(&mut self) {
        self.refused += 1;
    }

    /// What there is.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let stages = self.cases.iter();
        Summary {
            cases: self.cases.len() as u64,
            done: self.done.clone(),
            repeated: self.repeated,
            refused: self.refused,
            out_of_order: self.out_of_order,
            stages: stages
                .map(|(case, (_, _, stage))| (case.clone(), stage.clone()))
                .collect(),
            calls: self.calls,
        }
    }
}

fn entry(id: &str, body: &[u8]) -> Option<Entry> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = |value: Option<&Value>| Some(value?.as_str()?.to_owned());
    let case = body.get("case")?;
    let lines = body.get("changes").and_then(Value::as_array);
    let lines = lines.into_iter().flatten();
    Some(Entry {
        id: id.to_owned(),
        case: text(case.get("id"))?,
        sequence: body.get("sequence")?.as_u64()?,
        event: text(body.get("event"))?,
        stage: text(case.get("stage"))?,
        moves: lines.filter_map(|line| text(line.get("move"))).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(case: &str, sequence: u64, stage: &str) -> Vec<u8> {
        let case = serde_json::json!({"id": case, "stage": stage});
        let body = serde_json::json!({"case": case, "sequence": sequence, "event": "moved"});
        body.to_string().into_bytes()
    }

    #[test]
    fn what_was_done_is_known_after_a_death_and_not_done_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let number = {
            let mut ledger = Ledger::open(Some(&path)).unwrap();
            let number = ledger.take("k1", &body("c", 1, "collected")).unwrap();
            assert_eq!(ledger.take("k1", b"whatever").unwrap(), number);
            assert_eq!(ledger.summary().repeated, 1);
            assert_eq!(ledger.take("k2", b"no case").unwrap(), None);
            number
        };
        // The next line was being written.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"id\":\"k2\"").unwrap();
        let mut ledger = Ledger::open(Some(&path)).unwrap();
        assert_eq!(ledger.take("k1", b"").unwrap(), number);
        assert_eq!(ledger.take("k2", &body("c", 2, "filed")).unwrap(), number);
        let summary = Ledger::open(Some(&path)).unwrap().summary();
        assert_eq!((summary.cases, summary.done.len()), (1, 2));
        assert_eq!(summary.stages["c"], "filed");
    }

    #[test]
    fn an_event_behind_a_later_one_does_not_turn_the_case_back() {
        let mut ledger = Ledger::open(None).unwrap();
        ledger.take("k2", &body("c", 2, "withdrawn")).unwrap();
        ledger.take("k1", &body("c", 1, "collected")).unwrap();
        let summary = ledger.summary();
        assert_eq!(summary.stages["c"], "withdrawn");
        assert_eq!(summary.out_of_order, 1);
    }
}
