//! The page of a ticket: a client asks its person to link an account.

use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use domain::oauth::Params;
use domain::vault::connect::{self, Answer, TicketError};

use super::Posted;
use super::sign_in::sentence;
use crate::door::Door;
use crate::pages::{Extras, provider_origins, render};
use crate::session::SignedIn;

/// Where tickets are opened.
pub const PAGE: &str = "/connected-accounts/connect";

/// `GET /connected-accounts/connect?ticket=…`
pub async fn show(
    State(door): State<Door>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let params = Params::form(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let ticket = params.get("ticket").unwrap_or_default();
    let form_action = match request.extensions().get::<SignedIn>() {
        Some(signed_in) => targets(&door, &signed_in.person.id, ticket).await,
        None => Vec::new(),
    };
    let extras = Extras {
        form_action,
        ..Extras::default()
    };
    render(&door, request, extras).await
}

/// Where the page's form may lead: to the provider, or back to the client.
async fn targets(door: &Door, person: &str, ticket: &str) -> Vec<String> {
    let Ok(ticket) = connect::ticket(&door.engine, person, ticket).await else {
        return Vec::new();
    };
    let mut origins = provider_origins(door, &ticket.connection.id).await;
    origins.extend(crate::oauth::authorize::origin(ticket.returns_to.as_str()));
    origins
}

/// `POST /connected-accounts/connect`: `ticket`; `decision` is `continue` or
/// `cancel`; `account` is one that is linked, or `new`.
pub async fn follow(State(door): State<Door>, signed_in: SignedIn, posted: Posted) -> Response {
    let ticket = posted.get("ticket").to_owned();
    let page = format!(
        "{PAGE}?{}",
        serde_urlencoded::to_string([("ticket", &ticket)]).unwrap_or_default()
    );
    let answer = match (posted.get("decision"), posted.get("account")) {
        ("cancel", _) => Answer::Refuse,
        ("continue", "new") => Answer::Link {
            callback: door.options.link_callback(),
        },
        ("continue", account) if !account.is_empty() => Answer::Permit(account.to_owned()),
        _ => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            let sentence = "Choose an account, or link another one.";
            let mut extras = posted.extras(status, "", sentence);
            extras.form_action = targets(&door, &signed_in.person.id, &ticket).await;
            return posted.page(&door, &page, extras).await;
        }
    };
    let (person, session) = (&signed_in.person.id, &signed_in.session_id);
    match connect::follow(&door.engine, person, session, &ticket, answer).await {
        Ok(to) => Redirect::to(to.as_str()).into_response(),
        // The page says it, with the right status.
        Err(TicketError::Gone | TicketError::SomebodyElse) => {
            posted.page(&door, &page, Extras::default()).await
        }
        Err(TicketError::Vault(error @ domain::vault::Error::Invalid(_))) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            let mut extras = posted.extras(status, "", sentence(&error));
            extras.form_action = targets(&door, person, &ticket).await;
            posted.page(&door, &page, extras).await
        }
        Err(TicketError::Vault(error)) => posted.failed(&door, &page, error).await,
    }
}
