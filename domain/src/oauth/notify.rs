//! Telling a client what became of its request (CIBA Core 1.0 §10.2, §10.3, §12).
//!
//! - **Ping**: the client hears that there is an answer, and fetches it at the
//!   token endpoint.
//! - **Push**: the client is sent the answer itself: its tokens, or the error.
//!
//! A row is written with the request, becomes due in the write that ends it,
//! and is tried until the client answers 2xx or `ATTEMPTS` are used up. What
//! the client needs lies sealed in it, and is gone once it is settled. The
//! tokens of a push are made once, in the write that uses up the approval:
//! after a crash the very same answer is sent again, never a second set.
//!
//! The address is the client's own, so only the guarded client calls it:
//! public addresses, no redirects (§10.2 forbids following them).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroize as _;

use super::ciba;
use super::clients::{self, Client, ClientState, Delivery};
use super::error::OauthError;
use crate::approval::{self, Approval, State};
use crate::audit::{Event, Kind};
use crate::outbound::Ask;
use crate::rotation::{WrappedRows, wrapped_rows};
use crate::secret::Secret;
use crate::storage::{self, Tx};
use crate::vault::envelope::{DataKey, Place, Wrapped, key_row};
use crate::{Engine, due, keyring};

/// How often a client is tried: at once, then after 5, 10, 20, 40 and 80 seconds.
const ATTEMPTS: i64 = 6;
/// Milliseconds after the first attempt; doubled each time.
const BACKOFF_MS: i64 = 5_000;
/// Nobody else tries one that was claimed less than this ago (milliseconds).
const CLAIM_MS: i64 = 30_000;
/// How long a client may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// As many go to one client at once: one that hangs does not keep the others waiting.
const AT_ONCE_OF_ONE: usize = 8;
/// The longest notification token (CIBA Core §7.1).
const LONGEST_TOKEN: usize = 1024;

/// The topic of the signal that one is due.
const DUE: &str = "client_notification";

/// What a row keeps sealed.
#[derive(Serialize, Deserialize)]
struct Letter {
    auth_req_id: String,
    token: String,
    /// The answer of a push, once it was made …
    body: Option<String>,
    /// … and the family of the tokens in it.
    family: Option<String>,
}

impl Drop for Letter {
    fn drop(&mut self) {
        self.auth_req_id.zeroize();
        self.token.zeroize();
        self.body.zeroize();
    }
}

/// A row to be written with its request.
pub(crate) struct Prepared {
    approval_id: String,
    client_id: String,
    delivery: Delivery,
    sealed: Vec<u8>,
    wrapped: Wrapped,
}

/// Whether this may be a `client_notification_token`: a bearer token of at
/// most 1024 characters (CIBA Core §7.1, RFC 6750 §2.1).
#[must_use]
pub(crate) fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty()
        && text.len() <= LONGEST_TOKEN
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

/// Rows with a data key, for a rotation of what wraps them.
pub(crate) const WRAPPED: WrappedRows =
    wrapped_rows!("client_notifications", "approval_id", "data_key", |id| {
        key_row("client_notifications", id)
    });

fn place(approval_id: &str, client_id: &str) -> Place {
    Place::of("client notification", &[approval_id, client_id])
}

fn seal(
    engine: &Engine,
    key: &DataKey,
    approval_id: &str,
    client_id: &str,
    letter: &Letter,
) -> Result<Vec<u8>, keyring::Error> {
    let text = serde_json::to_string(letter).map_err(|_| keyring::Error::DoesNotOpen)?;
    let text = Secret::new(text);
    key.seal(engine, &place(approval_id, client_id), text.expose())
}

/// Seals what this client needs to be told later. `None` for one that polls.
pub(crate) async fn prepare(
    engine: &Engine,
    client: &Client,
    approval_id: &str,
    auth_req_id: &Secret<String>,
    token: Option<&Secret<String>>,
) -> Result<Option<Prepared>, keyring::Error> {
    let delivery = client.metadata.backchannel_token_delivery_mode;
    let (Some(token), Delivery::Ping | Delivery::Push) = (token, delivery) else {
        return Ok(None);
    };
    let (key, wrapped) = DataKey::make(engine, "client_notifications", approval_id).await?;
    let letter = Letter {
        auth_req_id: auth_req_id.expose().clone(),
        token: token.expose().clone(),
        body: None,
        family: None,
    };
    Ok(Some(Prepared {
        sealed: seal(engine, &key, approval_id, &client.id, &letter)?,
        approval_id: approval_id.to_owned(),
        client_id: client.id.clone(),
        delivery,
        wrapped,
    }))
}

/// Tells clients until `shutdown`: what is due now, and whatever becomes due.
pub async fn drive(engine: &Engine, shutdown: impl Future<Output = ()> + Send) {
    due::follow(engine, DUE, shutdown, || async {
        if let Err(error) = run_due(engine).await {
            tracing::warn!(%error, "clients could not be told; it is tried again");
        }
    })
    .await;
}

/// Tells clients what is due, some at a time; answers how many were settled.
///
/// # Errors
/// The database's.
pub async fn run_due(engine: &Engine) -> Result<usize, storage::Error> {
    let due = engine.store.reader().await?.notifications_due().await?;
    let round = due::round(due, AT_ONCE_OF_ONE, |id| async move {
        try_one(engine, &id).await.unwrap_or_else(|error| {
            tracing::error!(%error, approval = id, "a client could not be told");
            false
        })
    });
    Ok(round.await)
}

/// What is known of one after it was claimed.
struct Claimed {
    client_id: String,
    delivery: Delivery,
    attempts: i64,
    sealed: Vec<u8>,
    data_key: Vec<u8>,
}

/// How one attempt ended.
enum Outcome {
    /// The client knows.
    Done(&'static str),
    /// It can never be told.
    GivenUp(String),
    /// Not this time; the family of the tokens that were sent, if any were.
    Failed(String, Option<String>),
}

async fn try_one(engine: &Engine, id: &str) -> Result<bool, OauthError> {
    let wanted = id.to_owned();
    let claimed = engine
        .store
        .write(move |tx| {
            let id = wanted.clone();
            Box::pin(async move { tx.claim_notification(&id).await })
        })
        .await?;
    let Some(claimed) = claimed else {
        return Ok(false);
    };
    let last = claimed.attempts >= ATTEMPTS;
    let doublings = (claimed.attempts - 1).clamp(0, 10);
    let (state, detail, next_ms, lost) = match carry_out(engine, id, &claimed).await? {
        Outcome::Done(detail) => ("done", detail.to_owned(), 0, None),
        Outcome::GivenUp(detail) => ("given_up", detail, 0, None),
        Outcome::Failed(detail, family) if last => ("given_up", detail, 0, family),
        Outcome::Failed(detail, _) => ("due", detail, BACKOFF_MS << doublings, None),
    };
    let (id, client, delivery) = (id.to_owned(), claimed.client_id, claimed.delivery);
    engine
        .store
        .write(move |tx| {
            let (id, client, detail) = (id.clone(), client.clone(), detail.clone());
            let lost = lost.clone();
            Box::pin(async move {
                tx.end_notification(&id, state, &detail, next_ms).await?;
                if state != "due" {
                    // Tokens that nobody ever acknowledged are good for nothing.
                    if let Some(family) = lost {
                        tx.revoke_family(&family, "never delivered").await?;
                    }
                    tx.record(
                        Event::new(Kind::ClientNotified)
                            .client(&client)
                            .approval(&id)
                            .data("delivery", delivery.word())
                            .data("outcome", state)
                            .data("detail", detail),
                    );
                }
                Ok::<_, storage::Error>(())
            })
        })
        .await?;
    Ok(state != "due")
}

async fn carry_out(engine: &Engine, id: &str, claimed: &Claimed) -> Result<Outcome, OauthError> {
    let given_up = |why: &str| Ok(Outcome::GivenUp(why.to_owned()));
    let Some(client) = clients::get(engine, &claimed.client_id).await? else {
        return given_up("the client is gone");
    };
    let endpoint = client
        .metadata
        .backchannel_client_notification_endpoint
        .clone();
    let (Some(endpoint), ClientState::Active) = (endpoint, client.state) else {
        return given_up("the client is frozen, or has no address to be told at");
    };
    let key = DataKey::unwrap(engine, "client_notifications", id, &claimed.data_key).await?;
    let text = key.open(&place(id, &client.id), &claimed.sealed)?;
    let letter: Letter =
        serde_json::from_str(text.expose()).map_err(|_| keyring::Error::DoesNotOpen)?;
    let Some(approval) = approval::of_client(engine, &client.id, id).await? else {
        return given_up("the request is gone");
    };
    let mut family = letter.family.clone();
    let body = match (claimed.delivery, &letter.body) {
        // It asked by itself, and has its tokens.
        (Delivery::Ping, _) if approval.state == State::Consumed => {
            return Ok(Outcome::Done("redeemed"));
        }
        (Delivery::Ping | Delivery::Poll, _) => {
            json!({ "auth_req_id": letter.auth_req_id }).to_string()
        }
        (Delivery::Push, Some(body)) => body.clone(),
        (Delivery::Push, None) => match pushed(engine, &client, &key, approval, &letter).await? {
            Some(Made { body, of }) => {
                family = of;
                body.expose().clone()
            }
            None => return given_up("the approval was used up"),
        },
    };
    let body = Secret::new(body);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let Ok(mut bearer) = HeaderValue::try_from(format!("Bearer {}", letter.token)) else {
        return given_up("the notification token is malformed");
    };
    bearer.set_sensitive(true);
    headers.insert(AUTHORIZATION, bearer);
    let answer = engine
        .guarded
        .send(Ask {
            method: Method::POST,
            url: endpoint,
            headers,
            body: Bytes::copy_from_slice(body.expose().as_bytes()),
            timeout: TIMEOUT,
            limit: 16 * 1024,
        })
        .await;
    Ok(match answer {
        Ok(answer) if answer.status.is_success() => Outcome::Done("delivered"),
        Ok(answer) => Outcome::Failed(format!("answered {}", answer.status.as_u16()), family),
        Err(error) => Outcome::Failed(error.to_string(), family),
    })
}

/// The answer of a push, and the family of its tokens.
struct Made {
    body: Secret<String>,
    of: Option<String>,
}

/// Makes the answer of a push and keeps it, in the write that uses up the
/// approval. `None` if it was used up before.
async fn pushed(
    engine: &Engine,
    client: &Client,
    key: &DataKey,
    approval: Approval,
    letter: &Letter,
) -> Result<Option<Made>, OauthError> {
    let error = |code: &str, words: &str, reason: Option<&str>| {
        let mut body = json!({
            "auth_req_id": letter.auth_req_id, "error": code, "error_description": words,
        });
        if let Some(reason) = reason {
            body["reason"] = reason.into();
        }
        if let (Some("denied"), Some(said)) = (reason, &approval.state_reason) {
            body["said"] = said.as_str().into();
        }
        Ok(Some(Made {
            body: Secret::new(body.to_string()),
            of: None,
        }))
    };
    match approval.state {
        State::Approved => {}
        State::Denied | State::Cancelled => {
            let reason = Some(approval.state.word());
            return error("access_denied", "the request was refused", reason);
        }
        State::Expired => {
            let words = "the request has expired";
            return error("expired_token", words, Some("expired"));
        }
        State::Pending | State::Consumed => return Ok(None),
    }
    let (first, body) = ciba::for_push(engine, client, &approval, &letter.auth_req_id).await?;
    let of = Some(first.family_id().to_owned());
    let kept = Letter {
        auth_req_id: letter.auth_req_id.clone(),
        token: letter.token.clone(),
        body: Some(body.expose().clone()),
        family: of.clone(),
    };
    let sealed = Arc::new(seal(engine, key, &approval.id, &client.id, &kept)?);
    let (at, first, id) = (engine.clone(), Arc::new(first), approval.id);
    let written = engine
        .store
        .write(move |tx| {
            let (engine, first, id) = (at.clone(), first.clone(), id.clone());
            let sealed = sealed.clone();
            Box::pin(async move {
                ciba::use_up(tx, &engine, &id, &first).await?;
                tx.keep_notification(&id, &sealed).await?;
                Ok::<_, OauthError>(())
            })
        })
        .await;
    match written {
        Ok(()) => Ok(Some(Made { body, of })),
        // The person was locked since, or the answer comes too late.
        Err(refused) if refused.status == 400 => error(refused.code.word(), &refused.plain(), None),
        Err(error) => Err(error),
    }
}

impl Tx {
    /// Writes a row, with its request.
    pub(crate) async fn insert_notification(
        &mut self,
        row: &Prepared,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        self.execute(
            "insert into client_notifications (approval_id, client_id, delivery, sealed, data_key, kek_id, state, \
             attempts, next_at, created_at) values ($1, $2, $3, $4, $5, $6, 'waiting', 0, $7, $7)",
            vec![
                (&row.approval_id).into(),
                (&row.client_id).into(),
                row.delivery.word().into(),
                (&row.sealed).into(),
                (&row.wrapped.key).into(),
                (&row.wrapped.kek_id).into(),
                now.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// The request has ended: its client is to be told.
    pub(crate) async fn notification_is_due(
        &mut self,
        approval_id: &str,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        self.execute(
            "update client_notifications set state = 'due', next_at = $2 where approval_id = $1 and state = 'waiting'",
            vec![approval_id.into(), now.into()],
        )
        .await?;
        self.signal(None, DUE, approval_id);
        Ok(())
    }

    async fn notifications_due(&mut self) -> Result<Vec<(String, String)>, storage::Error> {
        let now = self.now();
        let sql = "select approval_id, client_id from client_notifications \
                   where state = 'due' and next_at <= $1 order by next_at limit 500";
        let rows = self.all(sql, vec![now.into()]).await?;
        rows.iter()
            .map(|row| Ok((row.get("approval_id")?, row.get("client_id")?)))
            .collect()
    }

    async fn claim_notification(&mut self, id: &str) -> Result<Option<Claimed>, storage::Error> {
        let now = self.now();
        let row = self
            .swap(
                "update client_notifications set attempts = attempts + 1, next_at = $3 \
                 where approval_id = $1 and state = 'due' and next_at <= $2 \
                 returning client_id, delivery, attempts, sealed, data_key",
                vec![id.into(), now.into(), (now + CLAIM_MS).into()],
            )
            .await?;
        row.map(|row| {
            Ok(Claimed {
                client_id: row.get("client_id")?,
                delivery: row.word("client_notifications", "delivery")?,
                attempts: row.get("attempts")?,
                sealed: row.get("sealed")?,
                data_key: row.get("data_key")?,
            })
        })
        .transpose()
    }

    async fn keep_notification(&mut self, id: &str, sealed: &[u8]) -> Result<(), storage::Error> {
        self.execute(
            "update client_notifications set sealed = $2 where approval_id = $1",
            vec![id.into(), sealed.into()],
        )
        .await?;
        Ok(())
    }

    /// Settles one, which shreds what it kept, or has it tried again later.
    async fn end_notification(
        &mut self,
        id: &str,
        state: &str,
        detail: &str,
        next_ms: i64,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        let args = vec![
            id.into(),
            state.into(),
            detail.into(),
            now.into(),
            (now + next_ms).into(),
        ];
        self.execute(
            "update client_notifications set state = $2, detail = $3, settled_at = $4, next_at = $5, \
             sealed = case when $2 = 'due' then sealed end, data_key = case when $2 = 'due' then data_key end \
             where approval_id = $1",
            args,
        )
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_token_is_a_bearer_token_of_bounded_length() {
        for good in ["8d67dc78-7faa-4d41-aabd-67707b374255", "a.b_c~d+e/f=="] {
            assert!(is_token(good), "{good}");
        }
        let long = "a".repeat(LONGEST_TOKEN + 1);
        for bad in ["", "=", "a b", "a\r\nHost: x", "ä", "a=b", &long] {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
