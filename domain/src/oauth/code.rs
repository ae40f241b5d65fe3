//! The authorization code grant (RFC 6749 §4.1, PKCE RFC 7636, S256 only).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::clients::{Client, ClientKind};
use super::error::OauthError;
use super::first::{Authorized, First};
use super::sql_grants::CodeRow;
use super::token::{TokenAnswer, same_target};
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
    First(Box<(CodeRow, First)>),
    /// It was used before: the family is revoked, and that must stand, so this
    /// is an answer of the write and not its error.
    Again,
}

/// What must be as it was when the code was asked for.
pub(super) struct Shown {
    /// `redirect_uri`, where it is given again.
    pub(super) redirect_uri: Option<String>,
    /// `audience` or `resource`, where it is named again.
    pub(super) audience: Option<String>,
    /// The thumbprint of the key that was proved.
    pub(super) jkt: Option<String>,
}

pub(super) async fn redeem(
    engine: &Engine,
    client: &Client,
    code: &Secret<String>,
    verifier: &Secret<String>,
    shown: Shown,
) -> Result<TokenAnswer, OauthError> {
    let Shown {
        redirect_uri,
        audience,
        jkt,
    } = shown;
    let bad = || OauthError::grant("the code is not valid, or no longer");
    if !ids::well_formed("att_ac", code.expose()) {
        return Err(bad());
    }
    let hash = hash(engine, code.expose());
    let challenge = challenge(verifier.expose())
        .ok_or_else(|| OauthError::request("the code_verifier is malformed"))?;
    let (at, who, proved) = (engine.clone(), client.clone(), jkt.clone());
    let outcome = engine
        .store
        .write(move |tx| {
            let (engine, client) = (at.clone(), who.clone());
            let (redirect_uri, challenge) = (redirect_uri.clone(), challenge.clone());
            let (jkt, audience) = (proved.clone(), audience.clone());
            Box::pin(async move {
                let now = tx.now();
                let row = tx
                    .code(hash)
                    .await?
                    .filter(|row| row.client_id == client.id)
                    .ok_or_else(|| bad().because("unknown, or of another client"))?;
                // RFC 6749 §4.1.2: a second use ends what the first one gave.
                if row.used_at.is_some() {
                    tx.revoke_family(&row.family_id, "code presented again")
                        .await?;
                    tx.record(
                        Event::new(Kind::TokenReused)
                            .person(&row.person_id)
                            .client(&client.id)
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
                same_target(audience.as_deref(), &row.audience)?;
                // RFC 9449 §10: the code was asked for with this key.
                if row.dpop_jkt.is_some() && row.dpop_jkt != jkt {
                    return Err(bad().because("asked for with another key"));
                }
                if !tx.client_is_active(&engine, &client.id).await?
                    || !tx.person_is_active(&engine, &row.person_id).await?
                {
                    return Err(bad().because("client frozen or person locked"));
                }
                if !tx.use_code(hash).await? {
                    // Another transaction was faster between the look and the swap.
                    tx.revoke_family(&row.family_id, "code presented again")
                        .await?;
                    return Ok(Outcome::Again);
                }
                let first = First::new(
                    &engine,
                    &client,
                    Authorized {
                        family_id: row.family_id.clone(),
                        person_id: row.person_id.clone(),
                        approval_id: None,
                        scopes: row.scopes.clone(),
                        audience: row.audience.clone(),
                        sign_in: Some(row.sign_in),
                        dpop_jkt: jkt.filter(|_| client.kind == ClientKind::Public),
                        details: None,
                    },
                );
                first.keep(tx, &engine, "authorization_code", None).await?;
                Ok(Outcome::First(Box::new((row, first))))
            })
        })
        .await?;
    let Outcome::First(first) = outcome else {
        return Err(bad().because("presented again; its family is revoked"));
    };
    let (row, first) = *first;
    Ok(TokenAnswer {
        // RFC 9396 §7: what was granted is said.
        authorization_details: (!row.details.is_empty())
            .then(|| super::authorize::AccountAccess::details(&row.details)),
        ..first
            .answer(engine, client, row.nonce.as_deref(), jkt.as_deref())
            .await?
    })
}
