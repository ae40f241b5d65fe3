//! What a connection says about its provider's addresses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use super::connections::unknown;
use super::{Error, providers};

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
    /// The keys of its ID tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<String>,
    /// Values for the entry's settings: a tenant, a host of its own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

impl Overrides {
    /// All endpoints of the provider `id`, moved below `base` with their paths
    /// kept: how a lookalike lays them out.
    ///
    /// # Errors
    /// When there is no such provider.
    pub fn below(id: &str, base: &str) -> Result<Self, Error> {
        let provider = providers::provider(id).ok_or_else(|| unknown(id))?;
        let base = base.trim_end_matches('/');
        let moved = |url: &Url| format!("{base}{}", url.path().trim_end_matches('/'));
        Ok(Self {
            authorize: Some(moved(&provider.authorize)),
            token: Some(moved(&provider.token)),
            revoke: provider.revoke.as_ref().map(moved),
            identity: provider.identity.url.as_ref().map(moved),
            jwks: provider.id_token.as_ref().map(|rule| moved(&rule.jwks)),
            parameters: BTreeMap::new(),
            api_base: Some(
                provider
                    .hosts
                    .first()
                    .map_or_else(|| base.to_owned(), |host| moved(&host.base)),
            ),
        })
    }
}
