//! The public keys of clients: in their registration, or at their `jwks_uri`.
//!
//! What was fetched is kept for five minutes. A token with an unknown `kid`
//! has the set fetched anew, at most once in half a minute for each address,
//! so that nobody makes us hammer somebody else's server.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use evidence::json::{Limits, parse_strict};
use http::{HeaderMap, Method};
use serde_json::{Map, Value};
use url::Url;

use super::clients::Client;
use super::jws::{self, Compact};
use crate::Engine;
use crate::outbound::Ask;

type Keys = Vec<Map<String, Value>>;

const KEEP_MS: i64 = 5 * 60 * 1000;
const AGAIN_MS: i64 = 30_000;
/// As many addresses as are remembered; past that all are forgotten.
const MOST: usize = 1000;

/// Key sets fetched of late.
#[derive(Default)]
pub(super) struct KeySets(Mutex<HashMap<String, Fetched>>);

#[derive(Clone)]
struct Fetched {
    keys: Result<Keys, String>,
    at: i64,
}

impl KeySets {
    fn get(&self, uri: &str) -> Option<Fetched> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(uri)
            .cloned()
    }

    fn put(&self, uri: &str, fetched: Fetched) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(uri.to_owned(), fetched);
    }
}

/// Checks that one of this client's keys signed this.
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
    let now = engine.clock.monotonic();
    let kept = engine.oauth.key_sets.get(uri.as_str());
    if let Some(kept) = &kept
        && now - kept.at < KEEP_MS
    {
        let outcome = match &kept.keys {
            Ok(keys) => token.verify_with(keys).map_err(str::to_owned),
            Err(words) => Err(words.clone()),
        };
        if outcome.is_ok() || now - kept.at < AGAIN_MS {
            return outcome;
        }
    }
    let keys = fetch(engine, uri).await;
    engine.oauth.key_sets.put(
        uri.as_str(),
        Fetched {
            keys: keys.clone(),
            at: now,
        },
    );
    token.verify_with(&keys?).map_err(str::to_owned)
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
