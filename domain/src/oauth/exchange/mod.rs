//! Token exchange (RFC 8693): for tokens of linked accounts, and for tokens of
//! ours (`own`) where `audience` or `resource` names one of our audiences.
//!
//! The checks in order: client, subject, person, permission, account, scopes.
//! The last three are the vault's ([`crate::vault::release`]); the subject is
//! judged here:
//!
//! | `subject_token_type` | from whom | must be |
//! |---|---|---|
//! | refresh_token | the client it was issued to | live; it is not consumed |
//! | access_token | the client it was issued to, or the client registered as resource server of its audience | live, about a person, of no executable approval |
//!
//! The same is asked under two URNs; they differ only in how a refusal is
//! worded (RFC 8693 §2.2.2; Auth0's clients expect `invalid_grant`).

mod own;

use super::access::{self, Presented};
use super::clients::Client;
use super::error::{Code, OauthError};
use super::params::Params;
use super::refresh::{self, Standing};
use super::token::TokenAnswer;
use crate::secret::Secret;
use crate::vault::{self, Release};
use crate::{Engine, ids};

const TYPE_REFRESH: &str = "urn:ietf:params:oauth:token-type:refresh_token";
const TYPE_ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What Auth0's clients ask for.
const TYPE_FEDERATED: &str = "http://auth0.com/oauth/token-type/federated-connection-access-token";
/// A family's last use is written at most once a minute on this path.
const TOUCH_MS: i64 = 60_000;

/// What stands for the person.
pub enum SubjectToken {
    /// A refresh token of the client's own.
    Refresh(Secret<String>),
    /// An access token of ours.
    Access(Secret<String>),
}

/// An exchange, read but not yet judged.
pub struct ExchangeRequest {
    /// Asked under Auth0's URN.
    auth0: bool,
    subject: SubjectToken,
    connection: String,
    /// Named as `audience` or `resource` only, under the RFC's URN, and an
    /// access token is wanted: it may be one of our audiences.
    may_be_ours: bool,
    login_hint: Option<String>,
    scopes: Option<Vec<String>>,
    issued: String,
}

impl ExchangeRequest {
    /// Reads a request; `auth0` says under which of the two URNs.
    ///
    /// # Errors
    /// `invalid_request`, `invalid_scope`, `invalid_target`.
    pub(super) fn parse(params: &Params, auth0: bool) -> Result<Self, OauthError> {
        if params.get("actor_token").is_some() || params.get("actor_token_type").is_some() {
            return Err(OauthError::request("actor tokens are not supported"));
        }
        let token = Secret::from(params.need("subject_token")?);
        let subject = match params.need("subject_token_type")? {
            TYPE_REFRESH => SubjectToken::Refresh(token),
            TYPE_ACCESS => SubjectToken::Access(token),
            _ => {
                return Err(OauthError::request(
                    "this subject_token_type is not supported",
                ));
            }
        };
        let asked = params.get("requested_token_type");
        let issued = match asked {
            None if auth0 => TYPE_FEDERATED,
            None => TYPE_ACCESS,
            Some(known @ (TYPE_ACCESS | TYPE_FEDERATED)) => known,
            Some(_) => {
                return Err(OauthError::request(
                    "this requested_token_type is not supported",
                ));
            }
        };
        // A client that knows only RFC 8693 names the connection as `audience`.
        let connection = match (params.get("connection"), params.target()?) {
            (Some(connection), None) => connection,
            (None, Some(target)) => target,
            (Some(connection), Some(target)) if connection == target => connection,
            (Some(_), Some(_)) => {
                return Err(OauthError::new(
                    Code::InvalidTarget,
                    "connection and audience name different things",
                ));
            }
            (None, None) => {
                return Err(OauthError::request("the parameter connection is missing"));
            }
        };
        Ok(Self {
            auth0,
            subject,
            connection: connection.to_owned(),
            may_be_ours: !auth0 && params.get("connection").is_none() && issued == TYPE_ACCESS,
            login_hint: params.get("login_hint").map(str::to_owned),
            scopes: params.scopes()?,
            issued: issued.to_owned(),
        })
    }

    /// A bad subject token, in the words of the URN (RFC 8693 §2.2.2).
    fn bad_subject(auth0: bool, cause: impl std::fmt::Display) -> OauthError {
        let code = if auth0 {
            Code::InvalidGrant
        } else {
            Code::InvalidRequest
        };
        OauthError::new(code, "the subject token is not valid, or no longer").because(cause)
    }
}

/// What the vault refuses, in the words of the wire; for the proxy and others
/// who speak RFC 8693 (DESIGN §8.5).
#[must_use]
pub fn refusal(error: vault::Error) -> OauthError {
    refusal_under(false, error)
}

/// As [`refusal`], in the words of the URN that was asked under.
fn refusal_under(auth0: bool, error: vault::Error) -> OauthError {
    use vault::Error;
    let words = error.to_string();
    match error {
        Error::UnknownConnection { .. } => {
            let code = if auth0 {
                Code::InvalidRequest
            } else {
                Code::InvalidTarget
            };
            OauthError::new(code, words)
        }
        Error::NoAccount { link, .. } => {
            OauthError::new(Code::AccountNotFound, words).with("link", link)
        }
        Error::PermissionRequired { link, .. } => {
            OauthError::new(Code::PermissionRequired, words).with("link", link)
        }
        Error::Reconnect { link, reason, .. } => OauthError::new(Code::RefreshFlowFailed, words)
            .with("reason", reason.word())
            .with("link", link),
        Error::ProviderRefused { code, .. } => {
            OauthError::new(Code::RefreshFlowFailed, words).with("reason", code)
        }
        Error::ProviderDown { retry_after_s, .. } => {
            OauthError::new(Code::TemporarilyUnavailable, words).retry_after(retry_after_s)
        }
        Error::NotFound => OauthError::new(Code::AccountNotFound, words),
        Error::Invalid(words) => OauthError::request(words),
        Error::Keys(error) => error.into(),
        Error::Storage(error) => error.into(),
    }
}

pub(super) async fn exchange(
    engine: &Engine,
    client: &Client,
    request: ExchangeRequest,
    jkt: Option<String>,
) -> Result<TokenAnswer, OauthError> {
    let ExchangeRequest {
        auth0,
        subject,
        connection,
        may_be_ours,
        login_hint,
        scopes,
        issued,
    } = request;
    if may_be_ours && client.allowed_audiences(engine).contains(&connection) {
        let SubjectToken::Access(token) = subject else {
            return Err(OauthError::request(
                "a token for this audience comes from an access token, or from the refresh_token grant",
            ));
        };
        let subject = by_access_token(engine, client, auth0, &token).await?;
        return own::issue(engine, client, subject, connection, scopes, jkt).await;
    }
    let person_id = match subject {
        SubjectToken::Refresh(token) => by_refresh_token(engine, client, auth0, &token).await?,
        SubjectToken::Access(token) => {
            let (presented, _) = by_access_token(engine, client, auth0, &token).await?;
            presented
                .person_id
                .ok_or_else(|| ExchangeRequest::bad_subject(auth0, "about no person"))?
        }
    };
    let released = vault::release(
        engine,
        Release {
            client_id: client.id.clone(),
            person_id,
            connection,
            login_hint,
            scopes,
        },
    )
    .await
    .map_err(|error| refusal_under(auth0, error))?;
    Ok(TokenAnswer {
        expires_in: released.expires_in_s,
        issued_token_type: Some(issued),
        ..TokenAnswer::of(released.access_token, released.scopes)
    })
}

/// The person of a refresh token of this client. It is not consumed.
async fn by_refresh_token(
    engine: &Engine,
    client: &Client,
    auth0: bool,
    token: &Secret<String>,
) -> Result<String, OauthError> {
    if !ids::well_formed("att_rt", token.expose()) {
        return Err(ExchangeRequest::bad_subject(auth0, "not one of ours"));
    }
    let hash = refresh::hash(engine, token.expose());
    let mut rx = engine.store.reader().await?;
    let standing = refresh::standing(&mut rx, engine, &client.id, hash)
        .await
        .map_err(|error| match error.code {
            Code::InvalidGrant => {
                ExchangeRequest::bad_subject(auth0, error.cause.unwrap_or_default())
            }
            _ => error,
        })?;
    drop(rx);
    let (family, is_good) = match standing {
        Standing::Good(_, family) => (family, true),
        Standing::Reused(family) => (family, false),
    };
    let now = engine.now();
    let stale = family
        .last_used_at
        .is_none_or(|used| now - used >= TOUCH_MS);
    if !is_good || stale {
        let row = family.clone();
        engine
            .store
            .write(move |tx| {
                let family = row.clone();
                Box::pin(async move {
                    if is_good {
                        let idle = tx.now() + super::families::IDLE_MS;
                        tx.touch_family(&family.id, idle).await
                    } else {
                        refresh::reused(tx, &family).await
                    }
                })
            })
            .await?;
    }
    if !is_good {
        return Err(ExchangeRequest::bad_subject(
            auth0,
            "presented after its use; the family is revoked",
        ));
    }
    family
        .person_id
        .ok_or_else(|| ExchangeRequest::bad_subject(auth0, "about no person"))
}

/// As what a client presents an access token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// It was issued to it.
    Client,
    /// It is for its audience.
    ResourceServer,
}

/// An access token that this client may exchange.
async fn by_access_token(
    engine: &Engine,
    client: &Client,
    auth0: bool,
    token: &Secret<String>,
) -> Result<(Presented, Asker), OauthError> {
    let bad = |cause: &str| ExchangeRequest::bad_subject(auth0, cause);
    let presented = access::read(engine, token.expose())
        .await
        .map_err(|error| match error.code {
            Code::InvalidToken => bad(error.cause.as_deref().unwrap_or_default()),
            _ => error,
        })?;
    // RFC 8693 §2.1, RFC 9700 §4.10: a token of somebody else's found lying
    // about must buy nothing. The resource server it was meant for may use it.
    let own = presented.client_id == client.id;
    let served = client.resource_audience.as_deref() == Some(&presented.audience);
    if !own && !served {
        return Err(bad("neither its client nor its resource server asks"));
    }
    if presented.approval_id.is_some() {
        return Err(bad("an approval is good for its one call only"));
    }
    if presented.person_id.is_none() {
        return Err(bad("about no person"));
    }
    let asker = if own {
        Asker::Client
    } else {
        Asker::ResourceServer
    };
    Ok((presented, asker))
}
