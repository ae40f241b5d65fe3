//! Talking to a provider's token and identity endpoints.
//!
//! The `oauth2` crate makes the requests; the HTTP client handed to it
//! rewrites every answer to RFC 6749's shape by the provider's entry, so that
//! the rest of the vault sees one type. What an answer means for promise 1 is
//! decided here: refused for good, surely not done, or perhaps done and lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use oauth2::basic::{BasicClient, BasicErrorResponse, BasicErrorResponseType};
use oauth2::{
    AsyncHttpClient, AuthType, AuthorizationCode, ClientId, ClientSecret, HttpRequest,
    HttpResponse, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError,
    TokenResponse as _, TokenUrl,
};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;

use super::connections::Stored;
use super::providers::{AbsentExpiry, AnswerShape, ClientAuth, Provider, TokenBody};
use super::shapes::{Side, plain_rfc6749, plain_slack, save_successor};
use super::{TokenKind, legible};
use crate::Engine;
use crate::clock::Clock;
use crate::outbound::{self, Answer, Ask, Outbound};
use crate::secret::Secret;

/// How long a call to a token endpoint may take, hard.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Answers of token and identity endpoints are at most this long.
pub(super) const ANSWER_LIMIT: usize = 256 * 1024;

/// What a token endpoint is asked for.
pub(super) enum Grant<'a> {
    /// RFC 6749 §4.1.3 with RFC 7636 §4.5.
    Code {
        code: &'a Secret<String>,
        /// `None` for a provider that takes none.
        verifier: Option<&'a Secret<String>>,
        redirect_uri: &'a str,
    },
    /// RFC 6749 §6.
    Refresh {
        token: &'a Secret<String>,
        kind: TokenKind,
        /// Not sent after this (monotonic milliseconds): another may ask then.
        send_by: i64,
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
    /// What people know the account by, where the answer itself says it.
    pub label: Option<String>,
    /// Whether the app was installed for a whole organisation (Slack).
    pub for_org: bool,
    pub identity_url: Option<String>,
    pub instance_url: Option<String>,
    pub id_token: Option<Secret<String>>,
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
    let entry = &*stored.entry;
    let kind = match &grant {
        Grant::Code { .. } => None,
        Grant::Refresh { kind, .. } => Some(*kind),
    };
    let send_by = match &grant {
        Grant::Code { .. } => None,
        Grant::Refresh { send_by, .. } => Some(*send_by),
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
        outbound: stored.outbound(engine).clone(),
        entry: stored.entry.clone(),
        kind,
        clock: engine.clock.clone(),
        send_by,
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
            let client = client.set_redirect_uri(redirect);
            let mut request = client.exchange_code(AuthorizationCode::new(code.expose().clone()));
            if let Some(verifier) = verifier {
                let verifier = PkceCodeVerifier::new(verifier.expose().clone());
                request = request.set_pkce_verifier(verifier);
            }
            request.request_async(&http).await
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
    // What cannot be refreshed is used until it is refused: an end that nobody
    // named would only make its person link again.
    let lasts = kind.is_none() && answered.refresh_token().is_none() && expires_in.is_none();
    Ok(TokenAnswer {
        tokens: Tokens {
            access: Secret::new(answered.access_token().secret().clone()),
            refresh: answered
                .refresh_token()
                .map(|token| Secret::new(token.secret().clone())),
            scopes: answered.scopes().map(|scopes| {
                let names = scopes.iter().map(|scope| scope.to_string());
                // An empty text (GitHub Apps) is one empty name to the crate.
                names.filter(|name| !name.is_empty()).collect()
            }),
            expires_at: expires_at(
                entry,
                asked_at,
                expires_in,
                answered.refresh_token().is_some(),
            )
            .filter(|_| !lasts),
        },
        bot: side.bot.map(|bot| Tokens {
            expires_at: expires_at(entry, asked_at, bot.expires_in, bot.refresh.is_some()),
            access: bot.access,
            refresh: bot.refresh,
            scopes: bot.scopes,
        }),
        found: side.found,
    })
}

/// How long a token is taken to live that can be refreshed, does not say how
/// long it lives, and comes from a provider whose other tokens do not end (seconds).
const ASSUMED_S: i64 = 3600;

/// When a token ends, counted from before the request was sent.
fn expires_at(
    entry: &Provider,
    asked_at: i64,
    expires_in: Option<i64>,
    can_refresh: bool,
) -> Option<i64> {
    let seconds = expires_in.or(match entry.refresh.absent_expiry {
        // Who gives something to refresh with does not give tokens for ever.
        AbsentExpiry::Never => can_refresh.then_some(ASSUMED_S),
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

/// The client handed to the crate.
struct Http {
    outbound: Arc<dyn Outbound>,
    entry: Arc<Provider>,
    kind: Option<TokenKind>,
    clock: Arc<dyn Clock>,
    send_by: Option<i64>,
    side: Arc<Mutex<Side>>,
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = TokenError;
    type Future = BoxFuture<'c, Result<HttpResponse, TokenError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(exchange(self, request))
    }
}

/// The client's work: write, send, judge, rewrite.
async fn exchange(http: &Http, request: HttpRequest) -> Result<HttpResponse, TokenError> {
    let entry = &*http.entry;
    let (parts, mut body) = request.into_parts();
    let url = Url::parse(&parts.uri.to_string())
        .map_err(|_| TokenError::Refused("token_endpoint".to_owned()))?;
    let mut headers = parts.headers;
    headers.extend(own_headers(entry));
    if let Some(value) = headers.get_mut(AUTHORIZATION) {
        value.set_sensitive(true);
    }
    if entry.token_body == TokenBody::Json {
        let form: std::collections::BTreeMap<String, String> = serde_urlencoded::from_bytes(&body)
            .map_err(|_| TokenError::Refused("token_request".to_owned()))?;
        body = serde_json::to_vec(&form)
            .map_err(|_| TokenError::Refused("token_request".to_owned()))?;
        headers.insert(CONTENT_TYPE, JSON);
    }
    // As close to the sending as can be: nobody can call a request back.
    if http.send_by.is_some_and(|by| http.clock.monotonic() > by) {
        return Err(TokenError::NotSent);
    }
    let answer = send(
        &*http.outbound,
        parts.method,
        url,
        headers,
        Bytes::from(body),
    )
    .await?;
    let json = judged(entry, &answer)?;
    let mut plain = match entry.answer {
        AnswerShape::Rfc6749 | AnswerShape::Github => plain_rfc6749(entry, &json, &http.side),
        AnswerShape::Slack => plain_slack(&json, http.kind, &http.side),
    };
    if http.kind.is_some() {
        save_successor(&mut plain);
    }
    Ok(response(StatusCode::OK, &plain))
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The headers of every request to this provider's own endpoints.
pub(super) fn own_headers(entry: &Provider) -> HeaderMap {
    let mut headers: HeaderMap = entry
        .headers
        .iter()
        // An entry is checked before it is taken in.
        .filter_map(|(name, value)| {
            let name = HeaderName::try_from(name.as_str()).ok()?;
            Some((name, HeaderValue::try_from(value.as_str()).ok()?))
        })
        .collect();
    headers.insert(ACCEPT, JSON);
    headers
}

/// Adds our client's id and secret (RFC 6749 §2.3.1).
pub(super) async fn authenticate(
    engine: &Engine,
    stored: &Stored,
    way: ClientAuth,
    headers: &mut HeaderMap,
    form: &mut Vec<(&'static str, String)>,
) -> Result<(), TokenError> {
    let broken = |_| TokenError::Refused("client_secret".to_owned());
    let secret = stored
        .secret(engine)
        .await
        .map_err(|_| TokenError::Refused("client_secret".to_owned()))?;
    let id = &stored.connection.client_id;
    match way {
        ClientAuth::Post => {
            form.push(("client_id", id.clone()));
            form.push(("client_secret", secret.expose().clone()));
        }
        ClientAuth::Basic => {
            // RFC 6749 §2.3.1: form-encoded first.
            let encoded = |text: &str| -> String {
                url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
            };
            let pair = Secret::new(format!("{}:{}", encoded(id), encoded(secret.expose())));
            let basic = format!("Basic {}", STANDARD.encode(pair.expose()));
            let mut value = HeaderValue::try_from(basic).map_err(broken)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
    }
    Ok(())
}

fn response(status: StatusCode, json: &Value) -> HttpResponse {
    let mut response = HttpResponse::new(json.to_string().into_bytes());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) async fn send(
    outbound: &dyn Outbound,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answer, TokenError> {
    let ask = Ask {
        method,
        url,
        headers,
        body,
        timeout: CALL_TIMEOUT,
        limit: ANSWER_LIMIT,
    };
    let broken = TokenError::Lost("the connection broke or timed out");
    match outbound.send(ask).await {
        Ok(answer) => Ok(answer),
        // An object says itself where it ends. Only the end of the transfer is
        // missing then, and not a token that the provider gives only once.
        Err(outbound::Error::BrokeOff { came, .. }) => {
            if legible::is_of_use(&came.0) {
                Ok(*came.0)
            } else {
                Err(broken)
            }
        }
        Err(outbound::Error::NotSent(_)) => Err(TokenError::NotSent),
        Err(outbound::Error::Lost(_)) => Err(broken),
        Err(outbound::Error::TooLarge(_)) => Err(TokenError::Lost("the answer is too large")),
    }
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3). A date is counted from the
/// answer's own, so that nobody's clock has to be right.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let date = |name| OffsetDateTime::parse(text(name)?, &Rfc2822).ok();
    let seconds = match text(RETRY_AFTER)?.parse() {
        Ok(seconds) => seconds,
        Err(_) => {
            let left = date(RETRY_AFTER)? - date(DATE)?;
            u64::try_from(left.whole_seconds()).ok()?
        }
    };
    Some(seconds.clamp(1, 3600))
}

/// Everybody's words for being unwell (RFC 6749 §4.1.2.1): an outage, whatever the entry knows.
const DOWN: [&str; 2] = ["server_error", "temporarily_unavailable"];

/// The JSON of a good answer, or what the bad one means.
pub(super) fn judged(entry: &Provider, answer: &Answer) -> Result<Value, TokenError> {
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
    let Some(json) = legible::object(answer) else {
        return Err(TokenError::Lost("the answer cannot be read"));
    };
    let failed = json.get("ok") == Some(&Value::Bool(false))
        || !answer.status.is_success()
        // Some name every member there is, also of the other outcome.
        || json.get("error").is_some_and(|error| !error.is_null());
    if !failed {
        return Ok(json);
    }
    let code = entry
        .errors
        .code
        .iter()
        .find_map(|at| json.pointer(at)?.as_str())
        .unwrap_or_default();
    let is = |list: &[String]| list.iter().any(|known| known == code);
    Err(if is(&entry.errors.invalid_grant) {
        TokenError::InvalidGrant
    } else if is(&entry.errors.invalid_client) {
        TokenError::InvalidClient(safe_code(code))
    } else if is(&entry.errors.limited) {
        TokenError::Limited { retry_after_s }
    } else if is(&entry.errors.down) || DOWN.contains(&code) || code.is_empty() {
        TokenError::Down { retry_after_s }
    } else if answer.status.is_success() && !entry.answer.errors_with_200() {
        // A 200 with an error this provider is not known for.
        TokenError::Down { retry_after_s }
    } else {
        TokenError::Refused(safe_code(code))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::providers::{catalogue, provider};

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
    fn an_outage_is_no_refusal_whoever_has_it() {
        for id in ["slack", "google", "salesforce"] {
            for code in ["server_error", "temporarily_unavailable"] {
                for status in [200, 400] {
                    let body = format!(r#"{{"ok":false,"error":"{code}"}}"#);
                    assert_eq!(
                        meaning(id, status, &body),
                        TokenError::Down {
                            retry_after_s: None
                        },
                        "{id} {status} {code}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_provider_has_words_of_its_own() {
        use TokenError::{Down, InvalidClient, InvalidGrant, Limited, Refused};
        let down = Down {
            retry_after_s: None,
        };
        let limited = Limited {
            retry_after_s: None,
        };
        let client = |code: &str| InvalidClient(code.to_owned());
        let refused = |code: &str| Refused(code.to_owned());
        let cases = [
            (
                "github",
                200,
                r#"{"error":"bad_refresh_token"}"#,
                InvalidGrant,
            ),
            (
                "github",
                200,
                r#"{"error":"incorrect_client_credentials"}"#,
                client("incorrect_client_credentials"),
            ),
            (
                "github",
                200,
                "error=redirect_uri_mismatch&error_description=x",
                refused("redirect_uri_mismatch"),
            ),
            ("google", 200, r#"{"error":"something_new"}"#, down.clone()),
            (
                "microsoft",
                400,
                r#"{"error":"interaction_required","error_codes":[50076]}"#,
                InvalidGrant,
            ),
            (
                "microsoft",
                400,
                r#"{"error":"unauthorized_client"}"#,
                client("unauthorized_client"),
            ),
            (
                "atlassian",
                403,
                r#"{"error":"unauthorized_client"}"#,
                InvalidGrant,
            ),
            (
                "hubspot",
                400,
                r#"{"status":"BAD_REFRESH_TOKEN","message":"x"}"#,
                InvalidGrant,
            ),
            (
                "hubspot",
                400,
                r#"{"status":"error","category":"VALIDATION_ERROR"}"#,
                refused("VALIDATION_ERROR"),
            ),
            (
                "notion",
                400,
                r#"{"object":"error","code":"rate_limited"}"#,
                limited,
            ),
            (
                "dropbox",
                401,
                r#"{"error_summary":"expired_access_token/..","error":{".tag":"expired_access_token"}}"#,
                refused("expired_access_token"),
            ),
            (
                "zoom",
                400,
                r#"{"reason":"Invalid Token!","error":"invalid_grant"}"#,
                InvalidGrant,
            ),
        ];
        for (id, status, body, means) in cases {
            assert_eq!(meaning(id, status, body), means, "{id} {body}");
        }
    }

    #[test]
    fn a_date_to_come_back_at_is_counted_from_the_answers_own() {
        let after = |given: &[(http::HeaderName, &str)]| {
            let headers = given
                .iter()
                .map(|(name, value)| (name.clone(), HeaderValue::try_from(*value).unwrap()))
                .collect();
            retry_after(&headers)
        };
        let sent = (DATE, "Tue, 24 Nov 2026 08:00:00 GMT");
        let back = (RETRY_AFTER, "Tue, 24 Nov 2026 08:00:30 GMT");
        let past = (RETRY_AFTER, "Tue, 24 Nov 2026 07:00:00 GMT");
        assert_eq!(after(&[(RETRY_AFTER, " 9 ")]), Some(9));
        assert_eq!(after(&[(RETRY_AFTER, "86400")]), Some(3600));
        assert_eq!(after(&[sent.clone(), back.clone()]), Some(30));
        assert_eq!(after(&[back]), None);
        assert_eq!(after(&[sent, past]), None);
        assert_eq!(after(&[(RETRY_AFTER, "soon")]), None);
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
            for entry in catalogue() {
                assert_ne!(
                    meaning(&entry.id, status, body),
                    TokenError::InvalidGrant,
                    "{} {status} {body}",
                    entry.id
                );
            }
        }
    }
}
