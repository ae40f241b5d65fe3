//! `/oidc/register` (RFC 7591) and `/oidc/register/{client_id}` (RFC 7592)

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::oauth::dynamic_registration::{self as registration, Registered};
use domain::oauth::{Code, OauthError, RequestHead};
use evidence::json::{Limits, parse_strict_object};
use serde_json::{Map, Value};

use super::{head, refusal, resource, text};
use crate::door::{Door, empty};

/// The longest registration, in bytes.
const LONGEST: usize = 64 * 1024;

async fn read(
    door: &Door,
    request: Request<Body>,
) -> Result<(RequestHead, Map<String, Value>), OauthError> {
    let bad = |words: &str| OauthError::new(Code::InvalidClientMetadata, words);
    let (parts, body) = request.into_parts();
    let head = head(door, &parts)?;
    let body = to_bytes(body, LONGEST)
        .await
        .map_err(|_| bad("the body is too long, or broke off"))?;
    let limits = Limits {
        bytes: LONGEST,
        ..Limits::BODY
    };
    let body = parse_strict_object(&body, limits)
        .map_err(|_| bad("the body is not a valid JSON object"))?;
    Ok((head, body))
}

fn head_of(door: &Door, request: Request<Body>) -> Result<RequestHead, OauthError> {
    head(door, &request.into_parts().0)
}

fn answer(door: &Door, status: StatusCode, outcome: Result<Registered, OauthError>) -> Response {
    match outcome {
        Ok(registered) => text(status, registered.body(&door.engine).expose().clone()),
        Err(error) => said(door, &error),
    }
}

fn said(door: &Door, error: &OauthError) -> Response {
    if error.code == Code::InvalidToken {
        return resource::refused(door, None, true, error);
    }
    refusal(error)
}

/// Registers a client.
pub async fn register(State(door): State<Door>, request: Request<Body>) -> Response {
    let outcome = async {
        let (head, body) = read(&door, request).await?;
        registration::register(&door.engine, &head, &body).await
    };
    let outcome = outcome.await;
    answer(&door, StatusCode::CREATED, outcome)
}

/// Reads a registration.
pub async fn read_back(
    State(door): State<Door>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Response {
    let outcome = async {
        let head = head_of(&door, request)?;
        registration::read_back(&door.engine, &head, &id).await
    };
    let outcome = outcome.await;
    answer(&door, StatusCode::OK, outcome)
}

/// Replaces a registration.
pub async fn replace(
    State(door): State<Door>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Response {
    let outcome = async {
        let (head, body) = read(&door, request).await?;
        registration::replace(&door.engine, &head, &id, &body).await
    };
    let outcome = outcome.await;
    answer(&door, StatusCode::OK, outcome)
}

/// Ends a registration.
pub async fn end(
    State(door): State<Door>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Response {
    let outcome = async {
        let head = head_of(&door, request)?;
        registration::end(&door.engine, &head, &id).await
    };
    match outcome.await {
        Ok(()) => empty(StatusCode::NO_CONTENT),
        Err(error) => said(&door, &error),
    }
}
