//! Permissions: what a person lets one client do with one account.

use serde::{Deserialize, Serialize};

use super::permissions_sql::read;
use super::{AccountState, Error, TokenKind};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::storage::{self, Tx};

/// How a client may use an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessMode {
    /// Through the proxy only.
    Call,
    /// The provider's token itself, and through the proxy.
    Release,
}

impl AccessMode {
    /// The word on the wire and in rows.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Release => "release",
        }
    }
}

impl std::str::FromStr for AccessMode {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "call" => Ok(Self::Call),
            "release" => Ok(Self::Release),
            _ => Err(()),
        }
    }
}

/// How a permission stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionState {
    /// In force.
    Active,
    /// Held for now by its person or an admin.
    Paused,
    /// Taken back.
    Revoked,
}

impl PermissionState {
    /// The word in rows.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Revoked => "revoked",
        }
    }
}

impl std::str::FromStr for PermissionState {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::Active, Self::Paused, Self::Revoked]
            .into_iter()
            .find(|state| state.word() == word)
            .ok_or(())
    }
}

/// One kind of call that is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallRule {
    /// Methods in capitals; empty allows all.
    pub methods: Vec<String>,
    /// The raw path below the API host; a `*` at the end allows what begins so.
    /// Nothing is decoded: `%2F` is never `/`, nor `%2f`.
    pub path: String,
}

/// What a person lets one client do with one account.
#[derive(Clone, Debug)]
pub struct Permission {
    /// Its id.
    pub id: String,
    /// Whose account it is.
    pub person_id: String,
    /// Who may.
    pub client_id: String,
    /// With which account.
    pub account_id: String,
    /// How.
    pub access_mode: AccessMode,
    /// With which scopes at most; `None`: all that the account has.
    pub scopes: Option<Vec<String>>,
    /// Which calls; `None`: any.
    pub calls: Option<Vec<CallRule>>,
    /// Whether it is in force.
    pub state: PermissionState,
    /// Unix milliseconds.
    pub granted_at: i64,
}

impl CallRule {
    /// Whether this rule allows a call; `path` is raw, without its query.
    #[must_use]
    pub fn allows(&self, method: &str, path: &str) -> bool {
        let method_fits =
            self.methods.is_empty() || self.methods.iter().any(|allowed| allowed == method);
        let path_fits = match self.path.strip_suffix('*') {
            Some(beginning) => path.starts_with(beginning),
            None => path == self.path,
        };
        method_fits && path_fits
    }
}

impl Permission {
    /// Whether it is in force and allows this call.
    #[must_use]
    pub fn allows_call(&self, method: &str, path: &str) -> bool {
        self.state == PermissionState::Active
            && self
                .calls
                .as_ref()
                .is_none_or(|calls| calls.iter().any(|rule| rule.allows(method, path)))
    }

    /// Whether it is in force and lets the client have a token with all these scopes.
    #[must_use]
    pub fn allows_release(&self, granted: &[String]) -> bool {
        // A provider's token cannot be narrowed, and calls made with it cannot be looked at.
        self.state == PermissionState::Active
            && self.access_mode == AccessMode::Release
            && self.calls.is_none()
            && self
                .scopes
                .as_ref()
                .is_none_or(|scopes| granted.iter().all(|scope| scopes.contains(scope)))
    }
}

/// What is to be permitted.
#[derive(Clone, Debug)]
pub struct Give {
    /// Whose account it is; must be the one who permits.
    pub person_id: String,
    /// Who may.
    pub client_id: String,
    /// With which account.
    pub account_id: String,
    /// How.
    pub access_mode: AccessMode,
    /// With which scopes at most; `None`: as before, all where nothing was
    /// permitted.
    pub scopes: Option<Vec<String>>,
    /// Which calls; `None`: as before, any where nothing was permitted.
    pub calls: Option<Vec<CallRule>>,
}

/// Permits, as part of somebody else's write (the consent page's verb). Who
/// allows again sees the mode, not the limits set before: those stay.
///
/// # Errors
/// [`Error::NotFound`] when the account is not this person's.
pub async fn give_within(tx: &mut Tx, engine: &Engine, give: Give) -> Result<Permission, Error> {
    let owned = tx.account_row(&give.account_id).await?.is_some_and(|row| {
        row.account.person_id == give.person_id && row.account.state != AccountState::Unlinked
    });
    if !owned {
        return Err(Error::NotFound);
    }
    let old = tx
        .permission(engine, &give.client_id, &give.account_id)
        .await?;
    let id = old
        .as_ref()
        .map_or_else(|| tx.new_id("prm"), |old| old.id.clone());
    let limits = old
        .as_ref()
        .filter(|old| old.state != PermissionState::Revoked)
        .map(|old| (old.scopes.clone(), old.calls.clone()));
    let (scopes, calls) = limits.unwrap_or_default();
    let permission = Permission {
        id,
        person_id: give.person_id,
        client_id: give.client_id,
        account_id: give.account_id,
        access_mode: give.access_mode,
        scopes: give.scopes.or(scopes),
        calls: give.calls.or(calls),
        state: PermissionState::Active,
        granted_at: tx.now(),
    };
    tx.put_permission(engine, &permission, old.is_some())
        .await?;
    tx.record(event(Kind::PermissionGiven, &permission));
    tx.signal(Some(&permission.person_id), "permission", &permission.id);
    Ok(permission)
}

/// Permits, as a write of its own.
///
/// # Errors
/// As [`give_within`].
pub async fn give(engine: &Engine, give: Give) -> Result<Permission, Error> {
    let within = engine.clone();
    engine
        .store
        .write(move |tx| {
            let (engine, give) = (within.clone(), give.clone());
            Box::pin(async move { give_within(tx, &engine, give).await })
        })
        .await
}

/// What this client may do with this account; `None` when nothing was ever permitted.
///
/// # Errors
/// The database's; a row whose MAC is wrong is refused.
pub async fn find(
    engine: &Engine,
    client_id: &str,
    account_id: &str,
) -> Result<Option<Permission>, Error> {
    let mut rx = engine.store.reader().await?;
    Ok(rx.permission(engine, client_id, account_id).await?)
}

/// All of a person's permissions that are not revoked; at most 500.
///
/// # Errors
/// The database's.
pub async fn list_for_person(engine: &Engine, person_id: &str) -> Result<Vec<Permission>, Error> {
    let mut rx = engine.store.reader().await?;
    let rows = rx
        .all(
            "select * from permissions where person_id = $1 and state <> 'revoked' order by granted_at desc, id limit 500",
            vec![person_id.into()],
        )
        .await?;
    rows.iter().map(|row| Ok(read(engine, row)?)).collect()
}

/// All permissions on one account of this person's that are not revoked; at most 200.
///
/// # Errors
/// The database's.
pub async fn list_for_account(
    engine: &Engine,
    person_id: &str,
    account_id: &str,
) -> Result<Vec<Permission>, Error> {
    let mut rx = engine.store.reader().await?;
    let rows = rx
        .all(
            "select * from permissions where account_id = $1 and person_id = $2 and state <> 'revoked' \
             order by granted_at desc, id limit 200",
            vec![account_id.into(), person_id.into()],
        )
        .await?;
    rows.iter().map(|row| Ok(read(engine, row)?)).collect()
}

/// Takes a permission back, for good.
///
/// # Errors
/// [`Error::NotFound`] when there is none or it is somebody else's.
pub async fn revoke(engine: &Engine, person_id: &str, id: &str) -> Result<Permission, Error> {
    use PermissionState::{Active, Paused, Revoked};
    change(engine, person_id, id, &[Active, Paused], Revoked).await
}

/// Holds a permission until it is resumed.
///
/// # Errors
/// [`Error::NotFound`] when there is none in force or it is somebody else's.
pub async fn pause(engine: &Engine, person_id: &str, id: &str) -> Result<Permission, Error> {
    change(
        engine,
        person_id,
        id,
        &[PermissionState::Active],
        PermissionState::Paused,
    )
    .await
}

/// Puts a paused permission back in force.
///
/// # Errors
/// [`Error::NotFound`] when there is none paused or it is somebody else's.
pub async fn resume(engine: &Engine, person_id: &str, id: &str) -> Result<Permission, Error> {
    change(
        engine,
        person_id,
        id,
        &[PermissionState::Paused],
        PermissionState::Active,
    )
    .await
}

async fn change(
    engine: &Engine,
    person_id: &str,
    id: &str,
    from: &'static [PermissionState],
    to: PermissionState,
) -> Result<Permission, Error> {
    let (within, person, id) = (engine.clone(), person_id.to_owned(), id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, person, id) = (within.clone(), person.clone(), id.clone());
            Box::pin(async move {
                let row = tx
                    .optional(
                        "select * from permissions where id = $1",
                        vec![(&id).into()],
                    )
                    .await?
                    .ok_or(Error::NotFound)?;
                let mut permission = read(&engine, &row)?;
                if permission.person_id != person || !from.contains(&permission.state) {
                    return Err(Error::NotFound);
                }
                let was = permission.state;
                permission.state = to;
                if !tx.set_permission_state(&engine, &permission, was).await? {
                    return Err(Error::NotFound);
                }
                let kind = if to == PermissionState::Revoked {
                    Kind::PermissionRevoked
                } else {
                    Kind::PermissionChanged
                };
                tx.record(event(kind, &permission).data("state", to.word()));
                tx.signal(Some(&person), "permission", &id);
                Ok(permission)
            })
        })
        .await
}

/// Until when a client that this permission no longer lets in may still hold a
/// token it was given: the latest end of the account's living ones, Unix
/// milliseconds. `None` for one that only calls, and never sees a token.
///
/// # Errors
/// The database's.
pub async fn held_until(
    engine: &Engine,
    permission: &Permission,
) -> Result<Option<i64>, storage::Error> {
    if permission.access_mode != AccessMode::Release {
        return Ok(None);
    }
    let (account, now) = (permission.account_id.clone(), engine.now());
    let mut rx = engine.store.reader().await?;
    let mut until = None;
    for kind in [TokenKind::User, TokenKind::Bot] {
        let grant = rx.grant_row(&account, kind).await?;
        let ends = grant.and_then(|grant| grant.access_expires_at);
        until = until.max(ends.filter(|at| *at > now));
    }
    Ok(until)
}

pub(super) fn event(kind: Kind, permission: &Permission) -> Event {
    let mut event = Event::new(kind)
        .person(&permission.person_id)
        .client(&permission.client_id)
        .account(&permission.account_id)
        .data("permission", permission.id.as_str())
        .data("access_mode", permission.access_mode.word());
    if let Some(scopes) = &permission.scopes {
        event = event.data("scopes", scopes.clone());
    }
    event
}
