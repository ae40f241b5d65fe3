//! The keys that sign tokens, taking turns.
//!
//! Which one signs is a function of the time and the rows alone, so several
//! instances agree without talking: of each algorithm the one that began to
//! sign last. A new one is published before it begins, and an old one until
//! everything it signed has run out.

use std::sync::Arc;

use super::ring::{Jwk, SigningAlg, SigningKey};

/// A key that signs tokens, and when.
#[derive(Clone)]
pub(super) struct TokenKey {
    pub(super) key: Arc<SigningKey>,
    /// When it begins to sign, Unix milliseconds.
    pub(super) active_from: i64,
    /// When it is withdrawn.
    pub(super) retired_at: Option<i64>,
}

/// All of them.
#[derive(Clone, Default)]
pub(super) struct TokenKeys(pub(super) Vec<TokenKey>);

impl TokenKeys {
    fn published(&self, now: i64) -> impl Iterator<Item = &TokenKey> {
        self.0
            .iter()
            .filter(move |key| key.retired_at.is_none_or(|end| end > now))
    }

    /// The one that signs now.
    pub(super) fn signing(&self, alg: SigningAlg, now: i64) -> Option<Arc<SigningKey>> {
        self.published(now)
            .filter(|key| key.key.alg == alg && key.active_from <= now)
            .max_by_key(|key| key.active_from)
            .map(|key| key.key.clone())
    }

    /// The one with this id, as long as what it signed counts.
    pub(super) fn verifying(&self, kid: &str, now: i64) -> Option<Arc<SigningKey>> {
        self.published(now)
            .find(|key| key.key.kid == kid)
            .map(|key| key.key.clone())
    }

    /// The public halves of all that count or will.
    pub(super) fn jwks(&self, now: i64) -> Vec<Jwk> {
        self.published(now).map(|key| key.key.jwk.clone()).collect()
    }
}
