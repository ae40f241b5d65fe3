//! Connections: a provider set up with a client id and secret, under a name an agent uses.

use serde::{Deserialize, Serialize};

use super::Error;
use crate::Engine;
use crate::secret::Secret;

/// Addresses that replace those of the provider's entry; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overrides {
    /// The authorization endpoint.
    pub authorize: Option<String>,
    /// The token endpoint.
    pub token: Option<String>,
    /// The revocation endpoint.
    pub revoke: Option<String>,
    /// Where the account's identity is asked for.
    pub identity: Option<String>,
    /// What every API host of the entry is replaced by, path prefix and all.
    pub api_base: Option<String>,
}

impl Overrides {
    /// All endpoints of the provider `id`, moved below `base` with their paths
    /// kept: how a lookalike lays them out.
    ///
    /// # Errors
    /// When there is no such provider.
    pub fn below(id: &str, base: &str) -> Result<Self, Error> {
        let _ = (id, base);
        Ok(Self::default())
    }
}

/// Who set a connection up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The configuration file.
    Config,
    /// An admin, in the console.
    Admin,
    /// `attorn demo`; may change origins at every start.
    Demo,
}

/// Whether a connection works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It does.
    Active,
    /// The provider refused our client id or secret.
    InvalidClient,
    /// An admin switched it off.
    Disabled,
}

/// A connection, without its secret.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its name: `sign-in-with-slack`.
    pub id: String,
    /// The provider's id.
    pub provider: String,
    /// Our client id at the provider.
    pub client_id: String,
    /// What is asked for when linking.
    pub scopes: Vec<String>,
    /// Replaced addresses.
    pub overrides: Overrides,
    /// Who set it up.
    pub source: Source,
    /// Whether it works.
    pub state: ConnectionState,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
}

/// What it takes to set one up.
#[derive(Clone)]
pub struct NewConnection {
    /// Its name: lower-case letters, digits, `-`.
    pub id: String,
    /// The provider's id.
    pub provider: String,
    /// Our client id at the provider.
    pub client_id: String,
    /// Our client secret at the provider.
    pub client_secret: Secret<String>,
    /// What to ask for; `None` takes the entry's defaults. `bot:` before a name asks for it for a bot (Slack).
    pub scopes: Option<Vec<String>>,
    /// Replaced addresses.
    pub overrides: Overrides,
    /// Who sets it up.
    pub source: Source,
}

/// Sets a connection up, or changes the one of that name.
///
/// # Errors
/// [`Error::Invalid`] for a bad name, address or provider, and when client id
/// or an origin would change while accounts are linked (make a new connection;
/// a demo's accounts go to `reconnect` instead).
pub async fn put(engine: &Engine, new: NewConnection) -> Result<Connection, Error> {
    let _ = (engine, new);
    Err(Error::NotFound)
}

/// All connections, by name; at most 200.
///
/// # Errors
/// The database's.
pub async fn list(engine: &Engine) -> Result<Vec<Connection>, Error> {
    let _ = engine;
    Err(Error::NotFound)
}

/// One connection.
///
/// # Errors
/// The database's.
pub async fn get(engine: &Engine, id: &str) -> Result<Option<Connection>, Error> {
    let _ = (engine, id);
    Err(Error::NotFound)
}
