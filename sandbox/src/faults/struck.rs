//! The faults that struck one request, and what they do to its answer.

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Fault;
use crate::config::Provider;
use crate::serve::HangUp;

/// The faults that struck one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Struck(pub Vec<Fault>);

impl Struck {
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// The lifetime that a short expiry sets, in seconds.
    pub fn short_expiry(&self) -> Option<i64> {
        self.0.iter().find_map(|fault| match fault {
            Fault::ShortExpiry { seconds } => Some(*seconds),
            _ => None,
        })
    }

    pub fn slow_ms(&self) -> Option<u64> {
        self.0.iter().find_map(|fault| match fault {
            Fault::SlowAnswer { ms } => Some(*ms),
            _ => None,
        })
    }

    /// The scopes that are granted when `asked` were asked for.
    pub fn granted(&self, asked: &[String]) -> Vec<String> {
        let mut granted = asked.to_vec();
        if self.has(Fault::SubsetOfScopes) && granted.len() > 1 {
            granted.pop();
        }
        granted
    }

    /// Rewrites a token answer: no `expires_in`, scopes with commas.
    pub fn alter_token_answer(&self, answer: &mut Value) {
        for part in ["", "/authed_user"] {
            let Some(Value::Object(fields)) = answer.pointer_mut(part) else {
                continue;
            };
            if self.has(Fault::NoExpiresIn) {
                fields.remove("expires_in");
            }
            if self.has(Fault::CommaScopes)
                && let Some(Value::String(scope)) = fields.get_mut("scope")
            {
                *scope = scope.replace(' ', ",");
            }
        }
    }

    /// The answer to send instead of doing any work, if a fault says so.
    pub fn instead(&self, provider: Provider, elsewhere: &str) -> Option<Response> {
        self.0.iter().find_map(|fault| {
            Some(match fault {
                Fault::RateLimited { retry_after } => {
                    let mut answer = unwell(provider, StatusCode::TOO_MANY_REQUESTS, "ratelimited");
                    answer
                        .headers_mut()
                        .insert(header::RETRY_AFTER, (*retry_after).into());
                    answer
                }
                Fault::RateLimitedBare => {
                    unwell(provider, StatusCode::TOO_MANY_REQUESTS, "ratelimited")
                }
                Fault::ServerError => unwell(
                    provider,
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal_error",
                ),
                Fault::Unavailable => unwell(
                    provider,
                    StatusCode::SERVICE_UNAVAILABLE,
                    "service_unavailable",
                ),
                Fault::HtmlError => html(StatusCode::BAD_GATEWAY),
                Fault::HtmlPage => html(StatusCode::OK),
                Fault::OkFalse => {
                    axum::Json(json!({ "ok": false, "error": "internal_error" })).into_response()
                }
                Fault::RedirectOnToken => (
                    StatusCode::TEMPORARY_REDIRECT,
                    [(header::LOCATION, elsewhere.to_owned())],
                )
                    .into_response(),
                _ => return None,
            })
        })
    }

    /// What becomes of a finished answer on its way out.
    pub async fn spoil(&self, provider: Provider, answer: Response) -> Response {
        let mut answer = answer;
        for fault in &self.0 {
            answer = match fault {
                Fault::AnswerLostAfterRotation => HangUp::answer(),
                Fault::ErrorAfterRotation => unwell(
                    provider,
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal_error",
                ),
                Fault::EmptyBody => StatusCode::OK.into_response(),
                Fault::TruncatedJson => {
                    let (mut parts, whole) = taken_apart(answer).await;
                    parts.headers.remove(header::CONTENT_LENGTH);
                    Response::from_parts(parts, Body::from(whole.slice(..whole.len() / 2)))
                }
                Fault::HugeBody { mib } => {
                    let (mut parts, whole) = taken_apart(answer).await;
                    parts.headers.remove(header::CONTENT_LENGTH);
                    let padding = Bytes::from_static(&[b' '; 64 * 1024]);
                    let chunks = (0..*mib as usize * 16)
                        .map(move |_| padding.clone())
                        .chain(std::iter::once(whole))
                        .map(Ok::<_, std::convert::Infallible>);
                    Response::from_parts(parts, Body::from_stream(futures::stream::iter(chunks)))
                }
                _ => answer,
            };
        }
        answer
    }
}

async fn taken_apart(answer: Response) -> (axum::http::response::Parts, Bytes) {
    let (parts, body) = answer.into_parts();
    // Our own answers are small and cannot fail to be read.
    let whole = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    (parts, whole)
}

fn html(status: StatusCode) -> Response {
    let page = "<!doctype html><html><head><title>Bad gateway</title></head><body><h1>Something is in the way</h1></body></html>";
    (status, axum::response::Html(page)).into_response()
}

/// An error of the service itself, in its own shape.
fn unwell(provider: Provider, status: StatusCode, code: &str) -> Response {
    let body = match provider {
        Provider::Slack => json!({ "ok": false, "error": code }),
        Provider::Google => json!({ "error": {
            "code": status.as_u16(),
            "message": "The service cannot answer now.",
            "errors": [{ "domain": "global", "reason": "backendError", "message": "The service cannot answer now." }],
            "status": if status == StatusCode::TOO_MANY_REQUESTS { "RESOURCE_EXHAUSTED" } else { "UNAVAILABLE" },
        }}),
        Provider::Salesforce => json!([{
            "message": "The service cannot answer now.",
            "errorCode": if status == StatusCode::TOO_MANY_REQUESTS { "REQUEST_LIMIT_EXCEEDED" } else { "SERVER_UNAVAILABLE" },
        }]),
    };
    (status, axum::Json(body)).into_response()
}
