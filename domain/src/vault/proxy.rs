//! The credential-injecting proxy: a call without the token.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use super::connections::Stored;
use super::providers::EncodedSlash;
use super::scrub::Scrubber;
use super::sql::AccountUse;
use super::{Account, FreshToken, Reason, approved, headers, pages, permitted, wire};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::oauth::{self, OauthError, Presented, RequestHead};
use crate::outbound::{self, Answer, Ask, Body, Open, Opened, Unheld};
use crate::storage;

/// What an agent sent.
#[derive(Clone)]
pub struct ProxyRequest<B = Bytes> {
    /// The connection's name.
    pub connection: String,
    /// Another host of the provider's entry than the first (`/proxy/{connection}/~{host}/…`).
    pub host: Option<String>,
    /// The method.
    pub method: Method,
    /// Raw path (with its first slash) and query, below the host's base
    /// (`/chat.postMessage`: Slack's base is `https://slack.com/api`).
    pub path_and_query: String,
    /// The agent's headers; which of them are passed on is decided here.
    pub headers: HeaderMap,
    /// The body.
    pub body: B,
}

/// What the provider answered, credentials scrubbed.
pub struct ProxyAnswer<B = Bytes> {
    /// The status.
    pub status: StatusCode,
    /// The headers that may be passed on.
    pub headers: HeaderMap,
    /// The body.
    pub body: B,
}

/// Why the call was not made, or has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The presented token is not good here. The cause is only logged.
    #[error("the access token is not good for this: {0}")]
    Token(OauthError),
    /// The request cannot be passed on; the sentence says why.
    #[error("{0}")]
    Refused(String),
    /// The approval does not cover this call, or was used already.
    #[error("the approval does not cover this: {0}")]
    Approval(String),
    /// A policy says that this call needs an approval.
    #[error("the policy {policy:?} says that this call needs an approval")]
    ApprovalRequired {
        /// The policy's name.
        policy: String,
        /// What to ask for, where a type of `authorization_details` can express it.
        details: Option<serde_json::Value>,
    },
    /// The request may have been carried out, but its answer is lost.
    #[error("the provider's answer was lost; whether the call was carried out is not known")]
    Unknown,
    /// The request's body is larger than may be passed on, in bytes.
    #[error("the request body is larger than {0} bytes")]
    BodyTooLarge(u64),
    /// The provider's answer is larger than may be held, in bytes.
    #[error("the provider's answer is larger than {0} bytes")]
    TooLarge(usize),
    /// Account, permission or provider.
    #[error(transparent)]
    Vault(#[from] super::Error),
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        Self::Vault(error.into())
    }
}

/// How long a call with an approval may take: its answer is held.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long nothing may move in a call that passes through.
const IDLE: Duration = Duration::from_secs(30);
/// How long the answer of such a call may take.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Bodies that pass through are at most this long, either way, in bytes.
pub const PASSING_LIMIT: u64 = 5 * 1024 * 1024 * 1024;
/// The body of a request with an approval is at most this long, in bytes: it
/// is compared with the approved one.
pub const REQUEST_LIMIT: usize = 10 * 1024 * 1024;
/// Answers that are held are at most this long, in bytes.
pub const ANSWER_LIMIT: usize = 25 * 1024 * 1024;
/// How much of a body is looked at to say what is to be asked for.
pub(super) const LOOKED_AT: usize = 64 * 1024;
/// A request's body of at most this many bytes is held, so that it can be sent
/// once more.
pub(super) const REPEATED: u64 = 1024 * 1024;

/// One call, decided upon: where it goes and whose it is.
pub(super) struct Call {
    pub(super) account: Account,
    pub(super) stored: Stored,
    pub(super) host: Option<String>,
    pub(super) method: Method,
    pub(super) path_and_query: String,
    pub(super) headers: HeaderMap,
}

impl Call {
    /// The path without its query, with the host where it is not the default.
    pub(super) fn path(&self) -> String {
        let path = self.path_and_query.split('?').next().unwrap_or_default();
        match &self.host {
            Some(host) => format!("~{host}{path}"),
            None => path.to_owned(),
        }
    }

    /// The call, if the provider reads its path as we do.
    pub(super) fn checked(self) -> Result<Self, Error> {
        headers::check_path(&self.path_and_query, self.stored.entry.encoded_slash)
            .map_err(refused)?;
        Ok(self)
    }

    /// Where it goes, with the token at hand. The raw path is kept.
    pub(super) fn url(&self, token: &FreshToken) -> Result<Url, Error> {
        let base = self
            .stored
            .endpoints
            .api(token.api_base.as_deref(), self.host.as_deref())?;
        let text = format!(
            "{}{}",
            base.as_str().trim_end_matches('/'),
            self.path_and_query
        );
        let url = Url::parse(&text).map_err(|_| refused("the path does not make a URL"))?;
        let path = text.split('?').next().unwrap_or_default();
        let same = url.origin() == base.origin() && url.as_str().split('?').next() == Some(path);
        if same {
            Ok(url)
        } else {
            Err(refused("the path is not in normal form"))
        }
    }
}

pub(super) fn refused(why: &str) -> Error {
    Error::Refused(why.to_owned())
}

/// Makes one call for the client and person of the access token in `head`, and
/// reads its answer.
///
/// # Errors
/// See [`Error`].
pub async fn call(
    engine: &Engine,
    head: &RequestHead,
    request: ProxyRequest,
) -> Result<ProxyAnswer, Error> {
    let answer = pass(engine, head, request.with_body(Body::Whole)).await?;
    let body = answer.body.whole(ANSWER_LIMIT).await;
    Ok(ProxyAnswer {
        status: answer.status,
        headers: answer.headers,
        body: body.map_err(|unheld| match unheld {
            Unheld::TooLarge => Error::TooLarge(ANSWER_LIMIT),
            Unheld::BrokeOff(_) => Error::Unknown,
        })?,
    })
}

impl<B> ProxyRequest<B> {
    fn with_body<C>(self, change: impl FnOnce(B) -> C) -> ProxyRequest<C> {
        ProxyRequest {
            connection: self.connection,
            host: self.host,
            method: self.method,
            path_and_query: self.path_and_query,
            headers: self.headers,
            body: change(self.body),
        }
    }
}

/// Makes one call for the client and person of the access token in `head`;
/// large bodies pass through, and the answer begins when the provider's does.
///
/// # Errors
/// See [`Error`].
pub async fn pass(
    engine: &Engine,
    head: &RequestHead,
    request: ProxyRequest<Body>,
) -> Result<ProxyAnswer<Body>, Error> {
    let audience = engine.settings.proxy_audience();
    let presented = oauth::present(engine, head, &audience)
        .await
        .map_err(Error::Token)?;
    let person = presented
        .person_id
        .clone()
        .ok_or_else(|| Error::Token(OauthError::token("it acts for nobody")))?;
    check(&request)?;
    match presented.approval_id.clone() {
        Some(approval) => {
            let body = held(request.body, REQUEST_LIMIT).await?;
            let request = ProxyRequest {
                connection: request.connection,
                host: request.host,
                method: request.method,
                path_and_query: request.path_and_query,
                headers: request.headers,
                body,
            };
            let answer = approved::call(engine, &presented, &person, &approval, request).await?;
            Ok(ProxyAnswer {
                status: answer.status,
                headers: answer.headers,
                body: answer.body.into(),
            })
        }
        None => permitted::call(engine, &presented, &person, request).await,
    }
}

/// The agent's body, all of it.
pub(super) async fn held(body: Body, limit: usize) -> Result<Bytes, Error> {
    body.whole(limit).await.map_err(|unheld| match unheld {
        Unheld::TooLarge => Error::BodyTooLarge(u64::try_from(limit).unwrap_or(u64::MAX)),
        Unheld::BrokeOff(_) => refused("the body of the request broke off"),
    })
}

fn check(request: &ProxyRequest<Body>) -> Result<(), Error> {
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    if !methods.contains(&request.method) {
        return Err(refused("this method does not pass the proxy"));
    }
    if let Some(name) = headers::method_override(&request.headers) {
        return Err(Error::Refused(format!(
            "the header {name} does not pass the proxy"
        )));
    }
    if request
        .body
        .length()
        .is_some_and(|length| length > PASSING_LIMIT)
    {
        return Err(Error::BodyTooLarge(PASSING_LIMIT));
    }
    // Whether an encoded slash is data is known with the provider: `Call::checked`.
    headers::check_path(&request.path_and_query, EncodedSlash::Data).map_err(refused)
}

/// The way out, and the headers with the credential in them.
fn outward(call: &Call, token: &FreshToken) -> Result<(Url, HeaderMap), Error> {
    let url = call.url(token)?;
    let mut headers = call.headers.clone();
    let credential =
        wire::bearer(&token.access).map_err(|_| refused("the token cannot be sent"))?;
    headers.extend(credential);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    debug_assert!(
        headers
            .get(AUTHORIZATION)
            .is_some_and(HeaderValue::is_sensitive)
    );
    Ok((url, headers))
}

/// Sends a call and reads its answer.
pub(super) async fn send(
    engine: &Engine,
    call: &Call,
    token: &FreshToken,
    body: Bytes,
) -> Result<Answer, Error> {
    let (url, headers) = outward(call, token)?;
    let ask = Ask {
        method: call.method.clone(),
        url,
        headers,
        body,
        timeout: TIMEOUT,
        limit: ANSWER_LIMIT,
    };
    let sent = call.stored.outbound(engine).send(ask).await;
    sent.map_err(|error| lost(call, error))
}

/// Sends a call whose bodies pass through.
pub(super) async fn open(
    engine: &Engine,
    call: &Call,
    token: &FreshToken,
    body: Body,
) -> Result<Opened, Error> {
    let (url, headers) = outward(call, token)?;
    let open = Open {
        method: call.method.clone(),
        url,
        headers,
        body,
        idle: IDLE,
        longest: LONGEST,
        limit: PASSING_LIMIT,
    };
    let opened = call.stored.outbound(engine).open(open).await;
    opened.map_err(|error| lost(call, error))
}

fn lost(call: &Call, error: outbound::Error) -> Error {
    let connection = call.account.connection.clone();
    match error {
        outbound::Error::NotSent(why) => {
            tracing::info!(why, connection, "a call could not be sent");
            Error::Vault(super::Error::ProviderDown {
                connection,
                retry_after_s: 5,
            })
        }
        outbound::Error::Lost(why) | outbound::Error::BrokeOff { why, .. } => {
            tracing::info!(why, connection, "an answer was lost");
            Error::Unknown
        }
        outbound::Error::TooLarge(limit) => Error::TooLarge(limit),
    }
}

pub(super) fn reconnect(engine: &Engine, call: &Call) -> Error {
    Error::Vault(super::Error::Reconnect {
        connection: call.account.connection.clone(),
        account_id: call.account.id.clone(),
        reason: Reason::Revoked,
        link: pages::link(engine, &call.account.connection),
    })
}

/// What may leave of the head of a provider's answer, and what scrubs its body.
pub(super) fn answered(
    call: &Call,
    token: &FreshToken,
    headers: &HeaderMap,
) -> Result<(HeaderMap, Scrubber), Error> {
    let mut headers = headers::passed(headers);
    if headers
        .get(http::header::CONTENT_ENCODING)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        // It was told to send plain bytes; what cannot be looked into stays here.
        tracing::warn!(
            connection = call.account.connection,
            "a provider compressed an answer unasked"
        );
        return Err(Error::Vault(super::Error::ProviderRefused {
            connection: call.account.connection.clone(),
            code: "content_encoding".to_owned(),
        }));
    }
    let scrubber = Scrubber::of(&token.access);
    scrubber.headers(&mut headers);
    Ok((headers, scrubber))
}

pub(super) fn event(
    kind: Kind,
    presented: &Presented,
    account: &Account,
    method: &Method,
    path: String,
) -> Event {
    let event = Event::new(kind)
        .person(&account.person_id)
        .client(&presented.client_id)
        .account(&account.id)
        .data("connection", account.connection.as_str())
        .data("method", method.as_str())
        // A path may name people: only a commitment to it enters the leaf.
        .private("path", path);
    match &presented.approval_id {
        Some(approval) => event.approval(approval),
        None => event,
    }
}

/// Records a call before its answer leaves, and what it told about the account.
pub(super) async fn record(
    engine: &Engine,
    presented: &Presented,
    call: &Call,
    sent: &Result<Answer, Error>,
    ended: bool,
) -> Result<(), Error> {
    let (status, outcome) = match sent {
        Ok(answer) => (Some(answer.status.as_u16()), "answered"),
        Err(Error::Unknown | Error::TooLarge(_)) => (None, "unknown"),
        Err(_) => (None, "not_sent"),
    };
    let facts = (
        presented.clone(),
        call.account.clone(),
        call.method.clone(),
        call.path(),
    );
    engine
        .store
        .write(move |tx| {
            let (presented, account, method, path) = facts.clone();
            Box::pin(async move {
                tx.note_use(&AccountUse::from(&account)).await?;
                let mut event = event(Kind::CallMade, &presented, &account, &method, path).data("outcome", outcome);
                if let Some(status) = status {
                    event = event.data("status", status);
                }
                tx.record(event);
                if ended {
                    tx.execute(
                        "update provider_grants set state = 'reconnect', updated_at = $2 where account_id = $1 and token_kind = 'user'",
                        vec![(&account.id).into(), tx.now().into()],
                    )
                    .await?;
                    tx.mark_reconnect(&account.id, &account.person_id, Reason::Revoked).await?;
                }
                Ok::<_, Error>(())
            })
        })
        .await
}
