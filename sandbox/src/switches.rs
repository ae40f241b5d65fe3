//! The switches over HTTP, for programs in other languages and for browsers under test.
//! The paths are listed in README.md. Loopback only, like everything here.

use std::str::FromStr;

use axum::Json;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{Client, Provider, Rotation};
use crate::control::Control;
use crate::faults::{Fault, Target, Times};
use crate::store::Shared;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/control/faults", get(faults))
        .route("/control/catalogue", get(catalogue))
        .route("/control/armed", get(armed))
        .route("/control/fault", post(fault))
        .route("/control/clear", post(clear))
        .route("/control/client", post(client))
        .route("/control/revoke", post(revoke))
        .route("/control/expire", post(expire))
        .route("/control/rotation", post(rotation))
        .route("/control/requests", get(requests))
        .route("/control/posted", get(posted))
        .route("/control/sent", get(sent))
}

struct Wrong(String);

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.0 }))).into_response()
    }
}

fn parsed<T: FromStr<Err = String>>(text: &str) -> Result<T, Wrong> {
    text.parse().map_err(Wrong)
}

fn done() -> Json<Value> {
    Json(json!({ "ok": true }))
}

/// Every fault there is, as its name stands in a request.
async fn faults() -> Json<Value> {
    Json(Fault::ALL.iter().map(|fault| fault.to_string()).collect())
}

/// The same with what each one does.
async fn catalogue() -> Json<Value> {
    let all = Fault::ALL.iter().map(|fault| {
        json!({
            "name": fault.name(), "number": fault.number(), "on": fault.natural_target().to_string(),
            "what": fault.what(), "seen_at": fault.seen_at(),
        })
    });
    Json(all.collect())
}

/// What waits for requests now.
async fn armed(State(inner): State<Shared>) -> Json<Value> {
    let armed = Control::new(inner).armed().into_iter().map(|armed| {
        json!({
            "provider": armed.provider.as_str(), "client": armed.client, "on": armed.target.to_string(),
            "fault": armed.fault.to_string(), "times": armed.times.to_string(),
        })
    });
    Json(armed.collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetFault {
    /// Every provider when left out.
    provider: Option<String>,
    /// Every client when left out.
    client: Option<String>,
    fault: String,
    /// `"once"` (as when absent), `"always"` or a number.
    times: Option<Value>,
    /// A [`Target`] by name.
    on: Option<String>,
}

async fn fault(
    State(inner): State<Shared>,
    Json(ask): Json<SetFault>,
) -> Result<Json<Value>, Wrong> {
    let providers = match &ask.provider {
        Some(name) => vec![parsed(name)?],
        None => Provider::ALL.to_vec(),
    };
    let fault: Fault = parsed(&ask.fault)?;
    let times = match ask.times {
        None => Times::Once,
        Some(Value::String(text)) => parsed(&text)?,
        Some(other) => parsed(&other.to_string())?,
    };
    let target: Target = match ask.on {
        Some(name) => parsed(&name)?,
        None => fault.natural_target(),
    };
    let control = Control::new(inner);
    for provider in providers {
        match &ask.client {
            Some(client) => control.set_fault_for(provider, client, target, fault, times),
            None => control.set_fault_on(provider, target, fault, times),
        }
    }
    Ok(done())
}

async fn clear(State(inner): State<Shared>) -> Json<Value> {
    Control::new(inner).clear();
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddClient {
    provider: String,
    client_id: String,
    client_secret: String,
    name: Option<String>,
    redirect_uris: Vec<String>,
}

async fn client(
    State(inner): State<Shared>,
    Json(ask): Json<AddClient>,
) -> Result<Json<Value>, Wrong> {
    let provider = parsed(&ask.provider)?;
    let mut client = Client::new(
        provider,
        &ask.client_id,
        &ask.client_secret,
        ask.redirect_uris,
    );
    client.name = ask.name.unwrap_or(ask.client_id);
    Control::new(inner).add_client(client);
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    provider: String,
    email: String,
}

async fn revoke(
    State(inner): State<Shared>,
    Json(ask): Json<Revoke>,
) -> Result<Json<Value>, Wrong> {
    let ended = Control::new(inner).revoke(parsed(&ask.provider)?, &ask.email);
    Ok(Json(json!({ "ok": true, "ended": ended })))
}

#[derive(Deserialize)]
struct Of {
    provider: String,
}

async fn expire(State(inner): State<Shared>, Json(ask): Json<Of>) -> Result<Json<Value>, Wrong> {
    Control::new(inner).expire_access_tokens(parsed(&ask.provider)?);
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetRotation {
    provider: String,
    /// Every client when left out.
    client: Option<String>,
    /// `keeps`, `old-stays-valid`, `rotates` or `strict`.
    rotation: String,
    grace_seconds: Option<i64>,
}

async fn rotation(
    State(inner): State<Shared>,
    Json(ask): Json<SetRotation>,
) -> Result<Json<Value>, Wrong> {
    let rotation = match ask.rotation.as_str() {
        "keeps" => Rotation::Keeps,
        "rotates" => Rotation::Rotates {
            grace_seconds: ask.grace_seconds.unwrap_or_default(),
        },
        "old-stays-valid" => Rotation::OldStaysValid,
        "strict" => match ask.grace_seconds.unwrap_or_default() {
            0 => Rotation::Strict,
            grace_seconds => Rotation::StrictAfterGrace { grace_seconds },
        },
        other => {
            return Err(Wrong(format!(
                "rotation is keeps, old-stays-valid, rotates or strict, not {other:?}"
            )));
        }
    };
    let (control, provider) = (Control::new(inner), parsed(&ask.provider)?);
    match &ask.client {
        Some(client) => control.set_rotation_for(provider, client, rotation),
        None => control.set_rotation(provider, rotation),
    }
    Ok(done())
}

async fn requests(State(inner): State<Shared>, Query(of): Query<Of>) -> Result<Json<Value>, Wrong> {
    let provider: Provider = parsed(&of.provider)?;
    let requests = Control::new(inner)
        .requests(provider)
        .into_iter()
        .map(|request| {
            let body = request.text();
            json!({
                "at": request.at, "method": request.method, "path": request.path,
                "query": request.query, "headers": request.headers, "body": body,
            })
        });
    Ok(Json(requests.collect()))
}

async fn posted(State(inner): State<Shared>) -> Json<Value> {
    let posted = Control::new(inner).posted_messages().into_iter().map(|message| {
        json!({
            "channel": message.channel, "channel_name": message.channel_name, "text": message.text,
            "author": message.author, "email": message.email, "ts": message.ts,
        })
    });
    Json(posted.collect())
}

async fn sent(State(inner): State<Shared>) -> Json<Value> {
    let sent = Control::new(inner).sent_mails().into_iter().map(|mail| {
        json!({ "from": mail.from, "to": mail.to, "subject": mail.subject, "raw": mail.raw })
    });
    Json(sent.collect())
}
