//! Slack: OAuth v2 and the part of the Web API that agents use.
//!
//! Its ways: errors are HTTP 200 with `ok:false`; scopes are separated by commas; the bot's token is
//! at the top of the token answer and the person's under `authed_user`; tokens last for ever unless
//! rotation is on.

mod api;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get, post};
use serde_json::{Value, json};

pub use api::PostedMessage;
pub(crate) use api::Workspace;
use api::{auth_revoke, auth_test, conversations, history, post_message, users_info};

use crate::authorize;
use crate::config::{Provider, Rotation};
use crate::faults::Struck;
use crate::pages;
use crate::store::{self, Family, Holder, Inner, Refused, Shared};
use crate::wire::{Ask, Params};

const TEAM_ID: &str = "T0000ACME1";
const TEAM_NAME: &str = "Acme";
const APP_ID: &str = "A000000001";
const BOT_USER_ID: &str = "U0000BOT01";
const BOT_ID: &str = "B000000001";

pub(crate) fn routes() -> Router<Shared> {
    let authorize =
        |State(inner): State<Shared>, ask: Ask| authorize::endpoint(Provider::Slack, inner, ask);
    Router::new()
        .route("/slack", get(board))
        .route("/slack/", get(board))
        .route("/slack/oauth/v2/authorize", get(authorize).post(authorize))
        .route("/slack/api/oauth.v2.access", post(access))
        .route("/slack/api/auth.test", get(auth_test).post(auth_test))
        .route("/slack/api/auth.revoke", get(auth_revoke).post(auth_revoke))
        .route(
            "/slack/api/conversations.list",
            get(conversations).post(conversations),
        )
        .route(
            "/slack/api/conversations.history",
            get(history).post(history),
        )
        .route("/slack/api/chat.postMessage", post(post_message))
        .route("/slack/api/users.info", get(users_info).post(users_info))
        .route(
            "/slack/api/{method}",
            any(async || refused("unknown_method")),
        )
}

fn user_id(number: usize) -> String {
    format!("U{number:09}")
}

fn refused(error: &str) -> Response {
    Json(json!({ "ok": false, "error": error })).into_response()
}

async fn board(State(inner): State<Shared>) -> Html<String> {
    let posted = inner.state().slack.posted();
    Html(pages::messages(&posted))
}

// Tokens.

async fn access(State(inner): State<Shared>, ask: Ask) -> Response {
    let form = ask.form();
    let credentials = ask.client_credentials();
    let client_id = match inner
        .state()
        .authenticate(Provider::Slack, credentials, &ask.faults)
    {
        Ok(client_id) => client_id,
        Err(Refused::Unknown) => return refused("invalid_client_id"),
        Err(_) => return refused("bad_client_secret"),
    };
    let answer = match form.get("grant_type") {
        None | Some("authorization_code") => exchange(&inner, &form, &client_id, &ask.faults),
        Some("refresh_token") => refresh(&inner, &form, &client_id, &ask.faults),
        Some(_) => Err("invalid_grant_type"),
    };
    match answer {
        Ok(mut answer) => {
            ask.faults
                .alter_token_answer(&mut answer, form.get("refresh_token"));
            Json(answer).into_response()
        }
        Err(error) => refused(error),
    }
}

/// The fields that every token answer ends with.
fn common(inner: &Inner, person: usize, faults: &Struck) -> Value {
    json!({
        "ok": true,
        "app_id": APP_ID,
        "team": { "id": TEAM_ID, "name": TEAM_NAME },
        "enterprise": null,
        "is_enterprise_install": false,
        "authed_user": { "id": user_id(inner.identity(person, faults).number) },
    })
}

fn merge(into: &mut Value, fields: Value) {
    if let (Value::Object(into), Value::Object(fields)) = (into, fields) {
        into.extend(fields);
    }
}

/// A token of a family, as fields; with a refresh token where tokens rotate.
fn token_fields(
    inner: &Inner,
    state: &mut store::State,
    family: usize,
    refresh_token: Option<String>,
    faults: &Struck,
) -> Value {
    let client_id = state.family(family).client_id.clone();
    let rotates =
        state.rotation(Provider::Slack, &client_id) != Rotation::Keeps || refresh_token.is_some();
    let lifetime = state.service(Provider::Slack).lifetime_seconds;
    let lifetime = faults
        .short_expiry()
        .or_else(|| rotates.then_some(lifetime));
    let (prefix, token_type) = match (state.family(family).holder, rotates) {
        (Holder::Bot, false) => ("xoxb-", "bot"),
        (Holder::Bot, true) => ("xoxe.xoxb-1-", "bot"),
        (Holder::User, false) => ("xoxp-", "user"),
        (Holder::User, true) => ("xoxe.xoxp-1-", "user"),
    };
    let token = inner.token(prefix);
    state.add_access(family, &token, inner.now(), lifetime);
    let scope = state.family(family).scopes.join(",");
    let mut fields = json!({ "access_token": token, "token_type": token_type, "scope": scope });
    if let Some(seconds) = lifetime {
        fields["expires_in"] = seconds.into();
    }
    if rotates {
        let refresh_token = refresh_token.unwrap_or_else(|| {
            let token = inner.token("xoxe-1-");
            state.add_refresh(family, &token);
            token
        });
        fields["refresh_token"] = refresh_token.into();
    }
    fields
}

fn exchange(
    inner: &Inner,
    form: &Params,
    client_id: &str,
    faults: &Struck,
) -> Result<Value, &'static str> {
    let mut state = inner.state();
    let code = state
        .redeem(
            Provider::Slack,
            form.get("code"),
            client_id,
            form.get("redirect_uri"),
            form.get("code_verifier"),
            inner.now(),
        )
        .map_err(|why| match why {
            Refused::Used => "code_already_used",
            Refused::OtherRedirect => "bad_redirect_uri",
            _ => "invalid_code",
        })?;
    if faults.has(crate::Fault::RevokedByPerson) {
        return Err("invalid_code");
    }
    let mut answer = common(inner, code.person, faults);
    if !code.scopes.is_empty() {
        let scopes = faults.granted(&code.scopes);
        let family = state.open_family(
            Family::new(&code, Provider::Slack, Holder::Bot, scopes),
            faults,
        );
        merge(
            &mut answer,
            token_fields(inner, &mut state, family, None, faults),
        );
        answer["bot_user_id"] = BOT_USER_ID.into();
    }
    if !code.user_scopes.is_empty() {
        let scopes = faults.granted(&code.user_scopes);
        let family = state.open_family(
            Family::new(&code, Provider::Slack, Holder::User, scopes),
            faults,
        );
        let fields = token_fields(inner, &mut state, family, None, faults);
        merge(&mut answer["authed_user"], fields);
    }
    Ok(answer)
}

/// A refresh answers the new token at the top, the bot's and the person's alike.
fn refresh(
    inner: &Inner,
    form: &Params,
    client_id: &str,
    faults: &Struck,
) -> Result<Value, &'static str> {
    let mut state = inner.state();
    let presented = form.get("refresh_token");
    let mint = || inner.token("xoxe-1-");
    let (family, successor) = state
        .present_refresh(
            Provider::Slack,
            presented,
            client_id,
            faults,
            inner.now(),
            mint,
        )
        .map_err(|why| match why {
            Refused::Revoked => "token_revoked",
            _ => "invalid_refresh_token",
        })?;
    let mut answer = common(inner, state.family(family).person, faults);
    if state.family(family).holder == Holder::Bot {
        answer["bot_user_id"] = BOT_USER_ID.into();
    }
    let kept = successor.or_else(|| presented.map(str::to_owned));
    merge(
        &mut answer,
        token_fields(inner, &mut state, family, kept, faults),
    );
    Ok(answer)
}
