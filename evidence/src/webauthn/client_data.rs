//! What the browser says it did (§5.8.1 `CollectedClientData`).

use super::{Asked, MAX_CLIENT_DATA, WebauthnError};
use crate::digest::from_base64url;
use crate::json::{Limits, parse_strict_object};
use serde_json::Value;

/// Which ceremony the client data is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceremony {
    /// A credential was made.
    Create,
    /// A credential signed.
    Get,
}

impl Ceremony {
    /// The value of the member `type`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Ceremony::Create => "webauthn.create",
            Ceremony::Get => "webauthn.get",
        }
    }
}

/// Client data as read. Until its checks have passed and the signature over it holds, nothing in it may be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientData {
    ceremony: Option<Ceremony>,
    challenge: Vec<u8>,
    origin: String,
    cross_origin: bool,
    top_origin: bool,
}

impl ClientData {
    /// Reads client data. Members it does not know are let pass: §5.8.1 says that there will be more.
    ///
    /// # Errors
    /// [`WebauthnError::ClientData`] for what is not a strict JSON object, [`WebauthnError::ClientDataMember`].
    pub fn parse(json: &[u8]) -> Result<Self, WebauthnError> {
        let limits = Limits {
            depth: 4,
            bytes: MAX_CLIENT_DATA,
            integers_only: false,
        };
        let members = parse_strict_object(json, limits)?;
        let text = |name: &'static str| {
            members
                .get(name)
                .and_then(Value::as_str)
                .ok_or(WebauthnError::ClientDataMember(name))
        };
        let ceremony = match text("type")? {
            "webauthn.create" => Some(Ceremony::Create),
            "webauthn.get" => Some(Ceremony::Get),
            _ => None,
        };
        let challenge = from_base64url(text("challenge")?)
            .map_err(|_| WebauthnError::ClientDataMember("challenge"))?;
        let cross_origin = match members.get("crossOrigin") {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => return Err(WebauthnError::ClientDataMember("crossOrigin")),
        };
        Ok(ClientData {
            ceremony,
            challenge,
            origin: text("origin")?.to_owned(),
            cross_origin,
            top_origin: members.contains_key("topOrigin"),
        })
    }

    /// The challenge it says was signed: with it a server finds what it asked.
    #[must_use]
    pub fn challenge(&self) -> &[u8] {
        &self.challenge
    }

    /// What both §7.1 and §7.2 ask of it.
    pub(super) fn check(&self, ceremony: Ceremony, asked: &Asked) -> Result<(), WebauthnError> {
        if self.ceremony != Some(ceremony) {
            return Err(WebauthnError::Type);
        }
        if asked.challenge.is_empty() || self.challenge != asked.challenge {
            return Err(WebauthnError::Challenge);
        }
        // Byte for byte: "https://a.example" is not "https://a.example:443" or "https://A.example".
        if !asked.relying_party.origins.contains(&self.origin) {
            return Err(WebauthnError::Origin);
        }
        // None of our pages is meant to be embedded.
        if self.cross_origin {
            return Err(WebauthnError::CrossOrigin);
        }
        if self.top_origin {
            return Err(WebauthnError::TopOrigin);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::RelyingParty;
    use super::*;
    use crate::json::JsonError;

    fn outcome(json: &str) -> Result<(), WebauthnError> {
        let party = RelyingParty::new("a.example", &["https://a.example"]);
        let asked = Asked {
            relying_party: &party,
            challenge: &[1, 2, 3],
            user_verification: true,
        };
        ClientData::parse(json.as_bytes())?.check(Ceremony::Get, &asked)
    }

    #[test]
    fn each_thing_the_browser_says_is_checked() {
        let good = r#"{"type":"webauthn.get","challenge":"AQID","origin":"https://a.example"}"#;
        assert_eq!(outcome(good), Ok(()));
        let more = good.replace('}', r#","crossOrigin":false,"other":{"x":1.5}}"#);
        assert_eq!(outcome(&more), Ok(()));
        let member = WebauthnError::ClientDataMember;
        for (from, to, why) in [
            ("webauthn.get", "webauthn.create", WebauthnError::Type),
            ("webauthn.get", "payment.get", WebauthnError::Type),
            ("AQID", "AQIE", WebauthnError::Challenge),
            ("AQID", "AQ", WebauthnError::Challenge),
            ("AQID", "", WebauthnError::Challenge),
            ("AQID", "AQID=", member("challenge")),
            ("AQID", "AQ I", member("challenge")),
            (
                "https://a.example",
                "https://a.example/",
                WebauthnError::Origin,
            ),
            (
                "https://a.example",
                "https://a.example:443",
                WebauthnError::Origin,
            ),
            (
                "https://a.example",
                "http://a.example",
                WebauthnError::Origin,
            ),
            (
                "https://a.example",
                "https://b.a.example",
                WebauthnError::Origin,
            ),
            (
                "https://a.example",
                "https://A.example",
                WebauthnError::Origin,
            ),
            ("https://a.example", "null", WebauthnError::Origin),
            ("}", r#","crossOrigin":true}"#, WebauthnError::CrossOrigin),
            ("}", r#","crossOrigin":null}"#, member("crossOrigin")),
            ("}", r#","crossOrigin":"false"}"#, member("crossOrigin")),
            (
                "}",
                r#","topOrigin":"https://a.example"}"#,
                WebauthnError::TopOrigin,
            ),
            ("\"type\"", "\"typ\"", member("type")),
            ("\"webauthn.get\"", "1", member("type")),
            ("\"challenge\"", "\"Challenge\"", member("challenge")),
            ("\"origin\"", "\"orig\\u0131n\"", member("origin")),
        ] {
            let changed = good.replacen(from, to, 1);
            assert_eq!(outcome(&changed), Err(why), "{changed}");
        }
    }

    #[test]
    fn json_that_two_readers_could_read_differently_is_refused() {
        let good = r#"{"type":"webauthn.get","challenge":"AQID","origin":"https://a.example"}"#;
        let twice = good.replace('}', r#","origin":"https://b.example"}"#);
        assert!(matches!(
            outcome(&twice),
            Err(WebauthnError::ClientData(JsonError::DuplicateKey { .. }))
        ));
        for (bad, why) in [
            (format!("\u{feff}{good}"), JsonError::ByteOrderMark),
            (format!("{good}{{}}"), JsonError::TrailingData),
            (format!("[{good}]"), JsonError::NotAnObject),
            (
                good.replace('}', &format!(r#","x":"{}"}}"#, "x".repeat(MAX_CLIENT_DATA))),
                JsonError::TooLong {
                    limit: MAX_CLIENT_DATA,
                },
            ),
        ] {
            assert_eq!(outcome(&bad), Err(WebauthnError::ClientData(why)));
        }
    }

    #[test]
    fn an_empty_challenge_was_never_asked() {
        let party = RelyingParty::new("a.example", &["https://a.example"]);
        let asked = Asked {
            relying_party: &party,
            challenge: &[],
            user_verification: false,
        };
        let json = br#"{"type":"webauthn.get","challenge":"","origin":"https://a.example"}"#;
        let read = ClientData::parse(json).unwrap();
        assert_eq!(
            read.check(Ceremony::Get, &asked),
            Err(WebauthnError::Challenge)
        );
    }
}
