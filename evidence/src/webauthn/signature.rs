//! The part that needs a crypto library.

use super::key::Material;
use super::{PublicKey, WebauthnError};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};

impl PublicKey {
    fn parsed(&self) -> Result<ParsedPublicKey, WebauthnError> {
        match &self.material {
            Material::P256(point) => {
                ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).map_err(|_| WebauthnError::Key)
            }
            Material::Ed25519(point) => {
                ParsedPublicKey::new(&ED25519, point).map_err(|_| WebauthnError::Key)
            }
            Material::Rsa { modulus, exponent } => RsaPublicKeyComponents {
                n: modulus.as_slice(),
                e: exponent.as_slice(),
            }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| WebauthnError::Key),
        }
    }

    /// Whether the crypto library takes it for a key: a point off the curve could never sign.
    ///
    /// # Errors
    /// [`WebauthnError::Key`].
    pub fn check_sound(&self) -> Result<(), WebauthnError> {
        self.parsed().map(|_| ())
    }

    /// Whether `signature` is this key's over `message`. The key's own algorithm counts, whatever anybody claims.
    ///
    /// # Errors
    /// [`WebauthnError::Signature`], or [`WebauthnError::Key`] for a key that is none.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), WebauthnError> {
        self.parsed()?
            .verify_sig(message, signature)
            .map_err(|_| WebauthnError::Signature)
    }
}
