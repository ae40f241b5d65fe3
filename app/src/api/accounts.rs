//! Accounts, and what can be linked.

use serde::{Deserialize, Serialize};

use super::{Stamp, Status};

/// One agent that may use an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentAccess {
    /// The permission's id.
    pub permission_id: String,
    /// The client's name.
    pub agent: String,
    /// What it may do, in plain words.
    pub mode: String,
    /// Whether it is held for now.
    pub paused: bool,
    /// Whether it is given the provider's token itself.
    pub release: bool,
    /// Since when.
    pub since: Stamp,
}

/// One linked account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountCard {
    /// Account id.
    pub id: String,
    /// What the person knows it by.
    pub label: String,
    /// The provider's id, for its mark.
    pub provider: String,
    /// The provider's name.
    pub provider_name: String,
    /// The connection's name.
    pub connection: String,
    /// What was granted, in plain words.
    pub scopes: Vec<String>,
    /// Where it stands.
    pub status: Status,
    /// Why it must be linked again, if it must.
    pub reason: Option<String>,
    /// Whether it must be linked again.
    pub reconnect: bool,
    /// Whether it was unlinked.
    pub unlinked: bool,
    /// Whether it is used where no hint names another, and there is another.
    pub default: bool,
    /// Whether making it the default would change anything.
    pub may_become_default: bool,
    /// When it was linked.
    pub linked: Stamp,
    /// When it was last used.
    pub used: Option<Stamp>,
    /// Who may use it.
    pub agents: Vec<AgentAccess>,
}

/// Something that can be linked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionCard {
    /// The connection's name.
    pub id: String,
    /// The provider's id, for its mark.
    pub provider: String,
    /// The provider's name.
    pub provider_name: String,
    /// What will be asked for, in plain words.
    pub scopes: Vec<String>,
    /// How many accounts the person has there.
    pub linked: usize,
    /// Whether it works at present.
    pub usable: bool,
}

/// The page before a provider's consent page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPage {
    /// What will be linked.
    pub connection: ConnectionCard,
    /// The client that asked for it, if one did.
    pub agent: Option<LinkAgent>,
}

/// A client that is to be permitted in the same act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAgent {
    /// Client id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it would hold the provider's token itself.
    pub release: bool,
}

/// The page of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketPage {
    /// What would be linked.
    pub connection: ConnectionCard,
    /// The client that asks.
    pub agent: LinkAgent,
    /// Accounts there that work already: id and label.
    pub accounts: Vec<(String, String)>,
    /// The host the browser goes back to.
    pub returns_to: String,
}

#[cfg(feature = "ssr")]
pub(crate) mod ssr {
    use std::collections::HashMap;

    use domain::oauth::{ClientState, clients};
    use domain::vault::connect::{self, TicketError};
    use domain::vault::connections::{self, Connection, ConnectionState};
    use domain::vault::own::{self, Own};
    use domain::vault::permissions::{self, Permission, PermissionState};
    use domain::vault::providers::{self, Provider};
    use domain::vault::{AccessMode, Account, AccountState, Reason, accounts};

    use super::super::{Problem, Seen, Status, Tone, stamp};
    use super::{AccountCard, AgentAccess, ConnectionCard, LinkAgent, LinkPage, TicketPage};
    use crate::words::{t, tv};

    /// What a provider's scopes mean. A scope its entry does not know shows itself.
    pub fn sentences(entry: Option<&Provider>, scopes: &[String]) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for scope in scopes {
            let bare = scope.strip_prefix("bot:").unwrap_or(scope);
            let known = entry.map_or(bare, |entry| entry.words(bare));
            let words = if known == bare {
                tv("scope-unknown", &[("scope", bare)])
            } else {
                known.to_owned()
            };
            if !out.contains(&words) {
                out.push(words);
            }
        }
        out
    }

    /// The catalogue, and what this deployment added to it.
    pub struct Providers(Vec<Own>);

    impl Providers {
        pub async fn load(seen: &Seen) -> Result<Self, Problem> {
            Ok(Self(own::list(&seen.engine).await?))
        }

        pub fn entry(&self, id: &str) -> Option<&Provider> {
            self.0
                .iter()
                .map(|own| &*own.entry)
                .find(|entry| entry.id == id)
                .or_else(|| providers::provider(id))
        }
    }

    /// The names of all clients, by id.
    pub async fn client_names(seen: &Seen) -> Result<HashMap<String, String>, Problem> {
        let all = clients::list(&seen.engine, 500).await?;
        Ok(all
            .into_iter()
            .map(|client| (client.id, client.name))
            .collect())
    }

    pub async fn list(seen: &Seen) -> Result<Vec<AccountCard>, Problem> {
        let mine = accounts::list(&seen.engine, &seen.viewer.person_id).await?;
        let permitted = permissions::list_for_person(&seen.engine, &seen.viewer.person_id).await?;
        let names = client_names(seen).await?;
        let known = Providers::load(seen).await?;
        let mut siblings: HashMap<&str, usize> = HashMap::new();
        for account in &mine {
            *siblings.entry(&account.connection).or_default() += 1;
        }
        Ok(mine
            .iter()
            .map(|account| {
                let several = siblings
                    .get(account.connection.as_str())
                    .is_some_and(|n| *n > 1);
                card(seen, account, &known, &permitted, &names, several)
            })
            .collect())
    }

    pub async fn one(seen: &Seen, id: &str) -> Result<AccountCard, Problem> {
        let account = match accounts::get(&seen.engine, &seen.viewer.person_id, id).await {
            Err(domain::vault::Error::NotFound) => return Err(Problem::NotFound),
            other => other?,
        };
        let permitted =
            permissions::list_for_account(&seen.engine, &seen.viewer.person_id, id).await?;
        let names = client_names(seen).await?;
        let several = accounts::list(&seen.engine, &seen.viewer.person_id)
            .await?
            .iter()
            .filter(|other| other.connection == account.connection)
            .count()
            > 1;
        let known = Providers::load(seen).await?;
        Ok(card(seen, &account, &known, &permitted, &names, several))
    }

    fn card(
        seen: &Seen,
        account: &Account,
        known: &Providers,
        permitted: &[Permission],
        names: &HashMap<String, String>,
        several: bool,
    ) -> AccountCard {
        let now = seen.engine.now();
        let entry = known.entry(&account.provider);
        AccountCard {
            id: account.id.clone(),
            label: account.label.clone(),
            provider: account.provider.clone(),
            provider_name: entry
                .map_or_else(|| account.provider.clone(), |entry| entry.name.clone()),
            connection: account.connection.clone(),
            scopes: sentences(entry, &account.scopes),
            status: status(account.state),
            reason: account.state_reason.as_deref().map(|word| {
                word.parse::<Reason>().map_or_else(
                    |()| t("reason-other"),
                    |reason| reason.sentence().to_owned(),
                )
            }),
            reconnect: account.state == AccountState::Reconnect,
            unlinked: account.state == AccountState::Unlinked,
            default: account.is_default && several,
            may_become_default: several && !account.is_default,
            linked: stamp(now, account.created_at),
            used: account.last_used_at.map(|at| stamp(now, at)),
            agents: permitted
                .iter()
                .filter(|permission| permission.account_id == account.id)
                .map(|permission| access(permission, names, now))
                .collect(),
        }
    }

    fn access(permission: &Permission, names: &HashMap<String, String>, now: i64) -> AgentAccess {
        AgentAccess {
            permission_id: permission.id.clone(),
            agent: names
                .get(&permission.client_id)
                .unwrap_or(&permission.client_id)
                .clone(),
            mode: mode(permission.access_mode),
            paused: permission.state == PermissionState::Paused,
            release: permission.access_mode == AccessMode::Release,
            since: stamp(now, permission.granted_at),
        }
    }

    /// What a mode lets an agent do.
    pub fn mode(mode: AccessMode) -> String {
        match mode {
            AccessMode::Call => t("mode-call"),
            AccessMode::Release => t("mode-release"),
        }
    }

    fn status(state: AccountState) -> Status {
        match state {
            AccountState::Linked => Status::new(Tone::Good, t("account-linked")),
            AccountState::Reconnect => Status::new(Tone::Bad, t("account-reconnect")),
            AccountState::Unlinked => Status::new(Tone::Quiet, t("account-unlinked")),
        }
    }

    pub async fn linkable(
        seen: &Seen,
        mine: &[AccountCard],
    ) -> Result<Vec<ConnectionCard>, Problem> {
        Ok(connections::list(&seen.engine)
            .await?
            .iter()
            .filter(|connection| connection.state != ConnectionState::Disabled)
            .map(|connection| connection_card(connection, mine))
            .collect())
    }

    fn connection_card(connection: &Connection, mine: &[AccountCard]) -> ConnectionCard {
        ConnectionCard {
            id: connection.id.clone(),
            provider: connection.provider.clone(),
            provider_name: connection.entry().name.clone(),
            scopes: sentences(Some(connection.entry()), &connection.scopes),
            linked: mine
                .iter()
                .filter(|account| account.connection == connection.id)
                .count(),
            usable: connection.state == ConnectionState::Active,
        }
    }

    /// The page before the provider's. `client_id` and `run` are empty where
    /// nobody asked; a run is the embedded agent's.
    pub async fn link_page(
        seen: &Seen,
        connection: &str,
        client_id: &str,
        run: &str,
    ) -> Result<LinkPage, Problem> {
        let mine = list(seen).await?;
        let connection = connections::get(&seen.engine, connection)
            .await?
            .filter(|connection| connection.state != ConnectionState::Disabled)
            .ok_or(Problem::NotFound)?;
        let client = if !client_id.is_empty() {
            clients::get(&seen.engine, client_id).await?
        } else if !run.is_empty() {
            clients::embedded(&seen.engine).await?
        } else {
            None
        };
        let agent = client
            .filter(|client| client.state == ClientState::Active)
            .and_then(|client| {
                Some(LinkAgent {
                    release: client.access_mode? == AccessMode::Release,
                    id: client.id,
                    name: client.name,
                })
            });
        Ok(LinkPage {
            connection: connection_card(&connection, &mine),
            agent,
        })
    }

    /// The page of a ticket for whoever is signed in; or whether it is
    /// somebody else's (`true`) or no good any more (`false`).
    pub async fn ticket_page(
        seen: &Seen,
        ticket: &str,
    ) -> Result<Result<TicketPage, bool>, Problem> {
        let found = match connect::ticket(&seen.engine, &seen.viewer.person_id, ticket).await {
            Ok(found) => found,
            Err(TicketError::Gone) => return Ok(Err(false)),
            Err(TicketError::SomebodyElse) => return Ok(Err(true)),
            Err(error) => return Err(error.into()),
        };
        Ok(Ok(TicketPage {
            connection: connection_card(&found.connection, &[]),
            agent: LinkAgent {
                id: found.client.id,
                name: found.client.name,
                release: found.mode == AccessMode::Release,
            },
            accounts: found
                .accounts
                .into_iter()
                .map(|account| (account.id, account.label))
                .collect(),
            returns_to: found.returns_to.host_str().unwrap_or_default().to_owned(),
        }))
    }
}
