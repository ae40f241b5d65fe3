//! A privileged worker's own word for a person: a JWT that it signed, for
//! work while nobody is there (a subject token of type `jwt`).
//!
//! ```text
//! header  { "typ": "token-vault-req+jwt", "alg": …, "kid": … }
//! claims  { "iss": client, "sub": person, "aud": our issuer, "iat", "exp",
//!           "jti", "audit_context": what it is done for (optional) }
//! ```
//!
//! The client must be one that an admin made a worker, ask from an address on
//! its list, and use the JWT once, within a minute. It saves the worker the
//! person's token, nothing else: the person's permission is needed as ever, and
//! the admin's list of connections and scopes narrows it.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::Engine;
use crate::oauth::clients::Client;
use crate::oauth::error::{Code, OauthError};
use crate::oauth::jws::{self, Compact};
use crate::oauth::request_head::RequestHead;
use crate::oauth::{assertion::SKEW_S, client_keys, replay};
use crate::secret::Secret;
use crate::vault::OnBehalf;

/// The `typ` of the JWT.
pub const TYP: &str = "token-vault-req+jwt";
/// The longest time it may be good for, in seconds.
const LONGEST_S: i64 = 60;
/// The longest audit context, in bytes of its text.
const LONGEST_CONTEXT: usize = 1024;

/// Whom the worker names, and under which conditions.
pub(super) struct Named {
    pub(super) person_id: String,
    pub(super) on_behalf: OnBehalf,
}

/// Reads an entry of an address list: an address or a network.
pub fn network(entry: &str) -> Option<IpNet> {
    let address = || entry.parse::<IpAddr>().ok().map(IpNet::from);
    entry.parse().ok().or_else(address)
}

/// Judges a worker's JWT for a connection.
///
/// # Errors
/// `unauthorized_client` for one that is no worker, `access_denied` for a
/// foreign address, `invalid_target` for a connection that is not its own;
/// `Err(Err(cause))` for a JWT that is not good.
pub(super) async fn judge(
    engine: &Engine,
    head: &RequestHead,
    client: &Client,
    connection: &str,
    token: &Secret<String>,
) -> Result<Result<Named, String>, OauthError> {
    let Some(worker) = &client.metadata.privileged_worker else {
        return Err(OauthError::new(
            Code::UnauthorizedClient,
            "this client is no privileged worker; exchange a token of the person's",
        ));
    };
    let address = head.address.map(|address| address.to_canonical());
    let expected = address.is_some_and(|address| {
        let mut networks = worker
            .ip_allow_list
            .iter()
            .filter_map(|entry| network(entry));
        networks.any(|network| network.contains(&address))
    });
    if !expected {
        return Err(OauthError::new(
            Code::AccessDenied,
            "this worker may not ask from this address",
        )
        .because(format!("asked from {address:?}")));
    }
    let Some(grant) = worker
        .connections
        .iter()
        .find(|grant| grant.connection == connection)
    else {
        return Err(OauthError::new(
            Code::InvalidTarget,
            "this worker may not use this connection",
        ));
    };
    let named = match read(engine, client, token).await? {
        Ok(named) => named,
        Err(cause) => return Ok(Err(cause)),
    };
    let (person_id, jti, audit_context) = named;
    Ok(Ok(Named {
        person_id,
        on_behalf: OnBehalf {
            at_most: grant.scopes.clone(),
            jti,
            audit_context,
        },
    }))
}

type Read = (String, String, Option<String>);

async fn read(
    engine: &Engine,
    client: &Client,
    token: &Secret<String>,
) -> Result<Result<Read, String>, OauthError> {
    let bad = |cause: &str| Ok(Err(cause.to_owned()));
    let token = match Compact::parse(token.expose()) {
        Ok(token) => token,
        Err(cause) => return bad(cause),
    };
    // RFC 8725 §3.11: nothing else that the client signs may pass for it.
    if !token
        .head("typ")
        .is_some_and(|typ| typ.eq_ignore_ascii_case(TYP))
    {
        return bad("of another type");
    }
    if !jws::ALGORITHMS.contains(&token.head("alg").unwrap_or_default()) {
        return bad("signed with an algorithm that is not taken");
    }
    if token.text("iss") != Some(&client.id) {
        return bad("iss is not the client");
    }
    if token.text("aud") != Some(&engine.settings.issuer) {
        return bad("aud is not our issuer");
    }
    let now = engine.now() / 1000;
    let time = |name: &str| token.seconds(name);
    let (iat, exp, nbf) = match (time("iat"), time("exp"), time("nbf")) {
        (Ok(Some(iat)), Ok(Some(exp)), Ok(nbf)) => (iat, exp, nbf),
        (Err(cause), ..) | (_, Err(cause), _) | (.., Err(cause)) => return bad(cause),
        _ => return bad("without iat or exp"),
    };
    if now >= exp || now - iat > LONGEST_S {
        return bad("it has run out");
    }
    if exp - iat > LONGEST_S {
        return bad("good for more than a minute");
    }
    if iat > now + SKEW_S || nbf.is_some_and(|at| at > now + SKEW_S) {
        return bad("from the future");
    }
    let text = |name: &str| {
        token
            .text(name)
            .filter(|text| !text.is_empty() && text.len() <= 256)
            .map(str::to_owned)
    };
    let (Some(person), Some(jti)) = (text("sub"), text("jti")) else {
        return bad("without sub or jti");
    };
    let audit_context = match token.claims.get("audit_context") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    if audit_context
        .as_ref()
        .is_some_and(|text| text.len() > LONGEST_CONTEXT)
    {
        return bad("audit_context is longer than 1024 bytes");
    }
    if let Err(cause) = client_keys::signed_by(engine, client, &token).await {
        return Ok(Err(cause));
    }
    let until = exp.saturating_add(SKEW_S).saturating_mul(1000);
    let whose = format!("worker {}", client.id);
    if !replay::first_use(engine, &whose, &jti, until).await? {
        return bad("its jti was used before");
    }
    Ok(Ok((person, jti, audit_context)))
}
