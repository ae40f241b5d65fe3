//! The CIBA grant (CIBA Core 1.0 §10.1, poll).
//!
//! The approval is consumed before anything is issued. What Attorn executes
//! itself gives a token for the proxy that names the approval, and no refresh
//! token: it is good for that one call.

use super::access::{self, Issue};
use super::clients::{Client, GrantType};
use super::error::{Code, OauthError};
use super::families::{ABSOLUTE_MS, Family, IDLE_MS};
use super::id_token::{self, IdToken};
use super::token::TokenAnswer;
use crate::Engine;
use crate::approval::{self, Approval, RedeemError};
use crate::audit::{Event, Kind};
use crate::secret::Secret;

impl From<RedeemError> for OauthError {
    fn from(error: RedeemError) -> Self {
        match error {
            RedeemError::AuthorizationPending => {
                Self::new(Code::AuthorizationPending, "the person has not decided yet")
            }
            RedeemError::SlowDown { retry_after_s } => {
                Self::new(Code::SlowDown, "polled too often; wait longer")
                    .retry_after(u64::try_from(retry_after_s).unwrap_or(1).max(1))
            }
            RedeemError::AccessDenied { reason } => {
                Self::new(Code::AccessDenied, "the request was refused").with("reason", reason)
            }
            RedeemError::ExpiredToken => Self::new(Code::ExpiredToken, "the request has expired"),
            RedeemError::InvalidGrant => {
                Self::grant("the auth_req_id is not valid, or was used before")
            }
            RedeemError::Storage(error) => error.into(),
        }
    }
}

pub(super) async fn redeem(
    engine: &Engine,
    client: &Client,
    auth_req_id: &Secret<String>,
    jkt: Option<String>,
) -> Result<TokenAnswer, OauthError> {
    let redeemed = approval::poll_and_redeem(engine, &client.id, auth_req_id.expose()).await?;
    issue_for_person(engine, client, &redeemed.approval, jkt).await
}

/// Issues the tokens of an approval that was consumed just now.
async fn issue_for_person(
    engine: &Engine,
    client: &Client,
    approval: &Approval,
    jkt: Option<String>,
) -> Result<TokenAnswer, OauthError> {
    let executable = approval.call.is_some();
    let audience = if executable {
        engine.settings.proxy_audience()
    } else {
        approval.audience.clone()
    };
    let scopes: Vec<String> = approval
        .scopes
        .iter()
        .filter(|scope| !(executable && scope.as_str() == "offline_access"))
        .cloned()
        .collect();
    let offline =
        client.may(GrantType::RefreshToken) && scopes.iter().any(|scope| scope == "offline_access");
    let refresh = offline.then(|| engine.new_token("att_rt"));
    let refresh_hash = refresh
        .as_ref()
        .map(|token| super::refresh::hash(engine, token.expose()));
    let now = engine.now();
    let family = Family {
        id: crate::ids::id("fam", now, &*engine.rng),
        client_id: client.id.clone(),
        person_id: Some(approval.person_id.clone()),
        approval_id: executable.then(|| approval.id.clone()),
        scopes,
        audience,
        // Deciding is no signing in: the token claims none.
        auth_time: None,
        created_at: now,
        idle_expires_at: now + IDLE_MS,
        expires_at: now + ABSOLUTE_MS,
        last_used_at: None,
        revoked_at: None,
        dpop_jkt: None,
    };
    let (at, row, approval_id) = (engine.clone(), family.clone(), approval.id.clone());
    engine
        .store
        .write(move |tx| {
            let (engine, family, approval_id) = (at.clone(), row.clone(), approval_id.clone());
            Box::pin(async move {
                let person = family.person_id.as_deref().unwrap_or_default();
                // Somebody locked, or a client frozen, since it was asked gets nothing.
                if !tx.client_is_active(&engine.keys, &family.client_id).await?
                    || !tx.person_is_active(&engine.keys, person).await?
                {
                    return Err(OauthError::grant(
                        "the auth_req_id is not valid, or was used before",
                    )
                    .because("client frozen or person locked"));
                }
                tx.insert_family(&family).await?;
                if let Some(hash) = refresh_hash {
                    tx.insert_refresh(hash, &family.id, None).await?;
                }
                tx.record(
                    Event::new(Kind::TokenIssued)
                        .person(person)
                        .client(&family.client_id)
                        .approval(approval_id)
                        .data("grant", "ciba")
                        .data("audience", family.audience.as_str())
                        .data("family", family.id.as_str()),
                );
                Ok(())
            })
        })
        .await?;
    let access_token = access::issue(
        engine,
        &Issue::of(&family, &family.scopes, &family.audience, jkt.as_deref()),
    )?;
    let id_token = id_token::issue(
        engine,
        &IdToken {
            person_id: &approval.person_id,
            client,
            scopes: &family.scopes,
            nonce: None,
            auth_time: None,
            access_token: &access_token,
        },
    )
    .await?;
    let details = approval
        .details
        .as_array()
        .is_some_and(|all| !all.is_empty());
    Ok(TokenAnswer {
        refresh_token: refresh,
        id_token,
        authorization_details: details.then(|| approval.details.clone()),
        ..TokenAnswer::of(access_token, family.scopes).bound(jkt.is_some())
    })
}
