//! Configuration: one TOML file, every key also an environment variable.
//!
//! Unknown keys are refused in the file. The environment is looked up per
//! known key (`ATTORN_SERVER__LISTEN`); a variable that begins with `ATTORN_`
//! and has a section separator but names no key is warned about with the key
//! it may have meant.

mod policies;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

pub use policies::ConfiguredPolicy;

use domain::approval::PasskeyPolicy;
use domain::approval::channels::MailServer;
use domain::identity::upstream::Upstream;
use domain::limits::Quotas;
use domain::oauth::RegistrationPolicy;
use domain::secret::Secret;
use domain::storage::Location;
use domain::vault::discover::OpenidProvider;
use domain::vault::providers::Provider;
use serde::Deserialize;
use url::Url;

/// The whole configuration.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The door.
    pub server: Server,
    /// Where the data lies.
    pub database: Database,
    /// The vault's key.
    pub vault: Vault,
    /// The authorization server.
    pub oauth: Oauth,
    /// Calls to addresses that somebody else named.
    pub outbound: Outbound,
    /// How often is too often.
    pub limits: Quotas,
    /// The keys of tokens.
    pub keys: Keys,
    /// What people are asked.
    pub approvals: Approvals,
    /// Who takes our mail.
    pub mail: Mail,
    /// Logs.
    pub log: Log,
    /// Providers added to the catalogue, as `providers.toml` has them.
    pub providers: Vec<Provider>,
    /// OpenID providers added to the catalogue; the rest their issuers say.
    pub openid_providers: Vec<OpenidProvider>,
    /// Connections set up by configuration.
    pub connections: Vec<Connection>,
    /// Other OpenID providers that people may sign in with.
    pub sign_in: Vec<SignIn>,
}

/// `[server]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// The address people and agents use: the issuer. Scheme, host and port only.
    pub public_url: Url,
    /// Certificate chain, PEM.
    pub tls_cert: Option<PathBuf>,
    /// Private key, PEM.
    pub tls_key: Option<PathBuf>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Built client files; see `cargo xtask build`.
    pub site_root: Option<PathBuf>,
    /// Whether core dumps and looks into the program's memory are forbidden.
    /// Profilers and debuggers need them.
    pub private_memory: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            #[allow(clippy::expect_used, reason = "a constant")]
            public_url: Url::parse("http://localhost:8080/").expect("a constant address"),
            tls_cert: None,
            tls_key: None,
            trusted_proxies: Vec::new(),
            site_root: None,
            private_memory: true,
        }
    }
}

/// `[database]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `sqlite:PATH` or `postgres://…`.
    pub url: String,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: "sqlite:data/attorn.db".to_owned(),
        }
    }
}

/// `[vault]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vault {
    /// File with the key-encryption key; outside the data folder, mode 0600.
    pub key_file: PathBuf,
    /// The key itself, base64 of 32 bytes; only from the environment.
    #[serde(skip)]
    pub key: Option<Secret<String>>,
    /// Files with keys that gave way to this one, until a rotation is done.
    pub old_key_files: Vec<PathBuf>,
    /// Such keys themselves; only from the environment.
    #[serde(skip)]
    pub old_keys: Vec<Secret<String>>,
    /// Who has the key that wraps; the others named here only unwrap.
    pub provider: KeyProvider,
    /// A key of HashiCorp Vault's.
    pub transit: Option<Transit>,
    /// A key of AWS KMS's.
    pub aws_kms: Option<AwsKms>,
    /// Where answers of providers wait while the database is away; `answers` beside the
    /// database's file, or in the working folder.
    pub answers: Option<PathBuf>,
    /// How many unwrapped data keys of these two are kept in memory.
    pub data_keys_kept: usize,
    /// For how many seconds.
    pub data_keys_kept_seconds: u64,
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            key_file: PathBuf::from("attorn.key"),
            key: None,
            old_key_files: Vec::new(),
            old_keys: Vec::new(),
            provider: KeyProvider::default(),
            transit: None,
            aws_kms: None,
            answers: None,
            data_keys_kept: 10_000,
            data_keys_kept_seconds: 300,
        }
    }
}

/// Who has the key-encryption key.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum KeyProvider {
    /// A file, or the environment.
    #[default]
    File,
    /// HashiCorp Vault's Transit engine.
    Transit,
    /// AWS KMS.
    AwsKms,
}

/// `[vault.transit]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transit {
    /// Vault's address, `https://vault.example.com:8200`.
    pub address: Url,
    /// Where the engine is mounted.
    #[serde(default = "transit_mount")]
    pub mount: String,
    /// The key's name; its type must be an AEAD one.
    pub key: String,
    /// Vault's namespace, if it has them.
    #[serde(default)]
    pub namespace: Option<String>,
    /// A file with the token, read for every call; else `VAULT_TOKEN` of the environment.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

fn transit_mount() -> String {
    "transit".to_owned()
}

/// `[vault.aws_kms]`. Credentials come from `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsKms {
    /// Its region, `eu-central-1`.
    pub region: String,
    /// The key: id or ARN.
    pub key_id: String,
    /// Another address than the region's public one.
    #[serde(default)]
    pub endpoint: Option<Url>,
}

/// `[oauth]`
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Oauth {
    /// Who may register clients by themselves: `off`, `token` or `open`.
    pub registration: Registration,
    /// The initial access token for `token`; only from the environment.
    #[serde(skip)]
    pub registration_token: Option<Secret<String>>,
}

/// Who may register clients by themselves (RFC 7591 §3).
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Nobody: an admin does.
    #[default]
    Off,
    /// Who has the initial access token.
    Token,
    /// Anybody.
    Open,
}

impl std::str::FromStr for Registration {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "off" => Ok(Self::Off),
            "token" => Ok(Self::Token),
            "open" => Ok(Self::Open),
            _ => Err("must be off, token or open".to_owned()),
        }
    }
}

impl Oauth {
    /// As the rules know it. [`Config::load`] has seen to the token.
    #[must_use]
    pub fn policy(&self) -> RegistrationPolicy {
        match (self.registration, &self.registration_token) {
            (Registration::Open, _) => RegistrationPolicy::Open,
            (Registration::Token, Some(token)) => RegistrationPolicy::Token(token.clone()),
            (Registration::Token | Registration::Off, _) => RegistrationPolicy::Off,
        }
    }
}

/// `[keys]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// After how many days the keys of tokens give way to new ones; 0 is never.
    pub rotate_days: u32,
}

impl Default for Keys {
    fn default() -> Self {
        Self { rotate_days: 90 }
    }
}

/// `[approvals]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Approvals {
    /// Whose approvals of weight need a passkey: `enrolled` or `always`.
    #[serde(deserialize_with = "policy")]
    pub passkey: PasskeyPolicy,
    /// Where operators of push services may write to (RFC 8292 §2.1).
    pub push_contact: Option<String>,
    /// Policies that are changed only here.
    pub policies: Vec<ConfiguredPolicy>,
}

impl Default for Approvals {
    fn default() -> Self {
        Self {
            passkey: PasskeyPolicy::Enrolled,
            push_contact: None,
            policies: Vec::new(),
        }
    }
}

fn policy<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<PasskeyPolicy, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(serde::de::Error::custom)
}

impl Config {
    /// Where answers of providers wait while the database is away: as
    /// configured, or `answers` beside the database's file, or here.
    #[must_use]
    pub fn journal(&self) -> Option<PathBuf> {
        if self.vault.answers.is_some() {
            return self.vault.answers.clone();
        }
        let folder = match self.database.url.parse() {
            Ok(Location::Sqlite(path)) => path.parent()?.join("answers"),
            _ => PathBuf::from("answers"),
        };
        Some(folder)
    }

    /// Where operators of push services may write to: as configured, or the
    /// issuer, or, where that is no https address, nobody in particular.
    #[must_use]
    pub fn push_contact(&self) -> String {
        let issuer = &self.server.public_url;
        match &self.approvals.push_contact {
            Some(contact) => contact.clone(),
            None if issuer.scheme() == "https" => issuer.to_string(),
            None => "mailto:nobody@localhost".to_owned(),
        }
    }
}

/// `[mail]`
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// Who writes: `Attorn <attorn@example.com>`.
    pub from: Option<String>,
    /// The server that takes mail: `smtps://USER:PASSWORD@HOST`. Better from
    /// the environment.
    pub url: Option<Hidden>,
}

impl Mail {
    /// As the rules know it; none if no mail is sent.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn server(&self) -> Result<Option<MailServer>, Error> {
        match (&self.from, &self.url) {
            (None, None) => Ok(None),
            (Some(from), Some(url)) => MailServer::new(from, url.0.clone())
                .map(Some)
                .map_err(|error| Error(format!("mail: {error}"))),
            _ => Err(Error(
                "mail.from and mail.url go together: give both or neither".to_owned(),
            )),
        }
    }
}

/// `[outbound]`
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Outbound {
    /// Whether addresses that clients name may be on this very machine: for
    /// development and tests. The demo sets it.
    pub allow_loopback: bool,
}

/// `[log]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: LogFormat,
    /// Which events, as `tracing-subscriber` filters are written: `info,sqlx=warn`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info,sqlx=warn".to_owned(),
        }
    }
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// `[[connections]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The name agents use: `sign-in-with-slack`.
    pub id: String,
    /// The catalogue entry: `slack`.
    pub provider: String,
    /// Our client id there.
    pub client_id: String,
    /// Our client secret there. Better: `client_secret_env`.
    #[serde(default)]
    pub client_secret: Option<Hidden>,
    /// Name of the environment variable that holds the secret.
    #[serde(default)]
    pub client_secret_env: Option<String>,
    /// Scopes to ask for; the entry's defaults without.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// Other endpoints than the entry's, and values for its settings.
    #[serde(default)]
    pub overrides: domain::vault::Overrides,
}

/// `[[sign_in]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Its name in addresses: `google`.
    pub id: String,
    /// As people know it: `Google`.
    pub name: String,
    /// Its issuer, exactly as its discovery document says.
    pub issuer: String,
    /// Our client id there.
    pub client_id: String,
    /// Name of the environment variable that holds our client secret there.
    pub client_secret_env: String,
    /// Domains of addresses whose people are created when they first come.
    #[serde(default)]
    pub admits: Vec<String>,
}

impl SignIn {
    /// As the rules know it.
    ///
    /// # Errors
    /// A sentence that names the entry.
    pub fn upstream(&self) -> Result<Upstream, Error> {
        let says = |what: &str| Error(format!("sign_in {}: {what}", self.id));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.id.is_empty() || !self.id.bytes().all(plain) {
            return Err(says("id is lower-case letters, digits and hyphens"));
        }
        let issuer = Url::parse(&self.issuer).map_err(|_| says("issuer is not an address"))?;
        let loopback = matches!(issuer.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if issuer.scheme() != "https" && !(issuer.scheme() == "http" && loopback) {
            return Err(says("issuer must be an https address"));
        }
        let secret = std::env::var(&self.client_secret_env).map_err(|_| {
            says(&format!(
                "the environment has no {}",
                self.client_secret_env
            ))
        })?;
        Ok(Upstream {
            id: self.id.clone(),
            name: self.name.clone(),
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            client_secret: secret.into(),
            admits: self.admits.clone(),
        })
    }
}

/// A secret as it stands in a file.
pub struct Hidden(pub Secret<String>);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// A sentence that says what is wrong with the configuration and where.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

/// Keys that may be given by environment: name, and how the value is set.
type Setter = fn(&mut Config, &str) -> Result<(), String>;

fn parsed<T: std::str::FromStr>(value: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    value.parse().map_err(|error| format!("{error}"))
}

/// The parts between commas.
fn listed(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty())
}

const KEYS: &[(&str, Setter)] = &[
    ("ATTORN_SERVER__LISTEN", |config, value| {
        parsed(value).map(|listen| config.server.listen = listen)
    }),
    ("ATTORN_SERVER__PUBLIC_URL", |config, value| {
        parsed(value).map(|url| config.server.public_url = url)
    }),
    ("ATTORN_SERVER__TLS_CERT", |config, value| {
        parsed(value).map(|path| config.server.tls_cert = Some(path))
    }),
    ("ATTORN_SERVER__TLS_KEY", |config, value| {
        parsed(value).map(|path| config.server.tls_key = Some(path))
    }),
    ("ATTORN_SERVER__TRUSTED_PROXIES", |config, value| {
        let proxies: Result<_, String> = listed(value).map(parsed).collect();
        proxies.map(|proxies| config.server.trusted_proxies = proxies)
    }),
    ("ATTORN_SERVER__SITE_ROOT", |config, value| {
        parsed(value).map(|path| config.server.site_root = Some(path))
    }),
    ("ATTORN_SERVER__PRIVATE_MEMORY", |config, value| {
        parsed(value).map(|private| config.server.private_memory = private)
    }),
    ("ATTORN_DATABASE__URL", |config, value| {
        parsed(value).map(|url| config.database.url = url)
    }),
    ("ATTORN_VAULT__KEY_FILE", |config, value| {
        parsed(value).map(|path| config.vault.key_file = path)
    }),
    ("ATTORN_VAULT__KEY", |config, value| {
        config.vault.key = Some(Secret::from(value));
        Ok(())
    }),
    ("ATTORN_VAULT__OLD_KEY_FILES", |config, value| {
        config.vault.old_key_files = listed(value).map(PathBuf::from).collect();
        Ok(())
    }),
    ("ATTORN_VAULT__OLD_KEYS", |config, value| {
        config.vault.old_keys = listed(value).map(Secret::from).collect();
        Ok(())
    }),
    ("ATTORN_VAULT__ANSWERS", |config, value| {
        parsed(value).map(|path| config.vault.answers = Some(path))
    }),
    ("ATTORN_OAUTH__REGISTRATION", |config, value| {
        parsed(value).map(|policy| config.oauth.registration = policy)
    }),
    ("ATTORN_OAUTH__REGISTRATION_TOKEN", |config, value| {
        config.oauth.registration_token = Some(Secret::from(value));
        Ok(())
    }),
    ("ATTORN_OUTBOUND__ALLOW_LOOPBACK", |config, value| {
        parsed(value).map(|allow| config.outbound.allow_loopback = allow)
    }),
    ("ATTORN_LIMITS__CLIENT_PER_SECOND", |config, value| {
        parsed(value).map(|count| config.limits.client_per_second = count)
    }),
    ("ATTORN_LIMITS__APPROVALS_PER_MINUTE", |config, value| {
        parsed(value).map(|count| config.limits.approvals_per_minute = count)
    }),
    ("ATTORN_LIMITS__APPROVALS_WAITING", |config, value| {
        parsed(value).map(|count| config.limits.approvals_waiting = count)
    }),
    ("ATTORN_LIMITS__WRONG_PROOFS_PER_MINUTE", |config, value| {
        parsed(value).map(|count| config.limits.wrong_proofs_per_minute = count)
    }),
    (
        "ATTORN_LIMITS__REGISTRATIONS_PER_MINUTE",
        |config, value| parsed(value).map(|count| config.limits.registrations_per_minute = count),
    ),
    ("ATTORN_KEYS__ROTATE_DAYS", |config, value| {
        parsed(value).map(|days| config.keys.rotate_days = days)
    }),
    ("ATTORN_APPROVALS__PASSKEY", |config, value| {
        parsed(value).map(|policy| config.approvals.passkey = policy)
    }),
    ("ATTORN_APPROVALS__PUSH_CONTACT", |config, value| {
        config.approvals.push_contact = Some(value.to_owned());
        Ok(())
    }),
    ("ATTORN_MAIL__FROM", |config, value| {
        config.mail.from = Some(value.to_owned());
        Ok(())
    }),
    ("ATTORN_MAIL__URL", |config, value| {
        config.mail.url = Some(Hidden(Secret::from(value)));
        Ok(())
    }),
    ("ATTORN_LOG__FORMAT", |config, value| {
        config.log.format = match value {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => return Err("must be text or json".to_owned()),
        };
        Ok(())
    }),
    ("ATTORN_LOG__FILTER", |config, value| {
        parsed(value).map(|filter| config.log.filter = filter)
    }),
];

impl Config {
    /// Reads the file, if one is given, and the environment over it.
    ///
    /// # Errors
    /// A sentence with the file, the key and what is wrong with it.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<(Self, Vec<String>), Error> {
        let mut config = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Error(format!("{}: {error}", path.display())))?;
                Self::parse(&text).map_err(|error| Error(format!("{}: {error}", path.display())))?
            }
            None => Self::default(),
        };
        let mut warnings = Vec::new();
        for (name, value) in environment {
            match KEYS.iter().find(|(key, _)| *key == name) {
                Some((_, set)) => {
                    set(&mut config, &value).map_err(|error| Error(format!("{name}: {error}")))?
                }
                None if name.starts_with("ATTORN_") && name.contains("__") => {
                    warnings.push(unknown(&name))
                }
                None => {}
            }
        }
        config.check()?;
        Ok((config, warnings))
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let deserializer =
            toml::Deserializer::parse(text).map_err(|error| Error(error.to_string()))?;
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            let path = error.path().to_string();
            let what = error.into_inner().message().to_owned();
            Error(if path == "." {
                what
            } else {
                format!("{path}: {what}")
            })
        })
    }

    fn check(&self) -> Result<(), Error> {
        let server = &self.server;
        let says = |what: &str| Err(Error(what.to_owned()));
        if server.tls_cert.is_some() != server.tls_key.is_some() {
            return says("server.tls_cert and server.tls_key go together: give both or neither");
        }
        let missing = match self.vault.provider {
            KeyProvider::File => false,
            KeyProvider::Transit => self.vault.transit.is_none(),
            KeyProvider::AwsKms => self.vault.aws_kms.is_none(),
        };
        if missing {
            return says(
                "vault.provider names a provider that has no section [vault.transit] or [vault.aws_kms]",
            );
        }
        let addresses = [
            self.vault.transit.as_ref().map(|transit| &transit.address),
            self.vault
                .aws_kms
                .as_ref()
                .and_then(|kms| kms.endpoint.as_ref()),
        ];
        for address in addresses.into_iter().flatten() {
            let loopback = matches!(
                address.host_str(),
                Some("localhost" | "127.0.0.1" | "[::1]")
            );
            if address.scheme() != "https" && !(address.scheme() == "http" && loopback) {
                return says("a key provider's address must be https: keys travel to it");
            }
        }
        let url = &server.public_url;
        if !matches!(url.scheme(), "http" | "https")
            || url.host_str().is_none()
            || url.path() != "/"
            || url.query().is_some()
        {
            return says(
                "server.public_url must be scheme, host and port only, such as https://attorn.example.com/",
            );
        }
        if !server.listen.ip().is_loopback()
            && server.tls_cert.is_none()
            && (url.scheme() != "https" || server.trusted_proxies.is_empty())
        {
            return says(
                "plain http off loopback is refused: give server.tls_cert and server.tls_key, or set an https \
                 server.public_url and server.trusted_proxies for the proxy that ends TLS",
            );
        }
        let token = self.oauth.registration_token.as_ref();
        if self.oauth.registration == Registration::Token
            && token.is_none_or(|token| token.expose().len() < 32)
        {
            return says(
                "oauth.registration = \"token\" needs ATTORN_OAUTH__REGISTRATION_TOKEN in the environment: \
                 random, at least 32 characters",
            );
        }
        self.mail.server()?;
        if server.tls_cert.is_some() && url.scheme() != "https" {
            return says("with server.tls_cert the server.public_url must begin with https://");
        }
        Ok(())
    }
}

fn unknown(name: &str) -> String {
    let near = KEYS
        .iter()
        .map(|(key, _)| *key)
        .min_by_key(|key| distance(key, name))
        .unwrap_or_default();
    if distance(near, name) <= 3 {
        format!("{name} is no setting; did you mean {near}?")
    } else {
        format!("{name} is no setting and was ignored")
    }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, right) in b.bytes().enumerate() {
            let change = corner + usize::from(left != right);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_environment() -> std::iter::Empty<(String, String)> {
        std::iter::empty()
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = Config::parse("[server]\nlissten = \"127.0.0.1:1\"")
            .err()
            .unwrap();
        assert!(error.0.contains("lissten"), "{error}");
    }

    #[test]
    fn a_near_miss_in_the_environment_is_warned_about() {
        let environment = [("ATTORN_SERVER__LISTN".to_owned(), "x".to_owned())];
        let (_, warnings) = Config::load(None, environment.into_iter()).ok().unwrap();
        assert_eq!(
            warnings,
            ["ATTORN_SERVER__LISTN is no setting; did you mean ATTORN_SERVER__LISTEN?"]
        );
    }

    #[test]
    fn plain_http_off_loopback_is_refused() {
        let mut config = Config::default();
        config.server.listen = SocketAddr::from(([0, 0, 0, 0], 8080));
        assert!(config.check().is_err());
    }

    #[test]
    fn mail_goes_out_whole_or_not_at_all_and_only_over_tls() {
        let with = |text: &str| Config::parse(text).ok().unwrap().check();
        assert!(with("[mail]\nfrom = \"Attorn <a@example.com>\"").is_err());
        let from = "[mail]\nfrom = \"Attorn <a@example.com>\"\nurl = ";
        assert!(with(&format!("{from}\"smtp://u:p@mail.example.com\"")).is_err());
        assert!(with(&format!("{from}\"smtps://u:p@mail.example.com\"")).is_ok());
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let environment = [("ATTORN_SERVER__LISTEN".to_owned(), "127.0.0.1:9".to_owned())];
        let (config, _) = Config::load(None, environment.into_iter()).ok().unwrap();
        assert_eq!(config.server.listen.port(), 9);
        assert!(Config::load(None, no_environment()).is_ok());
    }
}
