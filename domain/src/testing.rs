//! A bench for tests: an engine on a database of its own, a hand-wound clock,
//! randomness that repeats, and seeds.
//!
//! SQLite in a temporary folder; PostgreSQL where `ATTORN_TEST_DATABASE` is
//! `postgres` and `ATTORN_TEST_POSTGRES` an address of a server on which
//! databases may be created.

mod names;

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::Connection as _;
use tokio::sync::OnceCell;
use url::Url;

use crate::approval::PasskeyPolicy;
use crate::approval::channels::MailServer;
use crate::approval::policies::Policy;
use crate::clock::ManualClock;
use crate::identity::{self, NewPerson, Person, Role};
use crate::ids::{Rng, SeededRng};
use crate::keyring::{KeySet, StaticKey};
use crate::limits::Quotas;
use crate::oauth::{
    self, Client, NewClient, Params, Source, TokenAnswer, TokenRequest, access, authorize, clients,
    token,
};
use crate::outbound::{GuardedOutbound, HttpOutbound};
use crate::secret::Secret;
use crate::storage::Location;
use crate::{Engine, Parts, Settings, StartError};

pub use names::ScriptedNames;

/// Where the tests' time begins: 1 January 2027, 00:00 UTC.
pub const START: i64 = 1_798_761_600_000;
/// The password of every seeded person.
pub const PASSWORD: &str = "correct horse battery";
/// The issuer of the tests.
pub const ISSUER: &str = "https://attorn.test/";
/// A PKCE verifier.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// Its S256 challenge (RFC 7636, appendix B).
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An engine for one test, with what it needs around it.
pub struct Bench {
    /// The engine.
    pub engine: Engine,
    /// Its clock, which stands still until it is wound.
    pub clock: ManualClock,
    /// What names of others lead to, for the guarded client.
    pub names: ScriptedNames,
    location: Location,
    seed: u64,
    _folder: tempfile::TempDir,
}

impl Deref for Bench {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

/// Making an RSA key takes half a second: one database is prepared with its
/// keys, and every test gets a copy.
enum Template {
    /// The file's bytes.
    Sqlite(Vec<u8>),
    /// The database's name, and the server's address.
    Postgres(String, String),
}

static TEMPLATE: OnceCell<Template> = OnceCell::const_new();
static COUNT: AtomicU64 = AtomicU64::new(0);

async fn template() -> Template {
    let clock = ManualClock::at(START);
    if std::env::var("ATTORN_TEST_DATABASE").as_deref() != Ok("postgres") {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("attorn.db");
        let engine = engine(
            &Location::Sqlite(path.clone()),
            &clock,
            0,
            settings(ISSUER),
            &ScriptedNames::default(),
        )
        .await;
        forget_place(&engine).await;
        engine.store.close().await;
        return Template::Sqlite(std::fs::read(&path).expect("the template can be read"));
    }
    let server = std::env::var("ATTORN_TEST_POSTGRES")
        .expect("ATTORN_TEST_POSTGRES says where the test server is");
    let name = format!("attorn_test_{}_template", std::process::id());
    create(&server, &name, "template0").await;
    let engine = engine(
        &at(&server, &name),
        &clock,
        0,
        settings(ISSUER),
        &ScriptedNames::default(),
    )
    .await;
    forget_place(&engine).await;
    engine.store.close().await;
    Template::Postgres(name, server)
}

/// Every test's copy of the template is an original.
async fn forget_place(engine: &Engine) {
    let sql = "update deployment set place = null, place_mac = null, place_mac_key = null";
    engine
        .store
        .write(move |tx| Box::pin(async move { tx.execute(sql, vec![]).await }))
        .await
        .map_err(|error: crate::storage::Error| error)
        .expect("the template can be prepared");
}

fn at(server: &str, name: &str) -> Location {
    let mut url = Url::parse(server).expect("ATTORN_TEST_POSTGRES is an address");
    url.set_path(name);
    Location::Postgres(url.into())
}

async fn create(server: &str, name: &str, template: &str) {
    let mut connection = sqlx::PgConnection::connect(server)
        .await
        .expect("the test server answers");
    for sql in [
        format!("drop database if exists {name}"),
        format!("create database {name} template {template}"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .expect("a test database can be created");
    }
}

/// A database that nobody else has, with the key of every bench and no engine
/// yet; SQLite's is in this folder.
///
/// # Panics
/// When it cannot be made.
pub async fn database(folder: &Path) -> Location {
    match TEMPLATE.get_or_init(template).await {
        Template::Sqlite(bytes) => {
            let path = folder.join("attorn.db");
            std::fs::write(&path, bytes).expect("the template can be copied");
            Location::Sqlite(path)
        }
        Template::Postgres(template, server) => {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("attorn_test_{}_{number}", std::process::id());
            create(server, &name, template).await;
            at(server, &name)
        }
    }
}

/// What a bench decided: the mildest of everything, with this issuer.
#[must_use]
pub fn settings(issuer: &str) -> Settings {
    Settings {
        issuer: issuer.to_owned(),
        instance: String::new(),
        registration: oauth::RegistrationPolicy::Open,
        quotas: Quotas::default(),
        rotate_keys_days: 90,
        passkey_policy: PasskeyPolicy::Enrolled,
        policies: Vec::new(),
        push_contact: "mailto:ops@attorn.test".to_owned(),
        journal: None,
        sign_in: Vec::new(),
        mail: None,
    }
}

async fn engine(
    location: &Location,
    clock: &ManualClock,
    seed: u64,
    settings: Settings,
    names: &ScriptedNames,
) -> Engine {
    let (parts, rng) = parts(location, clock, seed, settings, names);
    Engine::start(parts, |_| Ok(key(7, &rng)))
        .await
        .expect("the engine starts")
}

/// A key-encryption key that tests know by one byte; that of every bench is 7.
#[must_use]
pub fn key(byte: u8, rng: &Arc<dyn Rng>) -> Arc<StaticKey> {
    Arc::new(StaticKey::new(Secret::new([byte; 32]), rng.clone()))
}

fn parts(
    location: &Location,
    clock: &ManualClock,
    seed: u64,
    settings: Settings,
    names: &ScriptedNames,
) -> (Parts, Arc<dyn Rng>) {
    let guarded = GuardedOutbound::with_names(true, Arc::new(names.clone()));
    let rng: Arc<dyn Rng> = Arc::new(SeededRng::new(seed));
    let parts = Parts {
        database: location.clone(),
        clock: Arc::new(clock.clone()),
        rng: rng.clone(),
        outbound: Arc::new(HttpOutbound::new().expect("an outward client can be made")),
        guarded: Arc::new(guarded.expect("an outward client can be made")),
        settings: Settings {
            instance: format!("test-{seed}"),
            ..settings
        },
    };
    (parts, rng)
}

impl Bench {
    /// A fresh database, time at [`START`], issuer [`ISSUER`].
    pub async fn new() -> Self {
        Self::with_issuer(ISSUER).await
    }

    /// As [`Bench::new`], with this issuer (final slash and all).
    pub async fn with_issuer(issuer: &str) -> Self {
        Self::with(issuer, |_| ()).await
    }

    /// As [`Bench::with_issuer`], with other settings than a bench has.
    pub async fn with(issuer: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings(issuer);
        change(&mut settings);
        Self::deciding(settings).await
    }

    /// As [`Bench::new`], where everybody needs a passkey for what is of weight.
    pub async fn with_passkeys_needed() -> Self {
        Self::with(ISSUER, |settings| {
            settings.passkey_policy = PasskeyPolicy::Always;
        })
        .await
    }

    /// As [`Bench::new`], with these policies in its configuration file.
    pub async fn with_policies(policies: Vec<Policy>) -> Self {
        Self::with(ISSUER, |settings| settings.policies = policies).await
    }

    /// As [`Bench::new`], with a server that takes mail.
    pub async fn with_mail(server: MailServer) -> Self {
        Self::with(ISSUER, |settings| settings.mail = Some(server)).await
    }

    async fn deciding(settings: Settings) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let settings = Settings {
            journal: Some(folder.path().join("answers")),
            ..settings
        };
        let location = database(folder.path()).await;
        let clock = ManualClock::at(START);
        let names = ScriptedNames::default();
        Self {
            engine: engine(&location, &clock, 1, settings, &names).await,
            clock,
            names,
            location,
            seed: 1,
            _folder: folder,
        }
    }

    /// Where the data lies, for another program to open. SQLite's has one owner:
    /// close this engine's store first.
    #[must_use]
    pub const fn location(&self) -> &Location {
        &self.location
    }

    /// Winds the clock.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Stops the engine and starts another on the same data, as a restart does.
    /// Nobody may hold a clone of the old engine: a SQLite file has one owner.
    pub async fn restart(self) -> Self {
        self.restart_with(|rng| key(7, rng).into())
            .await
            .expect("the engine starts")
    }

    /// As [`Bench::restart`], with these keys.
    ///
    /// # Errors
    /// When it does not start with them.
    pub async fn restart_with(
        self,
        keys: impl FnOnce(&Arc<dyn Rng>) -> KeySet,
    ) -> Result<Self, StartError> {
        let Self {
            engine: old,
            clock,
            names,
            location,
            seed,
            _folder,
        } = self;
        let settings = old.settings.clone();
        old.store.close().await;
        drop(old);
        let (parts, rng) = parts(&location, &clock, seed + 1, settings, &names);
        Ok(Self {
            engine: Engine::start(parts, |_| Ok(keys(&rng))).await?,
            clock,
            names,
            location,
            seed: seed + 1,
            _folder,
        })
    }

    /// Stops the engine, copies its database and starts both, as a staging
    /// clone or a restored snapshot is started: the original first.
    pub async fn copied(self) -> (Self, Self) {
        let settings = self.engine.settings.clone();
        let (clock, names, seed) = (self.clock.clone(), self.names.clone(), self.seed + 500);
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let Self { engine: old, .. } = &self;
        old.store.close().await;
        let location = match &self.location {
            Location::Sqlite(path) => {
                let copy = folder.path().join("attorn.db");
                std::fs::copy(path, &copy).expect("the database can be copied");
                Location::Sqlite(copy)
            }
            Location::Postgres(url) => {
                let server = std::env::var("ATTORN_TEST_POSTGRES").expect("it was asked before");
                let number = COUNT.fetch_add(1, Ordering::Relaxed);
                let name = format!("attorn_test_{}_{number}", std::process::id());
                let of = url.rsplit('/').next().expect("an address has a path");
                create(&server, &name, of).await;
                at(&server, &name)
            }
        };
        let original = self.restart().await;
        let copy = Self {
            engine: engine(&location, &clock, seed, settings, &names).await,
            clock,
            names,
            location,
            seed,
            _folder: folder,
        };
        (original, copy)
    }

    /// Another instance on the same database and clock; `None` on SQLite, whose
    /// file has one owner.
    pub async fn beside(&self) -> Option<Engine> {
        if !self.engine.store.is_shared() {
            return None;
        }
        let settings = self.engine.settings.clone();
        Some(
            engine(
                &self.location,
                &self.clock,
                self.seed + 1000,
                settings,
                &self.names,
            )
            .await,
        )
    }

    /// A person with [`PASSWORD`].
    pub async fn person(&self, email: &str) -> Person {
        self.somebody(email, Role::Person).await
    }

    /// An admin with [`PASSWORD`].
    pub async fn admin(&self, email: &str) -> Person {
        self.somebody(email, Role::Admin).await
    }

    async fn somebody(&self, email: &str, role: Role) -> Person {
        let new = NewPerson {
            email: email.to_owned(),
            name: email.split('@').next().unwrap_or("somebody").to_owned(),
            password: PASSWORD.into(),
            role,
        };
        identity::create(&self.engine, new)
            .await
            .expect("a person can be created")
    }

    /// A confidential client for every grant, with the redirect address
    /// `https://agent.test/callback`, and its secret.
    pub async fn client(&self, name: &str) -> (Client, Secret<String>) {
        let mut new = NewClient::confidential(name, Source::Command);
        new.redirect_uris = vec!["https://agent.test/callback".to_owned()];
        self.register(new).await
    }

    /// A client as described, and its secret.
    pub async fn register(&self, new: NewClient) -> (Client, Secret<String>) {
        let (client, secret) = clients::register(&self.engine, new)
            .await
            .expect("a client can be registered");
        (client, secret.unwrap_or_else(|| Secret::new(String::new())))
    }

    /// What a client has after the person allowed `scope`: the whole code flow.
    /// The client redirects to its first address.
    pub async fn tokens(&self, client: &Client, person: &Person, scope: &str) -> TokenAnswer {
        let code = self.code(client, person, scope).await;
        let request = TokenRequest::Code {
            code,
            redirect_uri: None,
            verifier: VERIFIER.into(),
            audience: None,
        };
        token::grant(&self.engine, request, client, None)
            .await
            .expect("a fresh code is redeemed")
    }

    /// A code for this scope, allowed by this person, for [`VERIFIER`].
    pub async fn code(&self, client: &Client, person: &Person, scope: &str) -> Secret<String> {
        let params = Params::new([
            ("response_type", "code"),
            ("client_id", &client.id),
            (
                "redirect_uri",
                client.redirect_uris.first().map_or("", String::as_str),
            ),
            ("scope", scope),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ])
        .expect("no parameter twice");
        let Ok(request) = authorize::check(&self.engine, &params).await else {
            panic!("the request is in order");
        };
        let to = oauth::allow(&self.engine, &person.id, self.now(), &request, Vec::new())
            .await
            .expect("the person may allow it");
        let code = to
            .query_pairs()
            .find(|(name, _)| name == "code")
            .map(|(_, code)| code.into_owned());
        Secret::new(code.expect("the answer has a code"))
    }

    /// An access token of no family, as the token endpoint would issue it.
    pub fn access_token(
        &self,
        client: &Client,
        person: Option<&Person>,
        audience: &str,
        scopes: &[&str],
    ) -> Secret<String> {
        self.approved_token(client, person, audience, scopes, None)
    }

    /// As [`Bench::access_token`], redeeming an approval (public id).
    pub fn approved_token(
        &self,
        client: &Client,
        person: Option<&Person>,
        audience: &str,
        scopes: &[&str],
        approval_id: Option<&str>,
    ) -> Secret<String> {
        let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let what = access::Issue {
            person_id: person.map(|person| person.id.as_str()),
            approval_id,
            ..access::Issue::new(&client.id, &scopes, audience)
        };
        access::issue(&self.engine, &what).expect("a token can be issued")
    }
}
