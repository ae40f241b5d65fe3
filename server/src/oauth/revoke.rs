//! `POST /oauth/revoke` (RFC 7009)

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::oauth::{self, ClientCredentials, Code, OauthError, Via};

use super::{Takes, authorization, json, read, refusal};
use crate::door::Door;

/// Revokes a token of the authenticated client; an unknown one is no error (§2.2).
pub async fn revoke(State(door): State<Door>, request: Request<Body>) -> Response {
    answer(&door, request)
        .await
        .unwrap_or_else(|error| refusal(&error))
}

async fn answer(door: &Door, request: Request<Body>) -> Result<Response, OauthError> {
    let (headers, params) = read(request, Takes::FormOrJson).await?;
    let credentials = ClientCredentials::from_request(authorization(&headers)?, &params)?;
    let basic = credentials.via == Via::Basic;
    let client = oauth::authenticate(&door.engine, credentials)
        .await
        .map_err(|mut error| {
            error.basic_challenge = basic && error.code == Code::InvalidClient;
            error
        })?;
    oauth::revoke(&door.engine, &client, params.need("token")?).await?;
    Ok(json(StatusCode::OK, &serde_json::json!({})))
}
