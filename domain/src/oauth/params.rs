//! The parameters of a request, read strictly.
//!
//! A parameter that occurs twice is refused (RFC 6749 §3.1), but for
//! `resource` (RFC 8707 §2). What is sent without a value counts as not sent
//! (§3.1); so does JSON `null`, and `None`, which a client in the wild sends
//! for an audience it does not have.

use std::collections::{BTreeMap, BTreeSet};

use evidence::json::{Limits, parse_strict};
use serde_json::Value;

use super::error::OauthError;

/// The longest body of a form or JSON request, in bytes.
pub const LONGEST: usize = 256 * 1024;
const MOST: usize = 64;

/// Name and value, each name once.
#[derive(Clone, Default)]
pub struct Params {
    values: BTreeMap<String, String>,
    resources: Vec<String>,
    /// What is wrong with a query that a browser brought: a parameter twice.
    twice: Option<String>,
}

impl Params {
    /// Takes pairs that were read already; each name may occur once.
    ///
    /// # Errors
    /// `invalid_request` for a name that occurs twice, or too many.
    pub fn new<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, OauthError> {
        let mut params = Self::default();
        for (name, value) in pairs {
            params.add(name.into(), value.into())?;
        }
        Ok(params)
    }

    fn add(&mut self, name: String, value: String) -> Result<(), OauthError> {
        if self.values.len() + self.resources.len() >= MOST {
            return Err(OauthError::request("there are too many parameters"));
        }
        // No parameter has one (RFC 6749 appendix A), and PostgreSQL takes none.
        if name.contains('\0') || value.contains('\0') {
            return Err(OauthError::request("a parameter holds a NUL"));
        }
        if name == "resource" {
            if !value.is_empty() {
                self.resources.push(value);
            }
            return Ok(());
        }
        if self.values.contains_key(&name) {
            return Err(twice(&name));
        }
        self.values.insert(name, value);
        Ok(())
    }

    /// Reads `application/x-www-form-urlencoded`, a body or a query.
    ///
    /// # Errors
    /// `invalid_request` when it is too long, not UTF-8, or a name occurs twice.
    pub fn form(bytes: &[u8]) -> Result<Self, OauthError> {
        Self::new(pairs(bytes)?)
    }

    /// Reads the query that a browser brought. A parameter that occurs twice is
    /// said in [`Self::twice`], because the client is to hear of it where it
    /// is beyond doubt which one that is (RFC 6749 §4.1.2.1): not if it is
    /// `client_id`, `redirect_uri` or `request_uri`. None of its values counts.
    ///
    /// # Errors
    /// As [`Self::form`].
    pub fn query(bytes: &[u8]) -> Result<Self, OauthError> {
        let mut params = Self::default();
        let mut again = BTreeSet::new();
        for (name, value) in pairs(bytes)? {
            if !params.values.contains_key(&name) {
                params.add(name, value)?;
            } else if ["client_id", "redirect_uri", "request_uri"].contains(&name.as_str()) {
                return Err(twice(&name));
            } else {
                params.twice.get_or_insert_with(|| twice(&name).description);
                again.insert(name);
            }
        }
        params.values.retain(|name, _| !again.contains(name));
        Ok(params)
    }

    /// What is wrong with a query that was read with [`Self::query`].
    #[must_use]
    pub fn twice(&self) -> Option<&str> {
        self.twice.as_deref()
    }

    /// Reads a JSON object. Numbers and booleans become their text; arrays and
    /// objects their JSON text (`authorization_details`), but for `resource`,
    /// of which an array is several.
    ///
    /// # Errors
    /// `invalid_request` for what is not strict JSON or not an object.
    pub fn json(bytes: &[u8]) -> Result<Self, OauthError> {
        let limits = Limits {
            bytes: LONGEST,
            ..Limits::BODY
        };
        let value = parse_strict(bytes, limits)
            .map_err(|error| OauthError::request("the body is not valid JSON").because(error))?;
        let Value::Object(object) = value else {
            return Err(OauthError::request("the body is not a JSON object"));
        };
        let mut params = Self::default();
        for (name, value) in object {
            match value {
                Value::Null => {}
                Value::String(text) => params.add(name, text)?,
                Value::Array(several) if name == "resource" => {
                    for one in several {
                        let Value::String(one) = one else {
                            return Err(OauthError::request("resource must be text"));
                        };
                        params.add(name.clone(), one)?;
                    }
                }
                other => params.add(name, other.to_string())?,
            }
        }
        Ok(params)
    }

    /// The value of a parameter; an empty one is none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The value of a parameter that must be there.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn need(&self, name: &'static str) -> Result<&str, OauthError> {
        self.get(name)
            .ok_or_else(|| OauthError::request(format!("the parameter {name} is missing")))
    }

    /// `audience`, or else the one `resource` (RFC 8707): two of them are refused.
    ///
    /// # Errors
    /// `invalid_target` when more than one is asked for.
    pub fn target(&self) -> Result<Option<&str>, OauthError> {
        let audience = self.get("audience").filter(|value| *value != "None");
        let mut all: Vec<&str> = audience
            .into_iter()
            .chain(self.resources.iter().map(String::as_str))
            .collect();
        all.dedup();
        match all.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => Err(OauthError::new(
                super::error::Code::InvalidTarget,
                "a token is for one audience; ask for one at a time",
            )),
        }
    }

    /// `scope` as single scopes, in order, each once (RFC 6749 §3.3).
    ///
    /// # Errors
    /// `invalid_scope` for characters the RFC does not allow.
    pub fn scopes(&self) -> Result<Option<Vec<String>>, OauthError> {
        let Some(text) = self.get("scope") else {
            return Ok(None);
        };
        let mut scopes: Vec<String> = Vec::new();
        for scope in text.split(' ').filter(|scope| !scope.is_empty()) {
            let right = scope
                .bytes()
                .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
            if !right || scope.len() > 200 || scopes.len() >= 64 {
                return Err(OauthError::new(
                    super::error::Code::InvalidScope,
                    "that is not a list of scopes",
                ));
            }
            if !scopes.iter().any(|known| known == scope) {
                scopes.push(scope.to_owned());
            }
        }
        Ok(Some(scopes))
    }

    /// All pairs, to be put into a form again (the consent page). Empty ones are left out.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(
                self.resources
                    .iter()
                    .map(|resource| ("resource", resource.as_str())),
            )
    }
}

/// The error of a parameter that occurs twice.
fn twice(name: &str) -> OauthError {
    // The name may be anything; only known words are repeated.
    let known = name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    OauthError::request(if known {
        format!("the parameter {name} occurs twice")
    } else {
        "a parameter occurs twice".to_owned()
    })
}

/// Names and values of a form, in order.
fn pairs(bytes: &[u8]) -> Result<Vec<(String, String)>, OauthError> {
    if bytes.len() > LONGEST {
        return Err(OauthError::request("the body is too long"));
    }
    bytes
        .split(|byte| *byte == b'&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| {
            let (name, value) = match piece.iter().position(|byte| *byte == b'=') {
                Some(at) => (&piece[..at], &piece[at + 1..]),
                None => (piece, &b""[..]),
            };
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Decodes one name or value of a form. Broken escapes, NUL and what is not
/// UTF-8 are refused, never replaced.
///
/// # Errors
/// `invalid_request`.
pub fn decode(bytes: &[u8]) -> Result<String, OauthError> {
    let broken = || OauthError::request("the form is not properly encoded");
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || {
                    rest.next()
                        .and_then(|digit| char::from(*digit).to_digit(16))
                        .and_then(|digit| u8::try_from(digit).ok())
                        .ok_or_else(broken)
                };
                (digit()? << 4) | digit()?
            }
            byte => *byte,
        });
    }
    if out.contains(&0) {
        return Err(broken());
    }
    String::from_utf8(out).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_parameter_that_occurs_twice_is_refused() {
        let error = Params::form(b"client_id=a&client_id=a").err().unwrap();
        assert_eq!(error.description, "the parameter client_id occurs twice");
        assert!(Params::json(br#"{"client_id":"a","client_id":"b"}"#).is_err());
    }

    #[test]
    fn a_query_with_a_parameter_twice_says_so_and_believes_neither() {
        let query = b"client_id=a&state=x&state=y&scope=openid&scope=admin";
        let params = Params::query(query).unwrap();
        assert_eq!(params.twice(), Some("the parameter state occurs twice"));
        assert_eq!(params.get("client_id"), Some("a"));
        assert!(params.get("state").is_none() && params.get("scope").is_none());
        for doubtful in [
            &b"client_id=a&client_id=a"[..],
            b"redirect_uri=a&redirect_uri=b",
            b"request_uri=a&request_uri=b",
            b"state=%ff",
            b"state=%f",
            // Twice besides: still refused, never replaced.
            b"state=%ff&scope=a&scope=b",
        ] {
            assert!(Params::query(doubtful).is_err());
        }
        let long = format!("scope=a&scope=b&state={}", "x".repeat(LONGEST));
        assert!(Params::query(long.as_bytes()).is_err());
    }

    #[test]
    fn null_and_empty_and_none_mean_absent() {
        let params = Params::json(br#"{"scope":null,"audience":""}"#).unwrap();
        assert!(params.get("scope").is_none());
        assert_eq!(params.target().unwrap(), None);
        let params = Params::form(b"audience=None&scope=").unwrap();
        assert_eq!(params.target().unwrap(), None);
        assert!(params.scopes().unwrap().is_none());
    }

    #[test]
    fn a_broken_escape_is_refused_not_replaced() {
        assert!(Params::form(b"a=%f").is_err());
        assert!(Params::form(b"a=%ff").is_err());
        assert_eq!(Params::form(b"a=%C3%A4+b").unwrap().get("a"), Some("ä b"));
    }

    #[test]
    fn a_nul_is_refused_wherever_it_stands() {
        assert!(Params::form(b"login_hint=a%00@b.example").is_err());
        assert!(Params::form(b"a%00=b").is_err());
        assert!(Params::form(b"a=\0").is_err());
        assert!(Params::query(b"login_hint=%00").is_err());
        assert!(Params::json(br#"{"login_hint":"a\u0000"}"#).is_err());
        assert!(Params::json(br#"{"resource":["\u0000"]}"#).is_err());
        assert!(Params::new([("client_id", "a\0")]).is_err());
        assert!(decode(b"client%00").is_err());
    }

    #[test]
    fn details_in_a_json_body_are_kept_as_json() {
        let params =
            Params::json(br#"{"authorization_details":[{"type":"x"}],"expires":300}"#).unwrap();
        assert_eq!(
            params.get("authorization_details"),
            Some(r#"[{"type":"x"}]"#)
        );
        assert_eq!(params.get("expires"), Some("300"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parsers_panic(bytes: Vec<u8>) {
            let _ = Params::form(&bytes);
            let _ = Params::json(&bytes);
        }
    }
}
