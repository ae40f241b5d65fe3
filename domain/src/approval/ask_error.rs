//! Why a request for an approval is refused, in the codes of the wire.

use crate::identity::user_code::CodeError;
use crate::limits::TooOften;
use crate::{keyring, storage};

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Malformed.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// A scope this client may not have, or `openid` is missing.
    #[error("{0}")]
    InvalidScope(&'static str),
    /// An audience this client may not have, or that does not fit the details.
    #[error("{0}")]
    InvalidTarget(&'static str),
    /// The client may not use this grant.
    #[error("this client may not ask for approvals")]
    UnauthorizedClient,
    /// Nobody by that hint, or nobody this client has to do with: one answer for both.
    #[error("there is nobody by that hint whom this client may ask")]
    UnknownUser,
    /// The binding message cannot be shown as it is.
    #[error("{0}")]
    InvalidBindingMessage(&'static str),
    /// The details are malformed or of a type not known here.
    #[error("{0}")]
    InvalidDetails(String),
    /// A policy forbids what was asked for; the person was not asked.
    #[error("a policy forbids this")]
    BlockedByPolicy,
    /// The details need an account that the person must link first.
    #[error("the person has linked no account for this")]
    AccountRequired {
        /// Where the person does that.
        link: String,
    },
    /// The details need an account that the person has not permitted to this client.
    #[error("the person has not permitted this client to use the account")]
    PermissionRequired {
        /// Where the person does that.
        link: String,
    },
    /// The account must be linked again.
    #[error("the account must be linked again")]
    ReconnectRequired {
        /// Where the person does that.
        link: String,
    },
    /// The person's user code is needed.
    #[error("the person's user code is needed")]
    MissingUserCode,
    /// The user code is not the person's.
    #[error("that is not the person's user code")]
    InvalidUserCode,
    /// This client has too many requests open with this person.
    #[error("too many requests of this client wait for this person")]
    TooMany {
        /// Seconds until the first of them runs out.
        retry_after_s: u64,
    },
    /// This client asks this person, or guesses their code, too often.
    #[error("this client asks, or guesses, too often; try again in {} s", .0.retry_after_s)]
    TooOften(#[from] TooOften),
    /// The person could not be looked up.
    #[error("the person could not be looked up: {0}")]
    Person(String),
    /// The vault could not say.
    #[error("the account could not be looked up: {0}")]
    Vault(String),
    /// Keys.
    #[error(transparent)]
    Keys(#[from] keyring::Error),
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl From<CodeError> for AskError {
    fn from(error: CodeError) -> Self {
        match error {
            CodeError::Missing => Self::MissingUserCode,
            CodeError::Invalid => Self::InvalidUserCode,
            CodeError::TooOften(too_often) => Self::TooOften(too_often),
            CodeError::Storage(error) => Self::Storage(error),
            CodeError::Hashing(cause) => Self::Person(cause),
        }
    }
}

impl AskError {
    /// The error code on the wire (CIBA Core §13, RFC 9396 §5, RFC 8707 §2) and its status.
    #[must_use]
    pub const fn code(&self) -> (&'static str, u16) {
        match self {
            Self::InvalidRequest(_) => ("invalid_request", 400),
            Self::InvalidScope(_) => ("invalid_scope", 400),
            Self::InvalidTarget(_) => ("invalid_target", 400),
            Self::UnauthorizedClient => ("unauthorized_client", 400),
            Self::UnknownUser => ("unknown_user_id", 400),
            Self::InvalidBindingMessage(_) => ("invalid_binding_message", 400),
            Self::InvalidDetails(_) => ("invalid_authorization_details", 400),
            Self::BlockedByPolicy
            | Self::AccountRequired { .. }
            | Self::PermissionRequired { .. }
            | Self::ReconnectRequired { .. } => ("access_denied", 403),
            Self::MissingUserCode => ("missing_user_code", 400),
            Self::InvalidUserCode => ("invalid_user_code", 400),
            Self::TooMany { .. } | Self::TooOften(_) => ("too_many_requests", 429),
            Self::Vault(_) | Self::Person(_) | Self::Keys(_) | Self::Storage(_) => {
                ("server_error", 500)
            }
        }
    }

    /// The extension member `reason`, where the code alone does not say enough.
    #[must_use]
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::BlockedByPolicy => Some("blocked_by_policy"),
            Self::AccountRequired { .. } => Some("account_required"),
            Self::PermissionRequired { .. } => Some("permission_required"),
            Self::ReconnectRequired { .. } => Some("reconnect_required"),
            Self::TooMany { .. } => Some("too_many_pending"),
            _ => None,
        }
    }

    /// After how many seconds it is worth trying again.
    #[must_use]
    pub const fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::TooMany { retry_after_s } => Some(*retry_after_s),
            Self::TooOften(too_often) => Some(too_often.retry_after_s),
            _ => None,
        }
    }

    /// Where the person can mend it.
    #[must_use]
    pub fn link(&self) -> Option<&str> {
        match self {
            Self::AccountRequired { link }
            | Self::PermissionRequired { link }
            | Self::ReconnectRequired { link } => Some(link),
            _ => None,
        }
    }
}
