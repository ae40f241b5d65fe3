//! One request as the lookalikes see it, and the door it comes through.
//!
//! Every request to a provider passes [`door`]: it is written to the log, the faults aimed at it are
//! taken, and its answer is held at a closed gate, slowed or spoilt on the way out.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::config::Provider;
use crate::control::Recorded;
use crate::faults::{Fault, Passing, Place, Struck};
use crate::store::Shared;

/// The largest request body that is read, in bytes.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// What kind of call a request is; faults and gates are aimed at kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Seen by a person in a browser; never spoilt.
    Page,
    /// A person's yes or no on the consent page.
    Consent,
    /// The token endpoint with a code (or with no grant type, which Slack takes for one).
    Code,
    /// The token endpoint with a refresh token.
    Refresh,
    /// The token endpoint with anything else.
    OtherGrant,
    Revoke,
    Identity,
    Api,
}

impl Call {
    pub fn is_token(self) -> bool {
        matches!(self, Call::Code | Call::Refresh | Call::OtherGrant)
    }

    fn of(method: &Method, path: &str, grant_type: Option<&str>) -> Call {
        match path {
            "/slack/api/oauth.v2.access"
            | "/google/token"
            | "/salesforce/services/oauth2/token" => match grant_type {
                None | Some("authorization_code") => Call::Code,
                Some("refresh_token") => Call::Refresh,
                Some(_) => Call::OtherGrant,
            },
            "/slack/api/auth.revoke" | "/google/revoke" | "/salesforce/services/oauth2/revoke" => {
                Call::Revoke
            }
            "/slack/api/auth.test"
            | "/google/oauth2/v2/userinfo"
            | "/google/v1/userinfo"
            | "/salesforce/services/oauth2/userinfo"
            | "/salesforce/services/oauth2/introspect" => Call::Identity,
            "/slack/oauth/v2/authorize"
            | "/google/o/oauth2/v2/auth"
            | "/salesforce/services/oauth2/authorize" => {
                if method == Method::POST {
                    Call::Consent
                } else {
                    Call::Page
                }
            }
            "/slack" | "/slack/" | "/" | "/elsewhere" => Call::Page,
            path if path.starts_with("/salesforce/id/") => Call::Identity,
            _ => Call::Api,
        }
    }
}

/// Named values in the order they came: a query string, a form, or the members of a JSON object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(pub Vec<(String, String)>);

impl Params {
    pub fn urlencoded(bytes: &[u8]) -> Params {
        Params(url::form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The first value of that name; an empty one counts as absent (RFC 6749 §3.1).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| &**value)
            .filter(|v| !v.is_empty())
    }
}

/// One request, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub method: Method,
    pub path: String,
    /// Path and query as they came, for a form that posts back to where it was shown.
    pub target: String,
    pub query: Params,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub faults: Struck,
}

impl Ask {
    fn content_type(&self) -> &str {
        self.headers
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    }

    /// The body as a form; empty when it is not declared as one.
    pub fn form(&self) -> Params {
        if self
            .content_type()
            .starts_with("application/x-www-form-urlencoded")
        {
            Params::urlencoded(&self.body)
        } else {
            Params::default()
        }
    }

    /// The body as JSON, when it is declared as JSON and is some.
    pub fn json(&self) -> Option<Value> {
        let declared = self.content_type().starts_with("application/json");
        declared
            .then(|| serde_json::from_slice(&self.body).ok())
            .flatten()
    }

    /// Query, then form, then the members of a JSON object: how Slack reads its arguments.
    pub fn arguments(&self) -> Params {
        let mut all = self.query.0.clone();
        all.extend(self.form().0);
        if let Some(Value::Object(members)) = self.json() {
            all.extend(members.into_iter().map(|(name, value)| match value {
                Value::String(text) => (name, text),
                other => (name, other.to_string()),
            }));
        }
        Params(all)
    }

    /// The token of `Authorization: Bearer` (RFC 6750 §2.1).
    pub fn bearer(&self) -> Option<&str> {
        let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// The token that was presented: in a header, a form or the query.
    pub fn credential(&self) -> Option<String> {
        let given = self.arguments();
        let named = ["token", "refresh_token", "code"]
            .into_iter()
            .find_map(|name| given.get(name));
        self.bearer().or(named).map(str::to_owned)
    }

    /// Client id and secret from HTTP Basic (each form-encoded first, RFC 6749 §2.3.1) or the form.
    pub fn client_credentials(&self) -> (Option<String>, Option<String>) {
        let basic = || -> Option<(String, String)> {
            let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
            let (scheme, coded) = value.split_once(' ')?;
            if !scheme.eq_ignore_ascii_case("basic") {
                return None;
            }
            let pair = String::from_utf8(BASE64_STANDARD.decode(coded.trim()).ok()?).ok()?;
            let (id, secret) = pair.split_once(':')?;
            Some((decoded(id), decoded(secret)))
        };
        match basic() {
            Some((id, secret)) => (Some(id), Some(secret)),
            None => {
                let form = self.form();
                (
                    form.get("client_id").map(str::to_owned),
                    form.get("client_secret").map(str::to_owned),
                )
            }
        }
    }
}

fn decoded(part: &str) -> String {
    let line = format!("v={part}");
    let decoded = url::form_urlencoded::parse(line.as_bytes())
        .next()
        .map(|(_, v)| v.into_owned());
    decoded.unwrap_or_default()
}

impl<S: Send + Sync> FromRequestParts<S> for Ask {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        parts
            .extensions
            .remove::<Ask>()
            .ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

pub(crate) async fn door(State(inner): State<Shared>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let mut ask = Ask {
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        target: parts
            .uri
            .path_and_query()
            .map(|t| t.as_str().to_owned())
            .unwrap_or_default(),
        query: Params::urlencoded(parts.uri.query().unwrap_or_default().as_bytes()),
        headers: parts.headers.clone(),
        body,
        faults: Struck::default(),
    };
    let grant_type = ask.form().get("grant_type").map(str::to_owned);
    let call = Call::of(&ask.method, &ask.path, grant_type.as_deref());
    let provider = Provider::of_path(&ask.path);

    let mut held_at = None;
    {
        let mut state = inner.state();
        state.record(provider, call, Recorded::of(&ask, grant_type, inner.now()));
        if let Some(provider) = provider {
            let client = state.client_of(provider, call, &ask);
            ask.faults = state.strike(provider, call, client.as_deref());
            held_at = state.gate(provider, call);
        }
    }
    match named_faults(&ask.headers) {
        Ok(named) => ask.faults.0.extend(named),
        Err(why) => return (StatusCode::BAD_REQUEST, why).into_response(),
    }
    let Some(provider) = provider.filter(|_| call != Call::Page) else {
        parts.extensions.insert(ask);
        return next.run(Request::from_parts(parts, Body::empty())).await;
    };

    let faults = ask.faults.clone();
    let passing = Passing {
        provider,
        credential: ask.credential().unwrap_or_default(),
        now: inner.now(),
    };
    let place = Place {
        provider,
        url: &inner.url,
        now: inner.now(),
    };
    let answer = match faults.instead(&place) {
        Some(answer) => answer,
        None => {
            parts.extensions.insert(ask);
            next.run(Request::from_parts(parts, Body::empty())).await
        }
    };
    if let Some(gate) = held_at {
        gate.pass().await;
    }
    if let Some(ms) = faults.slow_ms() {
        wait(ms).await;
    }
    faults.spoil(&passing, answer).await
}

/// The faults that a request asks for itself: names in `x-sandbox-fault`, separated by commas.
fn named_faults(headers: &HeaderMap) -> Result<Vec<Fault>, String> {
    let Some(named) = headers.get("x-sandbox-fault") else {
        return Ok(Vec::new());
    };
    let named = named.to_str().map_err(|why| why.to_string())?;
    named.split(',').map(|name| name.trim().parse()).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a slow provider is slow in real time"
)]
pub(crate) async fn wait(ms: u64) {
    tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
}
