//! The SQL of clients and token families. Codes, refresh tokens and consents
//! have theirs in `sql_grants.rs`.

use std::sync::Arc;

use super::client_metadata::ClientMetadata;
use super::clients::{Client, ClientState};
use super::families::Family;
use crate::Engine;
use crate::keyring::Keyring;
use crate::storage::{Error, Json, Row, Tx};
use crate::vault::AccessMode;

/// What changes of a client are signalled as.
pub(super) const CLIENT: &str = "client";

/// A row of `clients`.
#[derive(Clone)]
pub(super) struct StoredClient {
    pub(super) client: Arc<Client>,
    pub(super) secret_hash: Option<[u8; 32]>,
}

/// What the MAC of a row covers: everything that decides what a client may do.
fn covered(client: &Client, secret_hash: Option<[u8; 32]>) -> Vec<u8> {
    let mut parts = serde_json::json!([
        client.id,
        client.name,
        client.kind,
        secret_hash,
        client.redirect_uris,
        client.grant_types,
        client.scopes,
        client.audiences,
        client.resource_audience,
        client.rotate_refresh,
        client.access_mode,
        client.embedded,
        client.state,
    ]);
    // Rows from before there was metadata have a MAC without it.
    if client.metadata != ClientMetadata::default()
        && let Some(parts) = parts.as_array_mut()
    {
        parts.push(serde_json::json!(client.metadata));
    }
    parts.to_string().into_bytes()
}

const fn mode_word(mode: Option<AccessMode>) -> &'static str {
    match mode {
        None => "none",
        Some(mode) => mode.word(),
    }
}

impl StoredClient {
    pub(super) fn into_client(self) -> Client {
        Arc::unwrap_or_clone(self.client)
    }

    fn from_row(keys: &Keyring, row: &Row) -> Result<Self, Error> {
        let client = Client {
            id: row.get("id")?,
            name: row.get("name")?,
            kind: row.word("clients", "kind")?,
            redirect_uris: row.json("clients", "redirect_uris")?,
            grant_types: row.json("clients", "grant_types")?,
            scopes: row.json("clients", "scopes")?,
            audiences: row.json("clients", "audiences")?,
            resource_audience: row.get("resource_audience")?,
            rotate_refresh: row.get("rotate_refresh")?,
            access_mode: match row.get::<String>("access_mode")?.as_str() {
                "none" => None,
                word => Some(
                    word.parse()
                        .map_err(|()| row.bad("clients", "access_mode"))?,
                ),
            },
            embedded: row.get("embedded")?,
            source: row.word("clients", "source")?,
            state: row.word("clients", "state")?,
            created_at: row.get("created_at")?,
            metadata: row.json("clients", "metadata")?,
        };
        let secret_hash = row
            .get::<Option<Vec<u8>>>("secret_hash")?
            .map(|bytes| {
                bytes
                    .try_into()
                    .map_err(|_| row.bad("clients", "secret_hash"))
            })
            .transpose()?;
        let mac: Option<Vec<u8>> = row.get("mac")?;
        let mac_key: Option<String> = row.get("mac_key")?;
        let holds = mac.zip(mac_key).is_some_and(|(mac, key)| {
            keys.mac_holds("clients", &covered(&client, secret_hash), &mac, &key)
        });
        if !holds {
            return Err(row.bad("clients", "mac"));
        }
        Ok(Self {
            client: Arc::new(client),
            secret_hash,
        })
    }
}

impl Tx {
    pub(super) async fn insert_client(
        &mut self,
        keys: &Keyring,
        client: &Client,
        secret_hash: Option<[u8; 32]>,
    ) -> Result<(), Error> {
        let (mac, mac_key) = keys.mac("clients", &covered(client, secret_hash));
        self.execute(
            "insert into clients (id, name, kind, secret_hash, redirect_uris, grant_types, scopes, audiences, \
             resource_audience, rotate_refresh, access_mode, embedded, source, state, metadata, created_at, updated_at, mac, mac_key) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $18, $15, $15, $16, $17)",
            vec![
                (&client.id).into(),
                (&client.name).into(),
                client.kind.word().into(),
                secret_hash.map(|hash| hash.to_vec()).into(),
                Json(&client.redirect_uris).into(),
                Json(&client.grant_types).into(),
                Json(&client.scopes).into(),
                Json(&client.audiences).into(),
                (&client.resource_audience).into(),
                client.rotate_refresh.into(),
                mode_word(client.access_mode).into(),
                client.embedded.into(),
                client.source.word().into(),
                client.state.word().into(),
                client.created_at.into(),
                mac.into(),
                mac_key.into(),
                Json(&client.metadata).into(),
            ],
        )
        .await?;
        self.signal(None, CLIENT, &client.id);
        Ok(())
    }

    pub(super) async fn update_client(
        &mut self,
        keys: &Keyring,
        client: &Client,
        secret_hash: Option<[u8; 32]>,
    ) -> Result<(), Error> {
        let (mac, mac_key) = keys.mac("clients", &covered(client, secret_hash));
        let now = self.now();
        self.execute(
            "update clients set state = $2, secret_hash = $3, updated_at = $4, mac = $5, mac_key = $6, \
             redirect_uris = $7, name = $8, grant_types = $9, scopes = $10, metadata = $11, \
             rotate_refresh = $12 where id = $1",
            vec![
                (&client.id).into(),
                client.state.word().into(),
                secret_hash.map(|hash| hash.to_vec()).into(),
                now.into(),
                mac.into(),
                mac_key.into(),
                Json(&client.redirect_uris).into(),
                (&client.name).into(),
                Json(&client.grant_types).into(),
                Json(&client.scopes).into(),
                Json(&client.metadata).into(),
                client.rotate_refresh.into(),
            ],
        )
        .await?;
        self.signal(None, CLIENT, &client.id);
        Ok(())
    }

    pub(super) async fn client(
        &mut self,
        keys: &Keyring,
        id: &str,
    ) -> Result<Option<StoredClient>, Error> {
        self.optional("select * from clients where id = $1", vec![id.into()])
            .await?
            .map(|row| StoredClient::from_row(keys, &row))
            .transpose()
    }

    /// Keeps the token with which a client manages its registration.
    pub(super) async fn set_registration_hash(
        &mut self,
        id: &str,
        hash: [u8; 32],
    ) -> Result<(), Error> {
        self.execute(
            "update clients set registration_hash = $2 where id = $1",
            vec![id.into(), hash.into()],
        )
        .await?;
        Ok(())
    }

    /// When a client's metadata document was fetched, Unix milliseconds.
    pub(super) async fn client_fetched_at(&mut self, id: &str) -> Result<Option<i64>, Error> {
        let row = self
            .optional(
                "select fetched_at from clients where id = $1",
                vec![id.into()],
            )
            .await?;
        row.map_or(Ok(None), |row| row.get("fetched_at"))
    }

    /// Notes when a client's metadata document was fetched.
    pub(super) async fn set_client_fetched_at(&mut self, id: &str, at: i64) -> Result<(), Error> {
        self.execute(
            "update clients set fetched_at = $2 where id = $1",
            vec![id.into(), at.into()],
        )
        .await?;
        Ok(())
    }

    /// Ends the management of a registration.
    pub(super) async fn forget_registration(&mut self, id: &str) -> Result<(), Error> {
        self.execute(
            "update clients set registration_hash = null where id = $1",
            vec![id.into()],
        )
        .await?;
        Ok(())
    }

    /// Whether this is the hash of the token that manages this registration.
    pub(super) async fn has_registration_hash(
        &mut self,
        id: &str,
        hash: [u8; 32],
    ) -> Result<bool, Error> {
        let row = self
            .optional(
                "select id from clients where id = $1 and registration_hash = $2",
                vec![id.into(), hash.into()],
            )
            .await?;
        Ok(row.is_some())
    }

    pub(super) async fn embedded_client(
        &mut self,
        keys: &Keyring,
    ) -> Result<Option<Client>, Error> {
        let row = self
            .optional(
                "select * from clients where embedded = $1 order by created_at, id limit 1",
                vec![true.into()],
            )
            .await?;
        row.map(|row| StoredClient::from_row(keys, &row).map(StoredClient::into_client))
            .transpose()
    }

    pub(super) async fn clients(
        &mut self,
        keys: &Keyring,
        limit: i64,
    ) -> Result<Vec<Client>, Error> {
        let rows = self
            .all(
                "select * from clients order by created_at, id limit $1",
                vec![limit.into()],
            )
            .await?;
        rows.iter()
            .map(|row| StoredClient::from_row(keys, row).map(StoredClient::into_client))
            .collect()
    }

    /// Whether a client exists and is not frozen. For other rooms, inside
    /// their own write: a client frozen a moment ago gets nothing.
    pub(crate) async fn client_is_active(
        &mut self,
        engine: &Engine,
        id: &str,
    ) -> Result<bool, Error> {
        let found = self.known_client(engine, id).await?;
        Ok(found.is_some_and(|stored| stored.client.state == ClientState::Active))
    }

    /// A client, by heart where that is as good as reading it.
    pub(super) async fn known_client(
        &mut self,
        engine: &Engine,
        id: &str,
    ) -> Result<Option<StoredClient>, Error> {
        let known = &engine.oauth.clients;
        if let Some(stored) = self.by_heart(known, id) {
            return Ok(Some(stored));
        }
        let ticket = known.ticket();
        let found = self.client(&engine.keys, id).await?;
        if let Some(stored) = &found {
            self.learn(known, ticket, id, stored.clone());
        }
        Ok(found)
    }

    pub(super) async fn insert_family(&mut self, family: &Family) -> Result<(), Error> {
        self.execute(
            "insert into token_families (id, client_id, person_id, approval_id, scopes, audience, auth_time, created_at, idle_expires_at, expires_at, dpop_jkt, acr) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            vec![
                (&family.id).into(),
                (&family.client_id).into(),
                (&family.person_id).into(),
                (&family.approval_id).into(),
                Json(&family.scopes).into(),
                (&family.audience).into(),
                family.sign_in.map(|sign_in| sign_in.at).into(),
                family.created_at.into(),
                family.idle_expires_at.into(),
                family.expires_at.into(),
                (&family.dpop_jkt).into(),
                family
                    .sign_in
                    .and_then(|sign_in| sign_in.how)
                    .map(|how| how.word().to_owned())
                    .into(),
            ],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn family(&mut self, id: &str) -> Result<Option<Family>, Error> {
        self.optional(
            "select * from token_families where id = $1",
            vec![id.into()],
        )
        .await?
        .map(|row| Family::from_row(&row))
        .transpose()
    }

    /// Notes a use, and moves the idle end.
    pub(super) async fn touch_family(
        &mut self,
        id: &str,
        idle_expires_at: i64,
    ) -> Result<(), Error> {
        let now = self.now();
        self.execute(
            "update token_families set last_used_at = $2, idle_expires_at = $3 where id = $1",
            vec![id.into(), now.into(), idle_expires_at.into()],
        )
        .await?;
        Ok(())
    }

    /// Ends a family, once; answers whether this call did.
    pub(super) async fn revoke_family(&mut self, id: &str, reason: &str) -> Result<bool, Error> {
        let now = self.now();
        let done = self
            .swap(
                "update token_families set revoked_at = $2, revoked_reason = $3 where id = $1 and revoked_at is null returning id",
                vec![id.into(), now.into(), reason.into()],
            )
            .await?;
        Ok(done.is_some())
    }

    /// Ends all families of one person with one client; answers how many.
    pub(super) async fn revoke_families_of(
        &mut self,
        person: &str,
        client: &str,
        reason: &str,
    ) -> Result<u64, Error> {
        let now = self.now();
        self.execute(
            "update token_families set revoked_at = $3, revoked_reason = $4 \
             where person_id = $1 and client_id = $2 and revoked_at is null",
            vec![person.into(), client.into(), now.into(), reason.into()],
        )
        .await
    }
}
