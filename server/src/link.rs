//! `GET /link/callback`: the provider sends the person back.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use domain::oauth::Params;
use domain::secret::Secret;
use domain::vault::Account;
use domain::vault::connect::{self, TicketError};
use domain::vault::link::{self, Error, FinishLink};

use crate::door::Door;
use crate::forms::see;
use crate::session::SignedIn;

/// Finishes a link, or says on the person's page why not.
pub async fn callback(
    State(door): State<Door>,
    signed_in: SignedIn,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let Ok(params) = Params::form(query.as_bytes()) else {
        return said("invalid", None);
    };
    let Some(state) = params.get("state") else {
        return said("invalid", None);
    };
    let answer = match (params.get("code"), params.get("error")) {
        (_, Some(error)) => Err(error.to_owned()),
        (Some(code), None) => Ok(Secret::from(code)),
        (None, None) => return said("invalid", None),
    };
    let session = signed_in.session_id.clone();
    let finish = FinishLink {
        person_id: signed_in.person.id,
        session_id: signed_in.session_id,
        state: state.to_owned(),
        answer,
        iss: params.get("iss").map(str::to_owned),
    };
    let outcome = link::finish(&door.engine, finish).await;
    if let Some((return_to, told)) = for_a_client(&outcome) {
        return match connect::linked(&door.engine, &session, return_to, told).await {
            Ok(to) => Redirect::to(to.as_str()).into_response(),
            // The account is linked all the same, and on the person's page.
            Err(TicketError::Gone | TicketError::SomebodyElse) => said("invalid", None),
            Err(error) => {
                tracing::error!(%error, "a client could not be told of a link");
                said("failed", None)
            }
        };
    }
    match outcome {
        Ok(linked) if linked.return_to.starts_with("/accounts") => {
            see(&format!("/accounts?linked={}", linked.account.id))
        }
        Ok(linked) => see(&linked.return_to),
        Err(Error::Refused { connection, .. }) => said("denied", Some(&connection)),
        Err(Error::Failed {
            connection, code, ..
        }) => {
            tracing::warn!(connection, code, "a link failed at the provider");
            said("failed", Some(&connection))
        }
        Err(Error::UnknownState) => said("invalid", None),
        Err(error) => {
            tracing::error!(%error, "a link could not be finished");
            said("failed", None)
        }
    }
}

/// A link that a client asked for goes back to that client, however it ended.
fn for_a_client(outcome: &Result<link::Linked, Error>) -> Option<(&str, Result<&Account, &str>)> {
    let (return_to, told) = match outcome {
        Ok(linked) => (&linked.return_to, Ok(&linked.account)),
        Err(Error::Refused { return_to, .. }) => (return_to, Err("access_denied")),
        Err(Error::Failed {
            return_to, code, ..
        }) => (return_to, Err(code.as_str())),
        Err(_) => return None,
    };
    connect::began_here(return_to).then_some((return_to, told))
}

/// The person's page, with what came of it.
fn said(what: &str, connection: Option<&str>) -> Response {
    let query = serde_urlencoded::to_string([
        ("link", what),
        ("connection", connection.unwrap_or_default()),
    ]);
    see(&format!("/accounts?{}", query.unwrap_or_default()))
}
