//! Judging other people's ID tokens (OpenID Connect Core §3.1.3.7).

use serde_json::{Map, Value};

use crate::oauth::jws::{self, Compact};

/// How far clocks may differ, in seconds.
const SKEW_S: i64 = 60;

/// What a token must say.
pub(crate) struct Expected<'a> {
    /// Who signed it, exactly.
    pub issuer: &'a str,
    /// Whom it is for: our client id there.
    pub client_id: &'a str,
    /// What was sent along with the request.
    pub nonce: &'a str,
    /// Unix seconds.
    pub now: i64,
}

/// Checks signature and claims.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(
    token: &Compact<'_>,
    keys: &[Map<String, Value>],
    expected: &Expected<'_>,
) -> Result<(), &'static str> {
    if !jws::ALGORITHMS.contains(&token.head("alg").unwrap_or_default()) {
        return Err("signed with an algorithm that is not taken");
    }
    token.verify_with(keys)?;
    if token.text("iss") != Some(expected.issuer) {
        return Err("of another issuer");
    }
    let ours = |value: &Value| value.as_str() == Some(expected.client_id);
    let for_us = match token.claims.get("aud") {
        Some(Value::Array(all)) => {
            all.iter().any(ours) && (all.len() == 1 || token.claims.get("azp").is_some_and(ours))
        }
        Some(one) => ours(one),
        None => false,
    };
    if !for_us {
        return Err("for somebody else");
    }
    let (Some(exp), Some(iat)) = (token.seconds("exp")?, token.seconds("iat")?) else {
        return Err("without exp or iat");
    };
    if expected.now >= exp.saturating_add(SKEW_S) {
        return Err("it has run out");
    }
    if iat > expected.now + SKEW_S {
        return Err("from the future");
    }
    if token.text("nonce") != Some(expected.nonce) {
        return Err("of another sign-in (nonce)");
    }
    Ok(())
}
