//! `POST /bc-authorize` (CIBA Core 1.0 §7)

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::oauth::{OauthError, backchannel};

use super::{Takes, json, read, refusal, text};
use crate::door::Door;

/// Asks a person for an approval; see [`backchannel::answer`].
pub async fn request(State(door): State<Door>, request: Request<Body>) -> Response {
    answer(&door, request)
        .await
        .unwrap_or_else(|error| refusal(&error))
}

/// Takes a request back; see [`backchannel::cancel`].
pub async fn cancel(State(door): State<Door>, request: Request<Body>) -> Response {
    cancelled(&door, request)
        .await
        .unwrap_or_else(|error| refusal(&error))
}

async fn cancelled(door: &Door, request: Request<Body>) -> Result<Response, OauthError> {
    let (head, params) = read(door, request, Takes::Form).await?;
    let answer = backchannel::cancel(&door.engine, &head, &params).await?;
    Ok(json(StatusCode::OK, &answer))
}

async fn answer(door: &Door, request: Request<Body>) -> Result<Response, OauthError> {
    let (head, params) = read(door, request, Takes::Form).await?;
    let answer = backchannel::answer(&door.engine, &head, &params).await?;
    Ok(text(StatusCode::OK, answer.expose().clone()))
}
