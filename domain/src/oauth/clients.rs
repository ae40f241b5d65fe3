//! Clients: programs registered to talk to us (RFC 6749 §2).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

use super::error::OauthError;
use super::metadata_document;
use super::sql::StoredClient;
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::secret::Secret;
use crate::storage;
use crate::vault::AccessMode;

pub use super::client_metadata::{
    AuthMethod, ClientMetadata, Delivery, PrivilegedWorker, WorkerGrant,
};
pub use super::registration::{NewClient, register};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in the database and on the wire.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = ();
            fn from_str(word: &str) -> Result<Self, ()> {
                match word { $($word => Ok(Self::$variant),)+ _ => Err(()) }
            }
        }
    };
}

words! {
    /// Whether a client can keep a secret (RFC 6749 §2.1).
    ClientKind {
        /// It can, and has one.
        Confidential => "confidential",
        /// It cannot: PKCE stands for it.
        Public => "public",
    }
}

words! {
    /// A grant type a client is registered for. Token exchange is one, whatever
    /// URN it is asked under.
    GrantType {
        /// RFC 6749 §4.1 with PKCE.
        AuthorizationCode => "authorization_code",
        /// RFC 6749 §6.
        RefreshToken => "refresh_token",
        /// RFC 6749 §4.4.
        ClientCredentials => "client_credentials",
        /// CIBA Core 1.0.
        Ciba => "urn:openid:params:grant-type:ciba",
        /// RFC 8628.
        DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
        /// RFC 8693.
        TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
    }
}

words! {
    /// Where a client came from.
    Source {
        /// The configuration file.
        Config => "config",
        /// The admin pages.
        Admin => "admin",
        /// A command.
        Command => "command",
        /// The demo.
        Demo => "demo",
        /// Dynamic registration (RFC 7591).
        Registration => "registration",
    }
}

words! {
    /// Whether a client may act at all.
    ClientState {
        /// It may.
        Active => "active",
        /// It may not, and no token of its works.
        Frozen => "frozen",
    }
}

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// What people read.
    pub name: String,
    /// Whether it can keep a secret.
    pub kind: ClientKind,
    /// Where codes may be sent, matched exactly.
    pub redirect_uris: Vec<String>,
    /// What it may ask at the token endpoint.
    pub grant_types: Vec<GrantType>,
    /// Scopes beyond the standard ones that it may ask for.
    pub scopes: Vec<String>,
    /// Audiences beyond our own that it may ask tokens for; the first is its default.
    pub audiences: Vec<String>,
    /// The audience whose resource server it is: it may exchange access tokens for it.
    pub resource_audience: Option<String>,
    /// Whether its refresh tokens are replaced at every use.
    pub rotate_refresh: bool,
    /// The mode it asks people for when they link an account for it.
    pub access_mode: Option<AccessMode>,
    /// Whether it is the agent in this very process.
    pub embedded: bool,
    /// Where it came from.
    pub source: Source,
    /// Whether it may act at all.
    pub state: ClientState,
    /// Since when, Unix milliseconds.
    pub created_at: i64,
    /// Its keys, its ways to prove itself and to be told, its pages.
    pub metadata: ClientMetadata,
}

impl Client {
    /// Whether it is registered for this grant.
    #[must_use]
    pub fn may(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }

    /// The audiences it may ask tokens for, its default first.
    #[must_use]
    pub fn allowed_audiences(&self, engine: &Engine) -> Vec<String> {
        let settings = &engine.settings;
        let mut all = self.audiences.clone();
        all.extend([
            settings.issuer.clone(),
            settings.proxy_audience(),
            settings.me_audience(),
        ]);
        all
    }

    /// The audience to issue for: the one asked for, or the default.
    ///
    /// # Errors
    /// `invalid_target` for one it may not have.
    pub fn audience(&self, engine: &Engine, asked: Option<&str>) -> Result<String, OauthError> {
        let allowed = self.allowed_audiences(engine);
        match asked {
            Some(asked) if allowed.iter().any(|known| known == asked) => Ok(asked.to_owned()),
            Some(_) => Err(OauthError::new(
                super::error::Code::InvalidTarget,
                "this client may not have tokens for that audience",
            )),
            None => allowed
                .into_iter()
                .next()
                .ok_or_else(|| OauthError::request("audience is missing")),
        }
    }

    /// Whether this redirect address is registered. Exact, but for the port of
    /// a loopback address of a public client (RFC 8252 §7.3).
    #[must_use]
    pub fn redirects_to(&self, asked: &str) -> bool {
        if self.redirect_uris.iter().any(|known| known == asked) {
            return true;
        }
        if self.kind == ClientKind::Confidential {
            return false;
        }
        let Some(asked) = without_loopback_port(asked) else {
            return false;
        };
        self.redirect_uris
            .iter()
            .any(|known| without_loopback_port(known).as_deref() == Some(&asked))
    }
}

/// `http://127.0.0.1:1234/x` as `http://127.0.0.1/x`; `None` for what is no
/// loopback IP address in normal form.
fn without_loopback_port(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok()?;
    if url.scheme() != "http" || url.as_str() != text || url.fragment().is_some() {
        return None;
    }
    if !matches!(url.host_str()?, "127.0.0.1" | "[::1]") || !url.username().is_empty() {
        return None;
    }
    url.set_port(None).ok()?;
    Some(url.into())
}

/// Why something about a client did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// A field cannot be accepted; the sentence says why.
    #[error("{0}")]
    Invalid(String),
    /// Another client has this id, or is the resource server of this audience.
    #[error("another client has this id or this resource audience")]
    Taken,
    /// No such client.
    #[error("there is no such client")]
    NotFound,
}

/// How a client's secret is kept: a keyed hash. It is random and long, so that
/// no slow hash is needed on the hot path.
pub(super) fn secret_hash(engine: &Engine, secret: &str) -> [u8; 32] {
    engine.keys.hash("client_secret", secret.as_bytes())
}

/// The client with this id, frozen or not.
///
/// # Errors
/// Storage's.
pub async fn get(engine: &Engine, id: &str) -> Result<Option<Client>, Error> {
    let found = engine
        .store
        .reader()
        .await?
        .client(&engine.keys, id)
        .await?;
    Ok(found.map(StoredClient::into_client))
}

/// The active client with this id, as a request names it.
///
/// # Errors
/// `invalid_request` when there is none, or it is frozen.
pub(super) async fn known(engine: &Engine, id: &str) -> Result<Client, OauthError> {
    let none = || OauthError::request("there is no such client");
    get(engine, id)
        .await
        .map_err(|error| match error {
            Error::Storage(error) => error.into(),
            error => none().because(error),
        })?
        .filter(|client| client.state == ClientState::Active)
        .ok_or_else(none)
}

/// As [`known`]; one whose id is the address of its metadata is looked up there,
/// on account of this network.
///
/// # Errors
/// As [`known`] and [`metadata_document::client`].
pub(super) async fn looked_up(
    engine: &Engine,
    id: &str,
    network: &str,
) -> Result<Client, OauthError> {
    let Some(address) = metadata_document::address(id) else {
        return known(engine, id).await;
    };
    let client = metadata_document::client(engine, &address, network).await?;
    if client.state == ClientState::Active {
        Ok(client)
    } else {
        Err(OauthError::request("there is no such client"))
    }
}

/// The client that runs in this very process, if one is registered.
///
/// # Errors
/// Storage's.
pub async fn embedded(engine: &Engine) -> Result<Option<Client>, Error> {
    Ok(engine
        .store
        .reader()
        .await?
        .embedded_client(&engine.keys)
        .await?)
}

/// Clients by age, oldest first, at most `limit`.
///
/// # Errors
/// Storage's.
pub async fn list(engine: &Engine, limit: i64) -> Result<Vec<Client>, Error> {
    let mut rx = engine.store.reader().await?;
    Ok(rx.clients(&engine.keys, limit.clamp(1, 1000)).await?)
}

/// Freezes a client or thaws it. A frozen one gets nothing from the next check
/// on, and nothing it holds works. `by` is the admin's id, `None` a command.
///
/// # Errors
/// [`Error::NotFound`], or storage's.
pub async fn freeze(
    engine: &Engine,
    by: Option<&str>,
    id: &str,
    state: ClientState,
) -> Result<Client, Error> {
    let (at, by, id) = (engine.clone(), by.map(str::to_owned), id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, by, id) = (at.clone(), by.clone(), id.clone());
            Box::pin(async move {
                let mut stored = tx.client(&engine.keys, &id).await?.ok_or(Error::NotFound)?;
                Arc::make_mut(&mut stored.client).state = state;
                tx.update_client(&engine.keys, &stored.client, stored.secret_hash)
                    .await?;
                tx.record(
                    Event::new(Kind::ClientChanged)
                        .client(&id)
                        .data("state", state.word())
                        .data("by", by.as_deref().unwrap_or("command")),
                );
                Ok(stored.into_client())
            })
        })
        .await
}

/// Replaces what a client is registered with, as it asks itself. Its id, kind,
/// secret and age stay.
///
/// # Errors
/// [`Error::Invalid`] with a sentence, [`Error::NotFound`].
pub(super) async fn replace(engine: &Engine, id: &str, new: NewClient) -> Result<Client, Error> {
    super::registration::check(&new)?;
    let (at, id, new) = (engine.clone(), id.to_owned(), std::sync::Arc::new(new));
    engine
        .store
        .write(move |tx| {
            let (engine, id, new) = (at.clone(), id.clone(), new.clone());
            Box::pin(async move {
                let mut stored = tx.client(&engine.keys, &id).await?.ok_or(Error::NotFound)?;
                let client = Arc::make_mut(&mut stored.client);
                client.name = new.name.trim().to_owned();
                client.redirect_uris.clone_from(&new.redirect_uris);
                client.grant_types.clone_from(&new.grant_types);
                client.scopes.clone_from(&new.scopes);
                // What an admin set is not the client's to change.
                let admins = (
                    client.metadata.may_act.take(),
                    client.metadata.privileged_worker.take(),
                );
                client.metadata = new.metadata.clone();
                (client.metadata.may_act, client.metadata.privileged_worker) = admins;
                tx.update_client(&engine.keys, client, stored.secret_hash)
                    .await?;
                tx.record(
                    Event::new(Kind::ClientChanged)
                        .client(&id)
                        .data("by", "the client"),
                );
                Ok(stored.into_client())
            })
        })
        .await
}

/// Changes what only an admin decides of a client: its keys, whether it is a
/// privileged worker, and who may act with its tokens. `by` is the admin's id,
/// `None` a command.
///
/// # Errors
/// [`Error::Invalid`] with a sentence, [`Error::NotFound`].
pub async fn entrust(
    engine: &Engine,
    by: Option<&str>,
    id: &str,
    with: Entrusted,
) -> Result<Client, Error> {
    let (at, by, id) = (engine.clone(), by.map(str::to_owned), id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, by, id) = (at.clone(), by.clone(), id.clone());
            let with = with.clone();
            Box::pin(async move {
                let mut stored = tx.client(&engine.keys, &id).await?.ok_or(Error::NotFound)?;
                let client = Arc::make_mut(&mut stored.client);
                if with.privileged_worker.is_some() && client.kind != ClientKind::Confidential {
                    return Err(Error::Invalid(
                        "only a confidential client can be a privileged worker".to_owned(),
                    ));
                }
                if let Some(actor) = &with.may_act
                    && tx.client(&engine.keys, actor).await?.is_none()
                {
                    return Err(Error::Invalid(format!("there is no client {actor}")));
                }
                if let Some(jwks) = with.jwks {
                    client.metadata.jwks_uri = None;
                    client.metadata.jwks = Some(jwks);
                }
                client.metadata.privileged_worker = with.privileged_worker;
                client.metadata.may_act = with.may_act;
                client.metadata.check()?;
                tx.update_client(&engine.keys, client, stored.secret_hash)
                    .await?;
                let worker = stored.client.metadata.privileged_worker.is_some();
                tx.record(
                    Event::new(Kind::ClientChanged)
                        .client(&id)
                        .data("worker", worker)
                        .data("by", by.as_deref().unwrap_or("command")),
                );
                Ok(stored.into_client())
            })
        })
        .await
}

/// What only an admin decides of a client.
#[derive(Clone, Debug, Default)]
pub struct Entrusted {
    /// Its public keys (a JWK Set); `None` leaves them as they are.
    pub jwks: Option<serde_json::Value>,
    /// Whether it may name people itself.
    pub privileged_worker: Option<PrivilegedWorker>,
    /// The client that may act with its tokens.
    pub may_act: Option<String>,
}

/// Changes where codes of a client may be sent. `by` is the admin's id, `None` a command.
///
/// # Errors
/// [`Error::Invalid`] for an address that no client may have, [`Error::NotFound`].
pub async fn redirect_to(
    engine: &Engine,
    by: Option<&str>,
    id: &str,
    redirect_uris: Vec<String>,
) -> Result<Client, Error> {
    for uri in &redirect_uris {
        super::registration::check_redirect(uri)?;
    }
    let (at, by, id) = (engine.clone(), by.map(str::to_owned), id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, by, id) = (at.clone(), by.clone(), id.clone());
            let redirect_uris = redirect_uris.clone();
            Box::pin(async move {
                let mut stored = tx.client(&engine.keys, &id).await?.ok_or(Error::NotFound)?;
                Arc::make_mut(&mut stored.client).redirect_uris = redirect_uris;
                tx.update_client(&engine.keys, &stored.client, stored.secret_hash)
                    .await?;
                tx.record(
                    Event::new(Kind::ClientChanged)
                        .client(&id)
                        .data("redirect_uris", stored.client.redirect_uris.clone())
                        .data("by", by.as_deref().unwrap_or("command")),
                );
                Ok(stored.into_client())
            })
        })
        .await
}

/// Gives a confidential client a new secret; the old one stops working at once.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Invalid`] for a public client.
pub async fn new_secret(
    engine: &Engine,
    by: Option<&str>,
    id: &str,
) -> Result<Secret<String>, Error> {
    let secret = engine.new_token("att_cs");
    let hash = secret_hash(engine, secret.expose());
    let (at, by, id) = (engine.clone(), by.map(str::to_owned), id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, by, id) = (at.clone(), by.clone(), id.clone());
            Box::pin(async move {
                let stored = tx.client(&engine.keys, &id).await?.ok_or(Error::NotFound)?;
                if stored.client.kind == ClientKind::Public {
                    return Err(Error::Invalid("a public client has no secret".to_owned()));
                }
                if stored.client.embedded {
                    // It derives its own; another one would lock it out.
                    let why = "the embedded agent keeps its own secret".to_owned();
                    return Err(Error::Invalid(why));
                }
                tx.update_client(&engine.keys, &stored.client, Some(hash))
                    .await?;
                tx.record(
                    Event::new(Kind::ClientSecret)
                        .client(&id)
                        .data("by", by.as_deref().unwrap_or("command")),
                );
                Ok(())
            })
        })
        .await?;
    Ok(secret)
}
