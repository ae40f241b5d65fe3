//! Linking, unlinking, and what agents may do.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::vault::permissions::PermissionState;
use domain::vault::{self, AccessMode, accounts, link, permissions};

use super::sign_in::sentence;
use super::{Posted, see};
use crate::door::Door;
use crate::session::{SignedIn, local_path};

/// `POST /accounts/link/{connection}`: off to the provider. `permit` ticked
/// and `client` named: that client may use the account from then on, as `mode`
/// says. `run`: the run that waits for it.
pub async fn link(
    State(door): State<Door>,
    signed_in: SignedIn,
    Path(connection): Path<String>,
    posted: Posted,
) -> Response {
    let page = format!("/accounts/link/{connection}");
    let client = match (posted.some("client"), posted.some("permit")) {
        (Some(client), Some(_)) => {
            let mode = if posted.get("mode") == "release" {
                AccessMode::Release
            } else {
                AccessMode::Call
            };
            Some((client.to_owned(), mode))
        }
        _ => None,
    };
    let return_to = match (posted.some("run"), posted.some("return_to")) {
        (Some(run), _) => local_path(Some(&format!("/agent/runs/{run}"))),
        (None, Some(path)) => local_path(Some(path)),
        (None, None) => "/accounts".to_owned(),
    };
    let start = link::StartLink {
        person_id: signed_in.person.id,
        session_id: signed_in.session_id,
        connection: connection.clone(),
        client,
        return_to,
        redirect_uri: door.options.link_callback(),
    };
    match link::start(&door.engine, start).await {
        Ok(url) => see(url.as_str()),
        Err(link::Error::Vault(
            error @ (vault::Error::UnknownConnection { .. } | vault::Error::Invalid(_)),
        )) => {
            posted
                .again(
                    &door,
                    &page,
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "",
                    sentence(&error),
                )
                .await
        }
        Err(error) => posted.failed(&door, &page, error).await,
    }
}

/// `POST /accounts/{id}/unlink`
pub async fn unlink(
    State(door): State<Door>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    match accounts::unlink(&door.engine, &signed_in.person.id, &id).await {
        Ok(unlinked) => {
            let until = unlinked
                .agents_may_hold_until
                .map(|until| format!("&until={until}"))
                .unwrap_or_default();
            see(&format!("/accounts?unlinked=1{until}"))
        }
        Err(error) => refused(&door, &posted, &format!("/accounts/{id}"), &error).await,
    }
}

/// `POST /accounts/{id}/default`
pub async fn make_default(
    State(door): State<Door>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    match accounts::make_default(&door.engine, &signed_in.person.id, &id).await {
        Ok(_) => see(&format!("/accounts/{id}")),
        Err(error) => refused(&door, &posted, &format!("/accounts/{id}"), &error).await,
    }
}

/// `POST /permissions/{id}`: `action` is `pause`, `resume` or `revoke`; `return_to`.
pub async fn permission(
    State(door): State<Door>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    let person = &signed_in.person.id;
    let back = posted
        .some("return_to")
        .map_or_else(|| "/accounts".to_owned(), |path| local_path(Some(path)));
    let changed = match posted.get("action") {
        "pause" => permissions::pause(&door.engine, person, &id).await,
        "resume" => permissions::resume(&door.engine, person, &id).await,
        "revoke" => permissions::revoke(&door.engine, person, &id).await,
        _ => {
            let sentence = "Choose pause, resume or revoke.";
            return posted
                .again(&door, &back, StatusCode::UNPROCESSABLE_ENTITY, "", sentence)
                .await;
        }
    };
    match changed {
        Ok(permission) if permission.state == PermissionState::Active => see(&back),
        Ok(permission) => match permissions::held_until(&door.engine, &permission).await {
            Ok(Some(until)) => {
                let joint = if back.contains('?') { '&' } else { '?' };
                see(&format!("{back}{joint}held_until={until}"))
            }
            Ok(None) => see(&back),
            Err(error) => refused(&door, &posted, &back, &error.into()).await,
        },
        Err(error) => refused(&door, &posted, &back, &error).await,
    }
}

async fn refused(door: &Door, posted: &Posted, page: &str, error: &vault::Error) -> Response {
    match error {
        vault::Error::NotFound => {
            posted
                .again(
                    door,
                    "/accounts",
                    StatusCode::NOT_FOUND,
                    "",
                    "There is no such account of yours.",
                )
                .await
        }
        error => posted.failed(door, page, error).await,
    }
}
