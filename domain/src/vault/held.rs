//! An account's grant, loaded and ready to be opened.

use serde::{Deserialize, Serialize};

use super::connections::{self, Stored};
use super::envelope::{Column, DataKey, Place, Travel};
use super::sql::{AccountRow, GrantRow, NewGrant};
use super::{AccountState, Error, TokenKind, ahead};
use crate::Engine;
use crate::keyring;
use crate::secret::Secret;

/// Everything about one grant.
pub(super) struct Held {
    pub row: AccountRow,
    pub kind: TokenKind,
    pub grant: GrantRow,
    pub stored: Stored,
    pub key: DataKey,
}

/// The keyed hash by which a refresh token is known without being kept in clear.
pub(super) fn refresh_hash(engine: &Engine, token: &Secret<String>) -> [u8; 32] {
    engine
        .keys
        .hash("provider_refresh", token.expose().as_bytes())
}

impl Held {
    /// Loads the grant; `None` when it was unlinked or never was.
    pub async fn load(
        engine: &Engine,
        account_id: &str,
        kind: TokenKind,
    ) -> Result<Option<Self>, Error> {
        let mut rx = engine.store.reader().await?;
        let Some(row) = rx.account_row(account_id).await? else {
            return Ok(None);
        };
        let Some(grant) = rx.grant_row(account_id, kind).await? else {
            return Ok(None);
        };
        drop(rx);
        let Some(wrapped) = row
            .data_key
            .as_ref()
            .filter(|_| row.account.state != AccountState::Unlinked)
        else {
            return Ok(None);
        };
        let stored = connections::need(engine, &row.account.connection).await?;
        let key = DataKey::unwrap(engine, "accounts", account_id, wrapped).await?;
        Ok(Some(Self {
            row,
            kind,
            grant,
            stored,
            key,
        }))
    }

    pub fn id(&self) -> &str {
        &self.row.account.id
    }

    /// Where the tokens may travel to, as they are sealed now.
    pub fn travel(&self) -> Travel {
        travel(&self.stored, self.row.api_base.clone())
    }

    fn place(&self, column: Column) -> Place {
        Place::token(column, self.id(), self.kind, &self.travel())
    }

    /// Whether an answer lies stored that was not chosen yet.
    pub async fn has_answer(&self, engine: &Engine) -> Result<bool, Error> {
        let Some(parent) = &self.grant.refresh_hash else {
            return Ok(false);
        };
        let mut rx = engine.store.reader().await?;
        Ok(rx.candidate(self.id(), self.kind, parent).await?.is_some())
    }

    /// The access token, whether it lives or not.
    pub fn access(&self) -> Result<Option<Secret<String>>, keyring::Error> {
        self.grant
            .access_sealed
            .as_ref()
            .map(|sealed| self.key.open(&self.place(Column::Access), sealed))
            .transpose()
    }

    /// The refresh token.
    pub fn refresh(&self) -> Result<Option<Secret<String>>, keyring::Error> {
        self.grant
            .refresh_sealed
            .as_ref()
            .map(|sealed| self.key.open(&self.place(Column::Refresh), sealed))
            .transpose()
    }

    /// The place of a stored answer: it names its API address itself.
    pub fn candidate_place(&self) -> Place {
        Place::token(
            Column::Candidate,
            self.id(),
            self.kind,
            &travel(&self.stored, None),
        )
    }
}

/// Where tokens of this connection, for this API address, may travel to.
pub(super) fn travel(stored: &Stored, api_base: Option<String>) -> Travel {
    Travel {
        connection: stored.connection.id.clone(),
        client_id: stored.connection.client_id.clone(),
        origins: stored.origins.clone(),
        api_base,
    }
}

/// A provider's answer as it is sealed into a candidate or a grant.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    pub access: String,
    pub refresh: Option<String>,
    pub expires_at: Option<i64>,
    pub scopes: Vec<String>,
    pub api_base: Option<String>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        self.access.zeroize();
        self.refresh.zeroize();
    }
}

/// Seals an answer's tokens for a grant's row.
pub(super) fn seal_grant(
    engine: &Engine,
    key: &DataKey,
    account_id: &str,
    kind: TokenKind,
    stored: &Stored,
    kept: &Kept,
) -> Result<NewGrant, keyring::Error> {
    let travel = travel(stored, kept.api_base.clone());
    let place = |column| Place::token(column, account_id, kind, &travel);
    let refresh = kept.refresh.as_deref().map(Secret::from);
    let refreshes = kept.refresh.is_some();
    let now = engine.now();
    Ok(NewGrant {
        ahead_at: refreshes
            .then(|| ahead::look_at(&*engine.rng, &stored.entry.refresh, now, kept.expires_at))
            .flatten(),
        scopes: kept.scopes.clone(),
        access_sealed: key.seal(engine, &place(Column::Access), &kept.access)?,
        access_expires_at: kept.expires_at,
        refresh_sealed: refresh
            .as_ref()
            .map(|token| key.seal(engine, &place(Column::Refresh), token.expose()))
            .transpose()?,
        refresh_hash: refresh
            .as_ref()
            .map(|token| refresh_hash(engine, token).to_vec()),
    })
}
