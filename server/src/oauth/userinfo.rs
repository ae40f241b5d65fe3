//! `GET` and `POST /userinfo` (OpenID Connect Core §5.3)

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::oauth::userinfo;

use super::{head, json, refusal, resource};
use crate::door::Door;

/// Says whom a token is about; see [`userinfo::userinfo`]. The token is taken
/// in the `Authorization` header only.
pub async fn answer(State(door): State<Door>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let head = match head(&door, &parts) {
        Ok(head) => head,
        Err(error) => return refusal(&error),
    };
    match userinfo::userinfo(&door.engine, &head).await {
        Ok(claims) => json(StatusCode::OK, &claims),
        Err(error) => resource::refused(&door, None, head.authorization.is_some(), &error),
    }
}
