//! Permissions: what a person lets one client do with one account.

use serde::{Deserialize, Serialize};

use super::Error;
use crate::Engine;
use crate::storage::Tx;

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

/// One kind of call that is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallRule {
    /// Methods in capitals; empty allows all.
    pub methods: Vec<String>,
    /// The raw path below the API host; a `*` at the end allows what begins so.
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
    /// With which scopes at most; `None`: all.
    pub scopes: Option<Vec<String>>,
    /// Which calls; `None`: any.
    pub calls: Option<Vec<CallRule>>,
}

/// Permits, as part of somebody else's write (the consent page's verb).
/// Replaces what was permitted to this client on this account before.
///
/// # Errors
/// [`Error::NotFound`] when the account is not this person's.
pub async fn give_within(tx: &mut Tx, engine: &Engine, give: Give) -> Result<Permission, Error> {
    let _ = (tx, engine, give);
    Err(Error::NotFound)
}

/// Permits, as a write of its own.
///
/// # Errors
/// As [`give_within`].
pub async fn give(engine: &Engine, give: Give) -> Result<Permission, Error> {
    let _ = (engine, give);
    Err(Error::NotFound)
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
    let _ = (engine, client_id, account_id);
    Err(Error::NotFound)
}

/// All of a person's permissions that are not revoked; at most 500.
///
/// # Errors
/// The database's.
pub async fn list_for_person(engine: &Engine, person_id: &str) -> Result<Vec<Permission>, Error> {
    let _ = (engine, person_id);
    Err(Error::NotFound)
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
    let _ = (engine, person_id, account_id);
    Err(Error::NotFound)
}

/// Takes a permission back, for good.
///
/// # Errors
/// [`Error::NotFound`] when there is none or it is somebody else's.
pub async fn revoke(engine: &Engine, person_id: &str, id: &str) -> Result<Permission, Error> {
    let _ = (engine, person_id, id);
    Err(Error::NotFound)
}

/// Holds a permission until it is resumed.
///
/// # Errors
/// [`Error::NotFound`] when there is none in force or it is somebody else's.
pub async fn pause(engine: &Engine, person_id: &str, id: &str) -> Result<Permission, Error> {
    let _ = (engine, person_id, id);
    Err(Error::NotFound)
}

/// Puts a paused permission back in force.
///
/// # Errors
/// [`Error::NotFound`] when there is none paused or it is somebody else's.
pub async fn resume(engine: &Engine, person_id: &str, id: &str) -> Result<Permission, Error> {
    let _ = (engine, person_id, id);
    Err(Error::NotFound)
}
