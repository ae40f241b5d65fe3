//! `POST /oauth/token`

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::oauth::{OauthError, token};

use super::{Takes, read, refusal, text};
use crate::door::Door;

/// All grants; see [`token::answer`].
pub async fn token(State(door): State<Door>, request: Request<Body>) -> Response {
    answer(&door, request)
        .await
        .unwrap_or_else(|error| refusal(&error))
}

async fn answer(door: &Door, request: Request<Body>) -> Result<Response, OauthError> {
    let (head, params) = read(door, request, Takes::FormOrJson).await?;
    let answer = token::answer(&door.engine, &head, &params).await?;
    Ok(text(StatusCode::OK, answer.body().expose().clone()))
}
