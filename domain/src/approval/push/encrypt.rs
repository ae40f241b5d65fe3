//! Message encryption for Web Push (RFC 8291), in one record of the content
//! coding `aes128gcm` (RFC 8188).
//!
//! Pure: the salt and the private key of this one message are handed in. They
//! must be random and used once.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use super::{Keys, PUBLIC_KEY};

/// The longest payload in bytes: a body of 4096 (RFC 8030 §7.2) without salt,
/// record size, key id, delimiter and tag.
pub const LONGEST: usize = 3993;
/// Payloads are padded to this length if they fit, to [`LONGEST`] otherwise: a
/// phone pays for each byte.
pub const USUAL: usize = 1024;
/// The record size of the header; the one record is never longer.
const RECORD: u32 = 4096;

/// Why a message could not be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptError {
    /// The payload has more than [`LONGEST`] bytes.
    #[error("the payload has more than {LONGEST} bytes")]
    TooLong,
    /// The subscription's key is no point of P-256.
    #[error("the subscription's key is not acceptable")]
    Key,
    /// The crypto library refused.
    #[error("the message could not be encrypted")]
    Crypto,
}

/// The randomness of one message.
pub struct Once {
    /// 16 random bytes.
    pub salt: [u8; 16],
    /// The private key of this message (P-256, big endian).
    pub private_key: Zeroizing<[u8; 32]>,
}

impl Once {
    /// Fresh randomness.
    #[must_use]
    pub fn random(rng: &dyn crate::ids::Rng) -> Self {
        Self {
            salt: crate::ids::random(rng),
            private_key: Zeroizing::new(crate::ids::random(rng)),
        }
    }
}

/// Encrypts a payload for a subscription, padded to [`USUAL`] or [`LONGEST`]
/// bytes. The answer is the request's body, with `content-encoding: aes128gcm`.
///
/// # Errors
/// See [`EncryptError`].
pub fn encrypt(keys: &Keys, payload: &[u8], once: &Once) -> Result<Vec<u8>, EncryptError> {
    let padded = match payload.len() {
        0..=USUAL => USUAL,
        _ => LONGEST,
    };
    encrypt_padded(keys, payload, padded, once)
}

/// RFC 8291 §3.4.
pub(super) fn encrypt_padded(
    keys: &Keys,
    payload: &[u8],
    padded: usize,
    once: &Once,
) -> Result<Vec<u8>, EncryptError> {
    if payload.len() > padded || padded > LONGEST {
        return Err(EncryptError::TooLong);
    }
    let own = PrivateKey::from_private_key(&ECDH_P256, once.private_key.as_slice())
        .map_err(|_| EncryptError::Crypto)?;
    let own_public = own.compute_public_key().map_err(|_| EncryptError::Crypto)?;
    let own_public: [u8; PUBLIC_KEY] = own_public
        .as_ref()
        .try_into()
        .map_err(|_| EncryptError::Crypto)?;
    // §3.1: the uncompressed form; other forms would hash to another key.
    if keys.p256dh[0] != 4 {
        return Err(EncryptError::Key);
    }
    let peer = UnparsedPublicKey::new(&ECDH_P256, keys.p256dh);
    let info = [b"WebPush: info\0", &keys.p256dh[..], &own_public].concat();
    let ikm = agree(&own, peer, EncryptError::Key, |secret| {
        let mut ikm = Zeroizing::new([0; 32]);
        derive(keys.auth.expose(), secret, &info, &mut *ikm)?;
        Ok(ikm)
    })?;
    record(&*ikm, &once.salt, &own_public, payload, padded)
}

/// One record of RFC 8188, the last one: header, then payload, delimiter 2 and
/// zeros, sealed.
pub(super) fn record(
    ikm: &[u8],
    salt: &[u8; 16],
    key_id: &[u8],
    payload: &[u8],
    padded: usize,
) -> Result<Vec<u8>, EncryptError> {
    let mut key = Zeroizing::new([0; 16]);
    let mut nonce = [0; 12];
    // §2.2, §2.3; the sequence number of the only record is 0, which changes no bit of the nonce.
    derive(salt, ikm, b"Content-Encoding: aes128gcm\0", &mut *key)?;
    derive(salt, ikm, b"Content-Encoding: nonce\0", &mut nonce)?;
    let mut sealed = Vec::with_capacity(padded + 17);
    sealed.extend_from_slice(payload);
    sealed.push(2);
    sealed.resize(padded + 1, 0);
    let key = UnboundKey::new(&AES_128_GCM, &*key).map_err(|_| EncryptError::Crypto)?;
    LessSafeKey::new(key)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::empty(),
            &mut sealed,
        )
        .map_err(|_| EncryptError::Crypto)?;
    let key_id_length = u8::try_from(key_id.len()).map_err(|_| EncryptError::Crypto)?;
    // §2.1: salt, record size, length of the key id, key id.
    Ok([
        &salt[..],
        &RECORD.to_be_bytes(),
        &[key_id_length],
        key_id,
        &sealed,
    ]
    .concat())
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF with SHA-256 (RFC 5869): extract with the salt, expand with the info.
fn derive(salt: &[u8], ikm: &[u8], info: &[u8], out: &mut [u8]) -> Result<(), EncryptError> {
    Salt::new(HKDF_SHA256, salt)
        .extract(ikm)
        .expand(&[info], Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .map_err(|_| EncryptError::Crypto)
}
