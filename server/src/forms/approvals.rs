//! The decision.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::approval::mutes::{self, MuteError};
use domain::approval::{self, Channel, Decide, DecideError, Decision};

use super::sign_in::sentence;
use super::{Posted, see};
use crate::door::Door;
use crate::passkeys as wire;
use crate::session::SignedIn;

/// `POST /approve/{id}`: `decision` is `approve` or `deny`, `passkey` what the
/// browser's passkey answered, if it was asked, `number` what the agent shows,
/// if it does, `why` what the person says who denies. The end state is on the
/// same page.
pub async fn decide(
    State(door): State<Door>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    let page = format!("/approve/{id}");
    let decision = match posted.get("decision") {
        "approve" => Decision::Approve,
        "deny" => Decision::Deny,
        _ => {
            return posted
                .again(
                    &door,
                    &page,
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "",
                    "Choose Approve or Deny.",
                )
                .await;
        }
    };
    let ask = Decide {
        approval_id: id,
        person_id: signed_in.person.id,
        decision,
        channel: Channel::Browser,
        address: posted.address.clone(),
        user_agent: posted.user_agent.clone(),
        number: posted.some("number").map(str::to_owned),
    };
    let decided = match wire::answer(&posted) {
        Some(answer) => approval::decide_signed(&door.engine, ask, answer).await,
        None => approval::decide_saying(&door.engine, ask, posted.get("why")).await,
    };
    match decided {
        Ok(_) => see(&page),
        Err(DecideError::NotFound) => {
            posted
                .again(
                    &door,
                    &page,
                    StatusCode::NOT_FOUND,
                    "",
                    "There is no such request of yours.",
                )
                .await
        }
        Err(DecideError::AlreadyDecided { state }) => {
            let sentence =
                format!("This request was already {state}. Your choice changed nothing.");
            posted
                .again(&door, &page, StatusCode::CONFLICT, "", sentence)
                .await
        }
        Err(DecideError::Expired) => {
            let sentence = "The time for this request is over. Nothing was done.";
            posted
                .again(&door, &page, StatusCode::CONFLICT, "", sentence)
                .await
        }
        Err(DecideError::NeedsPasskey) => {
            let sentence =
                "This can only be approved with one of your devices. Nothing was approved.";
            posted
                .again(&door, &page, StatusCode::FORBIDDEN, "", sentence)
                .await
        }
        Err(DecideError::NeedsDeviceBound) => {
            let sentence = "This can only be approved with a passkey that stays on its device; that one can be copied. Nothing was approved.";
            posted
                .again(&door, &page, StatusCode::FORBIDDEN, "", sentence)
                .await
        }
        Err(DecideError::Forbidden) => {
            let sentence = "A policy forbids approving this. Nothing was approved.";
            posted
                .again(&door, &page, StatusCode::FORBIDDEN, "", sentence)
                .await
        }
        Err(DecideError::OthersApprove) => {
            let sentence = "A policy says that other people approve this. You can deny it.";
            posted
                .again(&door, &page, StatusCode::FORBIDDEN, "", sentence)
                .await
        }
        Err(DecideError::AlreadyYours) => {
            let sentence = "You approved this already. Others still have to.";
            posted
                .again(&door, &page, StatusCode::CONFLICT, "", sentence)
                .await
        }
        Err(DecideError::WrongNumber { left: 0 }) => {
            let sentence = "That is not the number your agent shows. The request was denied.";
            posted
                .again(&door, &page, StatusCode::CONFLICT, "", sentence)
                .await
        }
        Err(DecideError::WrongNumber { .. }) => {
            let sentence = "That is not the number your agent shows. Nothing was approved.";
            posted
                .again(
                    &door,
                    &page,
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "number",
                    sentence,
                )
                .await
        }
        Err(DecideError::Passkey(error)) => wire::again(&posted, &door, &page, &error).await,
        Err(DecideError::Storage(error)) => posted.failed(&door, &page, error).await,
    }
}

/// `POST /approvals/mute`: `client`, and for how many `hours` its requests ring
/// nothing; 0 lets them ring again.
pub async fn mute(State(door): State<Door>, signed_in: SignedIn, posted: Posted) -> Response {
    const PAGE: &str = "/approvals";
    let (person, client) = (&signed_in.person.id, posted.get("client"));
    let done = match posted.get("hours").parse() {
        Ok(0) => mutes::unmute(&door.engine, person, client)
            .await
            .map_err(MuteError::from),
        Ok(hours) => mutes::mute(&door.engine, person, client, hours).await,
        Err(_) => Err(MuteError::Hours),
    };
    let status = match done {
        Ok(()) => return see("/approvals#muted"),
        Err(MuteError::Hours) => StatusCode::UNPROCESSABLE_ENTITY,
        Err(MuteError::NotFound) => StatusCode::NOT_FOUND,
        Err(error) => return posted.failed(&door, PAGE, error).await,
    };
    let words = done.err().map(|error| sentence(&error));
    posted
        .again(&door, PAGE, status, "", words.unwrap_or_default())
        .await
}
