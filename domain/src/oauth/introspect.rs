//! Introspection (RFC 7662): what a token is worth at this moment.
//!
//! A token is told about to the client it was issued to and to the resource
//! server of its audience. For everybody else it is not active, like one that
//! does not exist (§4: no scanning).

use serde_json::{Map, Value, json};

use super::access::{self, Presented};
use super::clients::{Client, ClientKind};
use super::error::{Code, OauthError};
use super::families::Family;
use super::refresh::{self, Standing};
use crate::{Engine, ids};

/// What this client may know of this token: a JSON object with `active`.
///
/// # Errors
/// `unauthorized_client` for a public client (§2.1: it must authenticate), or
/// storage's. A bad token is no error.
pub async fn introspect(
    engine: &Engine,
    client: &Client,
    token: &str,
) -> Result<Value, OauthError> {
    if client.kind == ClientKind::Public {
        return Err(OauthError::new(
            Code::UnauthorizedClient,
            "a public client cannot introspect",
        ));
    }
    let found = if ids::well_formed("att_rt", token) {
        of_refresh_token(engine, client, token).await?
    } else {
        of_access_token(engine, client, token).await?
    };
    Ok(found.unwrap_or_else(|| json!({ "active": false })))
}

async fn of_refresh_token(
    engine: &Engine,
    client: &Client,
    token: &str,
) -> Result<Option<Value>, OauthError> {
    let hash = refresh::hash(engine, token);
    let mut rx = engine.store.reader().await?;
    match refresh::standing(&mut rx, engine, &client.id, hash).await {
        // Looking is no use: a spent token ends no family here.
        Ok(Standing::Good(_, family)) => Ok(Some(about_family(engine, &family))),
        Ok(Standing::Reused(_)) => Ok(None),
        Err(error) if error.code == Code::InvalidGrant => Ok(None),
        Err(error) => Err(error),
    }
}

fn about_family(engine: &Engine, family: &Family) -> Value {
    let mut about = json!({
        "active": true,
        "iss": engine.settings.issuer,
        "client_id": family.client_id,
        "iat": family.created_at / 1000,
        "exp": family.expires_at.min(family.idle_expires_at) / 1000,
        "sub": family.person_id.as_ref().unwrap_or(&family.client_id),
    });
    if !family.scopes.is_empty() {
        about["scope"] = family.scopes.join(" ").into();
    }
    if let Some(jkt) = &family.dpop_jkt {
        about["cnf"] = json!({ "jkt": jkt });
    }
    about
}

async fn of_access_token(
    engine: &Engine,
    client: &Client,
    token: &str,
) -> Result<Option<Value>, OauthError> {
    match access::read(engine, token).await {
        Ok(presented) => Ok(may_know(client, &presented).then(|| about(engine, &presented))),
        Err(error) if error.code == Code::InvalidToken => Ok(None),
        Err(error) => Err(error),
    }
}

fn may_know(client: &Client, presented: &Presented) -> bool {
    presented.client_id == client.id
        || client.resource_audience.as_deref() == Some(&presented.audience)
}

fn about(engine: &Engine, presented: &Presented) -> Value {
    let mut about = Map::new();
    let mut put = |name: &str, value: Value| about.insert(name.to_owned(), value);
    put("active", true.into());
    put("iss", engine.settings.issuer.as_str().into());
    put("client_id", presented.client_id.as_str().into());
    if !presented.scopes.is_empty() {
        put("scope", presented.scopes.join(" ").into());
    }
    put("aud", presented.audience.as_str().into());
    put("iat", (presented.issued_at / 1000).into());
    put("exp", (presented.expires_at / 1000).into());
    put("jti", presented.jti.as_str().into());
    let subject = presented.person_id.as_ref().unwrap_or(&presented.client_id);
    put("sub", subject.as_str().into());
    let kind = if presented.jkt.is_some() {
        "DPoP"
    } else {
        "Bearer"
    };
    put("token_type", kind.into());
    if let Some(jkt) = &presented.jkt {
        put("cnf", json!({ "jkt": jkt }));
    }
    if let Some(act) = &presented.act {
        put("act", act.clone());
    }
    if let Some(may_act) = &presented.may_act {
        put("may_act", json!({ "sub": may_act }));
    }
    // RFC 9396 §9.2.
    if let Some(details) = &presented.authorization_details {
        put("authorization_details", details.clone());
    }
    Value::Object(about)
}
