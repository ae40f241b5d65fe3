//! Proof of possession (RFC 9449): a token that is bound to a key is worth
//! nothing to who found it.
//!
//! A proof is good for one request: method, address, the moment (60 seconds
//! either way), a nonce of ours (§8, so that nobody can make proofs ahead of
//! time), and at a resource the very access token (`ath`). Its `jti` works once.
//!
//! Nonces are not kept: each is a keyed hash of its five minutes, good in those
//! and the next, on every instance.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use url::Url;

use super::assertion::SKEW_S;
use super::error::{Code, OauthError};
pub use super::jws::ALGORITHMS;
use super::jws::{self, Compact};
use super::replay;
use super::request_head::RequestHead;
use crate::Engine;
use crate::keyring::sha256;

/// How long a nonce is given out, in milliseconds; it is taken twice as long.
const WINDOW_MS: i64 = 5 * 60 * 1000;

fn nonce_of(engine: &Engine, window: i64) -> String {
    let hash = engine.keys.hash("dpop_nonce", &window.to_be_bytes());
    URL_SAFE_NO_PAD.encode(&hash[..16])
}

/// The nonce for the next proof, to be sent as `DPoP-Nonce` with every answer
/// to a request that had a proof (RFC 9449 §8.2).
#[must_use]
pub fn nonce(engine: &Engine) -> String {
    nonce_of(engine, engine.now() / WINDOW_MS)
}

fn bad(cause: &str) -> OauthError {
    OauthError::new(
        Code::InvalidDpopProof,
        format!("the DPoP proof is not valid: {cause}"),
    )
}

/// Checks the proof of this request, if there is one; `access_token` is the
/// token it goes with at a resource. Answers the thumbprint of its key.
///
/// # Errors
/// `invalid_dpop_proof`, `use_dpop_nonce`.
pub(super) async fn check(
    engine: &Engine,
    head: &RequestHead,
    access_token: Option<&str>,
) -> Result<Option<String>, OauthError> {
    let Some(text) = &head.dpop else {
        return Ok(None);
    };
    let window = engine.now() / WINDOW_MS;
    let fresh =
        |nonce: &str| nonce == nonce_of(engine, window) || nonce == nonce_of(engine, window - 1);
    let proof = judge(text, head, access_token, fresh, engine.now() / 1000)?;
    let whose = format!("dpop {}", proof.jkt);
    if !replay::first_use(engine, &whose, &proof.jti, proof.until).await? {
        return Err(bad("its jti was used before"));
    }
    Ok(Some(proof.jkt))
}

/// A proof that is right in itself.
pub(super) struct Proof {
    /// The thumbprint of its key.
    pub(super) jkt: String,
    /// Its name, which works once.
    jti: String,
    /// Nobody takes it after that, Unix milliseconds.
    until: i64,
}

/// Judges a proof by itself, at `now` (Unix seconds); `fresh` knows our nonces.
///
/// # Errors
/// `invalid_dpop_proof`, `use_dpop_nonce`.
pub(super) fn judge(
    text: &str,
    head: &RequestHead,
    access_token: Option<&str>,
    fresh: impl Fn(&str) -> bool,
    now: i64,
) -> Result<Proof, OauthError> {
    let proof = Compact::parse(text).map_err(bad)?;
    if proof.typ() != "dpop+jwt" {
        return Err(bad("its typ is not dpop+jwt"));
    }
    let alg = proof.head("alg").unwrap_or_default();
    if !jws::ALGORITHMS.contains(&alg) {
        return Err(bad("its algorithm is not taken here"));
    }
    let key = proof
        .header
        .get("jwk")
        .and_then(Value::as_object)
        .ok_or_else(|| bad("it has no jwk"))?;
    if jws::is_private(key) {
        return Err(bad("its jwk holds a private key"));
    }
    let jkt = jws::thumbprint(key).ok_or_else(|| bad("its jwk is of an unknown kind"))?;
    proof.verify(key).map_err(bad)?;
    if proof.text("htm") != Some(&head.method) {
        return Err(bad("htm is not the method"));
    }
    if !proof.text("htu").is_some_and(|htu| same(htu, &head.url)) {
        return Err(bad("htu is not the address"));
    }
    let expected = access_token.map(|token| URL_SAFE_NO_PAD.encode(sha256(token.as_bytes())));
    if let Some(expected) = &expected
        && proof.text("ath") != Some(expected)
    {
        return Err(bad("ath is not the access token's"));
    }
    let jti = proof
        .text("jti")
        .filter(|jti| !jti.is_empty() && jti.len() <= 256)
        .ok_or_else(|| bad("it has no jti"))?;
    let iat = proof
        .seconds("iat")
        .map_err(bad)?
        .ok_or_else(|| bad("it has no iat"))?;
    if !proof.text("nonce").is_some_and(fresh) {
        return Err(OauthError::new(
            Code::UseDpopNonce,
            "make the DPoP proof with the nonce of this answer",
        ));
    }
    if (now - iat).abs() > SKEW_S {
        return Err(bad("iat is not now"));
    }
    Ok(Proof {
        jkt,
        jti: jti.to_owned(),
        until: (iat + 2 * SKEW_S).saturating_mul(1000),
    })
}

/// Whether two addresses are the same without query and fragment (§4.3).
pub(super) fn same(htu: &str, ours: &str) -> bool {
    let plain = |text: &str| {
        let mut url = Url::parse(text).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        Some(url)
    };
    plain(htu).is_some_and(|htu| Some(htu) == plain(ours))
}

/// Whether a key thumbprint is one at all (RFC 9449 §10.1: `dpop_jkt`).
pub(super) fn is_thumbprint(text: &str) -> bool {
    URL_SAFE_NO_PAD
        .decode(text)
        .is_ok_and(|bytes| bytes.len() == 32)
}
