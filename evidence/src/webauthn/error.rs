//! Why an answer of an authenticator does not count.

use super::cbor::CborError;
use crate::json::JsonError;

/// The check that an answer failed. No variant carries anything from the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebauthnError {
    /// The client data is not strict JSON.
    #[error("the client data cannot be read: {0}")]
    ClientData(#[from] JsonError),
    /// A member of the client data is missing or has another type.
    #[error("the client data lacks a good member `{0}`")]
    ClientDataMember(&'static str),
    /// The client data is of the other ceremony, or of none.
    #[error("the client data is of another ceremony")]
    Type,
    /// Another challenge was signed.
    #[error("another challenge was signed")]
    Challenge,
    /// A page of another origin asked.
    #[error("the page has another origin")]
    Origin,
    /// The page was embedded in a page of another origin.
    #[error("the page was embedded in one of another origin")]
    CrossOrigin,
    /// A page of another origin is on top.
    #[error("the page names a top-level origin")]
    TopOrigin,
    /// A part is longer than it may be.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// The authenticator data ends too early.
    #[error("the authenticator data ends too early")]
    Truncated,
    /// The authenticator data goes on after its end.
    #[error("the authenticator data goes on after its end")]
    Trailing,
    /// The credential belongs to another relying party.
    #[error("the credential is for another relying party")]
    RelyingParty,
    /// Nobody touched the authenticator.
    #[error("the authenticator did not see the person")]
    NotPresent,
    /// The authenticator did not verify the person, and it was demanded.
    #[error("the authenticator did not verify the person")]
    NotVerified,
    /// Backed up, and not able to be.
    #[error("the credential is backed up although it cannot be")]
    BackupState,
    /// Whether the credential can be backed up has changed since its registration; it never does.
    #[error("the credential's backup eligibility has changed")]
    BackupEligibility,
    /// A registration without a credential, or an assertion with one.
    #[error("attested credential data is where it should not be, or missing")]
    AttestedData,
    /// A credential id of no byte, or of more than 1023.
    #[error("the credential id has a length that is not allowed")]
    CredentialId,
    /// CBOR that is not in canonical form, or not what belongs there.
    #[error("the CBOR cannot be accepted: {0}")]
    Cbor(#[from] CborError),
    /// The key's algorithm is none of ES256, RS256, EdDSA.
    #[error("the key has an algorithm that was not asked for")]
    Algorithm,
    /// The key is not a sound one of its algorithm.
    #[error("the public key is not acceptable")]
    Key,
    /// An attestation format other than `none` and self attestation.
    #[error("the attestation has a format that was not asked for")]
    AttestationFormat,
    /// The attestation statement is not one of its format.
    #[error("the attestation statement is not acceptable")]
    AttestationStatement,
    /// The signature is not by the key over these bytes.
    #[error("the signature does not fit")]
    Signature,
    /// The signature counter did not go on: the authenticator may have been copied.
    #[error("the signature counter did not go on")]
    Counter,
}
