//! Real processes on one database, under load, against a provider that rotates
//! strictly: killed with `kill -9` and stopped for longer than a lease at random
//! moments. What is lost is exactly what was lost in flight.
//!
//! Time goes ten times as fast, for clocks and time-outs alike. A minute is run;
//! `ATTORN_TEST_CRASH_SECONDS=600` runs ten.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::clock::{Clock, SystemClock};
use domain::ids::{self, Rng as _, SystemRng};
use domain::keyring::StaticKey;
use domain::limits::Quotas;
use domain::outbound::{self, Answer, Ask, GuardedOutbound, HttpOutbound, Outbound};
use domain::secret::Secret;
use domain::storage::Location;
use domain::testing::{Bench, ISSUER, PASSWORD, START};
use domain::vault::connections;
use domain::vault::link::{self, FinishLink, StartLink};
use domain::vault::{Error, TokenKind, ahead, fresh_token};
use domain::{Engine, Parts, Settings, identity, oauth};
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method};
use sandbox::{Client, Config, Control, Fault, Person, Provider, Rotation, Sandbox, Target, Times};
use url::Url;

use crate::stage::{REDIRECT, SESSION, connection, new_connection};

/// How much faster time goes.
const SPEED: i64 = 10;
/// How long an access token lives, in that time (seconds).
const LIFETIME_S: i64 = 60;
/// Longer than a lease is left alone, in real time (milliseconds).
const STOPPED_MS: u64 = 3_600;

/// Time that goes faster, the same for every process.
#[derive(Clone)]
struct Fast {
    real: Arc<SystemClock>,
    /// When it was [`START`], in real Unix milliseconds.
    started: i64,
}

impl Fast {
    fn since(started: i64) -> Self {
        Self {
            real: Arc::new(SystemClock::new()),
            started,
        }
    }

    /// Waits in real time.
    async fn pause(&self, millis: u64) {
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

async fn engine(location: Location, clock: &Fast, instance: &str) -> Engine {
    let rng = Arc::new(SystemRng);
    let parts = Parts {
        database: location,
        clock: Arc::new(clock.clone()),
        rng: rng.clone(),
        outbound: Arc::new(Hurried(HttpOutbound::new().unwrap())),
        guarded: Arc::new(GuardedOutbound::new(true).unwrap()),
        settings: Settings {
            issuer: ISSUER.to_owned(),
            instance: instance.to_owned(),
            registration: oauth::RegistrationPolicy::Off,
            quotas: Quotas::default(),
            rotate_keys_days: 0,
            passkey_policy: domain::approval::PasskeyPolicy::Enrolled,
            policies: Vec::new(),
            push_contact: String::new(),
            sign_in: Vec::new(),
        },
    };
    // The key of the benches.
    Engine::start(parts, |_| {
        Ok(Arc::new(StaticKey::new(Secret::new([7; 32]), rng)))
    })
    .await
    .unwrap()
}

fn dice(sides: u64) -> u64 {
    let mut bytes = [0; 8];
    SystemRng.fill(&mut bytes);
    u64::from_be_bytes(bytes) % sides
}

/// One process: asks for a token of every account, again and again, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "an instance that the story below starts"]
async fn an_instance_under_load() {
    let Ok(started) = std::env::var("INSTANCE_STARTED") else {
        return;
    };
    let location = std::env::var("INSTANCE_DATABASE").unwrap();
    let location = if location.starts_with("postgres") {
        Location::Postgres(location)
    } else {
        Location::Sqlite(location.into())
    };
    let clock = Fast::since(started.parse().unwrap());
    let name = ids::id("run", clock.now(), &SystemRng);
    let engine = engine(location, &clock, &name).await;
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
        clock.pause(500).await;
        let _ = ahead::run_due(&engine, 50).await;
    }
}

/// A process, killed when it is dropped.
struct Instance(Child);

impl Instance {
    fn start(location: &Location, clock: &Fast, accounts: &str) -> Self {
        let database = match location {
            Location::Postgres(url) => url.clone(),
            Location::Sqlite(path) => path.display().to_string(),
        };
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "processes::an_instance_under_load"])
            .env("INSTANCE_STARTED", clock.started.to_string())
            .env("INSTANCE_DATABASE", database)
            .env("INSTANCE_ACCOUNTS", accounts)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn signal(&self, signal: &str) {
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
async fn link(engine: &Engine, email: &str) -> String {
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

async fn provider(clock: &Fast, people: &[String]) -> Sandbox {
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
async fn is_alive(engine: &Engine, clock: &Fast, account: &str) -> bool {
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

async fn number(engine: &Engine, sql: &'static str, account: &str) -> i64 {
    let mut rx = engine.store.reader().await.unwrap();
    let row = rx.optional(sql, vec![account.into()]).await.unwrap();
    row.unwrap().get("n").unwrap()
}

/// Refresh tokens that were presented more than once.
fn presented_again(control: &Control) -> BTreeSet<String> {
    let mut once = BTreeSet::new();
    control
        .requests(Provider::Google)
        .iter()
        .filter(|request| request.grant_type.as_deref() == Some("refresh_token"))
        .filter_map(|request| request.field("refresh_token"))
        .filter(|token| !once.insert(token.clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_are_killed_and_stopped_lose_only_what_was_in_flight() {
    let seconds: u64 = std::env::var("ATTORN_TEST_CRASH_SECONDS")
        .map_or(60, |text| text.parse().expect("a number of seconds"));
    let clock = Fast::since(SystemClock::new().now());
    let people: Vec<String> = (0..(seconds / 2).clamp(20, 200))
        .map(|number| format!("p{number}@example.com"))
        .collect();
    let sandbox = provider(&clock, &people).await;
    let control = sandbox.control();
    control.set_lifetime(Provider::Google, LIFETIME_S);

    let bench = Bench::new().await;
    let location = bench.location().clone();
    // The folder stays; the engine gives way to others.
    let Bench { engine: old, .. } = bench;
    let shared = old.store.is_shared();
    old.store.close().await;
    drop(old);
    let setting_up = engine(location.clone(), &clock, "setting-up").await;
    let base = format!("{}/google", sandbox.url());
    connections::put(&setting_up, new_connection(Provider::Google, &base))
        .await
        .unwrap();
    let mut accounts = BTreeMap::new();
    for email in &people {
        accounts.insert(email.clone(), link(&setting_up, email).await);
    }
    setting_up.store.close().await;
    drop(setting_up);

    // Answers take their time, so that something is always in flight.
    let slow = Fault::SlowAnswer { ms: 60 };
    control.set_fault_on(Provider::Google, Target::Refresh, slow, Times::Always);
    let ids: Vec<&str> = accounts.values().map(String::as_str).collect();
    let start = || Instance::start(&location, &clock, &ids.join(","));
    // A SQLite file has one owner.
    let mut instances: Vec<Instance> = (0..if shared { 3 } else { 1 }).map(|_| start()).collect();
    let (mut kills, mut stops) = (0, 0);
    let until = clock.real.now() + i64::try_from(seconds).unwrap() * 1000;
    clock.pause(2_000).await;
    while clock.real.now() < until {
        let which = usize::try_from(dice(instances.len() as u64)).unwrap();
        if shared && dice(3) == 0 {
            instances[which].signal("STOP");
            clock.pause(STOPPED_MS + dice(2_000)).await;
            instances[which].signal("CONT");
            stops += 1;
        } else {
            // One after the other: both may not have the file.
            drop(instances.remove(which));
            instances.push(start());
            kills += 1;
        }
        // Alone, a process has to live for long enough to take over from the one before.
        let alive = if shared { 300 } else { STOPPED_MS };
        clock.pause(alive + dice(1_000)).await;
    }
    instances.clear();
    control.clear();
    // Whatever was released has run out: everything has to be asked for again.
    clock
        .pause(u64::try_from(LIFETIME_S * 1000 / SPEED).unwrap() + 500)
        .await;

    let engine = engine(location.clone(), &clock, "judge").await;
    let again = presented_again(&control);
    let judged = accounts.iter().map(|(email, account)| {
        let (engine, clock) = (&engine, &clock);
        async move { (email, account, is_alive(engine, clock, account).await) }
    });
    let mut lost = BTreeSet::new();
    let (mut in_flight, mut late, mut answers) = (0, 0, 0);
    let issued = control.issued_tokens();
    for (email, account, alive) in futures::future::join_all(judged).await {
        let issued = issued_to(&control, email);
        let stored = number(
            &engine,
            "select epoch as n from provider_grants where account_id = $1",
            account,
        )
        .await;
        answers += stored - 1;
        let missing = issued - stored;
        if alive {
            assert_eq!(
                missing, 0,
                "{email} lives, with an answer that nobody stored"
            );
            continue;
        }
        lost.insert(email.clone());
        // Stored only after somebody else had written down to ask again: its
        // holder was stopped for longer than anybody waits.
        let stored_late = number(
            &engine,
            "select count(*) as n from refresh_candidates c join refresh_intents i on i.account_id = c.account_id \
             and i.parent_hash = c.parent_hash and i.holder <> c.holder and i.started_at <= c.created_at \
             where c.account_id = $1",
            account,
        )
        .await;
        // Sent late: its holder was stopped between looking at the clock and
        // sending, and somebody else had waited, asked and stored by then.
        let sent_late = number(
            &engine,
            "select count(*) as n from refresh_intents i join refresh_intents j on j.account_id = i.account_id \
             and j.parent_hash = i.parent_hash and j.holder <> i.holder and j.started_at >= i.started_at + 30000 \
             where i.account_id = $1 and i.outcome = 'unknown' and j.outcome = 'stored'",
            account,
        )
        .await;
        if missing == 1 {
            in_flight += 1;
        } else {
            assert!(
                missing == 0 && stops > 0 && stored_late + sent_late > 0,
                "{email}: {missing} {stored_late} {sent_late}"
            );
            late += 1;
        }
    }
    // A refresh token is presented again only where its answer was lost.
    for one in issued {
        if again.contains(&one.token) {
            assert!(
                lost.contains(&one.email),
                "{} was asked for twice",
                one.email
            );
        }
    }
    eprintln!(
        "{} grants, {answers} refreshes, {kills} kills, {stops} stops: {} lost, {in_flight} of them \
         in flight to a process that died, {late} to one that was stopped for too long",
        accounts.len(),
        lost.len(),
    );
    assert!(kills > 0 && (stops > 0 || !shared));
    let expected = i64::try_from(seconds).unwrap();
    assert!(answers > expected, "there was hardly any load: {answers}");
    engine.store.close().await;
}

/// How many refresh tokens the provider gave out for this person.
fn issued_to(control: &Control, email: &str) -> i64 {
    let issued = control.issued_tokens();
    let refresh = issued
        .iter()
        .filter(|one| one.kind == sandbox::TokenKind::Refresh && one.email == email);
    i64::try_from(refresh.count()).unwrap()
}
