//! Signing in and out.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::identity::{self, Error, How, SignIn, passkeys};
use domain::secret::Secret;
use tower_sessions::Session;

use super::{Posted, see};
use crate::door::Door;
use crate::passkeys as wire;
use crate::session::{self, SignedIn, local_path};

const PAGE: &str = "/sign-in";

/// `POST /sign-in`: `email`, `password`, `return_to`.
pub async fn sign_in(State(door): State<Door>, session: Session, posted: Posted) -> Response {
    let (email, password) = (posted.get("email"), posted.raw("password"));
    let page = way_back(&posted);
    for (field, typed, sentence) in [
        ("email", email, "Type your e-mail address."),
        ("password", password, "Type your password."),
    ] {
        if typed.is_empty() {
            return posted
                .again(
                    &door,
                    &page,
                    StatusCode::UNPROCESSABLE_ENTITY,
                    field,
                    sentence,
                )
                .await;
        }
    }
    match identity::sign_in(
        &door.engine,
        email,
        Secret::from(password),
        posted.address.clone(),
    )
    .await
    {
        Ok(person) => {
            match session::begin(&session, &person, SignIn::now(&door.engine, How::Password)).await
            {
                Ok(()) => see(&local_path(posted.some("return_to"))),
                Err(error) => posted.failed(&door, &page, error).await,
            }
        }
        Err(error @ Error::WrongPassword) => {
            posted
                .again(
                    &door,
                    &page,
                    StatusCode::UNAUTHORIZED,
                    "password",
                    sentence(&error),
                )
                .await
        }
        Err(error @ Error::Locked) => {
            posted
                .again(&door, &page, StatusCode::FORBIDDEN, "", sentence(&error))
                .await
        }
        Err(ref error @ Error::TooManyAttempts { retry_after_s }) => {
            let mut response = posted
                .again(
                    &door,
                    &page,
                    StatusCode::TOO_MANY_REQUESTS,
                    "",
                    sentence(error),
                )
                .await;
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
            response
        }
        Err(error) => posted.failed(&door, &page, error).await,
    }
}

/// `POST /sign-in/passkey/options`: to ask for any passkey of this place.
pub async fn passkey_options(
    State(door): State<Door>,
    session: Session,
    posted: Posted,
) -> Response {
    let id = match begun(&session).await {
        Ok(id) => id,
        Err(error) => {
            tracing::error!(%error, "a session could not be begun");
            return crate::pages::unavailable(&door);
        }
    };
    match passkeys::begin_sign_in(&door.engine, &id, posted.address.as_deref()).await {
        Ok(challenge) => wire::asking(&challenge),
        Err(error) => wire::refused(&error, posted.trace()),
    }
}

/// The id of this browser's session, which nobody needs to have signed in to.
async fn begun(session: &Session) -> Result<String, tower_sessions::session::Error> {
    if session.id().is_none() {
        session.insert("asked", true).await?;
        session.save().await?;
    }
    Ok(session.id().map(|id| id.to_string()).unwrap_or_default())
}

/// `POST /sign-in/passkey`: `passkey`, `return_to`.
pub async fn with_passkey(State(door): State<Door>, session: Session, posted: Posted) -> Response {
    let page = way_back(&posted);
    let Some((answer, id)) = wire::answer(&posted).zip(session.id()) else {
        let sentence = "The browser sent no passkey. Try again, or use your password.";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return posted.again(&door, &page, status, "", sentence).await;
    };
    match passkeys::finish_sign_in(&door.engine, &id.to_string(), answer).await {
        Ok((person, _)) => {
            match session::begin(&session, &person, SignIn::now(&door.engine, How::Passkey)).await {
                Ok(()) => see(&local_path(posted.some("return_to"))),
                Err(error) => posted.failed(&door, &page, error).await,
            }
        }
        Err(error) => wire::again(&posted, &door, &page, &error).await,
    }
}

fn way_back(posted: &Posted) -> String {
    match posted.some("return_to") {
        Some(path) => format!(
            "{PAGE}?{}",
            serde_urlencoded::to_string([("return_to", path)]).unwrap_or_default()
        ),
        None => PAGE.to_owned(),
    }
}

/// An error as a sentence for people: a capital first, a full stop last.
pub(crate) fn sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    let stop = if text.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{first}{}{stop}", letters.as_str())
}

/// `POST /sign-out`
pub async fn sign_out(
    State(door): State<Door>,
    session: Session,
    signed_in: Option<axum::Extension<SignedIn>>,
) -> Response {
    let signed_in = signed_in.map(|axum::Extension(signed_in)| signed_in);
    if let Err(response) = ended(&door, &session, signed_in.as_ref()).await {
        return response;
    }
    let mut response = see("/sign-in").into_response();
    response
        .headers_mut()
        .insert("clear-site-data", HeaderValue::from_static("\"cache\""));
    response
}

/// Ends a session and records it. The error is the answer to give.
pub async fn ended(
    door: &Door,
    session: &Session,
    signed_in: Option<&SignedIn>,
) -> Result<(), Response> {
    if let Some(signed_in) = signed_in
        && let Err(error) = identity::signed_out(&door.engine, &signed_in.person.id).await
    {
        tracing::error!(%error, "a sign-out could not be recorded");
        return Err(crate::pages::unavailable(door));
    }
    session::end(session).await.map_err(|error| {
        tracing::error!(%error, "a session could not be ended");
        crate::pages::unavailable(door)
    })
}

/// `POST /settings/password`: `current_password`, `new_password`. Other sessions end.
pub async fn change_password(
    State(door): State<Door>,
    session: Session,
    signed_in: SignedIn,
    posted: Posted,
) -> Response {
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let (current, new) = (
        Secret::from(posted.raw("current_password")),
        Secret::from(posted.raw("new_password")),
    );
    match identity::change_password(&door.engine, &signed_in.person.id, current, new).await {
        Ok(person) => {
            match session::begin(&session, &person, SignIn::now(&door.engine, How::Password)).await
            {
                Ok(()) => see("/settings?changed=password"),
                Err(error) => posted.failed(&door, "/settings", error).await,
            }
        }
        Err(Error::WrongPassword) => {
            let sentence = "That is not your current password.";
            posted
                .again(
                    &door,
                    "/settings",
                    unprocessable,
                    "current_password",
                    sentence,
                )
                .await
        }
        Err(Error::Storage(error)) => posted.failed(&door, "/settings", error).await,
        Err(error) => {
            posted
                .again(
                    &door,
                    "/settings",
                    unprocessable,
                    "new_password",
                    sentence(&error),
                )
                .await
        }
    }
}

/// `POST /settings/user-code`: `user_code`; an empty one takes it away.
pub async fn user_code(State(door): State<Door>, signed_in: SignedIn, posted: Posted) -> Response {
    let code = posted
        .some("user_code")
        .map(|_| Secret::from(posted.raw("user_code")));
    match identity::user_code::set(&door.engine, &signed_in.person.id, code).await {
        Ok(()) => see("/settings?changed=code"),
        Err(error @ Error::Invalid(_)) => {
            posted
                .again(
                    &door,
                    "/settings",
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "user_code",
                    sentence(&error),
                )
                .await
        }
        Err(error) => posted.failed(&door, "/settings", error).await,
    }
}
