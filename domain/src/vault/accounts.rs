//! Accounts: what a person has linked.

use std::str::FromStr;

use url::Url;

use super::held::Held;
use super::revocations::{self, Ending};
use super::sql::{AccountRow, account_where};
use super::{Error, TokenKind, connections, fresh_token, pages, refresh};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::storage::{self, Tx};

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// Usable.
    Linked,
    /// Only its person can mend it, by linking again.
    Reconnect,
    /// Gone; kept for the story in the audit log.
    Unlinked,
}

impl AccountState {
    /// The word in rows.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Linked => "linked",
            Self::Reconnect => "reconnect",
            Self::Unlinked => "unlinked",
        }
    }
}

impl FromStr for AccountState {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::Linked, Self::Reconnect, Self::Unlinked]
            .into_iter()
            .find(|state| state.word() == word)
            .ok_or(())
    }
}

/// One person's link to one connection.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub person_id: String,
    /// The connection's name.
    pub connection: String,
    /// The provider's id.
    pub provider: String,
    /// The workspace, domain or organisation at the provider; may be empty.
    pub tenant: String,
    /// Who the person is at the provider.
    pub subject: String,
    /// What the person knows it by (an address, `Ada in Acme`).
    pub label: String,
    /// What the provider granted.
    pub scopes: Vec<String>,
    /// How it stands.
    pub state: AccountState,
    /// Why it must be linked again ([`super::Reason::word`]).
    pub state_reason: Option<String>,
    /// Whether it is used where no hint names another of the same connection.
    pub is_default: bool,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds; within a minute.
    pub last_used_at: Option<i64>,
}

/// What unlinking came to.
#[derive(Clone, Debug)]
pub struct Unlinked {
    /// Until when (Unix milliseconds) an agent may still hold a working
    /// provider token, unless the provider revokes it sooner. `None`: none was
    /// ever permitted to hold one, or the provider names no end.
    pub agents_may_hold_until: Option<i64>,
    /// Whether the provider has a way to revoke, and was or will be asked to.
    pub revocation_queued: bool,
    /// Whether the provider has confirmed it already.
    pub revoked: bool,
}

/// A person's accounts, unlinked ones left out; at most 200.
///
/// # Errors
/// The database's.
pub async fn list(engine: &Engine, person_id: &str) -> Result<Vec<Account>, Error> {
    let mut rx = engine.store.reader().await?;
    let rows = rx
        .all(
            account_where!(
                "a.person_id = $1 and a.state <> 'unlinked' order by a.connection_id, a.created_at, a.id limit 200"
            ),
            vec![person_id.into()],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(AccountRow::read(row)?.account))
        .collect()
}

/// One account of this person's, unlinked ones included.
///
/// # Errors
/// [`Error::NotFound`] when there is none or it is somebody else's.
pub async fn get(engine: &Engine, person_id: &str, id: &str) -> Result<Account, Error> {
    let row = engine.store.reader().await?.account_row(id).await?;
    row.map(|row| row.account)
        .filter(|account| account.person_id == person_id)
        .ok_or(Error::NotFound)
}

/// Where the path of a call with this account begins: at the named API host of
/// its connection, or at the default one.
///
/// # Errors
/// [`Error::Invalid`] when the connection has no such host, or its provider
/// reads that path otherwise than we do.
pub async fn api_base(
    engine: &Engine,
    account: &Account,
    host: Option<&str>,
    path_and_query: &str,
) -> Result<Url, Error> {
    let row = engine
        .store
        .reader()
        .await?
        .account_row(&account.id)
        .await?;
    let own = row.ok_or(Error::NotFound)?.api_base;
    let stored = connections::need(engine, &account.connection).await?;
    super::headers::check_path(path_and_query, stored.entry.encoded_slash)
        .map_err(|words| Error::Invalid(words.to_owned()))?;
    stored.endpoints.api(own.as_deref(), host)
}

/// The account a client means: the one that `login_hint` names (id, label,
/// subject), else the person's default of that connection.
///
/// # Errors
/// [`Error::UnknownConnection`], [`Error::NoAccount`].
pub async fn pick(
    engine: &Engine,
    person_id: &str,
    connection: &str,
    login_hint: Option<&str>,
) -> Result<Account, Error> {
    let mut rx = engine.store.reader().await?;
    let rows = rx
        .all(
            account_where!(
                "a.person_id = $1 and a.connection_id = $2 and a.state <> 'unlinked' \
                 order by a.is_default desc, a.created_at, a.id limit 200"
            ),
            vec![person_id.into(), connection.into()],
        )
        .await?;
    drop(rx);
    let mut accounts = Vec::with_capacity(rows.len());
    for row in &rows {
        accounts.push(AccountRow::read(row)?.account);
    }
    let named = |account: &Account, hint: &str| {
        account.id == hint || account.subject == hint || account.label.eq_ignore_ascii_case(hint)
    };
    let found = match login_hint {
        Some(hint) => accounts.into_iter().find(|account| named(account, hint)),
        None => accounts.into_iter().next(),
    };
    match found {
        Some(account) => Ok(account),
        None => {
            connections::need(engine, connection).await?;
            Err(Error::NoAccount {
                connection: connection.to_owned(),
                link: pages::link(engine, connection),
            })
        }
    }
}

/// Makes an account the one used where no hint names another.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn make_default(engine: &Engine, person_id: &str, id: &str) -> Result<(), Error> {
    let (person, id) = (person_id.to_owned(), id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (person, id) = (person.clone(), id.clone());
            Box::pin(async move {
                let row = tx.account_row(&id).await?.ok_or(Error::NotFound)?;
                if row.account.person_id != person || row.account.state == AccountState::Unlinked {
                    return Err(Error::NotFound);
                }
                tx.execute(
                    "update accounts set is_default = (id = $3) where person_id = $1 and connection_id = $2 and state <> 'unlinked'",
                    vec![(&person).into(), (&row.account.connection).into(), (&id).into()],
                )
                .await?;
                tx.signal(Some(&person), "account", &id);
                Ok(())
            })
        })
        .await
}

/// Unlinks: shreds the data key, takes back every permission, and asks the
/// provider to revoke (tried at once, then by upkeep until it answers).
///
/// # Errors
/// [`Error::NotFound`].
pub async fn unlink(engine: &Engine, person_id: &str, id: &str) -> Result<Unlinked, Error> {
    let account = get(engine, person_id, id).await?;
    loop {
        // A refresh under way in this process is waited for; one elsewhere
        // finds the account gone and has its answer revoked.
        refresh::settle(engine, id).await;
        let (grants, until) = endings(engine, id).await?;
        let stored = connections::need(engine, &account.connection).await?;
        let tokens: Vec<Ending> = grants.iter().filter_map(|grant| grant.ending()).collect();
        let revocation = revocations::prepare(engine, id, &stored, &tokens).await?;
        let queued = revocation.as_ref().map(|row| row.id.clone());
        let epochs: Vec<(TokenKind, i64)> = grants
            .iter()
            .map(|grant| (grant.kind, grant.epoch))
            .collect();
        let (within, gone) = (engine.clone(), account.clone());
        let unlinked = engine
            .store
            .write(move |tx| {
                let (engine, account) = (within.clone(), gone.clone());
                let (epochs, revocation) = (epochs.clone(), revocation.clone());
                Box::pin(async move {
                    tx.unlink(&engine, &account, &epochs, revocation.as_ref())
                        .await
                })
            })
            .await?;
        let Some(released) = unlinked else { continue };
        refresh::forget_pauses(engine, id);
        let revoked = match &queued {
            Some(revocation) => tried(engine, revocation.clone()).await,
            None => false,
        };
        let ended = revoked && !stored.entry.revocation.leaves_access;
        return Ok(Unlinked {
            agents_may_hold_until: until.filter(|_| released && !ended),
            revocation_queued: queued.is_some(),
            revoked,
        });
    }
}

/// Tries a revocation now, without making the person wait for a slow provider.
async fn tried(engine: &Engine, revocation: String) -> bool {
    let trying = engine.clone();
    let attempt = tokio::spawn(async move { revocations::try_one(&trying, &revocation).await });
    tokio::select! {
        done = attempt => matches!(done, Ok(Ok(true))),
        () = engine.clock.sleep_until(engine.clock.monotonic() + 3_000) => false,
    }
}

struct GrantEnding {
    kind: TokenKind,
    epoch: i64,
    access: Option<String>,
    refresh: Option<String>,
}

impl GrantEnding {
    fn ending(&self) -> Option<Ending> {
        (self.access.is_some() || self.refresh.is_some()).then(|| Ending {
            access: self.access.clone(),
            refresh: self.refresh.clone(),
        })
    }
}

/// The grants of an account that is about to go, and when their tokens end.
async fn endings(engine: &Engine, id: &str) -> Result<(Vec<GrantEnding>, Option<i64>), Error> {
    let (mut grants, mut until) = (Vec::new(), None);
    for kind in [TokenKind::User, TokenKind::Bot] {
        let Some(mut held) = Held::load(engine, id, kind).await? else {
            continue;
        };
        let expired = held
            .grant
            .access_expires_at
            .is_some_and(|at| at <= engine.now());
        if expired && held.stored.entry.revocation.takes_access_token() {
            // Only a living access token can revoke itself; if there is none
            // to be had, the grant is over anyway.
            if fresh_token(engine, id, kind).await.is_ok()
                && let Some(fresher) = Held::load(engine, id, kind).await?
            {
                held = fresher;
            }
        }
        until = until.max(held.grant.access_expires_at.filter(|at| *at > engine.now()));
        // What does not open cannot be revoked, and must not keep a person from unlinking.
        let clear = |token: Result<Option<crate::secret::Secret<String>>, _>| {
            token.ok().flatten().map(|token| token.expose().clone())
        };
        grants.push(GrantEnding {
            kind,
            epoch: held.grant.epoch,
            access: clear(held.access()),
            refresh: clear(held.refresh()),
        });
    }
    Ok((grants, until))
}

impl Tx {
    /// `None` when a grant moved since it was read. Answers whether a client may hold a token.
    async fn unlink(
        &mut self,
        engine: &Engine,
        account: &Account,
        epochs: &[(TokenKind, i64)],
        revocation: Option<&revocations::Prepared>,
    ) -> Result<Option<bool>, Error> {
        for kind in [TokenKind::User, TokenKind::Bot] {
            let now = self
                .grant_row(&account.id, kind)
                .await?
                .map(|grant| grant.epoch);
            let then = epochs
                .iter()
                .find(|(of, _)| *of == kind)
                .map(|(_, epoch)| *epoch);
            if now != then {
                return Ok(None);
            }
        }
        let now = self.now();
        let changed = self
            .execute(
                "update accounts set state = 'unlinked', state_reason = null, is_default = false, data_key = null,                  kek_id = null, updated_at = $2, unlinked_at = $2 where id = $1 and state <> 'unlinked'",
                vec![(&account.id).into(), now.into()],
            )
            .await?;
        if changed == 0 {
            return Err(Error::NotFound);
        }
        self.execute(
            "delete from provider_grants where account_id = $1",
            vec![(&account.id).into()],
        )
        .await?;
        self.execute(
            "delete from refresh_candidates where account_id = $1",
            vec![(&account.id).into()],
        )
        .await?;
        let released = self.revoke_permissions_on(engine, &account.id).await?;
        if account.is_default {
            self.execute(
                "update accounts set is_default = true where id = (select id from accounts where person_id = $1                  and connection_id = $2 and state <> 'unlinked' order by created_at, id limit 1)",
                vec![(&account.person_id).into(), (&account.connection).into()],
            )
            .await?;
        }
        if let Some(revocation) = revocation {
            self.queue_revocation(revocation).await?;
        }
        self.record(
            Event::new(Kind::AccountUnlinked)
                .person(&account.person_id)
                .account(&account.id)
                .data("connection", account.connection.as_str())
                .data("revocation", revocation.is_some()),
        );
        self.signal(Some(&account.person_id), "account", &account.id);
        Ok::<_, Error>(Some(released))
    }

    /// Whether the person has a default account of this connection.
    pub(super) async fn has_default(
        &mut self,
        person: &str,
        connection: &str,
    ) -> Result<bool, storage::Error> {
        Ok(self
            .optional(
                "select id from accounts where person_id = $1 and connection_id = $2 and state <> 'unlinked' and is_default limit 1",
                vec![person.into(), connection.into()],
            )
            .await?
            .is_some())
    }
}
