//! Approvals as pages show them.

use leptos::prelude::*;
use leptos::server_fn::ServerFnError;
use serde::{Deserialize, Serialize};

use super::{Stamp, Status};

/// One line of a list of approvals.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ApprovalRow {
    /// The decision page.
    pub href: String,
    /// What, as a headline of ours.
    pub title: String,
    /// Who asks, and whether through a run of the embedded agent.
    pub asker: String,
    /// Where it stands.
    pub status: Status,
    /// When it was asked.
    pub asked: Stamp,
    /// When a pending one runs out, as a sentence's end: `in 4 min.`
    pub expires: Option<Stamp>,
}

/// The decision page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalPage {
    /// Public id.
    pub id: String,
    /// The client's name.
    pub asker: String,
    /// The client's id.
    pub client_id: String,
    /// Whether it is the embedded agent.
    pub embedded: bool,
    /// What, as a headline of ours.
    pub title: String,
    /// The details table.
    pub fields: Vec<(String, String)>,
    /// Who makes sure that only this is done.
    pub enforced_by: String,
    /// Must match what the agent shows.
    pub binding_message: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Whether it still waits.
    pub pending: bool,
    /// Where it and its call stand in rows, and whether that may still change.
    pub stand: String,
    /// See `stand`.
    pub unsettled: bool,
    /// What the end state means, once it has ended.
    pub verdict: Option<String>,
    /// Why the person denied, in their words.
    pub said: Option<String>,
    /// When it was asked.
    pub asked: Stamp,
    /// When it runs out.
    pub expires: Stamp,
    /// When it was decided.
    pub decided: Option<Stamp>,
    /// The run that asked.
    pub run_href: Option<String>,
    /// How it is approved, if only a passkey may.
    pub signing: Option<Signing>,
    /// Whether the number that the agent shows must be typed.
    pub numbered: bool,
    /// Why the person who looks cannot approve it, as a sentence.
    pub barred: Option<String>,
    /// Whether the person who looks has approved it, and others still have to.
    pub yours: bool,
    /// Whom it was asked of, if not the person who looks.
    pub asked_of: Option<String>,
    /// How many of those who must have approved so far, where several must.
    pub approvals: Option<String>,
    /// The names of the policies that applied when it was asked, as a list.
    pub policies: Option<String>,
}

/// How a request is approved with a passkey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// What the browser asks the passkey with (JSON); none if the person has
    /// none that counts now.
    pub options: Option<String>,
    /// What is signed: its SHA-256 is the challenge.
    pub decision: String,
    /// What the person reads, in the canonical form whose digest is signed.
    pub shown: String,
    /// Until when the person's devices are on hold, if they are.
    pub on_hold: Option<Stamp>,
    /// Whether only a passkey that cannot leave its device will do.
    pub device_bound: bool,
}

/// An agent that the person has muted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MuteRow {
    /// The client's id.
    pub client_id: String,
    /// Its name.
    pub agent: String,
    /// Until when.
    pub until: Stamp,
}

/// The approvals that wait for the person who asks.
///
/// # Errors
/// When nobody is signed in, or the database fails.
#[server(prefix = "/api", endpoint = "approvals/pending")]
pub async fn pending_approvals() -> Result<Vec<ApprovalRow>, ServerFnError> {
    let seen = super::seen().map_err(super::server_error)?;
    ssr::pending(&seen).await.map_err(super::server_error)
}

/// How many approvals wait for the person who asks.
///
/// # Errors
/// When nobody is signed in, or the database fails.
#[server(prefix = "/api", endpoint = "approvals/count")]
pub async fn pending_count() -> Result<i64, ServerFnError> {
    let seen = super::seen().map_err(super::server_error)?;
    ssr::count(&seen).await.map_err(super::server_error)
}

#[cfg(feature = "ssr")]
pub(crate) mod ssr {
    use std::collections::BTreeSet;

    use domain::approval::{self, Approval, CallState, Decision, DecisionMade, Filter, State};
    use domain::{identity, oauth};

    use super::super::{Problem, Seen, Status, Tone, stamp};
    use super::{ApprovalPage, ApprovalRow, MuteRow, Signing};
    use crate::words::{t, tv};

    /// How many approvals a page lists.
    pub const PAGE: i64 = 50;

    pub async fn count(seen: &Seen) -> Result<i64, Problem> {
        Ok(approval::pending_count(&seen.engine, &seen.viewer.person_id).await?)
    }

    pub async fn pending(seen: &Seen) -> Result<Vec<ApprovalRow>, Problem> {
        rows(seen, Filter::Pending).await
    }

    pub async fn decided(seen: &Seen) -> Result<Vec<ApprovalRow>, Problem> {
        rows(seen, Filter::Decided).await
    }

    async fn rows(seen: &Seen, filter: Filter) -> Result<Vec<ApprovalRow>, Problem> {
        let approvals = approval::list(&seen.engine, &seen.viewer.person_id, filter, PAGE).await?;
        let now = seen.engine.now();
        Ok(approvals
            .iter()
            .map(|approval| row(approval, now))
            .collect())
    }

    fn row(approval: &Approval, now: i64) -> ApprovalRow {
        let agent = approval.shown.agent.as_str();
        ApprovalRow {
            href: format!("/approve/{}", approval.id),
            title: approval.shown.title.clone(),
            asker: tv("approval-asked-by", &[("agent", agent)]),
            status: status(approval),
            asked: stamp(now, approval.created_at),
            expires: (approval.state == State::Pending).then(|| stamp(now, approval.expires_at)),
        }
    }

    /// Whom the person has muted.
    pub async fn mutes(seen: &Seen) -> Result<Vec<MuteRow>, Problem> {
        let all = approval::mutes::list(&seen.engine, &seen.viewer.person_id).await?;
        let now = seen.engine.now();
        Ok(all
            .into_iter()
            .map(|mute| MuteRow {
                client_id: mute.client_id,
                agent: mute.agent,
                until: stamp(now, mute.until),
            })
            .collect())
    }

    pub async fn page(seen: &Seen, id: &str) -> Result<ApprovalPage, Problem> {
        let viewer = &seen.viewer.person_id;
        let approval = approval::seen_by(&seen.engine, viewer, id)
            .await?
            .ok_or(Problem::NotFound)?;
        let client = oauth::clients::get(&seen.engine, &approval.client_id).await?;
        let embedded = client.is_some_and(|client| client.embedded);
        let mut page = show(&approval, embedded, seen.engine.now());
        if approval.state == State::Pending {
            let signing = approval::signing_of(&seen.engine, &approval, viewer).await?;
            let made = approval::decisions(&seen.engine, id).await?;
            page.barred = barred(&approval, viewer, &signing, &made);
            page.yours = made.iter().any(|made| made.person_id == *viewer);
            page.approvals = approvals(seen, &approval, &made).await?;
            page.signing = signed_by(seen, &approval, signing);
        }
        if approval.state != State::Pending {
            let made = approval::decisions(&seen.engine, id).await?;
            if !made.is_empty() && !made.iter().any(|made| made.person_id == *viewer) {
                page.verdict = verdict(&approval, &deciders(seen, &made).await?);
            }
        }
        if approval.person_id != *viewer {
            let person = identity::person(&seen.engine, &approval.person_id).await?;
            page.asked_of = person.map(|person| person.name);
        }
        Ok(page)
    }

    /// The names of who decided: of who denied, if somebody did.
    async fn deciders(seen: &Seen, made: &[DecisionMade]) -> Result<String, Problem> {
        let denied = made.iter().filter(|made| made.decision == Decision::Deny);
        let mut who: Vec<&DecisionMade> = denied.collect();
        if who.is_empty() {
            who.extend(made);
        }
        let mut names = Vec::new();
        for made in who {
            let person = identity::person(&seen.engine, &made.person_id).await?;
            names.extend(person.map(|person| person.name));
        }
        Ok(names.join(", "))
    }

    /// Why this person cannot approve it.
    fn barred(
        approval: &Approval,
        viewer: &str,
        signing: &approval::Signing,
        made: &[DecisionMade],
    ) -> Option<String> {
        let key = if signing.forbidden {
            "decide-forbidden"
        } else if !approval.is_decided_by(viewer) {
            "decide-others"
        } else if made.iter().any(|made| made.person_id == viewer) {
            "decide-yours"
        } else {
            return None;
        };
        Some(t(key))
    }

    async fn approvals(
        seen: &Seen,
        approval: &Approval,
        made: &[DecisionMade],
    ) -> Result<Option<String>, Problem> {
        let groups = &approval.in_force.approvers;
        if groups.is_empty() {
            return Ok(None);
        }
        let approved: BTreeSet<String> = made.iter().map(|made| made.person_id.clone()).collect();
        let needed: usize = groups.iter().map(|group| usize::from(group.needed)).sum();
        let done: usize = groups
            .iter()
            .map(|group| group.among(&approved).min(usize::from(group.needed)))
            .sum();
        let mut names = Vec::new();
        for id in &approved {
            let person = identity::person(&seen.engine, id).await?;
            names.extend(person.map(|person| person.name));
        }
        let (done, needed, people) = (done.to_string(), needed.to_string(), names.join(", "));
        let facts = [
            ("done", done.as_str()),
            ("needed", needed.as_str()),
            ("people", people.as_str()),
        ];
        let key = if people.is_empty() {
            "decide-approvals-are"
        } else {
            "decide-approvals-by"
        };
        Ok(Some(tv(key, &facts)))
    }

    fn signed_by(seen: &Seen, approval: &Approval, signing: approval::Signing) -> Option<Signing> {
        if !signing.needed {
            return None;
        }
        let viewer = &seen.viewer.person_id;
        let signed = approval::challenge_of(&seen.engine, approval, Decision::Approve, viewer);
        let now = seen.engine.now();
        Some(Signing {
            options: signing
                .challenge
                .map(|challenge| challenge.to_json().to_string()),
            decision: String::from_utf8_lossy(&signed.bytes()).into_owned(),
            shown: approval.shown.canonical(),
            on_hold: signing.on_hold_until.map(|until| stamp(now, until)),
            device_bound: signing.device_bound,
        })
    }

    pub fn show(approval: &Approval, embedded: bool, now: i64) -> ApprovalPage {
        ApprovalPage {
            id: approval.id.clone(),
            asker: approval.shown.agent.clone(),
            client_id: approval.client_id.clone(),
            embedded,
            title: approval.shown.title.clone(),
            fields: approval
                .shown
                .fields
                .iter()
                .map(|field| (field.label.clone(), field.value.clone()))
                .collect(),
            enforced_by: approval.shown.enforced_by.words().to_owned(),
            binding_message: approval.binding_message.clone(),
            status: status(approval),
            pending: approval.state == State::Pending,
            stand: stand(approval),
            unsettled: unsettled(approval),
            verdict: verdict(approval, &t("verdict-you")),
            said: approval
                .state_reason
                .clone()
                .filter(|_| approval.state == State::Denied),
            asked: stamp(now, approval.created_at),
            expires: stamp(now, approval.expires_at),
            decided: approval.decided_at.map(|at| stamp(now, at)),
            run_href: approval
                .run_id
                .as_ref()
                .map(|run| format!("/agent/runs/{run}")),
            signing: None,
            numbered: approval.in_force.number.is_some(),
            barred: None,
            yours: false,
            asked_of: None,
            approvals: None,
            policies: (!approval.in_force.policies.is_empty())
                .then(|| approval.in_force.policies.join(" · ")),
        }
    }

    fn stand(approval: &Approval) -> String {
        let call = approval.outcome.as_ref().map(|outcome| outcome.state);
        let call = call.map_or("none", CallState::word);
        format!("{}-{call}", approval.state.word())
    }

    /// Waiting for the person, or for a call that is still to be made or answered.
    fn unsettled(approval: &Approval) -> bool {
        let call = approval.outcome.as_ref().map(|outcome| outcome.state);
        match approval.state {
            State::Pending | State::Approved => true,
            State::Consumed => {
                approval.call.is_some() && matches!(call, None | Some(CallState::Sending))
            }
            State::Denied | State::Expired | State::Cancelled => false,
        }
    }

    fn status(approval: &Approval) -> Status {
        let outcome = approval.outcome.as_ref();
        match (approval.state, outcome.map(|outcome| outcome.state)) {
            (State::Consumed | State::Approved, Some(CallState::Unknown)) => {
                Status::new(Tone::Bad, t("approval-unknown"))
            }
            (State::Consumed | State::Approved, Some(CallState::Failed)) => {
                Status::new(Tone::Bad, t("approval-failed"))
            }
            (State::Consumed | State::Approved, Some(CallState::Done)) => {
                Status::new(Tone::Good, t("approval-done"))
            }
            (State::Pending, _) => Status::new(Tone::Wait, t("approval-pending")),
            (State::Approved | State::Consumed, _) => {
                Status::new(Tone::Good, t("approval-approved"))
            }
            (State::Denied, _) => Status::new(Tone::No, t("approval-denied")),
            (State::Expired, _) => Status::new(Tone::Quiet, t("approval-expired")),
            (State::Cancelled, _) => Status::new(Tone::Quiet, t("approval-cancelled")),
        }
    }

    fn verdict(approval: &Approval, who: &str) -> Option<String> {
        let agent = approval.shown.agent.as_str();
        let outcome = approval.outcome.as_ref();
        let key = match (approval.state, outcome.map(|outcome| outcome.state)) {
            (State::Pending, _) => return None,
            (State::Approved | State::Consumed, Some(CallState::Done)) => {
                let code = outcome
                    .and_then(|outcome| outcome.status)
                    .map_or_else(|| "?".to_owned(), |status| status.to_string());
                return Some(tv("verdict-done", &[("who", who), ("status", &code)]));
            }
            (State::Approved | State::Consumed, Some(CallState::Failed)) => {
                match outcome.and_then(|outcome| outcome.reason.as_deref()) {
                    Some(approval::NOT_SENT) | None => tv("verdict-not-sent", &[("who", who)]),
                    Some(reason) => tv("verdict-failed", &[("who", who), ("reason", reason)]),
                }
            }
            (State::Approved | State::Consumed, Some(CallState::Unknown)) => t("verdict-unknown"),
            (State::Approved | State::Consumed, Some(CallState::Sending)) => {
                tv("verdict-sending", &[("who", who)])
            }
            (State::Approved, None) => tv("verdict-approved", &[("who", who), ("agent", agent)]),
            (State::Consumed, None) => tv("verdict-consumed", &[("who", who), ("agent", agent)]),
            (State::Denied, _) if approval.in_force.is_out_of_tries() => t("verdict-wrong-number"),
            (State::Denied, _) => tv("verdict-denied", &[("who", who), ("agent", agent)]),
            (State::Expired, _) => t("verdict-expired"),
            (State::Cancelled, _) => tv("verdict-cancelled", &[("agent", agent)]),
        };
        Some(key)
    }
}
