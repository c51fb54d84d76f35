//! `/api/v1/commands`: what terminals are to do, and what became of it. `/api/v1/messages`: what can
//! be asked for.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::JsonRejection},
    http::StatusCode,
};
use protocols::jt808::message::{Answer, MessageId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use storage::commands::{
    Command, CommandId, CommandMove, CommandQuery, CommandState, EnqueueError, Refusal,
};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Problem,
    api::{Page, Shared, decode_cursor, encode_cursor, limit, terminal},
    openapi::words,
};
use crate::{
    Gateway,
    clock::{self, rfc3339},
    commands::{CancelError, CommandRequest, areas},
};

/// The longest that an answer is waited for within a request; seconds.
const WAIT_MAX_S: u64 = 300;

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(messages))
        .routes(routes!(list))
        .routes(routes!(one, cancel))
        .routes(routes!(enqueue))
        .routes(routes!(set_areas))
}

#[derive(Debug, Serialize, ToSchema)]
struct MessageView {
    id: String,
    name: &'static str,
    title: &'static str,
    /// The first revision that has it: 2011, 2013 or 2019.
    since: u16,
    /// `up` from terminals, `down` to them.
    direction: &'static str,
    /// It can be asked for as a command.
    is_command: bool,
    /// What the receiver sends back: `general`, or the name of a message, or both.
    answers: Vec<&'static str>,
}

/// Every message that has a layout here.
#[utoipa::path(
    get,
    path = "/messages",
    tag = "commands",
    responses(
        (status = 200, body = Page<MessageView>),
    ),
)]
async fn messages() -> Json<Page<MessageView>> {
    let view = |info: protocols::jt808::message::MessageInfo| {
        let is_downlink = info.id.is_downlink();
        MessageView {
            id: info.id.to_string(),
            name: info.name,
            title: info.title,
            since: info.since.year(),
            direction: if is_downlink { "down" } else { "up" },
            is_command: is_downlink && info.answer != Answer::None,
            answers: match info.answer {
                Answer::None => Vec::new(),
                Answer::General => vec!["general"],
                Answer::Message(id) => vec![id.name()],
                Answer::GeneralThen(id) | Answer::Either(id) => vec!["general", id.name()],
            },
        }
    };
    Json(Page {
        items: MessageId::ALL
            .iter()
            .filter_map(|id| id.info())
            .map(view)
            .collect(),
        next: None,
    })
}

#[derive(Debug, Serialize, ToSchema)]
struct CommandView {
    #[schema(value_type = String)]
    id: CommandId,
    phone: String,
    message_id: String,
    message: &'static str,
    /// The fields of its body, or `body_hex`.
    #[schema(value_type = Option<Object>)]
    body: Option<Box<RawValue>>,
    urgent: bool,
    /// `queued`, `sent`, `answered`, `failed`, `expired`, `cancelled`.
    #[schema(schema_with = words::command_state)]
    state: CommandState,
    /// Why it failed.
    reason: Option<String>,
    /// The result in the terminal's answer.
    result: Option<u8>,
    /// The fields of the terminal's answer, where that is more than a result.
    #[schema(value_type = Option<Object>)]
    answer: Option<Box<RawValue>>,
    attempts: u32,
    created_at: String,
    expires_at: String,
    sent_at: Option<String>,
    acknowledged_at: Option<String>,
    answered_at: Option<String>,
    closed_at: Option<String>,
    idempotency_key: Option<String>,
    requested_by: Option<String>,
}

impl From<Command> for CommandView {
    fn from(command: Command) -> Self {
        let raw = |text| RawValue::from_string(text).ok();
        Self {
            id: command.id,
            phone: command.terminal.to_string(),
            message_id: MessageId(command.message_id).to_string(),
            message: MessageId(command.message_id).name(),
            body: raw(command.content),
            urgent: command.is_urgent,
            state: command.state,
            reason: command.reason,
            result: command.result,
            answer: command.answer.and_then(raw),
            attempts: command.attempts,
            created_at: rfc3339(command.created_at),
            expires_at: rfc3339(command.expires_at),
            sent_at: command.sent_at.map(rfc3339),
            acknowledged_at: command.acknowledged_at.map(rfc3339),
            answered_at: command.answered_at.map(rfc3339),
            closed_at: command.closed_at.map(rfc3339),
            idempotency_key: command.idempotency_key,
            requested_by: command.requested_by,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CommandMoveView)]
struct MoveView {
    at: String,
    #[schema(schema_with = words::command_state)]
    state: CommandState,
    detail: String,
}

impl From<CommandMove> for MoveView {
    fn from(line: CommandMove) -> Self {
        Self {
            at: rfc3339(line.at),
            state: line.state,
            detail: line.detail,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct CommandWithHistory {
    #[serde(flatten)]
    command: CommandView,
    /// Oldest first.
    history: Vec<MoveView>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WaitParameters {
    /// Seconds to wait for the answer.
    wait: Option<u64>,
}

/// Queues a command for a terminal: 202 with it as it stands, 200 once it is over.
#[utoipa::path(
    post,
    path = "/terminals/{phone}/commands",
    tag = "commands",
    params(("phone" = String, Path), WaitParameters),
    request_body = CommandRequest,
    responses(
        (status = 200, description = "It is over.", body = CommandWithHistory),
        (status = 202, description = "It waits, or its answer has not come.", body = CommandWithHistory),
        (status = 409, description = "The idempotency key has another command."),
        (status = 413, description = "Its body is larger than commands may be."),
        (status = 429, description = "The queue, or that of the terminal, is full."),
    ),
)]
async fn enqueue(
    State(gateway): Shared,
    Path(phone): Path<String>,
    Query(parameters): Query<WaitParameters>,
    request: Result<Json<CommandRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<CommandWithHistory>), Problem> {
    let Json(request) = request?;
    let wait = parameters.wait.unwrap_or_default();
    if wait > WAIT_MAX_S {
        return Err(Problem::bad_request(format!("wait: at most {WAIT_MAX_S}")));
    }
    let terminal = terminal(&phone)?;
    let expiry = &gateway.config.commands.expiry;
    let revision = gateway.directory.revision_of(terminal);
    let command = request
        .command(terminal, revision, clock::now(), expiry)
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    let closed = gateway.commands.subscribe_closed();
    let enqueued = gateway.commands.enqueue(command).await.map_err(refused)?;
    let id = enqueued.command.id;
    if wait > 0 && enqueued.command.state.is_open() {
        let until = until_closed(id, closed);
        // What is not over by then is shown as it stands.
        tokio::time::timeout(Duration::from_secs(wait), until)
            .await
            .ok();
    }
    let command = read(&gateway, id).await?;
    let status = if command.command.state.is_open() {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(command)))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AreasRequest {
    /// Ids of fences of the catalog.
    fences: Vec<String>,
    /// Make the terminal forget them.
    #[serde(default)]
    delete: bool,
    #[serde(default)]
    requested_by: Option<String>,
}

/// Tells a terminal of our fences, a command for each. 202 with the commands.
#[utoipa::path(
    post,
    path = "/terminals/{phone}/areas",
    tag = "commands",
    params(("phone" = String, Path)),
    request_body = AreasRequest,
    responses(
        (status = 202, description = "A command for each.", body = Page<CommandView>),
        (status = 409, description = "The idempotency key has another command."),
        (status = 429, description = "The queue, or that of the terminal, is full."),
    ),
)]
async fn set_areas(
    State(gateway): Shared,
    Path(phone): Path<String>,
    asked: Result<Json<AreasRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<Page<CommandView>>), Problem> {
    let Json(asked) = asked?;
    let terminal = terminal(&phone)?;
    let snapshot = gateway.catalog.current();
    let requests = if asked.delete {
        areas::delete(&snapshot, &asked.fences)
    } else {
        areas::set(&snapshot, &asked.fences)
    };
    let expiry = &gateway.config.commands.expiry;
    let revision = gateway.directory.revision_of(terminal);
    let command = |request: CommandRequest| {
        let request = CommandRequest {
            requested_by: asked.requested_by.clone(),
            ..request
        };
        request
            .command(terminal, revision, clock::now(), expiry)
            .map_err(|error| Problem::bad_request(error.to_string()))
    };
    let commands = requests
        .map_err(|error| Problem::bad_request(error.to_string()))?
        .into_iter()
        .map(command)
        .collect::<Result<Vec<_>, _>>()?;
    let mut items = Vec::new();
    for command in commands {
        let enqueued = gateway.commands.enqueue(command).await.map_err(refused)?;
        items.push(enqueued.command.into());
    }
    Ok((StatusCode::ACCEPTED, Json(Page { items, next: None })))
}

/// Returns as well when it may have missed it.
async fn until_closed(id: CommandId, mut closed: Receiver<CommandId>) {
    loop {
        match closed.recv().await {
            Ok(other) if other != id => {}
            Ok(_) | Err(RecvError::Lagged(_) | RecvError::Closed) => return,
        }
    }
}

fn refused(error: EnqueueError) -> Problem {
    let detail = error.to_string();
    match error {
        EnqueueError::Store(error) => error.into(),
        EnqueueError::Refused(refusal) => {
            let status = match refusal {
                Refusal::KeyTaken { .. } => StatusCode::CONFLICT,
                Refusal::TerminalFull { .. }
                | Refusal::QueueFull { .. }
                | Refusal::QueueBytesFull { .. } => StatusCode::TOO_MANY_REQUESTS,
                Refusal::ContentTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                Refusal::NotJson | Refusal::WrongLength { .. } | Refusal::ExpiresAtOnce => {
                    StatusCode::BAD_REQUEST
                }
            };
            Problem::new(status, detail)
        }
    }
}

async fn read(gateway: &Gateway, id: CommandId) -> Result<CommandWithHistory, Problem> {
    let found = gateway
        .commands
        .in_background(move |store| store.get(id))
        .await?;
    let (command, history) = found.ok_or_else(|| Problem::not_found("no such command"))?;
    Ok(CommandWithHistory {
        command: command.into(),
        history: history.into_iter().map(Into::into).collect(),
    })
}

fn command_id(text: &str) -> Result<CommandId, Problem> {
    text.parse()
        .map_err(|_| Problem::not_found("no such command"))
}

/// One command, with what became of it.
#[utoipa::path(
    get,
    path = "/commands/{id}",
    tag = "commands",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = CommandWithHistory),
        (status = 404, description = "No such command."),
    ),
)]
async fn one(
    State(gateway): Shared,
    Path(id): Path<String>,
) -> Result<Json<CommandWithHistory>, Problem> {
    read(&gateway, command_id(&id)?).await.map(Json)
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CancelParameters {
    /// Who cancels.
    by: Option<String>,
}

/// Cancels a command that is not over.
#[utoipa::path(
    delete,
    path = "/commands/{id}",
    tag = "commands",
    params(("id" = String, Path), CancelParameters),
    responses(
        (status = 204, description = "It is cancelled."),
        (status = 404, description = "No such command."),
        (status = 409, description = "It is over already."),
    ),
)]
async fn cancel(
    State(gateway): Shared,
    Path(id): Path<String>,
    Query(parameters): Query<CancelParameters>,
) -> Result<StatusCode, Problem> {
    match gateway
        .commands
        .cancel(command_id(&id)?, parameters.by)
        .await
    {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(CancelError::Unknown) => Err(Problem::not_found("no such command")),
        Err(error @ CancelError::Closed(_)) => {
            Err(Problem::new(StatusCode::CONFLICT, error.to_string()))
        }
        Err(CancelError::Store(error)) => Err(error.into()),
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParameters {
    terminal: Option<String>,
    /// One state, or several with commas between them: `queued`, `sent`, `answered`, `failed`,
    /// `expired`, `cancelled`.
    state: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// Commands, the newest first.
#[utoipa::path(
    get,
    path = "/commands",
    tag = "commands",
    params(ListParameters),
    responses(
        (status = 200, body = Page<CommandView>),
    ),
)]
async fn list(
    State(gateway): Shared,
    Query(parameters): Query<ListParameters>,
) -> Result<Json<Page<CommandView>>, Problem> {
    let states = parameters.state.as_deref().unwrap_or_default();
    let state = |word: &str| {
        word.parse::<CommandState>()
            .map_err(|error| Problem::bad_request(format!("state: `{word}`: {error}")))
    };
    let query = CommandQuery {
        terminal: parameters.terminal.as_deref().map(terminal).transpose()?,
        states: states
            .split(',')
            .filter(|word| !word.is_empty())
            .map(state)
            .collect::<Result<_, _>>()?,
        before: decode_cursor(parameters.cursor.as_deref())?,
        limit: limit(parameters.limit)?,
    };
    let rows = gateway
        .commands
        .in_background(move |store| store.list(&query))
        .await?;
    // A page may end before its limit; the last one is empty.
    let next = rows.last().and_then(|last| encode_cursor(&last.number));
    Ok(Json(Page {
        items: rows.into_iter().map(Into::into).collect(),
        next,
    }))
}
