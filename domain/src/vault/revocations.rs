//! Telling providers that a grant has ended.
//!
//! A revocation is queued in the same write that ends the grant here, with its
//! tokens sealed under a key of its own (the account's is shredded by then).
//! It is tried at once, and by upkeep until the provider answers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::connections::{self, Stored};
use super::envelope::{DataKey, Place, Wrapped};
use super::providers::Reach;
use super::revoke::ask_revoke;
use super::wire::TokenError;
use super::{Account, Error};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::secret::Secret;
use crate::storage::{self, Tx};

/// How often one is tried before it is given up (about two days).
const ATTEMPTS: i64 = 14;
/// Nobody else tries one that was claimed less than this ago (milliseconds).
const CLAIM_MS: i64 = 60_000;

/// The tokens of one grant that is to end.
#[derive(Serialize, Deserialize)]
pub(super) struct Ending {
    pub access: Option<String>,
    pub refresh: Option<String>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        self.access.zeroize();
        self.refresh.zeroize();
    }
}

/// A revocation ready to be stored.
#[derive(Clone)]
pub(super) struct Prepared {
    pub id: String,
    account_id: String,
    sealed: Vec<u8>,
    wrapped: Wrapped,
}

fn place(id: &str, account_id: &str, stored: &Stored) -> Place {
    let connection = &stored.connection;
    Place::of(
        "revocation",
        &[
            id,
            account_id,
            &connection.id,
            &connection.client_id,
            &stored.origins,
        ],
    )
}

/// Seals what is to be revoked. `None` when the provider has no way to.
pub(super) async fn prepare(
    engine: &Engine,
    account_id: &str,
    stored: &Stored,
    endings: &[Ending],
) -> Result<Option<Prepared>, Error> {
    if stored.endpoints.revoke.is_none() || endings.is_empty() {
        return Ok(None);
    }
    let id = crate::ids::id("rev", engine.now(), &*engine.rng);
    let (key, wrapped) = DataKey::make(engine, "revocations", &id).await?;
    let text = Secret::new(serde_json::to_string(endings).map_err(|_| Error::NotFound)?);
    let sealed = key.seal(engine, &place(&id, account_id, stored), text.expose())?;
    Ok(Some(Prepared {
        id,
        account_id: account_id.to_owned(),
        sealed,
        wrapped,
    }))
}

/// Queues tokens that nobody holds any more, and tries at once.
pub(super) async fn queue(
    engine: &Engine,
    account: &Account,
    stored: &Stored,
    endings: &[Ending],
) -> Result<(), Error> {
    let Some(prepared) = prepare(engine, &account.id, stored, endings).await? else {
        return Ok(());
    };
    let prepared = Arc::new(prepared);
    let row = prepared.clone();
    engine
        .store
        .write(move |tx| {
            let row = row.clone();
            Box::pin(async move { tx.queue_revocation(&row).await })
        })
        .await?;
    try_one(engine, &prepared.id).await?;
    Ok(())
}

/// Tries revocations that are due, at most `limit`. Answers how many were settled.
///
/// # Errors
/// The database's.
pub async fn run_due(engine: &Engine, limit: i64) -> Result<usize, Error> {
    let due = engine
        .store
        .reader()
        .await?
        .all(
            "select id from revocations where state = 'queued' and next_at <= $1 order by next_at limit $2",
            vec![engine.now().into(), limit.into()],
        )
        .await?;
    let mut settled = 0;
    for row in due {
        let id: String = row.get("id")?;
        match try_one(engine, &id).await {
            Ok(true) => settled += 1,
            Ok(false) => {}
            // One that cannot be read must not keep the others waiting.
            Err(error) => {
                tracing::error!(%error, revocation = id, "a revocation could not be tried")
            }
        }
    }
    Ok(settled)
}

struct Claimed {
    account_id: String,
    person_id: String,
    connection: String,
    attempts: i64,
    shared: bool,
    sealed: Vec<u8>,
    data_key: Vec<u8>,
}

/// Tries one. Answers whether it is settled.
pub(super) async fn try_one(engine: &Engine, id: &str) -> Result<bool, Error> {
    // A copy must not end what the original holds: it stays in the queue.
    if !engine.adoption.is_adopted() {
        return Ok(false);
    }
    let wanted = id.to_owned();
    let claimed = engine
        .store
        .write(move |tx| {
            let id = wanted.clone();
            Box::pin(async move { tx.claim_revocation(&id).await })
        })
        .await?;
    let Some(claimed) = claimed else {
        return Ok(false);
    };
    let outcome = carry_out(engine, id, &claimed).await;
    let (state, detail, next_ms) = match outcome {
        Ok(Done::Revoked) => ("done", "revoked".to_owned(), 0),
        Ok(Done::Shared) => ("cancelled", "shared".to_owned(), 0),
        Err(Error::Keys(_) | Error::UnknownConnection { .. } | Error::Invalid(_)) => {
            ("given_up", "the connection changed".to_owned(), 0)
        }
        Err(Error::ProviderRefused { code, .. }) if claimed.attempts >= ATTEMPTS => {
            ("given_up", code, 0)
        }
        Err(Error::ProviderRefused { code, .. }) => {
            let minutes = 1_i64 << claimed.attempts.clamp(0, 9);
            ("queued", code, minutes * 60_000)
        }
        Err(error) => return Err(error),
    };
    let id = id.to_owned();
    engine
        .store
        .write(move |tx| {
            let (id, detail) = (id.clone(), detail.clone());
            let (account, person) = (claimed.account_id.clone(), claimed.person_id.clone());
            Box::pin(async move {
                tx.end_revocation(&id, state, &detail, next_ms).await?;
                if state != "queued" {
                    tx.record(
                        Event::new(Kind::GrantRevoked)
                            .person(&person)
                            .account(&account)
                            .data("outcome", state)
                            .data("detail", detail),
                    );
                    tx.signal(Some(&person), "account", &account);
                }
                Ok::<_, storage::Error>(())
            })
        })
        .await?;
    Ok(state != "queued")
}

enum Done {
    Revoked,
    /// Another living account shares what a revocation would reach.
    Shared,
}

async fn carry_out(engine: &Engine, id: &str, claimed: &Claimed) -> Result<Done, Error> {
    let stored = connections::need(engine, &claimed.connection).await?;
    if stored.entry.revocation.reach == Reach::Grant && claimed.shared {
        return Ok(Done::Shared);
    }
    let key = DataKey::unwrap(engine, "revocations", id, &claimed.data_key).await?;
    let text = key.open(&place(id, &claimed.account_id, &stored), &claimed.sealed)?;
    let endings: Vec<Ending> =
        serde_json::from_str(text.expose()).map_err(|_| crate::keyring::Error::DoesNotOpen)?;
    for ending in &endings {
        // RFC 7009 §2.1: ending the refresh token ends the access tokens too.
        let token = if stored.entry.revocation.takes_access_token() {
            ending.access.as_ref()
        } else {
            ending.refresh.as_ref().or(ending.access.as_ref())
        };
        let Some(token) = token else { continue };
        let token = Secret::new(token.clone());
        let refused = |code: String| Error::ProviderRefused {
            connection: claimed.connection.clone(),
            code,
        };
        ask_revoke(engine, &stored, &token)
            .await
            .map_err(|error| match error {
                TokenError::Refused(code) | TokenError::InvalidClient(code) => refused(code),
                _ => refused("unavailable".to_owned()),
            })?;
    }
    Ok(Done::Revoked)
}

impl Tx {
    pub(super) async fn queue_revocation(&mut self, row: &Prepared) -> Result<(), storage::Error> {
        let now = self.now();
        self.execute(
            "insert into revocations (id, account_id, sealed, data_key, kek_id, state, attempts, next_at, created_at) \
             values ($1, $2, $3, $4, $5, 'queued', 0, $6, $6)",
            vec![
                (&row.id).into(),
                (&row.account_id).into(),
                (&row.sealed).into(),
                (&row.wrapped.key).into(),
                (&row.wrapped.kek_id).into(),
                now.into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn claim_revocation(&mut self, id: &str) -> Result<Option<Claimed>, storage::Error> {
        let now = self.now();
        let row = self
            .swap(
                "update revocations set attempts = attempts + 1, next_at = $3 \
                 where id = $1 and state = 'queued' and next_at <= $2 returning id, account_id, sealed, data_key, attempts",
                vec![id.into(), now.into(), (now + CLAIM_MS).into()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let account_id: String = row.get("account_id")?;
        let Some(account) = self.account_row(&account_id).await? else {
            return Err(row.bad("revocations", "account_id"));
        };
        let account = account.account;
        let sibling = self
            .optional(
                "select id from accounts where connection_id = $1 and tenant = $2 and subject = $3 and id <> $4 \
                 and state <> 'unlinked' limit 1",
                vec![
                    (&account.connection).into(),
                    (&account.tenant).into(),
                    (&account.subject).into(),
                    (&account.id).into(),
                ],
            )
            .await?;
        Ok(Some(Claimed {
            account_id,
            person_id: account.person_id,
            connection: account.connection,
            attempts: row.get("attempts")?,
            shared: sibling.is_some(),
            sealed: row.get("sealed")?,
            data_key: row.get("data_key")?,
        }))
    }

    /// Settles or puts off; a settled one keeps no token.
    async fn end_revocation(
        &mut self,
        id: &str,
        state: &str,
        detail: &str,
        next_ms: i64,
    ) -> Result<(), storage::Error> {
        let next_at = self.now() + next_ms;
        self.execute(
            "update revocations set state = $2, detail = $3, next_at = $4 where id = $1 and state = 'queued'",
            vec![id.into(), state.into(), detail.into(), next_at.into()],
        )
        .await?;
        if state != "queued" {
            let nothing: Vec<u8> = Vec::new();
            self.execute(
                "update revocations set sealed = $2, data_key = $2 where id = $1 and state <> 'queued'",
                vec![id.into(), nothing.into()],
            )
            .await?;
        }
        Ok(())
    }

    /// A re-link would be undone by a revocation that reaches the whole grant.
    pub(super) async fn cancel_revocations(
        &mut self,
        connection: &str,
        tenant: &str,
        subject: &str,
    ) -> Result<(), storage::Error> {
        self.execute(
            "update revocations set state = 'cancelled', detail = 'linked again' where state = 'queued' and account_id in \
             (select id from accounts where connection_id = $1 and tenant = $2 and subject = $3)",
            vec![connection.into(), tenant.into(), subject.into()],
        )
        .await?;
        Ok(())
    }
}
