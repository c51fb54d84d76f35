//! Moves that receivers of cases ask for: `/callbacks/{receiver}`.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use geofence::{
    case::{
        Case,
        desk::{Actor, MoveRequest},
        moves::{Move, Role},
    },
    units::Timestamp,
};
use serde::Serialize;
use storage::{
    outbox::Outbox,
    store::{MoveOrder, Moved, StoreError},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Problem, api::Shared};
use crate::{
    Gateway, case_desk, clock,
    config::Receiver,
    outlets::delivery::{
        callback::{self, Asked, Made, Mover, Outcome, Request, Taken},
        signature,
    },
};

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new().routes(routes!(take))
}

/// What a receiver is answered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallbackAnswer)]
struct Answer {
    stage: String,
    version: u32,
    repeated: bool,
}

/// A move that a receiver of cases asks for, signed as deliveries are.
#[utoipa::path(
    post,
    path = "/callbacks/{receiver}",
    tag = "deliveries",
    params(("receiver" = String, Path, description = "The name of the receiver that asks."), ("webhook-id" = String, Header, description = "The same again is the same move, made once."), ("webhook-timestamp" = String, Header, description = "When it was sent; seconds since 1970."), ("webhook-signature" = String, Header, description = "Signatures, separated by spaces.")),
    request_body = Asked,
    responses(
        (status = 200, description = "What the case is now.", body = Answer),
        (status = 401, description = "The signature or the time is not right."),
        (status = 404, description = "No such receiver, or no such case."),
        (status = 409, description = "It came before, or the move is refused."),
        (status = 413, description = "Longer than `delivery.callback_bytes_max`."),
        (status = 422, description = "`webhook-id` came before with another text."),
        (status = 503, description = "The store is away."),
    ),
)]
async fn take(
    State(gateway): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Answer>, Problem> {
    let count = |result: &str| {
        gateway
            .metrics
            .count("callbacks_total", "result", result, 1)
    };
    let config = &gateway.config.delivery;
    let Some(receiver) = config.receiver(&name) else {
        count("unknown_receiver");
        return Err(Problem::not_found("no such receiver"));
    };
    let limit = usize::try_from(config.callback_bytes_max).unwrap_or(usize::MAX);
    let Ok(body) = to_bytes(body, limit).await else {
        count("too_long");
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Err(Problem::new(
            status,
            "longer than delivery.callback_bytes_max",
        ));
    };
    let text = |name| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    };
    let request = Request {
        headers: (
            text(signature::ID),
            text(signature::TIMESTAMP),
            text(signature::SIGNATURE),
        ),
        body: &body,
        at: clock::now(),
    };
    let outbox: &dyn Outbox = &*gateway.store;
    let taken = callback::take(outbox, &*gateway, config, receiver, request).await;
    let taken = taken.inspect_err(|_| count("store_away"))?;
    count(taken.result());
    let problem = |status, detail: String| Err(Problem::new(status, detail));
    let (outcome, repeated) = match taken {
        Taken::Moved(outcome) => (outcome, false),
        Taken::Repeated(outcome) => (outcome, true),
        Taken::Untrusted(why) => return problem(StatusCode::UNAUTHORIZED, why.to_string()),
        Taken::Replayed => {
            return problem(StatusCode::CONFLICT, "this request came before".into());
        }
        Taken::KeyReused => {
            let detail = "webhook-id came before with another text";
            return problem(StatusCode::UNPROCESSABLE_ENTITY, detail.into());
        }
        Taken::Malformed(why) => return problem(StatusCode::BAD_REQUEST, why),
        Taken::Refused(why) => return problem(StatusCode::CONFLICT, why),
        Taken::Unknown => return Err(Problem::not_found("no such case")),
    };
    Ok(Json(Answer {
        stage: outcome.stage,
        version: outcome.version,
        repeated,
    }))
}

fn outcome(case: &Case) -> Outcome {
    Outcome {
        stage: case.stage.as_str().into(),
        version: case.version,
    }
}

/// In the jurisdiction of the receiver that the case lies in. What nobody outside may do stays so.
#[async_trait]
impl Mover for Gateway {
    async fn make(
        &self,
        receiver: &Receiver,
        asked: &Asked,
        key: &str,
        at: Timestamp,
    ) -> Result<Made, StoreError> {
        let refused = |why: &str| Ok(Made::Refused(why.to_owned()));
        let Some(case) = self.store.case(asked.case).await? else {
            return Ok(Made::Unknown);
        };
        let Some(name) = Move::from_word(&asked.name) else {
            return refused("move: no such move; /api/v1/case-moves has all");
        };
        let role = Role::from_word(&asked.role).filter(|role| *role != Role::System);
        let Some(role) = role else {
            return refused("role: no such role");
        };
        let places = &receiver.jurisdictions;
        let scope = places.iter().find(|place| case.concerns(place));
        if scope.is_none() && !places.is_empty() {
            return refused("the case is in none of the receiver's jurisdictions");
        }
        let by = Actor {
            name: format!("{}: {}", receiver.name, asked.actor),
            role,
            scope: scope.cloned().unwrap_or_default(),
            department: asked.department.clone(),
        };
        let order = MoveOrder {
            case: asked.case,
            request: MoveRequest {
                version: asked.version,
                key: Some(format!("callback {} {key}", receiver.name)),
                department: asked.department.clone(),
                jurisdiction: asked.jurisdiction.clone(),
                ..MoveRequest::new(name, by, &asked.remark)
            },
            at,
            desk: self.cases.desk(&self.catalog.in_force()),
        };
        match self.store.move_case(&order).await? {
            Moved::Done(written) => {
                case_desk::tell(&self.metrics, &written);
                let cases: Vec<Case> = written.into_iter().map(|one| one.case).collect();
                self.live.publish_cases(&cases);
                Ok(cases
                    .first()
                    .map_or(Made::Unknown, |case| Made::Done(outcome(case))))
            }
            Moved::Repeated(case) => Ok(Made::Done(outcome(&case))),
            Moved::Refused(refusal, case) => {
                let stage = case.stage.as_str();
                Ok(Made::Refused(format!("{refusal}; the case is {stage}")))
            }
            Moved::Unknown => Ok(Made::Unknown),
        }
    }
}
