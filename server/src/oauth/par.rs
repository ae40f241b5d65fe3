//! `POST /oauth/par` (RFC 9126)

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::oauth::{OauthError, par};
use serde_json::json;

use super::{Takes, json as answer_json, read, refusal};
use crate::door::Door;

/// Keeps a request; see [`par::push`].
pub async fn push(State(door): State<Door>, request: Request<Body>) -> Response {
    answer(&door, request)
        .await
        .unwrap_or_else(|error| refusal(&error))
}

async fn answer(door: &Door, request: Request<Body>) -> Result<Response, OauthError> {
    let (head, params) = read(door, request, Takes::Form).await?;
    let pushed = par::push(&door.engine, &head, &params).await?;
    let body = json!({ "request_uri": pushed.request_uri, "expires_in": pushed.expires_in });
    Ok(answer_json(StatusCode::CREATED, &body))
}
