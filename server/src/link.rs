//! `GET /link/callback`: the provider sends the person back.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use domain::oauth::Params;
use domain::secret::Secret;
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
    let finish = FinishLink {
        person_id: signed_in.person.id,
        session_id: signed_in.session_id,
        state: state.to_owned(),
        answer,
    };
    match link::finish(&door.engine, finish).await {
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

/// The person's page, with what came of it.
fn said(what: &str, connection: Option<&str>) -> Response {
    let query = serde_urlencoded::to_string([
        ("link", what),
        ("connection", connection.unwrap_or_default()),
    ]);
    see(&format!("/accounts?{}", query.unwrap_or_default()))
}
