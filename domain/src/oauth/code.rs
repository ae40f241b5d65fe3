//! The authorization code grant (RFC 6749 §4.1, PKCE RFC 7636, S256 only).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::access::{self, Issue};
use super::clients::{Client, ClientKind, GrantType};
use super::error::OauthError;
use super::families::{ABSOLUTE_MS, Family, IDLE_MS};
use super::id_token::{self, IdToken};
use super::sql_grants::CodeRow;
use super::token::TokenAnswer;
use crate::audit::{Event, Kind};
use crate::keyring::sha256;
use crate::secret::Secret;
use crate::{Engine, ids};

/// How long a code may wait to be redeemed, in milliseconds.
pub(super) const LIFETIME_MS: i64 = 60_000;

/// How a code is kept.
pub(super) fn hash(engine: &Engine, code: &str) -> [u8; 32] {
    engine.keys.hash("authorization_code", code.as_bytes())
}

/// RFC 7636 §4.1: 43 to 128 unreserved characters.
fn challenge(verifier: &str) -> Option<String> {
    let right = (43..=128).contains(&verifier.len())
        && verifier
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    right.then(|| URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())))
}

enum Outcome {
    First(Box<(CodeRow, Family)>),
    /// It was used before: the family is revoked, and that must stand, so this
    /// is an answer of the write and not its error.
    Again,
}

pub(super) async fn redeem(
    engine: &Engine,
    client: &Client,
    code: &Secret<String>,
    redirect_uri: Option<String>,
    verifier: &Secret<String>,
    jkt: Option<String>,
) -> Result<TokenAnswer, OauthError> {
    let bad = || OauthError::grant("the code is not valid, or no longer");
    if !ids::well_formed("att_ac", code.expose()) {
        return Err(bad());
    }
    let hash = hash(engine, code.expose());
    let challenge = challenge(verifier.expose())
        .ok_or_else(|| OauthError::request("the code_verifier is malformed"))?;
    let refresh = client
        .may(GrantType::RefreshToken)
        .then(|| engine.new_token("att_rt"));
    let refresh_hash = refresh
        .as_ref()
        .map(|token| super::refresh::hash(engine, token.expose()));
    let (at, client_id, proved) = (engine.clone(), client.id.clone(), jkt.clone());
    let public = client.kind == ClientKind::Public;
    let outcome = engine
        .store
        .write(move |tx| {
            let (engine, client_id) = (at.clone(), client_id.clone());
            let (redirect_uri, challenge) = (redirect_uri.clone(), challenge.clone());
            let jkt = proved.clone();
            Box::pin(async move {
                let now = tx.now();
                let row = tx
                    .code(hash)
                    .await?
                    .filter(|row| row.client_id == client_id)
                    .ok_or_else(|| bad().because("unknown, or of another client"))?;
                // RFC 6749 §4.1.2: a second use ends what the first one gave.
                if row.used_at.is_some() {
                    tx.revoke_family(&row.family_id, "code presented again")
                        .await?;
                    tx.record(
                        Event::new(Kind::TokenReused)
                            .person(&row.person_id)
                            .client(&client_id)
                            .data("token", "code")
                            .data("family", row.family_id),
                    );
                    return Ok(Outcome::Again);
                }
                if now >= row.expires_at {
                    return Err(bad().because("expired"));
                }
                if redirect_uri.is_some_and(|uri| uri != row.redirect_uri) {
                    return Err(OauthError::grant(
                        "redirect_uri differs from the one of the authorization request",
                    ));
                }
                if challenge != row.code_challenge {
                    return Err(OauthError::grant("the code_verifier is wrong"));
                }
                // RFC 9449 §10: the code was asked for with this key.
                if row.dpop_jkt.is_some() && row.dpop_jkt != jkt {
                    return Err(bad().because("asked for with another key"));
                }
                if !tx.client_is_active(&engine.keys, &client_id).await?
                    || !tx.person_is_active(&engine.keys, &row.person_id).await?
                {
                    return Err(bad().because("client frozen or person locked"));
                }
                if !tx.use_code(hash).await? {
                    // Another transaction was faster between the look and the swap.
                    tx.revoke_family(&row.family_id, "code presented again")
                        .await?;
                    return Ok(Outcome::Again);
                }
                let family = Family {
                    id: row.family_id.clone(),
                    client_id: client_id.clone(),
                    person_id: Some(row.person_id.clone()),
                    approval_id: None,
                    scopes: row.scopes.clone(),
                    audience: row.audience.clone(),
                    auth_time: Some(row.auth_time),
                    created_at: now,
                    idle_expires_at: now + IDLE_MS,
                    expires_at: now + ABSOLUTE_MS,
                    last_used_at: None,
                    revoked_at: None,
                    dpop_jkt: jkt.filter(|_| public),
                };
                tx.insert_family(&family).await?;
                let offline = family.scopes.iter().any(|scope| scope == "offline_access");
                if let Some(refresh_hash) = refresh_hash.filter(|_| offline) {
                    tx.insert_refresh(refresh_hash, &family.id, None).await?;
                }
                tx.record(
                    Event::new(Kind::TokenIssued)
                        .person(&row.person_id)
                        .client(&client_id)
                        .data("grant", "authorization_code")
                        .data("audience", family.audience.as_str())
                        .data("family", family.id.as_str()),
                );
                Ok(Outcome::First(Box::new((row, family))))
            })
        })
        .await?;
    let Outcome::First(first) = outcome else {
        return Err(bad().because("presented again; its family is revoked"));
    };
    let (row, family) = *first;
    let access_token = access::issue(
        engine,
        &Issue::of(&family, &family.scopes, &family.audience, jkt.as_deref()),
    )?;
    let id_token = id_token::issue(
        engine,
        &IdToken {
            person_id: &row.person_id,
            client,
            scopes: &family.scopes,
            nonce: row.nonce.as_deref(),
            auth_time: family.auth_time,
            access_token: &access_token,
        },
    )
    .await?;
    let offline = family.scopes.iter().any(|scope| scope == "offline_access");
    Ok(TokenAnswer {
        refresh_token: refresh.filter(|_| offline),
        id_token,
        // RFC 9396 §7: what was granted is said.
        authorization_details: (!row.details.is_empty())
            .then(|| super::authorize::AccountAccess::details(&row.details)),
        ..TokenAnswer::of(access_token, family.scopes).bound(jkt.is_some())
    })
}
