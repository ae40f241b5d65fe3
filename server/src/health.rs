//! Alive, and ready.

use axum::extract::State;
use axum::http::StatusCode;

use crate::door::Door;

/// The process answers.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// The database answers too. A key provider that does not answer is told and is
/// no reason to send requests elsewhere: keys that were used of late still open.
pub async fn ready(State(door): State<Door>) -> (StatusCode, String) {
    let answer = match door.engine.store.reader().await {
        Ok(mut reader) => reader
            .optional(
                "select deployment_id from deployment where id = 'self'",
                vec![],
            )
            .await
            .map(|_| ()),
        Err(error) => Err(error),
    };
    match answer {
        Ok(()) => match door.engine.keys.keks().trouble() {
            None => (StatusCode::OK, "ready\n".to_owned()),
            Some(trouble) => {
                tracing::error!(trouble, "the key provider");
                let words = "ready; the key provider does not answer as it should\n";
                (StatusCode::OK, words.to_owned())
            }
        },
        Err(error) => {
            tracing::error!(%error, "not ready");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the database does not answer\n".to_owned(),
            )
        }
    }
}
