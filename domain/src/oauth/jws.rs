//! Compact JWS (RFC 7515), read strictly; ours and other people's.
//!
//! What a token's header claims never chooses how it is checked (RFC 8725
//! §3.1): the key says which algorithms it can be used with, and the header
//! must name one of them. `none`, HMAC, critical extensions, keys inside the
//! header and oversized keys are refused.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use evidence::json::{Limits, parse_strict};
use serde_json::{Map, Value};

use crate::keyring::sha256;

/// No token we take is longer; what is longer is not looked at.
pub(crate) const LONGEST: usize = 8 * 1024;
/// The largest RSA modulus and the largest number of keys in a set.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
const MOST_KEYS: usize = 20;
/// The end of the year 9999, which is as far as a NumericDate can be meant.
const LAST_SECOND: i64 = 253_402_300_799;

/// The algorithms we take from others, as discovery names them.
pub const ALGORITHMS: [&str; 5] = ["ES256", "EdDSA", "RS256", "PS256", "ES384"];

/// A token in its three parts. The signature is not checked yet.
pub(crate) struct Compact<'a> {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    match parse_strict(&bytes, Limits::BODY).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

impl<'a> Compact<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// What is wrong with its form.
    pub(crate) fn parse(token: &'a str) -> Result<Self, &'static str> {
        if token.len() > LONGEST {
            return Err("longer than any token we take");
        }
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("not a compact JWS");
        };
        let signed = &token[..header.len() + 1 + claims.len()];
        let header = object(header).ok_or("the header is not strict JSON")?;
        // RFC 7515 §4.1.11: we understand no extension, so none may be critical.
        if header.contains_key("crit") {
            return Err("with critical extensions");
        }
        // RFC 7797: the claims would not be what was signed.
        if header.contains_key("b64") {
            return Err("with an unencoded payload");
        }
        Ok(Self {
            header,
            claims: object(claims).ok_or("the claims are not strict JSON")?,
            signed,
            signature: URL_SAFE_NO_PAD
                .decode(signature)
                .map_err(|_| "the signature is not base64url")?,
        })
    }

    /// A text member of the header.
    pub(crate) fn head(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    /// A text claim. One with a NUL is none: it names nobody, and PostgreSQL
    /// would not even look.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let text = self.claims.get(name).and_then(Value::as_str);
        text.filter(|text| !text.contains('\0'))
    }

    /// A time claim in whole Unix seconds (a NumericDate may have a fraction,
    /// RFC 7519 §2); `None` when it is not there.
    ///
    /// # Errors
    /// What is no number, or no moment between 1970 and the year 9999: no claim
    /// that cannot be judged passes for one that is missing, and no sum with
    /// a time ever runs over.
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<i64>, &'static str> {
        let Some(value) = self.claims.get(name) else {
            return Ok(None);
        };
        #[allow(clippy::cast_possible_truncation, reason = "a checked range")]
        let whole = value.as_i64().or_else(|| {
            let number = value.as_f64()?;
            (number.is_finite() && number.abs() < 1e15).then_some(number as i64)
        });
        match whole {
            Some(at @ 0..=LAST_SECOND) => Ok(Some(at)),
            _ => Err("with a time that is none"),
        }
    }

    /// The type, without `application/` and in small letters (RFC 9068 §4).
    pub(crate) fn typ(&self) -> String {
        let typ = self.head("typ").unwrap_or_default().to_ascii_lowercase();
        typ.strip_prefix("application/").unwrap_or(&typ).to_owned()
    }

    /// What was signed, and the signature: for keys of our own.
    pub(crate) fn signed(&self) -> (&[u8], &[u8]) {
        (self.signed.as_bytes(), &self.signature)
    }

    /// Checks the signature with somebody's public key.
    ///
    /// # Errors
    /// What is wrong with key, algorithm or signature.
    pub(crate) fn verify(&self, jwk: &Map<String, Value>) -> Result<(), &'static str> {
        let alg = self.head("alg").ok_or("without an algorithm")?;
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if text("alg").is_some_and(|own| own != alg) {
            return Err("the key is for another algorithm");
        }
        if text("use").is_some_and(|usage| usage != "sig") {
            return Err("the key is not for signatures");
        }
        let bytes = |name: &str| {
            text(name)
                .and_then(|value| URL_SAFE_NO_PAD.decode(value).ok())
                .ok_or("the key lacks a member")
        };
        let curve = |name: &str| text("crv") == Some(name);
        let wrong = |_| "the signature is wrong";
        let check = |how: &'static dyn VerificationAlgorithm, key: Vec<u8>| {
            UnparsedPublicKey::new(how, key)
                .verify(self.signed.as_bytes(), &self.signature)
                .map_err(wrong)
        };
        let point = |size: usize| {
            let (x, y) = (bytes("x")?, bytes("y")?);
            if x.len() != size || y.len() != size {
                return Err("the key's point has another size");
            }
            Ok([&[4][..], &x, &y].concat())
        };
        match (text("kty"), alg) {
            (Some("EC"), "ES256") if curve("P-256") => check(&ECDSA_P256_SHA256_FIXED, point(32)?),
            (Some("EC"), "ES384") if curve("P-384") => check(&ECDSA_P384_SHA384_FIXED, point(48)?),
            (Some("OKP"), "EdDSA" | "Ed25519") if curve("Ed25519") => {
                let key = bytes("x")?;
                if key.len() != 32 {
                    return Err("the key's point has another size");
                }
                check(&ED25519, key)
            }
            (Some("RSA"), "RS256" | "PS256") => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                if !RSA_BYTES.contains(&n.len()) || e.len() > 8 {
                    return Err("an RSA key has 2048 to 4096 bits");
                }
                let how = if alg == "RS256" {
                    &RSA_PKCS1_2048_8192_SHA256
                } else {
                    &RSA_PSS_2048_8192_SHA256
                };
                RsaPublicKeyComponents { n: &n, e: &e }
                    .verify(how, self.signed.as_bytes(), &self.signature)
                    .map_err(wrong)
            }
            _ => Err("the algorithm does not fit the key, or is not taken here"),
        }
    }

    /// Checks the signature with one key of a set: those with the token's
    /// `kid`, or all when it names none.
    ///
    /// # Errors
    /// What the last key said, or that no key has this `kid`.
    pub(crate) fn verify_with(&self, keys: &[Map<String, Value>]) -> Result<(), &'static str> {
        let mut outcome = Err("signed with an unknown key");
        for key in keys.iter().take(MOST_KEYS) {
            let kid = key.get("kid").and_then(Value::as_str);
            if self.head("kid").is_some_and(|wanted| kid != Some(wanted)) {
                continue;
            }
            outcome = self.verify(key);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }
}

/// The keys of a JWK set that can be used here; others are passed over, as
/// RFC 7517 §5 asks, so that a new kind of key beside them locks nobody out.
///
/// # Errors
/// What is wrong with the set, in words for whoever registers it: also a
/// private or shared key, which has no place in a public set.
pub(crate) fn key_set(value: &Value) -> Result<Vec<Map<String, Value>>, &'static str> {
    let keys = value
        .get("keys")
        .and_then(Value::as_array)
        .ok_or("a JWK set has an array named keys")?;
    if keys.is_empty() || keys.len() > MOST_KEYS {
        return Err("a JWK set has 1 to 20 keys here");
    }
    let mut usable = Vec::new();
    for key in keys {
        let key = key.as_object().ok_or("a key is a JSON object")?;
        if is_private(key) {
            return Err("a JWK set must hold public keys only");
        }
        if thumbprint(key).is_some() {
            usable.push(key.clone());
        }
    }
    if usable.is_empty() {
        return Err("no key of the JWK set is EC, OKP or RSA with all its members");
    }
    Ok(usable)
}

/// Whether a key is a private or a shared one.
pub(crate) fn is_private(key: &Map<String, Value>) -> bool {
    key.get("kty").and_then(Value::as_str) == Some("oct")
        || ["d", "p", "q", "dp", "dq", "qi", "k"]
            .iter()
            .any(|name| key.contains_key(*name))
}

/// The thumbprint of a public key (RFC 7638 §3), base64url.
pub(crate) fn thumbprint(key: &Map<String, Value>) -> Option<String> {
    let names: &[&str] = match key.get("kty")?.as_str()? {
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        _ => return None,
    };
    // The members in the order of the RFC, which is the order of their names.
    let mut text = String::from("{");
    for (position, name) in names.iter().enumerate() {
        let value = key.get(*name)?.as_str()?;
        if position > 0 {
            text.push(',');
        }
        text.push_str(&format!("\"{name}\":{}", Value::from(value)));
    }
    text.push('}');
    Some(URL_SAFE_NO_PAD.encode(sha256(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_is_the_one_of_the_rfc() {
        // RFC 7638 §3.1
        let key = serde_json::json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
            "alg": "RS256",
            "kid": "2011-04-29",
        });
        assert_eq!(
            thumbprint(key.as_object().unwrap()).unwrap(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    #[test]
    fn a_shared_secret_is_no_public_key() {
        let set = serde_json::json!({ "keys": [{ "kty": "oct", "k": "AAAA" }] });
        assert!(key_set(&set).is_err());
        let set = serde_json::json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "AA" }] });
        assert!(key_set(&set).is_err());
    }

    #[test]
    fn a_key_of_a_kind_that_is_not_known_is_passed_over() {
        let known = serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "x": "AA" });
        let other = serde_json::json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA" });
        let set = serde_json::json!({ "keys": [other, known] });
        assert_eq!(key_set(&set).unwrap(), [known.as_object().unwrap().clone()]);
        assert!(key_set(&serde_json::json!({ "keys": [other] })).is_err());
    }

    fn token(header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(header), part(claims), part("signature"))
    }

    #[test]
    fn a_header_or_claim_that_occurs_twice_is_refused() {
        let good = token(r#"{"alg":"ES256"}"#, r#"{"sub":"a"}"#);
        assert!(Compact::parse(&good).is_ok());
        for (header, claims) in [
            (r#"{"alg":"none","alg":"ES256"}"#, r#"{"sub":"a"}"#),
            (r#"{"alg":"ES256","\u0061lg":"none"}"#, r#"{"sub":"a"}"#),
            (r#"{"alg":"ES256"}"#, r#"{"sub":"a","sub":"b"}"#),
            (r#"{"alg":"ES256"}"#, r#"{"act":{"sub":"a","sub":"b"}}"#),
        ] {
            assert!(
                Compact::parse(&token(header, claims)).is_err(),
                "{header} {claims}"
            );
        }
    }

    #[test]
    fn a_text_claim_with_a_nul_is_none() {
        let token = token(r#"{"alg":"ES256"}"#, r#"{"sub":"a\u0000","iss":"a"}"#);
        let token = Compact::parse(&token).unwrap();
        assert_eq!((token.text("sub"), token.text("iss")), (None, Some("a")));
    }

    #[test]
    fn a_token_that_is_too_long_or_too_deep_is_not_taken_apart() {
        let long = format!(r#"{{"x":"{}"}}"#, "x".repeat(LONGEST));
        let long = token(r#"{"alg":"ES256"}"#, &long);
        assert_eq!(
            Compact::parse(&long).err(),
            Some("longer than any token we take")
        );
        for (depth, good) in [(31, true), (32, false), (2000, false)] {
            let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
            let in_claims = token(r#"{"alg":"ES256"}"#, &deep);
            assert_eq!(Compact::parse(&in_claims).is_ok(), good, "{depth}");
            let in_header = token(&deep, "{}");
            assert_eq!(Compact::parse(&in_header).is_ok(), good, "{depth}");
        }
    }

    #[test]
    fn a_key_that_is_too_large_or_too_small_is_never_used() {
        let signed = |alg: &str| token(&format!(r#"{{"alg":"{alg}"}}"#), "{}");
        let bytes = |length: usize| URL_SAFE_NO_PAD.encode(vec![0xff; length]);
        let size = "an RSA key has 2048 to 4096 bits";
        let point = "the key's point has another size";
        for (alg, key, cause) in [
            (
                "RS256",
                serde_json::json!({ "kty": "RSA", "n": bytes(128), "e": "AQAB" }),
                size,
            ),
            (
                "RS256",
                serde_json::json!({ "kty": "RSA", "n": bytes(513), "e": "AQAB" }),
                size,
            ),
            (
                "PS256",
                serde_json::json!({ "kty": "RSA", "n": bytes(2048), "e": "AQAB" }),
                size,
            ),
            (
                "RS256",
                serde_json::json!({ "kty": "RSA", "n": bytes(256), "e": bytes(9) }),
                size,
            ),
            (
                "ES256",
                serde_json::json!({ "kty": "EC", "crv": "P-256", "x": bytes(33), "y": bytes(32) }),
                point,
            ),
            (
                "ES384",
                serde_json::json!({ "kty": "EC", "crv": "P-384", "x": bytes(48), "y": bytes(32) }),
                point,
            ),
            (
                "EdDSA",
                serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "x": bytes(31) }),
                point,
            ),
        ] {
            let token = signed(alg);
            let token = Compact::parse(&token).unwrap();
            assert_eq!(token.verify(key.as_object().unwrap()), Err(cause), "{key}");
        }
        let key = serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "x": bytes(32) });
        let set = |many: usize| serde_json::json!({ "keys": vec![key.clone(); many] });
        assert!(key_set(&set(MOST_KEYS)).is_ok());
        assert!(key_set(&set(MOST_KEYS + 1)).is_err());
    }

    #[test]
    fn an_algorithm_that_does_not_fit_the_key_is_refused() {
        // The classic: a public key taken for the secret of an HMAC, or none at all.
        let bytes = |length: usize| URL_SAFE_NO_PAD.encode(vec![0xff; length]);
        let rsa = serde_json::json!({ "kty": "RSA", "n": bytes(256), "e": "AQAB" });
        let p256 =
            serde_json::json!({ "kty": "EC", "crv": "P-256", "x": bytes(32), "y": bytes(32) });
        let shared = serde_json::json!({ "kty": "oct", "k": bytes(32) });
        for (key, algorithms) in [
            (&rsa, &["none", "HS256", "ES256", "EdDSA", "rs256", ""][..]),
            (&p256, &["none", "HS256", "RS256", "ES384", "EdDSA"]),
            (&shared, &["none", "HS256", "RS256", "ES256"]),
        ] {
            for alg in algorithms {
                let token = token(&format!(r#"{{"alg":"{alg}"}}"#), "{}");
                let outcome = Compact::parse(&token)
                    .unwrap()
                    .verify(key.as_object().unwrap());
                let cause = "the algorithm does not fit the key, or is not taken here";
                assert_eq!(outcome, Err(cause), "{alg} {key}");
            }
        }
    }
}
