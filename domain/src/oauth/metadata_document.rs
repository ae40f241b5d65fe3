//! Clients whose id is the address of their metadata
//! (draft-ietf-oauth-client-id-metadata-document): nobody registers them; what
//! they are stands at their own address, which only they can write to.
//!
//! The document is fetched through the guarded client and kept as a client's
//! row for an hour. Where clients may register themselves freely, they may
//! come like this as well.

use std::time::Duration;

use evidence::json::{Limits, parse_strict_object};
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use url::{Host, Url};

use super::clients::{self, Client, Source};
use super::error::{Code, OauthError};
use super::registration::{NewClient, RegistrationPolicy};
use super::sql::StoredClient;
use super::{client_metadata::AuthMethod, dynamic_registration};
use crate::Engine;
use crate::limits::Limit;
use crate::outbound::Ask;

/// How long a document is believed without looking again, in milliseconds.
const KEEP_MS: i64 = 60 * 60 * 1000;
/// The largest document, in bytes (the draft recommends 5 KB).
const LARGEST: usize = 16 * 1024;

/// Whether a client id is the address of a document, and which: https, a
/// path, no fragment, no user, no dots in the path (§3). Http on loopback is
/// what the guarded client lets through in demo and tests only.
pub(super) fn address(client_id: &str) -> Option<Url> {
    if client_id.len() > 500 || !client_id.contains("://") {
        return None;
    }
    let url = Url::parse(client_id).ok()?;
    let loopback = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let right = (url.scheme() == "https" || (url.scheme() == "http" && loopback))
        && url.path().len() > 1
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        // What the parser changed is not in normal form: two names for one client.
        && url.as_str() == client_id;
    right.then_some(url)
}

fn bad(words: impl Into<String>) -> OauthError {
    OauthError::new(Code::InvalidClient, words)
}

/// The client at this address, fetched unless it was within the hour. Each
/// fetch counts as a registration from `network`: anybody can name an address,
/// and what stands there becomes a row.
///
/// # Errors
/// `invalid_client` when the policy forbids such clients or the document is no
/// good; `too_many_requests`; a client that was known before stays what it was
/// while its document cannot be fetched.
pub(super) async fn client(
    engine: &Engine,
    url: &Url,
    network: &str,
) -> Result<Client, OauthError> {
    if !matches!(engine.settings.registration, RegistrationPolicy::Open) {
        return Err(bad("clients are registered by an admin here"));
    }
    let id = url.as_str();
    let mut rx = engine.store.reader().await?;
    let kept = rx
        .client(&engine.keys, id)
        .await?
        .map(StoredClient::into_client);
    let fetched_at = rx.client_fetched_at(id).await?;
    drop(rx);
    let now = engine.now();
    if let Some(kept) = &kept
        && fetched_at.is_some_and(|at| now - at < KEEP_MS)
    {
        return Ok(kept.clone());
    }
    let allowed = engine.limits.count(Limit::Registration, network);
    let fetched = match allowed {
        Ok(()) => fetch(engine, url).await,
        Err(_) if kept.is_some() => Err(away("too many were fetched of late".to_owned())),
        Err(too_often) => return Err(too_often.into()),
    };
    let new = match (fetched, kept.clone()) {
        (Ok(new), _) => new,
        (Err(error), Some(kept)) if error.code == Code::TemporarilyUnavailable => return Ok(kept),
        (Err(error), _) => return Err(error),
    };
    let client = if kept.is_some() {
        clients::replace(engine, id, new).await?
    } else {
        match clients::register(engine, new).await {
            Ok((client, _)) => client,
            // Another request was first.
            Err(clients::Error::Taken) => clients::get(engine, id)
                .await?
                .ok_or_else(|| bad("there is no such client"))?,
            Err(error) => return Err(error.into()),
        }
    };
    let row = client.id.clone();
    engine
        .store
        .write(move |tx| {
            let id = row.clone();
            Box::pin(async move { tx.set_client_fetched_at(&id, now).await })
        })
        .await?;
    Ok(client)
}

fn away(cause: String) -> OauthError {
    OauthError::new(
        Code::TemporarilyUnavailable,
        "the client's metadata document could not be fetched",
    )
    .retry_after(30)
    .because(cause)
}

async fn fetch(engine: &Engine, url: &Url) -> Result<NewClient, OauthError> {
    let answer = engine
        .guarded
        .send(Ask {
            method: Method::GET,
            url: url.clone(),
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
            timeout: Duration::from_secs(5),
            limit: LARGEST,
        })
        .await
        .map_err(|error| away(error.to_string()))?;
    if answer.status.is_server_error() {
        return Err(away(format!("it answered {}", answer.status)));
    }
    if answer.status != StatusCode::OK {
        return Err(bad("there is no metadata document at this client_id"));
    }
    let limits = Limits {
        bytes: LARGEST,
        ..Limits::BODY
    };
    let mut body = parse_strict_object(&answer.body, limits)
        .map_err(|_| bad("the client's metadata document is not a valid JSON object"))?;
    // §4.1: the document must name itself, and can hold no secret.
    if body.get("client_id").and_then(Value::as_str) != Some(url.as_str()) {
        return Err(bad(
            "the client's metadata document names another client_id",
        ));
    }
    if body.contains_key("client_secret") || body.contains_key("client_secret_expires_at") {
        return Err(bad("a metadata document holds no client_secret"));
    }
    body.entry("token_endpoint_auth_method")
        .or_insert_with(|| "none".into());
    let mut new = dynamic_registration::read(&body)?;
    if !matches!(
        new.metadata.token_endpoint_auth_method,
        Some(AuthMethod::None | AuthMethod::PrivateKeyJwt)
    ) {
        return Err(bad(
            "a client with a metadata document has no secret to prove itself with",
        ));
    }
    new.id = Some(url.as_str().to_owned());
    new.source = Source::Registration;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_an_address_only_in_normal_form_with_https_and_a_path() {
        for good in [
            "https://app.example/client.json",
            "https://app.example:8443/a?b=c",
        ] {
            assert!(address(good).is_some(), "{good}");
        }
        for bad in [
            "cli_1",
            "https://app.example",
            "https://app.example/",
            "http://app.example/c",
            "https://u:p@app.example/c",
            "https://app.example/c#f",
            "https://app.example/a/../c",
            "https://APP.example/c",
            "https://app.example:443/c",
            "javascript://app.example/c",
        ] {
            assert!(address(bad).is_none(), "{bad}");
        }
    }
}
