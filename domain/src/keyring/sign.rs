//! Signing with the keys of the ring.
//!
//! Keys are parsed once, when the ring is opened: parsing an RSA key checks it,
//! which costs more than the signature itself.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Error, Jwk, SigningAlg};

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// A parsed private key.
#[derive(Clone)]
pub(super) struct Signer(Arc<Pair>);

impl Signer {
    /// Parses PKCS #8 DER.
    pub(super) fn open(alg: SigningAlg, pkcs8: &[u8]) -> Result<Self, Error> {
        let pair = match alg {
            SigningAlg::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map(Pair::Ecdsa)
            }
            SigningAlg::Rs256 => RsaKeyPair::from_pkcs8(pkcs8).map(Pair::Rsa),
            SigningAlg::EdDsa => Ed25519KeyPair::from_pkcs8(pkcs8).map(Pair::Ed),
        };
        pair.map(|pair| Self(Arc::new(pair)))
            .map_err(|_| Error::DoesNotOpen)
    }

    /// The signature as JWS wants it (RFC 7518 §3: r and s side by side for ES256).
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::Unavailable("a signature could not be made".to_owned());
        let random = SystemRandom::new();
        match &*self.0 {
            Pair::Ecdsa(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(failed),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
            Pair::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl Jwk {
    /// Whether `signature` is this key's ES256 signature over `message`.
    /// A key of another kind verifies nothing: what a token's header claims
    /// never chooses how it is checked (RFC 8725 §3.1).
    #[must_use]
    pub fn verifies_es256(&self, message: &[u8], signature: &[u8]) -> bool {
        if self.kty != "EC" || self.alg != "ES256" || self.crv.as_deref() != Some("P-256") {
            return false;
        }
        let part = |part: &Option<String>| {
            part.as_deref()
                .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
                .filter(|bytes| bytes.len() == 32)
        };
        let (Some(x), Some(y)) = (part(&self.x), part(&self.y)) else {
            return false;
        };
        let point = [&[4][..], &x, &y].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(message, signature)
            .is_ok()
    }
}
