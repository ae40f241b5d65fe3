//! A passkey signs (§7.2 verifying an authentication assertion).

use super::client_data::{Ceremony, ClientData};
use super::{Asked, AuthenticatorData, MAX_SIGNATURE, WebauthnError};

/// What `navigator.credentials.get` answered: the bytes that matter.
#[derive(Clone, Copy, Debug)]
pub struct Assertion<'a> {
    /// The client data, exactly as the browser wrote it.
    pub client_data_json: &'a [u8],
    /// The authenticator data.
    pub authenticator_data: &'a [u8],
    /// The signature: DER for ES256, as it is for the others.
    pub signature: &'a [u8],
}

/// What a passkey that signed says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asserted {
    /// Whether the person was verified, not only present.
    pub user_verified: bool,
    /// Whether the credential can be copied to other devices.
    pub backup_eligible: bool,
    /// Whether it is backed up now.
    pub backed_up: bool,
    /// The signature counter, for [`counter_advances`].
    pub sign_count: u32,
}

impl Assertion<'_> {
    /// Every check but the signature's: with this alone nothing is proved. `backup_eligible` is what was kept at the
    /// registration, which must not have changed (§7.2).
    ///
    /// # Errors
    /// The check that failed.
    pub fn examine(&self, asked: &Asked, backup_eligible: bool) -> Result<Asserted, WebauthnError> {
        ClientData::parse(self.client_data_json)?.check(Ceremony::Get, asked)?;
        let data = AuthenticatorData::parse(self.authenticator_data)?;
        data.check(asked)?;
        // §6.1: an assertion carries no attested credential data.
        if data.attested.is_some() {
            return Err(WebauthnError::AttestedData);
        }
        if data.flags.backup_eligible() != backup_eligible {
            return Err(WebauthnError::BackupEligibility);
        }
        if self.signature.len() > MAX_SIGNATURE {
            return Err(WebauthnError::TooLong("the signature"));
        }
        Ok(Asserted {
            user_verified: data.flags.user_verified(),
            backup_eligible,
            backed_up: data.flags.backed_up(),
            sign_count: data.sign_count,
        })
    }

    /// Whether this very key signed this very challenge on a page of ours (§7.2). The signature
    /// counter is the caller's to hold against the kept one: [`counter_advances`].
    ///
    /// # Errors
    /// The check that failed.
    #[cfg(feature = "signatures")]
    pub fn verify(
        &self,
        asked: &Asked,
        public_key: &super::PublicKey,
        backup_eligible: bool,
    ) -> Result<Asserted, WebauthnError> {
        let asserted = self.examine(asked, backup_eligible)?;
        let signed = [
            self.authenticator_data,
            &crate::digest::sha256(self.client_data_json),
        ]
        .concat();
        public_key.verify(&signed, self.signature)?;
        Ok(asserted)
    }
}

/// The counter rule (§7.2, §6.1.1): an authenticator that counts must have counted on, or it may have been copied.
/// One that always says 0 does not count.
///
/// # Errors
/// [`WebauthnError::Counter`].
pub const fn counter_advances(kept: u32, received: u32) -> Result<(), WebauthnError> {
    if received > kept || (kept == 0 && received == 0) {
        Ok(())
    } else {
        Err(WebauthnError::Counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_only_goes_on() {
        for (kept, received) in [(0, 0), (0, 1), (1, 2), (1, u32::MAX)] {
            assert_eq!(counter_advances(kept, received), Ok(()));
        }
        for (kept, received) in [(1, 1), (2, 1), (1, 0), (u32::MAX, 0), (u32::MAX, u32::MAX)] {
            let refused = Err(WebauthnError::Counter);
            assert_eq!(
                counter_advances(kept, received),
                refused,
                "{kept} {received}"
            );
        }
    }
}
