//! Clients: programs registered to talk to us (RFC 6749 §2).

use serde::{Deserialize, Serialize};
use url::Url;

use super::error::OauthError;
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::ids;
use crate::secret::Secret;
use crate::storage;
use crate::vault::AccessMode;

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

/// A client to be.
pub struct NewClient {
    /// Its `client_id`; `None` makes one.
    pub id: Option<String>,
    /// What people read.
    pub name: String,
    /// Whether it can keep a secret.
    pub kind: ClientKind,
    /// Where codes may be sent.
    pub redirect_uris: Vec<String>,
    /// What it may ask at the token endpoint.
    pub grant_types: Vec<GrantType>,
    /// Scopes beyond the standard ones.
    pub scopes: Vec<String>,
    /// Audiences beyond our own.
    pub audiences: Vec<String>,
    /// The audience whose resource server it is.
    pub resource_audience: Option<String>,
    /// Whether its refresh tokens are replaced at every use; only a
    /// confidential client may opt out.
    pub rotate_refresh: bool,
    /// The mode it asks people for.
    pub access_mode: Option<AccessMode>,
    /// Whether it is the agent in this very process.
    pub embedded: bool,
    /// Where it comes from.
    pub source: Source,
    /// A secret from the configuration, at least 32 characters; `None` makes one.
    pub secret: Option<Secret<String>>,
}

impl NewClient {
    /// A confidential client for code, refresh, CIBA and exchange, with
    /// rotation; change what differs.
    #[must_use]
    pub fn confidential(name: &str, source: Source) -> Self {
        Self {
            id: None,
            name: name.to_owned(),
            kind: ClientKind::Confidential,
            redirect_uris: Vec::new(),
            grant_types: GrantType::ALL.to_vec(),
            scopes: Vec::new(),
            audiences: Vec::new(),
            resource_audience: None,
            rotate_refresh: true,
            access_mode: None,
            embedded: false,
            source,
            secret: None,
        }
    }
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

fn invalid<T>(sentence: impl Into<String>) -> Result<T, Error> {
    Err(Error::Invalid(sentence.into()))
}

/// Whether codes may ever be sent there (RFC 9700 §2.1, RFC 8252 §7).
fn check_redirect(text: &str) -> Result<(), Error> {
    let Ok(url) = Url::parse(text) else {
        return invalid(format!("{text} is not an absolute address"));
    };
    if text.contains('#') || !url.username().is_empty() || url.password().is_some() {
        return invalid(format!("{text} must have no fragment and no user"));
    }
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        "http" => invalid(format!("{text} must be https; http only on loopback")),
        // RFC 8252 §7.1: a private scheme is a domain name in reverse, so it has a dot.
        scheme if scheme.contains('.') => Ok(()),
        scheme => invalid(format!(
            "{text} has the scheme {scheme}, which no client may have"
        )),
    }
}

fn check(new: &NewClient) -> Result<(), Error> {
    let visible = |text: &str| {
        let length = text.chars().count();
        (1..=100).contains(&length) && !text.chars().any(char::is_control)
    };
    if !visible(new.name.trim()) {
        return invalid("a client's name has 1 to 100 characters");
    }
    if let Some(id) = &new.id {
        let right = (3..=100).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        // A subject of a token is a person or a client; the ids must never meet.
        if !right || id.starts_with("per_") {
            return invalid("a client id has 3 to 100 letters, digits, '-', '_' or '.'");
        }
    }
    for uri in &new.redirect_uris {
        check_redirect(uri)?;
    }
    let public = new.kind == ClientKind::Public;
    if public && !new.rotate_refresh {
        return invalid("only a confidential client may keep one refresh token");
    }
    if public && new.secret.is_some() {
        return invalid("a public client has no secret");
    }
    let needs_secret = [
        GrantType::ClientCredentials,
        GrantType::Ciba,
        GrantType::TokenExchange,
    ];
    if public
        && new
            .grant_types
            .iter()
            .any(|grant| needs_secret.contains(grant))
    {
        return invalid("a public client may only use authorization_code and refresh_token");
    }
    if public && new.resource_audience.is_some() {
        return invalid("a resource server must be a confidential client");
    }
    if let Some(secret) = &new.secret
        && secret.expose().len() < 32
    {
        return invalid("a client secret must be random and at least 32 characters long");
    }
    for audience in new.audiences.iter().chain(&new.resource_audience) {
        if Url::parse(audience).is_err() {
            return invalid(format!("the audience {audience} is not an absolute URI"));
        }
    }
    Ok(())
}

/// How a client's secret is kept: a keyed hash. It is random and long, so that
/// no slow hash is needed on the hot path.
pub(super) fn secret_hash(engine: &Engine, secret: &str) -> [u8; 32] {
    engine.keys.hash("client_secret", secret.as_bytes())
}

/// Registers a client. A confidential one has its secret in the answer, this
/// once and never again.
///
/// # Errors
/// [`Error::Invalid`] with a sentence, [`Error::Taken`], or storage's.
pub async fn register(
    engine: &Engine,
    new: NewClient,
) -> Result<(Client, Option<Secret<String>>), Error> {
    check(&new)?;
    let secret = match (new.kind, new.secret) {
        (ClientKind::Public, _) => None,
        (ClientKind::Confidential, Some(given)) => Some(given),
        (ClientKind::Confidential, None) => Some(engine.new_token("att_cs")),
    };
    let now = engine.now();
    let client = Client {
        id: new.id.unwrap_or_else(|| ids::id("cli", now, &*engine.rng)),
        name: new.name.trim().to_owned(),
        kind: new.kind,
        redirect_uris: new.redirect_uris,
        grant_types: new.grant_types,
        scopes: new.scopes,
        audiences: new.audiences,
        resource_audience: new.resource_audience,
        rotate_refresh: new.rotate_refresh,
        access_mode: new.access_mode,
        embedded: new.embedded,
        source: new.source,
        state: ClientState::Active,
        created_at: now,
    };
    let hash = secret
        .as_ref()
        .map(|secret| secret_hash(engine, secret.expose()));
    let (at, row) = (engine.clone(), client.clone());
    let done: Result<(), storage::Error> = engine
        .store
        .write(move |tx| {
            let (engine, client) = (at.clone(), row.clone());
            Box::pin(async move {
                tx.insert_client(&engine.keys, &client, hash).await?;
                tx.record(
                    Event::new(Kind::ClientCreated)
                        .client(&client.id)
                        .data("source", client.source.word())
                        .data("kind", client.kind.word()),
                );
                tx.signal(None, "client", &client.id);
                Ok(())
            })
        })
        .await;
    match done {
        Err(error) if error.is_unique_violation() => Err(Error::Taken),
        done => Ok(done.map(|()| (client, secret))?),
    }
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
    Ok(found.map(|stored| stored.client))
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
                stored.client.state = state;
                tx.update_client(&engine.keys, &stored.client, stored.secret_hash)
                    .await?;
                tx.record(
                    Event::new(Kind::ClientChanged)
                        .client(&id)
                        .data("state", state.word())
                        .data("by", by.as_deref().unwrap_or("command")),
                );
                tx.signal(None, "client", &id);
                Ok(stored.client)
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
                    return invalid("a public client has no secret");
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
