//! Real processes of this test on one database, on time that goes ten times as
//! fast, for clocks and time-outs alike.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::clock::{Clock, SystemClock};
use domain::ids::{self, Rng as _, SystemRng};
use domain::keyring::StaticKey;
use domain::outbound::{self, Answer, Ask, GuardedOutbound, HttpOutbound, Outbound};
use domain::secret::Secret;
use domain::storage::Location;
use domain::testing::{self, ISSUER, PASSWORD, START};
use domain::vault::link::{self, FinishLink, StartLink};
use domain::vault::{Error, TokenKind, ahead, fresh_token, journal};
use domain::{Engine, Parts, Settings, StartError, identity};
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method};
use sandbox::{Client, Config, Control, Person, Provider, Rotation, Sandbox};
use url::Url;

use crate::stage::{REDIRECT, SESSION, connection, new_connection};

/// How much faster time goes.
pub const SPEED: i64 = 10;
/// How long an access token lives, in that time (seconds).
pub const LIFETIME_S: i64 = 60;
/// Longer than a lease is left alone, in real time (milliseconds).
pub const STOPPED_MS: u64 = 3_600;

/// Time that goes faster, the same for every process.
#[derive(Clone)]
pub struct Fast {
    pub real: Arc<SystemClock>,
    /// When it was [`START`], in real Unix milliseconds.
    pub started: i64,
}

impl Fast {
    pub fn since(started: i64) -> Self {
        Self {
            real: Arc::new(SystemClock::new()),
            started,
        }
    }

    /// Waits in real time.
    pub async fn pause(&self, millis: u64) {
        let millis = i64::try_from(millis).unwrap();
        let until = self.real.monotonic() + millis;
        self.real.sleep_until(until).await;
    }
}

impl Clock for Fast {
    fn now(&self) -> i64 {
        START + (self.real.now() - self.started) * SPEED
    }

    fn monotonic(&self) -> i64 {
        self.real.monotonic() * SPEED
    }

    fn sleep_until(&self, deadline: i64) -> BoxFuture<'static, ()> {
        self.real.sleep_until(deadline / SPEED + 1)
    }
}

/// An outward client whose time-outs are counted in that time.
struct Hurried(HttpOutbound);

#[async_trait::async_trait]
impl Outbound for Hurried {
    async fn send(&self, mut ask: Ask) -> Result<Answer, outbound::Error> {
        ask.timeout /= u32::try_from(SPEED).unwrap();
        self.0.send(ask).await
    }

    async fn open(&self, mut open: outbound::Open) -> Result<outbound::Opened, outbound::Error> {
        open.idle /= u32::try_from(SPEED).unwrap();
        self.0.open(open).await
    }
}

/// What the processes share: the database, and the folder of answers on disk.
#[derive(Clone)]
pub struct Shared {
    pub location: Location,
    pub journal: PathBuf,
}

/// An engine of a process.
pub async fn start(shared: &Shared, clock: &Fast, instance: &str) -> Result<Engine, StartError> {
    let rng = Arc::new(SystemRng);
    let parts = Parts {
        database: shared.location.clone(),
        clock: Arc::new(clock.clone()),
        rng: rng.clone(),
        outbound: Arc::new(Hurried(HttpOutbound::new().unwrap())),
        guarded: Arc::new(GuardedOutbound::new(true).unwrap()),
        settings: Settings {
            instance: instance.to_owned(),
            rotate_keys_days: 0,
            journal: Some(shared.journal.clone()),
            ..testing::settings(ISSUER)
        },
    };
    // The key of the benches.
    Engine::start(parts, |_| {
        Ok(Arc::new(StaticKey::new(Secret::new([7; 32]), rng)))
    })
    .await
}

pub fn dice(sides: u64) -> u64 {
    let mut bytes = [0; 8];
    SystemRng.fill(&mut bytes);
    u64::from_be_bytes(bytes) % sides
}

/// One process: asks for a token of every account, again and again, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "an instance that the stories start"]
async fn an_instance_under_load() {
    let Ok(started) = std::env::var("INSTANCE_STARTED") else {
        return;
    };
    let location = std::env::var("INSTANCE_DATABASE").unwrap();
    let shared = Shared {
        location: if location.starts_with("postgres") {
            Location::Postgres(location)
        } else {
            Location::Sqlite(location.into())
        },
        journal: std::env::var_os("INSTANCE_JOURNAL").unwrap().into(),
    };
    let clock = Fast::since(started.parse().unwrap());
    let name = ids::id("run", clock.now(), &SystemRng);
    let engine = loop {
        match start(&shared, &clock, &name).await {
            Ok(engine) => break engine,
            // The database may be away.
            Err(_) => clock.pause(100).await,
        }
    };
    for account in std::env::var("INSTANCE_ACCOUNTS").unwrap().split(',') {
        let (engine, clock, account) = (engine.clone(), clock.clone(), account.to_owned());
        tokio::spawn(async move {
            loop {
                clock.pause(500 + dice(1_000)).await;
                // What became of it is seen at the end.
                let _ = fresh_token(&engine, &account, TokenKind::User).await;
            }
        });
    }
    loop {
        clock.pause(100).await;
        let _ = journal::replay(&engine).await;
        let _ = ahead::run_due(&engine, 50).await;
    }
}

/// A process, killed when it is dropped.
pub struct Instance(Child);

impl Instance {
    pub fn start(shared: &Shared, clock: &Fast, accounts: &str) -> Self {
        let database = match &shared.location {
            Location::Postgres(url) => url.clone(),
            Location::Sqlite(path) => path.display().to_string(),
        };
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "instances::an_instance_under_load"])
            .env("INSTANCE_STARTED", clock.started.to_string())
            .env("INSTANCE_DATABASE", database)
            .env("INSTANCE_JOURNAL", &shared.journal)
            .env("INSTANCE_ACCOUNTS", accounts)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    pub fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.0.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.unwrap().success(), "{kill}");
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SIGKILL, which ends a stopped process as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Somebody here links their account at the provider.
pub async fn link(engine: &Engine, email: &str) -> String {
    let new = identity::NewPerson {
        email: email.to_owned(),
        name: email.to_owned(),
        password: PASSWORD.into(),
        role: identity::Role::Person,
    };
    let person = identity::create(engine, new).await.unwrap();
    let ask = StartLink {
        person_id: person.id.clone(),
        session_id: SESSION.to_owned(),
        connection: connection(Provider::Google).to_owned(),
        client: None,
        return_to: "/accounts".to_owned(),
        redirect_uri: REDIRECT.to_owned(),
    };
    let page = link::start(engine, ask).await.unwrap();
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let click = Ask {
        method: Method::POST,
        url: page,
        headers: HeaderMap::from_iter([(http::header::CONTENT_TYPE, form)]),
        body: Bytes::from(format!("email={email}")),
        timeout: Duration::from_secs(100),
        limit: 100_000,
    };
    let away = engine.outbound.send(click).await.unwrap();
    let back = Url::parse(away.headers["location"].to_str().unwrap()).unwrap();
    let value = |name: &str| {
        let pair = back.query_pairs().find(|(key, _)| key == name);
        pair.unwrap().1.into_owned()
    };
    let finish = FinishLink {
        person_id: person.id,
        session_id: SESSION.to_owned(),
        state: value("state"),
        answer: Ok(Secret::new(value("code"))),
        iss: None,
    };
    link::finish(engine, finish).await.unwrap().account.id
}

pub async fn provider(clock: &Fast, people: &[String]) -> Sandbox {
    let clock = clock.clone();
    let mut config = Config::new(
        Arc::new(move || clock.now()),
        Arc::new(|buffer: &mut [u8]| SystemRng.fill(buffer)),
    );
    config.people = people
        .iter()
        .map(|email| Person::new(email, email))
        .collect();
    config.google_rotation = Rotation::Strict;
    config.log_limit = 1_000_000;
    let new = new_connection(Provider::Google, "http://127.0.0.1:1");
    let secret = new.client_secret.expose();
    config.clients = vec![Client::new(
        Provider::Google,
        &new.client_id,
        secret,
        [REDIRECT],
    )];
    Sandbox::start(config).await.unwrap()
}

/// Whether the grant is alive, once nothing of the processes is under way.
pub async fn is_alive(engine: &Engine, clock: &Fast, account: &str) -> bool {
    for _ in 0..200 {
        match fresh_token(engine, account, TokenKind::User).await {
            Ok(_) => return true,
            Err(Error::Reconnect { .. }) => return false,
            Err(Error::ProviderDown { .. }) => clock.pause(200).await,
            Err(error) => panic!("{account}: {error}"),
        }
    }
    panic!("{account} comes to no end");
}

pub async fn number(engine: &Engine, sql: &'static str, account: &str) -> i64 {
    let mut rx = engine.store.reader().await.unwrap();
    let row = rx.optional(sql, vec![account.into()]).await.unwrap();
    row.unwrap().get("n").unwrap()
}

/// How many refresh tokens the provider gave out for this person.
pub fn issued_to(control: &Control, email: &str) -> i64 {
    let issued = control.issued_tokens();
    let refresh = issued
        .iter()
        .filter(|one| one.kind == sandbox::TokenKind::Refresh && one.email == email);
    i64::try_from(refresh.count()).unwrap()
}

/// How many answers wait on disk.
pub fn on_disk(journal: &Path) -> usize {
    let Ok(files) = std::fs::read_dir(journal) else {
        return 0;
    };
    files
        .filter(|file| {
            let name = file.as_ref().unwrap().file_name();
            !name.to_str().unwrap().starts_with('.')
        })
        .count()
}
