//! Policies: what approving takes, and which calls need an approval.
//!
//! What always holds here:
//! - Of all policies that apply the most demanding wins, field by field.
//! - All policies of the console lie in one row under one MAC, with a number
//!   that only grows. A row that is changed, or gone, or older than what this
//!   process or the audit log has seen is refused: then nothing is asked,
//!   approved, called or released.
//! - Those of the configuration file lie outside of the database, and are
//!   changed only there.
//! - What was in force when an approval was asked for is fixed in its row
//!   ([`InForce`]). A policy that comes later counts for approving it; one that
//!   goes later does not.

mod calls;
mod keep;
mod past;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use calls::CoveredCalls;
pub(super) use calls::type_of_path;
pub(super) use keep::Memory;
pub(crate) use keep::in_force;
pub use keep::{NewPolicy, PolicyError, add, configured, list, remove};
pub use past::{LOOKED_BACK, Past, past};

/// At most this many policies are kept.
pub const MOST: usize = 200;

/// Which passkey approving takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PasskeyDemand {
    /// Nothing beyond what holds anyway.
    #[default]
    None,
    /// One of the person's, if they have, or had, one.
    Enrolled,
    /// One of the person's: who has none can only deny.
    Always,
    /// One that cannot leave its device (its backup-eligible flag is not set).
    DeviceBound,
}

impl PasskeyDemand {
    /// Every demand, the least first.
    pub const ALL: [Self; 4] = [Self::None, Self::Enrolled, Self::Always, Self::DeviceBound];

    /// The word in forms and in the configuration file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Enrolled => "enrolled",
            Self::Always => "always",
            Self::DeviceBound => "device_bound",
        }
    }
}

impl std::str::FromStr for PasskeyDemand {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|demand| demand.word() == word)
            .ok_or_else(|| "must be none, enrolled, always or device_bound".to_owned())
    }
}

/// What approving takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demands {
    /// Which passkey.
    #[serde(default)]
    pub passkey: PasskeyDemand,
    /// The number that the agent shows.
    #[serde(default)]
    pub match_number: bool,
    /// It may not be approved at all.
    #[serde(default)]
    pub forbidden: bool,
    /// Who approves instead of the person who is asked; all of these groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<Approvers>,
}

impl Demands {
    /// Both: the more demanding of each.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        join(&mut self.approvers, other.approvers);
        Self {
            approvers: self.approvers,
            passkey: self.passkey.max(other.passkey),
            match_number: self.match_number || other.match_number,
            forbidden: self.forbidden || other.forbidden,
        }
    }

    /// Whether a passkey is needed of somebody who has, or never had, one.
    #[must_use]
    pub fn needs_passkey(&self, has_one: bool) -> bool {
        match self.passkey {
            PasskeyDemand::None => false,
            PasskeyDemand::Enrolled => has_one,
            PasskeyDemand::Always | PasskeyDemand::DeviceBound => true,
        }
    }

    /// Whether only a device-bound passkey will do.
    #[must_use]
    pub fn needs_device_bound(&self) -> bool {
        self.passkey == PasskeyDemand::DeviceBound
    }
}

/// So many of these people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approvers {
    /// How many must approve.
    pub needed: u8,
    /// Who may (ids).
    pub people: Vec<String>,
}

impl Approvers {
    /// How many of them are among those who approved. Nobody counts twice.
    #[must_use]
    pub fn among(&self, approved: &BTreeSet<String>) -> usize {
        let mine: BTreeSet<&String> = self.people.iter().collect();
        mine.into_iter()
            .filter(|person| approved.contains(*person))
            .count()
    }

    /// Whether enough of them approved.
    #[must_use]
    pub fn is_met_by(&self, approved: &BTreeSet<String>) -> bool {
        self.needed > 0 && self.among(approved) >= usize::from(self.needed)
    }
}

/// Adds the groups that are not there yet.
pub(super) fn join(groups: &mut Vec<Approvers>, more: Vec<Approvers>) {
    for group in more {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
}

/// What a policy says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Rule {
    /// What approving takes.
    Approving {
        /// For requests with an entry of this type; `None`: for all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        details_type: Option<String>,
        /// What it takes.
        demands: Demands,
    },
    /// Calls that need an approval, each.
    Calling(CoveredCalls),
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// `pol_…`, or its place in the configuration file.
    pub id: String,
    /// As admins call it; people read it on the decision page.
    pub name: String,
    /// For this client only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What it says.
    pub rule: Rule,
    /// Unix milliseconds; 0 for one of the configuration file.
    pub created_at: i64,
}

impl Policy {
    fn is_for(&self, client_id: &str) -> bool {
        self.client_id.as_deref().is_none_or(|id| id == client_id)
    }

    /// What it asks of a request of this client with entries of these types.
    #[must_use]
    pub fn demands_of(&self, client_id: &str, types: &[&str]) -> Option<Demands> {
        match &self.rule {
            Rule::Approving {
                details_type,
                demands,
            } => {
                let applies = details_type
                    .as_deref()
                    .is_none_or(|name| types.contains(&name));
                (self.is_for(client_id) && applies).then(|| demands.clone())
            }
            Rule::Calling(_) => None,
        }
    }
}

/// All policies in force: those of the configuration file, and those of the console.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    /// How often those of the console were changed.
    pub version: i64,
    /// Them all.
    pub policies: Vec<Policy>,
}

impl PolicySet {
    /// What approving a request takes, and the names of the policies that say so.
    #[must_use]
    pub fn approving(&self, client_id: &str, types: &[&str]) -> (Demands, Vec<String>) {
        let mut all = (Demands::default(), Vec::new());
        for policy in &self.policies {
            if let Some(demands) = policy.demands_of(client_id, types) {
                all.0 = std::mem::take(&mut all.0).and(demands);
                all.1.push(policy.name.clone());
            }
        }
        all
    }
}

/// What was in force when an approval was asked for, or decided on if that was
/// more. Fixed in its row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InForce {
    /// Only a device-bound passkey may approve it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub device_bound: bool,
    /// The number that the agent shows, and the person types to approve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// How many wrong ones were typed.
    #[serde(skip_serializing_if = "is_zero")]
    pub wrong_numbers: u8,
    /// The names of the policies that applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Who approves instead of the person who is asked; all of these groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<Approvers>,
    /// Who did (ids), once it is approved by them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(number: &u8) -> bool {
    *number == 0
}

impl InForce {
    /// Whether wrong numbers have ended the request.
    #[must_use]
    pub fn is_out_of_tries(&self) -> bool {
        self.wrong_numbers >= WRONG_NUMBERS
    }

    /// Whether nothing was.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Wrong numbers end a request at this many.
pub const WRONG_NUMBERS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_demands() -> impl Strategy<Value = Demands> {
        (0..4_usize, any::<bool>(), any::<bool>()).prop_map(|(passkey, match_number, forbidden)| {
            Demands {
                passkey: PasskeyDemand::ALL[passkey],
                match_number,
                forbidden,
                approvers: Vec::new(),
            }
        })
    }

    fn policy(client: Option<&str>, details_type: Option<&str>, demands: Demands) -> Policy {
        Policy {
            id: "pol_1".to_owned(),
            name: "A policy".to_owned(),
            client_id: client.map(str::to_owned),
            rule: Rule::Approving {
                details_type: details_type.map(str::to_owned),
                demands,
            },
            created_at: 0,
        }
    }

    proptest! {
        #[test]
        fn a_further_policy_never_asks_for_less(all in prop::collection::vec(any_demands(), 1..6), has_one: bool) {
            let mut so_far = Demands::default();
            for demands in &all {
                let next = so_far.clone().and(demands.clone());
                prop_assert!(next.passkey >= so_far.passkey);
                prop_assert!(next.needs_passkey(has_one) >= demands.needs_passkey(has_one));
                prop_assert!(next.needs_device_bound() >= demands.needs_device_bound());
                prop_assert!(next.match_number >= demands.match_number && next.forbidden >= demands.forbidden);
                so_far = next;
            }
            let backwards = all.iter().rev().fold(Demands::default(), |all, one| all.and(one.clone()));
            prop_assert_eq!(so_far, backwards);
        }
    }

    proptest! {
        #[test]
        fn m_of_n_is_never_met_by_one_person_twice(
            needed in 1..5_u8,
            named in prop::collection::vec(0..6_u8, 1..6),
            approvals in prop::collection::vec(0..8_u8, 0..30),
        ) {
            let id = |number: &u8| format!("per_{number}");
            let group = Approvers { needed, people: named.iter().map(id).collect() };
            let mut approved = BTreeSet::new();
            let mut distinct = std::collections::HashSet::new();
            for one in &approvals {
                approved.insert(id(one));
                if named.contains(one) {
                    distinct.insert(*one);
                }
                prop_assert_eq!(group.is_met_by(&approved), distinct.len() >= usize::from(needed));
            }
        }
    }

    #[test]
    fn a_policy_applies_by_type_and_client_and_any_entry_counts() {
        let demands = Demands {
            match_number: true,
            ..Demands::default()
        };
        let applies = |policy: Policy, types: &[&str]| policy.demands_of("cli_a", types).is_some();
        let demands = || demands.clone();
        assert!(applies(policy(None, None, demands()), &[]));
        assert!(applies(
            policy(Some("cli_a"), None, demands()),
            &["payment"]
        ));
        assert!(!applies(
            policy(Some("cli_b"), None, demands()),
            &["payment"]
        ));
        assert!(applies(
            policy(None, Some("payment"), demands()),
            &["deployment", "payment"]
        ));
        assert!(!applies(
            policy(None, Some("payment"), demands()),
            &["deployment"]
        ));
        assert!(!applies(policy(None, Some("payment"), demands()), &[]));
    }

    #[test]
    fn what_was_in_force_is_read_back_and_nothing_takes_no_room() {
        assert_eq!(serde_json::to_string(&InForce::default()).unwrap(), "{}");
        let all = InForce {
            device_bound: true,
            number: Some("42".to_owned()),
            wrong_numbers: 2,
            policies: vec!["Payments".to_owned()],
            approvers: vec![Approvers {
                needed: 1,
                people: vec!["per_1".to_owned()],
            }],
            approved_by: vec!["per_1".to_owned()],
        };
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<InForce>(&text).unwrap(), all);
    }
}
