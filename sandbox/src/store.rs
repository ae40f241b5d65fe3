//! Everything the sandbox remembers, and what it was started with.

mod tokens;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::{Client, Clock, Config, Person, Provider, Randomness, Rotation};
use crate::control::{Bar, Recorded, counted_as};
use crate::faults::{Armed, Fault, Struck, Target, Times};
use crate::wire::{Ask, Call};
use crate::{google, salesforce, slack};

use tokens::{Access, Refresh};
pub(crate) use tokens::{Bearer, Code, Family, Holder, Refused};

/// How long an authorization code lives, in milliseconds (RFC 6749 §4.1.2 recommends ten minutes at most).
pub(crate) const CODE_LIFETIME_MS: i64 = 10 * 60 * 1000;

pub(crate) type Shared = Arc<Inner>;

pub(crate) struct Inner {
    pub url: String,
    pub people: Vec<Person>,
    clock: Clock,
    random: Randomness,
    serial: AtomicU64,
    state: Mutex<State>,
}

impl Inner {
    pub fn new(url: String, config: Config) -> Inner {
        let now = (config.clock)();
        let service = |rotation, lifetime_seconds| Service {
            rotation,
            lifetime_seconds,
        };
        let state = State {
            clients: config.clients,
            services: [
                service(config.slack_rotation, 43_200),
                service(config.google_rotation, 3_599),
                service(config.salesforce_rotation, 7_200),
            ],
            rotations: HashMap::new(),
            emails: config
                .people
                .iter()
                .map(|person| person.email.clone())
                .collect(),
            consents: HashMap::new(),
            codes: HashMap::new(),
            families: Vec::new(),
            refresh: HashMap::new(),
            access: HashMap::new(),
            issued: Vec::new(),
            armed: Vec::new(),
            gates: Vec::new(),
            log: VecDeque::new(),
            log_limit: config.log_limit,
            token_calls: HashMap::new(),
            slack: slack::Workspace::seeded(now),
            google: google::Data::seeded(now, &config.people),
            salesforce: salesforce::Org::seeded(now),
        };
        Inner {
            url,
            people: config.people,
            clock: config.clock,
            random: config.random,
            serial: AtomicU64::new(1),
            state: Mutex::new(state),
        }
    }

    /// The state; a handler that panicked while holding it does not take the sandbox down.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unix milliseconds.
    pub fn now(&self) -> i64 {
        (self.clock)()
    }

    pub fn base(&self, provider: Provider) -> String {
        format!("{}/{provider}", self.url)
    }

    /// A number that is never given twice.
    pub fn serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// A token text: the prefix, 18 random bytes, and a serial, so that it is unique even when the
    /// randomness handed in is not random at all.
    pub fn token(&self, prefix: &str) -> String {
        let mut bytes = [0; 18];
        (self.random)(&mut bytes);
        let random: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{prefix}{random}{:x}", self.serial())
    }

    pub fn person(&self, email: &str) -> Option<usize> {
        self.people
            .iter()
            .position(|person| person.email.eq_ignore_ascii_case(email))
    }

    /// Who an identity answer speaks of: the person, or a stranger under `changed-identity`.
    pub fn identity(&self, person: usize, faults: &Struck) -> Identity {
        if faults.has(Fault::ChangedIdentity) {
            let (email, name) = ("stranger@example.com".into(), "A Stranger".into());
            return Identity {
                number: 900,
                email,
                name,
            };
        }
        let Person { email, name, .. } = self.people[person].clone();
        Identity {
            number: person + 1,
            email,
            name,
        }
    }
}

/// Who somebody is; each lookalike makes its own ids out of the number.
pub(crate) struct Identity {
    pub number: usize,
    pub email: String,
    pub name: String,
}

impl Identity {
    /// The part of the address before the @.
    pub fn handle(&self) -> &str {
        self.email.split('@').next().unwrap_or_default()
    }

    /// First and last name.
    pub fn names(&self) -> (&str, &str) {
        self.name.split_once(' ').unwrap_or((&self.name, ""))
    }
}

/// What kind of secret an [`Issued`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Code,
    Access,
    Refresh,
    Id,
}

/// A secret that the sandbox once gave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    pub provider: Provider,
    pub kind: TokenKind,
    /// Whose it is.
    pub email: String,
    pub token: String,
}

pub(crate) struct Service {
    pub rotation: Rotation,
    pub lifetime_seconds: i64,
}

pub(crate) struct State {
    pub clients: Vec<Client>,
    services: [Service; 3],
    /// Rules of single clients, where they are not the service's.
    pub rotations: HashMap<(Provider, String), Rotation>,
    emails: Vec<String>,
    /// Scopes a person has allowed a client so far.
    pub consents: HashMap<(Provider, usize, String), Vec<String>>,
    pub codes: HashMap<(Provider, String), Code>,
    families: Vec<Family>,
    refresh: HashMap<(Provider, String), Refresh>,
    access: HashMap<(Provider, String), Access>,
    pub issued: Vec<Issued>,
    pub armed: Vec<Armed>,
    pub gates: Vec<(Provider, Target, Arc<Bar>)>,
    pub log: VecDeque<(Option<Provider>, Recorded)>,
    log_limit: usize,
    pub token_calls: HashMap<(Provider, String), usize>,
    pub slack: slack::Workspace,
    pub google: google::Data,
    pub salesforce: salesforce::Org,
}

impl State {
    pub fn service(&mut self, provider: Provider) -> &mut Service {
        &mut self.services[provider as usize]
    }

    /// What a refresh does for this client: its own rule, or the service's.
    pub fn rotation(&self, provider: Provider, client_id: &str) -> Rotation {
        let own = self.rotations.get(&(provider, client_id.to_owned()));
        own.copied()
            .unwrap_or(self.services[provider as usize].rotation)
    }

    // The door.

    pub fn record(&mut self, provider: Option<Provider>, call: Call, recorded: Recorded) {
        if let Some(provider) = provider
            && let Some(grant_type) = counted_as(call, recorded.grant_type.as_deref())
        {
            *self.token_calls.entry((provider, grant_type)).or_default() += 1;
        }
        if self.log.len() >= self.log_limit {
            self.log.pop_front();
        }
        self.log.push_back((provider, recorded));
    }

    /// The client behind a request, as far as it says so: by credentials, or by the token's family.
    pub fn client_of(&self, provider: Provider, call: Call, ask: &Ask) -> Option<String> {
        match call {
            Call::Page => None,
            Call::Consent => ask.query.get("client_id").map(str::to_owned),
            _ => {
                let by_token = ask
                    .credential()
                    .and_then(|token| self.family_of(provider, &token))
                    .map(|(family, _)| self.family(family).client_id.clone());
                ask.client_credentials().0.or(by_token)
            }
        }
    }

    /// Takes every armed fault that is meant for this call of this client.
    pub fn strike(&mut self, provider: Provider, call: Call, client: Option<&str>) -> Struck {
        let mut struck = Vec::new();
        self.armed.retain_mut(|armed| {
            if armed.times == Times::N(0) {
                return false;
            }
            let meant = armed.client.is_none() || armed.client.as_deref() == client;
            if armed.provider != provider || !armed.target.takes(call) || !meant {
                return true;
            }
            struck.push(armed.fault);
            match armed.times {
                Times::Once | Times::N(1) => false,
                Times::N(left) => {
                    armed.times = Times::N(left - 1);
                    true
                }
                Times::Always => true,
            }
        });
        Struck(struck)
    }

    pub fn gate(&mut self, provider: Provider, call: Call) -> Option<Arc<Bar>> {
        self.gates.retain(|(_, _, bar)| !bar.is_open());
        let meant = self
            .gates
            .iter()
            .find(|(p, target, _)| *p == provider && target.takes(call));
        meant.map(|(_, _, bar)| bar.clone())
    }
}
