//! Demo only: an address that plays the person, through the same verb.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::approval::{self, Channel, Decide, DecideError, Decision};
use domain::oauth::Params;
use url::Url;

use crate::door::Door;

/// `POST …/decide?token={auth_req_id}&type=allow|deny`, or `binding_message=…`
/// instead of `token`. 404 while there is no such pending request.
pub async fn decide(
    State(door): State<Door>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    if let Some(origin) = headers.get(header::ORIGIN) {
        let ours = origin
            .to_str()
            .ok()
            .and_then(|origin| Url::parse(origin).ok())
            .is_some_and(|origin| origin.origin() == door.options.issuer.origin());
        if !ours {
            return says(
                StatusCode::FORBIDDEN,
                "this address is not for pages of other sites",
            );
        }
    }
    let Ok(params) = Params::form(query.unwrap_or_default().as_bytes()) else {
        return says(StatusCode::BAD_REQUEST, "the query is malformed");
    };
    let decision = match params.get("type") {
        Some("allow") => Decision::Approve,
        Some("deny") => Decision::Deny,
        _ => return says(StatusCode::BAD_REQUEST, "type is allow or deny"),
    };
    let found = match (params.get("token"), params.get("binding_message")) {
        (Some(token), None) => approval::find_by_auth_req(&door.engine, token).await,
        (None, Some(message)) => approval::find_by_binding_message(&door.engine, message).await,
        _ => return says(StatusCode::BAD_REQUEST, "give token or binding_message"),
    };
    let approval = match found {
        Ok(Some(approval)) => approval,
        Ok(None) => return says(StatusCode::NOT_FOUND, "there is no such request"),
        Err(error) => return failed(&error),
    };
    let ask = Decide {
        approval_id: approval.id,
        person_id: approval.person_id,
        decision,
        channel: Channel::Demo,
        address: None,
        user_agent: None,
        number: approval.in_force.number,
    };
    match approval::decide(&door.engine, ask).await {
        Ok(approval) => says(StatusCode::OK, &approval.state.to_string()),
        Err(DecideError::NotFound) => says(StatusCode::NOT_FOUND, "there is no such request"),
        Err(error @ (DecideError::AlreadyDecided { .. } | DecideError::Expired)) => {
            says(StatusCode::CONFLICT, &error.to_string())
        }
        Err(
            error @ (DecideError::NeedsPasskey
            | DecideError::NeedsDeviceBound
            | DecideError::Forbidden
            | DecideError::OthersApprove
            | DecideError::AlreadyYours
            | DecideError::WrongNumber { .. }
            | DecideError::Passkey(_)),
        ) => says(StatusCode::FORBIDDEN, &error.to_string()),
        Err(DecideError::Storage(error)) => failed(&error),
    }
}

fn says(status: StatusCode, words: &str) -> Response {
    (status, axum::Json(serde_json::json!({ "message": words }))).into_response()
}

fn failed(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "the demo could not decide");
    says(
        StatusCode::SERVICE_UNAVAILABLE,
        "the database does not answer",
    )
}
