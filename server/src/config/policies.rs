//! `[[approvals.policies]]`: policies that nobody changes who only writes the database.

use domain::approval::policies::{
    Approvers, CoveredCalls, Demands, NewPolicy, PasskeyDemand, Policy, Rule, configured,
};
use serde::Deserialize;

use super::{Approvals, Error};

/// One of them. Either it names calls, or it says what approving takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfiguredPolicy {
    /// People read it on the decision page.
    pub name: String,
    /// For this client only.
    #[serde(default)]
    pub client: Option<String>,
    /// For requests of this type; without it for all.
    #[serde(default)]
    pub details_type: Option<String>,
    /// `enrolled`, `always` or `device_bound`.
    #[serde(default)]
    pub passkey: PasskeyDemand,
    /// Whether the number that the agent shows must be typed.
    #[serde(default)]
    pub match_number: bool,
    /// Whether nobody may approve it.
    #[serde(default)]
    pub forbidden: bool,
    /// Who approves instead of the person who is asked (their ids).
    #[serde(default)]
    pub approvers: Vec<String>,
    /// How many of them must; without it one.
    #[serde(default)]
    pub needed: Option<u8>,
    /// Calls of this connection need an approval.
    #[serde(default)]
    pub connection: Option<String>,
    /// Those with one of these methods; without it all.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Those to this path; every `*` stands for any text.
    #[serde(default)]
    pub path: Option<String>,
}

impl ConfiguredPolicy {
    fn new_policy(&self) -> Result<NewPolicy, Error> {
        let demands = Demands {
            passkey: self.passkey,
            match_number: self.match_number,
            forbidden: self.forbidden,
            approvers: match (self.approvers.is_empty(), self.needed) {
                (true, None) => Vec::new(),
                (_, needed) => vec![Approvers {
                    needed: needed.unwrap_or(1),
                    people: self.approvers.clone(),
                }],
            },
        };
        let rule = match (&self.connection, &self.path) {
            (Some(connection), Some(path))
                if self.details_type.is_none() && demands == Demands::default() =>
            {
                Rule::Calling(CoveredCalls {
                    connection: connection.clone(),
                    methods: self.methods.clone(),
                    path: path.clone(),
                })
            }
            (None, None) if self.methods.is_empty() => Rule::Approving {
                details_type: self.details_type.clone(),
                demands,
            },
            _ => {
                return Err(Error(format!(
                    "approvals.policies {:?}: give either connection and path (and methods), or what approving takes",
                    self.name
                )));
            }
        };
        Ok(NewPolicy {
            name: self.name.clone(),
            client_id: self.client.clone(),
            rule,
        })
    }
}

impl Approvals {
    /// The policies, checked.
    ///
    /// # Errors
    /// A sentence that names the entry.
    pub fn policies(&self) -> Result<Vec<Policy>, Error> {
        let all = self.policies.iter().map(ConfiguredPolicy::new_policy);
        configured(all.collect::<Result<_, _>>()?).map_err(Error)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn read(text: &str) -> Result<Vec<Policy>, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.approvals.policies().map_err(|error| error.0)
    }

    #[test]
    fn policies_stand_in_the_file() {
        let all = read(
            r#"
            [[approvals.policies]]
            name = "Payments"
            details_type = "payment"
            passkey = "device_bound"

            [[approvals.policies]]
            name = "Posting"
            connection = "sign-in-with-slack"
            methods = ["post"]
            path = "/chat.postMessage"
            "#,
        )
        .unwrap();
        assert!(matches!(
            &all[0].rule,
            Rule::Approving { demands, .. } if demands.needs_device_bound()
        ));
        assert!(matches!(&all[1].rule, Rule::Calling(calls) if calls.methods == ["POST"]));
    }

    #[test]
    fn an_entry_that_asks_for_nothing_or_for_two_things_is_refused() {
        for entry in [
            r#"name = "x""#,
            "name = \"x\"\nmethods = [\"GET\"]",
            "name = \"x\"\nconnection = \"c\"",
            "name = \"x\"\nconnection = \"c\"\npath = \"/\"\nforbidden = true",
            "name = \"x\"\nconnection = \"c\"\npath = \"a\"",
            "name = \"x\"\ndetails_type = \"unheard_of\"\nforbidden = true",
            "name = \"x\"\npasskey = \"sometimes\"",
            "name = \"x\"\nforbidden = true\nmore = 1",
            "name = \"x\"\nneeded = 1",
            "name = \"x\"\nneeded = 2\napprovers = [\"per_1\", \"per_1\"]",
        ] {
            let text = format!("[[approvals.policies]]\n{entry}\n");
            assert!(read(&text).is_err(), "{entry}");
        }
    }
}
