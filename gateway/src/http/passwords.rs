//! `POST /api/v1/terminals/{phone}/password`: what a terminal shows in its MQTT CONNECT.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Problem,
    api::{Shared, terminal},
};
use crate::{Gateway, clock};

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new().routes(routes!(issue))
}

/// Shown once: the gateway keeps a digest of it.
#[derive(Serialize, ToSchema)]
struct PasswordView {
    phone: String,
    password: String,
}

/// A new password for MQTT.
#[utoipa::path(
    post,
    path = "/terminals/{phone}/password",
    tag = "terminals",
    params(("phone" = String, Path)),
    responses(
        (status = 201, description = "The only time that it is shown.", body = PasswordView),
        (status = 409, description = "The terminal may not have one."),
    ),
)]
async fn issue(
    State(gateway): Shared,
    Path(phone): Path<String>,
) -> Result<(StatusCode, Json<PasswordView>), Problem> {
    let failed = |why: &str| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why.to_owned());
    let terminal = terminal(&phone)?;
    // HTTP is for this machine alone.
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let welcome = gateway
        .directory
        .issue_password(terminal, address, clock::now())
        .map_err(|refusal| Problem::new(StatusCode::CONFLICT, refusal.advice().to_owned()))?
        .ok_or_else(|| failed("no randomness for a password"))?;
    if !welcome.saved.wait().await {
        return Err(failed("the registry could not be written in time"));
    }
    let view = PasswordView {
        phone: terminal.to_string(),
        password: welcome.code,
    };
    Ok((StatusCode::CREATED, Json(view)))
}
