//! `ANY /proxy/{connection}/…`: the call without the token.

use axum::Json;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::oauth::exchange;
use domain::outbound::{Body as Passing, BrokeOff};
use domain::vault::proxy;
use futures::TryStreamExt as _;
use serde_json::json;

use crate::door::Door;
use crate::oauth::resource;

/// Passes one call on.
pub async fn call(State(door): State<Door>, request: Request) -> Response {
    let Some((connection, host, path_and_query)) = target(&request) else {
        return error(
            StatusCode::NOT_FOUND,
            "invalid_request",
            "the address is /proxy/{connection}/{path}",
        );
    };
    let (parts, body) = request.into_parts();
    let head = match crate::oauth::head(&door, &parts) {
        Ok(head) => head,
        Err(refused) => return marked(crate::oauth::refusal(&refused)),
    };
    let length = body.size_hint().exact();
    let chunks = body
        .into_data_stream()
        .map_err(|error| BrokeOff(error.to_string()));
    let ask = proxy::ProxyRequest {
        connection,
        host,
        method: parts.method,
        path_and_query,
        headers: parts.headers,
        body: if length == Some(0) {
            Passing::Whole(Bytes::new())
        } else {
            Passing::Passing {
                chunks: Box::pin(chunks),
                length,
            }
        },
    };
    match proxy::pass(&door.engine, &head, ask).await {
        Ok(answer) => {
            let mut response = Response::new(match answer.body {
                Passing::Whole(bytes) => Body::from(bytes),
                Passing::Passing { chunks, .. } => Body::from_stream(chunks),
            });
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            // A provider's page must not run as ours.
            response.headers_mut().insert(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'"),
            );
            response
                .headers_mut()
                .insert("x-attorn-source", HeaderValue::from_static("provider"));
            response
        }
        Err(refused) => refusal(&door, head.authorization.is_some(), refused),
    }
}

/// Connection, host and the raw rest, as they stand in the request line.
fn target(request: &Request) -> Option<(String, Option<String>, String)> {
    let rest = request.uri().path().strip_prefix("/proxy/")?;
    let (connection, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, path) = match path.strip_prefix("/~") {
        Some(hosted) => {
            let (host, path) = hosted.split_at(hosted.find('/').unwrap_or(hosted.len()));
            (Some(host.to_owned()), path)
        }
        None => (None, path),
    };
    if connection.is_empty() {
        return None;
    }
    let path = if path.is_empty() { "/" } else { path };
    let query = request
        .uri()
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    Some((connection.to_owned(), host, format!("{path}{query}")))
}

fn error(status: StatusCode, code: &str, description: &str) -> Response {
    marked(
        (
            status,
            Json(json!({ "error": code, "error_description": description })),
        )
            .into_response(),
    )
}

fn refusal(door: &Door, presented: bool, refused: proxy::Error) -> Response {
    match refused {
        proxy::Error::Token(refused) => {
            marked(resource::refused(door, Some("proxy"), presented, &refused))
        }
        proxy::Error::Refused(why) => error(StatusCode::BAD_REQUEST, "invalid_request", &why),
        proxy::Error::Approval(why) => error(StatusCode::FORBIDDEN, "approval_mismatch", &why),
        proxy::Error::ApprovalRequired { policy, details } => {
            let mut body = json!({
                "error": "approval_required",
                "error_description": if details.is_some() {
                    "this call needs an approval: ask for one at /bc-authorize with these authorization_details, and send the call with the token of it"
                } else {
                    "this call needs an approval, and no type of authorization_details can express it as it stands"
                },
                "policy": policy,
            });
            if let Some(details) = details {
                body["authorization_details"] = details;
            }
            marked((StatusCode::FORBIDDEN, Json(body)).into_response())
        }
        proxy::Error::BodyTooLarge(limit) => error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request",
            &format!("the request body is larger than {limit} bytes"),
        ),
        proxy::Error::Unknown => error(
            StatusCode::BAD_GATEWAY,
            "outcome_unknown",
            "the provider may have carried the request out, but its answer is lost; it is not sent again",
        ),
        proxy::Error::TooLarge(limit) => error(
            StatusCode::BAD_GATEWAY,
            "answer_too_large",
            &format!("the provider's answer is larger than {limit} bytes"),
        ),
        proxy::Error::Vault(refused) => marked(crate::oauth::refusal(&exchange::refusal(refused))),
    }
}

/// Says that the answer is ours and not the provider's.
fn marked(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert("x-attorn-source", HeaderValue::from_static("attorn"));
    response
}
