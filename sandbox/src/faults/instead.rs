//! Answers that take the place of any work.

use axum::Json;
use axum::http::header::{DATE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::bytes::http_date;
use super::{Fault, Struck};
use crate::config::Provider;
use crate::line::Farewell;

/// Where a request is, as far as an answer in its place must know.
pub(crate) struct Place<'a> {
    pub provider: Provider,
    /// The sandbox's own address.
    pub url: &'a str,
    /// Unix milliseconds.
    pub now: i64,
}

impl Struck {
    /// The answer to send instead of doing any work, if a fault says so.
    pub fn instead(&self, place: &Place<'_>) -> Option<Response> {
        self.0.iter().find_map(|fault| instead(*fault, place))
    }
}

fn instead(fault: Fault, place: &Place<'_>) -> Option<Response> {
    let provider = place.provider;
    let unwell = |status: StatusCode, code: &str| unwell(provider, status, code);
    let elsewhere = || format!("{}/elsewhere", place.url);
    Some(match fault {
        Fault::RequestLost => Farewell::silent(),
        Fault::ConnectionReset => Farewell::reset(),
        Fault::RateLimited { retry_after } => {
            let answer = unwell(StatusCode::TOO_MANY_REQUESTS, "ratelimited");
            with(answer, RETRY_AFTER, retry_after.into())
        }
        Fault::RateLimitedUntil { seconds } => {
            let answer = unwell(StatusCode::TOO_MANY_REQUESTS, "ratelimited");
            // Its own date beside it, or a wound clock would make no sense.
            let answer = with(answer, DATE, http_date(place.now));
            with(
                answer,
                RETRY_AFTER,
                http_date(place.now + i64::from(seconds) * 1000),
            )
        }
        Fault::RateLimitedBare => unwell(StatusCode::TOO_MANY_REQUESTS, "ratelimited"),
        Fault::ServerError => unwell(StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        Fault::BadGateway => unwell(StatusCode::BAD_GATEWAY, "service_unavailable"),
        Fault::Unavailable => unwell(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable"),
        Fault::GatewayTimeout => unwell(StatusCode::GATEWAY_TIMEOUT, "request_timeout"),
        Fault::MaintenancePage { retry_after } => with(
            html(StatusCode::SERVICE_UNAVAILABLE),
            RETRY_AFTER,
            retry_after.into(),
        ),
        Fault::HtmlError => html(StatusCode::BAD_GATEWAY),
        Fault::HtmlPage => html(StatusCode::OK),
        Fault::OkFalse => said(
            StatusCode::OK,
            json!({ "ok": false, "error": "internal_error" }),
        ),
        Fault::ErrorIn200 => said(
            StatusCode::OK,
            json!({ "error": "temporarily_unavailable" }),
        ),
        Fault::ErrorAsText => (StatusCode::BAD_REQUEST, "invalid_grant").into_response(),
        Fault::ErrorAsObject => said(
            StatusCode::BAD_REQUEST,
            json!({ "error": { "message": "Please try again.", "type": "OAuthException", "code": 2 } }),
        ),
        Fault::UnknownErrorCode => {
            let status = match provider {
                Provider::Slack => StatusCode::OK,
                _ => StatusCode::BAD_REQUEST,
            };
            refused(provider, status, "policy_says_no", "policy_says_no")
        }
        Fault::InvalidGrant { status } => refused(
            provider,
            numbered(status),
            "invalid_grant",
            "invalid_refresh_token",
        ),
        Fault::InvalidClient { status } => refused(
            provider,
            numbered(status),
            "invalid_client",
            "bad_client_secret",
        ),
        Fault::RedirectFound => (StatusCode::FOUND, [(LOCATION, elsewhere())]).into_response(),
        Fault::RedirectOnToken => {
            (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, elsewhere())]).into_response()
        }
        Fault::RedirectPermanent => {
            (StatusCode::PERMANENT_REDIRECT, [(LOCATION, elsewhere())]).into_response()
        }
        Fault::RedirectAway => {
            let (from, to) = if place.url.contains("//127.0.0.1:") {
                ("//127.0.0.1:", "//localhost:")
            } else {
                ("//localhost:", "//127.0.0.1:")
            };
            let away = elsewhere().replacen(from, to, 1);
            (StatusCode::FOUND, [(LOCATION, away)]).into_response()
        }
        Fault::Unauthorized => unauthorized(provider),
        Fault::Forbidden => unwell(StatusCode::FORBIDDEN, "access_denied"),
        Fault::InsufficientScope => with(
            unwell(StatusCode::FORBIDDEN, "missing_scope"),
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer error=\"insufficient_scope\""),
        ),
        Fault::RevokeDoesNothing => match provider {
            Provider::Slack => said(StatusCode::OK, json!({ "ok": true, "revoked": true })),
            Provider::Google => said(StatusCode::OK, json!({})),
            Provider::Salesforce => StatusCode::OK.into_response(),
        },
        Fault::RevokeUnknownToken => {
            let status = match provider {
                Provider::Slack => StatusCode::OK,
                _ => StatusCode::BAD_REQUEST,
            };
            refused(provider, status, "invalid_token", "invalid_auth")
        }
        Fault::RevokeUnsupported => said(
            StatusCode::BAD_REQUEST,
            json!({ "error": "unsupported_token_type" }),
        ),
        _ => return None,
    })
}

fn said(status: StatusCode, body: Value) -> Response {
    (status, Json(body)).into_response()
}

fn with(mut answer: Response, name: axum::http::HeaderName, value: HeaderValue) -> Response {
    answer.headers_mut().insert(name, value);
    answer
}

/// A status by its number; what is none becomes 500.
fn numbered(status: u32) -> StatusCode {
    u16::try_from(status)
        .ok()
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// An error of the token or revocation endpoint: RFC 6749's code, or Slack's own.
fn refused(provider: Provider, status: StatusCode, code: &str, slack: &str) -> Response {
    match provider {
        Provider::Slack => said(status, json!({ "ok": false, "error": slack })),
        _ => said(
            status,
            json!({ "error": code, "error_description": "Refused on purpose." }),
        ),
    }
}

/// A refused access token (RFC 6750 §3.1), in the service's own shape.
pub(super) fn unauthorized(provider: Provider) -> Response {
    let body = match provider {
        Provider::Slack => json!({ "ok": false, "error": "invalid_auth" }),
        Provider::Google => json!({ "error": {
            "code": 401,
            "message": "Invalid Credentials",
            "errors": [{ "domain": "global", "reason": "authError", "message": "Invalid Credentials" }],
            "status": "UNAUTHENTICATED",
        }}),
        Provider::Salesforce => {
            json!([{ "message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID" }])
        }
    };
    with(
        said(StatusCode::UNAUTHORIZED, body),
        WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer error=\"invalid_token\""),
    )
}

pub(super) fn html(status: StatusCode) -> Response {
    let page = "<!doctype html><html><head><title>Bad gateway</title></head><body><h1>Something is in the way</h1></body></html>";
    (status, axum::response::Html(page)).into_response()
}

/// An error of the service itself, in its own shape.
pub(super) fn unwell(provider: Provider, status: StatusCode, code: &str) -> Response {
    let limited = status == StatusCode::TOO_MANY_REQUESTS;
    let body = match provider {
        Provider::Slack => json!({ "ok": false, "error": code }),
        Provider::Google => json!({ "error": {
            "code": status.as_u16(),
            "message": "The service cannot answer now.",
            "errors": [{ "domain": "global", "reason": "backendError", "message": "The service cannot answer now." }],
            "status": if limited { "RESOURCE_EXHAUSTED" } else { "UNAVAILABLE" },
        }}),
        Provider::Salesforce => json!([{
            "message": "The service cannot answer now.",
            "errorCode": if limited { "REQUEST_LIMIT_EXCEEDED" } else { "SERVER_UNAVAILABLE" },
        }]),
    };
    said(status, body)
}
