//! Our own signed tokens: making them, and reading them back.
//!
//! Written out by hand over the crypto library: what a token's header claims
//! never chooses the algorithm (RFC 8725 §3.1), and times are judged by our
//! clock only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::jws::Compact;
use crate::Engine;
use crate::keyring::{self, SigningAlg};

/// Signs claims.
pub(super) fn sign(
    engine: &Engine,
    alg: SigningAlg,
    typ: &str,
    claims: &Value,
) -> Result<String, keyring::Error> {
    let key = engine.keys.signing(alg, engine.now())?;
    let header = serde_json::json!({ "alg": alg.name(), "typ": typ, "kid": key.kid });
    let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// The claims of an ES256 token of ours with this `typ`, its signature checked.
/// Says nothing about time, issuer or audience: [`super::access`] does.
pub(super) fn read_es256(
    engine: &Engine,
    typ: &str,
    token: &str,
) -> Result<Map<String, Value>, &'static str> {
    let token = Compact::parse(token)?;
    if token.head("alg") != Some(SigningAlg::Es256.name()) {
        return Err("not ES256");
    }
    if token.typ() != typ {
        return Err("of another type");
    }
    let kid = token.head("kid").ok_or("without a key id")?;
    let key = engine
        .keys
        .verifying(kid, engine.now())
        .ok_or("signed with an unknown key")?;
    let (message, signature) = token.signed();
    if !key.jwk.verifies_es256(message, signature) {
        return Err("the signature is wrong");
    }
    Ok(token.claims)
}
