//! The embedded agent's forms; its server functions do the same verbs.

use axum::extract::{Path, Query, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::agent::{consent, runs};
use domain::oauth::Params;
use domain::secret::Secret;
use serde::Deserialize;

use super::sign_in::sentence;
use super::{Posted, see};
use crate::door::Door;
use crate::session::SignedIn;

/// `POST /agent/runs`: `prompt`.
pub async fn start(State(door): State<Door>, signed_in: SignedIn, posted: Posted) -> Response {
    match runs::start(&door.engine, &signed_in.person.id, posted.get("prompt")).await {
        Ok(run) => see(&format!("/agent/runs/{}", run.id)),
        Err(runs::Error::Storage(error)) => posted.failed(&door, "/agent", error).await,
        Err(error) => {
            posted
                .again(
                    &door,
                    "/agent",
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "prompt",
                    sentence(&error),
                )
                .await
        }
    }
}

/// `POST /agent/runs/{id}/cancel`
pub async fn cancel(
    State(door): State<Door>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    let page = format!("/agent/runs/{id}");
    match runs::cancel(&door.engine, &signed_in.person.id, &id).await {
        Ok(_) => see(&page),
        Err(error @ runs::Error::NotFound) => {
            posted
                .again(&door, "/agent", StatusCode::NOT_FOUND, "", sentence(&error))
                .await
        }
        Err(runs::Error::Storage(error)) => posted.failed(&door, &page, error).await,
        Err(error) => {
            posted
                .again(&door, &page, StatusCode::CONFLICT, "", sentence(&error))
                .await
        }
    }
}

/// The run that waits.
#[derive(Deserialize)]
pub struct Allow {
    run: Option<String>,
}

/// `GET /agent/allow?run=…`: the agent asks for consent like any client, at `/authorize`.
pub async fn allow(
    State(door): State<Door>,
    signed_in: SignedIn,
    Query(allow): Query<Allow>,
) -> Response {
    let started = consent::start(
        &door.engine,
        &signed_in.person.id,
        &signed_in.session_id,
        allow.run.as_deref(),
    )
    .await;
    match started {
        Ok(url) => see(url.as_str()),
        Err(error) => {
            tracing::error!(%error, "the agent could not ask for consent");
            see("/agent?consent=failed")
        }
    }
}

/// `GET /agent/callback`: the code of the agent's consent comes back.
pub async fn callback(
    State(door): State<Door>,
    signed_in: SignedIn,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let Ok(params) = Params::form(query.as_bytes()) else {
        return see("/agent?consent=failed");
    };
    let Some(state) = params.get("state") else {
        return see("/agent?consent=failed");
    };
    let answer = match (params.get("code"), params.get("error")) {
        (Some(code), None) => consent::Returned::Code(Secret::from(code)),
        (_, error) => consent::Returned::Error(error.unwrap_or("invalid_request").to_owned()),
    };
    let (person, session) = (&signed_in.person.id, &signed_in.session_id);
    match consent::finish(&door.engine, person, session, state, answer).await {
        Ok(Some(run)) => see(&format!("/agent/runs/{run}")),
        Ok(None) => see("/agent"),
        Err(error) => {
            tracing::info!(%error, "the agent was not allowed");
            see("/agent?consent=denied")
        }
    }
}
