//! Browser sessions: our own store under `tower-sessions`.
//!
//! The cookie holds a random id; the database holds its keyed hash. A session
//! ends a fixed time after it began, by our clock.

use async_trait::async_trait;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use domain::Engine;
use domain::identity::{self, Person, SignIn, sessions};
use time::OffsetDateTime;
use tower_sessions::cookie::SameSite;
use tower_sessions::session::{Id, Record};
use tower_sessions::{Session, SessionManagerLayer, SessionStore, session_store};

use crate::door::{Door, TraceId};
use crate::pages;

/// How long a session lasts, milliseconds.
pub const LIFETIME: i64 = 12 * 60 * 60 * 1000;

const PERSON: &str = "person";
const AUTH_TIME: &str = "auth_time";
const HOW: &str = "how";

/// Sessions in the database.
#[derive(Clone)]
pub struct Store(Engine);

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("session::Store")
    }
}

fn encode(record: &Record) -> session_store::Result<String> {
    serde_json::to_string(&record.data)
        .map_err(|error| session_store::Error::Encode(error.to_string()))
}

fn person(record: &Record) -> Option<&str> {
    record.data.get(PERSON).and_then(|person| person.as_str())
}

fn backend(error: impl std::fmt::Display) -> session_store::Error {
    session_store::Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for Store {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        let data = encode(record)?;
        loop {
            // Ids are ours: from the randomness that is handed in.
            record.id = Id(i128::from_le_bytes(domain::ids::random(&*self.0.rng)));
            let (id, expires) = (record.id.to_string(), self.0.now() + LIFETIME);
            if sessions::create(&self.0, &id, person(record), &data, expires)
                .await
                .map_err(backend)?
            {
                return Ok(());
            }
        }
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let data = encode(record)?;
        sessions::save(
            &self.0,
            &record.id.to_string(),
            person(record),
            &data,
            self.0.now() + LIFETIME,
        )
        .await
        .map_err(backend)
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let Some(kept) = sessions::load(&self.0, &id.to_string())
            .await
            .map_err(backend)?
        else {
            return Ok(None);
        };
        let data = serde_json::from_str(&kept.data)
            .map_err(|error| session_store::Error::Decode(error.to_string()))?;
        // Expiry was judged by our own clock in the look-up.
        let expiry_date = OffsetDateTime::from_unix_timestamp(253_402_300_799).map_err(backend)?;
        Ok(Some(Record {
            id: *id,
            data,
            expiry_date,
        }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        sessions::delete(&self.0, &id.to_string())
            .await
            .map_err(backend)
    }
}

/// The layer that gives handlers their [`Session`].
#[must_use]
pub fn layer(door: &Door) -> SessionManagerLayer<Store> {
    let secure = door.options.secure();
    SessionManagerLayer::new(Store(door.engine.clone()))
        .with_name(if secure { "__Host-attorn" } else { "attorn" })
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(secure)
        .with_path("/")
}

/// Who is signed in, put into the request's extensions by [`load`].
#[derive(Clone)]
pub struct SignedIn {
    /// The person.
    pub person: Person,
    /// The session's id: what links and consents are bound to.
    pub session_id: String,
    /// When and how they signed in.
    pub sign_in: SignIn,
}

/// Looks the person of the session up once a request.
pub async fn load(
    State(door): State<Door>,
    session: Session,
    mut request: Request,
    next: Next,
) -> Response {
    match current(&door.engine, &session).await {
        Ok(Some(signed_in)) => {
            request.extensions_mut().insert(signed_in);
        }
        Ok(None) => {}
        Err(error) => {
            tracing::error!(%error, "the session could not be read");
            return crate::pages::unavailable(&door);
        }
    }
    next.run(request).await
}

async fn current(engine: &Engine, session: &Session) -> Result<Option<SignedIn>, String> {
    let person: Option<String> = session
        .get(PERSON)
        .await
        .map_err(|error| error.to_string())?;
    let (Some(person), Some(id)) = (person, session.id()) else {
        return Ok(None);
    };
    let auth_time: i64 = session
        .get(AUTH_TIME)
        .await
        .map_err(|error| error.to_string())?
        .unwrap_or_default();
    let how: Option<String> = session.get(HOW).await.map_err(|error| error.to_string())?;
    let person = identity::person(engine, &person)
        .await
        .map_err(|error| error.to_string())?;
    Ok(person
        .filter(|person| person.state == identity::State::Active)
        .map(|person| SignedIn {
            person,
            session_id: id.to_string(),
            sign_in: SignIn {
                at: auth_time,
                how: how.and_then(|word| word.parse().ok()),
            },
        }))
}

/// Begins a signed-in session under a new id (session fixation).
///
/// # Errors
/// The store's.
pub async fn begin(
    session: &Session,
    person: &Person,
    sign_in: SignIn,
) -> Result<(), tower_sessions::session::Error> {
    session.cycle_id().await?;
    session.insert(PERSON, &person.id).await?;
    session.insert(AUTH_TIME, sign_in.at).await?;
    match sign_in.how {
        Some(how) => session.insert(HOW, how.word()).await?,
        None => session.remove_value(HOW).await.map(drop)?,
    }
    session.save().await
}

/// Ends the session.
///
/// # Errors
/// The store's.
pub async fn end(session: &Session) -> Result<(), tower_sessions::session::Error> {
    session.flush().await
}

/// Somebody must be signed in: otherwise the sign-in page, with the way back.
impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        if let Some(signed_in) = parts.extensions.get::<Self>() {
            return Ok(signed_in.clone());
        }
        let back = if parts.method == axum::http::Method::GET {
            parts.uri.path_and_query().map_or("/", |path| path.as_str())
        } else {
            "/"
        };
        Err(to_sign_in(back, None))
    }
}

/// The way to the sign-in page and back to `path`; the page's field holds
/// `email`, if somebody said whom they expect.
#[must_use]
pub fn to_sign_in(path: &str, email: Option<&str>) -> Response {
    let pairs = [("return_to", Some(path)), ("email", email)];
    let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
    Redirect::to(&format!("/sign-in?{query}")).into_response()
}

/// A signed-in admin; a person who is none gets 404, as for a page that is not there.
pub struct Admin(pub SignedIn);

impl FromRequestParts<Door> for Admin {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Response> {
        let signed_in = SignedIn::from_request_parts(parts, door).await?;
        if signed_in.person.role == identity::Role::Admin {
            return Ok(Self(signed_in));
        }
        // The page of that address, which says who may see it.
        let trace = parts.extensions.get::<TraceId>().cloned();
        let trace = trace.unwrap_or_else(|| TraceId(String::new()));
        let page = "/admin/people";
        Err(pages::render_at(
            door,
            page,
            Some(&signed_in),
            &trace,
            pages::Extras::default(),
        )
        .await)
    }
}

/// A local path to go to after a form, or `/`: never another site (open redirect).
#[must_use]
pub fn local_path(asked: Option<&str>) -> String {
    let path = asked.unwrap_or("/");
    let plain = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && !path.bytes().any(|byte| byte.is_ascii_control());
    if plain {
        path.to_owned()
    } else {
        "/".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_back_never_leads_to_another_site() {
        for bad in [
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example",
            "javascript:x",
            "/\nx",
            "",
        ] {
            assert_eq!(local_path(Some(bad)), "/", "{bad}");
        }
        assert_eq!(local_path(Some("/approve/apr_1?x=1")), "/approve/apr_1?x=1");
    }
}
