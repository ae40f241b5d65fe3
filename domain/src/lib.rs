//! The rules of Attorn and their SQL. This crate knows no axum, no Leptos, no
//! request: the door (`server`) turns requests into typed asks, calls one verb
//! here, and turns the answer into its own wire words.
//!
//! The rooms, and what each keeps:
//! - [`identity`]: people, passwords, sessions.
//! - [`oauth`]: clients, consents, our own tokens, one file per grant.
//! - [`vault`]: connections, accounts, provider grants, permissions, the proxy.
//! - [`approval`]: the CIBA state machine, decisions, exact calls.
//! - [`agent`]: the embedded agent: planner, tools, runs.
//! - [`audit`]: events, the tree, verification.
//!
//! The ground floor: [`clock`], [`ids`], [`secret`], [`outbound`], [`storage`],
//! [`keyring`]. No room reads another's tables; one verb is one atomic write
//! and its events.

pub mod adoption;
pub mod agent;
pub mod approval;
pub mod audit;
pub mod clock;
mod due;
pub mod identity;
pub mod ids;
pub mod keyring;
pub mod limits;
pub mod oauth;
pub mod outbound;
pub mod pace;
pub mod rotation;
pub mod secret;
pub mod storage;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod vault;

use std::ops::Deref;
use std::sync::Arc;

use clock::Clock;
use ids::Rng;
use keyring::{KeySet, Keyring};
use outbound::Outbound;
use secret::Secret;
use storage::{Ground, Location, Store};

/// What a deployment decides.
#[derive(Clone)]
pub struct Settings {
    /// The issuer, `https://{domain}/` with the final slash.
    pub issuer: String,
    /// The name this instance uses in leases; unique among instances.
    pub instance: String,
    /// Who may register clients by themselves.
    pub registration: oauth::RegistrationPolicy,
    /// How often is too often.
    pub quotas: limits::Quotas,
    /// Where answers of providers wait on disk while the database is away;
    /// `None` keeps them in memory alone.
    pub journal: Option<std::path::PathBuf>,
    /// Other OpenID providers that people may sign in with.
    pub sign_in: Vec<identity::upstream::Upstream>,
    /// After how many days the keys of tokens give way to new ones; 0 is never.
    pub rotate_keys_days: u32,
    /// Whose approvals of weight need a passkey.
    pub passkey_policy: approval::PasskeyPolicy,
    /// Policies of the configuration file; [`approval::policies::configured`] makes them.
    pub policies: Vec<approval::policies::Policy>,
    /// Where operators of push services may write to: `mailto:` or `https:`.
    pub push_contact: String,
    /// Who takes our mail, if anybody does.
    pub mail: Option<approval::channels::MailServer>,
}

impl Settings {
    /// An address below the issuer; `path` has no leading slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// Audience of `/me/`.
    #[must_use]
    pub fn me_audience(&self) -> String {
        self.url("me/")
    }

    /// Audience of the proxy.
    #[must_use]
    pub fn proxy_audience(&self) -> String {
        self.url("proxy")
    }
}

/// Everything a verb needs, handed in. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

/// The parts of an [`Engine`].
pub struct Inner {
    /// The database.
    pub store: Store,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// The outward client, for addresses of our own configuration.
    pub outbound: Arc<dyn Outbound>,
    /// The guarded one, for addresses that somebody else named.
    pub guarded: Arc<dyn Outbound>,
    /// Keys.
    pub keys: Keyring,
    /// What this deployment decided.
    pub settings: Settings,
    /// The authorization server's memory: clients and their keys.
    pub oauth: oauth::Memory,
    /// The approvals' memory: requests that nobody has decided.
    pub approvals: approval::Memory,
    /// The people's memory: who is who, and wrong passwords of late.
    pub people: identity::Memory,
    /// The vault's memory: refreshes under way, connections.
    pub vault: vault::Memory,
    /// Who may poll when.
    pub paces: pace::Paces,
    /// Who may do what how often.
    pub limits: limits::Limits,
    /// Whether this database is the original, or took its place.
    pub adoption: adoption::Adoption,
    /// Whose turn it is to wrap keys anew.
    pub rotation: rotation::Turn,
}

/// What it takes to start an engine.
pub struct Parts {
    /// Where the data lies.
    pub database: Location,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// The outward client, for addresses of our own configuration.
    pub outbound: Arc<dyn Outbound>,
    /// The guarded one, for addresses that somebody else named.
    pub guarded: Arc<dyn Outbound>,
    /// What the deployment decided.
    pub settings: Settings,
}

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] keyring::Error),
}

impl Engine {
    /// Opens the database and the keys. `kek` is called once the database is
    /// open, with whether it is new: only then may a key be created.
    ///
    /// # Errors
    /// When the database or the keys cannot be opened; the sentence says why.
    pub async fn start<F, K>(parts: Parts, kek: F) -> Result<Self, StartError>
    where
        F: FnOnce(bool) -> Result<K, keyring::Error>,
        K: Into<KeySet>,
    {
        let Parts {
            database,
            clock,
            rng,
            outbound,
            guarded,
            settings,
        } = parts;
        let ground = Ground::new(clock.clone(), rng.clone());
        let store = Store::open(&database, ground.clone()).await?;
        let set = kek(Keyring::is_new(&store).await?)?.into();
        let keys = Keyring::open(&store, set, &*rng).await?;
        rotation::check(&store, &keys).await?;
        let adoption = adoption::Adoption::open(&store, &keys).await?;
        ground.set_deployment(keys.deployment_id());
        let limits = limits::Limits::new(clock.clone(), &settings.quotas);
        Ok(Self(Arc::new(Inner {
            clock,
            rng,
            outbound,
            guarded,
            keys,
            settings,
            oauth: oauth::Memory::new(store.feed()),
            approvals: approval::Memory::new(store.feed()),
            people: identity::Memory::new(store.feed()),
            store,
            vault: vault::Memory::default(),
            paces: pace::Paces::default(),
            limits,
            adoption,
            rotation: rotation::Turn::default(),
        })))
    }

    /// Wall time in Unix milliseconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    /// A new token of ours with this prefix.
    #[must_use]
    pub fn new_token(&self, prefix: &str) -> Secret<String> {
        ids::token(prefix, &*self.rng)
    }
}

impl Deref for Engine {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
