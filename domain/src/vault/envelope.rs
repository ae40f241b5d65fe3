//! Sealing: a data key for each account, tokens sealed under it with
//! AES-256-GCM, and the row's identity as associated data.
//!
//! The associated data names account, column, connection, provider client and
//! the origins that a token may travel to. So a ciphertext moved to another
//! row does not open, and a changed endpoint cannot draw old grants out.

use zeroize::Zeroizing;

use super::TokenKind;
use crate::Engine;
use crate::keyring::{Error, open, seal};
use crate::secret::Secret;

/// A key that seals the secrets of one row.
pub(crate) struct DataKey(Zeroizing<[u8; 32]>);

/// A data key as it lies in a row.
#[derive(Clone)]
pub(crate) struct Wrapped {
    /// The key, wrapped by the key-encryption key.
    pub key: Vec<u8>,
    /// The key-encryption key's id.
    pub kek_id: String,
}

impl DataKey {
    /// A new key for the row `id` of `table`, and how it is stored.
    pub async fn make(engine: &Engine, table: &str, id: &str) -> Result<(Self, Wrapped), Error> {
        let key = Zeroizing::new(crate::ids::random::<32>(&*engine.rng));
        let row = key_row(table, id);
        let (wrapped, kek_id) = engine.keys.keks().wrap(key.as_slice(), &row).await?;
        Ok((
            Self(key),
            Wrapped {
                key: wrapped,
                kek_id,
            },
        ))
    }

    /// The key stored in the row `id` of `table`.
    pub async fn unwrap(
        engine: &Engine,
        table: &str,
        id: &str,
        wrapped: &[u8],
    ) -> Result<Self, Error> {
        let plain = engine
            .keys
            .keks()
            .unwrap(wrapped, &key_row(table, id))
            .await?;
        let key = plain
            .expose()
            .as_slice()
            .try_into()
            .map_err(|_| Error::DoesNotOpen)?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// Seals text for a place.
    pub fn seal(&self, engine: &Engine, place: &Place, plain: &str) -> Result<Vec<u8>, Error> {
        seal(&self.0, plain.as_bytes(), &place.0, &*engine.rng)
    }

    /// Opens what was sealed for the same place.
    pub fn open(&self, place: &Place, sealed: &[u8]) -> Result<Secret<String>, Error> {
        let plain = open(&self.0, sealed, &place.0)?;
        std::str::from_utf8(plain.expose())
            .map(|text| Secret::new(text.to_owned()))
            .map_err(|_| Error::DoesNotOpen)
    }
}

/// What the data key of the row `id` of `table` is wrapped for.
pub(crate) fn key_row(table: &str, id: &str) -> Vec<u8> {
    Place::of("data key", &[table, id]).0
}

/// Where a sealed value belongs: its associated data.
pub(crate) struct Place(Vec<u8>);

impl Place {
    /// Lengths before the parts, so that no two lists of parts read the same.
    pub fn of(what: &str, parts: &[&str]) -> Self {
        let mut bytes = b"attorn vault 1".to_vec();
        for part in std::iter::once(&what).chain(parts) {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Self(bytes)
    }

    /// As associated data of the key-encryption key's own sealing.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// A token column of a grant.
    pub(super) fn token(column: Column, account: &str, kind: TokenKind, travel: &Travel) -> Self {
        Self::of(
            column.word(),
            &[
                account,
                kind.word(),
                &travel.connection,
                &travel.client_id,
                &travel.origins,
                travel.api_base.as_deref().unwrap_or_default(),
            ],
        )
    }
}

/// Which sealed column.
#[derive(Clone, Copy)]
pub(super) enum Column {
    Access,
    Refresh,
    Candidate,
}

impl Column {
    const fn word(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
            Self::Candidate => "candidate",
        }
    }
}

/// Where an account's tokens may travel to.
#[derive(Clone)]
pub(super) struct Travel {
    pub connection: String,
    /// Our client id at the provider.
    pub client_id: String,
    /// Digest of the token, API, identity and revocation origins.
    pub origins: String,
    /// The account's own API address.
    pub api_base: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_run_into_each_other_are_different_places() {
        assert_ne!(
            Place::of("x", &["ab", "c"]).0,
            Place::of("x", &["a", "bc"]).0
        );
        assert_ne!(Place::of("x", &["a", ""]).0, Place::of("x", &["a"]).0);
    }
}
