//! Client authentication with a signed JWT (RFC 7523 §2.2 and §3, OpenID
//! Connect Core §9 `private_key_jwt`).

use super::clients::Client;
use super::error::{Code, OauthError};
use super::jws::{self, Compact};
use super::request_head::RequestHead;
use super::{client_keys, replay};
use crate::Engine;
use crate::secret::Secret;

/// The value of `client_assertion_type`.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How far clocks may differ, in seconds.
pub(super) const SKEW_S: i64 = 60;
/// The longest time an assertion may be good for, in seconds.
const LONGEST_S: i64 = 3600;

/// The client that an assertion is about, before anything of it is believed.
pub(super) fn subject(assertion: &Secret<String>) -> Result<String, OauthError> {
    let token = Compact::parse(assertion.expose())
        .map_err(|cause| refused(&format!("the assertion is {cause}")))?;
    token
        .text("sub")
        .map(str::to_owned)
        .ok_or_else(|| refused("the assertion has no sub"))
}

fn refused(cause: &str) -> OauthError {
    OauthError::new(Code::InvalidClient, "client authentication failed").because(cause)
}

/// Checks an assertion of this client: keys, algorithm, `iss` and `sub`, `aud`
/// (one string: our issuer, the token endpoint, or the endpoint that is
/// asked), `exp`, `nbf`, `iat`, and `jti`, which works once.
///
/// # Errors
/// `invalid_client`.
pub(super) async fn check(
    engine: &Engine,
    head: &RequestHead,
    client: &Client,
    assertion: &Secret<String>,
) -> Result<(), OauthError> {
    let token = Compact::parse(assertion.expose()).map_err(refused)?;
    let alg = token.head("alg").unwrap_or_default();
    let registered = client.metadata.token_endpoint_auth_signing_alg.as_deref();
    if !jws::ALGORITHMS.contains(&alg) || registered.is_some_and(|only| only != alg) {
        return Err(refused("signed with an algorithm that is not taken"));
    }
    if token.text("iss") != Some(&client.id) || token.text("sub") != Some(&client.id) {
        return Err(refused("iss and sub must be the client"));
    }
    let aud = match token.claims.get("aud") {
        Some(serde_json::Value::String(one)) => Some(one.as_str()),
        // One in brackets is still one.
        Some(serde_json::Value::Array(all)) if all.len() == 1 => all[0].as_str(),
        _ => None,
    };
    let settings = &engine.settings;
    let known = aud.is_some_and(|aud| {
        aud == settings.issuer || aud == settings.url("oauth/token") || aud == head.url
    });
    if !known {
        return Err(refused("aud must be one string: our issuer"));
    }
    let now = engine.now() / 1000;
    let exp = token
        .seconds("exp")
        .map_err(refused)?
        .ok_or_else(|| refused("without exp"))?;
    if now >= exp.saturating_add(SKEW_S) {
        return Err(refused("it has run out"));
    }
    if exp > now + LONGEST_S + SKEW_S {
        return Err(refused("exp is more than an hour away"));
    }
    for claim in ["nbf", "iat"] {
        let at = token.seconds(claim).map_err(refused)?;
        if at.is_some_and(|at| at > now + SKEW_S) {
            return Err(refused("it is from the future"));
        }
    }
    let jti = token
        .text("jti")
        .filter(|jti| !jti.is_empty() && jti.len() <= 256)
        .ok_or_else(|| refused("without jti"))?;
    client_keys::signed_by(engine, client, &token)
        .await
        .map_err(|cause| refused(&cause))?;
    let until = exp.saturating_add(SKEW_S).saturating_mul(1000);
    if !replay::first_use(engine, &client.id, jti, until).await? {
        return Err(refused("its jti was used before"));
    }
    Ok(())
}
