//! Keeping grants fresh.

use super::Error;
use crate::Engine;
use crate::secret::Secret;

/// Whom a provider token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// The person. Every account has it.
    User,
    /// A bot (Slack), where its scopes were asked for.
    Bot,
}

/// A provider access token that lives.
#[derive(Clone)]
pub struct FreshToken {
    /// The token.
    pub access: Secret<String>,
    /// Unix milliseconds; `None` where the provider names no end.
    pub expires_at: Option<i64>,
    /// What it really allows.
    pub scopes: Vec<String>,
    /// The account's own API address (Salesforce), where it has one.
    pub api_base: Option<String>,
}

/// An access token of this account that lives, refreshed if need be. However
/// many ask at once, the provider is asked once.
///
/// # Errors
/// [`Error::Reconnect`], [`Error::ProviderDown`], [`Error::ProviderRefused`], [`Error::NotFound`].
pub async fn fresh_token(
    engine: &Engine,
    account_id: &str,
    kind: TokenKind,
) -> Result<FreshToken, Error> {
    let _ = (engine, account_id, kind);
    Err(Error::NotFound)
}
