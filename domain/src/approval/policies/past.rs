//! What policies would have meant for what was asked and called of late.

use std::collections::BTreeSet;

use evidence::decision::DecisionEvidence;
use serde_json::Value;

use super::{Demands, InForce, PasskeyDemand, Policy, Rule};
use crate::Engine;
use crate::approval::state::State;
use crate::audit::{self, Kind};
use crate::storage::{Error, Tx};

/// How many requests are looked back on.
pub const LOOKED_BACK: i64 = 500;
/// How many calls.
const CALLS: usize = audit::MOST;

/// What a policy would have meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// How many requests, or calls, were looked at: the newest.
    pub looked_at: usize,
    /// How many of them it covers.
    pub covered: usize,
    /// How many of these went through with less than it asks for.
    pub with_less: usize,
}

/// A request as it was.
struct Was {
    client_id: String,
    types: Vec<String>,
    approved: bool,
    /// How it was signed, if it was: whether by a device-bound passkey.
    signed: Option<bool>,
    numbered: bool,
    approved_by: BTreeSet<String>,
}

impl Was {
    fn falls_short_of(&self, demands: &Demands) -> bool {
        let passkey = match demands.passkey {
            PasskeyDemand::None => true,
            PasskeyDemand::Enrolled | PasskeyDemand::Always => self.signed.is_some(),
            PasskeyDemand::DeviceBound => self.signed == Some(true),
        };
        let number = self.numbered || !demands.match_number;
        let approvers = demands
            .approvers
            .iter()
            .all(|group| group.is_met_by(&self.approved_by));
        self.approved && (demands.forbidden || !passkey || !number || !approvers)
    }
}

/// What each of these policies would have meant.
///
/// # Errors
/// The database's.
pub async fn past(engine: &Engine, policies: &[Policy]) -> Result<Vec<Past>, audit::Error> {
    let asked = engine.store.reader().await?.requests_of_late().await?;
    let filter = audit::Filter {
        kind: Some(Kind::CallMade.word().to_owned()),
        ..audit::Filter::default()
    };
    let calling = |policy: &Policy| matches!(policy.rule, Rule::Calling(_));
    let made = if policies.iter().any(calling) {
        audit::list(engine, &filter, CALLS).await?
    } else {
        Vec::new()
    };
    let of = |policy: &Policy| match &policy.rule {
        Rule::Approving { .. } => {
            let mut past = Past {
                looked_at: asked.len(),
                ..Past::default()
            };
            for was in &asked {
                let types: Vec<&str> = was.types.iter().map(String::as_str).collect();
                if let Some(demands) = policy.demands_of(&was.client_id, &types) {
                    past.covered += 1;
                    past.with_less += usize::from(was.falls_short_of(&demands));
                }
            }
            past
        }
        Rule::Calling(calls) => {
            let covered = made.iter().filter(|event| {
                let text = |name: &str| event.data.get(name).and_then(Value::as_str);
                // One with an approval is what the policy asks for.
                let (Some(path), None) = (event.private.get("path"), &event.approval_id) else {
                    return false;
                };
                let (host, path) = match path.strip_prefix('~') {
                    Some(hosted) => hosted.split_at(hosted.find('/').unwrap_or(hosted.len())),
                    None => ("", path.as_str()),
                };
                text("connection") == Some(&calls.connection)
                    && event
                        .client_id
                        .as_deref()
                        .is_some_and(|id| policy.is_for(id))
                    && calls.covers(text("method").unwrap_or_default(), path, !host.is_empty())
            });
            let covered = covered.count();
            Past {
                looked_at: made.len(),
                covered,
                with_less: covered,
            }
        }
    };
    Ok(policies.iter().map(of).collect())
}

impl Tx {
    /// The newest requests. A count, on which nothing depends: no MAC is looked at.
    async fn requests_of_late(&mut self) -> Result<Vec<Was>, Error> {
        let rows = self
            .all(
                "select a.id, a.client_id, a.details, a.state, a.in_force, \
                 (select max(d.evidence) from decisions d where d.approval_id = a.id and d.decision = 'approve') as evidence \
                 from approvals a order by a.id desc limit $1",
                vec![LOOKED_BACK.into()],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let details: Value = row.json("approvals", "details")?;
                let in_force: Option<InForce> = row.json_option("approvals", "in_force")?;
                let state: State = row.word("approvals", "state")?;
                let evidence: Option<String> = row.get("evidence")?;
                let evidence =
                    evidence.and_then(|text| DecisionEvidence::parse(text.as_bytes()).ok());
                Ok(Was {
                    client_id: row.get("client_id")?,
                    types: crate::approval::types::names(&details),
                    approved: matches!(state, State::Approved | State::Consumed),
                    signed: evidence.map(|evidence| !evidence.backup_eligible),
                    numbered: in_force
                        .as_ref()
                        .is_some_and(|in_force| in_force.number.is_some()),
                    approved_by: in_force
                        .map(|in_force| in_force.approved_by.into_iter().collect())
                        .unwrap_or_default(),
                })
            })
            .collect()
    }
}
