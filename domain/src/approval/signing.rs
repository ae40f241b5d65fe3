//! Decisions that a passkey signs: what is signed, when it must be, and the
//! proof that is judged again before anything is given out.
//!
//! What needs a passkey is said by the deployment's settings and policies, by
//! the person's row (they ever had one) and by the approval's own row; the rows
//! carry MACs.
//! Whoever writes the database can take none of it back.

use std::collections::BTreeSet;

use evidence::challenge::{Decision as Signed, DecisionChallenge};
use evidence::decision::{DecisionEvidence, FORMAT};

use super::decide::Decision;
use super::policies::{Approvers, Demands, join};
use super::read::{Approval, DecisionMade};
use super::render::{EnforcedBy, Risk, Shown};
use super::types;
use crate::Engine;
use crate::identity::Person;
use crate::identity::passkeys::{self, Answer, CHALLENGE_MS, Challenge, PasskeyError, Used};
use crate::storage::{self, Tx};

/// Whose approvals of weight need a passkey: of what Attorn carries out itself,
/// and of what is high risk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PasskeyPolicy {
    /// Those of everybody who has, or had, a passkey.
    #[default]
    Enrolled,
    /// Everybody's: who has none can only deny.
    Always,
}

impl std::str::FromStr for PasskeyPolicy {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "enrolled" => Ok(Self::Enrolled),
            "always" => Ok(Self::Always),
            _ => Err("must be enrolled or always".to_owned()),
        }
    }
}

/// What approving takes by what stands now.
#[derive(Clone)]
pub(super) struct Needed {
    /// A passkey of who decides.
    pub(super) passkey: bool,
    /// A passkey of everybody who decides.
    pub(super) of_all: bool,
    /// One that cannot leave its device.
    pub(super) device_bound: bool,
    /// It may not be approved at all.
    pub(super) forbidden: bool,
    /// Who approves instead of the person who was asked.
    pub(super) approvers: Vec<Approvers>,
}

impl Needed {
    /// By the settings, and by what policies ask for. Of nobody in particular
    /// as of somebody who has a passkey.
    pub(super) fn of(
        engine: &Engine,
        person: Option<&Person>,
        shown: &Shown,
        demands: Demands,
    ) -> Self {
        let has_one = person.is_none_or(|person| person.passkeys_since.is_some());
        let always = engine.settings.passkey_policy == PasskeyPolicy::Always;
        let needs =
            |has_one| of_weight(shown) && (always || has_one) || demands.needs_passkey(has_one);
        Self {
            passkey: needs(has_one),
            of_all: needs(false),
            device_bound: demands.needs_device_bound(),
            forbidden: demands.forbidden,
            approvers: demands.approvers,
        }
    }

    /// What is fixed in the row: of several who decide, each signs if all must.
    pub(super) fn fixed(&self) -> bool {
        if self.approvers.is_empty() {
            self.passkey
        } else {
            self.of_all
        }
    }
}

fn of_weight(shown: &Shown) -> bool {
    shown.enforced_by == EnforcedBy::Attorn || shown.risk == Risk::High
}

/// What a decision of the person who was asked is about; its hash is what a
/// passkey signs.
#[must_use]
pub fn challenge(engine: &Engine, approval: &Approval, decision: Decision) -> DecisionChallenge {
    challenge_of(engine, approval, decision, &approval.person_id)
}

/// As [`challenge()`], for whoever decides.
#[must_use]
pub fn challenge_of(
    engine: &Engine,
    approval: &Approval,
    decision: Decision,
    person_id: &str,
) -> DecisionChallenge {
    DecisionChallenge {
        issuer: engine.settings.issuer.clone(),
        approval: approval.id.clone(),
        person: person_id.to_owned(),
        client: approval.client_id.clone(),
        account: approval.account_id.clone(),
        call_digest: approval.call_digest,
        text_digest: approval.shown.digest(),
        template: approval.shown.template.clone(),
        locale: approval.shown.locale.clone(),
        binding_message: approval.binding_message.clone(),
        decision: match decision {
            Decision::Approve => Signed::Approve,
            Decision::Deny => Signed::Deny,
        },
        standing_terms: None,
        expires_at: approval.expires_at,
        nonce: approval.nonce,
    }
}

/// How a person can approve a request.
#[derive(Clone, Debug)]
pub struct Signing {
    /// Whether only a passkey may.
    pub needed: bool,
    /// Whether only one that cannot leave its device may.
    pub device_bound: bool,
    /// Whether a policy forbids it.
    pub forbidden: bool,
    /// What the browser asks the authenticator with; none if the person has no
    /// passkey that counts now.
    pub challenge: Option<Challenge>,
    /// Until when all their passkeys are on hold, Unix milliseconds, if they are.
    pub on_hold_until: Option<i64>,
}

/// How the person who was asked can approve a request.
///
/// # Errors
/// The database's.
pub async fn signing(engine: &Engine, approval: &Approval) -> Result<Signing, storage::Error> {
    signing_of(engine, approval, &approval.person_id).await
}

/// As [`signing()`], for whoever decides.
///
/// # Errors
/// The database's.
pub async fn signing_of(
    engine: &Engine,
    approval: &Approval,
    person_id: &str,
) -> Result<Signing, storage::Error> {
    let needed = {
        let mut reader = engine.store.reader().await?;
        approval.needed(&mut reader, engine, person_id).await?
    };
    let (all, now) = (passkeys::list(engine, person_id).await?, engine.now());
    let on_hold_until = all.iter().filter_map(|passkey| passkey.hold_until).max();
    let allow: Vec<_> = all
        .into_iter()
        .filter(|passkey| passkey.counts(now))
        .filter(|passkey| passkey.device_bound || !needed.device_bound)
        .map(|passkey| (passkey.credential_id, passkey.transports))
        .collect();
    let party = passkeys::relying_party(engine).ok();
    let usable = !allow.is_empty();
    Ok(Signing {
        needed: needed.passkey,
        device_bound: needed.device_bound,
        forbidden: needed.forbidden,
        challenge: party.filter(|_| usable).map(|party| Challenge {
            challenge: challenge_of(engine, approval, Decision::Approve, person_id).hash(),
            rp_id: party.id().to_owned(),
            allow,
            timeout_ms: CHALLENGE_MS,
        }),
        on_hold_until: on_hold_until.filter(|until| !usable && *until > now),
    })
}

impl Approval {
    /// What approving takes of this person, by what stands now and what stood
    /// when it was asked.
    pub(super) async fn needed(
        &self,
        tx: &mut Tx,
        engine: &Engine,
        person_id: &str,
    ) -> Result<Needed, storage::Error> {
        let types = types::names(&self.details);
        let types: Vec<&str> = types.iter().map(String::as_str).collect();
        let (demands, _) = tx
            .policies(engine)
            .await?
            .approving(&self.client_id, &types);
        let person = tx.person_now(engine, person_id).await?;
        let now = Needed::of(engine, person.as_ref(), &self.shown, demands);
        let device_bound = now.device_bound || self.in_force.device_bound;
        let before = self.needs_passkey || device_bound;
        let mut approvers = self.in_force.approvers.clone();
        join(&mut approvers, now.approvers);
        Ok(Needed {
            passkey: now.passkey || before,
            of_all: now.of_all || before,
            device_bound,
            forbidden: now.forbidden,
            approvers,
        })
    }
}

/// Whether approving takes a passkey, and nobody who may has one that counts.
pub(super) async fn nobody_could_sign(
    engine: &Engine,
    approval: &Approval,
) -> Result<bool, storage::Error> {
    let mut deciders = approval.approvers();
    if deciders.is_empty() {
        deciders.insert(&approval.person_id);
    }
    for person in deciders {
        let signing = signing_of(engine, approval, person).await?;
        if !signing.needed || signing.challenge.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Judges a passkey's answer to this decision, and makes the evidence of it.
pub(super) async fn sign(
    tx: &mut Tx,
    engine: &Engine,
    approval: &Approval,
    (decision, person_id): (Decision, &str),
    answer: &Answer,
) -> Result<Result<(DecisionEvidence, Used), PasskeyError>, storage::Error> {
    let party = match passkeys::relying_party(engine) {
        Ok(party) => party,
        Err(refused) => return Ok(Err(refused)),
    };
    let challenge = challenge_of(engine, approval, decision, person_id);
    let person = Some(person_id);
    let judged = passkeys::judge(tx, engine, &party, person, &challenge.hash(), answer).await?;
    Ok(judged.map(|used| {
        let evidence = DecisionEvidence {
            format: FORMAT.to_owned(),
            challenge,
            shown: approval.shown.canonical(),
            call: approval
                .call
                .as_ref()
                .map(|call| String::from_utf8_lossy(&call.canonical()).into_owned()),
            credential_id: used.passkey.credential_id.clone(),
            public_key: used.passkey.public_key.clone(),
            backup_eligible: !used.passkey.device_bound,
            client_data_json: answer.client_data_json.clone(),
            authenticator_data: answer.authenticator_data.clone(),
            signature: answer.signature.clone(),
        };
        (evidence, used)
    }))
}

/// Whether an approval may be used: enough people approved it who may, and where
/// it needs a passkey, one of theirs that still counts signed this very approval.
pub(super) async fn is_proven(
    tx: &mut Tx,
    engine: &Engine,
    approval: &Approval,
) -> Result<bool, storage::Error> {
    let groups = &approval.in_force.approvers;
    if groups.is_empty() {
        let signed = needs_signature(engine, approval);
        return Ok(!signed || {
            let approved = approved_by(tx, engine, approval).await?;
            approved.contains(&approval.person_id)
        });
    }
    let approved = approved_by(tx, engine, approval).await?;
    Ok(groups.iter().all(|group| group.is_met_by(&approved)))
}

fn needs_signature(engine: &Engine, approval: &Approval) -> bool {
    let always = engine.settings.passkey_policy == PasskeyPolicy::Always;
    approval.needs_passkey || approval.in_force.device_bound || always && of_weight(&approval.shown)
}

/// Who approved it, as far as that counts.
pub(super) async fn approved_by(
    tx: &mut Tx,
    engine: &Engine,
    approval: &Approval,
) -> Result<BTreeSet<String>, storage::Error> {
    let signed = needs_signature(engine, approval);
    let mut approved = BTreeSet::new();
    for made in tx.decisions_of(engine, &approval.id).await? {
        let counts = made.decision == Decision::Approve
            && approval.is_decided_by(&made.person_id)
            && tx.person_is_active(engine, &made.person_id).await?
            && (!signed || is_signed(tx, engine, approval, &made).await?);
        if counts {
            approved.insert(made.person_id);
        }
    }
    Ok(approved)
}

async fn is_signed(
    tx: &mut Tx,
    engine: &Engine,
    approval: &Approval,
    made: &DecisionMade,
) -> Result<bool, storage::Error> {
    let text = made.evidence.as_deref().unwrap_or_default();
    let Ok(evidence) = DecisionEvidence::parse(text.as_bytes()) else {
        return Ok(false);
    };
    let expected = challenge_of(engine, approval, Decision::Approve, &made.person_id);
    if evidence.challenge != expected || evidence.prove().is_err() {
        return Ok(false);
    }
    if approval.in_force.device_bound && evidence.backup_eligible {
        return Ok(false);
    }
    let (id, key) = (&evidence.credential_id, &evidence.public_key);
    passkeys::still_counts(tx, engine, &made.person_id, id, key).await
}

/// The evidence of every decision on an approval that a passkey signed, the
/// first first: JSON texts as of [`evidence_of`].
///
/// # Errors
/// The database's; a row whose MAC is wrong is refused.
pub async fn all_evidence_of(
    engine: &Engine,
    approval_id: &str,
) -> Result<Vec<String>, storage::Error> {
    let mut reader = engine.store.reader().await?;
    let all = reader.decisions_of(engine, approval_id).await?;
    Ok(all.into_iter().filter_map(|made| made.evidence).collect())
}

/// The evidence of the decision on an approval: its JSON text, as
/// `attorn-verify` reads it; `None` where nobody decided with a passkey.
///
/// # Errors
/// The database's; a row whose MAC is wrong is refused.
pub async fn evidence_of(
    engine: &Engine,
    approval_id: &str,
) -> Result<Option<String>, storage::Error> {
    let mut reader = engine.store.reader().await?;
    let all = reader.decisions_of(engine, approval_id).await?;
    Ok(all.into_iter().find_map(|made| made.evidence))
}
