//! `POST /oauth/device/code` (RFC 8628 §3.1)

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::oauth::{OauthError, device};
use serde_json::json;

use super::{Takes, json as answer_json, read, refusal};
use crate::door::Door;

/// Keeps a device's request; see [`device::ask`].
pub async fn ask(State(door): State<Door>, request: Request<Body>) -> Response {
    answer(&door, request)
        .await
        .unwrap_or_else(|error| refusal(&error))
}

async fn answer(door: &Door, request: Request<Body>) -> Result<Response, OauthError> {
    let (head, params) = read(door, request, Takes::Form).await?;
    let asked = device::ask(&door.engine, &head, &params).await?;
    let body = json!({
        "device_code": asked.device_code.expose(),
        "user_code": asked.user_code,
        "verification_uri": asked.verification_uri,
        "verification_uri_complete": asked.verification_uri_complete,
        "expires_in": asked.expires_in_s,
        "interval": asked.interval_s,
    });
    Ok(answer_json(StatusCode::OK, &body))
}
