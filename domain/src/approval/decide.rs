//! Deciding, and the other ways a request ends.

use std::str::FromStr;

use super::binding::is_deceptive;
use super::policies::WRONG_NUMBERS;
use super::read::find_by_auth_req;
use super::read::{Approval, DecisionMade};
use super::redeem::WRONG_NUMBER;
use super::signing::{approved_by, sign};
use super::sql::Kept;
use super::state::{Change, State};
use crate::audit::{Event, Kind};
use crate::identity::passkeys::{Answer, PasskeyError, Used};
use crate::storage::{self, Tx};
use crate::{Engine, ids};

/// What the person chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let it happen.
    Approve,
    /// Do not.
    Deny,
}

impl Decision {
    /// The word in rows.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

impl FromStr for Decision {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "approve" => Ok(Self::Approve),
            "deny" => Ok(Self::Deny),
            _ => Err(()),
        }
    }
}

/// The way a decision came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The decision page, with a signed-in session.
    Browser,
    /// The decision page, signed by a passkey.
    Passkey,
    /// The demo's own door: nobody really decided.
    Demo,
}

impl Channel {
    /// The word in rows and events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Passkey => "passkey",
            Self::Demo => "demo",
        }
    }
}

impl FromStr for Channel {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "browser" => Ok(Self::Browser),
            "passkey" => Ok(Self::Passkey),
            "demo" => Ok(Self::Demo),
            _ => Err(()),
        }
    }
}

/// One decision.
#[derive(Clone, Debug)]
pub struct Decide {
    /// Public id of the approval.
    pub approval_id: String,
    /// Who decides: the signed-in person.
    pub person_id: String,
    /// What.
    pub decision: Decision,
    /// By which way.
    pub channel: Channel,
    /// From which address.
    pub address: Option<String>,
    /// With which program; cut at 300 characters.
    pub user_agent: Option<String>,
    /// The number that the person typed, where the agent shows one.
    pub number: Option<String>,
}

/// Why a decision does not count.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// There is no such approval, or it is somebody else's.
    #[error("there is no such request here")]
    NotFound,
    /// It was decided, cancelled or used before.
    #[error("the request is already {state}")]
    AlreadyDecided {
        /// Where it stands.
        state: State,
    },
    /// Its time was up.
    #[error("the request has expired")]
    Expired,
    /// Only a passkey of the person may approve it.
    #[error("this request can only be approved with a passkey")]
    NeedsPasskey,
    /// Only a passkey that cannot leave its device may approve it.
    #[error("this request can only be approved with a passkey that stays on its device")]
    NeedsDeviceBound,
    /// A policy forbids approving it.
    #[error("a policy forbids approving this request")]
    Forbidden,
    /// Policies name other approvers: who was asked may only deny.
    #[error("other people approve this request")]
    OthersApprove,
    /// This person approved it before, and others still have to.
    #[error("you approved this request already; others still have to")]
    AlreadyYours,
    /// The number is not the one the agent shows. After the last one the
    /// request is denied.
    #[error("this is not the number that the agent shows")]
    WrongNumber {
        /// How many more may be typed.
        left: u8,
    },
    /// The passkey's answer does not count. Nothing was decided.
    #[error(transparent)]
    Passkey(PasskeyError),
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// What a verb did; refusals that changed a row must commit, so they are no `Err` inside.
enum Done {
    Moved(Box<Approval>),
    NotFound,
    Already(State),
    Expired,
    NeedsPasskey,
    NeedsDeviceBound,
    Forbidden,
    OthersApprove,
    AlreadyYours,
    WrongNumber(u8),
    Refused(PasskeyError),
}

const fn event_of(change: Change) -> Kind {
    match change {
        Change::Approve => Kind::ApprovalApproved,
        Change::Deny => Kind::ApprovalDenied,
        Change::Expire => Kind::ApprovalExpired,
        Change::Cancel => Kind::ApprovalCancelled,
        Change::Consume => Kind::ApprovalConsumed,
    }
}

/// The event of a change: who, what, which.
pub(super) fn event(kind: Kind, approval: &Approval) -> Event {
    let mut event = Event::new(kind)
        .person(&approval.person_id)
        .client(&approval.client_id)
        .approval(&approval.id);
    if let Some(account) = &approval.account_id {
        event = event.account(account);
    }
    if let Some(run) = &approval.run_id {
        event = event.run(run);
    }
    event
}

/// Carries out one change of state: the table, the compare-and-swap, the
/// event's beginning. `Ok(Err(state))` when the state does not allow it.
pub(super) async fn carry_out(
    tx: &mut Tx,
    engine: &Engine,
    mut kept: Kept,
    change: Change,
    reason: Option<&str>,
) -> Result<Result<(Approval, Event), State>, storage::Error> {
    let from = kept.approval.state;
    let to = match from.after(change) {
        Ok(to) => to,
        Err(refused) => return Ok(Err(refused.state)),
    };
    let now = tx.now();
    kept.approval.state = to;
    kept.approval.state_reason = reason.map(str::to_owned);
    match change {
        Change::Approve | Change::Deny => kept.approval.decided_at = Some(now),
        Change::Consume => kept.approval.consumed_at = Some(now),
        Change::Expire | Change::Cancel => {}
    }
    if !tx.move_approval(engine, from, &kept).await? {
        // Somebody else was first (another instance); say where it stands now.
        let state = tx
            .approval_kept(engine, &kept.approval.id)
            .await?
            .map_or(from, |kept| kept.approval.state);
        return Ok(Err(state));
    }
    if from == State::Pending {
        tx.notices_of_end(&kept.approval.id).await?;
    }
    // One that redeems it knows already.
    if kept.is_told() && change != Change::Consume {
        tx.notification_is_due(&kept.approval.id).await?;
    }
    let approval = kept.approval;
    tx.signal_approval(&approval);
    let event = event(event_of(change), &approval);
    Ok(Ok((approval, event)))
}

impl Tx {
    /// Wakes whoever looks at it: who was asked, and the approvers.
    pub(super) fn signal_approval(&mut self, approval: &Approval) {
        self.signal(Some(&approval.person_id), "approval", &approval.id);
        for person in approval.approvers() {
            if person != approval.person_id {
                self.signal(Some(person), "approval", &approval.id);
            }
        }
    }
}

/// Decides: the first decision counts, and only before the request expires.
///
/// # Errors
/// See [`DecideError`]; nothing is changed but a request whose time was up,
/// which is then marked as expired.
pub async fn decide(engine: &Engine, decide: Decide) -> Result<Approval, DecideError> {
    decide_with(engine, decide, None, None).await
}

/// How many characters of a reason are kept.
const MOST_SAID: usize = 200;

/// Decides, and says why: who is denied is told in the person's own words, cut
/// at 200 characters. An approval needs no reason and keeps none.
///
/// # Errors
/// See [`DecideError`].
pub async fn decide_saying(
    engine: &Engine,
    decide: Decide,
    why: &str,
) -> Result<Approval, DecideError> {
    let words: Vec<&str> = why
        .split(|character: char| character.is_whitespace() || is_deceptive(character))
        .filter(|word| !word.is_empty())
        .collect();
    let said: String = words.join(" ").chars().take(MOST_SAID).collect();
    let said = Some(said).filter(|said| decide.decision == Decision::Deny && !said.is_empty());
    decide_with(engine, decide, None, said).await
}

/// Decides with a passkey: `answer` is over the hash of
/// [`challenge()`](super::challenge()).
///
/// # Errors
/// See [`DecideError`]. A refused answer leaves its event, and nothing is decided.
pub async fn decide_signed(
    engine: &Engine,
    decide: Decide,
    answer: Answer,
) -> Result<Approval, DecideError> {
    let decide = Decide {
        channel: Channel::Passkey,
        ..decide
    };
    decide_with(engine, decide, Some(answer), None).await
}

async fn decide_with(
    engine: &Engine,
    decide: Decide,
    answer: Option<Answer>,
    said: Option<String>,
) -> Result<Approval, DecideError> {
    let within = engine.clone();
    let done = engine
        .store
        .write(move |tx| {
            let (engine, decide, answer) = (within.clone(), decide.clone(), answer.clone());
            let said = said.clone();
            Box::pin(async move {
                decide_within(tx, &engine, &decide, answer.as_ref(), said.as_deref()).await
            })
        })
        .await?;
    match done {
        Done::Moved(approval) => Ok(*approval),
        Done::NotFound => Err(DecideError::NotFound),
        Done::Already(State::Expired) | Done::Expired => Err(DecideError::Expired),
        Done::Already(state) => Err(DecideError::AlreadyDecided { state }),
        Done::NeedsPasskey => Err(DecideError::NeedsPasskey),
        Done::NeedsDeviceBound => Err(DecideError::NeedsDeviceBound),
        Done::Forbidden => Err(DecideError::Forbidden),
        Done::OthersApprove => Err(DecideError::OthersApprove),
        Done::AlreadyYours => Err(DecideError::AlreadyYours),
        Done::WrongNumber(left) => Err(DecideError::WrongNumber { left }),
        Done::Refused(refused) => Err(DecideError::Passkey(refused)),
    }
}

async fn decide_within(
    tx: &mut Tx,
    engine: &Engine,
    decide: &Decide,
    answer: Option<&Answer>,
    said: Option<&str>,
) -> Result<Done, storage::Error> {
    // One after the other: wrong numbers are counted, and who approved.
    tx.hold_approval(&decide.approval_id).await?;
    let Some(mut kept) = tx.approval_kept(engine, &decide.approval_id).await? else {
        return Ok(Done::NotFound);
    };
    if !kept.approval.is_seen_by(&decide.person_id) {
        return Ok(Done::NotFound);
    }
    if kept.approval.state == State::Pending && kept.approval.expires_at <= tx.now() {
        if let Ok((_, event)) = carry_out(tx, engine, kept, Change::Expire, None).await? {
            tx.record(event);
        }
        return Ok(Done::Expired);
    }
    let change = match decide.decision {
        Decision::Approve => Change::Approve,
        Decision::Deny => Change::Deny,
    };
    if let Err(refused) = kept.approval.state.after(change) {
        return Ok(Done::Already(refused.state));
    }
    let before = tx.decisions_of(engine, &kept.approval.id).await?;
    if before.iter().any(|made| made.person_id == decide.person_id) {
        return Ok(Done::AlreadyYours);
    }
    let mut must_sign = false;
    if decide.decision == Decision::Approve {
        let person = &decide.person_id;
        let needed = kept.approval.needed(tx, engine, person).await?;
        if needed.forbidden {
            return Ok(Done::Forbidden);
        }
        must_sign = needed.passkey;
        // From now on by the row alone, whatever settings and policies say later.
        kept.approval.needs_passkey = needed.fixed();
        kept.approval.in_force.device_bound = needed.device_bound;
        if kept.approval.in_force.approvers != needed.approvers {
            kept.approval.in_force.approvers = needed.approvers;
            tx.seat_approvers(&kept.approval).await?;
            if !tx.move_approval(engine, State::Pending, &kept).await? {
                return Ok(Done::NotFound);
            }
        }
        if !kept.approval.is_decided_by(person) {
            return Ok(Done::OthersApprove);
        }
        if let Some(number) = &kept.approval.in_force.number
            && decide.number.as_ref() != Some(number)
        {
            return wrong_number(tx, engine, kept, decide.number.is_some()).await;
        }
    }
    let signed = match answer {
        None if must_sign => return Ok(Done::NeedsPasskey),
        None => None,
        Some(answer) => match sign(
            tx,
            engine,
            &kept.approval,
            (decide.decision, &decide.person_id),
            answer,
        )
        .await?
        {
            Ok((_, used))
                if decide.decision == Decision::Approve
                    && kept.approval.in_force.device_bound
                    && !used.passkey.device_bound =>
            {
                return Ok(Done::NeedsDeviceBound);
            }
            Ok(signed) => Some(signed),
            Err(refused) => return Ok(Done::Refused(refused)),
        },
    };
    let made = DecisionMade {
        id: tx.new_id("dec"),
        person_id: decide.person_id.clone(),
        decision: decide.decision,
        channel: decide.channel,
        address: decide.address.clone(),
        user_agent: decide
            .user_agent
            .as_ref()
            .map(|text| text.chars().take(300).collect()),
        evidence: signed
            .as_ref()
            .and_then(|(evidence, _)| serde_json::to_string(evidence).ok()),
        decided_at: tx.now(),
    };
    let before = kept.approval.clone();
    let (approval, event) = if is_enough(tx, engine, &mut kept, &made).await? {
        match carry_out(tx, engine, kept, change, said).await? {
            Ok(done) => done,
            Err(state) => return Ok(Done::Already(state)),
        }
    } else {
        // Others still have to: it waits on, as the row now says.
        if !tx.move_approval(engine, before.state, &kept).await? {
            return Ok(Done::Already(before.state));
        }
        tx.signal_approval(&before);
        let event = event(Kind::ApprovalAgreed, &before);
        (kept.approval, event)
    };
    tx.insert_decision(engine, &approval.id, &made).await?;
    let event = event.person(&made.person_id);
    let mut event = facts(event, &approval, made, signed.map(|(_, used)| used));
    if before.person_id != decide.person_id {
        event = event.data("for", before.person_id);
    }
    if let Some(said) = said {
        event = event.private("said", said);
    }
    tx.record(event);
    Ok(Done::Moved(Box::new(approval)))
}

/// Whether with this decision it is decided: anybody's denial does, and the
/// approval of enough people. Notes in the row who they were.
async fn is_enough(
    tx: &mut Tx,
    engine: &Engine,
    kept: &mut Kept,
    made: &DecisionMade,
) -> Result<bool, storage::Error> {
    if made.decision == Decision::Deny || kept.approval.in_force.approvers.is_empty() {
        return Ok(true);
    }
    let mut approved = approved_by(tx, engine, &kept.approval).await?;
    approved.insert(made.person_id.clone());
    let groups = &kept.approval.in_force.approvers;
    let enough = groups.iter().all(|group| group.is_met_by(&approved));
    if enough {
        kept.approval.in_force.approved_by = approved.into_iter().collect();
    }
    Ok(enough)
}

/// Counts a number that was typed and is wrong; the last one denies the request.
async fn wrong_number(
    tx: &mut Tx,
    engine: &Engine,
    mut kept: Kept,
    is_typed: bool,
) -> Result<Done, storage::Error> {
    let before = kept.approval.in_force.wrong_numbers;
    if !is_typed {
        return Ok(Done::WrongNumber(WRONG_NUMBERS.saturating_sub(before)));
    }
    let typed = before.saturating_add(1);
    kept.approval.in_force.wrong_numbers = typed;
    let left = WRONG_NUMBERS.saturating_sub(typed);
    if left > 0 {
        let state = kept.approval.state;
        if !tx.move_approval(engine, state, &kept).await? {
            return Ok(Done::NotFound);
        }
        return Ok(Done::WrongNumber(left));
    }
    match carry_out(tx, engine, kept, Change::Deny, None).await? {
        Ok((_, event)) => {
            tx.record(event.data("reason", WRONG_NUMBER));
            Ok(Done::WrongNumber(0))
        }
        Err(state) => Ok(Done::Already(state)),
    }
}

/// What the log says of a decision. With the evidence's digest in it, the log
/// binds which passkey signed what.
fn facts(event: Event, approval: &Approval, made: DecisionMade, used: Option<Used>) -> Event {
    use evidence::digest::{base64url, sha256};
    let mut event = event
        .data("channel", made.channel.word())
        .data("decision", made.id)
        .data("text_digest", base64url(&approval.shown.digest()));
    if let Some(digest) = &approval.call_digest {
        event = event.data("call_digest", base64url(digest));
    }
    if let Some(used) = used {
        event = event
            .data("passkey", used.passkey.id.as_str())
            .data("key", base64url(&used.passkey.key_digest()));
    }
    if let Some(evidence) = made.evidence {
        event = event.data("evidence", base64url(&sha256(evidence.as_bytes())));
    }
    if let Some(address) = made.address {
        event = event.private("address", address);
    }
    if let Some(agent) = made.user_agent {
        event = event.private("user_agent", agent);
    }
    event
}

/// Takes a request back, for the client that made it; `auth_req_id` is its
/// credential.
///
/// # Errors
/// See [`DecideError`]; a request that has ended is left as it is.
pub async fn cancel_by_auth_req(
    engine: &Engine,
    client_id: &str,
    auth_req_id: &str,
) -> Result<Approval, DecideError> {
    if !ids::well_formed("att_ar", auth_req_id) {
        return Err(DecideError::NotFound);
    }
    let found = find_by_auth_req(engine, auth_req_id).await?;
    let approval = found.ok_or(DecideError::NotFound)?;
    cancel(engine, client_id, &approval.id).await
}

/// Takes a request back, for the client that made it.
///
/// # Errors
/// See [`DecideError`].
pub async fn cancel(
    engine: &Engine,
    client_id: &str,
    approval_id: &str,
) -> Result<Approval, DecideError> {
    let within = engine.clone();
    let (client_id, approval_id) = (client_id.to_owned(), approval_id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, client, id) = (within.clone(), client_id.clone(), approval_id.clone());
            Box::pin(async move {
                let kept = tx
                    .approval_kept(&engine, &id)
                    .await?
                    .filter(|kept| kept.approval.client_id == client)
                    .ok_or(DecideError::NotFound)?;
                // Whatever the upkeep has marked yet: what ran out has ended.
                if kept.approval.state == State::Pending && kept.approval.expires_at <= tx.now() {
                    return Err(DecideError::Expired);
                }
                match carry_out(
                    tx,
                    &engine,
                    kept,
                    Change::Cancel,
                    Some("cancelled_by_agent"),
                )
                .await?
                {
                    Ok((approval, event)) => {
                        tx.record(event);
                        Ok(approval)
                    }
                    Err(State::Expired) => Err(DecideError::Expired),
                    Err(state) => Err(DecideError::AlreadyDecided { state }),
                }
            })
        })
        .await
}

/// Marks requests whose time is up, at most 200 a call; answers how many.
/// Nothing depends on it but the list, the log and whoever waits for a signal:
/// a request whose time is up is refused in any case.
///
/// # Errors
/// The database's.
pub async fn expire_due(engine: &Engine) -> Result<usize, storage::Error> {
    let due = engine.store.reader().await?.approvals_due(200).await?;
    let mut expired = 0;
    for id in due {
        let within = engine.clone();
        let moved = engine
            .store
            .write(move |tx| {
                let (engine, id) = (within.clone(), id.clone());
                Box::pin(async move { expire_within(tx, &engine, &id).await })
            })
            .await?;
        expired += usize::from(moved);
    }
    Ok(expired)
}

pub(super) async fn expire_within(
    tx: &mut Tx,
    engine: &Engine,
    id: &str,
) -> Result<bool, storage::Error> {
    let Some(kept) = tx.approval_kept(engine, id).await? else {
        return Ok(false);
    };
    if kept.approval.expires_at > tx.now() {
        return Ok(false);
    }
    let done = carry_out(tx, engine, kept, Change::Expire, None).await?;
    Ok(done.is_ok_and(|(_, event)| {
        tx.record(event);
        true
    }))
}
