//! `/device`: a person types the code that their device shows (RFC 8628 §3.3).

use app::context::{DeviceAsked, FormState};
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use domain::oauth::Params;
use domain::oauth::device::{self, CodeError, DeviceRequest, PAGE};

use super::{Posted, see};
use crate::door::Door;
use crate::pages::{Extras, render};
use crate::session::SignedIn;

fn page(user_code: &str) -> String {
    let query = serde_urlencoded::to_string([("user_code", user_code)]).unwrap_or_default();
    format!("/{PAGE}?{query}")
}

/// `GET /device?user_code=…`: asks for the code, or about what is asked under it.
pub async fn show(
    State(door): State<Door>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let params = Params::form(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let typed = params.get("user_code").unwrap_or_default();
    let found = match request.extensions().get::<SignedIn>() {
        Some(signed_in) if !typed.is_empty() => {
            device::find(&door.engine, &signed_in.person.id, typed).await
        }
        _ => return render(&door, request, Extras::default()).await,
    };
    match found {
        Ok(asked) => render(&door, request, question(&asked)).await,
        Err(error) => {
            let (extras, wait) = refused(&error, typed);
            waiting(render(&door, request, extras).await, wait)
        }
    }
}

/// `POST /device`: `user_code`, and `decision` (`allow` or `deny`) once it was asked.
pub async fn answer(State(door): State<Door>, signed_in: SignedIn, posted: Posted) -> Response {
    let typed = posted.get("user_code").to_owned();
    let allow = match posted.get("decision") {
        "allow" => true,
        "deny" => false,
        // A code and no decision: the question is asked at an address of its own.
        _ => return see(&page(&typed)),
    };
    let (person, at) = (&signed_in.person.id, signed_in.sign_in);
    match device::decide(&door.engine, person, at, &typed, allow).await {
        Ok(_) if allow => see(&format!("/{PAGE}?done=allowed")),
        Ok(_) => see(&format!("/{PAGE}?done=denied")),
        Err(CodeError::Storage(error)) => posted.failed(&door, &format!("/{PAGE}"), error).await,
        Err(error) => {
            let (extras, wait) = refused(&error, &typed);
            let path = format!("/{PAGE}");
            waiting(posted.page(&door, &path, extras).await, wait)
        }
    }
}

fn question(asked: &DeviceRequest) -> Extras {
    Extras {
        device: Some(DeviceAsked {
            client_name: asked.client.name.clone(),
            client_id: asked.client.id.clone(),
            verified: asked.client.source != domain::oauth::Source::Registration,
            scopes: asked.scopes.clone(),
            audiences: asked.client.audiences.clone(),
            user_code: asked.user_code.clone(),
        }),
        ..Extras::default()
    }
}

fn refused(error: &CodeError, typed: &str) -> (Extras, Option<u64>) {
    let (status, words, wait) = match error {
        CodeError::Unknown => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "There is no such code, or no longer. Look again at your device.".to_owned(),
            None,
        ),
        CodeError::TooOften(often) => (
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "You typed many codes. Wait {} seconds, then try again.",
                often.retry_after_s
            ),
            Some(often.retry_after_s),
        ),
        CodeError::Storage(error) => {
            tracing::error!(%error, "a device's code could not be looked up");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "Something went wrong here and nothing was changed. Try again.".to_owned(),
                None,
            )
        }
    };
    let form = FormState {
        values: [("user_code".to_owned(), typed.to_owned())].into(),
        errors: vec![("user_code".to_owned(), words)],
        status: status.as_u16(),
        ..FormState::default()
    };
    let extras = Extras {
        form,
        ..Extras::default()
    };
    (extras, wait)
}

fn waiting(mut response: Response, wait: Option<u64>) -> Response {
    if let Some(seconds) = wait {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
