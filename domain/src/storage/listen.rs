//! Hearing other instances on PostgreSQL (`LISTEN`, `NOTIFY`), and proving that
//! one hears them.

use std::sync::Arc;

use sqlx::PgPool;
use sqlx::postgres::PgListener;

use super::feed::PULSE_MS;
use super::{Changes, Signal};
use crate::clock::Clock;

/// The channel of all instances of one database.
pub(super) const CHANNEL: &str = "attorn";
/// How long to wait before trying to listen again, in milliseconds.
const AGAIN_MS: i64 = 200;

/// Sends a word to ourselves again and again, for as long as the pool lives.
pub(super) async fn pulse(pool: PgPool, clock: Arc<dyn Clock>, me: String) {
    while !pool.is_closed() {
        let sent_at = clock.monotonic();
        let sent = sqlx::query("select pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(format!("{me} {sent_at}"))
            .execute(&pool)
            .await;
        if let Err(error) = sent
            && !pool.is_closed()
        {
            tracing::warn!(%error, "cannot prove that changes of other instances are heard");
        }
        clock.sleep_until(sent_at + PULSE_MS).await;
    }
}

/// Passes on what was committed, for as long as the pool lives.
pub(super) async fn listen(pool: PgPool, clock: Arc<dyn Clock>, me: String, changes: Changes) {
    while !pool.is_closed() {
        if let Err(error) = hear(&pool, &me, &changes).await
            && !pool.is_closed()
        {
            tracing::warn!(%error, "cannot listen for changes of other instances; trying again");
        }
        changes.feed.break_off();
        clock.sleep_until(clock.monotonic() + AGAIN_MS).await;
    }
}

/// Until the connection is lost.
async fn hear(pool: &PgPool, me: &str, changes: &Changes) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    // What changed before we listened went unheard.
    changes.feed.break_off();
    while let Some(note) = listener.try_recv().await? {
        let payload = note.payload();
        if payload.starts_with('{') {
            match serde_json::from_str::<Signal>(payload) {
                Ok(signal) => changes.pass_on(vec![signal]),
                Err(error) => tracing::warn!(%error, "a notification could not be read"),
            }
        } else if let Some((who, sent_at)) = payload.split_once(' ')
            && who == me
            && let Ok(sent_at) = sent_at.parse()
        {
            changes.feed.prove(sent_at);
        }
    }
    Ok(())
}
