//! One entry of the audit log, version 1.
//!
//! A leaf is a canonical JSON object (RFC 8785): `{"v":1,"id","at","kind","deployment","client"?,"person"?,"account"?,
//! "approval"?,"run"?,"data":{…},"commitments":{…}}`. Its bytes never change once written, so personal data is not in
//! it: `commitments` holds salted hashes, and whoever erases value and salt elsewhere has erased it here too, without
//! breaking the tree.

use crate::digest::{self, Hash};
use crate::json::{self, JsonError, Limits, MAX_SAFE_INTEGER};
use crate::merkle;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The version that this module writes and reads.
pub const VERSION: i64 = 1;

/// How deep the values inside `data` may nest; what lies deeper is written as its JSON text.
const DATA_LEVELS: usize = 24;

/// An entry of the audit log. Ids are those of the domain; which kinds there are is the domain's business as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// The event's own id.
    pub id: String,
    /// When it happened, in Unix milliseconds.
    pub at: i64,
    /// What happened, for example `token.released`.
    pub kind: String,
    /// The deployment that wrote it, so that a copy's entries are told from the original's.
    pub deployment: String,
    /// The client that acted.
    pub client: Option<String>,
    /// The person it is about.
    pub person: Option<String>,
    /// The connected account that was used.
    pub account: Option<String>,
    /// The approval it belongs to.
    pub approval: Option<String>,
    /// The run of the embedded agent it belongs to.
    pub run: Option<String>,
    /// Whatever else can be said in clear: never a secret, never personal data.
    pub data: Map<String, Value>,
    /// What was committed to instead of being written, by field.
    pub commitments: BTreeMap<String, Commitment>,
}

/// Why some bytes are no leaf.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// Not strict JSON.
    #[error("the leaf cannot be read: {0}")]
    Json(#[from] JsonError),
    /// JSON, but not the canonical text of its value.
    #[error("the leaf is not in canonical form")]
    NotCanonical,
    /// A version this program does not know.
    #[error("the leaf is not of version {VERSION}")]
    Version,
    /// A member that is missing or of the wrong type.
    #[error("the leaf's member `{0}` is missing or of the wrong type")]
    Member(&'static str),
    /// A member that version 1 does not have.
    #[error("the leaf has a member that version {VERSION} does not have")]
    UnknownMember,
}

impl Leaf {
    /// A leaf with nothing but what every leaf has; `at` in Unix milliseconds.
    pub fn new(
        id: impl Into<String>,
        at: i64,
        kind: impl Into<String>,
        deployment: impl Into<String>,
    ) -> Self {
        Leaf {
            id: id.into(),
            at,
            kind: kind.into(),
            deployment: deployment.into(),
            client: None,
            person: None,
            account: None,
            approval: None,
            run: None,
            data: Map::new(),
            commitments: BTreeMap::new(),
        }
    }

    /// Names the client that acted.
    #[must_use]
    pub fn client(mut self, id: impl Into<String>) -> Self {
        self.client = Some(id.into());
        self
    }

    /// Names the person it is about.
    #[must_use]
    pub fn person(mut self, id: impl Into<String>) -> Self {
        self.person = Some(id.into());
        self
    }

    /// Names the connected account.
    #[must_use]
    pub fn account(mut self, id: impl Into<String>) -> Self {
        self.account = Some(id.into());
        self
    }

    /// Names the approval by its public id.
    #[must_use]
    pub fn approval(mut self, id: impl Into<String>) -> Self {
        self.approval = Some(id.into());
        self
    }

    /// Names the run of the embedded agent.
    #[must_use]
    pub fn run(mut self, id: impl Into<String>) -> Self {
        self.run = Some(id.into());
        self
    }

    /// Adds something said in clear. Numbers should be integers within ±(2⁵³−1); any other is written as its text.
    #[must_use]
    pub fn data(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.data.insert(name.into(), value.into());
        self
    }

    /// Commits to a value without writing it. Salt (from a secure random source, used once) and value are for the
    /// caller to keep where they can be erased.
    #[must_use]
    pub fn commit(mut self, field: impl Into<String>, salt: &[u8; 16], value: &str) -> Self {
        let field = field.into();
        let commitment = Commitment::of(&field, salt, value);
        self.commitments.insert(field, commitment);
        self
    }

    /// The canonical bytes. [`Leaf::parse`] reads the bytes of every leaf, whatever was put into it: an `at` beyond
    /// ±(2⁵³−1) is cut to it, and numbers in `data` that are no such integer, or nesting beyond 24 levels, become text.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| {
            object.insert(name.to_owned(), value);
        };
        put("v", VERSION.into());
        put("id", self.id.clone().into());
        let at = self.at.clamp(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER);
        put("at", at.into());
        put("kind", self.kind.clone().into());
        put("deployment", self.deployment.clone().into());
        for (name, id) in [
            ("client", &self.client),
            ("person", &self.person),
            ("account", &self.account),
            ("approval", &self.approval),
            ("run", &self.run),
        ] {
            if let Some(id) = id {
                put(name, id.clone().into());
            }
        }
        let data = self
            .data
            .iter()
            .map(|(name, value)| (name.clone(), json::readable(value, DATA_LEVELS)));
        put("data", Value::Object(data.collect()));
        let commitments = self
            .commitments
            .iter()
            .map(|(field, commitment)| (field.clone(), commitment.to_string().into()));
        put("commitments", Value::Object(commitments.collect()));
        json::canonical(&Value::Object(object))
    }

    /// The leaf hash of [`Leaf::bytes`], as the tree takes it (RFC 9162 §2.1.1).
    #[must_use]
    pub fn hash(&self) -> Hash {
        merkle::leaf_hash(&self.bytes())
    }

    /// Reads the bytes of a leaf: strict JSON, in canonical form, with the members of version 1 and no others. What
    /// was read gives the same bytes again. The length is not limited here.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        let limits = Limits {
            bytes: usize::MAX,
            ..Limits::INTEGERS
        };
        let value = json::parse_strict(bytes, limits)?;
        if json::canonical(&value) != bytes {
            return Err(LeafError::NotCanonical);
        }
        let Value::Object(mut object) = value else {
            return Err(JsonError::NotAnObject.into());
        };
        if object.remove("v") != Some(VERSION.into()) {
            return Err(LeafError::Version);
        }
        let at = object
            .remove("at")
            .and_then(|at| at.as_i64())
            .ok_or(LeafError::Member("at"))?;
        let commitments = take_object(&mut object, "commitments")?
            .into_iter()
            .map(|(field, commitment)| {
                let commitment = commitment.as_str().and_then(Commitment::from_text);
                let commitment = commitment.ok_or(LeafError::Member("commitments"))?;
                Ok((field, commitment))
            })
            .collect::<Result<_, LeafError>>()?;
        let leaf = Leaf {
            id: take_text(&mut object, "id")?.ok_or(LeafError::Member("id"))?,
            at,
            kind: take_text(&mut object, "kind")?.ok_or(LeafError::Member("kind"))?,
            deployment: take_text(&mut object, "deployment")?
                .ok_or(LeafError::Member("deployment"))?,
            client: take_text(&mut object, "client")?,
            person: take_text(&mut object, "person")?,
            account: take_text(&mut object, "account")?,
            approval: take_text(&mut object, "approval")?,
            run: take_text(&mut object, "run")?,
            data: take_object(&mut object, "data")?,
            commitments,
        };
        if !object.is_empty() {
            return Err(LeafError::UnknownMember);
        }
        Ok(leaf)
    }
}

fn take_text(
    object: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Option<String>, LeafError> {
    match object.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(LeafError::Member(name)),
    }
}

fn take_object(
    object: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Map<String, Value>, LeafError> {
    match object.remove(name) {
        Some(Value::Object(members)) => Ok(members),
        _ => Err(LeafError::Member(name)),
    }
}

/// A salted hash that stands for a value somebody may want erased later.
///
/// SHA-256 of `"attorn-commitment-v1" || 0x00 || length of field (4 bytes, big-endian) || field || salt || value`.
/// With the salt gone, not even a guess of the value can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Commitment(#[serde(with = "crate::digest::as_base64url")] Hash);

impl Commitment {
    /// Commits to `value` as the content of `field`.
    #[must_use]
    pub fn of(field: &str, salt: &[u8; 16], value: &str) -> Self {
        // Two fields whose lengths agree modulo 2³² do not fit into one leaf; the length keeps field and salt apart.
        let length = (field.len() as u32).to_be_bytes();
        Commitment(digest::sha256_of(&[
            b"attorn-commitment-v1\0",
            &length,
            field.as_bytes(),
            salt,
            value.as_bytes(),
        ]))
    }

    /// Whether this is the commitment to that value with that salt.
    #[must_use]
    pub fn opens(&self, field: &str, salt: &[u8; 16], value: &str) -> bool {
        *self == Commitment::of(field, salt, value)
    }

    /// Reads the base64url text of a commitment.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        digest::array_from_base64url(text).ok().map(Commitment)
    }
}

/// base64url without padding, 43 characters.
impl std::fmt::Display for Commitment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str(&digest::base64url(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn released() -> Leaf {
        Leaf::new("evt_1", 1_790_000_000_000, "token.released", "dep_1")
            .client("cli_1")
            .person("per_1")
            .data("scopes", json!(["chat:write"]))
            .commit("email", &[7; 16], "ada@example.com")
    }

    #[test]
    fn the_bytes_of_version_1_never_change() {
        let email = Commitment::of("email", &[7; 16], "ada@example.com");
        let expected = format!(
            r#"{{"at":1790000000000,"client":"cli_1","commitments":{{"email":"{email}"}},"data":{{"scopes":["chat:write"]}},"deployment":"dep_1","id":"evt_1","kind":"token.released","person":"per_1","v":1}}"#
        );
        assert_eq!(String::from_utf8(released().bytes()).unwrap(), expected);
        let hash = digest::hex(&released().hash());
        assert_eq!(
            hash,
            "03cc0f4a58a7190a63ba9a88f91be2153f2454babd62a941f824a6ee6458087d"
        );
    }

    #[test]
    fn a_leaf_is_read_only_in_its_one_form() {
        let text = String::from_utf8(released().bytes()).unwrap();
        let changed = |from: &str, to: &str| Leaf::parse(text.replacen(from, to, 1).as_bytes());
        assert_eq!(changed("", ""), Ok(released()));
        assert_eq!(changed(":", ": "), Err(LeafError::NotCanonical));
        assert_eq!(changed("\"v\":1", "\"v\":2"), Err(LeafError::Version));
        assert_eq!(
            changed("\"v\":1", "\"v\":1,\"w\":1"),
            Err(LeafError::UnknownMember)
        );
        assert_eq!(changed("\"evt_1\"", "7"), Err(LeafError::Member("id")));
        assert_eq!(
            changed("\"cli_1\"", "null"),
            Err(LeafError::Member("client"))
        );
        assert_eq!(
            changed("1790000000000", "\"x\""),
            Err(LeafError::Member("at"))
        );
        assert!(matches!(
            changed("1790000000000", "1.5"),
            Err(LeafError::Json(_))
        ));
        assert_eq!(
            changed("\"kind\":\"token.released\",", ""),
            Err(LeafError::Member("kind"))
        );
        assert!(matches!(
            Leaf::parse(b"[]"),
            Err(LeafError::Json(JsonError::NotAnObject))
        ));
    }

    #[test]
    fn a_commitment_opens_with_its_own_field_salt_and_value_only() {
        let commitment = Commitment::of("email", &[7; 16], "ada@example.com");
        assert!(commitment.opens("email", &[7; 16], "ada@example.com"));
        assert!(!commitment.opens("name", &[7; 16], "ada@example.com"));
        assert!(!commitment.opens("email", &[8; 16], "ada@example.com"));
        assert!(!commitment.opens("email", &[7; 16], "bob@example.com"));
        assert_eq!(
            Commitment::from_text(&commitment.to_string()),
            Some(commitment)
        );
        assert_eq!(Commitment::from_text("AAAA"), None);
    }

    #[test]
    fn what_no_reader_would_take_is_written_as_text() {
        let mut nested = json!(1);
        for _ in 0..100 {
            nested = json!([nested]);
        }
        let odd = Leaf::new("e", i64::MAX, "k", "d")
            .data("half", 0.5)
            .data("huge", u64::MAX)
            .data("nested", nested);
        let read = Leaf::parse(&odd.bytes()).unwrap();
        assert_eq!(read.at, MAX_SAFE_INTEGER);
        assert_eq!(read.data["half"], "0.5");
        assert_eq!(read.data["huge"], "18446744073709551615");
        assert_eq!(read.bytes(), odd.bytes());
    }

    proptest! {
        #[test]
        fn every_leaf_reads_back(
            id in ".*", at in any::<i64>(), kind in ".*", client in proptest::option::of(".*"),
            run in proptest::option::of(".*"), name in ".*", number in any::<f64>(), field in ".*", salt in any::<[u8; 16]>(),
        ) {
            let mut leaf = Leaf::new(id, at, kind, "dep_1").data(name, number).commit(field, &salt, "value");
            leaf.client = client;
            leaf.run = run;
            let read = Leaf::parse(&leaf.bytes());
            prop_assert_eq!(read.map(|read| read.bytes()), Ok(leaf.bytes()));
        }

        #[test]
        fn a_flipped_bit_is_another_leaf(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut bytes = released().bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_ne!(merkle::leaf_hash(&bytes), released().hash());
        }
    }
}
