//! `GET` and `POST /userinfo` (OpenID Connect Core §5.3)

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use domain::oauth::{OauthError, RequestHead, userinfo};

use super::{Takes, head, json, media, read, refusal, resource};
use crate::door::Door;

/// Says whom a token is about; see [`userinfo::userinfo`]. The token is taken
/// in the `Authorization` header, and in the form of a POST (RFC 6750 §2.2).
pub async fn answer(State(door): State<Door>, request: Request<Body>) -> Response {
    let head = match presented(&door, request).await {
        Ok(head) => head,
        Err(error) => return refusal(&error),
    };
    match userinfo::userinfo(&door.engine, &head).await {
        Ok(claims) => json(StatusCode::OK, &claims),
        Err(error) => resource::refused(&door, None, head.authorization.is_some(), &error),
    }
}

/// The head of the request with the token in its header, wherever it was.
async fn presented(door: &Door, request: Request<Body>) -> Result<RequestHead, OauthError> {
    let form = request.method() == Method::POST
        && media(request.headers()).as_deref() == Some("application/x-www-form-urlencoded");
    if !form {
        return head(door, &request.into_parts().0);
    }
    let (mut head, params) = read(door, request, Takes::Form).await?;
    let Some(token) = params.get("access_token") else {
        return Ok(head);
    };
    if head.authorization.is_some() {
        return Err(OauthError::request(
            "the access token must be sent in one way (RFC 6750 §2)",
        ));
    }
    head.authorization = Some(format!("Bearer {token}"));
    Ok(head)
}
