//! The public keys of clients: in their registration, or at their `jwks_uri`.
//!
//! What was fetched is kept for five minutes. A token with a `kid` that is not
//! in it has the set fetched anew, at most once in half a minute for each
//! address, so that nobody makes us hammer somebody else's server; all who
//! wait for one fetch share it. A set whose server does not answer stays in
//! use for an hour, so that its hiccup locks no client out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use evidence::json::{Limits, parse_strict};
use http::{HeaderMap, Method};
use quick_cache::sync::Cache;
use serde_json::{Map, Value};
use url::Url;

use super::clients::Client;
use super::jws::{self, Compact};
use crate::Engine;
use crate::outbound::Ask;

type Keys = Vec<Map<String, Value>>;

const KEEP_MS: i64 = 5 * 60 * 1000;
const AWAY_MS: i64 = 60 * 60 * 1000;
const AGAIN_MS: i64 = 30_000;
/// As many addresses as are remembered; the least used make way.
const MOST: usize = 1000;

/// Key sets fetched of late, by address.
pub(super) struct KeySets(Cache<String, Arc<Address>>);

impl Default for KeySets {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

/// What is known of one address.
#[derive(Default)]
struct Address {
    kept: Mutex<Option<Arc<Kept>>>,
    /// The last fetch: when, and what was wrong with it. Held while one runs.
    last: tokio::sync::Mutex<Option<(i64, Result<(), String>)>>,
}

struct Kept {
    keys: Keys,
    at: i64,
}

impl Kept {
    /// Whether this set is the one to judge that token by, as far as its `kid` says.
    fn may_judge(&self, token: &Compact<'_>) -> bool {
        token.head("kid").is_none_or(|wanted| {
            let kid =
                |key: &Map<String, Value>| key.get("kid").and_then(Value::as_str) == Some(wanted);
            self.keys.iter().any(kid)
        })
    }
}

impl KeySets {
    fn of(&self, uri: &str) -> Arc<Address> {
        let fresh = || Ok::<_, std::convert::Infallible>(Arc::default());
        match self.0.get_or_insert_with(uri, fresh) {
            Ok(address) => address,
        }
    }
}

impl Address {
    fn kept(&self, not_before: i64) -> Option<Arc<Kept>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone().filter(|kept| kept.at > not_before)
    }

    /// The keys by which to judge a token that those kept till now could not
    /// judge: of a fetch that began after `since`, or as the last one left them.
    async fn fetched(&self, engine: &Engine, uri: &Url, since: i64) -> Result<Arc<Kept>, String> {
        let mut last = self.last.lock().await;
        let recent = |at: i64| at >= since || engine.clock.monotonic() - at < AGAIN_MS;
        let outcome = match &*last {
            Some((at, outcome)) if recent(*at) => outcome.clone(),
            _ => {
                let at = engine.clock.monotonic();
                let outcome = fetch(engine, uri).await.map(|keys| {
                    *self.kept.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(Arc::new(Kept { keys, at }));
                });
                *last = Some((at, outcome.clone()));
                outcome
            }
        };
        let kept = self.kept(engine.clock.monotonic() - AWAY_MS);
        match (kept, outcome) {
            (Some(kept), _) => Ok(kept),
            (None, Err(words)) => Err(words),
            (None, Ok(())) => Err("the client's jwks_uri was asked too long ago".to_owned()),
        }
    }
}

/// Checks that one of this client's keys signed this.
///
/// # Errors
/// What is wrong with keys or signature, in words for the log.
pub(super) async fn signed_by(
    engine: &Engine,
    client: &Client,
    token: &Compact<'_>,
) -> Result<(), String> {
    if let Some(set) = &client.metadata.jwks {
        let keys = jws::key_set(set)?;
        return token.verify_with(&keys).map_err(str::to_owned);
    }
    let Some(uri) = &client.metadata.jwks_uri else {
        return Err("the client has no keys".to_owned());
    };
    let address = engine.oauth.key_sets.of(uri.as_str());
    let now = engine.clock.monotonic();
    if let Some(kept) = address.kept(now - KEEP_MS)
        && kept.may_judge(token)
    {
        let outcome = token.verify_with(&kept.keys);
        // Without a `kid` a new key looks like a wrong signature.
        if outcome.is_ok() || token.head("kid").is_some() {
            return outcome.map_err(str::to_owned);
        }
    }
    // In a task of its own, so that a caller who hangs up ends no fetch that
    // others wait for, and does not escape the half minute.
    let (engine, uri) = (engine.clone(), uri.clone());
    let fetching = tokio::spawn(async move { address.fetched(&engine, &uri, now).await });
    let kept = fetching.await.map_err(|error| error.to_string())??;
    token.verify_with(&kept.keys).map_err(str::to_owned)
}

async fn fetch(engine: &Engine, uri: &Url) -> Result<Keys, String> {
    let answer = engine
        .guarded
        .send(Ask {
            method: Method::GET,
            url: uri.clone(),
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
            timeout: Duration::from_secs(5),
            limit: 64 * 1024,
        })
        .await
        .map_err(|error| format!("the client's jwks_uri: {error}"))?;
    if answer.status != http::StatusCode::OK {
        return Err(format!("the client's jwks_uri answered {}", answer.status));
    }
    let set = parse_strict(&answer.body, Limits::BODY)
        .map_err(|error| format!("the client's jwks_uri: {error}"))?;
    jws::key_set(&set).map_err(|words| format!("the client's jwks_uri: {words}"))
}
