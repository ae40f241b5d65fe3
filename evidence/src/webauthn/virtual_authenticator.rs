//! An authenticator made of software, for tests: it makes one ES256 passkey and signs whatever it is told to.

use super::{Assertion, Registration, RelyingParty};
use crate::digest::{base64url, sha256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

/// UP, UV: a passkey bound to its device, the person verified.
pub const BOUND: u8 = 0x05;
/// UP, UV, BE, BS: a passkey that is synced, the person verified.
pub const SYNCED: u8 = 0x1d;

/// One passkey, and what it will say next.
pub struct VirtualAuthenticator {
    pair: EcdsaKeyPair,
    /// Its credential id.
    pub credential_id: Vec<u8>,
    /// The relying party it answers.
    pub rp_id: String,
    /// The origin its browser says the page has.
    pub origin: String,
    /// The flags it sets; [`VirtualAuthenticator::create`] adds AT.
    pub flags: u8,
    /// Its counter: counted on before each signature, if `counts`.
    pub sign_count: u32,
    /// Whether it counts.
    pub counts: bool,
}

/// What `navigator.credentials.create` answers.
pub struct Created {
    /// Client data.
    pub client_data_json: Vec<u8>,
    /// Attestation object, format `none`.
    pub attestation_object: Vec<u8>,
}

/// What `navigator.credentials.get` answers.
pub struct Signed {
    /// Client data.
    pub client_data_json: Vec<u8>,
    /// Authenticator data.
    pub authenticator_data: Vec<u8>,
    /// DER signature.
    pub signature: Vec<u8>,
}

impl Created {
    /// As [`Registration::verify`] wants it.
    #[must_use]
    pub fn registration(&self) -> Registration<'_> {
        Registration {
            client_data_json: &self.client_data_json,
            attestation_object: &self.attestation_object,
        }
    }
}

impl Signed {
    /// As [`Assertion::verify`] wants it.
    #[must_use]
    pub fn assertion(&self) -> Assertion<'_> {
        Assertion {
            client_data_json: &self.client_data_json,
            authenticator_data: &self.authenticator_data,
            signature: &self.signature,
        }
    }
}

impl VirtualAuthenticator {
    /// A new passkey for this relying party, on a page of its first origin.
    ///
    /// # Panics
    /// When the crypto library makes no key.
    #[must_use]
    pub fn new(relying_party: &RelyingParty) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .expect("the crypto library makes a key");
        let credential_id = sha256(pair.public_key().as_ref())[..20].to_vec();
        VirtualAuthenticator {
            pair,
            credential_id,
            rp_id: relying_party.id().to_owned(),
            origin: relying_party.origins().first().cloned().unwrap_or_default(),
            flags: BOUND,
            sign_count: 0,
            counts: true,
        }
    }

    /// Its public key as a canonical COSE key.
    #[must_use]
    pub fn cose_key(&self) -> Vec<u8> {
        // Uncompressed point: 04, x, y.
        let point = self.pair.public_key().as_ref();
        [
            &b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"[..],
            &point[1..33],
            b"\x22\x58\x20",
            &point[33..],
        ]
        .concat()
    }

    /// The client data its browser writes.
    #[must_use]
    pub fn client_data(&self, ceremony: &str, challenge: &[u8]) -> Vec<u8> {
        format!(
            r#"{{"type":"{ceremony}","challenge":"{}","origin":"{}","crossOrigin":false}}"#,
            base64url(challenge),
            self.origin
        )
        .into_bytes()
    }

    /// Authenticator data with these flags, and `more` after the counter.
    #[must_use]
    pub fn authenticator_data(&self, flags: u8, more: &[u8]) -> Vec<u8> {
        let rp_id_hash = sha256(self.rp_id.as_bytes());
        let count = self.sign_count.to_be_bytes();
        [&rp_id_hash[..], &[flags], &count, more].concat()
    }

    /// Attested credential data: no model, the credential id, the key.
    ///
    /// # Panics
    /// When the credential id has more than 65,535 bytes.
    #[must_use]
    pub fn attested(&self) -> Vec<u8> {
        let length = u16::try_from(self.credential_id.len()).expect("a credential id is short");
        [
            &[0; 16][..],
            &length.to_be_bytes(),
            &self.credential_id,
            &self.cose_key(),
        ]
        .concat()
    }

    /// Answers a registration.
    #[must_use]
    pub fn create(&self, challenge: &[u8]) -> Created {
        let data = self.authenticator_data(self.flags | 0x40, &self.attested());
        Created {
            client_data_json: self.client_data("webauthn.create", challenge),
            attestation_object: attestation_object("none", b"\xa0", &data),
        }
    }

    /// Answers an assertion.
    #[must_use]
    pub fn get(&mut self, challenge: &[u8]) -> Signed {
        if self.counts {
            self.sign_count += 1;
        }
        let client_data = self.client_data("webauthn.get", challenge);
        self.sign(client_data, self.authenticator_data(self.flags, &[]))
    }

    /// Signs these very bytes.
    ///
    /// # Panics
    /// When the crypto library makes no signature.
    #[must_use]
    pub fn sign(&self, client_data_json: Vec<u8>, authenticator_data: Vec<u8>) -> Signed {
        let message = [&authenticator_data[..], &sha256(&client_data_json)].concat();
        let signature = self
            .pair
            .sign(&SystemRandom::new(), &message)
            .expect("the crypto library signs");
        Signed {
            client_data_json,
            authenticator_data,
            signature: signature.as_ref().to_vec(),
        }
    }
}

/// An attestation object of this format, with an encoded statement.
///
/// # Panics
/// When the authenticator data has more than 65,535 bytes.
#[must_use]
pub fn attestation_object(format: &str, statement: &[u8], authenticator_data: &[u8]) -> Vec<u8> {
    let length = authenticator_data.len();
    let head = match u8::try_from(length) {
        Ok(short) if short > 23 => vec![0x58, short],
        Ok(short) => vec![0x40 | short],
        Err(_) => {
            let long = u16::try_from(length).expect("authenticator data is short");
            [&[0x59][..], &long.to_be_bytes()].concat()
        }
    };
    let format_head = 0x60 | u8::try_from(format.len()).unwrap_or(0);
    [
        b"\xa3\x63fmt",
        &[format_head][..],
        format.as_bytes(),
        b"\x67attStmt",
        statement,
        b"\x68authData",
        &head,
        authenticator_data,
    ]
    .concat()
}
