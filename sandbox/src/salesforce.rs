//! Salesforce: OAuth 2.0, the identity URL, and below it the REST API of an instance.
//!
//! Its ways: the token answer says where the data lives (`instance_url`) and who it is (`id`), and
//! never when the token expires; a session ends when the org's policy says so, and then the API
//! answers `INVALID_SESSION_ID`.

mod data;
mod soql;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

pub(crate) use data::Org;

use crate::authorize;
use crate::config::Provider;
use crate::faults::{Fault, Struck};
use crate::google::hmac;
use crate::store::{Bearer, Family, Holder, Inner, Refused, Shared, State as Store};
use crate::wire::{Ask, Params};

const ORG_ID: &str = "00D000000000001AAA";

pub(crate) fn routes() -> Router<Shared> {
    let authorize = |State(inner): State<Shared>, ask: Ask| {
        authorize::endpoint(Provider::Salesforce, inner, ask)
    };
    Router::new()
        .route(
            "/salesforce/services/oauth2/authorize",
            get(authorize).post(authorize),
        )
        .route("/salesforce/services/oauth2/token", post(token))
        .route(
            "/salesforce/services/oauth2/revoke",
            get(revoke).post(revoke),
        )
        .route("/salesforce/services/oauth2/introspect", post(introspect))
        .route(
            "/salesforce/services/oauth2/userinfo",
            get(userinfo).post(userinfo),
        )
        .route("/salesforce/id/{org}/{user}", get(identity))
        .merge(data::routes())
        .route(
            "/salesforce/{*rest}",
            any(async || {
                refused(
                    StatusCode::NOT_FOUND,
                    "NOT_FOUND",
                    "The requested resource does not exist",
                )
            }),
        )
}

/// An error of the REST API.
fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    (
        status,
        Json(json!([{ "message": message, "errorCode": code }])),
    )
        .into_response()
}

/// The caller, if the session is good and may use what is asked for.
fn caller(inner: &Inner, ask: &Ask, scopes: &[&str]) -> Result<Bearer, Response> {
    let invalid = |message: &str| refused(StatusCode::UNAUTHORIZED, "INVALID_SESSION_ID", message);
    let token = ask
        .bearer()
        .ok_or_else(|| invalid("Session expired or invalid"))?;
    let presented =
        inner
            .state()
            .present_access(Provider::Salesforce, token, &ask.faults, inner.now());
    let bearer = presented.map_err(|_| invalid("Session expired or invalid"))?;
    if !bearer.family.has_scope(scopes) {
        return Err(invalid(
            "This session is not valid for use with the REST API",
        ));
    }
    Ok(bearer)
}

// Tokens.

type Denied = (&'static str, &'static str);

fn denied((error, description): Denied) -> Response {
    let body = json!({ "error": error, "error_description": description });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

fn authenticated(inner: &Inner, ask: &Ask) -> Result<(String, String), Denied> {
    let (id, secret) = ask.client_credentials();
    let given = (id, secret.clone());
    match inner
        .state()
        .authenticate(Provider::Salesforce, given, &ask.faults)
    {
        Ok(id) => Ok((id, secret.unwrap_or_default())),
        Err(Refused::Unknown) => Err(("invalid_client_id", "client identifier invalid")),
        Err(_) => Err(("invalid_client", "invalid client credentials")),
    }
}

async fn token(State(inner): State<Shared>, ask: Ask) -> Response {
    let form = ask.form();
    let answer =
        authenticated(&inner, &ask).and_then(|(id, secret)| match form.get("grant_type") {
            Some("authorization_code") => exchange(&inner, &form, &id, &secret, &ask.faults),
            Some("refresh_token") => refresh(&inner, &form, &id, &secret, &ask.faults),
            _ => Err(("unsupported_grant_type", "grant type not supported")),
        });
    match answer {
        Ok(mut answer) => {
            ask.faults
                .alter_token_answer(&mut answer, form.get("refresh_token"));
            ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
        }
        Err(why) => denied(why),
    }
}

fn exchange(
    inner: &Inner,
    form: &Params,
    client_id: &str,
    secret: &str,
    faults: &Struck,
) -> Result<Value, Denied> {
    let mut state = inner.state();
    let code = state
        .redeem(
            Provider::Salesforce,
            form.get("code"),
            client_id,
            form.get("redirect_uri"),
            form.get("code_verifier"),
            inner.now(),
        )
        .map_err(|why| match why {
            Refused::OtherRedirect => (
                "redirect_uri_mismatch",
                "redirect_uri must match configuration",
            ),
            Refused::BadVerifier => ("invalid_grant", "invalid code verifier"),
            Refused::Expired | Refused::Used => ("invalid_grant", "expired authorization code"),
            _ => ("invalid_grant", "invalid authorization code"),
        })?;
    if faults.has(Fault::RevokedByPerson) {
        return Err(("invalid_grant", "expired authorization code"));
    }
    let scopes = faults.granted(&code.scopes);
    let family = state.open_family(
        Family::new(&code, Provider::Salesforce, Holder::User, scopes),
        faults,
    );
    let mut answer = session_fields(inner, &mut state, family, secret, faults);
    if code.wants_refresh {
        let token = inner.token("5Aep861");
        state.add_refresh(family, &token);
        answer["refresh_token"] = token.into();
    }
    Ok(answer)
}

fn refresh(
    inner: &Inner,
    form: &Params,
    client_id: &str,
    secret: &str,
    faults: &Struck,
) -> Result<Value, Denied> {
    let mut state = inner.state();
    let presented = form.get("refresh_token");
    let mint = || inner.token("5Aep861");
    let (family, successor) = state
        .present_refresh(
            Provider::Salesforce,
            presented,
            client_id,
            faults,
            inner.now(),
            mint,
        )
        .map_err(|_| ("invalid_grant", "expired access/refresh token"))?;
    let mut answer = session_fields(inner, &mut state, family, secret, faults);
    if let Some(successor) = successor {
        answer["refresh_token"] = successor.into();
    }
    Ok(answer)
}

fn session_fields(
    inner: &Inner,
    state: &mut Store,
    family: usize,
    secret: &str,
    faults: &Struck,
) -> Value {
    let lifetime = state.service(Provider::Salesforce).lifetime_seconds;
    let lifetime = faults.short_expiry().unwrap_or(lifetime);
    let token = inner.token(&format!("{}!", &ORG_ID[..15]));
    let now = inner.now();
    // The session ends, and the client is not told when.
    state.add_access(family, &token, now, Some(lifetime));
    let Family { scopes, person, .. } = state.family(family);
    let id = identity_url(inner, inner.identity(*person, faults).number);
    let issued_at = (now + faults.ahead_ms()).to_string();
    // Salesforce signs id and issued_at with the client's secret.
    let signature = hmac(secret.as_bytes(), format!("{id}{issued_at}").as_bytes());
    json!({
        "access_token": token,
        "signature": BASE64_STANDARD.encode(signature),
        "scope": scopes.join(" "),
        "instance_url": instance_url(inner),
        "id": id,
        "token_type": "Bearer",
        "issued_at": issued_at,
    })
}

async fn revoke(State(inner): State<Shared>, ask: Ask) -> Response {
    let mut given = ask.query.clone();
    given.0.extend(ask.form().0);
    let token = given.get("token").unwrap_or_default();
    let mut state = inner.state();
    let good = match state.family_of(Provider::Salesforce, token) {
        // A refresh token takes its sessions along; a session goes alone.
        Some((family, true)) if !state.is_revoked(family) => {
            state.revoke_family(family);
            true
        }
        Some((family, false)) if !state.is_revoked(family) => {
            state.revoke_access(Provider::Salesforce, token)
        }
        _ => false,
    };
    if good {
        StatusCode::OK.into_response()
    } else {
        denied(("invalid_token", "invalid token"))
    }
}

/// RFC 7662. Access tokens and refresh tokens alike.
async fn introspect(State(inner): State<Shared>, ask: Ask) -> Response {
    let (client_id, _) = match authenticated(&inner, &ask) {
        Ok(client) => client,
        Err(why) => return denied(why),
    };
    let form = ask.form();
    let Some(token) = form.get("token") else {
        return denied(("invalid_request", "token is missing"));
    };
    let mut state = inner.state();
    let presented = state.present_access(Provider::Salesforce, token, &ask.faults, inner.now());
    let described = match (presented, state.family_of(Provider::Salesforce, token)) {
        (Ok(bearer), _) => {
            let mut described = describe(&inner, &bearer.family, &ask.faults, "access_token");
            described["iat"] = (bearer.issued_at / 1000).into();
            described["nbf"] = (bearer.issued_at / 1000).into();
            if let Some(expires_at) = bearer.expires_at {
                described["exp"] = (expires_at / 1000).into();
            }
            Some((bearer.family.client_id, described))
        }
        (Err(_), Some((family, true))) if !state.is_revoked(family) => {
            let family = state.family(family).clone();
            let described = describe(&inner, &family, &ask.faults, "refresh_token");
            Some((family.client_id, described))
        }
        _ => None,
    };
    let own = described.filter(|(owner, _)| *owner == client_id);
    Json(own.map_or(json!({ "active": false }), |(_, described)| described)).into_response()
}

fn describe(inner: &Inner, family: &Family, faults: &Struck, token_type: &str) -> Value {
    let identity = inner.identity(family.person, faults);
    json!({
        "active": true,
        "scope": family.scopes.join(" "),
        "client_id": family.client_id,
        "username": identity.email,
        "sub": identity_url(inner, identity.number),
        "token_type": token_type,
    })
}

// Who am I.

fn user_id(number: usize) -> String {
    format!("005{number:012}AAA")
}

fn instance_url(inner: &Inner) -> String {
    format!("{}/instance", inner.base(Provider::Salesforce))
}

fn identity_url(inner: &Inner, number: usize) -> String {
    format!(
        "{}/id/{ORG_ID}/{}",
        inner.base(Provider::Salesforce),
        user_id(number)
    )
}

/// The identity service answers bad tokens in its own way: 403 and a word, not JSON.
fn who(inner: &Inner, ask: &Ask) -> Result<Bearer, Response> {
    let bad = |word: &'static str| (StatusCode::FORBIDDEN, word).into_response();
    let token = ask.bearer().ok_or_else(|| bad("Missing_OAuth_Token"))?;
    let presented =
        inner
            .state()
            .present_access(Provider::Salesforce, token, &ask.faults, inner.now());
    let bearer = presented.map_err(|_| bad("Bad_OAuth_Token"))?;
    let may = [
        "id", "openid", "profile", "email", "address", "phone", "full", "api",
    ];
    if bearer.family.has_scope(&may) {
        Ok(bearer)
    } else {
        Err(bad("Bad_OAuth_Token"))
    }
}

async fn userinfo(State(inner): State<Shared>, ask: Ask) -> Result<Response, Response> {
    let bearer = who(&inner, &ask)?;
    let identity = inner.identity(bearer.family.person, &ask.faults);
    let (given, family) = identity.names();
    let answer = json!({
        "sub": identity_url(&inner, identity.number),
        "user_id": user_id(identity.number),
        "organization_id": ORG_ID,
        "preferred_username": identity.email,
        "nickname": identity.handle(),
        "name": identity.name,
        "given_name": given,
        "family_name": family,
        "email": identity.email,
        "email_verified": true,
        "zoneinfo": "Etc/UTC",
        "user_type": "STANDARD",
        "active": true,
        "urls": urls(&inner),
    });
    Ok(Json(answer).into_response())
}

async fn identity(
    State(inner): State<Shared>,
    Path((org, user)): Path<(String, String)>,
    ask: Ask,
) -> Result<Response, Response> {
    let bearer = who(&inner, &ask)?;
    let own = user_id(bearer.family.person + 1);
    let identity = inner.identity(bearer.family.person, &ask.faults);
    // A stranger's URL, given out under changed-identity, leads to the stranger.
    if org != ORG_ID || (user != own && user != user_id(identity.number)) {
        return Err((StatusCode::FORBIDDEN, "Wrong_Org").into_response());
    }
    let (first, last) = identity.names();
    let id = identity_url(&inner, identity.number);
    let answer = json!({
        "id": id,
        "asserted_user": true,
        "user_id": user_id(identity.number),
        "organization_id": ORG_ID,
        "username": identity.email,
        "nick_name": identity.handle(),
        "display_name": identity.name,
        "email": identity.email,
        "email_verified": true,
        "first_name": first,
        "last_name": last,
        "timezone": "Etc/UTC",
        "active": true,
        "user_type": "STANDARD",
        "urls": urls(&inner),
    });
    Ok(Json(answer).into_response())
}

fn urls(inner: &Inner) -> Value {
    let instance = instance_url(inner);
    json!({
        "rest": format!("{instance}/services/data/v{{version}}/"),
        "sobjects": format!("{instance}/services/data/v{{version}}/sobjects/"),
        "query": format!("{instance}/services/data/v{{version}}/query/"),
    })
}
