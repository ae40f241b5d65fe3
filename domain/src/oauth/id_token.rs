//! ID tokens (OpenID Connect Core §2), signed as the client is registered.

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::clients::Client;
use super::error::OauthError;
use super::jwt;
use crate::Engine;
use crate::identity::{self, Person, SignIn};
use crate::keyring::SigningAlg;
use crate::secret::Secret;

/// How long an ID token may be taken, in seconds.
const LIFETIME_S: i64 = 600;

/// What an ID token is about.
pub(super) struct IdToken<'a> {
    pub(super) person_id: &'a str,
    pub(super) client: &'a Client,
    pub(super) scopes: &'a [String],
    pub(super) nonce: Option<&'a str>,
    pub(super) sign_in: Option<SignIn>,
    pub(super) access_token: &'a Secret<String>,
    /// Only of one that is pushed.
    pub(super) pushed: Option<Pushed<'a>>,
}

/// What an ID token that is pushed binds besides: the request and the refresh
/// token it comes with (CIBA Core §10.3.1).
#[derive(Clone, Copy)]
pub(super) struct Pushed<'a> {
    pub(super) auth_req_id: &'a str,
    pub(super) refresh_token: Option<&'a Secret<String>>,
}

/// Makes an ID token, if `openid` was granted.
pub(super) async fn issue(
    engine: &Engine,
    what: &IdToken<'_>,
) -> Result<Option<Secret<String>>, OauthError> {
    let has = |scope: &str| what.scopes.iter().any(|granted| granted == scope);
    if !has("openid") {
        return Ok(None);
    }
    let person: Person = identity::person(engine, what.person_id)
        .await
        .map_err(|error| match error {
            identity::Error::Storage(error) => error.into(),
            error => OauthError::grant("the person is not known any more").because(error),
        })?
        .ok_or_else(|| OauthError::grant("the person is not known any more"))?;
    let now = engine.now() / 1000;
    let alg = what.client.metadata.id_token_alg();
    let mut claims = json!({
        "iss": engine.settings.issuer,
        "sub": person.id,
        "aud": what.client.id,
        "iat": now,
        "exp": now + LIFETIME_S,
        "at_hash": half_hash(alg, what.access_token.expose()),
    });
    if let Some(nonce) = what.nonce {
        claims["nonce"] = nonce.into();
    }
    if let Some(sign_in) = what.sign_in {
        claims["auth_time"] = (sign_in.at / 1000).into();
        if let Some(how) = sign_in.how {
            claims["acr"] = how.word().into();
        }
    }
    if let Some(pushed) = what.pushed {
        claims["urn:openid:params:jwt:claim:auth_req_id"] = pushed.auth_req_id.into();
        if let Some(token) = pushed.refresh_token {
            claims["urn:openid:params:jwt:claim:rt_hash"] = half_hash(alg, token.expose()).into();
        }
    }
    if has("profile") {
        claims["name"] = person.name.into();
    }
    if has("email") {
        claims["email"] = person.email.into();
        // An admin typed it; nobody proved that mail arrives there.
        claims["email_verified"] = false.into();
    }
    let token = jwt::sign(engine, alg, "JWT", &claims)?;
    Ok(Some(Secret::new(token)))
}

/// The left half of a token's hash (OIDC Core §3.1.3.6), with the hash of the
/// signature: SHA-512 for Ed25519, SHA-256 for the others.
pub(super) fn half_hash(alg: SigningAlg, token: &str) -> String {
    let hash = match alg {
        SigningAlg::EdDsa => digest(&SHA512, token.as_bytes()),
        SigningAlg::Rs256 | SigningAlg::Es256 => digest(&SHA256, token.as_bytes()),
    };
    let bytes = hash.as_ref();
    URL_SAFE_NO_PAD.encode(&bytes[..bytes.len() / 2])
}
