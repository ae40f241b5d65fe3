//! The OAuth wire error: one table of codes for every endpoint.
//!
//! Code and description are sent; the cause is only logged.

use crate::limits::TooOften;
use crate::{keyring, storage};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident => $word:literal, $status:literal);+ $(;)?) => {
        /// An error code as it stands on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant),+ }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word on the wire.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The HTTP status it is sent with, where nothing else is said.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }
        }
    };
}

codes! {
    // RFC 6749 §4.1.2.1 and §5.2
    /// Something is missing, twice, or malformed.
    InvalidRequest => "invalid_request", 400;
    /// The client could not be authenticated.
    InvalidClient => "invalid_client", 401;
    /// A code, refresh token or subject token is not good (any more).
    InvalidGrant => "invalid_grant", 400;
    /// The client is not registered for this.
    UnauthorizedClient => "unauthorized_client", 400;
    /// No such grant type.
    UnsupportedGrantType => "unsupported_grant_type", 400;
    /// More or other scope than may be had.
    InvalidScope => "invalid_scope", 400;
    /// The person, or a policy, said no.
    AccessDenied => "access_denied", 400;
    /// Only `code` is answered.
    UnsupportedResponseType => "unsupported_response_type", 400;
    /// A defect of ours.
    ServerError => "server_error", 500;
    /// Try again later.
    TemporarilyUnavailable => "temporarily_unavailable", 503;
    // RFC 6585 §4; no OAuth document has a word for it
    /// Somebody asks too often; `Retry-After` says when to come back.
    TooManyRequests => "too_many_requests", 429;
    // OpenID Connect Core §3.1.2.6
    /// `prompt=none`, but nobody is signed in.
    LoginRequired => "login_required", 400;
    /// `prompt=none`, but the person must be asked.
    ConsentRequired => "consent_required", 400;
    /// `request` is not supported.
    RequestNotSupported => "request_not_supported", 400;
    /// The `request_uri` is not good (any more).
    InvalidRequestUri => "invalid_request_uri", 400;
    /// `request_uri` is not supported.
    RequestUriNotSupported => "request_uri_not_supported", 400;
    // RFC 6750 §3.1
    /// The access token is no good here.
    InvalidToken => "invalid_token", 401;
    /// The access token does not reach so far.
    InsufficientScope => "insufficient_scope", 403;
    // RFC 9449 §5, §8
    /// The proof of possession is missing or wrong.
    InvalidDpopProof => "invalid_dpop_proof", 400;
    /// The proof lacks a nonce of ours; the answer has one.
    UseDpopNonce => "use_dpop_nonce", 400;
    // RFC 7591 §3.2.2
    /// An address cannot be registered.
    InvalidRedirectUri => "invalid_redirect_uri", 400;
    /// Another member cannot be registered.
    InvalidClientMetadata => "invalid_client_metadata", 400;
    // RFC 7009 §2.2.1
    /// This kind of token cannot be revoked.
    UnsupportedTokenType => "unsupported_token_type", 400;
    // RFC 8707 §2, RFC 8693 §2.2.2
    /// No such audience, resource or connection for this client.
    InvalidTarget => "invalid_target", 400;
    // RFC 9396 §5
    /// Details of an unknown type, or malformed ones.
    InvalidAuthorizationDetails => "invalid_authorization_details", 400;
    // CIBA Core 1.0 §11 and §13
    /// The person has not decided yet.
    AuthorizationPending => "authorization_pending", 400;
    /// As pending, and the client asks too often.
    SlowDown => "slow_down", 400;
    /// The approval request ran out.
    ExpiredToken => "expired_token", 400;
    /// The login hint token ran out.
    ExpiredLoginHintToken => "expired_login_hint_token", 400;
    /// Nobody whom this client may ask.
    UnknownUserId => "unknown_user_id", 400;
    /// A user code is needed.
    MissingUserCode => "missing_user_code", 400;
    /// The user code is wrong.
    InvalidUserCode => "invalid_user_code", 400;
    /// The binding message cannot be shown.
    InvalidBindingMessage => "invalid_binding_message", 400;
    // Token vault, as clients of it know them
    /// The person has linked no such account.
    AccountNotFound => "federated_connection_refresh_token_not_found", 401;
    /// The provider refuses to refresh.
    RefreshFlowFailed => "federated_connection_refresh_token_flow_failed", 401;
    /// The person has not permitted this.
    PermissionRequired => "federated_connection_permission_required", 403;
}

/// An error as it goes over the wire.
#[derive(Debug, thiserror::Error)]
#[error("{}: {description}", code.word())]
pub struct OauthError {
    /// The code.
    pub code: Code,
    /// One sentence for developers. Holds no secret and nothing of the database.
    pub description: String,
    /// The HTTP status.
    pub status: u16,
    /// For `Retry-After`, in whole seconds.
    pub retry_after_s: Option<u64>,
    /// The client used HTTP Basic: answer with `WWW-Authenticate: Basic`
    /// (RFC 6749 §5.2), and only then.
    pub basic_challenge: bool,
    /// Further members of the answer, such as `link` or `reason`.
    pub members: Vec<(&'static str, String)>,
    /// What really happened; only logged.
    pub cause: Option<String>,
}

impl OauthError {
    /// An error with this code and its usual status.
    pub fn new(code: Code, description: impl Into<String>) -> Self {
        Self {
            code,
            description: description.into(),
            status: code.status(),
            retry_after_s: None,
            basic_challenge: false,
            members: Vec::new(),
            cause: None,
        }
    }

    /// `invalid_request`.
    pub fn request(description: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, description)
    }

    /// `invalid_grant`.
    pub fn grant(description: impl Into<String>) -> Self {
        Self::new(Code::InvalidGrant, description)
    }

    /// `invalid_token`; the description tells nobody which check refused.
    pub fn token(cause: impl std::fmt::Display) -> Self {
        Self::new(
            Code::InvalidToken,
            "the access token is not valid here, or no longer",
        )
        .because(cause)
    }

    /// Adds what really happened, for the log.
    #[must_use]
    pub fn because(mut self, cause: impl std::fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds a member to the answer.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.members.push((name, value.into()));
        self
    }

    /// Says after how many seconds to try again.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The JSON body (RFC 6749 §5.2). `error_description` keeps to the
    /// characters that the RFC allows.
    #[must_use]
    pub fn body(&self) -> String {
        let mut body = serde_json::Map::new();
        body.insert("error".to_owned(), self.code.word().into());
        body.insert("error_description".to_owned(), self.plain().into());
        for (name, value) in &self.members {
            body.insert((*name).to_owned(), value.as_str().into());
        }
        serde_json::Value::Object(body).to_string()
    }

    /// The description in the characters of RFC 6749 §5.2: printable ASCII
    /// without `"` and `\`.
    #[must_use]
    pub fn plain(&self) -> String {
        self.description
            .chars()
            .map(|letter| match letter {
                '"' => '\'',
                '\\' => '/',
                ' '..='~' => letter,
                _ => '?',
            })
            .collect()
    }
}

impl From<storage::Error> for OauthError {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::Busy | storage::Error::Closed => Self::new(
                Code::TemporarilyUnavailable,
                "too busy at this moment; try again",
            )
            .retry_after(1)
            .because(error),
            error => Self::new(
                Code::ServerError,
                "something went wrong here; nothing was changed",
            )
            .because(error),
        }
    }
}

impl From<TooOften> for OauthError {
    fn from(error: TooOften) -> Self {
        Self::new(
            Code::TooManyRequests,
            format!("too often; try again in {} s", error.retry_after_s),
        )
        .retry_after(error.retry_after_s)
    }
}

impl From<keyring::Error> for OauthError {
    fn from(error: keyring::Error) -> Self {
        Self::new(
            Code::ServerError,
            "something went wrong here; nothing was changed",
        )
        .because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_word_and_an_error_status() {
        let mut words: Vec<_> = Code::ALL.iter().map(|code| code.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
        assert!(
            Code::ALL
                .iter()
                .all(|code| (400..600).contains(&code.status()))
        );
    }

    #[test]
    fn a_description_keeps_to_the_characters_of_the_rfc() {
        let error =
            OauthError::request("no \"such\" \u{202e}thing\\ \n").with("link", "https://x/");
        assert_eq!(
            error.body(),
            r#"{"error":"invalid_request","error_description":"no 'such' ?thing/ ?","link":"https://x/"}"#
        );
    }
}
