//! A decision with everything that proves it.
//!
//! [`DecisionEvidence`] is what the server keeps and exports. [`DecisionEvidence::prove`] shows, from it alone and
//! offline, that a passkey signed this decision over these bytes and this text. The server calls the same function
//! before it lets anything run.
//!
//! Whose passkey it is, the evidence cannot say of itself: anybody can make a key. The audit log says it: hold
//! [`Proved::key_digest`] against the `key` of the person's `passkey.added` entry, and [`Proved::issuer`] against the
//! issuer you expect.

#[cfg(feature = "signatures")]
pub mod in_log;

use crate::challenge::{Decision, DecisionChallenge};
use crate::digest::Hash;
use crate::json::{Limits, parse_strict_object};
#[cfg(feature = "signatures")]
use crate::{
    digest::sha256,
    json,
    webauthn::{Asked, Assertion, PublicKey, RelyingParty},
};
use crate::{json::JsonError, webauthn::WebauthnError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The format's name, with its version.
pub const FORMAT: &str = "attorn-decision-evidence-v1";

/// The longest evidence that is read, in bytes: a call with a body of 256 KiB, in base64url, and what surrounds it.
pub const MAX_EVIDENCE: usize = 1024 * 1024;

/// Everything that proves one decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionEvidence {
    /// [`FORMAT`].
    pub format: String,
    /// What the decision is about; its hash is the challenge that was signed.
    pub challenge: DecisionChallenge,
    /// What the person read: the canonical JSON text whose SHA-256 is the challenge's `text_digest`.
    pub shown: String,
    /// The exact call in its tagged canonical form, whose SHA-256 is the challenge's `call_digest`; none for what
    /// Attorn does not execute.
    pub call: Option<String>,
    /// The passkey's credential id.
    #[serde(with = "base64url_text")]
    pub credential_id: Vec<u8>,
    /// Its public key, a COSE key.
    #[serde(with = "base64url_text")]
    pub public_key: Vec<u8>,
    /// Whether it can be copied to other devices, as kept when it was enrolled.
    pub backup_eligible: bool,
    /// The client data, exactly as the browser wrote it.
    #[serde(with = "base64url_text")]
    pub client_data_json: Vec<u8>,
    /// The authenticator data.
    #[serde(with = "base64url_text")]
    pub authenticator_data: Vec<u8>,
    /// The signature.
    #[serde(with = "base64url_text")]
    pub signature: Vec<u8>,
}

/// Why evidence proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecisionError {
    /// Not strict JSON.
    #[error("the evidence cannot be read: {0}")]
    Json(#[from] JsonError),
    /// A member is missing, unknown or of another type.
    #[error("the evidence does not have the members of its format")]
    Members,
    /// Another format or version.
    #[error("the evidence has another format than {FORMAT}")]
    Format,
    /// The issuer is no address that has a relying party.
    #[error("the issuer is not one whose passkeys could sign")]
    Issuer,
    /// The text is not the one whose digest was signed.
    #[error("the text shown is not the one that was signed")]
    Text,
    /// The text was made by another template or in another language than was signed.
    #[error("the text shown names another template or language than was signed")]
    Template,
    /// The call is not the one whose digest was signed, or one of them is missing.
    #[error("the call is not the one that was signed")]
    Call,
    /// The passkey's answer failed a check.
    #[error("the passkey's answer does not count: {0}")]
    Passkey(#[from] WebauthnError),
}

/// What evidence proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// By whom approvals are asked: the issuer.
    pub issuer: String,
    /// The public id of the approval.
    pub approval: String,
    /// Who decided, as Attorn knows them.
    pub person: String,
    /// The client that asked.
    pub client: String,
    /// What was chosen.
    pub decision: Decision,
    /// SHA-256 of the passkey's COSE key: what the audit log names it by.
    pub key_digest: Hash,
    /// Whether the passkey cannot leave its device.
    pub device_bound: bool,
    /// SHA-256 of the exact call, if Attorn executes one.
    pub call_digest: Option<Hash>,
    /// SHA-256 of the text shown.
    pub text_digest: Hash,
}

impl DecisionEvidence {
    /// Reads evidence from its JSON text, strictly.
    ///
    /// # Errors
    /// [`DecisionError::Json`], [`DecisionError::Members`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecisionError> {
        let limits = Limits {
            bytes: MAX_EVIDENCE,
            ..Limits::INTEGERS
        };
        let members = parse_strict_object(bytes, limits)?;
        serde_json::from_value(Value::Object(members)).map_err(|_| DecisionError::Members)
    }

    /// Which passkey decided what, over which bytes and which text. A passkey counts only if it verified the person.
    ///
    /// # Errors
    /// The first thing that does not hold.
    #[cfg(feature = "signatures")]
    pub fn prove(&self) -> Result<Proved, DecisionError> {
        if self.format != FORMAT {
            return Err(DecisionError::Format);
        }
        let challenge = &self.challenge;
        let party = RelyingParty::of_issuer(&challenge.issuer).ok_or(DecisionError::Issuer)?;
        self.check_text()?;
        let call_digest = self.call.as_ref().map(|call| sha256(call.as_bytes()));
        if call_digest != challenge.call_digest {
            return Err(DecisionError::Call);
        }
        let asked = Asked {
            relying_party: &party,
            challenge: &challenge.hash(),
            user_verification: true,
        };
        let assertion = Assertion {
            client_data_json: &self.client_data_json,
            authenticator_data: &self.authenticator_data,
            signature: &self.signature,
        };
        let key = PublicKey::from_cose(&self.public_key)?;
        let asserted = assertion.verify(&asked, &key, self.backup_eligible)?;
        Ok(Proved {
            issuer: challenge.issuer.clone(),
            approval: challenge.approval.clone(),
            person: challenge.person.clone(),
            client: challenge.client.clone(),
            decision: challenge.decision,
            key_digest: sha256(&self.public_key),
            device_bound: !asserted.backup_eligible,
            call_digest,
            text_digest: challenge.text_digest,
        })
    }

    /// The text must be the signed one, have one reading, and be of the template and language that were signed.
    #[cfg(feature = "signatures")]
    fn check_text(&self) -> Result<(), DecisionError> {
        let bytes = self.shown.as_bytes();
        if sha256(bytes) != self.challenge.text_digest || !json::is_canonical(bytes) {
            return Err(DecisionError::Text);
        }
        let limits = Limits {
            bytes: MAX_EVIDENCE,
            ..Limits::BODY
        };
        let shown = parse_strict_object(bytes, limits).map_err(|_| DecisionError::Text)?;
        let is = |name: &str, signed: &str| shown.get(name).and_then(Value::as_str) == Some(signed);
        if is("template", &self.challenge.template) && is("locale", &self.challenge.locale) {
            Ok(())
        } else {
            Err(DecisionError::Template)
        }
    }
}

mod base64url_text {
    use crate::digest::{base64url, from_base64url};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64url(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        from_base64url(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
