//! Talking to a provider's token and identity endpoints.
//!
//! The `oauth2` crate makes the requests; the HTTP client handed to it
//! rewrites every answer to RFC 6749's shape by the provider's entry, so that
//! the rest of the vault sees one type. What an answer means for promise 1 is
//! decided here: refused for good, surely not done, or perhaps done and lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oauth2::basic::{BasicClient, BasicErrorResponse, BasicErrorResponseType};
use oauth2::{
    AsyncHttpClient, AuthType, AuthorizationCode, ClientId, ClientSecret, HttpRequest,
    HttpResponse, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError,
    TokenResponse as _, TokenUrl,
};
use serde_json::{Value, json};
use url::Url;

use super::TokenKind;
use super::connections::Stored;
use super::providers::{AbsentExpiry, AnswerShape, ClientAuth, IdentityFrom, Provider};
use crate::Engine;
use crate::outbound::{self, Answer, Ask};
use crate::secret::Secret;

/// How long a call to a token endpoint may take, hard.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Answers of token and identity endpoints are at most this long.
const ANSWER_LIMIT: usize = 256 * 1024;

/// What a token endpoint is asked for.
pub(super) enum Grant<'a> {
    /// RFC 6749 §4.1.3 with RFC 7636 §4.5.
    Code {
        code: &'a Secret<String>,
        verifier: &'a Secret<String>,
        redirect_uri: &'a str,
    },
    /// RFC 6749 §6.
    Refresh {
        token: &'a Secret<String>,
        kind: TokenKind,
    },
}

/// One token with what came beside it.
pub(super) struct Tokens {
    pub access: Secret<String>,
    pub refresh: Option<Secret<String>>,
    /// As answered; `None` means as asked for (RFC 6749 §5.1).
    pub scopes: Option<Vec<String>>,
    /// Unix milliseconds; `None` where the token does not end by itself.
    pub expires_at: Option<i64>,
}

/// A successful answer.
pub(super) struct TokenAnswer {
    pub tokens: Tokens,
    pub bot: Option<Tokens>,
    pub found: Found,
}

/// What else the answer said.
#[derive(Clone, Default)]
pub(super) struct Found {
    pub subject: Option<String>,
    pub tenant: Option<String>,
    pub tenant_name: Option<String>,
    pub identity_url: Option<String>,
    pub instance_url: Option<String>,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    /// Surely not received by the provider.
    #[error("not sent")]
    NotSent,
    /// Surely not carried out: too many requests.
    #[error("rate limited")]
    Limited { retry_after_s: Option<u64> },
    /// The provider is unwell; it may have been carried out.
    #[error("the provider is unwell")]
    Down { retry_after_s: Option<u64> },
    /// The answer was lost or cannot be read; it may have been carried out.
    #[error("the answer was lost: {0}")]
    Lost(&'static str),
    /// The grant is over (or the code is no good).
    #[error("invalid_grant")]
    InvalidGrant,
    /// Our client id or secret is refused.
    #[error("{0}")]
    InvalidClient(String),
    /// Refused for another reason.
    #[error("{0}")]
    Refused(String),
}

/// A provider's error code, made safe for logs, events and pages.
pub(super) fn safe_code(code: &str) -> String {
    let safe: String = code
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        .take(64)
        .collect();
    if safe.is_empty() {
        "unnamed".to_owned()
    } else {
        safe
    }
}

/// Asks the token endpoint.
pub(super) async fn ask_token(
    engine: &Engine,
    stored: &Stored,
    secret: &Secret<String>,
    grant: Grant<'_>,
) -> Result<TokenAnswer, TokenError> {
    let asked_at = engine.now();
    let entry = stored.entry;
    let kind = match &grant {
        Grant::Code { .. } => None,
        Grant::Refresh { kind, .. } => Some(*kind),
    };
    let side: Arc<Mutex<Side>> = Arc::default();
    let client = BasicClient::new(ClientId::new(stored.connection.client_id.clone()))
        .set_client_secret(ClientSecret::new(secret.expose().clone()))
        .set_auth_type(match entry.client_auth {
            ClientAuth::Post => AuthType::RequestBody,
            ClientAuth::Basic => AuthType::BasicAuth,
        })
        .set_token_uri(TokenUrl::from_url(stored.endpoints.token.clone()));
    let http = Http {
        engine: engine.clone(),
        entry,
        kind,
        side: side.clone(),
    };
    let answered = match grant {
        Grant::Code {
            code,
            verifier,
            redirect_uri,
        } => {
            let redirect = RedirectUrl::new(redirect_uri.to_owned())
                .map_err(|_| TokenError::Refused("redirect_uri".to_owned()))?;
            client
                .set_redirect_uri(redirect)
                .exchange_code(AuthorizationCode::new(code.expose().clone()))
                .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().clone()))
                .request_async(&http)
                .await
        }
        Grant::Refresh { token, .. } => {
            client
                .exchange_refresh_token(&RefreshToken::new(token.expose().clone()))
                .request_async(&http)
                .await
        }
    }
    .map_err(told)?;
    let side = std::mem::take(&mut *side.lock().unwrap_or_else(PoisonError::into_inner));
    let expires_in = answered
        .expires_in()
        .and_then(|after| i64::try_from(after.as_secs()).ok());
    Ok(TokenAnswer {
        tokens: Tokens {
            access: Secret::new(answered.access_token().secret().clone()),
            refresh: answered
                .refresh_token()
                .map(|token| Secret::new(token.secret().clone())),
            scopes: answered
                .scopes()
                .map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect()),
            expires_at: expires_at(entry, asked_at, expires_in),
        },
        bot: side.bot.map(|bot| Tokens {
            expires_at: expires_at(entry, asked_at, bot.expires_in),
            access: bot.access,
            refresh: bot.refresh,
            scopes: bot.scopes,
        }),
        found: side.found,
    })
}

/// When a token ends, counted from before the request was sent.
fn expires_at(entry: &Provider, asked_at: i64, expires_in: Option<i64>) -> Option<i64> {
    let seconds = expires_in.or(match entry.refresh.absent_expiry {
        AbsentExpiry::Never => None,
        AbsentExpiry::Assume => Some(entry.refresh.assume_seconds),
    })?;
    Some(asked_at.saturating_add(seconds.max(0).saturating_mul(1000)))
}

fn told(error: RequestTokenError<TokenError, BasicErrorResponse>) -> TokenError {
    match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            BasicErrorResponseType::InvalidGrant => TokenError::InvalidGrant,
            BasicErrorResponseType::InvalidClient => TokenError::InvalidClient(
                answer
                    .error_description()
                    .map_or_else(|| "invalid_client".to_owned(), Clone::clone),
            ),
            other => TokenError::Refused(safe_code(other.as_ref())),
        },
        RequestTokenError::Parse(..) => TokenError::Lost("the answer is not a token answer"),
        RequestTokenError::Other(_) => TokenError::Lost("the answer is empty"),
    }
}

/// What the client found beside the one token that the crate reads.
#[derive(Default)]
struct Side {
    found: Found,
    bot: Option<Bot>,
}

struct Bot {
    access: Secret<String>,
    refresh: Option<Secret<String>>,
    scopes: Option<Vec<String>>,
    expires_in: Option<i64>,
}

/// The client handed to the crate.
struct Http {
    engine: Engine,
    entry: &'static Provider,
    kind: Option<TokenKind>,
    side: Arc<Mutex<Side>>,
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = TokenError;
    type Future = BoxFuture<'c, Result<HttpResponse, TokenError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(exchange(
            &self.engine,
            self.entry,
            self.kind,
            request,
            &self.side,
        ))
    }
}

/// The client's work: send, judge, rewrite.
async fn exchange(
    engine: &Engine,
    entry: &'static Provider,
    kind: Option<TokenKind>,
    request: HttpRequest,
    side: &Mutex<Side>,
) -> Result<HttpResponse, TokenError> {
    let (parts, body) = request.into_parts();
    let url = Url::parse(&parts.uri.to_string())
        .map_err(|_| TokenError::Refused("token_endpoint".to_owned()))?;
    let mut headers = parts.headers;
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(value) = headers.get_mut(AUTHORIZATION) {
        value.set_sensitive(true);
    }
    let answer = send(engine, parts.method, url, headers, Bytes::from(body)).await?;
    let json = judged(entry, &answer)?;
    let plain = match entry.answer {
        AnswerShape::Rfc6749 => plain_rfc6749(entry, &json, side),
        AnswerShape::Slack => plain_slack(&json, kind, side),
    };
    Ok(response(StatusCode::OK, &plain))
}

fn response(status: StatusCode, json: &Value) -> HttpResponse {
    let mut response = HttpResponse::new(json.to_string().into_bytes());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn send(
    engine: &Engine,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answer, TokenError> {
    engine
        .outbound
        .send(Ask {
            method,
            url,
            headers,
            body,
            timeout: CALL_TIMEOUT,
            limit: ANSWER_LIMIT,
        })
        .await
        .map_err(|error| match error {
            outbound::Error::NotSent(_) => TokenError::NotSent,
            outbound::Error::Lost(_) => TokenError::Lost("the connection broke or timed out"),
            outbound::Error::TooLarge(_) => TokenError::Lost("the answer is too large"),
        })
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3; dates are left to our own backoff).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(|seconds: u64| seconds.clamp(1, 3600))
}

/// The JSON of a good answer, or what the bad one means.
fn judged(entry: &Provider, answer: &Answer) -> Result<Value, TokenError> {
    let retry_after_s = retry_after(&answer.headers);
    if answer.status == StatusCode::TOO_MANY_REQUESTS {
        return Err(TokenError::Limited { retry_after_s });
    }
    if answer.status.is_server_error() {
        return Err(TokenError::Down { retry_after_s });
    }
    if answer.status.is_redirection() {
        // Never followed: the request carries our secret.
        return Err(TokenError::Lost("the token endpoint redirects"));
    }
    // Not the strict parser: a doubled key in a provider's answer must not
    // cost a person their grant.
    let json = match serde_json::from_slice::<Value>(&answer.body) {
        Ok(json @ Value::Object(_)) => json,
        _ => return Err(TokenError::Lost("the answer is not JSON")),
    };
    let failed = json.get("ok") == Some(&Value::Bool(false))
        || !answer.status.is_success()
        || json.get("error").is_some();
    if !failed {
        return Ok(json);
    }
    let code = json
        .get("error")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let is = |list: &[String]| list.iter().any(|known| known == code);
    Err(if is(&entry.errors.invalid_grant) {
        TokenError::InvalidGrant
    } else if is(&entry.errors.invalid_client) {
        TokenError::InvalidClient(safe_code(code))
    } else if is(&entry.errors.limited) {
        TokenError::Limited { retry_after_s }
    } else if is(&entry.errors.down) || code.is_empty() {
        TokenError::Down { retry_after_s }
    } else if answer.status.is_success() && entry.answer == AnswerShape::Rfc6749 {
        // A 200 with an error this provider is not known for.
        TokenError::Down { retry_after_s }
    } else {
        TokenError::Refused(safe_code(code))
    })
}

fn text(json: &Value, pointer: &str) -> Option<String> {
    match json.pointer(pointer)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Scopes, however they are separated.
fn scopes(json: &Value) -> Option<Vec<String>> {
    json.get("scope")?.as_str().map(|scopes| {
        scopes
            .split([' ', ','])
            .filter(|scope| !scope.is_empty())
            .map(str::to_owned)
            .collect()
    })
}

fn seconds(json: &Value) -> Option<i64> {
    match json.get("expires_in")? {
        Value::String(text) => text.trim().parse().ok(),
        number => number.as_i64(),
    }
}

/// One token object in the shape of RFC 6749 §5.1.
fn standard(token: &Value) -> Value {
    let mut plain = json!({ "token_type": "bearer" });
    for name in ["access_token", "refresh_token"] {
        if let Some(value) = text(token, &format!("/{name}")) {
            plain[name] = value.into();
        }
    }
    if let Some(scopes) = scopes(token) {
        plain["scope"] = scopes.join(" ").into();
    }
    if let Some(seconds) = seconds(token) {
        plain["expires_in"] = seconds.max(0).into();
    }
    plain
}

fn plain_rfc6749(entry: &Provider, json: &Value, side: &Mutex<Side>) -> Value {
    let found = Found {
        identity_url: entry
            .identity
            .pointer
            .as_deref()
            .and_then(|at| text(json, at)),
        instance_url: entry
            .instance
            .as_ref()
            .and_then(|instance| text(json, &instance.pointer)),
        ..Found::default()
    };
    side.lock().unwrap_or_else(PoisonError::into_inner).found = found;
    standard(json)
}

/// Slack v2: the person's token nested in `authed_user`, the bot's at the top;
/// the answer to a refresh has its one token at the top.
fn plain_slack(json: &Value, kind: Option<TokenKind>, side: &Mutex<Side>) -> Value {
    let user = json
        .get("authed_user")
        .filter(|user| user.get("access_token").is_some());
    let top = json.get("access_token").is_some();
    let mut side = side.lock().unwrap_or_else(PoisonError::into_inner);
    side.found = Found {
        subject: text(json, "/authed_user/id"),
        tenant: text(json, "/team/id").or_else(|| text(json, "/enterprise/id")),
        tenant_name: text(json, "/team/name").or_else(|| text(json, "/enterprise/name")),
        ..Found::default()
    };
    match kind {
        Some(TokenKind::Bot) => standard(json),
        Some(TokenKind::User) => standard(if top { json } else { user.unwrap_or(json) }),
        None => {
            if top && json.get("token_type").and_then(Value::as_str) != Some("user") {
                side.bot = text(json, "/access_token").map(|access| Bot {
                    access: Secret::new(access),
                    refresh: text(json, "/refresh_token").map(Secret::new),
                    scopes: scopes(json),
                    expires_in: seconds(json),
                });
            }
            // Without a person's token the crate finds no `access_token`, and says so.
            user.map_or_else(
                || {
                    if side.bot.is_some() {
                        json!({})
                    } else {
                        standard(json)
                    }
                },
                standard,
            )
        }
    }
}

/// Who somebody is at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub tenant: String,
    pub subject: String,
    pub label: String,
}

/// Asks who the token speaks for, by the entry's rule.
pub(super) async fn identify(
    engine: &Engine,
    stored: &Stored,
    answer: &TokenAnswer,
) -> Result<Identity, TokenError> {
    let rule = &stored.entry.identity;
    let found = &answer.found;
    let unclear = || TokenError::Refused("identity_missing".to_owned());
    let url = match rule.from {
        IdentityFrom::TokenAnswer | IdentityFrom::Endpoint => {
            stored.endpoints.identity.clone().ok_or_else(unclear)?
        }
        IdentityFrom::AnswerUrl => {
            let url = found
                .identity_url
                .as_deref()
                .and_then(|url| Url::parse(url).ok());
            // The token goes there: only to the origin that gave it.
            url.filter(|url| url.origin() == stored.endpoints.token.origin())
                .ok_or_else(|| TokenError::Refused("identity_elsewhere".to_owned()))?
        }
    };
    let mut headers = bearer(&answer.tokens.access)?;
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let method = if rule.method == "POST" {
        Method::POST
    } else {
        Method::GET
    };
    let told = send(engine, method, url, headers, Bytes::new())
        .await
        .and_then(|answer| judged(stored.entry, &answer));
    let json = match (told, rule.from) {
        (Ok(json), _) => json,
        // The token answer has said who it is; only the name is missing.
        (Err(TokenError::Down { .. } | TokenError::Limited { .. }), IdentityFrom::TokenAnswer) => {
            Value::Null
        }
        (Err(error), _) => return Err(error),
    };
    let mut tenant = text(&json, &rule.tenant);
    let mut subject = text(&json, &rule.subject);
    if rule.from == IdentityFrom::TokenAnswer {
        let agrees = |said: &Option<String>, told: &Option<String>| {
            said.is_none() || told.is_none() || said == told
        };
        if !agrees(&subject, &found.subject) || !agrees(&tenant, &found.tenant) {
            return Err(TokenError::Refused("identity_mismatch".to_owned()));
        }
        tenant = found.tenant.clone().or(tenant);
        subject = found.subject.clone().or(subject);
    }
    let subject = subject.ok_or_else(unclear)?;
    let mut label = rule
        .label
        .iter()
        .find_map(|at| text(&json, at))
        .unwrap_or_else(|| subject.clone());
    if let Some(at) = &rule.tenant_label
        && let Some(name) = text(&json, at).or_else(|| found.tenant_name.clone())
    {
        label = format!("{label} in {name}");
    }
    Ok(Identity {
        tenant: tenant.unwrap_or_default(),
        subject,
        label: label
            .chars()
            .filter(|c| !c.is_control())
            .take(120)
            .collect(),
    })
}

/// An `Authorization` header with this token, marked sensitive.
pub(super) fn bearer(token: &Secret<String>) -> Result<HeaderMap, TokenError> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
        .map_err(|_| TokenError::Refused("token_unprintable".to_owned()))?;
    value.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, value);
    Ok(headers)
}

/// One call to a revocation endpoint. `Ok` when the token is surely no longer good.
pub(super) async fn ask_revoke(
    engine: &Engine,
    stored: &Stored,
    token: &Secret<String>,
) -> Result<(), TokenError> {
    use super::providers::RevocationStyle;
    let Some(url) = stored.endpoints.revoke.clone() else {
        return Ok(());
    };
    let (mut headers, body) = match stored.entry.revocation.style {
        RevocationStyle::Bearer => (bearer(token)?, String::new()),
        RevocationStyle::Form => {
            let pairs = [("token", token.expose().as_str())];
            let body = serde_urlencoded::to_string(pairs)
                .map_err(|_| TokenError::Refused("token_unprintable".to_owned()))?;
            (HeaderMap::new(), body)
        }
    };
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    let answer = send(engine, Method::POST, url, headers, Bytes::from(body)).await?;
    // RFC 7009 §2.2: an empty 200 is the good answer.
    if answer.status.is_success() && serde_json::from_slice::<Value>(&answer.body).is_err() {
        return Ok(());
    }
    match judged(stored.entry, &answer) {
        Ok(_) | Err(TokenError::InvalidGrant) => Ok(()),
        // RFC 7009 §2.2 and Google's and Salesforce's words for a token that is gone already.
        Err(TokenError::Refused(code))
            if matches!(code.as_str(), "invalid_token" | "unsupported_token_type") =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::providers::provider;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_owned()),
        }
    }

    fn meaning(id: &str, status: u16, body: &str) -> TokenError {
        judged(provider(id).unwrap(), &answer(status, body)).unwrap_err()
    }

    #[test]
    fn only_a_word_for_it_ends_a_grant() {
        assert_eq!(
            meaning("google", 400, r#"{"error":"invalid_grant"}"#),
            TokenError::InvalidGrant
        );
        assert_eq!(
            meaning("slack", 200, r#"{"ok":false,"error":"token_revoked"}"#),
            TokenError::InvalidGrant
        );
        for (status, body) in [
            (500, r#"{"error":"invalid_grant"}"#),
            (502, "<html>"),
            (400, ""),
            (200, "<html>"),
            (200, "{\"access_tok"),
            (302, ""),
            (429, ""),
            (400, r#"{"error":"invalid_request"}"#),
            (200, r#"{"ok":false,"error":"internal_error"}"#),
        ] {
            for id in ["slack", "google", "salesforce"] {
                assert_ne!(
                    meaning(id, status, body),
                    TokenError::InvalidGrant,
                    "{id} {status} {body}"
                );
            }
        }
    }

    #[test]
    fn slack_answers_become_standard_ones() {
        let json = json!({
            "ok": true, "access_token": "xoxb-1", "token_type": "bot", "scope": "a,b",
            "authed_user": { "id": "U1", "access_token": "xoxp-1", "scope": "chat:write,users:read", "expires_in": "10" },
            "team": { "id": "T1", "name": "Acme" },
        });
        let side = Mutex::default();
        let plain = plain_slack(&json, None, &side);
        assert_eq!(
            plain,
            json!({ "access_token": "xoxp-1", "token_type": "bearer", "scope": "chat:write users:read", "expires_in": 10 })
        );
        let side = side.into_inner().unwrap();
        assert_eq!(side.bot.unwrap().access.expose(), "xoxb-1");
        assert_eq!(side.found.tenant.as_deref(), Some("T1"));
        let refreshed = json!({ "ok": true, "access_token": "xoxe.xoxp-2", "token_type": "user", "authed_user": { "id": "U1" } });
        assert_eq!(
            plain_slack(&refreshed, Some(TokenKind::User), &Mutex::default())["access_token"],
            "xoxe.xoxp-2"
        );
    }
}
