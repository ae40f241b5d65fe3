//! Registering a client: what it may be, and what no client may be.

use url::Url;

use super::client_metadata::{AuthMethod, ClientMetadata};
use super::clients::{Client, ClientKind, ClientState, Error, GrantType, Source, secret_hash};
use crate::Engine;
use crate::approval;
use crate::audit::{Event, Kind};
use crate::ids;
use crate::secret::Secret;
use crate::storage;
use crate::vault::AccessMode;

/// Who may register clients by themselves (RFC 7591 §3).
#[derive(Clone, Default)]
pub enum RegistrationPolicy {
    /// Nobody: an admin does.
    #[default]
    Off,
    /// Who has this initial access token.
    Token(Secret<String>),
    /// Anybody.
    Open,
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
    /// Its keys, its ways to prove itself and to be told, its pages.
    pub metadata: ClientMetadata,
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
            metadata: ClientMetadata::default(),
        }
    }
}

fn invalid<T>(sentence: impl Into<String>) -> Result<T, Error> {
    Err(Error::Invalid(sentence.into()))
}

/// Whether everybody reads the same host: an address as RFC 3986 §2 spells it,
/// whose authority stands there as the parser of browsers understands it.
/// That one mends what it is given (a backslash, a missing slash, `0x7f.1`, a
/// line end), and who compares or shows the text would see another host.
fn is_plain(text: &str, url: &Url) -> bool {
    let spelled = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    if !text.bytes().all(spelled) {
        return false;
    }
    let rest = text.get(url.scheme().len()..).unwrap_or_default();
    let Some(rest) = rest.strip_prefix("://") else {
        return !url.has_authority();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let port = match url.port() {
        Some(port) => format!(":{port}"),
        None => String::new(),
    };
    let host = authority.strip_suffix(&port).unwrap_or(authority);
    // The port that a scheme has anyway may be written or not.
    let host = match (url.scheme(), url.port()) {
        ("https", None) => host.strip_suffix(":443").unwrap_or(host),
        ("http", None) => host.strip_suffix(":80").unwrap_or(host),
        _ => host,
    };
    host.eq_ignore_ascii_case(url.host_str().unwrap_or_default())
}

/// Whether codes may ever be sent there (RFC 9700 §2.1, RFC 8252 §7).
pub(super) fn check_redirect(text: &str) -> Result<(), Error> {
    let Ok(url) = Url::parse(text) else {
        return invalid(format!("{text} is not an absolute address"));
    };
    if !is_plain(text, &url) {
        return invalid(format!("{text:?} is not an address in plain form"));
    }
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

/// Judges what somebody wants to register.
pub(super) fn check(new: &NewClient) -> Result<(), Error> {
    let visible = |text: &str| {
        let length = text.chars().count();
        (1..=100).contains(&length) && !text.chars().any(approval::is_deceptive)
    };
    if !visible(new.name.trim()) {
        return invalid("a client's name has 1 to 100 visible characters");
    }
    // People trust a client by its name, and anybody may be allowed to register one.
    if approval::is_lookalike(&new.name) {
        return invalid("a client's name has letters that look like those of another script");
    }
    if let Some(id) = &new.id {
        let right = (3..=100).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        // A subject of a token is a person or a client; the ids must never meet.
        if (!right || id.starts_with("per_")) && super::metadata_document::address(id).is_none() {
            return invalid("a client id has 3 to 100 letters, digits, '-', '_' or '.'");
        }
    }
    for uri in &new.redirect_uris {
        check_redirect(uri)?;
    }
    new.metadata.check()?;
    let public = new.kind == ClientKind::Public;
    if let Some(method) = new.metadata.token_endpoint_auth_method
        && public != (method == AuthMethod::None)
    {
        return invalid(
            "a public client has the authentication method none, any other client another",
        );
    }
    if new.metadata.uses_private_key() && new.secret.is_some() {
        return invalid("a client with private_key_jwt has no secret");
    }
    if public && !new.rotate_refresh && !new.metadata.dpop_bound_access_tokens {
        return invalid(
            "only a confidential client, or one with dpop_bound_access_tokens, may keep one refresh token",
        );
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
        (ClientKind::Confidential, _) if new.metadata.uses_private_key() => None,
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
        metadata: new.metadata,
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
                Ok(())
            })
        })
        .await;
    match done {
        Err(error) if error.is_unique_violation() => Err(Error::Taken),
        done => Ok(done.map(|()| (client, secret))?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_two_readers_could_take_for_two_hosts_is_refused() {
        for good in [
            "https://a.example/cb",
            "https://A.example:443/cb?x=1",
            "https://a.example:8443",
            "http://127.0.0.1:9/cb",
            "http://[::1]/cb",
            "http://localhost:80/",
            "com.example.app:/cb",
            "com.example.app://sign-in/cb",
            "https://xn--exmple-cua.example/",
        ] {
            check_redirect(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in [
            "https://a.example\\.evil.example/",
            "https://a.example\\@evil.example/",
            "https:a.example/cb",
            "https:/a.example/cb",
            "https:\\\\a.example/cb",
            "https://@a.example/",
            "https://:@a.example/",
            "https://a.example@evil.example/",
            "https://a.example:443:@evil.example/",
            "https://a.ex\nample/",
            "https://a.example/\tcb",
            " https://a.example/",
            "https://a.example/cb ",
            "https://exämple.example/",
            "https://%61.example/",
            "http://0x7f.1/cb",
            "http://2130706433/cb",
            "https://a.example/#x",
            "https://a.example/<script>",
            "https://a。example/",
        ] {
            assert!(check_redirect(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_that_deceives_is_nobodys() {
        for name in [
            "G\u{3bf}\u{3bf}gle",
            "Bank\u{202e}tob",
            "A\u{200b}",
            "\u{1d400}ttorn",
        ] {
            let new = NewClient::confidential(name, Source::Registration);
            assert!(check(&new).is_err(), "{name}");
        }
        for name in ["Release bot", "Помощник", "秘書 AI", "Ärzte-Agent 2"] {
            let new = NewClient::confidential(name, Source::Registration);
            assert!(check(&new).is_ok(), "{name}");
        }
    }
}
