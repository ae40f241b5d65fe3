//! Signing in through another OpenID provider: the way there and back.

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use domain::identity::upstream::{self, Error, Finish};
use domain::limits::Limit;
use domain::oauth::{Params, RequestHead};
use domain::secret::Secret;
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use crate::door::{ClientAddress, Door};
use crate::session::{self, SignedIn, local_path};

/// The key in the browser's session.
const UNDER_WAY: &str = "upstream";
/// How long a sign-in may take, milliseconds.
const LONGEST: i64 = 15 * 60 * 1000;

/// A sign-in that is under way in this browser.
#[derive(Serialize, Deserialize)]
struct UnderWay {
    upstream: String,
    state_hash: String,
    until: i64,
    return_to: String,
}

/// `GET /sign-in/with/{id}?return_to=`
pub async fn begin(
    State(door): State<Door>,
    Path(id): Path<String>,
    session: Session,
    address: Option<Extension<ClientAddress>>,
    signed_in: Option<Extension<SignedIn>>,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::form(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let return_to = local_path(params.get("return_to"));
    let head = RequestHead {
        address: address.and_then(|Extension(address)| address.0),
        ..RequestHead::default()
    };
    let limit = door.engine.limits.count(Limit::Upstream, &head.network());
    if let Err(too_often) = limit {
        return said(&lost(&too_often.to_string()), &return_to);
    }
    // Who is signed in and comes here is to prove once more who they are.
    let again = signed_in.is_some();
    let begun = match upstream::begin(&door.engine, &id, again).await {
        Ok(begun) => begun,
        Err(error) => return said(&error, &return_to),
    };
    let under_way = UnderWay {
        upstream: id,
        state_hash: begun.state_hash,
        until: door.engine.now() + LONGEST,
        return_to: return_to.clone(),
    };
    match session.insert(UNDER_WAY, under_way).await {
        Ok(()) => Redirect::to(begun.to.as_str()).into_response(),
        Err(error) => said(&Error::Failed(error.to_string()), &return_to),
    }
}

/// `GET /sign-in/callback`: the provider sends the browser back.
pub async fn callback(
    State(door): State<Door>,
    session: Session,
    RawQuery(query): RawQuery,
) -> Response {
    let engine = &door.engine;
    let params = Params::form(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    // Taken out: a way back is gone once.
    let under_way = session.remove::<UnderWay>(UNDER_WAY).await;
    let under_way = match under_way {
        Ok(Some(under_way)) if under_way.until > engine.now() => under_way,
        Ok(_) => return said(&lost("no sign-in is under way in this browser"), "/"),
        Err(error) => return said(&Error::Failed(error.to_string()), "/"),
    };
    let return_to = local_path(Some(&under_way.return_to));
    let state = params.get("state").unwrap_or_default();
    // A browser must not be signed in with somebody else's answer (RFC 9700 §4.7).
    if upstream::state_hash(engine, state) != under_way.state_hash {
        return said(&lost("state is not of this browser"), &return_to);
    }
    let Some(code) = params.get("code").map(Secret::from) else {
        let code = params.get("error").unwrap_or("nothing");
        return said(&lost(code), &return_to);
    };
    let finish = Finish {
        upstream: &under_way.upstream,
        state,
        code: &code,
        iss: params.get("iss"),
    };
    match upstream::finish(engine, finish).await {
        Ok((person, sign_in)) => match session::begin(&session, &person, sign_in).await {
            Ok(()) => Redirect::to(&return_to).into_response(),
            Err(error) => said(&Error::Failed(error.to_string()), &return_to),
        },
        Err(error) => said(&error, &return_to),
    }
}

fn lost(why: &str) -> Error {
    Error::Failed(
        why.chars()
            .filter(char::is_ascii_graphic)
            .take(64)
            .collect(),
    )
}

/// The sign-in page, which says what went wrong.
fn said(error: &Error, return_to: &str) -> Response {
    let problem = match error {
        Error::Unknown => "unknown",
        Error::Failed(_) | Error::Storage(_) => "failed",
        Error::NobodyHere => "nobody",
        Error::Locked => "locked",
    };
    tracing::warn!(%error, "a sign-in through another provider did not happen");
    let query = serde_urlencoded::to_string([("problem", problem), ("return_to", return_to)]);
    Redirect::to(&format!("/sign-in?{}", query.unwrap_or_default())).into_response()
}
