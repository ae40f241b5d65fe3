//! Forms that must work without JavaScript: plain posts.
//!
//! 303 on success; on error the page again, with what was typed kept, the
//! sentence beside its field, and a 4xx status. Each handler reads its fields,
//! calls one verb, and says what came of it.

pub mod accounts;
mod admin;
mod agent;
mod approvals;
mod channels;
mod connect;
mod device;
mod devices;
mod policies;
mod providers;
pub mod sign_in;

use std::collections::HashMap;

use app::context::FormState;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use url::form_urlencoded;

use crate::door::{ClientAddress, Door, TraceId};
use crate::pages::{Extras, render_at};
use crate::session::SignedIn;

/// A form's body is at most this long, in bytes.
const LONGEST: usize = 64 * 1024;

/// All form posts of people and admins.
pub fn routes() -> Router<Door> {
    Router::new()
        .route("/sign-in", post(sign_in::sign_in))
        .route("/sign-in/passkey/options", post(sign_in::passkey_options))
        .route("/sign-in/passkey", post(sign_in::with_passkey))
        .route("/devices", post(devices::add))
        .route("/devices/options", post(devices::creating))
        .route("/devices/confirm/options", post(devices::vouching))
        .route("/devices/codes", post(devices::codes))
        .route("/devices/{id}/remove", post(devices::remove))
        .route("/devices/notices", post(devices::notices))
        .route("/devices/notices/{id}/remove", post(devices::no_notices))
        .route("/devices/channels", post(channels::add))
        .route("/devices/channels/{id}/{what}", post(channels::change))
        .route("/sign-in/with/{id}", get(crate::upstream::begin))
        .route("/sign-in/callback", get(crate::upstream::callback))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/settings/user-code", post(sign_in::user_code))
        .route("/settings/password", post(sign_in::change_password))
        .route("/accounts/link/{connection}", post(accounts::link))
        .route("/accounts/{id}/unlink", post(accounts::unlink))
        .route("/accounts/{id}/default", post(accounts::make_default))
        .route("/permissions/{id}", post(accounts::permission))
        .route("/link/callback", get(crate::link::callback))
        .route(connect::PAGE, get(connect::show).post(connect::follow))
        .route("/device", get(device::show).post(device::answer))
        .route("/approve/{id}", post(approvals::decide))
        .route("/approvals/mute", post(approvals::mute))
        .route("/agent/runs", post(agent::start))
        .route("/agent/runs/{id}/cancel", post(agent::cancel))
        .route("/agent/allow", get(agent::allow))
        .route("/agent/callback", get(agent::callback))
        .route("/admin/people", post(admin::create_person))
        .route("/admin/people/{id}/state", post(admin::person_state))
        .route("/admin/clients", post(admin::create_client))
        .route("/admin/clients/{id}/state", post(admin::client_state))
        .route("/admin/clients/{id}/secret", post(admin::client_secret))
        .route("/admin/connections", post(admin::create_connection))
        .route("/admin/providers", post(providers::add))
        .route("/admin/providers/{id}/remove", post(providers::remove))
        .route("/admin/policies/approving", post(policies::approving))
        .route("/admin/policies/calling", post(policies::calling))
        .route("/admin/policies/{id}/remove", post(policies::remove))
        .route("/admin/audit/export.jsonl", get(admin::export_audit))
}

/// A posted form and what is known of its sender.
pub struct Posted {
    fields: Vec<(String, String)>,
    /// The sender's address, as far as it can be believed.
    pub address: Option<String>,
    /// The sender's program.
    pub user_agent: Option<String>,
    signed_in: Option<SignedIn>,
    trace: TraceId,
}

/// A handler takes its form last; bodies that are no form, or too long, are
/// answered before it is called.
impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let is_form = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|media| media.to_str().ok())
            .is_some_and(|media| media.starts_with("application/x-www-form-urlencoded"));
        let body = to_bytes(body, LONGEST).await.map_err(|_| {
            (StatusCode::PAYLOAD_TOO_LARGE, "the form is too long\n").into_response()
        })?;
        if !is_form && !body.is_empty() {
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "send a form\n").into_response());
        }
        if std::str::from_utf8(&body).is_err() {
            return Err((StatusCode::BAD_REQUEST, "the form is not UTF-8\n").into_response());
        }
        let address = parts
            .extensions
            .get::<ClientAddress>()
            .and_then(|address| address.0)
            .map(|ip| ip.to_string());
        Ok(Self {
            fields: form_urlencoded::parse(&body).into_owned().collect(),
            address,
            user_agent: user_agent(&parts.headers),
            signed_in: parts.extensions.get::<SignedIn>().cloned(),
            trace: parts
                .extensions
                .get::<TraceId>()
                .cloned()
                .unwrap_or(TraceId(String::new())),
        })
    }
}

impl Posted {
    /// The field's value, without space around it; empty when there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The field's value as typed.
    #[must_use]
    pub fn raw(&self, name: &str) -> &str {
        self.fields
            .iter()
            .find(|(field, _)| field == name)
            .map_or("", |(_, value)| value)
    }

    /// The field's value, if anything was typed.
    #[must_use]
    pub fn some(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }

    /// All values of a field that may be there several times.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// A field of one entry a line, or separated by spaces or commas.
    #[must_use]
    pub fn words(&self, name: &str) -> Vec<String> {
        self.get(name)
            .split(|letter: char| letter.is_whitespace() || letter == ',')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Every field but `except`, to be posted again.
    pub fn others<'a>(
        &'a self,
        except: &'a [&'a str],
    ) -> impl Iterator<Item = (String, String)> + 'a {
        self.fields
            .iter()
            .filter(move |(field, _)| !except.contains(&field.as_str()))
            .cloned()
    }

    /// The id of this request.
    #[must_use]
    pub fn trace(&self) -> &TraceId {
        &self.trace
    }

    /// The page again, with what was typed, and what was wrong with `field`
    /// (the empty name is the form's own).
    pub async fn again(
        &self,
        door: &Door,
        path: &str,
        status: StatusCode,
        field: &str,
        sentence: impl Into<String>,
    ) -> Response {
        self.page(door, path, self.extras(status, field, sentence))
            .await
    }

    /// What was typed, and what was wrong with `field`.
    pub fn extras(&self, status: StatusCode, field: &str, sentence: impl Into<String>) -> Extras {
        let form = FormState {
            values: self.kept(),
            errors: vec![(field.to_owned(), sentence.into())],
            notice: None,
            status: status.as_u16(),
        };
        Extras {
            form,
            ..Extras::default()
        }
    }

    /// The page at `path`, in answer to this post.
    pub async fn page(&self, door: &Door, path: &str, extras: Extras) -> Response {
        render_at(door, path, self.signed_in.as_ref(), &self.trace, extras).await
    }

    /// The page again after a failure of ours; the cause is logged under the trace id.
    pub async fn failed(&self, door: &Door, path: &str, error: impl std::fmt::Display) -> Response {
        tracing::error!(%error, "a form could not be carried out");
        let sentence = format!(
            "Something went wrong here and nothing was changed. Try again; if it stays, quote {}.",
            self.trace.0
        );
        self.again(door, path, StatusCode::SERVICE_UNAVAILABLE, "", sentence)
            .await
    }

    fn kept(&self) -> HashMap<String, String> {
        let secret = |name: &str| {
            name.contains("password")
                || name.contains("secret")
                || matches!(name, "user_code" | "recovery_code" | "passkey" | "auth")
        };
        self.fields
            .iter()
            .filter(|(name, _)| !secret(name))
            .cloned()
            .collect()
    }
}

/// The browser's name, cut to a length that is kept.
fn user_agent(headers: &HeaderMap) -> Option<String> {
    headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .map(|agent| agent.chars().take(300).collect())
}

/// 303 to a local path.
#[must_use]
pub fn see(path: &str) -> Response {
    Redirect::to(path).into_response()
}
