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
//! | jwt | a privileged worker ([`worker`]) | signed by it, once, within a minute |
//!
//! For a token of ours the client named in the subject token's `may_act` may
//! ask too. `actor_token` is an access token of the asking client's own: whom it
//! is about is who acts (RFC 8693 §2.1, §4.1, §4.4).
//!
//! The same is asked under two URNs; they differ only in how a refusal is
//! worded (RFC 8693 §2.2.2; Auth0's clients expect `invalid_grant`).

mod own;
pub mod worker;

use super::access::{self, Presented};
use super::clients::Client;
use super::error::{Code, OauthError};
use super::networks;
use super::params::Params;
use super::refresh::{self, Standing};
use super::request_head::RequestHead;
use super::token::TokenAnswer;
use crate::secret::Secret;
use crate::vault::{self, Release};
use crate::{Engine, ids};

const TYPE_REFRESH: &str = "urn:ietf:params:oauth:token-type:refresh_token";
const TYPE_ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const TYPE_JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
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
    /// What a privileged worker signed.
    Worker(Secret<String>),
}

/// An exchange, read but not yet judged.
pub struct ExchangeRequest {
    /// Asked under Auth0's URN.
    auth0: bool,
    subject: SubjectToken,
    actor: Option<Secret<String>>,
    /// A connection or an audience; empty for the subject's own audience.
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
        // RFC 8693 §2.1: one needs the other.
        let actor = match (params.get("actor_token"), params.get("actor_token_type")) {
            (None, None) => None,
            (Some(token), Some(TYPE_ACCESS | TYPE_JWT)) => Some(Secret::from(token)),
            (Some(_), Some(_)) => {
                return Err(OauthError::request(
                    "this actor_token_type is not supported",
                ));
            }
            (Some(_), None) => return Err(OauthError::request("actor_token_type is missing")),
            (None, Some(_)) => {
                return Err(OauthError::request(
                    "actor_token_type comes only with an actor_token",
                ));
            }
        };
        let token = Secret::from(params.need("subject_token")?);
        let subject = match params.need("subject_token_type")? {
            TYPE_REFRESH => SubjectToken::Refresh(token),
            TYPE_ACCESS => SubjectToken::Access(token),
            TYPE_JWT => SubjectToken::Worker(token),
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
            // Access tokens of ours are JWTs; a provider's are whatever they are.
            Some(TYPE_JWT) if !auth0 => TYPE_JWT,
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
            // RFC 8693 §2.1 lets the target be left out: the same audience, less of it.
            (None, None)
                if !auth0
                    && issued != TYPE_FEDERATED
                    && matches!(subject, SubjectToken::Access(_)) =>
            {
                ""
            }
            (None, None) => {
                return Err(OauthError::request("the parameter connection is missing"));
            }
        };
        Ok(Self {
            auth0,
            subject,
            actor,
            connection: connection.to_owned(),
            may_be_ours: !auth0 && params.get("connection").is_none() && issued != TYPE_FEDERATED,
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
        Error::ApprovalRequired { link, .. } => OauthError::new(Code::PermissionRequired, words)
            .with("reason", "approval_required")
            .with("link", link),
        Error::Reconnect { link, reason, .. } => OauthError::new(Code::RefreshFlowFailed, words)
            .with("reason", reason.word())
            .with("link", link),
        Error::ProviderRefused { code, .. } => {
            OauthError::new(Code::RefreshFlowFailed, words).with("reason", code)
        }
        Error::ProviderDown { retry_after_s, .. } => {
            OauthError::new(Code::TemporarilyUnavailable, words).retry_after(retry_after_s)
        }
        Error::NotAdopted => OauthError::new(Code::TemporarilyUnavailable, words)
            .with("reason", "not_adopted")
            .retry_after(60),
        Error::BeyondWorker { .. } => OauthError::new(Code::InvalidScope, words),
        Error::NotFound => OauthError::new(Code::AccountNotFound, words),
        Error::Invalid(words) => OauthError::request(words),
        Error::Keys(error) => error.into(),
        Error::Storage(error) => error.into(),
    }
}

pub(super) async fn exchange(
    engine: &Engine,
    head: &RequestHead,
    client: &Client,
    request: ExchangeRequest,
    jkt: Option<String>,
) -> Result<TokenAnswer, OauthError> {
    let ExchangeRequest {
        auth0,
        subject,
        actor,
        connection,
        may_be_ours,
        login_hint,
        scopes,
        issued,
    } = request;
    let ours = connection.is_empty() || client.allowed_audiences(engine).contains(&connection);
    if may_be_ours && ours {
        let SubjectToken::Access(token) = subject else {
            return Err(OauthError::request(
                "a token for this audience comes from an access token, or from the refresh_token grant",
            ));
        };
        let (subject, asker) = by_access_token(engine, client, auth0, &token).await?;
        let actor = match actor {
            Some(token) => Some(acting(engine, client, &subject, &token).await?),
            None => None,
        };
        let wanted = own::Wanted {
            audience: if connection.is_empty() {
                subject.audience.clone()
            } else {
                connection
            },
            scopes,
            actor,
            issued,
        };
        return own::issue(engine, client, (subject, asker), wanted, jkt).await;
    }
    if actor.is_some() {
        return Err(OauthError::request(
            "a provider's token says nobody who acts; leave out actor_token",
        ));
    }
    if issued == TYPE_JWT {
        return Err(OauthError::request(
            "a provider's token is asked for as an access_token",
        ));
    }
    let mut on_behalf = None;
    let person_id = match subject {
        SubjectToken::Refresh(token) => {
            by_refresh_token(engine, head, client, auth0, &token).await?
        }
        SubjectToken::Access(token) => {
            match by_access_token(engine, client, auth0, &token).await? {
                // The permission is its own client's, not the actor's.
                (_, Asker::Actor) => {
                    return Err(ExchangeRequest::bad_subject(
                        auth0,
                        "only may_act allows it",
                    ));
                }
                (presented, _) => presented
                    .person_id
                    .ok_or_else(|| ExchangeRequest::bad_subject(auth0, "about no person"))?,
            }
        }
        SubjectToken::Worker(token) => {
            let named = worker::judge(engine, head, client, &connection, &token)
                .await?
                .map_err(|cause| ExchangeRequest::bad_subject(auth0, cause))?;
            let mut reader = engine.store.reader().await?;
            if !reader.person_is_active(engine, &named.person_id).await? {
                return Err(ExchangeRequest::bad_subject(auth0, "the person is locked"));
            }
            drop(reader);
            on_behalf = Some(named.on_behalf);
            named.person_id
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
            on_behalf,
        },
    )
    .await
    .map_err(|error| refusal_under(auth0, error))?;
    Ok(TokenAnswer {
        expires_in: released.expires_in_s,
        issued_token_type: Some(issued),
        of_provider: true,
        ..TokenAnswer::of(released.access_token, released.scopes)
    })
}

/// The person of a refresh token of this client. It is not consumed.
async fn by_refresh_token(
    engine: &Engine,
    head: &RequestHead,
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
    let (family, is_good) = match standing {
        Standing::Good(_, family) => (family, true),
        Standing::Reused(family) => (family, false),
    };
    let used = match networks::of(engine, head, client, &family) {
        Some(used) if !rx.network_is_known(&family, &used).await? => Some(used),
        _ => None,
    };
    drop(rx);
    let now = engine.now();
    let stale = family
        .last_used_at
        .is_none_or(|used| now - used >= TOUCH_MS);
    if !is_good || stale || used.is_some() {
        let row = family.clone();
        engine
            .store
            .write(move |tx| {
                let (family, used) = (row.clone(), used.clone());
                Box::pin(async move {
                    if is_good {
                        if let Some(used) = used {
                            tx.note_network(&family, &used).await?;
                        }
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
    /// The token's `may_act` names it.
    Actor,
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
    let named = presented.may_act.as_deref() == Some(&client.id);
    if !own && !served && !named {
        return Err(bad("neither its client nor its resource server asks"));
    }
    if presented.approval_id.is_some() {
        return Err(bad("an approval is good for its one call only"));
    }
    if presented.person_id.is_none() {
        return Err(bad("about no person"));
    }
    let asker = match (own, served) {
        (true, _) => Asker::Client,
        (false, true) => Asker::ResourceServer,
        (false, false) => Asker::Actor,
    };
    Ok((presented, asker))
}

/// Who acts, by an actor token: an access token of the asking client's own.
async fn acting(
    engine: &Engine,
    client: &Client,
    subject: &Presented,
    token: &Secret<String>,
) -> Result<String, OauthError> {
    let bad = |cause: &str| {
        OauthError::request("the actor token is not valid, or no longer").because(cause)
    };
    let actor = access::read(engine, token.expose())
        .await
        .map_err(|error| match error.code {
            Code::InvalidToken => bad(error.cause.as_deref().unwrap_or_default()),
            _ => error,
        })?;
    if actor.client_id != client.id {
        return Err(bad("of another client"));
    }
    if actor.approval_id.is_some() {
        return Err(bad("an approval is good for its one call only"));
    }
    let who = actor.person_id.unwrap_or(actor.client_id);
    // RFC 8693 §4.4: where the subject token says who may act, nobody else does.
    if subject
        .may_act
        .as_ref()
        .is_some_and(|named| *named != who && who != client.id)
    {
        return Err(bad("the subject token names another in may_act"));
    }
    Ok(who)
}
