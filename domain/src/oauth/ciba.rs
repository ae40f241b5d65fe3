//! The CIBA grant (CIBA Core 1.0 §10.1, poll).
//!
//! The approval is consumed before anything is issued. What Attorn executes
//! itself gives a token for the proxy that names the approval, and no refresh
//! token: it is good for that one call.

use std::sync::Arc;

use super::clients::Client;
use super::error::{Code, OauthError};
use super::first::{Authorized, First};
use super::token::TokenAnswer;
use crate::Engine;
use crate::approval::{self, Approval, RedeemError};
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
    let first = Arc::new(First::new(
        engine,
        client,
        Authorized {
            family_id: crate::ids::id("fam", engine.now(), &*engine.rng),
            person_id: approval.person_id.clone(),
            approval_id: executable.then(|| approval.id.clone()),
            scopes,
            audience,
            // Deciding is no signing in: the token claims none.
            auth_time: None,
            dpop_jkt: None,
        },
    ));
    let (at, kept, approval_id) = (engine.clone(), first.clone(), approval.id.clone());
    let (client_id, person) = (client.id.clone(), approval.person_id.clone());
    engine
        .store
        .write(move |tx| {
            let (engine, first, approval_id) = (at.clone(), kept.clone(), approval_id.clone());
            let (client_id, person) = (client_id.clone(), person.clone());
            Box::pin(async move {
                // Somebody locked, or a client frozen, since it was asked gets nothing.
                if !tx.client_is_active(&engine.keys, &client_id).await?
                    || !tx.person_is_active(&engine.keys, &person).await?
                {
                    return Err(OauthError::grant(
                        "the auth_req_id is not valid, or was used before",
                    )
                    .because("client frozen or person locked"));
                }
                Ok(first.keep(tx, &engine, "ciba", Some(&approval_id)).await?)
            })
        })
        .await?;
    let details = approval
        .details
        .as_array()
        .is_some_and(|all| !all.is_empty());
    Ok(TokenAnswer {
        authorization_details: details.then(|| approval.details.clone()),
        ..first.answer(engine, client, None, jkt.as_deref()).await?
    })
}
