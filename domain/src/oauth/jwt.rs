//! Our own signed tokens: making them, and reading them back.
//!
//! Written out by hand over the crypto library: what a token's header claims
//! never chooses the algorithm (RFC 8725 §3.1), and times are judged by our
//! clock only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use evidence::json::{Limits, parse_strict};
use serde_json::{Map, Value};

use crate::Engine;
use crate::keyring::{self, SigningAlg};

/// No token of ours is longer; what is longer is not looked at.
const LONGEST: usize = 8 * 1024;

/// Signs claims.
pub(super) fn sign(
    engine: &Engine,
    alg: SigningAlg,
    typ: &str,
    claims: &Value,
) -> Result<String, keyring::Error> {
    let key = engine.keys.signing(alg)?;
    let header = serde_json::json!({ "alg": alg.name(), "typ": typ, "kid": key.kid });
    let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    match parse_strict(&bytes, Limits::BODY).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// The claims of an ES256 token of ours with this `typ`, its signature checked.
/// Says nothing about time, issuer or audience: [`super::access`] does.
pub(super) fn read_es256(
    engine: &Engine,
    typ: &str,
    token: &str,
) -> Result<Map<String, Value>, &'static str> {
    if token.len() > LONGEST {
        return Err("longer than any token of ours");
    }
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("not a compact JWS");
    };
    let fields = object(header).ok_or("the header is not strict JSON")?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    if text("alg") != Some(SigningAlg::Es256.name()) {
        return Err("not ES256");
    }
    // RFC 9068 §4: `at+jwt`, with or without `application/`, in any case.
    let found = text("typ").unwrap_or_default().to_ascii_lowercase();
    if found.strip_prefix("application/").unwrap_or(&found) != typ {
        return Err("of another type");
    }
    // RFC 7515 §4.1.11: we understand no extension, so none may be critical.
    if fields.contains_key("crit") {
        return Err("with critical extensions");
    }
    let kid = text("kid").ok_or("without a key id")?;
    let key = engine
        .keys
        .jwks()
        .iter()
        .find(|key| key.kid == kid)
        .ok_or("signed with an unknown key")?;
    let bytes = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| "the signature is not base64url")?;
    let signed = &token[..header.len() + 1 + claims.len()];
    if !key.verifies_es256(signed.as_bytes(), &bytes) {
        return Err("the signature is wrong");
    }
    object(claims).ok_or("the claims are not strict JSON")
}
