//! What the authenticator says it did (§6.1 authenticator data).

use super::cbor::Reader;
use super::{Asked, MAX_AUTHENTICATOR_DATA, MAX_CREDENTIAL_ID, PublicKey, WebauthnError};
use crate::digest::{Hash, sha256};

/// The flags. Reserved bits are let pass: they are signed with the rest, and may come to mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// UP: somebody was there.
    #[must_use]
    pub const fn user_present(self) -> bool {
        self.0 & 0x01 != 0
    }

    /// UV: it was the person, by PIN, finger or face.
    #[must_use]
    pub const fn user_verified(self) -> bool {
        self.0 & 0x04 != 0
    }

    /// BE: the credential can be copied to other devices. It never changes (§6.1.3).
    #[must_use]
    pub const fn backup_eligible(self) -> bool {
        self.0 & 0x08 != 0
    }

    /// BS: it is backed up now.
    #[must_use]
    pub const fn backed_up(self) -> bool {
        self.0 & 0x10 != 0
    }

    const fn attested(self) -> bool {
        self.0 & 0x40 != 0
    }

    const fn extensions(self) -> bool {
        self.0 & 0x80 != 0
    }
}

/// Attested credential data (§6.5.1): the credential that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested<'a> {
    /// The model of the authenticator, by its own claim; all zero if it does not say.
    pub aaguid: [u8; 16],
    /// The credential's id.
    pub credential_id: &'a [u8],
    /// Its public key.
    pub public_key: PublicKey,
}

/// Authenticator data as read. Until the signature over it holds, nothing in it may be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatorData<'a> {
    /// SHA-256 of the relying party's id.
    pub rp_id_hash: Hash,
    /// What was done.
    pub flags: Flags,
    /// The signature counter; 0 for an authenticator without one.
    pub sign_count: u32,
    /// The credential, in a registration.
    pub attested: Option<Attested<'a>>,
}

impl<'a> AuthenticatorData<'a> {
    /// Reads authenticator data to its last byte. Extension outputs are passed over: none is asked for.
    ///
    /// # Errors
    /// What does not have the form of §6.1.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WebauthnError> {
        if bytes.len() > MAX_AUTHENTICATOR_DATA {
            return Err(WebauthnError::TooLong("the authenticator data"));
        }
        let (rp_id_hash, rest) = take::<32>(bytes)?;
        let ([flags], rest) = take::<1>(rest)?;
        let (count, mut rest) = take::<4>(rest)?;
        let flags = Flags(*flags);
        let mut attested = None;
        if flags.attested() {
            let (aaguid, after) = take::<16>(rest)?;
            let (length, after) = take::<2>(after)?;
            let length = usize::from(u16::from_be_bytes(*length));
            if !(1..=MAX_CREDENTIAL_ID).contains(&length) {
                return Err(WebauthnError::CredentialId);
            }
            let (credential_id, after) = after
                .split_at_checked(length)
                .ok_or(WebauthnError::Truncated)?;
            let mut reader = Reader::new(after);
            attested = Some(Attested {
                aaguid: *aaguid,
                credential_id,
                public_key: PublicKey::read(&mut reader)?,
            });
            rest = reader.rest();
        }
        if flags.extensions() {
            let mut reader = Reader::new(rest);
            reader.skip_map()?;
            rest = reader.rest();
        }
        if !rest.is_empty() {
            return Err(WebauthnError::Trailing);
        }
        Ok(AuthenticatorData {
            rp_id_hash: *rp_id_hash,
            flags,
            sign_count: u32::from_be_bytes(*count),
            attested,
        })
    }

    /// What both §7.1 and §7.2 ask of it.
    pub(super) fn check(&self, asked: &Asked) -> Result<(), WebauthnError> {
        if self.rp_id_hash != sha256(asked.relying_party.id.as_bytes()) {
            return Err(WebauthnError::RelyingParty);
        }
        if !self.flags.user_present() {
            return Err(WebauthnError::NotPresent);
        }
        if asked.user_verification && !self.flags.user_verified() {
            return Err(WebauthnError::NotVerified);
        }
        if self.flags.backed_up() && !self.flags.backup_eligible() {
            return Err(WebauthnError::BackupState);
        }
        Ok(())
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), WebauthnError> {
    bytes.split_first_chunk().ok_or(WebauthnError::Truncated)
}
