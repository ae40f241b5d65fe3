//! What pages and the browser's passkeys say to each other.
//!
//! A script fetches options (a form post, JSON in return), asks the browser,
//! and puts its answer as JSON text into the field `passkey` of a form, which
//! is then posted like any other. Bytes travel as base64url.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::identity::passkeys::{
    Answer, Challenge, Creation, FinishRegistration, PasskeyError, Proof,
};
use domain::secret::Secret;
use evidence::digest::from_base64url;
use evidence::json::{Limits, parse_strict_object};
use serde_json::{Map, Value, json};

use crate::door::{Door, TraceId};
use crate::forms::Posted;
use crate::forms::sign_in::sentence;
use crate::session::SignedIn;

/// The field that carries what the browser answered.
pub const FIELD: &str = "passkey";

struct Said(Map<String, Value>);

impl Said {
    fn read(posted: &Posted) -> Option<Self> {
        let text = posted.some(FIELD)?;
        parse_strict_object(text.as_bytes(), Limits::BODY)
            .ok()
            .map(Self)
    }

    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.0
            .get(name)
            .and_then(Value::as_str)
            .and_then(|text| from_base64url(text).ok())
    }
}

/// The answer of `navigator.credentials.get`, if the form carries one.
#[must_use]
pub fn answer(posted: &Posted) -> Option<Answer> {
    let said = Said::read(posted)?;
    Some(Answer {
        credential_id: said.bytes("id")?,
        client_data_json: said.bytes("clientDataJSON")?,
        authenticator_data: said.bytes("authenticatorData")?,
        signature: said.bytes("signature")?,
        user_handle: said.bytes("userHandle"),
    })
}

/// The answer of `navigator.credentials.create`, and the name that was typed.
#[must_use]
pub fn made(posted: &Posted) -> Option<FinishRegistration> {
    let said = Said::read(posted)?;
    let transports = said.0.get("transports").and_then(Value::as_array);
    Some(FinishRegistration {
        client_data_json: said.bytes("clientDataJSON")?,
        attestation_object: said.bytes("attestationObject")?,
        transports: transports
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        name: posted.get("name").to_owned(),
    })
}

/// What lets a passkey be added: an older one, a recovery code, or the sign-in.
#[must_use]
pub fn proof(posted: &Posted, signed_in: &SignedIn) -> Proof {
    if let Some(answer) = answer(posted) {
        return Proof::Passkey(answer);
    }
    match posted.some("recovery_code") {
        Some(code) => Proof::RecoveryCode(Secret::from(code)),
        None => Proof::SignIn {
            at: signed_in.sign_in.at,
        },
    }
}

/// The options of `navigator.credentials.get`.
#[must_use]
pub fn asking(challenge: &Challenge) -> Response {
    no_store(Json(challenge.to_json()))
}

/// The options of `navigator.credentials.create`.
#[must_use]
pub fn creating(creation: &Creation) -> Response {
    no_store(Json(creation.to_json()))
}

/// Why no options are given, as the script shows it.
#[must_use]
pub fn refused(error: &PasskeyError, trace: &TraceId) -> Response {
    let (status, words) = words(error, trace);
    let word = match error {
        PasskeyError::SignInAgain => "sign-in-again",
        PasskeyError::NeedsPasskey => "needs-passkey",
        _ => "refused",
    };
    let mut response = no_store(Json(json!({ "error": word, "sentence": words })));
    *response.status_mut() = status;
    response
}

/// A refusal as a person reads it, with its status.
#[must_use]
pub fn words(error: &PasskeyError, trace: &TraceId) -> (StatusCode, String) {
    match error {
        PasskeyError::Storage(error) => {
            tracing::error!(%error, "a passkey could not be judged");
            let words = format!(
                "Something went wrong here and nothing was changed. Try again; if it stays, quote {}.",
                trace.0
            );
            (StatusCode::SERVICE_UNAVAILABLE, words)
        }
        PasskeyError::TooOften(_) => (StatusCode::TOO_MANY_REQUESTS, sentence(error)),
        PasskeyError::Webauthn(cause) => {
            tracing::info!(%cause, "a passkey's answer was refused");
            let words = "Your device did not confirm that it was you. Nothing was done; try again.";
            (StatusCode::FORBIDDEN, words.to_owned())
        }
        PasskeyError::OnHold { .. } => {
            let words =
                "This passkey came from a recovery code and counts only a day after it was added.";
            (StatusCode::FORBIDDEN, words.to_owned())
        }
        _ => (StatusCode::UNPROCESSABLE_ENTITY, sentence(error)),
    }
}

fn no_store(body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(
        axum::http::header::CACHE_CONTROL,
        axum::http::HeaderValue::from_static("no-store"),
    );
    response
}

/// The page again with why the browser's answer does not count.
pub async fn again(posted: &Posted, door: &Door, page: &str, error: &PasskeyError) -> Response {
    let (status, words) = words(error, posted.trace());
    posted.again(door, page, status, "", words).await
}
