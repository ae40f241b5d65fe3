//! The agent as a client: its registration, the person's consent, its tokens.
//!
//! It is a confidential client with an id and a secret, and uses `/authorize`
//! and the token endpoint's verbs with them like any other. Its secret is not
//! stored anywhere: it is a keyed hash of its id under the deployment's own
//! hash key, so that every instance has the same one and a copied database
//! without the key has none. Its refresh token per person does not rotate (it
//! is confidential, and a crash between an answer and a write must not end a
//! background run) and lies sealed under a data key of that person's row.

use std::sync::Arc;

use evidence::digest::{base64url, sha256};
use serde_json::json;
use url::Url;

use super::runs::{self, Answer, RunState};
use super::tools;
use crate::Engine;
use crate::ids;
use crate::keyring;
use crate::oauth::{
    Client, ClientKind, Code, GrantType, NewClient, OauthError, Params, RequestHead, Source,
    clients, token,
};
use crate::rotation::{WrappedRows, wrapped_rows};
use crate::secret::Secret;
use crate::storage;
use crate::vault::AccessMode;

/// The agent's `client_id`.
pub const CLIENT_ID: &str = "attorn-agent";
/// The path, below the issuer, that its codes are sent to.
pub const CALLBACK: &str = "agent/callback";
/// How long a person may take to consent, in milliseconds.
const CONSENT_MS: i64 = 10 * 60 * 1000;

/// Why the agent has no tokens.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The `state` is unknown, used, expired, or of another person or session.
    #[error("this consent was not begun here, or too long ago; start it again")]
    UnknownState,
    /// There is no such run, or it is somebody else's.
    #[error("there is no such run here")]
    NotFound,
    /// The authorization server refused, as it may refuse any client.
    #[error(transparent)]
    Oauth(#[from] OauthError),
    /// The agent could not be registered.
    #[error(transparent)]
    Client(#[from] clients::Error),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] keyring::Error),
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// What came back to [`CALLBACK`].
pub enum Returned {
    /// A code.
    Code(Secret<String>),
    /// An error: the person said no, or something failed.
    Error(String),
}

fn secret(engine: &Engine) -> Secret<String> {
    let hash = engine.keys.hash("embedded agent", CLIENT_ID.as_bytes());
    Secret::new(format!("att_cs_{}", base64url(&hash)))
}

fn redirect_uri(engine: &Engine) -> String {
    engine.settings.url(CALLBACK)
}

/// Registers the agent if it is not yet, and follows a changed issuer. Call it at start.
///
/// # Errors
/// See [`Error`].
pub async fn register(engine: &Engine) -> Result<Client, Error> {
    if let Some(client) = clients::get(engine, CLIENT_ID).await? {
        let here = vec![redirect_uri(engine)];
        return if client.redirect_uris == here {
            Ok(client)
        } else {
            Ok(clients::redirect_to(engine, None, CLIENT_ID, here).await?)
        };
    }
    let new = NewClient {
        id: Some(CLIENT_ID.to_owned()),
        kind: ClientKind::Confidential,
        redirect_uris: vec![redirect_uri(engine)],
        grant_types: vec![
            GrantType::AuthorizationCode,
            GrantType::RefreshToken,
            GrantType::Ciba,
        ],
        rotate_refresh: false,
        access_mode: Some(AccessMode::Call),
        embedded: true,
        secret: Some(secret(engine)),
        ..NewClient::confidential("Attorn agent", Source::Config)
    };
    match clients::register(engine, new).await {
        Ok((client, _)) => Ok(client),
        // Another instance was first.
        Err(clients::Error::Taken) => clients::get(engine, CLIENT_ID)
            .await?
            .ok_or(Error::Client(clients::Error::Taken)),
        Err(error) => Err(error.into()),
    }
}

/// The token endpoint, with the agent's credentials.
pub(super) async fn token_request(
    engine: &Engine,
    parameters: &[(&'static str, &str)],
) -> Result<token::TokenAnswer, OauthError> {
    let secret = secret(engine);
    let own = [
        ("client_id", CLIENT_ID),
        ("client_secret", secret.expose().as_str()),
    ];
    let params = Params::new(own.into_iter().chain(parameters.iter().copied()))?;
    token::answer(engine, &RequestHead::default(), &params).await
}

fn session_hash(engine: &Engine, session_id: &str) -> [u8; 32] {
    engine.keys.hash("agent session", session_id.as_bytes())
}

fn verifier_place(state_hash: &[u8; 32]) -> Vec<u8> {
    [b"attorn agent consent\0".as_slice(), state_hash].concat()
}

/// Begins a consent; answers the address of `/authorize` to send the person to.
/// With a run, the page also asks for the account which that run needs.
///
/// # Errors
/// See [`Error`].
pub async fn start(
    engine: &Engine,
    person_id: &str,
    session_id: &str,
    run_id: Option<&str>,
) -> Result<Url, Error> {
    register(engine).await?;
    let connection = match run_id {
        Some(id) => {
            let run = runs::get(engine, person_id, id).await?;
            Some(tools::connection(&run.ok_or(Error::NotFound)?.plan))
        }
        None => None,
    };
    let state = engine.new_token("att_st");
    let state_hash = engine.keys.hash("agent state", state.expose().as_bytes());
    let verifier = Secret::new(base64url(&ids::random::<32>(&*engine.rng)));
    let (sealed, _) = engine
        .keys
        .keks()
        .wrap(verifier.expose().as_bytes(), &verifier_place(&state_hash))
        .await?;
    let session = session_hash(engine, session_id);
    let (person, run) = (person_id.to_owned(), run_id.map(str::to_owned));
    engine
        .store
        .write(move |tx| {
            let (person, run, sealed) = (person.clone(), run.clone(), sealed.clone());
            Box::pin(async move {
                let expires_at = tx.now() + CONSENT_MS;
                tx.insert_consent(&state_hash, &person, &session, sealed, run, expires_at)
                    .await
            })
        })
        .await?;
    let mut url = Url::parse(&engine.settings.url("authorize"))
        .map_err(|error| OauthError::request("the issuer is no address").because(error))?;
    let challenge = base64url(&sha256(verifier.expose().as_bytes()));
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", CLIENT_ID)
        .append_pair("redirect_uri", &redirect_uri(engine))
        .append_pair("scope", "openid offline_access")
        .append_pair("audience", &engine.settings.proxy_audience())
        .append_pair("state", state.expose())
        // Something is missing, or nobody would be here: ask, whatever is remembered.
        .append_pair("prompt", "consent")
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    if let Some(connection) = connection.flatten() {
        let details = json!([{"type": "account_access", "connection": connection, "mode": "call"}]);
        url.query_pairs_mut()
            .append_pair("authorization_details", &details.to_string());
    }
    Ok(url)
}

/// Ends a consent that came back to [`CALLBACK`]; answers the run it was for.
/// A refusal ends that run.
///
/// # Errors
/// See [`Error`].
pub async fn finish(
    engine: &Engine,
    person_id: &str,
    session_id: &str,
    state: &str,
    returned: Returned,
) -> Result<Option<String>, Error> {
    let state_hash = engine.keys.hash("agent state", state.as_bytes());
    let session = session_hash(engine, session_id);
    let person = person_id.to_owned();
    let begun = engine
        .store
        .write(move |tx| {
            let person = person.clone();
            Box::pin(async move { tx.use_consent(&state_hash, &person, &session).await })
        })
        .await?;
    let (sealed, run_id) = begun.ok_or(Error::UnknownState)?;
    let code = match returned {
        Returned::Code(code) => code,
        Returned::Error(error) => {
            if let Some(run) = &run_id {
                refused(engine, run, &error).await?;
            }
            return Ok(run_id);
        }
    };
    let verifier = engine
        .keys
        .keks()
        .unwrap(&sealed, &verifier_place(&state_hash))
        .await?;
    let verifier = String::from_utf8_lossy(verifier.expose()).into_owned();
    let answer = token_request(
        engine,
        &[
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", &redirect_uri(engine)),
            ("code_verifier", &verifier),
        ],
    )
    .await?;
    let refresh = answer
        .refresh_token
        .ok_or_else(|| OauthError::grant("no refresh token came with the consent"))?;
    keep(engine, person_id, &refresh).await?;
    Ok(run_id)
}

async fn refused(engine: &Engine, run_id: &str, error: &str) -> Result<(), storage::Error> {
    let (state, words) = if error == "access_denied" {
        (
            RunState::Denied,
            "You did not let the agent do this. Nothing was done.",
        )
    } else {
        (
            RunState::Failed,
            "Your consent could not be completed. Nothing was done.",
        )
    };
    let run_id = run_id.to_owned();
    engine
        .store
        .write(move |tx| {
            let run_id = run_id.clone();
            Box::pin(async move {
                tx.end_run(&run_id, None, state, &Answer::text(words))
                    .await?;
                Ok(())
            })
        })
        .await
}

// The sealed refresh token ----------------------------------------------------

/// A person's row of `agent_tokens`, its data key opened.
pub(super) struct Held {
    key: Secret<[u8; 32]>,
    wrapped: Vec<u8>,
    kek_id: String,
    refresh_sealed: Vec<u8>,
}

/// Rows with a data key, for a rotation of what wraps them.
pub(crate) const WRAPPED: WrappedRows =
    wrapped_rows!("agent_tokens", "person_id", "data_key", |id| place(
        id, "data key"
    ));

fn place(person_id: &str, what: &str) -> Vec<u8> {
    format!("attorn agent token\0{CLIENT_ID}\0{person_id}\0{what}").into_bytes()
}

impl Held {
    /// Seals something else of this person's under the same data key.
    pub(super) fn seal(
        &self,
        engine: &Engine,
        person_id: &str,
        what: &str,
        plain: &str,
    ) -> Result<Vec<u8>, keyring::Error> {
        let place = place(person_id, what);
        keyring::seal(self.key.expose(), plain.as_bytes(), &place, &*engine.rng)
    }

    /// Opens what [`Held::seal`] made for the same place.
    pub(super) fn open(
        &self,
        person_id: &str,
        what: &str,
        sealed: &[u8],
    ) -> Result<Secret<String>, keyring::Error> {
        let plain = keyring::open(self.key.expose(), sealed, &place(person_id, what))?;
        String::from_utf8(plain.expose().clone())
            .map(Secret::new)
            .map_err(|_| keyring::Error::DoesNotOpen)
    }
}

/// The person's row, if they ever let the agent act.
pub(super) async fn held(engine: &Engine, person_id: &str) -> Result<Option<Held>, Error> {
    let row = engine
        .store
        .reader()
        .await?
        .agent_token(person_id, CLIENT_ID)
        .await?;
    let Some((wrapped, kek_id, refresh_sealed)) = row else {
        return Ok(None);
    };
    let key = engine
        .keys
        .keks()
        .unwrap(&wrapped, &place(person_id, "data key"))
        .await?;
    let key: [u8; 32] = key
        .expose()
        .as_slice()
        .try_into()
        .map_err(|_| keyring::Error::DoesNotOpen)?;
    Ok(Some(Held {
        key: Secret::new(key),
        wrapped,
        kek_id,
        refresh_sealed,
    }))
}

async fn keep(engine: &Engine, person_id: &str, refresh: &Secret<String>) -> Result<(), Error> {
    // The data key stays: requests that wait for a decision are sealed under it.
    let held = match held(engine, person_id).await? {
        Some(held) => held,
        None => {
            let key = Secret::new(ids::random::<32>(&*engine.rng));
            let place = place(person_id, "data key");
            let (wrapped, kek_id) = engine.keys.keks().wrap(key.expose(), &place).await?;
            Held {
                key,
                wrapped,
                kek_id,
                refresh_sealed: Vec::new(),
            }
        }
    };
    let sealed = held.seal(engine, person_id, "refresh", refresh.expose())?;
    let (wrapped, kek_id) = (held.wrapped.clone(), held.kek_id.clone());
    let person = Arc::new(person_id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (wrapped, sealed) = (wrapped.clone(), sealed.clone());
            let (kek_id, person) = (kek_id.clone(), person.clone());
            Box::pin(async move {
                tx.put_agent_token(&person, CLIENT_ID, wrapped, &kek_id, sealed)
                    .await?;
                // Runs that wait for consent or a permission look again.
                tx.signal(Some(&person), "permission", CLIENT_ID);
                Ok::<_, storage::Error>(())
            })
        })
        .await?;
    Ok(())
}

/// An access token of the agent's for the proxy; `None` when the person has
/// not let it act, or took that back.
pub(super) async fn access_token(
    engine: &Engine,
    person_id: &str,
) -> Result<Option<Secret<String>>, Error> {
    let Some(held) = held(engine, person_id).await? else {
        return Ok(None);
    };
    let refresh = held.open(person_id, "refresh", &held.refresh_sealed)?;
    let audience = engine.settings.proxy_audience();
    let answer = token_request(
        engine,
        &[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.expose()),
            ("audience", &audience),
        ],
    )
    .await;
    match answer {
        Ok(answer) => {
            if let Some(next) = &answer.refresh_token
                && next.expose() != refresh.expose()
            {
                keep(engine, person_id, next).await?;
            }
            Ok(Some(answer.access_token))
        }
        Err(error) if error.code == Code::InvalidGrant => Ok(None),
        Err(error) => Err(error.into()),
    }
}
