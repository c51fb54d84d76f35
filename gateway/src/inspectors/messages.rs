//! Tasks on their way to the terminals of inspectors, through the command desk.
//!
//! A terminal before 2019 is asked with 0x8302, which has the answers; any other gets the task as text
//! (0x8300), and the answer comes through the API. Where events are configured, terminals before
//! 2019 get their list with 0x8301.

use std::{collections::HashMap, collections::HashSet, sync::Arc};

use geofence::{
    case::{
        Case,
        task::{Task, TaskId, TaskKind},
    },
    identity::TerminalId,
    units::Timestamp,
};
use protocols::jt808::{Revision, message::json::Object};
use serde_json::{Value, json};
use storage::{
    commands::CommandId,
    store::{CaseOrder, CaseQuery, StoreError},
};
use tokio_util::sync::CancellationToken;

use super::{PAGE, PhotoInbox, inspector_with, key_of, photos, tasks};
use crate::{
    Gateway, case_pages::CasePages, clock, commands::CommandRequest, outlets::follower::Workplace,
};

const REQUESTED_BY: &str = "inspectors";
/// Changes are looked at again for so many milliseconds: two may be written in another order than
/// they were begun.
const OVERLAP_MS: i64 = 60_000;
/// Characters of a description in a question, whose text has 255 bytes at most.
const QUESTION_CHARS: usize = 60;
/// And in a text, which has 1,024.
const TEXT_CHARS: usize = 300;

/// The answers of a question, by their numbers in 0x0302.
const ANSWERS: [(u8, &str); 3] = [(1, "通过"), (2, "不通过"), (3, "无法判断")];

/// What has been sent, as far as this process knows; commands know it for good by their keys.
#[derive(Default)]
struct Told {
    tasks: HashMap<TaskId, CommandId>,
    lists: HashSet<TerminalId>,
    /// Cases that changed before have been looked at; none before the first look.
    until: Option<Timestamp>,
}

/// Sends tasks to terminals, and makes cases of pictures, until told to stop.
pub async fn run(gateway: Arc<Gateway>, inbox: PhotoInbox, stop: CancellationToken) {
    let photos = photos::run(Arc::clone(&gateway), inbox);
    let messages = send(&gateway);
    tokio::select! {
        () = stop.cancelled() => {}
        _ = async { tokio::join!(photos, messages) } => {}
    }
}

async fn send(gateway: &Gateway) {
    let mut interval = tokio::time::interval(gateway.config.inspectors.interval);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = Told::default();
    loop {
        interval.tick().await;
        if let Err(error) = look(gateway, &mut told).await {
            gateway.metrics.store_failed(&error);
            tracing::debug!(%error, "tasks cannot be read; later again");
        }
        set_events(gateway, &mut told).await;
    }
}

async fn look(gateway: &Gateway, told: &mut Told) -> Result<(), StoreError> {
    let started = clock::now();
    match told.until {
        None => {
            let place = Workplace::of(gateway);
            let mut from = None;
            loop {
                let wanted = |task: &Task| task.terminal.is_some();
                let page = tasks(&place, true, wanted, from, (PAGE as usize, usize::MAX)).await?;
                for (case, _) in &page.tasks {
                    follow(gateway, told, case).await;
                }
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
        }
        Some(until) => {
            let query = CaseQuery {
                order: CaseOrder::Changed,
                limit: PAGE,
                ..CaseQuery::default()
            };
            let mut pages = CasePages::new(&*gateway.store, query);
            while let Some(cases) = pages.next().await? {
                let changed = cases.iter().take_while(|case| case.changed_at >= until);
                for case in changed {
                    follow(gateway, told, case).await;
                }
                if cases.last().is_some_and(|case| case.changed_at < until) {
                    break;
                }
            }
        }
    }
    told.until = Some(started.plus_millis(-OVERLAP_MS));
    Ok(())
}

/// Sends the task that a case has, and takes back what is not asked any more.
async fn follow(gateway: &Gateway, told: &mut Told, case: &Case) {
    for task in &case.tasks {
        let id = TaskId {
            case: case.id,
            number: task.number,
        };
        if task.ended_at.is_some() {
            if let Some(command) = told.tasks.remove(&id) {
                // One that is over, or was sent, stays what it is.
                let by = Some(REQUESTED_BY.to_owned());
                gateway.commands.cancel(command, by).await.ok();
            }
            continue;
        }
        let Some(terminal) = task.terminal else {
            continue;
        };
        if told.tasks.contains_key(&id) {
            continue;
        }
        let revision = gateway.directory.revision_of(terminal);
        let full = words(case, task, revision);
        let short = words(&bare(case), task, revision);
        for (message, body) in [full, short] {
            let key = key_of(id);
            let (word, command) = enqueue(gateway, terminal, message, body, key).await;
            gateway
                .metrics
                .count("task_messages_total", "result", word, 1);
            if let Some(command) = command {
                told.tasks.insert(id, command);
            }
            // Only of words that GBK does not have there is a shorter way to say it.
            if word != "not_sendable" {
                break;
            }
        }
    }
}

/// The case without the words of people.
fn bare(case: &Case) -> Case {
    Case {
        description: String::new(),
        ..case.clone()
    }
}

/// The message and its fields.
fn words(case: &Case, task: &Task, revision: Option<Revision>) -> (&'static str, Value) {
    let what = match task.kind {
        TaskKind::Verification => "核实",
        TaskKind::Check => "核查",
    };
    let asks = matches!(revision, Some(Revision::V2011 | Revision::V2013));
    let chars = if asks { QUESTION_CHARS } else { TEXT_CHARS };
    let about: String = case.description.chars().take(chars).collect();
    let grid = case.unit_grid.as_deref().unwrap_or_default();
    let text = format!("{what} {} {grid} {about}", case.number());
    let text = text.trim_end();
    if asks {
        let answers = ANSWERS.map(|(id, text)| json!({"id": id, "text": text}));
        let body = json!({"flag": 1, "question": text, "answers": answers});
        ("question", body)
    } else {
        ("text_message", json!({"flag": 1, "text": text}))
    }
}

async fn enqueue(
    gateway: &Gateway,
    terminal: TerminalId,
    message: &str,
    body: Value,
    key: String,
) -> (&'static str, Option<CommandId>) {
    let body: Option<Object> = match body {
        Value::Object(body) => Some(body),
        _ => None,
    };
    let request = CommandRequest {
        message: message.to_owned(),
        body,
        idempotency_key: Some(key),
        requested_by: Some(REQUESTED_BY.to_owned()),
        ..CommandRequest::default()
    };
    let expiry = &gateway.config.commands.expiry;
    let revision = gateway.directory.revision_of(terminal);
    let command = match request.command(terminal, revision, clock::now(), expiry) {
        Ok(command) => command,
        Err(error) => {
            tracing::debug!(%error, "a message for an inspector cannot be said so");
            return ("not_sendable", None);
        }
    };
    match gateway.commands.enqueue(command).await {
        Ok(enqueued) => {
            let word = if enqueued.is_new { "queued" } else { "known" };
            (word, Some(enqueued.command.id))
        }
        Err(error) => {
            tracing::debug!(%error, "a message for an inspector is not queued");
            (error.reason(), None)
        }
    }
}

/// The list of events, for terminals that have one.
async fn set_events(gateway: &Gateway, told: &mut Told) {
    let config = &gateway.config.inspectors;
    let own = config.events.iter().map(|e| (e.id, e.text.as_str()));
    let answers = [config.pass_event, config.fail_event, config.unclear_event];
    let answers = answers.into_iter().zip(ANSWERS.map(|(_, text)| text));
    let events: Vec<Value> = own
        .chain(answers.filter(|(id, _)| *id > 0))
        .map(|(id, text)| json!({"id": id, "text": text}))
        .collect();
    if events.is_empty() {
        return;
    }
    let in_force = gateway.catalog.in_force();
    let terminals = in_force.snapshot.vehicles().iter().map(|v| v.terminal);
    for terminal in terminals {
        let is_his = inspector_with(&in_force.snapshot, &terminal).is_some();
        if !is_his || told.lists.contains(&terminal) {
            continue;
        }
        let revision = gateway.directory.revision_of(terminal);
        if !matches!(revision, Some(Revision::V2011 | Revision::V2013)) {
            continue;
        }
        let body = json!({"op": 1, "count": events.len(), "events": events});
        let key = format!(
            "events:{:08x}",
            crc32fast::hash(body.to_string().as_bytes())
        );
        let (word, command) = enqueue(gateway, terminal, "event_setting", body, key).await;
        // What cannot be said to one will not be said to him in a moment either.
        if command.is_some() || word == "not_sendable" {
            told.lists.insert(terminal);
        }
    }
}
