//! The approved call: noted before it is sent, sent at most once.

use super::call::{AgentCall, ExactCall, NotEqual};
use super::decide::event;
use super::read::CallState;
use super::state::State;
use crate::Engine;
use crate::audit::Kind;
use crate::storage;

/// A call that was begun this long ago (milliseconds) and never ended has lost
/// its answer: no outward call may take that long.
const SURELY_OVER_MS: i64 = 5 * 60 * 1000;

/// Why an approved call is not made.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no such approval for this client and person, or it has no call.
    #[error("there is no approval for this call")]
    NotFound,
    /// The request differs from what was approved.
    #[error("{what}")]
    NotEqual {
        /// In what.
        what: NotEqual,
    },
    /// The one call was begun before.
    #[error("the approval was used before")]
    AlreadyUsed,
    /// It is later than ten minutes after the decision.
    #[error("the time to use the approval is over")]
    WindowClosed,
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// Compares the agent's request with what was approved and notes, before the
/// first byte is sent, that the one call is being made. Send what this answers,
/// not what the agent sent; then say [`call_done`] or [`call_unknown`].
///
/// # Errors
/// See [`CallError`]; a refused request uses nothing up.
pub async fn consume_call(
    engine: &Engine,
    approval_id: &str,
    client_id: &str,
    person_id: &str,
    asked: AgentCall,
) -> Result<ExactCall, CallError> {
    let within = engine.clone();
    let id = approval_id.to_owned();
    let (client, person) = (client_id.to_owned(), person_id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, id) = (within.clone(), id.clone());
            let (client, person, asked) = (client.clone(), person.clone(), asked.clone());
            Box::pin(async move {
                let approval = tx
                    .approval(&engine, &id)
                    .await?
                    .filter(|approval| {
                        approval.client_id == client
                            && approval.person_id == person
                            && approval.state == State::Consumed
                    })
                    .ok_or(CallError::NotFound)?;
                let call = approval.call.clone().ok_or(CallError::NotFound)?;
                call.same_as(&asked)
                    .map_err(|what| CallError::NotEqual { what })?;
                if approval.outcome.is_some() {
                    return Err(CallError::AlreadyUsed);
                }
                if approval
                    .call_window_ends_at()
                    .is_none_or(|end| tx.now() > end)
                {
                    return Err(CallError::WindowClosed);
                }
                if !tx.begin_call(&id).await? {
                    return Err(CallError::AlreadyUsed);
                }
                let sent = event(Kind::ApprovedCallSent, &approval)
                    .data("call_digest", evidence::digest::base64url(&call.digest()));
                tx.record(sent);
                tx.signal(Some(&person), "approval", &id);
                Ok(call)
            })
        })
        .await
}

/// Notes the provider's answer: its status and the digest of its body.
///
/// # Errors
/// The database's.
pub async fn call_done(
    engine: &Engine,
    approval_id: &str,
    status: u16,
    response_digest: [u8; 32],
) -> Result<(), storage::Error> {
    end(
        engine,
        approval_id,
        CallState::Done,
        Some(status),
        Some(response_digest),
    )
    .await
}

/// Notes that the answer was lost: it may have been carried out, and is never
/// sent again.
///
/// # Errors
/// The database's.
pub async fn call_unknown(engine: &Engine, approval_id: &str) -> Result<(), storage::Error> {
    end(engine, approval_id, CallState::Unknown, None, None).await
}

async fn end(
    engine: &Engine,
    approval_id: &str,
    to: CallState,
    status: Option<u16>,
    response_digest: Option<[u8; 32]>,
) -> Result<(), storage::Error> {
    let (within, id) = (engine.clone(), approval_id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, id) = (within.clone(), id.clone());
            Box::pin(async move {
                let status = status.map(i64::from);
                if !tx.end_call(&id, to, status, response_digest).await? {
                    return Ok(());
                }
                if let Some(approval) = tx.approval(&engine, &id).await? {
                    let kind = match to {
                        CallState::Done => Kind::ApprovedCallDone,
                        CallState::Sending | CallState::Unknown => Kind::ApprovedCallUnknown,
                    };
                    let mut event = event(kind, &approval);
                    if let Some(status) = status {
                        event = event.data("status", status);
                    }
                    if let Some(digest) = response_digest {
                        event = event.data("response_digest", evidence::digest::base64url(&digest));
                    }
                    tx.record(event);
                    tx.signal(Some(&approval.person_id), "approval", &id);
                }
                Ok(())
            })
        })
        .await
}

/// Marks calls whose answer can no longer come (the process stopped while they
/// were under way) as `unknown`; answers how many. For the upkeep.
///
/// # Errors
/// The database's.
pub async fn settle_lost_calls(engine: &Engine) -> Result<usize, storage::Error> {
    let before = engine.now().saturating_sub(SURELY_OVER_MS);
    let lost = engine
        .store
        .reader()
        .await?
        .calls_begun_before(before, 200)
        .await?;
    for id in &lost {
        call_unknown(engine, id).await?;
    }
    Ok(lost.len())
}
