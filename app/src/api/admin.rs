//! What admins see: people, clients, connections, the audit log.

use serde::{Deserialize, Serialize};

use super::{Stamp, Status};

/// One person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonRow {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Address.
    pub email: String,
    /// Whether they are an admin.
    pub admin: bool,
    /// Whether they may sign in.
    pub status: Status,
    /// Whether they are locked.
    pub locked: bool,
    /// Whether it is the admin who looks: nobody locks themselves out.
    pub own: bool,
    /// Since when.
    pub since: Stamp,
}

/// One client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRow {
    /// `client_id`.
    pub id: String,
    /// Name.
    pub name: String,
    /// Whether it can keep a secret.
    pub confidential: bool,
    /// What it may do with accounts, in words.
    pub mode: String,
    /// Grant types, in words.
    pub grants: Vec<String>,
    /// Whether it is the embedded agent.
    pub embedded: bool,
    /// Whether it may act.
    pub status: Status,
    /// Whether it is frozen.
    pub frozen: bool,
    /// Since when.
    pub since: Stamp,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionRow {
    /// Name.
    pub id: String,
    /// The provider's id, for its mark.
    pub provider: String,
    /// The provider's name.
    pub provider_name: String,
    /// Our client id there.
    pub client_id: String,
    /// What is asked for, in plain words.
    pub scopes: Vec<String>,
    /// Whether it works.
    pub status: Status,
    /// Against what the provider's entry has run.
    pub tried: String,
    /// What it says about the provider's addresses: `tenant=contoso.com`.
    pub settings: Vec<String>,
}

/// One provider of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether this deployment added it.
    pub own: bool,
    /// Whether an admin added it, and may take it out.
    pub removable: bool,
    /// Where our client id and secret are sent.
    pub goes_to: String,
    /// What a connection may say about its addresses: name and words.
    pub settings: Vec<(String, String)>,
}

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Event id.
    pub id: String,
    /// Place in the log; none in the second before it is numbered.
    pub index: Option<u64>,
    /// When.
    pub at: Stamp,
    /// The word of its kind.
    pub kind: String,
    /// What happened: the facts in the leaf, `name: value`.
    pub facts: Vec<(String, String)>,
    /// Whom it concerns.
    pub person: Option<String>,
    /// Which client.
    pub client: Option<String>,
}

/// The log's newest checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeHead {
    /// How many entries are numbered and signed.
    pub size: u64,
    /// Their root, hex.
    pub root: String,
    /// The signed note.
    pub note: Option<String>,
    /// When it was signed.
    pub at: Option<Stamp>,
    /// How many entries wait for their number.
    pub waiting: u64,
    /// The key that checks the note.
    pub key: String,
}

#[cfg(feature = "ssr")]
pub(crate) mod ssr {
    use std::collections::HashMap;

    use domain::audit::{self, Filter, Kind};
    use domain::identity::{self, Role};
    use domain::oauth::clients::{self, Client, ClientKind, ClientState, GrantType};
    use domain::vault::connections::{self, ConnectionState, Source};
    use domain::vault::own;
    use domain::vault::providers::{self, Provider};
    use time::Date;
    use time::macros::format_description;

    use super::super::accounts::ssr::{client_names, mode, sentences};
    use super::super::{Problem, Seen, Status, Tone, stamp};
    use super::{AuditRow, ClientRow, ConnectionRow, PersonRow, ProviderRow, TreeHead};
    use crate::words::t;

    const MOST: i64 = 500;

    /// Refuses everybody who is no admin.
    pub fn admins_only(seen: &Seen) -> Result<(), Problem> {
        if seen.viewer.admin {
            Ok(())
        } else {
            Err(Problem::AdminsOnly)
        }
    }

    pub async fn people(seen: &Seen) -> Result<Vec<PersonRow>, Problem> {
        admins_only(seen)?;
        let now = seen.engine.now();
        Ok(identity::list(&seen.engine, MOST)
            .await?
            .into_iter()
            .map(|person| {
                let locked = person.state == identity::State::Locked;
                PersonRow {
                    admin: person.role == Role::Admin,
                    status: if locked {
                        Status::new(Tone::No, t("person-locked"))
                    } else {
                        Status::new(Tone::Good, t("person-active"))
                    },
                    locked,
                    own: person.id == seen.viewer.person_id,
                    since: stamp(now, person.created_at),
                    id: person.id,
                    name: person.name,
                    email: person.email,
                }
            })
            .collect())
    }

    pub async fn clients(seen: &Seen) -> Result<Vec<ClientRow>, Problem> {
        admins_only(seen)?;
        let now = seen.engine.now();
        Ok(clients::list(&seen.engine, MOST)
            .await?
            .into_iter()
            .map(|client| client_row(client, now))
            .collect())
    }

    fn client_row(client: Client, now: i64) -> ClientRow {
        let frozen = client.state == ClientState::Frozen;
        ClientRow {
            confidential: client.kind == ClientKind::Confidential,
            mode: client.access_mode.map_or_else(|| t("mode-none"), mode),
            grants: client
                .grant_types
                .iter()
                .map(|grant| grant_words(*grant))
                .collect(),
            embedded: client.embedded,
            status: if frozen {
                Status::new(Tone::No, t("client-frozen"))
            } else {
                Status::new(Tone::Good, t("client-active"))
            },
            frozen,
            since: stamp(now, client.created_at),
            id: client.id,
            name: client.name,
        }
    }

    fn grant_words(grant: GrantType) -> String {
        match grant {
            GrantType::AuthorizationCode => t("grant-code"),
            GrantType::RefreshToken => t("grant-refresh"),
            GrantType::ClientCredentials => t("grant-credentials"),
            GrantType::Ciba => t("grant-ciba"),
            GrantType::DeviceCode => t("grant-device"),
            GrantType::TokenExchange => t("grant-exchange"),
        }
    }

    pub async fn connections(seen: &Seen) -> Result<Vec<ConnectionRow>, Problem> {
        admins_only(seen)?;
        Ok(connections::list(&seen.engine)
            .await?
            .into_iter()
            .map(|connection| ConnectionRow {
                scopes: sentences(Some(connection.entry()), &connection.scopes),
                provider_name: connection.entry().name.clone(),
                tried: connection.entry().tried.clone(),
                settings: connection
                    .overrides
                    .parameters
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
                status: match connection.state {
                    ConnectionState::Active if connection.is_suspect(seen.engine.now()) => {
                        Status::new(Tone::Wait, t("connection-suspect"))
                    }
                    ConnectionState::Active if connection.unwell_since.is_some() => {
                        Status::new(Tone::Bad, t("connection-unwell"))
                    }
                    ConnectionState::Active => Status::new(Tone::Good, t("connection-active")),
                    ConnectionState::InvalidClient => {
                        Status::new(Tone::Bad, t("connection-invalid-client"))
                    }
                    ConnectionState::Disabled => Status::new(Tone::Quiet, t("connection-disabled")),
                },
                id: connection.id,
                provider: connection.provider,
                client_id: connection.client_id,
            })
            .collect())
    }

    /// Providers of the catalogue, and what this deployment added to it.
    pub async fn catalogue(seen: &Seen) -> Result<Vec<ProviderRow>, Problem> {
        admins_only(seen)?;
        let own = own::list(&seen.engine).await?;
        let row = |entry: &Provider, own: Option<Source>| ProviderRow {
            id: entry.id.clone(),
            name: entry.name.clone(),
            own: own.is_some(),
            removable: own == Some(Source::Admin),
            goes_to: entry.token.origin().ascii_serialization(),
            settings: entry
                .parameters
                .iter()
                .map(|setting| (setting.name.clone(), setting.words.clone()))
                .collect(),
        };
        Ok(providers::catalogue()
            .iter()
            .map(|entry| row(entry, None))
            .chain(own.iter().map(|own| row(&own.entry, Some(own.source))))
            .collect())
    }

    /// The words of every kind of event.
    pub fn kinds() -> Vec<String> {
        Kind::ALL
            .iter()
            .map(|kind| kind.word().to_owned())
            .collect()
    }

    /// What the audit page's address asks for. Empty texts ask for nothing; a
    /// date that is none is left out.
    #[derive(Clone, Debug, Default)]
    pub struct Wanted {
        pub person: String,
        pub client: String,
        pub kind: String,
        pub since: String,
        pub until: String,
        pub before: String,
    }

    impl Wanted {
        fn filter(&self, person: Option<String>) -> Filter {
            let text = |value: &str| (!value.is_empty()).then(|| value.to_owned());
            Filter {
                person,
                client: text(&self.client),
                kind: text(&self.kind),
                since: day(&self.since),
                // The whole day belongs to it.
                until: day(&self.until).map(|at| at.saturating_add(86_400_000)),
                before: self.before.parse().ok(),
            }
        }
    }

    /// Midnight UTC of `2026-11-23`, Unix milliseconds.
    fn day(text: &str) -> Option<i64> {
        let format = format_description!("[year]-[month]-[day]");
        let midnight = Date::parse(text, format).ok()?.midnight().assume_utc();
        midnight.unix_timestamp().checked_mul(1000)
    }

    /// The log as far as the filter holds it, and where the next page begins.
    pub async fn audit(
        seen: &Seen,
        wanted: &Wanted,
    ) -> Result<(Vec<AuditRow>, Option<String>), Problem> {
        admins_only(seen)?;
        let limit = 50;
        // People are asked for by address or id.
        let person = if wanted.person.is_empty() {
            None
        } else {
            let by_email = identity::person_by_email(&seen.engine, &wanted.person).await?;
            Some(by_email.map_or_else(|| wanted.person.clone(), |person| person.id))
        };
        let events = audit::list(&seen.engine, &wanted.filter(person), limit).await?;
        let people: HashMap<String, String> = identity::list(&seen.engine, MOST)
            .await?
            .into_iter()
            .map(|person| (person.id, person.email))
            .collect();
        let names = client_names(seen).await?;
        let now = seen.engine.now();
        let older = (events.len() == limit)
            .then(|| events.last().map(|event| event.cursor().to_string()))
            .flatten();
        let named =
            |id: String, names: &HashMap<String, String>| names.get(&id).cloned().unwrap_or(id);
        let rows = events
            .into_iter()
            .map(|event| AuditRow {
                id: event.id,
                index: event.index,
                at: stamp(now, event.at),
                kind: event.kind,
                facts: event
                    .data
                    .into_iter()
                    .map(|(name, value)| {
                        let value = value
                            .as_str()
                            .map_or_else(|| value.to_string(), str::to_owned);
                        (name, value)
                    })
                    .chain(event.private)
                    .collect(),
                person: event.person_id.map(|id| named(id, &people)),
                client: event.client_id.map(|id| named(id, &names)),
            })
            .collect();
        Ok((rows, older))
    }

    pub async fn tree(seen: &Seen) -> Result<TreeHead, Problem> {
        admins_only(seen)?;
        let tree = audit::tree(&seen.engine).await?;
        let now = seen.engine.now();
        Ok(TreeHead {
            size: tree.size,
            root: tree.root.iter().map(|byte| format!("{byte:02x}")).collect(),
            note: tree.checkpoint,
            at: tree.at.map(|at| stamp(now, at)),
            waiting: tree.waiting,
            key: audit::verifier_key(&seen.engine).await?,
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_day_is_midnight_and_nonsense_is_no_day() {
            assert_eq!(day("1970-01-02"), Some(86_400_000));
            assert_eq!(day("2026-13-01"), None);
            assert_eq!(day(""), None);
        }

        #[test]
        fn until_holds_its_whole_day() {
            let wanted = Wanted {
                since: "1970-01-01".to_owned(),
                until: "1970-01-01".to_owned(),
                before: "nonsense".to_owned(),
                ..Wanted::default()
            };
            let filter = wanted.filter(None);
            assert_eq!((filter.since, filter.until), (Some(0), Some(86_400_000)));
            assert!(filter.before.is_none());
        }
    }
}
