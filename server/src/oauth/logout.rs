//! `/oidc/logout` (OpenID Connect RP-Initiated Logout 1.0)

use app::context::{FormState, LogoutView};
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use domain::oauth::logout::{Logout, check};
use domain::oauth::{OauthError, Params};
use tower_sessions::Session;

use super::authorize::origin;
use crate::door::Door;
use crate::forms::Posted;
use crate::forms::sign_in::{ended, sentence};
use crate::pages::{Extras, render};
use crate::session::SignedIn;

/// `GET /oidc/logout`: signs out whom the client's ID token is about; asks
/// anybody else.
pub async fn ask(
    State(door): State<Door>,
    session: Session,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let params = match Params::form(query.unwrap_or_default().as_bytes()) {
        Ok(params) => params,
        Err(error) => return render(&door, request, refused(&error)).await,
    };
    let wish = match check(&door.engine, &params).await {
        Ok(wish) => wish,
        Err(error) => return render(&door, request, refused(&error)).await,
    };
    let signed_in = request.extensions().get::<SignedIn>().cloned();
    match signed_in {
        None => gone(&wish),
        Some(signed_in) if wish.needs_no_question(&signed_in.person.id) => {
            match ended(&door, &session, Some(&signed_in)).await {
                Ok(()) => gone(&wish),
                Err(response) => response,
            }
        }
        Some(_) => {
            let form_action = wish.to.iter().filter_map(|to| origin(to.as_str()));
            let extras = Extras {
                form_action: form_action.collect(),
                logout: Some(LogoutView {
                    client_name: wish.client.as_ref().map(|client| client.name.clone()),
                    params: params
                        .pairs()
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect(),
                }),
                ..Extras::default()
            };
            render(&door, request, extras).await
        }
    }
}

/// `POST /oidc/logout`: as by query; it comes from another site, so the
/// browser sends no session with it and is led on.
pub async fn by_post(State(door): State<Door>, request: Request) -> Response {
    match super::led_on(request, "/oidc/logout").await {
        Ok(response) => response,
        Err((request, error)) => render(&door, request, refused(&error)).await,
    }
}

/// `POST /oidc/logout/decision`: the person says yes.
pub async fn decide(
    State(door): State<Door>,
    session: Session,
    signed_in: Option<axum::Extension<SignedIn>>,
    posted: Posted,
) -> Response {
    let wish = match Params::new(posted.others(&[])) {
        Ok(params) => check(&door.engine, &params).await,
        Err(error) => Err(error),
    };
    let wish = match wish {
        Ok(wish) => wish,
        Err(error) => return posted.page(&door, "/oidc/logout", refused(&error)).await,
    };
    let signed_in = signed_in.map(|axum::Extension(signed_in)| signed_in);
    match ended(&door, &session, signed_in.as_ref()).await {
        Ok(()) => gone(&wish),
        Err(response) => response,
    }
}

/// To where the client wished, or to our own page that says it is done.
fn gone(wish: &Logout) -> Response {
    match &wish.to {
        Some(to) => Redirect::to(to.as_str()).into_response(),
        None => Redirect::to("/oidc/logout/done").into_response(),
    }
}

fn refused(error: &OauthError) -> Extras {
    let form = FormState {
        errors: vec![(String::new(), sentence(&error.description))],
        status: error.status,
        ..FormState::default()
    };
    Extras {
        form,
        ..Extras::default()
    }
}
