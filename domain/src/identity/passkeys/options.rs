//! What browsers are asked with, as JSON (Web Authentication Level 3 §5.4, §5.5:
//! `PublicKeyCredentialCreationOptionsJSON`, `PublicKeyCredentialRequestOptionsJSON`).

use evidence::digest::base64url;
use serde_json::{Value, json};

use super::{Challenge, Creation};

impl Challenge {
    /// The options of `navigator.credentials.get`; bytes are base64url.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "challenge": base64url(&self.challenge),
            "rpId": self.rp_id,
            "allowCredentials": credentials(&self.allow),
            "timeout": self.timeout_ms,
            "userVerification": "required",
        })
    }
}

impl Creation {
    /// The options of `navigator.credentials.create`; bytes are base64url.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let algorithms: Vec<_> = self
            .algorithms
            .iter()
            .map(|number| json!({ "type": "public-key", "alg": number }))
            .collect();
        json!({
            "challenge": base64url(&self.challenge),
            "rp": { "id": self.rp_id, "name": "Attorn" },
            "user": {
                "id": base64url(self.user_id.as_bytes()),
                "name": self.user_name,
                "displayName": self.display_name,
            },
            "pubKeyCredParams": algorithms,
            "excludeCredentials": credentials(&self.exclude),
            "authenticatorSelection": { "residentKey": "required", "userVerification": "required" },
            "attestation": "none",
            "timeout": self.timeout_ms,
        })
    }
}

fn credentials(all: &[(Vec<u8>, Vec<String>)]) -> Vec<Value> {
    all.iter()
        .map(|(id, transports)| {
            let mut one = json!({ "type": "public-key", "id": base64url(id) });
            if !transports.is_empty() {
                one["transports"] = json!(transports);
            }
            one
        })
        .collect()
}
