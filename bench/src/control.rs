//! The control: an axum server that reads the same form and writes the same JSON, and does nothing
//! in between. What it costs, no server on this stack goes below.

use axum::Router;
use axum::extract::Form;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::meter::Result;

/// As long as an ES256 access token of Attorn's.
const TOKEN: &str = concat!(
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6MDEyMzQ1Njc4OWFiY2RlZiIsInR5cCI6ImF0K2p3dCJ9.",
    "eyJhdWQiOiJodHRwczovL2FwaS5leGFtcGxlLmNvbS8iLCJjbGllbnRfaWQiOiJjbGlfMDEyMzQ1Njc4OWFiY2RlZmdoaWoiLCJleHAiOjE3",
    "OTU2MDMwOTQsImlhdCI6MTc5NTYwMjQ5NCwiaXNzIjoiaHR0cDovL2xvY2FsaG9zdDo4MDgwLyIsImp0aSI6Imp0aV8wMTIzNDU2Nzg5YWJj",
    "ZGVmZ2hpaiIsInNjb3BlIjoiIiwic3ViIjoiY2xpXzAxMjM0NTY3ODlhYmNkZWZnaGlqIn0.",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
);

/// As long as a user token of Slack's.
const SLACK_TOKEN: &str =
    "xoxp-012345678901-012345678901-012345678901-0123456789abcdef0123456789abcdef";

/// `attorn-bench control`: says its port on standard output and serves.
///
/// # Errors
/// When it cannot listen.
pub async fn serve() -> Result<()> {
    let router = Router::new()
        .route("/oauth/token", post(token))
        .route("/bc-authorize", post(backchannel));
    announced(router).await
}

/// Serves on a free port, which it says on standard output.
///
/// # Errors
/// When it cannot listen.
pub async fn announced(router: Router) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|error| error.to_string())?;
    let port = listener
        .local_addr()
        .map_err(|error| error.to_string())?
        .port();
    println!("{}", json!({ "port": port }));
    axum::serve(listener, router)
        .await
        .map_err(|error| error.to_string())
}

async fn token(Form(pairs): Form<Vec<(String, String)>>) -> Response {
    match value(&pairs, "grant_type") {
        Some("client_credentials") => answer(
            StatusCode::OK,
            &json!({
                "access_token": TOKEN,
                "token_type": "Bearer",
                "expires_in": 600,
                "scope": "",
            }),
        ),
        Some("refresh_token") => answer(
            StatusCode::OK,
            &json!({
                "access_token": TOKEN,
                "token_type": "Bearer",
                "expires_in": 600,
                "scope": "offline_access",
                "refresh_token": value(&pairs, "refresh_token"),
            }),
        ),
        Some("urn:ietf:params:oauth:grant-type:token-exchange") => answer(
            StatusCode::OK,
            &json!({
                "access_token": SLACK_TOKEN,
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "token_type": "Bearer",
                "expires_in": 3600,
                "scope": "channels:read chat:write",
            }),
        ),
        _ => answer(
            StatusCode::BAD_REQUEST,
            &json!({
                "error": "authorization_pending",
                "error_description": "the person has not decided yet",
            }),
        ),
    }
}

async fn backchannel(Form(pairs): Form<Vec<(String, String)>>) -> Response {
    answer(
        StatusCode::OK,
        &json!({
            "auth_req_id": value(&pairs, "client_secret"),
            "expires_in": 300,
            "interval": 5,
        }),
    )
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body.to_string()).into_response()
}
