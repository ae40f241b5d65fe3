//! Polling and redeeming (CIBA Core §10.1, §11).

use tokio::sync::broadcast::error::RecvError;

use super::decide::{carry_out, expire_within};
use super::read::Approval;
use super::signing::{is_proven, nobody_could_sign};
use super::state::{Change, State};
use crate::Engine;
use crate::ids;
use crate::storage::{self, Tx};

/// Why a request is denied after wrong numbers.
pub(super) const WRONG_NUMBER: &str = "wrong_number";

/// An approval may still be redeemed this long after a decision in its last
/// moment, in milliseconds: a client that polls as it was told must not lose
/// an answer that the person gave in time.
const LAST_MOMENT_MS: i64 = 60_000;

/// The longest a poll waits, in seconds: what sits between us and a client
/// often gives up after a minute.
const LONGEST_WAIT_S: u32 = 30;

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
        /// `denied`, `cancelled`; `wrong_number`: who decided did not know the
        /// number that the agent shows; `blocked`: the person is locked or the client
        /// frozen; `unsigned`: it needs a passkey's signature and has none that counts.
        reason: &'static str,
        /// What the person said about it, if they said anything.
        said: Option<String>,
    },
    /// `expired_token`
    #[error("the request has expired")]
    ExpiredToken,
    /// `expired_token`, too: it took a passkey, and nobody who might decide it
    /// has one that counts.
    #[error("the request has expired, and nobody had a device to approve it with")]
    NotEnrolled,
    /// `invalid_grant`: unknown, another client's, or redeemed before.
    #[error("the auth_req_id is not valid, or was used before")]
    InvalidGrant,
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// Asks how a request stands. `Ok` is one that was approved and is there to be
/// used up, once, with [`consume`]. `client_id` is the authenticated client.
///
/// While nobody has decided, it waits up to `wait_s` seconds, at most
/// [`LONGEST_WAIT_S`], if there is a place to wait: long polling (CIBA Core §10.1).
///
/// # Errors
/// See [`RedeemError`].
pub(crate) async fn poll(
    engine: &Engine,
    client_id: &str,
    auth_req_id: &str,
    wait_s: u32,
) -> Result<Approval, RedeemError> {
    if !ids::well_formed("att_ar", auth_req_id) {
        return Err(RedeemError::InvalidGrant);
    }
    let hash = engine.keys.hash("auth_req_id", auth_req_id.as_bytes());
    if wait_s == 0 && engine.approvals.waits(&hash, client_id, engine.clock.now()) {
        return Err(still_pending(engine, hash));
    }
    // Listening before looking: what happens in between is heard.
    let place = (wait_s > 0).then(|| engine.paces.place_to_wait()).flatten();
    let mut signals = place.as_ref().map(|_| engine.store.signals());
    let mut approval = look(engine, client_id, &hash).await?;
    if approval.state == State::Pending {
        let now = engine.clock.monotonic();
        let pending = still_pending(engine, hash);
        if matches!(pending, RedeemError::SlowDown { .. }) {
            return Err(pending);
        }
        if let Some(signals) = &mut signals {
            let until = now + i64::from(wait_s.min(LONGEST_WAIT_S)) * 1000;
            let end = engine.clock.sleep_until(until);
            tokio::pin!(end);
            while approval.state == State::Pending {
                tokio::select! {
                    () = &mut end => break,
                    signal = signals.recv() => match signal {
                        Ok(signal) if signal.id != approval.id => {}
                        Ok(_) | Err(RecvError::Lagged(_)) => {
                            approval = look(engine, client_id, &hash).await?;
                        }
                        Err(RecvError::Closed) => break,
                    },
                }
            }
        }
    }
    if approval.state == State::Pending {
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
        if nobody_could_sign(engine, &approval).await? {
            return Err(RedeemError::NotEnrolled);
        }
    }
    if approval.in_force.is_out_of_tries() {
        return Err(RedeemError::refused(WRONG_NUMBER, None));
    }
    ended(approval.state, said(&approval))?;
    Ok(approval)
}

/// The answer to the poll of a request that waits: that it does, or that the
/// poll came too soon.
fn still_pending(engine: &Engine, hash: [u8; 32]) -> RedeemError {
    match engine.paces.poll(hash, engine.clock.monotonic()) {
        Ok(()) => RedeemError::AuthorizationPending,
        Err(retry_after_s) => RedeemError::SlowDown { retry_after_s },
    }
}

/// Reads the row.
async fn look(engine: &Engine, client_id: &str, hash: &[u8; 32]) -> Result<Approval, RedeemError> {
    let ticket = engine.approvals.ticket();
    let mut reader = engine.store.reader().await?;
    let approval = reader
        .approval_by_auth_req(engine, hash)
        .await?
        .filter(|approval| approval.client_id == client_id)
        .ok_or(RedeemError::InvalidGrant)?;
    if approval.state == State::Pending {
        engine.approvals.keep(ticket, *hash, &approval);
    }
    Ok(approval)
}

/// Uses up an approval, in the write that keeps what it is redeemed for.
///
/// # Errors
/// See [`RedeemError`].
pub(crate) async fn consume(
    tx: &mut Tx,
    engine: &Engine,
    id: &str,
) -> Result<Approval, RedeemError> {
    let kept = tx
        .approval_kept(engine, id)
        .await?
        .ok_or(RedeemError::InvalidGrant)?;
    // Locked or frozen since the request: nothing is given out.
    let (person, client) = (&kept.approval.person_id, &kept.approval.client_id);
    if !tx.person_is_active(engine, person).await? || !tx.client_is_active(engine, client).await? {
        return Err(RedeemError::refused("blocked", None));
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
    if kept.approval.state == State::Approved && !is_proven(tx, engine, &kept.approval).await? {
        return Err(RedeemError::refused("unsigned", None));
    }
    match carry_out(tx, engine, kept, Change::Consume, None).await? {
        Ok((approval, event)) => {
            tx.record(event);
            Ok(approval)
        }
        Err(state) => {
            ended(state, None)?;
            Err(RedeemError::InvalidGrant)
        }
    }
}

/// An approval polled and used up for nothing, as tests of other rooms need it.
///
/// # Errors
/// See [`RedeemError`].
#[cfg(any(test, feature = "testing"))]
pub async fn poll_and_redeem(
    engine: &Engine,
    client_id: &str,
    auth_req_id: &str,
) -> Result<Approval, RedeemError> {
    let approval = poll(engine, client_id, auth_req_id, 0).await?;
    let (within, id) = (engine.clone(), approval.id);
    engine
        .store
        .write(move |tx| {
            let (engine, id) = (within.clone(), id.clone());
            Box::pin(async move { consume(tx, &engine, &id).await })
        })
        .await
}

impl RedeemError {
    const fn refused(reason: &'static str, said: Option<String>) -> Self {
        Self::AccessDenied { reason, said }
    }
}

/// Why the person denied, in their words.
fn said(approval: &Approval) -> Option<String> {
    let denied = approval.state == State::Denied;
    approval.state_reason.clone().filter(|_| denied)
}

fn ended(state: State, said: Option<String>) -> Result<(), RedeemError> {
    match state {
        State::Approved => Ok(()),
        State::Pending => Err(RedeemError::AuthorizationPending),
        State::Denied => Err(RedeemError::refused("denied", said)),
        State::Cancelled => Err(RedeemError::refused("cancelled", None)),
        State::Expired => Err(RedeemError::ExpiredToken),
        State::Consumed => Err(RedeemError::InvalidGrant),
    }
}
