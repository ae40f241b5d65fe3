//! Whom a client wants to ask: exactly one of three hints (CIBA Core §7.1).
//!
//! - `login_hint`: what the person is known by; see [`PersonHint::from_login_hint`].
//! - `id_token_hint`: an ID token that we issued to this very client. It may
//!   have run out.
//! - `login_hint_token`: CIBA leaves its form open. Ours is a JWT that the
//!   client signed with a key it registered: `iss` its id, `aud` our issuer,
//!   `exp` at most an hour away, and the person as `sub_id` (RFC 9493) or `sub`.

use serde_json::Value;

use super::assertion::SKEW_S;
use super::client_keys;
use super::clients::Client;
use super::error::{Code, OauthError};
use super::jws::{self, Compact};
use super::logout::read_hint;
use super::params::Params;
use crate::Engine;
use crate::approval::PersonHint;

/// The longest time a login hint token may be good for, in seconds.
const LONGEST_S: i64 = 3600;

/// Reads the one hint of a request.
///
/// # Errors
/// `invalid_request` when there is none, more than one, or one that is not
/// good; `expired_login_hint_token`.
pub(super) async fn read(
    engine: &Engine,
    client: &Client,
    params: &Params,
) -> Result<PersonHint, OauthError> {
    match (
        params.get("login_hint"),
        params.get("login_hint_token"),
        params.get("id_token_hint"),
    ) {
        (Some(hint), None, None) => Ok(PersonHint::from_login_hint(hint)?),
        (None, Some(token), None) => of_login_hint_token(engine, client, token).await,
        (None, None, Some(token)) => of_id_token(engine, client, token),
        _ => Err(OauthError::request(
            "exactly one hint is needed (CIBA Core 7.1)",
        )),
    }
}

fn of_id_token(engine: &Engine, client: &Client, token: &str) -> Result<PersonHint, OauthError> {
    let refused = |cause: &str| {
        OauthError::request("id_token_hint is no ID token that this client was given")
            .because(cause)
    };
    let hint = read_hint(engine, token).map_err(refused)?;
    if hint.client_id != client.id {
        return Err(refused("made for another client"));
    }
    Ok(PersonHint::Id(hint.person_id))
}

async fn of_login_hint_token(
    engine: &Engine,
    client: &Client,
    token: &str,
) -> Result<PersonHint, OauthError> {
    let refused = |cause: &str| {
        OauthError::request(
            "login_hint_token must be a JWT that this client signed with a registered key: iss, aud, exp, and sub_id or sub",
        )
        .because(cause)
    };
    let token = Compact::parse(token).map_err(refused)?;
    if !jws::ALGORITHMS.contains(&token.head("alg").unwrap_or_default()) {
        return Err(refused("signed with an algorithm that is not taken"));
    }
    if token.text("iss") != Some(&client.id) {
        return Err(refused("iss is not the client"));
    }
    if token.text("aud") != Some(&engine.settings.issuer) {
        return Err(refused("aud is not our issuer"));
    }
    client_keys::signed_by(engine, client, &token)
        .await
        .map_err(|cause| refused(&cause))?;
    let now = engine.now() / 1000;
    let exp = token
        .seconds("exp")
        .map_err(refused)?
        .ok_or_else(|| refused("without exp"))?;
    if now >= exp.saturating_add(SKEW_S) {
        return Err(OauthError::new(
            Code::ExpiredLoginHintToken,
            "the login_hint_token has expired",
        ));
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
    match (token.claims.get("sub_id"), token.text("sub")) {
        (Some(Value::Object(subject)), _) => {
            PersonHint::from_subject(subject).ok_or_else(|| refused("sub_id is not understood"))
        }
        (None, Some(sub)) if !sub.is_empty() => Ok(PersonHint::Id(sub.to_owned())),
        _ => Err(refused("without a subject")),
    }
}
