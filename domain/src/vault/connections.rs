//! Connections: a provider set up with a client id and secret, under a name an agent uses.

use std::str::FromStr;
use std::sync::Arc;

use super::envelope::{DataKey, Place, Wrapped};
use super::providers::{self, Provider};
use super::{Error, Overrides, Reason, origins, own};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::outbound::Outbound;
use crate::secret::Secret;
use crate::storage::{self, Json, Row, Tx};

/// Who set a connection up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The configuration file.
    Config,
    /// An admin, in the console.
    Admin,
    /// `attorn demo`; may change origins at every start.
    Demo,
}

impl Source {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Admin => "admin",
            Self::Demo => "demo",
        }
    }
}

impl FromStr for Source {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::Config, Self::Admin, Self::Demo]
            .into_iter()
            .find(|source| source.word() == word)
            .ok_or(())
    }
}

/// Whether a connection works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It does.
    Active,
    /// The provider refused our client id or secret.
    InvalidClient,
    /// An admin switched it off.
    Disabled,
}

impl ConnectionState {
    /// The word in rows.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::InvalidClient => "invalid_client",
            Self::Disabled => "disabled",
        }
    }
}

impl FromStr for ConnectionState {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::Active, Self::InvalidClient, Self::Disabled]
            .into_iter()
            .find(|state| state.word() == word)
            .ok_or(())
    }
}

/// A connection, without its secret.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its name: `sign-in-with-slack`.
    pub id: String,
    /// The provider's id.
    pub provider: String,
    /// Our client id at the provider.
    pub client_id: String,
    /// What is asked for when linking.
    pub scopes: Vec<String>,
    /// Replaced addresses.
    pub overrides: Overrides,
    /// Who set it up.
    pub source: Source,
    /// Whether it works.
    pub state: ConnectionState,
    /// Since when its provider does not answer (Unix milliseconds).
    pub unwell_since: Option<i64>,
    /// Since when it has refused so many grants at once that they are asked
    /// about again instead of given up (Unix milliseconds).
    pub suspect_since: Option<i64>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
    entry: Arc<Provider>,
}

impl Connection {
    /// The provider's entry, with this connection's settings in its addresses.
    #[must_use]
    pub fn entry(&self) -> &Provider {
        &self.entry
    }
}

/// A connection as the vault uses it.
#[derive(Clone)]
pub(super) struct Stored {
    pub connection: Connection,
    pub entry: Arc<Provider>,
    pub endpoints: origins::Endpoints,
    /// Digest of the origins that tokens may travel to.
    pub origins: String,
    sealed: Vec<u8>,
    wrapped: Wrapped,
    /// Whether its addresses were typed in the console.
    typed: bool,
}

impl Stored {
    /// The client that calls this provider. What the catalogue and the
    /// configuration file name is called as it is; what an admin typed only
    /// where it is a public address.
    pub fn outbound<'a>(&self, engine: &'a Engine) -> &'a Arc<dyn Outbound> {
        if self.typed {
            &engine.guarded
        } else {
            &engine.outbound
        }
    }

    /// Our client secret at the provider.
    pub async fn secret(&self, engine: &Engine) -> Result<Secret<String>, Error> {
        let id = &self.connection.id;
        let key = DataKey::unwrap(engine, "connections", id, &self.wrapped.key).await?;
        Ok(key.open(
            &secret_place(id, &self.connection.client_id, &self.origins),
            &self.sealed,
        )?)
    }
}

fn secret_place(id: &str, client_id: &str, origins: &str) -> Place {
    Place::of("client secret", &[id, client_id, origins])
}

pub(super) fn unknown(id: &str) -> Error {
    Error::Invalid(format!("there is no provider called {id}"))
}

/// What it takes to set one up.
#[derive(Clone)]
pub struct NewConnection {
    /// Its name: lower-case letters, digits, `-`.
    pub id: String,
    /// The provider's id.
    pub provider: String,
    /// Our client id at the provider.
    pub client_id: String,
    /// Our client secret at the provider.
    pub client_secret: Secret<String>,
    /// What to ask for; `None` takes the entry's defaults. `bot:` before a name asks for it for a bot (Slack).
    pub scopes: Option<Vec<String>>,
    /// Replaced addresses.
    pub overrides: Overrides,
    /// Who sets it up.
    pub source: Source,
}

/// Sets a connection up, or changes the one of that name. Changes nothing, and
/// records nothing, when it stands like that already.
///
/// # Errors
/// [`Error::Invalid`] for a bad name, address or provider, and when client id
/// or an origin would change while accounts are linked (make a new connection;
/// a demo's accounts go to `reconnect` instead).
pub async fn put(engine: &Engine, new: NewConnection) -> Result<Connection, Error> {
    let entry = own::entry(engine, &new.provider)
        .await?
        .ok_or_else(|| unknown(&new.provider))?
        .with(&new.overrides.parameters)?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if new.id.is_empty() || new.id.len() > 64 || !new.id.chars().all(fits) {
        return Err(Error::Invalid(
            "a connection's name is up to 64 lower-case letters, digits and `-`".to_owned(),
        ));
    }
    if new.client_id.is_empty() || new.client_secret.expose().is_empty() {
        return Err(Error::Invalid(format!(
            "connection {} needs a client id and a client secret",
            new.id
        )));
    }
    let endpoints = origins::Endpoints::of(&entry, &new.overrides)?;
    let digest = endpoints.digest();
    let scopes = new.scopes.clone().unwrap_or_else(|| entry.default_scopes());
    if let Some(stored) = load(engine, &new.id).await? {
        let same = stored.connection.provider == new.provider
            && stored.connection.client_id == new.client_id
            && stored.connection.scopes == scopes
            && stored.connection.overrides == new.overrides
            && stored.connection.source == new.source
            && stored.connection.state == ConnectionState::Active;
        if same && stored.secret(engine).await?.expose() == new.client_secret.expose() {
            return Ok(stored.connection);
        }
    }
    let (key, wrapped) = DataKey::make(engine, "connections", &new.id).await?;
    let sealed = key.seal(
        engine,
        &secret_place(&new.id, &new.client_id, &digest),
        new.client_secret.expose(),
    )?;
    let row = Putting {
        sealed,
        wrapped,
        scopes,
        digest,
        id: new.id,
        provider: new.provider,
        client_id: new.client_id,
        overrides: new.overrides,
        source: new.source,
    };
    let id = row.id.clone();
    let keys = engine.clone();
    engine
        .store
        .write(move |tx| {
            let (row, engine) = (row.clone(), keys.clone());
            Box::pin(async move { tx.put_connection(&engine, row).await })
        })
        .await?;
    get(engine, &id).await?.ok_or(Error::NotFound)
}

/// A connection with its provider's entry, if it is one of our own.
macro_rules! connections {
    () => {
        "select c.*, p.id as own_id, p.entry as own_entry, p.source as own_source, p.mac as own_mac, \
         p.mac_key as own_mac_key from connections c left join providers p on p.id = c.provider "
    };
}

/// All connections, by name; at most 200.
///
/// # Errors
/// The database's.
pub async fn list(engine: &Engine) -> Result<Vec<Connection>, Error> {
    let mut rx = engine.store.reader().await?;
    let rows = rx
        .all(concat!(connections!(), "order by c.id limit 200"), vec![])
        .await?;
    rows.iter()
        .map(|row| read(engine, row).map(|stored| stored.connection))
        .collect()
}

/// One connection.
///
/// # Errors
/// The database's.
pub async fn get(engine: &Engine, id: &str) -> Result<Option<Connection>, Error> {
    Ok(load(engine, id).await?.map(|stored| stored.connection))
}

/// Switches a connection off (no linking, no refresh, no call) or on again.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn set_disabled(
    engine: &Engine,
    admin_id: &str,
    id: &str,
    disabled: bool,
) -> Result<(), Error> {
    let (admin, id) = (admin_id.to_owned(), id.to_owned());
    let state = if disabled {
        ConnectionState::Disabled
    } else {
        ConnectionState::Active
    };
    engine
        .store
        .write(move |tx| {
            let (admin, id) = (admin.clone(), id.clone());
            Box::pin(async move {
                let changed = tx
                    .execute(
                        "update connections set state = $2, updated_at = $3 where id = $1 and state <> $2",
                        vec![(&id).into(), state.word().into(), tx.now().into()],
                    )
                    .await?;
                if changed == 0 {
                    return Err(Error::NotFound);
                }
                tx.record(
                    Event::new(Kind::ConnectionChanged)
                        .person(admin)
                        .data("connection", id)
                        .data("state", state.word()),
                );
                Ok(())
            })
        })
        .await
}

/// The connection of that name, ready for use.
pub(super) async fn load(engine: &Engine, id: &str) -> Result<Option<Stored>, Error> {
    let mut rx = engine.store.reader().await?;
    rx.optional(concat!(connections!(), "where c.id = $1"), vec![id.into()])
        .await?
        .map(|row| read(engine, &row))
        .transpose()
}

/// As [`load`], for callers that cannot do without.
pub(super) async fn need(engine: &Engine, id: &str) -> Result<Stored, Error> {
    load(engine, id)
        .await?
        .ok_or_else(|| Error::UnknownConnection {
            connection: id.to_owned(),
        })
}

fn mac_bytes(
    id: &str,
    provider: &str,
    client_id: &str,
    scopes: &[String],
    overrides: &Overrides,
    digest: &str,
) -> Vec<u8> {
    serde_json::to_vec(&(id, provider, client_id, scopes, overrides, digest)).unwrap_or_default()
}

fn read(engine: &Engine, row: &Row) -> Result<Stored, Error> {
    let provider: String = row.get("provider")?;
    let overrides: Overrides = row.json("connections", "overrides")?;
    let own = own::read(engine, row)?;
    let typed_entry = own.as_ref().is_some_and(|own| own.source == Source::Admin);
    let is_own = own.is_some();
    let entry = own
        .map(|own| own.entry)
        .or_else(|| providers::shared(&provider))
        .ok_or_else(|| unknown(&provider))?;
    let entry = if overrides.parameters.is_empty() {
        entry
    } else {
        Arc::new(entry.with(&overrides.parameters)?)
    };
    let connection = Connection {
        id: row.get("id")?,
        provider,
        entry: entry.clone(),
        overrides,
        client_id: row.get("client_id")?,
        scopes: row.json("connections", "scopes")?,
        source: row.word("connections", "source")?,
        state: row.word("connections", "state")?,
        unwell_since: row.get("unwell_since")?,
        suspect_since: row.get("suspect_since")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    };
    let endpoints = origins::Endpoints::of(&entry, &connection.overrides)?;
    let origins = row.get::<String>("origins_digest")?;
    let mac = row.get::<Option<Vec<u8>>>("mac")?.unwrap_or_default();
    let mac_key = row.get::<Option<String>>("mac_key")?.unwrap_or_default();
    let bytes = mac_bytes(
        &connection.id,
        &connection.provider,
        &connection.client_id,
        &connection.scopes,
        &connection.overrides,
        &origins,
    );
    if !engine.keys.mac_holds("connections", &bytes, &mac, &mac_key) {
        return Err(row.bad("connections", "mac").into());
    }
    // Tokens travel where they were given to. An entry of our own cannot change
    // its origins under a connection (`own.rs`).
    if is_own && endpoints.digest() != origins {
        return Err(row.bad("connections", "origins_digest").into());
    }
    let typed_host = connection.source == Source::Admin
        && entry.leads_anywhere(&connection.overrides.parameters);
    Ok(Stored {
        typed: typed_entry || typed_host,
        entry,
        endpoints,
        origins,
        sealed: row.get("secret_sealed")?,
        wrapped: Wrapped {
            key: row.get("data_key")?,
            kek_id: row.get("kek_id")?,
        },
        connection,
    })
}

#[derive(Clone)]
struct Putting {
    id: String,
    provider: String,
    client_id: String,
    scopes: Vec<String>,
    overrides: Overrides,
    source: Source,
    digest: String,
    sealed: Vec<u8>,
    wrapped: Wrapped,
}

impl Tx {
    async fn put_connection(&mut self, engine: &Engine, row: Putting) -> Result<(), Error> {
        let now = self.now();
        let old = self
            .optional(
                "select provider, client_id, origins_digest from connections where id = $1",
                vec![(&row.id).into()],
            )
            .await?;
        if let Some(old) = &old {
            let moved = old.get::<String>("provider")? != row.provider
                || old.get::<String>("client_id")? != row.client_id
                || old.get::<String>("origins_digest")? != row.digest;
            if moved {
                self.leave_old_grants(&row).await?;
            }
        }
        let bytes = mac_bytes(
            &row.id,
            &row.provider,
            &row.client_id,
            &row.scopes,
            &row.overrides,
            &row.digest,
        );
        let (mac, mac_key) = engine.keys.mac("connections", &bytes);
        self.execute(
            "insert into connections (id, provider, client_id, secret_sealed, data_key, kek_id, scopes, overrides, \
             origins_digest, source, state, created_at, updated_at, mac, mac_key) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'active', $11, $11, $12, $13) \
             on conflict (id) do update set provider = excluded.provider, client_id = excluded.client_id, \
             secret_sealed = excluded.secret_sealed, data_key = excluded.data_key, kek_id = excluded.kek_id, \
             scopes = excluded.scopes, overrides = excluded.overrides, origins_digest = excluded.origins_digest, \
             source = excluded.source, state = excluded.state, updated_at = excluded.updated_at, \
             mac = excluded.mac, mac_key = excluded.mac_key",
            vec![
                (&row.id).into(),
                (&row.provider).into(),
                (&row.client_id).into(),
                (&row.sealed).into(),
                (&row.wrapped.key).into(),
                (&row.wrapped.kek_id).into(),
                Json(&row.scopes).into(),
                Json(&row.overrides).into(),
                (&row.digest).into(),
                row.source.word().into(),
                now.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        let kind = if old.is_some() {
            Kind::ConnectionChanged
        } else {
            Kind::ConnectionCreated
        };
        self.record(
            Event::new(kind)
                .data("connection", row.id)
                .data("provider", row.provider)
                .data("origins", row.digest)
                .data("source", row.source.word()),
        );
        Ok(())
    }

    /// Grants belong to the provider client and origins they came from.
    async fn leave_old_grants(&mut self, row: &Putting) -> Result<(), Error> {
        let living = self
            .all(
                "select id, person_id from accounts where connection_id = $1 and state <> 'unlinked' limit 10001",
                vec![(&row.id).into()],
            )
            .await?;
        if living.is_empty() {
            return Ok(());
        }
        if row.source != Source::Demo {
            return Err(Error::Invalid(format!(
                "connection {} has {} linked accounts: their grants belong to the old client id and addresses; \
                 set up a new connection instead",
                row.id,
                living.len()
            )));
        }
        for account in living {
            let (id, person) = (
                account.get::<String>("id")?,
                account.get::<String>("person_id")?,
            );
            self.execute(
                "update provider_grants set state = 'reconnect', epoch = epoch + 1, access_sealed = null, \
                 access_expires_at = null, refresh_sealed = null, refresh_hash = null, updated_at = $2 where account_id = $1",
                vec![(&id).into(), self.now().into()],
            )
            .await?;
            self.mark_reconnect(&id, &person, Reason::ConnectionChanged)
                .await?;
        }
        Ok(())
    }

    /// The provider stopped answering, or answers again.
    pub(super) async fn mark_health(
        &mut self,
        id: &str,
        is_well: bool,
    ) -> Result<(), storage::Error> {
        let since = (!is_well).then(|| self.now());
        let changed = self
            .execute(
                "update connections set unwell_since = $2 where id = $1 and (unwell_since is null) <> ($2 is null)",
                vec![id.into(), since.into()],
            )
            .await?;
        if changed > 0 {
            self.record(
                Event::new(Kind::ConnectionChanged)
                    .data("connection", id)
                    .data("provider", if is_well { "answers" } else { "silent" }),
            );
            self.signal(None, "connection", id);
        }
        Ok(())
    }

    /// The provider refused our client: an admin has to mend the connection.
    pub(super) async fn mark_connection(
        &mut self,
        id: &str,
        from: ConnectionState,
        to: ConnectionState,
        code: &str,
    ) -> Result<(), storage::Error> {
        let changed = self
            .execute(
                "update connections set state = $3, updated_at = $4 where id = $1 and state = $2",
                vec![
                    id.into(),
                    from.word().into(),
                    to.word().into(),
                    self.now().into(),
                ],
            )
            .await?;
        if changed > 0 {
            self.record(
                Event::new(Kind::ConnectionChanged)
                    .data("connection", id)
                    .data("state", to.word())
                    .data("code", code),
            );
            self.signal(None, "connection", id);
        }
        Ok(())
    }
}
