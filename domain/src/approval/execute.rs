//! The approved call: noted before it is sent, sent at most once.

use super::call::{AgentCall, ExactCall, NotEqual};
use super::decide::event;
use super::read::CallState;
use super::signing::is_proven;
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
    /// It needs a passkey's signature and has none that counts.
    #[error("the approval carries no signature of a passkey that counts")]
    Unsigned,
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// Compares the agent's request with what was approved and notes, before the
/// first byte is sent, that the one call is being made. Send what this answers,
/// not what the agent sent; then say [`call_ended`].
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
                // The token may be older than what is known now: a passkey that
                // was removed since, rows that another hand changed.
                if !is_proven(tx, &engine, &approval).await? {
                    return Err(CallError::Unsigned);
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

/// What became of the one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEnd {
    /// [`CallState::Done`], [`CallState::Failed`] or [`CallState::Unknown`].
    pub state: CallState,
    /// The provider's HTTP status, if it answered.
    pub status: Option<u16>,
    /// The digest of the answer's body, if there was one.
    pub response_digest: Option<[u8; 32]>,
    /// Why it failed; see [`super::Outcome::reason`].
    pub reason: Option<String>,
}

impl CallEnd {
    /// The answer was lost: it may have been carried out, and is never sent again.
    pub const LOST: Self = Self {
        state: CallState::Unknown,
        status: None,
        response_digest: None,
        reason: None,
    };
}

/// Notes what became of a call that [`consume_call`] let through. A call that
/// has ended already is left as it is.
///
/// # Errors
/// The database's.
pub async fn call_ended(
    engine: &Engine,
    approval_id: &str,
    end: CallEnd,
) -> Result<(), storage::Error> {
    let (within, id) = (engine.clone(), approval_id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, id, end) = (within.clone(), id.clone(), end.clone());
            Box::pin(async move {
                if !tx.end_call(&id, &end).await? {
                    return Ok(());
                }
                if let Some(approval) = tx.approval(&engine, &id).await? {
                    let kind = match end.state {
                        CallState::Done => Kind::ApprovedCallDone,
                        CallState::Failed => Kind::ApprovedCallFailed,
                        CallState::Sending | CallState::Unknown => Kind::ApprovedCallUnknown,
                    };
                    let mut event = event(kind, &approval);
                    if let Some(status) = end.status {
                        event = event.data("status", status);
                    }
                    if let Some(digest) = end.response_digest {
                        event = event.data("response_digest", evidence::digest::base64url(&digest));
                    }
                    if let Some(reason) = &end.reason {
                        event = event.data("reason", reason.as_str());
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
        call_ended(engine, id, CallEnd::LOST).await?;
    }
    Ok(lost.len())
}
