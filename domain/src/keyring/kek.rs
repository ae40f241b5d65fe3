//! Key providers: whoever holds the key-encryption key.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ids::Rng;
use crate::secret::Secret;

/// What can go wrong with keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key cannot be had; the sentence says what to do.
    #[error("{0}")]
    Unavailable(String),
    /// Something wrapped does not open: another key, another row, or changed bytes.
    #[error(
        "what is sealed does not open: it was sealed with another key, for another row, or was changed"
    )]
    DoesNotOpen,
    /// The database.
    #[error(transparent)]
    Storage(#[from] crate::storage::Error),
}

/// Seals with AES-256-GCM: nonce, ciphertext, tag in one value.
pub(crate) fn seal(
    key: &[u8; 32],
    plain: &[u8],
    aad: &[u8],
    rng: &dyn Rng,
) -> Result<Vec<u8>, Error> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(|_| Error::DoesNotOpen)?);
    let nonce: [u8; NONCE_LEN] = crate::ids::random(rng);
    let mut sealed = nonce.to_vec();
    let mut text = plain.to_vec();
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(aad),
        &mut text,
    )
    .map_err(|_| Error::DoesNotOpen)?;
    sealed.append(&mut text);
    Ok(sealed)
}

/// Opens what [`seal`] made, for the same associated data only.
pub(crate) fn open(key: &[u8; 32], sealed: &[u8], aad: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
    let (nonce, text) = sealed
        .split_at_checked(NONCE_LEN)
        .ok_or(Error::DoesNotOpen)?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(|_| Error::DoesNotOpen)?);
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Error::DoesNotOpen)?;
    let mut text = text.to_vec();
    let length = key
        .open_in_place(nonce, Aad::from(aad), &mut text)
        .map_err(|_| Error::DoesNotOpen)?
        .len();
    text.truncate(length);
    Ok(Secret::new(text))
}

/// Wraps and unwraps other keys. The interface is that of a KMS: the key
/// itself stays with whoever implements it.
#[async_trait]
pub trait KeyEncryption: Send + Sync + 'static {
    /// The key's id, stored beside everything it wrapped.
    fn id(&self) -> &str;
    /// Wraps `plain` for the row that `aad` names.
    async fn wrap(&self, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error>;
    /// Unwraps what was wrapped for the same row.
    async fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<Secret<Vec<u8>>, Error>;
    /// Whether this looks like something that it wrapped; asked before it is
    /// called with what another key may have wrapped.
    fn may_have_wrapped(&self, _wrapped: &[u8]) -> bool {
        true
    }
    /// Why its last call brought nothing, if it was so.
    fn trouble(&self) -> Option<String> {
        None
    }
}

/// A key held in this process: from the environment or a file.
pub struct StaticKey {
    id: String,
    key: Secret<[u8; 32]>,
    rng: std::sync::Arc<dyn Rng>,
}

impl StaticKey {
    /// Takes 32 bytes; the id is the start of their digest.
    pub fn new(key: Secret<[u8; 32]>, rng: std::sync::Arc<dyn Rng>) -> Self {
        let tagged = [b"attorn kek id\0".as_slice(), key.expose()].concat();
        let hash = digest::digest(&digest::SHA256, &tagged);
        let id = hash.as_ref()[..8]
            .iter()
            .fold("kek_".to_owned(), |id, byte| id + &format!("{byte:02x}"));
        Self { id, key, rng }
    }

    /// Takes the base64 of 32 bytes (key file, `ATTORN_VAULT__KEY`).
    ///
    /// # Errors
    /// When it is not that.
    pub fn from_base64(text: &str, rng: std::sync::Arc<dyn Rng>) -> Result<Self, Error> {
        let bytes = Secret::new(STANDARD.decode(text.trim()).unwrap_or_default());
        let key: [u8; 32] = bytes.expose().as_slice().try_into().map_err(|_| {
            Error::Unavailable(
                "the key-encryption key must be the base64 of exactly 32 bytes".to_owned(),
            )
        })?;
        Ok(Self::new(Secret::new(key), rng))
    }
}

#[async_trait]
impl KeyEncryption for StaticKey {
    fn id(&self) -> &str {
        &self.id
    }

    async fn wrap(&self, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
        seal(self.key.expose(), plain, aad, &*self.rng)
    }

    async fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        open(self.key.expose(), wrapped, aad)
    }
}

/// A key file, mode 0600, outside the data folder.
pub struct FileKey;

impl FileKey {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is missing, readable by others, or not the base64 of 32 bytes.
    pub fn read(path: &Path, rng: std::sync::Arc<dyn Rng>) -> Result<StaticKey, Error> {
        let says =
            |what: String| Error::Unavailable(format!("key file {}: {what}", path.display()));
        let mode = std::fs::metadata(path)
            .map_err(|error| says(error.to_string()))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(says("others may read it; run chmod 600 on it".to_owned()));
        }
        let text =
            Secret::new(std::fs::read_to_string(path).map_err(|error| says(error.to_string()))?);
        StaticKey::from_base64(text.expose(), rng)
    }

    /// Makes a new key file; never overwrites one. Only for an empty database.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn create(path: &Path, rng: std::sync::Arc<dyn Rng>) -> Result<StaticKey, Error> {
        let says = |error: std::io::Error| {
            Error::Unavailable(format!("key file {}: {error}", path.display()))
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(says)?;
        }
        let key = Secret::new(crate::ids::random::<32>(&*rng));
        let text = Secret::new(STANDARD.encode(key.expose()));
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(says)?;
        file.write_all(text.expose().as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(says)?;
        Ok(StaticKey::new(key, rng))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SeededRng;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_flipped_bit_never_opens(plain: Vec<u8>, position: usize, bit in 0..8_u8) {
            let rng = SeededRng::new(7);
            let key = [3; 32];
            let mut sealed = seal(&key, &plain, b"row", &rng).unwrap();
            prop_assert_eq!(open(&key, &sealed, b"row").ok().map(|text| text.expose().clone()), Some(plain));
            prop_assert!(open(&key, &sealed, b"other row").is_err());
            let position = position % sealed.len();
            sealed[position] ^= 1 << bit;
            prop_assert!(open(&key, &sealed, b"row").is_err());
        }
    }
}
