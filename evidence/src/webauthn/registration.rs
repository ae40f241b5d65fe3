//! A passkey is made (§7.1 registering a new credential), with the attestation conveyance `none`.

use super::cbor::Reader;
use super::client_data::{Ceremony, ClientData};
use super::{
    Asked, Attested, AuthenticatorData, MAX_ATTESTATION_OBJECT, MAX_SIGNATURE, PublicKey,
    WebauthnError,
};

/// What `navigator.credentials.create` answered: the bytes that matter.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// The client data, exactly as the browser wrote it.
    pub client_data_json: &'a [u8],
    /// The attestation object.
    pub attestation_object: &'a [u8],
}

/// What the authenticator says of its make. Neither proves a model: that is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attestation {
    /// Nothing (§8.7).
    None,
    /// A signature by the new key itself (§8.2, self attestation). Browsers pass it on even where `none` was asked for
    /// (§5.1.3).
    Itself,
}

/// A new passkey, to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The credential's id, 1 to 1023 bytes.
    pub credential_id: Vec<u8>,
    /// Its public key.
    pub public_key: PublicKey,
    /// The signature counter to begin with.
    pub sign_count: u32,
    /// Whether the person was verified, not only present.
    pub user_verified: bool,
    /// Whether it can be copied to other devices; if not, it is bound to its device.
    pub backup_eligible: bool,
    /// Whether it is backed up now.
    pub backed_up: bool,
    /// The model of the authenticator, by its own claim.
    pub aaguid: [u8; 16],
    /// What it says of its make.
    pub attestation: Attestation,
}

/// The attestation object (§6.5.4), taken apart.
struct Statement<'a> {
    authenticator_data: &'a [u8],
    /// Algorithm and signature of a self attestation.
    signed: Option<(i64, &'a [u8])>,
}

impl<'a> Statement<'a> {
    /// The members come in canonical order: `fmt`, `attStmt`, `authData`.
    fn parse(bytes: &'a [u8]) -> Result<Self, WebauthnError> {
        if bytes.len() > MAX_ATTESTATION_OBJECT {
            return Err(WebauthnError::TooLong("the attestation object"));
        }
        let mut reader = Reader::new(bytes);
        if reader.map()? != 3 {
            return Err(WebauthnError::AttestationStatement);
        }
        expect(&mut reader, "fmt")?;
        let format = reader.text()?;
        expect(&mut reader, "attStmt")?;
        let members = reader.map()?;
        let signed = match (format, members) {
            ("none", 0) => None,
            // A third member is `x5c`: attestation by a certificate, which was not asked for.
            ("packed", 2) => {
                expect(&mut reader, "alg")?;
                let alg = reader.integer()?;
                expect(&mut reader, "sig")?;
                Some((alg, reader.bytes()?))
            }
            ("none" | "packed", _) => return Err(WebauthnError::AttestationStatement),
            _ => return Err(WebauthnError::AttestationFormat),
        };
        expect(&mut reader, "authData")?;
        let authenticator_data = reader.bytes()?;
        reader.end()?;
        Ok(Statement {
            authenticator_data,
            signed,
        })
    }
}

fn expect(reader: &mut Reader, name: &str) -> Result<(), WebauthnError> {
    if reader.text()? == name {
        Ok(())
    } else {
        Err(WebauthnError::AttestationStatement)
    }
}

impl Registration<'_> {
    /// Every check but those that need a crypto library: a self attestation's signature, and whether the key is a
    /// point on its curve. That no other passkey has this credential id is the caller's to check (§7.1).
    ///
    /// # Errors
    /// The check that failed.
    pub fn examine(&self, asked: &Asked) -> Result<Registered, WebauthnError> {
        self.read(asked).map(|(registered, _)| registered)
    }

    fn read(&self, asked: &Asked) -> Result<(Registered, Statement<'_>), WebauthnError> {
        ClientData::parse(self.client_data_json)?.check(Ceremony::Create, asked)?;
        let statement = Statement::parse(self.attestation_object)?;
        let data = AuthenticatorData::parse(statement.authenticator_data)?;
        data.check(asked)?;
        let Attested {
            aaguid,
            credential_id,
            public_key,
        } = data.attested.ok_or(WebauthnError::AttestedData)?;
        if let Some((alg, signature)) = statement.signed
            && (alg != public_key.algorithm().number() || signature.len() > MAX_SIGNATURE)
        {
            return Err(WebauthnError::AttestationStatement);
        }
        let registered = Registered {
            credential_id: credential_id.to_vec(),
            public_key,
            sign_count: data.sign_count,
            user_verified: data.flags.user_verified(),
            backup_eligible: data.flags.backup_eligible(),
            backed_up: data.flags.backed_up(),
            aaguid,
            attestation: match statement.signed {
                None => Attestation::None,
                Some(_) => Attestation::Itself,
            },
        };
        Ok((registered, statement))
    }

    /// Whether an authenticator made this passkey for this very challenge on a page of ours.
    ///
    /// # Errors
    /// The check that failed.
    #[cfg(feature = "signatures")]
    pub fn verify(&self, asked: &Asked) -> Result<Registered, WebauthnError> {
        let (registered, statement) = self.read(asked)?;
        registered.public_key.check_sound()?;
        if let Some((_, signature)) = statement.signed {
            let signed = [
                statement.authenticator_data,
                &crate::digest::sha256(self.client_data_json),
            ]
            .concat();
            registered.public_key.verify(&signed, signature)?;
        }
        Ok(registered)
    }
}
