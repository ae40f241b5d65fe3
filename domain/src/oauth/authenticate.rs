//! Client authentication (RFC 6749 §2.3, RFC 7523 §2.2).

use std::sync::Arc;

use aws_lc_rs::constant_time;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::assertion;
use super::clients::{self, Client, ClientKind, ClientState};
use super::error::{Code, OauthError};
use super::memory;
use super::metadata_document;
use super::params::{Params, decode};
use super::request_head::RequestHead;
use crate::Engine;
use crate::limits::Limit;
use crate::secret::Secret;

/// How credentials were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// `Authorization: Basic` (`client_secret_basic`).
    Basic,
    /// In the body (`client_secret_post`).
    Post,
    /// A JWT that the client signed (`private_key_jwt`).
    Assertion,
    /// Only a `client_id`: a public client.
    None,
}

/// What a client presents of itself.
#[derive(Clone)]
pub struct ClientCredentials {
    /// Its `client_id`.
    pub id: String,
    /// Its secret, or the JWT it signed, unless it is public.
    pub secret: Option<Secret<String>>,
    /// How they were sent.
    pub via: Via,
}

impl ClientCredentials {
    /// Finds the credentials of a request: in its `Authorization` header or in
    /// its parameters. Only one way at a time (RFC 6749 §2.3).
    ///
    /// # Errors
    /// `invalid_client` when there are none, `invalid_request` when there are two.
    pub fn from_request(head: &RequestHead, params: &Params) -> Result<Self, OauthError> {
        let (body_id, body_secret) = (params.get("client_id"), params.get("client_secret"));
        if let Some(signed) = params.get("client_assertion") {
            if head.authorization.is_some() || body_secret.is_some() {
                return Err(OauthError::request(
                    "a client authenticates in one way at a time",
                ));
            }
            if params.get("client_assertion_type") != Some(assertion::TYPE) {
                return Err(OauthError::new(
                    Code::InvalidClient,
                    "this client_assertion_type is not supported",
                ));
            }
            let signed = Secret::from(signed);
            let id = assertion::subject(&signed)?;
            if body_id.is_some_and(|body| body != id) {
                return Err(OauthError::request(
                    "client_id differs from the one that authenticates",
                ));
            }
            return Ok(Self {
                id,
                secret: Some(signed),
                via: Via::Assertion,
            });
        }
        if params.get("client_assertion_type").is_some() {
            return Err(OauthError::request("client_assertion is missing"));
        }
        let Some(header) = head.authorization.as_deref() else {
            let Some(id) = body_id else {
                return Err(OauthError::new(
                    Code::InvalidClient,
                    "client authentication is missing",
                ));
            };
            return Ok(Self {
                id: id.to_owned(),
                secret: body_secret.map(Secret::from),
                via: if body_secret.is_some() {
                    Via::Post
                } else {
                    Via::None
                },
            });
        };
        let refused = |words: &str| OauthError {
            basic_challenge: true,
            ..OauthError::new(Code::InvalidClient, words)
        };
        let (scheme, value) = header.split_once(' ').unwrap_or((header, ""));
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(OauthError::new(
                Code::InvalidClient,
                "clients authenticate here with Basic or in the body",
            ));
        }
        let malformed = || refused("the Basic credentials are malformed");
        let bytes = Secret::new(STANDARD.decode(value.trim()).map_err(|_| malformed())?);
        let colon = bytes
            .expose()
            .iter()
            .position(|byte| *byte == b':')
            .ok_or_else(malformed)?;
        // RFC 6749 §2.3.1: both halves are form-encoded first.
        let id = decode(&bytes.expose()[..colon]).map_err(|_| malformed())?;
        let secret = Secret::new(decode(&bytes.expose()[colon + 1..]).map_err(|_| malformed())?);
        if body_secret.is_some() {
            return Err(OauthError::request(
                "a client authenticates in one way at a time",
            ));
        }
        if body_id.is_some_and(|body| body != id) {
            return Err(OauthError::request(
                "client_id differs from the one that authenticates",
            ));
        }
        Ok(Self {
            id,
            secret: Some(secret),
            via: Via::Basic,
        })
    }
}

/// Finds the credentials of a request and proves that the client is who it
/// says: for every endpoint where clients authenticate.
///
/// # Errors
/// As [`ClientCredentials::from_request`] and [`authenticate`]; `too_many_requests`.
pub async fn client_of(
    engine: &Engine,
    head: &RequestHead,
    params: &Params,
) -> Result<Arc<Client>, OauthError> {
    let credentials = ClientCredentials::from_request(head, params)?;
    let from = format!("{} {}", credentials.id, head.network());
    engine.limits.check(Limit::WrongProof, &from)?;
    let proved = authenticate(engine, head, credentials).await;
    match &proved {
        Ok(client) => {
            let key = match client.kind {
                ClientKind::Confidential => &client.id,
                ClientKind::Public => &from,
            };
            engine.limits.count(Limit::Client, key)?;
        }
        Err(error) if error.code == Code::InvalidClient => {
            engine.limits.count_wrong(Limit::WrongProof, &from)?;
        }
        Err(_) => {}
    }
    proved
}

/// Proves that a client is who it says. A frozen one is refused like an
/// unknown one.
///
/// # Errors
/// `invalid_client`, 401; with a challenge only if it used Basic.
pub async fn authenticate(
    engine: &Engine,
    head: &RequestHead,
    credentials: ClientCredentials,
) -> Result<Arc<Client>, OauthError> {
    let via = credentials.via;
    let refused = |cause: &str| OauthError {
        basic_challenge: via == Via::Basic,
        ..OauthError::new(Code::InvalidClient, "client authentication failed").because(cause)
    };
    let mut found = memory::client(engine, &credentials.id).await?;
    if found.is_none()
        && let Some(address) = metadata_document::address(&credentials.id)
    {
        // Its first request may be a pushed one, or a device's.
        metadata_document::client(engine, &address, &head.network()).await?;
        found = memory::client(engine, &credentials.id).await?;
    }
    // The hash is made and compared whether or not there is such a client.
    let presented = credentials
        .secret
        .as_ref()
        .map(|secret| clients::secret_hash(engine, secret.expose()));
    let kept = found.as_ref().and_then(|stored| stored.secret_hash);
    let equal = constant_time::verify_slices_are_equal(
        &presented.unwrap_or([0; 32]),
        &kept.unwrap_or([1; 32]),
    )
    .is_ok();
    let Some(stored) = found else {
        return Err(refused("there is no such client"));
    };
    let client = stored.client;
    let by_key = client.metadata.uses_private_key();
    let proved = match (client.kind, via) {
        // One who registered a key is not taken at a secret's word, and the
        // other way round: nobody steps down to a weaker proof.
        (ClientKind::Confidential, Via::Assertion) => by_key,
        (ClientKind::Confidential, Via::Basic | Via::Post) => !by_key && kept.is_some() && equal,
        (ClientKind::Public, Via::None) => true,
        _ => false,
    };
    if !proved {
        return Err(refused(
            "wrong or missing secret, or another way than registered",
        ));
    }
    if client.state == ClientState::Frozen {
        return Err(refused("the client is frozen"));
    }
    if via == Via::Assertion
        && let Some(signed) = &credentials.secret
    {
        assertion::check(engine, head, &client, signed).await?;
    }
    Ok(client)
}
