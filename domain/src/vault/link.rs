//! Linking an account: authorization code with PKCE (RFC 6749 §4.1, RFC 7636).

use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::connections::{self, ConnectionState, Stored};
use super::envelope::Place;
use super::identify::{self, Identity};
use super::providers::Provider;
use super::revoke::ask_revoke;
use super::wire::{self, Grant, TokenAnswer, TokenError, safe_code};
use super::{AccessMode, Account, linked};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::secret::Secret;
use crate::storage::{self, Json, Tx};

/// How providers say that the person said no (RFC 6749 §4.1.2.1; LinkedIn has
/// words of its own: <https://learn.microsoft.com/en-us/linkedin/shared/authentication/authorization-code-flow>).
/// Any other error is not the person's doing.
const DENIALS: [&str; 3] = [
    "access_denied",
    "user_cancelled_login",
    "user_cancelled_authorize",
];

/// How long a person may take at the provider, in milliseconds.
const ATTEMPT_MS: i64 = 15 * 60_000;

/// What it takes to send a person to a provider.
#[derive(Clone, Debug)]
pub struct StartLink {
    /// Who links.
    pub person_id: String,
    /// Their session; the answer must come back in the same one.
    pub session_id: String,
    /// The connection's name.
    pub connection: String,
    /// A client to be permitted in the same act, and how.
    pub client: Option<(String, AccessMode)>,
    /// A local path to return to afterwards.
    pub return_to: String,
    /// Where the provider sends the person back to, exactly.
    pub redirect_uri: String,
}

/// What a provider's redirect brought.
#[derive(Clone)]
pub struct FinishLink {
    /// Who is signed in.
    pub person_id: String,
    /// Their session.
    pub session_id: String,
    /// The `state` parameter.
    pub state: String,
    /// The `code` parameter, or the `error` parameter.
    pub answer: Result<Secret<String>, String>,
    /// The `iss` parameter, where there is one (RFC 9207 §2).
    pub iss: Option<String>,
}

/// An account was linked.
#[derive(Clone, Debug)]
pub struct Linked {
    /// The account.
    pub account: Account,
    /// Whether it existed before and was linked again.
    pub again: bool,
    /// The local path given to [`start`].
    pub return_to: String,
}

/// Why an account was not linked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state is forged, used up, too old, or of another session or person.
    #[error(
        "this link attempt is not known here: it is too old, was used already, or began in another session"
    )]
    UnknownState,
    /// The person said no at the provider.
    #[error("access was refused at the provider")]
    Refused {
        /// The local path given to [`start`].
        return_to: String,
        /// The connection.
        connection: String,
        /// The provider's error code, shortened to safe characters.
        code: String,
    },
    /// The provider did not complete the exchange.
    #[error("the provider did not complete the link: {code}")]
    Failed {
        /// The local path given to [`start`].
        return_to: String,
        /// The connection.
        connection: String,
        /// What went wrong, in safe characters.
        code: String,
    },
    /// Anything else.
    #[error(transparent)]
    Vault(#[from] super::Error),
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl From<crate::keyring::Error> for Error {
    fn from(error: crate::keyring::Error) -> Self {
        Self::Vault(error.into())
    }
}

/// What is kept of an attempt, wrapped.
#[derive(Serialize, Deserialize)]
struct Kept {
    verifier: String,
    redirect_uri: String,
}

impl Drop for Kept {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        self.verifier.zeroize();
    }
}

fn place(state_hash: &[u8; 32]) -> Vec<u8> {
    Place::of("link attempt", &[&hex(state_hash)]).into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// A path of our own: never another host, whatever a browser makes of it.
fn is_local(path: &str) -> bool {
    path.starts_with('/')
        && !path[1..].starts_with(['/', '\\'])
        && !path.chars().any(|c| c.is_control() || c == '\\')
        && path.len() <= 2048
}

/// Remembers the attempt and answers where to send the person.
///
/// # Errors
/// An unknown or disabled connection; a `return_to` that is not a local path.
pub async fn start(engine: &Engine, ask: StartLink) -> Result<Url, Error> {
    let invalid = |why: &str| Error::Vault(super::Error::Invalid(why.to_owned()));
    if !engine.adoption.is_adopted() {
        return Err(super::Error::NotAdopted.into());
    }
    if !is_local(&ask.return_to) {
        return Err(invalid("the way back must be a path of this site"));
    }
    let stored = connections::need(engine, &ask.connection).await?;
    if stored.connection.state == ConnectionState::Disabled {
        return Err(invalid("this connection is switched off"));
    }
    let state = engine.new_token("att_ls");
    let state_hash = engine.keys.hash("link_state", state.expose().as_bytes());
    let verifier = PkceCodeVerifier::new(evidence::digest::base64url(&crate::ids::random::<32>(
        &*engine.rng,
    )));
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    let redirect = RedirectUrl::new(ask.redirect_uri.clone())
        .map_err(|_| invalid("the redirect URI is not a URL"))?;
    let kept = Kept {
        verifier: verifier.secret().clone(),
        redirect_uri: ask.redirect_uri.clone(),
    };
    let text = Secret::new(serde_json::to_vec(&kept).map_err(|_| Error::UnknownState)?);
    let (sealed, _) = engine
        .keys
        .keks()
        .wrap(text.expose(), &place(&state_hash))
        .await?;
    let url = authorize_url(
        &stored,
        redirect,
        challenge,
        state.expose(),
        nonce(engine, &state_hash),
    );
    let session_hash = engine.keys.hash("session", ask.session_id.as_bytes());
    let scopes = stored.connection.scopes.clone();
    engine
        .store
        .write(move |tx| {
            let (ask, sealed, scopes) = (ask.clone(), sealed.clone(), scopes.clone());
            Box::pin(async move {
                let now = tx.now();
                tx.execute(
                    "insert into link_attempts (state_hash, person_id, session_hash, connection_id, verifier_sealed, \
                     scopes, client_id, access_mode, return_to, created_at, expires_at) \
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                    vec![
                        state_hash.into(),
                        (&ask.person_id).into(),
                        session_hash.into(),
                        (&ask.connection).into(),
                        sealed.into(),
                        Json(&scopes).into(),
                        ask.client.as_ref().map(|(client, _)| client.clone()).into(),
                        ask.client.as_ref().map(|(_, mode)| mode.word()).into(),
                        (&ask.return_to).into(),
                        now.into(),
                        (now + ATTEMPT_MS).into(),
                    ],
                )
                .await?;
                Ok::<_, Error>(())
            })
        })
        .await?;
    Ok(url)
}

/// What an ID token must bring back; nothing needs to be kept for it.
fn nonce(engine: &Engine, state_hash: &[u8; 32]) -> String {
    evidence::digest::base64url(&engine.keys.hash("link_nonce", state_hash))
}

fn authorize_url(
    stored: &Stored,
    redirect: RedirectUrl,
    challenge: PkceCodeChallenge,
    state: &str,
    nonce: String,
) -> Url {
    let entry = &stored.entry;
    let client = BasicClient::new(ClientId::new(stored.connection.client_id.clone()))
        .set_auth_uri(AuthUrl::from_url(stored.endpoints.authorize.clone()))
        .set_redirect_uri(redirect);
    let mut request = client.authorize_url(|| CsrfToken::new(state.to_owned()));
    if entry.pkce {
        request = request.set_pkce_challenge(challenge);
    }
    if entry.id_token.is_some() {
        // OpenID Connect Core §3.1.2.1: comes back in the ID token.
        request = request.add_extra_param("nonce", nonce);
    }
    let (bot, own): (Vec<&String>, Vec<&String>) = stored
        .connection
        .scopes
        .iter()
        .partition(|scope| scope.starts_with("bot:"));
    let joined = |scopes: &[&String]| {
        let names: Vec<&str> = scopes
            .iter()
            .map(|scope| scope.strip_prefix("bot:").unwrap_or(scope))
            .collect();
        names.join(&entry.scope_separator)
    };
    if entry.scope_parameter == "scope" && entry.scope_separator == " " {
        request = request.add_scopes(own.iter().map(|scope| Scope::new((*scope).clone())));
    } else if !own.is_empty() {
        request = request.add_extra_param(entry.scope_parameter.clone(), joined(&own));
    }
    if let Some(parameter) = entry
        .bot_scope_parameter
        .as_ref()
        .filter(|_| !bot.is_empty())
    {
        request = request.add_extra_param(parameter.clone(), joined(&bot));
    }
    for (name, value) in &entry.authorize_parameters {
        request = request.add_extra_param(name.clone(), value.clone());
    }
    request.url().0
}

/// An attempt that was just used up.
struct Attempt {
    connection: String,
    sealed: Vec<u8>,
    scopes: Vec<String>,
    client: Option<(String, AccessMode)>,
    return_to: String,
}

/// Takes the provider's answer: exchanges the code, asks who it is, and stores
/// account, grant and permission in one write.
///
/// # Errors
/// See [`Error`]; nothing was changed then but the attempt, which is used up.
pub async fn finish(engine: &Engine, ask: FinishLink) -> Result<Linked, Error> {
    if !engine.adoption.is_adopted() {
        return Err(super::Error::NotAdopted.into());
    }
    let state_hash = engine.keys.hash("link_state", ask.state.as_bytes());
    let session_hash = engine.keys.hash("session", ask.session_id.as_bytes());
    let person = ask.person_id.clone();
    // Used up before anything else, in a write of its own: a state serves once,
    // whatever becomes of the rest.
    let attempt = engine
        .store
        .write(move |tx| {
            let person = person.clone();
            Box::pin(async move { tx.use_attempt(&state_hash, &session_hash, &person).await })
        })
        .await?
        .ok_or(Error::UnknownState)?;
    let stored = connections::need(engine, &attempt.connection).await?;
    let answer = match ask.iss {
        // The code of another server is not shown to this one (RFC 9207 §2.4).
        Some(iss) if !speaks_as(&stored.entry, &iss) => Err("wrong_issuer".to_owned()),
        _ => ask.answer,
    };
    let code = match answer {
        Ok(code) => code,
        Err(code) => {
            let code = safe_code(&code);
            note_failure(engine, &ask.person_id, &attempt.connection, &code).await?;
            let (return_to, connection) = (attempt.return_to, attempt.connection);
            return Err(if DENIALS.contains(&code.as_str()) {
                Error::Refused {
                    return_to,
                    connection,
                    code,
                }
            } else {
                Error::Failed {
                    return_to,
                    connection,
                    code,
                }
            });
        }
    };
    let exchanged = exchange(engine, &stored, &attempt, &state_hash, &code).await?;
    let (answer, identity) = match exchanged {
        Ok(both) => both,
        Err(error) => {
            let code = code_of(&error);
            if let TokenError::InvalidClient(code) = error {
                mark_invalid_client(engine, &attempt.connection, code).await?;
            }
            note_failure(engine, &ask.person_id, &attempt.connection, &code).await?;
            let (return_to, connection) = (attempt.return_to, attempt.connection);
            return Err(Error::Failed {
                return_to,
                connection,
                code,
            });
        }
    };
    let new = linked::NewLink {
        person_id: ask.person_id,
        asked: attempt.scopes,
        client: attempt.client,
        identity,
        answer,
    };
    let (account, again) = linked::keep(engine, &stored, new).await?;
    Ok(Linked {
        account,
        again,
        return_to: attempt.return_to,
    })
}

/// Whether a provider may call itself this. Of most entries the issuer is not
/// known, and of some it has the tenant's id in it.
fn speaks_as(entry: &Provider, iss: &str) -> bool {
    let issuer = entry.id_token.as_ref().map(|rule| rule.issuer.as_str());
    issuer.is_none_or(|issuer| issuer == iss || issuer.contains("{tid}"))
}

fn code_of(error: &TokenError) -> String {
    match error {
        TokenError::NotSent => "unreachable".to_owned(),
        TokenError::Limited { .. } => "rate_limited".to_owned(),
        TokenError::Down { .. } => "unavailable".to_owned(),
        TokenError::Lost(_) => "answer_lost".to_owned(),
        TokenError::InvalidGrant => "invalid_grant".to_owned(),
        TokenError::InvalidClient(code) | TokenError::Refused(code) => code.clone(),
    }
}

fn needs_instance(entry: &Provider) -> bool {
    entry
        .instance
        .as_ref()
        .is_some_and(|instance| !instance.optional)
}

type Exchanged = Result<(TokenAnswer, Identity), TokenError>;

async fn exchange(
    engine: &Engine,
    stored: &Stored,
    attempt: &Attempt,
    state_hash: &[u8; 32],
    code: &Secret<String>,
) -> Result<Exchanged, Error> {
    let kept = engine
        .keys
        .keks()
        .unwrap(&attempt.sealed, &place(state_hash))
        .await?;
    let kept: Kept = serde_json::from_slice(kept.expose()).map_err(|_| Error::UnknownState)?;
    let secret = stored.secret(engine).await?;
    let verifier = Secret::new(kept.verifier.clone());
    let grant = Grant::Code {
        code,
        verifier: Some(&verifier).filter(|_| stored.entry.pkce),
        redirect_uri: &kept.redirect_uri,
    };
    let answer = match wire::ask_token(engine, stored, &secret, grant).await {
        Ok(answer) => answer,
        Err(error) => return Ok(Err(error)),
    };
    let instance_fits = |url: &String| stored.endpoints.instance(url).is_ok();
    let identity = if answer
        .found
        .instance_url
        .as_ref()
        .is_some_and(|url| !instance_fits(url))
        || answer.found.instance_url.is_none() && needs_instance(&stored.entry)
    {
        Err(TokenError::Refused("instance_elsewhere".to_owned()))
    } else {
        identify::identify(engine, stored, &answer, &nonce(engine, state_hash)).await
    };
    Ok(match identity {
        Ok(identity) => Ok((answer, identity)),
        Err(error) => {
            // Nobody will hold this token: end it there, if the provider answers now.
            let tokens = &answer.tokens;
            let last = match &tokens.refresh {
                Some(token) if !stored.entry.revocation.takes_access_token() => token,
                _ => &tokens.access,
            };
            if let Err(error) = ask_revoke(engine, stored, last).await {
                tracing::info!(%error, "a token that was not kept could not be revoked");
            }
            Err(error)
        }
    })
}

async fn note_failure(
    engine: &Engine,
    person: &str,
    connection: &str,
    code: &str,
) -> Result<(), storage::Error> {
    let facts = (person.to_owned(), connection.to_owned(), code.to_owned());
    engine
        .store
        .write(move |tx| {
            let (person, connection, code) = facts.clone();
            Box::pin(async move {
                tx.record(
                    Event::new(Kind::LinkFailed)
                        .person(person)
                        .data("connection", connection)
                        .data("code", code),
                );
                Ok(())
            })
        })
        .await
}

async fn mark_invalid_client(
    engine: &Engine,
    connection: &str,
    code: String,
) -> Result<(), storage::Error> {
    let connection = connection.to_owned();
    engine
        .store
        .write(move |tx| {
            let (connection, code) = (connection.clone(), code.clone());
            Box::pin(async move {
                let (well, ill) = (ConnectionState::Active, ConnectionState::InvalidClient);
                tx.mark_connection(&connection, well, ill, &code).await
            })
        })
        .await
}

/// Forgets attempts that ran out. Answers how many.
///
/// # Errors
/// The database's.
pub async fn sweep(engine: &Engine) -> Result<u64, super::Error> {
    engine
        .store
        .write(move |tx| {
            Box::pin(async move {
                let now = tx.now();
                Ok(tx
                    .execute(
                        "delete from link_attempts where expires_at < $1",
                        vec![now.into()],
                    )
                    .await?)
            })
        })
        .await
}

impl Tx {
    /// Uses an attempt up, if it is this session's and still good.
    async fn use_attempt(
        &mut self,
        state_hash: &[u8; 32],
        session_hash: &[u8; 32],
        person: &str,
    ) -> Result<Option<Attempt>, storage::Error> {
        let now = self.now();
        let row = self
            .swap(
                "update link_attempts set used_at = $4 where state_hash = $1 and session_hash = $2 and person_id = $3 \
                 and used_at is null and expires_at > $4 \
                 returning connection_id as id, verifier_sealed, scopes, client_id, access_mode, return_to",
                vec![state_hash.into(), session_hash.into(), person.into(), now.into()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let client: Option<String> = row.get("client_id")?;
        let mode: Option<String> = row.get("access_mode")?;
        let client = match (client, mode.map(|word| word.parse())) {
            (Some(client), Some(Ok(mode))) => Some((client, mode)),
            (None, None) => None,
            _ => return Err(row.bad("link_attempts", "access_mode")),
        };
        Ok(Some(Attempt {
            connection: row.get("id")?,
            sealed: row.get("verifier_sealed")?,
            scopes: row.json("link_attempts", "scopes")?,
            client,
            return_to: row.get("return_to")?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_stays_on_this_site() {
        for good in ["/", "/accounts?linked=1"] {
            assert!(is_local(good), "{good}");
        }
        for bad in [
            "",
            "accounts",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nb",
            "/a\\b",
        ] {
            assert!(!is_local(bad), "{bad}");
        }
    }

    const PATH: [&str; 16] = [
        "/",
        "/",
        "\\",
        ".",
        "..",
        "@",
        ":",
        "https:",
        "evil.example",
        "?",
        "#",
        "\t",
        "\n",
        " ",
        "%2f",
        "\u{85}",
    ];

    fn way_back(text: &str) {
        if is_local(text) {
            evidence::fuzz::taken("way back");
            let here = Url::parse("https://attorn.test/accounts/link/slack?x=1").unwrap();
            let there = here.join(text).unwrap();
            assert_eq!(there.origin(), here.origin(), "{text:?}");
            assert!(there.username().is_empty(), "{text:?}");
        }
    }

    #[test]
    fn ways_back() {
        bolero::check!(name = "way_back")
            .with_iterations(evidence::fuzz::INPUTS)
            .for_each(|input: &[u8]| {
                way_back(&String::from_utf8_lossy(input));
                let spelled = evidence::fuzz::spell(input, &PATH);
                way_back(&spelled);
                way_back(&format!("/{spelled}"));
            });
        evidence::fuzz::has_taken("way back", 5);
    }
}
