//! Polling and redeeming (CIBA Core §10.1, §11).

use super::decide::{carry_out, expire_within};
use super::read::Approval;
use super::state::{Change, State};
use crate::Engine;
use crate::ids;
use crate::storage;

/// An approval may still be redeemed this long after a decision in its last
/// moment, in milliseconds: a client that polls as it was told must not lose
/// an answer that the person gave in time.
const LAST_MOMENT_MS: i64 = 60_000;

/// An approval that was consumed just now: issue its token, once.
#[derive(Clone, Debug)]
pub struct Redeemed {
    /// The approval, in state `consumed`.
    pub approval: Approval,
}

/// Why there is no token. The names are the codes of CIBA Core §11.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// `authorization_pending`
    #[error("the person has not decided yet")]
    AuthorizationPending,
    /// `slow_down`
    #[error("polled too soon; wait {retry_after_s} s")]
    SlowDown {
        /// Seconds to wait.
        retry_after_s: i64,
    },
    /// `access_denied`
    #[error("the request was refused: {reason}")]
    AccessDenied {
        /// `denied`, `cancelled`, or `blocked`: the person is locked or the client frozen.
        reason: &'static str,
    },
    /// `expired_token`
    #[error("the request has expired")]
    ExpiredToken,
    /// `invalid_grant`: unknown, another client's, or redeemed before.
    #[error("the auth_req_id is not valid, or was used before")]
    InvalidGrant,
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// Asks about a request; if it is approved, consumes it. The caller issues the
/// token after that: one that is never issued is lost, one is never issued twice.
///
/// `client_id` is the authenticated client.
///
/// # Errors
/// See [`RedeemError`].
pub async fn poll_and_redeem(
    engine: &Engine,
    client_id: &str,
    auth_req_id: &str,
) -> Result<Redeemed, RedeemError> {
    if !ids::well_formed("att_ar", auth_req_id) {
        return Err(RedeemError::InvalidGrant);
    }
    let hash = engine.keys.hash("auth_req_id", auth_req_id.as_bytes());
    let approval = engine
        .store
        .reader()
        .await?
        .approval_by_auth_req(engine, &hash)
        .await?
        .filter(|approval| approval.client_id == client_id)
        .ok_or(RedeemError::InvalidGrant)?;
    if approval.state == State::Pending {
        engine
            .paces
            .poll(hash, engine.clock.monotonic())
            .map_err(|retry_after_s| RedeemError::SlowDown { retry_after_s })?;
        return Err(RedeemError::AuthorizationPending);
    }
    engine.paces.forget(&hash);
    // A pending one whose time is up reads as expired; let its row say so too.
    if approval.state == State::Expired {
        let (within, id) = (engine.clone(), approval.id.clone());
        engine
            .store
            .write(move |tx| {
                let (engine, id) = (within.clone(), id.clone());
                Box::pin(async move { expire_within(tx, &engine, &id).await })
            })
            .await?;
    }
    ended(approval.state)?;
    let (within, id) = (engine.clone(), approval.id);
    engine
        .store
        .write(move |tx| {
            let (engine, id) = (within.clone(), id.clone());
            Box::pin(async move {
                let kept = tx
                    .approval_kept(&engine, &id)
                    .await?
                    .ok_or(RedeemError::InvalidGrant)?;
                // Locked or frozen since the request: nothing is given out.
                let (person, client) = (&kept.approval.person_id, &kept.approval.client_id);
                if !tx.person_is_active(&engine.keys, person).await?
                    || !tx.client_is_active(&engine.keys, client).await?
                {
                    return Err(RedeemError::AccessDenied { reason: "blocked" });
                }
                let last = kept
                    .approval
                    .decided_at
                    .unwrap_or(kept.approval.created_at)
                    .saturating_add(LAST_MOMENT_MS)
                    .max(kept.approval.expires_at);
                if tx.now() > last {
                    return Err(RedeemError::ExpiredToken);
                }
                match carry_out(tx, &engine, kept, Change::Consume, None).await? {
                    Ok((approval, event)) => {
                        tx.record(event);
                        Ok(Redeemed { approval })
                    }
                    Err(state) => {
                        ended(state)?;
                        Err(RedeemError::InvalidGrant)
                    }
                }
            })
        })
        .await
}

const fn ended(state: State) -> Result<(), RedeemError> {
    match state {
        State::Approved => Ok(()),
        State::Pending => Err(RedeemError::AuthorizationPending),
        State::Denied => Err(RedeemError::AccessDenied { reason: "denied" }),
        State::Cancelled => Err(RedeemError::AccessDenied {
            reason: "cancelled",
        }),
        State::Expired => Err(RedeemError::ExpiredToken),
        State::Consumed => Err(RedeemError::InvalidGrant),
    }
}
