//! Giving a provider token to a client (the vault's half of a token exchange).

use super::permissions::{self, Permission};
use super::sql::AccountUse;
use super::{Account, Error, TokenKind, accounts, fresh_token, pages};
use crate::Engine;
use crate::approval::policies::{self, PolicySet};
use crate::audit::{Event, Kind};
use crate::secret::Secret;
use crate::storage;

/// What a release says it lives for where the provider names no end (seconds).
const NO_END_CAP_S: i64 = 3600;

/// Who asks for what.
#[derive(Clone, Debug)]
pub struct Release {
    /// The client, authenticated.
    pub client_id: String,
    /// The person, proved by the subject token.
    pub person_id: String,
    /// The connection's name.
    pub connection: String,
    /// Which of several accounts (id, label, subject).
    pub login_hint: Option<String>,
    /// What the client needs; the answer says what the token really has.
    pub scopes: Option<Vec<String>>,
    /// Only of a privileged worker.
    pub on_behalf: Option<OnBehalf>,
}

/// A privileged worker's own word for the person.
#[derive(Clone, Debug)]
pub struct OnBehalf {
    /// What an admin lets it have of the connection.
    pub at_most: Vec<String>,
    /// The id of its JWT.
    pub jti: String,
    /// What it says it is done for.
    pub audit_context: Option<String>,
}

impl OnBehalf {
    /// The scopes beyond what it may have, if there are any.
    fn beyond(&self, scopes: &[String]) -> Option<String> {
        let beyond: Vec<&str> = scopes
            .iter()
            .filter(|scope| !self.at_most.contains(scope))
            .map(String::as_str)
            .collect();
        (!beyond.is_empty()).then(|| beyond.join(" "))
    }
}

/// A provider token on its way out.
pub struct Released {
    /// The provider's access token.
    pub access_token: Secret<String>,
    /// Seconds it has left (a cap of 3600 where the provider names none).
    pub expires_in_s: i64,
    /// What it really allows.
    pub scopes: Vec<String>,
    /// The account it is of.
    pub account_id: String,
}

/// Releases a token. The event is stored before this answers.
///
/// # Errors
/// Every variant of [`Error`].
pub async fn release(engine: &Engine, ask: Release) -> Result<Released, Error> {
    let hint = ask.login_hint.as_deref();
    let account = accounts::pick(engine, &ask.person_id, &ask.connection, hint).await?;
    let permission = permissions::find(engine, &ask.client_id, &account.id).await?;
    let allowed = |permission: &Permission, scopes: &[String]| {
        permission.person_id == ask.person_id && permission.allows_release(scopes)
    };
    // Asked before the provider is: who may not have it must not cause calls.
    if !permission
        .as_ref()
        .is_some_and(|permission| allowed(permission, &account.scopes))
    {
        let why = if permission.is_some() {
            "not_release"
        } else {
            "no_permission"
        };
        return Err(refuse(engine, &ask, &account, why).await?);
    }
    // A raw token would walk around what policies ask for.
    let covered = |policies: &PolicySet| {
        policies
            .covering_account(&ask.client_id, &account.connection)
            .is_some()
    };
    if covered(&*policies::in_force(engine).await?) {
        refuse(engine, &ask, &account, APPROVAL_REQUIRED).await?;
        return Err(approval_required(engine, &account));
    }
    // A raw token cannot be narrowed: what it has beyond, the worker would have.
    let beyond = |scopes: &[String]| {
        ask.on_behalf
            .as_ref()
            .and_then(|worker| worker.beyond(scopes))
    };
    if let Some(scopes) = beyond(&account.scopes) {
        refuse(engine, &ask, &account, "beyond_worker").await?;
        return Err(Error::BeyondWorker {
            connection: ask.connection.clone(),
            scopes,
        });
    }
    let token = fresh_token(engine, &account.id, TokenKind::User).await?;
    let left_s = token.expires_at.map_or(NO_END_CAP_S, |at| {
        (at - engine.now()).div_euclid(1000).max(0)
    });
    let (client, scopes) = (ask.client_id.clone(), token.scopes.clone());
    let (used, recheck) = (AccountUse::from(&account), engine.clone());
    let (account_id, person) = (account.id.clone(), account.person_id.clone());
    let connection = ask.connection.clone();
    let worker = ask.on_behalf.clone();
    let refused = engine
        .store
        .write(move |tx| {
            let (client, scopes, used) = (client.clone(), scopes.clone(), used.clone());
            let (account_id, person) = (account_id.clone(), person.clone());
            let (connection, engine) = (connection.clone(), recheck.clone());
            let worker = worker.clone();
            Box::pin(async move {
                // What was taken back, or asked for, while the provider was asked counts.
                let still = tx
                    .permission(&engine, &client, &account_id)
                    .await?
                    .is_some_and(|permission| permission.allows_release(&scopes));
                if !still {
                    return Ok::<_, storage::Error>(Some("not_release"));
                }
                let policies = tx.policies(&engine).await?;
                if policies.covering_account(&client, &connection).is_some() {
                    return Ok(Some(APPROVAL_REQUIRED));
                }
                tx.note_use(&used).await?;
                let mut event = Event::new(Kind::TokenReleased)
                    .person(person)
                    .client(client)
                    .account(account_id)
                    .data("connection", connection)
                    .data("scopes", scopes)
                    .data("expires_in", left_s);
                if let Some(worker) = worker {
                    event = event.data("worker_jti", worker.jti);
                    if let Some(context) = worker.audit_context {
                        event = event.private("audit_context", context);
                    }
                }
                tx.record(event);
                Ok(None)
            })
        })
        .await?;
    if let Some(why) = refused {
        let refused = refuse(engine, &ask, &account, why).await?;
        return Err(if why == APPROVAL_REQUIRED {
            approval_required(engine, &account)
        } else {
            refused
        });
    }
    Ok(Released {
        access_token: token.access,
        expires_in_s: left_s,
        scopes: token.scopes,
        account_id: account.id,
    })
}

const APPROVAL_REQUIRED: &str = "approval_required";

fn approval_required(engine: &Engine, account: &Account) -> Error {
    Error::ApprovalRequired {
        connection: account.connection.clone(),
        account_id: account.id.clone(),
        link: engine.settings.url(&format!("accounts/{}", account.id)),
    }
}

/// Records a refusal and answers the error for it.
async fn refuse(
    engine: &Engine,
    ask: &Release,
    account: &Account,
    why: &'static str,
) -> Result<Error, Error> {
    let event = (
        ask.person_id.clone(),
        ask.client_id.clone(),
        account.id.clone(),
    );
    engine
        .store
        .write(move |tx| {
            let (person, client, account) = event.clone();
            Box::pin(async move {
                tx.record(
                    Event::new(Kind::ReleaseRefused)
                        .person(person)
                        .client(client)
                        .account(account)
                        .data("reason", why),
                );
                Ok::<_, storage::Error>(())
            })
        })
        .await?;
    Ok(Error::PermissionRequired {
        connection: ask.connection.clone(),
        account_id: account.id.clone(),
        link: pages::permit(engine, &ask.connection, &ask.client_id),
    })
}
