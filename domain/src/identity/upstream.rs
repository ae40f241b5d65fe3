//! Signing in through another OpenID provider (OpenID Connect Core §3.1):
//! Google, or whichever issuer the deployment names.
//!
//! Code flow with PKCE, `state`, `nonce` and, where the provider sends it,
//! `iss` (RFC 9207). Verifier and nonce are derived from `state` with a key of
//! ours, so that nothing needs to be kept but the hash of `state`, in the
//! browser's own session.
//!
//! Who somebody is, issuer and subject say, never an address. An address that
//! the provider verified leads to a person once, the first time.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use evidence::json::{Limits, parse_strict_object};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Map, Value};
use url::Url;

use super::id_token::{self, Expected};
use super::{How, Person, Role, SignIn, State, normal_email};
use crate::audit::{Event, Kind};
use crate::keyring::{Keyring, sha256};
use crate::oauth::jws::{self, Compact};
use crate::outbound::Ask;
use crate::secret::Secret;
use crate::storage::{self, Tx};
use crate::{Engine, ids};

/// Where providers send people back to.
pub const CALLBACK: &str = "sign-in/callback";
const TIMEOUT: Duration = Duration::from_secs(10);
const LARGEST: usize = 256 * 1024;

/// A provider that people may sign in with.
#[derive(Clone)]
pub struct Upstream {
    /// Its name in addresses: `google`.
    pub id: String,
    /// As people know it.
    pub name: String,
    /// Its issuer, exactly as it names itself.
    pub issuer: String,
    /// Our client id there.
    pub client_id: String,
    /// Our client secret there.
    pub client_secret: Secret<String>,
    /// Domains of addresses whose people are created when they first come; for
    /// others an admin creates the person.
    pub admits: Vec<String>,
}

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such provider.
    #[error("there is no such sign-in here")]
    Unknown,
    /// The provider cannot be reached, or answers what it must not.
    #[error("the provider's answer cannot be used: {0}")]
    Failed(String),
    /// Nobody here by that identity, and nobody is made.
    #[error("the provider knows them, but nobody here goes by that verified address")]
    NobodyHere,
    /// The person is locked.
    #[error("this person is locked; an admin can unlock them")]
    Locked,
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

fn failed<T>(why: impl Into<String>) -> Result<T, Error> {
    Err(Error::Failed(why.into()))
}

/// Where the browser goes, and what the way back will bring.
pub struct Begun {
    /// The provider's page.
    pub to: Url,
    /// For the browser's session: [`state_hash`] of what was sent along.
    pub state_hash: String,
}

/// What came back.
pub struct Finish<'a> {
    /// The provider it was begun with.
    pub upstream: &'a str,
    /// `state`; its hash was compared with the session's.
    pub state: &'a str,
    /// `code`.
    pub code: &'a Secret<String>,
    /// `iss`, where it was sent.
    pub iss: Option<&'a str>,
}

/// What a session keeps of a `state`.
#[must_use]
pub fn state_hash(engine: &Engine, state: &str) -> String {
    derived(engine, "upstream_state", state)
}

fn derived(engine: &Engine, what: &str, state: &str) -> String {
    URL_SAFE_NO_PAD.encode(engine.keys.hash(what, state.as_bytes()))
}

fn known<'a>(engine: &'a Engine, id: &str) -> Result<&'a Upstream, Error> {
    let mut all = engine.settings.sign_in.iter();
    all.find(|upstream| upstream.id == id).ok_or(Error::Unknown)
}

/// What a provider says of itself, as far as we look at it.
struct Document {
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    secret_in_body: bool,
    sends_iss: bool,
}

async fn fetch(engine: &Engine, ask: Ask, what: &str) -> Result<Map<String, Value>, Error> {
    let answer = engine
        .outbound
        .send(ask)
        .await
        .map_err(|error| Error::Failed(format!("{what}: {error}")))?;
    let limits = Limits {
        bytes: LARGEST,
        ..Limits::BODY
    };
    let body = parse_strict_object(&answer.body, limits);
    if !answer.status.is_success() {
        let code = body.ok().and_then(|body| {
            let code = body.get("error")?.as_str()?;
            let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            Some(
                code.chars()
                    .filter(|letter| plain(*letter))
                    .take(64)
                    .collect::<String>(),
            )
        });
        return failed(format!(
            "{what}: {} {}",
            answer.status.as_u16(),
            code.unwrap_or_default()
        ));
    }
    body.map_err(|error| Error::Failed(format!("{what}: {error}")))
}

async fn get(engine: &Engine, url: Url, what: &str) -> Result<Map<String, Value>, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let ask = Ask {
        method: Method::GET,
        url,
        headers,
        body: Bytes::new(),
        timeout: TIMEOUT,
        limit: LARGEST,
    };
    fetch(engine, ask, what).await
}

/// Discovery (OpenID Connect Discovery §4).
async fn document(engine: &Engine, upstream: &Upstream) -> Result<Document, Error> {
    let address = format!(
        "{}/.well-known/openid-configuration",
        upstream.issuer.trim_end_matches('/')
    );
    let url = Url::parse(&address).map_err(|error| Error::Failed(error.to_string()))?;
    let found = get(engine, url, "its discovery document").await?;
    // §4.3: or one provider could speak for another.
    if found.get("issuer").and_then(Value::as_str) != Some(&upstream.issuer) {
        return failed("its discovery document is of another issuer");
    }
    let endpoint = |name: &str| {
        found
            .get(name)
            .and_then(Value::as_str)
            .and_then(|text| Url::parse(text).ok())
            .filter(|url| url.scheme() == "https" || upstream.issuer.starts_with("http://"))
            .ok_or_else(|| Error::Failed(format!("its discovery document has no good {name}")))
    };
    let methods = found
        .get("token_endpoint_auth_methods_supported")
        .and_then(Value::as_array);
    Ok(Document {
        authorization_endpoint: endpoint("authorization_endpoint")?,
        token_endpoint: endpoint("token_endpoint")?,
        jwks_uri: endpoint("jwks_uri")?,
        // Basic where nothing is said (RFC 8414 §2).
        secret_in_body: methods
            .is_some_and(|methods| !methods.iter().any(|method| method == "client_secret_basic")),
        sends_iss: found.get("authorization_response_iss_parameter_supported")
            == Some(&Value::Bool(true)),
    })
}

/// Begins: where to send the browser. Who it is, nobody knows yet. With `again`
/// the provider is asked to have the person prove it anew, whatever session
/// they have there (OpenID Connect Core §3.1.2.1).
///
/// # Errors
/// [`Error::Unknown`], [`Error::Failed`].
pub async fn begin(engine: &Engine, id: &str, again: bool) -> Result<Begun, Error> {
    let upstream = known(engine, id)?;
    let document = document(engine, upstream).await?;
    let state = URL_SAFE_NO_PAD.encode(ids::random::<32>(&*engine.rng));
    let verifier = derived(engine, "upstream_verifier", &state);
    let mut to = document.authorization_endpoint;
    to.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", &upstream.client_id),
        ("redirect_uri", &engine.settings.url(CALLBACK)),
        ("scope", "openid email profile"),
        ("state", &state),
        ("nonce", &derived(engine, "upstream_nonce", &state)),
        (
            "code_challenge",
            &URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())),
        ),
        ("code_challenge_method", "S256"),
    ]);
    if again {
        to.query_pairs_mut().append_pair("prompt", "login");
    }
    Ok(Begun {
        to,
        state_hash: state_hash(engine, &state),
    })
}

/// Finishes: redeems the code, checks the ID token, and finds the person.
/// Answers who it is, and when and how they signed in: at the provider, where
/// it says so (`auth_time`), or now.
///
/// # Errors
/// See [`Error`].
pub async fn finish(engine: &Engine, finish: Finish<'_>) -> Result<(Person, SignIn), Error> {
    let upstream = known(engine, finish.upstream)?;
    let document = document(engine, upstream).await?;
    // RFC 9207 §2.4: before the code goes anywhere.
    let right = match finish.iss {
        Some(iss) => iss == upstream.issuer,
        None => !document.sends_iss,
    };
    if !right {
        return failed("the answer is of another issuer");
    }
    let token = redeem(engine, upstream, &document, &finish).await?;
    let nonce = derived(engine, "upstream_nonce", finish.state);
    let keys = get(engine, document.jwks_uri, "its keys").await?;
    let claims = judge(engine, upstream, &token, &nonce, keys)?;
    let sign_in = SignIn {
        at: claims.signed_in_at,
        how: Some(How::Upstream),
    };
    Ok((resolve(engine, upstream, claims).await?, sign_in))
}

/// Headers and body of the request for it.
fn token_request(
    engine: &Engine,
    upstream: &Upstream,
    document: &Document,
    finish: &Finish<'_>,
) -> Result<(HeaderMap, String), Error> {
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let (id, secret): (String, String) = (
        encoded(&upstream.client_id),
        encoded(upstream.client_secret.expose()),
    );
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs([
        ("grant_type", "authorization_code"),
        ("code", finish.code.expose().as_str()),
        ("redirect_uri", &engine.settings.url(CALLBACK)),
        (
            "code_verifier",
            &derived(engine, "upstream_verifier", finish.state),
        ),
    ]);
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    if document.secret_in_body {
        form.append_pair("client_id", &upstream.client_id);
        form.append_pair("client_secret", upstream.client_secret.expose());
    } else {
        // RFC 6749 §2.3.1: form-encoded first.
        let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let mut value =
            HeaderValue::try_from(basic).map_err(|error| Error::Failed(error.to_string()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok((headers, form.finish()))
}

/// The ID token for a code (RFC 6749 §4.1.3).
async fn redeem(
    engine: &Engine,
    upstream: &Upstream,
    document: &Document,
    finish: &Finish<'_>,
) -> Result<Secret<String>, Error> {
    let (headers, body) = token_request(engine, upstream, document, finish)?;
    let ask = Ask {
        method: Method::POST,
        url: document.token_endpoint.clone(),
        headers,
        body: Bytes::from(body),
        timeout: TIMEOUT,
        limit: LARGEST,
    };
    let answer = fetch(engine, ask, "its token endpoint").await?;
    match answer.get("id_token").and_then(Value::as_str) {
        Some(token) => Ok(Secret::from(token)),
        None => failed("its token endpoint gave no ID token"),
    }
}

/// What an ID token says of somebody.
struct Claims {
    subject: String,
    /// Only one that the provider verified.
    email: Option<String>,
    name: Option<String>,
    /// When they proved it there, Unix milliseconds.
    signed_in_at: i64,
}

/// Judges an ID token (OpenID Connect Core §3.1.3.7).
fn judge(
    engine: &Engine,
    upstream: &Upstream,
    token: &Secret<String>,
    nonce: &str,
    keys: Map<String, Value>,
) -> Result<Claims, Error> {
    let bad = |why: &str| Error::Failed(format!("its ID token: {why}"));
    let token = Compact::parse(token.expose()).map_err(bad)?;
    let keys = jws::key_set(&Value::Object(keys)).map_err(bad)?;
    let expected = Expected {
        issuer: &upstream.issuer,
        client_id: &upstream.client_id,
        nonce,
        now: engine.now() / 1000,
    };
    id_token::check(&token, &keys, &expected).map_err(bad)?;
    let subject = token
        .text("sub")
        .filter(|sub| !sub.is_empty() && sub.len() <= 255)
        .ok_or_else(|| bad("without a subject"))?;
    let now = engine.now();
    let auth_time = token.seconds("auth_time").map_err(bad)?;
    let verified = token.claims.get("email_verified") == Some(&Value::Bool(true));
    Ok(Claims {
        subject: subject.to_owned(),
        signed_in_at: auth_time.map_or(now, |at| now.min(at.saturating_mul(1000))),
        email: token
            .text("email")
            .filter(|_| verified)
            .and_then(|email| normal_email(email).ok()),
        name: token
            .text("name")
            .map(str::trim)
            .filter(|name| {
                !name.is_empty()
                    && name.chars().count() <= 200
                    && !name.chars().any(char::is_control)
            })
            .map(str::to_owned),
    })
}

/// How somebody was found.
enum Found {
    Somebody(Person),
    Locked,
    Nobody,
}

/// The person of an identity: known, found by verified address, or created.
async fn resolve(engine: &Engine, upstream: &Upstream, claims: Claims) -> Result<Person, Error> {
    let admitted = claims.email.as_deref().is_some_and(|email| {
        let domain = email.rsplit('@').next().unwrap_or_default();
        upstream
            .admits
            .iter()
            .any(|admits| admits.eq_ignore_ascii_case(domain))
    });
    let what = std::sync::Arc::new((upstream.id.clone(), upstream.issuer.clone(), claims));
    let at = engine.clone();
    let found = engine
        .store
        .write(move |tx| {
            let (engine, what) = (at.clone(), what.clone());
            Box::pin(async move {
                let (id, issuer, claims) = &*what;
                found_within(tx, &engine, (id, issuer), claims, admitted).await
            })
        })
        .await?;
    match found {
        Found::Somebody(person) => Ok(person),
        Found::Locked => Err(Error::Locked),
        Found::Nobody => Err(Error::NobodyHere),
    }
}

async fn found_within(
    tx: &mut Tx,
    engine: &Engine,
    (upstream, issuer): (&str, &str),
    claims: &Claims,
    admitted: bool,
) -> Result<Found, storage::Error> {
    let keys = &engine.keys;
    let known = tx.upstream_identity(keys, issuer, &claims.subject).await?;
    let person = match (&known, &claims.email) {
        (Some(id), _) => tx.person(keys, id).await?.map(|stored| stored.person),
        (None, Some(email)) => tx
            .person_by_email(keys, email)
            .await?
            .map(|stored| stored.person),
        (None, None) => None,
    };
    let person = match (person, &claims.email) {
        (Some(person), _) => person,
        (None, Some(email)) if known.is_none() && admitted => {
            let person = Person {
                id: tx.new_id("per"),
                email: email.clone(),
                name: claims.name.clone().unwrap_or_else(|| email.clone()),
                role: Role::Person,
                state: State::Active,
                created_at: tx.now(),
                passkeys_since: None,
            };
            tx.insert_person(keys, &person, None).await?;
            tx.record(
                Event::new(Kind::PersonCreated)
                    .person(&person.id)
                    .data("role", person.role.word())
                    .data("upstream", upstream)
                    .private("email", email),
            );
            person
        }
        _ => {
            let refused = Event::new(Kind::SignInRefused)
                .data("reason", "nobody")
                .data("upstream", upstream);
            tx.record(match &claims.email {
                Some(email) => refused.private("email", email),
                None => refused,
            });
            return Ok(Found::Nobody);
        }
    };
    if person.state == State::Locked {
        tx.record(
            Event::new(Kind::SignInRefused)
                .person(&person.id)
                .data("reason", "locked")
                .data("upstream", upstream),
        );
        return Ok(Found::Locked);
    }
    if known.is_none() {
        tx.insert_upstream_identity(keys, issuer, &claims.subject, &person.id)
            .await?;
    }
    tx.record(
        Event::new(Kind::SignedIn)
            .person(&person.id)
            .data("upstream", upstream),
    );
    Ok(Found::Somebody(person))
}

fn covered(issuer: &str, subject: &str, person: &str) -> Vec<u8> {
    serde_json::json!([issuer, subject, person])
        .to_string()
        .into_bytes()
}

impl Tx {
    async fn upstream_identity(
        &mut self,
        keys: &Keyring,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<String>, storage::Error> {
        let sql = "select person_id, mac, mac_key from upstream_identities \
                   where issuer = $1 and subject = $2";
        let row = self
            .optional(sql, vec![issuer.into(), subject.into()])
            .await?;
        let Some(row) = row else { return Ok(None) };
        let person: String = row.get("person_id")?;
        let (mac, key): (Vec<u8>, String) = (row.get("mac")?, row.get("mac_key")?);
        let covered = covered(issuer, subject, &person);
        if !keys.mac_holds("upstream_identities", &covered, &mac, &key) {
            return Err(row.bad("upstream_identities", "mac"));
        }
        Ok(Some(person))
    }

    async fn insert_upstream_identity(
        &mut self,
        keys: &Keyring,
        issuer: &str,
        subject: &str,
        person: &str,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        let (mac, key) = keys.mac("upstream_identities", &covered(issuer, subject, person));
        self.execute(
            "insert into upstream_identities (issuer, subject, person_id, created_at, mac, mac_key) \
             values ($1, $2, $3, $4, $5, $6)",
            vec![
                issuer.into(),
                subject.into(),
                person.into(),
                now.into(),
                mac.into(),
                key.into(),
            ],
        )
        .await?;
        Ok(())
    }
}

/// Notes an identity, as a sign-in would: for tests of other rooms.
///
/// # Errors
/// The database's.
#[cfg(any(test, feature = "testing"))]
pub async fn know(
    engine: &Engine,
    issuer: &str,
    subject: &str,
    person_id: &str,
) -> Result<(), storage::Error> {
    let known = (
        engine.clone(),
        issuer.to_owned(),
        subject.to_owned(),
        person_id.to_owned(),
    );
    engine
        .store
        .write(move |tx| {
            let (engine, issuer, subject, person) = known.clone();
            Box::pin(async move {
                tx.insert_upstream_identity(&engine.keys, &issuer, &subject, &person)
                    .await
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn upstream(admits: &[&str]) -> Upstream {
        Upstream {
            id: "work".to_owned(),
            name: "Work".to_owned(),
            issuer: "https://work.test".to_owned(),
            client_id: "us".to_owned(),
            client_secret: "secret".into(),
            admits: admits.iter().map(|domain| (*domain).to_owned()).collect(),
        }
    }

    fn claims(subject: &str, email: Option<&str>) -> Claims {
        Claims {
            signed_in_at: 0,
            subject: subject.to_owned(),
            email: email.map(str::to_owned),
            name: Some("Ada".to_owned()),
        }
    }

    #[tokio::test]
    async fn a_verified_address_leads_to_its_person_once_and_then_the_subject_does() {
        let bench = Bench::new().await;
        let ada = bench.person("ada@example.com").await;
        let work = upstream(&[]);
        let first = resolve(&bench, &work, claims("1", Some("ada@example.com"))).await;
        assert_eq!(first.unwrap().id, ada.id);
        // Her address there changed; she is who she is.
        let later = resolve(&bench, &work, claims("1", Some("new@example.com"))).await;
        assert_eq!(later.unwrap().id, ada.id);
        let later = resolve(&bench, &work, claims("1", None)).await;
        assert_eq!(later.unwrap().id, ada.id);
        // The same subject elsewhere is somebody else.
        let elsewhere = Upstream {
            issuer: "https://elsewhere.test".to_owned(),
            ..upstream(&[])
        };
        let other = resolve(&bench, &elsewhere, claims("1", None)).await;
        assert!(matches!(other, Err(Error::NobodyHere)));
    }

    #[tokio::test]
    async fn only_people_of_an_admitted_domain_are_created() {
        let bench = Bench::new().await;
        let work = upstream(&["example.com"]);
        for stranger in [
            Some("eve@notexample.com"),
            Some("eve@example.com.evil.test"),
            Some("example.com@evil.test"),
            None,
        ] {
            let nobody = resolve(&bench, &work, claims("2", stranger)).await;
            assert!(matches!(nobody, Err(Error::NobodyHere)), "{stranger:?}");
        }
        let made = resolve(&bench, &work, claims("3", Some("ada@example.com"))).await;
        let made = made.unwrap();
        assert_eq!((made.role, made.name.as_str()), (Role::Person, "Ada"));
        let again = resolve(&bench, &work, claims("3", Some("ada@example.com"))).await;
        assert_eq!(again.unwrap().id, made.id);
        // Without a password nobody signs in with one.
        let guess = super::super::sign_in(&bench, "ada@example.com", "".into(), None).await;
        assert!(matches!(guess, Err(super::super::Error::WrongPassword)));
    }

    #[tokio::test]
    async fn an_identity_that_was_changed_behind_our_back_is_refused() {
        let bench = Bench::new().await;
        let (ada, bob) = (
            bench.person("ada@example.com").await,
            bench.person("bob@example.com").await,
        );
        let work = upstream(&[]);
        know(&bench, &work.issuer, "1", &ada.id).await.unwrap();
        let to = bob.id.clone();
        bench
            .store
            .write(move |tx| {
                let to = to.clone();
                Box::pin(async move {
                    tx.execute(
                        "update upstream_identities set person_id = $1",
                        vec![to.into()],
                    )
                    .await
                })
            })
            .await
            .unwrap();
        let outcome = resolve(&bench, &work, claims("1", None)).await;
        assert!(matches!(outcome, Err(Error::Storage(_))));
    }
}
