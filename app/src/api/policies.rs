//! Policies, as admins see them.

use serde::{Deserialize, Serialize};

/// One policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRow {
    /// Id.
    pub id: String,
    /// As admins call it.
    pub name: String,
    /// What it is about.
    pub about: String,
    /// What it asks for.
    pub asks: Vec<String>,
    /// What it would have meant of late.
    pub past: String,
    /// Whether an admin added it, and may take it out.
    pub removable: bool,
}

/// What a new policy can be about: values and words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChoices {
    /// Types of requests.
    pub types: Vec<String>,
    /// Clients.
    pub clients: Vec<(String, String)>,
    /// Connections.
    pub connections: Vec<String>,
}

#[cfg(feature = "ssr")]
pub use ssr::past_words;

#[cfg(feature = "ssr")]
pub(crate) mod ssr {
    use std::collections::HashMap;

    use domain::approval::policies::{self, Demands, PasskeyDemand, Past, Policy, Rule};
    use domain::approval::types::KNOWN;
    use domain::identity;
    use domain::vault::connections;

    use super::super::accounts::ssr::client_names;
    use super::super::admin::ssr::admins_only;
    use super::super::{Problem, Seen};
    use super::{PolicyChoices, PolicyRow};
    use crate::words::{t, tv};

    /// The words of a passkey demand, for a choice.
    pub const PASSKEYS: [(PasskeyDemand, &str); 4] = [
        (PasskeyDemand::None, "policy-passkey-none"),
        (PasskeyDemand::Enrolled, "policy-passkey-enrolled"),
        (PasskeyDemand::Always, "policy-passkey-always"),
        (PasskeyDemand::DeviceBound, "policy-passkey-device-bound"),
    ];

    pub async fn policies(seen: &Seen) -> Result<Vec<PolicyRow>, Problem> {
        admins_only(seen)?;
        let all = policies::list(&seen.engine).await?.policies;
        let pasts = policies::past(&seen.engine, &all).await?;
        let mut names = client_names(seen).await?;
        names.extend(people(seen, &all).await?);
        Ok(all
            .iter()
            .zip(pasts)
            .map(|(policy, past)| row(policy, past, &names))
            .collect())
    }

    pub async fn choices(seen: &Seen) -> Result<PolicyChoices, Problem> {
        admins_only(seen)?;
        let mut clients: Vec<_> = client_names(seen).await?.into_iter().collect();
        clients.sort_by(|one, other| one.1.cmp(&other.1));
        let connections = connections::list(&seen.engine).await?;
        Ok(PolicyChoices {
            types: KNOWN.iter().map(|(name, _)| (*name).to_owned()).collect(),
            clients,
            connections: connections.into_iter().map(|one| one.id).collect(),
        })
    }

    /// The names of everybody whom a policy names.
    async fn people(seen: &Seen, all: &[Policy]) -> Result<HashMap<String, String>, Problem> {
        let mut names = HashMap::new();
        for policy in all {
            let Rule::Approving { demands, .. } = &policy.rule else {
                continue;
            };
            for id in demands.approvers.iter().flat_map(|group| &group.people) {
                if let Some(person) = identity::person(&seen.engine, id).await? {
                    names.insert(id.clone(), person.name);
                }
            }
        }
        Ok(names)
    }

    fn row(policy: &Policy, past: Past, names: &HashMap<String, String>) -> PolicyRow {
        let (about, asks) = match &policy.rule {
            Rule::Approving {
                details_type,
                demands,
            } => {
                let about = details_type.as_ref().map_or_else(
                    || t("policy-says-all"),
                    |name| tv("policy-says-type", &[("type", name)]),
                );
                (about, demanded(demands, names))
            }
            Rule::Calling(calls) => {
                let methods = if calls.methods.is_empty() {
                    t("policy-says-any-method")
                } else {
                    calls.methods.join(", ")
                };
                let about = tv(
                    "policy-says-calls",
                    &[
                        ("methods", &methods),
                        ("path", &calls.path),
                        ("connection", &calls.connection),
                    ],
                );
                (about, vec![t("policy-needs-approval")])
            }
        };
        let of = policy.client_id.as_ref().map(|id| {
            let name = names.get(id).unwrap_or(id);
            tv("policy-says-client", &[("client", name)])
        });
        PolicyRow {
            id: policy.id.clone(),
            name: policy.name.clone(),
            about: match of {
                Some(of) => format!("{about} {of}"),
                None => about,
            },
            asks,
            past: past_words(&policy.rule, past),
            removable: policy.id.starts_with("pol_"),
        }
    }

    fn demanded(demands: &Demands, names: &HashMap<String, String>) -> Vec<String> {
        let passkey = PASSKEYS
            .iter()
            .find(|(demand, _)| *demand == demands.passkey && *demand != PasskeyDemand::None)
            .map(|(_, key)| t(key));
        let number = demands.match_number.then(|| t("policy-number"));
        let forbidden = demands.forbidden.then(|| t("policy-forbidden"));
        let approvers = demands.approvers.iter().map(|group| {
            let people: Vec<&str> = group
                .people
                .iter()
                .map(|id| names.get(id).unwrap_or(id).as_str())
                .collect();
            tv(
                "policy-says-approvers",
                &[
                    ("needed", &group.needed.to_string()),
                    ("people", &people.join(", ")),
                ],
            )
        });
        [passkey, number, forbidden]
            .into_iter()
            .flatten()
            .chain(approvers)
            .collect()
    }

    /// What a policy would have meant of late, as a sentence.
    #[must_use]
    pub fn past_words(rule: &Rule, past: Past) -> String {
        if past.looked_at == 0 {
            return t("policy-past-nothing");
        }
        let (looked, covered, less) = (
            past.looked_at.to_string(),
            past.covered.to_string(),
            past.with_less.to_string(),
        );
        let facts = [
            ("looked", looked.as_str()),
            ("covered", covered.as_str()),
            ("less", less.as_str()),
        ];
        match rule {
            Rule::Approving { .. } => tv("policy-past-approving", &facts),
            Rule::Calling(_) => tv("policy-past-calling", &facts),
        }
    }
}
