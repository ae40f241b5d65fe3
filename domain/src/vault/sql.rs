//! Rows of accounts and their grants.

use super::accounts::Account;
use super::envelope::key_row;
use super::{Reason, TokenKind};
use crate::audit::{Event, Kind};
use crate::rotation::{WrappedRows, wrapped_rows};
use crate::storage::{Error, Row, Tx};

/// An account with what lies sealed beside it.
#[derive(Clone)]
pub(super) struct AccountRow {
    pub account: Account,
    pub api_base: Option<String>,
    pub data_key: Option<Vec<u8>>,
}

impl AccountRow {
    /// Reads a row of `accounts a join connections c` (see [`ACCOUNT`]).
    pub fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            account: Account {
                id: row.get("id")?,
                person_id: row.get("person_id")?,
                connection: row.get("connection_id")?,
                provider: row.get("provider")?,
                tenant: row.get("tenant")?,
                subject: row.get("subject")?,
                label: row.get("label")?,
                scopes: row.json("accounts", "scopes")?,
                state: row.word("accounts", "state")?,
                state_reason: row.get("state_reason")?,
                is_default: row.get("is_default")?,
                created_at: row.get("created_at")?,
                last_used_at: row.get("last_used_at")?,
            },
            api_base: row.get("api_base")?,
            data_key: row.get("data_key")?,
        })
    }
}

/// Rows of this room with a data key, for a rotation of what wraps them.
pub(crate) const WRAPPED: [WrappedRows; 3] = [
    wrapped_rows!("connections", "id", "data_key", |id| key_row(
        "connections",
        id
    )),
    wrapped_rows!("accounts", "id", "data_key", |id| key_row("accounts", id)),
    wrapped_rows!("revocations", "id", "data_key", |id| key_row(
        "revocations",
        id
    )),
];

macro_rules! account_where {
    ($rest:literal) => {
        concat!(
            "select a.id, a.person_id, a.connection_id, c.provider, a.tenant, a.subject, a.label, a.scopes, a.state, \
             a.state_reason, a.is_default, a.created_at, a.last_used_at, a.api_base, a.data_key \
             from accounts a join connections c on c.id = a.connection_id where ",
            $rest
        )
    };
}
pub(super) use account_where;

/// A provider grant as it lies there.
#[derive(Clone)]
pub(super) struct GrantRow {
    pub lock_key: String,
    pub epoch: i64,
    pub ended: bool,
    /// The answer to the last refresh was lost, if there was one.
    pub unknown: bool,
    pub scopes: Vec<String>,
    pub access_sealed: Option<Vec<u8>>,
    pub access_expires_at: Option<i64>,
    pub refresh_sealed: Option<Vec<u8>>,
    pub refresh_hash: Option<Vec<u8>>,
    pub obtained_at: i64,
    /// Since when it is refused as one of many (Unix milliseconds).
    pub suspect_since: Option<i64>,
}

/// A grant's new contents.
#[derive(Clone)]
pub(super) struct NewGrant {
    pub scopes: Vec<String>,
    pub access_sealed: Vec<u8>,
    pub access_expires_at: Option<i64>,
    pub refresh_sealed: Option<Vec<u8>>,
    pub refresh_hash: Option<Vec<u8>>,
    /// When upkeep shall look at it.
    pub ahead_at: Option<i64>,
}

impl Tx {
    pub(super) async fn account_row(&mut self, id: &str) -> Result<Option<AccountRow>, Error> {
        self.optional(account_where!("a.id = $1"), vec![id.into()])
            .await?
            .map(|row| AccountRow::read(&row))
            .transpose()
    }

    pub(super) async fn grant_row(
        &mut self,
        account: &str,
        kind: TokenKind,
    ) -> Result<Option<GrantRow>, Error> {
        let row = self
            .optional(
                "select account_id as id, lock_key, epoch, state, scopes, access_sealed, access_expires_at, \
                 refresh_sealed, refresh_hash, obtained_at, suspect_since from provider_grants where account_id = $1 and token_kind = $2",
                vec![account.into(), kind.word().into()],
            )
            .await?;
        row.map(|row| {
            let (ended, unknown) = match row.get::<String>("state")?.as_str() {
                "fresh" | "leased" => (false, false),
                "unknown" => (false, true),
                "reconnect" => (true, false),
                _ => return Err(row.bad("provider_grants", "state")),
            };
            Ok(GrantRow {
                lock_key: row.get("lock_key")?,
                epoch: row.get("epoch")?,
                ended,
                unknown,
                scopes: row.json("provider_grants", "scopes")?,
                access_sealed: row.get("access_sealed")?,
                access_expires_at: row.get("access_expires_at")?,
                refresh_sealed: row.get("refresh_sealed")?,
                refresh_hash: row.get("refresh_hash")?,
                obtained_at: row.get("obtained_at")?,
                suspect_since: row.get("suspect_since")?,
            })
        })
        .transpose()
    }

    /// Makes a stored answer current, if the grant has not moved since.
    pub(super) async fn swap_grant(
        &mut self,
        account: &str,
        kind: TokenKind,
        from: (i64, &[u8]),
        new: &NewGrant,
    ) -> Result<bool, Error> {
        let now = self.now();
        Ok(self
            .swap(
                "update provider_grants set epoch = epoch + 1, state = 'fresh', scopes = $5, access_sealed = $6, \
                 access_expires_at = $7, refresh_sealed = $8, refresh_hash = $9, obtained_at = $10, updated_at = $10, ahead_at = $11, suspect_since = null \
                 where account_id = $1 and token_kind = $2 and epoch = $3 and refresh_hash = $4 returning epoch",
                vec![
                    account.into(),
                    kind.word().into(),
                    from.0.into(),
                    from.1.into(),
                    crate::storage::Json(&new.scopes).into(),
                    (&new.access_sealed).into(),
                    new.access_expires_at.into(),
                    (&new.refresh_sealed).into(),
                    (&new.refresh_hash).into(),
                    now.into(),
                    new.ahead_at.into(),
                ],
            )
            .await?
            .is_some())
    }

    /// Marks the grant's state while nothing else about it moved.
    pub(super) async fn mark_grant(
        &mut self,
        account: &str,
        kind: TokenKind,
        epoch: i64,
        state: &str,
    ) -> Result<bool, Error> {
        Ok(self
            .execute(
                "update provider_grants set state = $4, updated_at = $5 \
                 where account_id = $1 and token_kind = $2 and epoch = $3 and state <> 'reconnect'",
                vec![
                    account.into(),
                    kind.word().into(),
                    epoch.into(),
                    state.into(),
                    self.now().into(),
                ],
            )
            .await?
            > 0)
    }

    /// The account needs its person: says so once.
    pub(super) async fn mark_reconnect(
        &mut self,
        account: &str,
        person: &str,
        reason: Reason,
    ) -> Result<(), Error> {
        let changed = self
            .execute(
                "update accounts set state = 'reconnect', state_reason = $2, updated_at = $3 where id = $1 and state = 'linked'",
                vec![account.into(), reason.word().into(), self.now().into()],
            )
            .await?;
        if changed > 0 {
            self.record(
                Event::new(Kind::AccountReconnect)
                    .person(person)
                    .account(account)
                    .data("reason", reason.word()),
            );
            self.signal(Some(person), "account", account);
        }
        Ok(())
    }

    /// The account does not need its person after all: an answer was found that
    /// came later than anybody waited for it.
    pub(super) async fn mark_mended(&mut self, account: &str) -> Result<(), Error> {
        self.execute(
            "update accounts set state = 'linked', state_reason = null, updated_at = $2 where id = $1 and state = 'reconnect'",
            vec![account.into(), self.now().into()],
        )
        .await?;
        Ok(())
    }

    /// Notes the use of an account, to the minute.
    pub(super) async fn note_use(&mut self, account: &AccountUse) -> Result<(), Error> {
        let now = self.now();
        if account.last_used_at.is_none_or(|last| last < now - 60_000) {
            self.execute(
                "update accounts set last_used_at = $2 where id = $1",
                vec![(&account.id).into(), now.into()],
            )
            .await?;
        }
        Ok(())
    }
}

/// Which account was used, and when before.
#[derive(Clone)]
pub(super) struct AccountUse {
    pub id: String,
    pub last_used_at: Option<i64>,
}

impl From<&Account> for AccountUse {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.clone(),
            last_used_at: account.last_used_at,
        }
    }
}
