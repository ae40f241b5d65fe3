//! `POST /oauth/revoke` (RFC 7009)

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::oauth::{self, OauthError};

use super::{Takes, json, read, refusal};
use crate::door::Door;

/// Revokes a token of the authenticated client; an unknown one is no error (§2.2).
pub async fn revoke(State(door): State<Door>, request: Request<Body>) -> Response {
    answer(&door, request)
        .await
        .unwrap_or_else(|error| refusal(&error))
}

async fn answer(door: &Door, request: Request<Body>) -> Result<Response, OauthError> {
    let (head, params) = read(door, request, Takes::FormOrJson).await?;
    let client = oauth::client_of(&door.engine, &head, &params).await?;
    oauth::revoke(&door.engine, &client, params.need("token")?).await?;
    Ok(json(StatusCode::OK, &serde_json::json!({})))
}
