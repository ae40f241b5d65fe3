//! Sessions of the console, kept for `server`'s cookie layer.
//!
//! A session's id is a credential: the row is keyed by its keyed hash, so that
//! a copy of the database signs nobody in.

use super::Error;
use crate::Engine;

/// A session that may still be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Who is signed in, if anybody.
    pub person: Option<String>,
    /// Whatever the cookie layer keeps, as text.
    pub data: String,
    /// When it ends, Unix milliseconds.
    pub expires_at: i64,
}

/// The name of a session in other tables (`session_hash`): what a link or a
/// consent is bound to.
#[must_use]
pub fn hash(engine: &Engine, id: &str) -> [u8; 32] {
    engine.keys.hash("session", id.as_bytes())
}

/// Creates a session, if none has this id yet; answers whether it did.
///
/// # Errors
/// Storage's.
pub async fn create(
    engine: &Engine,
    id: &str,
    person: Option<&str>,
    data: &str,
    expires_ms: i64,
) -> Result<bool, Error> {
    let (hash, person, data) = (hash(engine, id), person.map(str::to_owned), data.to_owned());
    engine
        .store
        .write(move |tx| {
            let (person, data) = (person.clone(), data.clone());
            Box::pin(async move {
                Ok(tx
                    .insert_session(hash, person.as_deref(), &data, expires_ms)
                    .await?)
            })
        })
        .await
}

/// Keeps a session until `expires_ms` (Unix milliseconds), new or changed.
///
/// # Errors
/// Storage's.
pub async fn save(
    engine: &Engine,
    id: &str,
    person: Option<&str>,
    data: &str,
    expires_ms: i64,
) -> Result<(), Error> {
    let (hash, person, data) = (hash(engine, id), person.map(str::to_owned), data.to_owned());
    engine
        .store
        .write(move |tx| {
            let (person, data) = (person.clone(), data.clone());
            Box::pin(async move {
                Ok(tx
                    .upsert_session(hash, person.as_deref(), &data, expires_ms)
                    .await?)
            })
        })
        .await
}

/// The session with this id. One that has expired is none, and neither is one
/// of somebody who was locked.
///
/// # Errors
/// Storage's.
pub async fn load(engine: &Engine, id: &str) -> Result<Option<SessionRecord>, Error> {
    let mut rx = engine.store.reader().await?;
    let found = rx.session(hash(engine, id), engine.now()).await?;
    if let Some(person) = found.as_ref().and_then(|session| session.person.as_ref())
        && !rx.person_is_active(engine, person).await?
    {
        return Ok(None);
    }
    Ok(found)
}

/// Ends a session.
///
/// # Errors
/// Storage's.
pub async fn delete(engine: &Engine, id: &str) -> Result<(), Error> {
    let hash = hash(engine, id);
    engine
        .store
        .write(move |tx| Box::pin(async move { Ok(tx.delete_session(hash).await?) }))
        .await
}

/// Forgets sessions that have expired, at most a thousand; answers how many.
/// Upkeep only: an expired row never loads.
///
/// # Errors
/// Storage's.
pub async fn sweep(engine: &Engine) -> Result<u64, Error> {
    engine
        .store
        .write(move |tx| Box::pin(async move { Ok(tx.sweep_sessions().await?) }))
        .await
}
