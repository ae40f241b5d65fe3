//! The authorization server's endpoints (RFC 6749, 7009, 8414, 8693, CIBA Core 1.0).
//!
//! A handler reads the request strictly, authenticates the client, calls one
//! verb and writes the answer. No rule lives here.

pub mod authorize;
mod backchannel;
mod device;
mod introspect;
pub mod logout;
mod metadata;
mod par;
mod register;
pub mod resource;
mod revoke;
mod token;
mod userinfo;

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use domain::oauth::{self, Code, OauthError, Params, RequestHead};
use serde_json::Value;
use tower_http::cors::{Any, CorsLayer};

use crate::door::{ClientAddress, Door, Routine};

/// Endpoints that clients call; no cookies here.
pub fn routes() -> Router<Door> {
    Router::new()
        .route(
            "/.well-known/openid-configuration",
            get(metadata::openid_configuration),
        )
        .route(
            "/.well-known/oauth-authorization-server",
            get(metadata::authorization_server),
        )
        .route(
            "/.well-known/oauth-protected-resource/{resource}",
            get(metadata::protected_resource),
        )
        // RFC 9728 §3.1: the path of a resource, with its final slash.
        .route(
            "/.well-known/oauth-protected-resource/{resource}/",
            get(metadata::protected_resource),
        )
        .route("/.well-known/jwks.json", get(metadata::jwks))
        .route("/authorization-details", get(metadata::details_types))
        .route(
            "/authorization-details/{type}",
            get(metadata::details_schema),
        )
        .route("/oauth/token", post(token::token))
        .route("/oauth/revoke", post(revoke::revoke))
        .route("/oauth/introspect", post(introspect::answer))
        .route("/oauth/par", post(par::push))
        .route("/oauth/device/code", post(device::ask))
        .route("/userinfo", get(userinfo::answer).post(userinfo::answer))
        .route("/oidc/register", post(register::register))
        .route(
            "/oidc/register/{client_id}",
            get(register::read_back)
                .put(register::replace)
                .delete(register::end),
        )
        .route("/bc-authorize", post(backchannel::request))
        .route("/bc-authorize/cancel", post(backchannel::cancel))
        .layer(open_to_scripts())
        // Where browsers are sent, no script of another origin may ask (RFC 9700 §2.6).
        .route("/authorize", post(authorize::by_post))
        .route("/oidc/logout", post(logout::by_post))
}

/// Public clients are pages of other origins as well. Nothing here looks at a
/// cookie, so any origin may ask; what it gets it must pay for with a code and
/// its verifier.
pub fn open_to_scripts() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("dpop"),
            HeaderName::from_static("prefer"),
            // What Auth0's and MCP's libraries send of their own accord.
            HeaderName::from_static("auth0-client"),
            HeaderName::from_static("mcp-protocol-version"),
        ])
        .expose_headers([
            resource::DPOP_NONCE,
            header::WWW_AUTHENTICATE,
            header::RETRY_AFTER,
        ])
        .max_age(Duration::from_secs(3600))
}

/// An answer to a request with a proof has the nonce for the next one
/// (RFC 9449 §8.2), at every endpoint and resource.
pub async fn next_nonce(State(door): State<Door>, request: Request, next: Next) -> Response {
    let has_proof = request.headers().contains_key("dpop");
    let mut response = next.run(request).await;
    if has_proof && let Ok(value) = HeaderValue::from_str(&oauth::dpop::nonce(&door.engine)) {
        response.headers_mut().insert(resource::DPOP_NONCE, value);
    }
    response
}

/// Which bodies an endpoint takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// That, or a JSON object.
    FormOrJson,
}

/// What a request says outside its parameters. The address is the one the
/// outside knows: a proof or assertion names it.
pub fn head(door: &Door, parts: &Parts) -> Result<RequestHead, OauthError> {
    let path = parts.uri.path().trim_start_matches('/');
    RequestHead::new(
        &parts.headers,
        parts.method.as_str(),
        door.engine.settings.url(path),
        parts
            .extensions
            .get::<ClientAddress>()
            .and_then(|address| address.0),
    )
}

/// The network that a request came from, for counting.
fn network(extensions: &Extensions) -> String {
    let address = extensions.get::<ClientAddress>();
    let head = RequestHead {
        address: address.and_then(|address| address.0),
        ..RequestHead::default()
    };
    head.network()
}

/// The media type of a body, in lower case and without its parameters.
fn media(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let name = value.split(';').next().unwrap_or_default();
    Some(name.trim().to_ascii_lowercase())
}

/// Leads a browser that was sent with a form on to `path` with the same
/// parameters, as they are: what is wrong with them is told there.
///
/// # Errors
/// What is wrong with the body as such, and the request without it, for a page
/// that says so.
async fn led_on(
    request: Request<Body>,
    path: &str,
) -> Result<Response, (Request<Body>, OauthError)> {
    let (parts, body) = request.into_parts();
    let outcome = whole(body).await.and_then(|body| {
        if media(&parts.headers).as_deref() == Some(FORM) || body.is_empty() {
            return Ok(body);
        }
        Err(OauthError::request(format!("the body must be {FORM}")))
    });
    match outcome {
        Ok(body) => {
            let query: String = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(url::form_urlencoded::parse(&body))
                .finish();
            Ok(Redirect::to(&format!("{path}?{query}")).into_response())
        }
        Err(error) => Err((Request::from_parts(parts, Body::empty()), error)),
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// A body of bounded length.
async fn whole(body: Body) -> Result<Bytes, OauthError> {
    to_bytes(body, oauth::params::LONGEST).await.map_err(|_| {
        let mut error = OauthError::request("the body is too long, or broke off");
        error.status = StatusCode::PAYLOAD_TOO_LARGE.as_u16();
        error
    })
}

/// Reads a client's request.
async fn read(
    door: &Door,
    request: Request<Body>,
    takes: Takes,
) -> Result<(RequestHead, Params), OauthError> {
    let (parts, body) = request.into_parts();
    let head = head(door, &parts)?;
    let media = media(&parts.headers);
    let body = whole(body).await?;
    let params = match (media.as_deref(), takes) {
        (Some(FORM), _) => Params::form(&body)?,
        (Some("application/json"), Takes::FormOrJson) => Params::json(&body)?,
        (None, _) if body.is_empty() => Params::default(),
        (_, Takes::Form) => {
            return Err(OauthError::request(format!("the body must be {FORM}")));
        }
        (_, Takes::FormOrJson) => {
            return Err(OauthError::request(format!(
                "the body must be {FORM} or application/json"
            )));
        }
    };
    Ok((head, params))
}

/// A JSON answer that is never cached (RFC 6749 §5.1).
fn json(status: StatusCode, body: &Value) -> Response {
    text(status, body.to_string())
}

fn text(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// An error on the wire; what really happened is only logged.
#[must_use]
pub fn refusal(error: &OauthError) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let cause = error.cause.as_deref().unwrap_or_default();
    // Nothing is wrong: this is how a client that polls is answered.
    let waits = matches!(error.code, Code::AuthorizationPending | Code::SlowDown);
    if status.is_server_error() {
        tracing::error!(code = error.code.word(), cause, "refused");
    } else if waits {
        tracing::debug!(code = error.code.word(), "still waiting");
    } else {
        tracing::info!(code = error.code.word(), description = %error.plain(), cause, "refused");
    }
    let mut response = text(status, error.body());
    if waits {
        response.extensions_mut().insert(Routine);
    }
    if let Some(seconds) = error.retry_after_s {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if error.basic_challenge {
        response.headers_mut().insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"attorn\""),
        );
    }
    response
}
