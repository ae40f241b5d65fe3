//! The bytes a passkey signs when a person decides.
//!
//! The server computes them from its rows, the browser from what it shows, a verifier from the evidence kept; a
//! decision counts only if all three agree. Everything the person could have been misled about is in them.

use crate::digest::{Hash, as_base64url, base64url, sha256};
use crate::json;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Keeps these bytes from being taken for any other canonical JSON that gets hashed.
const TAG: &str = "attorn-decision-v1";

/// How deep standing terms may nest; what lies deeper is written as its JSON text.
const TERMS_LEVELS: usize = 8;

/// What the person chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Let it happen.
    Approve,
    /// Do not.
    Deny,
}

/// Everything a decision is about. As JSON it is what the server hands to the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionChallenge {
    /// The issuer, `https://{domain}/`.
    pub issuer: String,
    /// The public id of the approval (never `auth_req_id`, which is the agent's credential).
    pub approval: String,
    /// The person who decides.
    pub person: String,
    /// The client that asks.
    pub client: String,
    /// The connected account that would be used, if any.
    pub account: Option<String>,
    /// SHA-256 of the exact call; none if Attorn does not execute it.
    #[serde(with = "optional_hash")]
    pub call_digest: Option<Hash>,
    /// SHA-256 of the text that was shown.
    #[serde(with = "as_base64url")]
    pub text_digest: Hash,
    /// The template that made the text, with its version, for example `slack_message/1`.
    pub template: String,
    /// The language of the text (BCP 47).
    pub locale: String,
    /// The message that must match what the agent shows.
    pub binding_message: Option<String>,
    /// What the person chose: a signature for *deny* is none for *approve*.
    pub decision: Decision,
    /// The terms of a standing approval made with this decision. Integers within ±(2⁵³−1), texts, lists and objects.
    pub standing_terms: Option<Value>,
    /// When the approval expires, in Unix milliseconds.
    pub expires_at: i64,
    /// 128 random bits of the server, used once.
    #[serde(with = "as_base64url")]
    pub nonce: [u8; 16],
}

impl DecisionChallenge {
    /// The tagged canonical form (RFC 8785). Every member is always there, `null` where there is nothing, so that
    /// leaving one out is not the same as any value of it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let terms = self.standing_terms.as_ref();
        let form = json!({
            "tag": TAG,
            "issuer": self.issuer,
            "approval": self.approval,
            "person": self.person,
            "client": self.client,
            "account": self.account,
            "call_digest": self.call_digest.as_ref().map(|digest| base64url(digest)),
            "text_digest": base64url(&self.text_digest),
            "template": self.template,
            "locale": self.locale,
            "binding_message": self.binding_message,
            "decision": self.decision,
            "standing_terms": terms.map(|terms| json::readable(terms, TERMS_LEVELS)),
            // As text: no number format can round it.
            "expires_at": self.expires_at.to_string(),
            "nonce": base64url(&self.nonce),
        });
        json::canonical(&form)
    }

    /// The challenge for the authenticator: SHA-256 of [`DecisionChallenge::bytes`].
    #[must_use]
    pub fn hash(&self) -> Hash {
        sha256(&self.bytes())
    }
}

mod optional_hash {
    use crate::digest::{Hash, array_from_base64url, base64url};
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(hash: &Option<Hash>, serializer: S) -> Result<S::Ok, S::Error> {
        let text = hash.as_ref().map(|hash| base64url(hash));
        text.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Hash>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| array_from_base64url(&text).map_err(D::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::hex;

    fn post() -> DecisionChallenge {
        DecisionChallenge {
            issuer: "https://attorn.example/".into(),
            approval: "apr_1".into(),
            person: "per_1".into(),
            client: "cli_1".into(),
            account: Some("acc_1".into()),
            call_digest: Some([1; 32]),
            text_digest: [2; 32],
            template: "slack_message/1".into(),
            locale: "en".into(),
            binding_message: Some("AB-12".into()),
            decision: Decision::Approve,
            standing_terms: None,
            expires_at: 1_790_000_000_000,
            nonce: [3; 16],
        }
    }

    #[test]
    fn the_bytes_of_version_1_never_change() {
        let expected = r#"{"account":"acc_1","approval":"apr_1","binding_message":"AB-12","call_digest":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","client":"cli_1","decision":"approve","expires_at":"1790000000000","issuer":"https://attorn.example/","locale":"en","nonce":"AwMDAwMDAwMDAwMDAwMDAw","person":"per_1","standing_terms":null,"tag":"attorn-decision-v1","template":"slack_message/1","text_digest":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"}"#;
        assert_eq!(String::from_utf8(post().bytes()).unwrap(), expected);
        assert_eq!(
            hex(&post().hash()),
            "a3f8dbbb8631d30baa12a16944b7806d37c9932242c1584c9f0c2f962270ebf6"
        );
    }

    #[test]
    fn whatever_differs_changes_the_challenge() {
        let changes: [fn(&mut DecisionChallenge); 17] = [
            |c| c.issuer.push('x'),
            |c| c.approval.push('x'),
            |c| c.person.push('x'),
            |c| c.client.push('x'),
            |c| c.account = None,
            |c| c.account = Some(String::new()),
            |c| c.call_digest = None,
            |c| c.call_digest = Some([9; 32]),
            |c| c.text_digest[31] ^= 1,
            |c| c.template.push('x'),
            |c| c.locale.push('x'),
            |c| c.binding_message = None,
            |c| c.decision = Decision::Deny,
            |c| c.standing_terms = Some(json!({"most": 20})),
            |c| c.standing_terms = Some(json!({"most": 21})),
            |c| c.expires_at += 1,
            |c| c.nonce[0] ^= 1,
        ];
        let mut seen = std::collections::BTreeSet::from([post().hash()]);
        for change in changes {
            let mut changed = post();
            change(&mut changed);
            assert!(seen.insert(changed.hash()), "{changed:?}");
        }
    }

    #[test]
    fn the_page_gets_the_same_challenge_over_json() {
        for call_digest in [None, Some([1; 32])] {
            let sent = DecisionChallenge {
                call_digest,
                ..post()
            };
            let text = serde_json::to_string(&sent).unwrap();
            let received: DecisionChallenge = serde_json::from_str(&text).unwrap();
            assert_eq!(received, sent);
            assert_eq!(received.hash(), sent.hash());
        }
    }
}
