//! The device grant (RFC 8628): a device without a browser asks, shows a short
//! code, and polls; its person types the code here and allows or denies.
//!
//! The page always asks, also when it was reached with the code in its address
//! (§3.3.1), and shows the code: somebody who was sent a link by another must
//! be able to see that it is not their device's (§5.4). What a person allowed
//! is listed with their other consents.

use super::authenticate::client_of;
use super::authorize;
use super::clients::{self, Client, ClientKind, ClientState, GrantType};
use super::consents;
use super::error::{Code, OauthError};
use super::families::sign_in;
use super::first::{Authorized, First};
use super::params::Params;
use super::request_head::RequestHead;
use super::token::{TokenAnswer, same_target};
use crate::audit::{Event, Kind};
use crate::identity::SignIn;
use crate::limits::{Limit, TooOften};
use crate::pace::INTERVAL_S;
use crate::secret::Secret;
use crate::storage::{self, Json, Row, Tx};
use crate::{Engine, ids};

/// How long a person may take, in seconds.
pub const LIFETIME_S: i64 = 600;
/// Where a person types the code.
pub const PAGE: &str = "device";
/// RFC 8628 §6.1: no vowels, so that no words come about, and nothing that is
/// mistaken for something else.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LENGTH: usize = 8;

/// What a device is answered (§3.2).
pub struct DeviceAnswer {
    /// The device's credential for polling.
    pub device_code: Secret<String>,
    /// What it shows: `BCDF-GHJK`.
    pub user_code: String,
    /// Where its person goes.
    pub verification_uri: String,
    /// The same with the code in it, for a picture to scan.
    pub verification_uri_complete: String,
    /// Seconds the codes are good for.
    pub expires_in_s: i64,
    /// Seconds between polls.
    pub interval_s: i64,
}

/// What a device asks for, put before its person.
#[derive(Clone, Debug)]
pub struct DeviceRequest {
    /// Who asks.
    pub client: Client,
    /// What it would have.
    pub scopes: Vec<String>,
    /// The code as the device shows it.
    pub user_code: String,
}

/// Why a code that was typed leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// There is none such, it was answered, or it has run out.
    #[error("this code is not good, or no longer")]
    Unknown,
    /// Too many codes were typed.
    #[error(transparent)]
    TooOften(#[from] TooOften),
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl From<OauthError> for CodeError {
    fn from(_: OauthError) -> Self {
        Self::Unknown
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asked,
    Allowed,
    Denied,
    Used,
}

impl std::str::FromStr for State {
    type Err = ();
    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "asked" => Ok(Self::Asked),
            "allowed" => Ok(Self::Allowed),
            "denied" => Ok(Self::Denied),
            "used" => Ok(Self::Used),
            _ => Err(()),
        }
    }
}

struct DeviceRow {
    client_id: String,
    scopes: Vec<String>,
    audience: String,
    state: State,
    person_id: Option<String>,
    sign_in: Option<SignIn>,
    family_id: String,
    expires_at: i64,
}

impl DeviceRow {
    fn from_row(row: &Row) -> Result<Self, storage::Error> {
        Ok(Self {
            client_id: row.get("client_id")?,
            scopes: row.json("device_requests", "scopes")?,
            audience: row.get("audience")?,
            state: row.word("device_requests", "state")?,
            person_id: row.get("person_id")?,
            sign_in: sign_in(row, "device_requests")?,
            family_id: row.get("family_id")?,
            expires_at: row.get("expires_at")?,
        })
    }
}

fn device_hash(engine: &Engine, code: &str) -> [u8; 32] {
    engine.keys.hash("device_code", code.as_bytes())
}

fn user_hash(engine: &Engine, letters: &str) -> [u8; 32] {
    engine.keys.hash("user_code", letters.as_bytes())
}

/// Letters of equal chance.
fn new_user_code(engine: &Engine) -> String {
    let mut code = String::with_capacity(LENGTH);
    while code.len() < LENGTH {
        for byte in ids::random::<16>(&*engine.rng) {
            // 240 is the largest multiple of 20 that a byte holds.
            if byte < 240 && code.len() < LENGTH {
                code.push(char::from(LETTERS[usize::from(byte % 20)]));
            }
        }
    }
    code
}

/// What somebody typed, as we know it: however they wrote letters and hyphen
/// (§6.1). `None` if it can be no code.
fn letters(typed: &str) -> Option<String> {
    let letters: String = typed
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_uppercase())
        .take(LENGTH + 1)
        .collect();
    let right = letters.len() == LENGTH && letters.bytes().all(|byte| LETTERS.contains(&byte));
    right.then_some(letters)
}

fn shown(letters: &str) -> String {
    let (left, right) = letters.split_at(LENGTH / 2);
    format!("{left}-{right}")
}

/// `/oauth/device/code` (§3.1): authenticates the client, keeps its request.
///
/// # Errors
/// The wire error.
pub async fn ask(
    engine: &Engine,
    head: &RequestHead,
    params: &Params,
) -> Result<DeviceAnswer, OauthError> {
    let client = client_of(engine, head, params).await?;
    if !client.may(GrantType::DeviceCode) {
        return Err(OauthError::new(
            Code::UnauthorizedClient,
            "this client is not registered for the device grant",
        ));
    }
    let scopes = authorize::scopes(params, &client)?;
    let audience = client.audience(engine, params.target()?)?;
    let device_code = engine.new_token("att_dc");
    let letters = new_user_code(engine);
    let (hash, user) = (
        device_hash(engine, device_code.expose()),
        user_hash(engine, &letters),
    );
    let family_id = ids::id("fam", engine.now(), &*engine.rng);
    engine
        .store
        .write(move |tx| {
            let (client_id, family_id) = (client.id.clone(), family_id.clone());
            let (scopes, audience) = (scopes.clone(), audience.clone());
            Box::pin(async move {
                let now = tx.now();
                tx.execute(
                    "insert into device_requests (device_hash, user_hash, client_id, scopes, audience, state, family_id, created_at, expires_at) \
                     values ($1, $2, $3, $4, $5, 'asked', $6, $7, $8)",
                    vec![
                        hash.into(),
                        user.into(),
                        client_id.into(),
                        Json(&scopes).into(),
                        audience.into(),
                        family_id.into(),
                        now.into(),
                        (now + LIFETIME_S * 1000).into(),
                    ],
                )
                .await?;
                Ok::<_, OauthError>(())
            })
        })
        .await?;
    let user_code = shown(&letters);
    let page = engine.settings.url(PAGE);
    Ok(DeviceAnswer {
        device_code,
        verification_uri_complete: format!("{page}?user_code={user_code}"),
        verification_uri: page,
        user_code,
        expires_in_s: LIFETIME_S,
        interval_s: INTERVAL_S,
    })
}

/// What is asked under a code that this person typed.
///
/// # Errors
/// [`CodeError`].
pub async fn find(
    engine: &Engine,
    person_id: &str,
    typed: &str,
) -> Result<DeviceRequest, CodeError> {
    engine.limits.count(Limit::UserCode, person_id)?;
    let letters = letters(typed).ok_or(CodeError::Unknown)?;
    let hash = user_hash(engine, &letters);
    let row = engine
        .store
        .reader()
        .await?
        .device_by_user_code(hash)
        .await?
        .ok_or(CodeError::Unknown)?;
    let client = clients::get(engine, &row.client_id)
        .await
        .ok()
        .flatten()
        .filter(|client| client.state == ClientState::Active)
        .ok_or(CodeError::Unknown)?;
    Ok(DeviceRequest {
        client,
        scopes: row.scopes,
        user_code: shown(&letters),
    })
}

/// The person allows or denies what is asked under a code, once. `sign_in`
/// is how and when they signed in.
///
/// # Errors
/// [`CodeError`].
pub async fn decide(
    engine: &Engine,
    person_id: &str,
    sign_in: impl Into<SignIn>,
    typed: &str,
    allow: bool,
) -> Result<DeviceRequest, CodeError> {
    let sign_in = sign_in.into();
    let request = find(engine, person_id, typed).await?;
    let hash = user_hash(engine, &letters(typed).ok_or(CodeError::Unknown)?);
    let (at, person, asked) = (engine.clone(), person_id.to_owned(), request.clone());
    engine
        .store
        .write(move |tx| {
            let (engine, person, asked) = (at.clone(), person.clone(), asked.clone());
            Box::pin(async move {
                let client = asked.client.id.as_str();
                if !tx.client_is_active(&engine, client).await?
                    || !tx.person_is_active(&engine, &person).await?
                {
                    return Err(CodeError::Unknown);
                }
                if !tx.answer_device(hash, &person, sign_in, allow).await? {
                    return Err(CodeError::Unknown);
                }
                if allow {
                    consents::widen_within(tx, &person, &asked.client, &asked.scopes, &[]).await?;
                } else {
                    tx.record(
                        Event::new(Kind::ConsentRefused)
                            .person(&person)
                            .client(client),
                    );
                }
                Ok(())
            })
        })
        .await?;
    Ok(request)
}

/// What a poll comes to inside its write; what must stand is no error.
enum Polled {
    Used(Box<First>),
    Again,
}

/// The grant (§3.4): one poll of the device.
pub(super) async fn redeem(
    engine: &Engine,
    client: &Client,
    device_code: &Secret<String>,
    audience: Option<String>,
    jkt: Option<String>,
) -> Result<TokenAnswer, OauthError> {
    let bad = || OauthError::grant("the device_code is not valid, or was used before");
    if !ids::well_formed("att_dc", device_code.expose()) {
        return Err(bad());
    }
    let hash = device_hash(engine, device_code.expose());
    let row = engine
        .store
        .reader()
        .await?
        .device(hash)
        .await?
        .filter(|row| row.client_id == client.id)
        .ok_or_else(bad)?;
    same_target(audience.as_deref(), &row.audience)?;
    if row.state == State::Asked && engine.now() < row.expires_at {
        let now = engine.clock.monotonic();
        engine.paces.poll(hash, now).map_err(|seconds| {
            OauthError::new(Code::SlowDown, "polled too often; wait longer")
                .retry_after(u64::try_from(seconds).unwrap_or(1).max(1))
        })?;
        return Err(OauthError::new(
            Code::AuthorizationPending,
            "the person has not answered yet",
        ));
    }
    engine.paces.forget(&hash);
    let (at, who, proved) = (engine.clone(), client.clone(), jkt.clone());
    let polled = engine
        .store
        .write(move |tx| {
            let (engine, client, jkt) = (at.clone(), who.clone(), proved.clone());
            Box::pin(async move {
                let row = tx.device(hash).await?.ok_or_else(bad)?;
                let expired = || OauthError::new(Code::ExpiredToken, "the device code has expired");
                match (row.state, row.person_id) {
                    (State::Used, person) => {
                        // As with a code (RFC 6749 §4.1.2): two have it.
                        tx.revoke_family(&row.family_id, "device code presented again")
                            .await?;
                        tx.record(
                            Event::new(Kind::TokenReused)
                                .person(person.as_deref().unwrap_or_default())
                                .client(&client.id)
                                .data("token", "device_code")
                                .data("family", row.family_id),
                        );
                        Ok(Polled::Again)
                    }
                    (State::Denied, _) => Err(OauthError::new(
                        Code::AccessDenied,
                        "the person did not allow it",
                    )),
                    (State::Allowed, Some(person)) if tx.now() < row.expires_at => {
                        if !tx.client_is_active(&engine, &client.id).await?
                            || !tx.person_is_active(&engine, &person).await?
                        {
                            return Err(bad().because("client frozen or person locked"));
                        }
                        if !tx.use_device(hash).await? {
                            return Err(bad().because("used at the same moment"));
                        }
                        let first = First::new(
                            &engine,
                            &client,
                            Authorized {
                                family_id: row.family_id,
                                person_id: person,
                                approval_id: None,
                                scopes: row.scopes,
                                audience: row.audience,
                                sign_in: row.sign_in,
                                dpop_jkt: jkt.filter(|_| client.kind == ClientKind::Public),
                                details: None,
                            },
                        );
                        first.keep(tx, &engine, "device_code", None).await?;
                        Ok(Polled::Used(Box::new(first)))
                    }
                    _ => Err(expired()),
                }
            })
        })
        .await?;
    match polled {
        Polled::Used(first) => first.answer(engine, client, None, jkt.as_deref()).await,
        Polled::Again => Err(bad().because("presented again; its family is revoked")),
    }
}

impl Tx {
    async fn device(&mut self, hash: [u8; 32]) -> Result<Option<DeviceRow>, storage::Error> {
        self.optional(
            "select * from device_requests where device_hash = $1",
            vec![hash.into()],
        )
        .await?
        .map(|row| DeviceRow::from_row(&row))
        .transpose()
    }

    /// Only one that waits for its person.
    async fn device_by_user_code(
        &mut self,
        hash: [u8; 32],
    ) -> Result<Option<DeviceRow>, storage::Error> {
        let now = self.now();
        self.optional(
            "select * from device_requests where user_hash = $1 and state = 'asked' and expires_at > $2",
            vec![hash.into(), now.into()],
        )
        .await?
        .map(|row| DeviceRow::from_row(&row))
        .transpose()
    }

    /// Answers whether this call did.
    async fn answer_device(
        &mut self,
        user_hash: [u8; 32],
        person: &str,
        sign_in: SignIn,
        allow: bool,
    ) -> Result<bool, storage::Error> {
        let now = self.now();
        let done = self
            .swap(
                "update device_requests set state = $2, person_id = $3, auth_time = $4, acr = $6 \
                 where user_hash = $1 and state = 'asked' and expires_at > $5 returning client_id",
                vec![
                    user_hash.into(),
                    if allow { "allowed" } else { "denied" }.into(),
                    person.into(),
                    sign_in.at.into(),
                    now.into(),
                    sign_in.how.map(|how| how.word().to_owned()).into(),
                ],
            )
            .await?;
        Ok(done.is_some())
    }

    /// Answers whether this call did.
    async fn use_device(&mut self, hash: [u8; 32]) -> Result<bool, storage::Error> {
        let done = self
            .swap(
                "update device_requests set state = 'used' where device_hash = $1 and state = 'allowed' returning client_id",
                vec![hash.into()],
            )
            .await?;
        Ok(done.is_some())
    }

    /// Forgets what ran out before `before`, at most a thousand.
    pub(super) async fn sweep_devices(&mut self, before: i64) -> Result<u64, storage::Error> {
        self.execute(
            "delete from device_requests where device_hash in \
             (select device_hash from device_requests where expires_at < $1 limit 1000)",
            vec![before.into()],
        )
        .await
    }
}
