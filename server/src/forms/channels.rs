//! Other ways in which a person is told: added, tried, put in order, removed.

use app::context::FreshSecret;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::approval::channels::{self, ChannelError};

use super::sign_in::sentence;
use super::{Posted, see};
use crate::door::Door;
use crate::pages::Extras;
use crate::session::SignedIn;

const PAGE: &str = "/devices";
const DONE: &str = "/devices?channels=";

/// `POST /devices/channels`: `kind` (`mail`, or `webhook` with `address`). What
/// signs a webhook is shown this once.
pub async fn add(State(door): State<Door>, signed_in: SignedIn, posted: Posted) -> Response {
    if posted.get("kind") == "mail" {
        let added = channels::add_mail(&door.engine, &signed_in.person).await;
        return match added {
            Ok(_) => see(&format!("{DONE}added#channels")),
            Err(error) => refused(&door, &posted, "", error).await,
        };
    }
    let address = posted.get("address");
    match channels::add_webhook(&door.engine, &signed_in.person.id, address).await {
        Ok((channel, secret)) => {
            let extras = Extras {
                fresh_secret: Some(FreshSecret {
                    client_id: channel.id,
                    secret: secret.expose().clone(),
                }),
                ..Extras::default()
            };
            posted.page(&door, PAGE, extras).await
        }
        Err(error) => refused(&door, &posted, "address", error).await,
    }
}

/// `POST /devices/channels/{id}/{what}`: `test`, `raise` or `remove`.
pub async fn change(
    State(door): State<Door>,
    signed_in: SignedIn,
    Path((id, what)): Path<(String, String)>,
    posted: Posted,
) -> Response {
    let person = &signed_in.person.id;
    let (done, word) = match what.as_str() {
        "test" => (channels::test(&door.engine, person, &id).await, "tested"),
        "raise" => (channels::raise(&door.engine, person, &id).await, "raised"),
        "remove" => (channels::remove(&door.engine, person, &id).await, "removed"),
        _ => (Err(ChannelError::NotFound), ""),
    };
    match done {
        Ok(()) => see(&format!("{DONE}{word}#channels")),
        Err(error) => refused(&door, &posted, "", error).await,
    }
}

async fn refused(
    door: &Door,
    posted: &Posted,
    field: &'static str,
    error: ChannelError,
) -> Response {
    let status = match error {
        ChannelError::Storage(error) => return posted.failed(door, PAGE, error).await,
        ChannelError::NotFound => StatusCode::NOT_FOUND,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    posted
        .again(door, PAGE, status, field, sentence(&error))
        .await
}
