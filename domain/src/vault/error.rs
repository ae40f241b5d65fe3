//! What can go wrong in the vault, in words that the wire and the pages translate.

use crate::{keyring, storage};

/// Why an account must be linked again. The word is stored and sent; the
/// sentence is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The provider says that the grant was revoked or has lapsed.
    Revoked,
    /// An answer of the provider was lost in flight, and it does not honour the old token again.
    AnswerLost,
    /// The access token ran out and the provider gave nothing to refresh it with.
    NothingToRefresh,
    /// The connection now points to other servers or another provider client.
    ConnectionChanged,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 4] = [
        Self::Revoked,
        Self::AnswerLost,
        Self::NothingToRefresh,
        Self::ConnectionChanged,
    ];

    /// The machine-readable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::AnswerLost => "answer_lost",
            Self::NothingToRefresh => "nothing_to_refresh",
            Self::ConnectionChanged => "connection_changed",
        }
    }

    /// One sentence for the person.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Revoked => {
                "The provider no longer honours this link: it was revoked there or has lapsed."
            }
            Self::AnswerLost => {
                "An answer of the provider was lost on the way, and it does not accept the old token again."
            }
            Self::NothingToRefresh => {
                "The access ran out, and the provider gave nothing to renew it with."
            }
            Self::ConnectionChanged => {
                "This connection was set up anew and needs your consent again."
            }
        }
    }
}

impl std::str::FromStr for Reason {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.word() == word)
            .ok_or(())
    }
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no connection of that name.
    #[error("there is no connection called {connection}")]
    UnknownConnection {
        /// The name asked for.
        connection: String,
    },
    /// The person has no account there (or none that the hint names).
    #[error("no account is linked for {connection}")]
    NoAccount {
        /// The connection.
        connection: String,
        /// Where the person links one.
        link: String,
    },
    /// The person has not permitted this to this client.
    #[error("the person has not permitted this on {connection}")]
    PermissionRequired {
        /// The connection.
        connection: String,
        /// The account it is about.
        account_id: String,
        /// Where the person can permit it.
        link: String,
    },
    /// A policy covers calls of this client with the account, so that it gets no
    /// raw token of it.
    #[error(
        "calls on {connection} need an approval, so there is no token for this client: send them through the proxy"
    )]
    ApprovalRequired {
        /// The connection.
        connection: String,
        /// The account.
        account_id: String,
        /// The account's page.
        link: String,
    },
    /// The provider no longer honours the account; only its person can mend that.
    #[error("the account on {connection} must be linked again: {}", reason.word())]
    Reconnect {
        /// The connection.
        connection: String,
        /// The account.
        account_id: String,
        /// Why.
        reason: Reason,
        /// Where the person links it again.
        link: String,
    },
    /// The provider refused in a way that is not the person's to mend.
    #[error("the provider of {connection} refused: {code}")]
    ProviderRefused {
        /// The connection.
        connection: String,
        /// The provider's error code, shortened to safe characters.
        code: String,
    },
    /// The provider cannot be reached or is not well.
    #[error("the provider of {connection} does not answer; try again in {retry_after_s} s")]
    ProviderDown {
        /// The connection.
        connection: String,
        /// When to try again, in seconds; at least 1.
        retry_after_s: u64,
    },
    /// The database is a copy that nobody adopted.
    #[error(
        "this server works on a copy of its database: until an admin runs `attorn adopt` it renews and links nothing"
    )]
    NotAdopted,
    /// The account's token allows more than an admin gave the privileged worker.
    #[error("this worker may not have the scopes {scopes} of {connection}")]
    BeyondWorker {
        /// The connection.
        connection: String,
        /// The scopes beyond.
        scopes: String,
    },
    /// There is no such thing, or it is somebody else's.
    #[error("there is no such thing here")]
    NotFound,
    /// What was asked for cannot be; the sentence says why.
    #[error("{0}")]
    Invalid(String),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] keyring::Error),
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}
