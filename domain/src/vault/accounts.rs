//! Accounts: what a person has linked.

use super::Error;
use crate::Engine;

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
}

/// A person's accounts, unlinked ones left out; at most 200.
///
/// # Errors
/// The database's.
pub async fn list(engine: &Engine, person_id: &str) -> Result<Vec<Account>, Error> {
    let _ = (engine, person_id);
    Err(Error::NotFound)
}

/// One account of this person's, unlinked ones included.
///
/// # Errors
/// [`Error::NotFound`] when there is none or it is somebody else's.
pub async fn get(engine: &Engine, person_id: &str, id: &str) -> Result<Account, Error> {
    let _ = (engine, person_id, id);
    Err(Error::NotFound)
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
    let _ = (engine, person_id, connection, login_hint);
    Err(Error::NotFound)
}

/// Makes an account the one used where no hint names another.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn make_default(engine: &Engine, person_id: &str, id: &str) -> Result<(), Error> {
    let _ = (engine, person_id, id);
    Err(Error::NotFound)
}

/// Unlinks: shreds the data key, takes back every permission, and asks the
/// provider to revoke (tried at once, then by upkeep until it answers).
///
/// # Errors
/// [`Error::NotFound`].
pub async fn unlink(engine: &Engine, person_id: &str, id: &str) -> Result<Unlinked, Error> {
    let _ = (engine, person_id, id);
    Err(Error::NotFound)
}
