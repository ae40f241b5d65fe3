//! What a sandbox is started with.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Gives the present time in Unix milliseconds. Tests wind it by hand.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Fills a buffer with random bytes. Tests seed it.
pub type Randomness = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// One of the three services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Provider {
    Slack,
    Google,
    Salesforce,
}

impl Provider {
    pub const ALL: [Provider; 3] = [Provider::Slack, Provider::Google, Provider::Salesforce];

    /// The lower-case name; also the first segment of the provider's URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Provider::Slack => "slack",
            Provider::Google => "google",
            Provider::Salesforce => "salesforce",
        }
    }

    /// The name a person knows it by.
    pub fn title(self) -> &'static str {
        match self {
            Provider::Slack => "Slack",
            Provider::Google => "Google",
            Provider::Salesforce => "Salesforce",
        }
    }

    pub(crate) fn of_path(path: &str) -> Option<Provider> {
        let first = path.strip_prefix('/')?.split('/').next()?;
        first.parse().ok()
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Provider::ALL
            .into_iter()
            .find(|provider| provider.as_str() == name)
            .ok_or_else(|| format!("no provider is called {name:?}"))
    }
}

/// Somebody who can sign in at all three services. Their ids there follow from their place in
/// [`Config::people`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub email: String,
    pub name: String,
    /// `false` for a decoy: they can sign in, and see no channel, no event, no mail, no opportunity.
    pub has_data: bool,
}

impl Person {
    pub fn new(email: &str, name: &str) -> Self {
        Person {
            email: email.into(),
            name: name.into(),
            has_data: true,
        }
    }

    pub fn decoy(email: &str, name: &str) -> Self {
        Person {
            has_data: false,
            ..Person::new(email, name)
        }
    }
}

/// An OAuth client (RFC 6749 §2) that one of the services knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub provider: Provider,
    pub client_id: String,
    pub client_secret: String,
    /// Shown on the consent page.
    pub name: String,
    /// Compared character by character, as RFC 9700 §2.1 asks.
    pub redirect_uris: Vec<String>,
}

impl Client {
    /// A client whose name on the consent page is its id; set `name` for another.
    pub fn new<U: Into<String>>(
        provider: Provider,
        client_id: &str,
        client_secret: &str,
        redirect_uris: impl IntoIterator<Item = U>,
    ) -> Self {
        Client {
            provider,
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            name: client_id.into(),
            redirect_uris: redirect_uris.into_iter().map(Into::into).collect(),
        }
    }
}

/// What a refresh does to the refresh token that was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It stays good and no new one is answered (Google; Salesforce unless switched on; for Slack
    /// it means that tokens neither expire nor come with a refresh token).
    Keeps,
    /// A new one is answered. The old one, presented again within the grace time, answers the same
    /// successor once more; later it is `invalid_grant`. With 0 it is spent at once.
    Rotates { grace_seconds: i64 },
    /// A new one is answered at each presentation, and the old one stays good beside it (Microsoft).
    OldStaysValid,
    /// A new one is answered; the old one presented again revokes the whole family (RFC 9700 §4.14.2).
    Strict,
    /// As `Rotates` within the grace time, and as `Strict` after it (Atlassian, Okta).
    StrictAfterGrace { grace_seconds: i64 },
}

/// Everything a [`crate::Sandbox`] is started with. Fields may be changed before starting.
#[derive(Clone)]
pub struct Config {
    /// Host name in the URLs handed out: `127.0.0.1` or `localhost`. The socket is always IPv4 loopback.
    pub host: String,
    /// 0 takes a free port.
    pub port: u16,
    pub clock: Clock,
    pub random: Randomness,
    /// The first one should be a decoy: whoever mixes people up then finds nothing instead of passing.
    pub people: Vec<Person>,
    pub clients: Vec<Client>,
    pub slack_rotation: Rotation,
    pub google_rotation: Rotation,
    pub salesforce_rotation: Rotation,
    /// How many requests are kept for `Control::requests`; older ones are dropped (counters stay right).
    pub log_limit: usize,
}

impl Config {
    /// The seeded people, no clients, and the given clock and randomness.
    pub fn new(clock: Clock, random: Randomness) -> Self {
        Config {
            host: "127.0.0.1".into(),
            port: 0,
            clock,
            random,
            people: vec![
                Person::decoy("nobody@example.com", "Nobody"),
                Person::new("ada@example.com", "Ada Lovelace"),
                Person::new("grace@example.com", "Grace Hopper"),
            ],
            clients: Vec::new(),
            slack_rotation: Rotation::Keeps,
            google_rotation: Rotation::Keeps,
            salesforce_rotation: Rotation::Keeps,
            log_limit: 20_000,
        }
    }

    /// The same on the machine's clock and random source.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the machine's clock; everything else is handed one"
    )]
    pub fn system() -> Self {
        let clock: Clock = Arc::new(|| {
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map(|since| since.as_millis() as i64)
                .unwrap_or_default()
        });
        let random: Randomness = Arc::new(|buffer| {
            getrandom::fill(buffer).expect("the operating system has a random source");
        });
        Config::new(clock, random)
    }
}

impl Default for Config {
    fn default() -> Self {
        Config::system()
    }
}
