//! Storing what a link brought: account, grants and permission in one write.

use super::accounts::Account;
use super::connections::Stored;
use super::envelope::{DataKey, Wrapped};
use super::held::{Held, Kept, seal_grant};
use super::identify::Identity;
use super::permissions::{Give, give_within};
use super::sql::NewGrant;
use super::wire::{TokenAnswer, Tokens};
use super::{AccessMode, Error, TokenKind, accounts, refresh};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::storage::{self, Json, Tx};

/// What a link brought.
pub(super) struct NewLink {
    pub person_id: String,
    /// What was asked for: counts where the answer names no scopes (RFC 6749 §5.1).
    pub asked: Vec<String>,
    pub client: Option<(String, AccessMode)>,
    pub identity: Identity,
    pub answer: TokenAnswer,
}

/// Stores it, as a new account or into the one of this identity. Answers the
/// account and whether it existed.
pub(super) async fn keep(
    engine: &Engine,
    stored: &Stored,
    new: NewLink,
) -> Result<(Account, bool), Error> {
    loop {
        let row = prepare(engine, stored, &new).await?;
        let (id, again) = (row.id.clone(), row.existing.is_some());
        let within = engine.clone();
        let kept = engine
            .store
            .write(move |tx| {
                let (engine, row) = (within.clone(), row.clone());
                Box::pin(async move { tx.keep_link(&engine, row).await })
            })
            .await;
        match kept {
            Ok(true) => {
                refresh::forget_pauses(engine, &id);
                return Ok((accounts::get(engine, &new.person_id, &id).await?, again));
            }
            // A refresh, or another link of the same identity, came between.
            Ok(false) => {}
            Err(Error::Storage(error)) if error.is_unique_violation() => {}
            Err(error) => return Err(error),
        }
    }
}

/// A link ready to be stored.
#[derive(Clone)]
struct LinkRow {
    id: String,
    /// The account of this identity, if there is one, with the epochs its grants had.
    existing: Option<Vec<(TokenKind, i64)>>,
    wrapped: Option<Wrapped>,
    person_id: String,
    connection: String,
    provider: String,
    identity: Identity,
    api_base: Option<String>,
    scopes: Vec<String>,
    grants: Vec<(TokenKind, String, NewGrant)>,
    client: Option<(String, AccessMode)>,
}

async fn prepare(engine: &Engine, stored: &Stored, new: &NewLink) -> Result<LinkRow, Error> {
    let identity = &new.identity;
    let connection = &stored.connection.id;
    let existing = engine
        .store
        .reader()
        .await?
        .living_account(&new.person_id, connection, identity)
        .await?;
    let api_base = new.answer.found.instance_url.clone();
    let (id, key, wrapped) = match &existing {
        Some((id, data_key)) => (
            id.clone(),
            DataKey::unwrap(engine, "accounts", id, data_key).await?,
            None,
        ),
        None => {
            let id = crate::ids::id("acc", engine.now(), &*engine.rng);
            let (key, wrapped) = DataKey::make(engine, "accounts", &id).await?;
            (id, key, Some(wrapped))
        }
    };
    let (mut grants, mut epochs) = (Vec::new(), Vec::new());
    let mut granted = Vec::new();
    for (kind, tokens) in [
        (TokenKind::User, Some(&new.answer.tokens)),
        (TokenKind::Bot, new.answer.bot.as_ref()),
    ] {
        let held = match existing {
            Some(_) => Held::load(engine, &id, kind).await?,
            None => None,
        };
        if let Some(held) = &held {
            epochs.push((kind, held.grant.epoch));
        }
        let Some(tokens) = tokens else { continue };
        let kept = kept(tokens, kind, new, held.as_ref(), api_base.clone())?;
        if kind == TokenKind::User {
            granted.clone_from(&kept.scopes);
        }
        let sealed = seal_grant(engine, &key, &id, kind, stored, &kept)?;
        grants.push((kind, lock_key(engine, connection, identity, kind), sealed));
    }
    Ok(LinkRow {
        id,
        existing: existing.map(|_| epochs),
        wrapped,
        person_id: new.person_id.clone(),
        connection: connection.clone(),
        provider: stored.entry.id.clone(),
        identity: identity.clone(),
        api_base,
        scopes: granted,
        grants,
        client: new.client.clone(),
    })
}

fn kept(
    tokens: &Tokens,
    kind: TokenKind,
    new: &NewLink,
    held: Option<&Held>,
    api_base: Option<String>,
) -> Result<Kept, Error> {
    let mut refresh = tokens.refresh.as_ref().map(|token| token.expose().clone());
    if let (None, Some(held)) = (&refresh, held) {
        // A provider that gives a refresh token only the first time still
        // honours that one (unless it is known to have ended, or does not open any more).
        if !held.grant.ended {
            refresh = held
                .refresh()
                .ok()
                .flatten()
                .map(|token| token.expose().clone());
        }
    }
    let asked = new
        .asked
        .iter()
        .filter_map(|scope| match (kind, scope.strip_prefix("bot:")) {
            (TokenKind::Bot, Some(name)) => Some(name.to_owned()),
            (TokenKind::User, None) => Some(scope.clone()),
            _ => None,
        });
    Ok(Kept {
        access: tokens.access.expose().clone(),
        refresh,
        expires_at: tokens.expires_at,
        scopes: tokens.scopes.clone().unwrap_or_else(|| asked.collect()),
        api_base,
    })
}

/// What the provider locks: connection, tenant, subject, kind of token. Hashed,
/// because a subject may be an address.
fn lock_key(engine: &Engine, connection: &str, identity: &Identity, kind: TokenKind) -> String {
    let parts = serde_json::to_vec(&(connection, &identity.tenant, &identity.subject, kind.word()))
        .unwrap_or_default();
    evidence::digest::base64url(&engine.keys.hash("grant_lock", &parts))
}

impl Tx {
    async fn living_account(
        &mut self,
        person: &str,
        connection: &str,
        identity: &Identity,
    ) -> Result<Option<(String, Vec<u8>)>, storage::Error> {
        let row = self
            .optional(
                "select id, data_key from accounts where person_id = $1 and connection_id = $2 and tenant = $3 \
                 and subject = $4 and state <> 'unlinked'",
                vec![
                    person.into(),
                    connection.into(),
                    (&identity.tenant).into(),
                    (&identity.subject).into(),
                ],
            )
            .await?;
        row.map(|row| Ok((row.get("id")?, row.get("data_key")?)))
            .transpose()
    }

    /// `false` when something moved since it was prepared.
    async fn keep_link(&mut self, engine: &Engine, row: LinkRow) -> Result<bool, Error> {
        let living = self
            .living_account(&row.person_id, &row.connection, &row.identity)
            .await?;
        let same = match (&living, &row.existing) {
            (None, None) => true,
            (Some((id, _)), Some(_)) => *id == row.id,
            _ => false,
        };
        if !same {
            return Ok(false);
        }
        for (kind, then) in row.existing.iter().flatten() {
            if self
                .grant_row(&row.id, *kind)
                .await?
                .map(|grant| grant.epoch)
                != Some(*then)
            {
                return Ok(false);
            }
        }
        let now = self.now();
        if row.existing.is_some() {
            self.execute(
                "update accounts set label = $2, scopes = $3, api_base = $4, state = 'linked', state_reason = null, \
                 updated_at = $5 where id = $1",
                vec![
                    (&row.id).into(),
                    (&row.identity.label).into(),
                    Json(&row.scopes).into(),
                    (&row.api_base).into(),
                    now.into(),
                ],
            )
            .await?;
        } else {
            let is_default = !self.has_default(&row.person_id, &row.connection).await?;
            let wrapped = row.wrapped.clone();
            self.execute(
                "insert into accounts (id, person_id, connection_id, tenant, subject, label, scopes, api_base, state, \
                 is_default, data_key, kek_id, created_at, updated_at) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8, 'linked', $9, $10, $11, $12, $12)",
                vec![
                    (&row.id).into(),
                    (&row.person_id).into(),
                    (&row.connection).into(),
                    (&row.identity.tenant).into(),
                    (&row.identity.subject).into(),
                    (&row.identity.label).into(),
                    Json(&row.scopes).into(),
                    (&row.api_base).into(),
                    is_default.into(),
                    wrapped.as_ref().map(|wrapped| wrapped.key.clone()).into(),
                    wrapped.map(|wrapped| wrapped.kek_id).into(),
                    now.into(),
                ],
            )
            .await?;
        }
        for (kind, lock_key, grant) in &row.grants {
            self.put_grant(&row.id, *kind, lock_key, grant).await?;
        }
        self.cancel_revocations(&row.connection, &row.identity.tenant, &row.identity.subject)
            .await?;
        if let Some((client_id, access_mode)) = row.client {
            let give = Give {
                person_id: row.person_id.clone(),
                client_id,
                account_id: row.id.clone(),
                access_mode,
                scopes: None,
                calls: None,
            };
            give_within(self, engine, give).await?;
        }
        let kind = if row.existing.is_some() {
            Kind::AccountRelinked
        } else {
            Kind::AccountLinked
        };
        self.record(
            Event::new(kind)
                .person(&row.person_id)
                .account(&row.id)
                .data("connection", row.connection)
                .data("provider", row.provider)
                .data("scopes", row.scopes)
                .private("label", row.identity.label),
        );
        self.signal(Some(&row.person_id), "account", &row.id);
        Ok(true)
    }

    /// A linked grant takes the place of what was there; stored answers and
    /// intents of the grant before are settled.
    async fn put_grant(
        &mut self,
        account: &str,
        kind: TokenKind,
        lock_key: &str,
        grant: &NewGrant,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        self.end_intents(account, kind, None, "unknown", Some("linked again"))
            .await?;
        self.execute(
            "delete from refresh_candidates where account_id = $1 and token_kind = $2",
            vec![account.into(), kind.word().into()],
        )
        .await?;
        self.execute(
            "insert into provider_grants (account_id, token_kind, lock_key, epoch, state, scopes, access_sealed, \
             access_expires_at, refresh_sealed, refresh_hash, obtained_at, updated_at, ahead_at) \
             values ($1, $2, $3, 1, 'fresh', $4, $5, $6, $7, $8, $9, $9, $10) \
             on conflict (account_id, token_kind) do update set lock_key = excluded.lock_key, \
             epoch = provider_grants.epoch + 1, state = excluded.state, scopes = excluded.scopes, \
             access_sealed = excluded.access_sealed, access_expires_at = excluded.access_expires_at, \
             refresh_sealed = excluded.refresh_sealed, refresh_hash = excluded.refresh_hash, \
             obtained_at = excluded.obtained_at, updated_at = excluded.updated_at, ahead_at = excluded.ahead_at, \
             suspect_since = null",
            vec![
                account.into(),
                kind.word().into(),
                lock_key.into(),
                Json(&grant.scopes).into(),
                (&grant.access_sealed).into(),
                grant.access_expires_at.into(),
                (&grant.refresh_sealed).into(),
                (&grant.refresh_hash).into(),
                now.into(),
                grant.ahead_at.into(),
            ],
        )
        .await?;
        Ok(())
    }
}
