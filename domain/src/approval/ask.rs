//! Asking: an agent wants a person's approval (CIBA Core §7).

use evidence::json::{Limits, parse_strict_object};
use serde_json::Value;

use crate::secret::Secret;
use crate::{keyring, storage};

/// Seconds until a request expires if the client names no time.
pub const DEFAULT_EXPIRY_S: i64 = 300;
/// The longest time a client may ask for: 72 hours, in seconds.
pub const MAX_EXPIRY_S: i64 = 72 * 3600;

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersonHint {
    /// Issuer and subject, as in an ID token.
    IssSub {
        /// Must be our issuer.
        iss: String,
        /// The person's id.
        sub: String,
    },
    /// An e-mail address.
    Email(String),
    /// The person's id.
    Id(String),
}

impl PersonHint {
    /// Reads a `login_hint`: JSON `{"format":"iss_sub","iss":…,"sub":…}` or
    /// `{"format":"email","email":…}` (members in any order, others ignored),
    /// an e-mail address, or a person's id.
    ///
    /// # Errors
    /// [`AskError::InvalidRequest`] when it is none of these.
    pub fn from_login_hint(text: &str) -> Result<Self, AskError> {
        let text = text.trim();
        if text.starts_with('{') {
            let members = parse_strict_object(text.as_bytes(), Limits::BODY)
                .map_err(|_| AskError::InvalidRequest("login_hint is not valid JSON"))?;
            let member = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
            return match member("format").as_deref() {
                Some("iss_sub") => member("iss")
                    .zip(member("sub"))
                    .map(|(iss, sub)| Self::IssSub { iss, sub }),
                Some("email") => member("email").map(Self::Email),
                _ => None,
            }
            .ok_or(AskError::InvalidRequest(
                "login_hint must have format iss_sub with iss and sub, or format email with email",
            ));
        }
        if text.is_empty() || text.len() > 320 {
            return Err(AskError::InvalidRequest("login_hint is empty or too long"));
        }
        Ok(if text.contains('@') {
            Self::Email(text.to_owned())
        } else {
            Self::Id(text.to_owned())
        })
    }
}

/// One request for an approval.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Whom to ask.
    pub person: PersonHint,
    /// Scopes of the token to come; `openid` among them (CIBA Core §7.1).
    pub scopes: Vec<String>,
    /// Audience of the token to come; `None` takes the proxy's for what Attorn
    /// executes, else the client's first.
    pub audience: Option<String>,
    /// What must match what the agent shows.
    pub binding_message: Option<String>,
    /// `authorization_details`; read it with [`super::types::from_text`].
    pub details: Option<Value>,
    /// Seconds until it expires: 1 to [`MAX_EXPIRY_S`].
    pub requested_expiry_s: Option<i64>,
    /// The run of the embedded agent that asks.
    pub run_id: Option<String>,
}

/// The request was stored and the person can see it.
pub struct Asked {
    /// The agent's credential for polling; never shown to anybody else.
    pub auth_req_id: Secret<String>,
    /// The public id, as in `/approve/{id}`.
    pub approval_id: String,
    /// Seconds until it expires.
    pub expires_in_s: i64,
    /// Seconds between polls.
    pub interval_s: i64,
}

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
    /// This client has too many requests open with this person.
    #[error("too many requests of this client wait for this person")]
    TooMany,
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
            Self::AccountRequired { .. }
            | Self::PermissionRequired { .. }
            | Self::ReconnectRequired { .. }
            | Self::TooMany => ("access_denied", 403),
            Self::Vault(_) | Self::Keys(_) | Self::Storage(_) => ("server_error", 500),
        }
    }

    /// The extension member `reason`, where the code alone does not say enough.
    #[must_use]
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::AccountRequired { .. } => Some("account_required"),
            Self::PermissionRequired { .. } => Some("permission_required"),
            Self::ReconnectRequired { .. } => Some("reconnect_required"),
            Self::TooMany => Some("too_many_pending"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_hint_is_read_not_compared() {
        let iss_sub = PersonHint::IssSub {
            iss: "https://a.example/".to_owned(),
            sub: "per_1".to_owned(),
        };
        for text in [
            r#"{"format":"iss_sub","iss":"https://a.example/","sub":"per_1"}"#,
            r#" { "sub": "per_1", "iss": "https://a.example/", "format": "iss_sub", "more": 1 } "#,
        ] {
            assert_eq!(PersonHint::from_login_hint(text).unwrap(), iss_sub);
        }
        assert_eq!(
            PersonHint::from_login_hint("anna@example.com").unwrap(),
            PersonHint::Email("anna@example.com".to_owned())
        );
        assert_eq!(
            PersonHint::from_login_hint("per_1").unwrap(),
            PersonHint::Id("per_1".to_owned())
        );
        for bad in [
            "",
            "{}",
            r#"{"format":"iss_sub","iss":"x"}"#,
            r#"{"format":"phone_number","phone_number":"1"}"#,
            r#"{"format":"iss_sub","iss":"x","sub":"a","sub":"b"}"#,
            "{",
        ] {
            assert!(PersonHint::from_login_hint(bad).is_err(), "{bad}");
        }
    }
}
