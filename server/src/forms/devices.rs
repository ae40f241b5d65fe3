//! Devices: passkeys are added and removed, recovery codes made anew, browsers
//! told of requests.

use app::context::FreshCodes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::approval::push::subscriptions::{self, NewSubscription, SubscribeError};
use domain::identity::passkeys::{self, PasskeyError};
use domain::secret::Secret;
use evidence::digest::from_base64url;

use super::sign_in::sentence;
use super::{Posted, see};
use crate::door::Door;
use crate::pages::Extras;
use crate::passkeys as wire;
use crate::session::SignedIn;

const PAGE: &str = "/devices";

/// `POST /devices/confirm/options`: to ask a passkey that the person has.
pub async fn vouching(State(door): State<Door>, signed_in: SignedIn, posted: Posted) -> Response {
    let begun =
        passkeys::begin_vouching(&door.engine, &signed_in.person.id, &signed_in.session_id).await;
    match begun {
        Ok(challenge) => wire::asking(&challenge),
        Err(error) => wire::refused(&error, posted.trace()),
    }
}

/// `POST /devices/options`: to make a passkey; with `passkey` (the answer to
/// `/devices/confirm/options`), `recovery_code`, or on the strength of the sign-in.
pub async fn creating(State(door): State<Door>, signed_in: SignedIn, posted: Posted) -> Response {
    let begun = passkeys::begin_registration(
        &door.engine,
        &signed_in.person.id,
        &signed_in.session_id,
        wire::proof(&posted, &signed_in),
    )
    .await;
    match begun {
        Ok(creation) => wire::creating(&creation),
        Err(error) => wire::refused(&error, posted.trace()),
    }
}

/// `POST /devices`: `name`, `passkey`. New recovery codes are shown this once.
pub async fn add(State(door): State<Door>, signed_in: SignedIn, posted: Posted) -> Response {
    let Some(made) = wire::made(&posted) else {
        return no_answer(&door, &posted).await;
    };
    let added = passkeys::finish_registration(
        &door.engine,
        &signed_in.person.id,
        &signed_in.session_id,
        made,
    )
    .await;
    match added {
        Ok(enrolled) => match enrolled.recovery_codes {
            Some(codes) => show(&door, &posted, &codes, true).await,
            None => see(&format!("{PAGE}?added={}", enrolled.passkey.id)),
        },
        Err(PasskeyError::Name) => {
            let sentence = "Give the device a name of 1 to 60 characters.";
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            posted.again(&door, PAGE, status, "name", sentence).await
        }
        Err(error) => wire::again(&posted, &door, PAGE, &error).await,
    }
}

/// `POST /devices/codes`: `passkey`. The new codes are shown this once.
pub async fn codes(State(door): State<Door>, signed_in: SignedIn, posted: Posted) -> Response {
    if wire::answer(&posted).is_none() {
        return no_answer(&door, &posted).await;
    }
    let renewed = passkeys::renew_codes(
        &door.engine,
        &signed_in.person.id,
        &signed_in.session_id,
        wire::proof(&posted, &signed_in),
    )
    .await;
    match renewed {
        Ok(codes) => show(&door, &posted, &codes, false).await,
        Err(error) => wire::again(&posted, &door, PAGE, &error).await,
    }
}

/// `POST /devices/{id}/remove`
pub async fn remove(
    State(door): State<Door>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    match passkeys::revoke(&door.engine, &signed_in.person.id, &id).await {
        Ok(_) => see(&format!("{PAGE}?removed=1")),
        Err(PasskeyError::Unknown) => {
            let sentence = "There is no such device of yours any more.";
            let status = StatusCode::NOT_FOUND;
            posted.again(&door, PAGE, status, "", sentence).await
        }
        Err(error) => wire::again(&posted, &door, PAGE, &error).await,
    }
}

/// `POST /devices/notices`: `name`, `endpoint`, `p256dh`, `auth`, as the browser
/// subscribed.
pub async fn notices(State(door): State<Door>, signed_in: SignedIn, posted: Posted) -> Response {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let bytes = |name| from_base64url(posted.get(name)).ok();
    let new = posted
        .get("endpoint")
        .parse()
        .ok()
        .zip(bytes("p256dh").zip(bytes("auth")));
    let Some((endpoint, (p256dh, auth))) = new else {
        let sentence = "The browser sent no subscription. This needs JavaScript and a browser that has notices.";
        return posted.again(&door, PAGE, status, "", sentence).await;
    };
    let new = NewSubscription {
        endpoint,
        p256dh,
        auth: Secret::new(auth),
        name: posted.get("browser").to_owned(),
    };
    match subscriptions::subscribe(&door.engine, &signed_in.person.id, new).await {
        Ok(_) => see(&format!("{PAGE}?notices=on")),
        Err(SubscribeError::Name) => {
            let sentence = "Give the browser a name of 1 to 60 characters.";
            posted.again(&door, PAGE, status, "browser", sentence).await
        }
        Err(error @ (SubscribeError::Storage(_) | SubscribeError::Keyring(_))) => {
            posted.failed(&door, PAGE, error).await
        }
        Err(error) => {
            posted
                .again(&door, PAGE, status, "", sentence(&error))
                .await
        }
    }
}

/// `POST /devices/notices/{id}/remove`
pub async fn no_notices(
    State(door): State<Door>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    match subscriptions::unsubscribe(&door.engine, &signed_in.person.id, &id).await {
        Ok(()) => see(&format!("{PAGE}?notices=off")),
        Err(SubscribeError::NotFound) => {
            let status = StatusCode::NOT_FOUND;
            let words = sentence(&SubscribeError::NotFound);
            posted.again(&door, PAGE, status, "", words).await
        }
        Err(error) => posted.failed(&door, PAGE, error).await,
    }
}

async fn show(door: &Door, posted: &Posted, codes: &[Secret<String>], first: bool) -> Response {
    let fresh = FreshCodes {
        codes: codes.iter().map(|code| code.expose().clone()).collect(),
        first,
    };
    let extras = Extras {
        fresh_codes: Some(fresh),
        ..Extras::default()
    };
    posted.page(door, PAGE, extras).await
}

async fn no_answer(door: &Door, posted: &Posted) -> Response {
    let sentence =
        "The browser sent no passkey. This needs JavaScript and a browser that has passkeys.";
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    posted.again(door, PAGE, status, "", sentence).await
}
