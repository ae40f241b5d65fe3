//! `POST /oauth/introspect` (RFC 7662)

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::oauth::{self, OauthError, introspect};

use super::{Takes, json, read, refusal};
use crate::door::Door;

/// Says what a token is worth; see [`introspect::introspect`].
pub async fn answer(State(door): State<Door>, request: Request<Body>) -> Response {
    told(&door, request)
        .await
        .unwrap_or_else(|error| refusal(&error))
}

async fn told(door: &Door, request: Request<Body>) -> Result<Response, OauthError> {
    let (head, params) = read(door, request, Takes::Form).await?;
    let client = oauth::client_of(&door.engine, &head, &params).await?;
    let about = introspect::introspect(&door.engine, &client, params.need("token")?).await?;
    Ok(json(StatusCode::OK, &about))
}
