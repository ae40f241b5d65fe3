//! Alive, and ready.

use axum::extract::State;
use axum::http::StatusCode;

use crate::door::Door;

/// The process answers.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// The database answers too.
pub async fn ready(State(door): State<Door>) -> (StatusCode, &'static str) {
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
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::error!(%error, "not ready");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the database does not answer\n",
            )
        }
    }
}
