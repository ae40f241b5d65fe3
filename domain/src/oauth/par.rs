//! Pushed authorization requests (RFC 9126): the request goes from the client
//! to us directly, and only a name for it through the browser.
//!
//! What was pushed is judged twice: when it is pushed, so that the client
//! hears of a mistake, and when the person comes, because things change. It
//! works until it is answered or ten minutes have passed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::authenticate::client_of;
use super::authorize::{self, AuthorizeError};
use super::dpop;
use super::error::{Code, OauthError};
use super::params::Params;
use super::request_head::RequestHead;
use crate::storage::{self, Json, Tx};
use crate::{Engine, ids};

const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
/// How long a person may take from the first page to the answer, in seconds.
pub const LIFETIME_S: i64 = 600;

/// A request that was pushed.
pub struct Pushed {
    /// `request_uri`, for the client to send a browser with.
    pub request_uri: String,
    /// Seconds it is good for.
    pub expires_in: i64,
}

/// What is kept of one.
pub(super) struct PushedRow {
    pub(super) hash: [u8; 32],
    pub(super) params: Params,
    pub(super) created_at: i64,
}

/// Whether a name has the form of ours.
pub(super) fn is_ours(request_uri: &str) -> bool {
    request_uri.starts_with(PREFIX)
}

fn hash(engine: &Engine, request_uri: &str) -> [u8; 32] {
    engine.keys.hash("request_uri", request_uri.as_bytes())
}

/// The whole endpoint: authenticates the client, judges its request, keeps it.
///
/// # Errors
/// The wire error, what `/authorize` would say among them.
pub async fn push(
    engine: &Engine,
    head: &RequestHead,
    params: &Params,
) -> Result<Pushed, OauthError> {
    let client = client_of(engine, head, params).await?;
    if params.get("request_uri").is_some() {
        return Err(OauthError::request(
            "request_uri cannot be pushed (RFC 9126 section 2.1)",
        ));
    }
    // RFC 9449 §10.1: a proof here says which key the code will be bound to.
    let jkt = dpop::check(engine, head, None).await?;
    let asked_jkt = params.get("dpop_jkt");
    if let (Some(jkt), Some(asked)) = (&jkt, asked_jkt)
        && jkt != asked
    {
        return Err(OauthError::new(
            Code::InvalidDpopProof,
            "dpop_jkt is of another key than the proof",
        ));
    }
    let kept = params
        .pairs()
        .filter(|(name, _)| {
            !matches!(
                *name,
                "client_id"
                    | "client_secret"
                    | "client_assertion"
                    | "client_assertion_type"
                    | "dpop_jkt"
            )
        })
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .chain([("client_id".to_owned(), client.id.clone())])
        .chain(
            jkt.or_else(|| asked_jkt.map(str::to_owned))
                .map(|jkt| ("dpop_jkt".to_owned(), jkt)),
        );
    let kept: Vec<(String, String)> = kept.collect();
    match authorize::judge_pushed(engine, &client, &Params::new(kept.clone())?).await {
        Ok(_) => {}
        Err(AuthorizeError::ShowPage(error) | AuthorizeError::Redirect { error, .. }) => {
            return Err(error);
        }
    }
    let random: [u8; 24] = ids::random(&*engine.rng);
    let request_uri = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let (hash, client_id) = (hash(engine, &request_uri), client.id.clone());
    engine
        .store
        .write(move |tx| {
            let (client_id, kept) = (client_id.clone(), kept.clone());
            Box::pin(async move { tx.insert_pushed(hash, &client_id, &kept).await })
        })
        .await?;
    Ok(Pushed {
        request_uri,
        expires_in: LIFETIME_S,
    })
}

/// What was pushed under this `request_uri` by this client and is still good.
///
/// # Errors
/// `invalid_request_uri`.
pub(super) async fn find(
    engine: &Engine,
    client_id: &str,
    request_uri: &str,
) -> Result<PushedRow, OauthError> {
    let gone = || {
        OauthError::new(
            Code::InvalidRequestUri,
            "this request_uri is unknown, was used, or has expired; begin again",
        )
    };
    let hash = hash(engine, request_uri);
    let mut rx = engine.store.reader().await?;
    rx.pushed(hash, client_id).await?.ok_or_else(gone)
}

impl Tx {
    async fn insert_pushed(
        &mut self,
        hash: [u8; 32],
        client_id: &str,
        params: &[(String, String)],
    ) -> Result<(), storage::Error> {
        let now = self.now();
        self.execute(
            "insert into pushed_requests (uri_hash, client_id, params, created_at, expires_at) \
             values ($1, $2, $3, $4, $5)",
            vec![
                hash.into(),
                client_id.into(),
                Json(params).into(),
                now.into(),
                (now + LIFETIME_S * 1000).into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn pushed(
        &mut self,
        hash: [u8; 32],
        client_id: &str,
    ) -> Result<Option<PushedRow>, OauthError> {
        let now = self.now();
        let Some(row) = self
            .optional(
                "select params, created_at from pushed_requests \
                 where uri_hash = $1 and client_id = $2 and expires_at > $3",
                vec![hash.into(), client_id.into(), now.into()],
            )
            .await?
        else {
            return Ok(None);
        };
        let params: Vec<(String, String)> = row.json("pushed_requests", "params")?;
        Ok(Some(PushedRow {
            hash,
            params: Params::new(params)?,
            created_at: row.get("created_at")?,
        }))
    }

    /// Uses a pushed request up; answers whether this call did.
    pub(super) async fn use_pushed(&mut self, hash: [u8; 32]) -> Result<bool, storage::Error> {
        let done = self
            .swap(
                "delete from pushed_requests where uri_hash = $1 returning uri_hash",
                vec![hash.into()],
            )
            .await?;
        Ok(done.is_some())
    }

    /// Forgets requests that ran out, at most a thousand.
    pub(super) async fn sweep_pushed(&mut self) -> Result<u64, storage::Error> {
        let now = self.now();
        self.execute(
            "delete from pushed_requests where uri_hash in \
             (select uri_hash from pushed_requests where expires_at < $1 limit 1000)",
            vec![now.into()],
        )
        .await
    }
}
