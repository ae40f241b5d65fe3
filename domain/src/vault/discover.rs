//! An entry from what an OpenID provider says of itself (OpenID Connect Discovery §4).
//!
//! It is fetched once, when the provider is added, and stored: what the provider
//! says later changes nothing here.

use bytes::Bytes;
use evidence::json::{Limits, parse_strict_object};
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::Error;
use super::connections::Source;
use super::providers::{ClientAuth, Generic, GenericIdentity, Provider, RefreshRule};
use super::wire::CALL_TIMEOUT;
use crate::Engine;
use crate::oauth::jws;
use crate::outbound::Ask;

/// A discovery document is at most this long, in bytes.
const LARGEST: usize = 256 * 1024;

/// An OpenID provider, as an admin describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenidProvider {
    /// Its id here.
    pub id: String,
    /// The name people know it by.
    pub name: String,
    /// Its issuer, exactly as it names itself.
    pub issuer: String,
    /// Where its API is.
    pub api: Url,
    /// What a refresh does to its refresh tokens.
    #[serde(default = "strictest")]
    pub refresh: RefreshRule,
    /// Further scopes: name and what it allows.
    #[serde(default)]
    pub scopes: Vec<(String, String)>,
}

impl OpenidProvider {
    /// Whether this entry was made of these very words, so that the issuer need
    /// not be asked again.
    #[must_use]
    pub fn made(&self, entry: &Provider) -> bool {
        entry.id == self.id
            && entry.name == self.name
            && entry.source_page.as_str() == self.document()
            && entry.hosts.first().map(|host| &host.base) == Some(&self.api)
            && entry.refresh.rule == self.refresh
            && self.scopes.iter().all(|(name, words)| {
                let mut all = entry.scopes.iter();
                all.any(|scope| scope.name == *name && scope.words == *words)
            })
    }

    /// The address of its discovery document.
    fn document(&self) -> String {
        format!(
            "{}/.well-known/openid-configuration",
            self.issuer.trim_end_matches('/')
        )
    }
}

/// What is assumed where nobody knows: it costs nothing where it is wrong.
const fn strictest() -> RefreshRule {
    RefreshRule::RotatesStrictly
}

/// Asks the issuer and makes an entry of its answer. What an admin typed is
/// called only where it is a public address.
///
/// # Errors
/// [`Error::Invalid`] when it cannot be reached, speaks for another issuer or
/// leaves out what is needed.
pub async fn discover(
    engine: &Engine,
    ask: OpenidProvider,
    source: Source,
) -> Result<Provider, Error> {
    let issuer = Url::parse(&ask.issuer).map_err(|_| bad("the issuer is no address"))?;
    let local = matches!(issuer.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if issuer.scheme() != "https" && !(issuer.scheme() == "http" && local) {
        return Err(bad("the issuer is not an https address"));
    }
    let url = Url::parse(&ask.document()).map_err(|_| bad("the issuer is no address"))?;
    let document = fetch(engine, url.clone(), source).await?;
    // §4.3: or one provider could speak for another.
    if document.get("issuer").and_then(Value::as_str) != Some(&ask.issuer) {
        return Err(bad("its discovery document is of another issuer"));
    }
    Ok(entry(ask, url, &Document { document, local })?.into())
}

fn bad(why: &str) -> Error {
    Error::Invalid(why.to_owned())
}

async fn fetch(engine: &Engine, url: Url, source: Source) -> Result<Map<String, Value>, Error> {
    let outbound = match source {
        Source::Admin => &engine.guarded,
        Source::Config | Source::Demo => &engine.outbound,
    };
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let answer = outbound
        .send(Ask {
            method: Method::GET,
            url,
            headers,
            body: Bytes::new(),
            timeout: CALL_TIMEOUT,
            limit: LARGEST,
        })
        .await
        .map_err(|error| {
            Error::Invalid(format!("its discovery document cannot be had: {error}"))
        })?;
    if !answer.status.is_success() {
        return Err(Error::Invalid(format!(
            "its discovery document cannot be had: status {}",
            answer.status.as_u16()
        )));
    }
    let limits = Limits {
        bytes: LARGEST,
        ..Limits::BODY
    };
    parse_strict_object(&answer.body, limits)
        .map_err(|error| Error::Invalid(format!("its discovery document is not JSON: {error}")))
}

struct Document {
    document: Map<String, Value>,
    local: bool,
}

impl Document {
    fn endpoint(&self, name: &str) -> Result<Option<Url>, Error> {
        let Some(text) = self.document.get(name).and_then(Value::as_str) else {
            return Ok(None);
        };
        Url::parse(text)
            .ok()
            .filter(|url| url.scheme() == "https" || self.local && url.scheme() == "http")
            .map(Some)
            .ok_or_else(|| Error::Invalid(format!("its {name} is no https address")))
    }

    fn needed(&self, name: &str) -> Result<Url, Error> {
        self.endpoint(name)?
            .ok_or_else(|| Error::Invalid(format!("its discovery document has no {name}")))
    }

    fn list(&self, name: &str) -> Option<Vec<&str>> {
        let list = self.document.get(name)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).collect())
    }
}

fn entry(ask: OpenidProvider, page: Url, said: &Document) -> Result<Generic, Error> {
    let has = |name: &str, word: &str| said.list(name).map(|list| list.contains(&word));
    // An ID token that we can check says who it is, and needs no further call.
    let signed = said
        .list("id_token_signing_alg_values_supported")
        .is_none_or(|list| list.iter().any(|alg| jws::ALGORITHMS.contains(alg)));
    let identity = if signed {
        GenericIdentity::IdToken {
            issuer: ask.issuer,
            jwks: said.needed("jwks_uri")?,
        }
    } else {
        GenericIdentity::Endpoint {
            url: said.needed("userinfo_endpoint")?,
            subject: "/sub".to_owned(),
            label: "/email".to_owned(),
        }
    };
    let standard = [
        ("openid", "Know that it is you"),
        ("profile", "See your name"),
        ("email", "See your email address"),
        // OpenID Connect Core §11.
        ("offline_access", "Keep this access while you are away"),
    ];
    let mut scopes: Vec<(String, String)> = standard
        .into_iter()
        .filter(|(name, _)| *name == "openid" || has("scopes_supported", name) == Some(true))
        .map(|(name, words)| (name.to_owned(), words.to_owned()))
        .collect();
    for (name, words) in ask.scopes {
        if !scopes.iter().any(|(known, _)| *known == name) {
            scopes.push((name, words));
        }
    }
    Ok(Generic {
        id: ask.id,
        name: ask.name,
        source_page: page,
        authorize: said.needed("authorization_endpoint")?,
        token: said.needed("token_endpoint")?,
        revoke: said.endpoint("revocation_endpoint")?,
        // Basic where nothing is said (RFC 8414 §2).
        client_auth: match has(
            "token_endpoint_auth_methods_supported",
            "client_secret_basic",
        ) {
            Some(false) => ClientAuth::Post,
            _ => ClientAuth::Basic,
        },
        // Where nothing is said a challenge is sent: what a server does not know
        // it ignores (RFC 6749 §3.1).
        pkce: has("code_challenge_methods_supported", "S256") != Some(false),
        api: ask.api,
        identity,
        rule: ask.refresh,
        scopes,
    })
}
