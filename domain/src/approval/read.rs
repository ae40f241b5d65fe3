//! Reading approvals: what pages and the grant see.

use std::collections::BTreeSet;

use serde_json::Value;

use super::call::ExactCall;
use super::decide::{Channel, Decision};
use super::policies::{Approvers, InForce};
use super::render::Shown;
use super::state::State;
use crate::Engine;
use crate::storage;

/// One approval with everything a page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Approval {
    /// Its public id.
    pub id: String,
    /// The client that asks.
    pub client_id: String,
    /// The person who is asked.
    pub person_id: String,
    /// The account that an executable type uses.
    pub account_id: Option<String>,
    /// The run of the embedded agent that asks.
    pub run_id: Option<String>,
    /// Scopes that the token will have.
    pub scopes: Vec<String>,
    /// Audience that the token will have.
    pub audience: String,
    /// `authorization_details` in normal form: an array, empty if there are none.
    pub details: Value,
    /// The type of the first entry.
    pub details_type: Option<String>,
    /// The exact call, for an executable type.
    pub call: Option<ExactCall>,
    /// Its digest.
    pub call_digest: Option<[u8; 32]>,
    /// What the person reads.
    pub shown: Shown,
    /// What must match what the agent shows.
    pub binding_message: Option<String>,
    /// 128 random bits that a signed decision covers, used once.
    pub nonce: [u8; 16],
    /// Whether only a passkey of the person may approve it.
    pub needs_passkey: bool,
    /// What policies ask for beside that.
    pub in_force: InForce,
    /// Where it stands; a pending one whose time is up reads as expired.
    pub state: State,
    /// Why it was denied or cancelled, where somebody said so.
    pub state_reason: Option<String>,
    /// Seconds between polls.
    pub interval_s: i64,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub expires_at: i64,
    /// Unix milliseconds.
    pub decided_at: Option<i64>,
    /// Unix milliseconds.
    pub consumed_at: Option<i64>,
    /// What became of the approved call, once one was begun.
    pub outcome: Option<Outcome>,
}

impl Approval {
    /// Whether this person may decide it: who was asked, or the approvers that
    /// policies name instead.
    #[must_use]
    pub fn is_decided_by(&self, person_id: &str) -> bool {
        let groups = &self.in_force.approvers;
        if groups.is_empty() {
            return self.person_id == person_id;
        }
        let named = |group: &Approvers| group.people.iter().any(|id| id == person_id);
        groups.iter().any(named)
    }

    /// Whether this person sees it, and may deny it.
    #[must_use]
    pub fn is_seen_by(&self, person_id: &str) -> bool {
        self.person_id == person_id || self.is_decided_by(person_id)
    }

    /// Everybody that policies name as approvers, each once.
    #[must_use]
    pub fn approvers(&self) -> BTreeSet<&str> {
        let groups = self.in_force.approvers.iter();
        groups
            .flat_map(|group| group.people.iter().map(String::as_str))
            .collect()
    }

    /// The details as they are granted with the token: in their normal form,
    /// and with the exact call where Attorn makes one.
    #[must_use]
    pub fn granted_details(&self, engine: &Engine) -> Value {
        let mut details = self.details.clone();
        if let (Some(call), Some(entry)) = (&self.call, details.get_mut(0)) {
            entry["exact_call"] = call.for_agent(&engine.settings.proxy_audience());
        }
        details
    }

    /// Until when an approved call may be made, Unix milliseconds.
    #[must_use]
    pub fn call_window_ends_at(&self) -> Option<i64> {
        self.decided_at
            .map(|decided| decided.saturating_add(super::CALL_WINDOW_MS))
    }
}

/// Where an approved call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// Begun; no answer yet.
    Sending,
    /// Answered, and not refused.
    Done,
    /// Surely not carried out: the provider refused it, or was not reached.
    Failed,
    /// The answer is lost: it may have been carried out, and is never sent again.
    Unknown,
}

impl CallState {
    /// The word in rows.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

impl std::str::FromStr for CallState {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::Sending, Self::Done, Self::Failed, Self::Unknown]
            .into_iter()
            .find(|state| state.word() == word)
            .ok_or(())
    }
}

/// The reason of a call that never left.
pub const NOT_SENT: &str = "not_sent";

/// What became of an approved call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Where it stands.
    pub state: CallState,
    /// Unix milliseconds.
    pub started_at: i64,
    /// Unix milliseconds.
    pub finished_at: Option<i64>,
    /// The provider's HTTP status.
    pub status: Option<i64>,
    /// Why it failed: the provider's error code, `http_` and a status, or [`NOT_SENT`].
    pub reason: Option<String>,
}

/// One person's decision on one approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionMade {
    /// Its id.
    pub id: String,
    /// Who decided.
    pub person_id: String,
    /// What.
    pub decision: Decision,
    /// By which way.
    pub channel: Channel,
    /// From which address.
    pub address: Option<String>,
    /// With which program.
    pub user_agent: Option<String>,
    /// What proves it, if a passkey signed it: the JSON text of
    /// `evidence::decision::DecisionEvidence`.
    pub evidence: Option<String>,
    /// Unix milliseconds.
    pub decided_at: i64,
}

/// Which approvals a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Those that wait for a decision.
    Pending,
    /// Those that do not any more.
    Decided,
    /// All.
    All,
}

/// An approval of this person's; `None` also for one of somebody else's.
///
/// # Errors
/// The database's; a row whose MAC is wrong is refused.
pub async fn get(
    engine: &Engine,
    person_id: &str,
    id: &str,
) -> Result<Option<Approval>, storage::Error> {
    let approval = engine.store.reader().await?.approval(engine, id).await?;
    Ok(approval.filter(|approval| approval.person_id == person_id))
}

/// An approval that this person was asked for, or may decide as an approver.
///
/// # Errors
/// The database's; a row whose MAC is wrong is refused.
pub async fn seen_by(
    engine: &Engine,
    person_id: &str,
    id: &str,
) -> Result<Option<Approval>, storage::Error> {
    let approval = engine.store.reader().await?.approval(engine, id).await?;
    Ok(approval.filter(|approval| approval.is_seen_by(person_id)))
}

/// An approval that this client asked for; `None` also for one of somebody else's.
pub(crate) async fn of_client(
    engine: &Engine,
    client_id: &str,
    id: &str,
) -> Result<Option<Approval>, storage::Error> {
    let approval = engine.store.reader().await?.approval(engine, id).await?;
    Ok(approval.filter(|approval| approval.client_id == client_id))
}

/// What a person was asked, or is asked as an approver, the newest first; at
/// most `limit`, at most 200.
///
/// # Errors
/// The database's; a row whose MAC is wrong is refused.
pub async fn list(
    engine: &Engine,
    person_id: &str,
    filter: Filter,
    limit: i64,
) -> Result<Vec<Approval>, storage::Error> {
    let limit = limit.clamp(1, 200);
    let mut reader = engine.store.reader().await?;
    let mut all = reader
        .approvals_of(engine, person_id, filter, limit)
        .await?;
    let seated = reader
        .approvals_seated(engine, person_id, filter, limit)
        .await?;
    if !seated.is_empty() {
        all.extend(
            seated
                .into_iter()
                .filter(|other| other.person_id != person_id && other.is_decided_by(person_id)),
        );
        all.sort_by(|one, other| (other.created_at, &other.id).cmp(&(one.created_at, &one.id)));
        all.truncate(usize::try_from(limit).unwrap_or(0));
    }
    Ok(all)
}

/// How many approvals wait for this person.
///
/// # Errors
/// The database's.
pub async fn pending_count(engine: &Engine, person_id: &str) -> Result<i64, storage::Error> {
    let now = engine.now();
    engine
        .store
        .reader()
        .await?
        .approvals_pending(person_id, now)
        .await
}

/// The decisions on an approval, the first first.
///
/// # Errors
/// The database's; a row whose MAC is wrong is refused.
pub async fn decisions(
    engine: &Engine,
    approval_id: &str,
) -> Result<Vec<DecisionMade>, storage::Error> {
    let mut reader = engine.store.reader().await?;
    reader.decisions_of(engine, approval_id).await
}

/// The approval that an `auth_req_id` stands for. For the demo's own door;
/// agents redeem theirs at the token endpoint.
///
/// # Errors
/// The database's; a row whose MAC is wrong is refused.
pub async fn find_by_auth_req(
    engine: &Engine,
    auth_req_id: &str,
) -> Result<Option<Approval>, storage::Error> {
    let hash = engine.keys.hash("auth_req_id", auth_req_id.as_bytes());
    let mut reader = engine.store.reader().await?;
    reader.approval_by_auth_req(engine, &hash).await
}

/// The newest pending approval with this binding message. For the demo's own door.
///
/// # Errors
/// The database's; a row whose MAC is wrong is refused.
pub async fn find_by_binding_message(
    engine: &Engine,
    binding_message: &str,
) -> Result<Option<Approval>, storage::Error> {
    let mut reader = engine.store.reader().await?;
    reader
        .approval_by_binding_message(engine, binding_message)
        .await
}
