//! The CIBA grant (CIBA Core 1.0 §10.1: poll, and ping once it was told), and
//! the answer of a push (§10.3.1).
//!
//! The approval is used up in the write that keeps what it is redeemed for. What
//! Attorn executes itself gives a token for the proxy that names the approval,
//! and no refresh token: it is good for that one call.

use std::sync::Arc;

use serde_json::Value;

use super::clients::{Client, ClientKind, Delivery};
use super::error::{Code, OauthError};
use super::first::{Authorized, First};
use super::request_head::RequestHead;
use super::token::{TokenAnswer, same_target};
use crate::Engine;
use crate::approval::{self, Approval, RedeemError};
use crate::secret::Secret;
use crate::storage::Tx;

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
            RedeemError::AccessDenied { reason, said } => {
                let refused =
                    Self::new(Code::AccessDenied, "the request was refused").with("reason", reason);
                match said {
                    Some(said) => refused.with("said", said),
                    None => refused,
                }
            }
            RedeemError::ExpiredToken => {
                Self::new(Code::ExpiredToken, "the request has expired").with("reason", "expired")
            }
            RedeemError::NotEnrolled => Self::new(
                Code::ExpiredToken,
                "the request has expired, and nobody had a device to approve it with",
            )
            .with("reason", "not_enrolled"),
            RedeemError::InvalidGrant => {
                Self::grant("the auth_req_id is not valid, or was used before")
            }
            RedeemError::Storage(error) => error.into(),
        }
    }
}

pub(super) async fn redeem(
    engine: &Engine,
    head: &RequestHead,
    client: &Client,
    auth_req_id: &Secret<String>,
    audience: Option<String>,
    jkt: Option<String>,
) -> Result<TokenAnswer, OauthError> {
    // CIBA Core §4: only a client that can be authenticated. Registration sees to
    // it; a client that became public since gets nothing either.
    if client.kind == ClientKind::Public {
        return Err(OauthError::new(
            Code::UnauthorizedClient,
            "a public client asks for no approvals",
        ));
    }
    if client.metadata.backchannel_token_delivery_mode == Delivery::Push {
        // CIBA Core §11.
        return Err(OauthError::new(
            Code::UnauthorizedClient,
            "this client is registered for push: it is sent its tokens, and never asks for them",
        ));
    }
    let wait_s = head.wait_s.unwrap_or(0);
    let approval = approval::poll(engine, &client.id, auth_req_id.expose(), wait_s).await?;
    same_target(audience.as_deref(), &approval.audience)?;
    let first = Arc::new(first(engine, client, &approval));
    let (at, kept, id) = (engine.clone(), first.clone(), approval.id.clone());
    engine
        .store
        .write(move |tx| {
            let (engine, first, id) = (at.clone(), kept.clone(), id.clone());
            Box::pin(async move { use_up(tx, &engine, &id, &first).await })
        })
        .await?;
    let answer = first.answer(engine, client, None, jkt.as_deref()).await?;
    Ok(with_details(engine, answer, &approval))
}

/// Uses up an approval and keeps what it is redeemed for.
pub(super) async fn use_up(
    tx: &mut Tx,
    engine: &Engine,
    approval_id: &str,
    first: &First,
) -> Result<(), OauthError> {
    approval::consume(tx, engine, approval_id).await?;
    Ok(first.keep(tx, engine, "ciba", Some(approval_id)).await?)
}

/// The tokens of a push, made but not kept yet: [`use_up`] does that. They are
/// good for nothing before.
pub(super) async fn for_push(
    engine: &Engine,
    client: &Client,
    approval: &Approval,
    auth_req_id: &str,
) -> Result<(First, Secret<String>), OauthError> {
    let first = first(engine, client, approval);
    let answer = first.pushed(engine, client, auth_req_id).await?;
    let body = with_details(engine, answer, approval).body_with(&[("auth_req_id", auth_req_id)]);
    Ok((first, body))
}

/// What an approval gives.
fn first(engine: &Engine, client: &Client, approval: &Approval) -> First {
    let executable = approval.call.is_some();
    First::new(
        engine,
        client,
        Authorized {
            family_id: crate::ids::id("fam", engine.now(), &*engine.rng),
            person_id: approval.person_id.clone(),
            approval_id: executable.then(|| approval.id.clone()),
            scopes: approval
                .scopes
                .iter()
                .filter(|scope| !(executable && scope.as_str() == "offline_access"))
                .cloned()
                .collect(),
            audience: if executable {
                engine.settings.proxy_audience()
            } else {
                approval.audience.clone()
            },
            // Deciding is no signing in: the token claims none.
            sign_in: None,
            dpop_jkt: None,
            details: (!executable).then(|| details(engine, approval)).flatten(),
        },
    )
}

fn with_details(engine: &Engine, answer: TokenAnswer, approval: &Approval) -> TokenAnswer {
    TokenAnswer {
        approved_by: approval.in_force.approved_by.clone(),
        authorization_details: details(engine, approval),
        ..answer
    }
}

/// What is granted with a request that has details.
fn details(engine: &Engine, approval: &Approval) -> Option<Value> {
    let all = approval.details.as_array()?;
    (!all.is_empty()).then(|| approval.granted_details(engine))
}
