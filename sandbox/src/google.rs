//! Google: OAuth 2.0, who-am-I, and below it Calendar and Gmail.
//!
//! Its ways: a refresh token comes only with the first consent of a person to an app, or with
//! `prompt=consent`; it stays the same for ever; revoking any token ends the whole authorisation.

mod calendar;
mod gmail;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use gmail::SentMail;

use crate::authorize;
use crate::config::{Person, Provider};
use crate::faults::{Fault, Struck};
use crate::store::{Bearer, Family, Holder, Inner, Refused, Shared, State as Store, TokenKind};
use crate::wire::{Ask, Params};

/// What people have at Google, by their place in `Config::people`.
pub(crate) struct Data {
    calendars: Vec<calendar::Calendars>,
    mailboxes: Vec<gmail::Mailbox>,
}

impl Data {
    pub fn seeded(now: i64, people: &[Person]) -> Data {
        Data {
            calendars: people.iter().map(calendar::Calendars::seeded).collect(),
            mailboxes: people
                .iter()
                .map(|person| gmail::Mailbox::seeded(now, person))
                .collect(),
        }
    }

    pub fn sent(&self) -> Vec<SentMail> {
        self.mailboxes
            .iter()
            .flat_map(gmail::Mailbox::sent)
            .collect()
    }
}

pub(crate) fn routes() -> Router<Shared> {
    let authorize =
        |State(inner): State<Shared>, ask: Ask| authorize::endpoint(Provider::Google, inner, ask);
    Router::new()
        .route("/google/o/oauth2/v2/auth", get(authorize).post(authorize))
        .route("/google/token", post(token))
        .route("/google/revoke", post(revoke))
        .route("/google/oauth2/v2/userinfo", get(userinfo_v2))
        .route("/google/v1/userinfo", get(userinfo_oidc))
        .merge(calendar::routes())
        .merge(gmail::routes())
        .route(
            "/google/{*rest}",
            any(async || refused(StatusCode::NOT_FOUND, "notFound", "Not Found")),
        )
}

/// An error of an API, in the shape Google's share.
fn refused(status: StatusCode, reason: &str, message: &str) -> Response {
    let canonical = match status {
        StatusCode::BAD_REQUEST => "INVALID_ARGUMENT",
        StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
        StatusCode::FORBIDDEN => "PERMISSION_DENIED",
        _ => "NOT_FOUND",
    };
    let body = json!({ "error": {
        "code": status.as_u16(),
        "message": message,
        "errors": [{ "message": message, "domain": "global", "reason": reason }],
        "status": canonical,
    }});
    (status, Json(body)).into_response()
}

/// The caller, if the token is good and has one of the scopes (short names stand for Google's URLs).
fn caller(inner: &Inner, ask: &Ask, scopes: &[&str]) -> Result<Bearer, Response> {
    let unauthorised = |_| {
        let answer = refused(StatusCode::UNAUTHORIZED, "authError", "Invalid Credentials");
        (
            [(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")],
            answer,
        )
            .into_response()
    };
    let token = ask.bearer().ok_or(Refused::Unknown).map_err(unauthorised)?;
    let presented = inner
        .state()
        .present_access(Provider::Google, token, &ask.faults, inner.now());
    let bearer = presented.map_err(unauthorised)?;
    let held = bearer.family.scopes.iter().any(|held| {
        scopes.iter().any(|wanted| {
            held == wanted || held.strip_prefix("https://www.googleapis.com/auth/") == Some(wanted)
        })
    });
    if !held {
        let message = "Request had insufficient authentication scopes.";
        let answer = refused(StatusCode::FORBIDDEN, "insufficientPermissions", message);
        let challenge = "Bearer error=\"insufficient_scope\"";
        return Err(([(header::WWW_AUTHENTICATE, challenge)], answer).into_response());
    }
    Ok(bearer)
}

// Tokens.

fn denied(status: StatusCode, error: &str, description: &str) -> Response {
    (
        status,
        Json(json!({ "error": error, "error_description": description })),
    )
        .into_response()
}

async fn token(State(inner): State<Shared>, ask: Ask) -> Response {
    let form = ask.form();
    let (id, secret) = ask.client_credentials();
    let authenticated =
        inner
            .state()
            .authenticate(Provider::Google, (id, secret.clone()), &ask.faults);
    let client_id = match authenticated {
        Ok(client_id) => client_id,
        Err(Refused::Unknown) => {
            return denied(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "The OAuth client was not found.",
            );
        }
        Err(_) => return denied(StatusCode::UNAUTHORIZED, "invalid_client", "Unauthorized"),
    };
    let secret = secret.unwrap_or_default();
    let answer = match form.get("grant_type") {
        Some("authorization_code") => exchange(&inner, &form, &client_id, &secret, &ask.faults),
        Some("refresh_token") => refresh(&inner, &form, &client_id, &secret, &ask.faults),
        _ => Err(("unsupported_grant_type", "Invalid grant_type")),
    };
    match answer {
        Ok(mut answer) => {
            ask.faults
                .alter_token_answer(&mut answer, form.get("refresh_token"));
            ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
        }
        Err((error, description)) => denied(StatusCode::BAD_REQUEST, error, description),
    }
}

type Denied = (&'static str, &'static str);

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
            Provider::Google,
            form.get("code"),
            client_id,
            form.get("redirect_uri"),
            form.get("code_verifier"),
            inner.now(),
        )
        .map_err(|why| match why {
            Refused::OtherRedirect => ("redirect_uri_mismatch", "Bad Request"),
            Refused::BadVerifier => ("invalid_grant", "Invalid code verifier."),
            Refused::Unknown => ("invalid_grant", "Malformed auth code."),
            _ => ("invalid_grant", "Bad Request"),
        })?;
    if faults.has(Fault::RevokedByPerson) {
        return Err(("invalid_grant", "Bad Request"));
    }
    let scopes = faults.granted(&code.scopes);
    let family = state.open_family(
        Family::new(&code, Provider::Google, Holder::User, scopes),
        faults,
    );
    let mut answer = access_fields(inner, &mut state, family, secret, faults);
    if code.wants_refresh {
        let token = inner.token("1//0");
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
    let mint = || inner.token("1//0");
    let (family, successor) = state
        .present_refresh(
            Provider::Google,
            presented,
            client_id,
            faults,
            inner.now(),
            mint,
        )
        .map_err(|why| match why {
            Refused::Unknown => ("invalid_grant", "Bad Request"),
            Refused::OtherClient => ("unauthorized_client", "Unauthorized"),
            _ => ("invalid_grant", "Token has been expired or revoked."),
        })?;
    let mut answer = access_fields(inner, &mut state, family, secret, faults);
    if let Some(successor) = successor {
        answer["refresh_token"] = successor.into();
    }
    Ok(answer)
}

fn access_fields(
    inner: &Inner,
    state: &mut Store,
    family: usize,
    secret: &str,
    faults: &Struck,
) -> Value {
    let lifetime = faults
        .short_expiry()
        .unwrap_or(state.service(Provider::Google).lifetime_seconds);
    let token = inner.token("ya29.");
    let now = inner.now();
    state.add_access(family, &token, now, Some(lifetime));
    let Family {
        scopes,
        client_id,
        person,
        nonce,
        ..
    } = state.family(family).clone();
    let mut answer = json!({
        "access_token": token,
        "expires_in": lifetime,
        "scope": scopes.join(" "),
        "token_type": "Bearer",
    });
    if scopes.iter().any(|scope| scope == "openid") {
        let identity = inner.identity(person, faults);
        let told = now + faults.ahead_ms();
        let mut claims = json!({
            "iss": inner.base(Provider::Google),
            "aud": client_id,
            "azp": client_id,
            "sub": subject(identity.number),
            "email": identity.email,
            "email_verified": true,
            "name": identity.name,
            "iat": told / 1000,
            "exp": told / 1000 + 3600,
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        let id_token = signed(&claims, secret.as_bytes());
        state.note(Provider::Google, TokenKind::Id, person, &id_token);
        answer["id_token"] = id_token.into();
    }
    answer
}

/// A JWT under HS256 with the client's secret (OpenID Connect Core §10.1). The real service signs
/// with RS256; whoever checks signatures against a key set has to skip that here.
fn signed(claims: &Value, secret: &[u8]) -> String {
    let head = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let content = format!(
        "{head}.{}",
        BASE64_URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let mac = BASE64_URL_SAFE_NO_PAD.encode(hmac(secret, content.as_bytes()));
    format!("{content}.{mac}")
}

/// HMAC-SHA-256 (RFC 2104).
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new()
        .chain_update(block.map(|b| b ^ 0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(block.map(|b| b ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

async fn revoke(State(inner): State<Shared>, ask: Ask) -> Response {
    let mut given = ask.query.clone();
    given.0.extend(ask.form().0);
    let mut state = inner.state();
    let family = given
        .get("token")
        .and_then(|token| state.family_of(Provider::Google, token));
    match family {
        Some((family, _)) if !state.is_revoked(family) => {
            let Family {
                person, client_id, ..
            } = state.family(family).clone();
            state.revoke_authorisation(Provider::Google, person, &client_id);
            Json(json!({})).into_response()
        }
        _ => denied(
            StatusCode::BAD_REQUEST,
            "invalid_token",
            "Token expired or revoked",
        ),
    }
}

// Who am I.

/// Google's subject: a number of 21 digits.
fn subject(number: usize) -> String {
    format!("1{number:020}")
}

async fn userinfo_v2(State(inner): State<Shared>, ask: Ask) -> Result<Response, Response> {
    userinfo(&inner, &ask, "id", "verified_email")
}

async fn userinfo_oidc(State(inner): State<Shared>, ask: Ask) -> Result<Response, Response> {
    userinfo(&inner, &ask, "sub", "email_verified")
}

fn userinfo(inner: &Inner, ask: &Ask, id: &str, verified: &str) -> Result<Response, Response> {
    let bearer = caller(
        inner,
        ask,
        &["openid", "userinfo.email", "userinfo.profile"],
    )?;
    let identity = inner.identity(bearer.family.person, &ask.faults);
    let (given, family) = identity.names();
    let mut answer = json!({
        id: subject(identity.number),
        "name": identity.name,
        "given_name": given,
        "family_name": family,
    });
    if bearer
        .family
        .has_scope(&["https://www.googleapis.com/auth/userinfo.email"])
    {
        answer["email"] = identity.email.as_str().into();
        answer[verified] = true.into();
    }
    Ok(Json(answer).into_response())
}
